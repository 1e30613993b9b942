from __future__ import annotations

import doctest
from typing import TYPE_CHECKING

import pytest

from willitcompile.errors import NoAnswer
from willitcompile.model import CheckResult, Diagnostic, Expectation, FixIt, Verdict
from willitcompile.reports import findings as module
from willitcompile.reports import groups, places
from willitcompile.reports.findings import Finding, findings
from willitcompile.reports.groups import by_source, named

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Make = Callable[..., CheckResult]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def found(*results: CheckResult) -> list[Finding]:
    return [each for each in findings(results) if each]


def error(
    message: str = "no", path: str | None = "main.cpp", line: int | None = 1, column: int | None = 1
) -> Diagnostic:
    return Diagnostic(path, line, column, "error", None, message)


def test_what_compiles_has_its_warnings_to_tell(result: Make) -> None:
    warning = Diagnostic("main.cpp", 3, 5, "warning", "-Wunused", "unused variable 'x'")
    assert found(result()) == []
    (told,) = found(result(diagnostics=(warning,)))
    assert (told.path, told.line, told.level, told.rule, told.message) == (
        "main.cpp", 3, "warning", "-Wunused", "unused variable 'x'",
    )  # fmt: skip


def test_what_was_to_be_rejected_and_was_has_nothing_to_tell(result: Make) -> None:
    expected = Expectation(Verdict.REJECTED, "no")
    assert found(result(verdict=Verdict.REJECTED, diagnostics=(error(),), stderr="no", expected=expected)) == []


def test_what_was_to_be_rejected_and_was_not_is_told(result: Make) -> None:
    (told,) = found(result(expected=Expectation(Verdict.REJECTED)))
    assert (told.rule, told.level, told.line) == ("expectation", "error", None)
    assert told.message == "compiled, but the source expects rejected"


def test_what_was_rejected_for_another_reason_is_told_with_its_errors(result: Make) -> None:
    expected = Expectation(Verdict.REJECTED, "no matching function")
    check = result(verdict=Verdict.REJECTED, diagnostics=(error("typo"),), stderr="typo", expected=expected)
    assert [each.message for each in found(check)] == ["typo", 'rejected, but without "no matching function"']


@pytest.mark.parametrize("verdict", [Verdict.TIMEOUT, Verdict.OUT_OF_MEMORY, Verdict.OUTPUT_LIMIT, Verdict.CRASHED])
def test_a_compile_that_was_ended_is_told_of_its_source(result: Make, verdict: Verdict) -> None:
    (told,) = found(result(verdict=verdict))
    assert (told.path, told.line, told.rule, told.level) == ("main.cpp", None, verdict, "error")
    assert told.message.startswith(f"{verdict}: ")


def test_a_rejection_without_a_place_tells_what_the_compiler_said(result: Make) -> None:
    (told,) = found(result(verdict=Verdict.REJECTED, stderr="ld: cannot find -lx\n", notes=("x.h was not sent",)))
    assert told.message == "rejected\nld: cannot find -lx\nx.h was not sent"


def test_notes_belong_to_the_message_before_them(result: Make) -> None:
    said = (error("a"), Diagnostic("x.h", 2, 1, "note", None, "declared here"), error("b", line=2))
    first, second = found(result(verdict=Verdict.REJECTED, diagnostics=said))
    assert [(each.path, each.message) for each in first.notes] == [("x.h", "declared here")]
    assert second.notes == ()


def test_what_several_compiles_say_is_told_once(result: Make) -> None:
    said = {"verdict": Verdict.REJECTED, "diagnostics": (error("expected \u2018;\u2019"),)}
    other = {"verdict": Verdict.REJECTED, "diagnostics": (error("expected ';'"),)}  # as an older gcc quotes
    (told,) = found(result(**said), result(**other, toolchain="gcc-11"), result(toolchain="clang-19"))
    assert told.compiles == ("gcc-12 c++17", "gcc-11 c++17")
    assert told.told_by == "gcc-12 c++17, gcc-11 c++17"


def test_what_all_compiles_say_is_told_of_all(result: Make) -> None:
    said = {"verdict": Verdict.REJECTED, "diagnostics": (error(),)}
    assert found(result(**said))[0].told_by == ""
    assert found(*(result(**said, standard=f"c++{each}") for each in range(8)))[0].told_by == "all 8"


def test_many_compiles_are_not_all_named(result: Make) -> None:
    bad = [result(verdict=Verdict.REJECTED, diagnostics=(error(),), toolchain=f"gcc-{each}") for each in range(9)]
    assert found(*bad, result())[0].told_by.endswith("gcc-5 c++17 and 3 more")


def test_a_warning_in_a_header_is_told_once_for_all_who_include_it(result: Make) -> None:
    warning = Diagnostic("x.h", 1, 1, "warning", "-Wunused", "unused")
    assert len(found(result("a.c", diagnostics=(warning,)), result("b.c", diagnostics=(warning,)))) == 1


def test_a_fingerprint_is_of_the_message_and_not_of_its_line(result: Make) -> None:
    def prints(*lines: int) -> list[str]:
        said = tuple(error("same", line=line) for line in lines)
        return [each.fingerprint for each in found(result(verdict=Verdict.REJECTED, diagnostics=said))]

    assert prints(3) == prints(30)
    assert len(set(prints(1, 2, 3))) == 3
    assert prints(1, 2) == prints(11, 12)


