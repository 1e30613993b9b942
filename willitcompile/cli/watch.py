"""`will-it-compile check --watch`: check, and check again what a change affects, until a signal ends it."""

from __future__ import annotations

import os
import select
import sys
import threading
import time
from collections import Counter
from contextlib import closing
from typing import TYPE_CHECKING, NoReturn

from willitcompile import checker, listings, planning, reports
from willitcompile.backends import CancelToken
from willitcompile.cli.bars import Bars
from willitcompile.cli.cache import opened_cache
from willitcompile.cli.check import STDIN, is_matrix, opening, request
from willitcompile.cli.interrupt import abandonable, cancelling
from willitcompile.cli.output import ReaderGone, write_stdout
from willitcompile.cli.terminal import is_terminal, say_error, wants_color, width
from willitcompile.cli.watch_view import CLEAR, NO_ANSWER, UNCHECKED, heading, overview, shown, standing
from willitcompile.config import Format
from willitcompile.errors import Interrupted, RequestError, WillItCompileError
from willitcompile.files import current_directory
from willitcompile.reports.color import BOLD, paint
from willitcompile.watched import SEARCH, Watched

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator

    from willitcompile.backends import Backend
    from willitcompile.cache import Cache
    from willitcompile.cli import Opener
    from willitcompile.cli.arguments import CheckArguments
    from willitcompile.cli.watch_view import Standing
    from willitcompile.config import Settings
    from willitcompile.model import CheckResult
    from willitcompile.planning import CheckRequest, PlannedCheck, Source

LOOK_SECONDS = 0.2
"""Between two looks at what is watched, as long as a look takes little."""

LOOK_SHARE = 10
"""The pause is at least so many times what a look has taken: at most a tenth of one core is used."""

QUIET_SECONDS = 0.1
"""So long nothing has changed any more before a check begins: an editor, or git, writes more than one file."""

MOST_LOUD = 20
"""Looks that find something new each time, after which it is checked all the same."""


def watch(arguments: CheckArguments, settings: Settings, open_backend: Opener) -> NoReturn:
    """Raises Interrupted in the end, and before it RequestError or NoAnswer where not even a first check can begin."""
    _refuse_what_needs_an_end(arguments, settings)
    bars = Bars(settings.color, quiet=arguments.quiet)
    watched = Watched()
    ask = request(arguments.paths, settings, None)._replace(on_look=watched.look)
    style = reports.Style(
        color=wants_color(settings.color, sys.stdout),
        quiet=arguments.quiet,
        verbose=arguments.verbose,
        matrix=is_matrix(settings),
        width=width(sys.stdout),
    )
    with cancelling() as stop:
        sources = _Sources(ask, watched)
        wanted = planning.wanted(ask, list(sources.by_name.values()))
        with (
            open_backend(settings.backend, opening(settings, wanted, bars, long_lived=True)) as backend,
            opened_cache(settings, bars.notify) as cache,
        ):
            _Watch(ask, backend, cache, watched, sources, stop, style, bars).run()


def _refuse_what_needs_an_end(arguments: CheckArguments, settings: Settings) -> None:
    asked = "check --watch"
    if not arguments.paths:
        raise RequestError(asked, "no file or directory is named", "will-it-compile check --watch src/")
    if STDIN in arguments.paths:
        raise RequestError(asked, "standard input does not change", "name a file: will-it-compile check --watch a.cpp")
    for each in settings.formats:
        reports.load(each.name)  # tells of one that there is not
    if arguments.output is not None or any(each != Format("text") for each in settings.formats):
        raise RequestError(
            asked, "a report for a file or a program has an end, and watching has none", "leave out -f, -o and --watch"
        )


