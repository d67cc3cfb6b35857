"""No write is lost: threads, a signal handler, read(2), recv(2) and O_DIRECT AIO into constants around seals and passes."""
import pytest

from store_process import program


def test_no_write_is_lost(tmp_path):
    ran = program(tmp_path, "store_writers", 16, 0.5, SAMEPAGE_STORE="manual")
    assert (ran.returncode, ran.stderr) == (0, "")
    writes, lost, given_back, seals = map(int, ran.stdout.split())
    if not seals:
        pytest.skip("threads could not be stopped here")
    assert lost == 0
    assert writes > 10_000_000 and given_back > 100 * 4096
