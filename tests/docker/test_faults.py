"""What breaks in the middle: the daemon, the client, a container. Nothing lost, no wrong verdict, nothing left."""

from __future__ import annotations

import random
import signal
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from tests.contract.leftovers import left_since, leftovers
from tests.contract.test_backend import ENDLESS, FINE, job
from tests.docker.private import PrivateDaemon, command, run
from willitcompile.backends import CancelToken, open_backend
from willitcompile.backends.docker import backend as docker_backend
from willitcompile.backends.docker import channel
from willitcompile.backends.docker.container import MANAGED, SESSION
from willitcompile.errors import BackendFailed, Interrupted, NoAnswer
from willitcompile.model import MIB, Limits, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from willitcompile.backends import Backend
    from willitcompile.model import CompileJob, Toolchain

pytestmark = pytest.mark.docker

SLOW = b"#if __INCLUDE_LEVEL__ < 14\n#include __FILE__\n#include __FILE__\n#endif\n"
"""Half a second or so of gcc."""


@pytest.fixture
def backend(broken: PrivateDaemon, monkeypatch: pytest.MonkeyPatch) -> Iterator[Backend]:
    monkeypatch.setenv("DOCKER_HOST", broken.host)
    before = leftovers()
    with open_backend("docker") as backend:
        yield backend
    # A daemon that was started again is a process that was not there before.
    assert not [line for line in left_since(before) if str(broken.directory) not in line]


@pytest.fixture
def gcc(backend: Backend) -> Toolchain:
    return backend.toolchains()[0]


def numbered(gcc: Toolchain, number: int, source: bytes = SLOW) -> tuple[CompileJob, Verdict]:
    """A job, every third of which is wrong, and its verdict."""
    wrong = number % 3 == 0
    return (
        job(gcc, source + (b"#if __INCLUDE_LEVEL__ == 0\n#error %d\n#endif\n" % number if wrong else b"")),
        Verdict.REJECTED if wrong else Verdict.COMPILED,
    )


