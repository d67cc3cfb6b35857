"""tools/demo: the main job, small."""
import os
import pathlib
import re
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("SAMEPAGE_BUILD", ROOT / "build/release"))


def demo(*arguments):
    return subprocess.run([ROOT / "tools/demo", *map(str, arguments)], capture_output=True, text=True, timeout=600)


@pytest.fixture(scope="module")
def quick():
    if not (BUILD / "bin/samepage").exists():
        pytest.skip(f"{BUILD}/bin/samepage is not built")
    result = demo("--quick", "--size", 100, "--build", BUILD)
    assert result.returncode == 0, result.stderr
    return result


def test_megabytes_saved_come_first(quick):
    assert re.match(r"-?[\d,]+ MB saved of [\d,]+ MB \(-?\d+ %\): 4 copies of reco with 100 MB", quick.stdout)


def test_every_run_has_a_row_with_its_rate(quick):
    rows = [line for line in quick.stdout.splitlines() if re.match(r"4 (copies|forked workers), ", line)]
    assert len(rows) == 4
    assert all(float(row.split()[-1]) > 0 for row in rows)


def test_results_are_compared(quick):
    assert "The merged results of all 4 runs are the same: 60 events" in quick.stdout
    assert "The results of all 4 runs are the same: 60 events" in quick.stdout


def test_the_farm_stands_beside_the_other_ways_through_a_change_of_conditions(quick):
    rows = {}
    for name in ("serial", "4 threads in one process", "4 plain forks, glibc", "4 workers of the farm, samepage run"):
        row = re.search(rf"^{name}  .*$", quick.stdout, re.M)[0]
        rows[name] = [int(number.replace(",", "")) for number in re.findall(r"([\d,]+) MB", row)]
        assert float(row.split()[-1]) > 0
    plain, farm = rows["4 plain forks, glibc"], rows["4 workers of the farm, samepage run"]
    assert farm[0] < plain[0]  # together
    # After the warm-up and after the change; here in the end, since a slow machine has not settled before.
    private, _ = re.search(r"^end, re-fork 2 +\d+ +([\d.]+) +([\d.]+)$", quick.stdout, re.M).groups()
    assert float(private) < plain[2] / 4


def test_forked_workers_share_more_under_the_heap(quick):
    private = {row.split("  ")[0]: int(re.findall(r"([\d,]+) MB", row)[-1].replace(",", ""))
               for row in quick.stdout.splitlines() if row.startswith("4 forked workers")}
    assert private["4 forked workers, samepage run"] < private["4 forked workers, plain"]


def test_nothing_but_the_conditions_is_left_behind(quick):
    assert [file.name for file in (BUILD / "demo").iterdir() if not file.name.startswith("conditions-")] == []


def test_refuses_what_it_cannot_do(tmp_path):
    (tmp_path / "bin").mkdir()
    result = demo("--build", tmp_path)
    assert result.returncode != 0 and "is not built; run ./dev build" in result.stderr
    assert demo("--size", 10).returncode != 0
