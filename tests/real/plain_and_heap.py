"""Starts programs that we did not write, plainly and under the preloaded heap."""
import contextlib
import difflib
import json
import os
import pathlib
import shutil
import subprocess
import time

import pytest

SOURCE = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("SAMEPAGE_BUILD", SOURCE / "build" / "release")).resolve()
# Another malloc to preload instead, to see whether a failure is the heap's own.
HEAP = pathlib.Path(os.environ.get("SAMEPAGE_TEST_PRELOAD", BUILD / "lib" / "libsamepage-heap.so"))
PYTHON = "/usr/bin/python3"


def need(*programs):
    """Skips the test where a program is missing."""
    for program in programs:
        if not shutil.which(program):
            pytest.skip(f"{program} is not installed")


def environment(preload=None, **more):
    """Ours without what changes a program's output, with the heap when `preload` is given: as `samepage run` sets it, but that processes
    seal by themselves what they have, however little."""
    env = {name: value for name, value in os.environ.items() if not name.startswith(("LD_", "SAMEPAGE_", "PYTHON"))}
    env.update({"LC_ALL": "C.UTF-8", "PYTHONMALLOC": "malloc", "SAMEPAGE_STORE_MIN": "1M", **more})
    if preload:
        env["LD_PRELOAD"] = str(preload)
    return env


def run(argv, preload=None, seconds=300, env=None, **options):
    """The completed process, its output as text. Fails the test where the program hangs."""
    return subprocess.run([str(word) for word in argv], env=environment(preload, **(env or {})), timeout=seconds,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors="replace", **options)


def succeed(argv, preload=None, **options):
    """Its standard output; fails the test where the program fails."""
    ran = run(argv, preload, **options)
    assert ran.returncode == 0, f"{argv} gave {ran.returncode}\n{ran.stdout[-2000:]}\n{ran.stderr[-4000:]}"
    return ran.stdout


def same_output(argv, heap, **options):
    """Runs it both ways; both succeed and say the same, word for word, which is returned."""
    plain, ours = run(argv, **options), run(argv, heap, **options)
    assert plain.returncode == 0, f"{argv} fails without the heap too\n{plain.stderr[-4000:]}"
    assert (ours.returncode, ours.stdout, ours.stderr) == (0, plain.stdout, plain.stderr), (
        f"{argv} gives {ours.returncode} under the heap\n" + difference(plain, ours))
    return ours.stdout


def difference(plain, ours):
    """The lines that differ; pytest shortens long texts in the middle, where they often do."""
    both = [(plain.stdout + plain.stderr).splitlines(), (ours.stdout + ours.stderr).splitlines()]
    return "\n".join(difflib.unified_diff(*both, "plain", "under the heap", lineterm="", n=1))


@contextlib.contextmanager
def server(argv, preload, answers, seconds=60, env=None, **options):
    """A running server, from when `answers()` is true; ended by SIGTERM, which must not be a crash."""
    process = subprocess.Popen([str(word) for word in argv], env=environment(preload, **(env or {})), stdin=subprocess.DEVNULL,
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options)
    try:
        wait_until(lambda: process.poll() is not None or answers(), seconds)
        assert process.poll() is None, process.stdout.read()
        yield process
        assert process.poll() is None, process.stdout.read()
    finally:
        process.terminate()
        try:
            said, _ = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            said, _ = process.communicate()
            pytest.fail(f"{argv} does not end\n{said[-4000:]}")
    assert process.returncode in (0, -15), f"{argv} gave {process.returncode}\n{said[-4000:]}"


def sealing(folder):
    """For the environment of a program whose processes shall say in this folder what they have sealed."""
    return {"SAMEPAGE_STORE_STATISTICS": str(folder / "store")}


def told(folder):
    return {path.suffix[1:]: json.loads(path.read_text()) for path in folder.glob("store.*") if path.suffix != ".new"}


def sealed(folder):
    """Processes that have something sealed."""
    return [pid for pid, stats in told(folder).items() if stats["sealed"] > 0]


def published(folder):
    """Bytes that all processes have published so far."""
    return sum(stats["published"] for stats in told(folder).values())


def wait_until(condition, seconds=60):
    """Polls, for conditions that only the outside shows."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "nothing happened"
        time.sleep(0.05)
