"""Pods that wait for a compile: they answer as any other, serve one job, and are gone when nobody wants them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from tests.backends import OUR_IMAGES, ROLE, WARM_ROLE, Account, cluster_backend, objects_in, wait_until_gone
from tests.cluster import kubectl
from tests.contract.leftovers import compiling
from tests.contract.test_backend import DEADLY, ENDLESS, ENDLESS_STDOUT, FAT, FINE, HUNGRY, WRONG, job
from willitcompile.backends import CancelToken, Wanted
from willitcompile.backends.kubernetes.tape import tape
from willitcompile.errors import Interrupted
from willitcompile.model import KIB, MIB, CompileJob, Limits, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from willitcompile.backends.kubernetes.backend import KubernetesBackend
    from willitcompile.model import CompileResult

    Service = Callable[..., AbstractContextManager[KubernetesBackend]]

pytestmark = pytest.mark.kubernetes

PATIENCE_SECONDS = 60.0
LIMITS = Limits(wall_seconds=60, memory_bytes=512 * MIB)
"""Pods of other limits are of another kind. Of memory so much that ENDLESS ends by its time."""


@pytest.fixture(scope="module")
def account(kubeconfig: str, namespace: str, tmp_path_factory: pytest.TempPathFactory) -> Account:
    return Account(kubeconfig, namespace, "warm", tmp_path_factory.mktemp("warm"))


@pytest.fixture
def service(account: Account, kubeconfig: str, namespace: str) -> Service:
    """A backend that keeps pods waiting, as an account that may do what the two Roles say and nothing more."""
    account.may(ROLE, WARM_ROLE)

    @contextmanager
    def service(notify: Callable[[str], None] = lambda _: None, **warm: object) -> Iterator[KubernetesBackend]:
        settings = {"enabled": "true", "max": 1, **warm}
        options = {"admin": kubeconfig, "long_lived": True, "notify": notify, "warm": settings}
        with cluster_backend(account.kubeconfig, namespace, **options) as backend:  # type: ignore[arg-type]
            yield backend

    return service


@pytest.fixture
def cold(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A toolchain for each pod that was made for its compile, instead of having waited for one."""
    found: list[str] = []

    def noted(jobs: Sequence[CompileJob], seccomp: bytes) -> bytes:
        found.append(jobs[0].toolchain)
        return tape(jobs, seccomp)

    monkeypatch.setattr("willitcompile.backends.kubernetes.backend.tape", noted)
    return found


def ask(backend: KubernetesBackend, source: bytes, *flags: str, limits: Limits = LIMITS, **more: Any) -> CompileJob:
    gcc = next(iter(backend.toolchains(Wanted(("gcc",)))))
    return job(gcc, source, *flags, limits=limits, **more)


def wait_until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def ready(backend: KubernetesBackend, count: int = 1) -> None:
    """Have a pod waiting for what `ask` asks, as after the first compile of its kind."""
    if not backend.waiting:
        backend.compile(ask(backend, FINE))
    wait_until(lambda: backend.waiting == count)


def pods(namespace: str) -> dict[str, str]:
    """By name, the phase of those that took or take their compile from stdin, and are not being deleted."""
    selected = ("pods", "--selector=managed-by=will-it-compile", "--namespace", namespace, "--output=json")
    return {
        each["metadata"]["name"]: each["status"].get("phase", "")
        for each in json.loads(kubectl("get", *selected))["items"]
        if each["spec"]["containers"][0].get("stdin") and not each["metadata"].get("deletionTimestamp")
    }


def test_the_second_compile_is_served_by_a_pod_that_waited_and_serves_no_other(
    service: Service, cold: list[str], namespace: str
) -> None:
    with service() as backend:
        assert backend.compile(ask(backend, FINE)).verdict is Verdict.COMPILED
        assert len(cold) == 1
        wait_until(lambda: backend.waiting == 1)
        (waited,) = pods(namespace)
        before = backend.requests
        assert backend.compile(ask(backend, FINE)).verdict is Verdict.COMPILED
        # Its Job is deleted; the next one is made, with its launcher, and attached to.
        assert backend.requests - before <= 4
        assert len(cold) == 1
        wait_until(lambda: backend.waiting == 1)
        assert waited not in pods(namespace)
        assert len(pods(namespace)) == 1


