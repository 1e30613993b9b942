"""`will-it-compile minimum`."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from willitcompile import minimum, planning
from willitcompile.cli.bars import Bars
from willitcompile.cli.cache import opened_cache
from willitcompile.cli.check import opening, read_stdin, request
from willitcompile.cli.internal import InternalError
from willitcompile.cli.interrupt import abandonable, cancelling
from willitcompile.cli.output import opened
from willitcompile.cli.reporting import keep_source
from willitcompile.cli.terminal import say
from willitcompile.config import resolve
from willitcompile.errors import Interrupted, RequestError, WillItCompileError
from willitcompile.reports import Style
from willitcompile.reports.minimum import FORMATS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from willitcompile.backends import CancelToken
    from willitcompile.cli import Opener
    from willitcompile.config import Settings
    from willitcompile.minimum import SourceMinimum
    from willitcompile.planning import CheckRequest, Source


class MinimumArguments(NamedTuple):
    """What the command line says."""

    paths: tuple[str, ...]
    settings: Mapping[str, tuple[str, ...]]
    """See `CheckArguments`."""

    format: str
    output: str | None
    config: str | None
    quiet: bool
    verbose: bool


def find_minimum(arguments: MinimumArguments, open_backend: Opener) -> int:
    """Returns 0 where something compiles each source, else 1. Raises WillItCompileError."""
    if arguments.format not in FORMATS:
        remedy = f"use one of: {', '.join(FORMATS)}"
        raise RequestError(f"report as {arguments.format!r}", "there is no format of that name", remedy)
    if arguments.output:
        keep_source(arguments.output)
    settings = resolve(arguments.settings, file=arguments.config)
    for note in settings.notes if not arguments.quiet else ():
        say(f"note: {note}")
    # The compiler of every day, which a file names, is not the one to look at here.
    compilers = settings.compilers if "compiler" in arguments.settings else ()
    ask = request(arguments.paths, settings, read_stdin(arguments.paths, settings))._replace(compilers=compilers)
    with cancelling() as cancel, opened(arguments.output) as write:
        sources = planning.find(ask)
        # What a listing tells of and cannot be checked costs the others nothing.
        problems = [source.entry.problem for source in sources if source.entry and source.entry.problem]
        sources = [source for source in sources if not (source.entry and source.entry.problem)]
        backend, found = _find(ask, sources, settings, open_backend, cancel, quiet=arguments.quiet)
        write(FORMATS[arguments.format](backend, found, Style(quiet=arguments.quiet, verbose=arguments.verbose)))
    if problems:
        raise planning.together(problems)
    return 0 if all(any(family.standard for family in each.families) for each in found) else 1


def _find(
    ask: CheckRequest,
    sources: list[Source],
    settings: Settings,
    open_backend: Opener,
    cancel: CancelToken,
    *,
    quiet: bool,
) -> tuple[str, list[SourceMinimum]]:
    """The backend that was used, and what was found."""
    bars = Bars(settings.color, quiet=quiet)
    try:
        wanted = minimum.wanted(ask, sources)
        with open_backend(settings.backend, opening(settings, wanted, bars)) as backend:
            available = abandonable(lambda: backend.toolchains(wanted))
            planned = minimum.plan(ask, sources, available, backend.name)
            with opened_cache(settings, bars.notify) as cache:
                found = minimum.run(
                    ask,
                    backend,
                    planned,
                    cancel=cancel,
                    on_round=bars.start,
                    on_result=lambda _: bars.advance(),
                    cache=cache,
                )
            return backend.name, found
    except (Interrupted, KeyboardInterrupt):
        raise Interrupted("find the minimum", "", "run it again") from None
    except WillItCompileError:
        raise
    except Exception as error:
        raise InternalError(f"minimum {' '.join(ask.paths)}", error) from error
    finally:
        bars.close()
