"""What `check --watch` says besides the report: what has changed, and how all the sources stand."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from willitcompile.files import below, relative
from willitcompile.reports.safe import safe_line
from willitcompile.reports.words import ending

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from willitcompile.model import CheckResult

MOST_CHANGED = 3
"""Of the files that have changed, in one line."""

MOST_SOURCES = 20
"""Of those that are not good: more of them do not fit a screen."""

MOST_ENDINGS = 2
"""Of one source, in one line."""

CLEAR = "\x1b[2J\x1b[H"
"""An empty screen. What has scrolled off it can still be scrolled to."""


class Standing(NamedTuple):
    """How a source stood when it was checked last."""

    bad: tuple[str, ...] = ()
    """The ending of each compile that did not go as it should."""


UNCHECKED = Standing(("not checked yet",))
NO_ANSWER = Standing(("cannot be checked",))


def standing(results: Iterable[CheckResult]) -> Standing:
    """How a source stands by all its results."""
    return Standing(
        tuple(
            f"{ending(result)} ({safe_line(result.toolchain)}, {safe_line(result.standard)})"
            for result in results
            if not result.is_as_expected
        )
    )


def heading(clock: str, changed: Sequence[str], removed: Sequence[str]) -> str:
    """
    >>> heading("14:03:22", ["util.h", "main.cpp"], ["old.cpp"])
    '14:03:22 changed: util.h, main.cpp; removed: old.cpp'
    """
    parts = [f"{what}: {_few(names)}" for what, names in (("changed", changed), ("removed", removed)) if names]
    return f"{clock} {'; '.join(parts) or 'checked again'}"


def overview(standings: Mapping[str, Standing]) -> Iterator[str]:
    """The lines below a report: what is not good, then a line that always comes last."""
    bad = {source: each.bad for source, each in standings.items() if each.bad}
    if len(standings) == 1:
        (only,) = standings
        yield f"watching {safe_line(only)}: {'not good' if bad else 'good'}"
        return
    if bad:
        yield "not good:"
    for source in list(bad)[:MOST_SOURCES]:
        yield f"  {safe_line(source)}: {_and_more(bad[source], MOST_ENDINGS)}"
    if len(bad) > MOST_SOURCES:
        yield f"  and {len(bad) - MOST_SOURCES} more"
    how = f"{len(standings) - len(bad)} good, {len(bad)} not" if bad else "all good" if standings else "none yet"
    yield f"watching {len(standings)} sources: {how}"


def shown(path: str, directory: str) -> str:
    """A path as it is named to people who are in this directory."""
    path = os.path.normpath(path)
    return relative(path, directory) if below(path, directory) else path


def _few(names: Sequence[str]) -> str:
    return _and_more([safe_line(name) for name in names], MOST_CHANGED)


def _and_more(texts: Sequence[str], most: int) -> str:
    more = f" and {len(texts) - most} more" if len(texts) > most else ""
    return ", ".join(texts[:most]) + more
