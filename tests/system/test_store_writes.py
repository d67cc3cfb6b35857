"""No write is lost: threads, a signal handler, read(2), recv(2), O_DIRECT AIO and io_uring's registered buffers into constants
around seals and passes."""
import pytest

from store_process import program, threads_can_be_stopped


def test_no_write_is_lost(tmp_path):
    ran = program(tmp_path, "store_writers", 16, 0.5, SAMEPAGE_STORE="manual")
    assert (ran.returncode, ran.stderr) == (0, "")
    *writers, (given_back, seals) = (line.split() for line in ran.stdout.splitlines())
    assert [lost for _, _, lost in writers] == ["0"] * 6, ran.stdout
    if not threads_can_be_stopped():
        pytest.skip("threads may not be stopped here: nothing was sealed")
    assert int(seals) >= 12 and int(given_back) > 100 * 4096, ran.stdout
    assert sum(int(writes) for _, writes, _ in writers) > 10_000_000, ran.stdout
    without = [name for name, writes, _ in writers if int(writes) < 1000]
    if without and set(without) <= {"aio", "io_uring"}:
        pytest.skip(f"no {' nor '.join(without)} here; no other write was lost")
    assert not without, ran.stdout


def test_no_write_is_lost_when_the_library_seals_by_itself(tmp_path):
    """While the first thread waits, for a worker that was forked and lives on."""
    ran = program(tmp_path, "store_writers", 1, 4, "waits", SAMEPAGE_STORE_MIN="1M", SAMEPAGE_RESHARE_BUDGET="50")
    assert (ran.returncode, ran.stderr) == (0, "")
    *writers, (_, seals) = (line.split() for line in ran.stdout.splitlines())
    assert [lost for _, _, lost in writers] == ["0"] * 6, ran.stdout
    if not threads_can_be_stopped():
        pytest.skip("threads may not be stopped here: nothing was sealed")
    assert seals == "1", ran.stdout
