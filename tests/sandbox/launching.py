"""The launcher as process 1 of a container that bubblewrap makes, run by an ordinary user."""

from __future__ import annotations

import fcntl
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import termios
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Self

from willitcompile.backends import launcher
from willitcompile.backends.launcher import Reader, encode, run, unwrap
from willitcompile.backends.seccomp import bpf_filter
from willitcompile.model import MIB, CompileJob, Limits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

HERE = Path(__file__).parent
USER = 54321
ENVIRONMENT = {"PATH": "/usr/bin:/bin"}
PATIENCE = 20.0


@contextmanager
def prepared(unavailable: Callable[..., None], *programs: str) -> Iterator[Path]:
    """A directory where a container finds the launcher, and these programs, which are built of the C files here."""
    path = Path(tempfile.mkdtemp(prefix="launcher-"))
    path.chmod(0o755)
    try:
        (path / "launcher").write_bytes(launcher.binary(os.uname().machine))
        (path / "launcher").chmod(0o755)
        try:
            with Container(path) as container:
                container.read()
        except (OSError, EOFError) as error:
            unavailable("sandbox", f"bubblewrap makes no container: {error}", "apt-get install bubblewrap")
        if not shutil.which("gcc"):
            unavailable("sandbox", "there is no gcc", "apt-get install g++")
        for name in programs:
            subprocess.run(["gcc", "-O1", "-pthread", "-o", path / name, HERE / f"{name}.c"], check=True)
        yield path
    finally:
        shutil.rmtree(path)


def job(files: dict[str, bytes], script: str, workdir: str = ".", **limits: float) -> Iterator[bytes]:
    within = Limits(**{"wall_seconds": 10.0, **limits})
    made = CompileJob("gcc-12", "c", files, ("sh", "-c", script), workdir=workdir, limits=within)
    return encode(made, environment=ENVIRONMENT, seccomp=bpf_filter())


