"""What rustc prints with --error-format=json, as text and diagnostics. Any bytes at all give an answer."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from willitcompile.languages import Messages
from willitcompile.languages.paths import as_named
from willitcompile.model import Diagnostic, FixIt

if TYPE_CHECKING:
    from collections.abc import Iterator

_SEVERITIES = {"error": "error", "warning": "warning", "note": "note", "help": "help"}
_CUT = re.compile(r'\{(?:"\$message_type":"diagnostic",)?"message":("(?:[^"\\]|\\.)*+")')
# Counts of what was said before, no messages of their own.
_SUMMARY = re.compile(r"aborting due to |\d+ warnings? emitted|some errors have detailed")
_APPLICABLE = frozenset({"MachineApplicable", "MaybeIncorrect"})
_DEEPEST = 20


def messages(stdout: bytes, stderr: bytes, prefix: str) -> Messages:
    """Read what a compile printed. See `Language.messages`."""
    text = stderr.decode("utf-8", "backslashreplace")
    kept: list[str] = []
    diagnostics: list[Diagnostic] = []
    lines = text.split("\n")
    for index, line in enumerate(lines):
        message = _parsed(line)
        if message is not None:
            kept.append(_string(message.get("rendered")))
            diagnostics.extend(_diagnostics(message, prefix))
        elif index == len(lines) - 1 and (cut := _CUT.match(line)):
            kept.append(f"error: {_unquoted(cut[1])}\n")
        elif index < len(lines) - 1 or line:
            kept.append(line + "\n" if index < len(lines) - 1 else line)
    human = "".join(part if part.endswith("\n") or not part else part + "\n" for part in kept)
    return Messages(stdout.decode("utf-8", "backslashreplace"), human, tuple(diagnostics))


def _parsed(line: str) -> dict[str, Any] | None:
    if not line.startswith("{"):
        return None
    try:
        message = json.loads(line)
    # An integer with too many digits is a ValueError, brackets within brackets a RecursionError.
    except (ValueError, RecursionError):
        return None
    return message if isinstance(message, dict) and isinstance(message.get("message"), str) else None


def _unquoted(text: str) -> str:
    try:
        return str(json.loads(text))
    except ValueError:
        return text


def _diagnostics(message: dict[str, Any], prefix: str, depth: int = 0) -> Iterator[Diagnostic]:
    level = _string(message.get("level"))
    severity = _SEVERITIES.get(level, "error" if level.startswith("error") else "")
    text = _string(message.get("message"))
    spans = _dicts(message.get("spans"))
    if not severity or (not spans and _SUMMARY.match(text)):
        return
    place = next((_outermost(span) for span in spans if span.get("is_primary") is True), None)
    code = message.get("code")
    yield Diagnostic(
        as_named(_string(place.get("file_name")), prefix) if place else None,
        _number(place.get("line_start")) if place else None,
        _column(place, "start") if place else None,
        severity,
        _string(code.get("code")) or None if isinstance(code, dict) else None,
        text,
        tuple(_fixits(spans, prefix)),
    )
    if depth < _DEEPEST:
        for child in _dicts(message.get("children")):
            yield from _diagnostics(child, prefix, depth + 1)


def _outermost(span: dict[str, Any]) -> dict[str, Any]:
    """Out of the macros of the standard library, to the place that uses them."""
    for _ in range(_DEEPEST):
        if not _string(span.get("file_name")).startswith(("/", "<")):
            break
        expansion = span.get("expansion")
        outer = expansion.get("span") if isinstance(expansion, dict) else None
        if not isinstance(outer, dict):
            break
        span = outer
    return span


def _fixits(spans: list[dict[str, Any]], prefix: str) -> Iterator[FixIt]:
    for span in spans:
        text = span.get("suggested_replacement")
        start, end = _number(span.get("line_start")), _number(span.get("line_end"))
        first, last = _column(span, "start"), _column(span, "end")
        if isinstance(text, str) and span.get("suggestion_applicability") in _APPLICABLE:
            path = as_named(_string(span.get("file_name")), prefix)
            yield FixIt(path, start or 1, first or 1, end or start or 1, last or first or 1, text)


def _column(span: dict[str, Any], side: str) -> int | None:
    """A column in bytes. rustc counts characters, and gives the lines to count in."""
    column = _number(span.get(f"column_{side}"))
    lines = _dicts(span.get("text"))
    if column is None or not lines:
        return column
    line = _string(lines[0 if side == "start" else -1].get("text"))
    return len(line[: column - 1].encode("utf-8", "replace")) + 1 + max(0, column - 1 - len(line))


def _number(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 2**31 else None


def _string(value: object) -> str:
    return value if isinstance(value, str) else ""


def _dicts(value: object) -> list[dict[str, Any]]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []
