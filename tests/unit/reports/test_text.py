from __future__ import annotations

import doctest
import re
from typing import TYPE_CHECKING

import pytest

from willitcompile.config import parse_bytes
from willitcompile.errors import NoAnswer
from willitcompile.model import CheckResult, Diagnostic, Limits, Verdict
from willitcompile.reports import Style, units
from willitcompile.reports.text import render

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Make = Callable[..., CheckResult]


def text(*results: CheckResult, **style: object) -> str:
    return "".join(render(results, Style(**style)))  # type: ignore[arg-type]


def test_one_file_is_a_line_that_says_how_it_was_done_and_a_line_that_says_how_it_ended(result: Make) -> None:
    assert text(result()) == (
        "backend: sandbox (namespaces)\n"
        "main.cpp: compiled (gcc-12, c++17, sandbox/namespaces, 0.31 s)\n"
    )  # fmt: skip


def test_the_compiler_is_quoted_before_its_verdict(result: Make) -> None:
    diagnostics = tuple(
        Diagnostic(None, None, None, kind, None, "") for kind in ("error", "note", "warning", "warning")
    )
    said = "main.cpp:1:2: error: no\n    1 | x\n      | ^\n"
    report = text(result(verdict=Verdict.REJECTED, stderr=said, diagnostics=diagnostics))
    assert report == (
        "backend: sandbox (namespaces)\n"
        f"{said}"
        "main.cpp: rejected, 1 error, 2 warnings (gcc-12, c++17, sandbox/namespaces, 0.31 s)\n"
    )


def test_several_files_are_counted(result: Make) -> None:
    report = text(result("a.c"), result("b.c", Verdict.REJECTED), result("c.c"))
    assert report.endswith("3 files: 2 compiled, 1 rejected\n")
    report = text(result("a.c"), result("a.c", standard="c++20"))
    assert report.endswith("1 file, 2 checks: 2 compiled\n")


def test_quiet_says_only_what_does_not_compile(result: Make) -> None:
    assert text(result(), result("b.c"), quiet=True) == ""
    report = text(result(), result("b.c", Verdict.REJECTED, stderr="no"), quiet=True)
    assert report == "no\nb.c: rejected (gcc-12, c++17, sandbox/namespaces, 0.31 s)\n"


def test_verbose_says_more(result: Make) -> None:
    report = text(result(peak_memory_bytes=3 * 2**19, image="sha256:1"), verbose=True)
    for detail in ("g++ (Debian 12.2.0-14) 12.2.0", "peak memory: 1.5 MiB", "exit code: 0", "sha256:1"):
        assert detail in report


def test_a_cached_result_says_so_instead_of_a_time(result: Make) -> None:
    assert "sandbox/namespaces, cached)" in text(result(cached=True))


@pytest.mark.parametrize(
    ("fields", "explanation"),
    [
        ({"verdict": Verdict.TIMEOUT, "limit": "wall"}, "stopped after 30 s; for more time: --timeout 60"),
        ({"verdict": Verdict.OUT_OF_MEMORY, "limit": "memory"}, "more than 1 GiB of memory; for more: --memory 2GiB"),
        ({"verdict": Verdict.OUTPUT_LIMIT, "limit": "output"}, "more than 1 MiB; for more: --max-output 2MiB"),
        ({"verdict": Verdict.OUTPUT_LIMIT, "limit": "file-size"}, "wrote a file of more than 256 MiB"),
        ({"verdict": Verdict.CRASHED, "limit": "processes"}, "needs more than 256 processes"),
        ({"verdict": Verdict.CRASHED, "signal": 11}, "died (signal 11): this is a bug of the compiler, not a"),
        ({"verdict": Verdict.CRASHED, "exit_code": 4}, "died (exit code 4): this is a bug of the compiler"),
    ],
)  # fmt: skip
def test_an_end_that_is_not_the_compilers_answer_is_explained(
    result: Make, fields: dict[str, object], explanation: str
) -> None:
    lines = text(result(**fields)).splitlines()
    assert lines[-1].startswith("  ")
    assert explanation in lines[-1]


def test_every_verdict_but_an_answer_of_the_compiler_has_an_explanation(result: Make) -> None:
    for verdict in Verdict:
        lines = text(result(verdict=verdict)).splitlines()
        assert (len(lines) == 2) == (verdict in {Verdict.COMPILED, Verdict.REJECTED})


@pytest.mark.parametrize("memory", [2**20, 2**30, 3 * 2**29, 800 * 2**20, 1_000_001])
def test_a_size_to_type_is_one_that_can_be_typed_and_is_enough(memory: int) -> None:
    assert parse_bytes(units.typed_size(memory)) >= memory


def test_what_was_cut_is_said_to_be(result: Make) -> None:
    assert "(the compiler printed more than is shown)" in text(result(truncated=True))


def test_notes_are_printed(result: Make) -> None:
    assert "  note: x.h was not sent" in text(result(verdict=Verdict.REJECTED, notes=("x.h was not sent",)))


def test_nothing_hostile_reaches_the_terminal(result: Make) -> None:
    evil = "\x1b[2J\u202e\r\x07"
    report = text(
        result(
            evil + "\n.c",
            Verdict.REJECTED,
            stdout=evil,
            stderr=evil,
            compiler=evil,
            notes=(evil + "\n",),
            image=evil,
        ),
        verbose=True,
        color=True,
    )  # fmt: skip
    ours = re.sub(r"\x1b\[[0-9;]*m", "", report)
    assert all(character.isprintable() or character == "\n" for character in ours)
    assert r"\n.c: rejected" in ours
    assert "\x1b[2J" not in report


def test_colour_adds_only_colour(result: Make) -> None:
    results = [result(verdict=verdict, stderr="a.c:1:2: error: x\n  ^~~\n") for verdict in Verdict]
    colored = text(*results, color=True)
    assert "\x1b[1;32mcompiled\x1b[0m" in colored
    assert re.sub(r"\x1b\[[0-9;]*m", "", colored) == text(*results)


def test_each_result_is_printed_as_it_comes(result: Make) -> None:
    asked = []

    def results() -> Iterator[CheckResult]:
        for name in ("a.c", "b.c"):
            asked.append(name)
            yield result(name)

    pieces = render(results(), Style())
    assert next(pieces).startswith("backend:")
    assert next(pieces).startswith("a.c:")
    assert asked == ["a.c"]


def test_an_error_on_the_way_comes_after_what_was_found(result: Make) -> None:
    def results() -> Iterator[CheckResult]:
        yield result("a.c")
        yield result("b.c")
        raise NoAnswer("check c.c", "it broke", "mend it")

    pieces = []
    with pytest.raises(NoAnswer):
        pieces.extend(render(results(), Style()))
    assert pieces[-1] == "2 files: 2 compiled\n"


def test_limits_are_those_of_the_check(result: Make) -> None:
    report = text(result(verdict=Verdict.TIMEOUT, limits=Limits(wall_seconds=0.5)))
    assert "stopped after 0.5 s; for more time: --timeout 1" in report


def test_the_examples_of_the_documentation_hold() -> None:
    assert doctest.testmod(units).failed == 0
