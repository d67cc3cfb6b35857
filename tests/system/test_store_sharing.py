"""What the store saves, by the kernel's own figures: no root, no KSM."""
import json
import os
import pathlib
import signal
import subprocess
import tempfile

import pytest

from samepage_run import BUILD, PYTHON, SAMEPAGE, wait_until
from store_process import PRELUDE, environment, memory_group, script

MB = 1 << 20


@pytest.fixture
def open_folder():
    """A folder that every user may look into."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        yield pathlib.Path(folder)


def as_nobody():
    if os.geteuid() == 0:
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)


def measured(group, folder, copies, megabytes, target, *options):
    """The group's bytes once so many copies of a table are ready and have come down to `target`, and what they found."""
    go = folder / f"go-{copies}-{len(options)}"

    def enter():
        group.join()
        as_nobody()

    process = subprocess.Popen([SAMEPAGE, "run", "-q", "-n", str(copies), *options, "--", str(BUILD / "bin" / "store_table"),
                                str(megabytes), str(go)], stdout=subprocess.PIPE, text=True, preexec_fn=enter)
    try:
        said = [process.stdout.readline() for _ in range(copies)]
        assert all("ready" in line for line in said)
        used = [0]

        def low():
            used[0] = group.used()
            return used[0] <= target
        wait_until(low)
        go.touch()
        rest = process.communicate(timeout=30)[0]
        assert process.returncode == 0
        return used[0], {line.split()[-1] for line in rest.splitlines()}
    finally:
        process.kill()
        process.wait()


def test_three_copies_take_little_more_than_one(open_folder):
    if os.geteuid() == 0 and subprocess.run([SAMEPAGE, "--version"], preexec_fn=as_nobody, capture_output=True).returncode:
        pytest.skip("another user cannot run the build")
    with memory_group("copies") as group:
        one, alone = measured(group, open_folder, 1, 80, 1 << 40)
    with memory_group("copies") as group:
        # The others' own: stacks, event memory, page tables, and what they wrote before they settled.
        together, found = measured(group, open_folder, 3, 80, 1.06 * one + 2 * 6 * MB)
    assert found == alone and len(found) == 1
    with memory_group("copies") as group:
        plain, _ = measured(group, open_folder, 3, 80, 1 << 40, "--no-store")
    assert plain > 2 * one                                    # shows that something had to be shared


def test_copies_that_settle_at_once_need_little_more_memory_while_they_seal(tmp_path):
    go, seen = tmp_path / "go", tmp_path / "seen"
    with memory_group("peak") as group:
        process = subprocess.Popen([SAMEPAGE, "run", "-q", "-n", "3", "--", PYTHON, "-c", PRELUDE + r"""
data = b"".join(noise(n, 1 << 20) for n in range(96))
def wait_for(file):
    while not os.path.exists(file): time.sleep(0.001)
print("ready", flush=True)
wait_for(sys.argv[1])
print(libc.samepage_seal(), flush=True)
wait_for(sys.argv[2])
""", str(go), str(seen)], env=environment(tmp_path, SAMEPAGE_STORE="manual"), stdout=subprocess.PIPE, text=True, preexec_fn=group.join)
        try:
            assert all("ready" in process.stdout.readline() for _ in range(3))
            with group.peak_from_here() as peak:
                before = group.used()
                go.touch()
                assert all(" 0" in process.stdout.readline() for _ in range(3))
                assert peak() <= before + 64 * MB and group.used() < before - 150 * MB
            seen.touch()
            assert process.wait(30) == 0
        finally:
            process.kill()
            process.wait()


@pytest.mark.parametrize("nap", [0.02, 0.3])
def test_forked_workers_give_back_what_they_wrote(tmp_path, nap):
    """The reference counts of an unmodified Python program: its workers look things up, then wait, long or for moments."""
    said = script(tmp_path, r"""
table = {i: [str(i), float(i), (i, i + 1)] for i in range(150_000)}
def worker():
    for event in range(5):
        for _ in range(4000):
            held = table[random.randrange(150_000)]
            held = [held, held[2]]
        del held
    peak = anonymous()
    for _ in range(60):
        for _ in range(int(0.5 / float(sys.argv[1]))):
            time.sleep(float(sys.argv[1]))   # the store works while its process waits
        if anonymous() < peak - (10 << 20): return True
    print(peak >> 20, anonymous() >> 20, statistics(), flush=True)
pids = []
for _ in range(3):
    pid = os.fork()
    if not pid:
        wait_until_sealed()
        os._exit(0 if worker() else 1)
    pids.append(pid)
print([os.waitpid(pid, 0)[1] for pid in pids])
""", nap, mode="auto")
    assert said == ["[0, 0, 0]"]


