"""Where the store must leave things as they are: it says why, the program runs on, and no byte changes."""
import errno
import os
import pathlib
import shutil
import subprocess

import pytest

from samepage_run import PYTHON, root_only
from store_process import memory_group, script

# Prints what sealing gave, the reasons, and whether the constants are what they were.
SEALED = r"""
def sealed(name):
    result, stats = seal()
    print(result, name in stats["reasons"] or stats["reasons"], zlib.crc32(data) == was, stats["sealed"] >> 20 << 20)
data = noise()
was = zlib.crc32(data)
"""


def refusal(tmp_path, reason, text, **options):
    """The script ends with a call of sealed(reason); sealing must have done nothing for that reason."""
    said = script(tmp_path, SEALED + text, **options)
    if said and said[0].startswith("skip"):
        pytest.skip(said[0])
    assert said == ["4 True True 0"], said


@pytest.mark.parametrize("reason, text", {
    "locked": "libc.mlockall(3); sealed('locked')",
    "locked_from_now_on": "libc.mlockall(2); sealed('locked')",
    "locked_constants": "libc.mlock(ctypes.c_void_p(id(data) & ~4095), ctypes.c_size_t(8192)); sealed('locked')",
    "descriptors": "resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64)); sealed('descriptors')",
    "memory_file": "resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20,) * 2); sealed('memory_file')",
    "address_space": """
size = int(open("/proc/self/statm").read().split()[0]) * 4096
resource.setrlimit(resource.RLIMIT_AS, (size + (64 << 20),) * 2); sealed('address_space')""",
    "map_count": """
libc.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
area = mmap.mmap(-1, 4096 * 66000)
start = ctypes.addressof(ctypes.c_char.from_buffer(area))
for page in range(0, int(open("/proc/sys/vm/max_map_count").read()) * 97 // 100 & ~1, 2):
    if page >= 66000 or libc.mprotect(start + page * 4096, 4096, 1): break
sealed('map_count')""",
    "async_io": """
context = ctypes.c_ulong(0)
if libc.syscall(206, 8, ctypes.byref(context)): print("skip: no AIO here")
else: sealed('async_io')""",
    "traced": """
tracer = os.fork()
if not tracer:
    parent = os.getppid()
    attached = libc.ptrace(0x4206, parent, None, None)     # PTRACE_SEIZE
    print("skip: no ptrace here" if attached else "", end="", flush=True)
    signal.pause()
while "TracerPid:\\t0\\n" in open("/proc/self/status").read(): time.sleep(0.01)
sealed('traced')
os.kill(tracer, signal.SIGKILL)
os.waitpid(tracer, 0)""",
    "shared": """
stack = mmap.mmap(-1, 1 << 16)
top = ctypes.c_void_p(ctypes.addressof(ctypes.c_char.from_buffer(stack)) + (1 << 16))
other = libc.clone(ctypes.cast(libc.pause, ctypes.c_void_p), top, 0x100 | signal.SIGCHLD, None)    # CLONE_VM
sealed('shared')
os.kill(other, signal.SIGKILL)
os.waitpid(other, 0)""",
    "ring_of_a_socket": """
import socket, struct
try: sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
except (OSError, AttributeError): print("skip: may not make a packet socket"); os._exit(0)
sock.setsockopt(263, 5, struct.pack("IIII", 4096, 1, 2048, 2))      # PACKET_RX_RING
ring = mmap.mmap(sock.fileno(), 4096)
sealed('pinned')""",
    "off": "libc.samepage_unseal(); sealed('off')",
}.items(), ids=lambda value: value if value.isidentifier() else "")
def test_it_says_why(tmp_path, reason, text):
    refusal(tmp_path, reason, text)


def test_memory_that_is_locked_elsewhere_is_no_obstacle(tmp_path):
    """As libraries keep their keys, 16 kB of them."""
    said = script(tmp_path, SEALED + """
keys = mmap.mmap(-1, 1 << 14)
assert libc.mlock(ctypes.c_void_p(ctypes.addressof(ctypes.c_char.from_buffer(keys))), ctypes.c_size_t(1 << 14)) == 0
assert "VmLck:\t      16 kB" in open("/proc/self/status").read()
result, stats = seal()
print(result, stats["reasons"], zlib.crc32(data) == was)
""")
    assert said == ["0 {} True"], said


