"""C and C++, with gcc and clang."""

from __future__ import annotations

import os
from types import MappingProxyType
from typing import TYPE_CHECKING

from willitcompile.errors import UnknownStandard
from willitcompile.languages import Command
from willitcompile.model import output_path

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from willitcompile.languages import CompileOptions, Messages
    from willitcompile.model import CompileJob, SourceUnit, Toolchain
    from willitcompile.sources import SourceTree

_NO_ENVIRONMENT: Mapping[str, str] = MappingProxyType({})

DRIVERS = {
    ("gcc", "c"): "gcc",
    ("gcc", "c++"): "g++",
    ("clang", "c"): "clang",
    ("clang", "c++"): "clang++",
}
"""By family and language, the program to ask."""


class CLanguage:
    """One of the two. See `Language`."""

    def __init__(
        self,
        name: str,
        aliases: tuple[str, ...],
        extensions: frozenset[str],
        headers: frozenset[str],
        years: Mapping[str, tuple[str, ...]],
    ) -> None:
        self.name = name
        self.aliases = aliases
        self.extensions = extensions
        self.headers = headers
        self.project_file = ""
        self.families = ("gcc", "clang")
        self._years = years
        """By standard without its prefix, oldest first, every spelling of it: `{"23": ("23", "2b")}`."""

    @property
    def gnu(self) -> str:
        """The prefix of the standards with GNU extensions."""
        return self.name.replace("c", "gnu")

    @property
    def standards(self) -> tuple[str, ...]:
        return tuple(prefix + year for year in self._years for prefix in (self.name, self.gnu))

    @property
    def spellings(self) -> Mapping[str, tuple[str, ...]]:
        return {
            prefix + year: tuple(prefix + spelled for spelled in spellings)
            for year, spellings in self._years.items()
            for prefix in (self.name, self.gnu)
        }

    def canonical(self, text: str) -> str:
        wanted = text.strip().lower().removeprefix("-std=").replace("cpp", "c++").replace("cxx", "c++")
        wanted = wanted.replace("gnupp", "gnu++").replace("gnuxx", "gnu++")
        if wanted == "ansi":
            wanted = next(iter(self.standards))
        prefix = next((known for known in (self.gnu, self.name) if wanted.startswith(known)), "")
        year = wanted[len(prefix) :]
        for canonical, spellings in self._years.items():
            if year in spellings:
                return (prefix or self.name) + canonical
        title = self.name.upper()
        raise UnknownStandard(
            f"use the standard {text!r} for {title}",
            f"{title} has none of that name",
            f"use one of: {', '.join(self.name + year for year in self._years)}, or the same with {self.gnu}",
        )

    def default_standard(self, unit: SourceUnit, toolchain: Toolchain) -> str:  # noqa: ARG002
        return toolchain.defaults[self.name]

    def claims(self, head: bytes) -> bool:
        from willitcompile.languages.c_headers import looks_like_cpp

        return looks_like_cpp(head) == (self is CPP)

    def sources(self, files: Sequence[str]) -> list[str]:
        return [path for path in files if os.path.splitext(path)[1] in self.extensions]

    def gather(self, tree: SourceTree) -> SourceUnit:
        from willitcompile.languages.c_includes import gather

        gather(tree)
        return tree.unit(self.name)

    def command(self, unit: SourceUnit, toolchain: Toolchain, standard: str, options: CompileOptions) -> Command:
        judged: tuple[str, ...] = ()
        if options.defines or options.warnings or options.flags:
            from willitcompile.languages.c_flags import judged_flags

            judged = judged_flags(options)
        gcc = toolchain.family == "gcc"
        is_header = os.path.splitext(unit.main[0])[1] in self.headers
        argv = (
            DRIVERS[toolchain.family, self.name],
            f"-std={toolchain.standards[self.name][standard]}",
            *(("-pipe",) if gcc else ()),
            "-fdiagnostics-color=never",
            "-fdiagnostics-parseable-fixits",
            # From 11 on gcc counts in columns of a terminal, of which an emoji takes two.
            *(("-fdiagnostics-column-unit=byte",) if gcc and _major(toolchain) >= 11 else ()),
            *judged,
            *(f"-I{directory}" for directory in unit.include_dirs),
            *(option + directory for option, directory in unit.search),
            *(word for path in unit.forced for word in ("-include", path)),
            "-o",
            output_path(unit.workdir),
            *(() if options.link else ("-c",)),
            # A header is compiled as what includes it would see it, or each `#pragma once` would be warned of.
            *(("-include", *unit.main, "-x", self.name, "/dev/null") if is_header else ("-x", self.name, *unit.main)),
            # A library is no source: it goes last, where the linker wants it, and by its own name.
            *(("-x", "none", *libraries) if (libraries := _libraries(options)) else ()),
        )
        return Command(argv, _NO_ENVIRONMENT, frozenset({1}))

    def messages(self, stdout: bytes, stderr: bytes, prefix: str = "") -> Messages:
        from willitcompile.languages.gnu_messages import messages

        return messages(stdout, stderr, prefix)

    def lasts(self, job: CompileJob, *, on_host: bool) -> bool:
        from willitcompile.languages.c_inputs import lasts

        return lasts(job, on_host=on_host)


def _major(toolchain: Toolchain) -> int:
    major = toolchain.version.partition(".")[0]
    return int(major) if major.isdecimal() else 0


def _libraries(options: CompileOptions) -> list[str]:
    return [flag for flag in options.flags if flag.startswith("-l")]


C = CLanguage(
    name="c",
    aliases=(),
    extensions=frozenset({".c"}),
    headers=frozenset({".h"}),
    years={
        "89": ("89", "90"),
        "99": ("99", "9x"),
        "11": ("11", "1x"),
        "17": ("17", "18"),
        "23": ("23", "2x"),
    },
)

CPP = CLanguage(
    name="c++",
    aliases=("cpp", "cxx", "cc"),
    extensions=frozenset({".cpp", ".cc", ".cxx", ".c++", ".C", ".cp", ".cppm", ".ixx"}),
    headers=frozenset({".h", ".hh", ".hpp", ".hxx", ".h++", ".H", ".ipp", ".tpp", ".inl"}),
    years={
        "98": ("98", "03"),
        "11": ("11", "0x"),
        "14": ("14", "1y"),
        "17": ("17", "1z"),
        "20": ("20", "2a"),
        "23": ("23", "2b"),
        "26": ("26", "2c"),
    },
)
