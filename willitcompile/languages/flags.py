"""What the allowlists of flags of all languages share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from willitcompile.errors import FlagRefused

if TYPE_CHECKING:
    from collections.abc import Iterable

PRINTING_VALUES = frozenset({"help", "list"})
"""With these a flag makes a compiler print what it knows, compile nothing, and perhaps end with success."""


def refusal(flag: str, known: Iterable[tuple[str, str, str]]) -> FlagRefused:
    """Why a flag is refused. `known` has beginnings of flags, separated by blanks, with obstacle and remedy."""
    asked = f"use the flag {flag!r}"
    for beginnings, obstacle, remedy in known:
        if flag.startswith(tuple(beginnings.split())):
            return FlagRefused(asked, obstacle, remedy)
    if not flag.startswith("-"):
        return FlagRefused(asked, "it is not a flag", "give files as arguments of check")
    return FlagRefused(asked, "it is not on the list of flags that are known to be harmless", "leave it out")
