"""`check --watch`, as one sees it in a terminal and in a pipe."""

from __future__ import annotations

import os
import re
import signal
from typing import TYPE_CHECKING

import pytest

from tests.watching import Watch
from willitcompile.cli.watch_view import Standing, heading, overview

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.unit.cli.conftest import Ended

BAD = "// fake: stderr {}: no\n// fake: exit 1\n"
HANG = "// fake: hang\n"


def save(path: Path, text: str) -> None:
    """As most editors do, so that nobody sees half of it."""
    path.with_name("~").write_text(text)
    os.replace(path.with_name("~"), path)


@pytest.fixture
def src(project: Path) -> Path:
    """Two sources that compile, the first with a header."""
    (project / "src").mkdir()
    (project / "src/a.cpp").write_text('#include "a.h"\n')
    (project / "src/a.h").write_text("int a;\n")
    (project / "src/b.cpp").write_text("int b;\n")
    return project / "src"


def lines(said: str) -> list[str]:
    """Without the clock, the backend and how long it took."""
    said = re.sub(r"^\d\d:\d\d:\d\d ", "", said, flags=re.MULTILINE)
    said = re.sub(r" \((?:gcc|go|rustc)-[^)]*, [0-9.]+ s\)", "", said)
    return [line for line in said.splitlines() if line and not line.startswith("backend: ")]


