"""Workers that share a table, event by event: what they have in private, how long events take, what passes cost."""
import contextlib
import json
import pathlib
import statistics
import subprocess
import time

import private_memory
from copies import MemoryGroup, group_can_be_made

EVERY = 10  # events; to look at a process's memory takes milliseconds


def passes(folder, pids):
    """Seconds of CPU that the workers spent in passes, and what these gave back and caused."""
    found = [json.loads(path.read_text()) for pid in pids if (path := pathlib.Path(f"{folder}/store.{pid}")).exists()]
    return {key: sum(one[key] for one in found) for key in ("pass_seconds", "given_back", "faults_caused")}


def measure(program, env, events, period, folder):
    """Private bytes of a worker at the end of an event, before the next one, and their mean over the time; events' seconds; and
    the most that all took together (None where no memory cgroup can be made)."""
    with MemoryGroup() if group_can_be_made() else contextlib.nullcontext() as group:
        return measure_in(group, program, env, events, period, folder)


def measure_in(group, program, env, events, period, folder):
    env = {**env, "SAMEPAGE_STORE_STATISTICS": f"{folder}/store"}
    running = subprocess.Popen(list(map(str, program)), env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                               preexec_fn=group and group.join)
    _, *pids = map(int, running.stdout.readline().split())
    private = lambda: statistics.mean(private_memory.of(pid) for pid in pids)
    ends, rests, means, times, together = [], [], [], [], []
    time.sleep(2)  # the parent seals, the workers follow
    began = time.monotonic()
    for event in range(events):
        time.sleep(max(0, began + event * period - time.monotonic()))
        looked_at = event % EVERY == EVERY - 1
        if looked_at:
            rests.append(private())
        running.stdin.write("\n")
        running.stdin.flush()
        times += map(float, running.stdout.readline().split())
        if looked_at:
            ends.append(private())
            together += [group.used()] if group else []
            time.sleep(max(0, began + (event + 0.5) * period - time.monotonic()))
            means.append((ends[-1] + 2 * private() + rests[-1]) / 4)
    seconds = time.monotonic() - began
    told = {**passes(folder, pids), "last": private()}
    running.stdin.close()
    digest = running.stdout.read()
    if running.wait() != 0:
        raise RuntimeError(f"{program}: {running.returncode}")
    half = len(ends) // 2
    ordered = sorted(times)
    return {**told, "end": statistics.mean(ends[half:]), "rest": statistics.mean(rests[half:]), "mean": statistics.mean(means),
            "together": max(together, default=None),
            "median": statistics.median(times), "p99": ordered[len(times) * 99 // 100], "p999": ordered[len(times) * 999 // 1000],
            "sum": sum(times), "passes": told["pass_seconds"] / seconds / len(pids),
            "faults": told["faults_caused"] / seconds / len(pids), "digest": digest}
