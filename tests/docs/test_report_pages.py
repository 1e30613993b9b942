"""docs/reports.md says what the reports do, and its examples are right."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from willitcompile.reports import REPORTS, findings
from willitcompile.reports.gitlab import SEVERITIES
from willitcompile.reports.html import messages

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "reports.md").read_text()
EXAMPLES = re.findall(r"^\$ (will-it-compile .*)$", PAGE, re.MULTILINE)


def blocks(kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


def test_every_format_is_in_the_table() -> None:
    assert re.findall(r"^\| \[?`(\w+)`", PAGE, re.MULTILINE) == list(REPORTS)


def test_the_numbers_are_those_of_the_program() -> None:
    assert f"at most {findings.MOST_FINDINGS:,} messages, and a message {findings.MOST_TEXT:,} characters" in PAGE
    assert f"at most {messages.MOST_OUTPUT_IN_ALL // 1_000_000} million characters" in PAGE
    assert f"{messages.MOST_OUTPUT:,} of each" in PAGE
    assert f"Errors are\n`{SEVERITIES['error']}`, warnings `{SEVERITIES['warning']}`." in PAGE


def test_the_examples_in_yaml_can_be_read_and_ask_for_formats_that_there_are() -> None:
    assert len(blocks("yaml")) == 4
    for block in blocks("yaml"):
        assert yaml.safe_load(block)
    for name in re.findall(r"-f (\w+)", "".join(blocks("\\w+"))):
        assert name in REPORTS


@pytest.mark.parametrize("page", ["README.md", "docs/reports.md"])
def test_links_lead_somewhere(page: str) -> None:
    file = ROOT / page
    for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", file.read_text()):
        assert (file.parent / link).exists(), link


@pytest.mark.sandbox
@pytest.mark.usefixtures("sandbox")
@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_ends_as_it_says(tmp_path: Path, example: str) -> None:
    """With 0, unless a comment behind it says otherwise, and with every report that it asks for."""
    for directory in ("src", ".git"):
        (tmp_path / directory).mkdir()
    for name in ("main.cpp", "src/a.cpp", "src/b.cpp"):
        (tmp_path / name).write_text("int main() { return 0; }\n")
    (tmp_path / "bad.cpp").write_text("int main() { return 0 }\n")
    command, _, comment = example.partition("#")
    environment = {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "DOCKER_HOST": os.environ["DOCKER_HOST"],  # which is none: see tests/conftest.py
    }
    done = subprocess.run(
        command, shell=True, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == int(comment.strip().removeprefix("exits ") or 0), done.stderr
    for file in re.findall(r":(\S+\.\w+)|-o (\S+)", command):
        text = (tmp_path / "".join(file)).read_text()
        assert json.loads(text) if "sarif" in "".join(file) else text.startswith("<!DOCTYPE html>")
    if "github" in command:
        (said,) = blocks("text")
        place = r"::error file=bad.cpp,line=1,col=22,title=error \([^)]*\)::"
        assert re.match(place, said)
        assert re.match(place, done.stdout)