class TestInAPipe:
    def test_only_what_a_change_affects_is_checked_again(self, src: Path) -> None:
        with Watch("src", directory=src.parent) as watch:
            assert lines(watch.round()) == [
                "src/a.cpp: compiled",
                "src/b.cpp: compiled",
                "2 files: 2 compiled",
                "watching 2 sources: all good",
            ]
            save(src / "a.h", BAD.format("a.h"))
            assert lines(watch.round()) == [
                "changed: src/a.h",
                "a.h: no",
                "src/a.cpp: rejected",
                "not good:",
                "  src/a.cpp: rejected (gcc-13, c++20)",
                "watching 2 sources: 1 good, 1 not",
            ]
            save(src / "b.cpp", "int c;\n")
            assert lines(watch.round()) == [
                "changed: src/b.cpp",
                "src/b.cpp: compiled",
                "not good:",
                "  src/a.cpp: rejected (gcc-13, c++20)",
                "watching 2 sources: 1 good, 1 not",
            ]

    def test_a_source_comes_and_goes(self, src: Path) -> None:
        with Watch("src", directory=src.parent) as watch:
            watch.round()
            save(src / "c.cpp", "int c;\n")
            assert lines(watch.round()) == [
                "changed: src/c.cpp",
                "src/c.cpp: compiled",
                "watching 3 sources: all good",
            ]
            (src / "c.cpp").unlink()
            assert lines(watch.round()) == ["removed: src/c.cpp", "watching 2 sources: all good"]
            (src / "sub").mkdir()
            save(src / "sub/d.c", "int d;\n")
            assert "src/sub/d.c: compiled" in lines(watch.round())

    def test_what_is_nobodys_business_is_not_told(self, src: Path) -> None:
        with Watch("src", directory=src.parent) as watch:
            watch.round()
            (src / "notes.txt").write_text("buy milk\n")
            (src / ".#a.cpp").symlink_to("somebody@somewhere")  # as Emacs marks what it edits
            save(src / "b.cpp", "int c;\n")
            assert lines(watch.round())[0] == "changed: src/b.cpp"

    def test_a_header_that_was_missing_mends_it(self, src: Path) -> None:
        save(src / "a.cpp", '// fake: needs src/late.h\n#include "late.h"\n')
        with Watch("src/a.cpp", directory=src.parent) as watch:
            assert lines(watch.round())[-1] == "watching src/a.cpp: not good"
            save(src / "late.h", "int late;\n")
            assert lines(watch.round()) == [
                "changed: src/late.h",
                "src/a.cpp: compiled",
                "watching src/a.cpp: good",
            ]

    def test_a_named_source_that_is_gone_is_waited_for(self, src: Path) -> None:
        with Watch("src/a.cpp", "src/b.cpp", directory=src.parent) as watch:
            watch.round()
            (src / "b.cpp").unlink()
            assert lines(watch.round()) == [
                "changed: src/b.cpp",
                "not good:",
                "  src/b.cpp: cannot be checked",
                "watching 2 sources: 1 good, 1 not",
            ]
            assert "error: check src/b.cpp\n  there is no such file\n" in watch.err.until("  try: .*\n")
            save(src / "b.cpp", "int b;\n")
            assert lines(watch.round())[-1] == "watching 2 sources: all good"

    def test_a_directory_that_is_gone_is_waited_for(self, src: Path) -> None:
        with Watch("src", directory=src.parent) as watch:
            watch.round()
            src.rename(src.with_name("elsewhere"))
            assert lines(watch.round()) == [
                "changed: src/a.h; removed: src/a.cpp, src/b.cpp",
                "watching 0 sources: none yet",
            ]
            assert "error: check src\n  there is no such file\n" in watch.err.until("  try: .*\n")
            src.with_name("elsewhere").rename(src)
            assert lines(watch.round())[-1] == "watching 2 sources: all good"

    def test_a_source_that_is_binary_for_a_moment_costs_the_others_nothing(self, src: Path) -> None:
        with Watch("src", directory=src.parent) as watch:
            watch.round()
            save(src / "a.h", "int changed;\n\0")
            save(src / "b.cpp", "\0")
            said = lines(watch.out.until("watching 2 sources: 1 good, 1 not\n"))
            assert "  src/b.cpp: cannot be checked" in said
            assert "src/a.cpp: compiled" in said
            save(src / "b.cpp", "int b;\n")
            assert lines(watch.round())[-1] == "watching 2 sources: all good"

    def test_a_change_ends_a_compile_that_is_outdated(self, src: Path) -> None:
        save(src / "b.cpp", HANG)
        with Watch("src", "-j2", "--timeout", "1h", directory=src.parent) as watch:
            watch.err.until("compiling src/b.cpp\n")
            save(src / "b.cpp", "int b;\n")
            said = lines(watch.round())
            assert said[-1] == "watching 2 sources: all good"
            assert "src/b.cpp: compiled" in said

    def test_what_changed_last_is_checked_first(self, src: Path) -> None:
        save(src / "a.h", HANG)
        with Watch("src", "-j1", "--timeout", "1h", directory=src.parent) as watch:
            watch.err.until("compiling src/a.cpp")
            save(src / "c.cpp", "int c;\n")  # a new source alone ends no compile
            save(src / "a.h", "int a;\n")
            watch.err.until("compiling src/a.cpp")
            assert lines(watch.round())[-1] == "watching 3 sources: all good"

    def test_many_files_at_once_are_all_checked(self, src: Path) -> None:
        with Watch("src", directory=src.parent) as watch:
            watch.round()
            for number in range(200):
                (src / f"n{number}.cpp").write_text('#include "a.h"\n')
            watch.out.until("watching 202 sources: all good\n")
            save(src / "a.h", BAD.format("a.h"))
            assert "  and 181 more\n" in watch.out.until("watching 202 sources: 1 good, 201 not\n")

    def test_a_backend_that_fails_is_asked_again_at_the_next_change(self, src: Path) -> None:
        with Watch("src", directory=src.parent) as watch:
            watch.round()
            (src.parent / "down").touch()
            save(src / "a.h", "int b;\n")
            assert lines(watch.round()) == [
                "changed: src/a.h",
                "not good:",
                "  src/a.cpp: not checked yet",
                "watching 2 sources: 1 good, 1 not",
            ]
            assert "error: compile\n  the daemon is gone\n" in watch.err.until("  try: .*\n")
            (src.parent / "down").unlink()
            save(src / "b.cpp", "int c;\n")
            said = lines(watch.round())
            assert {"src/a.cpp: compiled", "src/b.cpp: compiled"} < {*said}
            assert said[-1] == "watching 2 sources: all good"

    def test_a_new_source_that_nothing_compiles_is_told_of(self, src: Path) -> None:
        with Watch("src", "-c", "gcc", directory=src.parent) as watch:
            watch.round()
            save(src / "x.go", "package x\n")
            assert "  src/x.go: not checked yet" in lines(watch.round())
            assert "with gcc" in watch.err.until("  try: .*\n")
            (src / "x.go").unlink()
            assert lines(watch.round())[-1] == "watching 2 sources: all good"

    def test_quiet_says_only_what_is_not_good(self, src: Path) -> None:
        with Watch("src", "-q", directory=src.parent) as watch:
            assert lines(watch.round()) == ["watching 2 sources: all good"]
            save(src / "b.cpp", BAD.format("b.cpp"))
            assert "b.cpp: no" in lines(watch.round())

    def test_a_matrix_is_watched_cell_by_cell(self, src: Path) -> None:
        with Watch("src", "-c", "gcc,clang", "-s", "c++17,c++20", directory=src.parent) as watch:
            watch.round()
            save(src / "b.cpp", BAD.format("b.cpp"))
            last = lines(watch.round())[-2:]
            assert last == [
                "  src/b.cpp: rejected (gcc-13, c++17), rejected (gcc-13, c++20) and 2 more",
                "watching 2 sources: 1 good, 1 not",
            ]

    def test_hostile_names_reach_nobody_as_they_are(self, src: Path) -> None:
        with Watch("src", directory=src.parent) as watch:
            watch.round()
            save(src / "\u202ee.cpp", BAD.format("e.cpp"))
            said = watch.round()
            assert "<U+202E>" in said
            assert "\u202e" not in said