# What a worker does in its one long wait, which ends when a byte comes through the pipe `end`.
WAITS = {
    "read": "os.read(end, 1)",
    "select": "import select; select.select([end], [], []); os.read(end, 1)",
    "epoll_pwait, as libuv": """
import select
waiting, event = select.epoll(), ctypes.create_string_buffer(12)
waiting.register(end, select.EPOLLIN)
assert libc.epoll_pwait(waiting.fileno(), event, 1, -1, None) == 1
os.read(end, 1)""",
    "semaphore": """
lock = threading.Lock()
lock.acquire()
threading.Thread(target=lambda: (os.read(end, 1), lock.release())).start()
lock.acquire()""",
    "semaphore with a time limit": """
lock = threading.Lock()
lock.acquire()
threading.Thread(target=lambda: (os.read(end, 1), lock.release())).start()
assert lock.acquire(timeout=1000)""",
    "ppoll, as glib": """
waiting = (ctypes.c_int * 2)(end, 1)
assert libc.ppoll(waiting, 1, None, None) == 1
os.read(end, 1)""",
    "child": """
if not os.fork(): os._exit(os.read(end, 1) != b"x")
assert os.wait()[1] == 0""",
}


@pytest.mark.parametrize("wait", WAITS)
def test_a_worker_that_waits_once_and_for_long_has_given_back(tmp_path, wait):
    """It comes to its wait while no pass is due: the store must not sleep with it."""
    said = script(tmp_path, r"""
def memory(pid):
    return next(int(line.split()[1]) << 10 for line in open(f"/proc/{pid}/smaps_rollup") if line.startswith("Anonymous:"))
data = noise()
end, start = os.pipe()
ready, tell = os.pipe()
pid = os.fork()
if not pid:
    wait_until_sealed()
    for _ in range(5):
        dirty(data, 5000)
        time.sleep(0.07)                 # long enough for a pass, too short for the next to be due
    for _ in range(100):                 # until no pass came between
        dirty(data, 5000)
        if (before := anonymous()) > 5000 * 4096: break
    os.write(tell, str(before).encode())
    exec(sys.argv[1])
    os._exit(0)
before, until = int(os.read(ready, 20)), time.monotonic() + 30
while memory(pid) > before - (15 << 20) and time.monotonic() < until: time.sleep(0.02)
reasons = json.load(open(f"{os.environ['SAMEPAGE_STORE_STATISTICS']}.{pid}"))["reasons"]
print(before > 5000 * 4096 or before, memory(pid) < before - (15 << 20) or reasons)
os.write(start, b"x")
print(os.waitpid(pid, 0)[1])
""", WAITS[wait], mode="auto", SAMEPAGE_STORE_MIN="1M")
    if "'threads'" in said[0]:
        pytest.skip("on this busy machine threads did not stop in time")
    assert said == ["True True", "0"]


HERDS = {
    "select": "select.select([listening], [], [], 1000)",
    "poll": "waiting = select.poll(); waiting.register(listening, select.POLLIN); waiting.poll(1000_000)",
    "epoll": "waiting = select.epoll(); waiting.register(listening, select.EPOLLIN); waiting.poll(1000)",
}


