"""Starting the programs of one build folder; tables in Markdown."""

import json
import pathlib
import subprocess
import tempfile
import threading

FOLDER = pathlib.Path(__file__).resolve().parents[1] / "programs"
ROOT = FOLDER.parents[2]
WAYS = {"farm": "Samepage's farm", "pipes": "fork and pipes", "zeromq": "ZeroMQ push/pull",
        "message_queue": "Boost.Interprocess queue", "pool": "Python Pool.imap"}


class Failed(Exception):
    """A program ended badly, or was not built."""


class Programs:
    def __init__(self, build: pathlib.Path, quick: bool):
        self.build, self.quick = build, quick

    def path(self, name: str) -> pathlib.Path:
        path = self.build / name
        if not path.exists():
            raise Failed(f"{path} is missing: run ./dev build (with SAMEPAGE_BENCH=ON)")
        return path

    def way(self, name: str, *arguments: object, memory: bool = False) -> dict:
        """What bench-farm-NAME, or pool.py, told; with `memory` also the most that it took together."""
        command = ["/usr/bin/python3", FOLDER / "pool.py"] if name == "pool" else [self.path(f"bin/bench-farm-{name}")]
        process = subprocess.Popen([*map(str, command), *map(str, arguments)], stdout=subprocess.PIPE, text=True)
        most = Most(process.pid) if memory else None
        out, _ = process.communicate()
        if process.returncode != 0:
            raise Failed(f"{name} {' '.join(map(str, arguments))}: status {process.returncode}")
        return {**json.loads(out), **({"peak_mb": most.stop()} if most else {})}

    def json(self, name: str, *arguments: object, **options) -> dict:
        return json.loads(self.run(self.path(f"bin/{name}"), *arguments, **options))

    def run(self, *command: object, **options) -> str:
        """Its standard output."""
        result = subprocess.run([str(word) for word in command], capture_output=True, text=True, **options)
        if result.returncode != 0:
            raise Failed(f"{command[0]}: status {result.returncode}: {result.stderr.strip()}")
        return result.stdout

    def conditions(self, megabytes: int) -> pathlib.Path:
        """The conditions database of ./dev demo, made if it is not there."""
        path = self.build / f"demo/conditions-{megabytes}mb.db"
        path.parent.mkdir(exist_ok=True)
        self.run(self.path("bin/reco-conditions"), "--conditions-mb", megabytes, path)
        return path

    def scratch(self) -> tempfile.TemporaryDirectory:
        return tempfile.TemporaryDirectory(prefix="samepage-bench-")


class Most:
    """The largest sum of PSS over a process and all below it, looked up every 10 ms."""

    def __init__(self, pid: int):
        self.pid, self.most_kb, self.stopped = pid, 0, threading.Event()
        self.thread = threading.Thread(target=self._look)
        self.thread.start()

    def stop(self) -> float:
        self.stopped.set()
        self.thread.join()
        return self.most_kb / 1024

    def _look(self):
        while not self.stopped.wait(0.01):
            self.most_kb = max(self.most_kb, sum(map(_pss_kb, [self.pid, *_below(self.pid)])))


def _below(pid: int) -> list[int]:
    try:
        children = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return []
    return [found for child in map(int, children) for found in (child, *_below(child))]


def _pss_kb(pid: int) -> int:
    try:
        text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
        return int(text.split("\nPss:", 1)[1].split()[0])
    except (OSError, IndexError):
        return 0


def table(columns: list[str], rows: list[list[str]]) -> None:
    widths = [max(len(line[i]) for line in [columns, *rows]) for i in range(len(columns))]

    def line(cells):
        return "| " + " | ".join([cells[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(cells[1:], widths[1:]))]) + " |"

    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    print("\n".join([line(columns), line(rule), *map(line, rows)]), flush=True)
