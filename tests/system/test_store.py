"""The store in whole processes: nobody sees another byte than without it, whatever they do with their memory."""
import os
import pathlib
import pty
import random
import resource
import select
import shutil
import subprocess

import pytest

from samepage_run import BUILD, read_to_end, wait_until
from store_process import PRELUDE, environment, program, script, statistics, threads_can_be_stopped


# ---- fork and exec

def test_a_fork_that_purges_sealed_constants_does_not_wait_for_itself(tmp_path):
    ran = program(tmp_path, "store_fork", MALLOC_CONF="dirty_decay_ms:0")
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "sealed 8\n", "")


def test_children_and_grandchildren_write_for_themselves_and_give_back(tmp_path):
    said = script(tmp_path, r"""
data = noise()
was = zlib.crc32(data)
print(*seal()[:1], zlib.crc32(data) == was)
def generation(left):
    def body():
        data[left * 4096 * 7 + 5] ^= 0xff          # this one's own
        mine = zlib.crc32(data)
        dirty(data, 3000)
        before = anonymous()
        good = libc.samepage_reshare() == 0 and before - anonymous() > 2500 * 4096
        good = good and statistics()["given_back"] >= 2900 * 4096
        return good and zlib.crc32(data) == mine and (not left or generation(left - 1)) and zlib.crc32(data) == mine
    return child(body)
print(generation(2), zlib.crc32(data) == was)
""")
    assert said == ["0 True", "True True"]


def test_what_is_executed_finds_no_descriptor_and_no_mapping_of_the_store(tmp_path):
    said = script(tmp_path, r"""
data = noise()
print(*seal()[:1])
sys.stdout.flush()
os.environ.pop("LD_PRELOAD")
os.execv("/bin/sh", ["sh", "-c", "ls -l /proc/$$/fd; cat /proc/$$/maps"])
""")
    assert said[0] == "0" and len(said) > 10
    assert not [line for line in said if "samepage" in line]


def test_a_program_that_execs_its_children_is_not_sealed(tmp_path):
    said = script(tmp_path, r"""
import subprocess
data = noise()
for _ in range(20):
    subprocess.run(["/bin/true"])
    pid = os.fork()
    if not pid: os.execv("/bin/true", ["true"])
    os.waitpid(pid, 0)
time.sleep(3)                            # longer than a parent lets its workers begin in peace
print("memfd:samepage-store" in open("/proc/self/maps").read())
""", mode="auto", SAMEPAGE_STORE_MIN="1M")
    assert said == ["False"]


# ---- memory stays what it was

def test_everything_that_may_be_done_to_memory_shows_the_same_bytes(tmp_path):
    said = script(tmp_path, r"""
libc.mlock.argtypes = libc.munlock.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
libc.madvise.argtypes = libc.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
data = noise()
was = zlib.crc32(data)
address = (ctypes.addressof(ctypes.c_char.from_buffer(data)) + 4095) & ~4095
print(*seal()[:1])
same = lambda: zlib.crc32(data) == was
part = 4 << 20
print(libc.mlock(address, part), same(), libc.munlock(address, part), same())
print(libc.samepage_reshare(), same())
print(libc.mprotect(address, part, 1), same(), libc.mprotect(address, part, 3), same())     # read alone, and back
for advice in (0, 1, 2, 3, 14, 15, 22, 23, 16, 17):   # NORMAL RANDOM SEQUENTIAL WILLNEED (NO)HUGEPAGE POPULATE_* DONTDUMP DODUMP
    libc.madvise(address, part, advice)
print(same(), libc.samepage_reshare(), same())
data += bytes(1 << 20)                                # realloc
del data[SIZE:]
print(same(), child(same), libc.samepage_unseal(), same())
""")
    assert said == ["0", "0 True 0 True", "0 True", "0 True 0 True", "True 0 True", "True True 0 True"]


