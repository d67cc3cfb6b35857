"""examples/reco: the same bytes however the events are divided, physics that adds up, clear words for bad input."""
import gzip
import json
import math
import os
import pathlib
import random
import signal
import sqlite3
import subprocess
import time

import pytest
from farm_processes import KILLS, kill_and_resume, kill_workers

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = pathlib.Path(os.environ.get("SAMEPAGE_BUILD", ROOT / "build/release")) / "bin"
EVENTS = ROOT / "examples/data/ttbar-13tev.hepmc3.gz"
REFERENCE = ROOT / "examples/data/ttbar-13tev.reference.json"  # written with the arguments of `serial`
EVENT_COUNT = 60


def run(program, *args):
    return subprocess.run([BIN / program, *map(str, args)], capture_output=True, text=True, timeout=300)


def reco(conditions, out, *args, events=EVENTS):
    return run("reco", "--events", events, "--conditions", conditions, "--out", out, *args)


@pytest.fixture(scope="module")
def conditions(tmp_path_factory):
    path = tmp_path_factory.mktemp("conditions") / "conditions.db"
    result = run("reco-conditions", "--conditions-mb", 64, path)
    assert result.returncode == 0, result.stderr
    return path


@pytest.fixture(scope="module")
def serial(conditions, tmp_path_factory):
    """The result of six of the events, by one process with one thread."""
    out = tmp_path_factory.mktemp("serial") / "serial.json"
    result = reco(conditions, out, "--slice", "0/10")
    assert result.returncode == 0, result.stderr
    return out


@pytest.fixture(scope="module")
def whole(conditions, tmp_path_factory):
    """The result of all events, parsed."""
    out = tmp_path_factory.mktemp("whole") / "whole.json"
    result = reco(conditions, out, "--workers", 2)
    assert result.returncode == 0, result.stderr
    return json.loads(out.read_text())


def test_equals_the_reference(serial):
    assert serial.read_bytes() == REFERENCE.read_bytes()


def test_says_when_it_was_initialised_and_how_fast_it_was(conditions, tmp_path):
    before = time.time()
    words = reco(conditions, tmp_path / "out.json", "--slice", "0/30").stdout
    initialised = float(words.split("initialised at ")[1].split()[0])
    assert before <= initialised + 0.001 and initialised <= time.time()
    assert "every constant read" in words
    assert float(words.split(" events/s")[0].split()[-1]) > 0


@pytest.mark.parametrize("how", [["--threads", 3], ["--forks", 3], ["--forks", 2, "--threads", 2],
                                 *(["--workers", workers] for workers in (1, 2, 3, 4)), ["--workers", 8, "--warm-up", 2]], ids=str)
def test_forks_threads_and_workers_give_the_same_bytes(conditions, serial, tmp_path, how):
    out = tmp_path / "out.json"
    result = reco(conditions, out, "--slice", "0/10", *how)
    assert result.returncode == 0, result.stderr
    assert out.read_bytes() == serial.read_bytes()


def test_merged_slices_give_the_same_bytes(conditions, serial, tmp_path):
    parts = [tmp_path / f"{i}.json" for i in range(3)]
    for i, part in enumerate(parts):
        assert reco(conditions, part, "--slice", f"{10 * i}/30").returncode == 0
    merged = tmp_path / "merged.json"
    result = run("reco-merge", "--out", merged, *reversed(parts))
    assert result.returncode == 0, result.stderr
    assert merged.read_bytes() == serial.read_bytes()


def test_replays_go_on_counting_and_differ(conditions, tmp_path):
    out = tmp_path / "out.json"
    assert reco(conditions, out, "--repeat", 2, "--slice", "5/60").returncode == 0
    first, replay = json.loads(out.read_text())["events"]
    assert (first["number"], replay["number"]) == (5, 5 + EVENT_COUNT)
    assert first["generator_jets"][0]["pt"] == pytest.approx(replay["generator_jets"][0]["pt"], abs=0.002)
    turned = replay["generator_jets"][0]["phi"] - first["generator_jets"][0]["phi"]
    assert math.remainder(turned - 2.39996, 2 * math.pi) == pytest.approx(0, abs=1e-5)


