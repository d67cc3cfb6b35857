"""Every worker of a preforking program that nobody changed is a process of `samepage run`'s result."""
import json
import time

import pytest

from plain_and_heap import BUILD, PYTHON, need, run, server, succeed, wait_until

SAMEPAGE = BUILD / "bin" / "samepage"

# Each starts three workers, which live long enough to be seen (samples are taken every half second), and prints
# its own process and theirs.
PROGRAMS = {
    "multiprocessing": [PYTHON, "-c", """
import multiprocessing, os, time
TABLE = [str(i) for i in range(200_000)]
def work(_):
    time.sleep(3)
    return os.getpid()
if __name__ == "__main__":
    with multiprocessing.get_context("fork").Pool(3) as pool:
        print(os.getpid(), *set(pool.map(work, range(3), chunksize=1)))
"""],
    "perl": ["perl", "-e", r"""
my %table = map { ($_ => "value $_") } 1 .. 100000;
my @pids = map { my $pid = fork(); if (!$pid) { sleep 3; exit 0 } $pid } 1 .. 3;
waitpid($_, 0) for @pids;
print "$$ @pids\n";
"""],
    "php": ["php", "-r", r"""
$table = []; for ($i = 0; $i < 100000; $i++) $table["key $i"] = "value $i";
$pids = [];
for ($i = 0; $i < 3; $i++) { $pid = pcntl_fork(); if (!$pid) { sleep(3); exit(0); } $pids[] = $pid; }
foreach ($pids as $pid) pcntl_waitpid($pid, $status);
echo getmypid(), " ", implode(" ", $pids), "\n";
"""],
}


@pytest.fixture(autouse=True)
def samepage():
    if not SAMEPAGE.exists():
        pytest.skip(f"{SAMEPAGE} is not built")


@pytest.mark.parametrize("name", PROGRAMS)
def test_forked_workers(tmp_path, name):
    command = PROGRAMS[name]
    need(command[0])
    if name == "php" and "pcntl" not in succeed(["php", "-m"]):
        pytest.skip("php has no pcntl here")
    result = tmp_path / "result.json"
    pids = {int(pid) for pid in succeed([SAMEPAGE, "run", "--json", result, "--", *command]).split()}
    processes = json.loads(result.read_text())["processes"]
    assert len(pids) == 4
    assert pids <= {process["pid"] for process in processes}
    assert {process["copy"] for process in processes} == {0}


def test_gunicorn(tmp_path):
    need("gunicorn")
    if run([PYTHON, "-c", "import gunicorn"]).returncode:
        pytest.skip("gunicorn is not installed for /usr/bin/python3")
    (tmp_path / "application.py").write_text("""
TABLE = {i: str(i) for i in range(200_000)}
def application(environ, start_response):
    start_response("200 OK", [])
    return [TABLE[7].encode()]
""")
    socket, pidfile, result = tmp_path / "socket", tmp_path / "pid", tmp_path / "result.json"
    command = [SAMEPAGE, "run", "--json", result, "--", PYTHON, "-m", "gunicorn", "--preload", "--workers", "3", "--bind",
               f"unix:{socket}", "--pid", pidfile, "application"]
    with server(command, None, lambda: socket.exists() and pidfile.exists(), cwd=tmp_path):
        master = int(pidfile.read_text())
        children = lambda: {int(pid) for pid in open(f"/proc/{master}/task/{master}/children").read().split()}
        wait_until(lambda: len(children()) == 3)
        workers = children()
        # Two samples later they have been seen; nothing shows from outside when that is.
        time.sleep(2)
    assert {master} | workers <= {process["pid"] for process in json.loads(result.read_text())["processes"]}
