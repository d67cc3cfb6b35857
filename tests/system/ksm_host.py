"""The host's KSM settings, for tests that let them be changed."""
import contextlib
import fcntl
import os
import pathlib
import re

import pytest

SYSFS = pathlib.Path("/sys/kernel/mm/ksm")
SETTINGS = ["run", "pages_to_scan", "sleep_millisecs", "advisor_mode", "use_zero_pages"]


def ksmd_nice():
    for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = stat.read_text().split()
            if fields[1] == "(ksmd)" and fields[3] == "2":
                return int(fields[18])
    return None


def settings():
    """Each as its one word; of "[none] scan-time" the chosen one."""
    text = {name: (SYSFS / name).read_text().strip() for name in SETTINGS if (SYSFS / name).exists()}
    found = {name: re.sub(r".*\[(.*)\].*", r"\1", value) for name, value in text.items()}
    return {**found, "ksmd_nice": ksmd_nice()}


def put(name, value):
    assert not (name == "run" and value not in ("0", "1"))
    (SYSFS / name).write_text(value)


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
