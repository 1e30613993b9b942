"""The later standard that a rejection is told with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from willitcompile.backends import CancelToken
from willitcompile.backends.fake import FakeBackend, answer, toolchain
from willitcompile.checker import run
from willitcompile.errors import BackendFailed, Interrupted
from willitcompile.model import Verdict
from willitcompile.planning import CheckRequest

if TYPE_CHECKING:
    from pathlib import Path

    from willitcompile.model import CheckResult, CompileJob, CompileResult

CPP = tuple(f"{prefix}++{year}" for year in ("11", "14", "17", "20", "23", "26") for prefix in ("c", "gnu"))
SAID = b"main.cpp:1:1: error: no\n"


def gcc(standards: tuple[str, ...] = CPP, default: str = "gnu++14") -> Any:
    return toolchain("gcc", "14", {"c++": standards})._replace(defaults={"c++": default})


class Scripted(FakeBackend):
    """Accepts some standards, and remembers which it was asked."""

    def __init__(self, *accepted: str, said: bytes = SAID, **more: Any) -> None:
        self.asked: list[str] = []
        self._accepted = accepted
        self._said = said
        super().__init__((gcc(**more),), script=self._judge)

    def _judge(self, job: CompileJob) -> CompileResult:
        (standard,) = (word.removeprefix("-std=") for word in job.argv if word.startswith("-std="))
        self.asked.append(standard)
        if standard in self._accepted:
            return answer()
        return answer(Verdict.REJECTED, stderr=self._said)


def checked(backend: FakeBackend, path: Path, text: str = "int x;\n", **request: Any) -> list[CheckResult]:
    file = path / "main.cpp"
    file.write_text(text)
    with backend:
        return list(run(CheckRequest(**{"paths": (str(file),), "hint": True, **request}), backend))


@pytest.mark.parametrize(
    ("accepted", "hint"),
    [
        (("c++20", "gnu++20", "c++23", "gnu++23", "c++26", "gnu++26"), "c++20"),
        (("gnu++17", "gnu++20", "gnu++23", "gnu++26"), "gnu++17"),
        (("c++26", "gnu++26"), "c++26"),
        (("gnu++20", "c++23", "gnu++23", "c++26", "gnu++26"), "gnu++20"),
        (("c++11", "gnu++11"), None),
        ((), None),
    ],
)
def test_it_is_the_earliest_that_accepts_by_its_iso_name_where_that_does(
    tmp_path: Path, accepted: tuple[str, ...], hint: str | None
) -> None:
    (result,) = checked(Scripted(*accepted), tmp_path)
    assert (result.verdict, result.standard, result.hint) == (Verdict.REJECTED, "gnu++14", hint)


def test_where_none_helps_it_takes_one_compile_more(tmp_path: Path) -> None:
    backend = Scripted()
    checked(backend, tmp_path)
    assert backend.asked == ["gnu++14", "gnu++26"]


@pytest.mark.parametrize(
    ("backend", "request_"),
    [
        (Scripted("gnu++14"), {}),
        (Scripted(default="gnu++26"), {}),
        (Scripted(said=b"killed\n"), {}),
        (Scripted(), {"hint": False}),
        (Scripted(), {"standards": ("gnu++14",)}),
    ],
    ids=["it compiled", "no later one", "no error in a file", "not asked for", "a standard was asked for"],
)
def test_else_it_takes_none(tmp_path: Path, backend: Scripted, request_: dict[str, Any]) -> None:
    (result,) = checked(backend, tmp_path, **request_)
    assert result.hint is None
    assert len(backend.asked) == 1


def test_a_check_of_more_than_one_compile_has_none(tmp_path: Path) -> None:
    (tmp_path / "other.cpp").write_text("int x;\n")
    backend = Scripted()
    assert [each.hint for each in checked(backend, tmp_path, paths=(str(tmp_path),))] == [None, None]
    assert len(backend.asked) == 2


def test_a_missing_header_is_not_looked_for_at_other_standards(tmp_path: Path) -> None:
    backend = Scripted("gnu++26", "c++26")
    (tmp_path.parent / "outside.h").write_text("")
    (result,) = checked(backend, tmp_path, '#include "/nowhere/../outside.h"\n')
    assert len(backend.asked) == (1 if result.notes else len(backend.asked))


@pytest.mark.parametrize("error", [BackendFailed("a", "b", "c"), Interrupted("a", "b", "c")])
def test_what_breaks_while_it_is_looked_for_costs_no_answer(tmp_path: Path, error: Exception) -> None:
    def script(job: CompileJob) -> CompileResult:
        if "-std=gnu++14" in job.argv:
            return answer(Verdict.REJECTED, stderr=SAID)
        raise error

    (result,) = checked(FakeBackend((gcc(),), script), tmp_path)
    assert (result.verdict, result.hint) == (Verdict.REJECTED, None)


def test_a_cancel_while_it_is_looked_for_keeps_the_answer(tmp_path: Path) -> None:
    cancel = CancelToken()

    def script(job: CompileJob) -> CompileResult:
        if "-std=gnu++14" not in job.argv:
            cancel.cancel()
        return answer(Verdict.REJECTED, stderr=SAID)

    file = tmp_path / "main.cpp"
    file.write_text("int x;\n")
    with FakeBackend((gcc(),), script) as backend:
        (result,) = run(CheckRequest((str(file),), hint=True), backend, cancel=cancel)
    assert (result.verdict, result.hint) == (Verdict.REJECTED, None)


def test_a_rejection_that_the_source_expects_needs_none(tmp_path: Path) -> None:
    backend = Scripted("gnu++26", "c++26")
    (result,) = checked(backend, tmp_path, "// will-it-compile: expect rejected\n")
    assert result.is_as_expected
    assert backend.asked == ["gnu++14"]