@pytest.mark.parametrize("wait", HERDS)
def test_workers_that_wait_for_the_same_connections_all_give_back(tmp_path, wait):
    """All see each connection come, and one gets it: the others wait on, and must go on to look for an idle moment. Work comes
    between two parts of their passes, too."""
    said = script(tmp_path, r"""
import select, socket
def memory(pid):
    return next(int(line.split()[1]) << 10 for line in open(f"/proc/{pid}/smaps_rollup") if line.startswith("Anonymous:"))
data = noise()
listening = socket.socket(socket.AF_UNIX)
listening.bind(sys.argv[1])
listening.listen(64)
listening.setblocking(False)
pids = []
for _ in range(6):
    pid = os.fork()
    if not pid:
        while True:
            exec(sys.argv[2])
            try: connection = listening.accept()[0]
            except BlockingIOError: continue
            dirty(data, 5000)
            connection.send(b"x")
            connection.close()
    pids.append(pid)
wait_until_sealed(*pids)
rested = max(map(memory, pids))
for _ in range(100):
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(sys.argv[1])
        assert connection.recv(1) == b"x"
    time.sleep(0.005)
worked, until = max(map(memory, pids)), time.monotonic() + 40
while max(map(memory, pids)) > rested + (4 << 20) and time.monotonic() < until: time.sleep(0.02)
left = [memory(pid) - rested >> 20 for pid in pids]
print(worked > rested + (15 << 20) or worked - rested, max(left) < 5 or left)
for pid in pids:
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
""", tmp_path / "socket", HERDS[wait], mode="auto", SAMEPAGE_STORE_MIN="1M")
    assert said == ["True True"]


def test_what_all_workers_came_to_change_alike_is_shared_again(tmp_path):
    """State that each builds by itself when it first needs it: 8 MB, and as much again that is its own."""
    said = script(tmp_path, r"""
data = noise()
def worker(own):
    for page in range(2000): data[page * 4096 + 7] ^= 1
    for page in range(4000, 6000): data[page * 4096 + 7] = own
    changed, peak = zlib.crc32(data), anonymous()
    until = time.monotonic() + 40
    while time.monotonic() < until:
        dirty(memoryview(data)[3000 * 4096:], 200)     # a request
        time.sleep(0.1)
        if anonymous() < peak - (6 << 20) and statistics()["resealed"] > 6 << 20: break
    print(own, statistics(), file=sys.stderr) if time.monotonic() > until else None
    return time.monotonic() < until and zlib.crc32(data) == changed
pids = []
for own in range(3):
    pid = os.fork()
    if not pid:
        wait_until_sealed()
        os._exit(0 if worker(own) else 1)
    pids.append(pid)
print([os.waitpid(pid, 0)[1] for pid in pids])
""", mode="auto", SAMEPAGE_STORE_MIN="1M", SAMEPAGE_RESEAL="on")
    assert said == ["[0, 0, 0]"]


def test_workers_whose_first_work_takes_long_share_what_they_give_back(tmp_path):
    """They work for a second before they wait or allocate; their parent waits meanwhile, and must not have given up."""
    said = script(tmp_path, r"""
data = noise()
pages = memoryview(data)
def worker():
    until = time.monotonic() + 1.2
    while time.monotonic() < until: zlib.crc32(pages)
    dirty(data, 4000)
    peak = anonymous()
    until = time.monotonic() + 15
    while time.monotonic() < until and anonymous() > peak - (14 << 20): time.sleep(4)
    return time.monotonic() < until
print(child(worker))
""", mode="auto", SAMEPAGE_STORE_MIN="1M")
    assert said == ["True"]


def test_a_worker_that_is_sealed_in_the_midst_of_work_gives_back_what_that_changed(tmp_path):
    """It has every page changed when it is sealed, and back as it was when that work is done."""
    said = script(tmp_path, r"""
data = noise()
def change():
    for page in range(4000): data[page * 4096] ^= 1
def worker():
    change()
    wait_until_sealed()
    changed = anonymous()
    change()
    until = time.monotonic() + 40
    while time.monotonic() < until and anonymous() > changed - (14 << 20): time.sleep(4)
    return time.monotonic() < until
print(child(worker))
""", mode="auto", SAMEPAGE_STORE_MIN="1M")
    assert said == ["True"]


# What a worker does that has written to `data` and waits until that is given back.
GIVES_BACK = r"""
def gives_back(data, pages=5000):
    wait_until_sealed()
    while True:                          # until no pass came between
        dirty(data, pages)
        if (peak := anonymous()) > pages * 4096: break
    until = time.monotonic() + 40
    while time.monotonic() < until and anonymous() > peak - (pages * 3072): time.sleep(4)
    return time.monotonic() < until or print(peak >> 20, anonymous() >> 20, statistics(), file=sys.stderr)
"""


