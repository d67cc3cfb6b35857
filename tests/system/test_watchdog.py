"""samepage watchdog on the real kernel: it adopts, merges, rests, and puts every setting back, also after a kill."""
import contextlib
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time

import pytest

from ksm_host import SYSFS, ksm_alone, put, settings  # noqa: F401 (ksm_alone is a fixture)

BUILD = pathlib.Path(os.environ.get("SAMEPAGE_BUILD", "build/release"))
SAMEPAGE = str(BUILD / "bin" / "samepage")
RUN = pathlib.Path("/run/samepage")
DATA = pathlib.Path(__file__).parent / "data"
MEGABYTES = 60
COPY = f"""
import random, sys
data = random.Random(7).randbytes({MEGABYTES} << 20)
print("ready", flush=True)
sys.stdin.read()
"""


class Daemon:
    def __init__(self, *arguments, folder, prefix=(), **options):
        self.log_file = tempfile.NamedTemporaryFile("w+", dir=folder, suffix=".log")
        self.process = subprocess.Popen([*prefix, SAMEPAGE, "watchdog", *map(str, arguments)],
                                        stderr=self.log_file, stdout=subprocess.DEVNULL, **options)

    @property
    def log(self):
        return pathlib.Path(self.log_file.name).read_text()

    def wait_for(self, words, count=1, seconds=60):
        end = time.monotonic() + seconds
        while self.log.count(words) < count:
            assert self.process.poll() is None, self.log
            assert time.monotonic() < end, f"never said {words!r}:\n{self.log}"
            time.sleep(0.02)

    def terminate(self):
        self.process.terminate()
        assert self.process.wait(20) == 0, self.log
        return self.log


@pytest.fixture
def daemon(ksm_alone, tmp_path):
    """Starts daemons, which do not outlive the test."""
    started = []

    def start(*arguments, **options):
        started.append(Daemon(*arguments, folder=tmp_path, **options))
        return started[-1]
    yield start
    for one in started:
        if one.process.poll() is None:
            one.process.terminate()
            one.process.wait(20)


@pytest.fixture
def member(tmp_path):
    """A program that no other process of this host runs: python3 under a path of its own."""
    return shutil.copy(os.path.realpath("/usr/bin/python3"), tmp_path / "watchdog-member")


@pytest.fixture
def rules(tmp_path, member):
    file = tmp_path / "watchdog.toml"
    file.write_text(f'[[adopt]]\nname = "test"\nexecutable = "{member}"\n')
    return file


@contextlib.contextmanager
def group(member, count=3, **options):
    copies = [subprocess.Popen([member, "-I", "-S", "-c", COPY], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                               **options) for _ in range(count)]
    try:
        assert all(copy.stdout.readline() == "ready\n" for copy in copies)
        yield [copy.pid for copy in copies]
    finally:
        for copy in copies:
            copy.kill()
            copy.wait()


def merged_bytes(pid):
    return int(pathlib.Path(f"/proc/{pid}/ksm_merging_pages").read_text()) * os.sysconf("SC_PAGESIZE")


def failure(*arguments, prefix=()):
    ran = subprocess.run([*prefix, SAMEPAGE, "watchdog", *map(str, arguments)], capture_output=True, text=True, timeout=20)
    assert ran.stdout == ""
    return ran.returncode, ran.stderr


def ask(path, line):
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(5)
        client.connect(str(path))
        client.sendall(line.encode())
        answer = b""
        while piece := client.recv(65536):
            answer += piece
        return answer.decode()


def test_adopts_merges_rests_and_puts_back(daemon, rules, member):
    before = settings()
    with group(member) as pids:
        watchdog = daemon("--config", rules)  # all are ready: it adopts them at one look
        watchdog.wait_for("watching: 1 rules")
        watchdog.wait_for("rest: ")
        for pid in pids:
            assert f"adopt {pid}: rule test" in watchdog.log
            assert merged_bytes(pid) >= 0.95 * (MEGABYTES << 20)
        assert settings() == before, "nothing stays changed between bursts"
        log = watchdog.terminate()
        assert log.endswith("ended: KSM's settings are put back, what is merged stays merged\n")
        assert merged_bytes(pids[0]) >= 0.95 * (MEGABYTES << 20)
    assert settings() == before
    assert not (RUN / "watchdog.sock").exists() and not (RUN / "ksm.json").exists()


def test_a_burst_that_is_terminated_puts_back(daemon, rules, member):
    before = settings()
    watchdog = daemon("--config", rules)
    with group(member):
        watchdog.wait_for("burst: ")
        watchdog.terminate()
        assert settings() == before


