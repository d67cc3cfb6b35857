"""CPython's own regression tests: each of them has the same outcome with the heap as without."""
import concurrent.futures
import os
import xml.etree.ElementTree

import pytest

from plain_and_heap import PYTHON, run

# Threads, processes, memory, and data formats that allocate a lot; the longest first. Debian leaves out the tests of
# sqlite3; test_python.py has one.
MODULES = """test_multiprocessing_fork test_io test_subprocess test_threading test_os test_pickle
test_json test_gc test_mmap test_memoryview test_bytes test_array test_posix test_fork1 test_thread test_buffer""".split()


def outcomes(folder, preload, modules):
    """{test: outcome}, and what was printed, of one run of Python's own test runner in a new folder."""
    folder.mkdir()
    report = folder / "report.xml"
    ran = run([PYTHON, "-m", "test", "-j3", "--timeout", "240", "--junit-xml", report, *modules], preload, seconds=600,
              cwd=folder, stdin=open(os.devnull))
    said = ran.stdout + ran.stderr
    assert report.exists(), said[-4000:]
    found = {}
    for case in xml.etree.ElementTree.parse(report).getroot().iter("testcase"):
        outcome = {child.tag for child in case} & {"failure", "error", "skipped"}
        found[case.get("name")] = (case.get("result"), *sorted(outcome))
    return found, said


def test_same_outcomes(tmp_path, heap):
    if run([PYTHON, "-c", "import test.test_threading"]).returncode:
        pytest.skip("libpython3.11-testsuite is not installed")
    # Both at once: they wait more than they compute.
    with concurrent.futures.ThreadPoolExecutor() as pool:
        runs = [pool.submit(outcomes, tmp_path / name, preload, MODULES)
                for name, preload in (("plain", None), ("heap", heap))]
        (plain, _), (ours, said) = (one.result() for one in runs)
    assert len(plain) > 2500
    different = {name for name in plain.keys() | ours.keys() if plain.get(name) != ours.get(name)}
    # Some tests measure time, and fail now and then on a busy machine: those have a second try, in both ways.
    again = sorted({module for module in MODULES for name in different if module in name})
    if different and again:
        plain, _ = outcomes(tmp_path / "plain-again", None, again)
        ours, said = outcomes(tmp_path / "heap-again", heap, again)
        different = {name for name in different if plain.get(name) != ours.get(name)}
    assert not different, f"{ {name: (plain.get(name), ours.get(name)) for name in different} }\n{said[-6000:]}"
