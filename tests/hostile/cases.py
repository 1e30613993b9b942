"""The hostile sources with what is expected of each.

In `sources/` stands, beside each `name.c` (`.cpp`, `.go`, `.rs`), a `name.expect`. More than one file are a
directory of that name with a `main` of these; what is no file has a recipe in generate.py. In YAML it says:

verdict    the right one, or one for each compiler family where they differ
why        one sentence
standard   to compile with, where it matters
limits     timeout in seconds, memory; see `LIMITS` for the others
link       true to build a program
backends   another verdict for each backend that cannot do better
links      in the directory, symbolic links by name, made when the test runs
must       regular expressions that the compiler's output matches
never      regular expressions that it never matches

`@NAME@` in a source, a link or an expression stands for one of the secrets of test_hostile.py.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from willitcompile.model import MIB, Limits

from .generate import RECIPES

if TYPE_CHECKING:
    from collections.abc import Mapping

SOURCES = Path(__file__).parent / "sources"
FAMILIES = {".c": ("gcc", "clang"), ".cpp": ("gcc", "clang"), ".go": ("go",), ".rs": ("rustc",)}
LANGUAGES = {".c": "c", ".cpp": "c++", ".go": "go", ".rs": "rust"}
STANDARDS = {"c": "c17", "c++": "c++17", "rust": "2021", "go": None}

# What is expected holds with room to spare: nothing that is decided by another limit comes near these.
LIMITS = Limits(wall_seconds=20, memory_bytes=512 * MIB, output_bytes=1 * MIB, file_bytes=64 * MIB)


@dataclass(frozen=True)
class Case:
    name: str
    main: str
    """The file to compile, below the case's directory."""
    verdicts: Mapping[str, str]
    """By compiler family."""
    why: str
    standard: str | None
    limits: Limits
    link: bool = False
    backends: Mapping[str, str] = field(default_factory=dict)
    """By backend, the verdict where it is another one."""
    links: Mapping[str, str] = field(default_factory=dict)
    must: tuple[str, ...] = ()
    never: tuple[str, ...] = ()

    @property
    def language(self) -> str:
        return LANGUAGES[Path(self.main).suffix]

    def write(self, directory: Path, secrets: Mapping[str, str]) -> Path:
        """Lay the case out in a directory, and return the file to compile."""
        origin = SOURCES / self.name
        if origin.is_dir():
            for path in origin.iterdir():
                (directory / path.name).write_bytes(fill(path.read_text(), secrets).encode())
        elif self.main in RECIPES:
            (directory / self.main).write_bytes(RECIPES[self.main]())
        else:
            (directory / self.main).write_bytes(fill((SOURCES / self.main).read_text(), secrets).encode())
        for name, target in self.links.items():
            (directory / name).symlink_to(fill(target, secrets))
        return directory / self.main


def fill(text: str, secrets: Mapping[str, str]) -> str:
    """Put the secrets in the place of their names."""
    return re.sub("@([A-Z_]+)@", lambda found: secrets[found[1]], text)


def load() -> list[Case]:
    return [case(path) for path in sorted(SOURCES.glob("*.expect"))]


def case(path: Path) -> Case:
    name = path.stem
    inside = SOURCES / name
    names = (
        [*RECIPES, *(p.name for p in SOURCES.iterdir())] if not inside.is_dir() else [p.name for p in inside.iterdir()]
    )
    wanted = "main" if inside.is_dir() else name
    (main,) = (n for n in names if Path(n).stem == wanted and Path(n).suffix in LANGUAGES)
    data: dict[str, Any] = yaml.safe_load(path.read_text())
    verdict, limits = data.pop("verdict"), data.pop("limits", {})
    families = FAMILIES[Path(main).suffix]
    return Case(
        name=name,
        main=main,
        verdicts=verdict if isinstance(verdict, dict) else dict.fromkeys(families, verdict),
        why=data.pop("why"),
        standard=data.pop("standard", STANDARDS[LANGUAGES[Path(main).suffix]]),
        limits=LIMITS._replace(
            wall_seconds=limits.pop("timeout", LIMITS.wall_seconds),
            memory_bytes=int(limits.pop("memory", "512 MiB").removesuffix(" MiB")) * MIB,
            **limits,
        ),
        must=tuple(data.pop("must", ())),
        never=tuple(data.pop("never", ())),
        **data,
    )