def test_goes_on_after_a_kill(daemon, rules, member):
    before = settings()
    with group(member) as pids:
        watchdog = daemon("--config", rules)
        watchdog.wait_for("burst: ")
        watchdog.process.kill()
        watchdog.process.wait()
        assert settings() != before
        second = daemon("--config", rules)
        second.wait_for("rest: ")
        assert "adopt" not in second.log, "it knows whom it has adopted"
        assert settings() == before
        for pid in pids:
            assert merged_bytes(pid) >= 0.95 * (MEGABYTES << 20)
        second.terminate()
    assert settings() == before


def test_what_the_unit_leaves_it_is_enough(daemon, tmp_path):
    """Under systemd it has few capabilities of root's; here it gets the same, for programs of another user."""
    unit = (pathlib.Path(__file__).parents[2] / "packaging/systemd/samepage-watchdog.service.in").read_text()
    wanted = unit.split("CapabilityBoundingSet=")[1].splitlines()[0].lower().split()
    bounding = "-all," + ",".join("+" + name.removeprefix("cap_") for name in wanted)
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:  # where nobody may go
        os.chmod(folder, 0o755)
        member = shutil.copy(os.path.realpath("/usr/bin/python3"), pathlib.Path(folder) / "member")
        rules = tmp_path / "watchdog.toml"
        rules.write_text(f'[[adopt]]\nexecutable = "{member}"\nuser = 65534\n')
        before = settings()
        with group(member, user=65534, group=65534, extra_groups=[]) as pids:
            watchdog = daemon("--config", rules, prefix=["setpriv", "--no-new-privs", f"--bounding-set={bounding}"])
            watchdog.wait_for("rest: ")
            assert all(merged_bytes(pid) >= 0.95 * (MEGABYTES << 20) for pid in pids)
            log = watchdog.terminate()
        assert "failed" not in log
    assert settings() == before


def test_two_daemons(daemon):
    watchdog = daemon()
    watchdog.wait_for("watching")
    assert failure() == (1, f"samepage: a watchdog is running already (PID {watchdog.process.pid})\n")
    watchdog.terminate()


def test_dry_run_changes_nothing(daemon, rules, member, tmp_path):
    before = settings()
    trace = tmp_path / "trace"
    with group(member) as pids:
        watchdog = daemon("--config", rules, "--dry-run", "--record", trace)
        watchdog.wait_for("adopt ", count=3)
        assert settings() == before
        log = watchdog.terminate()
        assert all(merged_bytes(pid) == 0 for pid in pids)
    assert "dry run" in log
    assert not (RUN / "watchdog.sock").exists()
    replayed = subprocess.run([SAMEPAGE, "watchdog", "--replay", trace], capture_output=True, text=True, check=True).stdout
    said = [line.split(" ", 1)[1] for line in log.splitlines()]
    assert [line.split(" s  ", 1)[1] for line in replayed.splitlines()] == \
        [line for line in said if not line.startswith(("watching", "ended"))]


def test_sighup_reads_the_rules_again(daemon, rules, member, tmp_path):
    right = rules.read_text()
    rules.write_text("")
    trace = tmp_path / "trace"
    with group(member):
        watchdog = daemon("--config", rules, "--dry-run", "--record", trace)
        watchdog.wait_for("watching: 0 rules")
        rules.write_text(right + 'copis = 3\n')
        watchdog.process.send_signal(signal.SIGHUP)
        watchdog.wait_for(f"not read again, the old rules stay: {rules}:4: adopt.copis")
        rules.write_text(right)
        watchdog.process.send_signal(signal.SIGHUP)
        watchdog.wait_for("adopt ", count=3)
        log = watchdog.terminate()
    assert log.count("read again: 1 rules") == 1
    replayed = subprocess.run([SAMEPAGE, "watchdog", "--replay", trace], capture_output=True, text=True, check=True).stdout
    assert replayed.count("adopt ") == 3, "the trace holds the new rules"


def test_replay_of_a_recorded_trace():
    ran = subprocess.run([SAMEPAGE, "watchdog", "--replay", DATA / "watchdog_trace.jsonl"], capture_output=True, text=True)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout == (DATA / "watchdog_trace.txt").read_text()


