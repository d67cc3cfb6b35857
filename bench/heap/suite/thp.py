"""The kernel's policy of transparent huge pages, changed for a while."""

import contextlib
import os
import pathlib
import re
import signal

SETTING = pathlib.Path("/sys/kernel/mm/transparent_hugepage/enabled")


def found() -> str:
    """The policy in force: always, madvise or never; 'unknown' where the kernel has none."""
    try:
        return re.search(r"\[(\w+)\]", SETTING.read_text()).group(1)
    except OSError:
        return "unknown"


def changeable() -> bool:
    return os.access(SETTING, os.W_OK)


@contextlib.contextmanager
def policy(wanted: str):
    """Sets the policy for all of this machine and puts the old one back, also when this process is killed: a guardian
    process holds the other end of a pipe and restores when it closes. No process-wide switch gives `always`."""
    before = found()
    if wanted == before:
        yield
        return
    ours, guardians = os.pipe()[::-1]
    guardian = os.fork()
    if guardian == 0:
        _guard(guardians, ours, before)
    os.close(guardians)
    try:
        SETTING.write_text(wanted)
        yield
    finally:
        os.close(ours)
        os.waitpid(guardian, 0)


def _guard(pipe: int, writers: int, before: str) -> None:
    try:
        os.setsid()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        os.close(writers)
        os.read(pipe, 1)
        SETTING.write_text(before)
    finally:
        os._exit(0)
