"""`will-it-compile check`: from a command line to a report and an exit code."""

from __future__ import annotations

import sys
from contextlib import closing
from typing import TYPE_CHECKING, Any

from willitcompile import checker, planning
from willitcompile.backends import Opening
from willitcompile.cli.bars import Bars
from willitcompile.cli.cache import opened_cache
from willitcompile.cli.internal import InternalError
from willitcompile.cli.interrupt import abandonable, cancelling
from willitcompile.cli.reporting import targets, writing
from willitcompile.cli.terminal import is_terminal, say
from willitcompile.config import DOCUMENTS_SECTION, resolve
from willitcompile.errors import Interrupted, RequestError, SourceError, WillItCompileError
from willitcompile.languages import CompileOptions
from willitcompile.planning import CheckRequest
from willitcompile.reports import Style
from willitcompile.sources import SizeLimits
from willitcompile.toolchains import is_selector

if TYPE_CHECKING:
    from collections.abc import Generator

    from willitcompile.backends import CancelToken, Wanted
    from willitcompile.cli import Opener
    from willitcompile.cli.arguments import CheckArguments
    from willitcompile.cli.output import Write
    from willitcompile.config import Settings
    from willitcompile.model import CheckResult

STDIN = "-"


def check(arguments: CheckArguments, open_backend: Opener) -> int:
    """Returns 0 where everything ends as it should, and 1 where something does not. Raises WillItCompileError."""
    settings = resolve(arguments.settings, file=arguments.config)
    for note in settings.notes if not arguments.quiet else ():
        say(f"note: {note}")
    if arguments.watch:
        from willitcompile.cli.watch import watch

        return watch(arguments, settings, open_backend)
    wanted = targets(settings.formats, arguments.output)
    ask = request(arguments.paths, settings, read_stdin(arguments.paths, settings))
    style = Style(quiet=arguments.quiet, verbose=arguments.verbose, matrix=is_matrix(settings))
    with cancelling() as cancel, writing(wanted, style, settings.color) as texts:
        answers = Answers(ask, settings, open_backend, cancel, quiet=arguments.quiet)
        # Closing the results ends what still runs, whyever the report is not written to its end.
        with closing(answers.results()) as results:
            for write, text in texts(results):
                answers.write(write, text)
    return 0 if answers.all_as_expected else 1


def is_matrix(settings: Settings) -> bool:
    """Whether each source may be asked about with several toolchains or standards."""
    several = len(settings.compilers) > 1 or len(settings.standards) > 1
    return several or any(map(is_selector, settings.compilers))


def request(paths: tuple[str, ...], settings: Settings, stdin: bytes | None) -> CheckRequest:
    """What to ask of the checker."""
    return CheckRequest(
        paths=paths,
        compilers=settings.compilers,
        standards=settings.standards,
        language=settings.language,
        stdin=stdin,
        include_dirs=settings.include_dirs,
        documents=settings.options.get(DOCUMENTS_SECTION, {}),
        options=CompileOptions(settings.defines, settings.warnings, settings.flags, settings.link),
        limits=named_limits(settings),
        sizes=SizeLimits(settings.max_file_size, settings.max_unit_size),
        jobs=settings.jobs or 0,
        hint=True,
        expectations=settings.expectations,
    )


def opening(settings: Settings, wanted: Wanted, bars: Bars, *, long_lived: bool = False) -> Opening:
    """How to open the backend that the settings name."""
    return Opening(
        bars.notify,
        bars.fetching,
        wanted,
        settings.images,
        long_lived=long_lived,
        may_go_elsewhere=not settings.are_images_found,
        options=settings.options,
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


class Answers:
    """The results of one check as they come, with what there is to know when they have."""

    def __init__(
        self, ask: CheckRequest, settings: Settings, open_backend: Opener, cancel: CancelToken, *, quiet: bool
    ) -> None:
        self.all_as_expected = True
        self._ask = ask
        self._settings = settings
        self._open_backend = open_backend
        self._cancel = cancel
        self._bars = Bars(settings.color, quiet=quiet)
        self._done = 0

    def results(self) -> Generator[CheckResult]:
        """Raises WillItCompileError, and nothing else: a report can tell of that."""
        try:
            sources = planning.find(self._ask)
            wanted = planning.wanted(self._ask, sources)
            with self._open_backend(self._settings.backend, opening(self._settings, wanted, self._bars)) as backend:
                # Which may have to ask every compiler first, or to fetch one.
                checks = abandonable(lambda: planning.plan(self._ask, backend, sources))
                self._bars.start(len(checks))
                with opened_cache(self._settings, self._bars.notify) as cache:
                    yield from checker.run(
                        self._ask, backend, cancel=self._cancel, on_result=self._heard, checks=checks, cache=cache
                    )
        except (Interrupted, KeyboardInterrupt):
            raise self._interrupted() from None
        except WillItCompileError:
            raise
        except Exception as error:
            raise InternalError(f"check {' '.join(self._ask.paths)}", error) from error
        finally:
            self._bars.close()
        if self._cancel.cancelled:
            raise self._interrupted()

    def write(self, write: Write, text: str) -> None:
        """Write a piece of the report, with the bar out of its way."""
        self._bars.around(write, text)

    def _heard(self, result: CheckResult) -> None:
        self._done += 1
        self.all_as_expected &= result.is_as_expected
        self._bars.advance()

    def _interrupted(self) -> Interrupted:
        of_all = f" of {self._bars.total}" if self._bars.total else ""
        return Interrupted("check", f"{self._done}{of_all} checked", "run it again")


def read_stdin(paths: tuple[str, ...], settings: Settings) -> bytes | None:
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