def test_a_column_is_counted_in_characters(result: Make, here: Path) -> None:
    (here / "main.cpp").write_text('auto s = "é漢🙂"; x\n')
    column = len('auto s = "é漢🙂"; '.encode()) + 1
    (told,) = found(result(verdict=Verdict.REJECTED, diagnostics=(error(column=column),)))
    assert told.column == len('auto s = "é漢🙂"; ') + 1


@pytest.mark.parametrize(("path", "line", "column"), [("gone.cpp", 1, 1), ("main.cpp", 2, 1), ("main.cpp", 1, 99)])
def test_a_place_that_is_not_there_has_no_column(result: Make, here: Path, path: str, line: int, column: int) -> None:
    (here / "main.cpp").write_text("int x;")
    (told,) = found(result(verdict=Verdict.REJECTED, diagnostics=(error("no", path, line, column),)))
    assert (told.line, told.column) == (line, None)


def test_a_file_that_a_message_makes_up_is_not_read(
    result: Make, here: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    secret = tmp_path_factory.mktemp("elsewhere") / "secret.h"
    secret.write_text("ééééé\n")
    (here / "link.h").symlink_to(secret)
    for path in ("link.h", f"../{secret.parent.name}/secret.h"):
        (told,) = found(result(verdict=Verdict.REJECTED, diagnostics=(error("no", path, 1, 3),)))
        assert told.column is None


def test_a_message_in_a_header_of_the_system_is_told_where_the_user_comes_in(result: Make, here: Path) -> None:
    (here / "main.cpp").write_text("int x;\nint y;\n")
    said = (error("no type", "/usr/include/c++/12/x.h", 9), Diagnostic("main.cpp", 2, 1, "note", None, "required"))
    (told,) = found(result(verdict=Verdict.REJECTED, diagnostics=said))
    assert (told.path, told.line, told.column) == ("main.cpp", 2, 1)
    assert told.message == "/usr/include/c++/12/x.h:9: no type"
    (told,) = found(result(verdict=Verdict.REJECTED, diagnostics=said[:1]))
    assert (told.path, told.line) == ("main.cpp", None)


def test_a_fix_is_exact_or_not_told(result: Make, here: Path) -> None:
    (here / "main.cpp").write_text("é foo\n")
    good = FixIt("main.cpp", 1, 4, 1, 7, "bar")
    fixed = error()._replace(fixits=(good,))
    (told,) = found(result(verdict=Verdict.REJECTED, diagnostics=(fixed,)))
    assert told.fixes[0].replacements == (FixIt("main.cpp", 1, 3, 1, 6, "bar"),)
    for bad in (good._replace(end_column=99), good._replace(path="gone.cpp"), good._replace(end_column=1)):
        half = error()._replace(fixits=(good, bad))
        assert found(result(verdict=Verdict.REJECTED, diagnostics=(half,)))[0].fixes == ()


def test_a_flood_of_messages_is_cut_and_said_to_be(result: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_FINDINGS", 10)
    flood = tuple(error(line=line) for line in range(1, 100))
    told = found(*(result(f"{name}.c", verdict=Verdict.REJECTED, diagnostics=flood) for name in "abc"))
    assert len(told) == 11
    assert "left out" in told[-1].message


def test_a_long_message_is_cut(result: Make) -> None:
    (told,) = found(result(verdict=Verdict.REJECTED, diagnostics=(error("x" * 100_000),)))
    assert len(told.message) == module.MOST_TEXT + 1


def test_something_is_given_for_every_result(result: Make) -> None:
    taken = 0

    def results() -> Iterator[CheckResult]:
        nonlocal taken
        for name in "abcdef":
            taken += 1
            yield result(f"{name}.c", verdict=Verdict.REJECTED, diagnostics=(error(),))

    for given, _ in enumerate(findings(results()), 1):
        assert taken <= given


def test_an_error_comes_after_all_that_was_found(result: Make) -> None:
    def results() -> Iterator[CheckResult]:
        yield result(verdict=Verdict.TIMEOUT)
        raise NoAnswer("check", "it broke", "mend it")

    given = findings(results())
    told = []
    with pytest.raises(NoAnswer):
        told.extend(given)
    assert [each.rule for each in told if each] == ["timeout"]


def test_an_absolute_path_is_told_from_here(result: Make, here: Path) -> None:
    (here / "main.cpp").write_text("é x\n")
    source = str(here / "main.cpp")
    (told,) = found(result(source, verdict=Verdict.REJECTED, diagnostics=(error("no", source, 1, 4),)))
    assert (told.path, told.column) == ("main.cpp", 3)


def test_standard_input_has_a_name(result: Make) -> None:
    assert found(result("-", verdict=Verdict.TIMEOUT))[0].path == "stdin"


def test_results_of_a_source_are_given_together(result: Make) -> None:
    results = [result("a.c"), result("a.c", standard="c17"), result("b.c")]
    assert [len(each) for each in by_source(results) if each] == [2, 1]


def test_compiles_are_named_in_short(result: Make) -> None:
    pairs = [("gcc-11", "c++17"), ("gcc-12", "c++17"), ("clang-14", "c++17"), ("clang-14", "c++20")]
    checks = [result(toolchain=toolchain, standard=standard) for toolchain, standard in pairs]
    assert named(checks) == "gcc-11, gcc-12 at c++17; clang-14 at c++17, c++20"


def test_the_examples_of_the_documentation_hold() -> None:
    assert doctest.testmod(places).failed == 0
    assert doctest.testmod(groups).failed == 0
