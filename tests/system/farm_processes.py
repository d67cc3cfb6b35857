"""The processes of a farm, for the tests that kill them.

SAMEPAGE_FARM_KILLS says how many kills such a test makes; by default few. The figures of docs/farm.md are of 200 (and 50 for
supervisor, reader and writer)."""
import os
import pathlib
import signal
import time

KILLS = int(os.environ.get("SAMEPAGE_FARM_KILLS", 0))


def descendants(pid):
    """All processes below pid, parents first."""
    found = []
    try:
        for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                found += [int(child), *descendants(int(child))]
    except (FileNotFoundError, ProcessLookupError):
        pass
    return found


def alive(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def wait_until(condition, seconds=300):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.002)


def kill_workers(job, kills, chance, longest=0.02):
    """Kills random workers (or templates) of a farm, with at most `longest` seconds between, until so many are dead or the
    job is over. Returns how many."""
    killed = 0
    while job.poll() is None and killed < kills:
        workers = [pid for pid in descendants(job.pid)[2:] if alive(pid)]  # after writer and reader
        if workers:
            try:
                os.kill(chance.choice(workers), signal.SIGKILL)
                killed += 1
            except ProcessLookupError:
                pass
        time.sleep(chance.uniform(0, longest))  # the moment is what is random
    return killed


def kill_and_resume(start, who, kills, longest, chance):
    """Starts a job again and again, and kills its supervisor, reader or writer so often, each at a random moment within
    `longest` seconds of its being there. Returns what the last, which was left alone, said, and how many were killed; None for
    what it said if supervisor or writer was killed when all was done, before that was said."""
    killed, was_killed = 0, False
    while True:
        job = start()
        wait_until(lambda: job.poll() is not None or len(descendants(job.pid)) >= 2)  # writer and reader
        everyone = descendants(job.pid)
        if killed < kills:
            time.sleep(chance.uniform(0, longest))  # the moment is what is random
            everyone += descendants(job.pid)
            if job.poll() is None:
                try:
                    os.kill(job.pid if who == "supervisor" else everyone[0 if who == "writer" else 1], signal.SIGKILL)
                    killed += 1
                except ProcessLookupError:
                    pass
        words, errors = job.communicate(timeout=300)
        wait_until(lambda: not any(alive(pid) for pid in everyone))
        if job.returncode == 0:
            return words, killed
        if was_killed and "exists already" in errors:
            return None, killed
        assert job.returncode in (1, -9), errors
        if job.returncode == 1:
            assert f"the {who} was killed by signal 9" in errors, errors
        was_killed = job.returncode == -9 or who == "writer"
