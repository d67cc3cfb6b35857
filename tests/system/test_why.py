"""samepage why: what was planted is found, the rest of the answer stands when something cannot be seen."""
import contextlib
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import tempfile
import time

import pytest

from ksm_host import SYSFS, ksm_alone, put, settings  # noqa: F401, a fixture

BUILD = pathlib.Path(os.environ.get("SAMEPAGE_BUILD", "build/release"))
SAMEPAGE = str(BUILD / "bin" / "samepage")
PYTHON = "/usr/bin/python3"
PAGE = 4096


def why(*arguments, **options):
    options = {"capture_output": True, "text": True, "timeout": 120, **options}
    return subprocess.run([SAMEPAGE, "why", *map(str, arguments)], **options)


def asked(*arguments, **options):
    """The answer as data."""
    ran = why(*arguments, "--json", "-", **options)
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


@contextlib.contextmanager
def processes(*commands, **options):
    """Started, and each has said that it stands."""
    started = []
    try:
        for command in commands:
            started.append(subprocess.Popen([str(word) for word in command], stdin=subprocess.PIPE,
                                            stdout=subprocess.PIPE, text=True, **options))
        for process in started:
            assert process.stdout.readline() == "ready\n"
        yield started
    finally:
        for process in started:
            process.kill()
            process.stdin.close()
            process.wait()
            process.stdout.close()


@contextlib.contextmanager
def planted(tmp_path, pages, *classes, copies=3):
    (tmp_path / "file").touch()
    with processes(*([BUILD / "bin/planted", rank, pages, tmp_path / "file", *classes] for rank in range(copies))) as all_:
        yield [process.pid for process in all_]


def class_bytes(answer, name):
    return answer["classes"].get(name, {"bytes": 0})["bytes"]


def excess(answer, name):
    return answer["classes"].get(name, {"excess_bytes": 0})["excess_bytes"]


# ---- truth

# Of each class, how many of three copies would go.
EXCESS = {"unique": 0, "zero": 3, "not_registered": 2, "not_scanned": 2, "pinned": 2, "library_data": 2, "pointers": 2,
          "few_bytes": 2, "shifted": 2, "huge_page": 2, "shared_fork": 0, "changing": 0}


def test_each_class_is_what_was_planted(tmp_path):
    pages = 2048
    with planted(tmp_path, pages, "shared_fork", *(name for name in EXCESS if name != "shared_fork")) as pids:
        answer = asked(*pids)
    of_all = 3 * pages * PAGE
    found = {name: round(class_bytes(answer, name) / of_all, 4) for name in EXCESS}
    print(found, {name: excess(answer, name) / of_all for name in EXCESS})
    assert all(0.99 < part < 1.01 for part in found.values()), found
    gone = {name: excess(answer, name) / (pages * PAGE) for name in EXCESS}
    assert all(abs(gone[name] - EXCESS[name]) < 0.03 for name in EXCESS), gone


def test_memory_that_is_never_merged(tmp_path):
    with planted(tmp_path, 512, "never_merged") as pids:
        answer = asked(*pids)
    # The first of the three is what stays.
    assert 0.99 < class_bytes(answer, "never_merged") / (2 * 512 * PAGE) < 1.05
    assert 0.99 < excess(answer, "never_merged") / (2 * 512 * PAGE) < 1.05


@contextlib.contextmanager
def ksm_set(**wanted):
    before = settings()
    for name, value in wanted.items():
        if name in before:
            put(name, value)
    try:
        yield before
    finally:
        for name in wanted:
            if name in before:
                put(name, before[name])


@pytest.fixture
def ksm_at_work(ksm_alone):
    # In this order: the advisor, of Linux 6.8, sets the pace when it changes.
    with ksm_set(advisor_mode="none", sleep_millisecs="10", pages_to_scan="20000", smart_scan="0", run="1"):
        yield


def test_what_ksm_has_merged(tmp_path, ksm_at_work):
    with planted(tmp_path, 512, "not_scanned") as pids:
        end = time.monotonic() + 60
        while class_bytes(answer := asked(*pids), "shared_ksm") < 0.99 * 3 * 512 * PAGE:
            assert time.monotonic() < end, answer["classes"]
    assert class_bytes(answer, "shared_ksm") < 1.01 * 3 * 512 * PAGE
    assert excess(answer, "not_scanned") < 0.03 * 512 * PAGE


