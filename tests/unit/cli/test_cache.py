"""`will-it-compile cache`, and the options of `check` that are about it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from willitcompile.backends import Identity

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

ONE = Identity("one")


@pytest.fixture(autouse=True)
def home(project: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The cache directory of each test."""
    monkeypatch.delenv("WIC_CACHE")
    directory = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("XDG_CACHE_HOME", str(directory))
    (project / "a.c").write_text("int a;\n")
    return directory


def test_an_answer_that_was_given_before_says_so(cli: Callable[..., object]) -> None:
    first, second = cli("check", "a.c", identity=ONE), cli("check", "a.c", identity=ONE)
    assert (first.code, second.code) == (0, 0), first.err
    assert "cached" not in first.out
    assert "cached" in second.out
    assert '"cached": true' in cli("check", "-f", "json", "a.c", identity=ONE).out


def test_a_cached_rejection_ends_as_the_first(cli: Callable[..., object], project: Path) -> None:
    (project / "a.c").write_text("// fake: stderr a.c:1:1: error: no\n// fake: exit 1\n")
    first, second = cli("check", "a.c", identity=ONE), cli("check", "a.c", identity=ONE)
    assert (first.code, second.code) == (1, 1)
    assert "a.c:1:1: error: no" in second.out


@pytest.mark.parametrize("how", [("--no-cache",), ("--config", "none.yaml")])
def test_without_the_cache_everything_is_compiled_and_nothing_kept(
    cli: Callable[..., object], how: tuple[str, ...], project: Path, home: Path
) -> None:
    (project / "none.yaml").write_text("cache: false\n")
    for _ in range(2):
        assert "cached" not in cli("check", *how, "a.c", identity=ONE).out
    assert not list(home.rglob("results.sqlite"))
    cli("check", "a.c", identity=ONE)
    assert "cached" not in cli("check", *how, "a.c", identity=ONE).out


def test_stats_say_what_there_is_and_how_often_it_was_of_use(cli: Callable[..., object], home: Path) -> None:
    for _ in range(3):
        cli("check", "a.c", identity=ONE)
    said = cli("cache", "stats").out.splitlines()
    assert said[0] == str(home / "will-it-compile" / "results.sqlite")
    assert said[1].startswith("1 answer, ")
    assert said[1].endswith(" of at most 500 MiB")
    assert said[2].startswith("2 of 3 asked for were there, since 20")


def test_clear_forgets_all_of_it(cli: Callable[..., object]) -> None:
    cli("check", "a.c", identity=ONE)
    assert cli("cache", "clear").out == "1 answer forgotten\n"
    assert cli("cache", "clear").out == "0 answers forgotten\n"
    assert "cached" not in cli("check", "a.c", identity=ONE).out


def test_a_home_that_cannot_be_written_costs_a_note_and_no_answer(
    cli: Callable[..., object], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(home / "file"))
    ended = cli("check", "a.c", identity=ONE)
    assert ended.code == 0
    assert ended.err.count("note: answers are not kept: ") == 1
    assert cli("check", "-q", "a.c", identity=ONE).err == ""
    ended = cli("cache", "stats")
    assert ended.code == 3
    assert "export XDG_CACHE_HOME=" in ended.err


@pytest.mark.parametrize("line", ["cache-size: 1K", "shared-cache: /tmp", "shared-cache: redis://evil.example"])
def test_a_file_that_was_found_does_not_say_whose_answers_are_believed(
    cli: Callable[..., object], project: Path, line: str
) -> None:
    (project / "willitcompile.yaml").write_text(f"{line}\n")
    ended = cli("check", "a.c", identity=ONE)
    assert ended.code == 2
    assert "may not say where answers are kept" in ended.err


def test_a_shared_directory_serves_two_homes(
    cli: Callable[..., object], home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    shared = str(home / "shared")
    os.mkdir(shared)
    cli("check", "--shared-cache", shared, "a.c", identity=ONE)
    monkeypatch.setenv("XDG_CACHE_HOME", str(home / "another"))
    assert "cached" in cli("check", "--shared-cache", shared, "a.c", identity=ONE).out


@pytest.mark.parametrize("place", ["relative", "http://example.org"])
def test_a_shared_cache_is_a_directory_or_a_redis(cli: Callable[..., object], place: str) -> None:
    ended = cli("check", "--shared-cache", place, "a.c", identity=ONE)
    assert ended.code == 2
    assert "redis://" in ended.err
