"""One scripted day of a host, and what was merged during it."""

import dataclasses
import subprocess
import time

from shared import host

COPIES = 4
TICK = 0.4


@dataclasses.dataclass
class Times:
    """Seconds at which things happen; until `first` nothing does."""
    first: float
    churn: float
    calm: float
    second: float
    first_leaves: float
    second_leaves: float
    end: float


FULL = Times(first=60, churn=80, calm=94, second=102, first_leaves=124, second_leaves=132, end=136)
QUICK = Times(first=2, churn=8, calm=11, second=12, first_leaves=18, second_leaves=20, end=21)


class Group:
    """COPIES members with equal bytes."""

    def __init__(self, build, megabytes, seed, registered):
        self.bytes = megabytes * 1_000_000
        self.churning = 0
        words = [build / "bin/bench-watchdog-member", str(megabytes), str(seed), *(["--register"] if registered else [])]
        self.members = [subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
                        for _ in range(COPIES)]
        for member in self.members:
            if member.stdout.readline() != "ready\n":
                raise SystemExit("bench watchdog: a member did not start")
        self.ready = time.monotonic()

    def saved(self):
        return host.saved_bytes(member.pid for member in self.members)

    def ideal(self):
        """Bytes that could be saved now: one member's churn is nobody else's."""
        return (COPIES - 1) * self.bytes - self.churning

    def tell(self, line, churning):
        self.members[0].stdin.write(line + "\n")
        self.members[0].stdin.flush()
        assert self.members[0].stdout.readline() == line + "\n"
        self.churning = churning

    def leave(self):
        for member in self.members:
            member.stdin.close()
        for member in self.members:
            member.wait()


class Foreground:
    def __init__(self, build):
        self.process = subprocess.Popen([build / "bin/bench-watchdog-foreground", "64"], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        self.process.stdout.readline()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait()

    def units(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline())


class Spent:
    """What each phase took: seconds of ksmd's CPU and of the policy's own, and the foreground's units of work."""

    def __init__(self, own_cpu, foreground):
        self.ksmd, self.own_cpu, self.foreground = host.ksmd(), own_cpu, foreground
        self.phases = {}
        self.name, self.before = "idle", self.now()

    def now(self):
        return {"seconds": time.monotonic(), "ksmd_cpu": host.ksmd_seconds(self.ksmd), "own_cpu": self.own_cpu(),
                "units": self.foreground.units()}

    def begin(self, name):
        self.end()
        self.name, self.before = name, self.now()

    def end(self):
        now = self.now()
        self.phases[self.name] = {what: now[what] - self.before[what] for what in now}

    def sum(self, what, names):
        return sum(self.phases[name][what] for name in names)


def run(build, policy, registered, times, megabytes):
    """Plays the scenario under `policy`, a context as in policies.py."""
    churn = megabytes // 4
    groups, ready, reached, samples = {}, {}, {}, []
    with host.settings_put_back(), policy(build) as own_cpu, Foreground(build) as foreground:
        def start(name, seed):
            groups[name] = Group(build, megabytes, seed, registered)
            ready[name] = groups[name].ready

        script = [("first group", times.first, lambda: start("first", 1)),
                  ("churn", times.churn, lambda: groups["first"].tell(f"churn {churn}", churn * 1_000_000)),
                  ("calm", times.calm, lambda: groups["first"].tell("calm", 0)),
                  ("second group", times.second, lambda: start("second", 2)),
                  ("first leaves", times.first_leaves, lambda: groups.pop("first").leave()),
                  ("second leaves", times.second_leaves, lambda: groups.pop("second").leave())]
        merged = ideal = 0.0
        spent = Spent(own_cpu, foreground)
        begin = last = time.monotonic()
        try:
            while (now := time.monotonic()) - begin < times.end:
                saved_by = {name: group.saved() for name, group in groups.items()}
                saved, could = sum(saved_by.values()), sum(group.ideal() for group in groups.values())
                merged += min(saved, could) * (now - last)
                ideal += could * (now - last)
                samples.append([round(now - begin, 2), saved, could])
                last = now
                for name, since in ready.items():
                    if name not in reached and saved_by.get(name, 0) >= 0.95 * (COPIES - 1) * megabytes * 1_000_000:
                        reached[name] = time.monotonic() - since
                if script and now - begin >= script[0][1]:
                    name, _, happen = script.pop(0)
                    spent.begin(name)
                    happen()
                    last = time.monotonic()  # what happened meanwhile is neither merged nor ideal
                time.sleep(TICK)
            spent.end()
        finally:
            for group in groups.values():
                group.leave()
    idle, *busy = spent.phases
    return {"merged_mb_s": merged / 1e6, "ideal_mb_s": ideal / 1e6, "share": merged / ideal,
            "ksmd_cpu": spent.sum("ksmd_cpu", spent.phases), "own_cpu": spent.sum("own_cpu", spent.phases),
            "idle_part": (spent.sum("ksmd_cpu", [idle]) + spent.sum("own_cpu", [idle])) / spent.sum("seconds", [idle]),
            "units_per_second": spent.sum("units", busy) / spent.sum("seconds", busy),
            "time_to_95": {name: reached.get(name) for name in ready}, "phases": spent.phases, "samples": samples}
