"""samepage run as its users see it: the binary, real programs, the real kernel."""
import json
import os
import pathlib
import pty
import re
import shutil
import subprocess
import time

import pytest

from samepage_run import PYTHON, SAMEPAGE, lines, read_to_end, root_only, run, wait_until


# ---- one copy, many copies

def test_one_copy_has_the_streams_and_the_status_of_its_own():
    result = run("-q", "--", "sh", "-c", "cat; echo err >&2; exit 7", input="in")
    assert (result.stdout, result.stderr, result.returncode) == ("in", "err\n", 7)


def test_several_copies_are_prefixed_and_know_their_rank():
    result = run("-q", "-n", 3, "--", "sh", "-c", "echo $SAMEPAGE_RANK/$SAMEPAGE_COPIES $1", "sh", "{rank}of{copies}")
    assert lines(result.stdout) == {i: [f"{i}/3 {i}of3"] for i in range(3)}
    assert result.stderr == ""


def test_the_first_failure_is_the_status_and_all_are_listed():
    result = run("-n", 3, "-j", 1, "--", "sh", "-c", "[ {rank} = 0 ] || { [ {rank} = 2 ] && kill -9 $$; exit 4; }")
    assert result.returncode == 4
    assert "copy 1: exit 4\n" in result.stderr and "copy 2: killed by SIGKILL\n" in result.stderr


def test_each_line_is_a_copy(tmp_path):
    (tmp_path / "lines").write_text("one\n'two words' {rank}\n\nthree\n")
    result = run("-q", "--each", tmp_path / "lines", "-j", 2, "--", "printf", "<%s>")
    assert lines(result.stdout) == {0: ["<one>"], 1: ["<two words><1>"], 2: ["<three>"]}


def test_output_is_a_file_per_copy(tmp_path):
    result = run("-q", "-n", 2, "--output", tmp_path / "logs", "--", "sh", "-c", "echo out{rank}; echo err >&2")
    assert result.stdout == ""
    assert (tmp_path / "logs" / "copy-1.log").read_text() == "out1\nerr\n"


# ---- one layout

SHOW = r"""
import os
s = open('/proc/self/stat').read().rsplit(')', 1)[1].split()
print([line.split()[0] for line in open('/proc/self/maps') if 'libc.so' in line][0], s[23], s[25])
"""


def test_copies_share_a_layout_and_runs_do_not():
    seen = [lines(run("-q", "-n", 3, "--", PYTHON, "-c", SHOW).stdout) for _ in range(2)]
    layouts = [{tuple(copy) for copy in one.values()} for one in seen]
    assert [len(layout) for layout in layouts] == [1, 1]
    assert layouts[0] != layouts[1]


def test_without_a_common_layout_copies_differ():
    copies = lines(run("-q", "-n", 2, "--layout", "none", "--", PYTHON, "-c", SHOW).stdout)
    assert copies[0] != copies[1]


def test_a_fixed_layout_is_announced_and_survives_an_exec():
    result = run("-n", 2, "--layout", "fixed", "--", "sh", "-c", f"exec {PYTHON} -c \"$1\"", "sh", SHOW)
    copies = lines(result.stdout)
    assert copies[0] == copies[1]
    assert "address randomisation is off" in result.stderr


def test_a_copy_that_execs_away_is_named():
    result = run("-n", 2, "--", "sh", "-c", "exec sleep 1")
    assert result.stderr.count("exec'd: own layout") == 2


def test_copies_share_one_hash_seed_unless_told_otherwise():
    program = [PYTHON, "-c", "print(hash('a'))"]
    one, two = (lines(run("-q", "-n", 2, "--", *program).stdout) for _ in range(2))
    assert one[0] == one[1] and two[0] == two[1] and one[0] != two[0]
    own = lines(run("-q", "-n", 2, "--no-seed", "--", *program).stdout)
    assert own[0] != own[1]
    perl = lines(run("-q", "-n", 2, "--", "perl", "-e", "my %h = map {$_ => 1} 1..50; print join(',', keys %h)").stdout)
    assert perl[0] == perl[1]


# ---- each copy is itself

LOOK = r"""
import ctypes, os, sys
me = '/proc/self/'
print(open(me + 'cmdline').read().split('\0')[:-1] == sys.orig_argv, end=' ')
kernel = dict(e.split('=', 1) for e in open(me + 'environ').read().split('\0') if e)
print(kernel == {k: v for k, v in os.environ.items() if k != 'LC_CTYPE'}, end=' ')
environ = ctypes.POINTER(ctypes.c_char_p).in_dll(ctypes.CDLL(None), 'environ')
print('SAMEPAGE_CONTROL' in os.environ or 'libsamepage-group' in os.environ.get('LD_PRELOAD', ''), end=' ')
print(open(me + 'comm').read().strip(), os.getppid() == int(sys.argv[2]), 'SigBlk:\t0000000000000000\n' in open(me + 'status').read(), sys.argv[1], sorted(os.listdir(me + 'fd'), key=int))
"""


def test_command_line_environment_parent_and_descriptors_are_the_copys_own():
    # The wrapper becomes samepage by an exec, so that it can tell the copies their parent's PID.
    wrapper = ("import os, sys; os.execv(sys.argv[1], [sys.argv[1], 'run', '-q', '-n', '2', '--', '/usr/bin/python3', '-c', "
               "sys.argv[2], '{rank}', str(os.getpid())])")
    out = subprocess.run([PYTHON, "-c", wrapper, SAMEPAGE, LOOK], capture_output=True, text=True, timeout=60)
    for rank, seen in lines(out.stdout).items():
        assert seen == [f"True True False python3 True True {rank} ['0', '1', '2', '3']"]  # 3: listing the folder


def test_arguments_of_different_length(tmp_path):
    words = ["x", "y" * 5000, "a b c d e f"]
    (tmp_path / "lines").write_text("\n".join(words) + "\n")
    out = run("-q", "--each", tmp_path / "lines", "--", PYTHON, "-c",
              "import sys; print(*sys.argv[1:]); print(open('/proc/self/cmdline').read().split('\\0')[3:-1] == sys.argv[1:])")
    assert lines(out.stdout) == {i: [word, "True"] for i, word in enumerate(words)}


def test_scripts_are_forked_through_their_interpreter(tmp_path):
    script = tmp_path / "job"
    script.write_text(f"#!{PYTHON}\n{SHOW}\nprint(open('/proc/self/comm').read().strip())\n")
    script.chmod(0o755)
    copies = lines(run("-q", "-n", 2, "--", script).stdout)
    assert copies[0] == copies[1] and copies[0][-1] == "job"


@pytest.mark.parametrize("command", [
    ["sh", "-c", "bash -c 'sh -c \"echo done\"'"],
    ["bash", "-c", "env | grep -c SAMEPAGE_CONTROL; bash -c 'echo done'"],
    ["timeout", "20", "sh", "-c", "echo done"],
    pytest.param(["Rscript", "-e", "cat('done\\n')"],
                 marks=pytest.mark.skipif(not shutil.which("Rscript"), reason="R is not installed")),
])
def test_the_hook_acts_once(command):
    """A prototype forked at every exec of a wrapper: the processes are counted in a cgroup of at most 100."""
    group = pathlib.Path("/sys/fs/cgroup/pids/samepage-test")
    if not group.parent.is_dir() or os.geteuid() != 0:
        pytest.skip("no pids cgroup that this user may use")
    group.mkdir(exist_ok=True)
    try:
        (group / "pids.max").write_text("100")
        out = run("-q", "-n", 2, "--", *command, preexec_fn=lambda: (group / "cgroup.procs").write_text(str(os.getpid())))
        assert out.returncode == 0, out.stderr
        assert all(copy[-1] == "done" for copy in lines(out.stdout).values())
        assert (group / "pids.events").read_text() == "max 0\n"
    finally:
        wait_until(lambda: not (group / "cgroup.procs").read_text())
        group.rmdir()


def test_threads_before_main_mean_a_plain_start(tmp_path):
    source = tmp_path / "threads.c"
    source.write_text("#include <pthread.h>\n#include <unistd.h>\n"
                      "static void *nap(void *p) { pause(); return p; }\n"
                      "__attribute__((constructor)) static void go(void) { pthread_t t; pthread_create(&t, 0, nap, 0); }\n")
    subprocess.run(["cc", "-shared", "-fPIC", source, "-o", tmp_path / "libthreads.so"], check=True)
    out = run("-n", 2, "--", "echo", "hello", env={**os.environ, "LD_PRELOAD": str(tmp_path / "libthreads.so")})
    assert lines(out.stdout) == {0: ["hello"], 1: ["hello"]}
    assert "more than one thread before main" in out.stderr


# ---- accounts

def test_workers_are_rows_and_the_json_has_the_keys(tmp_path):
    program = "import multiprocessing as m, time\nwith m.Pool(3) as p: p.map(time.sleep, [2] * 3)"
    out = run("--json", tmp_path / "r.json", "--", PYTHON, "-c", program)
    report = json.loads((tmp_path / "r.json").read_text())
    assert set(report) == {"processes", "together_kb", "alone_kb", "saved_kb", "measured_at", "samples"}
    assert len(report["processes"]) == 4
    assert set(report["processes"][0]) == set(
        "copy pid ppid command exit_code signal peak_rss_kb private_kb library_data_kb shared_kb pss_kb ksm_kb".split())
    assert report["saved_kb"] == report["alone_kb"] - report["together_kb"] > 0
    assert re.search(r"^1 copy, 4 processes: together .* when all had settled$", out.stderr, re.M)


