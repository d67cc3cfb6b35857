"""samepage top: in a terminal (tmux), once, and as a stream of data."""
import contextlib
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import time

import pytest

BUILD = pathlib.Path(os.environ.get("SAMEPAGE_BUILD", "build/release")).resolve()
SAMEPAGE = str(BUILD / "bin" / "samepage")
needs_tmux = pytest.mark.skipif(not shutil.which("tmux"), reason="tmux is not installed")


def top(*arguments, **options):
    options = {"capture_output": True, "text": True, "timeout": 60, "stdin": subprocess.DEVNULL,
               "env": {**os.environ, "LC_ALL": "C"}, **options}
    return subprocess.run([SAMEPAGE, "top", *map(str, arguments)], **options)


@contextlib.contextmanager
def planted(*ranks, classes=("not_registered",), pages=512):
    started = []
    try:
        for rank in ranks:
            started.append(subprocess.Popen([BUILD / "bin/planted", str(rank), str(pages), "/dev/null", *classes],
                                            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
        for process in started:
            assert process.stdout.readline() == "ready\n"
        yield [process.pid for process in started]
    finally:
        for process in started:
            process.stdin.close()
            process.wait()
            process.stdout.close()


@pytest.fixture
def workers():
    """PIDs of three processes of one kind, 2 MB each, and one of another kind."""
    with planted(0, 1, 2) as pids:
        other = subprocess.Popen(["sleep", "1000"])
        yield [*pids, other.pid]
        other.kill()
        other.wait()


def wait_until(condition, seconds=30):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)


class Screen:
    """A terminal of its own in which a command runs; a line with its exit status comes when it has ended."""

    def __init__(self, folder, columns, rows, command):
        self.socket = folder / "tmux"
        self.before, self.after, self.status = (folder / name for name in ("before", "after", "status"))
        script = folder / "script"
        script.write_text(f"trap : INT\nstty -g > {self.before}\n{command}\necho $? > {self.status}.new\nstty -g > {self.after}\n"
                          f"mv {self.status}.new {self.status}\nexec cat\n")
        self.tmux("-f", "/dev/null", "new-session", "-d", "-x", columns, "-y", rows, f"sh {script}",
                  env={**os.environ, "LC_ALL": "C.UTF-8", "TERM": "screen"})

    def tmux(self, *arguments, **options):
        return subprocess.run(["tmux", "-S", self.socket, *map(str, arguments)], capture_output=True, text=True, check=True,
                              timeout=30, **options).stdout

    def lines(self):
        return [line.rstrip() for line in self.tmux("capture-pane", "-p").split("\n")][:-1]

    def press(self, *keys):
        self.tmux("send-keys", *keys)

    def shows(self, pattern):
        """Waits until a line fits; returns its match."""
        found = []

        def there():
            found[:] = [match for line in self.lines() if (match := re.search(pattern, line))]
            return found

        try:
            wait_until(there)
        except AssertionError:
            raise AssertionError(f"no line fits {pattern}:\n" + "\n".join(self.lines())) from None
        return found[0]

    def ended(self):
        """The command's exit status; the terminal is as it was before."""
        wait_until(self.status.exists)
        assert self.after.read_text() == self.before.read_text()
        assert self.tmux("display-message", "-p", "#{alternate_on} #{cursor_flag}") == "0 1\n"
        return int(self.status.read_text())


@contextlib.contextmanager
def screen(tmp_path, columns, rows, *arguments):
    shown = Screen(tmp_path, columns, rows, f"{SAMEPAGE} top {' '.join(map(str, arguments))}")
    try:
        yield shown
    finally:
        with contextlib.suppress(subprocess.CalledProcessError):
            shown.tmux("kill-server")


# ---- in a terminal

@needs_tmux
@pytest.mark.parametrize("columns, rows", [(80, 24), (200, 60)])
def test_a_session(tmp_path, workers, columns, rows):
    with screen(tmp_path, columns, rows, *workers, "--interval", 0.2) as shown:
        shown.shows(r"^planted +root +3 ")
        lines = shown.lines()
        assert len(lines) == rows and all(len(line) <= columns for line in lines)
        assert re.match(r"\d+(\.\d+)? GB of memory: .* used, .* available", lines[0])
        assert re.match(r"(KSM is o|no KSM)", lines[1])
        assert re.match(r"4 processes: together .*, alone .*, saved", lines[2])
        assert re.match(r"group +user +procs ▼together +alone +saved +% +private", lines[4])
        assert lines[-1].startswith("up down move") and lines[-1].endswith("q quit")
        # The processes of the group that takes most, with what they were started as and their history.
        assert {int(line.split()[0]) for line in lines if re.match(r" *\d+ +\d+\.\d MB", line)} == set(workers[:3])
        shown.shows(r"▼private.* history .*command")
        shown.shows(r"[▇█]{3}.*planted" if columns == 80 else r"[▇█]{3}.*planted \d 512 /dev/null not_registered")

        shown.press("Down")
        shown.shows(rf"^ *{workers[3]} .* sleep 1000")
        shown.press("Home", "Enter")
        shown.shows(r"^3 planted processes: \d")
        shown.press("q")
        shown.shows(r"▼together")
        shown.press("Tab", "Down", "Enter")
        shown.shows(r"^planted: \d\.\d MB together")
        shown.press("Escape")
        shown.shows(r"▼together")
        shown.press("q")
        assert shown.ended() == 0


@needs_tmux
def test_sorting(tmp_path, workers):
    with screen(tmp_path, 80, 24, *workers, "--interval", 0.2) as shown:
        def groups():
            lines = shown.lines()
            start = next(i for i, line in enumerate(lines) if line.startswith("group") or "▼group" in line or "▲group" in line)
            return [line.split()[0] for line in lines[start + 1:start + 3]]

        shown.shows(r"▼together")
        assert groups() == ["planted", "sleep"]
        shown.press("r")
        shown.shows(r"▲together")
        assert groups() == ["sleep", "planted"]
        shown.press(">")
        shown.shows(r"▼alone")
        assert groups() == ["planted", "sleep"]
        shown.press("<", "<", "<", "<")
        shown.shows(r"▼group")
        assert groups() == ["planted", "sleep"]
        shown.press("r")
        shown.shows(r"▲group")
        assert groups() == ["sleep", "planted"]
        shown.press("Home", "Down", "Tab", "<")
        shown.shows(r"▼pid")
        rows = [int(match[1]) for line in shown.lines() if (match := re.match(r" *(\d+) +\d+\.\d MB", line))]
        assert rows == sorted(workers[:3])


@needs_tmux
def test_the_window_changes(tmp_path, workers):
    with screen(tmp_path, 80, 24, *workers, "--interval", 100) as shown:
        shown.shows(r"▼together")
        for columns, rows in [(120, 40), (40, 10), (20, 5), (80, 24)]:
            shown.tmux("resize-window", "-x", columns, "-y", rows)
            wait_until(lambda: (lines := shown.lines()) and len(lines) == rows and lines[-1].startswith("up down move"))
        shown.shows(r"^planted +root +3 ")


@needs_tmux
@pytest.mark.parametrize("how, status", [("C-c", 0), (signal.SIGTERM, 143)])
def test_however_it_ends_the_terminal_is_as_it_was(tmp_path, workers, how, status):
    with screen(tmp_path, 80, 24, *workers, "--interval", 100) as shown:
        shown.shows(r"▼together")
        shown.press("Enter")  # also while it looks
        if isinstance(how, str):
            shown.press(how)
        else:
            shell = int(shown.tmux("display-message", "-p", "#{pane_pid}"))
            child = int(pathlib.Path(f"/proc/{shell}/task/{shell}/children").read_text().split()[0])
            os.kill(child, how)
        assert shown.ended() == status


@needs_tmux
def test_it_ends_with_its_terminal(tmp_path, workers):
    with screen(tmp_path, 80, 24, *workers) as shown:
        shown.shows(r"▼together")
        shell = int(shown.tmux("display-message", "-p", "#{pane_pid}"))
        child = int(pathlib.Path(f"/proc/{shell}/task/{shell}/children").read_text().split()[0])
        shown.tmux("kill-server")
        wait_until(lambda: not pathlib.Path(f"/proc/{child}/exe").exists())


@needs_tmux
def test_a_terminal_that_cannot_be_drawn_on(tmp_path):
    shown = Screen(tmp_path, 80, 24, f"TERM=no-such {SAMEPAGE} top")
    try:
        assert shown.ended() == 2
        shown.shows(r"samepage: top: TERM=no-such: no terminal that can be drawn on; samepage top")
    finally:
        shown.tmux("kill-server")


# ---- once

def test_once(workers):
    ran = top("--once", *workers)
    assert (ran.returncode, ran.stderr) == (0, "")
    lines = ran.stdout.splitlines()
    assert re.match(r"4 processes: together ", lines[2])
    assert re.match(r"planted +root +3 +\d\.\d MB +\d\.\d MB ", lines[5])
    assert re.match(r"sleep +root +1 ", lines[6])
    assert re.match(r" +pid \*private +shared +KSM +swapped +PSS +RSS command$", lines[8])
    assert {int(line.split()[0]) for line in lines[9:]} == set(workers)
    assert lines[-1].endswith(" sleep 1000")


def test_once_as_somebody_without_rights(workers, tmp_path):
    if os.geteuid() != 0:
        pytest.skip("only root can become somebody else")
    program = shutil.copy(SAMEPAGE, "/tmp/samepage-top-test")
    try:
        ran = subprocess.run(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", program, "top", "--once",
                              *map(str, workers)], capture_output=True, text=True, timeout=60)
    finally:
        os.unlink(program)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.splitlines()[2].endswith("; 4 may not be looked into")


