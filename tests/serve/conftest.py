"""Servers on any backend, each in a process of its own with a state of its own."""

from __future__ import annotations

import json
import secrets
import time
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from tests.backends import OUR_IMAGES, ROLE, SERVE_ROLE, Account, objects_in
from tests.serve.harness import Place, Server
from tests.serve.replicas import PATIENCE_SECONDS, Replica
from willitcompile.backends import open_backend
from willitcompile.errors import BackendUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

REAL = [pytest.param(name, marks=getattr(pytest.mark, name)) for name in ("sandbox", "docker", "kubernetes")]
"""For `params=`: the backends that compile, each marked with its tier."""


@pytest.fixture(scope="session")
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Place]:
    """`place("docker")`: where a server on this backend finds what it needs, else the test is skipped."""
    known: dict[str, Place] = {}

    def find(backend: str) -> Place:
        if backend not in known:
            known[backend] = PLACES[backend](request, tmp_path_factory)
        return known[backend]

    return find


def _fake(*_: object) -> Place:
    return Place("fake")


def _sandbox(request: pytest.FixtureRequest, _: object) -> Place:
    try:
        open_backend("sandbox").close()
    except BackendUnavailable as error:
        request.getfixturevalue("unavailable")("sandbox", error.obstacle, error.remedy)
    return Place("sandbox")


def _docker(request: pytest.FixtureRequest, _: object) -> Place:
    return Place("docker", {"DOCKER_HOST": request.getfixturevalue("docker_host")})


def _kubernetes(request: pytest.FixtureRequest, directories: pytest.TempPathFactory) -> Place:
    """As the account that the documentation describes."""
    kubeconfig, room = request.getfixturevalue("kubeconfig"), request.getfixturevalue("serving_namespace")
    directory = directories.mktemp("serving")
    account = Account(kubeconfig, room, "serving", directory).may(ROLE, SERVE_ROLE)
    config = directory / "config.yaml"
    # What is JSON is YAML too.
    config.write_text(json.dumps({"images": list(OUR_IMAGES), "kubernetes": {"namespace": room, "cpu": "none"}}))
    return Place("kubernetes", {"KUBECONFIG": str(account)}, config)


PLACES: dict[str, Callable[[pytest.FixtureRequest, pytest.TempPathFactory], Place]] = {
    "fake": _fake,
    "sandbox": _sandbox,
    "docker": _docker,
    "kubernetes": _kubernetes,
}


@contextmanager
def _restricted(kubeconfig: str, *deletion: str) -> Iterator[str]:
    """A namespace for pods that pass Pod Security at its strictest level; `deletion` are options of its end."""
    from tests.cluster import kubectl

    name = f"wic-test-{secrets.token_hex(4)}"
    admin = partial(kubectl, "--kubeconfig", kubeconfig)
    admin("create", "namespace", name)
    admin("label", "namespace", name, "pod-security.kubernetes.io/enforce=restricted")
    try:
        admin("wait", "--for=create", "serviceaccount/default", f"--namespace={name}", "--timeout=30s")
        yield name
    finally:
        admin("delete", "namespace", name, *deletion)


@pytest.fixture(scope="session")
def serving_namespace(kubeconfig: str) -> Iterator[str]:
    """A restricted namespace of the servers' own: results stay there, which other tests would take for litter."""
    with _restricted(kubeconfig, "--timeout=60s") as name:
        yield name


@pytest.fixture
def server_on(place: Callable[[str], Place], tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """`server_on("fake", queue_size=1)`: a server that is up, and has ended in order after the test.

    With `start=False` it is not started.
    """
    servers: list[Server] = []

    def open_one(backend: str, *, start: bool = True, **settings: Any) -> Server:
        directory = tmp_path / f"server-{len(servers)}"
        directory.mkdir()
        server = Server(place(backend), directory, **settings)
        servers.append(server)
        return server.start() if start else server

    yield open_one
    _close(servers)


@pytest.fixture(scope="module")
def fake(place: Callable[[str], Place], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server on the fake backend for all tests of a module, which must not mind each other."""
    server = Server(place("fake"), tmp_path_factory.mktemp("fake"), jobs=2).start()
    yield server
    server.close()


@pytest.fixture(scope="module", params=REAL)
def real(
    request: pytest.FixtureRequest, place: Callable[[str], Place], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """The same on each backend that compiles."""
    server = Server(place(request.param), tmp_path_factory.mktemp(request.param)).start()
    yield server
    server.close()


@pytest.fixture(params=REAL)
def real_backend(request: pytest.FixtureRequest) -> str:
    """For servers with settings of a test's own."""
    return str(request.param)


@pytest.fixture(scope="module")
def room(kubeconfig: str) -> Iterator[str]:
    """A restricted namespace of one module's own."""
    with _restricted(kubeconfig, "--wait=false", "--ignore-not-found") as name:
        yield name


@pytest.fixture(scope="module")
def account(kubeconfig: str, room: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Which may do what the documentation says, and nothing more: a module that needs more has its own."""
    return Account(kubeconfig, room, "serving", tmp_path_factory.mktemp("serving")).may(ROLE, SERVE_ROLE)


@pytest.fixture
def replica(account: Path, room: str, kubeconfig: str) -> Iterator[Callable[..., Replica]]:
    """`replica(jobs=1)`: one more. Whatever they leave is forgotten afterwards, and then nothing is there."""
    from tests.cluster import kubectl

    before = objects_in(kubeconfig, room)
    opened: list[Replica] = []

    def open_one(**settings: Any) -> Replica:
        opened.append(Replica(account, room, **settings))
        return opened[-1]

    yield open_one
    for each in opened:
        each.close()
    kubectl("delete", "jobs", "--selector=managed-by=will-it-compile", f"--namespace={room}")
    deadline = time.monotonic() + PATIENCE_SECONDS
    while left := objects_in(kubeconfig, room) - before:
        assert time.monotonic() < deadline, left
        time.sleep(0.1)


def _close(servers: list[Server]) -> None:
    """All of them, also where one has not ended well."""
    errors = []
    for server in servers:
        try:
            server.close()
        except AssertionError as error:
            errors.append(error)
    if errors:
        raise errors[0]
