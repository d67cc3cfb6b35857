"""Churn: how much of what was initialised stays shared while forked workers process events."""

import os
import statistics
from dataclasses import asdict, dataclass

from shared.target import Target

from .peers import SAMEPAGE, Peer
from .process import Programs, check
from .table import Section, Table, megabytes

WORKERS = 3
SHOWN = (0, 1, 50)  # events of the 2009 table


@dataclass(frozen=True)
class Variant:
    name: str
    arguments: tuple[str, ...]


_KINDS = {
    "plain": (),
    "2000 constants replaced per event": ("--replaced", "2000"),
    "two fresh threads per event": ("--fresh-threads", "2"),
}
VARIANTS = [Variant(f"{kind}, {threads} thread{'s' if threads > 1 else ''} per worker",
                    (*arguments, "--threads", str(threads)))
            for threads in (1, 4) for kind, arguments in _KINDS.items()]


@dataclass
class Moment:
    """Means over the workers while all are held after `event`."""

    event: int
    private_kb: float
    shared_kb: float
    wall_ns: float  # of the event
    cpu_ns: float


def rollup(pid: int) -> tuple[int, int]:
    """Private and shared kB of a process."""
    sums = {"Private": 0, "Shared": 0}
    with open(f"/proc/{pid}/smaps_rollup") as lines:
        for line in lines:
            kind = line.partition("_")[0]
            if kind in sums and "_Hugetlb" not in line:
                sums[kind] += int(line.split()[1])
    return sums["Private"], sums["Shared"]


def measure(programs: Programs, peer: Peer, variant: Variant, events: int, channels: int) -> list[Moment]:
    """Runs one group; every worker is held at a pipe while all are measured, before the first event and after each."""
    pipes = [os.pipe() for _ in range(WORKERS)]
    process = programs.popen(peer, "churn", "--channels", channels, "--events", events, *variant.arguments, "--go",
                             ",".join(str(read) for read, _ in pipes), pass_fds=[read for read, _ in pipes])
    for read, _ in pipes:
        os.close(read)
    moments = []
    try:
        for event in range(events + 1):
            held = [list(map(int, process.stdout.readline().split())) for _ in pipes]
            if not all(held):
                break  # the program ended too early; check() says why
            memory = [rollup(line[1]) for line in held]
            moments.append(Moment(event, *map(statistics.mean, zip(*memory)),
                                  *(statistics.mean(line[i] for line in held) for i in (3, 4))))
            for _, write in pipes:
                os.write(write, b"g")
    finally:
        for _, write in pipes:
            os.close(write)
    errors = process.communicate()[1]
    check(process, errors, f"churn under {peer.name}")
    return moments


@dataclass(frozen=True)
class Result:
    peer: str
    moments: list[Moment]

    def at(self, event: int) -> Moment:
        return self.moments[min(event, len(self.moments) - 1)]

    @property
    def last_private_kb(self) -> float:
        return self.moments[-1].private_kb

    @property
    def mean_private_kb(self) -> float:
        """Weighted with the time that each event took."""
        pairs = list(zip(self.moments, self.moments[1:]))
        return (sum((a.private_kb + b.private_kb) / 2 * b.wall_ns for a, b in pairs) / sum(b.wall_ns for _, b in pairs))

    @property
    def events_per_second(self) -> float:
        """Of all workers together, in events' own time: while they are held no time passes."""
        return WORKERS * (len(self.moments) - 1) / sum(m.wall_ns for m in self.moments) * 1e9

    @property
    def still_shared(self) -> float:
        """Shared memory at the last event over all memory of a worker at event 0."""
        first = self.moments[0]
        return self.moments[-1].shared_kb / (first.private_kb + first.shared_kb)


def run(programs: Programs, peers: list[Peer], quick: bool, say) -> Section:
    events, channels = (50, 200_000) if quick else (50, 1_000_000)
    tables, targets, data = [], [], {}
    for variant in VARIANTS:
        results = []
        for peer in peers:
            say(f"churn, {variant.name}: {peer.name}")
            results.append(Result(peer.name, measure(programs, peer, variant, events, channels)))
        tables.append(_table(variant, results))
        targets += _targets(variant, results)
        data[variant.name] = {result.peer: [asdict(moment) for moment in result.moments] for result in results}
    return Section("churn", tables, targets, data)


def _table(variant: Variant, results: list[Result]) -> Table:
    table = Table(f"churn: {variant.name}",
                  ["MB per worker", *(f"event {event} private / shared" for event in SHOWN), "mean private",
                   "still shared", "glibc's private ÷ this", "events/s"])
    for result in results:
        table.rows.append(
            [result.peer,
             *(f"{megabytes(result.at(event).private_kb)} / {megabytes(result.at(event).shared_kb)}" for event in SHOWN),
             megabytes(result.mean_private_kb), f"{result.still_shared:.1%}",
             f"{results[0].last_private_kb / result.last_private_kb:.1f}", f"{result.events_per_second:.0f}"])
    return table


def _targets(variant: Variant, results: list[Result]) -> list[Target]:
    ours = next((result for result in results if result.peer == SAMEPAGE), None)
    if ours is None:
        return []
    glibc, best = results[0], min((r for r in results if r is not ours), key=lambda r: r.last_private_kb)
    return [
        Target(f"{variant.name}: private / glibc's", ours.last_private_kb / glibc.last_private_kb, 1 / 12, False),
        Target(f"{variant.name}: private / best peer's ({best.peer})", ours.last_private_kb / best.last_private_kb, 1 / 3,
               False),
        Target(f"{variant.name}: initialised memory still shared", ours.still_shared, 0.95, True),
    ]
