"""Equal copies that did not fork from one another: the store beside the kernel's Samepage Merging."""
import contextlib
import json
import os
import pathlib
import subprocess
import tempfile
import time

import private_memory
from shared import host

# What is written to KSM's settings, in this order.
PACES = {"KSM, kernel's default": {"pages_to_scan": 100, "sleep_millisecs": 20},
         "KSM, kernel's advisor": {"advisor_mode": "scan-time"},
         "KSM, ksmtuned's fastest": {"pages_to_scan": 1250, "sleep_millisecs": 10},
         "KSM, fast": {"pages_to_scan": 20000, "sleep_millisecs": 20}}
HUGE = {"MALLOC_CONF": "thp:always"}
APART = {"apart": {}, "apart, 2 MB pages": HUGE}
# A virtual machine's host may have to find the memory that the store takes for its files: in the second row the copies
# have touched, and freed, as much a moment before. 2 MB pages cost less to free than small ones.
STORE = {"store": {}, "store, free memory at hand": {"BENCH_STORE_AT_HAND": "1"}, "store, 2 MB pages": HUGE}
ROWS = [*APART, *STORE, *PACES]
LIMITS = {"store": "small", "store, 2 MB pages": "huge"}  # rows beside which the machine's own is shown: the copies' pages
STORE_PATIENCE = 10  # seconds; what it has not shared by then it will not


def obstacle(row):
    """Why a row cannot be measured here, or None."""
    if row not in PACES:
        return None
    if not os.access(host.SYSFS / "run", os.W_OK):
        return "only root can set KSM's pace"
    if host.get("run") != "0":
        return "somebody uses KSM on this host"
    if "advisor_mode" in PACES[row] and not (host.SYSFS / "advisor_mode").exists():
        return "this kernel has no advisor (Linux 6.8)"
    return None


@contextlib.contextmanager
def paced(row):
    """ksmd at this row's pace; what was there before is put back."""
    if row not in PACES:
        yield
        return
    with host.settings_put_back():
        for name, value in PACES[row].items():
            host.put(name, str(value))
        host.put("run", "1")
        yield


def apart_of(row):
    """The row of the same copies that do not share."""
    return "apart, 2 MB pages" if {**APART, **STORE}.get(row) is HUGE else "apart"


def pss(pids):
    """Bytes. The kernel keeps it in fractions of a byte; what is swapped out is not counted."""
    total = 0
    for pid in pids:
        with contextlib.suppress(OSError), open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as text:
            total += next(int(line.split()[1]) for line in text if line.startswith("Pss:")) * 1024
    return total


def store_seconds(folder):
    """CPU that sealing and passes have taken, of all processes."""
    told = [json.loads(path.read_text()) for path in pathlib.Path(folder).glob("store.*") if path.suffix != ".new"]
    return sum(one["seal_seconds"] + one["pass_seconds"] for one in told)


@contextlib.contextmanager
def running(build, row, copies, megabytes, folder, pause, enter=None):
    """The copies' PIDs, once they have settled and read everything, when the last of them settled (time.monotonic()), and a list
    that has their last lines when they have been ended; `pause`: milliseconds between a copy's readings."""
    program, end = (build / "bin/bench-store-copies").resolve(), pathlib.Path(folder) / "end"
    env = {name: value for name, value in os.environ.items() if not name.startswith(("SAMEPAGE_", "MALLOC_"))}
    env.update(APART.get(row, {}), **STORE.get(row, {}), SAMEPAGE_STORE_STATISTICS=f"{folder}/store")
    if row in PACES:
        env["SAMEPAGE_KSM"] = "constant"
    options = [] if row in STORE else ["--no-store"]
    process = subprocess.Popen([str(build / "bin/samepage"), "run", "-q", "-n", str(copies), *options, "--", str(program),
                                str(megabytes), str(end), str(pause)], stdout=subprocess.PIPE, text=True, env=env, preexec_fn=enter)
    pids, said, settled = [], [], 0
    try:
        while len(pids) < copies:
            line = process.stdout.readline()
            if not line:
                raise RuntimeError(f"{row}: the copies ended at once")
            pids.append(int(line.split()[-1]))
            settled = max(settled, float(line.split()[-2]))
        yield pids, settled, said
    finally:
        end.touch()
        said += process.communicate()[0].splitlines()


