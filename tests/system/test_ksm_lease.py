"""The KSM lease on the real kernel: it merges equal processes within seconds and leaves no setting changed."""
import contextlib
import json
import os
import pathlib
import select
import signal
import subprocess
import sys
import time

import pytest

from ksm_host import SYSFS, ksm_alone, put, settings  # noqa: F401 (ksm_alone is a fixture)

BUILD = pathlib.Path(os.environ.get("SAMEPAGE_BUILD", "build/release"))
HOLDER = BUILD / "bin" / "lease_holder"
RECORD = pathlib.Path("/run/samepage/ksm.json")
MEGABYTES = 60

# Registers its memory as the group's preload does, and then holds bytes that are the same in every copy.
COPY = f"""
import ctypes, random, sys
if ctypes.CDLL(None).prctl(67, 1, 0, 0, 0): sys.exit("no PR_SET_MEMORY_MERGE")
data = random.Random(1).randbytes({MEGABYTES} << 20)
print("ready", flush=True)
sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def holder_on_a_quiet_host(ksm_alone):
    if not HOLDER.exists():
        pytest.skip(f"{HOLDER} is not built")


class Holder:
    """A process with a lease for the given processes."""

    def __init__(self, pids):
        self.process = subprocess.Popen([HOLDER, *map(str, pids)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        text=True)
        assert self.next_line() == "taken"

    def next_line(self, seconds=40):
        ready, _, _ = select.select([self.process.stdout], [], [], seconds)
        assert ready, "lease_holder says nothing"
        return self.process.stdout.readline().strip()

    def wait_for(self, word):
        line = self.next_line()
        assert line.startswith(word), line
        return line

    def leave(self):
        self.process.stdin.close()
        assert self.process.wait(20) == 0

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


@contextlib.contextmanager
def equal_processes(count):
    copies = [subprocess.Popen([sys.executable, "-c", COPY], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
              for _ in range(count)]
    try:
        if any(copy.stdout.readline() != "ready\n" for copy in copies):
            pytest.skip("this kernel has no PR_SET_MEMORY_MERGE (Linux 6.4)")
        yield [copy.pid for copy in copies]
    finally:
        for copy in copies:
            copy.kill()
            copy.wait()


def merged_bytes(pid):
    return int(pathlib.Path(f"/proc/{pid}/ksm_merging_pages").read_text()) * os.sysconf("SC_PAGESIZE")


def test_merges_within_seconds_and_stops():
    before = settings()
    with equal_processes(3) as pids:
        begin = time.monotonic()
        holder = Holder(pids)
        holder.wait_for("burst")
        assert settings()["run"] == "1"
        assert settings()["ksmd_nice"] in (-5, None)
        holder.wait_for("idle")
        assert time.monotonic() - begin < 15
        assert settings() == before, "nothing stays changed between bursts"
        # run=0 keeps what is merged.
        for pid in pids:
            assert merged_bytes(pid) >= 0.95 * (MEGABYTES << 20)
        holder.leave()


def test_a_second_group_merges_with_the_first():
    with equal_processes(2) as pids, equal_processes(2) as later:
        first = Holder(pids)
        first.wait_for("burst")
        first.wait_for("idle")
        second = Holder(pids + later)
        second.wait_for("burst")
        second.wait_for("idle")
        assert merged_bytes(later[0]) >= 0.95 * (MEGABYTES << 20)
        first.leave()
        second.leave()


def test_two_holders_and_the_last_restores():
    before = settings()
    with equal_processes(2) as pids:
        # Each has its own idea of the group, so that their bursts overlap.
        one, two = Holder(pids), Holder(pids)
        one.wait_for("burst")
        two.wait_for("burst")
        assert len(json.loads(RECORD.read_text())["holders"]) == 2
        one.leave()
        assert settings()["run"] == "1"
        two.leave()
    assert settings() == before
    assert not RECORD.exists()


def test_a_kill_is_repaired_by_the_next_start():
    before = settings()
    with equal_processes(2) as pids:
        holder = Holder(pids)
        holder.wait_for("burst")
        holder.kill()
        assert settings() != before
        Holder([]).leave()
    assert settings() == before
    assert not RECORD.exists()


def test_what_a_third_party_changed_stays():
    with equal_processes(2) as pids:
        holder = Holder(pids)
        holder.wait_for("burst")
        put("sleep_millisecs", "33")
        put("pages_to_scan", "333")
        holder.leave()
    after = settings()
    assert (after["sleep_millisecs"], after["pages_to_scan"], after["run"]) == ("33", "333", "0")
    put("sleep_millisecs", "20")
    put("pages_to_scan", "100")


@contextlib.contextmanager
def burst_that_puts_everything_back():
    """The body runs while a burst lasts."""
    before = settings()
    with equal_processes(2) as pids:
        holder = Holder(pids)
        holder.wait_for("burst")
        assert settings()["pages_to_scan"] == "20000"
        yield
        holder.leave()
    assert settings() == before


def test_ksm_that_was_on_stays_on():
    put("run", "1")
    try:
        with burst_that_puts_everything_back():
            pass
    finally:
        put("run", "0")


def test_a_running_advisor_comes_back():
    if not (SYSFS / "advisor_mode").exists():
        pytest.skip("this kernel has no advisor (Linux 6.8)")
    put("advisor_mode", "scan-time")
    try:
        with burst_that_puts_everything_back():
            assert settings()["advisor_mode"] == "none"
    finally:
        put("advisor_mode", "none")
        put("pages_to_scan", "100")


def test_without_permission_one_line():
    ran = subprocess.run(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", HOLDER], input="",
                         capture_output=True, text=True)
    if ran.returncode == 126 or "Permission denied" in ran.stderr:
        pytest.skip("nobody may not enter the build folder")
    assert (ran.returncode, ran.stderr) == (1, "")
    assert ran.stdout == "KSM is off, and only root may turn it on; equal pages are not merged\n"
