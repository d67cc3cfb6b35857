"""Until the first event begins, and the fork of a large template."""

import os
import statistics

from shared.target import Target

from .programs import WAYS, Programs, table


def run(bench: Programs) -> tuple[dict, list[Target]]:
    results = {"first_event_ms": {}, "fork": {}}
    rounds = 3 if bench.quick else 20
    for way in WAYS:
        results["first_event_ms"][way] = statistics.median(
            bench.way(way, "--bytes", 1000, "--workers", 2, "--events", 2)["first_event_ms"] for _ in range(rounds))
    print("### from the call that starts the workers to the first event\n")
    table(["way", "ms"], [[WAYS[way], f"{ms:.2f}"] for way, ms in results["first_event_ms"].items()])

    megabytes = 128 if bench.quick else 1024
    heap = {"LD_PRELOAD": str(bench.path("lib/libsamepage-heap.so")), "SAMEPAGE_STORE": "manual"}
    rows = []
    for name, extra, arguments in (("glibc", {}, []), ("Samepage's heap", heap, []), ("heap and store", heap, ["--seal"]),
                                   ("allocated in the store", heap, ["--in-store", "--seal"])):
        told = bench.json("bench-farm-fork", "--megabytes", megabytes, *arguments, env={**os.environ, **extra})
        results["fork"][name] = told
        rows.append([name, f"{told['fork_ms']:.2f}", f"{told['fork_exit_wait_ms']:.2f}", f"{told['init_s']:.2f}",
                     f"{told['seal_s']:.3f}"])
    print(f"\n### fork of a template of {megabytes} MB, a thousand bytes an object\n")
    table(["template", "fork ms", "fork, exit, wait ms", "initialising s", "sealing s"], rows)
    in_store = results["fork"]["allocated in the store"]
    return results, [Target("sealing a template, s per GB", in_store["seal_s"] / megabytes * 1024, 0.2, False)]
