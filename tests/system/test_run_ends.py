"""How groups end: signals, Ctrl-C on a terminal, a samepage that is killed; nothing is left behind."""
import os
import pathlib
import pty
import re
import signal
import subprocess
import time

import pytest

from samepage_run import PYTHON, SAMEPAGE, alive, lines, read_to_end, root_only, run, start, wait_until


def waiting_for(*signals):
    """The beginning of a Python program that no signal overtakes: it takes them when it asks for them."""
    return f"import os, signal, sys, time\nsignal.pthread_sigmask(signal.SIG_BLOCK, {[int(one) for one in signals]})\n"


# Each copy has two workers in process groups of their own, which a terminal's signals do not reach.
FAMILY = waiting_for(2) + """
for _ in range(2):
    if os.fork() == 0:
        os.setsid()
        time.sleep(1000)
print('pids', os.getpid(), *open(f'/proc/{os.getpid()}/task/{os.getpid()}/children').read().split(), flush=True)
while signal.sigwait([2]): print('asked', flush=True)
"""


@pytest.mark.parametrize("sent", [signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGTERM, signal.SIGINT])
def test_signals_reach_every_copy(sent):
    process = start("-q", "-n", 2, "--", PYTHON, "-c",
                    waiting_for(sent) + f"print('ready', flush=True)\nsignal.sigwait([{int(sent)}])\nsys.exit(9)")
    for _ in range(2):
        assert "ready" in process.stdout.readline()
    process.send_signal(sent)
    assert process.wait(20) == 9
    process.communicate()


def copies_of(process):
    return [int(re.search(r"\d+$", process.stdout.readline())[0]) for _ in range(2)]


def test_a_killed_samepage_takes_its_copies_with_it():
    process = start("-q", "-n", 2, "--", "sh", "-c", "echo $$; exec sleep 1000")
    pids = copies_of(process)
    process.kill()
    process.wait()
    wait_until(lambda: not any(map(alive, pids)))


def test_a_killed_samepage_takes_their_workers_with_it(tmp_path):
    """Also those in sessions of their own, and not only when samepage's process group is killed with it."""
    process = start("-n", 2, "--json", tmp_path / "r.json", "--", PYTHON, "-c", FAMILY, start_new_session=True)
    pids = [int(pid) for _ in range(2) for pid in process.stdout.readline().split()[2:]]
    assert len(pids) == 6
    time.sleep(1)  # two looks later samepage has seen them; nothing shows from outside when that is
    assert all(map(alive, pids))
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    wait_until(lambda: not any(map(alive, pids)))
    # Whoever reads samepage's output comes to its end.
    process.communicate(timeout=20)


def test_no_guard_is_left():
    process = start("-n", 2, "--", "sleep", "0.2")
    session = f"/proc/{process.pid}/task/{process.pid}/children"
    wait_until(lambda: "samepage-guard" in [pathlib.Path(f"/proc/{pid}/comm").read_text().strip()
                                            for pid in pathlib.Path(session).read_text().split()])
    guard = [pid for pid in pathlib.Path(session).read_text().split()
             if pathlib.Path(f"/proc/{pid}/comm").read_text() == "samepage-guard\n"]
    out, err = process.communicate(timeout=20)
    assert process.returncode == 0 and "guard" not in err
    assert not any(map(alive, guard))


def test_a_second_interrupt_kills():
    process = start("-q", "-n", 2, "--", PYTHON, "-c",
                    waiting_for(2) + "print(os.getpid(), flush=True)\nwhile signal.sigwait([2]): print('no', flush=True)")
    pids = copies_of(process)
    process.send_signal(signal.SIGINT)
    for _ in range(2):
        assert "no" in process.stdout.readline()
    process.send_signal(signal.SIGINT)
    assert process.wait(20) == 137
    assert not any(map(alive, pids))
    process.communicate()


@root_only
def test_as_pid_1_it_adopts_orphans_and_hands_on_signals():
    if subprocess.run(["unshare", "-pf", "--mount-proc", "true"], capture_output=True).returncode != 0:
        pytest.skip("may not make a PID namespace with its own /proc")
    process = subprocess.Popen(["unshare", "-pf", "--mount-proc", SAMEPAGE, "run", "-q", "--", "sh", "-c",
                                "(sleep 0.1 &) ; trap 'exit 5' TERM; kill -TERM 1; while :; do sleep 0.1; done"])
    assert process.wait(20) == 5


