"""A source that is compiled several times has one container, and no two sources share one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from willitcompile.backends import CancelToken, Opening, Wanted, open_backend
from willitcompile.backends.docker.channel import Container
from willitcompile.model import CompileJob, Limits, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from willitcompile.backends.docker.backend import DockerBackend

pytestmark = pytest.mark.docker


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The containers that were started."""
    ids: list[str] = []
    start = Container.__init__

    def counting(self: Container, *args: Any, **more: Any) -> None:
        start(self, *args, **more)
        ids.append(self.id)

    monkeypatch.setattr(Container, "__init__", counting)
    return ids


@pytest.fixture
def backend(docker_host: str, started: list[str], unavailable: Callable[..., None]) -> Iterator[DockerBackend]:
    with open_backend("docker") as opened:
        if not opened.has(Wanted(("gcc",))):
            unavailable("docker", "the daemon has no gcc image", "will-it-compile images build gcc")
        opened.toolchains(Wanted(("gcc",)))
        yield opened  # type: ignore[misc] # it is the one of Docker


def job(backend: DockerBackend, files: dict[str, bytes], *argv: str, limits: Limits | None = None) -> CompileJob:
    toolchain = backend.toolchains(Wanted(("gcc",)))[0].name
    return CompileJob(toolchain, "c", files, ("gcc", "-c", "a.c", "-o", "../tmp/o", *argv), limits=limits or Limits())


def test_one_source_after_another_standard_needs_one_container(backend: DockerBackend, started: list[str]) -> None:
    check = CancelToken()
    asked = [job(backend, {"a.c": b"int x;\n"}, f"-std={standard}") for standard in ("c99", "c11", "c17")]
    backend.expect(asked[0].toolchain, Limits(), len(asked), 1, check, 1)
    assert [backend.compile(each, check).verdict for each in asked] == [Verdict.COMPILED] * len(asked)
    assert len(started) == 1


def test_what_a_compile_has_made_is_gone_for_the_next(backend: DockerBackend, started: list[str]) -> None:
    check = CancelToken()
    asked = job(backend, {"a.c": b'#if __has_include("../tmp/o")\n#error it is there\n#endif\n'})
    backend.expect(asked.toolchain, Limits(), 2, 1, check, 1)
    for _ in range(2):
        result = backend.compile(asked, check)
        assert (result.verdict, result.stderr) == (Verdict.COMPILED, b"")
    assert len(started) == 1


def test_two_sources_share_none(backend: DockerBackend, started: list[str]) -> None:
    check = CancelToken()
    asked = [job(backend, {"a.c": b"int x;\n"}), job(backend, {"a.c": b"int y;\n"})]
    backend.expect(asked[0].toolchain, Limits(), 4, 1, check, 2)
    for each in (*asked, *asked):
        assert backend.compile(each, check).verdict is Verdict.COMPILED
    assert len(started) == 2


def test_strangers_share_none(backend: DockerBackend, started: list[str]) -> None:
    tiny = job(backend, {"a.c": b"int x;\n"})
    for check in (CancelToken(), CancelToken(), None, None):
        backend.expect(tiny.toolchain, Limits(), 1, 1, check)
        assert backend.compile(tiny, check).verdict is Verdict.COMPILED
    assert len(started) == 4


def test_after_a_limit_was_reached_it_is_another_one(backend: DockerBackend, started: list[str]) -> None:
    check = CancelToken()
    files = {"a.c": b"#if defined ENDLESS && __INCLUDE_LEVEL__ < 150\n#include __FILE__\n#include __FILE__\n#endif\n"}
    short = Limits(wall_seconds=0.5)
    asked = [job(backend, files, *flags, limits=short) for flags in (("-DENDLESS",), ())]
    backend.expect(asked[0].toolchain, short, 2, 1, check, 1)
    assert [backend.compile(each, check).verdict for each in asked] == [Verdict.TIMEOUT, Verdict.COMPILED]
    assert len(started) == 2


def test_a_rejection_is_no_reason_for_another_one(backend: DockerBackend, started: list[str]) -> None:
    check = CancelToken()
    asked = [job(backend, {"a.c": b"int x = WANTED;\n"}, *flags) for flags in ((), ("-DWANTED=1",), ())]
    backend.expect(asked[0].toolchain, Limits(), 3, 1, check, 1)
    said = [backend.compile(each, check).verdict for each in asked]
    assert said == [Verdict.REJECTED, Verdict.COMPILED, Verdict.REJECTED]
    assert len(started) == 1


def test_one_that_was_lost_meanwhile_costs_no_answer(backend: DockerBackend, started: list[str]) -> None:
    check = CancelToken()
    tiny = job(backend, {"a.c": b"int x;\n"})
    backend.expect(tiny.toolchain, Limits(), 2, 1, check, 1)
    assert backend.compile(tiny, check).verdict is Verdict.COMPILED
    backend._engine.call("DELETE", f"/containers/{started[0]}", {"force": True})
    assert backend.compile(tiny, check).verdict is Verdict.COMPILED


def test_a_service_gives_each_job_its_own(docker_host: str, started: list[str]) -> None:
    check = CancelToken()
    with open_backend("docker", Opening(long_lived=True)) as backend:
        tiny = job(backend, {"a.c": b"int x;\n"})  # type: ignore[arg-type]
        backend.expect(tiny.toolchain, Limits(), 2, 1, check, 1)
        used = []
        run = Container.run
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Container, "run", lambda self, *args: used.append(self.id) or run(self, *args))
            for _ in range(2):
                assert backend.compile(tiny, check).verdict is Verdict.COMPILED
    assert len(set(used)) == 2