needs_seccomp = pytest.mark.skipif(not os.path.exists("/proc/sys/kernel/seccomp/actions_avail"), reason="the kernel has no seccomp filters")

# A filter of seccomp(2): system call `number` fails with `error`, or kills the process where error is 0; if its fourth argument
# is `least` or more.
FILTER = r"""
import struct
def forbid(number, error, least=0):
    code = [(0x20, 0, 0, 0), (0x15, 0, 3, number), (0x20, 0, 0, 40), (0x35, 0, 1, least),
            (6, 0, 0, 0x50000 | error if error else 0x80000000), (6, 0, 0, 0x7fff0000)]
    program = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *one) for one in code))
    sock = ctypes.create_string_buffer(struct.pack("HxxxxxxQ", len(code), ctypes.addressof(program)))
    assert prctl(38, 1, 0, 0, 0) == 0 and prctl(22, 2, sock) == 0
def prctl(*values): return libc.syscall(157, *values)       # past libc: as if it had been set before exec
"""


@needs_seccomp
@pytest.mark.parametrize("error", [errno.ENOSYS, errno.EPERM, errno.EACCES], ids=["old-kernel", "sandbox", "memfd_noexec"])
def test_no_memory_files(tmp_path, error):
    refusal(tmp_path, "memory_file", FILTER + f"forbid(319, {error})\nsealed('memory_file')\n")


@needs_seccomp
def test_threads_are_not_stopped_in_a_sandbox_that_might_kill_for_it(tmp_path):
    refusal(tmp_path, "threads", FILTER + r"""
thread = threading.Thread(target=lambda: os.read(pipe[0], 1))
pipe = os.pipe()
thread.start()
forbid(101, 0)      # ptrace
sealed('threads')
os.write(pipe[1], b"x")
thread.join()
""")


@needs_seccomp
def test_a_parent_whose_threads_may_not_be_stopped_publishes_for_its_workers(tmp_path):
    """All it has; they have one thread each."""
    said = script(tmp_path, r"""
data = noise(size=100 << 20)
was = zlib.crc32(data)
pipe = os.pipe()
thread = threading.Thread(target=lambda: os.read(pipe[0], 1))
thread.start()
def worker():
    until = time.monotonic() + 40
    while time.monotonic() < until:
        try:
            if statistics()["sealed"] > 90 << 20: return zlib.crc32(data) == was
        except FileNotFoundError: pass
        time.sleep(0.3)
print(child(worker), "threads" in statistics()["reasons"], zlib.crc32(data) == was)
os.write(pipe[1], b"x")
thread.join()
""", mode="auto", command=[PYTHON, "-c", "import ctypes, os, sys; libc = ctypes.CDLL(None)" + FILTER + """
forbid(101, 1)      # ptrace
os.execv(sys.argv[1], sys.argv[1:])"""])
    assert said == ["True True True"]


@needs_seccomp
def test_workers_that_cannot_map_do_not_cost_their_parents_table_once_more(tmp_path):
    """The parent waits after two blocks; when one of them can, it goes on."""
    with memory_group("twice") as group:
        first, rest = script(tmp_path, r"""
group, = sys.argv[1:]
data = bytearray(160 << 20)
for part in range(160): data[part << 20:part + 1 << 20] = noise(part, 1 << 20)
was = zlib.crc32(data)
def used(): return int(open(group).read())
before = used()
here, there = os.pipe()
def worker(threads):
    helpers = [threading.Thread(target=lambda: os.read(here, 1)) for _ in range(threads)]
    for helper in helpers: helper.start()
    while True:
        try:
            if zlib.crc32(data) != was: return False
            if not threads and statistics()["sealed"] > 150 << 20: return True
            if threads and not os.path.exists(f"/proc/{os.getppid()}"): return True
        except FileNotFoundError: pass
        time.sleep(0.3)
def start(threads):
    pid = os.fork()
    if not pid: os._exit(0 if worker(threads) else 1)
    return pid
def published():
    try: return statistics()["published"]
    except FileNotFoundError: return 0
cannot = [start(1), start(1)]
until = time.monotonic() + 8
while time.monotonic() < until: time.sleep(0.3)
first = used() - before
print(first >> 20)
can = start(0)
print(os.waitpid(can, 0)[1] == 0, published() > 150 << 20, zlib.crc32(data) == was)
for pid in cannot: os.kill(pid, 9), os.waitpid(pid, 0)
""", group.usage, mode="auto", command=[PYTHON, "-c", "import ctypes, os, sys; libc = ctypes.CDLL(None)" + FILTER + f"""
open("{group.path}/cgroup.procs", "w").write(str(os.getpid()))
forbid(101, 1)      # ptrace
os.execv(sys.argv[1], sys.argv[1:])"""])
    assert 16 <= int(first) <= 2 * 32 + 16 and rest == "True True True"


