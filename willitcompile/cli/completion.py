"""What may follow on a command line, for the shells: values of options, quickly and without asking any backend.

Toolchains are those of the catalogue, and those that this host's PATH shows: to look at each would take seconds.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

import typer  # noqa: TC002 - which looks at the types of these functions itself

from willitcompile import languages
from willitcompile.backends import BACKENDS
from willitcompile.reports import REPORTS
from willitcompile.toolchains import EVERY, load_catalogue

if TYPE_CHECKING:
    from collections.abc import Iterable

_COMPILER = re.compile(r"(?:gcc|clang)-[0-9]+")


def toolchains(incomplete: str) -> list[str]:
    """`gcc`, `gcc-13`, … that begin so; after a comma the next one."""
    return _last_of_several(incomplete, dict.fromkeys((EVERY, *load_catalogue().families, *images(""), *_on_path())))


def images(incomplete: str) -> list[str]:
    """The toolchains that there are images of, for commands that take no other."""
    return _beginning(incomplete, load_catalogue().names)


def standards(ctx: typer.Context, incomplete: str) -> list[str]:
    """Those of the language that was chosen, or of each."""
    chosen = (ctx.params.get("language") or "").lower()
    spoken = [each for each in languages.languages() if chosen in {"", each.name, *each.aliases}]
    return _last_of_several(incomplete, dict.fromkeys(name for each in spoken for name in each.standards))


def language(incomplete: str) -> list[str]:
    return _beginning(incomplete, (each.name for each in languages.languages()))


def backends(incomplete: str) -> list[str]:
    return _beginning(incomplete, ("auto", *BACKENDS))


def formats(incomplete: str) -> list[str]:
    return _beginning(incomplete, REPORTS)


def colors(incomplete: str) -> list[str]:
    return _beginning(incomplete, ("auto", "always", "never"))


def orders(incomplete: str) -> list[str]:
    return _beginning(incomplete, ("finished", "input"))


def _last_of_several(incomplete: str, names: Iterable[str]) -> list[str]:
    """
    >>> _last_of_several("gcc,cl", ["clang", "gcc"])
    ['gcc,clang']
    """
    before, comma, last = incomplete.rpartition(",")
    return [f"{before}{comma}{name}" for name in _beginning(last, names)]


def _beginning(incomplete: str, names: Iterable[str]) -> list[str]:
    return [name for name in names if name.startswith(incomplete)]


def _on_path() -> list[str]:
    found: set[str] = set()
    for directory in os.get_exec_path():
        try:
            found.update(filter(_COMPILER.fullmatch, os.listdir(directory)))
        except OSError:
            continue
    return sorted(found)
