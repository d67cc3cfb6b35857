"""What was promised of the watchdog, beside the other policies."""

from shared.target import Target


def cpu(told: dict) -> float:
    return told["ksmd_cpu"] + told["own_cpu"]


def per_cpu(told: dict) -> float:
    return told["merged_mb_s"] / cpu(told) if cpu(told) > 0.005 else 0.0


def of(results: dict) -> list[Target]:
    """Those that can be judged by the policies that were measured."""
    ours = results.get("watchdog")
    if not ours:
        return []
    found = [Target("merged MB·s, of the ideal", ours["share"], 0.9, True)]
    slower = [told["share"] for name, told in results.items() if name not in ("watchdog", "fixed fast")]
    if slower:
        found.append(Target("merged MB·s: of the ideal, beside the best but fixed fast", ours["share"], max(slower), True))
    if fast := results.get("fixed fast"):
        found.append(Target("CPU of ksmd and watchdog, of fixed fast's ksmd", cpu(ours) / fast["ksmd_cpu"], 0.35, False))
    others = [per_cpu(told) for name, told in results.items() if name != "watchdog"]
    if any(others):
        found.append(Target("MB·s per CPU s, beside the best of the others", per_cpu(ours), max(others), True))
    found.append(Target("idle: ksmd and watchdog, % of a core", 100 * ours["idle_part"], 0.2, False))
    found += [Target(f"s to 95 % of the {name} group", seconds or float("inf"), 5, False)
              for name, seconds in ours["time_to_95"].items()]
    return found
