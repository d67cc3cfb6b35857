"""Who decides how fast ksmd works. Each is a context that yields a function: the seconds of CPU that it took itself."""

import contextlib
import os
import pathlib
import signal
import subprocess
import tempfile
import time

from shared import host

@contextlib.contextmanager
def off(_build):
    host.put("run", "0")
    yield lambda: 0.0


@contextlib.contextmanager
def fixed(pages, sleep):
    host.put("pages_to_scan", str(pages))
    host.put("sleep_millisecs", str(sleep))
    host.put("run", "1")
    yield lambda: 0.0


def kernel_default(_build):
    return fixed(100, 20)


def fixed_fast(_build):
    return fixed(20000, 20)


@contextlib.contextmanager
def advisor(_build):
    host.put("pages_to_scan", "100")
    host.put("sleep_millisecs", "20")
    host.put("advisor_mode", "scan-time")
    host.put("run", "1")
    yield lambda: 0.0


def debians_ksmtuned(folder):
    """The script out of Debian's package, which is not installed: that would enable its service."""
    subprocess.run(["apt-get", "download", "-q", "-q", "ksmtuned"], cwd=folder, check=True, capture_output=True)
    (package,) = pathlib.Path(folder).glob("ksmtuned_*.deb")
    subprocess.run(["dpkg-deb", "-x", package, pathlib.Path(folder) / "package"], check=True)
    return (pathlib.Path(folder) / "package/usr/sbin/ksmtuned").read_text()


@contextlib.contextmanager
def ksmtuned(_build):
    """Debian's script with our members' name in the place of qemu's, and as eager as it can be set: it looks every ten
    seconds and always finds too little memory free. Its service is not touched."""
    with tempfile.TemporaryDirectory() as folder:
        script, pid_file = pathlib.Path(folder) / "ksmtuned", pathlib.Path(folder) / "pid"
        text = debians_ksmtuned(folder)
        assert "^qemu-system.*-enable-kvm" in text, "another ksmtuned than Debian 12's"
        script.write_text(text.replace("^qemu-system.*-enable-kvm", "bench-watchdog-member"))
        script.chmod(0o755)
        environment = {**os.environ, "PIDFILE": str(pid_file), "KSM_MONITOR_INTERVAL": "10", "KSM_THRES_COEF": "200"}
        subprocess.run([script], env=environment, check=True)
        pid = int(pid_file.read_text())
        try:
            yield lambda: host.cpu_seconds(pid)
        finally:
            children = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
            for one in [pid, *map(int, children)]:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(one, signal.SIGKILL)
            while pathlib.Path(f"/proc/{pid}").exists():
                time.sleep(0.01)


@contextlib.contextmanager
def watchdog(build):
    with tempfile.TemporaryDirectory() as folder:
        config = pathlib.Path(folder) / "watchdog.toml"
        config.write_text('[[adopt]]\nname = "bench"\nexecutable = "*/bench-watchdog-member"\n')
        log = open(pathlib.Path(folder) / "log", "w+")
        daemon = subprocess.Popen([build / "bin/samepage", "watchdog", "--config", config], stderr=log)
        try:
            while not pathlib.Path("/run/samepage/watchdog.sock").exists():
                if daemon.poll() is not None:
                    raise SystemExit(f"bench watchdog: {pathlib.Path(log.name).read_text()}")
                time.sleep(0.01)
            yield lambda: host.cpu_seconds(daemon.pid)
        finally:
            daemon.terminate()
            daemon.wait()
            log.seek(0)
            watchdog.log = log.read()
            log.close()


ALL = {"off": off, "kernel default": kernel_default, "ksmtuned": ksmtuned, "kernel advisor": advisor,
       "fixed fast": fixed_fast, "watchdog": watchdog}


def obstacle(name: str) -> str | None:
    """Why this policy cannot run here."""
    if name == "ksmtuned":
        with tempfile.TemporaryDirectory() as folder:
            try:
                debians_ksmtuned(folder)
            except (OSError, ValueError, subprocess.CalledProcessError):
                return "Debian's package ksmtuned cannot be had (apt-get download ksmtuned)"
    if name == "kernel advisor" and not (host.SYSFS / "advisor_mode").exists():
        return "this kernel has no advisor (Linux 6.8)"
    return None
