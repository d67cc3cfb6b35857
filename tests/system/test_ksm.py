"""samepage ksm: status from captured text, of kernels old and new; on and off beside a lease; unmerge asks, and sees that
there is room. Nothing here touches the host's settings but what runs under ksm_alone."""
import json
import os
import pathlib
import pty
import subprocess

import pytest

from ksm_host import SYSFS, ksm_alone, merging, settings  # noqa: F401 (ksm_alone is a fixture)
from samepage_run import BUILD, SAMEPAGE, read_to_end, root_only, wait_until

PAGE = 4096
NEW = {"run": "1", "pages_to_scan": "100", "sleep_millisecs": "20", "max_page_sharing": "256", "use_zero_pages": "0",
       "smart_scan": "1", "merge_across_nodes": "1", "advisor_mode": "[none] scan-time", "pages_shared": "1000",
       "pages_sharing": "3000", "pages_unshared": "5000", "pages_volatile": "1000", "pages_scanned": "90000",
       "full_scans": "7", "ksm_zero_pages": "100", "general_profit": str(3100 * PAGE - 10000 * 64)}
# Linux 6.1, Debian 12's.
OLD = {name: NEW[name] for name in ("run", "pages_to_scan", "sleep_millisecs", "max_page_sharing", "use_zero_pages",
                                    "pages_shared", "pages_sharing", "pages_unshared", "pages_volatile", "full_scans")}


def process(proc, pid, name, files, anonymous_kb=40000):
    folder = proc / str(pid)
    folder.mkdir()
    (folder / "stat").write_text(f"{pid} ({name}) S 1 1 1 0 -1 0 " + "0 " * 12 + "5 0 10000 0 0\n")
    (folder / "status").write_text(f"Name:\t{name}\nVmRSS:\t50000 kB\nRssAnon:\t{anonymous_kb} kB\n")
    for file, text in files.items():
        (folder / file).write_text(text)


class Host:
    """Folders in place of /sys/kernel/mm/ksm, /proc and /run/samepage."""

    def __init__(self, root, sysfs):
        self.sysfs, self.proc, self.run = root / "ksm", root / "proc", root / "run"
        for folder in (self.sysfs, self.proc):
            folder.mkdir()
        for name, text in sysfs.items():
            (self.sysfs / name).write_text(text + "\n")
        self.available(1 << 30)

    def available(self, size):
        (self.proc / "meminfo").write_text(f"MemTotal: 2000000 kB\nMemAvailable:  {size >> 10} kB\n")

    def ksm(self, *arguments, **options):
        options = {"capture_output": True, "text": True, "timeout": 60, "stdin": subprocess.DEVNULL, **options}
        return subprocess.run([SAMEPAGE, "ksm", *arguments, "--sysfs", self.sysfs, "--proc", self.proc, "--run", self.run],
                              **options)

    def setting(self, name):
        return (self.sysfs / name).read_text().strip()


def stat(items, merging, zero, profit, whole="no", mergeable="yes"):
    return (f"ksm_rmap_items {items}\nksm_zero_pages {zero}\nksm_merging_pages {merging}\nksm_process_profit {profit}\n"
            f"ksm_merge_any: {whole}\nksm_mergeable: {mergeable}\n")


def test_status_of_a_new_kernel(tmp_path):
    host = Host(tmp_path, NEW)
    process(host.proc, 7, "gains", {"ksm_stat": stat(5000, 3000, 100, 3100 * PAGE - 5000 * 64)})
    process(host.proc, 8, "loses", {"ksm_stat": stat(4000, 0, 0, -4000 * 64, whole="yes")})
    process(host.proc, 9, "new", {"ksm_stat": stat(0, 0, 0, 0)})
    process(host.proc, 10, "other", {"ksm_stat": stat(0, 0, 0, 0, mergeable="no")})
    told = json.loads(host.ksm("status", "--json", "-").stdout)
    assert told["settings"]["advisor_mode"] == "none"
    assert told["saved_bytes"] == 3100 * PAGE
    assert told["overhead_bytes"] == 10000 * 64
    assert told["profit_bytes"] == 3100 * PAGE - 10000 * 64
    assert told["looked_at_bytes"] == 10000 * PAGE
    assert told["merged_part"] == 0.4
    assert told["scan_bytes_per_second"] == 100 * PAGE * 50
    assert told["coverage"] == pytest.approx(9000 * PAGE / (3 * 40000 * 1024))
    assert [(one["pid"], one["gains"], one["whole"]) for one in told["processes"]] == [(7, True, False), (9, False, False),
                                                                                    (8, False, True)]
    ran = host.ksm("status")
    assert ran.returncode == 0
    assert ran.stdout == (
        "KSM is on: 100 pages every 20 ms, at most 20 MB/s\n"
        "Smart scan is on: a page that did not merge is passed over for up to 8 passes, and may meet its twin late.\n"
        "saved 13 MB, bookkeeping 0.6 MB, profit 12 MB\n"
        "41 MB known to ksmd, 40 % of it merged; 20 MB unique, 4.1 MB changing; 30 % of the registered processes' memory\n"
        "7 passes; one takes at least 2.0 s at this pace, and a page is merged by the second\n"
        "\n"
        "pid  process   profit  merged    zero  looked at  anonymous  whole\n"
        "  7  gains      12 MB   12 MB  0.4 MB      20 MB      41 MB  no\n"
        "  9  new       0.0 MB       -       -          -      41 MB  no\n"
        "  8  loses    -0.3 MB       -       -      16 MB      41 MB  yes\n"
        "registered, and gain nothing: 9 (new), 8 (loses)\n")


