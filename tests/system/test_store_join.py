"""samepage run --join: jobs that were started apart share one store; none of them depends on another."""
import contextlib
import ctypes
import json
import os
import pathlib
import resource
import signal
import socket
import subprocess
import sys

import pytest

from samepage_run import BUILD, PYTHON, SAMEPAGE, alive, root_only, run, wait_until
from store_process import memory_group

MB = 1 << 20
SIZE = 39 * MB  # of the table that store_table makes of the argument 48
# A process's own; its first event memory is one huge page where the kernel makes them everywhere.
OWN = SIZE * 0.1 + 2 * MB * ("[always]" in pathlib.Path("/sys/kernel/mm/transparent_hugepage/enabled").read_text())


def name():
    """One that nobody else joins."""
    return f"test-{os.getpid()}"


def files_of(pid):
    lines = pathlib.Path(f"/proc/{pid}/maps").read_text().splitlines()
    return {line.split()[4] for line in lines if "memfd:samepage-store" in line and " rw-p " in line}


def reasons(statistics, pid):
    file = pathlib.Path(f"{statistics}.{pid}")
    return json.loads(file.read_text())["reasons"] if file.exists() else {}


class Job:
    """One samepage run --join of its own; its program builds a table, says ready, and waits for the file `go`."""

    def __init__(self, folder, *options, enter=None, program=None):
        self.go = folder / "go"
        self.json = folder / f"json-{len(list(folder.iterdir()))}"
        self.json.touch()
        program = program or [str(BUILD / "bin" / "store_table"), "48", str(self.go)]
        self.launcher = subprocess.Popen([SAMEPAGE, "run", "-q", "--json", str(self.json), "--join", name(), *options, "--", *program],
                                         stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=enter)
        self.first = self.launcher.stderr.readline()
        assert self.launcher.stdout.readline() == "ready\n", self.launcher.communicate()[1]
        children = pathlib.Path(f"/proc/{self.launcher.pid}/task/{self.launcher.pid}/children").read_text().split()
        self.pid = next(int(pid) for pid in children if "guard" not in pathlib.Path(f"/proc/{pid}/comm").read_text())

    def anonymous(self):
        """Bytes that are this process's alone."""
        lines = pathlib.Path(f"/proc/{self.pid}/smaps_rollup").read_text().splitlines()
        return next(int(line.split()[1]) << 10 for line in lines if line.startswith("Anonymous:"))

    def files(self):
        """The store's files that it maps for writing to copies of its own."""
        return files_of(self.pid)

    def shares(self):
        return self.anonymous() < OWN and len(self.files()) > 0

    def end(self):
        self.go.touch()
        out, err = self.launcher.communicate(timeout=30)
        assert self.launcher.returncode == 0, err
        return out

    def kill(self):
        if self.launcher.poll() is None:
            self.launcher.kill()
            self.launcher.communicate()
        wait_until(lambda: not alive(self.pid))


@pytest.fixture
def jobs(tmp_path):
    with contextlib.ExitStack() as stack:
        def job(*options, **more):
            one = Job(tmp_path, *options, **more)
            stack.callback(one.kill)
            return one
        yield job


def sockets():
    text = pathlib.Path("/proc/net/unix").read_text()
    return {line.split()[7][1:] for line in text.splitlines() if "@samepage-join-" in line}


def test_two_jobs_share_a_table_that_both_build(jobs):
    one, two = jobs(), jobs()
    assert ("first" in one.first, "joined" in two.first) == (True, True)
    wait_until(lambda: one.shares() and two.shares())
    assert one.files() == two.files()
    assert one.end() == two.end() != ""
    store = [json.loads(job.json.read_text())["store"] for job in (one, two)]
    assert store[0]["name"] == name() and store[0]["all_kb"] * 1024 > SIZE * 0.9
    assert sum(part["charged_here_kb"] for part in store) == store[0]["all_kb"] == store[1]["all_kb"]


PYTHON_TABLE = r"""
import os, sys, time
table = {f"channel {i}": [str(i), float(i), (i, i + 1)] for i in range(150_000)}
print("ready", flush=True)
while not os.path.exists(sys.argv[1]): time.sleep(0.01)
print(sum(value[1] for value in table.values()))
"""