# ---- as data

def rollup(pid):
    text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
    return {name: int(kb) * 1024 for name, kb in re.findall(r"^(\w+): +(\d+) kB", text, re.M)}


def test_data_is_what_the_kernel_says(workers):
    with planted(7, classes=["shared_fork"]) as [parent]:
        child = int(pathlib.Path(f"/proc/{parent}/task/{parent}/children").read_text())
        sample = json.loads(top("--once", "--json", *workers, "--tree", parent).stdout)
        kernel = {pid: rollup(pid) for pid in [*workers, parent, child]}
        tables = {pid: int(re.search(r"VmPTE:\s+(\d+)", pathlib.Path(f"/proc/{pid}/status").read_text())[1]) * 1024
                  for pid in kernel}
    seen = {process["pid"]: process for group in sample["groups"] for process in group["processes"]}
    assert seen.keys() == kernel.keys()
    for pid, process in seen.items():
        assert process["rss_bytes"] == kernel[pid]["Rss"]
        assert process["private_bytes"] == kernel[pid]["Private_Clean"] + kernel[pid]["Private_Dirty"]
        assert process["shared_bytes"] == kernel[pid]["Shared_Clean"] + kernel[pid]["Shared_Dirty"]
    group = next(group for group in sample["groups"] if group["name"] == "planted")
    members = [process["pid"] for process in group["processes"]]
    assert sorted(members) == sorted([*workers[:3], parent, child])
    assert group["program"] == str(BUILD / "bin/planted")
    assert group["alone_bytes"] == sum(kernel[pid]["Rss"] for pid in members)
    assert group["together_bytes"] == sum(kernel[pid]["Pss"] + kernel[pid]["SwapPss"] + tables[pid] for pid in members)
    assert group["saved_bytes"] == group["alone_bytes"] - group["together_bytes"] > 500 * 4096
    assert sample["host"]["total_bytes"] == os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def test_the_stream_follows_who_comes_and_goes():
    ours = os.getpid()
    stream = subprocess.Popen([SAMEPAGE, "top", "--json", "--interval", "0.1", "--tree", str(ours)], stdout=subprocess.PIPE,
                              text=True)

    def until(condition):
        end = time.monotonic() + 30
        for line in stream.stdout:
            pids = {process["pid"] for group in json.loads(line)["groups"] for process in group["processes"]}
            if condition(pids):
                return
            assert time.monotonic() < end
        raise AssertionError("the stream has ended")

    try:
        until(lambda pids: ours in pids)
        with planted(0) as [pid]:
            until(lambda pids: pid in pids)
        until(lambda pids: pid not in pids)
        stream.send_signal(signal.SIGINT)
        stream.stdout.read()
        assert stream.wait(timeout=20) == 0
    finally:
        stream.kill()
        stream.wait()
        stream.stdout.close()


