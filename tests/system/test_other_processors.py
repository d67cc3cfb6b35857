"""What differs between processors compiles for aarch64 too, where Debian's cross-compiler is installed; nothing of it is run."""
import pathlib
import shutil
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
COMPILER = "aarch64-linux-gnu-g++"
FLAGS = ["-std=c++20", "-Wall", "-Wextra", "-Wshadow", "-Werror", "-D_GNU_SOURCE", "-DFMT_HEADER_ONLY", "-fsyntax-only"]


@pytest.mark.parametrize("name", ["remote_calls", "thread_moment", "traced_thread"])
def test_calls_in_another_process(tmp_path, name):
    if not shutil.which(COMPILER):
        pytest.skip(f"{COMPILER} is not installed")
    (tmp_path / "fmt").symlink_to("/usr/include/fmt")  # headers alone, the same on every processor
    ran = subprocess.run([COMPILER, *FLAGS, f"-I{ROOT / 'src'}", f"-I{tmp_path}", ROOT / f"src/linux/{name}.cpp"],
                         capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
