"""KSM as this host has it: counters, settings that are put back, ksmd's CPU."""

import contextlib
import mmap
import os
import pathlib
import re

SYSFS = pathlib.Path("/sys/kernel/mm/ksm")
CHANGED = ["pages_to_scan", "sleep_millisecs", "smart_scan", "run", "advisor_mode"]  # in the order of putting back


def get(name: str) -> str:
    return re.sub(r".*\[(.*)\].*", r"\1", (SYSFS / name).read_text().strip())


def put(name: str, value: str) -> None:
    assert not (name == "run" and value not in ("0", "1")), "2 would un-merge the whole host"
    (SYSFS / name).write_text(value)


def ksmd() -> int:
    """The PID of the kernel's thread."""
    for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = stat.read_text().split()
            if fields[1] == "(ksmd)" and fields[3] == "2":
                return int(fields[0])
    raise SystemExit("ksmd is not there")


def cpu_seconds(pid: int) -> float:
    """What a process has used, with those of its children that have ended."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def ksmd_seconds(pid: int) -> float:
    return int(pathlib.Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9


def saved_bytes(pids) -> int:
    """What sharing saves these processes, from their page tables: KSM's own counters do not fall when a merged page is
    written to, but when ksmd next comes by."""
    saved = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            told = dict(line.split()[:2] for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines())
            saved += (int(told["Anonymous:"]) - int(told["Pss_Anon:"])) * 1024
    return saved


def touch_memory(size: int) -> None:
    """A virtual machine gets memory from its host when it first uses it, which would slow the first policy down."""
    mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | mmap.MAP_POPULATE).close()


@contextlib.contextmanager
def settings_put_back():
    before = {name: get(name) for name in CHANGED if (SYSFS / name).exists()}
    nice = os.getpriority(os.PRIO_PROCESS, ksmd())
    try:
        yield
    finally:
        if "advisor_mode" in before:  # pages_to_scan is locked while the advisor runs
            put("advisor_mode", "none")
        for name, value in before.items():
            put(name, value)
        os.setpriority(os.PRIO_PROCESS, ksmd(), nice)