@needs_seccomp
def test_a_process_that_confines_itself_is_not_killed_for_what_the_store_does(tmp_path):
    """It shares no more, and says so; one that only asks whether it could shares on."""
    said = script(tmp_path, FILTER + r"""
data = noise()
pipe = os.pipe()
pid = os.fork()
if not pid: os.read(pipe[0], 1)
def prctl(*values): return libc.prctl(*values)
print(libc.prctl(22, 2, None), "sandbox" in statistics()["reasons"], seal()[0])
forbid(271, 0)      # ppoll
print(statistics()["reasons"].get("sandbox"), seal()[0])
time.sleep(0.5)
child(lambda: time.sleep(0.1))
os.kill(pid, 9)
print(os.waitpid(pid, 0)[0] == pid)
""", mode="auto")
    assert said == ["-1 False 0", "1 4", "True"]


def test_too_many_rules_for_memory_end_sharing_and_the_statistics_say_so(tmp_path):
    assert script(tmp_path, r"""
data = noise()
was = zlib.crc32(data)
libc.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
start = (ctypes.addressof(ctypes.c_char.from_buffer(data)) + 4095) & ~4095
print(seal()[0], {libc.madvise(start + page * 4096, 4096, 16) for page in range(0, 514, 2)})    # MADV_DONTDUMP: 257 parts
print(statistics()["reasons"].get("rules"), zlib.crc32(data) == was, seal()[0], libc.samepage_reshare())
""") == ["0 {0}", "1 True 4 4"]


@needs_seccomp
def test_a_parent_says_why_its_workers_do_not_share(tmp_path):
    said = script(tmp_path, FILTER + r"""
data = noise()
forbid(319, 1)      # memfd_create
print(child(lambda: True), statistics()["reasons"])
""", mode="auto")
    assert said == ["True {'memory_file': 1}"]


@needs_seccomp
def test_pages_are_given_back_in_a_sandbox_that_kills_for_process_madvise(tmp_path):
    assert script(tmp_path, FILTER + r"""
data = noise()
assert seal()[0] == 0
dirty(data, 3000)
before = anonymous()
forbid(440, 0)      # process_madvise
assert libc.samepage_reshare() == 0
print(before - anonymous() > 8 << 20)
""") == ["True"]


@root_only
def test_a_worker_that_has_changed_its_user(tmp_path):
    tmp_path.chmod(0o777)
    for folder in list(tmp_path.parents)[:3]:
        if not folder.stat().st_mode & 1:
            folder.chmod(folder.stat().st_mode | 0o11)
    said = script(tmp_path, r"""
data = noise()
was = zlib.crc32(data)
print(seal()[0])
def worker():
    os.setgid(65534); os.setuid(65534)
    dirty(data, 1000)
    return libc.samepage_reshare() == 4 and "pagemap" in statistics()["reasons"] and zlib.crc32(data) == was
print(child(worker), zlib.crc32(data) == was)
""")
    assert said == ["0", "True True"]


@root_only
def test_memory_files_that_may_not_be_executable(tmp_path):
    """vm.memfd_noexec=2, in a PID namespace of its own: memory files are made, and not executable."""
    if not shutil.which("unshare") or not pathlib.Path("/proc/sys/vm/memfd_noexec").exists():
        pytest.skip("no unshare, or a kernel before 6.3")
    namespace = ["unshare", "--pid", "--fork", "--mount-proc"]
    if subprocess.run([*namespace, "true"], capture_output=True).returncode != 0:
        pytest.skip("may not make a PID namespace with its own /proc")
    said = script(tmp_path, SEALED + "result, stats = seal()\nprint(result, stats['reasons'], zlib.crc32(data) == was)\n", command=[
        *namespace, "sh", "-c", 'echo 2 > /proc/sys/vm/memfd_noexec && exec "$@"', "sh"])
    assert said == ["0 {} True"], said


