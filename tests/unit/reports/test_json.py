from __future__ import annotations

import doctest
import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from willitcompile.errors import NoAnswer
from willitcompile.model import CheckResult, Diagnostic, FixIt, Verdict
from willitcompile.reports import Style
from willitcompile.reports import json as report
from willitcompile.reports.json import dumps, render

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Make = Callable[..., CheckResult]

ANY_TEXT = st.text(st.characters(codec=None))
"""With lone surrogates, as names of files have that are not UTF-8."""


def document(*results: CheckResult, **style: object) -> Any:
    return json.loads("".join(render(results, Style(**style))))  # type: ignore[arg-type]


def test_version_1_is_as_it_was_promised(result: Make) -> None:
    """Fields may be added to this, and never changed: programs read it."""
    said = Diagnostic("main.cpp", 1, 21, "error", None, "no", (FixIt("main.cpp", 1, 21, 1, 22, ";"),))
    check = result(verdict=Verdict.REJECTED, stdout="out", stderr="main.cpp:1:21: error: no\n", diagnostics=(said,))
    assert document(check) == {
        "version": 1,
        "results": [
            {
                "source": "main.cpp",
                "language": "c++",
                "toolchain": "gcc-12",
                "standard": "c++17",
                "verdict": "rejected",
                "exit_code": 1,
                "duration_seconds": 0.314159,
                "cached": False,
                "backend": "sandbox",
                "isolation": "namespaces",
                "compiler": "g++ (Debian 12.2.0-14) 12.2.0",
                "image": None,
                "stdout": "out",
                "stderr": "main.cpp:1:21: error: no\n",
                "truncated": False,
                "diagnostics": [
                    {
                        "path": "main.cpp",
                        "line": 1,
                        "column": 21,
                        "severity": "error",
                        "code": None,
                        "message": "no",
                        "fixits": [
                            {
                                "path": "main.cpp",
                                "start_line": 1,
                                "start_column": 21,
                                "end_line": 1,
                                "end_column": 22,
                                "text": ";",
                            }
                        ],
                    }
                ],
                "limit": None,
                "signal": None,
                "peak_memory_bytes": None,
                "notes": [],
                "expected": None,
                "hint": None,
                "path": None,
                "line": None,
            }
        ],
        "summary": {
            "compiled": 0,
            "rejected": 1,
            "timeout": 0,
            "out-of-memory": 0,
            "output-limit": 0,
            "crashed": 0,
        },
    }


def test_nothing_checked_is_a_document_too() -> None:
    assert document() == {"version": 1, "results": [], "summary": dict.fromkeys(map(str, Verdict), 0)}


def test_every_result_is_there_in_order_and_counted(result: Make) -> None:
    names = [f"{number}.c" for number in range(5)]
    verdicts = [Verdict.COMPILED, Verdict.TIMEOUT, Verdict.COMPILED, Verdict.CRASHED, Verdict.OUT_OF_MEMORY]
    read = document(*map(result, names, verdicts))
    assert [each["source"] for each in read["results"]] == names
    assert {name: count for name, count in read["summary"].items() if count} == {
        "compiled": 2,
        "timeout": 1,
        "crashed": 1,
        "out-of-memory": 1,
    }


def test_style_is_nothing_to_a_program(result: Make) -> None:
    results = (result(), result("b.c", Verdict.REJECTED, stderr="x"))
    assert document(*results, color=True, quiet=True, verbose=True) == document(*results)


def test_each_result_is_written_as_it_comes(result: Make) -> None:
    asked = []

    def results() -> Iterator[CheckResult]:
        for name in ("a.c", "b.c"):
            asked.append(name)
            yield result(name)

    pieces = render(results(), Style())
    assert '"results"' in next(pieces)
    assert asked == []
    assert '"a.c"' in next(pieces)
    assert asked == ["a.c"]


def test_an_error_on_the_way_ends_the_document_and_is_raised(result: Make) -> None:
    def results() -> Iterator[CheckResult]:
        yield result("a.c")
        raise NoAnswer("check b.c", "it \x1b broke", "mend it")

    pieces = []
    with pytest.raises(NoAnswer):
        pieces.extend(render(results(), Style()))
    read = json.loads("".join(pieces))
    assert read["error"] == {"asked": "check b.c", "obstacle": "it \x1b broke", "remedy": "mend it"}
    assert read["summary"]["compiled"] == 1


def test_an_error_of_ours_is_not_hidden_in_a_document() -> None:
    def results() -> Iterator[CheckResult]:
        raise ZeroDivisionError
        yield

    with pytest.raises(ZeroDivisionError):
        list(render(results(), Style()))


@given(ANY_TEXT, ANY_TEXT)
def test_hostile_text_is_still_valid_and_printable_json(name: str, said: str) -> None:
    diagnostic = Diagnostic(name, 1, 1, "error", said, said, (FixIt(name, 1, 1, 1, 1, said),))
    text = dumps({"source": name, "stderr": said, "diagnostics": [diagnostic.message, diagnostic.code]})
    assert text.isascii()
    assert text.isprintable()
    read = json.loads(text)
    assert read["source"].encode().decode() == read["source"]  # no lone surrogate
    if not any(0xD800 <= ord(character) <= 0xDFFF for character in said):
        assert read["stderr"] == said


def test_the_whole_of_a_hostile_result_is_printable(result: Make) -> None:
    evil = "\x1b[2J\u202e\udcff\ud800\0\n\u2028</script>"
    check = result(evil, Verdict.REJECTED, stdout=evil, stderr=evil, compiler=evil, image=evil, notes=(evil,))
    text = "".join(render([check], Style()))
    assert text.isascii()
    assert text.replace("\n", "").isprintable()
    assert json.loads(text)["results"][0]["source"] == "\x1b[2J\u202e\\xff\\ud800\0\n\u2028</script>"


def test_the_example_of_the_documentation_holds() -> None:
    assert doctest.testmod(report).failed == 0
