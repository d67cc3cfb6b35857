"""reco: the farm beside threads in one process and independent serial jobs; scaling with workers."""

import concurrent.futures
import pathlib
import re

from shared.target import Target

from .programs import ROOT, Programs, table

EVENTS = ROOT / "examples/data/ttbar-13tev.hepmc3.gz"


class Reco:
    def __init__(self, bench: Programs, folder: str):
        self.bench, self.folder = bench, pathlib.Path(folder)
        self.conditions = bench.conditions(100 if bench.quick else 500)
        self.repeat = 1 if bench.quick else 2
        self.results = []

    def __call__(self, name: str, *arguments: object) -> tuple[int, float]:
        """Events, and seconds from the end of initialisation."""
        out = self.folder / f"{name.replace(' ', '-')}.json"
        words = self.bench.run(self.bench.path("bin/reco"), "--events", EVENTS, "--conditions", self.conditions, "--repeat",
                               self.repeat, "--out", out, *arguments)
        if "--slice" not in arguments:
            self.results.append(out.read_bytes())
        events, seconds = re.search(r"(\d+) events in ([\d.]+) s", words).groups()
        return int(events), float(seconds)


def run(bench: Programs) -> tuple[dict, list[Target]]:
    with bench.scratch() as folder:
        reco = Reco(bench, folder)
        rates, rounds = {}, 1 if bench.quick else 2
        for number in range(rounds):
            for workers in (1, 2, 3, 4):
                events, seconds = reco(f"farm {workers} {number}", "--workers", workers)
                rates.setdefault(f"farm, {workers} workers" if workers > 1 else "farm, 1 worker", []).append(events / seconds)
            for threads in (1, 2):
                events, seconds = reco(f"threads {threads} {number}", "--threads", threads)
                rates.setdefault(f"one process, {threads} threads" if threads > 1 else "serial", []).append(events / seconds)
            rates.setdefault("2 independent serial jobs", []).append(_independent(reco, number))
        same = len(set(reco.results)) == 1
    rows = [[name, f"{max(found):.2f}", f"{min(found):.2f}–{max(found):.2f}", f"{max(found) / max(rates['serial']):.2f}"]
            for name, found in rates.items()]
    print(f"{60 * reco.repeat} events; the best of {rounds} interleaved runs, and their range.\n")
    print(f"All results the same: {same}\n")
    table(["reco", "events/s", "range", "÷ serial"], rows)
    efficiency = max(rates["farm, 2 workers"]) / max(rates["2 independent serial jobs"])
    return {"events_per_s": rates, "same": same}, [
        Target("2 workers ÷ 2 independent serial jobs (reco)", efficiency, 0.98, True)]


def _independent(reco: Reco, number: int) -> float:
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        jobs = [pool.submit(reco, f"serial {number} {part}", "--slice", f"{part}/2") for part in range(2)]
        done = [job.result() for job in jobs]
    return sum(events for events, _ in done) / max(seconds for _, seconds in done)
