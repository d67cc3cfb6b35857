"""reco with 500 MB of conditions: memory of four forked workers plainly, of four threads, and on the farm."""

import json
import pathlib

from shared.target import Target

from .programs import ROOT, Programs, table

EVENTS = ROOT / "examples/data/ttbar-13tev.hepmc3.gz"
PLAIN = ["--layout", "none", "--no-heap"]
AT_EVENT = 50


def run(bench: Programs) -> tuple[dict, list[Target]]:
    megabytes, repeat = (100, 4) if bench.quick else (500, 4)
    conditions = bench.conditions(megabytes)
    ways = {"4 threads in one process": (PLAIN, ["--threads", 4]),
            "4 forks, glibc": (PLAIN, ["--forks", 4]),
            "farm, heap and store": ([], ["--workers", 4]),
            "farm, heap, store, warm-up": ([], ["--workers", 4, "--warm-up", 4])}
    results, rows = {}, []
    with bench.scratch() as scratch:
        for name, (how, arguments) in ways.items():
            folder = pathlib.Path(scratch) / name.replace(" ", "-")
            folder.mkdir()
            memory = ["--memory", folder / "farm.json"] if "farm" in name else []
            bench.run(bench.path("bin/samepage"), "run", "--quiet", "--json", folder / "run.json", *how, "--",
                      bench.path("bin/reco"), "--events", EVENTS, "--conditions", conditions, "--repeat", repeat, "--hold",
                      _hold(bench), "--out", folder / "out.json", *arguments, *memory)
            told = json.loads((folder / "run.json").read_text())
            at_event = _at_event(json.loads((folder / "farm.json").read_text())) if memory else None
            results[name] = {"together_kb": told["together_kb"], "private_kb": _private(told), "at_event": at_event}
            rows.append([name, f"{told['together_kb'] / 1024:.0f}", f"{results[name]['private_kb'] / 1024:.1f}",
                         f"{at_event['private_kb'] / 1024:.1f} / {at_event['shared_kb'] / 1024:.1f}" if at_event else "–"])
            results[name]["same"] = (folder / "out.json").read_bytes() == (
                pathlib.Path(scratch) / "4-threads-in-one-process/out.json").read_bytes()
    print(f"{megabytes} MB of conditions, {60 * repeat} events. *Private each* is of the processes that handle events, when"
          f" all are done;\nthe last column is the farm's own table, means over its workers.\n")
    table(["MB", "together", "private each", f"event {AT_EVENT}: private / shared"], rows)
    print(f"\nAll results the same: {all(found['same'] for found in results.values())}")
    forks, farm = results["4 forks, glibc"], results["farm, heap and store"]
    return results, [
        Target("private per worker at event 50, farm with heap ÷ plain fork with glibc",
               farm["at_event"]["private_kb"] / forks["private_kb"], 0.1, False),
        Target("together, farm with heap ÷ 4 threads in one process",
               farm["together_kb"] / results["4 threads in one process"]["together_kb"], 1.1, False)]


def _hold(bench: Programs) -> int:
    """Seconds after initialisation: longer than four processes on two cores need for the events."""
    return 25 if bench.quick else 30


def _private(told: dict) -> float:
    """Mean over the processes that handle events: the farm's are its last forks."""
    parents = {process["ppid"] for process in told["processes"]}
    leaves = [process["private_kb"] for process in told["processes"] if process["pid"] not in parents]
    return sum(sorted(leaves)[-4:]) / len(leaves[-4:])


def _at_event(told: dict) -> dict:
    samples = [sample for sample in told["memory"] if sample["event"] == AT_EVENT and not sample["end"]]
    return {key: sum(sample[key] for sample in samples) / max(1, len(samples)) for key in ("private_kb", "shared_kb")}
