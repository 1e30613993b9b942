"""For people: the compiler's own message, then one line that says how it ended, in words.

Of a matrix: a table for each source, and below it each message once, with the compiles that it is of.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

from willitcompile.errors import WillItCompileError
from willitcompile.model import Verdict
from willitcompile.reports import color, units
from willitcompile.reports.safe import safe, safe_line
from willitcompile.reports.words import ending, explanation

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from willitcompile.model import CheckResult
    from willitcompile.reports import Style


def render(results: Iterable[CheckResult], style: Style) -> Iterator[str]:
    """See `willitcompile.reports.Report`."""
    tally = _Tally()
    counted = map(tally.count, results)
    if style.matrix:
        from willitcompile.reports.matrix import sources

        pieces = sources(counted, style)
    else:
        pieces = ("".join(f"{line}\n" for line in lines(check, style)) for check in counted)
    begun = style.quiet
    try:
        for text in pieces:
            if not begun and tally.first:
                begun = True
                yield f"backend: {safe_line(tally.first.backend)} ({safe_line(tally.first.result.isolation)})\n"
            yield text
    except WillItCompileError:
        yield tally.text(style)
        raise
    yield tally.text(style)


def lines(check: CheckResult, style: Style) -> Iterator[str]:
    """All that there is to say of one compile."""
    if style.quiet and check.is_as_expected:
        return
    yield from said(check, style)
    yield summary(check, style)
    for line in remarks(check):
        yield f"  {line}"
    if style.verbose:
        for line in details(check):
            yield f"  {line}"


def said(check: CheckResult, style: Style) -> Iterator[str]:
    """What the compiler printed: of a rejection that its source expects only where more is asked for."""
    if check.is_as_expected and check.verdict is not Verdict.COMPILED and not style.verbose:
        return
    for printed in (check.stdout, check.stderr):
        if printed:
            # A line that begins so is a command to GitHub Actions, and to others: a source must give none.
            text = re.sub(r"^(?=::|##)", " ", safe(printed).rstrip("\n"), flags=re.MULTILINE)
            yield color.paint_message(text) if style.color else text
    if check.result.truncated:
        yield "(the compiler printed more than is shown)"


def summary(check: CheckResult, style: Style) -> str:
    """One line: how it ended, and how it was done."""
    how = painted(check, ending(check), style) + "".join(
        f", {_plural(count, severity)}"
        for severity in ("error", "warning")
        if (count := sum(each.severity == severity for each in check.diagnostics))
    )
    duration = "cached" if check.cached else units.seconds(check.result.duration_seconds)
    made = (check.toolchain, check.standard, f"{check.backend}/{check.result.isolation}", duration)
    return f"{safe_line(check.source)}: {how} ({', '.join(map(safe_line, made))})"


def remarks(check: CheckResult) -> Iterator[str]:
    """What to know about how it ended, and what to type about it."""
    if check.is_as_expected and check.verdict is not Verdict.COMPILED:
        return
    yield from explanation(check.result, check.limits)
    for note in check.notes:
        yield f"note: {safe_line(note)}"
    if check.hint:
        yield f"hint: compiles with --std {safe_line(check.hint)}"


def painted(check: CheckResult, text: str, style: Style) -> str:
    """In the colour of how it ended: the words tell it too."""
    if not style.color:
        return text
    bad = color.RED if check.verdict in {Verdict.COMPILED, Verdict.REJECTED} else color.YELLOW
    return color.paint(text, color.GREEN if check.is_as_expected else bad)


def details(check: CheckResult) -> Iterator[str]:
    result = check.result
    yield f"language: {safe_line(check.language)}"
    yield f"compiler: {safe_line(result.compiler)}"
    if result.image:
        yield f"image: {safe_line(result.image)}"
    if result.exit_code is not None:
        yield f"exit code: {result.exit_code}"
    if result.peak_memory_bytes:  # a compile of milliseconds may be over before it is looked at
        yield f"peak memory: {units.size(result.peak_memory_bytes)}"


class _Tally:
    """Counts what there was."""

    def __init__(self) -> None:
        self.first: CheckResult | None = None
        self._counts: Counter[str] = Counter()
        self._sources: set[str] = set()

    def count(self, check: CheckResult) -> CheckResult:
        self.first = self.first or check
        self._sources.add(check.source)
        self._counts[_kind(check)] += 1
        return check

    def text(self, style: Style) -> str:
        total, sources = sum(self._counts.values()), len(self._sources)
        if total < 2 or style.quiet:
            return ""
        what = _plural(total, "file") if sources == total else f"{_plural(sources, 'file')}, {total} checks"
        return f"{what}: {', '.join(f'{count} {kind}' for kind, count in sorted(self._counts.items(), key=_order))}\n"


def _kind(check: CheckResult) -> str:
    """As what a compile is counted."""
    if check.expected is None or (check.is_as_expected and check.verdict is Verdict.COMPILED):
        return check.verdict
    return f"{check.verdict} {'as expected' if check.is_as_expected else 'unexpectedly'}"


def _order(counted: tuple[str, int]) -> tuple[int, str]:
    """That of the verdicts."""
    kind = counted[0]
    return list(Verdict).index(Verdict(kind.partition(" ")[0])), kind


def _plural(count: int, what: str) -> str:
    return f"{count} {what}{'s' if count != 1 else ''}"
