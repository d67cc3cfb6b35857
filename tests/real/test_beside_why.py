"""samepage why looks at programs under load, again and again: what they compute stays right."""
import contextlib
import glob
import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import threading

import pytest

from plain_and_heap import BUILD, PYTHON, environment, need, run, server, succeed, wait_until

SAMEPAGE = BUILD / "bin" / "samepage"


@contextlib.contextmanager
def looked_at(*whom):
    """samepage why looks at them for as long as the block runs, and at least three times."""
    answers, stop = [], threading.Event()

    def look():
        while not stop.is_set() or len(answers) < 3:
            ran = run([SAMEPAGE, "why", *whom, "--json", "-"])
            answers.append((ran.returncode, ran.stdout, ran.stderr))

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
    for status, out, err in answers:
        assert status == 0, err
        assert json.loads(out)["rss_bytes"] > 0


def test_redis(tmp_path):
    need("redis-server", "redis-cli", "redis-benchmark")
    commands = "".join(f"SET key:{i} {'v' * (i % 700)}{i}\nRPUSH list:{i % 97} {i * i}\nHSET hash:{i % 89} f{i} {i}\n"
                       for i in range(20000))

    def digest(name, beside):
        socket = tmp_path / f"{name}.sock"

        def ask(*command, **options):
            return succeed(["redis-cli", "-s", socket, *command], **options).strip()

        with server(["redis-server", "--port", "0", "--unixsocket", socket, "--dir", tmp_path, "--save", "",
                     "--enable-debug-command", "yes"], None,
                    lambda: socket.exists() and run(["redis-cli", "-s", socket, "ping"]).stdout == "PONG\n") as process:
            with beside(process.pid):
                assert "ERR" not in ask(input=commands)
                succeed(["redis-benchmark", "-s", socket, "-n", "20000", "-q", "-t", "get,set,lpush"])
                ask("DEL", "key:__rand_int__", "mylist")
            return ask("DEBUG", "DIGEST")

    assert digest("looked-at", looked_at) == digest("plain", lambda _: contextlib.nullcontext())


POOL = """
import hashlib, multiprocessing, os
table = {i: str(i) * 20 for i in range(100_000)}

def event(number):
    values = [table[(number * 7919 + i) % len(table)] for i in range(2000)]
    return hashlib.sha256("".join(values).encode()).hexdigest()

if __name__ == "__main__":
    with multiprocessing.get_context("fork").Pool(3) as pool:
        print(hashlib.sha256("".join(pool.map(event, range(3000), chunksize=10)).encode()).hexdigest())
"""


def test_python_workers(tmp_path):
    script = tmp_path / "pool.py"
    script.write_text(POOL)
    pool = subprocess.Popen([PYTHON, script], env=environment(), stdout=subprocess.PIPE, text=True)
    wait_until(lambda: pathlib.Path(f"/proc/{pool.pid}/task/{pool.pid}/children").read_text())
    # It may end before the third look: the test's own process is always there.
    with looked_at("--tree", os.getpid()):
        told, _ = pool.communicate(timeout=300)
    assert pool.returncode == 0
    assert told == succeed([PYTHON, script])


@pytest.fixture
def as_postgres():
    """A prefix for PostgreSQL's programs, which refuse to be root, and a folder that is theirs."""
    binaries = sorted(glob.glob("/usr/lib/postgresql/*/bin"))
    if not binaries or not shutil.which("setpriv"):
        pytest.skip("postgresql is not installed")
    # Not below pytest's own folder, which every session of pytest closes to other users again.
    folder = pathlib.Path(tempfile.mkdtemp(prefix="samepage-why-"))
    prefix = []
    if os.geteuid() == 0:
        os.chown(folder, 65534, 65534)
        prefix = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    yield lambda program, *arguments: [*prefix, f"{binaries[-1]}/{program}", *arguments], folder
    shutil.rmtree(folder)


def test_postgresql(as_postgres):
    command, folder = as_postgres
    succeed(command("initdb", "-D", folder / "db", "-U", "me", "-A", "trust", "--no-sync"), cwd=folder)

    def ask(query):
        return run(command("psql", "-h", folder, "-U", "me", "-d", "postgres", "-Atc", query), cwd=folder).stdout.strip()

    with server(command("postgres", "-D", folder / "db", "-k", folder, "-c", "listen_addresses=", "-c", "fsync=off",
                        "-c", "autovacuum=off"), None, lambda: ask("select 1") == "1", cwd=folder) as process:
        connect = ["-h", folder, "-U", "me", "postgres"]
        succeed(command("pgbench", "-i", "-q", *connect), cwd=folder)
        with looked_at("--tree", process.pid):
            told = succeed(command("pgbench", "-c", "4", "-t", "500", *connect), cwd=folder)
        assert "number of transactions actually processed: 2000/2000" in told
        # What TPC-B keeps: each transaction changed an account, a teller and a branch by the same amount.
        sums = ask("select (select sum(abalance) from pgbench_accounts), (select sum(tbalance) from pgbench_tellers), "
                   "(select sum(bbalance) from pgbench_branches), (select sum(delta) from pgbench_history)").split("|")
        assert len(set(sums)) == 1 and ask("select count(*) from pgbench_history") == "2000"