def merged_pages():
    return int((SYSFS / "pages_shared").read_text())


@contextlib.contextmanager
def sharing_at_most(mappings):
    """The kernel changes it only while nothing is merged; ksmd forgets what has ended at its next passes."""
    def nothing_merged(seconds):
        end = time.monotonic() + seconds
        while merged_pages() and time.monotonic() < end:
            time.sleep(0.05)
        return not merged_pages()

    if not nothing_merged(10):
        pytest.skip("pages are merged on this machine: max_page_sharing cannot be changed")
    before = settings()["max_page_sharing"]
    put("max_page_sharing", str(mappings))
    try:
        yield
    finally:
        assert nothing_merged(120), "max_page_sharing could not be put back"
        put("max_page_sharing", before)


def test_merged_into_several_copies_by_max_page_sharing(tmp_path, ksm_at_work):
    pages, copies = 512, 4
    with sharing_at_most(2), planted(tmp_path, pages, "not_scanned", copies=copies) as pids:
        end = time.monotonic() + 60
        while class_bytes(answer := asked(*pids), "not_scanned") > 0.01 * pages * PAGE:
            assert time.monotonic() < end, answer["classes"]
    # Two merged pages of two mappings each; the one that stays is shared, the other is one too many.
    assert 0.99 < class_bytes(answer, "over_max_sharing") / (2 * pages * PAGE) < 1.01, answer["classes"]
    assert 0.99 < excess(answer, "over_max_sharing") / (pages * PAGE) < 1.01, answer["classes"]
    assert 0.99 < class_bytes(answer, "shared_ksm") / (2 * pages * PAGE) < 1.01, answer["classes"]
    finding = next(finding for finding in answer["findings"] if finding["class"] == "over_max_sharing")
    assert "max_page_sharing" in finding["mend"]


@pytest.mark.parametrize("run, smart_scan, words", [
    ("0", "1", "KSM is off"), ("1", "0", "wait, or set KSM's pace higher"), ("1", "1", "smart_scan to 0")])
def test_why_registered_pages_are_not_merged(tmp_path, ksm_alone, run, smart_scan, words):
    if "smart_scan" not in settings():
        pytest.skip("this kernel's KSM has no smart scan")
    # One page a minute: nothing is merged meanwhile.
    with ksm_set(advisor_mode="none", sleep_millisecs="60000", pages_to_scan="1", smart_scan=smart_scan, run=run), \
            planted(tmp_path, 256, "not_scanned") as pids:
        answer = asked(*pids)
    finding = next(finding for finding in answer["findings"] if finding["class"] == "not_scanned")
    assert words in finding["mend"]
    assert ("smart_scan" in finding["mend"]) == (words == "smart_scan to 0")


def test_classes_sum_up_to_what_the_kernel_counts(tmp_path):
    with planted(tmp_path, 512, "not_registered", "shared_fork", "pointers", "never_merged") as pids:
        answer = asked(*pids)
        rss = {pid: sum(int(line.split()[1]) for line in pathlib.Path(f"/proc/{pid}/smaps").read_text().splitlines()
                        if line.startswith("Rss:")) * 1024 for pid in pids}
    for process in answer["processes"]:
        assert process["rss_bytes"] == rss[process["pid"]]
        assert sum(part["bytes"] for part in process["classes"].values()) == process["rss_bytes"]
    assert sum(part["bytes"] for part in answer["classes"].values()) == answer["rss_bytes"]
    assert sum(mapping["rss_bytes"] for mapping in answer["mappings"]) == answer["rss_bytes"]
    assert not answer["partial"]


def rollup(pid, name):
    text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
    return next(int(line.split()[1]) for line in text.splitlines() if line.startswith(name + ":"))


def test_looking_leaves_shared_pages_shared(tmp_path):
    with planted(tmp_path, 1024, "shared_fork", copies=2) as pids:
        assert all(rollup(pid, "Shared_Dirty") >= 1024 * 4 for pid in pids)
        asked(*pids)
        assert all(rollup(pid, "Shared_Dirty") >= 1024 * 4 for pid in pids)


