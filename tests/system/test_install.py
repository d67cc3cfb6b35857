"""cmake --install: the tree is complete, a stranger's project builds against it, it needs nothing unexpected."""
import os
import pathlib
import re
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("SAMEPAGE_BUILD", ROOT / "build/release"))
EVENTS = ROOT / "examples/data/ttbar-13tev.hepmc3.gz"
LIBRARIES = ["libsamepage.so", "libsamepage-census.so", "libsamepage-farm.so", "libsamepage-hep.so", "libsamepage-heap.so",
             "libsamepage-group.so"]
# libelf brings libz and libzstd, hwloc brings libudev.
RUNTIME = {"libc", "libm", "libstdc++", "libgcc_s", "libelf", "libz", "libzstd", "libhwloc", "libudev", "libsamepage",
           "libsamepage-farm", "libncursesw", "libtinfo"}
PROGRAM = r"""
#include <samepage/heap.hpp>
#include <cstdio>
int main() {
  samepage::TacticalScope scope;
  samepage_heap_stats stats;
  const bool heap = samepage_heap_statistics(&stats) == SAMEPAGE_OK;
  std::printf("%s %s\n", samepage_version(), heap ? "heap" : "no heap");
}
"""
FARM = r"""
#include <samepage/farm.hpp>
#include <samepage/hep.hpp>
#include <cstdio>
namespace farm = samepage::farm;
int main(int argc, char** argv) {
  farm::Job job;
  job.source = [&] { return argc > 2 ? samepage::hep::hepmc3_source(argv[1]) : farm::line_source(argv[1]); };
  job.process = [](const farm::Event& event, farm::Output& output) { output.append(event.text()); };
  job.options.workers = 2;
  try {
    const farm::Report report = farm::run(job);
    std::printf("%llu %s\n", static_cast<unsigned long long>(report.events), report.error.c_str());
  } catch (const farm::JobError& error) {  // thrown inside the library
    std::puts(error.what());
  }
}
"""
PROJECT = """
cmake_minimum_required(VERSION 3.25)
project(outside LANGUAGES CXX)
find_package(Samepage 0.1 REQUIRED)
add_executable(plain main.cpp)
target_link_libraries(plain PRIVATE Samepage::samepage)
add_executable(with_heap main.cpp)
target_link_libraries(with_heap PRIVATE Samepage::heap Samepage::samepage)
add_executable(on_farm farm.cpp)
target_link_libraries(on_farm PRIVATE Samepage::hep)
"""


def output(*command, **options):
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=120, **options).stdout


def version():
    return re.search(r"project\(samepage VERSION (\S+)", (ROOT / "CMakeLists.txt").read_text())[1]


@pytest.fixture(scope="module")
def prefix(tmp_path_factory):
    """An installed tree that was moved after its installation."""
    folder = tmp_path_factory.mktemp("install")
    output("cmake", "--install", BUILD, "--prefix", folder / "first")
    return (folder / "first").rename(folder / "moved")


@pytest.fixture
def project(tmp_path):
    (tmp_path / "main.cpp").write_text(PROGRAM)
    (tmp_path / "farm.cpp").write_text(FARM)
    (tmp_path / "CMakeLists.txt").write_text(PROJECT)
    return tmp_path


def test_the_tree_is_complete(prefix):
    assert (prefix / "bin/samepage").exists()
    for name in LIBRARIES:
        assert (prefix / "lib" / name).exists()
    unit = (prefix / "lib/systemd/system/samepage-watchdog.service").read_text()
    assert f"ExecStart={prefix.parent / 'first'}/bin/samepage watchdog\n" in unit
    for header in (ROOT / "include/samepage").iterdir():
        assert (prefix / "include/samepage" / header.name).exists()


def test_a_project_finds_it_with_cmake(prefix, project):
    output("cmake", "-G", "Ninja", "-S", project, "-B", project / "build", f"-DCMAKE_PREFIX_PATH={prefix}")
    output("cmake", "--build", project / "build")
    assert output(project / "build/plain") == f"{version()} no heap\n"
    assert output(project / "build/with_heap") == f"{version()} heap\n"
    (project / "lines").write_text("one\ntwo\n")
    assert output(project / "build/on_farm", project / "lines") == "2 \n"
    assert "not a HepMC3 file" in output(project / "build/on_farm", project / "lines", "hepmc3")


def test_a_project_finds_it_with_pkg_config(prefix, project):
    environment = {**os.environ, "PKG_CONFIG_PATH": str(prefix / "lib/pkgconfig")}
    assert output("pkg-config", "--modversion", "samepage", env=environment).strip() == version()
    flags = output("pkg-config", "--cflags", "--libs", "samepage", env=environment).split()
    output("c++", "-std=c++20", project / "main.cpp", "-o", project / "plain", *flags)
    plain = {**os.environ, "LD_LIBRARY_PATH": str(prefix / "lib")}
    assert output(project / "plain", env=plain) == f"{version()} no heap\n"
    flags = output("pkg-config", "--cflags", "--libs", "samepage-hep", "samepage-farm", env=environment).split()
    output("c++", "-std=c++20", project / "farm.cpp", "-o", project / "on_farm", *flags)
    assert output(project / "on_farm", EVENTS, "hepmc3", env=plain) == "60 \n"
    preloaded = {**plain, "LD_PRELOAD": str(prefix / "lib/libsamepage-heap.so")}
    assert output(project / "plain", env=preloaded) == f"{version()} heap\n"


@pytest.mark.parametrize("file", ["bin/samepage", *(f"lib/{name}" for name in LIBRARIES)])
def test_it_needs_nothing_unexpected(prefix, file):
    needed = {re.split(r"\.so|-\d", line.split()[0])[0] for line in output("ldd", prefix / file).splitlines()
              if line.split()[0].startswith("lib")}
    assert needed <= RUNTIME


def test_the_installed_program_runs_copies(prefix):
    result = subprocess.run([prefix / "bin/samepage", "run", "-n", "2", "--", "/bin/echo", "{rank}"],
                            capture_output=True, text=True, timeout=60)
    assert result.returncode == 0, result.stderr
    assert sorted(line[-1] for line in result.stdout.splitlines()) == ["0", "1"]