def test_what_a_program_gives_up_is_zero(tmp_path):
    """By madvise, with a few pages and with many; in its children too, and for good."""
    said = script(tmp_path, r"""
libc.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
data = noise()
start = (ctypes.addressof(ctypes.c_char.from_buffer(data)) + 4095) & ~4095
offset = start - ctypes.addressof(ctypes.c_char.from_buffer(data))
wanted = bytearray(data)
print(*seal()[:1])
DONTNEED, FREE = 4, 8
for page, pages, advice in (100, 3, DONTNEED), (1000, 600, DONTNEED), (2000, 1, DONTNEED), (3000, 100, FREE):
    if libc.madvise(start + page * 4096, pages * 4096 - 5, advice): print("refused", ctypes.get_errno())
    wanted[offset + page * 4096:offset + (page + pages) * 4096] = bytes(pages * 4096)
same = lambda: data == wanted
print(same(), child(same), libc.madvise(start + 1, 4096, DONTNEED), ctypes.get_errno(), same())
data[offset + 1000 * 4096] = wanted[offset + 1000 * 4096] = 7
libc.mprotect.argtypes = libc.madvise.argtypes
libc.mprotect(start + 4000 * 4096, 4096, 0)             # stays protected, and is zero
was_refused = libc.madvise(start + 3990 * 4096, 30 * 4096, DONTNEED)
protected = "---p" in next(line for line in open("/proc/self/maps") if line.startswith(f"{start + 4000 * 4096:x}-"))
libc.mprotect(start + 4000 * 4096, 4096, 3)
wanted[offset + 3990 * 4096:offset + 4020 * 4096] = bytes(30 * 4096)
print(was_refused, protected, same())
print(libc.samepage_reshare(), same(), child(same), libc.samepage_unseal(), same())
""")
    assert said == ["0", "True True -1 22 True", "0 True True", "0 True True 0 True"]


def test_rules_that_a_program_has_for_memory_are_kept(tmp_path):
    """Not for children, zero for them, not in a core dump (madvise): set before it is sealed, and after."""
    said = script(tmp_path, r"""
libc.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
DONTFORK, DONTDUMP, WIPEONFORK = 10, 16, 18
data = noise()
start = (ctypes.addressof(ctypes.c_char.from_buffer(data)) + 4095) & ~4095
offset = start - ctypes.addressof(ctypes.c_char.from_buffer(data))
was = bytes(data)
def part(page, of=data): return of[offset + page * 4096:offset + (page + 8) * 4096]
def rule(page, advice): return libc.madvise(start + page * 4096, 8 * 4096, advice)
def mapping(page):
    "Its name, and its flags."
    for line in open("/proc/self/smaps"):
        words = line.split()
        if "-" in words[0]:
            begin, end = (int(word, 16) for word in words[0].split("-"))
            name = words[5:]
        if words[0] == "VmFlags:" and begin <= start + page * 4096 < end: return name, words[1:]
def has(page, flag):
    name, flags = mapping(page)
    return flag in flags and not any("memfd" in word for word in name)
print(rule(1000, DONTDUMP), rule(2000, WIPEONFORK), rule(2500, DONTFORK), seal()[0], any("memfd" in word for word in mapping(1500)[0]))
print(has(1000, "dd"), has(2000, "wf"), has(2500, "dc"), data == was)
print(rule(3000, DONTDUMP), rule(4000, WIPEONFORK), has(3000, "dd"), has(4000, "wf"), data == was)
dirty(data, 5000)
print(libc.samepage_reshare(), seal()[0], has(1000, "dd"), has(2000, "wf"), has(3000, "dd"), has(4000, "wf"), data == was)
print(child(lambda: not any(part(2000)) and not any(part(4000)) and part(3000) == part(3000, was) and part(1000) == part(1000, was)))
print(libc.samepage_unseal(), has(4000, "wf"), data == was)
""")
    assert said == ["0 0 0 0 True", "True True True True", "0 0 True True True", "0 0 True True True True True", "True", "0 True True"]