class OnTerminal:
    """samepage run as the foreground job of a pseudo-terminal of its own."""

    def __init__(self, *arguments):
        self.pid, self.terminal = pty.fork()
        if self.pid == 0:
            os.execv(SAMEPAGE, [SAMEPAGE, "run", *arguments])
        self.text = ""

    def read_until(self, pattern, times):
        while len(re.findall(pattern, self.text)) < times:
            self.text += os.read(self.terminal, 4096).decode()
        return re.findall(pattern, self.text)

    def ctrl_c(self):
        os.write(self.terminal, b"\x03")

    def status(self):
        self.text += read_to_end(self.terminal).decode()
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def test_ctrl_c_on_a_terminal_ends_the_group_and_comes_once():
    program = waiting_for(2) + ("print('ready', flush=True)\nsignal.sigwait([2])\nagain = signal.sigtimedwait([2], 0.3)\n"
                                "print('came', 2 if again else 1, 'times', flush=True)\nsys.exit(4)")
    job = OnTerminal("-q", "-n", "2", "--", PYTHON, "-c", program)
    job.read_until("ready", 2)
    job.ctrl_c()
    assert job.status() == 4
    assert job.text.count("came 1 times") == 2


def test_the_second_ctrl_c_kills_the_workers_too():
    job = OnTerminal("-q", "-n", "2", "--", PYTHON, "-c", FAMILY)
    pids = [int(pid) for line in job.read_until(r"pids ([\d ]+)\r", 2) for pid in line.split()]
    assert len(pids) == 6 and all(map(alive, pids))
    job.ctrl_c()
    job.read_until("asked", 2)
    assert all(map(alive, pids))
    job.ctrl_c()
    assert job.status() == 137
    assert not any(map(alive, pids))


def test_hangup_after_terminate_starts_nothing_more():
    program = waiting_for(1, 15) + ("print('ready', flush=True)\nwhile signal.sigwait([1, 15]) == 15: print('asked', flush=True)\n"
                                    "sys.exit(5)")
    process = start("-n", 3, "-j", 1, "--", PYTHON, "-c", program)
    assert "ready" in process.stdout.readline()
    process.send_signal(signal.SIGTERM)
    assert "asked" in process.stdout.readline()
    process.send_signal(signal.SIGHUP)
    assert process.wait(20) == 143
    said = process.communicate()[1]
    assert "copy 0: exit 5" in said and "copy 1: not started" in said and "copy 2: not started" in said


def test_a_template_is_not_reached_by_signals_to_its_process_group():
    """Between two copies (-j 1) the process that they are forked from waits; a signal for the copies leaves it alone."""
    program = waiting_for(10) + "if sys.argv[1] == '0':\n    print('ready', flush=True)\n    signal.sigwait([10])\nelse: print('second')"
    process = start("-q", "-n", 2, "-j", 1, "--", PYTHON, "-c", program, "{rank}", start_new_session=True)
    assert "ready" in process.stdout.readline()
    os.killpg(process.pid, signal.SIGUSR1)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, lines(out)) == (0, {1: ["second"]}), err


def test_what_lives_on_and_writes_is_not_waited_for():
    """The pipe is never empty; samepage takes what is there by then, and ends."""
    process = run("-n", 2, "--", "sh", "-c", "trap '' PIPE; yes 2>/dev/null & echo first")
    assert process.returncode == 0
    assert process.stdout.count("first") == 2


def test_constructors_that_never_return_are_named(tmp_path):
    source = tmp_path / "stuck.c"
    source.write_text("#include <unistd.h>\n__attribute__((constructor)) static void stuck(void) { for (;;) pause(); }\n")
    subprocess.run(["cc", "-shared", "-fPIC", source, "-o", tmp_path / "libstuck.so"], check=True)
    job = tmp_path / "job.c"
    job.write_text("int main(void) { return 0; }\n")
    subprocess.run(["cc", job, "-o", tmp_path / "job", "-L", tmp_path, "-Wl,--no-as-needed", "-lstuck",
                    f"-Wl,-rpath,{tmp_path}"], check=True)
    process = start("-n", 2, "--", tmp_path / "job")
    assert process.stderr.readline() == ("samepage: job has not reached main after 5 s (constructors of its libraries?); "
                                         "its copies start when it has\n")
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 143
    process.communicate()
