"""samepage why names what keeps a program's processes apart, and samepage run reaches what it promises."""
import contextlib
import json
import os
import pathlib
import subprocess
import time

from samepage_run import BUILD, PYTHON, SAMEPAGE, wait_until
from store_process import memory_group

COPIES = 3
MEGABYTES = 100
# A preforking service, until FILE has gone. Whenever FILE.request exists, each worker works at a request, for which it holds
# half of the objects of a table that the parent made: their reference counts then differ.
PREFORK = """
import os, random, sys, time
live, workers = sys.argv[1], int(sys.argv[2])
table = [(str(i * 7), float(i)) for i in range(200_000)]
for number in range(workers):
    if os.fork() == 0:
        os.write(1, b"ready\\n")
        while os.path.exists(live):
            if os.path.exists(live + ".request"):
                request = random.Random(number).sample(table, len(table) // 2)
                os.write(1, b"holds\\n")
                while os.path.exists(live + ".request"):
                    time.sleep(0.05)
                del request
            time.sleep(0.05)
        os._exit(0)
for _ in range(workers):
    os.wait()
"""


def why(*pids):
    ran = subprocess.run([SAMEPAGE, "why", *map(str, pids), "--json", "-"], capture_output=True, text=True, timeout=120)
    assert ran.returncode == 0, ran.stderr
    answer = json.loads(ran.stdout)
    assert not answer["partial"], answer["troubles"]
    return answer


def descendants(root, name):
    """PIDs of those that are called so."""
    parents = {}
    for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            head, rest = stat.read_text().rsplit(")", 1)
            pid, comm = head.split(" (", 1)
            parents[int(pid)] = (int(rest.split()[1]), comm)

    def below(pid):
        return pid == root or (pid in parents and below(parents[pid][0]))

    return [pid for pid, (_, comm) in parents.items() if comm == name and pid != root and below(pid)]


def in_store(answer):
    return answer["classes"].get("shared_store", {"bytes": 0})["bytes"]


def has_memory_open(pid):
    """Of any process."""
    for link in pathlib.Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            if os.readlink(link).endswith("/mem"):
                return True
    return False


@contextlib.contextmanager
def running(command, ready, live, **options):
    """Until `live` has gone; has said so often that it is ready."""
    live.touch()
    process = subprocess.Popen([str(word) for word in command], stdout=subprocess.PIPE, text=True, **options)
    try:
        for _ in range(ready):
            assert process.stdout.readline().endswith("ready\n")
        yield process
    finally:
        live.unlink(missing_ok=True)
        process.stdout.read()
        process.stdout.close()
        assert process.wait(timeout=60) == 0


def kept(promised, root, name, seconds=120):
    """What the processes called so hold together once they keep the promise, or at the end."""
    end = time.monotonic() + seconds
    while True:
        together = why(*descendants(root, name))["together_bytes"]
        if together <= 1.05 * promised or time.monotonic() > end:
            print(f"promised {promised / 1e6:.1f} MB, reached {together / 1e6:.1f} MB")
            return together


def reached(live, promised):
    """By copies of the table under samepage run."""
    command = [SAMEPAGE, "run", "-q", "-n", COPIES, "--", BUILD / "bin/table", live, MEGABYTES]
    with running(command, COPIES, live) as run:
        return kept(promised, run.pid, "table")


def by_a_shell_loop(live):
    table = BUILD / "bin/table"
    loop = f"for i in 1 2 3; do {table} {live} {MEGABYTES} & done; wait"
    with running(["sh", "-c", loop], COPIES, live) as shell:
        answer = why(*descendants(shell.pid, "table"))
    assert len(answer["processes"]) == COPIES
    return answer


def test_copies_of_a_shell_loop_are_equal_but_for_pointers(tmp_path):
    answer = by_a_shell_loop(tmp_path / "live")
    print(answer["answer"])
    finding = answer["findings"][0]
    assert finding["class"] == "pointers" and "samepage run" in finding["mend"]
    # Two of three copies of the table could go.
    assert finding["excess_bytes"] > 0.95 * 2 / 3 * answer["together_bytes"]
    assert "are equal but for pointers: start them with samepage run" in answer["answer"]


def test_run_reaches_it_with_the_store(tmp_path):
    live = tmp_path / "live"
    promised = by_a_shell_loop(live)["within_reach_bytes"]
    assert reached(live, promised) <= 1.05 * promised


def test_preforked_python_is_equal_but_for_a_few_bytes_and_run_gives_them_back(tmp_path):
    live, request, script = tmp_path / "live", tmp_path / "live.request", tmp_path / "prefork.py"
    script.write_text(PREFORK)

    def work(service):
        request.touch()
        assert all(service.stdout.readline().endswith("holds\n") for _ in range(COPIES))

    with running([PYTHON, script, live, COPIES], COPIES, live) as service:
        work(service)
        answer = why(service.pid, *descendants(service.pid, "python3"))
        request.unlink()
    print(answer["answer"])
    finding, promised = answer["findings"][0], answer["within_reach_bytes"]
    assert finding["class"] == "few_bytes" and "samepage run" in finding["mend"]
    assert "are equal but for a few bytes: start them with samepage run" in answer["answer"]
    # Most often the byte of the count that counts, where an object starts.
    assert answer["few_bytes"]["offsets"][0] > 0.9 * sum(answer["few_bytes"]["offsets"])

    # PSS knows nothing of pages that were given back and not touched since: what the kernel charges is looked at too.
    with memory_group("promise") as group, \
            running([SAMEPAGE, "run", "-q", "--", PYTHON, script, live, COPIES], COPIES, live, preexec_fn=group.join) as run:
        wait_until(lambda: in_store(why(*descendants(run.pid, "python3"))), 60)
        work(run)
        working = group.used()
        request.unlink()
        together = kept(promised, run.pid, "python3")
        wait_until(lambda: group.used() <= 1.05 * promised, 60)
        print(f"during the request {working / 1e6:.1f} MB, after it {group.used() / 1e6:.1f} MB charged")
    assert working > 2 * promised and together <= 1.05 * promised


def test_run_why_prints_the_ideal_beside_what_it_reached(tmp_path):
    live, report = tmp_path / "live", tmp_path / "run.json"
    command = [SAMEPAGE, "run", "--why", "--json", report, "-n", COPIES, "--", BUILD / "bin/table", live, 10]
    with running(command, COPIES, live, stderr=subprocess.PIPE) as run:
        # It compares when the copies have settled: their memory is open then.
        wait_until(lambda: has_memory_open(run.pid), 60)
        live.unlink()
        told = run.stderr.read()
        run.stderr.close()
    assert "\nideal: " in told and " with one copy of each page's content, reached: " in told
    answer = json.loads(report.read_text())["why"]
    assert 0 < answer["ideal_bytes"] <= answer["together_bytes"] < answer["rss_bytes"]
