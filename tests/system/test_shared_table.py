"""A table that processes fill together: SIGKILL of its writers leaves it whole."""
import os
import random
import signal
import subprocess

import pytest

from samepage_run import BUILD, wait_until

KILLED = str(BUILD / "bin" / "shared_table_killed")
COUNT_WORDS = str(BUILD / "bin" / "count-words")


@pytest.mark.parametrize("where", ["anonymous", "file"])
def test_200_killed_writers_leave_it_usable_and_consistent(tmp_path, where):
    seed = random.randrange(1 << 30)
    file = [str(tmp_path / "table")] if where == "file" else []
    ran = subprocess.run([KILLED, "200", str(seed), *file], capture_output=True, text=True, timeout=120)
    assert ran.stdout == "200 killed, 0 ended otherwise, 0 torn, none lost, usable\n", (seed, ran)


def test_programs_started_apart_fill_one_file(tmp_path):
    programs = [subprocess.Popen([KILLED, "10", str(seed), str(tmp_path / "table")], stdout=subprocess.PIPE, text=True)
                for seed in range(3)]
    said = [program.communicate(timeout=60)[0] for program in programs]
    # Each sees the others' updates too, so only these cannot be told apart from lost ones.
    assert all(line.startswith("10 killed, 0 ended otherwise, 0 torn, ") and line.endswith(", usable\n") for line in said), said


# ---- the documented example

def words(tmp_path, files=12):
    paths, expected = [], {}
    for number in range(files):
        text = " ".join(f"word{i % (50 + number)}" for i in range(20_000))
        path = tmp_path / f"text{number}"
        path.write_text(text)
        paths.append(str(path))
        for word in text.split():
            expected[word] = expected.get(word, 0) + 1
    return paths, expected


def counted(text):
    return {word: int(times) for times, word in (line.split() for line in text.splitlines())}


def test_the_example_counts_every_word(tmp_path):
    paths, expected = words(tmp_path)
    ran = subprocess.run([COUNT_WORDS, "4", *paths], capture_output=True, text=True, timeout=60)
    assert (ran.returncode, ran.stderr) == (0, "") and counted(ran.stdout) == expected


def test_the_example_names_what_a_killed_worker_did_not_count(tmp_path):
    paths, expected = words(tmp_path)
    fifo = tmp_path / "fifo"                                    # its worker waits there
    subprocess.run(["mkfifo", str(fifo)], check=True)
    process = subprocess.Popen([COUNT_WORDS, "2", str(fifo), *paths], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    with open(fifo, "w"):                                       # opens once a worker has opened it too
        children = subprocess.run(["pgrep", "-P", str(process.pid)], capture_output=True, text=True).stdout.split()
        wait_until(lambda: any(map(any_waits, children)))
        os.kill(next(pid for pid in map(int, children) if any_waits(pid)), signal.SIGKILL)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (1, f"count-words: {fifo}: not counted, or in part\n")
    assert counted(out) == expected


def any_waits(pid):
    """Whether a process has a FIFO open that it did not inherit."""
    ran = subprocess.run(["find", f"/proc/{pid}/fd", "-lname", "*/fifo"], capture_output=True, text=True)
    return bool(ran.stdout)
