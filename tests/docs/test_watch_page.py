"""docs/watch.md: its examples run, and what it shows is what is said."""

from __future__ import annotations

import re
import shlex
import signal
from pathlib import Path

import pytest

from tests.watching import Watch

PAGE = (Path(__file__).parents[2] / "docs" / "watch.md").read_text()
PREFIX = "$ will-it-compile check --watch "
EXAMPLES = [line.removeprefix(PREFIX) for line in PAGE.splitlines() if line.startswith(PREFIX)]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / ".git").mkdir()
    (tmp_path / "include").mkdir()
    (tmp_path / "src").mkdir()
    for name in ("main.cpp", "src/a.cpp", "src/b.cpp"):
        (tmp_path / name).write_text('#include "util.h"\n')
    (tmp_path / "src/util.h").touch()
    (tmp_path / "include/util.h").touch()
    return tmp_path


@pytest.mark.parametrize("line", EXAMPLES)
def test_an_example_watches(project: Path, line: str) -> None:
    with Watch(*shlex.split(line), directory=project) as watch:
        assert re.search(r"watching (2 sources: all good|main\.cpp: good)\n", watch.round())
        assert watch.end(signal.SIGINT)[0] == 130


def test_it_shows_what_is_said(project: Path) -> None:
    """Line by line, but for what a compiler says, and times and numbers."""
    shown = PAGE.partition("```text\n")[2].partition("```")[0].splitlines()
    with Watch("src", directory=project, terminal=True, NO_COLOR="1") as watch:
        watch.round()
        (project / "src/util.h").write_text("// fake: stderr src/a.cpp:2:24: error: no\n// fake: exit 1\n")
        said = re.sub(r"\x1b\[[0-9;]*\w", "", watch.round()).splitlines()
    for start in ("backend: ", "src/a.cpp: rejected, 1 error (", "not good:", "  src/a.cpp: rejected (", "watching "):
        assert [line for line in shown if line.startswith(start)], start
        assert [line for line in said if line.startswith(start)], start
    assert re.fullmatch(r"\d\d:\d\d:\d\d changed: src/util\.h", said[0])
    assert re.fullmatch(r"\d\d:\d\d:\d\d changed: src/util\.h", shown[0])
    assert said[-1].endswith(" (Ctrl-C ends it)")
    assert shown[-1].endswith(" (Ctrl-C ends it)")
