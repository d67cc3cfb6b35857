"""A multiprocessing pool whose workers have helper threads, over a table that was loaded before they were forked.

pool.py MB WORKERS ITEMS"""
import multiprocessing
import os
import queue
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "suite"))
from table import table_of, work
from watched import Watched

TABLE = table_of(int(sys.argv[1]))


def helper(tasks):
    while True:
        done, seed = tasks.get()
        done.put(work(TABLE, 50, seed))


def start_helpers():
    global TASKS
    TASKS = queue.Queue()
    for _ in range(2):
        threading.Thread(target=helper, args=(TASKS,), daemon=True).start()


def item(seed):
    began = time.perf_counter()
    done = queue.Queue()
    for part in range(2):
        TASKS.put((done, seed * 2 + part))
    total = work(TABLE, 300, seed) + sum(sorted((done.get(), done.get())))
    return total, time.perf_counter() - began


def main():
    with multiprocessing.get_context("fork").Pool(int(sys.argv[2]), start_helpers) as pool:
        time.sleep(3)
        watched, results = Watched(os.getpid()), []
        for group in range(int(sys.argv[3]) // 40):
            results += pool.map(item, range(group * 40, group * 40 + 40), chunksize=1)
            time.sleep(0.1)
        watched.finish([seconds for _, seconds in results], repr(sum(total for total, _ in results)))


main()
