"""redis-server: jemalloc's own API, background saves in forked children while clients write."""
import subprocess

import pytest

from plain_and_heap import environment, need, published, run, sealing, server, succeed, wait_until

KEYS = 20000


@pytest.fixture
def redis(tmp_path, preload):
    need("redis-server", "redis-cli", "redis-benchmark")
    socket = tmp_path / "redis.sock"

    def start():
        return server(["redis-server", "--port", "0", "--unixsocket", socket, "--dir", tmp_path, "--save", "",
                       "--enable-debug-command", "yes", "--activedefrag", "no"], preload, env=sealing(tmp_path),
                      answers=lambda: socket.exists() and run(["redis-cli", "-s", socket, "ping"]).stdout == "PONG\n")

    def ask(*command, **options):
        return succeed(["redis-cli", "-s", socket, *command], **options).strip()

    return start, ask, socket


def fill(ask):
    commands = "".join(f"SET key:{i} {'v' * (i % 700)}{i}\nRPUSH list:{i % 97} {i * i}\nHSET hash:{i % 89} f{i} {i}\n"
                       for i in range(KEYS))
    assert "ERR" not in ask(input=commands)


def test_saves_while_clients_write(redis, tmp_path, preload):
    start, ask, socket = redis
    with start():
        fill(ask)
        load = subprocess.Popen(["redis-benchmark", "-s", str(socket), "-n", "100000", "-r", "5000", "-d", "300", "-q",
                                 "-t", "set,lpush,hset,lpop"], env=environment(), stdout=subprocess.DEVNULL)
        saves = 0
        while load.poll() is None or saves < 3:
            ask("BGSAVE")
            wait_until(lambda: "rdb_bgsave_in_progress:0" in ask("INFO", "persistence"), 60)
            assert "rdb_last_bgsave_status:ok" in ask("INFO", "persistence")
            saves += 1
        assert load.wait() == 0
        if preload:
            wait_until(lambda: published(tmp_path) > 0)
        digest = ask("DEBUG", "DIGEST")
        assert ask("DEBUG", "RELOAD") == "OK"
        assert ask("DEBUG", "DIGEST") == digest
        ask("SAVE")
    with start():
        assert ask("DEBUG", "DIGEST") == digest


def test_rewrites_its_log_and_reads_it_back(redis):
    start, ask, _ = redis
    with start():
        ask("CONFIG", "SET", "appendonly", "yes")
        wait_until(lambda: "aof_rewrite_in_progress:0" in ask("INFO", "persistence"))
        fill(ask)
        ask("BGREWRITEAOF")
        wait_until(lambda: "aof_rewrite_in_progress:0" in ask("INFO", "persistence"))
        assert "aof_last_bgrewrite_status:ok" in ask("INFO", "persistence")
        digest = ask("DEBUG", "DIGEST")
        assert ask("DEBUG", "LOADAOF") == "OK"
        assert ask("DEBUG", "DIGEST") == digest


def test_asks_its_allocator(redis):
    start, ask, _ = redis
    with start():
        fill(ask)
        assert "jemalloc" in ask("INFO", "memory")
        assert ask("MEMORY", "PURGE") == "OK"
        allocated = int(ask("INFO", "memory").split("allocator_allocated:")[1].split()[0])
        assert allocated > KEYS * 350
        assert ask("FLUSHALL") == "OK"
        wait_until(lambda: int(ask("INFO", "memory").split("allocator_allocated:")[1].split()[0]) < allocated / 2)
