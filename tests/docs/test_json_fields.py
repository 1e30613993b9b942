"""docs/json.md names each field that the program writes, and no other."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from willitcompile.backends.fake import TOOLCHAINS
from willitcompile.cli.environments import as_json
from willitcompile.errors import NoAnswer
from willitcompile.model import CheckResult, CompileResult, Diagnostic, FixIt, Verdict
from willitcompile.reports import Style
from willitcompile.reports.json import render

PAGE = (Path(__file__).parents[2] / "docs" / "json.md").read_text()


def fields(introduction: str) -> set[str]:
    """Those of the first table after a line."""
    rest = PAGE.partition(f"\n{introduction}\n")[2]
    table = re.search(r"(?:^\|.*\n)+", rest, re.MULTILINE)
    assert table, introduction
    return set(re.findall(r"^\| `(\w+)` ", table[0], re.MULTILINE))


@pytest.fixture(scope="module")
def produced() -> Any:
    compiled = CompileResult(
        verdict=Verdict.REJECTED,
        exit_code=1,
        stdout=b"",
        stderr=b"",
        duration_seconds=0.1,
        compiler="gcc",
        isolation="namespaces",
    )
    diagnostic = Diagnostic("a.c", 1, 1, "error", None, "no", (FixIt("a.c", 1, 1, 1, 1, ";"),))
    check = CheckResult("a.c", "c", "gcc-12", "c17", "sandbox", compiled, "", "", (diagnostic,))

    def results() -> Any:
        yield check
        raise NoAnswer("a", "b", "c")

    pieces = []
    with pytest.raises(NoAnswer):
        pieces.extend(render(results(), Style()))
    return json.loads("".join(pieces))


@pytest.fixture(scope="module")
def example() -> Any:
    block = re.search(r"^```json\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    assert block
    return json.loads(block[1])


def test_the_document(produced: Any) -> None:
    assert fields("## The document") == set(produced)
    assert fields("## The `error`") == set(produced["error"])


def test_results_diagnostics_and_fixits(produced: Any, example: Any) -> None:
    for document in (produced, example):
        (result,) = document["results"]
        (diagnostic,) = result["diagnostics"]
        (fixit,) = diagnostic["fixits"]
        assert fields("## Each of `results`") == set(result)
        assert fields("## Each of `diagnostics`") == set(diagnostic)
        assert fields("## Each of `fixits`") == set(fixit)


def test_every_verdict_is_named(produced: Any, example: Any) -> None:
    assert set(example["summary"]) == set(produced["summary"])
    assert all(f"`{verdict}`" in PAGE for verdict in Verdict)


def test_environments() -> None:
    document = json.loads(as_json("fake", TOOLCHAINS))
    (toolchain, *_) = document["toolchains"]
    assert fields("## `environments --format json`") == set(document)
    assert fields("Each of `toolchains`:") == set(toolchain)
    assert fields("Each of `languages`:") == set(toolchain["languages"]["c"])
