"""Files that tell of sources rather than being one: a compilation database, a document with blocks of code.

A listing is a module with one function, `entries`, and a line in `LISTINGS`. It reads what somebody else has written,
which is hostile: what it cannot make sense of becomes an entry with a problem, told after all other answers.
"""

from __future__ import annotations

import os
from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from willitcompile.languages import CompileOptions

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from willitcompile.errors import RequestError
    from willitcompile.model import Expectation


class Entry(NamedTuple):
    """One compile that a listing tells of."""

    name: str
    """As results call its source: `src/main.cpp`, `README.md:12`."""

    path: str
    """The file to compile, as one would type it. Where there is `text`, the name of the file that it becomes."""

    language: str
    """By its canonical name; of no matter where there is a problem."""

    text: bytes | None = None
    """What to compile, where it is no file's whole content."""

    document: str | None = None
    """The file that it stands in, where that is not `path`."""

    line: int | None = None
    """Where it begins in that file, where that is not its start."""

    is_alone: bool = False
    """Whether no file of this machine belongs to it, but `text` alone."""

    standard: str | None = None
    """The canonical one to compile at where the request names none; None for the default."""

    options: CompileOptions = CompileOptions()
    """Its own; those of the request come behind."""

    include_dirs: tuple[str, ...] = ()
    search: tuple[tuple[str, str], ...] = ()
    forced: tuple[str, ...] = ()
    """Its own, as one would type them: see `SourceUnit`. Those of the request come first."""

    workdir: str | None = None
    """Where it is compiled; None for where a file of this name would be."""

    expected: Expectation | None = None
    """How it is to end, where the listing says so."""

    missing: str = ""
    """What to do where a header is not there."""

    problem: RequestError | None = None
    """Why there can be no answer for it."""


class Given(NamedTuple):
    """What a listing is to know of the request."""

    include_dirs: tuple[str, ...] = ()
    documents: Mapping[str, object] = MappingProxyType({})
    """See `CheckRequest`."""


class Listing(NamedTuple):
    """One kind of listing."""

    module: str
    names: tuple[str, ...] = ()
    """Of its files."""
    extensions: tuple[str, ...] = ()
    in_directories: bool = False
    """Whether those of a directory count: where one is named as well, or there is nothing else in it."""


LISTINGS = (
    Listing("willitcompile.listings.compilation_database", names=("compile_commands.json",)),
    Listing("willitcompile.listings.markdown", extensions=(".md", ".markdown"), in_directories=True),
)


def listing(path: str) -> Listing | None:
    """What a file of this name lists its sources as; None for a source.

    >>> listing("main.cpp")
    """
    name = os.path.basename(path)
    return next((each for each in LISTINGS if name in each.names or name.endswith(each.extensions)), None)


def entries(path: str, text: bytes, given: Given) -> Iterable[Entry]:
    """What the listing at `path` with this content tells of, in its order. Raises SourceError where it is none."""
    known = listing(path)
    if known is None:
        raise ValueError(path)
    found: Iterable[Entry] = import_module(known.module).entries(path, text, given)
    return found
