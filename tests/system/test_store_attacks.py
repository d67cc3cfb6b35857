"""A hostile member of the store: this test holds the memory files that a victim is told of, and does with them what it
likes. The victim may lose the saving; no byte of it changes, and it does not crash."""
import contextlib
import errno
import fcntl
import mmap
import os
import random
import struct
import subprocess
import threading
import time

import pytest

from samepage_run import PYTHON
from store_process import PRELUDE, environment

VERSION, BLOCK, CONTROL, FILES = 3, 32 << 20, (1 << 14) + (12 << 20), 8
ADD_SEALS, GET_SEALS, SEAL, SHRINK, GROW, WRITE = 1033, 1034, 1, 2, 4, 8
ALL = SEAL | SHRINK | GROW | WRITE
FILLING, PUBLISHED = 1, 2
NOISE = random.Random(1).randbytes(24 << 20)

VICTIM = r"""
data = noise()
was = zlib.crc32(data)
address = ctypes.addressof(ctypes.c_char.from_buffer(data))
print(address, flush=True)
for line in sys.stdin:
    if line == "seal\n":
        result, stats = seal()
        print(result, *stats["reasons"], flush=True)
    elif line == "pass\n":
        dirty(data, 2000)
        print(libc.samepage_reshare(), flush=True)
    elif line == "change\n":
        for page in range(1000, 3000): data[page * 4096 + 9] ^= 1
        was = zlib.crc32(data)
        for _ in range(3): libc.samepage_reshare()
        print(statistics()["resealed"], flush=True)
    elif line == "guess\n":
        def faults(first):
            before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
            for page in range(first, first + 100): data[page * 4096] ^= 1
            return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
        print(faults(1000) >= 100, faults(2000) >= 100, flush=True)
        was = zlib.crc32(data)
    elif line == "published\n":
        libc.samepage_reshare()
        print(statistics()["published"], flush=True)
    elif line == "fork\n":
        print(child(lambda: True), flush=True)
    elif line == "found\n":
        print(statistics()["found"], flush=True)
    elif line == "race\n":
        good = True
        for _ in range(20):
            libc.samepage_seal()
            dirty(data, 500)
            libc.samepage_reshare()
            good = good and zlib.crc32(data) == was
        print(good, flush=True)
    print(zlib.crc32(data) == was and zlib.crc32(bytes(data)) == was, flush=True)
"""


