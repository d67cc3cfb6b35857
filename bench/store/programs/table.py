"""A table of pure Python objects, loaded once; forked workers look things up in it, event by event.

table.py MB WORKERS EVENTS LOOK_UPS PERIOD_MS WORK_MS: each event takes so much processor time more. Prints, as JSON, what each worker's private memory was at the end of its events and
just before the next one, how long the events took, and for how long at once it did not get on in their midst."""
import json
import os
import random
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "suite"))
import private_memory

EVERY = 5  # events; to measure takes as long as an event


def table_of(megabytes):
    """Some 500 bytes an entry."""
    return {i: {"name": f"channel {i}", "gain": i * 0.5, "cells": [i, i + 1, float(i)], "flags": (i % 7, str(i % 100))}
            for i in range(megabytes * 1_000_000 // 480)}


class Gap:
    """The longest time between two looks at the clock, some 100 us apart: the scheduler's, mostly."""

    def __init__(self):
        self.longest, self.last = 0.0, None

    def begin(self):
        self.last = time.perf_counter()

    def look(self):
        now = time.perf_counter()
        self.longest = max(self.longest, now - self.last)
        self.last = now


def work(table, look_ups, seed, gap=None):
    """One event: a reference count of everything that it touches goes up and down again."""
    rng, total, gap = random.Random(seed), 0.0, gap or Gap()
    held = []
    gap.begin()
    for _ in range(look_ups):
        entry = table[rng.randrange(len(table))]
        held.append((entry["name"], entry["cells"], entry["flags"]))
        total += entry["gain"] + sum(entry["cells"]) + len(entry["name"])
        if len(held) % 10 == 0:
            gap.look()
        if len(held) > 100:
            held.clear()
    return total


def compute(seconds, gap):
    until = time.thread_time() + seconds
    while time.thread_time() < until:
        sum(range(1000))
        gap.look()


def worker(table, look_ups, work_ms, number, events, answers):
    ends, rests, times, total, gap = [], [], [], 0.0, Gap()
    while event := os.read(events, 8):
        event = int(event)
        if event % EVERY == 0:
            rests.append(private_memory.of(os.getpid()))
        began = time.perf_counter()
        total += work(table, look_ups, number * 1000 + event, gap)
        compute(work_ms / 1000, gap)
        times.append(time.perf_counter() - began)
        if event % EVERY == EVERY // 2:
            ends.append(private_memory.of(os.getpid()))
    rests.append(private_memory.of(os.getpid()))
    mine = {"ends": ends, "rests": rests, "times": times, "gap": gap.longest, "total": total, "cpu": time.process_time(), "pid": os.getpid()}
    os.write(answers, (json.dumps(mine) + "\n").encode())
    os._exit(0)


def main():
    megabytes, workers, events, look_ups, period, work_ms = map(int, sys.argv[1:])
    table = table_of(megabytes)
    taken, answers = os.pipe()
    channels = []
    for number in range(workers):
        end, start = os.pipe()
        if not os.fork():
            for channel in [*channels, start]:
                os.close(channel)
            worker(table, look_ups, work_ms, number, end, answers)
        channels.append(start)
    os.close(answers)
    time.sleep(1)
    for event in range(1, events + 1):
        for channel in channels:
            os.write(channel, b"%08d" % event)
        time.sleep(period / 1000)
    for channel in channels:
        os.close(channel)
    found = []
    with os.fdopen(taken) as lines:
        for line in lines:
            found.append(json.loads(line))
    json.dump(sorted(found, key=lambda one: one["total"]), sys.stdout)


if __name__ == "__main__":
    main()
