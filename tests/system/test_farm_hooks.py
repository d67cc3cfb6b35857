"""The farm's hooks for frameworks with their own event loop: examples/own_loop, in C."""
import json
import os
import pathlib
import signal
import subprocess

import pytest
from farm_processes import alive, descendants, wait_until

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("SAMEPAGE_BUILD", ROOT / "build/release"))
OWN_LOOP = BUILD / "bin/own-loop"
MEGABYTES = 40


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


def command(folder, workers, events, interval):
    return [str(word) for word in (OWN_LOOP, workers, events, interval, MEGABYTES, folder)]


def lines(folder):
    return sorted((line for file in folder.iterdir() for line in file.read_text().splitlines()),
                  key=lambda line: int(line.split()[0]))


def test_every_event_once_and_new_conditions_are_shared(folder, tmp_path):
    (tmp_path / "one").mkdir()
    assert subprocess.run(command(tmp_path / "one", 1, 900, 300), capture_output=True, timeout=120).returncode == 0
    job = subprocess.run(command(folder, 3, 900, 300), capture_output=True, text=True, timeout=120)
    assert job.returncode == 0, job.stderr
    assert lines(folder) == lines(tmp_path / "one")
    told = json.loads(job.stdout)
    assert (told["status"], told["events"], told["workers_lost"]) == ("complete", 900, 0)
    assert told["reforks"] == 3  # at the first event, and at each change
    last = [sample for sample in told["memory"] if sample["generation"] == 3 and sample["end"]]
    assert len(last) == 3
    assert all(sample["private_kb"] < 0.05 * MEGABYTES * 1024 for sample in last)


def test_a_lost_worker_is_replaced(folder):
    job = subprocess.Popen(command(folder, 3, 3000, 3000), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    # Three workers below the template, which began as a worker itself.
    wait_until(lambda: len(descendants(job.pid)) == 4)
    os.kill(descendants(job.pid)[-1], signal.SIGKILL)
    words, errors = job.communicate(timeout=120)
    assert job.returncode == 0, errors
    told = json.loads(words)
    assert (told["workers_lost"], told["retries"]) == (1, 1)
    assert len(lines(folder)) >= 2000  # what the lost one had not written out is the framework's affair


def test_nothing_outlives_a_killed_supervisor(folder):
    job = subprocess.Popen(command(folder, 3, 10**9, 300), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    wait_until(lambda: len(descendants(job.pid)) >= 4)
    everyone = descendants(job.pid)
    job.kill()
    job.communicate()
    wait_until(lambda: not any(alive(pid) for pid in everyone))


def test_ctrl_c_ends_all(folder):
    job = subprocess.Popen(command(folder, 2, 10**9, 10**9), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                           start_new_session=True)
    wait_until(lambda: len(descendants(job.pid)) >= 3)
    everyone = descendants(job.pid)
    os.killpg(job.pid, signal.SIGINT)
    _, errors = job.communicate(timeout=60)
    assert job.returncode == 1 and errors == "own-loop: interrupted by Interrupt\n"
    assert not any(alive(pid) for pid in everyone)


def test_a_worker_that_its_template_did_not_get_to_tell_of_is_waited_for():
    job = subprocess.Popen(BUILD / "bin/farm-unannounced", stdout=subprocess.PIPE, text=True, start_new_session=True)
    worker = int(job.stdout.readline())
    os.killpg(job.pid, signal.SIGINT)
    assert job.wait(timeout=60) == 1
    assert not alive(worker)
    job.stdout.close()
