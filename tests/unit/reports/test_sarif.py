from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
from hypothesis import given

from tests.unit.reports.made import HOSTILE, SLOWLY
from willitcompile import __version__
from willitcompile.errors import NoAnswer
from willitcompile.model import CheckResult, Diagnostic, FixIt, Verdict
from willitcompile.reports import Style, sarif
from willitcompile.reports.sarif import render

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Make = Callable[..., CheckResult]

SCHEMA = Path(__file__).parents[2] / "schemas" / "sarif-schema-2.1.0.json"
"""The official one: see README.md there."""


@cache
def validator() -> Any:
    schema = json.loads(SCHEMA.read_text())
    kind = jsonschema.validators.validator_for(schema)
    kind.check_schema(schema)
    return kind(schema, format_checker=kind.FORMAT_CHECKER)


def run(*results: CheckResult) -> Any:
    """The run of a document that is valid."""
    document = json.loads("".join(render(results, Style())))
    validator().validate(document)
    return document["runs"][0]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def rejected(result: Make, *said: Diagnostic, **fields: Any) -> CheckResult:
    return result(verdict=Verdict.REJECTED, diagnostics=said, **fields)


def test_what_compiles_is_a_run_without_results(result: Make) -> None:
    read = run(result())
    assert read["results"] == []
    assert read["tool"]["driver"]["name"] == "will-it-compile"
    assert read["tool"]["driver"]["version"] == __version__
    assert read["invocations"] == [{"executionSuccessful": True}]


def test_nothing_checked_is_valid_too() -> None:
    assert run()["results"] == []


def test_a_message_has_its_rule_its_level_and_its_place(result: Make, here: Path) -> None:
    (here / "a b.cpp").write_text('"é" x\n')
    read = run(rejected(result, Diagnostic("a b.cpp", 1, 6, "warning", "-Wunused", "unused")))
    (told,) = (each for each in read["results"] if each["level"] == "warning")
    assert told["ruleId"] == "-Wunused"
    assert read["tool"]["driver"]["rules"][told["ruleIndex"]]["id"] == "-Wunused"
    assert told["message"]["text"] == "unused"
    place = told["locations"][0]["physicalLocation"]
    assert place["artifactLocation"] == {"uri": "a%20b.cpp", "uriBaseId": "SRCROOT"}
    assert place["region"] == {"startLine": 1, "startColumn": 5}
    assert read["columnKind"] == "unicodeCodePoints"


def test_a_file_elsewhere_is_an_absolute_uri(result: Make) -> None:
    note = Diagnostic("/usr/include/c++/x.h", 7, None, "note", None, "here")
    read = run(rejected(result, Diagnostic("main.cpp", 1, None, "error", None, "no"), note))
    (related,) = read["results"][0]["relatedLocations"]
    assert related["physicalLocation"]["artifactLocation"] == {"uri": "file:///usr/include/c%2B%2B/x.h"}
    assert related["message"]["text"] == "here"


def test_a_fix_replaces_exactly_what_the_compiler_says(result: Make, here: Path) -> None:
    (here / "main.cpp").write_text("é foo(1)\n")
    fixits = (FixIt("main.cpp", 1, 4, 1, 7, "bar"), FixIt("main.cpp", 1, 10, 1, 10, ";"))
    read = run(rejected(result, Diagnostic("main.cpp", 1, 4, "error", None, "did you mean bar?", fixits)))
    (fix,) = read["results"][0]["fixes"]
    (change,) = fix["artifactChanges"]
    text = (here / change["artifactLocation"]["uri"]).read_text()
    for each in reversed(change["replacements"]):
        region = each["deletedRegion"]
        assert region["startLine"] == region["endLine"] == 1
        start, end = region["startColumn"] - 1, region["endColumn"] - 1
        text = text[:start] + each["insertedContent"]["text"] + text[end:]
    assert text == "é bar(1);\n"


def test_the_compiles_that_say_so_are_named(result: Make) -> None:
    said = Diagnostic("main.cpp", 1, 1, "error", None, "no")
    (told,) = run(rejected(result, said), rejected(result, said, standard="c++20"), result(toolchain="clang-19"))[
        "results"
    ]
    assert told["properties"]["compiles"] == ["gcc-12 c++17", "gcc-12 c++20"]
    assert told["message"]["text"] == "no\n(gcc-12 c++17, gcc-12 c++20)"


def test_a_limit_is_a_result_at_the_source(result: Make) -> None:
    read = run(result(verdict=Verdict.TIMEOUT))
    (told,) = read["results"]
    assert told["ruleId"] == "timeout"
    assert told["locations"][0]["physicalLocation"] == {"artifactLocation": {"uri": "main.cpp", "uriBaseId": "SRCROOT"}}
    assert read["tool"]["driver"]["rules"][0]["shortDescription"]["text"] == "The compile took longer than it may."


@pytest.mark.parametrize("verdict", Verdict)
def test_every_verdict_has_its_rule_described(verdict: Verdict) -> None:
    assert verdict is Verdict.COMPILED or verdict in sarif.RULES


def test_no_message_is_taken_for_a_placeholder_or_a_link(result: Make) -> None:
    (told,) = run(rejected(result, Diagnostic("a.c", 1, 1, "error", None, "expected '{0}' in [x](http://evil)")))[
        "results"
    ]
    assert told["message"]["text"] == r"expected '{{0}}' in \[x\](http://evil)"


def test_made_up_warnings_become_one_rule(result: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sarif, "MOST_RULES", 3)
    said = [Diagnostic("a.c", each, 1, "warning", f"-Wx{each}", "w") for each in range(1, 9)]
    rules = run(result(diagnostics=tuple(said)))["tool"]["driver"]["rules"]
    assert [each["id"] for each in rules] == ["-Wx1", "-Wx2", "-Wx3", "other"]


def test_an_error_on_the_way_is_a_notification(result: Make) -> None:
    def results() -> Iterator[CheckResult]:
        yield result(verdict=Verdict.TIMEOUT)
        raise NoAnswer("check b.c", "it broke", "mend it")

    pieces = []
    with pytest.raises(NoAnswer):
        pieces.extend(render(results(), Style()))
    document = json.loads("".join(pieces))
    validator().validate(document)
    (read,) = document["runs"]
    assert len(read["results"]) == 1
    (invocation,) = read["invocations"]
    assert invocation["executionSuccessful"] is False
    (notification,) = invocation["toolExecutionNotifications"]
    assert notification["message"]["text"] == "check b.c: it broke; try: mend it"


@SLOWLY
@given(HOSTILE)
def test_whatever_a_source_says_the_document_is_valid(results: list[CheckResult]) -> None:
    read = run(*results)
    rules = [each["id"] for each in read["tool"]["driver"]["rules"]]
    assert len(set(rules)) == len(rules)
    for told in read["results"]:
        assert rules[told["ruleIndex"]] == told["ruleId"]
        assert told["locations"][0]["physicalLocation"]["artifactLocation"]["uri"].isascii()
