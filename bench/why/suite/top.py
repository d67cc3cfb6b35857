"""What samepage top takes of a processor, beside other ways to read the same figures."""
import os
import pathlib
import resource
import shutil
import signal
import subprocess
import time

# One process that forks the others: all share 20 MB, and each second write to a part of their own 10 MB.
HOLDERS = """
import os, signal, sys, time
processes = int(sys.argv[1])
table = b"".join(i.to_bytes(4096, "little") for i in range(5000))
for i in range(processes - 1):
    if os.fork() == 0:
        break
own = bytearray(10_000_000)
for at in range(0, len(own), 4096):
    own[at] = 1
os.write(1, b"ready\\n")
signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
extra = []
while True:
    time.sleep(1)
    if os.getpid() % 2:
        extra = [bytearray(1_000_000)]
"""


def cpu_of_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def cpu_of(command: list) -> float:
    """Seconds of processor time, user and system."""
    before = cpu_of_children()
    subprocess.run([str(word) for word in command], check=True, stdout=subprocess.DEVNULL)
    return cpu_of_children() - before


def measure(samepage: pathlib.Path, processes: int, samples: int) -> dict:
    """Milliseconds of processor time per sample of `processes` processes, one sample per second."""
    holders = subprocess.Popen(["/usr/bin/python3", "-c", HOLDERS, str(processes)], stdout=subprocess.PIPE, text=True,
                               start_new_session=True)
    try:
        for _ in range(processes):
            assert holders.stdout.readline() == "ready\n"
        pids = [pid for pid in map(int, filter(str.isdigit, os.listdir("/proc"))) if group_of(pid) == holders.pid]
        assert len(pids) == processes
        top = [samepage, "top", "--json", "--tree", holders.pid, "--interval", 1, "--count"]
        first = cpu_of([*top, 1])
        wall = time.monotonic()
        all_of_them = cpu_of([*top, samples + 1])
        wall = time.monotonic() - wall
        ms = {"samepage top": (all_of_them - first) / samples * 1000}
        repeat = 5
        nothing = cpu_of(["cat", *["/dev/null"] * repeat * processes])
        for name in ("smaps_rollup", "smaps"):
            files = [f"/proc/{pid}/{name}" for pid in pids] * repeat
            ms[f"{name} of all, read and thrown away"] = (cpu_of(["cat", *files]) - nothing) / repeat * 1000
        if shutil.which("smem"):
            ms["smem"] = cpu_of(["smem", "-H", "-P", "python3"]) * 1000
        return {"processes": processes, "samples": samples, "seconds": wall, "first_ms": first * 1000, "ms_per_sample": ms}
    finally:
        os.killpg(holders.pid, signal.SIGTERM)
        holders.wait()
        holders.stdout.close()


def group_of(pid: int) -> int:
    try:
        return os.getpgid(pid)
    except ProcessLookupError:
        return 0


def table(told: dict) -> str:
    lines = [f"samepage top of {told['processes']} processes of 30 MB (half of them write 1 MB a second), one sample a second, "
             f"{told['samples']} samples; its first, which reads everything, took {told['first_ms']:.1f} ms.", "",
             "| way to read | CPU ms per sample | of a processor at 1 s |", "| --- | --: | --: |"]
    lines += [f"| {name} | {ms:.2f} | {ms / 10:.2f} % |" for name, ms in told["ms_per_sample"].items()]
    return "\n".join(lines)