def test_what_is_whole_again_has_its_2_mb_pages_again(tmp_path):
    said = script(tmp_path, r"""
def fault():
    "Nanoseconds of the quickest of some."
    area, times = mmap.mmap(-1, 64 << 12), []
    for page in range(64):
        began = time.perf_counter_ns()
        area[page << 12] = 1
        times.append(time.perf_counter_ns() - began)
    return min(times)
def makes_2_mb_pages_of_files():
    libc.mmap.restype, libc.mmap.argtypes = ctypes.c_void_p, [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
    fd, size = os.memfd_create("probe"), 2 << 20
    os.write(fd, bytes(size))
    at = (libc.mmap(None, 2 * size, 0, 0x22, -1, 0) + size - 1) & -size
    libc.mmap(at, size, 1, 0x11, fd, 0)     # MAP_SHARED | MAP_FIXED, to be read alone
    return libc.madvise(ctypes.c_void_p(at), ctypes.c_size_t(size), 25) == 0    # MADV_COLLAPSE
if not makes_2_mb_pages_of_files(): print("skip: no 2 MB pages of memory files here"); sys.exit()
def huge():
    sum(data[::4096])       # mapped when it is read
    return next(int(line.split()[1]) for line in open("/proc/self/smaps_rollup") if line.startswith("ShmemPmdMapped:"))
data = noise()
seal()
before = huge()
if not before and fault() > 3000: print("skip: faults are dear here: no 2 MB pages for workers"); sys.exit()
assert before > 0 and statistics()["huge"] > 0
dirty(data, 6000)
split = huge()
passes = [libc.samepage_reshare() for _ in range(6)]
print(split < before, sum(passes), huge() == before, os.uname().release, data == noise())
""")
    if said[0].startswith("skip"):
        pytest.skip(said[0])
    split, refused, whole, kernel, same = said[0].split()
    assert (split, refused, same) == ("True", "0", "True")
    if tuple(map(int, kernel.split(".")[:2])) < (6, 14):
        pytest.skip(f"kernel {kernel} keeps the tables of small pages")
    assert whole == "True"


@pytest.mark.skipif(not threads_can_be_stopped(), reason="threads may not be stopped here")
@pytest.mark.parametrize("begin, finish, result", [
    ("os.write(ends[1], bytes(1 << 20))", "drain()", 1 << 20),
    ("(two.send(b'a'), one.recv(2, socket.MSG_WAITALL))[1]", "two.send(b'b')", b"ab")], ids=["write", "recv"])
def test_a_call_that_would_do_less_if_it_were_stopped_is_not(tmp_path, begin, finish, result):
    """A write to a full pipe, and one who wants all that he asked for: sealing waits until they are over."""
    assert script(tmp_path, fr"""
import select, socket
data = noise()
was = zlib.crc32(data)
def drain():
    while thread.is_alive():
        if select.select([ends[0]], [], [], 0.05)[0]: os.read(ends[0], 1 << 16)
ends, (one, two), results = os.pipe(), socket.socketpair(), []
thread = threading.Thread(target=lambda: results.append({begin}), daemon=True)
thread.start()
call = f"/proc/self/task/{{thread.native_id}}/syscall"
for _ in range(2000):
    if open(call).read().split()[0] in ("1", "45"): break       # write, recvfrom
    time.sleep(0.005)
refused = libc.samepage_seal()
{finish}
thread.join(10)
print(refused, "threads" in statistics()["reasons"], results, seal()[0], zlib.crc32(data) == was)
""") == [f"4 True {[result]} 0 True"]


def test_the_statistics_tell_what_was_done(tmp_path):
    assert script(tmp_path, r"""
def resident(): return next(int(line.split()[1]) << 10 for line in open("/proc/self/status") if line.startswith("VmRSS:"))
def near(value, pages): return pages * 4096 * 0.98 <= value <= pages * 4096 + (1 << 20)
data = noise()
result, sealed = seal()
def holds(size): return SIZE * 0.98 <= size < SIZE + (16 << 20)     # the interpreter has some, too
print(result, holds(sealed["published"]), holds(sealed["sealed"]), sealed["found"], sealed["private_after"] < 1 << 20)
dirty(data, 3000)
before = resident()
assert libc.samepage_reshare() == 0
once = statistics()
print(once["passes"], near(once["private_before"], 3000), once["private_after"] < 1 << 20, near(once["given_back"], 3000),
      once["faults_caused"] < 64, resident() < before + (1 << 20), once["pass_seconds"] > 0 and once["seal_seconds"] > 0)
dirty(data, 1000)
assert libc.samepage_reshare() == 0
twice = statistics()
print(twice["passes"], near(twice["given_back"] - once["given_back"], 1000), near(twice["faults_caused"] << 12, 1000), twice["reasons"])
libc.samepage_unseal()
print(statistics()["sealed"], statistics()["reasons"])
""") == ["0 True True 0 True", "1 True True True True True True", "2 True True {}", "0 {'off': 1}"]


