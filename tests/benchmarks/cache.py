"""What the cache saves: many unchanged files, and one."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

from bench import HELLO, Figure, alternate, wall

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from bench import Machine

FILES = 1000
HEADERS = ("string", "vector", "map", "memory", "algorithm", "optional", "cstdio", "cmath", "utility", "array")


def recheck(machine: Machine) -> Iterator[Figure]:
    """The first check of many files, and the same again."""
    count = 40 if machine.quick else FILES
    sources = machine.scratch / "sources"
    _write(sources, count)
    home = machine.scratch / "home"
    check = [machine.program, "check", "-b", "sandbox", "-q"]
    before = {name: os.environ.get(name) for name in ("WIC_CACHE", "XDG_CACHE_HOME")}
    os.environ.update(WIC_CACHE="true", XDG_CACHE_HOME=str(home))
    try:
        wall([*check, "--no-cache", str(HELLO)])  # which learns what compilers there are
        first = [wall([*check, str(sources)])]
        again, once = alternate(
            machine.rounds(10, 3), lambda: wall([*check, str(sources)]), lambda: wall([*check, str(HELLO)])
        )
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        shutil.rmtree(sources)
    yield Figure("cache", f"{count} files, the first time", first)
    yield Figure("cache", f"{count} unchanged files", again, "at most 500 ms")
    yield Figure("cache", "so many times faster", [first[0] / each for each in again], "at least 50 x", "x")
    yield Figure("cache", "one cached file, hello.cpp", once, "at most 100 ms")


def _write(directory: Path, count: int) -> None:
    """Small files of C++, each with a header of its project and three of the standard library."""
    directory.mkdir()
    (directory / "common.hpp").write_text("#pragma once\n#include <cstddef>\nstd::size_t common(const char *);\n")
    for number in range(count):
        below = directory / f"part{number % 20}"
        below.mkdir(exist_ok=True)
        includes = "".join(f"#include <{HEADERS[(number * step) % len(HEADERS)]}>\n" for step in (1, 3, 7))
        text = f'#include "../common.hpp"\n{includes}\nint value{number}(int a) {{ return a + {number}; }}\n'
        (below / f"file{number}.cpp").write_text(text)
