"""What Samepage takes for granted of the kernel's KSM, seen on the real kernel: which pages become one, when they part
again, what fork, exec and prctl do. Frames are read from pagemap, so that counts are exact whatever else the host does."""
import contextlib
import ctypes
import errno
import mmap
import os
import pathlib
import platform
import signal
import struct
import subprocess
import sys

import pytest

from ksm_host import SYSFS, ksm_alone, merging, put  # noqa: F401 (ksm_alone is a fixture)
from samepage_run import wait_until

PAGE = 4096
DONTNEED, MERGEABLE, UNMERGEABLE, NOHUGEPAGE = 4, 12, 13, 15
SET_MEMORY_MERGE, GET_MEMORY_MERGE = 67, 68
libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
for name in ("madvise", "mprotect"):
    getattr(libc, name).argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
libc.prctl.argtypes = [ctypes.c_int] + [ctypes.c_ulong] * 4


@pytest.fixture(autouse=True)
def on_a_quiet_host(ksm_alone):
    with merging(), memory([200]):  # a pass only ends where something is registered
        yield


def version():
    return tuple(int(number) for number in platform.release().split("-")[0].split(".")[:2])


def prctl(option, value=0, *more):
    result = libc.prctl(option, value, *(*more, 0, 0, 0)[:3])
    return result if result >= 0 else -ctypes.get_errno()


def passes(count=3):
    """ksmd has gone over everything `count` times since, the pass under way not counted. By the second time it has merged
    what was registered before, by the first it has dropped what was unmapped."""
    scans = lambda: int((SYSFS / "full_scans").read_text())  # noqa: E731
    end = scans() + count + 1
    wait_until(lambda: scans() >= end, 60)


