import pytest

from plain_and_heap import HEAP, run


@pytest.fixture(scope="session")
def heap():
    """Path of the library to preload, once it is seen that it really comes in."""
    if not HEAP.exists():
        pytest.skip(f"{HEAP} is not built")
    ran = run(["cat", "/proc/self/maps"], HEAP)
    assert ran.returncode == 0 and str(HEAP) in ran.stdout, ran.stderr
    return HEAP


@pytest.fixture(params=["plain", "heap"])
def preload(request, heap):
    """The test is run both without and with the heap; only the second counts, the first shows that the test is right."""
    return heap if request.param == "heap" else None
