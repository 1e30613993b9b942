"""The command line of a C or C++ compiler, as a build has written it: what of it tells how a source is compiled.

It is words already: see `words` for one that is a line of shell. Files of options (`@file`) are read by `expanded`.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

MOST_WORDS = 100_000
"""In one command line, with all of its files of options."""

MOST_LETTERS = 1_000_000
MOST_LETTERS_OF_A_WORD = 100_000
"""Linux takes 2 MiB of words, and 128 KiB of each."""

MOST_DEPTH = 8
"""Files of options that name others."""

LAUNCHERS = frozenset({"ccache", "sccache", "distcc", "icecc", "env"})
"""Programs that build systems put before the compiler."""

SEARCH = ("-isystem", "-iquote", "-idirafter", "-I")

_NEXT_IS_ITS_VALUE = frozenset({"-o", "-MF", "-MT", "-MQ", "-MJ", "-L", "-l", "-Xlinker", "-z", "-T"})
# Without a meaning for whether it compiles: what is to be written, and where; what only a linker reads; how messages
# look; where paths in what is written are to lead.
_OF_NO_MATTER = re.compile(
    r"-c|-M(?:D|MD|P|G|M)?|-M[FTQJ].+|-o.+|-pipe|-Winvalid-pch|-f(?:no-)?pch-.*|-Wl,.*|-[Ll].+|-fuse-ld=.*|-s|"
    r"-Wp,-MM?D,.*|-f(?:no-)?(?:color-diagnostics|ansi-escape-codes|diagnostics-color)|-fdiagnostics-color=.*|"
    r"-f(?:macro|file|debug|coverage|profile)-prefix-map=.*|-fdebug-compilation-dir=.*|-save-temps(?:=.*)?|"
    r"-ftime-trace(?:=.*)?|-g(?:no-)?split-dwarf|--?coverage|-fprofile-arcs|-ftest-coverage|-fstack-usage|"
    r"-rdynamic|-shared|-static|-f(?:no-)?record-(?:gcc|command)-.*|-grecord-.*|-gno-record-.*|-gz(?:=.*)?|-v|-Q.*"
)
_LANGUAGES = {"c": "c", "c-header": "c", "c++": "c++", "c++-header": "c++"}


_PIECE = re.compile(r"""([^\s"'\\]+)|\\(.?)|'([^']*)'|"((?:[^"\\]|\\.)*)"|(\s+)|(["'])""", re.DOTALL)
"""Plain, escaped, in single quotes, in double quotes, blanks, and a quote that has no end."""
_ESCAPED = re.compile(r'\\(?:(["\\$`])|\n)')
_OF_A_SHELL = frozenset({"&&", "||", ";", "|", "&"})
_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=")
_COMPILER = re.compile(r"(?:.*-)?(?:gcc|g\+\+|clang|clang\+\+|cc|c\+\+)(?:-[\d.]+)?(?:\.exe)?")


class WrongLine(ValueError):
    """A command line that tells nothing, and why."""


class Options(NamedTuple):
    """What a command line says, its paths as they stand in it."""

    compiler: str
    language: str | None
    """What `-x` says of the source; empty for another language than C and C++, None where there is none."""
    standard: str | None
    """As it is spelled."""
    flags: tuple[str, ...]
    """With definitions and warnings, in their order; not yet judged."""
    search: tuple[tuple[str, str], ...]
    forced: tuple[str, ...]


def words(line: str) -> list[str]:
    """A line of shell as words, which is never given to one: as sh reads quotes, which shlex does not with `"\\$"`, and
    several times faster. Raises WrongLine."""
    if not any(each in line for each in "\"'\\"):
        return line.split()
    found: list[str] = []
    word: list[str] | None = None
    for piece in _PIECE.finditer(line):
        plain, escaped, single, double, blanks, quote = piece.groups()
        if blanks is not None:
            if word is not None:
                found.append("".join(word))
            word = None
            continue
        if quote or escaped == "":
            raise WrongLine(f"its command has no {'closing quotation' if quote else 'escaped character'}")
        if double is not None:
            double = _ESCAPED.sub(lambda each: each[1] or "", double)
        word = word or []
        word.append(next(each for each in (plain, escaped, single, double) if each is not None))
    return found if word is None else [*found, "".join(word)]


def expanded(given: Sequence[str], read: Callable[[str], str], depth: int = 0) -> list[str]:
    """With the words of each file of options in its place. `read` may raise WrongLine. So does this."""
    if depth > MOST_DEPTH:
        raise WrongLine(f"files of options that name each other, more than {MOST_DEPTH} deep")
    found: list[str] = []
    for word in given:
        if word.startswith("@") and len(word) > 1:
            found += expanded(words(read(word[1:])), read, depth + 1)
        else:
            found.append(word)
        if len(found) > MOST_WORDS:
            raise WrongLine(f"its command has more than {MOST_WORDS} words")
    if sum(map(len, found)) > MOST_LETTERS or max(map(len, found), default=0) > MOST_LETTERS_OF_A_WORD:
        raise WrongLine("its command is longer than a system would take")
    return found


def options(given: Sequence[str]) -> Options:
    """Read the words. Raises WrongLine."""
    rest = iter(given)
    compiler = _compiler(rest)
    _refuse_several(given)
    language: str | None = None
    standard = None
    flags: list[str] = []
    search: list[tuple[str, str]] = []
    forced: list[str] = []
    only_files = False
    for word in rest:
        if only_files or not word.startswith("-") or word == "-":
            continue  # the source, or another one that is compiled with it
        if word == "--":
            only_files = True
        elif word in _NEXT_IS_ITS_VALUE:
            _value(word, rest)
        elif option := next((each for each in SEARCH if word.startswith(each)), None):
            search.append((option, word[len(option) :].removeprefix("=") or _value(word, rest)))
        elif word in {"-include", "--include"} or word.startswith("--include="):
            forced.append(word.partition("=")[2] or _value(word, rest))
        elif word.startswith(("-D", "-U")):
            flags.append(word if len(word) > 2 else word + _value(word, rest))
        elif word.startswith(("-Wp,-D", "-Wp,-U")):
            flags += word.split(",")[1:]
        elif word == "-ansi":
            standard = word[1:]
        elif word.startswith(("-std=", "--std=")):
            standard = word.partition("=")[2]
        elif word.startswith("-x"):
            language = _LANGUAGES.get(word[2:] or _value(word, rest), "")
        elif not _OF_NO_MATTER.fullmatch(word):
            flags.append(word)
    return Options(compiler, language, standard, tuple(flags), tuple(search), tuple(forced))


def _compiler(rest: Iterator[str]) -> str:
    for word in rest:
        name = os.path.basename(word)
        if name not in LAUNCHERS and not _ASSIGNMENT.match(word):
            if name.lower().removesuffix(".exe") in {"cl", "clang-cl"}:
                raise WrongLine(f"its command is for {name}, whose flags are not those of gcc and clang")
            if not _COMPILER.fullmatch(name):
                raise WrongLine(f"its command runs {name!r}, which is neither gcc nor clang")
            return name
    raise WrongLine("its command is empty")


def _refuse_several(given: Sequence[str]) -> None:
    if operator := next((word for word in given if word in _OF_A_SHELL), None):
        raise WrongLine(f"its command is several, with {operator}, and no shell is asked")


def _value(option: str, rest: Iterator[str]) -> str:
    value = next(rest, None)
    if value is None:
        raise WrongLine(f"its command ends after {option}")
    return value
