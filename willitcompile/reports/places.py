"""Places in sources, as other programs name them: paths from the current directory, columns in characters."""

from __future__ import annotations

import os

from willitcompile.files import below, read_regular
from willitcompile.model import MIB

LARGEST_FILE = 16 * MIB
"""In which columns are counted."""


def relative(path: str) -> str:
    """A path from the current directory, where it is in there; else as it is.

    >>> relative("src/a.c"), relative("./a.c"), relative("-"), relative(os.path.abspath("b.c"))
    ('src/a.c', 'a.c', 'stdin', 'b.c')
    """
    if path == "-":
        return "stdin"
    if os.path.isabs(path):
        try:
            here = os.getcwd()
        except OSError:  # it is gone
            return path
        path = os.path.normpath(path)  # clang names headers by long ways around
        return os.path.relpath(path, here) if below(path, here) else path
    return path.removeprefix("./") or path


def is_own(path: str, source: str) -> bool:
    """Whether a compiler's message is about a file of the user, no header of the system or of a compiler.

    >>> is_own("src/a.h", "src/a.c"), is_own("/usr/include/stdio.h", "a.c"), is_own("<built-in>", "a.c")
    (True, False, False)
    """
    path, source = relative(path), relative(source)
    if path.startswith("<"):
        return False
    return not os.path.isabs(path) or below(path, os.path.dirname(source) or "/nowhere")


class Columns:
    """Counts in characters what compilers count in bytes. Holds the lines of the last file that it was asked about.

    It reads the file as it is now. A compiler's message may name any file, as `#line` does: none is read but those in
    the current directory or beside the source.
    """

    def __init__(self) -> None:
        self._path = ""
        self._lines: list[bytes] = []

    def character(self, path: str, line: int | None, column: int | None, source: str) -> int | None:
        """The column, from 1; None where the file has no such place, or cannot be read."""
        if not line or not column:
            return None
        if path != self._path:
            self._path, self._lines = path, _lines(path, source)
        if line > len(self._lines):
            return None
        text = self._lines[line - 1]
        # One behind its end is where what is missing would be.
        return len(text[: column - 1].decode("utf-8", "replace")) + 1 if column <= len(text) + 1 else None


def _lines(path: str, source: str) -> list[bytes]:
    try:
        roots = (os.path.realpath("."), os.path.realpath(os.path.dirname(source) or "."))
        real = os.path.realpath(path)
        data = read_regular(real, LARGEST_FILE, roots) if any(below(real, root) for root in roots) else None
    except (OSError, ValueError):  # or what no file can be called
        return []
    return [] if data is None or len(data) > LARGEST_FILE else data.split(b"\n")
