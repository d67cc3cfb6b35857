"""Memory of one program: the churn program alone, without forks, settle included."""

from shared.target import Target

from .peers import SAMEPAGE, STOCK, Peer
from .process import Programs
from .table import Section, Table, megabytes


def run(programs: Programs, peers: list[Peer], quick: bool, say) -> Section:
    channels, repeats = (200_000, 1) if quick else (850_000, 3)
    peaks: dict[str, list[int]] = {peer.name: [] for peer in peers}
    for repeat in range(repeats):
        for peer in peers:
            say(f"memory of one program, {repeat + 1}/{repeats}: {peer.name}")
            peaks[peer.name].append(programs.output(peer, "churn", "--channels", channels))
    table = Table("memory of one program (230 MB of constants, settle, 50 events)",
                  ["peer", "peak RSS MB", "÷ jemalloc's", "spread"])
    for name, found in peaks.items():
        ratio = f"{min(found) / min(peaks[STOCK]):.3f}" if STOCK in peaks else "–"
        table.rows.append([name, megabytes(min(found)), ratio, f"{max(found) / min(found) - 1:.1%}"])
    targets = []
    if SAMEPAGE in peaks and STOCK in peaks:
        targets.append(Target("peak RSS of one program / jemalloc's", min(peaks[SAMEPAGE]) / min(peaks[STOCK]), 1.05, False))
    return Section("memory", [table], targets, {"peak_rss_kb": peaks})