def test_plain_text_is_read_as_well_as_gzip(conditions, serial, tmp_path):
    plain = tmp_path / "plain.hepmc3"
    plain.write_bytes(gzip.decompress(EVENTS.read_bytes()))
    out = tmp_path / "out.json"
    assert reco(conditions, out, "--slice", "0/10", events=plain).returncode == 0
    assert out.read_bytes() == serial.read_bytes()


def test_intervals_of_validity(conditions, serial, tmp_path):
    """Alignment changes at run 500; within an interval nothing does."""
    def events(run_number):
        out = tmp_path / f"{run_number}.json"
        assert reco(conditions, out, "--slice", "0/10", "--run", run_number).returncode == 0
        return json.loads(out.read_text())["events"]
    first = json.loads(serial.read_text())["events"]
    assert events(299) == first
    assert events(500) != first


def test_a_change_of_conditions_within_the_job(conditions, serial, tmp_path):
    """Every way to divide the work changes at the same event; the farm's workers are forked again from the one that loaded."""
    outs = []
    for how in ([], ["--threads", 3], ["--forks", 3], ["--workers", 3, "--memory", tmp_path / "memory.json"]):
        outs.append(tmp_path / f"{len(outs)}.json")
        result = reco(conditions, outs[-1], "--slice", "0/10", "--repeat", 2, "--change", "30:500", "--change", "60:1", *how)
        assert result.returncode == 0, result.stderr
    assert len({out.read_bytes() for out in outs}) == 1
    events = json.loads(outs[0].read_text())["events"]
    before = json.loads(serial.read_text())["events"]
    assert [here == plain for here, plain in zip(events, before)] == [True] * 3 + [False] * 3
    assert json.loads((tmp_path / "memory.json").read_text())["reforks"] >= 1


@pytest.mark.parametrize("changes", [["x"], ["10:"], ["10:500x"], ["0:500"], ["20:500", "10:1"]], ids=str)
def test_bad_change(conditions, out, changes):
    refused(reco(conditions, out, *(f"--change={change}" for change in changes)), out.parent, "--change")


def test_hold_keeps_the_process(conditions, tmp_path):
    start = time.monotonic()
    assert reco(conditions, tmp_path / "out.json", "--slice", "0/60", "--hold", "3").returncode == 0
    assert time.monotonic() - start >= 3


# --- physics -----------------------------------------------------------------------------------------------

def test_all_events_are_there(whole):
    assert [event["number"] for event in whole["events"]] == list(range(EVENT_COUNT))


def test_momentum_is_conserved_in_the_input(whole):
    assert max(event["imbalance"] for event in whole["events"]) < 1e-6 * 13000


def test_energy_arrives_in_the_calorimeter(whole):
    ratios = [event["calorimeter_energy"] / event["visible_energy"] for event in whole["events"]]
    assert all(0.9 < ratio < 1.03 for ratio in ratios)
    assert 0.96 < sum(ratios) / len(ratios) < 1.01