@pytest.mark.parametrize("command", [[], [SAMEPAGE, "run", "-q", "--"]], ids=["alone", "under run"])
def test_what_was_allocated_in_the_store_is_shared_at_the_first_fork(tmp_path, command):
    said = script(tmp_path, r"""
print(libc.samepage_allocate_in_store())
data = noise()
was = zlib.crc32(data)
def worker():
    was_shared = anonymous() < 20 << 20
    data[0] ^= 1            # its own
    return was_shared and zlib.crc32(data) != was
print(child(worker), anonymous() < 20 << 20, zlib.crc32(data) == was)
""", command=command, mode="auto")
    assert said == ["0", "True True True"]


@pytest.mark.parametrize("command", [[], [SAMEPAGE, "run", "-q", "--"]], ids=["alone", "under run"])
def test_a_daemon_that_loaded_before_it_went_to_the_background_shares_with_its_workers(tmp_path, command):
    """The process in which its tables came about has ended, and the launcher with it."""
    said = script(tmp_path, GIVES_BACK + r"""
data = noise()
if os.fork(): os._exit(0)
os.setsid()
parent = os.getpid()
if os.fork(): os._exit(0)
while os.getppid() == parent: time.sleep(0.01)      # until then it is no daemon
print(child(lambda: gives_back(data)), flush=True)
""", command=command, mode="auto", seconds=120, SAMEPAGE_STORE_MIN="1M")
    assert said == ["True"]


def test_workers_that_take_turns_by_a_lock_of_a_file_share_while_they_wait_for_it(tmp_path):
    """As those of Net::Server::PreFork."""
    said = script(tmp_path, r"""
import fcntl
data = noise()
path = sys.argv[1]
held = open(path, "w")
fcntl.flock(held, fcntl.LOCK_EX)
def worker():
    dirty(data, 3000)
    fcntl.flock(open(path), fcntl.LOCK_EX)
    return anonymous() < 8 << 20
pids = []
for _ in range(2):
    if pid := os.fork(): pids.append(pid)
    else: os._exit(0 if worker() else 1)
time.sleep(0.1)
wait_until_sealed(*pids)
fcntl.flock(held, fcntl.LOCK_UN)
began = time.monotonic()
print([os.waitpid(pid, 0)[1] for pid in pids], time.monotonic() - began < 5)
""", tmp_path / "lock", mode="auto")
    assert said == ["[0, 0] True"]


def test_a_program_that_loads_more_for_its_next_workers_shares_that_too(tmp_path):
    """Far more than before its first fork, for which the store's files were made."""
    said = script(tmp_path, GIVES_BACK + r"""
data = noise(size=8 << 20)
print(child(lambda: gives_back(data, 1500)), flush=True)
more = noise(2, 64 << 20) * 5
def worker():
    wait_until_sealed()
    until = time.monotonic() + 60
    while statistics()["sealed"] < 280 << 20 and time.monotonic() < until: time.sleep(0.05)
    return gives_back(memoryview(more)[160 << 20:])
print(child(worker), flush=True)
""", mode="auto", seconds=300, SAMEPAGE_STORE_MIN="1M", SAMEPAGE_SETTLE="off")
    assert said == ["True"] * 2


def test_a_server_that_reloads_its_data_shares_the_new_ones_with_its_next_workers(tmp_path):
    """They lie where the old ones were, and beside them, in blocks that are sealed. The old ones' files go."""
    said = script(tmp_path, GIVES_BACK + r"""
def load(seed): return [noise(seed + n, 128 << 10) for n in range(200)]
def files():
    "Bytes of memory files that are mapped."
    lines = [line.split() for line in open("/proc/self/maps") if "memfd:samepage-store" in line]
    return sum({line[4]: os.stat("/proc/self/map_files/" + line[0]).st_blocks << 9 for line in lines}.values())
def worker():
    until = time.monotonic() + 40
    while time.monotonic() < until:
        try:
            if statistics()["sealed"] > 22 << 20: break
        except FileNotFoundError: pass
        time.sleep(0.05)
    def change():
        for table in data: dirty(table, 32)
    while True:
        change()
        if (peak := anonymous()) > 22 << 20: break
    until = time.monotonic() + 40
    while time.monotonic() < until and anonymous() > peak - (16 << 20): time.sleep(4)
    return time.monotonic() < until or print(peak >> 20, anonymous() >> 20, statistics(), file=sys.stderr)
data = load(1)
print(child(worker), flush=True)
for seed in range(1000, 6000, 1000):
    data = None
    data = load(seed)
    print(child(worker) and (files() < 100 << 20 or files() >> 20), flush=True)
""", mode="auto", seconds=300, SAMEPAGE_STORE_MIN="8M", SAMEPAGE_SETTLE="off")
    assert said == ["True"] * 6


