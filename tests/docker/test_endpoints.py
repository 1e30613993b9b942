"""Where a daemon may be, and how it may refuse: each works, or is told with exit code 3."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.docker.private import PrivateDaemon, command, run
from tests.users import as_ordinary_user

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from subprocess import CompletedProcess

    from tests.docker.conftest import Certificates

    Check = Callable[..., CompletedProcess[str]]

pytestmark = pytest.mark.docker


@pytest.fixture
def check(tmp_path: Path, sources: Path) -> Check:
    """`check(VARIABLE=…)`: check the two sources with Docker, with nothing in the environment but this."""

    def check(**environment: str) -> CompletedProcess[str]:
        (tmp_path / "home").mkdir(exist_ok=True)
        return run("check", "--backend=docker", str(sources), home=tmp_path / "home", environment=environment)

    return check


def answered(done: CompletedProcess[str]) -> bool:
    return done.returncode == 1 and "2 files: 1 compiled, 1 rejected" in done.stdout and not done.stderr.count("error:")


def assert_refused(done: CompletedProcess[str], because: str) -> None:
    """The error is three lines: what was asked, what stands in the way, what to type."""
    assert (done.returncode, done.stdout) == (3, "")
    asked, obstacle, remedy = done.stderr.splitlines()[-3:]
    assert asked.startswith("error: ")
    assert because in obstacle
    assert remedy.strip().startswith("try: ")
    assert "Traceback" not in done.stderr


# --- a socket


def test_a_socket_works(broken: PrivateDaemon, check: Check) -> None:
    assert answered(check(DOCKER_HOST=broken.host))


@pytest.mark.parametrize(
    ("host", "because"),
    [
        ("unix:///nonexistent/docker.sock", "there is no such socket"),
        ("tcp://127.0.0.1:1", "nothing listens there"),
        ("tcp://127.0.0.1:99999", "does not name a daemon"),
        ("ssh://", "does not name a daemon"),
        ("nonsense://x", "does not name a daemon"),
        ("unix:///" + "x" * 200, "path too long"),
    ],
)
def test_a_daemon_that_is_not_there(check: Check, host: str, because: str) -> None:
    assert_refused(check(DOCKER_HOST=host), because)


def test_a_socket_that_one_may_not_use(broken: PrivateDaemon) -> None:
    from willitcompile.backends import open_backend
    from willitcompile.backends.docker import backend  # noqa: F401 - an ordinary user may not read it later
    from willitcompile.errors import BackendUnavailable

    def ask() -> str:
        os.environ["DOCKER_HOST"] = broken.host
        try:
            with open_backend("docker"):
                return "opened"
        except BackendUnavailable as error:
            return f"{error.exit_code} {error.obstacle} | {error.remedy}"

    broken.directory.chmod(0o755)
    broken.socket.chmod(0o660)
    told = as_ordinary_user(ask)
    assert told.startswith("3 permission denied: ")
    assert "usermod -aG docker" in told


# --- TLS


@pytest.fixture
def tls(certificates: Certificates, tls_port: int) -> dict[str, str]:
    return {
        "DOCKER_HOST": f"tcp://127.0.0.1:{tls_port}",
        "DOCKER_TLS_VERIFY": "1",
        "DOCKER_CERT_PATH": str(certificates.client),
    }


def test_tls_works(broken: PrivateDaemon, check: Check, tls: dict[str, str]) -> None:
    assert answered(check(**tls))


def test_much_of_everything_over_tls(
    broken: PrivateDaemon, tls: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sources and output of many records of TLS, eight at a time; and cancelling."""
    from tests.contract.test_backend import ENDLESS_STDERR, FINE, job
    from willitcompile.backends import CancelToken, open_backend
    from willitcompile.errors import Interrupted
    from willitcompile.model import MIB, Limits, Verdict

    for name, value in tls.items():
        monkeypatch.setenv(name, value)
    large = {"large.h": b"// " + b"x" * (8 * MIB) + b"\n"}
    with open_backend("docker") as backend, ThreadPoolExecutor(8) as pool:
        gcc = backend.toolchains()[0]
        fine = [pool.submit(backend.compile, job(gcc, FINE, files=large)) for _ in range(4)]
        loud = [pool.submit(backend.compile, job(gcc, ENDLESS_STDERR)) for _ in range(4)]
        assert [each.result().verdict for each in fine] == [Verdict.COMPILED] * 4
        assert [each.result().verdict for each in loud] == [Verdict.OUTPUT_LIMIT] * 4
        assert all(len(each.result().stderr) == MIB for each in loud)
        cancel = CancelToken()
        asked = job(gcc, ENDLESS.encode(), limits=Limits(wall_seconds=120))
        running = [pool.submit(backend.compile, asked, cancel) for _ in range(2)]
        _until(lambda: len(broken.docker("ps", "--quiet").split()) >= 2)
        cancel.cancel()
        assert all(isinstance(each.exception(), Interrupted) for each in running)
        broken_off = pool.submit(backend.compile, job(gcc, ENDLESS.encode(), limits=Limits(wall_seconds=120)))
        _until(lambda: bool(broken.docker("ps", "--quiet")))
        backend.close()
        assert isinstance(broken_off.exception(), Interrupted)