def test_jets_are_where_fastjet_finds_them_in_the_generator_particles(whole):
    def distance(a, b):
        return math.hypot(a["eta"] - b["eta"], math.remainder(a["phi"] - b["phi"], 2 * math.pi))

    found, ratios = 0, []
    expected = [(jet, event) for event in whole["events"] for jet in event["generator_jets"]
                if jet["pt"] > 40 and abs(jet["eta"]) < 2.5]
    for jet, event in expected:
        near = [other for other in event["jets"] if distance(jet, other) < 0.2]
        if near:
            found += 1
            ratios.append(min(near, key=lambda other: distance(jet, other))["pt"] / jet["pt"])
    assert len(expected) > 100
    assert found >= 0.97 * len(expected)
    assert 0.95 < sorted(ratios)[len(ratios) // 2] < 1.03


def test_histograms_count_what_the_events_list(whole):
    jets = [jet for event in whole["events"] for jet in event["jets"]]
    histograms = whole["histograms"]
    assert sum(histograms["jet pt / GeV"]["counts"]) == len(jets)
    assert sum(histograms["jets per event"]["counts"]) == EVENT_COUNT
    kev = sum(histograms["keV by layer"]["counts"])
    energy = sum(event["calorimeter_energy"] for event in whole["events"])
    assert kev / 1e6 == pytest.approx(energy, rel=1e-3)


# --- bad input ---------------------------------------------------------------------------------------------

def refused(result, folder, *words):
    """One line that says why, a status that is not 0, and no file in the folder."""
    assert result.returncode != 0
    assert result.stderr.count("\n") == 1, result.stderr
    for word in words:
        assert word in result.stderr
    assert list(folder.iterdir()) == []


@pytest.fixture
def out(tmp_path):
    """Where a refused job would write, in a folder of its own."""
    (tmp_path / "out").mkdir()
    return tmp_path / "out" / "out.json"


def test_missing_files(conditions, tmp_path, out):
    refused(reco(conditions, out, events=tmp_path / "none.hepmc3"), out.parent, "none.hepmc3", "No such file")
    refused(reco(tmp_path / "none.db", out), out.parent, "none.db", "unable to open")
    assert not (tmp_path / "none.db").exists()


@pytest.mark.parametrize("how", [[], ["--threads", 2], ["--forks", 2], ["--workers", 2]], ids=str)
def test_truncated_gzip(conditions, tmp_path, out, how):
    cut = tmp_path / "cut.hepmc3.gz"
    cut.write_bytes(EVENTS.read_bytes()[:300_000])
    refused(reco(conditions, out, *how, events=cut), out.parent, "cut.hepmc3.gz", "truncated")


def test_truncated_text(conditions, tmp_path, out):
    cut = tmp_path / "cut.hepmc3"
    cut.write_bytes(gzip.decompress(EVENTS.read_bytes())[:500_000])
    refused(reco(conditions, out, events=cut), out.parent, "cut.hepmc3", "truncated")


def test_damaged_event(conditions, tmp_path, out):
    damaged = tmp_path / "damaged.hepmc3"
    lines = gzip.decompress(EVENTS.read_bytes()).split(b"\n")
    particle = next(i for i, line in enumerate(lines) if line.startswith(b"P "))
    lines[particle] = b"P 1 nonsense"
    damaged.write_bytes(b"\n".join(lines))
    refused(reco(conditions, out, "--slice", "0/60", events=damaged), out.parent, "event 0 is damaged")


def test_not_hepmc(conditions, tmp_path, out):
    other = tmp_path / "other.txt"
    for content in (b"", b"just text\n", gzip.compress(b"just text\n"), os.urandom(5000), b"HepMC::Version 3\nother\n"):
        other.write_bytes(content)
        refused(reco(conditions, out, events=other), out.parent, "other.txt", "not a HepMC3 file")
    other.write_bytes(b"HepMC::Version 3\nHepMC::Asciiv3-START_EVENT_LISTING\nHepMC::Asciiv3-END_EVENT_LISTING\n")
    refused(reco(conditions, out, events=other), out.parent, "no event")


def test_wrong_database(conditions, tmp_path, out):
    refused(reco(EVENTS, out), out.parent, "not a database")
    empty = tmp_path / "empty.db"
    sqlite3.connect(empty).execute("CREATE TABLE something (x)").connection.commit()
    refused(reco(empty, out), out.parent, "not written by reco-conditions")
    refused(reco(conditions, out, "--run", 1001), out.parent, "run 1001")


def test_damaged_database(conditions, tmp_path, out):
    damaged = tmp_path / "damaged.db"
    damaged.write_bytes(conditions.read_bytes())
    with sqlite3.connect(damaged) as database:
        database.execute("UPDATE crate SET temperature = temperature + 1 WHERE crate = 3")
    refused(reco(damaged, out), out.parent, "damaged")
    with sqlite3.connect(damaged) as database:
        database.execute("UPDATE calibration SET name = (SELECT name FROM calibration WHERE channel = 5) WHERE channel = 6")
    refused(reco(damaged, out), out.parent, "two channels are called")
    with sqlite3.connect(damaged) as database:
        database.execute("DELETE FROM calibration WHERE channel = 4")
    refused(reco(damaged, out), out.parent, "lacks channels")


@pytest.mark.parametrize("slice", ["1", "3/3", "-1/2", "0/0", "1/2x", "a/b"])
def test_bad_slice(conditions, out, slice):
    refused(reco(conditions, out, f"--slice={slice}"), out.parent, "--slice")


def test_unwritable_output(conditions, tmp_path):
    result = reco(conditions, tmp_path / "none" / "out.json")
    assert result.returncode != 0 and "cannot write" in result.stderr and result.stderr.count("\n") == 1


def test_full_disk(conditions, out):
    """On a file system of one page, which is less than the result takes."""
    private_mounts = ["unshare", "--mount", "sh", "-c"]
    if subprocess.run([*private_mounts, "mount -t tmpfs none /mnt"], capture_output=True).returncode != 0:
        pytest.skip("may not mount a small file system")
    job = [BIN / "reco", "--events", EVENTS, "--conditions", conditions, "--out", out, "--slice", "0/10"]
    script = 'mount -t tmpfs -o size=4k none "$0" && { "$@"; status=$?; ls -A "$0" >&2; exit $status; }'
    result = subprocess.run([*private_mounts, script, out.parent, *job], capture_output=True, text=True, timeout=60)
    refused(result, out.parent, "cannot write", "No space left")


def test_merge_refuses(serial, tmp_path, out):
    refused(run("reco-merge", "--out", out, serial, serial), out.parent, "more than one result")
    refused(run("reco-merge", "--out", out, EVENTS), out.parent, "is not a result of reco")
    refused(run("reco-merge", "--out", out, tmp_path / "none.json"), out.parent, "cannot read")
    other = tmp_path / "other.json"
    other.write_text(serial.read_text().replace('"run": 1', '"run": 2'))
    refused(run("reco-merge", "--out", out, serial, other), out.parent, "different conditions")


def test_a_lost_fork_is_an_error(conditions, out):
    job = subprocess.Popen([BIN / "reco", "--events", EVENTS, "--conditions", conditions, "--out", out, "--forks", "2",
                            "--repeat", "1000"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert "every constant read" in job.stdout.readline()
    assert "initialised" in job.stdout.readline()
    children = []
    while len(children) < 2:
        children = pathlib.Path(f"/proc/{job.pid}/task/{job.pid}/children").read_text().split()
    for child in children:
        os.kill(int(child), signal.SIGKILL)
    words = job.communicate(timeout=60)[1]
    assert job.returncode == 1
    assert "killed by signal 9" in words and words.count("\n") == 1
    assert list(out.parent.iterdir()) == []


def test_a_lost_worker_of_the_farm_is_none(conditions, serial, out):
    job = subprocess.Popen([BIN / "reco", "--events", EVENTS, "--conditions", conditions, "--out", out, "--workers", "2",
                            "--slice", "0/10"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert "every constant read" in job.stdout.readline()
    children = []
    while len(children) < 4:  # writer, reader, two workers
        children = pathlib.Path(f"/proc/{job.pid}/task/{job.pid}/children").read_text().split()
    os.kill(int(children[-1]), signal.SIGKILL)
    words = job.communicate(timeout=60)[1]
    assert job.returncode == 0, words
    assert out.read_bytes() == serial.read_bytes()
    assert [file.name for file in out.parent.iterdir()] == [out.name]


def start(conditions, out, *args):
    return subprocess.Popen([BIN / "reco", "--events", EVENTS, "--conditions", conditions, "--out", out, *map(str, args)],
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_killed_workers_of_the_farm_lose_nothing(conditions, out, tmp_path):
    kills = KILLS or 10
    events = ["--slice", "0/2", "--repeat", max(1, KILLS // 50), "--change", "30:500"]
    assert reco(conditions, tmp_path / "serial.json", *events).returncode == 0
    job = start(conditions, out, "--workers", 4, "--retries", 1_000_000, "--memory", tmp_path / "memory.json", *events)
    assert "every constant read" in job.stdout.readline()
    killed = kill_workers(job, kills, random.Random(7), 0.3 if KILLS else 0.1)
    words = job.communicate(timeout=900)[1]
    assert job.returncode == 0, words
    assert out.read_bytes() == (tmp_path / "serial.json").read_bytes()
    assert killed == kills and json.loads((tmp_path / "memory.json").read_text())["workers_lost"] >= kills / 2
    assert [file.name for file in out.parent.iterdir()] == [out.name]


@pytest.mark.parametrize("who", ["supervisor", "reader", "writer"])
def test_a_job_whose_process_was_killed_is_resumed(conditions, serial, out, who):
    arguments = ["--workers", 2, "--slice", "0/10", "--journal", out.parent / "journal", "--resume"]
    wanted, longest = KILLS // 4 or 2, 0.03 if who == "reader" else 0.3  # a reader is done soon
    killed, chance = 0, random.Random(who)
    while killed < wanted:
        out.unlink(missing_ok=True)
        killed += kill_and_resume(lambda: start(conditions, out, *arguments), who, wanted - killed, longest, chance)[1]
        assert out.read_bytes() == serial.read_bytes()
        assert [file.name for file in out.parent.iterdir()] == [out.name]


def corrupt_gzip(path):
    whole = bytearray(EVENTS.read_bytes())
    whole[300_000:300_100] = bytes(100)
    path.write_bytes(whole)


def truncated_gzip(path):
    path.write_bytes(EVENTS.read_bytes()[:300_000])


def truncated_text(path):
    path.write_bytes(gzip.decompress(EVENTS.read_bytes())[:2_000_000])


@pytest.mark.parametrize("damage", [corrupt_gzip, truncated_gzip, truncated_text], ids=lambda damage: damage.__name__)
def test_what_was_done_before_the_input_turned_out_damaged_is_kept(conditions, tmp_path, out, damage):
    """With a journal; without one nothing is left behind."""
    bad = tmp_path / "bad.hepmc3.gz"
    damage(bad)
    result = reco(conditions, out, "--workers", 2, "--journal", out.parent / "journal", events=bad)
    assert result.returncode == 1 and result.stderr.count("\n") == 1, result.stderr
    # Of a gzip whose bytes are wrong an event may be the first that is seen to be damaged: the checksum comes at the end.
    assert str(bad) in result.stderr or "is damaged" in result.stderr and damage is corrupt_gzip
    assert sorted(file.name for file in out.parent.iterdir()) == ["journal", "out.json.events.partial"]
    kept = [json.loads(line.rstrip(",\n")) for line in (out.parent / "out.json.events.partial").read_text().splitlines()]
    assert [event["number"] for event in kept] == list(range(len(kept))) and len(kept) > 2
    for file in out.parent.iterdir():
        file.unlink()
    refused(reco(conditions, out, "--workers", 2, events=bad), out.parent)


def test_the_farm_quarantines_an_event_that_is_damaged(conditions, tmp_path, out):
    damaged = tmp_path / "damaged.hepmc3"
    lines = gzip.decompress(EVENTS.read_bytes()).split(b"\n")
    particle = next(i for i, line in enumerate(lines) if line.startswith(b"P "))
    lines[particle] = b"P 1 nonsense"
    damaged.write_bytes(b"\n".join(lines))
    arguments = ["--workers", 2, "--slice", "0/20", "--retries", 0]
    refused(reco(conditions, out, *arguments, events=damaged), out.parent, "event 0 failed", "event 0 is damaged")
    result = reco(conditions, out, *arguments, "--quarantine", tmp_path / "quarantine", events=damaged)
    assert result.returncode == 3, result.stderr
    assert [event["number"] for event in json.loads(out.read_text())["events"]] == [20, 40]
    assert b"event 0 is damaged" in (tmp_path / "quarantine").read_bytes()


# --- the generator of conditions ----------------------------------------------------------------------------

def test_the_seed_decides(conditions, tmp_path):
    for seed in (1, 2):
        assert run("reco-conditions", "--conditions-mb", 64, "--seed", seed, tmp_path / f"{seed}.db").returncode == 0
    assert (tmp_path / "1.db").read_bytes() == conditions.read_bytes()
    assert (tmp_path / "2.db").read_bytes() != conditions.read_bytes()


def test_what_is_there_is_kept(tmp_path):
    path = tmp_path / "kept.db"
    path.write_text("mine")
    result = run("reco-conditions", path)
    assert result.returncode == 0 and "already there" in result.stdout
    assert path.read_text() == "mine"


def test_a_killed_generator_leaves_nothing(tmp_path):
    path = tmp_path / "new.db"
    generator = subprocess.Popen([BIN / "reco-conditions", path])
    while not list(tmp_path.iterdir()):
        assert generator.poll() is None
    # The handler that removes the file is installed right after the file is made; the bytes come later.
    while not any(file.stat().st_size for file in tmp_path.iterdir()):
        assert generator.poll() is None
    generator.terminate()
    assert generator.wait(timeout=60) == -signal.SIGTERM
    assert list(tmp_path.iterdir()) == []