class Attacker:
    """Holds a store as a launcher does (src/store/holder.h), and one victim that uses it."""

    def __init__(self, tmp_path, control=CONTROL, seals=SHRINK | GROW | SEAL, at=None, reseal="on", store="manual"):
        self.files = []
        first = 700
        for number in range(FILES + 1):
            fd = os.memfd_create("samepage-store", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
            os.ftruncate(fd, BLOCK if number else control)
            os.dup2(fd, first + number, inheritable=False)
            os.close(fd)
            self.files.append(first + number)
        self.control = mmap.mmap(first, control)
        if seals:
            fcntl.fcntl(first, ADD_SEALS, seals)
        at = at or f"{VERSION}:{os.getpid()}:{first}:{FILES}"
        self.victim = subprocess.Popen([PYTHON, "-c", PRELUDE + VICTIM], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                       stderr=subprocess.PIPE, text=True,
                                       env=environment(tmp_path, SAMEPAGE_STORE=store, SAMEPAGE_STORE_AT=at,
                                                       SAMEPAGE_RESEAL=reseal))
        self.data = int(self.victim.stdout.readline())
        self.block = self.data // BLOCK * BLOCK

    def ask(self, what):
        """What the victim answers; it must see its own bytes after it."""
        self.victim.stdin.write(what + "\n")
        self.victim.stdin.flush()
        answer = self.victim.stdout.readline().split()
        assert self.victim.stdout.readline() == "True\n", "the victim saw another byte"
        return answer

    def entry(self, number, address, state, publisher=1, heard=0):
        """Writes file `number`'s entry of the control area (src/store/control.h)."""
        struct.pack_into("QixxxxqIxxxx", self.control, 16 + 32 * (number - 1), address, publisher, heard, state)

    def fill(self, number, change=lambda page: page, data=NOISE, block=None):
        """Puts the victim's block into a file, each page changed a little."""
        for offset in range(0, BLOCK, 4096):
            at = (block or self.block) + offset - self.data
            page = bytes(data[max(at, 0):max(at + 4096, 0)])
            os.pwrite(self.files[number], change(page.rjust(4096, b"\0") if at < 0 else page.ljust(4096, b"\0")), offset)

    def end(self):
        self.victim.stdin.close()
        assert (self.victim.wait(20), self.victim.stderr.read()) == (0, "")

    def close(self):
        self.victim.kill()
        self.victim.wait()
        self.control.close()
        for fd in self.files:
            os.close(fd)


@pytest.fixture
def attack(tmp_path):
    with contextlib.ExitStack() as stack:
        def start(**options):
            attacker = Attacker(tmp_path, **options)
            stack.callback(attacker.close)
            return attacker
        yield start


def refused(action):
    with pytest.raises(OSError) as error:
        action()
    return error.value.errno in (errno.EPERM, errno.EACCES)


def test_what_is_sealed_cannot_be_changed_by_anyone(attack):
    attacker = attack()
    writable = os.open(f"/proc/self/fd/{attacker.files[1]}", os.O_RDWR)      # before it is sealed
    assert attacker.ask("seal") == ["0"]
    sealed = [fd for fd in attacker.files[1:] if fcntl.fcntl(fd, GET_SEALS) & ALL == ALL]
    assert attacker.files[1] in sealed
    for fd in [writable, os.open(f"/proc/self/fd/{sealed[0]}", os.O_RDWR), *sealed]:
        assert refused(lambda: os.pwrite(fd, b"x", 0)) and refused(lambda: os.ftruncate(fd, 0))
        assert refused(lambda: os.ftruncate(fd, 2 * BLOCK)) and refused(lambda: mmap.mmap(fd, 4096))
        assert refused(lambda: fcntl.fcntl(fd, ADD_SEALS, 0x10))
        assert refused(lambda: os.posix_fallocate(fd, BLOCK, 4096))
    private = mmap.mmap(sealed[0], BLOCK, mmap.MAP_PRIVATE, mmap.PROT_READ | mmap.PROT_WRITE)
    private.write(bytes(BLOCK))                                              # its own copy
    for _ in range(3):
        assert attacker.ask("pass") == ["0"]
    attacker.end()


@pytest.mark.parametrize("change", [
    lambda page: random.randbytes(4096), lambda page: page[:-1] + bytes([page[-1] ^ 1]), lambda page: bytes(4096),
    lambda page: page if page[0] % 2 else page[:100] + b"\xff" + page[101:]],
    ids=["noise", "last-byte", "zeros", "some-pages"])
def test_published_nonsense_is_compared_before_it_is_mapped(attack, change):
    attacker = attack()
    attacker.fill(1, change)
    fcntl.fcntl(attacker.files[1], ADD_SEALS, ALL)
    attacker.entry(1, attacker.block, PUBLISHED)
    assert attacker.ask("seal") == ["0"]
    assert attacker.ask("pass") == ["0"]
    attacker.end()


def test_an_equal_file_that_another_published_is_used(attack):
    """Shows that the attacks above reach the place where it matters."""
    attacker = attack()
    attacker.fill(1)
    fcntl.fcntl(attacker.files[1], ADD_SEALS, ALL)
    attacker.entry(1, attacker.block, PUBLISHED)
    assert attacker.ask("seal") == ["0"]
    assert int(attacker.ask("found")[0]) > 1 << 20
    attacker.end()


@pytest.mark.parametrize("store, tells", [("manual", ["True", "False"]), ("off", ["False", "False"])])
def test_a_first_write_tells_what_a_relative_published_unless_the_store_is_off(attack, store, tells):
    """The channel that remains: whoever has guessed bytes needs a fault for his own copy of them. Of pages 1000 to 1099 the
    relative has what this process has, of 2000 to 2099 not."""
    relatives = bytearray(NOISE)
    for page in range(2000, 2102):
        relatives[page * 4096] ^= 2
    attacker = attack(store=store)
    attacker.fill(1, data=relatives)
    fcntl.fcntl(attacker.files[1], ADD_SEALS, ALL)
    attacker.entry(1, attacker.block, PUBLISHED)
    attacker.ask("seal")
    assert attacker.ask("guess") == tells
    attacker.end()


@pytest.mark.parametrize("change, is_used", [
    (lambda page: page, True), (lambda page: random.randbytes(4096), False), (lambda page: bytes(4096), False),
    (lambda page: page[:-1] + bytes([page[-1] ^ 1]), False)], ids=["equal", "noise", "zeros", "last-byte"])
def test_a_published_layer_is_compared_before_it_is_mapped(attack, change, is_used):
    """The victim's pages stay different from its first file, and a relative claims to have them."""
    attacker = attack()
    assert attacker.ask("seal") == ["0"]
    changed = bytearray(NOISE)
    for page in range(1000, 3000):
        changed[page * 4096 + 9] ^= 1
    for number, block in ((FILES - 1, attacker.block), (FILES, attacker.block + BLOCK)):
        attacker.fill(number, change, changed, block)
        fcntl.fcntl(attacker.files[number], ADD_SEALS, ALL)
        attacker.entry(number, block + 1, PUBLISHED)
    assert (int(attacker.ask("change")[0]) > 1 << 20) == is_used
    assert attacker.ask("pass") == ["0"]
    attacker.end()


NOTES = slice(1 << 14, CONTROL)


@pytest.mark.parametrize("reseal, has_forked, tells", [("on", False, True), ("on", True, False),
                                                       ("auto", False, os.geteuid() != 0), ("off", False, False)])
def test_hashes_of_private_pages_are_told_to_nobody_who_may_be_another_user(attack, reseal, has_forked, tells):
    attacker = attack(reseal=reseal)
    assert attacker.ask("seal") == ["0"]
    if has_forked:
        assert attacker.ask("fork") == ["True"]
    attacker.ask("change")
    assert any(attacker.control[NOTES]) == tells
    attacker.end()


@pytest.mark.parametrize("forge", [lambda note: note ^ 1, lambda note: note ^ 1 << 40, lambda note: 1, lambda note: 1 << 60],
                         ids=["another-writer", "another-hash", "no-hash", "no-writer"])
def test_nobody_gets_private_pages_published_by_a_note_of_what_he_does_not_have(attack, forge):
    attacker = attack()
    assert attacker.ask("seal") == ["0"]
    before = int(attacker.ask("published")[0])
    attacker.ask("change")
    for _ in range(3):
        notes = memoryview(bytearray(attacker.control[NOTES])).cast("Q")
        assert sum(1 for note in notes if note) > 1000
        attacker.control[NOTES] = b"".join((forge(note) if note else 0).to_bytes(8, "little") for note in notes)
        assert int(attacker.ask("published")[0]) == before
    attacker.end()


@pytest.mark.parametrize("spoil", {
    "not sealed": lambda fd: None,
    "may be written": lambda fd: fcntl.fcntl(fd, ADD_SEALS, SHRINK | GROW | SEAL),
    "may be truncated": lambda fd: fcntl.fcntl(fd, ADD_SEALS, WRITE | GROW),
    "too short": lambda fd: (os.ftruncate(fd, 4096), fcntl.fcntl(fd, ADD_SEALS, ALL)),
}.items(), ids=lambda item: item[0])
def test_a_file_that_is_not_what_it_should_be_is_refused(attack, spoil):
    attacker = attack()
    attacker.fill(1)
    spoil[1](attacker.files[1])
    attacker.entry(1, attacker.block, PUBLISHED)
    assert attacker.ask("seal") == ["4", "holder"]
    with contextlib.suppress(OSError):
        os.pwrite(attacker.files[1], b"x" * 4096, attacker.data % BLOCK)
        os.ftruncate(attacker.files[1], 0)
    assert attacker.ask("pass") == ["0"]
    attacker.end()


def test_whoever_keeps_a_file_writable_gets_nothing_published(attack):
    attacker = attack()
    kept = [mmap.mmap(fd, BLOCK) for fd in attacker.files[1:]]
    assert attacker.ask("seal")[0] == "4"
    for fd, mapping in zip(attacker.files[1:], kept):
        if os.fstat(fd).st_size:  # the publisher that was refused its seals has emptied them
            mapping.write(b"\xff" * BLOCK)
    assert attacker.ask("pass") == ["0"]
    attacker.end()


@pytest.mark.parametrize("publisher, heard", {"dead": (None, None), "silent": (os.getpid(), 0),
                                              "from the future": (os.getpid(), 1 << 60)}.values(),
                         ids=["dead", "silent", "from-the-future"])
def test_for_a_publisher_that_does_not_go_on_another_file_is_taken(attack, publisher, heard):
    attacker = attack()
    if not publisher:
        ended = subprocess.run([PYTHON, "-c", "import os; print(os.getpid())"], capture_output=True, text=True)
        publisher, heard = int(ended.stdout), int(time.monotonic() * 1000)
    attacker.entry(1, attacker.block, FILLING, publisher, heard)
    struct.pack_into("i", attacker.control, 4, 1)
    assert attacker.ask("seal") == ["0"]
    attacker.end()


def test_a_publisher_that_pretends_to_go_on_is_not_waited_for_for_ever(attack):
    attacker = attack()
    pretends, answered = threading.Event(), threading.Event()

    def pretend():
        while not answered.wait(0.01):
            for number in range(1, FILES + 1):  # also of the blocks before: what Python itself has allocated
                attacker.entry(number, attacker.block + (number - 1 - FILES // 2) * BLOCK, FILLING, os.getpid(),
                               int(time.monotonic() * 1000) + 400)
            pretends.set()

    thread = threading.Thread(target=pretend)
    thread.start()
    try:
        assert pretends.wait(10)
        assert "busy" in attacker.ask("seal")
    finally:
        answered.set()
        thread.join()
    attacker.end()


@pytest.mark.parametrize("seed", range(3))
def test_a_control_area_that_changes_all_the_time(attack, seed):
    attacker = attack()
    attacker.victim.stdin.write("race\n")
    attacker.victim.stdin.flush()
    noise = random.Random(seed)
    os.set_blocking(attacker.victim.stdout.fileno(), False)
    answer = b""
    while answer.count(b"\n") < 2:
        for _ in range(200):
            number = noise.randrange(1, FILES + 1)
            attacker.entry(number, noise.choice([attacker.block + noise.randrange(5), attacker.block + BLOCK, 0, noise.getrandbits(64)]),
                           noise.randrange(5), noise.choice([os.getpid(), 0, -1, attacker.victim.pid]), noise.getrandbits(62))
            struct.pack_into("iib", attacker.control, 0, noise.getrandbits(31), noise.randrange(-5, 100), 1)
        with contextlib.suppress(OSError):
            os.ftruncate(attacker.files[noise.randrange(1, FILES + 1)], noise.choice([0, BLOCK]))
        with contextlib.suppress(BlockingIOError):
            answer += os.read(attacker.victim.stdout.fileno(), 100)
        assert attacker.victim.poll() is None, attacker.victim.stderr.read()
    assert answer == b"True\nTrue\n"
    attacker.end()


@pytest.mark.parametrize("options", [
    {"control": 4096}, {"seals": 0}, {"at": "1:1:2:3"}, {"at": f"{VERSION}:0:700:4"}, {"at": f"{VERSION}:-1:700:4"}, {"at": "nonsense"},
    {"at": f"{VERSION}:1:700:99999"}, {"at": f"{VERSION}:4194304:700:4"}], ids=str)
def test_a_holder_that_is_none(attack, options):
    attacker = attack(**options)
    assert attacker.ask("seal") == ["0", "holder"]                           # for itself alone
    assert attacker.ask("pass") == ["0"]
    attacker.end()


# ---- versions, and a holder that ends

def test_a_holder_of_another_version_is_left_alone(attack):
    """An old program in a new launcher's group, or a new one in an old launcher's: it shares within itself alone."""
    attacker = attack(at=f"{VERSION + 1}:{os.getpid()}:700:{FILES}")
    seal = attacker.ask("seal")
    assert seal[0] == "0" and "holder" in seal[1:]
    assert attacker.ask("pass") == ["0"]
    assert not any(attacker.control[:]) and all(os.fstat(fd).st_blocks == 0 for fd in attacker.files[1:])
    attacker.end()


def test_what_a_later_version_adds_at_the_end_is_passed_over(attack):
    attacker = attack(at=f"{VERSION}:{os.getpid()}:700:{FILES}:what-comes-later")
    assert attacker.ask("seal") == ["0"]
    assert any(attacker.control[:])
    attacker.end()


def test_a_holder_that_ends_costs_the_saving_alone(attack):
    attacker = attack()
    assert attacker.ask("seal") == ["0"]
    for fd in attacker.files:                          # as the kernel does for a launcher that is killed
        os.close(fd)
    attacker.files = []
    assert attacker.ask("pass") == ["0"]               # the victim has what it needs
    assert attacker.ask("race") == ["True"]
    attacker.end()


def test_a_holder_that_ended_before_anybody_came(attack):
    attacker = attack()
    for fd in attacker.files:
        os.close(fd)
    attacker.files = []
    seal = attacker.ask("seal")
    assert seal[0] == "0" and "holder" in seal[1:]     # it made a store of its own
    attacker.end()
