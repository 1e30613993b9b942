from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from willitcompile import reports
from willitcompile.errors import NoAnswer
from willitcompile.model import CheckResult, Diagnostic, Verdict
from willitcompile.reports import REPORTS, Style
from willitcompile.reports.together import render

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from willitcompile.reports import Report

    Make = Callable[..., CheckResult]


def some(result: Make) -> list[CheckResult]:
    said = (Diagnostic("a.c", 1, 1, "warning", "-Wx", "hm"),)
    return [
        result(f"{number}.c", verdict, diagnostics=said)
        for number, verdict in enumerate([Verdict.COMPILED, Verdict.REJECTED, Verdict.TIMEOUT] * 3)
    ]


def texts(wanted: list[tuple[Report, Style]], results: Iterable[CheckResult]) -> list[str]:
    told = [""] * len(wanted)
    for number, text in render(wanted, results):
        told[number] += text
    return told


def test_each_says_what_it_says_alone(result: Make) -> None:
    wanted = [(reports.load(name), Style()) for name in REPORTS if name != "html"]  # which has the time in it
    told = texts(wanted, iter(some(result)))
    assert told == ["".join(report(some(result), style)) for report, style in wanted]


def test_each_has_a_style_of_its_own(result: Make) -> None:
    text = reports.load("text")
    quiet, loud = texts([(text, Style(quiet=True)), (text, Style())], [result()])
    assert (quiet, bool(loud)) == ("", True)


@pytest.mark.parametrize("name", REPORTS)
def test_no_more_results_are_held_than_two_however_many_there_are(result: Make, name: str) -> None:
    """Of two reports in step: so each gives a text for every result that it takes."""
    taken = given = 0

    def results() -> Iterator[CheckResult]:
        nonlocal taken
        for number in range(50):
            taken += 1
            yield result(f"{number}.c", Verdict.REJECTED, stderr="no")

    def counting(own: Iterable[CheckResult], style: Style) -> Iterator[str]:
        nonlocal given
        for _ in own:
            given += 1
            assert taken - given <= 2
            yield ""

    for _ in render([(reports.load(name), Style()), (counting, Style())], results()):
        assert taken - given <= 2
    assert given == 50


def test_an_error_reaches_each_and_is_raised_once(result: Make) -> None:
    def results() -> Iterator[CheckResult]:
        yield result("a.c")
        raise NoAnswer("check b.c", "it broke", "mend it")

    pieces: list[tuple[int, str]] = []
    with pytest.raises(NoAnswer):
        pieces.extend(render([(reports.load(name), Style()) for name in ("json", "junit")], results()))
    json, junit = ("".join(text for each, text in pieces if each == number) for number in (0, 1))
    assert '"obstacle": "it broke"' in json
    assert "it broke" in junit
    assert junit.endswith("</testsuites>\n")


def test_a_report_that_breaks_by_itself_is_not_hidden(result: Make) -> None:
    def broken(own: Iterable[CheckResult], style: Style) -> Iterator[str]:
        yield ""
        raise NoAnswer("report", "there is no room", "make some")

    with pytest.raises(NoAnswer):
        texts([(broken, Style()), (reports.load("json"), Style())], [result()])
