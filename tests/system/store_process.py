"""Processes under libsamepage-heap.so whose store the tests look at: Python, with its objects in the heap's constants."""
import contextlib
import json
import os
import pathlib
import subprocess
import time

import pytest

from samepage_run import BUILD, PYTHON

HEAP = str((BUILD / "lib" / "libsamepage-heap.so").resolve())

# What every script may use. Its constants are one block, filled with noise.
PRELUDE = r"""
import ctypes, json, mmap, os, random, resource, signal, sys, threading, time, zlib
libc = ctypes.CDLL(None, use_errno=True)
SIZE = 24 << 20
def noise(seed=1, size=SIZE):
    return bytearray(random.Random(seed).randbytes(size))
def anonymous():
    return next(int(line.split()[1]) << 10 for line in open("/proc/self/smaps_rollup") if line.startswith("Anonymous:"))
def statistics():
    return json.load(open(f"{os.environ['SAMEPAGE_STORE_STATISTICS']}.{os.getpid()}"))
def seal():
    "0, or 4 where nothing was done; and the statistics."
    return libc.samepage_seal(), statistics()
def wait_until_sealed(*pids):
    "These processes, or this one; they and their parent share while they wait."
    def is_sealed(pid):
        try: return json.load(open(f"{os.environ['SAMEPAGE_STORE_STATISTICS']}.{pid}"))["sealed"] > 0
        except FileNotFoundError: return False
    until = time.monotonic() + 30
    while not all(map(is_sealed, pids or [os.getpid()])):
        assert time.monotonic() < until, "not sealed"
        time.sleep(0.05)
def dirty(data, pages):
    "Writes to every page, and puts back what was there."
    for page in range(pages):
        data[page * 4096] ^= 1
        data[page * 4096] ^= 1
def child(body):
    "Whether a forked child that runs `body` was content."
    pid = os.fork()
    if not pid:
        try: os._exit(0 if body() else 1)
        except BaseException:
            sys.excepthook(*sys.exc_info()); sys.stderr.flush()
            os._exit(2)
    return os.waitpid(pid, 0)[1] == 0
"""


def environment(tmp_path, **variables):
    env = {name: value for name, value in os.environ.items() if not name.startswith(("SAMEPAGE_", "MALLOC_", "PYTHON"))}
    return {**env, "LD_PRELOAD": HEAP, "PYTHONMALLOC": "malloc", "SAMEPAGE_STORE_STATISTICS": str(tmp_path / "store"),
            **variables}


def threads_can_be_stopped():
    """Whether the store can be expected to: no seccomp filter, and no Yama that forbids ptrace."""
    scope = pathlib.Path("/proc/sys/kernel/yama/ptrace_scope")
    return "Seccomp:\t2" not in pathlib.Path("/proc/self/status").read_text() and not (scope.exists() and int(scope.read_text()) >= 2)


def script(tmp_path, text, *arguments, command=(), mode="manual", seconds=60, **variables):
    """What a Python script under the heap printed, line by line; it must end well and say nothing else."""
    ran = subprocess.run([*command, PYTHON, "-c", PRELUDE + text, *map(str, arguments)], capture_output=True, text=True,
                         timeout=seconds, env=environment(tmp_path, SAMEPAGE_STORE=mode, **variables))
    assert (ran.returncode, ran.stderr) == (0, ""), ran.stdout[-2000:] + ran.stderr[-2000:]
    return ran.stdout.splitlines()


def program(tmp_path, name, *arguments, **variables):
    """The completed process of a test program under the heap."""
    return subprocess.run([str(BUILD / "bin" / name), *map(str, arguments)], env=environment(tmp_path, **variables),
                          capture_output=True, text=True, timeout=120)


def statistics(tmp_path, pid):
    """The store's statistics of a process, or None as long as there are none."""
    try:
        return json.loads((tmp_path / f"store.{pid}").read_text())
    except FileNotFoundError:
        return None


class MemoryGroup:
    """A memory cgroup of the test's own: version 2 where its memory controller is here, else version 1."""

    def __init__(self, name):
        two = pathlib.Path("/sys/fs/cgroup/cgroup.controllers")
        self.is_two = two.exists() and "memory" in two.read_text()
        root = pathlib.Path("/sys/fs/cgroup" if self.is_two else "/sys/fs/cgroup/memory")
        self.path = root / name

    def join(self):
        """In a child, before it execs."""
        (self.path / "cgroup.procs").write_text(str(os.getpid()))

    def used(self):
        """Bytes, once what the last processes left has been given back: page cache that nobody uses is not counted."""
        return int(self.usage.read_text())

    @property
    def usage(self):
        return self.path / ("memory.current" if self.is_two else "memory.usage_in_bytes")

    @contextlib.contextmanager
    def peak_from_here(self):
        """A function that tells the most bytes since then."""
        path = self.path / ("memory.peak" if self.is_two else "memory.max_usage_in_bytes")
        with contextlib.ExitStack() as stack:
            try:
                file = stack.enter_context(path.open("r+"))
                print("reset" if self.is_two else "0", file=file, flush=True)
            except OSError as error:
                pytest.skip(f"this kernel's memory.peak cannot be reset (Linux 6.12): {error}")

            def peak():
                file.seek(0)
                return int(file.read())
            yield peak

    def limit(self, size):
        (self.path / ("memory.max" if self.is_two else "memory.limit_in_bytes")).write_text(str(size))

    def processes(self):
        return (self.path / "cgroup.procs").read_text().split()


@contextlib.contextmanager
def memory_group(name):
    group = MemoryGroup(f"samepage-{name}-{os.getpid()}")
    try:
        group.path.mkdir()
        group.used()
    except OSError as error:
        pytest.skip(f"no memory cgroup can be made here: {error}")
    try:
        yield group
    finally:
        end = time.monotonic() + 20
        while True:
            try:
                group.path.rmdir()
                break
            except OSError:  # a process is still ending
                if time.monotonic() > end:
                    raise
                time.sleep(0.05)