class _Sources:
    """What there is to check: the files that were named, and what the directories hold at the moment."""

    def __init__(self, ask: CheckRequest, watched: Watched) -> None:
        """Raises RequestError."""
        self.by_name: dict[str, Source] = {}
        self._ask = ask
        self._watched = watched
        self._found = {path: self._find(path) for path in ask.paths}
        self._directories = [path for path in ask.paths if os.path.isdir(path) or listings.listing(path)]
        self._sort()

    def search(self) -> Iterator[RequestError]:
        """Look into the directories again. What is wrong with one of them costs the others nothing.

        A file that was named is one to check, be it there or not.
        """
        self._watched.forget({SEARCH})
        for path in self._directories:
            try:
                self._found[path] = self._find(path)
            except RequestError as error:
                self._found[path] = []
                yield error
        self._sort()

    def _find(self, path: str) -> list[Source]:
        return planning.find(self._ask._replace(paths=(path,)))

    def _sort(self) -> None:
        # The same file may be named twice, or named and found in a directory.
        first: dict[object, Source] = {}
        for found in self._found.values():
            for source in found:
                first.setdefault(source.entry or os.path.abspath(source.name), source)
        self.by_name = {source.name: source for source in planning.apart(list(first.values()))}


class _Watch:
    """One watch, from its first check until a signal."""

    def __init__(
        self,
        ask: CheckRequest,
        backend: Backend,
        cache: Cache | None,
        watched: Watched,
        sources: _Sources,
        stop: CancelToken,
        style: reports.Style,
        bars: Bars,
    ) -> None:
        self._ask = ask
        self._backend = backend
        self._cache = cache
        self._watched = watched
        self._sources = sources
        self._stop = stop
        self._style = style
        self._bars = bars
        self._here = current_directory()
        self._render = reports.load("text")
        self._standings: dict[str, Standing] = dict.fromkeys(sources.by_name, UNCHECKED)
        self._pending = list(sources.by_name)
        """What is to be checked, the first first."""
        self._head = ""
        """What stands above the next thing that is written."""
        self._is_terminal = is_terminal(sys.stdout) and os.environ.get("TERM", "dumb") != "dumb"

    def run(self) -> NoReturn:
        """Raises RequestError where the first check cannot be planned; Interrupted; ReaderGone."""
        checks: list[PlannedCheck] | None = self._plan()
        while True:
            if checks is not None and self._check(checks):
                self._write("".join(f"{line}\n" for line in self._overview()))
            self._wait()
            checks = self._next()

    def _plan(self) -> list[PlannedCheck]:
        sources = list(self._sources.by_name.values())
        # Which may have to ask every compiler first, or to fetch one.
        checks = abandonable(lambda: planning.plan(self._ask, self._backend, sources))
        order = {name: place for place, name in enumerate(self._pending)}
        return sorted((each for each in checks if each.source in order), key=lambda each: order[each.source])

    def _next(self) -> list[PlannedCheck] | None:
        """Take in what has changed: what is to be checked because of it, and what was left before; None where it is
        nobody's business, as a text file in a directory of sources."""
        changes = self._watched.take()
        for _ in range(MOST_LOUD):
            self._stop_if_told(QUIET_SECONDS)
            more = self._watched.take()
            if not more.sources:
                break
            changes = changes.joined(more)
        before = set(self._sources.by_name)
        problems = list(self._sources.search())
        now = self._sources.by_name
        removed = sorted(before - now.keys())
        outdated = [name for name in now if name in changes.sources or name not in before]
        self._pending = list(dict.fromkeys([*outdated, *(name for name in self._pending if name in now)]))
        self._watched.forget(removed)
        self._standings = {name: UNCHECKED if name in self._pending else self._standings[name] for name in now}
        if not (self._pending or removed or problems):
            return None
        names = sorted({shown(path, self._here) for path in changes.paths} - {*removed} | (now.keys() - before))
        self._head = self._headed(heading(time.strftime("%H:%M:%S"), names, removed))
        for problem in problems:
            self._tell(problem)
        try:
            return self._plan() if self._pending else []
        except Interrupted:
            raise
        except WillItCompileError as error:
            self._tell(error)
            return []

    def _check(self, checks: list[PlannedCheck]) -> bool:
        """Check these, unless a change makes that pointless; says whether there is something to show."""
        self._watched.forget(check.source for check in checks)
        cancel, over = CancelToken(), CancelToken()
        guard = threading.Thread(target=self._guard, args=(cancel, over), daemon=True)
        guard.start()
        try:
            self._bars.total = 0
            self._bars.start(len(checks))
            with closing(self._results(checks, cancel)) as results:
                for text in self._render(results, self._style):
                    self._write(text)
        except Interrupted:
            self._stop_if_told()
            return False
        except WillItCompileError as error:
            self._tell(error)
            if isinstance(error, RequestError):  # all others have their results
                self._settle({check.source for check in checks}, NO_ANSWER)
        finally:
            over.cancel()
            guard.join()
            self._bars.close()
            for name in self._pending:
                self._watched.look(name, os.path.abspath(name))  # it may not have come to that
        return True

    def _results(self, checks: list[PlannedCheck], cancel: CancelToken) -> Generator[CheckResult]:
        missing = Counter(check.source for check in checks)
        found: dict[str, list[CheckResult]] = {}
        results = checker.run(
            self._ask,
            self._backend,
            cancel=cancel,
            on_result=lambda _: self._bars.advance(),
            checks=checks,
            cache=self._cache,
        )
        with closing(results):
            for result in results:
                found.setdefault(result.source, []).append(result)
                missing[result.source] -= 1
                if not missing[result.source]:
                    self._settle({result.source}, standing(found.pop(result.source)))
                yield result

    def _settle(self, names: set[str], how: Standing) -> None:
        for name in names.intersection(self._pending):
            self._standings[name] = how
        self._pending = [name for name in self._pending if name not in names]

    def _guard(self, cancel: CancelToken, over: CancelToken) -> None:
        """Cancel a check as soon as something that it has looked at changes, or a signal comes."""
        if self._is_outdated([self._stop, over], {SEARCH}) or self._stop.cancelled:
            cancel.cancel()

    def _wait(self) -> None:
        """Return as soon as something has changed. Raises Interrupted, or ReaderGone."""
        self._is_outdated([self._stop], set())
        self._stop_if_told()

    def _is_outdated(self, until: list[CancelToken], besides: set[str]) -> bool:
        """Wait for a change of what any source but these depends on; False where that is not worth waiting for."""
        while True:
            begun = time.monotonic()
            if self._watched.outdated() - besides:
                return True
            pause = max(LOOK_SECONDS, LOOK_SHARE * (time.monotonic() - begun))
            if _cancelled(until, pause) or _nobody_reads():
                return False

    def _stop_if_told(self, seconds: float = 0) -> None:
        """Wait for so long. Raises Interrupted, or ReaderGone."""
        if _cancelled([self._stop], seconds):
            raise Interrupted("check --watch", "", "run it again")
        if _nobody_reads():
            raise ReaderGone

    def _headed(self, text: str) -> str:
        line = paint(text, BOLD) if self._style.color else text
        return f"{CLEAR if self._is_terminal else ''}{line}\n"

    def _overview(self) -> Iterable[str]:
        *lines, last = overview(self._standings)
        return [*lines, f"{last} (Ctrl-C ends it)" if self._is_terminal else last]

    def _tell(self, error: WillItCompileError) -> None:
        self._write("", even_if_empty=True)  # or the screen would be cleared of it
        self._bars.around(lambda _: say_error(error), "")

    def _write(self, text: str, *, even_if_empty: bool = False) -> None:
        """Write below the heading, in one piece, so that no screen stays empty."""
        if text or even_if_empty:
            self._bars.around(write_stdout, self._head + text)
            self._head = ""


def _cancelled(tokens: list[CancelToken], seconds: float) -> bool:
    """Whether one of them is, at once or within so long."""
    poll = select.poll()
    for token in tokens:
        poll.register(token, select.POLLIN)
    return bool(poll.poll(seconds * 1000))


def _nobody_reads() -> bool:
    """Whether stdout leads to a pipe without a reader, which one would else notice only when there is news."""
    try:
        poll = select.poll()
        poll.register(sys.stdout.fileno(), 0)
        return bool(poll.poll(0))
    except (AttributeError, OSError, ValueError):  # it is closed, or a test's
        return False
