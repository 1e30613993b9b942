"""Sizes and times as people read and type them."""

from __future__ import annotations


def size(count: int) -> str:
    """
    >>> size(1 << 30), size(3 << 29), size(100)
    ('1 GiB', '1.5 GiB', '100 bytes')
    """
    for unit, name in ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")):
        if count >= unit:
            return f"{round(count / unit, 1):g} {name}"
    return f"{count} bytes"


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
    >>> seconds(30.0), seconds(0.3141), seconds(0.001)
    ('30 s', '0.31 s', '0.001 s')
    """
    return f"{number:.3g} s" if number < 0.1 else f"{round(number, 2):g} s"
