"""gunicorn with a preloaded application: workers forked from a process that holds a large table."""
import contextlib
import http.client
import json
import signal
import socket

import pytest

from plain_and_heap import PYTHON, need, run, sealed, sealing, server, wait_until

APPLICATION = """
import hashlib, json, os
TABLE = {f"key {i}": [i, str(i * i), {"n": i}] for i in range(100_000)}

def application(environ, start_response):
    number = int(environ["PATH_INFO"].strip("/"))
    junk = [str(number) * 20 for _ in range(2000)]
    found = [TABLE[f"key {(number * 7919 + i) % 100_000}"] for i in range(500)]
    digest = hashlib.sha256(json.dumps(found).encode() + junk[-1].encode()).hexdigest()
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps({"digest": digest, "pid": os.getpid()}).encode()]
"""


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=30)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(30)
        self.sock.connect(str(self.path))


def listens(path):
    """The path is there before anybody listens."""
    with socket.socket(socket.AF_UNIX) as one:
        return one.connect_ex(str(path)) == 0


def get(path, number):
    connection = UnixConnection(path)
    connection.request("GET", f"/{number}")
    answer = json.loads(connection.getresponse().read())
    connection.close()
    return answer


def private(pid):
    """Bytes; none of a process that has just ended."""
    with contextlib.suppress(OSError), open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as text:
        return sum(int(line.split()[1]) << 10 for line in text if line.startswith("Private_Dirty"))
    return 0


def serve(tmp_path, preload, kind):
    path = tmp_path / "socket"
    path.unlink(missing_ok=True)
    (tmp_path / "application.py").write_text(APPLICATION)
    command = [PYTHON, "-m", "gunicorn", "--preload", "--workers", "3", *kind, "--bind", f"unix:{path}", "--max-requests", "150",
               "application"]
    with server(command, preload, lambda: listens(path), env=sealing(tmp_path), cwd=tmp_path) as master:
        if preload:
            wait_until(lambda: len(sealed(tmp_path)) >= 4)  # the master and three workers
        answers = [get(path, number) for number in range(600)]
        # TTIN starts one more worker from a master that has lived a while.
        master.send_signal(signal.SIGTTIN)
        children = lambda: open(f"/proc/{master.pid}/task/{master.pid}/children").read().split()
        wait_until(lambda: len(children()) == 4)
        answers += [get(path, number) for number in range(600, 700)]
        if preload:  # what came back when they are idle is shared again
            wait_until(lambda: max(map(private, children())) < 10e6)
    # Workers end after 150 requests each, and new ones are forked.
    assert len({answer["pid"] for answer in answers}) >= 4
    return [answer["digest"] for answer in answers]


@pytest.mark.parametrize("kind", [[], ["--worker-class", "gthread", "--threads", "4"]], ids=["sync", "gthread"])
def test_answers_are_the_same(tmp_path, heap, kind):
    need("gunicorn")
    if run([PYTHON, "-c", "import gunicorn"]).returncode:
        pytest.skip("gunicorn is not installed for /usr/bin/python3")
    assert serve(tmp_path, heap, kind) == serve(tmp_path, None, kind)
