"""Python's multiprocessing.Pool.imap. What is timed, and what it prints, is as in task.cpp; all bytes are read by zlib.crc32."""
import argparse
import json
import multiprocessing
import resource
import struct
import threading
import time
import zlib

HEAD = struct.Struct("<QQ")
ended = 0


def answer(event):
    global ended
    began = time.monotonic_ns()
    sent, number = HEAD.unpack_from(event)
    total = zlib.crc32(event)
    gap = began - ended if ended else 0
    ended = time.monotonic_ns()
    return number, total, began, gap, began - sent


def median(values):
    return sorted(values)[len(values) // 2] if values else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    for name, default in (("bytes", 1024), ("events", 10_000), ("workers", 2), ("pause-us", 0)):
        parser.add_argument(f"--{name}", type=int, default=default)
    options = parser.parse_args()
    body = bytes(i * 131 % 256 for i in range(256)) * (options.bytes // 256 + 1)
    body = body[:options.bytes - HEAD.size]
    # imap reads all of its input ahead: no more than some 32 MB at a time, as in the other programs.
    room = threading.Semaphore(max(2, min((32 << 20) // options.bytes, 10_000)))

    def events():
        for number in range(options.events):
            room.acquire()
            if options.pause_us:
                time.sleep(options.pause_us / 1e6)
            yield HEAD.pack(time.monotonic_ns(), number) + body

    together = 1 if options.pause_us else max(1, min(64, (64 << 10) // options.bytes))
    began = time.monotonic_ns()
    gaps, waits, first, numbers = [], [], None, 0
    with multiprocessing.get_context("fork").Pool(options.workers) as pool:
        for number, _, event_began, gap, wait in pool.imap(answer, events(), chunksize=together):
            room.release()
            numbers += number
            first = min(first or event_began, event_began)
            waits.append(wait)
            if gap:
                gaps.append(gap)
        seconds = (time.monotonic_ns() - began) / 1e9
        pool.close()
        pool.join()
    assert len(waits) == options.events and numbers == options.events * (options.events - 1) // 2
    usage = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    cpu = sum(use.ru_utime + use.ru_stime for use in usage)
    print(json.dumps({"seconds": seconds, "events_per_s": options.events / seconds,
                      "gb_per_s": options.events * options.bytes / seconds / 1e9, "gap_ns": median(gaps),
                      "wait_ns": median(waits), "first_event_ms": (first - began) / 1e6,
                      "cpu_us_per_event": cpu / options.events * 1e6}))


if __name__ == "__main__":
    main()