def test_what_a_program_protects_after_it_was_written_is_left_alone(tmp_path):
    said = script(tmp_path, r"""
data = noise()
was = zlib.crc32(data)
seal()
dirty(data, 2000)
start = (ctypes.addressof(ctypes.c_char.from_buffer(data)) + 4095) & ~4095
def protect(bits): return libc.mprotect(ctypes.c_void_p(start + (500 << 12)), ctypes.c_size_t(64 << 12), bits)
protect(0)
libc.samepage_reshare()
protect(3)
print(zlib.crc32(data) == was, statistics()["given_back"] >> 12 > 1500)
""")
    assert said == ["True True"]


def test_time_limits_hold_while_a_pass_is_due(tmp_path):
    """Of poll, of a socket's own; another thread works all the time, so that the process is never idle."""
    said = script(tmp_path, r"""
import select, socket, struct
table = [str(i) for i in range(300_000)]
def worker():
    wait_until_sealed()
    sys.setswitchinterval(0.0005)
    over = False
    def work():
        while not over: sum(range(1000))
    thread = threading.Thread(target=work)
    thread.start()
    one, two = socket.socketpair()
    began = time.monotonic()
    for _ in range(100): select.poll().poll(1)
    polled = time.monotonic() - began
    one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", 0, 200_000))
    began, error = time.monotonic(), 0
    try: one.recv(1)
    except BlockingIOError as failure: error = failure.errno
    received = time.monotonic() - began
    over = True
    thread.join()
    print(statistics()["sealed"] > 0, polled < 0.8, error, received < 2, flush=True)
    return True
pid = os.fork()
if not pid: os._exit(0 if worker() else 1)
print(os.waitpid(pid, 0)[1])
""", mode="auto")
    assert said == ["True True 11 True", "0"]


def test_freed_constants_come_back_from_calloc_as_zeros(tmp_path):
    said = script(tmp_path, r"""
libc.calloc.restype = ctypes.c_void_p
libc.free.argtypes = [ctypes.c_void_p]
blocks = [noise(i, 2 << 20) for i in range(16)]
print(*seal()[:1])
del blocks[::2]
libc.samepage_constant_begin()
bad = 0
for size in (100, 5000, 70_000, 1 << 20, 2 << 20, 5 << 20) * 4:
    block = libc.calloc(1, size)
    bad += any(ctypes.string_at(block, size))
libc.samepage_scope_end()
print(bad, [zlib.crc32(block) for block in blocks] == [zlib.crc32(noise(i, 2 << 20)) for i in range(1, 16, 2)])
""")
    assert said == ["0", "0 True"]


def test_a_core_dump_holds_the_constants(tmp_path):
    if pathlib.Path("/proc/sys/kernel/core_pattern").read_text().startswith(("|", "/")):
        pytest.skip("core dumps go elsewhere here")
    text = r"""
data = noise(7)
print(seal()[0], seal()[1]["sealed"] >= SIZE * 0.9, flush=True)
def bye():
    os.abort()
print(child(bye))
"""
    ran = subprocess.run(["/usr/bin/python3", "-c", PRELUDE + text], cwd=tmp_path, capture_output=True, text=True, timeout=60,
                         env=environment(tmp_path, SAMEPAGE_STORE="manual"),
                         preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CORE, (1 << 30, 1 << 30)))
    assert ran.stdout.split() == ["0", "True", "False"]
    cores = list(tmp_path.glob("core*"))
    assert cores, "the kernel wrote no core dump"
    core, expected = cores[0].read_bytes(), random.Random(7).randbytes(24 << 20)
    for offset in range(0, len(expected) - 64, 1 << 20):
        assert expected[offset:offset + 64] in core, f"byte {offset} of the constants is missing"