def test_tls_without_a_look_at_who_answers(
    broken: PrivateDaemon, check: Check, tls: dict[str, str], certificates: Certificates, tmp_path: Path
) -> None:
    mixed = shutil.copytree(certificates.client, tmp_path / "mixed")
    shutil.copy(certificates.stranger / "ca.pem", mixed)
    assert_refused(check(**tls | {"DOCKER_CERT_PATH": str(mixed)}), "its certificate is not trusted")
    assert answered(check(**tls | {"DOCKER_CERT_PATH": str(mixed), "DOCKER_TLS_VERIFY": ""}))


def test_tls_of_another_authority(
    broken: PrivateDaemon, check: Check, tls: dict[str, str], certificates: Certificates
) -> None:
    done = check(**tls | {"DOCKER_CERT_PATH": str(certificates.stranger)})
    assert_refused(done, "its certificate is not trusted")


def test_tls_without_a_certificate_of_ours(
    broken: PrivateDaemon, check: Check, tls: dict[str, str], certificates: Certificates, tmp_path: Path
) -> None:
    shutil.copy(certificates.client / "ca.pem", tmp_path)
    assert_refused(check(**tls | {"DOCKER_CERT_PATH": str(tmp_path)}), "it wants a certificate of ours that it trusts")


def test_tls_with_a_certificate_that_the_daemon_does_not_trust(
    broken: PrivateDaemon, check: Check, tls: dict[str, str], certificates: Certificates, tmp_path: Path
) -> None:
    mixed = shutil.copytree(certificates.stranger, tmp_path / "mixed")
    shutil.copy(certificates.client / "ca.pem", mixed)
    assert_refused(check(**tls | {"DOCKER_CERT_PATH": str(mixed)}), "it wants a certificate of ours that it trusts")


def test_a_key_with_a_password_is_refused_and_not_asked_for(
    broken: PrivateDaemon, check: Check, tls: dict[str, str], certificates: Certificates, tmp_path: Path
) -> None:
    locked = shutil.copytree(certificates.client, tmp_path / "locked")
    subprocess.run(
        [*("openssl", "ec", "-aes256", "-passout", "pass:secret"), "-in", locked / "key.pem", "-out", locked / "x"],
        check=True,
        capture_output=True,
    )
    (locked / "x").rename(locked / "key.pem")
    assert_refused(check(**tls | {"DOCKER_CERT_PATH": str(locked)}), "cannot be used, or has a password")


def test_no_tls_where_the_daemon_wants_it(broken: PrivateDaemon, check: Check, tls_port: int) -> None:
    assert_refused(check(DOCKER_HOST=f"tcp://127.0.0.1:{tls_port}"), "it speaks TLS alone")


# --- contexts


def _docker(home: Path, *argv: str) -> None:
    environment = {"PATH": os.environ["PATH"], "HOME": str(home)}
    subprocess.run(["docker", *argv], env=environment, check=True, capture_output=True)