def test_counted_samples(workers):
    ran = top("--json", "--interval", 0.1, "--count", 3, *workers)
    assert ran.returncode == 0
    assert [len(json.loads(line)["groups"]) for line in ran.stdout.splitlines()] == [2, 2, 2]


# ---- mistakes

@pytest.mark.parametrize("arguments, line", [
    ([], "samepage: top: not on a terminal; samepage top --once prints what is now, --json goes on\n"),
    (["--once", "999999999"], "samepage: no process has the PID 999999999\n"),
    (["--once", "no-such-name"], "samepage: no process is called no-such-name; ps -e lists PIDs and names\n"),
    (["--once", "--user", "no-such-user"], "samepage: --user no-such-user: no such user\n"),
    (["--json", "--interval", "0"], "samepage: --interval 0: must be from 0.1 to 86400 seconds\n"),
    (["--json", "--count", "0"], "samepage: --count 0: at least one sample must be taken\n"),
    (["--count", "2"], "samepage: --count: counts the samples of --json\n"),
])
def test_a_mistake_is_one_line(arguments, line):
    ran = top(*arguments)
    assert (ran.returncode, ran.stdout, ran.stderr) == (2, "", line)


def test_a_zombie_alone_is_nothing():
    child = subprocess.Popen(["true"])
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    ran = top("--once", child.pid)
    assert ran.returncode == 1 and "0 processes" in ran.stdout
    child.wait()


def test_output_on_a_full_device_is_one_line():
    with open("/dev/full", "w") as full:
        ran = top("--once", capture_output=False, stdout=full, stderr=subprocess.PIPE)
    assert (ran.returncode, ran.stderr) == (1, "samepage: standard output: No space left on device\n")