def test_a_sample_tells_the_whole_with_its_error(tmp_path):
    with planted(tmp_path, 4096, "not_registered", "unique", "pointers") as pids:
        whole, part = asked(*pids), asked(*pids, "--sample", 25)
    assert part["sampled"] == 0.25 and whole["error_bytes"] is None
    assert part["bytes_read"] < 0.5 * whole["bytes_read"]
    assert part["rss_bytes"] == pytest.approx(whole["rss_bytes"], rel=0.01)
    total = {answer["sampled"]: sum(sums["excess_bytes"] for sums in answer["classes"].values()) for answer in (whole, part)}
    assert 0 < part["error_bytes"] < 0.3 * total[1]
    assert abs(total[1] - total[0.25]) < 4 * part["error_bytes"]


# ---- whom

def test_by_name_tree_user_and_cgroup(tmp_path):
    with planted(tmp_path, 16, "shared_fork", copies=2) as pids:
        assert {process["pid"] for process in asked("planted")["processes"]} > set(pids)
        tree = asked("--tree", pids[0])["processes"]
        assert len(tree) == 2 and pids[0] in {process["pid"] for process in tree}
        assert set(pids) <= {process["pid"] for process in asked("--user", os.geteuid(), "--sample", 1)["processes"]}
        group = pathlib.Path(f"/proc/{pids[0]}/cgroup").read_text().splitlines()[-1].split(":", 2)[2]
        assert set(pids) <= {process["pid"] for process in asked("--cgroup", group, "--sample", 1)["processes"]}


def test_the_first_line_is_the_answer(tmp_path):
    with planted(tmp_path, 1024, "pointers") as pids:
        told = why(*pids).stdout
    assert re.fullmatch(r"3 planted processes: 1\d MB together, [4-6]\.\d MB would do; 8\.4 MB are equal but for pointers: "
                        r"start them with samepage run", told.splitlines()[0])


# ---- what cannot be looked at

@pytest.mark.parametrize("arguments, line", [
    (["999999999"], "samepage: no process has the PID 999999999\n"),
    (["no-such-name"], "samepage: no process is called no-such-name; ps -e lists PIDs and names\n"),
    (["--tree", "999999999"], "samepage: --tree 999999999: no process has this PID\n"),
    (["--user", "no-such-user"], "samepage: --user no-such-user: no such user\n"),
    (["--cgroup", "/no/such"], "samepage: --cgroup /no/such: no process\n"),
    ([], "samepage: why: which processes? PIDs, a name, --tree, --user, --cgroup or --all\n"),
    (["1", "--sample", "0"], "samepage: --sample 0: must be more than 0 and at most 100 per cent\n"),
])
def test_a_mistake_is_one_line(arguments, line):
    ran = why(*arguments)
    assert (ran.returncode, ran.stdout, ran.stderr) == (2, "", line)


def zombie():
    """The PID of a child that has ended and is not waited for."""
    child = subprocess.Popen(["true"])
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    return child


def test_a_zombie_and_a_kernel_thread_are_named_and_the_rest_is_answered(tmp_path):
    child = zombie()
    with planted(tmp_path, 256, "unique", copies=1) as pids:
        ran = why(*pids, child.pid, "--json", tmp_path / "why.json")
        assert ran.returncode == 0
        assert f"This answer is partial:\nprocess {child.pid} (true): is a zombie" in ran.stdout
        answer = json.loads((tmp_path / "why.json").read_text())
        assert answer["partial"] and class_bytes(answer, "unique") >= 256 * PAGE
        if pathlib.Path("/proc/2/comm").read_text() == "kthreadd\n":
            assert "process 2 (kthreadd): is a kernel thread" in why(2).stdout
    child.wait()


@pytest.fixture
def nobody():
    """Runs samepage why as a user without any right."""
    if os.geteuid() != 0:
        pytest.skip("only root can become somebody else")
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        program = shutil.copy(SAMEPAGE, folder)
        planter = shutil.copy(BUILD / "bin/planted", folder)
        prefix = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--no-new-privs"]
        yield prefix, program, planter


