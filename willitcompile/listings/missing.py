"""Which headers a compiler has not found, by its own words: those that a build makes are missing before it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from willitcompile.model import Diagnostic

# As gcc says it, and as clang does.
_MISSING = re.compile(
    r"(?P<gcc>[^\s:][^:]{0,1000}): No such file or directory|'(?P<clang>[^']{1,1000})' file not found"
)


def headers(diagnostics: Iterable[Diagnostic]) -> list[str]:
    """Their names, as the source has them.

    >>> from willitcompile.model import Diagnostic
    >>> headers([Diagnostic("a.c", 1, 10, "error", None, "config.h: No such file or directory")])
    ['config.h']
    """
    found = (_MISSING.fullmatch(each.message) for each in diagnostics if each.severity == "error")
    return list(dict.fromkeys(match["gcc"] or match["clang"] for match in found if match))
