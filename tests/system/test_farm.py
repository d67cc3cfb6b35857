"""The farm: every event once, the same bytes for any number of workers, whatever dies, and nothing left behind."""
import json
import os
import pathlib
import random
import signal
import struct
import subprocess
import time

import pytest
from farm_processes import KILLS, alive, descendants, kill_and_resume, kill_workers, wait_until

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("SAMEPAGE_BUILD", ROOT / "build/release"))
JOB = BUILD / "bin/farm-job"
EVENTS = 4000


def start(*args, **options):
    return subprocess.Popen([JOB, *map(str, args)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)


def run(*args, **options):
    job = start(*args, **options)
    out, err = job.communicate(timeout=120)
    return subprocess.CompletedProcess(args, job.returncode, out, err)


def roles(pid):
    """Writer, reader and workers: the supervisor's children in the order of their forks."""
    children = descendants(pid)
    return {"supervisor": pid, "writer": children[0], "reader": children[1], "workers": children[2:]}


@pytest.fixture(scope="module")
def lines(tmp_path_factory):
    path = tmp_path_factory.mktemp("input") / "lines.txt"
    path.write_text("".join(f"event number {i} {'x' * (i % 200)}\n" for i in range(EVENTS)))
    return path


@pytest.fixture(scope="module")
def serial(lines):
    """Output and merged result of the serial job."""
    out = lines.parent / "serial.out"
    result = run(lines, "--output", out, "--merge")
    assert result.returncode == 0, result.stderr
    return out.read_bytes(), result.stdout


def same_as(serial, result, out):
    assert result.returncode == 0, result.stderr
    assert out.read_bytes() == serial[0]
    assert result.stdout == serial[1]
    assert sorted(file.name for file in out.parent.iterdir()) == [out.name]


# --- the same bytes ------------------------------------------------------------------------------------------

@pytest.mark.parametrize("workers", [1, 2, 3, 4, 8])
def test_same_bytes_for_any_number_of_workers(lines, serial, tmp_path, workers):
    out = tmp_path / "out"
    same_as(serial, run(lines, "--output", out, "--merge", "--workers", workers), out)


def test_without_merging_events_travel_together_and_give_the_same_bytes(lines, serial, tmp_path):
    out = tmp_path / "out"
    assert run(lines, "--output", out, "--workers", 3).returncode == 0
    assert out.read_bytes() == serial[0]


def test_blocks_merge_in_the_same_shape_serially(lines, serial, tmp_path):
    sums = {run(lines, "--merge", "--block", 7, "--workers", workers).stdout for workers in (0, 2, 5)}
    assert len(sums) == 1
    assert sums != {serial[1]}  # the last bits depend on the blocks: the comparison sees a different order


def test_unordered_output_has_every_event_once(lines, serial, tmp_path):
    out = tmp_path / "out"
    result = run(lines, "--output", out, "--merge", "--workers", 3, "--unordered")
    assert result.returncode == 0 and result.stdout == serial[1]
    assert sorted(out.read_bytes().splitlines()) == sorted(serial[0].splitlines())


def test_events_of_all_sizes(tmp_path):
    sizes = [0, 1, 100, 10_000, 5 << 20, 64 << 20, 17, 40 << 20, 3, 64 << 20]
    records = tmp_path / "records"
    with records.open("wb") as file:
        for number, size in enumerate(sizes):
            file.write(struct.pack("<Q", size) + bytes([number]) * size)
    outs = []
    for workers in (0, 2):
        outs.append(tmp_path / f"{workers}.out")
        result = run(records, "--kind", "records", "--output", outs[-1], "--workers", workers)
        assert result.returncode == 0, result.stderr
    assert outs[0].read_bytes() == outs[1].read_bytes() and len(outs[0].read_bytes().splitlines()) == len(sizes)


def test_large_outputs_pass_through_small_rings(lines, tmp_path):
    outs = []
    for workers in (0, 2):
        outs.append(tmp_path / f"{workers}.out")
        assert run(lines, "--output", outs[-1], "--workers", workers, "--output-bytes", 40_000).returncode == 0
    assert outs[0].read_bytes() == outs[1].read_bytes()


def test_standard_input_is_handed_on_as_it_comes(tmp_path):
    out = tmp_path / "out"
    job = start("-", "--output", out, "--workers", 2, "--journal", tmp_path / "j", "--commit-ms", 1,
                stdin=subprocess.PIPE)
    partial = tmp_path / "out.partial"
    for number in range(3):
        job.stdin.write(f"event {number}\n")
        job.stdin.flush()
        wait_until(lambda: partial.exists() and partial.read_text().count("\n") == number + 1)
    job.communicate(timeout=60)
    assert job.returncode == 0 and out.read_text().count("\n") == 3


def test_the_seed_decides(lines, serial, tmp_path):
    out = tmp_path / "out"
    assert run(lines, "--output", out, "--workers", 2, "--seed", 2).returncode == 0
    assert out.read_bytes() != serial[0]


def test_back_pressure_reaches_the_source(tmp_path):
    """One event that takes its time holds up all but a bounded amount of input."""
    records = tmp_path / "records"
    with records.open("wb") as file:
        for number in range(400):
            file.write(struct.pack("<Q", 100_000) + bytes(100_000))
    job = start(records, "--kind", "records", "--workers", 1, "--hang", 0, "--in-flight", 2_000_000, "--max-event", 200_000)
    wait_until(lambda: len(descendants(job.pid)) == 3)
    reader = roles(job.pid)["reader"]
    def descriptor():
        return next((entry.name for entry in pathlib.Path(f"/proc/{reader}/fd").iterdir()
                     if os.readlink(entry) == str(records)), None)
    wait_until(descriptor)
    wait_until(lambda: pathlib.Path(f"/proc/{reader}/wchan").read_text().startswith("futex"))
    position = int(pathlib.Path(f"/proc/{reader}/fdinfo/{descriptor()}").read_text().split()[1])
    assert position < 6_000_000
    job.kill()
    job.communicate()


# --- failures ------------------------------------------------------------------------------------------------

def numbers(text):
    return [int(line.split()[0]) for line in text.splitlines()]


def test_bad_events_go_to_quarantine_and_the_mended_code_takes_them_from_there(lines, serial, tmp_path):
    out, quarantine, report = tmp_path / "out", tmp_path / "quarantine", tmp_path / "report.json"
    result = run(lines, "--output", out, "--workers", 2, "--merge", "--crash", 10, "--hang", 20, "--eat", 30, "--fail", 40,
                 "--leave", 50, "--retries", 1, "--time-limit", 400, "--memory-limit", 60_000_000,
                 "--quarantine", quarantine, "--json", report)
    assert result.returncode == 3, result.stderr
    expected = serial[0].splitlines()
    bad = [10, 20, 30, 40, 50]
    assert out.read_bytes().splitlines() == [line for i, line in enumerate(expected) if i not in bad]
    told = json.loads(report.read_text())
    assert (told["status"], told["quarantined"], told["workers_lost"]) == ("partial", 5, 10)
    kept = quarantine.read_bytes()
    for reason in ("killed by signal 11", "the time limit of 400 ms", "more memory than the limit", "threw: this event",
                   "ended the process with status 7"):
        assert reason.encode() in kept
    again = tmp_path / "again"
    assert run(quarantine, "--kind", "quarantine", "--output", again, "--workers", 2).returncode == 0
    assert again.read_bytes().splitlines() == [expected[i] for i in bad]


def test_without_a_quarantine_file_a_bad_event_fails_the_job(lines, tmp_path):
    result = run(lines, "--output", tmp_path / "out", "--workers", 2, "--crash", 10, "--retries", 1)
    assert result.returncode == 1
    assert result.stderr == "farm-job: event 10 failed 2 times: killed by signal 11 (Segmentation fault)\n"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("how", [[], ["--merge", "--block", 16], ["--warm-up", 20, "--merge"]], ids=str)
def test_killed_workers_lose_nothing(lines, serial, tmp_path, how):
    out, report = tmp_path / "out", tmp_path / "report.json"
    reference = serial if "--block" not in how else (serial[0], run(lines, *how).stdout)
    kills = KILLS or 20
    job = start(lines, "--output", out, "--workers", 3, "--retries", 1_000_000, "--busy-us", kills * 30, "--json", report,
                *how)
    kill_workers(job, kills, random.Random(1))
    words, errors = job.communicate(timeout=300)
    assert job.returncode == 0, errors
    assert out.read_bytes() == reference[0]
    if "--merge" in how:
        assert words == reference[1]
    assert json.loads(report.read_text())["workers_lost"] > kills / 2


@pytest.mark.parametrize("who", ["supervisor", "reader", "writer"])
def test_what_dies_is_resumed(lines, serial, tmp_path, who):
    out, journal = tmp_path / "out", tmp_path / "journal"
    arguments = [lines, "--output", out, "--merge", "--workers", 2, "--busy-us", 60, "--journal", journal, "--resume",
                 "--commit-ms", 10]
    chance, killed = random.Random(who), 0
    wanted = KILLS // 4 if KILLS else 8
    before = set(pathlib.Path("/dev/shm").iterdir())
    while killed < wanted:
        for file in tmp_path.iterdir():
            file.unlink()
        words, more = kill_and_resume(lambda: start(*arguments), who, wanted - killed, 0.06, chance)
        killed += more
        same_as(serial, subprocess.CompletedProcess([], 0, serial[1] if words is None else words, ""), out)
    assert set(pathlib.Path("/dev/shm").iterdir()) == before


def test_unordered_output_is_resumed_without_loss_or_repetition(lines, serial, tmp_path):
    out, journal = tmp_path / "out", tmp_path / "journal"
    arguments = [lines, "--output", out, "--merge", "--workers", 3, "--busy-us", 1000, "--journal", journal, "--resume",
                 "--commit-ms", 5, "--unordered"]
    for _ in range(4):
        job = start(*arguments)
        wait_until(lambda: job.poll() is not None or (journal.exists() and journal.stat().st_size > 0))
        time.sleep(0.1)
        job.kill()
        job.communicate()
    result = run(*arguments)
    assert result.returncode == 0, result.stderr
    assert sorted(out.read_bytes().splitlines()) == sorted(serial[0].splitlines())
    assert result.stdout == serial[1]


def test_interrupting_leaves_a_job_that_can_be_resumed(lines, serial, tmp_path):
    out, journal = tmp_path / "out", tmp_path / "journal"
    arguments = [lines, "--output", out, "--merge", "--workers", 2, "--journal", journal, "--resume"]
    job = start(*arguments, "--busy-us", 2000, start_new_session=True)
    wait_until(lambda: len(descendants(job.pid)) == 4 and journal.exists())
    everyone = descendants(job.pid)
    os.killpg(job.pid, signal.SIGINT)  # as a terminal does
    _, errors = job.communicate(timeout=60)
    assert job.returncode == 130 and "interrupted by Interrupt" in errors
    assert not any(alive(pid) for pid in everyone)
    same_as(serial, run(*arguments), out)


def test_a_refused_job_says_why_in_one_line(lines, tmp_path):
    def refused(words, *arguments):
        result = run(*arguments, "--workers", 2)
        assert result.returncode in (1, 2)
        assert words in result.stderr and result.stderr.count("\n") == 1, result.stderr

    (tmp_path / "there").write_text("mine")
    refused("exists already", lines, "--output", tmp_path / "there")
    assert (tmp_path / "there").read_text() == "mine"
    (tmp_path / "empty").touch()
    refused("has no event", tmp_path / "empty", "--output", tmp_path / "out")
    refused("No such file", tmp_path / "none", "--output", tmp_path / "out")
    refused("Is a directory", tmp_path, "--output", tmp_path / "out")
    refused("not a quarantine file", lines, "--kind", "quarantine")
    refused("limit (max_event_bytes) is 15", lines, "--max-event", 15)
    (tmp_path / "cut").write_bytes(struct.pack("<Q", 100) + b"only this")
    refused("truncated", tmp_path / "cut", "--kind", "records")
    (tmp_path / "bad journal").write_text("something else")
    refused("not a journal", lines, "--journal", tmp_path / "bad journal", "--resume")


def test_the_journal_of_another_job_is_refused(lines, tmp_path):
    out, journal = tmp_path / "out", tmp_path / "journal"
    job = start(lines, "--output", out, "--workers", 2, "--busy-us", 5000, "--journal", journal, "--commit-ms", 10)
    wait_until(journal.exists)
    job.kill()
    job.communicate()
    result = run(lines, "--output", out, "--workers", 2, "--journal", journal)
    assert result.returncode == 2 and "unfinished job; resume it, or remove it" in result.stderr
    result = run(lines, "--output", out, "--workers", 2, "--journal", journal, "--resume", "--seed", 5)
    assert result.returncode == 2 and "is of another job" in result.stderr


def test_a_full_disk_keeps_what_was_committed(lines, serial, tmp_path):
    mounts = ["unshare", "--mount", "sh", "-c"]
    if subprocess.run([*mounts, "mount -t tmpfs none /mnt"], capture_output=True).returncode != 0:
        pytest.skip("may not mount a small file system")
    script = """mount -t tmpfs -o size=64k none "$0" && { "$@" --journal "$0/journal" --commit-ms 1; echo status $?;
                mount -o remount,size=4m "$0"; "$@" --journal "$0/journal" --resume; echo status $?; cat "$0/out"; }"""
    job = [JOB, lines, "--output", tmp_path / "out", "--workers", "2", "--busy-us", "30"]
    result = subprocess.run([*mounts, script, tmp_path, *map(str, job)], capture_output=True, text=True, timeout=120)
    first, second, *rest = result.stdout.splitlines()
    assert (first, second) == ("status 1", "status 0"), result.stderr
    assert "No space left on device" in result.stderr
    assert "\n".join(rest) + "\n" == serial[0].decode()


# --- templates -----------------------------------------------------------------------------------------------

def test_a_warmed_worker_becomes_the_template(lines, serial, tmp_path):
    out, report = tmp_path / "out", tmp_path / "report.json"
    result = run(lines, "--output", out, "--merge", "--workers", 3, "--warm-up", 20, "--busy-us", 100, "--json", report)
    assert result.returncode == 0 and out.read_bytes() == serial[0] and result.stdout == serial[1]
    told = json.loads(report.read_text())
    assert told["reforks"] == 1
    assert {sample["generation"] for sample in told["memory"]} == {0, 1}


def test_what_workers_build_lazily_is_shared_after_a_refork(lines, tmp_path):
    how = ["--interval-events", EVENTS // 2, "--interval-mb", 100, "--busy-us", 500]
    expected, out, report = tmp_path / "expected", tmp_path / "out", tmp_path / "report.json"
    assert run(lines, "--output", expected, *how[:4]).returncode == 0
    assert run(lines, "--output", out, "--workers", 3, *how, "--json", report).returncode == 0
    assert out.read_bytes() == expected.read_bytes()
    told = json.loads(report.read_text())
    assert told["reforks"] == 2
    last = [sample for sample in told["memory"] if sample["generation"] == 2 and sample["end"]]
    assert len(last) == 3
    assert all(sample["private_kb"] < 0.05 * 102400 for sample in last)  # 95 % of the table is shared


def test_a_template_that_fails_its_check_is_rejected(lines, serial, tmp_path):
    out, report = tmp_path / "out", tmp_path / "report.json"
    result = run(lines, "--output", out, "--merge", "--workers", 3, "--warm-up", 20, "--reject-templates", "--json", report,
                 "--busy-us", 100)
    assert result.returncode == 0 and out.read_bytes() == serial[0] and result.stdout == serial[1]
    told = json.loads(report.read_text())
    assert (told["reforks"], told["templates_rejected"]) == (0, 1)


def test_a_killed_template_costs_nothing(lines, serial, tmp_path):
    out, report = tmp_path / "out", tmp_path / "report.json"
    job = start(lines, "--output", out, "--merge", "--workers", 3, "--warm-up", 20, "--busy-us", 300, "--json", report,
                "--retries", 0)
    # The template is the supervisor's child that has children itself.
    def template():
        return next((pid for pid in descendants(job.pid) if len(descendants(pid)) == 3), None)
    wait_until(template)
    os.kill(template(), signal.SIGKILL)
    words, errors = job.communicate(timeout=120)
    assert job.returncode == 0, errors
    assert out.read_bytes() == serial[0] and words == serial[1]


# --- the rest ------------------------------------------------------------------------------------------------

def test_files_on_one_disk_are_read_two_at_a_time(tmp_path):
    files = []
    for number in range(8):
        files.append(tmp_path / f"{number}.txt")
        files[-1].write_text("".join(f"{number} {line} {'x' * 100}\n" for line in range(3000)))
    out = tmp_path / "out"
    job = start(*files, "--output", out, "--workers", 2, "--busy-us", 20)
    most = 0
    while job.poll() is None:
        for pid in descendants(job.pid)[1:2]:
            try:
                opened = {os.readlink(entry) for entry in pathlib.Path(f"/proc/{pid}/fd").iterdir()}
            except (FileNotFoundError, ProcessLookupError, PermissionError):
                continue
            most = max(most, len(opened & set(map(str, files))))
    assert job.returncode == 0, job.communicate()[1]
    job.communicate()
    assert most in (1, 2)
    one = tmp_path / "one.txt"
    one.write_text("".join(file.read_text() for file in files))
    assert run(one, "--output", tmp_path / "expected").returncode == 0
    assert out.read_bytes() == (tmp_path / "expected").read_bytes()


def test_workers_are_pinned_to_cores_of_their_own(lines, tmp_path):
    cores = len(os.sched_getaffinity(0))
    job = start(lines, "--workers", cores, "--pin", "--busy-us", 2000)
    wait_until(lambda: len(descendants(job.pid)) == 2 + cores)
    workers = roles(job.pid)["workers"]
    wait_until(lambda: all(len(os.sched_getaffinity(pid)) == 1 for pid in workers))
    assert len({tuple(os.sched_getaffinity(pid)) for pid in workers}) == cores
    job.kill()
    job.communicate()


def test_the_memory_table(lines, tmp_path):
    report = tmp_path / "report.json"
    assert run(lines, "--workers", 2, "--busy-us", 100, "--json", report).returncode == 0
    samples = json.loads(report.read_text())["memory"]
    for worker in (0, 1):
        own = [sample for sample in samples if sample["worker"] == worker]
        assert [sample["event"] for sample in own[:3]] == [0, 1, 50] and own[-1]["end"]
        assert all(sample["private_kb"] > 0 and sample["shared_kb"] > 0 for sample in own)


def test_the_ideal_beside_what_was_reached(lines, tmp_path):
    report = tmp_path / "report.json"
    ran = run(lines, "--workers", 3, "--busy-us", 3000, "--block", 1, "--constants-mb", 40, "--touch-events", 1000, "--why",
              "--json", report)
    assert ran.returncode == 0, ran.stderr
    why = json.loads(report.read_text())["why"]
    # Every worker has a copy of 40 MB that are equal; the ideal has them once.
    assert 40e6 < why["ideal_bytes"] < 75e6 and why["together_bytes"] > 3 * 40e6, why
    last = ran.stdout.splitlines()[-1]
    assert last == (f"ideal: {why['ideal_bytes'] / 2**20:.1f} MB with one copy of each page's content, "
                    f"reached: {why['together_bytes'] / 2**20:.1f} MB")


def test_without_the_heap_the_report_says_what_is_lost(lines):
    told = json.loads(run(lines, "--workers", 1, "--json", "-").stdout)
    assert told["sharing"].startswith("no heap")


def test_with_the_heap_constants_are_sealed_and_pages_whose_bytes_came_back_are_given_back(lines, tmp_path):
    """Every constant is written by the first events, and holds its old bytes again."""
    private = {}
    for name, environment in (("plain", {}), ("heap", {"LD_PRELOAD": str(BUILD / "lib/libsamepage-heap.so")})):
        report = tmp_path / f"{name}.json"
        result = run(lines, "--workers", 2, "--constants-mb", 64, "--touch-events", 40, "--busy-us", 1000, "--reshare-budget", 0.5,
                     "--json", report, env={**os.environ, **environment})
        assert result.returncode == 0, result.stderr
        told = json.loads(report.read_text())
        assert told["sharing"].startswith("no heap" if name == "plain" else "the heap keeps constants apart, the store holds them")
        private[name] = [sample["private_kb"] for sample in told["memory"] if sample["end"]]
    assert all(kb > 0.9 * 64 * 1024 for kb in private["plain"]), private
    assert all(kb < 0.2 * 64 * 1024 for kb in private["heap"]), private