def test_gdb_reads_and_dumps_constants_of_a_sealed_process(tmp_path):
    if not shutil.which("gdb"):
        pytest.skip("gdb is not installed")
    process = subprocess.Popen(["/usr/bin/python3", "-c", PRELUDE + r"""
data = noise(7)
print(seal()[0], ctypes.addressof(ctypes.c_char.from_buffer(data)), flush=True)
sys.stdin.read()
"""], env=environment(tmp_path, SAMEPAGE_STORE="manual"), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        sealed, address = process.stdout.readline().split()
        assert sealed == "0"
        env = {name: value for name, value in os.environ.items() if name != "LD_PRELOAD"}
        subprocess.run(["gdb", "-p", str(process.pid), "-batch", "-ex",
                        f"dump binary memory {tmp_path}/memory {address} {int(address) + (24 << 20)}"], env=env,
                       capture_output=True, timeout=60, check=True)
    finally:
        process.stdin.close()
        assert process.wait(20) == 0
    assert (tmp_path / "memory").read_bytes() == random.Random(7).randbytes(24 << 20)


def test_perf_follows_a_process_that_seals(tmp_path):
    if not shutil.which("perf"):
        pytest.skip("perf is not installed")
    quiet = ["-q", "-o", tmp_path / "perf.data"]
    if subprocess.run(["perf", "record", "-e", "cpu-clock", *quiet, "true"], capture_output=True, timeout=60).returncode:
        pytest.skip("perf may not record here")
    ran = subprocess.run(["perf", "record", "-e", "cpu-clock", *quiet, "--", "/usr/bin/python3", "-c", PRELUDE + r"""
data = noise(7)
print(*seal()[:1], sum(i % 7 for i in range(3_000_000)), data == noise(7))
"""], env=environment(tmp_path, SAMEPAGE_STORE="manual"), capture_output=True, text=True, timeout=60)
    assert (ran.returncode, ran.stdout) == (0, "0 8999994 True\n"), ran.stderr
    report = subprocess.run(["perf", "report", "-i", tmp_path / "perf.data", "--stdio", "--sort", "dso,symbol"], capture_output=True,
                            text=True, timeout=60)
    assert report.returncode == 0 and "_PyEval_EvalFrameDefault" in report.stdout, report.stdout[-2000:] + report.stderr[-2000:]


# ---- turned off from outside

@pytest.mark.skipif(not threads_can_be_stopped(), reason="threads may not be stopped here")
def test_a_file_turns_the_store_off_in_a_running_process(tmp_path):
    """With another thread, which is stopped for it; the statistics say so."""
    off = tmp_path / "off"
    said = script(tmp_path, r"""
data = noise()
was = zlib.crc32(data)
end, other = os.pipe()
pid = os.fork()
if not pid:
    os.close(other)
    os._exit(len(os.read(end, 1)))
thread = threading.Thread(target=lambda: os.read(end, 1), daemon=True)
thread.start()
def until(condition):
    for _ in range(2000):
        time.sleep(0.01)
        if condition(): return True
mapped = lambda: "rw-p" in "".join(line for line in open("/proc/self/maps") if "memfd:samepage-store" in line)
print(until(mapped), zlib.crc32(data) == was)
open(os.environ["SAMEPAGE_STORE_OFF_FILE"], "w")
print(until(lambda: not mapped()), zlib.crc32(data) == was)
print(until(lambda: "off" in statistics()["reasons"]), statistics()["sealed"], libc.samepage_seal())
os.close(other)
print(os.waitpid(pid, 0)[1])
""", mode="auto", SAMEPAGE_STORE_OFF_FILE=str(off), SAMEPAGE_STORE_MIN="1M")
    assert said == ["True True", "True True", "True 0 4", "0"]


# ---- whoever holds it ends

def test_workers_go_on_when_the_process_that_holds_the_store_is_killed(tmp_path):
    said = script(tmp_path, r"""
data = noise()
was = zlib.crc32(data)
read, write = os.pipe()
def parent():
    libc.prctl(36, 0)
    assert seal()[0] == 0
    if not os.fork():
        holder = os.getppid()
        os.kill(holder, signal.SIGKILL)
        while os.getppid() == holder: time.sleep(0.001)
        dirty(data, 3000)
        before = anonymous()
        good = libc.samepage_reshare() == 0 and before - anonymous() > 2500 * 4096 and zlib.crc32(data) == was
        os.write(write, b"good" if good else b"bad")
        os._exit(0)
    signal.pause()
print(child(parent), os.read(read, 9).decode())
""")
    assert said == ["False good"]


def test_signals_children_and_cancellation_while_a_thread_works_for_the_store(tmp_path):
    ran = program(tmp_path, "store_signals", SAMEPAGE_STORE_MIN="1M")
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "done\n", "")