def measure(build, row, copies, megabytes, patience, alone):
    """One row. `alone`: what the copies take apart, in bytes; None in the row that finds it."""
    with tempfile.TemporaryDirectory() as folder, paced(row):
        ksmd = host.ksmd()
        before = host.ksmd_seconds(ksmd)
        with running(build, row, copies, megabytes, folder, 20 * copies) as (pids, began, said):
            seconds = None
            alone = alone or pss(pids)
            while row not in APART and seconds is None and time.monotonic() - began < patience_of(row, patience):
                if pss(pids) <= alone / copies * (1 + 0.05 * (copies - 1)):
                    seconds = time.monotonic() - began
                else:
                    time.sleep(0.02)
            saved, cpu = alone - pss(pids), host.ksmd_seconds(ksmd) - before
            if row in STORE:
                time.sleep(0.5)  # the last statistics
                cpu = store_seconds(folder)
        told = [line.split()[-3:] for line in said]
    return {"row": row, "copies": copies, "alone": alone, "seconds": seconds, "saved": saved, "cpu": cpu,
            "cpu_per_gb": cpu / (saved / 1e9) if saved > 1e7 and row not in APART else None,
            "look_ups": max(float(line[0]) for line in told), "write_us": sum(float(line[1]) for line in told) / len(told)}


def patience_of(row, patience):
    """How many seconds a row's duplicates have to go."""
    return STORE_PATIENCE if row in STORE else patience


def least(build, row, copies, saved):
    """CPU seconds that the machine needs to copy once what so many copies save in this row, to compare each one's with it byte by
    byte, and to map it in the place of the copies' pages."""
    megabytes = round(saved / (copies - 1) / (1 << 20))
    ran = subprocess.run([build / "bin/bench-store-least", str(megabytes), LIMITS[row]], capture_output=True, text=True, check=True)
    copying, comparing, mapping = map(float, ran.stdout.split())
    return copying + copies * (comparing + mapping)


# ---- by the cgroup's own figure

def group_can_be_made():
    return os.access("/sys/fs/cgroup", os.W_OK)


class MemoryGroup:
    """A memory cgroup of the bench's own: version 2 where its memory controller is here, else version 1."""

    def __init__(self):
        two = pathlib.Path("/sys/fs/cgroup/cgroup.controllers")
        is_two = two.exists() and "memory" in two.read_text()
        self.path = pathlib.Path("/sys/fs/cgroup" if is_two else "/sys/fs/cgroup/memory") / f"bench-store-{os.getpid()}"
        self.figure = self.path / ("memory.current" if is_two else "memory.usage_in_bytes")

    def __enter__(self):
        self.path.mkdir()
        return self

    def __exit__(self, *_):
        for _ in range(100):  # a process may be ending still
            with contextlib.suppress(OSError):
                return self.path.rmdir()
            time.sleep(0.05)

    def join(self):
        (self.path / "cgroup.procs").write_text(str(os.getpid()))

    def used(self):
        return int(self.figure.read_text())


def page_tables(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmPTE:")) * 1024


def together(build, copies, megabytes, single=None):
    """What a cgroup of so many copies holds once that is at most 1.06 × what a `single` one does and the other copies' own:
    page tables, and tactical memory (what a single one has in private outside its largest mapping, the table)."""
    with MemoryGroup() as group, tempfile.TemporaryDirectory() as folder:
        with running(build, "store" if single else "apart", copies, megabytes, folder, 500, group.join) as (pids, began, _):
            while True:
                mappings = list(private_memory.of_mappings(pids[0]))
                tactical = single["tactical"] if single else sum(mappings) - max(mappings)
                own = sum(page_tables(pid) + tactical for pid in pids[1:])
                used, seconds = group.used(), time.monotonic() - began
                reached = single is not None and used <= 1.06 * single["used"] + own
                if single is None or reached or seconds > 10:
                    return {"copies": copies, "used": used, "own": own, "tactical": tactical, "seconds": seconds if reached else None}
