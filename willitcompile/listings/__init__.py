"""Files that tell of sources rather than being one: a compilation database, a document with blocks of code.

A listing is a module with one function, `entries`, and a line in `LISTINGS`. It reads what somebody else has written,
which is hostile: what it cannot make sense of becomes an entry with a problem, told after all other answers.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING, NamedTuple

from willitcompile.languages import CompileOptions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from willitcompile.errors import RequestError
    from willitcompile.model import Expectation


class Entry(NamedTuple):
    """One compile that a listing tells of."""

    name: str
    """As results call its source: `src/main.cpp`, `README.md:12`. No other entry of the listing has it."""

    path: str
    """The file to compile, as one would type it. Where there is `text`, the name of the file that it becomes."""

    language: str
    """By its canonical name."""

    text: bytes | None = None
    """What to compile, where it is no file's whole content."""

    line: int = 1
    """Where the listing tells of it."""

    standard: str | None = None
    """The canonical one to compile at where the request names none; None for the default."""

    options: CompileOptions = CompileOptions()
    """Its own; those of the request come behind."""

    include_dirs: tuple[str, ...] = ()
    """Its own, as one would type them; those of the request come first."""

    expected: Expectation | None = None
    """How it is to end, where the listing says so."""

    problem: RequestError | None = None
    """Why there can be no answer for it."""


LISTINGS: dict[str, tuple[str, Callable[[str], bool]]] = {}
"""By kind, the module, and whether a file of this name is such a listing."""


def kind(path: str) -> str | None:
    """What kind of listing a file is by its name; None for a source.

    >>> kind("main.cpp")
    """
    name = os.path.basename(path)
    return next((kind for kind, (_, fits) in LISTINGS.items() if fits(name)), None)


def entries(kind: str, path: str, text: bytes) -> Iterable[Entry]:
    """What the listing at `path` with this content tells of, in its order. Raises SourceError where it is none."""
    module, _ = LISTINGS[kind]
    found: Iterable[Entry] = import_module(module).entries(path, text)
    return found
