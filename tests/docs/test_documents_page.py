"""docs/documents.md, completion.md, mcp.md and editors.md: what they show is what is said."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from willitcompile.config.files import from_yaml
from willitcompile.listings.fragments import wrappers
from willitcompile.listings.markdown import LANGUAGES

if TYPE_CHECKING:
    from collections.abc import Callable

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "documents.md").read_text()


def check(directory: Path, *argv: str) -> str:
    words = [sys.executable, "-m", "willitcompile.cli", "check", "--color", "never", "-b", "sandbox", *argv]
    done = subprocess.run(words, cwd=directory, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


def plain(line: str) -> str:
    return re.sub(r"\(.*\)", "", line).strip()


@pytest.mark.sandbox
def test_the_document_of_the_page_is_answered_as_it_shows(sandbox: None, families: set[str], tmp_path: Path) -> None:
    [document] = re.findall(r"^````markdown\n(.*?)^````", PAGE, re.MULTILINE | re.DOTALL)
    (tmp_path / "guide.md").write_text(document)
    [shown] = re.findall(r"^```text\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    said = check(tmp_path, "guide.md")
    for line in shown.splitlines():
        assert plain(line) in map(plain, said.splitlines()), said


def test_the_words_of_the_page_are_those_that_are_known() -> None:
    sentence = PAGE.partition("says the language:")[2].partition(";")[0]
    assert set(re.findall(r"`([^`]+)`", sentence)) == set(LANGUAGES)


def test_the_setting_of_the_page_is_one() -> None:
    [text] = re.findall(r"^```yaml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    [entry] = from_yaml(text, "willitcompile.yaml")
    assert entry.section
    assert wrappers(entry.section)["c++"].every


def test_the_configuration_for_agents_starts_our_server() -> None:
    [text] = re.findall(r"^```json\n(.*?)^```", (DOCS / "mcp.md").read_text(), re.MULTILINE | re.DOTALL)
    [server] = json.loads(text)["mcpServers"].values()
    assert server["command"] == "will-it-compile"
    argv = [sys.executable, "-m", "willitcompile.cli", *server["args"]]
    done = subprocess.run(argv, input="", capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


SOURCES = {
    "a.cpp": "int main() { return nothing; }\n",
    "b.cpp": '#include "missing.h"\n',
    "c.go": "package main\n\nfunc main() { nothing() }\n",
    "d.rs": "fn main() { nothing(); }\n",
    "e.c": "int f(void) { int unused; }\n",
}
WHERE = {"a.cpp": (1, 21), "b.cpp": (1, 10), "c.go": (3, 15), "d.rs": (1, 13), "e.c": (1, 19)}


@pytest.fixture(scope="module")
def said(sandbox: None, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    directory = tmp_path_factory.mktemp("editors")
    for name, text in SOURCES.items():
        (directory / name).write_text(text)
    return {name: check(directory, "-q", *(["-Wall"] if name == "e.c" else []), name) for name in SOURCES}


@pytest.mark.sandbox
@pytest.mark.parametrize("name", SOURCES)
def test_the_problem_matcher_finds_the_problem(said: dict[str, str], name: str) -> None:
    [text] = re.findall(r"^```json\n(.*?)^```", (DOCS / "editors.md").read_text(), re.MULTILINE | re.DOTALL)
    found = []
    for matcher in json.loads(text)["tasks"][0]["problemMatcher"]:
        patterns = matcher["pattern"] if isinstance(matcher["pattern"], list) else [matcher["pattern"]]
        lines = said[name].splitlines()
        for start in range(len(lines) - len(patterns) + 1):
            matches = [re.search(each["regexp"], line) for each, line in zip(patterns, lines[start:], strict=False)]
            if all(matches):
                values = {
                    key: match[number]
                    for each, match in zip(patterns, matches, strict=True)
                    if match
                    for key, number in each.items()
                    if key != "regexp"
                }
                found.append((os.path.normpath(values["file"]), int(values["line"]), int(values["column"])))
    # gcc says what is unused as a warning of another option, which a quiet report leaves out where it compiles.
    if name != "e.c":
        assert (name, *WHERE[name]) in found, said[name]
    assert all(file == name for file, _, _ in found)


@pytest.mark.sandbox
@pytest.mark.parametrize("name", [name for name in SOURCES if name != "e.c"])
def test_vim_goes_to_the_problem(
    said: dict[str, str], name: str, tmp_path: Path, unavailable: Callable[[str, str, str], None]
) -> None:
    if not shutil.which("vim"):
        unavailable("sandbox", "there is no vim", "apt-get install vim")
    [script] = re.findall(r"^```vim\n(.*?)^```", (DOCS / "editors.md").read_text(), re.MULTILINE | re.DOTALL)
    (tmp_path / "said").write_text(said[name])
    (tmp_path / name).write_text(SOURCES[name])
    (tmp_path / "vimrc").write_text(script)
    find = "map(filter(getqflist(), 'v:val.valid'), 'bufname(v:val.bufnr) . \" \" . v:val.lnum . \" \" . v:val.col')"
    argv = ["vim", "-N", "-u", "vimrc", "-i", "NONE", "-es", "-c", "cgetfile said"]
    argv += ["-c", f"call writefile({find}, 'found')", "-c", "qa!"]
    subprocess.run(argv, cwd=tmp_path, check=False, timeout=60, stdin=subprocess.DEVNULL)
    line, column = WHERE[name]
    assert f"{name} {line} {column}" in (tmp_path / "found").read_text().replace("./", "").splitlines()
