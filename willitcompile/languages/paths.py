"""Paths as compilers print them, made what the user typed."""

from __future__ import annotations

import os


def as_named(path: str, prefix: str) -> str:
    """A path as the user would name it. `prefix` is the unit's; see `SourceUnit.prefix`.

    >>> as_named("./main.go", ""), as_named("../x.h", "src/lib/"), as_named("<built-in>", "src/")
    ('main.go', 'src/x.h', '<built-in>')
    """
    if path.startswith(("/", "<")):
        return path
    if not prefix:
        return path.removeprefix("./") or path
    return os.path.normpath(prefix + path)