class Container:
    """A launcher that waits in namespaces of its own, as uid 1000, with an empty /work."""

    def __init__(
        self,
        directory: Path,
        *,
        how: str = "bwrap",
        idle: str = "60",
        size: int = 64 * MIB,
        cgroup: Path | None = None,
        first: bool = True,
        root: str = "/work",
        descriptors: int = 1024,
        pass_fds: tuple[int, ...] = (),
        parts: Sequence[bytes] | None = None,
        parts_at: str = "/will-it-compile/job",
        variables: dict[str, str] | None = None,
        more: Sequence[str] = (),
    ) -> None:
        """`cgroup` stands for the container's /sys/fs/cgroup; `first`: the launcher is process 1; `parts`: what its
        records come from, in files as Kubernetes mounts them; `variables` are its environment."""
        self._files = tempfile.TemporaryDirectory(prefix="launcher-parts-")
        command = ["prlimit", f"--nofile={descriptors}"]
        if how == "unshare":
            # Only root can, who then becomes the user.
            user = ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups"]
            command += ["unshare", "--pid", "--fork", "--kill-child", "--mount", "--mount-proc", "--net", *user]
            work = tempfile.mkdtemp(dir=directory)
            os.chown(work, USER, USER)
            command += [str(directory / "launcher"), work, idle]
        else:
            command += ["bwrap", "--unshare-user", "--unshare-pid", "--unshare-net", "--unshare-ipc"]
            command += ["--die-with-parent", "--cap-drop", "ALL", "--uid", "1000", "--gid", "1000"]
            command += ["--as-pid-1"] if first else []
            for path in filter(os.path.exists, ("/usr", "/bin", "/lib", "/lib64", "/etc")):
                command += ["--ro-bind", path, path]
            command += ["--proc", "/proc", "--dev", "/dev", "--ro-bind", str(directory), "/opt"]
            command += ["--bind", str(cgroup), "/sys/fs/cgroup"] if cgroup else []
            command += ["--size", str(size), "--tmpfs", "/work"]
            command += ["--ro-bind", self._mounted(parts), parts_at] if parts is not None else []
            command += [*more, "--", "/opt/launcher", root, idle]
            command += [f"{parts_at}/part-{i}" for i in range(len(parts or ()))]
        as_user = {"user": USER, "group": USER, "extra_groups": []}
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE if parts is None else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            pass_fds=pass_fds,
            env=None if variables is None else {**ENVIRONMENT, **variables},
            **(as_user if os.geteuid() == 0 and how == "bwrap" else {}),
        )
        self._ready = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()
        self._files.cleanup()

    def _mounted(self, parts: Sequence[bytes]) -> str:
        """A directory with these files, each behind two links."""
        directory = Path(self._files.name)
        directory.chmod(0o755)
        version = directory / "..2026"
        version.mkdir()
        (directory / "..data").symlink_to(version.name)
        for i, part in enumerate(parts):
            (version / f"part-{i}").write_bytes(part)
            (directory / f"part-{i}").symlink_to(f"..data/part-{i}")
        return str(directory)

    def send(self, records: Iterable[bytes]) -> None:
        for record in records:
            view = memoryview(record)
            while view:
                view = view[self._process.stdin.write(view) :]

    def receive(self, output_bytes: int = MIB) -> Reader:
        """What it says of the next job. Raises EOFError where it ends before."""
        reader = Reader(output_bytes, ready=self._ready)
        while reader.ending is None:
            reader.feed(self.read())
        self._ready = True
        return reader

    def read(self) -> bytes:
        if not select.select([self._process.stdout], [], [], PATIENCE)[0]:
            raise TimeoutError
        data = os.read(self._process.stdout.fileno(), 65536)
        if not data:
            raise EOFError(self._process.stderr.read())
        return data

    def play(self, output_bytes: int = MIB) -> tuple[list[Reader], int]:
        """What it says of each job of its parts, and the code that it exits with."""
        lines = bytearray()
        try:
            while True:
                lines += self.read()
        except EOFError:
            pass
        assert not lines or lines.endswith(b"\n")
        readers: list[Reader] = []
        for number, line in enumerate(lines.splitlines(keepends=True)):
            assert len(line) <= 4096
            if not readers or readers[-1].ending is not None:
                readers.append(Reader(output_bytes, ready=bool(readers)))
            readers[-1].feed(unwrap(line, number))
        return readers, self.wait()

    def run(
        self, *argv: str, environment: dict[str, str] = ENVIRONMENT, workdir: str = "src", **limits: float
    ) -> Reader:
        """Run this without a filter."""
        within = Limits(**{"wall_seconds": 10.0, **limits})
        self.send([run(argv, environment, within, workdir=workdir)])
        return self.receive(within.output_bytes)

    def shell(self, script: str, **limits: float) -> Reader:
        return self.run("sh", "-c", script, **limits)

    def process_called(self, words: bytes) -> Path:
        """The directory in /proc of a process below it, as soon as it is there."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            for path in Path("/proc").glob("[0-9]*"):
                try:
                    if (path / "cmdline").read_bytes() == words:
                        return path
                except OSError:
                    continue
            time.sleep(0.005)
        raise TimeoutError

    def unread(self) -> int:
        """How many bytes it has said that nobody has read."""
        count = bytearray(4)
        fcntl.ioctl(self._process.stdout, termios.FIONREAD, count)
        return int.from_bytes(count, sys.byteorder)

    def terminate(self) -> None:
        """Send the launcher a SIGTERM, from outside of its container."""
        os.kill(self.process(), signal.SIGTERM)

    def process(self) -> int:
        """The launcher's, as this machine numbers it."""
        found = [self._process.pid]
        for pid in found:
            if Path(f"/proc/{pid}/cmdline").read_bytes().startswith(b"/opt/launcher\0"):
                return pid
            found += map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
        raise ProcessLookupError

    def close_stdin(self) -> None:
        self._process.stdin.close()
        self._process.stdin = None

    def close_stdout(self) -> None:
        self._process.stdout.close()
        self._process.stdout = None

    def wait(self) -> int:
        return self._process.wait(PATIENCE)

    def said(self) -> bytes:
        return self._process.stderr.read()


def runs(command: str) -> bool:
    """Whether a process with this command line runs on this machine."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if path.read_text(errors="replace").startswith(command):
                return True
        except OSError:
            continue
    return False


def wait_until(happens: Callable[[], bool]) -> None:
    give_up = time.monotonic() + PATIENCE
    while not happens():
        assert time.monotonic() < give_up
        time.sleep(0.02)
