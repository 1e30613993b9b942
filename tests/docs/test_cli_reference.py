"""docs/cli.md says what the program says."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs import cli_reference
from tests.docs.pages import page_with
from willitcompile import errors
from willitcompile.cli.output import READER_GONE
from willitcompile.errors import WillItCompileError
from willitcompile.model import Limits, Verdict
from willitcompile.reports import units

PAGE: str = cli_reference.PAGE.read_text()


def rows(heading: str) -> list[list[str]]:
    """The table of a section, without its head."""
    section = re.split(rf"^## {heading}$", PAGE, flags=re.MULTILINE)[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines[2:]]


def test_the_reference_is_what_help_prints() -> None:
    assert page_with(cli_reference.reference(), PAGE, cli_reference.BEGIN) == PAGE, "try: make docs"


@pytest.mark.parametrize("command", cli_reference.commands())
def test_every_command_and_each_of_its_options_is_there(command: str) -> None:
    section = PAGE.partition(f"\n### {command}\n")[2].partition("\n### ")[0]
    options = re.findall(r"^  (?:-\w, )?(--[\w-]+)", cli_reference.help_of(command), re.MULTILINE)
    assert "--help" in options
    assert all(option in section for option in options)


def test_the_exit_codes_are_those_of_the_program() -> None:
    classes = [
        each for each in vars(errors).values() if isinstance(each, type) and issubclass(each, WillItCompileError)
    ]
    codes = {0, 1, READER_GONE, *(each.exit_code for each in classes)}
    assert [int(row[0]) for row in rows("Exit codes")] == sorted(codes)


def test_the_verdicts_and_their_limits_are_those_of_the_program() -> None:
    table = {verdict.strip("`"): limit for verdict, _, limit in rows("Verdicts")}
    assert list(table) == list(map(str, Verdict))
    limits = Limits()
    assert table["timeout"] == units.seconds(limits.wall_seconds)
    assert table["out-of-memory"] == units.size(limits.memory_bytes)
    assert table["output-limit"] == units.size(limits.output_bytes)
    assert units.size(limits.file_bytes) in PAGE
    assert f"{limits.processes} processes" in PAGE


EXAMPLES = [
    line.removeprefix("$ ")
    for block in re.findall(r"^```console\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    for line in block.splitlines()
    if line.startswith("$ ")
]


@pytest.mark.sandbox
@pytest.mark.usefixtures("sandbox")
@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_ends_as_it_says(tmp_path: Path, example: str) -> None:
    """With 0, unless a comment behind it says otherwise."""
    for directory in ("src", "include", ".git"):
        (tmp_path / directory).mkdir()
    for name in ("main.cpp", "src/a.cpp", "src/b.cpp"):
        (tmp_path / name).write_text("int main() { return 0; }\n")
    (tmp_path / "bad.cpp").write_text("int main() { return 0 }\n")
    command, _, comment = example.partition("#")
    expected = int(comment.strip().removeprefix("exits ")) if comment else 0
    environment = {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "HOME": os.environ["HOME"],
        "DOCKER_HOST": os.environ["DOCKER_HOST"],  # which is none: see tests/conftest.py
    }
    done = subprocess.run(
        command, shell=True, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == expected, done.stderr
    assert bool(done.stderr) == (expected > 1)
