"""Where a report goes: stdout, or a file that is there whole or not at all."""

from __future__ import annotations

import os
import stat
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from willitcompile.errors import NoAnswer, RequestError, WillItCompileError
from willitcompile.files import below

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import BinaryIO, TypeAlias

    Write: TypeAlias = Callable[[str], None]

READER_GONE = 128 + 13
"""The exit code where stdout is a pipe that nobody reads any more, as of any program that dies of SIGPIPE."""


class ReaderGone(Exception):
    """Nobody reads stdout any more."""


@contextmanager
def opened(path: str | None) -> Iterator[Write]:
    """A function that writes text to the file at `path`, or to stdout.

    The file appears, or is replaced, at the end, also where that end is an error of ours and the report tells
    of it. Raises RequestError for a place that cannot be written to, before anything is.
    """
    if path is None:
        yield write_stdout
    elif os.path.exists(path) and not stat.S_ISREG(os.stat(path).st_mode):
        with _opened_special(path) as write:
            yield write
    else:
        with _replaced(path) as write:
            yield write


def write_stdout(text: str) -> None:
    """Raises ReaderGone or NoAnswer."""
    if sys.stdout is None:
        raise NoAnswer("write the report", "stdout is closed", "write to a file with --output FILE")
    try:
        # Sources are in any language; a terminal or pipe of another encoding gets what it can show.
        sys.stdout.buffer.write(text.encode(sys.stdout.encoding or "utf-8", "backslashreplace"))
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        raise ReaderGone from None
    except OSError as error:
        raise _cannot_write("stdout", error) from None


@contextmanager
def _opened_special(path: str) -> Iterator[Write]:
    """A device or a pipe, which cannot be replaced: as root, that would even succeed with /dev/null."""
    if os.path.isdir(path):
        raise RequestError(f"write to {path}", "it is a directory", f"name a file: --output {path}/report")
    try:
        file = open(path, "wb", buffering=0)  # noqa: SIM115 - opening and writing fail differently
    except OSError as error:
        raise _refused(path, error) from None
    with file:
        yield _writer(path, file)


@contextmanager
def _replaced(path: str) -> Iterator[Write]:
    # Through a link, the file that it names is replaced, not the link.
    target = os.path.realpath(path)
    home = os.path.realpath(os.path.dirname(path) or ".")
    if os.path.islink(path) and not below(target, home) and not home.startswith(("/dev", "/proc")):
        # It may have come with sources that are hostile, and lead to a file that is worth a lot.
        raise RequestError(f"write to {path}", "it is a link that leaves its directory", f"name the file: {target}")
    temporary = os.path.join(os.path.dirname(target), f".wic-{os.getpid()}-{os.urandom(4).hex()}.tmp")
    try:
        mode = stat.S_IMODE(os.stat(target).st_mode) if os.path.exists(target) else None
        if mode is not None and not os.access(target, os.W_OK):
            raise PermissionError(13, "it is write-protected")
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    except OSError as error:
        raise _refused(path, error) from None
    try:
        with open(fd, "wb") as file:
            if mode is not None:
                os.fchmod(fd, mode)
            try:
                yield _writer(path, file)
            except WillItCompileError:
                if file.tell():  # where nothing was written, what an earlier run wrote is worth more
                    _commit(path, file, temporary, target)
                raise
            _commit(path, file, temporary, target)
    finally:
        if os.path.lexists(temporary):
            os.unlink(temporary)


def _commit(path: str, file: BinaryIO, temporary: str, target: str) -> None:
    try:
        file.flush()
        os.replace(temporary, target)
    except OSError as error:
        raise _cannot_write(path, error) from None


def _writer(path: str, file: BinaryIO) -> Write:
    def write(text: str) -> None:
        try:
            file.write(text.encode("utf-8", "backslashreplace"))
        except OSError as error:
            raise _cannot_write(path, error) from None

    return write


def _refused(path: str, error: OSError) -> RequestError:
    return RequestError(
        f"write to {path}", error.strerror or str(error), "name a file in a directory that can be written to"
    )


def _cannot_write(path: str, error: OSError) -> NoAnswer:
    return NoAnswer(f"write the report to {path}", error.strerror or str(error), "make room, or write elsewhere")
