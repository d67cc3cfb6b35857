"""samepage run for the tests that start it."""
import os
import pathlib
import re
import subprocess
import time

import pytest

BUILD = pathlib.Path(os.environ.get("SAMEPAGE_BUILD", "build/release"))
SAMEPAGE = str(BUILD / "bin" / "samepage")
PYTHON = "/usr/bin/python3"
root_only = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


def run(*arguments, **options):
    options = {"capture_output": True, "text": True, "timeout": 60, **options}
    return subprocess.run([SAMEPAGE, "run", *map(str, arguments)], **options)


def start(*arguments, **options):
    return subprocess.Popen([SAMEPAGE, "run", *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                            text=True, **options)


def lines(text):
    """{rank: lines} of prefixed output."""
    result = {}
    for line in text.splitlines():
        rank, rest = re.fullmatch(r"\[(\d+)\] (.*)", line).groups()
        result.setdefault(int(rank), []).append(rest)
    return result


def alive(pid):
    """Whether a process runs; a zombie does not."""
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def wait_until(condition, seconds=20):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)


def read_to_end(terminal):
    """What comes out of a pseudo-terminal until its other end is closed."""
    text = b""
    try:
        while piece := os.read(terminal, 4096):
            text += piece
    except OSError:  # EIO: the other end closed
        pass
    return text