def test_a_worker_cannot_read_what_its_parent_publishes_for_later_ones(tmp_path):
    """It may have become another user's since. One that is forked later can, as it has that by the fork."""
    said = script(tmp_path, r"""
def reads_more():
    "Whether any of the store's files that this process has, by a descriptor or mapped, holds what came later."
    secret = bytes(noise(150, 64))
    paths = [f"/proc/self/{name}/{entry}" for name in ("fd", "map_files") for entry in os.listdir(f"/proc/self/{name}")]
    def holds(path):
        try: return "memfd:samepage-store" in os.readlink(path) and secret in open(path, "rb").read()
        except OSError: return False
    return any(map(holds, paths))
data = noise()
end, start = os.pipe()
told, tell = os.pipe()
if not os.fork():
    wait_until_sealed()
    os.write(tell, b"x")
    os.read(end, 1)
    os.write(tell, b"y" if reads_more() else b"n")
    os._exit(0)
os.read(told, 1)
while statistics()["sealed"] < 20 << 20 or statistics()["published"] == 0: time.sleep(0.05)
time.sleep(0.5)
more = [noise(n, 128 << 10) for n in range(200)]
def later():
    until = time.monotonic() + 30
    while not reads_more() and time.monotonic() < until: time.sleep(0.05)
    return time.monotonic() < until
print(child(later), flush=True)
os.write(start, b"x")
print(os.read(told, 1).decode())
os.wait()
""", mode="auto", seconds=120, SAMEPAGE_STORE_MIN="8M", SAMEPAGE_SETTLE="off")
    assert said == ["True", "n"]


def test_what_is_sealed_is_given_back_though_not_all_could_be(tmp_path):
    """Few descriptors are left, and so few files."""
    said = script(tmp_path, r"""
resource.setrlimit(resource.RLIMIT_NOFILE, (128, 128))
data = noise() * 8
taken = [os.open("/dev/null", os.O_RDONLY) for _ in range(3)]
taken += [os.dup2(taken[0], number) for number in range(64, 123)]
def worker():
    for number in taken: os.close(number)
    wait_until_sealed()
    dirty(data, len(data) >> 12)
    peak, until = anonymous(), time.monotonic() + 40
    while time.monotonic() < until and anonymous() > peak - (24 << 20): time.sleep(4)
    print(statistics()["sealed"] < 100 << 20, flush=True)
    return time.monotonic() < until
print(child(worker))
""", mode="auto", seconds=120, SAMEPAGE_STORE_MIN="1M")
    assert said == ["True", "True"]


def test_workers_copy_nothing_that_they_share_by_the_fork(tmp_path):
    """Their parent has changed all of it since, and publishes that."""
    said = script(tmp_path, r"""
def own(): return sum(int(line.split()[1]) << 10 for line in open("/proc/self/smaps_rollup") if line.startswith("Private_D"))
data, same = noise(), noise(2)
said, tell = os.pipe()
end, start = os.pipe()
for _ in range(2):
    if not os.fork():
        try:
            os.close(start)
            wait_until_sealed()
            until = time.monotonic() + 3
            while time.monotonic() < until and own() < 12 << 20: time.sleep(0.1)
            os.write(tell, b"%4d" % (own() >> 20))
            os.read(end, 1)
        finally: os._exit(0)
os.close(tell)
for page in range(6000): data[page * 4096] ^= 1
print([int(os.read(said, 4) or 99) < 12 for _ in range(2)])
os.close(start)
""", mode="auto", SAMEPAGE_STORE_MIN="1M")
    assert said == ["[True, True]"]


