"""A Docker daemon that a test may stop, kill and start again, with one of our gcc images."""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT = Path(__file__).parents[2]
START_SECONDS = 60
END_SECONDS = 60


class PrivateDaemon:
    """dockerd on a socket of its own."""

    def __init__(self, directory: Path, *arguments: str) -> None:
        self.directory = directory
        self.socket = directory / "docker.sock"
        self.host = f"unix://{self.socket}"
        self._arguments = arguments
        self._process: subprocess.Popen[bytes] | None = None
        # With `--bridge none` it would remove the bridge of whatever other dockerd runs here.
        self._bridge = f"wic{os.getpid()}"

    def start(self) -> None:
        """Start it, and return when it answers."""
        below = self.directory
        self._end_containerd()
        (below / "pid").unlink(missing_ok=True)
        argv = ["dockerd", "--host", self.host, "--data-root", f"{below}/data", "--exec-root", f"{below}/exec"]
        argv += ["--pidfile", f"{below}/pid", "--iptables=false", "--ip-masq=false", "--shutdown-timeout", "5"]
        if not Path("/sys/class/net", self._bridge).exists():
            subprocess.run(["ip", "link", "add", self._bridge, "type", "bridge"], check=True)
            subprocess.run(["ip", "address", "add", "192.0.2.1/29", "dev", self._bridge], check=True)
        argv += ["--bridge", self._bridge]
        with (below / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [*argv, *self._arguments], stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        deadline = time.monotonic() + START_SECONDS
        while subprocess.run(["docker", "--host", self.host, "version"], capture_output=True, check=False).returncode:
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"dockerd does not start: {(below / 'log').read_text()[-1000:]}")
            time.sleep(0.05)

    def send(self, number: int) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def end(self, number: int = signal.SIGTERM) -> None:
        """End it by this signal, and return when it is gone. Its containers may live on after SIGKILL."""
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(END_SECONDS)
            self._process = None

    def remove(self) -> None:
        """End it, and take away all that it has made."""
        try:
            self.end()
        except subprocess.TimeoutExpired:
            self.end(signal.SIGKILL)
        self._end_containerd()
        self._end_shims()
        subprocess.run(["ip", "link", "delete", self._bridge], capture_output=True, check=False)
        mounts = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
        for mount in sorted((each for each in mounts if each.startswith(f"{self.directory}/")), reverse=True):
            subprocess.run(["umount", "--lazy", mount], check=False)
        shutil.rmtree(self.directory, ignore_errors=True)

    def docker(self, *argv: str, stdin: bytes | None = None) -> str:
        done = subprocess.run(
            ["docker", "--host", self.host, *argv], input=stdin, capture_output=True, check=True, timeout=120
        )
        return done.stdout.decode()

    def left(self) -> list[str]:
        """Its containers, volumes and networks."""
        found = [
            f"container {line}" for line in self.docker("ps", "--all", "--format", "{{.ID}} {{.Status}}").splitlines()
        ]
        found += [f"volume {line}" for line in self.docker("volume", "ls", "--quiet").splitlines()]
        networks = self.docker("network", "ls", "--format", "{{.Name}}").split()
        return found + [f"network {name}" for name in networks if name not in {"bridge", "host", "none"}]

    def _end_shims(self) -> None:
        """A container that was just starting when dockerd was killed is unknown to the next one, and lives on."""
        for process in Path("/proc").iterdir():
            if not process.name.isdecimal():
                continue
            with contextlib.suppress(OSError):
                words = (process / "cmdline").read_bytes().split(b"\0")
                if words[0].endswith(b"containerd-shim-runc-v2") and f"{self.directory}/".encode() in b" ".join(words):
                    children = [each.read_text().split() for each in process.glob("task/*/children")]
                    for pid in (*(pid for each in children for pid in each), process.name):
                        os.kill(int(pid), signal.SIGKILL)

    def _end_containerd(self) -> None:
        """It dies with dockerd; where nobody has reaped it yet, the next dockerd would take it for a living one."""
        recorded = self.directory / "exec/containerd/containerd.pid"
        with contextlib.suppress(FileNotFoundError, ValueError, ProcessLookupError):
            pid = int(recorded.read_text())
            watched = os.pidfd_open(pid)
            try:
                signal.pidfd_send_signal(watched, signal.SIGKILL)
                select.select([watched], [], [], END_SECONDS)
            finally:
                os.close(watched)
        recorded.unlink(missing_ok=True)


def command(*argv: str, home: Path, environment: Mapping[str, str]) -> subprocess.Popen[str]:
    """will-it-compile as a process whose user has nothing set up but this."""
    return subprocess.Popen(
        [sys.executable, "-m", "willitcompile.cli", *argv],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "HOME": str(home), **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(
    *argv: str, home: Path, environment: Mapping[str, str], seconds: float = 60
) -> subprocess.CompletedProcess[str]:
    with command(*argv, home=home, environment=environment) as process:
        try:
            out, err = process.communicate(timeout=seconds)
        except BaseException:
            process.kill()
            raise
    return subprocess.CompletedProcess(argv, process.returncode, out, err)
