"""Events through each way: rate, gap between two events of a worker, CPU, memory, and waking an idle worker."""

import statistics

from shared.target import Target

from .programs import WAYS, Programs, table

WORKERS = 2
SIZES = {"1 kB": (1000, 400_000), "100 kB": (100_000, 20_000), "10 MB": (10_000_000, 300)}
SLOW = {"pool": 20, "message_queue": 4}  # so many events fewer


def run(bench: Programs) -> tuple[dict, list[Target]]:
    print(f"{WORKERS} workers; every event is copied from one buffer, all its bytes are read by a worker, an answer of 32"
          " bytes goes back.\nMedians of interleaved runs, the range in brackets; memory is the largest Σ PSS of a run"
          " of its own.\n")
    results, targets = {}, []
    rounds = 1 if bench.quick else 3
    for label, (size, events) in SIZES.items():
        events //= 20 if bench.quick else 1
        found = {way: [] for way in WAYS}
        for _ in range(rounds):
            for way in WAYS:
                found[way].append(bench.way(way, "--bytes", size, "--workers", WORKERS, "--events",
                                            max(10, events // SLOW.get(way, 1))))
        limit = bench.way("limit", "--bytes", size, "--events", events)
        peaks = {way: bench.way(way, "--bytes", size, "--workers", WORKERS, "--events",
                                max(10, events // SLOW.get(way, 1)), memory=True)["peak_mb"] for way in WAYS}
        rows = []
        for way, runs in found.items():
            rates = sorted(told["events_per_s"] for told in runs)
            middle = {key: statistics.median(told[key] for told in runs) for key in runs[0]}
            results.setdefault(label, {})[way] = {**middle, "peak_mb": peaks[way], "runs": runs}
            rows.append([WAYS[way], f"{middle['events_per_s']:,.0f} ({rates[0]:,.0f}–{rates[-1]:,.0f})",
                         f"{middle['gb_per_s']:.2f}", f"{middle['gap_ns'] / 1e3:.2f}",
                         f"{middle['cpu_us_per_event']:.2f}", f"{peaks[way]:.0f}"])
        rows.append(["memcpy alone, one thread", f"{limit['events_per_s']:,.0f}", f"{limit['gb_per_s']:.2f}", "", "", ""])
        results[label]["limit"] = limit
        print(f"### events of {label}\n")
        table([f"{label}", "events/s", "GB/s", "gap µs", "CPU µs/event", "memory MB"], rows)
        print()
        best = max(results[label][way]["events_per_s"] for way in WAYS if way != "farm")
        if label != "100 kB":
            targets.append(Target(f"events/s at {label} ÷ best peer's", results[label]["farm"]["events_per_s"] / best, 2, True))
    targets.append(Target("gap between events at 1 kB, µs", results["1 kB"]["farm"]["gap_ns"] / 1e3, 2, False))
    targets.append(_waking(bench, results))
    return results, targets


def _waking(bench: Programs, results: dict) -> Target:
    events = 200 if bench.quick else 1000
    found = {way: [] for way in WAYS}
    for _ in range(1 if bench.quick else 3):
        for way in WAYS:
            found[way].append(bench.way(way, "--bytes", 1000, "--workers", WORKERS, "--events", events, "--pause-us", 1000))
    waits = {way: statistics.median(told["wait_ns"] for told in runs) / 1e3 for way, runs in found.items()}
    results["waking_us"] = waits
    print("### an event each millisecond: until the idle worker begins it\n")
    table(["way", "µs", "÷ pipe's"], [[WAYS[way], f"{wait:.1f}", f"{wait / waits['pipes']:.2f}"] for way, wait in waits.items()])
    return Target("waking an idle worker ÷ a pipe's", waits["farm"] / waits["pipes"], 1.3, False)
