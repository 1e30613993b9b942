"""Sizes and times as people read and type them."""

from __future__ import annotations

from willitcompile.files import sized as size

__all__ = ["seconds", "size", "typed_size"]


def typed_size(count: int) -> str:
    """At least `count` bytes, as a flag takes them.

    >>> typed_size(2 << 30), typed_size((1 << 20) + 1)
    ('2GiB', '1025KiB')
    """
    for unit, name in ((1 << 30, "GiB"), (1 << 20, "MiB")):
        if count % unit == 0:
            return f"{count // unit}{name}"
    return f"{-(-count // 1024)}KiB"


def seconds(number: float) -> str:
    """
    >>> seconds(30.0), seconds(0.3141), seconds(0.0123), seconds(0.00005)
    ('30 s', '0.31 s', '0.012 s', '0 s')
    """
    return f"{round(number, 3 if number < 0.1 else 2):g} s"
