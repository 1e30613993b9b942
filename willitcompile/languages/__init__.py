"""What differs between languages: the protocol, and the table.

A language is an object with the few names of `Language`. A new one is a module and a line in `LANGUAGES`.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING, NamedTuple, Protocol

from willitcompile.errors import UnknownLanguage

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from willitcompile.model import CompileJob, Diagnostic, SourceUnit, Toolchain
    from willitcompile.sources import SourceTree


class CompileOptions(NamedTuple):
    """What the user asked beyond the standard. Not yet judged: `Language.command` does that."""

    defines: tuple[str, ...] = ()
    """`NAME` or `NAME=VALUE`."""
    warnings: tuple[str, ...] = ()
    """Whole flags: `-Wall`, `-Werror=unused`."""
    flags: tuple[str, ...] = ()
    """Whole flags: `-O2`, `-fno-exceptions`."""
    link: bool = False
    """Build a program, not only an object."""

    def joined(self, others: CompileOptions) -> CompileOptions:
        """These and then others, which therefore win where a compiler lets the last one win."""
        return CompileOptions(
            self.defines + others.defines,
            self.warnings + others.warnings,
            self.flags + others.flags,
            self.link or others.link,
        )


class Command(NamedTuple):
    """How to ask the compiler. See the fields of the same names of `CompileJob`."""

    argv: tuple[str, ...]
    environment: Mapping[str, str]
    rejected_exit_codes: frozenset[int]


class Messages(NamedTuple):
    """What a compiler said."""

    stdout: str
    stderr: str
    """For people, as the compiler prints it, without what we only asked for to parse it."""
    diagnostics: tuple[Diagnostic, ...]


class Language(Protocol):
    @property
    def name(self) -> str:
        """`c`, `c++`, `go`, `rust`."""

    @property
    def aliases(self) -> tuple[str, ...]:
        """Other names that people type: `cpp`, `cxx`, `golang`."""

    @property
    def extensions(self) -> frozenset[str]:
        """Of source files, with the dot, lower or upper case as they are: `.C` is C++."""

    @property
    def headers(self) -> frozenset[str]:
        """Of files that can be compiled alone but are not looked for in a directory."""

    @property
    def project_file(self) -> str:
        """The file by which a directory above a source is its project's: `go.mod`; empty for none."""

    @property
    def families(self) -> tuple[str, ...]:
        """The toolchain families that compile it, the preferred first."""

    @property
    def standards(self) -> tuple[str, ...]:
        """Every standard we know, oldest first, by its canonical name."""

    @property
    def spellings(self) -> Mapping[str, tuple[str, ...]]:
        """By canonical name of a standard, how compilers spell it, in the order in which to try them."""

    def canonical(self, text: str) -> str:
        """The canonical name of a standard as a user types it: `c++2b` is `c++23`. Raises UnknownStandard."""

    def default_standard(self, unit: SourceUnit, toolchain: Toolchain) -> str:
        """The standard where the user asks for none: what the project says, else the toolchain's."""

    def claims(self, head: bytes) -> bool:
        """Whether a header with this text is of this language rather than of another with the extension."""

    def sources(self, files: Sequence[str]) -> Iterable[str]:
        """Of all the files below a directory, those to be checked each as a unit of its own."""

    def gather(self, tree: SourceTree) -> SourceUnit:
        """Collect what the compile of `tree.main` needs. Raises SourceError."""

    def command(self, unit: SourceUnit, toolchain: Toolchain, standard: str, options: CompileOptions) -> Command:
        """The compile of a unit. `standard` is one of the toolchain's. Raises FlagRefused."""

    def messages(self, stdout: bytes, stderr: bytes, prefix: str = "") -> Messages:
        """Read what the compiler printed, which is hostile and may be cut anywhere. Never raises.

        `prefix` is the unit's; the paths of the diagnostics get it.
        """

    def lasts(self, job: CompileJob, *, on_host: bool) -> bool:
        """Whether the same compile would say the same at another time, as far as its own files and flags tell.

        `on_host`: it can read files of this machine. Then it is also whether the compiler would tell of all of them.
        """


LANGUAGES = {
    "c": ("willitcompile.languages.c_family", "C"),
    "c++": ("willitcompile.languages.c_family", "CPP"),
    "go": ("willitcompile.languages.go", "GO"),
    "rust": ("willitcompile.languages.rust", "RUST"),
}
"""By name, the module of the language and its object there. Each is imported only when it is looked at."""


def language(name: str) -> Language:
    """The language of this name or alias, in upper or lower case. Raises UnknownLanguage."""
    wanted = name.strip().lower()
    if wanted in LANGUAGES:
        return _load(wanted)
    for each in languages():
        if wanted in each.aliases:
            return each
    raise UnknownLanguage(
        f"use the language {name!r}", "there is none of that name", f"use one of: {', '.join(LANGUAGES)}"
    )


def languages() -> Iterator[Language]:
    """Every language, in the order of the table."""
    return map(_load, LANGUAGES)


def detect(path: str, head: bytes = b"", asked: str | None = None) -> Language:
    """The language of a file: the one asked for, else by its extension, else, for a header, by its content.

    `head` is the content or its first part. Raises UnknownLanguage.
    """
    if asked:
        return language(asked)
    extension = os.path.splitext(path)[1]
    for spelled in (extension, extension.lower()):
        found = list(languages_of(spelled))
        if len(found) > 1:
            return next((each for each in found if each.claims(head)), found[0])
        if found:
            return found[0]
    known = " ".join(sorted(extension for each in languages() for extension in each.extensions))
    obstacle = f"the extension {extension} is not known" if extension else "its name has no extension"
    raise UnknownLanguage(
        f"tell the language of {path}",
        obstacle,
        f"say it with --language {'|'.join(LANGUAGES)}; known extensions are: {known}",
    )


def languages_of(extension: str) -> Iterator[Language]:
    """The languages that have sources or headers with this extension, `.h` more than one."""
    if not extension:
        return
    shared = False
    for each in languages():
        if extension in each.extensions:
            yield each
            return
        if extension in each.headers:
            shared = True
            yield each
        elif shared:
            return


def _load(name: str) -> Language:
    module, attribute = LANGUAGES[name]
    loaded: Language = getattr(import_module(module), attribute)
    return loaded
