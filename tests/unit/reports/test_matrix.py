"""The text report where each source was compiled in several ways."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from willitcompile.errors import NoAnswer
from willitcompile.model import CheckResult, CompileResult, Diagnostic, Expectation, Verdict
from willitcompile.reports import Style
from willitcompile.reports.groups import alike
from willitcompile.reports.table import matrix, table
from willitcompile.reports.text import render

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Make = Callable[..., CheckResult]

OLD, NEW = "c++17", "c++20"
NO = "main.cpp:1:1: error: no\n"
ERROR = Diagnostic("main.cpp", 1, 1, "error", None, "no")
REJECTED = {"verdict": Verdict.REJECTED, "stderr": NO, "diagnostics": (ERROR,)}


def text(*results: CheckResult, **style: object) -> str:
    return "".join(render(results, Style(matrix=True, **style)))  # type: ignore[arg-type]


def cells(make: Make, source: str = "main.cpp", **rejected: object) -> list[CheckResult]:
    """Two compilers at two standards: what is rejected is told as `gcc_12_old={…}`."""
    found = []
    for toolchain in ("gcc-12", "clang-14"):
        for age, standard in (("old", OLD), ("new", NEW)):
            fields = rejected.get(f"{toolchain.replace('-', '_')}_{age}", {})
            found.append(make(source, toolchain=toolchain, standard=standard, **fields))
    return found


def rows(report: str) -> list[list[str]]:
    """Of the table: the lines that are indented."""
    return [re.split(r" {2,}", line.strip()) for line in report.splitlines() if line.startswith("  ")]


def test_a_table_then_each_message_once_with_the_compiles_that_it_is_of(result: Make) -> None:
    report = text(*cells(result, gcc_12_old=REJECTED, clang_14_old=REJECTED))
    assert report == (
        "backend: sandbox (namespaces)\n"
        "main.cpp: compiled in 2 of 4\n"
        "            c++17     c++20\n"
        "  gcc-12    rejected  compiled\n"
        "  clang-14  rejected  compiled\n"
        "\n"
        "rejected: gcc-12, clang-14 at c++17\n"
        "main.cpp:1:1: error: no\n"
        "\n"
        "1 file, 4 checks: 2 compiled, 2 rejected\n"
    )


def test_the_standards_are_ordered_by_age_and_what_is_not_known_is_said(result: Make) -> None:
    report = text(
        result(toolchain="gcc-12", standard="c++20"),
        result(toolchain="gcc-12", standard="c++98"),
        result(toolchain="gcc-9", standard="c++98"),
    )
    assert rows(report) == [["c++98", "c++20"], ["gcc-12", "compiled", "compiled"], ["gcc-9", "compiled", "n/a"]]


def test_each_at_its_own_default_is_a_list(result: Make) -> None:
    report = text(
        result(toolchain="gcc-12", standard="gnu++17"),
        result(toolchain="clang-14", standard="gnu++14", **REJECTED),
    )
    assert rows(report) == [["gcc-12", "gnu++17", "compiled"], ["clang-14", "gnu++14", "rejected"]]


def test_of_several_sources_those_that_are_good_are_a_line_each(result: Make) -> None:
    report = text(*cells(result, "a.cpp"), *cells(result, "b.cpp", gcc_12_old=REJECTED), *cells(result, "c.cpp"))
    assert "\na.cpp: compiled in all 4: gcc-12, clang-14 at c++17, c++20\nb.cpp: compiled in 3 of 4\n" in report
    assert "\nc.cpp: compiled in all 4: gcc-12, clang-14 at c++17, c++20\n" in report
    assert report.endswith("\n3 files, 12 checks: 11 compiled, 1 rejected\n")
    assert len(rows(report)) == 3


def test_one_source_that_is_good_has_its_table(result: Make) -> None:
    report = text(*cells(result))
    assert "main.cpp: compiled in all 4\n" in report
    assert len(rows(report)) == 3


def test_a_source_with_one_compile_is_told_as_ever(result: Make) -> None:
    assert "main.cpp: compiled (gcc-12, c++17, sandbox/namespaces, 0.31 s)\n" in text(result())


def test_warnings_are_not_lost(result: Make) -> None:
    warning = Diagnostic("main.cpp", 2, 1, "warning", "-Wunused", "unused")
    warned = {"stderr": "main.cpp:2:1: warning: unused\n", "diagnostics": (warning,)}
    report = text(*cells(result, gcc_12_old=warned, gcc_12_new=warned))
    assert "\ncompiled: gcc-12 at c++17, c++20\nmain.cpp:2:1: warning: unused\n" in report
    assert report.count("unused") == 1


def test_quiet_says_only_what_is_bad(result: Make) -> None:
    report = text(*cells(result, "a.cpp"), *cells(result, gcc_12_old=REJECTED), quiet=True)
    assert report == "main.cpp: rejected: gcc-12 at c++17\nmain.cpp:1:1: error: no\n"


def test_verbose_tells_of_each_compile(result: Make) -> None:
    report = text(*cells(result, gcc_12_old=REJECTED), verbose=True)
    assert report.count("  compiler: g++ (Debian 12.2.0-14) 12.2.0\n") == 4
    assert "main.cpp: rejected, 1 error (gcc-12, c++17, sandbox/namespaces, 0.31 s)\n" in report


class TestExpectations:
    EXPECTED = Expectation(Verdict.REJECTED, "no")

    def test_stand_in_the_cells_and_in_the_tally(self, result: Make) -> None:
        report = text(*(each._replace(expected=self.EXPECTED) for each in cells(result, gcc_12_old=REJECTED)))
        assert "main.cpp: as expected in 1 of 4\n" in report
        assert ["gcc-12", "rejected (expected)", "compiled (unexpected)"] in rows(report)
        assert "compiled, but the source expects rejected: gcc-12 at c++20; clang-14 at c++17, c++20\n" in report
        assert report.endswith("4 checks: 3 compiled unexpectedly, 1 rejected as expected\n")
        assert NO not in report

    def test_without_the_text_the_messages_are_shown(self, result: Make) -> None:
        report = text(
            *(
                each._replace(expected=Expectation(Verdict.REJECTED, "so"))
                for each in cells(result, **dict.fromkeys(("gcc_12_old", "gcc_12_new"), REJECTED))
            )
        )
        assert f'rejected, but without "so": gcc-12 at c++17, c++20\n{NO}' in report

    def test_one_that_is_met_is_good(self, result: Make) -> None:
        check = result(**REJECTED)._replace(expected=self.EXPECTED)
        line = "main.cpp: rejected as expected, 1 error (gcc-12, c++17, sandbox/namespaces, 0.31 s)\n"
        for matrix_ in (False, True):
            assert "".join(render([check], Style(matrix=matrix_))).partition("\n")[2] == line
            assert "".join(render([check], Style(matrix=matrix_, quiet=True))) == ""
            assert NO + line in "".join(render([check], Style(matrix=matrix_, verbose=True)))

    def test_a_hint_stands_below(self, result: Make) -> None:
        assert text(result(**REJECTED)._replace(hint="c++20")).endswith("s)\n  hint: compiles with --std c++20\n")


def at(line: int, message: str = "no", path: str = "main.cpp", severity: str = "error") -> Diagnostic:
    return Diagnostic(path, line, 1, severity, None, message)


@pytest.mark.parametrize(
    ("one", "other", "are_alike"),
    [
        ((at(1),), (at(1),), True),
        ((at(1), at(1, "a note", severity="note")), (at(1),), True),
        ((at(1, "‘x’ is wrong"),), (at(1, "'x' is wrong"),), True),  # noqa: RUF001 - as gcc prints it
        ((at(1, "'x' is no type; did you mean 'y'?"),), (at(1, "'x' is no type"),), True),
        ((at(1), at(2, "so")), (at(1), at(2, "otherwise")), True),
        ((at(1), at(1, "more")), (at(1),), True),
        ((at(1), at(2)), (at(1),), False),
        ((at(1),), (at(2),), False),
        ((at(1, "one"),), (at(1, "other"),), False),
        ((at(7, "no", "/usr/include/c++/12/ranges"),), (at(9, "no", "/usr/include/c++/13/ranges"),), True),
        ((at(7, "no", "/usr/include/c++/12/ranges"),), (at(7, "no", "/usr/include/c++/12/format"),), False),
    ],
)
def test_rejections_are_alike_by_their_first_error_and_their_lines(
    result: Make, one: tuple[Diagnostic, ...], other: tuple[Diagnostic, ...], are_alike: bool
) -> None:
    checks = [result(verdict=Verdict.REJECTED, diagnostics=each) for each in (one, other)]
    assert len(alike(checks)) == (1 if are_alike else 2)


def test_what_was_not_parsed_is_compared_as_it_is(result: Make) -> None:
    checks = [result(verdict=Verdict.REJECTED, stderr=said) for said in ("a", "b", "a")]
    assert [len(group) for group in alike(checks)] == [2, 1]


def test_a_verdict_is_coloured_by_whether_it_is_good(result: Make) -> None:
    good = result(standard=NEW, **REJECTED)._replace(expected=Expectation(Verdict.REJECTED))
    report = text(result(**REJECTED), good, color=True)
    assert "\x1b[1;31mrejected\x1b[0m" in report
    assert "\x1b[1;32mrejected (expected)\x1b[0m" in report
    plain = re.sub(r"\x1b\[[0-9;]*m", "", report)
    assert plain == text(result(**REJECTED), good)


def test_hostile_names_stay_on_their_lines(result: Make) -> None:
    report = text(
        *(
            each._replace(source="a\x1b[2J\nb.cpp")
            for each in cells(result, gcc_12_old={"verdict": Verdict.REJECTED, "stderr": "\x1b]0;x\x07 no"})
        )
    )
    assert "\x1b" not in report
    assert "a\\x1b[2J\\nb.cpp: compiled in 3 of 4\n" in report


def test_a_text_for_each_result_and_what_is_held_before_an_error(result: Make) -> None:
    taken = []

    def results() -> Iterator[CheckResult]:
        for check in cells(result, gcc_12_old=REJECTED):
            taken.append(check)
            yield check
        raise NoAnswer("a", "b", "c")

    pieces = render(results(), Style(matrix=True))
    for count in range(1, 5):
        while len(taken) < count:
            next(pieces)
        assert len(taken) == count
    rest = []
    with pytest.raises(NoAnswer):
        rest.extend(pieces)
    assert "main.cpp: compiled in 3 of 4\n" in "".join(rest)
    assert rest[-1] == "1 file, 4 checks: 3 compiled, 1 rejected\n"


STANDARDS = ("c++98", "gnu++98", "c++11", "c++14", "c++17", "gnu++17", "c++20", "c++23", "c++26")


@given(
    st.sets(st.tuples(st.sampled_from(["gcc-9", "gcc-14", "clang-22"]), st.sampled_from(STANDARDS)), min_size=1),
    st.none() | st.integers(1, 120),
)
def test_no_cell_is_lost_at_any_width(asked: set[tuple[str, str]], width: int | None) -> None:
    result = CompileResult(Verdict.OUT_OF_MEMORY, None, b"", b"", 0.0, "", "")
    checks = [CheckResult("a", "c++", toolchain, at, "fake", result, "", "") for toolchain, at in sorted(asked)]
    found = matrix(checks)
    lines = list(table(found, width, lambda _, word: word))
    words = " ".join(lines)
    assert words.count("out-of-memory") == len(asked)
    assert all(standard in words for standard in found.standards)
    if not found.is_list:
        assert words.count("n/a") == len(found.toolchains) * len(found.standards) - len(asked)
    least = len("  clang-22  out-of-memory")
    assert found.is_list or all(len(line) <= max(width or 10**9, least) for line in lines)
