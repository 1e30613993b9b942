"""A Kubernetes cluster of the tests' own, of one node, where a machine has none.

    python -m tests.cluster up           start it, load the images of the tests, and say how to use it: it stays
    python -m tests.cluster load [IMAGE] these images, or those of the tests, from the Docker daemon that answers
    python -m tests.cluster status       what runs
    python -m tests.cluster down         stop it

Its components are Kubernetes' own, unmodified, in one program made of main.go beside this file; its pods are
containerd's. All of it runs in namespaces of its own: see namespaces.py. What is slow is kept from run to run below
$XDG_CACHE_HOME/will-it-compile-tests/cluster: that program, and the images. What the cluster holds is not.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

from tests.cluster import build, files, images, namespaces
from willitcompile.toolchains import load_catalogue

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

RUN = Path("/run/wic-cluster")
"""Sockets, and what there is once on a machine. A short path: that of a unix socket has 107 bytes at most."""

TOOLCHAINS = ("gcc-9", "gcc-12", "gcc-13", "gcc-14", "clang-14", "clang-19", "clang-22", "go-1.26", "rustc-1.85")
"""The toolchains whose images are loaded for the tests."""

START_SECONDS = 60.0
WAIT_SECONDS = 900.0
"""How long one run of the tests waits for another that starts the cluster, which it may have to build first, or that
breaks something in it."""


class Unavailable(Exception):
    """There is no cluster, or no image in it: what stands in the way, and what to do about it."""

    def __init__(self, why: str, remedy: str) -> None:
        super().__init__(f"{why}: {remedy}")
        self.why = why
        self.remedy = remedy


class Cluster:
    """One of ours that is up."""

    def __init__(self, directory: Path, lock: int) -> None:
        self.directory = directory
        self.kubeconfig = directory / "admin.conf"
        self._lock = lock
        self._commands = files.commands(directory, RUN, build.kube(directory))

    @property
    def components(self) -> tuple[str, ...]:
        """In the order of their start."""
        return tuple(self._commands)

    def start(self, component: str) -> None:
        """Start it, and wait until it answers. Raises Unavailable."""
        began = time.monotonic()
        pid = namespaces.start(self._first(), self._commands[component], self.log(component))
        (RUN / f"{component}.pid").write_text(f"{pid} {namespaces.started(pid)}")
        while not self.answers(component):
            if not self.runs(component) or time.monotonic() > began + START_SECONDS:
                log = self.log(component)
                said = log.read_text(errors="replace").splitlines()[-3:]
                raise Unavailable(f"{component} does not start", f"see {log}, which ends with {' | '.join(said)}")
            time.sleep(0.05)

    def kill(self, component: str, number: int = signal.SIGKILL) -> None:
        """Send it a signal. After SIGKILL it is gone, and after SIGTERM unless it takes longer than 20 seconds, as
        apiserver does while somebody watches something."""
        if pid := self._pid(component):
            namespaces.send(pid, number)

    def runs(self, component: str) -> bool:
        return self._pid(component) != 0

    def answers(self, component: str) -> bool:
        """Whether it does its work, as far as that can be asked; else whether it runs."""
        asked = {
            "apiserver": [self._kubectl("get", "--raw", "/readyz")],
            "containerd": [["ctr", "--address", f"{RUN}/containerd.sock", "version"]],
            # A node is said to be ready for a while after its kubelet has gone.
            "kubelet": [
                self._kubectl("get", "--raw", f"/api/v1/nodes/{files.NODE}/proxy/healthz"),
                self._kubectl("wait", "--for=condition=Ready", f"node/{files.NODE}", "--timeout=1s"),
            ],
        }.get(component, [])
        return self.runs(component) and all(
            subprocess.run(argv, capture_output=True, check=False).returncode == 0 for argv in asked
        )

    def log(self, component: str) -> Path:
        return self.directory / f"{component}.log"

    def load(self, host: str, names: Sequence[str]) -> list[str]:
        """Take these images from the Docker daemon at this address. Return those that were not there as they are.

        Raises Unavailable.
        """
        try:
            return images.import_from_docker(RUN, host, names)
        except OSError as error:
            raise Unavailable("an image cannot be loaded into the cluster", str(error)) from None

    def has(self, names: Sequence[str]) -> bool:
        return images.has(RUN, names)

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """While no other run of the tests uses it: to break something in it. Afterwards all of it answers again."""
        _wait_for_lock(self._lock, fcntl.LOCK_EX)
        try:
            yield
        finally:
            for component in self.components:
                self.kill(component, signal.SIGCONT)
                if not self.answers(component):
                    self.kill(component)
                    self.start(component)
            _wait_for_lock(self._lock, fcntl.LOCK_SH)

    def _pid(self, component: str) -> int:
        with contextlib.suppress(OSError, ValueError):
            pid, started = (RUN / f"{component}.pid").read_text().split()
            return int(pid) if namespaces.started(int(pid)) == started else 0
        return 0

    def _first(self) -> int:
        return namespaces.find(build.pause(self.directory))

    def _kubectl(self, *argv: str) -> list[str]:
        return [build.KUBECTL, "--kubeconfig", str(self.kubeconfig), "--request-timeout", "5s", *argv]


@contextlib.contextmanager
def used(*, start: bool, stays: bool = False) -> Iterator[Cluster | None]:
    """Our cluster that is up, or else, if asked for, started; None where there is none.

    The last of those that use it at the same time ends it, unless it `stays`, or was told to. Raises Unavailable.
    """
    if os.geteuid() != 0 and start:
        raise Unavailable("only root can start a cluster", "set WIC_TEST_KUBECONFIG to the kubeconfig of one that runs")
    with _lock() as lock:
        if lock < 0:
            yield None
            return
        _wait_for_lock(lock, fcntl.LOCK_SH)
        cluster = _answering(lock)
        if cluster is None and start:
            _wait_for_lock(lock, fcntl.LOCK_EX)
            cluster = _answering(lock) or _start(lock)
            _wait_for_lock(lock, fcntl.LOCK_SH)
        if stays:
            (RUN / "stays").touch()
        try:
            yield cluster
        finally:
            if cluster and not (RUN / "stays").exists() and _try_lock(lock, fcntl.LOCK_EX):
                _clear(cluster.directory)


def stop() -> None:
    """Stop ours, if there is one, and take away what it left; its images are kept. Raises Unavailable."""
    with _lock() as lock:
        if lock < 0:
            return
        if not _try_lock(lock, fcntl.LOCK_EX):
            raise Unavailable("the tests use the cluster", "wait for them, or end them")
        _clear(_directory())


def toolchain_images() -> list[str]:
    """Our images of `TOOLCHAINS`: `will-it-compile/gcc:13`."""
    catalogue = load_catalogue()
    return [image for name in TOOLCHAINS if (image := catalogue.own_image(name))]


def reaches(kubeconfig: str) -> bool:
    """Whether the API server that it names is ready."""
    argv = [build.KUBECTL, "--kubeconfig", kubeconfig, "--request-timeout", "5s", "get", "--raw", "/readyz"]
    return subprocess.run(argv, capture_output=True, check=False).returncode == 0


def kubectl(*argv: str, input: str | None = None, check: bool = True) -> str:  # noqa: A002 - as subprocess has it
    """What kubectl says on its stdout, with the kubeconfig of the test.

    Raises AssertionError with what it says on stderr where it fails and `check` is set.
    """
    done = subprocess.run([build.KUBECTL, *argv], input=input, capture_output=True, text=True, check=False)
    assert done.returncode == 0 or not check, f"kubectl {' '.join(argv)}: {done.stderr}"
    return done.stdout


# --- one cluster on a machine


@contextlib.contextmanager
def _lock() -> Iterator[int]:
    """A descriptor to lock, or -1 for who may not have one."""
    try:
        RUN.mkdir(mode=0o700, exist_ok=True)
        lock = os.open(RUN / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError:
        yield -1
        return
    try:
        yield lock
    finally:
        os.close(lock)


def _try_lock(lock: int, how: int) -> bool:
    try:
        fcntl.flock(lock, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _wait_for_lock(lock: int, how: int) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while not _try_lock(lock, how):
        if time.monotonic() > deadline:
            raise Unavailable("another run of the tests uses the cluster", "wait for it")
        time.sleep(0.1)


def _directory() -> Path:
    """Of the cluster that is up, which may be one that was started with another cache, else of ours."""
    with contextlib.suppress(FileNotFoundError):
        directory = Path((RUN / "directory").read_text())
        if namespaces.find(build.pause(directory)):
            return directory
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "will-it-compile-tests" / "cluster"


def _answering(lock: int) -> Cluster | None:
    cluster = Cluster(_directory(), lock)
    return cluster if all(cluster.answers(each) for each in cluster.components) else None


def _start(lock: int) -> Cluster:
    directory = _directory()
    try:
        build.make(directory)
        _clear(directory)
        for log in directory.glob("*.log"):
            log.unlink()
        (RUN / "directory").write_text(str(directory))
        namespaces.make(build.pause(directory), _covers(directory))
        files.write_certificates(directory)
        files.write_settings(directory, RUN, directory / "containerd")
        cluster = Cluster(directory, lock)
        for component in cluster.components:
            cluster.start(component)
            if component == "containerd":
                if images.forget_containers(RUN):
                    cluster.kill("containerd", signal.SIGTERM)
                    cluster.start("containerd")
                images.import_pause(RUN, build.pause(directory))
    except (OSError, subprocess.CalledProcessError, build.BuildError) as error:
        _clear(directory)
        raise Unavailable("the cluster does not start", str(error)) from None
    except BaseException:
        _clear(directory)
        raise
    return cluster


def _covers(directory: Path) -> dict[str, Path]:
    """What the components write or would write for the whole machine is theirs alone."""
    covers = {}
    for name, value in files.SYSCTLS.items():
        file = directory / "sysctl" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{value}\n")
        covers[f"/proc/sys/{name}"] = file
    for path in ("/var/log", "/var/lib/cni"):
        Path(path).mkdir(exist_ok=True)
        covers[path] = directory / "kept-out" / path[1:]
        covers[path].mkdir(parents=True)
    return covers


def _clear(directory: Path) -> None:
    """End what runs, and remove all but what is slow to make."""
    if first := namespaces.find(build.pause(directory)):
        namespaces.end(first)
    for name in ("etcd", "kubelet", "kept-out", "sysctl", "cni"):
        shutil.rmtree(directory / name, ignore_errors=True)
    for entry in RUN.iterdir():
        if entry.is_dir():
            shutil.rmtree(entry)
        elif entry.name != "lock":
            entry.unlink()
    namespaces.remove_cgroups()
