"""The backends that the same tests are for. A new one is a line in `OPENERS`."""

from __future__ import annotations

import subprocess
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

import pytest

from tests.contract.leftovers import left_since, leftovers
from willitcompile.backends.fake import FakeBackend
from willitcompile.errors import BackendUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from willitcompile.backends import Backend


class Opener(NamedTuple):
    tier: str
    """What it needs of the machine: see tests/conftest.py."""
    open: Callable[[], Backend]
    """Raises BackendUnavailable where it cannot run."""


def _sandbox(isolation: str) -> Callable[[], Backend]:
    def open_it() -> Backend:
        from willitcompile.backends.sandbox import SandboxBackend

        return SandboxBackend(isolation=isolation)

    return open_it


def _docker() -> Backend:
    from willitcompile.backends import open_backend

    return open_backend("docker")


REMOVAL_SECONDS = 10.0
"""The daemon removes by itself what has done its job."""

OPENERS = {
    "fake": Opener("unit", FakeBackend),
    "sandbox-namespaces": Opener("sandbox", _sandbox("namespaces")),
    "sandbox-landlock": Opener("sandbox", _sandbox("landlock")),
    "docker": Opener("docker", _docker),
}


def those(*tiers: str) -> list[object]:
    """For `params=`: the backends of these tiers, each marked with its own."""
    return [
        pytest.param(name, marks=getattr(pytest.mark, opener.tier))
        for name, opener in OPENERS.items()
        if opener.tier in tiers
    ]


@contextmanager
def opened(request: pytest.FixtureRequest) -> Iterator[Backend]:
    """The backend that a parametrised fixture is for, which has left nothing behind once it is closed."""
    opener = OPENERS[request.param]
    host = request.getfixturevalue("docker_host") if opener.tier == "docker" else None
    before = leftovers()
    containers = _containers(host)
    try:
        with pytest.MonkeyPatch.context() as environment:
            if host:
                environment.setenv("DOCKER_HOST", host)
            backend = opener.open()
    except BackendUnavailable as error:
        request.getfixturevalue("unavailable")(request.param, error.obstacle, error.remedy)
        raise
    with backend:
        yield backend
    deadline = time.monotonic() + REMOVAL_SECONDS
    while left := _containers(host) - containers:
        assert time.monotonic() < deadline, left
        time.sleep(0.02)
    # What a daemon that the tests have started does for a container ends a moment after it.
    while (left := left_since(before)) and host and time.monotonic() < deadline:
        time.sleep(0.02)
    assert left == frozenset()


def _containers(host: str | None) -> frozenset[str]:
    """A line for each container of this process, and each volume and network: others may use the same daemon."""
    if host is None:
        return frozenset()
    from willitcompile.backends.docker.leftovers import client_name

    label = '{{.ID}} {{.Label "will-it-compile.session"}}'
    found = []
    for what in (["ps", "--all", "--no-trunc", "--format", label], ["volume", "ls", "-q"], ["network", "ls", "-q"]):
        ran = subprocess.run(["docker", "--host", host, *what], capture_output=True, text=True, check=True)
        found += [f"{what[0]} {line}" for line in ran.stdout.splitlines() if what[0] != "ps" or client_name() in line]
    return frozenset(found)
