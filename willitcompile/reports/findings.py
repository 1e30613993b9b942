"""What reports of places tell: each message at its place, once for all the compiles that say it.

Of a compile that ended as it should these are its warnings. Of any other they are its errors too, or, where it has
none, how it ended. A compile that was to be rejected, and was, has nothing to tell.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from willitcompile.model import Diagnostic, Verdict
from willitcompile.reports.groups import by_source
from willitcompile.reports.places import Columns, is_own, relative
from willitcompile.reports.safe import safe, safe_line
from willitcompile.reports.words import ending, explanation

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from willitcompile.model import CheckResult, FixIt

MOST_TEXT = 4_000
"""Characters of one message."""

MOST_NOTES = 20
"""Of one message. A template error can have hundreds."""

MOST_FINDINGS = 25_000
"""Of one report. GitHub refuses more in a SARIF file, and nobody reads them."""

MOST_NAMED = 6
"""Compiles that a message names."""

EXPECTATION = "expectation"
"""The rule of a compile that did not end as its source says."""

# gcc quotes as the locale says, and by version.
_QUOTES = re.compile('[‘’“”`"]')  # noqa: RUF001


class Note(NamedTuple):
    """What a compiler adds to a message."""

    path: str | None
    line: int | None
    column: int | None
    """In characters, as in `Finding`."""

    message: str


class Fix(NamedTuple):
    """One way to mend it: all of these replacements together, their columns in characters."""

    description: str
    replacements: tuple[FixIt, ...]


class Finding(NamedTuple):
    """One message at its place."""

    path: str
    """As the user would name it, from the current directory where it is in there."""

    line: int | None
    """None for the file as a whole."""

    column: int | None
    """In characters from 1; None where the file cannot be read to count them."""

    level: str
    """`error` or `warning`."""

    rule: str
    """The compiler's own code, `-Wunused-variable`, `E0308`; else `error`, `warning`, a verdict or `expectation`."""

    message: str
    fingerprint: str
    """The same as long as the message is, on whichever line; different from that of any other of the report."""

    notes: tuple[Note, ...] = ()
    fixes: tuple[Fix, ...] = ()
    compiles: tuple[str, ...] = ()
    """Those that say so, in their order, as `gcc-12 c++17`."""

    of: int = 1
    """How many compiles there were of the source."""

    @property
    def told_by(self) -> str:
        """Who says so: `gcc-11 c++17, gcc-12 c++17`, or `all 8`; empty where there is one compile alone."""
        if self.of == 1:
            return ""
        if len(self.compiles) == self.of:
            return f"all {self.of}"
        more = len(self.compiles) - MOST_NAMED
        return ", ".join(self.compiles[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")


class _Said(NamedTuple):
    """A message with what follows it, of one compile."""

    message: Diagnostic
    notes: tuple[Diagnostic, ...] = ()


def findings(results: Iterable[CheckResult]) -> Iterator[Finding | None]:
    """The findings, source by source; None where there is none yet, so that something comes for every result.

    None is told twice, as one in a header that two sources include. Raises what `results` raises, after all that came
    before it.
    """
    columns = Columns()
    known: set[bytes] = set()
    counts: Counter[bytes] = Counter()
    for checks in by_source(results):
        yield None
        for check, said, compiles in _together(checks):
            finding = _finding(check, said, columns)
            key = _digest(finding.path, finding.rule, _plain(finding.message))
            here = _digest(key, finding.line, finding.column)
            if here in known or len(known) > MOST_FINDINGS:
                continue
            known.add(here)
            if len(known) > MOST_FINDINGS:
                text = f"there are more than {MOST_FINDINGS} messages: the others are left out"
                yield Finding(finding.path, None, None, "warning", "more", text, key.hex())
                continue
            counts[key] += 1
            yield finding._replace(
                # The same message again in the same file is told apart by a number, which no edit elsewhere changes.
                fingerprint=f"{key.hex()}-{counts[key]}" if counts[key] > 1 else key.hex(),
                compiles=tuple(compiles),
                of=len(checks),
            )


def _together(checks: list[CheckResult]) -> list[tuple[CheckResult, _Said, list[str]]]:
    """Each message of the compiles of a source once, with those that say it."""
    found: dict[tuple[object, ...], tuple[CheckResult, _Said, list[str]]] = {}
    for check in checks:
        name = safe_line(f"{check.toolchain} {check.standard}")
        for said in _said(check):
            own = said.message
            key = (own.path, own.line, own.column, own.severity, own.code, _plain(own.message))
            compiles = found.setdefault(key, (check, said, []))[2]
            if name not in compiles:
                compiles.append(name)
    return list(found.values())


def _said(check: CheckResult) -> Iterator[_Said]:
    """What one compile has to tell."""
    if check.is_as_expected and check.verdict is not Verdict.COMPILED:
        return
    has_error = False
    said: _Said | None = None
    for each in check.diagnostics:
        if each.severity in {"error", "warning"}:
            if said:
                yield said
            said = _Said(each)
            has_error |= each.severity == "error"
        elif said and len(said.notes) < MOST_NOTES:
            said = said._replace(notes=(*said.notes, each))
    if said:
        yield said
    if check.is_as_expected:
        return
    if check.expected:
        yield _of_source(check, EXPECTATION, ending(check))
    elif check.verdict is not Verdict.REJECTED:
        words = [check.verdict, *explanation(check.result, check.limits)]
        yield _of_source(check, check.verdict, ": ".join(words))
    elif not has_error:
        yield _of_source(check, check.verdict, "\n".join([check.verdict, check.stderr.strip(), *check.notes]))


def _of_source(check: CheckResult, rule: str, text: str) -> _Said:
    return _Said(Diagnostic(check.file, check.line, None, "error", rule, text))


def _finding(check: CheckResult, said: _Said, columns: Columns) -> Finding:
    own = said.message
    place, text = own, own.message
    if not own.path or not is_own(own.path, check.file):
        # In a header of the system, say: it is told where the user's own code comes in.
        if own.path:
            text = f"{own.path}:{own.line or 1}: {text}"
        notes = (each for each in said.notes if each.path and is_own(each.path, check.file))
        place = next(notes, Diagnostic(check.file, check.line, None, "note", None, ""))
    path = place.path or check.file
    return Finding(
        path=relative(path),
        line=place.line,
        column=columns.character(path, place.line, place.column, check.file),
        level=own.severity,
        rule=safe_line(own.code or own.severity)[:200],
        message=_short(text) or own.severity,
        fingerprint="",
        notes=tuple(
            Note(
                relative(each.path) if each.path else None,
                each.line,
                columns.character(each.path or "", each.line, each.column, check.file),
                _short(each.message),
            )
            for each in said.notes
        ),
        fixes=tuple(fix for each in (own, *said.notes) if (fix := _fix(each, check.file, columns))),
    )


def _fix(diagnostic: Diagnostic, source: str, columns: Columns) -> Fix | None:
    """Exact, or not at all: half of a fix, or one at a wrong place, breaks what it should mend."""
    replacements = []
    for each in diagnostic.fixits:
        start = columns.character(each.path, each.start_line, each.start_column, source)
        end = columns.character(each.path, each.end_line, each.end_column, source)
        if start is None or end is None or (each.end_line, end) < (each.start_line, start):
            return None
        replacements.append(each._replace(path=relative(each.path), start_column=start, end_column=end))
    return Fix(_short(diagnostic.message), tuple(replacements)) if replacements else None


def _short(text: str) -> str:
    text = safe(text).strip()
    return text if len(text) <= MOST_TEXT else text[:MOST_TEXT] + "…"


def _plain(message: str) -> str:
    return _QUOTES.sub("'", message)


def _digest(*what: object) -> bytes:
    return hashlib.sha256(repr(what).encode("utf-8", "surrogatepass")).digest()[:16]
