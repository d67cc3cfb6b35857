"""For programs that fork workers: what they have in private while they work, and when they have nothing to do."""
import json
import statistics
import sys
import threading
import time

import private_memory

IDLE_SECONDS = 4


class Watched:
    """Looks at the workers of a process once a second, from a thread of its own, in a process that is none of them."""

    def __init__(self, parent):
        self.parent, self.peak, self.over = parent, 0, threading.Event()
        self.thread = threading.Thread(target=self.look)
        self.thread.start()
        self.began = time.perf_counter()

    def look(self):
        while not self.over.wait(1):
            self.peak = max(self.peak, private_memory.largest(private_memory.children(self.parent)))

    def finish(self, times, digest):
        """After the work: prints everything as JSON. `times`: seconds of each request."""
        seconds = time.perf_counter() - self.began
        self.peak = max(self.peak, private_memory.largest(private_memory.children(self.parent)))
        self.over.set()
        self.thread.join()
        time.sleep(IDLE_SECONDS)
        idle = private_memory.largest(private_memory.children(self.parent))
        json.dump({"peak": self.peak, "idle": idle, "seconds": seconds, "digest": digest,
                   "p50": statistics.median(times), "p99": sorted(times)[len(times) * 99 // 100]}, sys.stdout)
        sys.stdout.flush()
