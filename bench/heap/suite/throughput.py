"""Throughput: workloads fixed in advance, interleaved, the best of several runs, several times."""

import statistics
from dataclasses import dataclass

from shared.target import Target

from .peers import SAMEPAGE, STOCK, Peer
from .process import Programs
from .table import Section, Table, megabytes

TIGHT = "tight 64-byte pair"
# Runs of which the least counts. One run in forty of a tight loop may be a quarter faster than all others, whoever's it is (where
# its code and data came to lie); so the ratio of the leasts is taken in several rounds, and their median counts.
ROUND = 8


@dataclass(frozen=True)
class Candidate:
    """A row: a peer, with or without settle after the warm-up."""

    peer: Peer
    settle: bool

    @property
    def name(self) -> str:
        return f"{self.peer.name}, settled" if self.settle else self.peer.name


def run(programs: Programs, peers: list[Peer], quick: bool, say) -> Section:
    repeats, scale = (3, 0.2) if quick else (40, 0.25)
    candidates = [Candidate(peer, False) for peer in peers]
    candidates += [Candidate(peer, True) for peer in peers if peer.name == SAMEPAGE]
    workloads = programs.output(peers[0], "throughput")
    # times[workload][candidate] and rss likewise: one value per repetition
    times = [{candidate.name: [] for candidate in candidates} for _ in workloads]
    rss = [{candidate.name: [] for candidate in candidates} for _ in workloads]
    for repeat in range(repeats):
        say(f"throughput, repetition {repeat + 1}/{repeats}")
        for index, workload in enumerate(workloads):
            single = workload["threads"] == 1
            for candidate in candidates:
                # Threads need longer: how they are scheduled decides about the first tenths of a second.
                found = programs.output(candidate.peer, "throughput", index, "--scale", scale if single else 4 * scale,
                                        *["--settle"] * candidate.settle, one_cpu=single)
                times[index][candidate.name].append(found["cpu_ns" if single else "wall_ns"])
                rss[index][candidate.name].append(found["peak_rss_kb"])
    return _section(workloads, candidates, times, rss)


def _ratio(stock: list[int], ours: list[int]) -> float:
    rounds = [slice(first, first + ROUND) for first in range(0, len(stock), ROUND)]
    return statistics.median(min(stock[one]) / min(ours[one]) for one in rounds)


def _section(workloads, candidates, times, rss) -> Section:
    names = [candidate.name for candidate in candidates]
    labels = [f"{w['name']}, {w['threads']} thread{'s' if w['threads'] > 1 else ''}" for w in workloads]
    speed = Table("throughput relative to jemalloc (1 = as fast, more is faster)", ["workload", *names],
                  notes=f"Leasts of {ROUND} interleaved runs, and of the ratios of such rounds the median: CPU time, on one CPU, for one"
                        " thread; wall-clock time for several. ± is how far the median run lay above the least of all.")
    seconds = Table("time, seconds", ["workload", *names])
    peak = Table("peak RSS, MB", ["workload", *names])
    ratios: dict[str, list[float]] = {name: [] for name in names}
    for label, time, memory in zip(labels, times, rss):
        best = {name: min(runs) for name, runs in time.items()}
        spread = {name: statistics.median(runs) / min(runs) - 1 for name, runs in time.items()}
        if STOCK in best:
            for name in names:
                ratios[name].append(_ratio(time[STOCK], time[name]))
            speed.rows.append([label, *(f"{ratios[name][-1]:.3f} ±{spread[name]:.1%}" for name in names)])
        seconds.rows.append([label, *(f"{best[name] / 1e9:.3f}" for name in names)])
        peak.rows.append([label, *(megabytes(min(memory[name])) for name in names)])
    targets = []
    if STOCK in names:
        speed.rows.append(["geometric mean", *(f"{statistics.geometric_mean(ratios[name]):.3f}" for name in names)])
        for name in (name for name in names if name.startswith(SAMEPAGE)):
            targets += [Target(f"{name}: {label}", ratio, 0.90 if label.startswith(TIGHT) else 0.97, True)
                        for label, ratio in zip(labels, ratios[name])]
            targets.append(Target(f"{name}: geometric mean", statistics.geometric_mean(ratios[name]), 0.98, True))
    tables = ([speed] if STOCK in names else []) + [seconds, peak]
    return Section("throughput", tables, targets,
                   {label: {"ns": time, "peak_rss_kb": memory} for label, time, memory in zip(labels, times, rss)})
