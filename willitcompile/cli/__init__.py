"""The command line: parse, call, print. `main` is the console command.

Nothing is imported here that a command may not need: every import costs every start.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import NoReturn, TypeAlias

    from willitcompile.backends import Backend, Opening
    from willitcompile.errors import WillItCompileError

    Opener: TypeAlias = Callable[[str, Opening], Backend]
    """Opens a backend by its name, or by `auto`."""

    Action: TypeAlias = Callable[[Opener], int]
    """What a command line asks for. Returns an exit code."""

PROGRAM = "will-it-compile"
COMPLETION = "_WILL_IT_COMPILE_COMPLETE"
"""The variable by which a shell asks for completions."""

INTERRUPTED = 128 + 2
"""The exit code of what Ctrl-C or SIGTERM ended, as of any program that dies of SIGINT."""


def main() -> NoReturn:
    """Run the command line of this process, and leave."""
    leave(run(sys.argv[1:]))


def run(argv: Sequence[str], open_backend: Opener | None = None) -> int:
    """Run one command line, and return its exit code. Whatever happens is told on stderr, never raised."""
    try:
        return _run(argv, open_backend or _open_backend)
    except KeyboardInterrupt:
        return _tell_interrupted("")


def leave(code: int) -> NoReturn:
    """End the process. All that has to be closed or flushed is, so Python's own tidying up, which takes
    several milliseconds, would do nothing for anyone."""
    if code == INTERRUPTED:
        from willitcompile.cli.interrupt import end_children

        end_children()
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:
                stream.flush()
        except (OSError, ValueError):
            pass
    os._exit(code)


def _run(argv: Sequence[str], open_backend: Opener) -> int:
    from willitcompile.cli.output import READER_GONE, ReaderGone
    from willitcompile.errors import Interrupted, WillItCompileError

    verbose = not {"-v", "--verbose"}.isdisjoint(argv)
    try:
        action = _action(argv)
        return action if isinstance(action, int) else action(open_backend)
    except ReaderGone:
        # Else Python would try, and fail, to flush what is left.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return READER_GONE
    except Interrupted as error:
        return _tell_interrupted(error.obstacle)
    except WillItCompileError as error:
        _suggest_flag(error, argv)
        return _tell(error, verbose)
    except Exception as error:  # noqa: BLE001 - the last resort, which tells how to see all of it
        from willitcompile.cli.internal import InternalError

        broken = InternalError(" ".join(argv), error)
        broken.__cause__ = error
        return _tell(broken, verbose)


def _action(argv: Sequence[str]) -> Action | int:
    """What to do, or an exit code where the command line was all there was to it."""
    if argv[:1] == ["check"] and COMPLETION not in os.environ:
        from willitcompile.cli import quick

        if arguments := quick.parse(argv[1:]):
            from willitcompile.cli.check import check

            return lambda open_backend: check(arguments, open_backend)
    from willitcompile.cli import app

    return app.parse(argv)


def _open_backend(name: str, opening: Opening) -> Backend:
    from willitcompile.backends import BACKENDS, open_backend, unknown_backend

    if name not in {"auto", *BACKENDS}:  # those for tests are not for here
        raise unknown_backend(name)
    return open_backend(name, opening)


def _suggest_flag(error: WillItCompileError, argv: Sequence[str]) -> None:
    """Where `-fPIC` was read as `-f PIC`: many flags of compilers begin as an option of ours does."""
    for word in argv:
        if word.startswith(("-f", "-s", "-l")) and repr(word[2:]) in error.asked:
            error.remedy += f"; if you mean the compiler's flag, write: --flag={word}"


def _tell(error: WillItCompileError, verbose: bool) -> int:
    from willitcompile.cli.terminal import say, say_error

    say_error(error)
    if verbose and error.__cause__ is not None:
        import traceback

        say("".join(traceback.format_exception(error.__cause__)))
    return error.exit_code


def _tell_interrupted(how_far: str) -> int:
    from willitcompile.cli.terminal import say

    say(f"interrupted: {how_far}" if how_far else "interrupted")
    return INTERRUPTED