def test_a_context_by_name_and_the_current_one(broken: PrivateDaemon, check: Check, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    _docker(home, "context", "create", "mine", "--docker", f"host={broken.host}")
    assert answered(check(DOCKER_CONTEXT="mine"))
    _docker(home, "context", "use", "mine")
    assert answered(check())
    # As the docker command has it: the variable goes before.
    assert_refused(check(DOCKER_HOST="unix:///nonexistent/docker.sock"), "there is no such socket")


def test_a_context_with_tls(
    broken: PrivateDaemon, check: Check, certificates: Certificates, tls_port: int, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    keys = certificates.client
    files = f"ca={keys}/ca.pem,cert={keys}/cert.pem,key={keys}/key.pem"
    _docker(home, "context", "create", "far", "--docker", f"host=tcp://127.0.0.1:{tls_port},{files}")
    _docker(home, "context", "use", "far")
    assert answered(check())


def test_a_context_that_is_not_there(check: Check) -> None:
    assert_refused(check(DOCKER_CONTEXT="nobody"), "there is no context of that name")


# --- ssh


class Server:
    """An sshd that lets root in with one key."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        for name in ("host", "user", "other"):
            _run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(directory / name))
        shutil.copy(directory / "user.pub", directory / "authorized")
        (directory / "config").write_text(
            f"ListenAddress 127.0.0.1:{self.port}\nHostKey {directory}/host\n"
            f"AuthorizedKeysFile {directory}/authorized\nPidFile {directory}/pid\nStrictModes no\n"
            "UsePAM no\nPasswordAuthentication no\nPermitRootLogin yes\n"
            "Banner /etc/hostname\n"
        )
        Path("/run/sshd").mkdir(exist_ok=True)  # where it locks itself in before a user is known
        self.process = subprocess.Popen(
            ["/usr/sbin/sshd", "-D", "-e", "-f", str(directory / "config")],
            stdin=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + 20
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port)).close()
                break
            except ConnectionRefusedError:
                if time.monotonic() > deadline or self.process.poll() is not None:
                    raise
                time.sleep(0.02)

    def set_up(self, directory: Path, *, key: str = "user", known: bool = True) -> str:
        """Write what a user would have in ~/.ssh, there; the options that make ssh read it."""
        directory.mkdir(exist_ok=True)
        host = (self.directory / "host.pub").read_text() if known else ""
        (directory / "known_hosts").write_text(f"[127.0.0.1]:{self.port} {host}" if host else "")
        (directory / "config").write_text(
            f"Host builder\n  HostName 127.0.0.1\n  Port {self.port}\n  User {pwd.getpwuid(os.geteuid()).pw_name}\n"
            f"  IdentityFile {self.directory / key}\n  IdentitiesOnly yes\n"
            f"  UserKnownHostsFile {directory}/known_hosts\n"
        )
        return str(directory / "config")


def _run(*argv: str) -> None:
    subprocess.run(argv, check=True, capture_output=True)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, unavailable: Callable[..., None]) -> Iterator[Server]:
    if not Path("/usr/sbin/sshd").exists() or os.geteuid() != 0:
        unavailable("docker", "there is no sshd, or this is not root", "apt-get install openssh-server")
    server = Server(tmp_path_factory.mktemp("ssh"))
    yield server
    server.process.terminate()
    server.process.wait()


@pytest.fixture
def ssh(server: Server, tmp_path: Path) -> Callable[..., str]:
    """`ssh(key=…, known=…)`: a PATH whose ssh has read another user's configuration.

    ssh takes the home directory from the password file, not from HOME: only an option tells it of another.
    """

    def set_up(**options: object) -> str:
        config = server.set_up(tmp_path / "ssh", **options)  # type: ignore[arg-type]
        program = tmp_path / "bin" / "ssh"
        program.parent.mkdir(exist_ok=True)
        program.write_text(f'#!/bin/sh\nexec {shutil.which("ssh")} -F {config} "$@"\n')
        program.chmod(0o755)
        return f"{program.parent}:{os.environ['PATH']}"

    return set_up


def _tunnels(daemon: PrivateDaemon) -> list[str]:
    """The ssh processes that lead to the daemon, and what they were given to work in."""
    asked = ["pgrep", "--full", "--", f"docker.sock:{daemon.socket}"]
    return subprocess.run(asked, capture_output=True, text=True, check=False).stdout.split()


def _workspaces() -> set[Path]:
    return {path.parent for base in ("/dev/shm", "/tmp") for path in Path(base).glob("will-it-compile-*/docker.sock")}


def test_ssh_works_and_leaves_nothing(broken: PrivateDaemon, check: Check, ssh: Callable[..., str]) -> None:
    """Also where the server greets with a banner, which ssh prints as it prints errors."""
    assert answered(check(DOCKER_HOST=f"ssh://builder{broken.socket}", PATH=ssh()))
    assert (_tunnels(broken), _workspaces()) == ([], set())


def test_ssh_refuses_the_key(broken: PrivateDaemon, check: Check, ssh: Callable[..., str]) -> None:
    done = check(DOCKER_HOST=f"ssh://builder{broken.socket}", PATH=ssh(key="other"))
    assert_refused(done, "Permission denied (publickey")
    assert (_tunnels(broken), _workspaces()) == ([], set())


def test_ssh_does_not_know_the_host(broken: PrivateDaemon, check: Check, ssh: Callable[..., str]) -> None:
    done = check(DOCKER_HOST=f"ssh://builder{broken.socket}", PATH=ssh(known=False))
    assert_refused(done, "Host key verification failed")


def test_ssh_to_a_machine_without_a_daemon(check: Check, ssh: Callable[..., str]) -> None:
    done = check(DOCKER_HOST="ssh://builder/nonexistent/docker.sock", PATH=ssh())
    assert_refused(done, "open failed")


def test_without_ssh(check: Check, tmp_path: Path) -> None:
    assert_refused(check(DOCKER_HOST="ssh://builder", PATH=str(tmp_path)), "there is no ssh")


def test_a_killed_client_leaves_no_ssh(
    broken: PrivateDaemon, check: Check, ssh: Callable[..., str], sources: Path, tmp_path: Path
) -> None:
    (sources / "endless.c").write_text(ENDLESS)
    environment = {"DOCKER_HOST": f"ssh://builder{broken.socket}", "PATH": ssh()}
    with command("check", "--backend=docker", str(sources), home=tmp_path, environment=environment) as client:
        _until(lambda: bool(broken.docker("ps", "--quiet")))
        client.kill()
    _until(lambda: not _tunnels(broken))
    # One that was created and not yet started is for the next run, or for this.
    cleaned = run("clean", home=tmp_path, environment={"DOCKER_HOST": broken.host})
    assert cleaned.returncode == 0, cleaned.stderr
    _until(lambda: not broken.docker("ps", "--all", "--quiet"))
    (sources / "endless.c").unlink()
    assert answered(check(**environment))
    assert _workspaces() == set()


def test_an_ssh_that_was_killed_is_started_again(
    broken: PrivateDaemon, ssh: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.contract.test_backend import FINE, job
    from willitcompile.backends import open_backend
    from willitcompile.model import Verdict

    monkeypatch.setenv("PATH", ssh())
    monkeypatch.setenv("DOCKER_HOST", f"ssh://builder{broken.socket}")
    with open_backend("docker") as backend:
        gcc = backend.toolchains()[0]
        assert backend.compile(job(gcc, FINE)).verdict is Verdict.COMPILED
        first = _tunnels(broken)
        for pid in first:
            os.kill(int(pid), 9)
        assert backend.compile(job(gcc, FINE)).verdict is Verdict.COMPILED
        assert set(_tunnels(broken)).isdisjoint(first)
    assert (_tunnels(broken), _workspaces()) == ([], set())


ENDLESS = "#if __INCLUDE_LEVEL__ < 150\n#include __FILE__\n#include __FILE__\n#endif\n"


def _until(holds: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)
