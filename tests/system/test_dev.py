"""./dev: its help is complete, mistakes are named, missing packages are named with the command that installs them."""
import os
import pathlib
import re
import shutil
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
WORDS = ["deps", "build", "demo", "test", "bench", "lint", "format", "sanitize"]


def dev(*args, root=ROOT, **options):
    return subprocess.run([root / "dev", *args], capture_output=True, text=True, timeout=60, **options)


def test_help_lists_every_word():
    result = dev("help")
    assert result.returncode == 0
    assert re.findall(r"^  (\w+)", result.stdout, re.M) == WORDS + ["help"]
    assert dev().stdout == dev("--help").stdout == result.stdout


@pytest.mark.parametrize("word", WORDS)
def test_every_word_explains_itself(word):
    result = dev(word, "--help")
    assert result.returncode == 0 and result.stdout.startswith(f"usage: ./dev {word}")
    assert len(result.stdout.splitlines()) >= 2


@pytest.mark.parametrize("args, message", [
    (["nope"], "there is no word 'nope'"),
    (["build", "fast"], "there is no preset fast"),
    (["bench", "nope"], "there is no benchmark nope"),
])
def test_mistakes_are_named(args, message):
    result = dev(*args)
    assert result.returncode == 1 and message in result.stderr and result.stderr.count("\n") == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become nobody")
def test_without_root_a_missing_package_is_named_with_its_command(tmp_path):
    shutil.copy(ROOT / "dev", tmp_path)
    (tmp_path / "tools").mkdir()
    (tmp_path / "tools/packages.txt").write_text("bash  # there\nsamepage-no-such-package  # not there\n")
    for folder in [tmp_path, *list(tmp_path.parents)[:2]]:
        folder.chmod(0o755)
    result = dev("deps", root=tmp_path, user="nobody")
    assert result.returncode == 1
    assert result.stderr.splitlines() == [
        "dev: missing packages: samepage-no-such-package",
        "Run: sudo apt-get install --no-install-recommends samepage-no-such-package"]


def test_deps_says_nothing_when_all_is_there(tmp_path):
    shutil.copy(ROOT / "dev", tmp_path)
    (tmp_path / "tools").mkdir()
    (tmp_path / "tools/packages.txt").write_text("# a comment\nbash  # there\n")
    result = dev("deps", root=tmp_path)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


PASSES_THE_SECOND_TIME = "test -e seen || { touch seen; exit 1; }"


@pytest.mark.parametrize("tests, status, last", [
    ({"system/once": PASSES_THE_SECOND_TIME}, 0, "Unsteady, but passed: system/once"),
    ({"system/never": "exit 1", "unit": "exit 0"}, 8, "  system/never: ***Failed"),
    ({"unit": PASSES_THE_SECOND_TIME}, 8, "\t  1 - unit (Failed)"),
    ({"system/once": PASSES_THE_SECOND_TIME, "unit": "exit 1"}, 8, "\t  2 - unit (Failed)"),
    ({f"system/{i}": f"test -e {i} || {{ touch {i}; exit 1; }}" for i in range(3)}, 8, "\t  3 - system/2 (Failed)"),
    ({"system/once": "test -e seen && exit 77; touch seen; exit 1"}, 1, "  system/once: ***Skipped"),
    ({"system/good": "exit 0"}, 0, "100% tests passed, 0 tests failed out of 1"),
])
def test_one_or_two_system_tests_get_a_second_chance_and_nothing_else_does(tmp_path, tests, status, last):
    (tmp_path / "tools").mkdir()
    (tmp_path / "tools/packages.txt").write_text("bash\n")
    shutil.copy(ROOT / "dev", tmp_path)
    shutil.copy(ROOT / "tools/summarise-tests", tmp_path / "tools")
    added = "\n".join(f"add_test(NAME {name} COMMAND sh -c [=[{script}]=])\n"
                      f"set_tests_properties({name} PROPERTIES SKIP_RETURN_CODE 77)" for name, script in tests.items())
    (tmp_path / "CMakeLists.txt").write_text(
        f"cmake_minimum_required(VERSION 3.25)\nproject(few NONE)\nenable_testing()\n{added}\n")
    (tmp_path / "CMakePresets.json").write_text("""{"version": 6,
      "configurePresets": [{"name": "release", "generator": "Ninja", "binaryDir": "${sourceDir}/build/release"}],
      "buildPresets": [{"name": "release", "configurePreset": "release"}]}""")
    for again in range(2 if status == 0 else 1):
        (tmp_path / "build/release/seen").unlink(missing_ok=True)
        result = dev("test", root=tmp_path)
        assert (result.returncode, result.stdout.splitlines()[-1]) == (status, last), result.stdout + result.stderr


def summary(log):
    return subprocess.run([ROOT / "tools/summarise-tests", log], capture_output=True, text=True, check=True).stdout


def test_closing_lines_and_skipped_tests_are_listed(tmp_path):
    log = tmp_path / "LastTest.log"
    log.write_text("""\
1/3 Testing: ksm/Lease
[ RUN      ] Lease.Restores
/source/lease_test.cpp:12: Skipped
no KSM here
[  SKIPPED ] Lease.Restores (0 ms)
[  SKIPPED ] 1 test, listed below:
[ RUN      ] Lease.Other
[       OK ] Lease.Other (0 ms)
2/3 Testing: real/php
SKIPPED [1] tests/real/test_php.py:7: no php
3 passed, 1 skipped in 0.42s
3/3 Testing: system/dev
1 failed, 2 passed in 61.00s (0:01:01)
""")
    assert summary(log) == """\
What pytest said:
  real/php: 3 passed, 1 skipped in 0.42s
  system/dev: 1 failed, 2 passed in 61.00s (0:01:01)
Skipped, and why:
  Lease.Restores: no KSM here
  [1] tests/real/test_php.py:7: no php
"""
    log.write_text("")
    assert summary(log) == "What pytest said:\n  nothing\nSkipped, and why:\n  nothing\n"


def test_layers_hold_and_a_wrong_include_is_found(tmp_path):
    check = ROOT / "tools/check-layers"
    assert subprocess.run([check], capture_output=True, text=True).stdout == ""
    for part, text in [("linux", '#include "heap/phase.h"'), ("cli", '#include "linux/proc_fs.hpp"'), ("util", "")]:
        (tmp_path / "src" / part).mkdir(parents=True)
        (tmp_path / "src" / part / "file.cpp").write_text(text + "\n")
    result = subprocess.run([check, tmp_path], capture_output=True, text=True)
    assert result.returncode == 1
    assert [line.split(":")[0].removeprefix(str(tmp_path)) for line in result.stdout.splitlines()] == [
        "/src/linux/file.cpp", "/src/util/file.cpp"]
