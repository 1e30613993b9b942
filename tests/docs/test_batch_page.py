"""docs/batch.md: its records are answered as it shows, and its fields are those that are read."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from willitcompile.batch.records import FIELDS

PAGE = (Path(__file__).parents[2] / "docs" / "batch.md").read_text()
[RECORDS] = re.findall(r"^<!-- programs.jsonl -->\n```json\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
BATCH = [sys.executable, "-m", "willitcompile.cli", "batch", "-b", "sandbox", "--no-cache"]


@pytest.mark.sandbox
def test_the_records_of_the_page_are_answered_as_it_shows(
    sandbox: None, families: set[str], tmp_path: Path, unavailable: object
) -> None:
    if "rustc" not in families:
        pytest.skip("sandbox: skipped, there is no rustc: apt-get install rustc")
    (tmp_path / "programs.jsonl").write_text(RECORDS)
    done = subprocess.run(BATCH, input=RECORDS, cwd=tmp_path, capture_output=True, text=True, check=False)
    [shown] = re.findall(r"^(\d+ records: .*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    assert done.stderr == shown
    assert {each["id"]: each["compiled"] for each in map(json.loads, done.stdout.splitlines())} == {
        "p-1": True,
        "p-2": False,
        "p-3": True,
        "p-4": True,
    }
    resumed = [*BATCH, "programs.jsonl", "--output", "answers.jsonl", "--resume"]
    (tmp_path / "answers.jsonl").write_text("".join(done.stdout.splitlines(keepends=True)[:2]))
    done = subprocess.run(resumed, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "4 records: 3 compiled (75.0%), 1 rejected; 2 of them were answered before" in done.stderr


def test_its_fields_are_those_that_are_read() -> None:
    table = PAGE.partition("## A record")[2].partition("\n\nWhat a record")[0]
    named = [name for row in re.findall(r"^\| (`.*?) \|", table, re.MULTILINE) for name in re.findall(r"`(\w+)`", row)]
    assert set(named) == set(FIELDS)


def test_its_script_makes_records(tmp_path: Path) -> None:
    [script] = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    for name in ("anne", "bob"):
        (tmp_path / "submissions" / name).mkdir(parents=True)
        (tmp_path / "submissions" / name / "a.cpp").write_bytes(b"int x; // \xff\n")
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert [json.loads(line)["group"] for line in done.stdout.splitlines()] == ["anne", "bob"]


def test_the_error_of_the_page_is_one(tmp_path: Path) -> None:
    [shown] = [json.loads(line) for line in PAGE.splitlines() if line.startswith('{"id": "p-9"')]
    lines = "\n" * 8 + '{"id": "p-9", "language": "c", "code": "", "std": "c17"}\n'
    done = subprocess.run(BATCH, input=lines, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert json.loads(done.stdout) == shown