def test_a_wait_that_the_store_works_in_behaves_as_any(tmp_path):
    """Its time, its results, signals; before the thread begins to watch, while it does, and when a pass has been made."""
    assert script(tmp_path, r"""
import errno, select
data = noise()
def timespec(seconds, nanoseconds=None):
    return (ctypes.c_long * 2)(int(seconds), int(seconds % 1 * 1e9) if nanoseconds is None else nanoseconds)
semaphore = (ctypes.c_char * 32)()
libc.sem_init(semaphore, 0, 0)
held = threading.Lock()
held.acquire()
def near(began, seconds):
    return seconds <= time.monotonic() - began < seconds + 0.25 or time.monotonic() - began
def times(seconds):
    found = []
    here, there = os.pipe()
    for wait in (lambda: select.select([here], [], [], seconds) == ([], [], []),
                 lambda: (polled := select.poll(), polled.register(here), polled.poll(seconds * 1000))[2] == [],
                 lambda: (events := select.epoll(), events.register(here), events.poll(seconds))[2] == [],
                 lambda: libc.ppoll((ctypes.c_int * 2)(here, 1), 1, timespec(seconds), None) == 0,
                 lambda: not held.acquire(timeout=seconds),
                 lambda: libc.sem_timedwait(semaphore, timespec(time.time() + seconds)) == -1 and ctypes.get_errno() == errno.ETIMEDOUT):
        dirty(data, 5000)
        began = time.monotonic()
        found += [wait(), near(began, seconds)]
    return found
def signals(after):
    caught = []
    signal.signal(signal.SIGALRM, lambda *_: caught.append(1))
    dirty(data, 5000)
    began = time.monotonic()
    signal.setitimer(signal.ITIMER_REAL, after)
    result = libc.poll(None, 0, -1)      # which Python's own would begin again
    found = [result == -1 and ctypes.get_errno() == errno.EINTR, near(began, after)]
    libc.siginterrupt(signal.SIGALRM, 0)  # which changes nothing where there is a time limit
    dirty(data, 5000)
    began = time.monotonic()
    signal.setitimer(signal.ITIMER_REAL, after)
    result = libc.sem_clockwait(semaphore, time.CLOCK_MONOTONIC, timespec(began + 5))
    return found + [result == -1 and ctypes.get_errno() == errno.EINTR, near(began, after)]
def semaphores(after):
    "Taken in time, taken at once though the time is over, refused for a time that is none."
    dirty(data, 5000)
    began = time.monotonic()
    threading.Timer(after, lambda: libc.sem_post(semaphore)).start()
    found = [libc.sem_clockwait(semaphore, time.CLOCK_MONOTONIC, timespec(began + 5)) == 0, near(began, after)]
    libc.sem_post(semaphore)
    found += [libc.sem_timedwait(semaphore, timespec(1)) == 0]
    return found + [libc.sem_timedwait(semaphore, timespec(1, 1 << 30)) == -1 and ctypes.get_errno() == errno.EINVAL]
def edges(after):
    "Two descriptors that are told of once, and one event at a time."
    pipes = [os.pipe() for _ in range(2)]
    events = select.epoll()
    for end, _ in pipes: events.register(end, select.EPOLLIN | select.EPOLLET)
    dirty(data, 5000)
    threading.Timer(after, lambda: [os.write(start, b"x") for _, start in pipes]).start()
    return [sorted(events.poll(5, 1)[0][0] for _ in range(2)) == sorted(end for end, _ in pipes)]
def sets(after):
    "Of two descriptors one is ready: the other's bit is cleared, and both are waited for."
    pipes = [os.pipe() for _ in range(2)]
    dirty(data, 5000)
    threading.Timer(after, lambda: os.write(pipes[1][1], b"x")).start()
    return [select.select([end for end, _ in pipes], [], [], 5)[0] == [pipes[1][0]]]
pid = os.fork()
if not pid:
    wait_until_sealed()
    wrong = []
    for after in (0.02, 0.12, 0.6):
        for check in (times, signals, edges, sets, semaphores):
            found = check(after)
            if found != [True] * len(found): wrong.append((check.__name__, after, found))
    print(wrong, flush=True)
    os._exit(0)
print(os.waitpid(pid, 0)[1])
""", mode="auto", SAMEPAGE_STORE_MIN="1M") == ["[]", "0"]