def test_a_running_advisor_is_left_alone(daemon, rules, member):
    if not (SYSFS / "advisor_mode").exists():
        pytest.skip("this kernel has no advisor (Linux 6.8)")
    put("advisor_mode", "scan-time")
    put("run", "1")
    try:
        found = settings()
        watchdog = daemon("--config", rules)
        watchdog.wait_for("note: the kernel's advisor (scan-time) sets KSM's pace; it is left alone")
        with group(member):
            watchdog.wait_for("adopt ", count=3)
            log = watchdog.terminate()
        assert "burst" not in log
        assert {**settings(), "pages_to_scan": ""} == {**found, "pages_to_scan": ""}  # the advisor sets that one
    finally:
        put("run", "0")
        put("advisor_mode", "none")
        put("pages_to_scan", "100")


def test_programs_ask_for_a_burst(daemon, member):
    watchdog = daemon()
    watchdog.wait_for("watching")
    sock = RUN / "watchdog.sock"
    with group(member, 1) as pids:
        assert ask(sock, f"burst {pids[0]}\n") == "no its memory is not registered with KSM\n"
        subprocess.run([SAMEPAGE, "adopt", "--whole", str(pids[0])], check=False, capture_output=True)
        if ask(sock, f"burst {pids[0]}\n") == "no its memory is not registered with KSM\n":
            pytest.skip("this samepage has no adopt")
        watchdog.wait_for("burst: ")
        assert ask(sock, "hello\n") == "no unknown request\n"
        nobody = subprocess.run(
            ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "/usr/bin/python3", "-c",
             f"import socket; s = socket.socket(socket.AF_UNIX); s.connect('{sock}'); "
             f"s.sendall(b'burst {pids[0]}\\n'); print(s.recv(300).decode(), end='')"],
            capture_output=True, text=True, check=True)
        assert nobody.stdout == "no not your process\n"
    watchdog.terminate()


def test_a_run_without_root_asks_for_a_burst(daemon, tmp_path):
    """By itself the watchdog would not begin one for so little."""
    nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    if subprocess.run([*nobody, SAMEPAGE, "--version"], capture_output=True).returncode:
        pytest.skip("nobody may not enter the build folder")
    config = tmp_path / "watchdog.toml"
    config.write_text('[watchdog]\nworth = "1 GiB"\n')
    watchdog = daemon("--config", config)
    watchdog.wait_for("watching")
    program = "import random, time; data = random.Random(7).randbytes(5 << 20); time.sleep(1000)"
    run = subprocess.Popen([*nobody, SAMEPAGE, "run", "-n", "2", "--ksm", "--no-store", "--quiet", "--",
                            "/usr/bin/python3", "-c", program], stderr=subprocess.PIPE, text=True, cwd="/tmp")
    try:
        watchdog.wait_for("burst: asked for by process ")
        watchdog.wait_for("rest: ")
    finally:
        run.terminate()
        _, said = run.communicate(timeout=30)
    assert "only root may" not in said
    assert " merged in all" in watchdog.terminate()


def test_metrics(daemon, tmp_path):
    file = tmp_path / "samepage.prom"
    watchdog = daemon("--metrics", file)
    watchdog.wait_for("watching")
    answer = ask(RUN / "metrics.sock", "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
    head, body = answer.split("\r\n\r\n", 1)
    assert head == "HTTP/1.0 200 OK\r\nContent-Type: text/plain; version=0.0.4"
    assert "\nsamepage_watchdog_bursting 0\n" in body
    assert "samepage_ksm_saved_bytes " in file.read_text()
    assert file.read_text().endswith("\n")
    watchdog.terminate()


def test_systemd_is_told(daemon, tmp_path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(20)
        watchdog = daemon(env={**os.environ, "NOTIFY_SOCKET": str(tmp_path / "notify")})
        assert systemd.recv(200) == b"READY=1"
        watchdog.terminate()
        assert systemd.recv(200) == b"STOPPING=1"


def test_bad_rules_are_named(tmp_path):
    file = tmp_path / "bad.toml"
    file.write_text("[watchdog]\ncpu = 0.1\nburst = true\n")
    status, line = failure("--config", file)
    assert status == 2
    assert line.startswith(f"samepage: {file}:3: watchdog.burst: unknown key; known are ")
    file.write_text("[[adopt]\n")
    assert failure("--config", file)[1].startswith(f"samepage: {file}:1: ")
    assert failure("--config", tmp_path / "none") == (2, f"samepage: {tmp_path / 'none'}: cannot be read\n")


def test_without_root_one_line():
    if os.geteuid() != 0:
        pytest.skip("needs root, to become nobody")
    status, line = failure(prefix=["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"])
    if status == 126 or "Permission denied" in line:
        pytest.skip("nobody may not enter the build folder")
    assert (status, line.count("\n")) == (1, 1)
    assert line.startswith("samepage: watchdog: KSM is ") and "only root may" in line
