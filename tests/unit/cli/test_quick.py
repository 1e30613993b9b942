"""The quick parser is typer's shadow: it may pass a line on, but never reads one differently."""

from __future__ import annotations

from typing import TYPE_CHECKING
from unittest.mock import patch

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from willitcompile.cli import app, quick
from willitcompile.cli.arguments import MANY, OPTIONS, SWITCHES, CheckArguments
from willitcompile.config import SETTINGS
from willitcompile.errors import RequestError

if TYPE_CHECKING:
    from collections.abc import Sequence

VALUES = st.sampled_from(["gcc", "c++20", "3", "", "-", "--", "-q", "-x", "a b", "=", "A=B", "é", "--help", "td=c++20"])
NAMES = st.sampled_from([*OPTIONS, *SWITCHES, "-h", "--help", "--bogus", "-x", "--lin", "-qv", "-vqc", "-qx"])
WORDS = st.one_of(
    VALUES,
    NAMES,
    st.builds("{}={}".format, NAMES, VALUES),
    st.builds("{}{}".format, NAMES, VALUES),
    st.text(st.characters(exclude_characters="\0"), max_size=5),
)


def by_typer(argv: Sequence[str]) -> CheckArguments | None:
    """None for a line that is wrong, or asks for help."""
    read: list[CheckArguments] = []
    with patch.object(app, "_check", lambda asked, _: read.append(asked) or 0):
        try:
            action = app.parse(["check", *argv])
        except RequestError:
            return None
        if not isinstance(action, int):
            action(lambda *_: None)  # type: ignore[arg-type, return-value]
    return read[0] if read else None


@given(st.lists(WORDS, max_size=6))
@example(["-c"])
@example(["--", "--", "-q"])
@example(["-std=c++20", "-Wall", "-Iinclude", "-DA=1", "x.cpp"])
@example(["--link=yes"])
def test_what_it_reads_is_what_typer_reads(argv: list[str]) -> None:
    shadow = quick.parse(argv)
    if shadow is not None:
        assert shadow == by_typer(argv)


@pytest.mark.parametrize(
    "line",
    [
        "main.cpp",
        "-c gcc,clang --std=c++17 -s c++20 src",
        "-std=c++20 -Wall -Wextra -Iinclude -I lib -DA=1 -D B --flag=-O2 --link x.cpp",
        "- -lc++ -qv -j4 --timeout 3 --memory=1G --cpus 1 --max-output 1K -f json -o out.json",
        "-f text -fsarif:out.sarif --format=junit:out.xml x.cpp",
        "--context kind-kind --namespace=builds x.c",
        "--color never --config c.yaml --max-file-size 1M --max-unit-size 2M -b sandbox -- -odd.c",
        "",
    ],
)
def test_an_ordinary_line_does_not_need_typer(line: str) -> None:
    assert quick.parse(line.split()) == by_typer(line.split())
    assert quick.parse(line.split()) is not None


@pytest.mark.parametrize("line", ["--help", "-h", "-qh", "--bogus", "-x", "-c", "--std", "--link=1", "--st c++20"])
def test_what_is_unusual_is_typers(line: str) -> None:
    assert quick.parse(["a.c", *line.split()]) is None


def test_every_setting_is_an_option() -> None:
    off = {"cache", "expectations"}
    assert set(SETTINGS) == (set(OPTIONS.values()) | off | {"link"}) - {"output", "config"}
    assert {f"--no-{name}" if name in off else f"--{name}" for name in SETTINGS} <= {*OPTIONS, *SWITCHES}
    assert {name for name, setting in SETTINGS.items() if setting.adds} | {"compiler", "std", "format"} == MANY
