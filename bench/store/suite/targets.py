"""What was promised of the store, and whether this run's figures keep it."""
from shared.target import Target

MB = 1e6
KSM_SHARE = {3: 1 / 4, 8: 1 / 8}  # of the CPU per GB that KSM takes at its best setting


def of_table(told, _):
    what = f"table, {told['work_ms']} ms of other work an event: "
    found = [Target(what + "private MB at the end of an event", told["end"] / MB, 40, False),
             Target(what + "private MB before the next", told["rest"] / MB, 20, False),
             Target(what + "longest pause, ms", 1000 * told["longest_pause"], 10, False)]
    if told["work_ms"] >= 200:
        found.append(Target(what + "passes, % of the run's CPU", 100 * told["passes_of_cpu"], 5, False))
    return found


def of_service(told, _):
    found = [Target(f"{told['service']}: shared again, % of what was private", 100 * told["back"], 90, True),
             Target(f"{told['service']}: run time ÷ plain", told["seconds"], 1.05, False),
             Target(f"{told['service']}: p99 ÷ plain", told["p99"], 1.05, False)]
    if "gunicorn" in told["service"]:
        found.append(Target(f"{told['service']}: private MB when idle", told["idle"] / MB, 10, False))
    if "DataLoader" in told["service"]:
        found.append(Target(f"{told['service']}: private MB at its peak", told["peak"] / MB, 50, False))
    return found


def of_copies(told, results):
    beside = {one["row"]: one for one in results if "row" in one and one.get("copies") == told["copies"]}
    merged = [one for row, one in beside.items() if row.startswith("KSM") and one["cpu_per_gb"]]
    found = []
    if told["copies"] in KSM_SHARE and merged and told["cpu_per_gb"]:
        best = min(one["cpu_per_gb"] for one in merged)
        found.append(Target(f"{told['copies']} copies: CPU per GB ÷ KSM's best", told["cpu_per_gb"] / best,
                            KSM_SHARE[told["copies"]], False))
    if merged and told["copies"] != 64:
        found.append(Target(f"{told['copies']} copies: look-ups ÷ merged by KSM", told["look_ups"] / max(one["look_ups"] for one in merged),
                            1.1, True))
    if (huge := beside.get("apart, 2 MB pages")) and told["copies"] == 3:
        found.append(Target("3 copies: look-ups ÷ private 2 MB pages", told["look_ups"] / huge["look_ups"], 0.97, True))
    return found


def of_together(told, results):
    if told["copies"] != 3:
        return []
    single = next(one for one in results if "own" in one and one["copies"] == 1)
    return [Target("3 copies together ÷ one, the others' own taken off", (told["used"] - told["own"]) / single["used"], 1.06, False),
            Target("3 copies: s after the last has settled until then", told["seconds"] or float("inf"), 1, False)]


def of_events(told, results):
    plain = next(one for one in results if one.get("events") == "rewrite" and one["row"] == "plain")
    what = f"every page rewritten, {told['row']}: "
    found = [Target(what + "time ÷ plain", told["sum"] / plain["sum"], 1.1, False)]
    if plain["together"]:
        found.append(Target(what + "memory ÷ plain", told["together"] / plain["together"], 1.1, False))
    return found


def of(results):
    """Those that can be judged by what was measured."""
    found = []
    for told in results:
        if told.get("table") == "heap + store":
            found += of_table(told, results)
        elif told.get("median_of") and told["row"] == "heap + store":
            found += of_service(told, results)
        elif told.get("row") == "store" and "look_ups" in told:
            found += of_copies(told, results)
        elif "together" in told and "own" in told:
            found += of_together(told, results)
        elif told.get("events") == "rewrite" and told["row"] != "plain":
            found += of_events(told, results)
    return found


def differing(results):
    """Rows whose programs gave other results than without Samepage."""
    return [f"{told.get('service') or told.get('events')}, {told['row']}" for told in results if told.get("same") is False]
