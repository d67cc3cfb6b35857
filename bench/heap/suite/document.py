"""What was found, as a page of the documentation and as data."""

import os
import pathlib
import platform
import subprocess
import time
from dataclasses import asdict

_PACKAGES = ("libc6", "libjemalloc2", "libtcmalloc-minimal4", "libmimalloc2.0", "g++")

_INTRODUCTION = """# Benchmarks

Of the heap; the store's are in [store.md](store.md#figures), the farm's in [farm.md](farm.md#figures), the watchdog's in [watchdog.md](watchdog.md), the census's in [why.md](why.md).

Written by `{command}` on {date}; run it to have the figures of your own machine.

{machine}

Every peer runs in processes of its own, preloaded into the same programs (`bench/heap/programs`), one after the other.
Huge pages: {policies}.

- **churn**: a process builds some 230 MB of pointer-rich constants among temporaries, forks three workers, and each
  processes 50 events of 20,000 short-lived allocations with look-ups of constants. All workers stand still at a pipe,
  before the first event and after each, while the kernel's `smaps_rollup` is read. *still shared* is the shared memory
  at the last event over all memory of a worker at event 0. The mean is weighted with the time that each event took;
  events/s counts time inside events only. Replaced constants live until the next replacement and count as private.
- **memory**: the same program alone: constants, settle, 50 events.
- **throughput**: a tenth of the work warms up, the rest is timed. *settled*: settle is called after the warm-up.
- **fork**: all of it on one CPU.
"""


def machine() -> dict[str, str]:
    """This machine and the versions of what is compared."""
    model = next((line.partition(":")[2].strip() for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines()
                  if line.startswith("model name")), platform.machine())
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    found = {"CPU": f"{model}, {os.cpu_count()} CPUs", "memory": f"{memory:.0f} GB", "kernel": platform.release()}
    for package in _PACKAGES:
        asked = subprocess.run(["dpkg-query", "-W", "-f", "${Version}", package], capture_output=True, text=True)
        if asked.returncode == 0:
            found[package] = asked.stdout
    return found


def data(results, missing: list[str]) -> dict:
    return {
        "machine": machine(),
        "missing": missing,
        "thp": {policy: {section.name: {"targets": [asdict(target) | {"met": target.met} for target in section.targets],
                                        "data": section.data}
                         for section in sections} for policy, sections in results.items()},
    }


def page(results, missing: list[str], command: str) -> str:
    facts = "; ".join(f"{name} {value}" for name, value in machine().items())
    policies = ", then ".join(f"THP={policy}" for policy in results)
    parts = [_INTRODUCTION.format(policies=policies, command=command, date=time.strftime("%Y-%m-%d"), machine=facts)]
    parts += [f"{line}.\n" for line in missing]
    for policy, sections in results.items():
        parts.append(f"## THP={policy}\n")
        parts += [section.render() + "\n" for section in sections]
    return "\n".join(parts)