class Memory:
    """Private anonymous pages; contents are one byte's value each, followed by the page's own rest."""

    def __init__(self, contents, register=True, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, fd=-1):
        self.pages = len(contents)
        self.size = self.pages * PAGE
        self.at = libc.mmap(None, self.size, mmap.PROT_READ | mmap.PROT_WRITE, flags, fd, 0)
        libc.madvise(self.at, self.size, NOHUGEPAGE)
        for page, content in enumerate(contents):
            ctypes.memset(self.at + page * PAGE, content, PAGE)
        if register:
            self.advise(MERGEABLE)

    def advise(self, advice, first=0, pages=None):
        assert libc.madvise(self.at + first * PAGE, (self.pages if pages is None else pages) * PAGE, advice) == 0

    def frames(self):
        """Physical page numbers; 0 where no page is."""
        with open("/proc/self/pagemap", "rb", buffering=0) as pagemap:
            pagemap.seek(self.at // PAGE * 8)
            entries = struct.unpack(f"{self.pages}Q", pagemap.read(self.pages * 8))
        return [entry & (1 << 55) - 1 if entry >> 63 else 0 for entry in entries]

    def byte(self, page):
        return ctypes.string_at(self.at + page * PAGE + 100, 1)[0]

    def write(self, page, value):
        ctypes.memset(self.at + page * PAGE + 100, value, 1)

    def unmap(self):
        libc.munmap(self.at, self.size)


@contextlib.contextmanager
def memory(*arguments, **options):
    block = Memory(*arguments, **options)
    try:
        yield block
    finally:
        block.unmap()


def merging_pages(pid="self"):
    return int(pathlib.Path(f"/proc/{pid}/ksm_merging_pages").read_text())


def zero_pages():
    for line in pathlib.Path("/proc/self/ksm_stat").read_text().splitlines():
        if line.startswith("ksm_zero_pages "):
            return int(line.split()[1])
    pytest.skip("this kernel does not count zero pages (Linux 6.6)")


def is_merged(frame):
    with open("/proc/kpageflags", "rb", buffering=0) as flags:
        flags.seek(frame * 8)
        return struct.unpack("Q", flags.read(8))[0] >> 21 & 1 == 1


def in_child(body):
    """What `body` returned in a forked child, as a small number."""
    pid = os.fork()
    if pid == 0:
        try:
            os._exit(body())
        except BaseException as error:  # noqa: BLE001
            print(error, file=sys.stderr)
            os._exit(99)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_equal_pages_become_one_and_others_do_not():
    contents = [1 + page % 10 for page in range(100)] + list(range(20, 60))
    passes(1)
    before = merging_pages()
    with memory(contents) as block:
        passes()
        frames = block.frames()
        assert len(set(frames[:100])) == 10
        assert all(frames[page] == frames[page % 10] for page in range(100))
        assert len(set(frames[100:])) == 40 and not set(frames[100:]) & set(frames[:100])
        assert all(map(is_merged, frames[:100])) and not any(map(is_merged, frames[100:]))
        assert merging_pages() - before == 100
        assert [block.byte(page) for page in range(140)] == contents
    passes(1)
    assert merging_pages() == before


def test_two_passes_are_enough():
    with memory([7] * 50) as block:
        passes(2)
        assert len(set(block.frames())) == 1


def test_a_write_parts_one_page():
    with memory([1] * 20) as block:
        passes()
        [shared] = set(block.frames())
        block.write(5, 2)
        frames = block.frames()
        assert frames[5] != shared and frames[:5] + frames[6:] == [shared] * 19
        assert [block.byte(page) for page in range(20)] == [1] * 5 + [2] + [1] * 14
        block.write(5, 1)
        passes()
        assert len(set(block.frames())) == 1, "written back, it is merged again"


def test_what_changes_all_the_time_is_not_merged():
    with memory([1] * 2) as block:
        put("run", "0")
        put("pages_to_scan", "1000000")
        put("run", "1")
        end = int((SYSFS / "full_scans").read_text()) + 4
        value = 0
        while int((SYSFS / "full_scans").read_text()) < end:
            value = value % 250 + 1
            block.write(0, value)
            block.write(1, value)
        frames = block.frames()
        assert frames[0] != frames[1]


def test_zero_pages_are_pages_like_others():
    assert (SYSFS / "use_zero_pages").read_text() == "0\n"
    with memory([0] * 30) as block:
        passes()
        [frame] = set(block.frames())
        assert is_merged(frame)
        block.write(3, 1)
        assert len(set(block.frames())) == 2


def test_use_zero_pages():
    put("use_zero_pages", "1")
    try:
        passes(1)
        before, merged = zero_pages(), merging_pages()
        with memory([0] * 30) as block:
            passes()
            [frame] = set(block.frames())
            assert not is_merged(frame), "it is the kernel's zero page"
            assert (zero_pages() - before, merging_pages() - merged) == (30, 0)
            block.write(3, 1)
            assert zero_pages() - before == 29
            block.advise(UNMERGEABLE)
            assert zero_pages() == before
            assert [block.byte(page) for page in range(30)] == [0] * 3 + [1] + [0] * 26
    finally:
        put("use_zero_pages", "0")


def test_unmergeable_parts_all():
    passes(1)
    before = merging_pages()
    with memory([1] * 20) as block:
        passes()
        block.advise(UNMERGEABLE)
        assert len(set(block.frames())) == 20
        passes()
        assert merging_pages() == before
        assert len(set(block.frames())) == 20
        assert [block.byte(page) for page in range(20)] == [1] * 20


def test_unmergeable_parts_a_part():
    with memory([1] * 20) as block:
        passes()
        block.advise(UNMERGEABLE, 5, 5)
        frames = block.frames()
        assert len(set(frames[5:10])) == 5 and len(set(frames[:5] + frames[10:])) == 1


def test_off_keeps_what_is_merged():
    with memory([1] * 20) as block:
        passes()
        put("run", "0")
        assert len(set(block.frames())) == 1
        block.write(1, 2)
        block.write(1, 1)
        assert len(set(block.frames())) == 2


def test_discarded_pages():
    passes(1)
    before = merging_pages()
    with memory([1] * 20) as block:
        passes()
        block.advise(DONTNEED, 0, 10)
        assert block.frames()[:10] == [0] * 10
        passes(1)
        assert merging_pages() - before == 10
        assert [block.byte(page) for page in range(20)] == [0] * 10 + [1] * 10


def test_without_access():
    with memory([1] * 20) as block:
        assert libc.mprotect(block.at, block.size, 0) == 0
        passes()
        assert len(set(block.frames())) == 1
        with open("/proc/self/mem", "r+b", buffering=0) as own:  # as a debugger writes
            own.seek(block.at + 7 * PAGE + 100)
            own.write(b"\2")
        assert len(set(block.frames())) == 2
        assert libc.mprotect(block.at, block.size, mmap.PROT_READ) == 0
        assert [block.byte(page) for page in range(20)] == [1] * 7 + [2] + [1] * 12


def test_shared_memory_is_never_merged():
    with memory([1] * 20, flags=mmap.MAP_SHARED | mmap.MAP_ANONYMOUS) as block:
        passes()
        assert len(set(block.frames())) == 20


def test_a_file_mapping_is_merged_where_it_was_written(tmp_path):
    (tmp_path / "file").write_bytes(bytes(20 * PAGE))
    with open(tmp_path / "file", "r+b") as file:
        with memory([1] * 20, flags=mmap.MAP_PRIVATE, fd=file.fileno()) as block:
            passes()
            assert len(set(block.frames())) == 1


def test_not_registered_is_not_merged():
    with memory([1] * 20, register=False) as block:
        passes()
        assert len(set(block.frames())) == 20


def test_fork_inherits_and_parts():
    with memory([1] * 20) as block:
        passes()
        [shared] = set(block.frames())

        def child():
            if set(block.frames()) != {shared}:
                return 1
            for page in range(10):
                block.write(page, 9)
            passes()
            frames = block.frames()
            return 0 if len(set(frames[:10])) == 1 and frames[0] != shared and set(frames[10:]) == {shared} else 2

        assert in_child(child) == 0
        assert set(block.frames()) == {shared}
        assert [block.byte(page) for page in range(20)] == [1] * 20


def test_processes_share_and_a_dead_one_leaves():
    with memory([5] * 20) as block:
        ready, tell = os.pipe()

        def child():
            os.write(tell, b"r")
            signal.pause()
            return 0

        pid = os.fork()
        if pid == 0:
            os._exit(child())
        try:
            os.read(ready, 1)
            passes()
            assert merging_pages(pid) >= 20
            [shared] = set(block.frames())
        finally:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            os.close(ready), os.close(tell)
        passes()
        assert set(block.frames()) == {shared} and is_merged(shared)


def whole():
    """A child's body that has registered all of itself; skipped where the kernel cannot."""
    if in_child(lambda: 1 if prctl(SET_MEMORY_MERGE, 1) == -errno.EINVAL else 0):
        pytest.skip("this kernel has no PR_SET_MEMORY_MERGE (Linux 6.4)")


def test_prctl_in_and_out():
    whole()

    def body():
        if (prctl(GET_MEMORY_MERGE), prctl(SET_MEMORY_MERGE, 1), prctl(GET_MEMORY_MERGE)) != (0, 0, 1):
            return 1
        with memory([3] * 20, register=False) as block:
            passes()
            if len(set(block.frames())) != 1:
                return 2
            if (prctl(SET_MEMORY_MERGE, 0), prctl(GET_MEMORY_MERGE)) != (0, 0) or len(set(block.frames())) != 20:
                return 3
        return 0

    assert in_child(body) == 0


def test_prctl_wants_zeros():
    whole()
    assert prctl(SET_MEMORY_MERGE, 2) in (0, -errno.EINVAL) and prctl(SET_MEMORY_MERGE, 0) == 0
    assert prctl(SET_MEMORY_MERGE, 1, 1) == -errno.EINVAL
    assert prctl(SET_MEMORY_MERGE, 0, 0, 1) == -errno.EINVAL
    assert prctl(GET_MEMORY_MERGE, 1) == -errno.EINVAL
    assert prctl(GET_MEMORY_MERGE) == 0


def test_prctl_is_inherited_by_fork():
    whole()
    assert in_child(lambda: 1 if prctl(SET_MEMORY_MERGE, 1) else in_child(lambda: prctl(GET_MEMORY_MERGE))) == 1


ASK = "import ctypes; print(ctypes.CDLL(None).prctl(68, 0, 0, 0, 0), open('/proc/self/smaps').read().count(' mg'))"


def after_exec(before):
    ran = subprocess.run(["/usr/bin/python3", "-c", ASK], capture_output=True, text=True, preexec_fn=before)
    assert ran.returncode == 0, ran.stderr
    return [int(number) for number in ran.stdout.split()]


def test_prctl_and_exec():
    whole()
    if version() < (6, 19):
        pytest.skip(f"Linux {platform.release()}: prctl is inherited by exec from 6.7 on, and for certain from 6.19 on")
    set_, registered = after_exec(lambda: prctl(SET_MEMORY_MERGE, 1))
    assert set_ == 1 and registered > 0


def test_ranges_are_lost_by_exec():
    _, registered = after_exec(lambda: Memory([1] * 20))
    assert registered == 0


def test_max_page_sharing():
    before = (SYSFS / "max_page_sharing").read_text().strip()
    if (SYSFS / "pages_shared").read_text() != "0\n":
        pytest.skip("somebody has merged pages: max_page_sharing cannot be changed")
    put("max_page_sharing", "10")
    try:
        with memory([1] * 35) as block:
            passes(4)
            frames = block.frames()
            most = max(frames.count(frame) for frame in set(frames))
            assert most == 10 and len(set(frames)) == 4
    finally:
        # The kernel refuses while a merged page is left; they go with their last mapping, at ksmd's next look.
        def put_back():
            with contextlib.suppress(OSError):
                put("max_page_sharing", before)
            return (SYSFS / "max_page_sharing").read_text().strip() == before

        wait_until(put_back, 30)