class TestItsEnd:
    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
    def test_is_a_signal(self, src: Path, number: signal.Signals) -> None:
        with Watch("src", directory=src.parent) as watch:
            watch.round()
            assert watch.end(number) == (130, "")
            assert watch.err.rest().endswith("interrupted\n")

    def test_stops_what_is_compiled(self, src: Path) -> None:
        save(src / "b.cpp", HANG)
        with Watch("src/b.cpp", "--timeout", "1h", directory=src.parent) as watch:
            watch.err.until("compiling")
            assert watch.end(signal.SIGINT)[0] == 130

    def test_comes_too_when_nobody_reads_it_any_more(self, src: Path) -> None:
        with Watch("src", directory=src.parent) as watch:
            watch.round()
            watch.out.close()
            assert watch.process.wait(60) == 141


class TestOnATerminal:
    def test_each_round_has_the_screen_for_itself(self, src: Path) -> None:
        with Watch("src", directory=src.parent, terminal=True) as watch:
            first = watch.round()
            assert "\x1b[2J" not in first
            assert first.endswith("watching 2 sources: all good (Ctrl-C ends it)\n")
            save(src / "b.cpp", BAD.format("b.cpp"))
            said = watch.round()
            assert re.match(r"\x1b\[2J\x1b\[H\x1b\[1m\d\d:\d\d:\d\d changed: src/b\.cpp\x1b\[0m\n", said)
            assert "\x1b[1;31mrejected" in said
            assert "\x1b[3J" not in said  # one can still scroll up

    def test_without_colour_only_the_screen_is_cleared(self, src: Path) -> None:
        with Watch("src", directory=src.parent, terminal=True, NO_COLOR="1") as watch:
            watch.round()
            save(src / "b.cpp", BAD.format("b.cpp"))
            assert set(re.findall(r"\x1b\[[0-9;]*\w", watch.round())) == {"\x1b[2J", "\x1b[H"}

    def test_a_dumb_one_and_a_pipe_get_plain_lines(self, src: Path) -> None:
        for terminal in (True, False):
            with Watch("src", directory=src.parent, terminal=terminal, TERM="dumb") as watch:
                said = watch.round()
                save(src / "b.cpp", "// again\n")
                assert "\x1b" not in said + watch.round()

    def test_an_error_is_not_wiped_away(self, src: Path) -> None:
        with Watch("src", directory=src.parent, terminal=True) as watch:
            watch.round()
            save(src / "b.cpp", "\0")
            said = watch.round()
            assert said.startswith("\x1b[2J")
            assert said.count("\x1b[2J") == 1


@pytest.mark.parametrize(
    ("argv", "obstacle"),
    [
        ((), "no file or directory is named"),
        (("-", "-lc++"), "standard input does not change"),
        (("a.cpp", "-fjson"), "watching has none"),
        (("a.cpp", "-f", "text:report.txt"), "watching has none"),
        (("a.cpp", "-o", "report.txt"), "watching has none"),
        (("a.cpp", "-f", "bogus"), "no format of that name"),
        (("missing.cpp",), "there is no such file"),
        (("a.cpp", "-c", "gcc-1"), "gcc-1"),
        (("a.cpp", "-s", "c++99"), "c++99"),
    ],
)
def test_what_cannot_be_watched_is_refused(
    cli: Callable[..., Ended], project: Path, argv: tuple[str, ...], obstacle: str
) -> None:
    (project / "a.cpp").touch()
    ended = cli("check", "--watch", *argv)
    assert (ended.code, ended.out) == (2, "")
    assert obstacle in ended.err
    assert re.fullmatch(r"(?s)(note: [^\n]*\n)?error: .*\n  .*\n  try: .*\n", ended.err)


def test_a_check_that_does_not_watch_imports_none_of_it(project: Path) -> None:
    import subprocess
    import sys

    (project / "a.cpp").touch()
    code = (
        "import sys\nfrom willitcompile.backends.fake import FakeBackend\nfrom willitcompile.cli import run\n"
        "run(['check', 'a.cpp', '-q'], lambda *_: FakeBackend())\n"
        "print([name for name in sys.modules if 'watch' in name])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


class TestTheView:
    def test_names_few_of_many_files(self) -> None:
        assert heading("1:00", ["a", "b", "c", "d", "e"], []) == "1:00 changed: a, b, c and 2 more"

    def test_names_few_of_many_sources_but_counts_all(self) -> None:
        said = list(overview({f"{number}.c": Standing(("rejected",)) for number in range(30)} | {"x.c": Standing()}))
        assert said[0] == "not good:"
        assert said[-2:] == ["  and 10 more", "watching 31 sources: 1 good, 30 not"]
        assert len(said) == 23
