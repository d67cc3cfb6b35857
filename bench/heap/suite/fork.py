"""Fork and exec: what starting processes costs under each peer."""

import statistics

from shared.target import Target

from .peers import SAMEPAGE, STOCK, Peer
from .process import Programs
from .table import Section, Table, megabytes


EARLY = 10  # the generation that the last one is compared with
AROUND = 4  # and so many more are looked at with it


def _around_early(values: list[int]) -> list[int]:
    return values[EARLY - 1 - AROUND // 2:EARLY + AROUND // 2]


def _last(values: list[int]) -> float:
    return statistics.median(values[-20:])


def _least_median(chunks: list[list[int]]) -> float:
    return min(map(statistics.median, chunks))


def _spread(chunks: list[list[int]]) -> float:
    medians = list(map(statistics.median, chunks))
    return statistics.median(medians) / min(medians) - 1


def run(programs: Programs, peers: list[Peer], quick: bool, say) -> Section:
    generations, chunks, execs, forks = (200, 2, 50, 5) if quick else (2000, 10, 500, 20)
    data = {peer.name: {"fork_exec_wait_ns": [], "exec_to_main_ns": [], "large": [], "chain": [], "children": [],
                        "chain_begins": [], "children_begins": []} for peer in peers}
    for chunk in range(chunks):
        say(f"fork + exec, {chunk + 1}/{chunks}")
        for peer in peers:
            found = programs.output(peer, "fork", "exec", programs.path("main"), "--count", execs, one_cpu=True)
            for key, values in found.items():
                data[peer.name][key].append(values)
    for repeat in range(1 if quick else 3):
        for peer in peers:
            say(f"fork of a large process, generations: {peer.name}")
            into = data[peer.name]
            into["large"].append(programs.output(peer, "fork", "large", "--megabytes", 128 if quick else 1024, "--count",
                                                 forks, one_cpu=True))
            for key in ("chain", "children"):
                # One line has few forks near its beginning: shorter lines, before and after it, have more.
                begin = lambda: into[f"{key}_begins"].extend(  # noqa: E731
                    programs.output(peer, "fork", key, "--count", EARLY + AROUND, one_cpu=True) for _ in range(5))
                begin()
                into[key].append(programs.output(peer, "fork", key, "--count", generations, one_cpu=True))
                begin()
    return Section("fork", [_exec_table(data, chunks * execs), _large_table(data, quick),
                            _line_table(data, "chain", f"a chain of {generations} generations"),
                            _line_table(data, "children", f"one parent, {generations} children one after another")],
                   _targets(data), data)


def _exec_table(data, count: int) -> Table:
    table = Table(f"fork + exec + wait, {count} times",
                  ["peer", "fork+exec µs", "÷ jemalloc's", "spread", "exec to main µs", "÷ jemalloc's"],
                  notes="Medians of a run; the least of the interleaved runs. The program that is started has the same"
                        " allocator preloaded.")
    for name, found in data.items():
        row = [name]
        for key in ("fork_exec_wait_ns", "exec_to_main_ns"):
            value = _least_median(found[key])
            row += [f"{value / 1e3:.0f}", f"{value / _least_median(data[STOCK][key]):.3f}" if STOCK in data else "–"]
        row.insert(3, f"{_spread(found['fork_exec_wait_ns']):.1%}")
        table.rows.append(row)
    return table


def _large_table(data, quick: bool) -> Table:
    table = Table(f"fork of a process that has touched {'128 MB' if quick else '1 GB'}",
                  ["peer", "RSS MB", "fork ms", "fork + exit + wait ms"])
    for name, found in data.items():
        table.rows.append([name, megabytes(found["large"][0]["rss_kb"]),
                           *(f"{_least_median([run[key] for run in found['large']]) / 1e6:.2f}"
                             for key in ("fork_ns", "fork_exit_wait_ns"))])
    return table


def _ends(found, key: str) -> tuple[float, float]:
    """Fork until ready at the 10th and at the last generation, each the median over the lines."""
    early = [ns for line in found[key] + found[f"{key}_begins"] for ns in _around_early(line["ready_ns"])]
    return statistics.median(early), statistics.median(_last(line["ready_ns"]) for line in found[key])


def _line_table(data, key: str, title: str) -> Table:
    table = Table(f"{title}: fork until the child has allocated and freed 64 kB",
                  ["peer", "10th µs", "last µs", "last ÷ 10th", "RSS MB 10th", "RSS MB last"],
                  notes="Medians: of the 8th to the 12th fork of many lines, and of the last twenty of each long one.")
    for name, found in data.items():
        early, late = _ends(found, key)
        rss = found[key][0]["rss_kb"]
        table.rows.append([name, f"{early / 1e3:.0f}", f"{late / 1e3:.0f}", f"{late / early:.2f}",
                           megabytes(rss[EARLY - 1]), megabytes(rss[-1])])
    return table


def _targets(data) -> list[Target]:
    if SAMEPAGE not in data:
        return []
    ours, targets = data[SAMEPAGE], []
    if STOCK in data:
        targets.append(Target("fork + exec / jemalloc's", _least_median(ours["fork_exec_wait_ns"])
                              / _least_median(data[STOCK]["fork_exec_wait_ns"]), 1.05, False))
    for key in ("chain", "children"):
        early, late = _ends(ours, key)
        targets.append(Target(f"{key}: the last fork / the 10th (a tenth is noise)", late / early, 1.10, False))
    return targets
