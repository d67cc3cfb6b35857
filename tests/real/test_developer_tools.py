"""Compilers, version control, databases, interpreters: each gives the same result under the heap."""
import shutil

import pytest

from plain_and_heap import SOURCE, need, run, same_output, succeed


def test_parallel_build_of_this_project(tmp_path, heap):
    """Object files are the same to the byte when cmake, ninja, the compiler, assembler and linker run under the heap."""
    need("cmake", "ninja", "g++")
    build = tmp_path / "build"

    def objects(preload):
        shutil.rmtree(build, ignore_errors=True)
        succeed(["cmake", "-G", "Ninja", "-S", SOURCE, "-B", build, "-DCMAKE_BUILD_TYPE=Debug", "-DSAMEPAGE_TESTS=OFF",
                 "-DSAMEPAGE_EXAMPLES=OFF", "-DSAMEPAGE_BENCH=OFF"], preload)
        succeed(["ninja", "-C", build, "-j4", "samepage_linux"], preload, seconds=300)
        return {path.name: path.read_bytes() for path in build.rglob("*.o")}

    plain = objects(None)
    assert len(plain) >= 3
    assert objects(heap) == plain


def test_git_on_this_repository(tmp_path, heap):
    need("git")
    if run(["git", "-C", SOURCE, "rev-parse"], env={"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "safe.directory",
                                                    "GIT_CONFIG_VALUE_0": "*"}).returncode:
        pytest.skip("the sources do not lie in a git repository")
    trusting = {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "safe.directory", "GIT_CONFIG_VALUE_0": "*"}
    clone = tmp_path / "clone"
    succeed(["git", "clone", "--no-local", SOURCE, clone], heap, env=trusting)
    git = ["git", "-C", clone]
    succeed([*git, "-c", "pack.threads=4", "gc", "--aggressive", "--prune=now"], heap)
    succeed([*git, "fsck", "--full", "--strict"], heap)
    for command in (["log", "--stat", "--patch", "-n", "200"], ["rev-list", "--objects", "--all"],
                    ["grep", "-n", "--threads", "4", "include"], ["blame", "CMakeLists.txt"]):
        same_output([*git, *command], heap)


def test_compiler(tmp_path, heap):
    need("gcc")
    source = tmp_path / "program.c"
    source.write_text("#include <stdio.h>\n#include <stdlib.h>\n"
                      + "\n".join(f"static int f{i}(int x) {{ return x * {i} + (x > {i} ? f{i - 1}(x - 1) : 0); }}"
                                  if i else "static int f0(int x) { return x; }" for i in range(1500))
                      + "\nint main(void) { printf(\"%d\\n\", f1499(9999)); return 0; }\n")
    results = []
    for preload in (None, heap):
        succeed(["gcc", "-O2", "-g", source, "-o", tmp_path / "program"], preload)
        results.append((tmp_path / "program").read_bytes())
    assert results[0] == results[1]
    same_output([tmp_path / "program"], heap)


def test_sqlite(heap):
    need("sqlite3")
    script = """
    create table t (a integer primary key, b text, c real);
    with recursive n(i) as (select 1 union all select i + 1 from n where i < 100000)
      insert into t select i, hex(i * 7919) || substr('abcdefghijklmnopqrstuvwxyz', i % 20), i / 7.0 from n;
    create index by_b on t (b);
    delete from t where a % 3 = 0; update t set b = b || b where a % 5 = 0; vacuum;
    select count(*), sum(length(b)), round(sum(c), 3) from t;
    select group_concat(b) from (select b from t where b like '3%' order by b limit 2000);
    pragma integrity_check;
    """
    assert same_output(["sqlite3", ":memory:"], heap, input=script).endswith("ok\n")


def test_node(heap):
    need("node")
    script = """
    const { Worker, isMainThread, parentPort } = require("worker_threads");
    const crypto = require("crypto"), zlib = require("zlib"), child = require("child_process");
    const table = new Map();
    for (let i = 0; i < 100000; i++) table.set("key " + i, { n: i, text: "x".repeat(i % 40) });
    const packed = zlib.gzipSync(JSON.stringify([...table]));
    console.log(crypto.createHash("sha256").update(zlib.gunzipSync(packed)).digest("hex"));
    console.log(child.execFileSync("echo", ["from a child"]).toString());
    let left = 4;
    for (let i = 0; i < 4; i++) {
      const worker = new Worker(`require("worker_threads").parentPort.postMessage(
        Array.from({length: 50000}, (_, i) => Buffer.alloc(i % 500, 1)).reduce((sum, b) => sum + b.length, 0))`, {eval: true});
      worker.on("message", (sum) => { if (!--left) console.log(sum); });
    }
    """
    same_output(["node", "-e", script], heap)


def test_openssl(tmp_path, heap):
    """Its figures differ from run to run; that it measures at all, in forked children, and signs rightly, does not."""
    need("openssl")
    said = succeed(["openssl", "speed", "-seconds", "1", "-multi", "2", "-bytes", "1024", "sha256"], heap)
    assert "sha256" in said
    key, text, signature = tmp_path / "key", tmp_path / "text", tmp_path / "signature"
    text.write_text("every page is shared, or private for a reason\n" * 1000)
    succeed(["openssl", "genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", key], heap)
    succeed(["openssl", "dgst", "-sha256", "-sign", key, "-out", signature, text], heap)
    public = tmp_path / "public"
    succeed(["openssl", "pkey", "-in", key, "-pubout", "-out", public])
    assert "OK" in succeed(["openssl", "dgst", "-sha256", "-verify", public, "-signature", signature, text])


@pytest.mark.parametrize("shell", ["bash", "dash"])
def test_shell(heap, shell):
    """bash has a malloc of its own and its own getenv; a pipeline forks a good deal."""
    need(shell)
    script = 'i=0; while [ $i -lt 100 ]; do i=$((i+1)); x=$(echo "$i" | sed s/1/one/ | tr a-z A-Z); echo "$x"; done'
    same_output([shell, "-c", script], heap)


def test_tar_sort_and_compressors(tmp_path, heap):
    need("tar", "gzip", "xz", "sort")
    script = f"tar --sort=name --mtime=@0 -C {SOURCE} -c src docs | xz -T2 -1 | xz -d | sha256sum; " \
             f"find {SOURCE}/src -type f | xargs cat | sort --parallel=2 -S 4M -T {tmp_path} | sha256sum"
    same_output(["bash", "-c", script], heap)
