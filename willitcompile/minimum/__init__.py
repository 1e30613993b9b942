"""What a source needs at least: of each compiler, the lowest standard, and the earliest version that takes it so.

First the standards on the newest version, with extensions as errors if it can be; then the versions, at the lowest
standard that was found. What all of these searches want compiled next is one check, which the checker runs as
any other.
"""

from __future__ import annotations

from contextlib import closing
from itertools import groupby, islice
from typing import TYPE_CHECKING, NamedTuple

from willitcompile import checker, planning, toolchains
from willitcompile.backends import CancelToken, Wanted
from willitcompile.minimum.family import FamilyMinimum, find
from willitcompile.ranges import order

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from willitcompile.backends import Backend
    from willitcompile.cache import Cache
    from willitcompile.model import CheckResult, Toolchain, Verdict
    from willitcompile.planning import CheckRequest, PlannedCheck, Source


class SourceMinimum(NamedTuple):
    """What a source needs, of each compiler that it was tried with."""

    source: str
    language: str
    families: tuple[FamilyMinimum, ...]


def wanted(request: CheckRequest, sources: Sequence[Source]) -> Wanted:
    """What it takes of a backend. A compiler without a version stands for all of it that is there."""
    asked = request.compilers or (toolchains.EVERY,)
    named = [text if toolchains.is_selector(text) or toolchains.parts(text)[1] else toolchains.EVERY for text in asked]
    return Wanted(tuple(dict.fromkeys(named)), planning.wanted(request, sources).languages)


def plan(
    request: CheckRequest, sources: Sequence[Source], available: Sequence[Toolchain], backend: str
) -> list[PlannedCheck]:
    """Each source with each toolchain to look at. The standards of the request count for nothing. Raises RequestError
    for what is wrong with it, before anything runs."""
    compilers: list[str] = []
    for text in request.compilers or (toolchains.EVERY,):
        family, version = toolchains.parts(text)
        versions = [each.name for each in available if each.family == family and not version]
        compilers += versions or [text]
    return planning.combine(request._replace(compilers=tuple(compilers), standards=()), sources, available, backend)


def run(
    request: CheckRequest,
    backend: Backend,
    planned: Sequence[PlannedCheck],
    *,
    cancel: CancelToken | None = None,
    on_round: Callable[[int], None] = lambda _: None,
    on_result: Callable[[CheckResult], None] | None = None,
    cache: Cache | None = None,
) -> list[SourceMinimum]:
    """What each source needs, in their order. `planned` is what `plan` has planned.

    `on_round` hears how many compiles come next, and `on_result` of each result: see `checker.run`, also for what is
    raised.
    """
    cancel = cancel or CancelToken()
    finders = [_Finder(list(checks)) for _, checks in groupby(_by_age(planned), _kind)]
    while unfinished := [each for each in finders if each.found is None]:
        for is_pedantic, asked in ((True, _pedantic(request)), (False, request)):
            those = [each for each in unfinished if each.is_pedantic == is_pedantic]
            checks = [check for each in those for check in each.checks()]
            if checks:
                on_round(len(checks))
                running = checker.run(asked, backend, cancel=cancel, on_result=on_result, checks=checks, cache=cache)
                with closing(running) as results:
                    # To the end, where it tells of a source that cannot be read.
                    verdicts = iter([result.verdict for result in results])
                for each in those:
                    each.go_on(verdicts)
    return [
        SourceMinimum(source, language, tuple(each.found for each in those if each.found))
        for (source, language), those in groupby(finders, lambda each: (each.source, each.language))
    ]


class _Finder:
    """Finds what one source needs of one compiler, from round to round."""

    def __init__(self, planned: Sequence[PlannedCheck]) -> None:
        """`planned` is the source with each version of the compiler, oldest first."""
        self.found: FamilyMinimum | None = None
        self.source = planned[0].source
        self.language = planned[0].language.name
        self._like = planned[0]
        self._finding = find([each.toolchain for each in planned], self.language)
        self._tries = next(self._finding)

    @property
    def is_pedantic(self) -> bool:
        """Whether extensions are errors in what comes next."""
        return self._tries[0].is_pedantic

    def checks(self) -> list[PlannedCheck]:
        """What to compile next."""
        return [self._like._replace(toolchain=each.toolchain, standard=each.standard) for each in self._tries]

    def go_on(self, verdicts: Iterator[Verdict]) -> None:
        """Take the verdicts of those off the ones of the round."""
        try:
            self._tries = self._finding.send(list(islice(verdicts, len(self._tries))))
        except StopIteration as end:
            self.found = end.value


def _pedantic(request: CheckRequest) -> CheckRequest:
    flags = (*request.options.flags, "-pedantic-errors")
    return request._replace(options=request.options._replace(flags=flags))


def _kind(check: PlannedCheck) -> tuple[str, str]:
    return check.source, check.toolchain.family


def _by_age(planned: Sequence[PlannedCheck]) -> list[PlannedCheck]:
    """Sources, and the families of each, in their order; of a family the oldest first."""
    places = {kind: place for place, kind in reversed(list(enumerate(map(_kind, planned))))}
    return sorted(planned, key=lambda check: (places[_kind(check)], order(check.toolchain.version)))