TABLES = {
    "python": ["/usr/bin/python3", "-c", "import time; table = {str(i): [i, str(i)] for i in range(200_000)}; time.sleep(12)"],
    "perl": ["perl", "-e", "%t = map { (\"key $_\" => [$_, \"value $_\"]) } 1 .. 150000; sleep 12"],
    "perl, which runs a command first": ["perl", "-e", "$n = `echo 1`; %t = map { (\"key $_\" => [$_, \"value $_\"]) } 1 .. 150000; sleep 12"],
}


def test_a_parent_does_not_publish_at_once_while_its_workers_need_all_processors(tmp_path):
    """But after two seconds; they work, and wait now and then."""
    if os.cpu_count() != len(os.sched_getaffinity(0)):
        pytest.skip("this process may not use all processors")
    said = script(tmp_path, r"""
data = noise()
pids = []
began = time.monotonic()
for _ in range(2 * os.cpu_count()):
    pid = os.fork()
    if not pid:
        libc.prctl(1, signal.SIGKILL)        # not longer than its parent
        while True:
            zlib.crc32(data)
            time.sleep(0.001)
    pids.append(pid)
wait_until_sealed()
print(time.monotonic() - began > 1.5 or time.monotonic() - began)
for pid in pids: os.kill(pid, signal.SIGKILL)
""", mode="auto", SAMEPAGE_STORE_MIN="1M")
    assert said == ["True"]


def test_pages_that_were_given_up_are_given_back_in_a_long_rest(tmp_path):
    """What is written again after every pass stays private while the process works now and then, not when it has nothing to do."""
    said = script(tmp_path, r"""
data = noise()
def worker():
    wait_until_sealed()
    until, nap = time.monotonic() + 60, 0.3
    while statistics()["given_up"] < 8 << 20 and time.monotonic() < until:
        passes = statistics()["passes"]
        dirty(data, 4000)
        time.sleep(nap)
        if statistics()["passes"] == passes: nap = 2.5     # a busy machine: no pass before
    dirty(data, 4000)
    peak, given_up = anonymous(), statistics()["given_up"]
    until = time.monotonic() + 40
    while time.monotonic() < until and anonymous() > peak - (14 << 20): time.sleep(8)
    print(given_up >= 8 << 20 or given_up, time.monotonic() < until or statistics(), flush=True)
    return True
print(child(worker))
""", mode="auto", seconds=120, SAMEPAGE_STORE_MIN="1M", SAMEPAGE_RESHARE_BUDGET="10")
    assert said == ["True True", "True"]


def test_programs_that_a_shell_starts_share_with_a_fixed_layout(tmp_path):
    ran = subprocess.run([SAMEPAGE, "run", "--layout", "fixed", "--json", tmp_path / "run.json", "--", "sh", "-c",
                          '"$@" & "$@" & wait', "sh", *TABLES["python"]], capture_output=True, text=True, timeout=120)
    assert ran.returncode == 0, ran.stderr
    samples = json.loads((tmp_path / "run.json").read_text())["samples"]
    best = max(samples, key=lambda sample: sample["saved_kb"] / sample["alone_kb"])
    assert best["saved_kb"] > 0.4 * best["alone_kb"], best  # of two equal ones a half can be


def test_copies_share_what_they_build_after_they_have_forked_workers(tmp_path):
    """In a block that is sealed, and beyond."""
    said = script(tmp_path, r"""
def build(first, last): return [noise(n, 128 << 10) for n in range(first, last)]
def shares(size):
    until = time.monotonic() + 40
    while time.monotonic() < until:
        try:
            if statistics()["sealed"] >= size << 20: return True
        except FileNotFoundError: pass
        time.sleep(0.05)
    return print(statistics(), file=sys.stderr)
table, good = build(0, 200), shares(22)
worker = os.fork()
if not worker:
    until = time.monotonic() + 5
    while time.monotonic() < until: time.sleep(0.05)
    os._exit(0)
time.sleep(1)
more = build(200, 600)
print(good and shares(70), os.waitpid(worker, 0)[1])
""", command=[SAMEPAGE, "run", "-q", "-n", "2", "--"], mode="auto", seconds=120)
    assert sorted(said) == ["[0] True 0", "[1] True 0"]


