"""What samepage run says of programs that the heap or the common layout does not reach, and that they run all the same."""
import ctypes
import os
import shutil
import struct
import subprocess

import pytest

from samepage_run import SAMEPAGE, lines, root_only, run

HELLO = '#include <stdio.h>\nint main(void) { puts("hello"); return 0; }\n'


def build(folder, source, *options, compiler="cc"):
    if not shutil.which(compiler):
        pytest.skip(f"{compiler} is not installed")
    (folder / "job.c").write_text(source)
    subprocess.run([compiler, folder / "job.c", "-o", folder / "job", *options], check=True)
    return folder / "job"


def said_of(program, *arguments, **options):
    """What is said on standard error before the table, by two copies that both print hello."""
    result = run("-n", 2, "--", program, *arguments, **options)
    assert lines(result.stdout) == {0: ["hello"], 1: ["hello"]}, result.stderr
    assert result.returncode == 0
    return [line for line in result.stderr.splitlines() if line.startswith("samepage: ")]


def plainly(name, why):
    return [f"samepage: {name} is started plainly, without heap and common layout: {why}"]


def test_a_common_program_needs_no_word(tmp_path):
    assert said_of(build(tmp_path, HELLO)) == []


def test_static(tmp_path):
    assert said_of(build(tmp_path, HELLO, "-static")) == plainly("job", "it is linked statically")


def test_musl(tmp_path):
    assert said_of(build(tmp_path, HELLO, compiler="musl-gcc")) == plainly("job", "it uses musl, not glibc")


def test_static_musl(tmp_path):
    assert said_of(build(tmp_path, HELLO, "-static", compiler="musl-gcc")) == plainly("job", "it is linked statically")


def test_go(tmp_path):
    """Go's linker leaves a section of this name in what it makes."""
    program = build(tmp_path, HELLO)
    (tmp_path / "note").write_bytes(struct.pack("<III4s4s", 4, 4, 4, b"Go\0\0", b"id\0\0"))
    subprocess.run(["objcopy", "--add-section", f".note.go.buildid={tmp_path}/note", program], check=True)
    assert said_of(program) == plainly("job", "the Go runtime starts and allocates by itself")


OWN_MALLOC = """
#include <stddef.h>
static _Alignas(16) char pool[1 << 24];
static size_t used;
void *malloc(size_t size) { void *block = pool + used; used += (size + 31) & ~(size_t)15; return block; }
void *calloc(size_t n, size_t size) { return malloc(n * size); }
void *realloc(void *old, size_t size) { char *to = malloc(size); for (size_t i = 0; old && i < size; i++) to[i] = ((char *)old)[i]; return to; }
void free(void *block) { (void)block; }
"""


@pytest.mark.parametrize("options", [[], ["-rdynamic"]], ids=["hidden", "exported"])
def test_its_own_malloc(tmp_path, options):
    assert said_of(build(tmp_path, OWN_MALLOC + HELLO, *options)) == [
        "samepage: the heap does not reach job: it has a malloc of its own; its memory is shared less"]


@root_only
@pytest.mark.parametrize("mode", [0o4755, 0o2755], ids=["setuid", "setgid"])
def test_rights_of_another_user(tmp_path, mode):
    program = build(tmp_path, HELLO)
    os.chown(program, 65534, 65534)
    program.chmod(mode)
    assert said_of(program) == plainly("job", "it runs with another user's rights (setuid or capabilities)")


@root_only
def test_executable_but_not_readable(tmp_path):
    """It is not taken for a shell script, as a file without readable #! line would be."""
    program = build(tmp_path, HELLO)
    program.chmod(0o711)
    for folder in [tmp_path, *list(tmp_path.parents)[:2]]:
        folder.chmod(0o755)
    nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    if subprocess.run([*nobody, SAMEPAGE, "--version"], capture_output=True).returncode:
        pytest.skip("nobody may not enter the build folder")
    result = subprocess.run([*nobody, SAMEPAGE, "run", "-n", "2", "--", program], capture_output=True, text=True, timeout=60)
    assert lines(result.stdout) == {0: ["hello"], 1: ["hello"]}, result.stderr
    assert plainly("job", "it cannot be read")[0] in result.stderr


def test_php(tmp_path):
    if not shutil.which("php"):
        pytest.skip("php is not installed")
    line = ("the heap does not reach {}: PHP has a malloc of its own, which USE_ZEND_ALLOC=0 switches off; "
            "its memory is shared less")
    name = os.path.basename(shutil.which("php"))
    assert said_of("php", "-r", 'echo "hello\\n";') == ["samepage: " + line.format(name)]
    assert said_of("php", "-r", 'echo "hello\\n";', env={**os.environ, "USE_ZEND_ALLOC": "0"}) == []


def refuse_personality():
    """As Docker's seccomp profile does: personality(2) may be asked, not set."""
    PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, FILTER = 38, 22, 2
    number = {"x86_64": 135, "aarch64": 92}[os.uname().machine]
    code = b"".join(struct.pack("<HBBI", *instruction) for instruction in [
        (0x20, 0, 0, 0),           # the system call's number
        (0x15, 0, 3, number),
        (0x20, 0, 0, 16),          # its first argument, the lower half
        (0x15, 1, 0, 0xffffffff),
        (0x06, 0, 0, 0x00050001),  # EPERM
        (0x06, 0, 0, 0x7fff0000),  # allowed
    ])
    libc = ctypes.CDLL(None, use_errno=True)
    buffer = ctypes.create_string_buffer(code, len(code))
    program = struct.pack("@HP", len(code) // 8, ctypes.addressof(buffer))
    assert libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
    assert libc.prctl(PR_SET_SECCOMP, FILTER, program, 0, 0) == 0


def test_a_fixed_layout_that_is_refused_is_named(tmp_path):
    result = run("-q", "-n", 2, "--layout", "fixed", "--", "echo", "hello", preexec_fn=refuse_personality)
    assert lines(result.stdout) == {0: ["hello"], 1: ["hello"]}
    assert result.stderr == ("samepage: address randomisation cannot be switched off here (Operation not permitted): "
                             "each copy has a layout of its own\n")
