"""The text report of sources that were each compiled in several ways."""

from __future__ import annotations

from typing import TYPE_CHECKING

from willitcompile.errors import WillItCompileError
from willitcompile.reports import text
from willitcompile.reports.groups import alike, by_source, named
from willitcompile.reports.safe import safe_line
from willitcompile.reports.table import matrix, table
from willitcompile.reports.words import ending

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from willitcompile.model import CheckResult
    from willitcompile.reports import Style


def sources(results: Iterable[CheckResult], style: Style) -> Iterator[str]:
    """The text of each source when it is whole, and "" for each result that only adds to one.

    Raises what `results` raises, after the text of what there was before.
    """
    first: list[CheckResult] = []
    """Held back until it is known whether it is the only source."""
    several = False
    try:
        for checks in by_source(results):
            if checks and first:
                several = True
                yield _joined(_lines(first, style, several=True))
                first = []
            if checks and not several:
                first = checks
                yield ""
            else:
                yield _joined(_lines(checks, style, several=True))
    except WillItCompileError:
        yield _joined(_lines(first, style, several=False))
        raise
    yield _joined(_lines(first, style, several=False))


def _joined(lines: Iterable[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


def _lines(checks: Sequence[CheckResult], style: Style, *, several: bool) -> Iterator[str]:
    """Of several sources one that is good in all its compiles is a line; any other gets a table."""
    if len(checks) < 2:
        for check in checks:
            yield from text.lines(check, style)
        return
    source = safe_line(checks[0].source)
    bad = [check for check in checks if not check.is_as_expected]
    if style.quiet:
        for group in alike(bad):
            yield f"{source}: {_heading(group, checks, style)}"
            yield from _message(group[0], style)
        return
    is_line = several and not bad
    yield f"{source}: {_summary(checks, len(bad))}" + (f": {named(checks)}" if is_line else "")
    if not is_line:
        yield from table(matrix(checks), style.width, lambda check, word: text.painted(check, word, style))
    for group in sorted(alike(checks), key=lambda group: group[0].is_as_expected):
        message = list(_message(group[0], style))
        if message or not group[0].is_as_expected:
            yield from ("", _heading(group, checks, style), *message)
            is_line = False
    if style.verbose:
        yield ""
        for check in checks:
            yield text.summary(check, style)
            yield from (f"  {line}" for line in text.details(check))
    if not is_line:
        yield ""


def _summary(checks: Sequence[CheckResult], bad: int) -> str:
    """`compiled in all 4`, `compiled in 3 of 4`; where the source says how they are to end: `as expected in all 4`."""
    how = "as expected" if any(check.expected for check in checks) else "compiled"
    return f"{how} in {f'{len(checks) - bad} of' if bad else 'all'} {len(checks)}"


def _heading(group: Sequence[CheckResult], checks: Sequence[CheckResult], style: Style) -> str:
    """`rejected: gcc-11, gcc-12 at c++17; clang-14 at c++17, c++20`."""
    which = f"all {len(checks)}" if len(group) == len(checks) else safe_line(named(group))
    return f"{text.painted(group[0], ending(group[0]), style)}: {which}"


def _message(check: CheckResult, style: Style) -> Iterator[str]:
    yield from text.said(check, style)
    yield from (f"  {line}" for line in text.remarks(check))