def test_without_root(tmp_path, nobody):
    prefix, program, planter = nobody
    names = ["shared_fork", "unique", "not_registered", "not_scanned", "pointers", "few_bytes", "shifted", "zero",
             "huge_page"]
    with planted(tmp_path, 16, "unique", copies=1) as others, \
            processes(*([*prefix, planter, rank, 1024, "/dev/null", *names] for rank in range(2))) as own:
        pids = [process.pid for process in own]
        ran = subprocess.run([*prefix, program, "why", *map(str, pids + others), "--json", "-"], capture_output=True,
                             text=True, timeout=60)
        assert ran.returncode == 0, ran.stderr
    answer = json.loads(ran.stdout)
    found = {name: class_bytes(answer, name) / (2 * 1024 * PAGE) for name in names}
    assert all(0.99 < part < 1.02 for part in found.values()), found
    assert answer["troubles"] == [
        f"process {others[0]} (planted): may not be looked at: it is another user's, or protects itself; try as root"]


def test_a_process_that_protects_itself(nobody):
    prefix, program, _ = nobody
    protect = "import ctypes; ctypes.CDLL(None).prctl(4, 0); print('ready', flush=True); input()"  # PR_SET_DUMPABLE
    with processes([*prefix, PYTHON, "-c", protect]) as [process]:
        ran = subprocess.run([*prefix, program, "why", str(process.pid)], capture_output=True, text=True, timeout=60)
    assert (ran.returncode, ran.stderr) == (1, "")
    assert ran.stdout == ("nothing could be looked at\n"
                          f"process {process.pid} (python3): may not be looked at: it is another user's, or protects itself; "
                          "try as root\n")


def test_a_sparse_mapping_of_64_tb():
    program = """
import mmap
size = 64 << 40
sparse = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | 0x4000)  # MAP_NORESERVE
for at in range(0, size, 1 << 40):
    sparse[at] = 1
print("ready", flush=True)
input()
"""
    with processes([PYTHON, "-c", program]) as [process]:
        answer = asked(process.pid, timeout=60)
    assert not answer["partial"]
    assert class_bytes(answer, "unique") + class_bytes(answer, "not_registered") >= 64 * PAGE


def test_processes_that_come_and_go_while_they_are_read():
    program = "i=0; while :; do i=$((i+1)); /bin/true; if [ $i = 3 ]; then echo ready; fi; done"
    with processes(*[["bash", "-c", program]] * 2) as all_:
        for _ in range(10):
            ran = why("--tree", all_[0].pid, all_[1].pid, "--json", "-")
            assert ran.returncode == 0, ran.stderr
            answer = json.loads(ran.stdout)
            assert answer["partial"] == bool(answer["troubles"])
            assert all(process["rss_bytes"] or process["trouble"] for process in answer["processes"])


def test_a_program_that_execs_all_the_time():
    program = "import os, sys; n = int(sys.argv[1]); n == 1 and print('ready', flush=True); " \
              "os.execv(sys.executable, [sys.executable, '-S', '-c', sys.argv[2], str(n + 1), sys.argv[2]])"
    with processes([PYTHON, "-S", "-c", program, "1", program]) as [process]:
        for _ in range(10):
            ran = why(process.pid, "--json", "-")
            answer = json.loads(ran.stdout)
            assert ran.returncode == (0 if answer["rss_bytes"] else 1), ran.stderr
            assert answer["rss_bytes"] or answer["troubles"]


def test_an_interrupt_ends_it_at_once(tmp_path):
    with planted(tmp_path, 16, "unique", copies=1) as pids:
        run = subprocess.Popen([SAMEPAGE, "why", str(pids[0])], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                               preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
        # Its memory is open: it has begun, and pauses between its two looks.
        end = time.monotonic() + 20
        while f"/proc/{pids[0]}/mem" not in links(run.pid):
            assert run.poll() is None and time.monotonic() < end
        run.send_signal(signal.SIGINT)
        out, err = run.communicate(timeout=20)
        assert (run.returncode, out) == (130, ""), err


def links(pid):
    """What a process has open at the moment; descriptors and the process itself may go meanwhile."""
    found = []
    with contextlib.suppress(OSError):
        for link in pathlib.Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                found.append(os.readlink(link))
    return found
