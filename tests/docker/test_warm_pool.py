"""What a service keeps waiting: containers for the jobs that may come."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from willitcompile.backends import Opening, Wanted, open_backend, pool
from willitcompile.backends.clients import client_name
from willitcompile.backends.docker.container import SESSION
from willitcompile.backends.docker.engine import EngineError, connect
from willitcompile.model import CompileJob, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from willitcompile.backends.docker.backend import DockerBackend

pytestmark = pytest.mark.docker

PATIENCE = 30.0


@pytest.fixture
def service(docker_host: str) -> Iterator[DockerBackend]:
    backend = open_backend("docker", Opening(long_lived=True))
    with backend:
        yield backend  # type: ignore[misc] # it is the one of Docker
    _wait_for(lambda: containers() == 0)


def containers() -> int:
    """How many of this process the daemon has, whatever state they are in."""
    engine = connect()
    try:
        found = engine.call("GET", "/containers/json", {"all": True})
    finally:
        engine.close()
    return sum(each["Labels"].get(SESSION, "").startswith(f"{client_name()}/") for each in found)


def _wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"{containers()} containers"
        time.sleep(0.02)


def compile_(backend: DockerBackend, source: bytes = b"int x;\n") -> Verdict:
    toolchain = next(iter(backend.toolchains(Wanted(("gcc",)))))
    job = CompileJob(toolchain.name, "c", {"a.c": source}, ("gcc", "-c", "a.c", "-o", "../tmp/o"))
    return backend.compile(job).verdict


def test_one_waits_after_the_first_job_and_is_replaced_when_it_is_taken(service: DockerBackend) -> None:
    assert containers() == 0
    assert compile_(service) is Verdict.COMPILED
    _wait_for(lambda: len(_running()) == 1)
    (before,) = _running()
    assert compile_(service) is Verdict.COMPILED
    _wait_for(lambda: containers() == 1 and len(_running() - {before}) == 1)


def test_as_many_wait_as_were_in_use_at_once(service: DockerBackend) -> None:
    together = threading.Barrier(3)

    def ask(_: int) -> Verdict:
        together.wait(PATIENCE)
        return compile_(service, b"#include <stdio.h>\n" * 2000)

    compile_(service)
    with ThreadPoolExecutor(3) as threads:
        assert set(threads.map(ask, range(3))) == {Verdict.COMPILED}
    _wait_for(lambda: containers() == 3)


def test_what_nobody_wants_any_more_is_let_go(docker_host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "REMEMBERED_SECONDS", 1.0)
    with open_backend("docker", Opening(long_lived=True)) as backend:
        compile_(backend)  # type: ignore[arg-type]
        _wait_for(lambda: containers() == 0)
        assert compile_(backend) is Verdict.COMPILED  # type: ignore[arg-type]


def test_one_that_was_removed_meanwhile_does_no_harm(service: DockerBackend) -> None:
    compile_(service)
    _wait_for(lambda: len(_running()) == 1)
    engine = connect()
    try:
        engine.call("DELETE", f"/containers/{_running().pop()}", {"force": True})
    except EngineError:
        pass  # its own removal was faster
    finally:
        engine.close()
    assert compile_(service) is Verdict.COMPILED


def _running() -> set[str]:
    engine = connect()
    try:
        found = engine.call("GET", "/containers/json")
    finally:
        engine.close()
    return {each["Id"] for each in found if each["Labels"].get(SESSION, "").startswith(f"{client_name()}/")}
