"""samepage adopt and release on programs at work, again and again, while KSM merges: nobody may notice.

SAMEPAGE_ADOPTIONS says how often (20)."""
import contextlib
import os
import pathlib
import pwd
import shutil
import struct
import subprocess
import sys
import threading
import time

import pytest

from plain_and_heap import BUILD, PYTHON, environment, need, run, server, wait_until

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "system"))
from ksm_host import ksm_alone, merging  # noqa: E402,F401 (ksm_alone is a fixture)

SAMEPAGE = str(BUILD / "bin" / "samepage")
TIMES = int(os.environ.get("SAMEPAGE_ADOPTIONS", "20"))


@pytest.fixture(autouse=True)
def really_merged(ksm_alone):
    with merging():
        yield


def adopt_and_release(pids, check=lambda: None):
    """Now the ranges that are worth it, now the whole process. Of each ten, the first two
    stay until something has been merged."""
    names = [str(pid) for pid in pids]
    merged = []
    for i in range(TIMES):
        adopted = subprocess.run([SAMEPAGE, "adopt", *names, *(["--whole"] if i % 2 else [])], capture_output=True, text=True,
                                 timeout=120)
        expect_done(adopted)
        check()
        if i % 10 < 2:
            merged.append(wait_until_merged(names))
        released = subprocess.run([SAMEPAGE, "release", *names], capture_output=True, text=True, timeout=120)
        expect_done(released)
        check()
    if not any(merged):
        pytest.skip("adopted and released without harm, but ksmd stood still")


def full_scans():
    return int(pathlib.Path("/sys/kernel/mm/ksm/full_scans").read_text())


def wait_until_merged(names):
    """False if ksmd stands still. Before each pass it waits for a kernel worker on every processor (lru_add_drain_all), and
    a program that keeps its processor busy was seen to hold that up for a minute (Linux 6.18, 2 processors)."""
    before, begin = full_scans(), time.monotonic()
    while not any(merged_pages(name) for name in names):
        waited = time.monotonic() - begin
        if waited > 20 and full_scans() < before + 4:
            return False
        assert waited < 60, "nothing was merged"
        time.sleep(0.02)
    return True


def expect_done(ran):
    assert ran.returncode == 0, ran.stdout + ran.stderr


def merged_pages(pid):
    try:
        return int(pathlib.Path(f"/proc/{pid}/ksm_merging_pages").read_text())
    except OSError:
        return 0