@pytest.mark.parametrize("program", TABLES)
def test_copies_that_build_a_table_and_wait_share_it(tmp_path, program):
    """They neither allocate nor call anything of ours once the table is there."""
    ran = subprocess.run([SAMEPAGE, "run", "-n", "3", "--json", tmp_path / "run.json", "--", *TABLES[program]],
                         capture_output=True, text=True, timeout=120)
    assert ran.returncode == 0, ran.stderr
    samples = json.loads((tmp_path / "run.json").read_text())["samples"]
    # Of three equal copies two thirds can be saved; the rest is their own stacks and page tables.
    assert any(s["processes"] == 3 and s["alone_kb"] > 3 * 60_000 and s["saved_kb"] > 0.55 * s["alone_kb"] for s in samples)


@pytest.mark.parametrize("end", ["goes on", "is killed"])
def test_a_publisher_that_was_held_up_leaves_no_second_file(tmp_path, end):
    """It is stopped in the middle of a file, another one does the work meanwhile, and what it had written is given back."""
    program = """
import ctypes, os, random, sys, time
data = random.Random(1).randbytes(150 << 20)
print(os.getpid(), flush=True)
rank, folder = sys.argv[1:]
while not os.path.exists(f"{folder}/go-{rank}"): time.sleep(0.001)
print("sealed" if ctypes.CDLL(None).samepage_seal() == 0 else "not sealed", flush=True)
while not os.path.exists(f"{folder}/end"): time.sleep(0.01)
"""
    env = {**environment(tmp_path), "SAMEPAGE_STORE": "manual"}
    del env["LD_PRELOAD"]
    process = subprocess.Popen([SAMEPAGE, "run", "-q", "-n", "2", "--output", tmp_path, "--", "/usr/bin/python3", "-c", program,
                                "{rank}", tmp_path], env=env)
    said = lambda rank: (tmp_path / f"copy-{rank}.log").read_text().split("\n")[:-1]
    files = lambda: [os.stat(path).st_blocks * 512 for path in store_files]
    try:
        wait_until(lambda: all((tmp_path / f"copy-{rank}.log").exists() and said(rank) for rank in (0, 1)))
        store_files = [path for path in pathlib.Path(f"/proc/{process.pid}/fd").iterdir()
                       if "memfd:samepage-store" in os.readlink(path)]
        first = int(said(0)[0])
        (tmp_path / "go-0").touch()
        in_between = lambda: any(2 * MB < size < 30 * MB for size in files())
        while True:
            while not in_between():
                assert len(said(0)) < 2, "it was too quick"
            os.kill(first, signal.SIGSTOP)
            wait_until(lambda: pathlib.Path(f"/proc/{first}/stat").read_text().rsplit(")", 1)[1].split()[0] == "T")
            if in_between():
                break
            os.kill(first, signal.SIGCONT)
        if end == "is killed":
            os.kill(first, signal.SIGKILL)
        (tmp_path / "go-1").touch()
        wait_until(lambda: len(said(1)) == 2)
        if end == "goes on":
            os.kill(first, signal.SIGCONT)
            wait_until(lambda: len(said(0)) == 2)
            assert said(0)[1] == "sealed"
        assert said(1)[1] == "sealed"
        assert 150 * MB <= sum(files()) < 170 * MB, [size / MB for size in files() if size]
    finally:
        (tmp_path / "end").touch()
        process.kill()  # its copies end with it, stopped ones too
        process.wait(timeout=30)