def test_unmodified_python_programs_find_each_other(tmp_path, jobs):
    program = [PYTHON, "-c", PYTHON_TABLE, str(tmp_path / "go")]
    one, two = jobs(program=program), jobs(program=program)
    wait_until(lambda: one.anonymous() < 15 * MB and two.anonymous() < 15 * MB)   # of 60, when they are ready
    assert one.files() == two.files() != set()
    assert one.end() == two.end() != ""


def test_the_first_is_killed_and_the_others_go_on_and_let_more_in(jobs):
    one, two = jobs(), jobs()
    wait_until(lambda: one.shares() and two.shares())
    files = two.files()
    one.kill()
    wait_until(lambda: len(sockets()) > 0)
    three = jobs()
    assert "joined" in three.first
    wait_until(three.shares)
    assert two.shares() and two.files() == three.files() == files
    os.kill(two.launcher.pid, signal.SIGKILL)
    two.kill()
    four = jobs()
    wait_until(four.shares)
    assert three.end() == four.end() != ""


def test_many_that_come_at_once_have_one_store(tmp_path):
    programs = [subprocess.Popen([SAMEPAGE, "run", "-q", "--join", name(), "--", "cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                 stderr=subprocess.PIPE, text=True) for _ in range(12)]
    said = [program.stderr.readline() for program in programs]
    for program in programs:
        program.communicate("")
    assert sum("first" in line for line in said) == 1 and sum("joined" in line for line in said) == 11, said
    assert not sockets()


# ---- who may not

def stranger(text):
    """What another user's Python says."""
    def enter():
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)
    return subprocess.Popen([PYTHON, "-c", "import socket, sys\n" + text], preexec_fn=enter, stdin=subprocess.PIPE,
                            stdout=subprocess.PIPE, text=True)


@root_only
def test_another_user_gets_nothing(jobs):
    before = sockets()
    job = jobs()
    address = (sockets() - before).pop()
    said = stranger(f"""
peer = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
peer.settimeout(10)
peer.connect("\\0{address}")
try: data, ancillary = peer.recvmsg(100, 10000)[:2]
except ConnectionResetError: data, ancillary = b"", []
print(len(data), len(ancillary))
""").communicate()[0]
    assert said == "0 0\n"
    two = jobs()  # as this user does
    assert "joined" in two.first
    assert job.end() == two.end()


@root_only
def test_another_user_who_took_the_name_is_not_trusted(jobs):
    before = sockets()
    job = jobs()
    address = (sockets() - before).pop()
    job.end()
    job.go.unlink()
    squatter = stranger(f"""
taken = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
taken.bind("\\0{address}")
taken.listen()
print("taken", flush=True)
sys.stdin.read()
""")
    assert squatter.stdout.readline() == "taken\n"
    job = jobs()
    assert job.first == f"samepage: store {name()}: not joined: it is another user's; this job shares within itself alone\n"
    assert job.end()
    squatter.communicate()


def test_a_holder_that_does_not_answer_is_not_waited_for(jobs):
    one = jobs()
    os.kill(one.launcher.pid, signal.SIGSTOP)
    try:
        two = jobs()
        assert "not joined: who holds it does not answer" in two.first
        two.end()
    finally:
        os.kill(one.launcher.pid, signal.SIGCONT)
    one.end()


def in_a_user_namespace_of_its_own():
    uid = os.getuid()
    if ctypes.CDLL(None).unshare(0x10000000) != 0:  # CLONE_NEWUSER
        raise OSError("no user namespaces here")
    pathlib.Path("/proc/self/uid_map").write_text(f"{uid} {uid} 1")


def test_jobs_of_two_user_namespaces_keep_apart(jobs):
    one = jobs()
    try:
        two = jobs(enter=in_a_user_namespace_of_its_own)
    except subprocess.SubprocessError:
        pytest.skip("no user namespace can be made here")
    assert "first" in one.first and "first" in two.first
    wait_until(lambda: one.shares() and two.shares())
    assert not one.files() & two.files()
    assert one.end() == two.end() != ""


# ---- who is charged

def test_a_job_stays_in_its_callers_session_and_limits(jobs):
    def enter():
        os.setsid()
        resource.setrlimit(resource.RLIMIT_NOFILE, (333, 444))
    job = jobs(enter=enter)
    assert os.getsid(job.pid) == job.launcher.pid
    assert "Max open files            333                  444" in pathlib.Path(f"/proc/{job.pid}/limits").read_text()
    assert pathlib.Path(f"/proc/{job.pid}/cgroup").read_text() == pathlib.Path("/proc/self/cgroup").read_text()


def test_jobs_of_two_cgroups_keep_apart(jobs):
    with memory_group("join-a") as a, memory_group("join-b") as b, contextlib.ExitStack() as stack:
        one, two = jobs(enter=a.join), jobs(enter=b.join)
        stack.callback(two.kill)
        stack.callback(one.kill)
        assert "first" in one.first and "first" in two.first
        wait_until(lambda: one.shares() and two.shares())
        assert not one.files() & two.files()
        assert one.end() == two.end()


def test_across_cgroups_the_publisher_is_charged_beyond_its_end(jobs):
    with memory_group("join-a") as a, memory_group("join-b") as b, contextlib.ExitStack() as stack:
        one = jobs("--across-cgroups", enter=a.join)
        stack.callback(one.kill)
        wait_until(one.shares)
        two = jobs("--across-cgroups", enter=b.join)
        stack.callback(two.kill)
        assert "joined" in two.first
        wait_until(two.shares)
        used = b.used()
        assert used < SIZE * 0.6 < SIZE * 0.9 < a.used()
        one.kill()
        assert a.used() > SIZE * 0.9 and two.shares()      # nobody is in it any more
        assert b.used() < used + 5 * MB
        two.end()
        assert json.loads(two.json.read_text())["store"]["charged_here_kb"] < SIZE / 1024 * 0.1
        wait_until(lambda: a.used() < SIZE * 0.2)


@pytest.mark.parametrize("across", [False, True])
def test_a_copy_that_is_in_another_cgroup_than_its_launcher_shares_if_told_so(tmp_path, across):
    go, moved = tmp_path / "go", 'echo $$ > "$0/cgroup.procs" && exec "$@"'
    with memory_group("moved") as group:
        command = ["sh", "-c", moved, str(group.path), str(BUILD / "bin" / "store_table"), "48", str(go)]
        with subprocess.Popen([SAMEPAGE, "run", "-q", "-n", "2", "--layout", "fixed", *["--across-cgroups"] * across, "--", *command],
                              env=os.environ | {"SAMEPAGE_STORE_STATISTICS": str(tmp_path / "statistics")},
                              stdout=subprocess.PIPE, text=True) as launcher:
            try:
                assert all("ready" in launcher.stdout.readline() for _ in range(2))
                pids = group.processes()
                assert len(pids) == 2
                if across:
                    wait_until(lambda: group.used() < SIZE * 1.3 and set.intersection(*map(files_of, pids)))
                else:
                    wait_until(lambda: all("cgroup" in reasons(tmp_path / "statistics", pid) for pid in pids))
                    assert not files_of(pids[0]) & files_of(pids[1]) and group.used() > SIZE * 1.8
                go.touch()
                assert launcher.wait(30) == 0
            finally:
                launcher.kill()


# ---- wrong use

@pytest.mark.parametrize("options, said", [
    (["--join", ""], "--join '': a name is up to 64 letters, digits, '-', '_' and '.'"),
    (["--join", "a/b"], "--join 'a/b': a name is up to 64 letters"),
    (["--join", "x", "--layout", "fork"], "--join needs --layout fixed"),
    (["--join", "x", "--no-store"], "--join needs the heap and its store"),
    (["--across-cgroups", "--no-store"], "--across-cgroups needs the heap and its store"),
])
def test_wrong_use_is_one_line(options, said):
    ran = run(*options, "--", "true")
    assert ran.returncode == 2 and said in ran.stderr and ran.stderr.count("\n") == 1, ran
