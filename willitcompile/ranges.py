"""Ranges of versions, as a user writes them: `gcc>=10`, `rustc<1.80`, `clang>=14<19`."""

from __future__ import annotations

import operator
import re
from typing import TYPE_CHECKING, NamedTuple

from willitcompile.errors import ToolchainMissing

if TYPE_CHECKING:
    from collections.abc import Callable

_OPERATORS: dict[str, Callable[[tuple[int, ...], tuple[int, ...]], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    "==": operator.eq,
    ">": operator.gt,
    "<": operator.lt,
    "=": operator.eq,
}
_OPERATOR = re.compile("(>=|<=|==|>|<|=)")
_NUMBERS = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,9}){0,3}")
_CHANNELS = ("beta", "nightly", "dev")
_NEWEST = 10**9
"""More than any number that a version has here."""


class Range(NamedTuple):
    """Some versions of a family."""

    family: str
    """As it was typed, in small letters: perhaps a synonym."""
    bounds: tuple[tuple[str, tuple[int, ...]], ...]
    """Each an operator and the numbers of a version; all of them hold. At least one."""

    def holds(self, version: str) -> bool:
        """Whether a version is in it. Of the version only as many numbers count as the bound has: 12.2.0 is a 12.

        >>> read("gcc>=12").holds("12.2.0"), read("gcc>12").holds("12.2.0"), read("go<1.10").holds("1.9")
        (True, False, True)
        """
        numbers = order(version)
        return all(
            _OPERATORS[symbol]((numbers + (0,) * len(bound))[: len(bound)], bound) for symbol, bound in self.bounds
        )


def order(version: str) -> tuple[int, ...]:
    """By what to sort versions, the older first. What has no number, as `nightly`, is newer than all that has one.

    >>> sorted(["1.10", "nightly", "1.9", "beta"], key=order)
    ['1.9', '1.10', 'beta', 'nightly']
    """
    match = _NUMBERS.match(version)
    if match:
        return tuple(map(int, match[0].split(".")))
    return (_NEWEST, _CHANNELS.index(version) if version in _CHANNELS else -1)


def read(text: str) -> Range:
    """The range that somebody typed. Raises ToolchainMissing where it is not one.

    >>> read("clang >= 14 < 19")
    Range(family='clang', bounds=(('>=', (14,)), ('<', (19,))))
    """
    family, *parts = (part.strip() for part in _OPERATOR.split(text.lower()))
    bounds = []
    for symbol, version in zip(parts[::2], parts[1::2], strict=True):
        if not _NUMBERS.fullmatch(version):
            raise _wrong(text, f"{version[:30]!r} is no version" if version else f"there is no version after {symbol}")
        bounds.append((symbol, tuple(map(int, version.split(".")))))
    if re.fullmatch(r"[a-z+]+-?[0-9][0-9.]*", family):
        raise _wrong(text, f"{family[:30]} is one version, and a range is of a family")
    if not family or not bounds:
        raise _wrong(text, "it does not say which compiler" if bounds else "it has no version")
    return Range(family, tuple(bounds))


def _wrong(text: str, obstacle: str) -> ToolchainMissing:
    return ToolchainMissing(
        f"compile with {text[:60]!r}", obstacle, "write a range as 'gcc>=10' or, with both ends, 'gcc>=10<13'"
    )
