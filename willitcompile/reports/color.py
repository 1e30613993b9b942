"""Colours of our own for what compilers print, which are asked for text without any.

Every pattern is anchored at the start of a line and matches in one pass: the text is hostile and may be long.
"""

from __future__ import annotations

import re

BOLD, RED, GREEN, YELLOW, BLUE, CYAN = "1", "1;31", "1;32", "1;33", "1;34", "1;36"

_SEVERITIES = {
    "fatal error": RED,
    "internal compiler error": RED,
    "sorry, unimplemented": RED,
    "error": RED,
    "warning": YELLOW,
    "note": CYAN,
    "remark": CYAN,
    "help": CYAN,
}
_SEVERITY = "|".join(_SEVERITIES)

_PLACED = re.compile(rf"([^:]+(?::[0-9]{{1,9}}){{1,2}}:)( )(?:({_SEVERITY})(:))?")
"""`main.cpp:1:21: error: …` of gcc and clang, `./main.go:3:2: …` of go."""

_HEADED = re.compile(rf"({_SEVERITY})((?:\[[A-Z0-9]{{1,12}}\])?:)")
"""`error[E0308]: …` of rustc."""

_ARROW = re.compile(r"( *)(-->|:::)")
_CARETS = re.compile(r"([ |]*)([\^~]+)")


def paint(text: str, code: str) -> str:
    return f"\x1b[{code}m{text}\x1b[0m"


def paint_message(text: str) -> str:
    """The same text, safe already, with colours. See `willitcompile.reports.safe`."""
    return "\n".join(map(_paint_line, text.split("\n")))


def _paint_line(line: str) -> str:
    if match := _HEADED.match(line):
        return paint(match[0], _SEVERITIES[match[1]]) + line[match.end() :]
    if match := _ARROW.match(line):
        return match[1] + paint(match[2], BLUE) + line[match.end() :]
    if match := _CARETS.match(line):
        return match[1] + paint(match[2], GREEN) + line[match.end() :]
    if match := _PLACED.match(line):
        severity = paint(match[3] + match[4], _SEVERITIES[match[3]]) if match[3] else ""
        return paint(match[1], BOLD) + match[2] + severity + line[match.end() :]
    return line
