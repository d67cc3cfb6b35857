"""Starting a benchmark program under a peer."""

import json
import os
import pathlib
import subprocess

from .peers import Peer


class ProgramFailed(Exception):
    """A benchmark program ended badly, or its peer could not be preloaded."""


class Programs:
    """The built programs of one build folder."""

    def __init__(self, build: pathlib.Path):
        self._bin = build / "bin"

    def path(self, name: str) -> str:
        """The path of bench-heap-NAME; raises ProgramFailed when it was not built."""
        path = self._bin / f"bench-heap-{name}"
        if not path.exists():
            raise ProgramFailed(f"{path} is missing: run ./dev build (with SAMEPAGE_BENCH=ON)")
        return str(path)

    def popen(self, peer: Peer, name: str, *arguments: object, one_cpu: bool = False, **options) -> subprocess.Popen:
        """Starts the program with the peer preloaded; with one_cpu it and its children stay on the last CPU."""
        pin = (lambda: os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})) if one_cpu else None
        environment = {key: value for key, value in os.environ.items() if key != "LD_PRELOAD"}
        return subprocess.Popen([self.path(name), *map(str, arguments)], env=environment | peer.environment,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, preexec_fn=pin, text=True, **options)

    def output(self, peer: Peer, name: str, *arguments: object, one_cpu: bool = False):
        """What the program printed, as JSON."""
        process = self.popen(peer, name, *arguments, one_cpu=one_cpu)
        out, errors = process.communicate()
        check(process, errors, f"bench-heap-{name} under {peer.name}")
        return json.loads(out)


def check(process: subprocess.Popen, errors: str, what: str) -> None:
    """Raises ProgramFailed unless the process ended well with its library preloaded."""
    if process.returncode != 0 or "cannot be preloaded" in errors:
        raise ProgramFailed(f"{what}: exit {process.returncode}: {errors.strip()}")
