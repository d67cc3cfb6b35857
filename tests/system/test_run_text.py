"""What samepage run writes, whole: the table with its figures taken out, the help, a comparison with an earlier run."""
import json
import re

from samepage_run import PYTHON, run

SLEEP = [PYTHON, "-c", "import time; time.sleep(2)"]

TABLE = """\
copy  process  pid  peak RSS  private  of it libraries  shared  of it data  exit
0     python3  PID  SIZE      SIZE     SIZE             SIZE    SIZE        0
1     python3  PID  SIZE      SIZE     SIZE             SIZE    SIZE        3
copy 1: exit 3
2 copies, 2 processes: together SIZE, alone SIZE (estimated), saved SIZE (PART %), at TIME when all had settled
"""

HELP = """\
start a program, or copies of it, and show the memory that they share
Usage: samepage run [OPTIONS] [command...]

Positionals:
  command ...                 PROGRAM ARGS…; {rank} and {copies} are replaced

Options:
  -h,--help                   Print this help message and exit
  -n,--copies N Excludes: --each
                              copies of the program (1)
  --each FILE Excludes: --copies
                              one copy per line of FILE, with the line's arguments
  -j,--at-once N              copies that run at the same time (all)
  --output DIR                write each copy's output to DIR/copy-RANK.log
  --json FILE                 write the result as data
  --alone-from FILE           compare with the measured memory of an earlier run's JSON
  --layout HOW                one memory layout for all copies: fork, fixed or none (fork)
  --ksm                       let the kernel merge equal pages while the copies run
  --why                       compare the copies' memory: what would be ideal, and what keeps the rest apart
  --no-heap                   keep the program's own malloc
  --no-store                  share only what a fork or --ksm shares
  --join NAME                 share with other jobs of this user and cgroup that join NAME (layout: fixed)
  --across-cgroups            share with processes (and jobs that join) in other cgroups; who publishes is charged
  --no-seed                   leave the hash seeds of Python and Perl alone
  -q,--quiet                  no table and no live status


Examples:
  samepage run -n 4 -- ./reco --slice {rank}/{copies} events.hepmc3
  samepage run -n 4 --ksm --json memory.json -- python3 worker.py {rank}
  samepage run --each slices.txt -j 2 --output logs -- ./reco
  samepage run -- gunicorn --preload app:app
  samepage run --join tables -- ./reco slice-17.txt

The programs' output goes where it went; the table goes to standard error.
Exit status: the program's own, with several copies the first one's that failed (128 + N after signal N);
126 it cannot be executed; 127 it is not found; 2 wrong usage; 1 anything else.
"""


def without_figures(text):
    for pattern, word in [(r"-?\d+(\.\d+)? [MG]B", "SIZE"), (r"\(-?\d+ %\)", "(PART %)"), (r"\d\d:\d\d:\d\d", "TIME")]:
        text = re.sub(pattern, word, text)
    lines = [re.sub(r"^( *\d+  +\S+ +)\d+", r"\1PID", line) for line in text.splitlines()]
    # The columns are as wide as the figures: their gaps are put right by the words that stand there now.
    rows = [re.split(r" {2,}", line.strip()) for line in lines if "  " in line]
    widths = [max(map(len, column)) for column in zip(*rows)]
    laid_out = iter("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows)
    return "".join((next(laid_out) if "  " in line else line) + "\n" for line in lines)


def test_the_table():
    program = "import sys, time; time.sleep(2); sys.exit(3 * int(sys.argv[1]))"
    result = run("-n", 2, "--", PYTHON, "-c", program, "{rank}")
    assert result.stdout == ""
    assert without_figures(result.stderr) == TABLE


def test_the_help():
    result = run("--help")
    assert (result.returncode, result.stderr) == (0, "")
    assert [line.rstrip() for line in result.stdout.strip().splitlines()] == HELP.strip().splitlines()


def test_alone_is_taken_from_an_earlier_run(tmp_path):
    plain, shared = tmp_path / "plain.json", tmp_path / "shared.json"
    assert run("-q", "-n", 2, "--layout", "none", "--no-heap", "--json", plain, "--", *SLEEP).returncode == 0
    result = run("-n", 2, "--alone-from", plain, "--json", shared, "--", *SLEEP)
    measured, report = json.loads(plain.read_text()), json.loads(shared.read_text())
    assert report["alone_kb"] == measured["together_kb"]
    assert report["saved_kb"] == report["alone_kb"] - report["together_kb"]
    assert "alone" in result.stderr and "(estimated)" not in result.stderr


def test_a_table_of_what_was_too_short_to_be_seen():
    """Its rows have a name and an exit status all the same."""
    result = run("-n", 2, "--json", "/dev/stdout", "--", "true")
    assert re.findall(r"^ *\d  (\S+) ", result.stderr, re.M) == ["true", "true"]
    assert result.stderr.endswith("\n2 copies: too short-lived to be measured\n")
    report = json.loads(result.stdout)
    assert [process["command"] for process in report["processes"]] == ["true", "true"]
    assert [process["exit_code"] for process in report["processes"]] == [0, 0]
    assert report["together_kb"] is None


def test_a_full_device_is_one_line():
    result = run("-q", "--json", "/dev/full", "--", "true")
    assert (result.returncode, result.stderr) == (1, "samepage: /dev/full: No space left on device\n")


def test_a_json_that_cannot_be_written_is_known_before_anything_runs(tmp_path):
    result = run("--json", tmp_path / "no" / "r.json", "--", "touch", tmp_path / "ran")
    assert result.returncode == 1 and len(result.stderr.splitlines()) == 1
    assert not (tmp_path / "ran").exists()


def test_standard_output_on_a_full_device_is_one_line():
    with open("/dev/full", "w") as full:
        result = run("-q", "-n", 2, "--", "echo", "hello", capture_output=False, stdout=full, stderr=-1)
    assert result.returncode != 0
    assert result.stderr == "samepage: output cannot be written (standard output): No space left on device\n"
