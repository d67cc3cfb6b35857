"""For programs that fork workers: what they have in private while they work, and when they have nothing to do."""
import json
import os
import statistics
import subprocess
import sys
import time

import private_memory

IDLE_SECONDS = 6  # little is given back after three


class Watched:
    """Looks at the workers of a process, from a process of its own and at one of them a second: a look takes some milliseconds,
    which requests may have to wait for, and there shall be few such."""

    def __init__(self, parent):
        self.parent = parent
        env = {name: value for name, value in os.environ.items() if not name.startswith(("LD_PRELOAD", "PYTHONMALLOC"))}
        self.looker = subprocess.Popen(["/usr/bin/python3", private_memory.__file__, str(parent)], env=env, text=True,
                                       stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.looker.stdout.readline()  # it has started
        self.began = time.perf_counter()

    def finish(self, times, digest):
        """After the work: prints everything as JSON. `times`: seconds of each request."""
        seconds = time.perf_counter() - self.began
        peak = int(self.looker.communicate("\n")[0])
        time.sleep(IDLE_SECONDS)
        idle = private_memory.largest(private_memory.children(self.parent))
        json.dump({"peak": peak, "idle": idle, "seconds": seconds, "digest": digest,
                   "p50": statistics.median(times), "p99": sorted(times)[len(times) * 99 // 100]}, sys.stdout)
        sys.stdout.flush()
