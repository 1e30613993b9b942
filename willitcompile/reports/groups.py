"""Results put together: those of one source, and those that say the same."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from willitcompile.errors import WillItCompileError
from willitcompile.model import Verdict, plain_quotes

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from willitcompile.model import CheckResult, Diagnostic


def by_source(results: Iterable[CheckResult]) -> Iterator[list[CheckResult]]:
    """All results of a source together, and an empty list for each result that only adds to them.

    So it gives something for every result taken, as a report does. Raises what `results` raises, after it gave what
    it held.
    """
    held: list[CheckResult] = []
    try:
        for check in results:
            if held and held[-1].source != check.source:
                yield held
                held = []
            else:
                yield []
            held.append(check)
    except WillItCompileError:
        yield held
        raise
    yield held


def alike(checks: Sequence[CheckResult]) -> list[list[CheckResult]]:
    """The compiles of a source, those together that ended alike and say the same, in the order of the first of each.

    Two rejections say the same where the same lines are wrong and the first error is the same: how many more errors
    follow from it, notes, carets and warnings differ from one version of a compiler to the next. The first of a group
    speaks for it. Compiles that are no rejection say the same where their warnings do, by the same rule.
    """
    found: dict[object, list[CheckResult]] = {}
    for check in checks:
        found.setdefault((_ended(check), _said(check)), []).append(check)
    return list(found.values())


def _ended(check: CheckResult) -> object:
    result = check.result
    return check.verdict, check.is_as_expected, result.limit, result.signal, check.hint, check.notes


def _said(check: CheckResult) -> object:
    counts = {"error"} if check.verdict is Verdict.REJECTED else {"error", "warning"}
    told = [each for each in check.diagnostics if each.severity in counts]
    if not told:
        return check.stdout, check.stderr
    # What it may mean instead is a newer compiler's addition to the same message.
    message = plain_quotes(told[0].message).partition("; did you mean")[0]
    return message, frozenset(map(_place, told))


def _place(diagnostic: Diagnostic) -> object:
    """Where a message is. Each compiler has its own headers, so that their lines say nothing."""
    if diagnostic.path and os.path.isabs(diagnostic.path):
        return os.path.basename(diagnostic.path)
    return diagnostic.path, diagnostic.line


def named(checks: Sequence[CheckResult]) -> str:
    """Some compiles of a source, each toolchain once: `gcc-11, gcc-12 at c++17; clang-14 at c++17, c++20`.

    >>> named([])
    ''
    """
    standards: dict[str, list[str]] = {}
    for check in checks:
        standards.setdefault(check.toolchain, []).append(check.standard)
    toolchains: dict[str, list[str]] = {}
    for toolchain, of_it in standards.items():
        toolchains.setdefault(", ".join(dict.fromkeys(of_it)), []).append(toolchain)
    return "; ".join(f"{', '.join(names)} at {at}" for at, names in toolchains.items())
