"""tools/check-preload: what we preload passes, each thing that would break a stranger's program is found."""
import os
import pathlib
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
LIB = pathlib.Path(os.environ.get("SAMEPAGE_BUILD", ROOT / "build/release")) / "lib"


def check(library, *options):
    return subprocess.run([ROOT / "tools/check-preload", library, *options], capture_output=True, text=True)


def build(folder, source, *options, compiler="cc", suffix=".c"):
    file = folder / f"library{suffix}"
    file.write_text(source)
    library = folder / "library.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, file, *options], check=True)
    return library


@pytest.mark.parametrize("name, options", [("libsamepage-heap.so", ["--jemalloc"]), ("libsamepage-group.so", [])])
def test_what_we_preload_may_be_preloaded(name, options):
    result = check(LIB / name, *options)
    assert (result.returncode, result.stdout) == (0, "")


def test_plain_c_passes(tmp_path):
    assert check(build(tmp_path, "#include <stdio.h>\nvoid f(void) { puts(\"\"); }")).returncode == 0


def test_another_library_is_found(tmp_path):
    result = check(build(tmp_path, "double g; double sin(double); void f(void) { g = sin(g); }", "-lm"))
    assert result.returncode == 1 and "needs libm.so.6" in result.stdout


@pytest.mark.parametrize("how", [[], ["-static-libstdc++", "-static-libgcc"]])
def test_libstdcxx_is_found_linked_and_copied(tmp_path, how):
    source = "#include <stdexcept>\n#include <string>\nvoid f() { throw std::runtime_error(std::string(99, 'x')); }"
    result = check(build(tmp_path, source, *how, compiler="c++", suffix=".cpp"))
    assert result.returncode == 1 and "holds a piece of libstdc++" in result.stdout


def test_a_newer_glibc_is_found(tmp_path):
    # arc4random came with glibc 2.36.
    result = check(build(tmp_path, "unsigned arc4random(void); unsigned f(void) { return arc4random(); }"))
    assert result.returncode == 1 and "needs a newer glibc than 2.34: arc4random@GLIBC_2.36" in result.stdout


def test_an_incomplete_jemalloc_interface_is_found(tmp_path):
    library = build(tmp_path, "void mallocx(void) {}")
    result = check(library, "--jemalloc")
    assert result.returncode == 1
    assert "does not export mallctl\n" in result.stdout and "export mallocx" not in result.stdout


def test_no_such_library_is_a_failure(tmp_path):
    result = check(tmp_path / "none.so")
    assert result.returncode == 1 and "none.so" in result.stdout