def test_status_of_linux_6_1(tmp_path):
    host = Host(tmp_path, OLD)
    process(host.proc, 7, "gains", {"ksm_stat": "ksm_rmap_items 5000\n", "ksm_merging_pages": "3000\n"})
    process(host.proc, 8, "other", {"ksm_stat": "ksm_rmap_items 0\n", "ksm_merging_pages": "0\n"})
    told = json.loads(host.ksm("status", "--json", "-").stdout)
    assert told["saved_bytes"] == 3000 * PAGE
    assert told["overhead_bytes"] == 10000 * 64
    assert told["counters"]["ksm_zero_pages"] is None
    assert told["counters"]["general_profit"] is None
    assert "advisor_mode" not in told["settings"]
    [one] = told["processes"]
    assert (one["pid"], one["profit_bytes"], one["whole"]) == (7, 3000 * PAGE - 5000 * 64, None)


def ksmd(proc, state):
    process(proc, 37, "ksmd", {
        "schedstat": "279580592265 419812851233 199587\n",
        "stack": "[<0>] __flush_work+0x1a3/0x2f0\n[<0>] __lru_add_drain_all+0x1b4/0x230\n"
                 "[<0>] ksm_scan_thread+0x48d/0x2070\n[<0>] kthread+0xf8/0x220\n"})
    (proc / "37/stat").write_text(f"37 (ksmd) {state} 2 0 0 0 -1 0 " + "0 " * 12 + "5 0 0 0 0\n")


def test_a_ksmd_that_stands_still_is_named(tmp_path):
    host = Host(tmp_path, NEW)
    ksmd(host.proc, "D")
    assert ("ksmd stands still: it has waited a second in the kernel's lru_add_drain_all, for a worker on every processor; a "
            "program that keeps a processor busy holds that up\n") in host.ksm("status", "--json", tmp_path / "json").stdout
    assert json.loads((tmp_path / "json").read_text())["ksmd_stuck_in"] == "lru_add_drain_all"
    (host.proc / "37/stack").write_text("[<0>] down_read+0x1a3/0x2f0\n[<0>] ksm_scan_thread+0x48d/0x2070\n")
    assert "ksmd stands still: it has waited a second in the kernel's down_read\n" in host.ksm("status").stdout
    (host.proc / "37/stack").unlink()  # only root may read it
    assert "ksmd stands still: it has waited a second in the kernel\n" in host.ksm("status").stdout


@pytest.mark.parametrize("state,run", [("S", "1"), ("R", "1"), ("D", "0")])
def test_a_ksmd_that_works_or_rests_is_not(tmp_path, state, run):
    host = Host(tmp_path, {**NEW, "run": run})
    ksmd(host.proc, state)
    assert "stands still" not in host.ksm("status").stdout


def test_status_of_a_kernel_without_ksm(tmp_path):
    host = Host(tmp_path, {})
    ran = host.ksm("status")
    assert (ran.returncode, ran.stdout) == (1, "This kernel has no KSM.\n")
    assert json.loads(host.ksm("status", "--json", "-").stdout)["present"] is False
    for word in ("on", "off", "unmerge"):
        ran = host.ksm(word, *(["--yes"] if word == "unmerge" else []))
        assert (ran.returncode, ran.stderr) == (1, "samepage: this kernel has no KSM\n")