READERS = ("fgets", "fgets_chk", "fgets_unlocked", "fread", "fread_chk", "fread_unlocked", "getline", "getc", "fgetc", "getchar",
           "getc_unlocked", "getc_unlocked compiled in", "cin")


@pytest.mark.parametrize("reader", READERS)
def test_a_worker_that_waits_for_its_next_line_in_a_stream_shares(tmp_path, reader):
    process = subprocess.Popen([BUILD / "bin" / "store_streams", reader], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                               env=environment(tmp_path, SAMEPAGE_STORE_MIN="1M"))
    try:
        worker = int(process.stdout.readline())
        wait_until(lambda: (statistics(tmp_path, worker) or {"sealed": 0})["sealed"] > 0)
        said = []
        for line in ("abcdefg", "1234567"):
            print(line, file=process.stdin, flush=True)
            said.append(process.stdout.readline())
        assert said == ["got abcdefg\n", "got 1234567\n"]
        process.stdin.close()
        assert process.wait(timeout=30) == 0
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("part", ["put_back", "asks", "ends", "waits", "signals", "two_readers", "cancelled", "jumped"])
def test_streams_behave_as_any_while_their_waits_are_watched(tmp_path, part):
    ran = program(tmp_path, "store_streams", part, SAMEPAGE_STORE_MIN="1M")
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")


@pytest.mark.parametrize("part", ["sandboxed", "sandboxed_worker"])
def test_a_sandbox_that_kills_for_what_a_publisher_need_not_do_is_none(tmp_path, part):
    process = subprocess.Popen([BUILD / "bin" / "store_streams", part], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                               env=environment(tmp_path, SAMEPAGE_STORE_MIN="1M"))
    try:
        confined = int(process.stdout.readline())
        wait_until(lambda: process.poll() is not None or (statistics(tmp_path, confined) or {"sealed": 0})["sealed"] > 0)
        assert process.communicate("on\n", timeout=30)[0] == ""
        assert process.returncode == 0
    finally:
        process.kill()
        process.wait()


def test_a_prompt_is_shown_before_its_answer_is_waited_for(tmp_path):
    ours, theirs = pty.openpty()
    process = subprocess.Popen([BUILD / "bin" / "store_streams", "prompt"], stdin=theirs, stdout=theirs,
                               env=environment(tmp_path, SAMEPAGE_STORE_MIN="1M"))
    try:
        os.close(theirs)
        assert select.select([ours], [], [], 5)[0], "no prompt"
        assert os.read(ours, 100) == b"name? "
        os.write(ours, b"you\n")
        assert read_to_end(ours).endswith(b"hello you\r\n")
    finally:
        process.kill()
        process.wait()
        os.close(ours)


def test_a_library_with_a_getline_of_its_own_keeps_it(tmp_path):
    """From before POSIX had one; the heap's stands before it, in all processes."""
    (tmp_path / "lines.c").write_text("""int getline(char* to, int size) { return to[0] = size; }
typedef int with_some_third_argument(char*, int, long);
int ask(void) { char to[8]; return ((with_some_third_argument*)getline)(to, 7, 1); }
""")
    (tmp_path / "main.c").write_text("""#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
int ask(void);
int main(void) {
  memset(malloc(8 << 20), 1, 8 << 20);
  const pid_t child = fork();
  if (child == 0) _exit(ask() == 7 ? 0 : 1);
  const int mine = ask();
  int status;
  return waitpid(child, &status, 0) == child && status == 0 && mine == 7 ? 0 : 1;
}
""")
    subprocess.run(["cc", "-fno-builtin", "-shared", "-fPIC", "-o", tmp_path / "liblines.so", tmp_path / "lines.c"], check=True)
    subprocess.run(["cc", "-o", tmp_path / "main", tmp_path / "main.c", f"-L{tmp_path}", "-llines", f"-Wl,-rpath,{tmp_path}"], check=True)
    ran = subprocess.run([tmp_path / "main"], env=environment(tmp_path, SAMEPAGE_STORE_MIN="1M"), capture_output=True, text=True, timeout=60)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")
