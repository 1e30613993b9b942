"""What a compiler that was taken over can do in the sandbox: next to nothing."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.users import as_ordinary_user, open_to_all
from willitcompile.backends.sandbox import SandboxBackend
from willitcompile.model import CompileJob, CompileResult

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from willitcompile.backends.sandbox.host import HostToolchain

pytestmark = pytest.mark.sandbox

REFUSED = {"Operation not permitted", "Permission denied", "No such file or directory", "Read-only file system"}

PROBE = Path(__file__).parent / "probe.c"


class Probe:
    """Runs the probe and reads what it found: each line is a name and what came of it."""

    def __init__(self, backend: SandboxBackend) -> None:
        self._backend = backend

    def __call__(self, *arguments: str) -> dict[str, str]:
        result = self.run(*arguments)
        assert result.exit_code == 0, result
        lines = result.stdout.decode().splitlines()
        return {name: rest for name, _, rest in (line.partition(" ") for line in lines)}

    def run(self, *arguments: str) -> CompileResult:
        files = {"main.c": b"int x;", "deep/er/header.h": b""}
        return self._backend.compile(CompileJob("impostor-1", "c", files, ("gcc", *arguments)))


@pytest.fixture(scope="module")
def probe_toolchain(impostor: Callable[[Path], HostToolchain]) -> HostToolchain:
    return impostor(PROBE)


@pytest.fixture
def probe(mechanism: str, probe_toolchain: HostToolchain) -> Iterator[Probe]:
    with SandboxBackend(isolation=mechanism, toolchains=[probe_toolchain]) as backend:
        yield Probe(backend)


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """A file that everybody on this host may read."""
    open_to_all(tmp_path)
    path = tmp_path / "secret"
    path.write_text("the secret")
    path.chmod(0o644)
    return path


def test_no_file_of_the_host_can_be_read(probe: Probe, secret: Path) -> None:
    paths = [
        "/etc/shadow", "/etc/hostname", "/etc/os-release", "/proc/1/environ", "/proc/self/environ", "/proc/cpuinfo",
        "/sys/kernel/notes", "/dev/random", "/dev/mem", "/dev/tty", "/usr/bin/env", "/usr/share", str(secret),
        str(Path.home()), str(Path.cwd() / "pyproject.toml"), "/", "/home", "/tmp", "/var", "/run", "/root",
    ]  # fmt: skip
    found = probe(*(f"read={path}" for path in paths), *(f"list={path}" for path in paths))
    assert not [path for path in paths if found.get(f"read:{path}") == "succeeded"]
    assert str(secret.name) not in found.get(f"list:{secret.parent}", "")


def test_the_host_passwd_is_not_there(probe: Probe) -> None:
    assert probe("read=/etc/passwd")["read:/etc/passwd"] in {"succeeded", "Permission denied"}
    # In namespaces there is one of our own, with one user.
    assert b"root:" not in probe.run("read=/etc/passwd").stdout


def test_a_file_of_the_same_user_cannot_be_changed(mechanism: str, probe_toolchain: HostToolchain) -> None:
    """Landlock alone does not keep a process from changing the mode and times of a file."""

    def changes() -> str:
        directory = tempfile.mkdtemp()
        mine = Path(directory, "mine")
        mine.write_text("kept")
        before = mine.stat()
        with SandboxBackend(isolation=mechanism, toolchains=[probe_toolchain]) as backend:
            Probe(backend)(f"change={mine}", f"change={directory}", "change=/dev/null")
        after = mine.stat()
        same = (before.st_mode, before.st_mtime_ns, before.st_size) == (after.st_mode, after.st_mtime_ns, after.st_size)
        shutil.rmtree(directory)
        return f"{same} {oct(Path('/dev/null').stat().st_mode)}"

    device = oct(Path("/dev/null").stat().st_mode)
    assert as_ordinary_user(changes) == f"True {device}"
    assert changes() == f"True {device}"


def test_devices_are_null_zero_and_urandom_only(probe: Probe) -> None:
    found = probe("read=/dev/null", "read=/dev/zero", "read=/dev/urandom", "list=/dev", "write=/dev/null")
    assert [found[f"read:/dev/{name}"] for name in ("null", "zero", "urandom")] == ["succeeded"] * 3
    assert found["write:/dev/null"] == "succeeded"
    assert set(found["list:/dev"].split()) <= {"null", "zero", "urandom", "Permission", "denied"}


def test_only_tmp_can_be_written(probe: Probe, secret: Path) -> None:
    paths = [
        "main.c",
        "new.c",
        "deep/new.c",
        "../new",
        "/new",
        "/etc/new",
        "/tmp/new",
        "/usr/include/new.h",
        str(secret),
    ]
    found = probe(*(f"write={path}" for path in paths), "write=../tmp/out")
    assert not [path for path in paths if found[f"write:{path}"] == "succeeded"]
    assert found["write:../tmp/out"] == "succeeded"


@pytest.mark.parametrize(
    "attempt",
    [
        "socket:inet", "socket:inet6", "socket:unix", "socket:netlink", "socket:vsock", "unshare:user", "clone:user",
        "clone3", "mount", "ptrace", "keyctl", "bpf", "io_uring", "perf", "userfaultfd", "open_by_handle",
        "process_vm_readv", "kexec", "shmget", "typing", "setuid", "chroot",
    ],
)  # fmt: skip
def test_the_kernel_refuses(probe: Probe, attempt: str) -> None:
    assert probe()[attempt] in {"Operation not permitted", "Function not implemented"}


def test_processes_of_the_host_cannot_be_reached(probe: Probe) -> None:
    found = probe(f"signal={os.getpid()}", f"prlimit={os.getpid()}", f"list=/proc/{os.getpid()}")
    assert found["signal"] == "Operation not permitted"
    assert found["prlimit"] == "Operation not permitted"
    assert found[f"list:/proc/{os.getpid()}"] in {"No such file or directory", "Permission denied"}


def test_it_runs_without_privileges(probe: Probe) -> None:
    found = probe()
    assert found["uid"] not in {"0", str(os.getuid()) if os.getuid() == 0 else ""}
    assert found["capabilities"] == "0 0 0"


def test_an_ordinary_user_has_the_same_sandbox(mechanism: str, probe_toolchain: HostToolchain) -> None:
    def found() -> str:
        with SandboxBackend(isolation=mechanism, toolchains=[probe_toolchain]) as backend:
            facts = Probe(backend)("read=/etc/shadow", "read=/etc/hostname", "write=main.c", f"signal={os.getppid()}")
        wanted = ("read:/etc/shadow", "read:/etc/hostname", "write:main.c", "signal", "socket:inet", "capabilities")
        return ",".join("refused" if facts[name] in REFUSED else facts[name] for name in wanted)

    assert as_ordinary_user(found) == "refused,refused,refused,refused,refused,0 0 0"


def test_nothing_of_this_process_leaks_in(probe: Probe, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_TOKEN", "hunter2")
    descriptor = os.open("/", os.O_RDONLY)
    os.set_inheritable(descriptor, True)
    try:
        found = probe()
    finally:
        os.close(descriptor)
    variables = {name.partition(":")[2].partition("=")[0] for name in found if name.startswith("environment:")}
    assert variables - {"PATH", "HOME", "TMPDIR", "LC_ALL", "PWD"} == set()
    assert {name for name in found if name.startswith("open:")} == {"open:0", "open:1", "open:2"}


def test_a_job_sees_nothing_of_the_one_before(probe: Probe) -> None:
    probe("write=../tmp/left")
    assert probe("list=../tmp").get("list:../tmp", "").split() == []
    files = probe("list=.", "list=..")
    assert set(files["list:."].split()) == {"main.c", "deep"}
    assert files["list:.."] in {"src tmp", "tmp src", "Permission denied"}
