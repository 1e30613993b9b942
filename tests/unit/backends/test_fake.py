"""What the fake does beyond the contract of every backend, which tests/contract/ holds it to."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from willitcompile.backends import open_backend
from willitcompile.backends.fake import FakeBackend, answer, toolchain
from willitcompile.errors import BackendFailed
from willitcompile.model import CompileJob, CompileResult, Limits, Verdict


def job(source: bytes = b"", toolchain: str = "gcc-13", language: str = "c", **more: object) -> CompileJob:
    return CompileJob(toolchain, language, {"main.c": source}, ("gcc", "main.c"), **more)  # type: ignore[arg-type]


def test_it_is_in_the_table_of_backends() -> None:
    with open_backend("fake") as backend:
        assert [str(each) for each in backend.toolchains()] == ["gcc-13", "clang-19", "go-1.24", "rustc-1.85"]


def test_a_source_without_directives_compiles_silently() -> None:
    with FakeBackend() as backend:
        result = backend.compile(job(b"int x;"))
    assert (result.verdict, result.exit_code, result.stdout, result.stderr) == (Verdict.COMPILED, 0, b"", b"")
    assert result.compiler == "gcc (fake) 13.3.0"


def test_a_script_answers_instead_of_the_sources() -> None:
    def script(asked: CompileJob) -> CompileResult:
        return answer(Verdict.REJECTED, stderr=asked.files["main.c"])

    with FakeBackend(script=script) as backend:
        result = backend.compile(job(b"// fake: crash 11"))
    assert (result.verdict, result.exit_code) == (Verdict.REJECTED, 1)
    assert result.stderr == b"// fake: crash 11"


def test_an_error_of_the_script_is_the_error_of_the_compile() -> None:
    def script(asked: CompileJob) -> CompileResult:
        raise BackendFailed("compile", "the daemon is gone", "start it")

    with FakeBackend(script=script) as backend, pytest.raises(BackendFailed, match="the daemon is gone"):
        backend.compile(job())
    assert backend.running == 0


@pytest.mark.parametrize(
    ("code", "verdict"),
    [(0, Verdict.COMPILED), (1, Verdict.REJECTED), (2, Verdict.REJECTED), (4, Verdict.CRASHED)],
)
def test_the_job_says_which_exit_codes_reject(code: int, verdict: Verdict) -> None:
    with FakeBackend() as backend:
        result = backend.compile(job(b"// fake: exit %d" % code, rejected_exit_codes=frozenset({1, 2})))
    assert (result.verdict, result.exit_code) == (verdict, code)


@pytest.mark.parametrize(
    ("directive", "limits", "verdict"),
    [
        (b"allocate 1000", Limits(memory_bytes=999), Verdict.OUT_OF_MEMORY),
        (b"allocate 1000", Limits(memory_bytes=1000), Verdict.COMPILED),
        (b"write 1000", Limits(file_bytes=999), Verdict.OUTPUT_LIMIT),
        (b"write 1000", Limits(file_bytes=1000), Verdict.COMPILED),
        (b"hang", Limits(wall_seconds=0.01), Verdict.TIMEOUT),
        (b"flood stderr", Limits(), Verdict.OUTPUT_LIMIT),
        (b"needs main.c", Limits(), Verdict.COMPILED),
        (b"needs other.c", Limits(), Verdict.REJECTED),
    ],
)
def test_a_directive_meets_the_limits_of_the_job(directive: bytes, limits: Limits, verdict: Verdict) -> None:
    with FakeBackend() as backend:
        assert backend.compile(job(b"// fake: " + directive, limits=limits)).verdict is verdict


def test_an_unknown_directive_is_an_error_that_names_it() -> None:
    with FakeBackend() as backend, pytest.raises(BackendFailed, match="fake: dance"):
        backend.compile(job(b"// fake: dance"))


def test_it_records_the_jobs_it_was_asked_for() -> None:
    with FakeBackend() as backend:
        backend.compile(job(b"one"))
        backend.compile(job(b"two"))
    assert [each.files["main.c"] for each in backend.jobs] == [b"one", b"two"]


def test_it_counts_the_most_that_ran_at_once() -> None:
    together = threading.Barrier(3)

    def script(asked: CompileJob) -> CompileResult:
        together.wait(10)
        return answer()

    with FakeBackend(script=script) as backend, ThreadPoolExecutor(3) as pool:
        list(pool.map(backend.compile, [job()] * 6))
    assert backend.most_running == 3
    assert backend.running == 0


def test_once_closed_it_compiles_no_more() -> None:
    with FakeBackend() as backend:
        pass
    assert backend.closed
    with pytest.raises(BackendFailed, match="closed"):
        backend.compile(job())


def test_it_offers_the_toolchains_it_is_given() -> None:
    only = toolchain("tcc", "0.9", {"c": ["c89", "c99"]})
    with FakeBackend([only]) as backend:
        assert backend.compile(job(toolchain="tcc-0.9")).compiler == "tcc 0.9 (fake)"
        assert backend.toolchains()[0].defaults == {"c": "c99"}
