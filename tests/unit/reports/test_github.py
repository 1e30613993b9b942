from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from hypothesis import given

from tests.unit.reports.made import HOSTILE, SLOWLY
from willitcompile.errors import NoAnswer
from willitcompile.model import CheckResult, Diagnostic, Verdict
from willitcompile.reports import Style
from willitcompile.reports.findings import findings
from willitcompile.reports.github import render

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Make = Callable[..., CheckResult]

COMMAND = re.compile(r"::(?P<name>error|warning) (?P<properties>[^:]*)::(?P<message>[^\r\n]*)\n")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def text(*results: CheckResult) -> str:
    return "".join(render(results, Style()))


def unescaped(text: str) -> str:
    for code, character in (("0D", "\r"), ("0A", "\n"), ("3A", ":"), ("2C", ","), ("25", "%")):
        text = text.replace(f"%{code}", character)
    return text


def test_an_annotation_stands_at_its_place(result: Make, here: Path) -> None:
    (here / "main.cpp").write_text("int unused;\n")
    said = Diagnostic("main.cpp", 1, 5, "warning", "-Wunused-variable", "unused variable")
    assert text(result(diagnostics=(said,))) == (
        "::warning file=main.cpp,line=1,col=5,title=-Wunused-variable (gcc-12 c++17)::unused variable\n"
    )


def test_what_compiles_says_nothing(result: Make) -> None:
    assert text(result()) == ""


def test_what_has_a_meaning_is_escaped(result: Make) -> None:
    said = Diagnostic("a,b:c.cpp", 1, None, "error", None, "100%\nof it\r::x")
    report = text(result(verdict=Verdict.REJECTED, diagnostics=(said,)))
    assert report == (
        "::error file=a%2Cb%3Ac.cpp,line=1,title=error (gcc-12 c++17)::100%25%0Aof it\\x0d::x\n"
    )  # fmt: skip


def test_a_limit_is_an_error_of_the_file(result: Make) -> None:
    assert text(result(verdict=Verdict.TIMEOUT)).startswith(
        "::error file=main.cpp,title=timeout (gcc-12 c++17)::timeout: stopped after 30 s"
    )


def test_an_error_on_the_way_is_an_annotation_of_none(result: Make) -> None:
    def results() -> Iterator[CheckResult]:
        yield result(verdict=Verdict.TIMEOUT)
        raise NoAnswer("check", "it broke", "mend it")

    pieces = []
    with pytest.raises(NoAnswer):
        pieces.extend(render(results(), Style()))
    assert pieces[-1] == "::error title=will-it-compile::check: it broke%0Atry: mend it\n"


@SLOWLY
@given(HOSTILE)
def test_whatever_a_source_says_each_message_is_one_command(results: list[CheckResult]) -> None:
    report = text(*results)
    commands = list(COMMAND.finditer(report))
    assert "".join(each[0] for each in commands) == report
    told = [each for each in findings(results) if each]
    assert len(commands) == len(told)
    for command, finding in zip(commands, told, strict=True):
        assert unescaped(command["message"]) == finding.message
        assert {each.partition("=")[0] for each in command["properties"].split(",")} <= {"file", "line", "col", "title"}
