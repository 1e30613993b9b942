"""Several reports of the same results, each as they come."""

from __future__ import annotations

from itertools import tee
from typing import TYPE_CHECKING

from willitcompile.errors import WillItCompileError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from willitcompile.model import CheckResult
    from willitcompile.reports import Report, Style


def render(reports: Sequence[tuple[Report, Style]], results: Iterable[CheckResult]) -> Iterator[tuple[int, str]]:
    """The pieces of all reports, each with the number of its report.

    They go in step: the next piece is of the report that has taken the fewest results, so that no more of them are held
    than one report takes for a piece. Raises what `results` raises, after the last piece of each.
    """
    taken = [0] * len(reports)
    error: list[WillItCompileError] = []

    def shared() -> Iterator[CheckResult]:
        try:
            yield from results
        except WillItCompileError as raised:
            error.append(raised)

    def counted(number: int, own: Iterator[CheckResult]) -> Iterator[CheckResult]:
        for result in own:
            taken[number] += 1
            yield result
        if error:
            raise error[0]

    branches = tee(shared(), len(reports))
    running = {
        number: report(counted(number, branch), style)
        for number, ((report, style), branch) in enumerate(zip(reports, branches, strict=True))
    }
    while running:
        number = min(running, key=taken.__getitem__)
        try:
            yield number, next(running[number])
        except StopIteration:
            del running[number]
        except WillItCompileError:
            if not error:
                raise
            del running[number]
    if error:
        raise error[0]