def test_it_says_what_any_other_pod_says(service: Service, cold: list[str], kubeconfig: str, namespace: str) -> None:
    asked: list[tuple[bytes, tuple[str, ...], Limits, Verdict]] = [
        (FINE, (), LIMITS, Verdict.COMPILED),
        (WRONG, (), LIMITS, Verdict.REJECTED),
        (ENDLESS, (), LIMITS._replace(wall_seconds=0.5), Verdict.TIMEOUT),
        (HUNGRY, (), LIMITS, Verdict.OUT_OF_MEMORY),
        (ENDLESS_STDOUT, ("-E",), LIMITS._replace(output_bytes=64 * KIB), Verdict.OUTPUT_LIMIT),
        (FAT, (), LIMITS._replace(file_bytes=1 * MIB), Verdict.OUTPUT_LIMIT),
        (DEADLY, (), LIMITS, Verdict.CRASHED),
    ]

    def told(result: CompileResult) -> tuple[object, ...]:
        streams = (result.stdout, result.stderr) if result.limit is None else ()
        exact = (result.exit_code, result.signal, result.limit, result.truncated, result.compiler, result.image)
        return (result.verdict, *exact, *streams)

    with cluster_backend(kubeconfig, namespace) as other, ThreadPoolExecutor(3) as threads:
        jobs = [ask(other, source, *flags, limits=limits) for source, flags, limits, _ in asked]
        expected = list(threads.map(other.compile, jobs))
    assert [each.verdict for each in expected] == [verdict for *_, verdict in asked]
    with service(min=2, max=2) as backend:
        ready(backend, 2)
        del cold[:]
        for each, result in zip(jobs, expected, strict=True):
            wait_until(lambda: backend.waiting)
            assert told(backend.compile(each)) == told(result)
        assert cold == []


def test_what_is_printed_arrives_byte_by_byte_on_its_own_stream(service: Service, cold: list[str]) -> None:
    lines = b"".join(b"int name_%d;\n" % number for number in range(70_000))
    odd = b'char nul[] = "\0\xff\x0c\x1b[31m";\n'
    source = b"#warning caf\xe9\n" + odd + lines
    assert len(source) > 1 * MIB
    with service() as backend:
        ready(backend)
        del cold[:]
        result = backend.compile(ask(backend, source, "-E", "-P", limits=LIMITS._replace(output_bytes=4 * MIB)))
        assert cold == []
    assert (result.verdict, result.stdout) == (Verdict.COMPILED, odd + lines)
    assert b"#warning caf\xe9" in result.stderr
    assert b"name_1" not in result.stderr


def test_cancelling_ends_its_compile_and_leaves_nothing(service: Service, cold: list[str]) -> None:
    cancel = CancelToken()
    with service() as backend, ThreadPoolExecutor(1) as threads:
        ready(backend)
        del cold[:]
        running = threads.submit(backend.compile, ask(backend, ENDLESS), cancel)
        wait_until(lambda: any("cc1" in line for line in compiling()))
        cancel.cancel()
        assert isinstance(running.exception(), Interrupted)
        assert compiling() == frozenset()
        assert cold == []


def test_closing_ends_what_runs_in_one(service: Service, cold: list[str]) -> None:
    with service() as backend, ThreadPoolExecutor(1) as threads:
        ready(backend)
        del cold[:]
        running = threads.submit(backend.compile, ask(backend, ENDLESS))
        wait_until(lambda: any("cc1" in line for line in compiling()))
        backend.close()
        assert isinstance(running.exception(), Interrupted)
        assert compiling() == frozenset()
        assert cold == []


def test_one_that_was_deleted_while_it_waited_is_replaced(service: Service, namespace: str) -> None:
    with service() as backend:
        ready(backend)
        (waited,) = pods(namespace)
        kubectl("delete", "pod", waited, "--namespace", namespace, "--grace-period=0", "--force")
        assert backend.compile(ask(backend, WRONG)).verdict is Verdict.REJECTED
        wait_until(lambda: backend.waiting == 1)
        assert waited not in pods(namespace)


