"""A daemon that tests may break, once for all of them."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

from tests.docker.private import PrivateDaemon, run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


REMOVAL_SECONDS = 20


class Certificates(NamedTuple):
    """Directories with ca.pem, cert.pem and key.pem, as DOCKER_CERT_PATH names them."""

    server: Path
    client: Path
    stranger: Path
    """Of another authority."""


def _openssl(*argv: str) -> None:
    subprocess.run(["openssl", *argv], check=True, capture_output=True)


def _authority(directory: Path) -> None:
    directory.mkdir()
    _openssl(
        *("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"),
        *("-subj", "/CN=authority", "-keyout", f"{directory}/ca-key.pem", "-out", f"{directory}/ca.pem"),
    )


def _certificate(directory: Path, authority: Path, usage: str) -> None:
    directory.mkdir()
    shutil.copy(authority / "ca.pem", directory)
    _openssl(
        *("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", f"/CN={usage}"),
        *("-keyout", f"{directory}/key.pem", "-out", f"{directory}/request.pem"),
    )
    (directory / "extensions").write_text(f"subjectAltName=IP:127.0.0.1\nextendedKeyUsage={usage}\n")
    _openssl(
        *("x509", "-req", "-days", "2", "-in", f"{directory}/request.pem", "-out", f"{directory}/cert.pem"),
        *("-CA", f"{authority}/ca.pem", "-CAkey", f"{authority}/ca-key.pem", "-CAcreateserial"),
        *("-extfile", f"{directory}/extensions"),
    )


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    below = tmp_path_factory.mktemp("certificates")
    _authority(below / "authority")
    _authority(below / "others")
    _certificate(below / "server", below / "authority", "serverAuth")
    _certificate(below / "client", below / "authority", "clientAuth")
    _certificate(below / "stranger", below / "others", "clientAuth")
    return Certificates(below / "server", below / "client", below / "stranger")


@pytest.fixture(scope="session")
def tls_port() -> int:
    """A port that nobody has."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


@pytest.fixture(scope="session")
def private_daemon(
    docker_host: str, certificates: Certificates, tls_port: int, unavailable: Callable[..., None]
) -> Iterator[PrivateDaemon]:
    """It listens on a socket and, with TLS, on a port."""
    if os.geteuid() != 0 or not shutil.which("dockerd"):
        unavailable("docker", "only root may start a dockerd to break", "run as root, after: apt-get install docker.io")
    listed = subprocess.run(
        ["docker", "--host", docker_host, "images", "--format", "{{.Repository}}:{{.Tag}}", "will-it-compile/gcc"],
        capture_output=True,
        text=True,
        check=True,
    )
    images = sorted(listed.stdout.split())
    if not images:
        unavailable("docker", "there is no image will-it-compile/gcc", "will-it-compile images build gcc")
    server = certificates.server
    tls = ("--tlscacert", f"{server}/ca.pem", "--tlscert", f"{server}/cert.pem", "--tlskey", f"{server}/key.pem")
    # A short path: that of a unix socket has 107 bytes at most.
    daemon = PrivateDaemon(
        Path(tempfile.mkdtemp(prefix="wic-faults-")), "--host", f"tcp://127.0.0.1:{tls_port}", "--tlsverify", *tls
    )
    try:
        daemon.start()
        with subprocess.Popen(["docker", "--host", docker_host, "save", images[-1]], stdout=subprocess.PIPE) as saving:
            subprocess.run(["docker", "--host", daemon.host, "load", "--quiet"], stdin=saving.stdout, check=True)
        fine = daemon.directory / "fine.c"
        fine.write_text("int x;\n")
        first = run(
            "check", "--backend=docker", str(fine), home=daemon.directory, environment={"DOCKER_HOST": daemon.host}
        )
        assert first.returncode == 0, first.stderr
        deadline = time.monotonic() + REMOVAL_SECONDS
        while daemon.left() and time.monotonic() < deadline:
            time.sleep(0.05)
        yield daemon
    finally:
        daemon.remove()


def _clear(daemon: PrivateDaemon) -> None:
    """Remove whatever is in it, so that the next test does not suffer for it."""
    deadline = time.monotonic() + REMOVAL_SECONDS
    while (containers := daemon.docker("ps", "--all", "--quiet").split()) and time.monotonic() < deadline:
        argv = ["docker", "--host", daemon.host, "rm", "--force", *containers]
        subprocess.run(argv, capture_output=True, check=False)
        time.sleep(0.05)


@pytest.fixture
def broken(private_daemon: PrivateDaemon) -> Iterator[PrivateDaemon]:
    """The daemon, which the test may break; afterwards no container, volume or network is left in it.

    A dead container is none of ours any more: its daemon was killed while it removed it, and whoever starts the next
    check removes it.
    """
    _clear(private_daemon)
    assert private_daemon.left() == []
    yield private_daemon
    # What has done its job is removed by the daemon, a moment after its client has gone.
    deadline = time.monotonic() + REMOVAL_SECONDS
    while (left := private_daemon.left()) and time.monotonic() < deadline:
        time.sleep(0.05)
    states = private_daemon.docker("ps", "--all", "--no-trunc", "--format", "{{json .}}")
    _clear(private_daemon)
    assert [each for each in left if not each.endswith(" Dead")] == [], states


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    """A directory with a source that compiles and one that does not."""
    directory = tmp_path / "sources"
    directory.mkdir()
    (directory / "fine.c").write_text("int main(void) { return 0; }\n")
    (directory / "wrong.c").write_text("int x = nothing;\n")
    return directory