def until(holds: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


# --- the daemon


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_daemon_that_ends_in_the_middle_and_is_started_again(
    broken: PrivateDaemon, backend: Backend, gcc: Toolchain, number: int
) -> None:
    jobs = [numbered(gcc, each) for each in range(20)]
    backend.expect(gcc.name, Limits(), 20, 5)
    with ThreadPoolExecutor(5) as pool:
        answers = [pool.submit(backend.compile, asked) for asked, _ in jobs]
        until(lambda: sum(each.done() for each in answers) >= 3)
        broken.end(number)
        broken.start()
        verdicts = [each.result().verdict for each in answers]
    assert verdicts == [verdict for _, verdict in jobs]


def test_a_check_survives_a_restart_of_the_daemon(broken: PrivateDaemon, tmp_path: Path) -> None:
    sources = tmp_path / "sources"
    sources.mkdir()
    for number in range(20):
        (sources / f"{number:02}.c").write_bytes(
            SLOW + (b"#if __INCLUDE_LEVEL__ == 0\n#error\n#endif\n" if number % 2 else b"")
        )
    asked = ("check", "--backend=docker", "--format=json", "-j4", str(sources))
    with command(*asked, home=tmp_path, environment={"DOCKER_HOST": broken.host}) as client:
        until(lambda: bool(broken.docker("ps", "--quiet", "--filter", f"label={SESSION}")))
        broken.end(signal.SIGKILL)
        broken.start()
        out, err = client.communicate(timeout=120)
    assert client.returncode == 1, err
    assert (out.count('"compiled",'), out.count('"rejected",')) == (10, 10)


def test_a_daemon_that_is_gone_for_good(
    broken: PrivateDaemon, backend: Backend, gcc: Toolchain, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(docker_backend, "RETURN_SECONDS", 0.5)
    with ThreadPoolExecutor(1) as pool:
        asked = job(gcc, ENDLESS, limits=Limits(wall_seconds=120))
        running = pool.submit(backend.compile, asked)
        until(lambda: bool(broken.docker("ps", "--quiet")))
        broken.end(signal.SIGKILL)
        try:
            error = running.exception(60)
        finally:
            broken.start()
    assert isinstance(error, BackendFailed)
    assert error.remedy


def test_a_daemon_that_hangs_does_not_keep_a_cancelled_compile(
    broken: PrivateDaemon, backend: Backend, gcc: Toolchain, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(channel, "DISCARD_SECONDS", 1)
    cancel = CancelToken()
    with ThreadPoolExecutor(2) as pool:
        running = pool.submit(backend.compile, job(gcc, ENDLESS, limits=Limits(wall_seconds=120)), cancel)
        until(lambda: bool(broken.docker("ps", "--quiet")))
        broken.send(signal.SIGSTOP)
        try:
            waiting = pool.submit(backend.compile, job(gcc, FINE), cancel)
            cancel.cancel()
            assert isinstance(waiting.exception(10), Interrupted)
            assert isinstance(running.exception(60), Interrupted)
        finally:
            broken.send(signal.SIGCONT)


# --- the client


def test_what_a_killed_client_leaves(broken: PrivateDaemon, tmp_path: Path) -> None:
    """Its containers end by themselves, and the next run has nothing in its way."""
    (tmp_path / "endless.c").write_bytes(ENDLESS)
    asked = ("check", "--backend=docker", "-j2", str(tmp_path))
    with command(*asked, home=tmp_path, environment={"DOCKER_HOST": broken.host}) as client:
        until(lambda: bool(broken.docker("ps", "--quiet", "--filter", f"label={SESSION}")))
        client.kill()
    until(lambda: not broken.docker("ps", "--all", "--quiet"))


def test_a_leftover_is_cleared_by_clean_and_by_the_next_run(broken: PrivateDaemon, tmp_path: Path) -> None:
    from willitcompile.backends.clients import client_name

    image = broken.docker("images", "--quiet").split()[0]

    def leave(client: str) -> str:
        labels = [f"--label={name}={value}" for name, value in (*MANAGED.items(), (SESSION, f"{client}/x"))]
        return broken.docker("create", "--network=none", *labels, image, "true").strip()

    boot_and_namespace = ".".join(client_name().split(".")[:2])
    dead = f"{boot_and_namespace}.{2**22 - 1}.1"
    alive, strange = leave(client_name()), leave("another-machine.1.2.3")
    environment = {"DOCKER_HOST": broken.host}
    leave(dead)
    cleaned = run("clean", home=tmp_path, environment=environment)
    assert (cleaned.returncode, cleaned.stdout.count("container ")) == (0, 1)
    leave(dead)
    (tmp_path / "fine.c").write_bytes(FINE)
    assert run("check", "-bdocker", str(tmp_path / "fine.c"), home=tmp_path, environment=environment).returncode == 0
    try:
        until(lambda: set(broken.docker("ps", "--all", "--quiet", "--no-trunc").split()) == {alive, strange})
    finally:
        broken.docker("rm", alive, strange)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_client_leaves_nothing(broken: PrivateDaemon, tmp_path: Path, number: int) -> None:
    for each in range(4):
        (tmp_path / f"{each}.c").write_bytes(ENDLESS)
    asked = ("check", "--backend=docker", "-j4", str(tmp_path))
    with command(*asked, home=tmp_path, environment={"DOCKER_HOST": broken.host}) as client:
        until(lambda: len(broken.docker("ps", "--quiet", "--filter", f"label={SESSION}").split()) == 4)
        client.send_signal(number)
        _, err = client.communicate(timeout=60)
    assert client.returncode == 130, err


# --- containers


def test_containers_that_somebody_removes_or_kills(broken: PrivateDaemon, backend: Backend, gcc: Toolchain) -> None:
    over = threading.Event()
    dice = random.Random(7)

    def break_things() -> int:
        broke = 0
        while not over.is_set():
            if there := broken.docker("ps", "--all", "--quiet").split():
                how = dice.choice((("rm", "--force"), ("kill",)))
                argv = ["docker", "--host", broken.host, *how, dice.choice(there)]
                broke += subprocess.run(argv, capture_output=True, check=False).returncode == 0
            over.wait(0.3)
        return broke

    def ask(number: int) -> bool:
        asked, verdict = numbered(gcc, number)
        try:
            return backend.compile(asked).verdict is verdict
        except BackendFailed as error:
            return bool(error.obstacle and error.remedy)

    with ThreadPoolExecutor(5) as pool:
        breaking = pool.submit(break_things)
        try:
            answers = list(pool.map(ask, range(24)))
        finally:
            over.set()
        assert breaking.result() > 0
    assert answers == [True] * 24


def test_a_compile_that_loses_its_container_is_run_again(
    broken: PrivateDaemon, backend: Backend, gcc: Toolchain
) -> None:
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(backend.compile, job(gcc, ENDLESS, limits=Limits(wall_seconds=3)))
        until(lambda: bool(broken.docker("ps", "--quiet")))
        for each in broken.docker("ps", "--quiet").split():
            subprocess.run(["docker", "--host", broken.host, "kill", each], capture_output=True, check=False)
        assert running.result(60).verdict is Verdict.TIMEOUT


def test_many_jobs_of_which_some_are_cancelled(broken: PrivateDaemon, backend: Backend, gcc: Toolchain) -> None:
    dice = random.Random(11)
    tokens = [CancelToken() for _ in range(64)]
    doomed = set(dice.sample(range(64), 24))

    def ask(number: int) -> Verdict | None:
        asked, _ = numbered(gcc, number, FINE)
        try:
            return backend.compile(asked, tokens[number]).verdict
        except Interrupted:
            return None

    backend.expect(gcc.name, Limits(), 64, 8)
    with ThreadPoolExecutor(8) as pool:
        answers = [pool.submit(ask, number) for number in range(64)]
        for number in sorted(doomed, key=lambda _: dice.random()):
            tokens[number].cancel()
            until(lambda: sum(each.done() for each in answers) > dice.randrange(4))
        found = [each.result() for each in answers]
    for number, verdict in enumerate(found):
        assert verdict is numbered(gcc, number)[1] or (number in doomed and verdict is None)


def test_two_hundred_jobs_sixteen_at_a_time(broken: PrivateDaemon, tmp_path: Path) -> None:
    sources = tmp_path / "sources"
    sources.mkdir()
    for number in range(200):
        (sources / f"{number:03}.c").write_text(f"int x{number} = {'y' if number % 4 == 0 else number};\n")
    asked = ("check", "--backend=docker", "--format=json", "-j16", str(sources))
    done = run(*asked, home=tmp_path, environment={"DOCKER_HOST": broken.host}, seconds=200)
    assert done.returncode == 1, done.stderr
    assert (done.stdout.count('"compiled",'), done.stdout.count('"rejected",')) == (150, 50)


# --- room


def test_sources_that_do_not_fit(backend: Backend, gcc: Toolchain) -> None:
    """Told at once, not when the daemon has been waited for: it takes no more, and says nothing."""
    asked = job(gcc, FINE, files={"large.h": bytes(150 * MIB)}, limits=Limits(memory_bytes=16 * MIB))
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(backend.compile, asked)
        error = running.exception(60)
    # An error where the container was gone before anybody could ask why.
    told = error.obstacle if isinstance(error, NoAnswer) else running.result().verdict
    assert "No space left" in told or "container ended" in told or told == Verdict.OUT_OF_MEMORY


def test_a_compile_that_fills_its_disk_is_not_rejected(backend: Backend, gcc: Toolchain) -> None:
    """What the compiler says then says nothing of the source."""
    limits = Limits(memory_bytes=64 * MIB, file_bytes=1024 * MIB)
    source = b'__asm__(".data\\n.fill 100000000, 8, 1\\n");\n'
    result = backend.compile(job(gcc, source, limits=limits))
    assert result.verdict is Verdict.OUT_OF_MEMORY, (result.stderr, result)