def test_pinned_memory(tmp_path):
    """A buffer that is registered with io_uring: the kernel writes there at any time, past the page tables."""
    refusal(tmp_path, "pinned", r"""
libc.syscall.restype = ctypes.c_long
ring = libc.syscall(425, 4, ctypes.create_string_buffer(120))
if ring < 0: print("skip: no io_uring here"); os._exit(0)
buffer = mmap.mmap(-1, 1 << 16)
entry = (ctypes.c_ulong * 2)(ctypes.addressof(ctypes.c_char.from_buffer(buffer)), 1 << 16)
if libc.syscall(427, ring, 0, entry, 1): print("skip: no registered buffers here"); os._exit(0)
sealed('pinned')
""")


def test_an_io_uring_without_registered_buffers(tmp_path):
    refusal(tmp_path, "async_io", r"""
libc.syscall.restype = ctypes.c_long
parameters = ctypes.create_string_buffer(120)
ring = libc.syscall(425, 4, parameters)
if ring < 0: print("skip: no io_uring here"); os._exit(0)
rings = mmap.mmap(ring, 4096, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE, offset=0)
sealed('async_io')
""")


def test_an_io_uring_whose_rings_are_the_programs_own_memory(tmp_path):
    """No mapping of the kernel's tells of it (IORING_SETUP_NO_MMAP)."""
    refusal(tmp_path, "async_io", r"""
import struct
libc.syscall.restype = ctypes.c_long
rings = mmap.mmap(-1, 3 * 4096)
at = ctypes.addressof(ctypes.c_char.from_buffer(rings))
at = (at + 4095) & ~4095
parameters = bytearray(120)
struct.pack_into("I", parameters, 8, 1 << 14)           # flags
struct.pack_into("Q", parameters, 40 + 32, at + 4096)   # sq_off.user_addr
struct.pack_into("Q", parameters, 80 + 32, at)          # cq_off.user_addr
ring = libc.syscall(425, 4, (ctypes.c_char * 120).from_buffer(parameters))
if ring < 0: print("skip: no such io_uring here"); os._exit(0)
sealed('async_io')
""")


def test_a_full_cgroup_is_left_alone(tmp_path):
    with memory_group("full") as group:
        group.limit(96 << 20)
        said = script(tmp_path, SEALED + r"""
open(sys.argv[1] + "/cgroup.procs", "w").write(str(os.getpid()))
held = mmap.mmap(-1, 50 << 20)
for part in range(50): held.write(bytes(1 << 20))
sealed('memory')
""", group.path)
    assert said == ["4 True True 0"], said


@needs_seccomp
def test_memory_that_ends_in_the_midst_of_publishing(tmp_path):
    """The file of the block is empty again, if anybody has it."""
    assert script(tmp_path, SEALED + FILTER + r"""
at = ctypes.addressof(ctypes.c_char.from_buffer(data)) % (32 << 20) + (4 << 20)    # in its block, and its file
forbid(18, 28, least=at if at < 28 << 20 else 4 << 20)      # pwrite64, of which the offset; ENOSPC
result, stats = seal()
print(result, "memory" in stats["reasons"], zlib.crc32(data) == was, stats["published"] > stats["sealed"] + (3 << 20))
files = [os.stat(f"/proc/self/fd/{fd}") for fd in map(int, os.listdir("/proc/self/fd")) if os.path.exists(f"/proc/self/fd/{fd}")
         if "samepage-store" in os.readlink(f"/proc/self/fd/{fd}")]
print(sum(file.st_blocks for file in files))
""") == ["4 True True True", "0"]


def test_no_2_mb_pages(tmp_path):
    assert script(tmp_path, SEALED + r"""
libc.prctl(41, 1, 0, 0, 0)      # PR_SET_THP_DISABLE
result, stats = seal()
print(result, stats["reasons"], stats["huge"], stats["sealed"] >= SIZE * 0.9, zlib.crc32(data) == was)
""") == ["0 {} 0 True True"]


def test_less_than_the_least_is_left_alone(tmp_path):
    said = script(tmp_path, r"""
data = noise()
end, other = os.pipe()
pid = os.fork()
if not pid:
    os.close(other)
    os._exit(len(os.read(end, 1)))
for _ in range(300): time.sleep(0.01)
print("memfd:samepage-store" in open("/proc/self/maps").read())
os.close(other)
print(os.waitpid(pid, 0)[1])
""", mode="auto", SAMEPAGE_STORE_MIN="1G")
    assert said == ["False", "0"]
