from __future__ import annotations

import io
from typing import TYPE_CHECKING

import pytest

from willitcompile.cli.terminal import is_terminal, say, wants_color

if TYPE_CHECKING:
    from collections.abc import Mapping


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return not self.closed


@pytest.mark.parametrize(
    ("choice", "environment", "terminal", "expected"),
    [
        ("auto", {"TERM": "xterm"}, True, True),
        ("auto", {"TERM": "xterm"}, False, False),
        ("auto", {"TERM": "dumb"}, True, False),
        ("auto", {}, True, False),
        ("auto", {"TERM": "xterm", "NO_COLOR": "1"}, True, False),
        ("auto", {"TERM": "xterm", "NO_COLOR": ""}, True, True),
        ("auto", {"FORCE_COLOR": "1"}, False, True),
        ("auto", {"FORCE_COLOR": "1", "NO_COLOR": "1"}, True, False),
        ("always", {"NO_COLOR": "1"}, False, True),
        ("never", {"FORCE_COLOR": "1", "TERM": "xterm"}, True, False),
    ],
)
def test_colour_is_for_terminals_and_as_asked(
    choice: str, environment: Mapping[str, str], terminal: bool, expected: bool
) -> None:
    stream = Terminal() if terminal else io.StringIO()
    assert wants_color(choice, stream, environment) is expected


def test_no_stream_and_a_closed_one_are_no_terminal() -> None:
    closed = io.StringIO()
    closed.close()
    assert not is_terminal(None)
    assert not is_terminal(closed)


def test_what_stderr_cannot_encode_is_shown_by_its_number(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr("sys.stderr", io.TextIOWrapper(raw, encoding="ascii"))
    say("caf\u00e9 \x1b[2J \udcff")
    assert raw.getvalue() == b"caf\\xe9 \\x1b[2J \\xff\n"


@pytest.mark.parametrize("stream", [None, "closed"])
def test_nobody_to_hear_it_is_no_reason_to_fail(monkeypatch: pytest.MonkeyPatch, stream: str | None) -> None:
    closed = io.StringIO()
    closed.close()
    monkeypatch.setattr("sys.stderr", closed if stream else None)
    say("anything")
