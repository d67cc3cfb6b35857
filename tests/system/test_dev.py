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


def test_skipped_tests_are_listed_with_their_reasons(tmp_path):
    log = tmp_path / "LastTest.log"
    log.write_text("""\
[ RUN      ] Lease.Restores
/source/lease_test.cpp:12: Skipped
no KSM here
[  SKIPPED ] Lease.Restores (0 ms)
[  SKIPPED ] 1 test, listed below:
[ RUN      ] Lease.Other
[       OK ] Lease.Other (0 ms)
SKIPPED [1] tests/real/test_php.py:7: no php
""")
    result = subprocess.run([ROOT / "tools/list-skipped", log], capture_output=True, text=True)
    assert result.stdout == ("Skipped, and why:\n  Lease.Restores: no KSM here\n  [1] tests/real/test_php.py:7: no php\n")
    log.write_text("")
    result = subprocess.run([ROOT / "tools/list-skipped", log], capture_output=True, text=True)
    assert result.stdout == "Nothing was skipped.\n"
