"""The host's KSM settings, for tests that let them be changed."""
import contextlib
import fcntl
import os
import pathlib
import re

import pytest

SYSFS = pathlib.Path("/sys/kernel/mm/ksm")


def ksmd():
    """Its PID; None where it does not show."""
    for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = stat.read_text().split()
            if fields[1] == "(ksmd)" and fields[3] == "2":
                return int(fields[0])
    return None


def ksmd_nice():
    pid = ksmd()
    return None if pid is None else os.getpriority(os.PRIO_PROCESS, pid)


def settings():
    """Each as its one word; of "[none] scan-time" the chosen one."""
    text = {file.name: file.read_text().strip() for file in sorted(SYSFS.glob("*")) if file.stat().st_mode & 0o200}
    found = {name: re.sub(r".*\[(.*)\].*", r"\1", value) for name, value in text.items()}
    return {**found, "ksmd_nice": ksmd_nice()}


def put(name, value):
    assert not (name == "run" and value not in ("0", "1"))
    (SYSFS / name).write_text(value)


@contextlib.contextmanager
def merging(pages_to_scan="4000"):
    """KSM runs, fast and before everything else on a loaded machine."""
    before, pid = settings(), ksmd()
    put("pages_to_scan", pages_to_scan)
    if "smart_scan" in before:
        # It looks at a page that stayed unmerged in every ninth pass only; equal pages that were registered some
        # passes apart are then never looked at in the same pass, and never meet (Linux 6.7 to 6.18 at least).
        put("smart_scan", "0")
    if pid:
        os.setpriority(os.PRIO_PROCESS, pid, -20)
    put("run", "1")
    try:
        yield
    finally:
        for name in ("run", "pages_to_scan", "smart_scan"):
            if name in before:
                put(name, before[name])
        if pid:
            os.setpriority(os.PRIO_PROCESS, pid, before["ksmd_nice"])


@pytest.fixture
def ksm_alone():
    """One test at a time on this machine, which finds KSM off and leaves it as it was."""
    if os.geteuid() != 0:
        pytest.skip("only root may set KSM")
    if not os.access(SYSFS / "run", os.W_OK):
        pytest.skip("this kernel has no KSM, or /sys is read-only")
    with open("/tmp/samepage-ksm.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        before = settings()
        if before["run"] != "0":
            pytest.skip("somebody uses KSM on this machine")
        yield
        after = settings()
        for name, value in before.items():
            if after[name] != value and name != "ksmd_nice":
                put(name, value)
        assert after == before