class Adoptee:
    def __init__(self, kind):
        self.process = subprocess.Popen([BUILD / "bin" / f"adoptee-{kind}"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        text=True)
        assert self.process.stdout.readline() == "ready\n"
        self.pid = self.process.pid

    def rounds(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return dict(pair.split("=") for pair in self.process.stdout.readline().split())

    def expect_all_to_go_on(self):
        before = self.rounds()
        wait_until(lambda: all(int(count) > int(before[name]) for name, count in self.rounds().items()), 30)

    def end(self):
        said, _ = self.process.communicate(timeout=60)
        assert (self.process.returncode, said) == (0, "")


@pytest.mark.parametrize("kind", ["dynamic", "static"])
def test_threads_that_wait_in_every_way(kind):
    if not (BUILD / "bin" / f"adoptee-{kind}").exists():
        pytest.skip("adoptee is not built")
    two = [Adoptee(kind), Adoptee(kind)]
    try:
        adopt_and_release([one.pid for one in two], lambda: [one.expect_all_to_go_on() for one in two])
        for one in two:
            one.end()
    finally:
        for one in two:
            one.process.kill()


# Each answers a line with the sum of a table that is the same in all; one thread more goes round in an event loop.
PYTHON_PROGRAM = """
import asyncio, sys, threading, time
table = {i: str(i) * 5 for i in range(50000)}
ticks = 0
async def loop():
    global ticks
    while True:
        begin = time.monotonic()
        await asyncio.sleep(0.003)
        assert time.monotonic() - begin >= 0.0029
        ticks += 1
threading.Thread(target=lambda: asyncio.run(loop()), daemon=True).start()
print("ready", flush=True)
for line in sys.stdin:
    print(sum(map(len, table.values())), ticks, flush=True)
"""


def test_python():
    two = [subprocess.Popen([PYTHON, "-c", PYTHON_PROGRAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
           for _ in range(2)]

    def ask(process):
        process.stdin.write("\n")
        process.stdin.flush()
        total, ticks = process.stdout.readline().split()
        assert int(total) == sum(5 * len(str(i)) for i in range(50000))
        return int(ticks)

    def check():
        for process in two:
            before = ask(process)
            wait_until(lambda: ask(process) > before, 30)

    try:
        for process in two:
            assert process.stdout.readline() == "ready\n"
        adopt_and_release([process.pid for process in two], check)
        for process in two:
            process.stdin.close()
            assert process.wait(30) == 0
    finally:
        for process in two:
            process.kill()


@contextlib.contextmanager
def load(argv):
    """A command that is run again and again meanwhile, without a failure; gives a list of its outputs."""
    over, outputs, failures = threading.Event(), [], []

    def again():
        while not over.is_set() and not failures:
            ran = run(argv)
            if ran.returncode:
                failures.append(f"{argv} gave {ran.returncode}\n{ran.stdout[-2000:]}\n{ran.stderr[-2000:]}")
            outputs.append(ran.stdout + ran.stderr)

    thread = threading.Thread(target=again)
    thread.start()
    try:
        yield outputs
    finally:
        over.set()
        thread.join(300)
    assert not failures, failures[0]
    assert outputs


def test_redis_under_load(tmp_path):
    need("redis-server", "redis-cli", "redis-benchmark")
    sockets = [tmp_path / f"{name}.sock" for name in ("one", "two")]

    def ask(socket, *command, **options):
        ran = run(["redis-cli", "-s", socket, *command], **options)
        assert ran.returncode == 0, ran.stderr
        return ran.stdout.strip()

    with contextlib.ExitStack() as stack:
        pids = []
        for socket in sockets:
            argv = ["redis-server", "--port", "0", "--unixsocket", socket, "--dir", tmp_path, "--save", "",
                    "--enable-debug-command", "yes"]
            answers = lambda socket=socket: socket.exists() and ask(socket, "ping") == "PONG"  # noqa: E731
            pids.append(stack.enter_context(server(argv, None, answers)).pid)
            ask(socket, input="".join(f"SET constant:{i} {str(i) * 40}\n" for i in range(20000)))
            ask(socket, input="SELECT 1\nSET other 1\n")
        digest = ask(sockets[0], "DEBUG", "DIGEST")
        benchmark = ["redis-benchmark", "-s", str(sockets[0]), "--dbnum", "1", "-c", "20", "-n", "30000", "-r", "1000", "-q",
                     "-t", "set,get,lpush,lpop,incr"]
        with load(benchmark) as outputs:
            adopt_and_release(pids)
        assert not [text for text in outputs if "rror" in text]
        ask(sockets[0], "-n", "1", "FLUSHDB")
        ask(sockets[0], "-n", "1", "SET", "other", "1")
        assert ask(sockets[0], "DEBUG", "DIGEST") == digest == ask(sockets[1], "DEBUG", "DIGEST")


def elf_of_32_bits():
    """A static i386 program that waits in pause(2) for ever."""
    code = b"\xb8\x1d\x00\x00\x00\xcd\x80\xeb\xf7"  # mov eax, 29; int 0x80; back to the beginning
    base, headers = 0x08048000, 52 + 32
    size = headers + len(code)
    ident = b"\x7fELF\x01\x01\x01".ljust(16, b"\0")
    head = struct.pack("<HHIIIIIHHHHHH", 2, 3, 1, base + headers, 52, 0, 0, 52, 32, 1, 40, 0, 0)
    return ident + head + struct.pack("<IIIIIIII", 1, 0, base, base, size, size, 5, 4096) + code


@pytest.mark.parametrize("whole", [[], ["--whole"]], ids=["ranges", "whole"])
def test_a_32_bit_program_is_refused_and_goes_on(tmp_path, whole):
    program = tmp_path / "pauses"
    program.write_bytes(elf_of_32_bits())
    program.chmod(0o755)
    try:
        process = subprocess.Popen([program])
    except OSError as error:
        pytest.skip(f"this kernel runs no 32-bit programs: {error.strerror}")
    try:
        state = lambda: pathlib.Path(f"/proc/{process.pid}/syscall").read_text().split()[0]  # noqa: E731
        wait_until(lambda: state() in ("29", "34") or process.poll() is not None, 30)
        assert process.poll() is None
        for subcommand in (["adopt", *whole], ["release"]):
            ran = subprocess.run([SAMEPAGE, *subcommand, str(process.pid)], capture_output=True, text=True, timeout=60)
            if ran.returncode == 0:  # ranges: none of its memory was worth it, nothing was asked of it
                assert subcommand == ["adopt"]
                continue
            assert ran.returncode == 1
            assert f"process {process.pid} (pauses) is a 32-bit program, which is not supported" in ran.stdout
        assert process.poll() is None and state() in ("29", "34")
    finally:
        process.kill()
        process.wait()


def test_postgresql_under_pgbench(tmp_path):
    programs = next(iter(sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin"))), None)
    if not programs:
        pytest.skip("PostgreSQL is not installed")
    need("pgbench", "setpriv")
    try:
        user = pwd.getpwnam("postgres")
    except KeyError:
        pytest.skip("there is no user postgres")
    data = pathlib.Path("/tmp") / f"samepage-adopt-{os.getpid()}"
    data.mkdir(mode=0o700)
    os.chown(data, user.pw_uid, user.pw_gid)

    def as_postgres(*argv):
        return ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups", *map(str, argv)]

    def sql(text):
        ran = run(as_postgres("psql", "-h", data, "-AtXc", text, "postgres"), cwd="/tmp")
        assert ran.returncode == 0, ran.stderr
        return ran.stdout.strip()

    def backends():
        """The server, its own processes and those that serve pgbench: they stay as long as it does."""
        return [postmaster.pid, *map(int, sql("SELECT pid FROM pg_stat_activity WHERE pid <> pg_backend_pid()").split())]

    try:
        made = run(as_postgres(programs / "initdb", "-D", data / "db", "--no-sync", "-A", "trust"), cwd="/tmp")
        assert made.returncode == 0, made.stderr
        start = as_postgres(programs / "postgres", "-D", data / "db", "-k", data, "-c", "listen_addresses=", "-c", "fsync=off",
                            "-c", "autovacuum=off")
        ready = lambda: run(as_postgres(programs / "pg_isready", "-h", data)).returncode == 0  # noqa: E731
        with server(start, None, ready, cwd="/tmp") as postmaster:
            made = run(as_postgres("pgbench", "-h", data, "-i", "-q", "postgres"), cwd="/tmp")
            assert made.returncode == 0, made.stderr
            script = as_postgres("pgbench", "-h", data, "-n", "-c", "4", "-j", "2", "-t", "1000000", "postgres")
            bench = subprocess.Popen(script, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd="/tmp",
                                     env=environment())
            try:
                wait_until(lambda: int(sql("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'pgbench'")) == 4)
                pids = backends()
                begin = sql("SELECT count(*) FROM pgbench_history")
                adopt_and_release(pids)
                assert bench.poll() is None, bench.communicate()
                assert int(sql("SELECT count(*) FROM pgbench_history")) > int(begin)
            finally:
                bench.kill()
                _, complaints = bench.communicate()
            # A transaction that failed would have been told at once; what was done must add up.
            assert "rror" not in complaints and "FATAL" not in complaints, complaints
            sums = sql("SELECT (SELECT sum(abalance) FROM pgbench_accounts), (SELECT sum(tbalance) FROM pgbench_tellers), "
                       "(SELECT sum(bbalance) FROM pgbench_branches), (SELECT sum(delta) FROM pgbench_history)")
            assert len(set(sums.split("|"))) == 1, sums
    finally:
        shutil.rmtree(data)