@root_only
@pytest.mark.parametrize("words", ["adopt 1", "adopt 1 --whole", "release 1", "ksm on", "watchdog"])
def test_a_kernel_without_ksm_is_one_line(words):
    hidden = ["unshare", "-m", "sh", "-c", 'mount -t tmpfs none /sys/kernel/mm/ksm && exec "$@"', "sh"]
    if not SYSFS.exists() or subprocess.run([*hidden, "true"], capture_output=True).returncode:
        pytest.skip("nothing can be mounted over /sys/kernel/mm/ksm")
    ran = subprocess.run([*hidden, SAMEPAGE, *words.split()], capture_output=True, text=True, timeout=60)
    assert (ran.returncode, ran.stdout) == (1, "")
    assert "this kernel has no KSM" in ran.stderr and ran.stderr.count("\n") == 1


def test_status_of_this_host():
    if not SYSFS.exists():
        pytest.skip("this kernel has no KSM")
    ran = subprocess.run([SAMEPAGE, "ksm", "status", "--json", "-"], capture_output=True, text=True, timeout=60)
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout)["settings"]["run"] in "012"


def test_on_and_off(tmp_path):
    host = Host(tmp_path, {**NEW, "run": "0"})
    ran = host.ksm("on")
    assert (ran.returncode, ran.stdout, host.setting("run")) == (0, "KSM is on\n", "1")
    ran = host.ksm("off", "--json", "-")
    assert (json.loads(ran.stdout), host.setting("run")) == ({"resting": "off", "now": True, "holders": []}, "0")


def burst(host, run_found):
    """As a holder leaves it when it has begun a burst; the holder is this process."""
    host.run.mkdir()
    start = int(pathlib.Path("/proc/self/stat").read_text().rsplit(")", 1)[1].split()[19])
    process(host.proc, os.getpid(), "pytest", {})
    text = (host.proc / str(os.getpid()) / "stat").read_text().replace(" 5 0 10000", f" {start} 0 10000")
    (host.proc / str(os.getpid()) / "stat").write_text(text)
    changes = [{"knob": "run", "found": run_found, "ours": "1"}] if run_found == "0" else []
    (host.run / "ksm.json").write_text(
        json.dumps({"version": 1, "holders": [{"pid": os.getpid(), "start_time": start}], "changes": changes}))
    (host.sysfs / "run").write_text("1\n")


@pytest.mark.parametrize("found,word,after", [("0", "on", "1"), ("1", "off", "0"), ("1", "on", "1"), ("0", "off", "0")])
def test_a_burst_goes_on_and_ends_in_what_was_set(tmp_path, found, word, after):
    host = Host(tmp_path, NEW)
    burst(host, found)
    ran = host.ksm(word)
    assert (ran.returncode, ran.stdout) == (0, f"KSM will be {word} when the burst of process {os.getpid()} ends\n"), ran.stderr
    assert host.setting("run") == "1"
    # The holder dies, and the next one to look puts things back.
    (host.proc / str(os.getpid()) / "stat").unlink()
    assert host.ksm("unmerge").returncode == 0
    assert host.setting("run") == after
    assert not (host.run / "ksm.json").exists()


def test_a_damaged_record_is_left_alone(tmp_path):
    host = Host(tmp_path, {**NEW, "run": "0"})
    host.run.mkdir()
    (host.run / "ksm.json").write_text("{")
    ran = host.ksm("on")
    assert ran.returncode == 1
    assert ran.stderr == f"samepage: {host.run}/ksm.json is damaged or of another version; KSM is left as it is\n"
    assert host.setting("run") == "0"


def test_unmerge_of_the_host_asks_and_sees_that_there_is_room(tmp_path):
    host = Host(tmp_path, NEW)
    ran = host.ksm("unmerge", "--host")
    assert (ran.returncode, host.setting("run")) == (2, "1")
    assert ran.stderr == "samepage: unmerge: Un-merge all of this host, 13 MB, and keep KSM off? Say --yes where nobody can be " \
                         "asked\n"
    host.available(64 << 20)
    ran = host.ksm("unmerge", "--host", "--yes")
    assert (ran.returncode, ran.stderr) == (1, "samepage: un-merging needs 13 MB, and 67 MB of memory are free\n")
    assert host.setting("run") == "1"
    host.available(1 << 30)
    ran = host.ksm("unmerge", "--host", "7", "--yes")
    assert (ran.returncode, host.setting("run")) == (2, "1")
    ran = host.ksm("unmerge", "--host", "--yes", "--json", "-")
    assert (json.loads(ran.stdout), host.setting("run")) == ({"host": True, "bytes": 3100 * PAGE}, "2")


def test_unmerge_waits_for_a_burst(tmp_path):
    host = Host(tmp_path, NEW)
    burst(host, "0")
    ran = host.ksm("unmerge", "--host", "--yes")
    assert (ran.returncode, host.setting("run")) == (1, "1")
    assert f"process {os.getpid()} has ksmd merge just now" in ran.stderr