@pytest.fixture
def rewriting(tmp_path):
    """Starts copies that seal a table when told, then do what `steps` says, one step when told each, and print when that is done."""
    program = """
import ctypes, os, random, sys, time
rank, folder = sys.argv[1:]
library = ctypes.CDLL(None)
parts = [bytearray(random.Random(n).randbytes(4000)) for n in range(24000)]
def write(first, last, owner):
    for n in range(first, last): parts[n][:] = random.Random(f"{owner} {n}").randbytes(4000)
def holds(first, last, owner):
    return all(parts[n] == random.Random(f"{owner} {n}").randbytes(4000) for n in range(first, last))
def passes(count):
    for _ in range(count): library.samepage_reshare()
def wait(name):
    print("ready", flush=True)
    while not os.path.exists(f"{folder}/{name}-{rank}"): time.sleep(0.001)
wait("seal")
assert library.samepage_seal() == 0
"""

    class Copies:
        def __init__(self, copies, steps, **variables):
            env = {**environment(tmp_path), "SAMEPAGE_STORE": "manual", **variables}
            del env["LD_PRELOAD"]
            self.process = subprocess.Popen([SAMEPAGE, "run", "-q", "-n", str(copies), "--output", tmp_path, "--", "/usr/bin/python3",
                                             "-c", program + steps, "{rank}", tmp_path], env=env)
            wait_until(lambda: all(self.said(rank) for rank in range(copies)))
            self.files = [path for path in pathlib.Path(f"/proc/{self.process.pid}/fd").iterdir() if os.path.islink(path)
                          and "memfd:samepage-store" in os.readlink(path) and path.stat().st_size == 32 * MB]

        def said(self, rank):
            log = tmp_path / f"copy-{rank}.log"
            return log.read_text().split("\n")[:-1] if log.exists() else []

        def let(self, name, *ranks):
            for rank in ranks:
                (tmp_path / f"{name}-{rank}").touch()

        def tell(self, name, *ranks):
            """And waits until they have done it."""
            ready = [self.said(rank).count("ready") for rank in ranks]
            self.let(name, *ranks)
            wait_until(lambda: all(self.said(rank).count("ready") > before for rank, before in zip(ranks, ready)))

        def size(self):
            return sum(os.stat(path).st_blocks * 512 for path in self.files)

        def wakes(self):
            """Of the launcher, which looks at its copies now and then."""
            status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
            return next(int(line.split()[1]) for line in status.split("\n") if line.startswith("voluntary"))

        def end(self, name):
            """The last line of each."""
            ranks = range(len(list(tmp_path.glob("copy-*.log"))))
            self.let(name, *ranks)
            assert self.process.wait(timeout=60) == 0
            return [self.said(rank)[-1] for rank in ranks]

    started = []

    def start(*args, **variables):
        started.append(Copies(*args, **variables))
        return started[-1]

    yield start
    for copies in started:
        copies.process.kill()
        copies.process.wait(timeout=30)


def test_files_of_what_every_copy_has_rewritten_are_given_up(rewriting):
    """Else the store would be one table more than the same copies take without it; but not while one has not."""
    copies = rewriting(3, """
wait("write")
if rank != "2":
    write(0, 24000, rank)
    passes(6)
wait("end")
print(holds(0, 24000, rank) if rank != "2" else all(part == random.Random(n).randbytes(4000) for n, part in enumerate(parts)))
""")
    copies.tell("seal", 0, 1)
    before = copies.size()
    assert before > 92 * MB
    copies.tell("write", 0)
    wakes = copies.wakes()
    wait_until(lambda: copies.wakes() > wakes + 3)
    assert copies.size() == before  # the second copy has them mapped
    copies.tell("write", 1)
    wait_until(lambda: copies.size() <= before - 64 * MB)  # two blocks at least lie in the table as a whole
    copies.tell("seal", 2)  # its table is the old one, for which there is another file now
    copies.let("write", 2)
    assert copies.end("end") == ["True"] * 3


def test_after_its_file_is_given_up_a_block_is_not_sealed_again(rewriting):
    """A part of it may lie in a layer, whose pages would then be the other file's where they are given back."""
    copies = rewriting(2, """
wait("alike")
write(0, 3000, "all")
write(3000, 24000, rank)
passes(4)
wait("more")
passes(4)
wait("again")
write(0, 3000, "other")
library.samepage_seal()
write(0, 3000, "all")
passes(2)
print(holds(0, 3000, "all") and holds(3000, 24000, rank))
""", SAMEPAGE_RESEAL="on")
    copies.tell("seal", 0, 1)
    before = copies.size()
    for step in ("alike", "more"):
        copies.tell(step, 0, 1)
    wait_until(lambda: copies.size() <= before - 32 * MB)
    assert copies.end("again") == ["True"] * 2
