"""Many allocations and many forks at once: nothing crashes, nothing hangs."""
import time

import pytest

from plain_and_heap import BUILD, need, run, succeed


def test_stress_ng(heap):
    need("stress-ng")
    ran = run(["stress-ng", "--malloc", "2", "--fork", "2", "--verify", "--timeout", "10s", "--metrics-brief"], heap)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "fail:" not in ran.stdout + ran.stderr


def as_many_as_take_a_minute(most, command):
    """Of so many: in some virtual machines a fork takes a tenth of a second. `command(n)` is to be run without the heap."""
    few = 50
    began = time.monotonic()
    succeed(command(few), None, seconds=240)
    return min(most, max(few, int(few * 60 / (time.monotonic() - began))))


@pytest.mark.parametrize("generation", ["children", "grandchildren"])
def test_10000_forks_while_8_threads_allocate(heap, generation):
    program = BUILD / "bin" / "fork_storm"
    if not program.exists():
        pytest.skip(f"{program} is not built")
    forks = as_many_as_take_a_minute(10000 if generation == "children" else 1000, lambda number: [program, number, 8, generation])
    assert succeed([program, forks, 8, generation], heap, seconds=240) == f"{forks} forks\n"
