"""Starts gunicorn with a preloaded application, asks it, leaves it alone, ends it.

gunicorn_load.py KIND WORKERS REQUESTS FOLDER"""
import hashlib
import http.client
import os
import socket
import subprocess
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "suite"))
from watched import Watched


class Connection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=60)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(60)
        self.sock.connect(self.path)


def ask(path, numbers, times, answers):
    for number in numbers:
        began = time.perf_counter()
        connection = Connection(path)
        connection.request("GET", f"/{number}")
        answer = connection.getresponse()
        answers[number] = answer.read() if answer.status == 200 else None
        connection.close()
        times.append(time.perf_counter() - began)
        time.sleep(0.01)


def main():
    kind, workers, requests, folder = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
    path = os.path.join(folder, "socket")
    server = subprocess.Popen(["/usr/bin/python3", "-m", "gunicorn", "--preload", "--workers", workers, "--worker-class", kind,
                               "--threads", "4" if kind == "gthread" else "1", "--bind", f"unix:{path}", "--log-level",
                               "error", "application"], cwd=HERE)
    del os.environ["LD_PRELOAD" if "LD_PRELOAD" in os.environ else "PATH"]  # this process is not the one that is measured
    while not os.path.exists(path):
        time.sleep(0.05)
    time.sleep(3)
    watched, times, answers = Watched(server.pid), [], {}
    threads = [threading.Thread(target=ask, args=(path, range(first, requests, 4), times, answers)) for first in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if None in answers.values():
        server.terminate()
        sys.exit("gunicorn_load.py: the application failed")
    whole = b"".join(answers[number] for number in sorted(answers))
    watched.finish(times, hashlib.sha256(whole).hexdigest())
    server.terminate()
    server.wait()


main()