@root_only
@pytest.mark.parametrize("options", [["--no-store"], []], ids=["apart", "shared"])
def test_together_is_what_the_cgroup_counts(tmp_path, options):
    memory = pathlib.Path("/sys/fs/cgroup/memory")
    v2 = pathlib.Path("/sys/fs/cgroup/cgroup.controllers")
    if memory.is_dir():
        group, usage = memory / "samepage-test", "memory.usage_in_bytes"
    elif v2.exists() and "memory" in v2.read_text():
        group, usage = v2.parent / "samepage-test", "memory.current"
    else:
        pytest.skip("no memory controller")
    group.mkdir(exist_ok=True)
    try:
        program = "import time\nx = bytearray(b'x') * 100_000_000\ntime.sleep(6)"
        process = subprocess.Popen([SAMEPAGE, "run", "-q", "-n", "2", *options, "--json", tmp_path / "r.json", "--", PYTHON, "-c",
                                    program],
                                   preexec_fn=lambda: (group / "cgroup.procs").write_text(str(os.getpid())))
        counted = {}
        while process.poll() is None:
            now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
            counted.setdefault(now, []).append(int((group / usage).read_text()))
            time.sleep(0.1)
        told = json.loads((tmp_path / "r.json").read_text())
        at_that_time = counted[told["measured_at"]]
        assert any(told["together_kb"] * 1024 == pytest.approx(figure, rel=0.08) for figure in at_that_time), (
            told["together_kb"] * 1024, at_that_time)
    finally:
        wait_until(lambda: not (group / "cgroup.procs").read_text())
        group.rmdir()


# ---- bad input

@pytest.mark.parametrize("arguments, status, text", [
    ([], 2, "no program"),
    (["--", "samepage-no-such-program"], 127, "not found"),
    (["--", "/etc/passwd"], 126, "not executable"),
    (["-n", "0", "--", "true"], 2, "0 not in range"),
    (["-n", "-1", "--", "true"], 2, "-1 not in range"),
    (["-n", "100000000000", "--", "true"], 2, "100000000000 not in range 1 to 10000"),
    (["-j", "0", "--", "true"], 2, "0 not in range"),
    (["--layout", "foo", "--", "true"], 2, "foo not in {fork,fixed,none}"),
    (["--json", "/tmp", "--", "true"], 1, "/tmp: Is a directory"),
    (["--json", "-", "--", "true"], 2, "standard output is the copies'"),
    (["--each", "/nowhere", "--", "true"], 2, "cannot be read"),
    (["--alone-from", "/etc/passwd", "--", "true"], 2, "not a report"),
    (["--no-such-option", "--", "true"], 2, "no-such-option"),
])
def test_bad_input_is_one_line(arguments, status, text):
    result = run(*arguments)
    assert result.returncode == status
    assert text in result.stderr and len(result.stderr.splitlines()) == 1


@root_only
def test_a_full_disk_is_one_line_per_file(tmp_path):
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16k", "samepage-test", tmp_path], check=True)
    try:
        result = run("-q", "--output", tmp_path, "--", "sh", "-c", "head -c 100000 /dev/zero; sleep 1")
        assert result.returncode != 0
        assert result.stderr.count("No space left on device") == 1
    finally:
        subprocess.run(["umount", tmp_path], check=True)


def test_a_json_that_cannot_be_written_is_one_line(tmp_path):
    result = run("-q", "--json", tmp_path / "no" / "r.json", "--", "true")
    assert result.returncode == 1 and len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize("arguments, text", [
    (["no-such-command", "--", "true"], "no command no-such-command"),
    ([], "subcommand is required"),
])
def test_an_unknown_command_is_one_line(arguments, text):
    result = subprocess.run([SAMEPAGE, *arguments], capture_output=True, text=True)
    assert result.returncode == 2 and result.stdout == ""
    assert text in result.stderr and len(result.stderr.splitlines()) == 1


def test_help_is_a_command_too():
    pages = [subprocess.run([SAMEPAGE, *words], capture_output=True, text=True, check=True).stdout
             for words in [["help"], ["--help"], ["help", "run"], ["run", "--help"]]]
    assert pages[0] == pages[1] and pages[2] == pages[3] and "Examples:" in pages[2] and "Exit status:" in pages[2]


@pytest.mark.parametrize("arguments", [["--help"], ["why", "--json", "-", str(os.getpid())], ["ksm", "status"]])
def test_output_that_is_lost_is_a_failure(arguments):
    with open("/dev/full", "w") as full:
        result = subprocess.run([SAMEPAGE, *arguments], stdout=full, stderr=subprocess.PIPE, text=True)
    assert result.returncode == 1 and len(result.stderr.splitlines()) == 1
    assert "No space left on device" in result.stderr


# ---- terminal

def test_a_terminal_shows_a_live_status_and_a_pipe_does_not():
    ours, theirs = pty.openpty()
    process = subprocess.Popen([SAMEPAGE, "run", "-n", "2", "--", "sleep", "2"], stderr=theirs, stdout=theirs)
    os.close(theirs)
    text = read_to_end(ours)
    assert process.wait() == 0
    assert b"2 copies alive, private" in text
    assert "alive" not in run("-n", 2, "--", "sleep", "2").stderr


def test_the_first_help_page_keeps_our_words_out():
    page = subprocess.run([SAMEPAGE, "--help"], capture_output=True, text=True, check=True).stdout
    assert not re.search(r"\b(settle|seal|store|re-share)", page)
