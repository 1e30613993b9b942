"""How a verdict is told on the page: by a sign, in a word, and only then by a colour."""

from __future__ import annotations

from html import escape
from typing import NamedTuple

from willitcompile.model import Verdict
from willitcompile.reports.safe import safe, safe_line


class Told(NamedTuple):
    sign: str
    word: str


TOLD = {
    Verdict.COMPILED: Told("✓", "Compiles"),
    Verdict.REJECTED: Told("✗", "Rejected"),
    Verdict.TIMEOUT: Told("◷", "Too long"),
    Verdict.OUT_OF_MEMORY: Told("▦", "Memory"),
    Verdict.OUTPUT_LIMIT: Told("≡", "Output"),
    Verdict.CRASHED: Told("!", "Crashed"),
}


def tone(verdict: Verdict, is_good: bool) -> str:
    """The class of the page's style: `good`, `bad` or `warn`."""
    if is_good:
        return "good"
    return "bad" if verdict in {Verdict.COMPILED, Verdict.REJECTED} else "warn"


def told(verdict: Verdict, is_good: bool) -> str:
    """The sign and the word. A sign is not read out."""
    sign, word = TOLD[verdict]
    if verdict in {Verdict.COMPILED, Verdict.REJECTED}:
        sign = "✓" if is_good else "✗"
    return f'<span class="sign" aria-hidden="true">{sign}</span> <span>{word}</span>'


def text(said: str) -> str:
    """Lines of whatever a source or a compiler says, harmless in an element and in an attribute."""
    return escape(safe(said))


def line(said: str) -> str:
    """As `text`, on one line."""
    return escape(safe_line(said))


def plural(count: int, what: str) -> str:
    return f"{count} {what}{'s' if count != 1 else ''}"
