"""`will-it-compile batch`."""

from __future__ import annotations

import os
import sys
import time
from contextlib import closing, nullcontext
from typing import TYPE_CHECKING, NamedTuple

from willitcompile.backends import Opening
from willitcompile.batch import answers
from willitcompile.batch.records import Lines
from willitcompile.batch.run import Batch, Settings
from willitcompile.batch.summary import Summary
from willitcompile.cli.cache import opened_cache
from willitcompile.cli.check import request
from willitcompile.cli.internal import InternalError
from willitcompile.cli.interrupt import cancelling
from willitcompile.cli.output import ReaderGone, opened
from willitcompile.cli.terminal import is_terminal, say
from willitcompile.config import resolve
from willitcompile.errors import Interrupted, RequestError, WillItCompileError
from willitcompile.reports.json import dumps

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import BinaryIO

    from willitcompile.backends import CancelToken
    from willitcompile.cli import Opener
    from willitcompile.config import Settings as Configured

ORDERS = ("finished", "input")
TERMINAL_SECONDS = 0.2
LOG_SECONDS = 30.0
"""Between two counts, on a terminal and where somebody reads them later."""


class BatchArguments(NamedTuple):
    """What the command line says."""

    input: str
    settings: Mapping[str, tuple[str, ...]]
    """See `CheckArguments`."""

    output: str | None
    resume: bool
    order: str
    group_by: str
    summary: str | None
    config: str | None
    quiet: bool


def batch(arguments: BatchArguments, open_backend: Opener) -> int:
    """Returns 0 where everything compiles, 1 where something does not, 2 where a record was wrong.

    Raises WillItCompileError and ReaderGone.
    """
    if arguments.order not in ORDERS:
        remedy = f"use one of: {', '.join(ORDERS)}"
        raise RequestError(f"answer in the order {arguments.order!r}", "there is none of that name", remedy)
    if arguments.resume and not arguments.output:
        remedy = "name the file with the answers: --output out.jsonl --resume"
        raise RequestError("batch --resume", "nothing tells which answers are there", remedy)
    settings = resolve(arguments.settings, file=arguments.config)
    for note in settings.notes if not arguments.quiet else ():
        say(f"note: {note}")
    with (
        _opened_input(arguments.input) as source,
        opened(arguments.summary) if arguments.summary else nullcontext() as tell,
    ):
        summary = Summary()
        fd = answers.open_output(arguments.output, resume=arguments.resume) if arguments.output else _stdout()
        try:
            done = answers.Done()
            if arguments.resume and arguments.output:
                done = answers.known_again(fd, arguments.output, lambda group, kind, _: summary.count(group, kind))
                summary.before = summary.all.records
            output = answers.Output(fd, arguments.output or "stdout")
            try:
                _run(arguments, settings, open_backend, source.fileno(), output, summary, done)
            finally:
                if not arguments.quiet:
                    say(summary.text())
                if tell:
                    tell(f"{dumps(summary.as_dict())}\n")
        finally:
            if arguments.output:
                os.close(fd)
    kinds = summary.all.kinds
    if kinds["error"]:
        return 2
    return 0 if kinds["compiled"] == kinds.total() else 1


def _run(
    arguments: BatchArguments,
    settings: Configured,
    open_backend: Opener,
    source: int,
    output: answers.Output,
    summary: Summary,
    done: answers.Done,
) -> None:
    # Sources are strangers': what they say of themselves counts for nothing, and what lies here is not theirs.
    defaults = request((), settings, None)._replace(expectations=False, hint=False, include_dirs=())

    def notify(text: str) -> None:
        if not arguments.quiet:
            say(f"note: {text}")

    opening = Opening(
        notify,
        images=settings.images,
        long_lived=False,
        may_go_elsewhere=not settings.are_images_found,
        options=settings.options,
    )
    with (
        cancelling() as cancel,
        open_backend(settings.backend, opening) as backend,
        opened_cache(settings, notify) as cache,
    ):
        recall = None
        if cache is not None:
            from willitcompile.cache.recall import Recall

            recall = Recall(cache, backend)
        asked = Settings(defaults, arguments.order == "input", arguments.group_by)
        counter = _Counter(summary, cancel, shown=not arguments.quiet)
        try:
            with closing(recall) if recall else nullcontext(), counter:
                Batch(asked, backend, output, summary, cancel, recall).run(Lines(source, cancel), done)
        except (Interrupted, KeyboardInterrupt):
            resume = "run it again" + (" with --resume" if arguments.output else "")
            raise Interrupted("batch", f"{summary.all.records} answered", resume) from None
        except BrokenPipeError:
            raise ReaderGone from None
        except WillItCompileError:
            raise
        except Exception as error:
            raise InternalError("batch", error) from error


def _opened_input(path: str) -> BinaryIO:
    """Unbuffered. Raises RequestError."""
    if path != "-":
        try:
            return open(path, "rb", buffering=0)
        except OSError as error:
            raise RequestError(
                f"read {path}", error.strerror or str(error), "name a file with a record a line"
            ) from None
    if sys.stdin is None:
        raise RequestError("read standard input", "it is closed", "will-it-compile batch in.jsonl")
    if is_terminal(sys.stdin):
        say("note: reading records from the terminal, one a line; Ctrl-D ends it")
    return open(os.dup(sys.stdin.fileno()), "rb", buffering=0)


def _stdout() -> int:
    if sys.stdout is None:
        raise RequestError("write the answers", "stdout is closed", "name a file: --output out.jsonl")
    sys.stdout.flush()
    return sys.stdout.fileno()


class _Counter:
    """Tells on stderr how far it is: on a terminal in one line, else in a line now and then."""

    def __init__(self, summary: Summary, cancel: CancelToken, *, shown: bool) -> None:
        import threading

        self._summary = summary
        self._cancel = cancel
        self._is_terminal = is_terminal(sys.stderr)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._tell, daemon=True) if shown else None
        self._began = time.monotonic()

    def __enter__(self) -> None:
        if self._thread:
            self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._over.set()
        if self._thread:
            self._thread.join()

    def _tell(self) -> None:
        while not self._over.wait(TERMINAL_SECONDS if self._is_terminal else LOG_SECONDS):
            if self._is_terminal:
                sys.stderr.write(f"\r\x1b[K{self._line()}")
                sys.stderr.flush()
            else:
                say(self._line())
        if self._is_terminal:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()

    def _line(self) -> str:
        figures = self._summary.all
        fresh = figures.records - self._summary.before
        rate = fresh / max(time.monotonic() - self._began, 0.001)
        return f"{figures.records} answered, {figures.rate:.1%} compiled, {rate:.1f} a second"
