"""Reports of real compiles, read by those that they are for; what SARIF would mend is mended."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import jsonschema
import pytest
from junitparser import JUnitXml

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.sandbox

SCHEMA = Path(__file__).parents[1] / "schemas" / "sarif-schema-2.1.0.json"
SOURCE = """\
#include <algorithm>
#include <vector>
int main() {
    std::vector<int> v; const char* s = "é漢🙂"; v.push_bak(1);
    std::sort(v.begin(), 3);
    return 0
}
"""


def check(directory: Path, unavailable: Callable[..., None], *more: str) -> int:
    argv = [sys.executable, "-m", "willitcompile.cli", "check", "main file.cpp", "-b", "sandbox", "-s", "c++17", *more]
    done = subprocess.run(argv, cwd=directory, capture_output=True, text=True, check=False, timeout=120)
    if done.returncode > 1:
        unavailable("sandbox", done.stderr, "apt-get install bubblewrap g++ clang")
    return done.returncode


def test_all_are_valid_and_the_fixes_of_sarif_mend_the_source(tmp_path: Path, unavailable: Callable[..., None]) -> None:
    source = tmp_path / "main file.cpp"
    source.write_text(SOURCE)
    formats = ("sarif:a.sarif", "junit:a.xml", "gitlab:a.json", "github:a.txt", "html:a.html")
    chosen = [word for each in formats for word in ("-f", each)]
    assert check(tmp_path, unavailable, "-c", "gcc,clang", "-Wall", *chosen) == 1

    document = json.loads((tmp_path / "a.sarif").read_text())
    jsonschema.Draft4Validator(json.loads(SCHEMA.read_text())).validate(document)
    (suite,) = JUnitXml.fromfile(str(tmp_path / "a.xml"))
    assert (suite.name, suite.tests, suite.failures) == ("main file.cpp", 2, 2)
    results = document["runs"][0]["results"]
    assert len(json.loads((tmp_path / "a.json").read_text())) == len(results)
    assert len((tmp_path / "a.txt").read_text().splitlines()) == len(results)

    # Those of one compiler, as two would each write what is missing.
    of_gcc = [each for each in results if each["properties"]["compiles"][0].startswith("gcc")]
    source.write_text(mended(SOURCE, of_gcc).replace("std::sort(v.begin(), 3)", "(void) s"))
    assert check(tmp_path, unavailable, "-c", "gcc", "-q") == 0


def mended(text: str, results: list[Any]) -> str:
    """With every replacement made, from the end to the beginning."""
    lines = text.split("\n")
    changes = [change for each in results for fix in each.get("fixes", ()) for change in fix["artifactChanges"]]
    assert {unquote(change["artifactLocation"]["uri"]) for change in changes} == {"main file.cpp"}
    found = [replacement for change in changes for replacement in change["replacements"]]
    assert len(found) == 2
    for each in sorted(found, key=lambda each: -each["deletedRegion"]["startLine"]):
        region = each["deletedRegion"]
        line = lines[region["startLine"] - 1]
        start, end = region["startColumn"] - 1, region["endColumn"] - 1
        lines[region["startLine"] - 1] = line[:start] + each["insertedContent"]["text"] + line[end:]
    return "\n".join(lines)
