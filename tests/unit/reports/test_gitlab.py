from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
from hypothesis import given

from tests.unit.reports.made import HOSTILE, SLOWLY
from willitcompile.errors import NoAnswer
from willitcompile.model import CheckResult, Diagnostic, Verdict
from willitcompile.reports import Style
from willitcompile.reports.gitlab import render

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Make = Callable[..., CheckResult]

FORMAT = {
    "type": "array",
    "items": {
        "type": "object",
        "required": ["description", "check_name", "fingerprint", "severity", "location"],
        "properties": {
            "description": {"type": "string", "minLength": 1},
            "check_name": {"type": "string", "minLength": 1},
            "fingerprint": {"type": "string", "minLength": 32},
            "severity": {"enum": ["info", "minor", "major", "critical", "blocker"]},
            "location": {
                "type": "object",
                "required": ["path", "lines"],
                "properties": {
                    "path": {"type": "string", "minLength": 1},
                    "lines": {"required": ["begin"], "properties": {"begin": {"type": "integer", "minimum": 1}}},
                },
            },
        },
    },
}
"""What https://docs.gitlab.com/ci/testing/code_quality/#code-quality-report-format asks for, in its words."""

VALIDATOR = jsonschema.Draft202012Validator(FORMAT)


def read(text: str) -> Any:
    assert text.startswith("[")  # GitLab takes no byte order mark
    document = json.loads(text)
    VALIDATOR.validate(document)
    return document


def test_a_violation_is_as_gitlab_documents_it(result: Make) -> None:
    said = Diagnostic("src/a.cpp", 42, 7, "warning", "-Wunused", "unused")
    (told,) = read("".join(render([result(diagnostics=(said,))], Style())))
    assert len(told.pop("fingerprint")) == 32
    assert told == {
        "description": "unused",
        "check_name": "-Wunused",
        "severity": "minor",
        "location": {"path": "src/a.cpp", "lines": {"begin": 42}},
    }


def test_what_does_not_compile_is_critical_and_has_a_line(result: Make) -> None:
    (told,) = read("".join(render([result(verdict=Verdict.CRASHED)], Style())))
    assert told["severity"] == "critical"
    assert told["location"]["lines"]["begin"] == 1


def test_all_is_well_is_an_empty_list(result: Make) -> None:
    assert read("".join(render([result()], Style()))) == []


def test_an_error_on_the_way_ends_the_list(result: Make) -> None:
    def results() -> Iterator[CheckResult]:
        yield result(verdict=Verdict.TIMEOUT)
        raise NoAnswer("check", "it broke", "mend it")

    pieces = []
    with pytest.raises(NoAnswer):
        pieces.extend(render(results(), Style()))
    assert len(read("".join(pieces))) == 1


@SLOWLY
@given(HOSTILE)
def test_whatever_a_source_says_it_is_valid_and_no_fingerprint_is_there_twice(results: list[CheckResult]) -> None:
    told = read("".join(render(results, Style())))
    prints = [each["fingerprint"] for each in told]
    assert len(set(prints)) == len(prints)