def test_one_that_is_deleted_while_it_compiles_is_made_good_by_a_job(
    service: Service, cold: list[str], namespace: str
) -> None:
    with service() as backend, ThreadPoolExecutor(1) as threads:
        ready(backend)
        del cold[:]
        (waited,) = pods(namespace)
        running = threads.submit(backend.compile, ask(backend, ENDLESS, limits=LIMITS._replace(wall_seconds=3)))
        wait_until(lambda: any("cc1" in line for line in compiling()))
        kubectl("delete", "pod", waited, "--namespace", namespace, "--grace-period=0", "--force")
        assert running.result().verdict is Verdict.TIMEOUT
        assert len(cold) == 1


def test_who_may_not_attach_compiles_in_jobs_and_is_told_once(
    service: Service, cold: list[str], account: Account
) -> None:
    said: list[str] = []
    with service(said.append) as backend:
        account.may(ROLE)
        for count in (1, 2, 3):
            assert backend.compile(ask(backend, FINE)).verdict is Verdict.COMPILED
            assert len(cold) == count
            wait_until(lambda: said)
        assert backend.waiting == 0
    (line,) = said
    assert 'resource "pods/attach"' in line
    assert "will-it-compile doctor" in line


def test_other_limits_or_another_compiler_are_another_kind_of_pod(service: Service, cold: list[str]) -> None:
    with service() as backend:
        ready(backend)
        del cold[:]
        more = LIMITS._replace(memory_bytes=256 * MIB)
        assert backend.compile(ask(backend, FINE, limits=more)).verdict is Verdict.COMPILED
        assert len(cold) == 1
        result = backend.compile(ask(backend, FINE, main="main.cpp"))
        assert len(cold) == 2
        assert result.compiler.startswith("g++")
        # The one that waited for none of these still does.
        wait_until(lambda: backend.waiting == 3)


def test_as_many_wait_as_were_in_use_at_once_between_the_least_and_the_most(service: Service) -> None:
    together = threading.Barrier(5)

    def one(backend: KubernetesBackend) -> Verdict:
        together.wait(PATIENCE_SECONDS)
        return backend.compile(ask(backend, FINE)).verdict

    with service(min=2, max=3, **{"idle-seconds": 6}) as backend, ThreadPoolExecutor(5) as threads:
        assert backend.compile(ask(backend, FINE)).verdict is Verdict.COMPILED
        wait_until(lambda: backend.waiting == 2)
        assert {each.result() for each in [threads.submit(one, backend) for _ in range(5)]} == {Verdict.COMPILED}
        wait_until(lambda: backend.waiting == 3)
        wait_until(lambda: backend.waiting == 2)


SERVICE = """
import sys, time
from willitcompile.backends import Opening, open_backend
from willitcompile.model import CompileJob
options = {"kubernetes": {"namespace": sys.argv[1], "warm": {"enabled": "true"}}}
backend = open_backend("kubernetes", Opening(images=sys.argv[2:], long_lived=True, options=options))
job = CompileJob("gcc-13", "c", {"main.c": b"int x;"}, ("gcc", "-c", "main.c", "-o", "../tmp/o"))
print(backend.compile(job).verdict.value, flush=True)
while not backend.waiting:
    time.sleep(0.02)
print("waits", flush=True)
time.sleep(600)
"""


def test_they_end_with_the_process_that_has_them_however_that_ends(
    kubeconfig: str, namespace: str, tmp_path: Path
) -> None:
    others = objects_in(kubeconfig, namespace)
    argv = [sys.executable, "-c", SERVICE, namespace, *OUR_IMAGES]
    environment = {**os.environ, "KUBECONFIG": kubeconfig}
    with subprocess.Popen(argv, env=environment, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert [process.stdout.readline(), process.stdout.readline()] == ["compiled\n", "waits\n"]
            assert set(pods(namespace).values()) == {"Running"}
        finally:
            process.send_signal(signal.SIGKILL)
    wait_until(lambda: "Running" not in pods(namespace).values())
    clean = [sys.executable, "-m", "willitcompile.cli", "clean", "--namespace", namespace]
    told = subprocess.run(clean, env=environment, cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    assert told.count(f"job {namespace}/compile-") == 1
    wait_until_gone(kubeconfig, namespace, others)