@pytest.mark.parametrize("answer,status,run", [("n", 1, "1"), ("", 1, "1"), ("y", 0, "2")])
def test_a_terminal_is_asked(tmp_path, answer, status, run):
    host = Host(tmp_path, NEW)
    ours, theirs = pty.openpty()
    os.write(ours, f"{answer}\n".encode())
    ran = host.ksm("unmerge", "--host", stdin=theirs, stdout=theirs, stderr=theirs, capture_output=False)
    os.close(theirs)
    assert (ran.returncode, host.setting("run")) == (status, run)
    said = read_to_end(ours).decode()
    os.close(ours)
    assert "Un-merge all of this host, 13 MB, and keep KSM off? [y/N]" in said


def merged(pids):
    """Pages that are merged now; the kernel's counters follow at ksmd's next look."""
    rollups = [pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text() for pid in pids]
    return [int(rollup.split("\nKSM:")[1].split()[0]) * 1024 // PAGE for rollup in rollups]


@root_only
def test_processes_are_un_merged_on_the_real_kernel(ksm_alone, tmp_path):
    (tmp_path / "file").touch()
    command = [BUILD / "bin/planted", "0", "500", tmp_path / "file", "not_registered"]
    two = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    try:
        pids = [str(one.pid) for one in two]
        assert all(one.stdout.readline() == "ready\n" for one in two)
        if "\nKSM:" not in pathlib.Path("/proc/self/smaps_rollup").read_text():
            pytest.skip("this kernel does not tell which pages are merged now (Linux 6.8)")
        with merging():
            assert subprocess.run([SAMEPAGE, "adopt", *pids], capture_output=True, timeout=60).returncode == 0
            wait_until(lambda: min(merged(pids)) >= 500, 60)
        ran = subprocess.run([SAMEPAGE, "ksm", "unmerge", *pids], capture_output=True, text=True, timeout=60,
                             stdin=subprocess.DEVNULL)
        assert ran.returncode == 2 and "? Say --yes" in ran.stderr
        assert min(merged(pids)) >= 500
        ran = subprocess.run([SAMEPAGE, "ksm", "unmerge", *pids, "--yes", "--json", "-"], capture_output=True, text=True,
                             timeout=60)
        assert [one["state"] for one in json.loads(ran.stdout)["processes"]] == ["done", "done"], ran.stderr
        assert merged(pids) == [0, 0]
    finally:
        for one in two:
            one.kill()
            one.wait()


def test_wrong_usage():
    for arguments in (["ksm"], ["ksm", "loud"], ["ksm", "on", "off", "x"], ["adopt"], ["release"], ["adopt", "no such"],
                      ["adopt", "0"], ["release", "99999999"], ["adopt", "1", "--whole", "--dry-run"]):
        ran = subprocess.run([SAMEPAGE, *arguments], capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL)
        assert (ran.returncode, ran.stdout) == (2, ""), (arguments, ran)
        assert ran.stderr.startswith("samepage: ") and ran.stderr.count("\n") == 1, ran.stderr


@root_only
@pytest.mark.parametrize("words,says", [
    ("adopt PID", "process PID: may not be looked at: it is another user's"),
    ("adopt PID --whole", "process PID (sleep) may not be traced: another user's"),
    ("release PID", "process PID (sleep) may not be traced: another user's"),
    ("ksm unmerge PID --yes", "no such process is registered\n"),
    ("ksm unmerge --host --yes", "samepage: only root may set KSM\n"),
    ("ksm on", "samepage: only root may set KSM"), ("ksm off", "samepage: only root may set KSM")])
def test_without_root_others_and_settings_are_out_of_reach(words, says):
    nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", SAMEPAGE]
    if subprocess.run([*nobody, "--version"], capture_output=True).returncode:
        pytest.skip("nobody may not enter the build folder")
    process = subprocess.Popen(["sleep", "1000"])
    try:
        wait_until(lambda: pathlib.Path(f"/proc/{process.pid}/comm").read_text() == "sleep\n", 60)
        ran = subprocess.run([*nobody, *words.replace("PID", str(process.pid)).split()], capture_output=True, text=True, timeout=60)
        assert ran.returncode == 1
        assert (ran.stdout + ran.stderr).startswith(says.replace("PID", str(process.pid)))
    finally:
        process.kill()
        process.wait()


def test_refusals_are_one_line():
    ran = subprocess.run([SAMEPAGE, "release", "2"], capture_output=True, text=True, timeout=60)
    assert ran.returncode == 1
    assert ran.stdout.count("\n") == 1 and ran.stdout.startswith("process 2"), ran.stdout
