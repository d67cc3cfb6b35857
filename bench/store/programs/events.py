"""As events.cpp, for a table of pure Python objects: every event looks up 2000 entries, whose reference counts go up and down.

events.py MB WORKERS EVENTS"""
import os
import sys
import time

from table import table_of, work


def serve(table, number, asked, answers):
    total = 0.0
    while event := os.read(asked, 8):
        began = time.perf_counter()
        total += work(table, 2000, number * 1000 + int(event))
        os.write(answers, f"{time.perf_counter() - began:.6f} {total!r}\n".encode())
    os._exit(0)


def main():
    table = table_of(int(sys.argv[1]))
    workers = []
    for number in range(int(sys.argv[2])):
        asked, ask = os.pipe()
        answers, answer = os.pipe()
        pid = os.fork()
        if not pid:
            os.close(ask)
            for _, other, _ in workers:
                os.close(other)
            serve(table, number, asked, answer)
        os.close(asked)
        os.close(answer)
        workers.append((pid, ask, os.fdopen(answers)))
    print(os.getpid(), *(pid for pid, _, _ in workers), flush=True)
    totals = {}
    for event, _ in enumerate(sys.stdin):
        for _, ask, _ in workers:
            os.write(ask, b"%08d" % event)
        said = [answers.readline().split() for _, _, answers in workers]
        totals = [total for _, total in said]
        print(*(seconds for seconds, _ in said), flush=True)
    print(*totals)
    for _, ask, _ in workers:
        os.close(ask)
    for pid, _, _ in workers:
        os.waitpid(pid, 0)


main()
