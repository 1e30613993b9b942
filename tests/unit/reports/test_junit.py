from __future__ import annotations

from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

import pytest
from hypothesis import given
from junitparser import Error, Failure, JUnitXml

from tests.unit.reports.made import HOSTILE, SLOWLY
from willitcompile.errors import NoAnswer
from willitcompile.model import CheckResult, Diagnostic, Expectation, Verdict
from willitcompile.reports import Style, junit
from willitcompile.reports.junit import render

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Make = Callable[..., CheckResult]


def read(*results: CheckResult) -> JUnitXml:
    return JUnitXml.fromstring("".join(render(results, Style())).encode())


def case(*results: CheckResult) -> Any:
    (suite,) = read(*results)
    (case,) = suite
    return case


def test_a_suite_is_a_source_and_a_case_is_a_compile(result: Make) -> None:
    suites = read(result("a.c"), result("a.c", Verdict.REJECTED, standard="c++20"), result("b.c", Verdict.TIMEOUT))
    assert [(each.name, each.tests, each.failures, each.errors) for each in suites] == [
        ("a.c", 2, 1, 0),
        ("b.c", 1, 0, 1),
    ]
    first, second = next(iter(suites))
    assert (first.classname, first.name, first.time) == ("a.c", "gcc-12 c++17", 0.314)
    assert first.is_passed
    assert second.name == "gcc-12 c++20"


def test_a_rejection_is_a_failure_with_what_the_compiler_said(result: Make) -> None:
    error = Diagnostic("main.cpp", 1, 1, "error", None, "no <vector>")
    (failure,) = case(result(verdict=Verdict.REJECTED, diagnostics=(error,), stderr="main.cpp:1:1: error: …\n")).result
    assert isinstance(failure, Failure)
    assert (failure.type, failure.message) == ("rejected", "rejected: no <vector>")
    assert "main.cpp:1:1: error: …" in failure.text


@pytest.mark.parametrize("verdict", [Verdict.TIMEOUT, Verdict.OUT_OF_MEMORY, Verdict.OUTPUT_LIMIT, Verdict.CRASHED])
def test_any_other_end_is_an_error(result: Make, verdict: Verdict) -> None:
    (error,) = case(result(verdict=verdict)).result
    assert isinstance(error, Error)
    assert error.type == verdict
    assert error.message.startswith(f"{verdict}: ")


def test_what_a_source_expects_decides(result: Make) -> None:
    expected = Expectation(Verdict.REJECTED)
    assert case(result(verdict=Verdict.REJECTED, stderr="no", expected=expected)).is_passed
    (failure,) = case(result(expected=expected)).result
    assert failure.message == "compiled, but the source expects rejected"
    assert case(result(verdict=Verdict.TIMEOUT, expected=Expectation(Verdict.TIMEOUT))).is_passed


def test_the_warnings_of_what_compiles_are_kept(result: Make) -> None:
    assert case(result(stderr="a.c:1: warning: hm\n")).system_err == "a.c:1: warning: hm"


def test_what_was_said_at_length_is_cut(result: Make) -> None:
    said = case(result(stderr="x" * 200_000)).system_err
    assert len(said) < junit.MOST_OUTPUT + 100
    assert said.endswith("(it said more)")


def test_an_error_on_the_way_is_an_error_of_ours(result: Make) -> None:
    def results() -> Iterator[CheckResult]:
        yield result("a.c")
        raise NoAnswer("check b.c", "it \x1b broke", "mend <it>")

    pieces = []
    with pytest.raises(NoAnswer):
        pieces.extend(render(results(), Style()))
    first, last = JUnitXml.fromstring("".join(pieces).encode())
    assert (first.tests, last.errors) == (1, 1)
    ((error,),) = (case.result for case in last)
    assert error.message == "check b.c: it \\x1b broke"
    assert error.text == "try: mend <it>"


@SLOWLY
@given(HOSTILE)
def test_whatever_a_source_says_it_is_xml_with_all_results(results: list[CheckResult]) -> None:
    text = "".join(render(results, Style()))
    assert "\ufffe" not in text
    root = ElementTree.fromstring(text.encode())
    assert len(root.findall("testsuite/testcase")) == len(results)
    for tag in ("failures", "errors"):
        cases = root.findall(f"testsuite/testcase/{tag[:-1]}")
        assert sum(int(each.attrib[tag]) for each in root.findall("testsuite")) == len(cases)
