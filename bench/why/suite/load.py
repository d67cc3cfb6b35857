"""How much slower redis and PostgreSQL are while samepage why looks at them once a second."""
import contextlib
import glob
import os
import pathlib
import re
import shutil
import statistics
import subprocess
import tempfile
import threading
import time


@contextlib.contextmanager
def looked_at(samepage: pathlib.Path, pid: int, looks: list):
    """Appends the seconds that each look took, without the pause between its two readings."""
    stop = threading.Event()

    def look():
        while not stop.is_set():
            began = time.monotonic()
            subprocess.run([samepage, "why", "--tree", str(pid)], check=True, stdout=subprocess.DEVNULL)
            looks.append(time.monotonic() - began)
            stop.wait(1)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def compare(samepage: pathlib.Path, pid: int, throughput, rounds: int) -> dict:
    """Turn by turn, so that whatever else the machine does meets both."""
    rates, looks = {"plain": [], "looked at": []}, []
    throughput()
    for _ in range(rounds):
        rates["plain"].append(throughput())
        with looked_at(samepage, pid, looks):
            rates["looked at"].append(throughput())
    return {"rates": rates, "look_seconds": statistics.median(looks),
            "ratio": statistics.median(rates["looked at"]) / statistics.median(rates["plain"])}


def started(command: list, ready, **options) -> subprocess.Popen:
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **options)
    end = time.monotonic() + 60
    while not ready():
        assert process.poll() is None and time.monotonic() < end, f"{command[0]} does not start"
        time.sleep(0.05)
    return process


def redis(samepage: pathlib.Path, folder: pathlib.Path, quick: bool):
    if not shutil.which("redis-server"):
        return None
    socket = str(folder / "redis.sock")
    process = started(["redis-server", "--port", "0", "--unixsocket", socket, "--save", "", "--dir", str(folder)],
                      lambda: pathlib.Path(socket).exists())
    try:
        keys, requests = (20_000, 20_000) if quick else (300_000, 200_000)
        load = ["redis-benchmark", "-s", socket, "-d", "300", "-r", str(keys), "-q", "--csv"]
        subprocess.run([*load, "-t", "set", "-n", str(keys)], check=True, stdout=subprocess.DEVNULL)

        def throughput():
            told = subprocess.run([*load, "-t", "set,get", "-n", str(requests)], check=True, capture_output=True, text=True)
            return statistics.mean(float(rate) for rate in re.findall(r'^"[SG]ET","([\d.]+)"', told.stdout, re.M))

        return compare(samepage, process.pid, throughput, 1 if quick else 3)
    finally:
        process.terminate()
        process.wait()


def postgresql(samepage: pathlib.Path, folder: pathlib.Path, quick: bool):
    binaries = sorted(glob.glob("/usr/lib/postgresql/*/bin"))
    if not binaries:
        return None
    folder.chmod(0o755)
    data = folder / "data"
    data.mkdir()
    prefix = []
    if os.geteuid() == 0:  # which PostgreSQL refuses to be
        os.chown(data, 65534, 65534)
        prefix = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]

    def command(program, *arguments):
        return [*prefix, f"{binaries[-1]}/{program}", *map(str, arguments)]

    connect = ["-h", data, "-U", "me", "postgres"]
    quiet = {"check": True, "cwd": data, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    subprocess.run(command("initdb", "-D", data / "db", "-U", "me", "-A", "trust", "--no-sync"), **quiet)
    process = started(command("postgres", "-D", data / "db", "-k", data, "-c", "listen_addresses=", "-c", "fsync=off"),
                      lambda: subprocess.run(command("pg_isready", "-h", data, "-q")).returncode == 0, cwd=data)
    try:
        subprocess.run(command("pgbench", "-i", "-q", "-s", 1 if quick else 10, *connect), **quiet)

        def throughput():
            told = subprocess.run(command("pgbench", "-c", 2, "-S", "-T", 1 if quick else 5, *connect), check=True, cwd=data,
                                  capture_output=True, text=True)
            return float(re.search(r"^tps = ([\d.]+)", told.stdout, re.M)[1])

        return compare(samepage, process.pid, throughput, 1 if quick else 3)
    finally:
        process.terminate()
        process.wait()


def measure(samepage: pathlib.Path, quick: bool) -> dict:
    told = {}
    for name, program in {"redis-server, set and get": redis, "PostgreSQL, pgbench -S": postgresql}.items():
        with tempfile.TemporaryDirectory() as folder:
            result = program(samepage, pathlib.Path(folder), quick)
            if result:
                told[name] = result
    return told


def table(told: dict) -> str:
    lines = ["Requests a second, median, while samepage why looks once a second, and without:", "",
             "| program | plain | looked at | ratio | a look takes s |", "| --- | --: | --: | --: | --: |"]
    for name, result in told.items():
        plain, looked = (statistics.median(result["rates"][how]) for how in ("plain", "looked at"))
        lines.append(f"| {name} | {plain:,.0f} | {looked:,.0f} | {result['ratio']:.2f} | {result['look_seconds']:.2f} |")
    return "\n".join(lines)
