"""`will-it-compile check`: from a command line to a report and an exit code."""

from __future__ import annotations

import os
import sys
from contextlib import closing
from typing import TYPE_CHECKING, Any

from willitcompile import checker, reports
from willitcompile.backends import Opening
from willitcompile.checker import CheckRequest
from willitcompile.cli.internal import InternalError
from willitcompile.cli.interrupt import abandonable, cancelling
from willitcompile.cli.output import opened
from willitcompile.cli.terminal import is_terminal, say, wants_color
from willitcompile.config import resolve
from willitcompile.errors import Interrupted, RequestError, SourceError, WillItCompileError
from willitcompile.languages import CompileOptions, languages_of
from willitcompile.model import Verdict
from willitcompile.sources import SizeLimits

if TYPE_CHECKING:
    from collections.abc import Generator

    from willitcompile.backends import CancelToken
    from willitcompile.cli import Opener
    from willitcompile.cli.arguments import CheckArguments
    from willitcompile.cli.output import Write
    from willitcompile.cli.progress import FetchBar, Progress
    from willitcompile.config import Settings
    from willitcompile.model import CheckResult

STDIN = "-"


def check(arguments: CheckArguments, open_backend: Opener) -> int:
    """Returns 0 where everything compiles and 1 where something does not. Raises WillItCompileError."""
    settings = resolve(arguments.settings, file=arguments.config)
    for note in settings.notes if not arguments.quiet else ():
        say(f"note: {note}")
    render = reports.load(settings.format)
    _keep_sources(arguments.output)
    ask = request(arguments.paths, settings, _stdin(arguments.paths, settings))
    style = reports.Style(
        color=wants_color(settings.color, sys.stdout if arguments.output is None else None),
        quiet=arguments.quiet,
        verbose=arguments.verbose,
    )
    with cancelling() as cancel, opened(arguments.output) as write:
        answers = Answers(ask, settings, open_backend, cancel, quiet=arguments.quiet)
        # Closing the results ends what still runs, whyever the report is not written to its end.
        with closing(answers.results()) as results:
            for text in render(results, style):
                answers.write(write, text)
    return 0 if answers.all_compiled else 1


def request(paths: tuple[str, ...], settings: Settings, stdin: bytes | None) -> CheckRequest:
    """What to ask of the checker."""
    return CheckRequest(
        paths=paths,
        compilers=settings.compilers,
        standards=settings.standards,
        language=settings.language,
        stdin=stdin,
        include_dirs=settings.include_dirs,
        options=CompileOptions(settings.defines, settings.warnings, settings.flags, settings.link),
        limits=named_limits(settings),
        sizes=SizeLimits(settings.max_file_size, settings.max_unit_size),
        jobs=settings.jobs or 0,
    )


def named_limits(settings: Settings) -> dict[str, Any]:
    """The limits that somebody has named."""
    limits = {
        "wall_seconds": settings.timeout,
        "memory_bytes": settings.memory,
        "cpus": settings.cpus,
        "output_bytes": settings.max_output,
    }
    return {name: value for name, value in limits.items() if value is not None}


def _keep_sources(output: str | None) -> None:
    """With a compiler -o names the program that it makes of a source; here it is the report, over a source even."""
    if output and os.path.exists(output) and any(languages_of(os.path.splitext(output)[1])):
        raise RequestError(f"write the report to {output}", "that is a source", "name another file: -o report.txt")


class Answers:
    """The results of one check as they come, with what there is to know when they have."""

    def __init__(
        self, ask: CheckRequest, settings: Settings, open_backend: Opener, cancel: CancelToken, *, quiet: bool
    ) -> None:
        self.all_compiled = True
        self._ask = ask
        self._settings = settings
        self._open_backend = open_backend
        self._cancel = cancel
        self._quiet = quiet
        self._bar: Progress | None = None
        self._fetch_bar: FetchBar | None = None
        self._done = 0

    def results(self) -> Generator[CheckResult]:
        """Raises WillItCompileError, and nothing else: a report can tell of that."""
        try:
            sources = checker.find(self._ask)
            opening = Opening(
                self._notify,
                self._fetching,
                checker.wanted(self._ask, sources),
                self._settings.images,
                options=self._settings.options,
                may_go_elsewhere=not self._settings.are_images_found,
            )
            with self._open_backend(self._settings.backend, opening) as backend:
                # Which may have to ask every compiler first, or to fetch one.
                checks = abandonable(lambda: checker.plan(self._ask, backend, sources))
                if not self._quiet and is_terminal(sys.stderr):
                    from willitcompile.cli.progress import Progress

                    color = wants_color(self._settings.color, sys.stderr)
                    self._bar = Progress(len(checks), color=color)
                yield from checker.run(self._ask, backend, cancel=self._cancel, on_result=self._heard, checks=checks)
        except (Interrupted, KeyboardInterrupt):
            raise self._interrupted() from None
        except WillItCompileError:
            raise
        except Exception as error:
            raise InternalError(f"check {' '.join(self._ask.paths)}", error) from error
        finally:
            for bar in (self._bar, self._fetch_bar):
                if bar:
                    bar.close()
        if self._cancel.cancelled:
            raise self._interrupted()

    def write(self, write: Write, text: str) -> None:
        """Write a piece of the report, with the bar out of its way."""
        if self._bar:
            self._bar.around(write, text)
        else:
            write(text)

    def _notify(self, text: str) -> None:
        if not self._quiet:
            self.write(say, f"note: {text}")

    def _fetching(self, what: str, done: int, total: int) -> None:
        if self._quiet or not is_terminal(sys.stderr):
            return
        if self._fetch_bar is None:
            from willitcompile.cli.progress import FetchBar

            self._fetch_bar = FetchBar(color=wants_color(self._settings.color, sys.stderr))
        self._fetch_bar.update(what, done, total)

    def _heard(self, result: CheckResult) -> None:
        self._done += 1
        self.all_compiled &= result.verdict is Verdict.COMPILED
        if self._bar:
            self._bar.advance()

    def _interrupted(self) -> Interrupted:
        of_all = f" of {self._bar.total}" if self._bar else ""
        return Interrupted("check", f"{self._done}{of_all} checked", "run it again")


def _stdin(paths: tuple[str, ...], settings: Settings) -> bytes | None:
    """What `-` stands for. Raises RequestError where nothing tells what to do."""
    if not paths:
        raise RequestError("check", "no file or directory is named", "will-it-compile check main.cpp")
    if STDIN not in paths:
        return None
    if settings.language is None:
        raise RequestError(
            "check standard input",
            "nothing tells which language it is",
            "will-it-compile check - --language c++",
        )
    if sys.stdin is None:
        raise SourceError("check standard input", "it is closed", "will-it-compile check main.cpp")
    if is_terminal(sys.stdin):
        say("note: reading a source from the terminal; Ctrl-D ends it")
    # One byte more than there may be, for the checker to refuse it as it does any file.
    return sys.stdin.buffer.read(settings.max_file_size + 1)
