"""docs/minimum.md: its commands run, its tables are those of the program and of the tests."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.real.dated import PROGRAMS, Dated
from willitcompile.minimum import SourceMinimum
from willitcompile.minimum.family import FamilyMinimum, Span, Tried
from willitcompile.model import Verdict
from willitcompile.reports import Style
from willitcompile.reports.minimum import as_json

if TYPE_CHECKING:
    from collections.abc import Callable

PAGE = (Path(__file__).parents[2] / "docs/minimum.md").read_text()
COMMANDS = [line.removeprefix("$ ") for line in PAGE.splitlines() if line.startswith("$ ")]


def row(program: Dated) -> str:
    tables = "; ".join([program.standard, *(f"{family} {version}" for family, version in program.since.items())])
    found = "; ".join(f"{family} {version} at {standard}" for family, (standard, version) in program.seen.items())
    return f"| `{program.file}` | {tables} | {found} | {program.why} |"


def test_each_difference_from_the_published_tables_is_there_with_its_reason() -> None:
    differing = [program for program in PROGRAMS if program.seen]
    assert all(program.why for program in differing)
    table = PAGE.partition("| program | the tables |")[2].splitlines()[2:]
    assert table == list(map(row, differing))


def fields(introduction: str) -> set[str]:
    rest = PAGE.partition(f"\n{introduction}\n")[2]
    table = re.search(r"(?:^\|.*\n)+", rest, re.MULTILINE)
    assert table, introduction
    return set(re.findall(r"^\| `(\w+)` ", table[0], re.MULTILINE))


def test_each_field_of_the_json_report_is_there() -> None:
    tried = (Tried("gcc-12", "c++20", True, Verdict.COMPILED),)
    family = FamilyMinimum("gcc", ("gcc-12",), Span("c++20"), Span("gcc-12"), False, tried)
    document: Any = json.loads(as_json("fake", [SourceMinimum("a.cpp", "c++", (family,))], Style()))
    [source] = document["minimum"]
    [said] = source["families"]
    assert fields("The json report, version 1. Fields are added, never changed.") == set(document)
    assert fields("Each of `minimum`:") == set(source)
    assert fields("Each of `families`:") == set(said)
    assert fields("Each `standard` and `toolchain`:") == set(said["standard"]) == set(said["toolchain"])
    assert fields("Each of `tried`:") == set(said["tried"][0])


@pytest.mark.sandbox
@pytest.mark.parametrize("command", COMMANDS)
def test_an_example_runs(
    command: str, tmp_path: Path, families: set[str], unavailable: Callable[[str, str, str], None]
) -> None:
    if "gcc" not in families:
        unavailable("sandbox", "gcc is missing", "apt-get install g++")
    for name in (".git", "src", "include"):
        (tmp_path / name).mkdir()
    for name in ("main.cpp", "src/a.cpp"):
        (tmp_path / name).write_text("int x;\n")
    words = command.split()
    assert words[0] == "will-it-compile"
    argv = [sys.executable, "-m", "willitcompile.cli", *words[1:]]
    done = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "main.cpp" in done.stdout or "src/a.cpp" in done.stdout
