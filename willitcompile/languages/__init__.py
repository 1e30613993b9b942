"""What differs between languages: the protocol, and the table.

A language is an object with the few names of `Language`. A new one is a module and a line in `LANGUAGES`.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Protocol

from willitcompile.errors import UnknownLanguage

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from willitcompile.model import Diagnostic, SourceUnit, Toolchain


@dataclass(frozen=True, slots=True)
class CompileOptions:
    """What the user asked of the compiler beyond its standard. Not yet judged: `Language.command` does that."""

    defines: tuple[str, ...] = ()
    """`NAME` or `NAME=VALUE`."""
    warnings: tuple[str, ...] = ()
    """Whole flags: `-Wall`, `-Werror=unused`."""
    flags: tuple[str, ...] = ()
    """Whole flags: `-O2`, `-fno-exceptions`."""
    link: bool = False
    """Build a program, not only an object."""


@dataclass(frozen=True, slots=True)
class Command:
    """How to ask the compiler. See the fields of the same names of `CompileJob`."""

    argv: tuple[str, ...]
    environment: Mapping[str, str]
    rejected_exit_codes: frozenset[int]


@dataclass(frozen=True, slots=True)
class Messages:
    """What a compiler said."""

    stdout: str
    stderr: str
    """For people, as the compiler prints it, without what we only asked for to parse it."""
    diagnostics: tuple[Diagnostic, ...]


class Language(Protocol):
    name: str
    """`c`, `c++`, `go`, `rust`."""

    aliases: tuple[str, ...]
    """Other names that people type: `cpp`, `cxx`, `golang`."""

    extensions: frozenset[str]
    """Of source files, with the dot, lower or upper case as they are: `.C` is C++."""

    headers: frozenset[str]
    """Of files that can be compiled alone but are not looked for in a directory."""

    families: tuple[str, ...]
    """The toolchain families that compile it, the preferred first."""

    standards: tuple[str, ...]
    """Every standard we know, oldest first, by its canonical name."""

    def claims(self, head: bytes) -> bool:
        """Whether a header with this text is of this language rather than of another with the extension."""

    def sources(self, files: Sequence[Path]) -> Iterable[Path]:
        """Of all its files below a directory, those to be checked each as a unit of its own."""

    def gather(self, tree: SourceTree, main: Path) -> SourceUnit:
        """Collect what one compile needs. Raises SourceError."""

    def command(
        self, unit: SourceUnit, toolchain: Toolchain, standard: str, options: CompileOptions
    ) -> Command:
        """The compile of a unit. `standard` is one of the toolchain's. Raises FlagRefused."""

    def messages(self, stdout: bytes, stderr: bytes) -> Messages:
        """Read what the compiler printed, which is hostile and may be cut anywhere. Never raises."""
