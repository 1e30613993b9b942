"""What a compile of C or C++ has read beside its own files, as the compiler itself tells, and what else it has asked.

With `-MD -MF -` gcc and clang write to stdout, as a rule for make, each file that they have read, also where they
reject it. Not after a header that is missing, as a rule: then they stop, and nothing is known.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, NamedTuple

from willitcompile.languages.c_includes import joined

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from willitcompile.model import CompileJob

_CLOCK = (b"__DATE__", b"__TIME__", b"__TIMESTAMP__")
_QUESTIONS = (b"__has_include", b"__has_include_next", b"__has_embed", b"__asm", b"__asm__")


def _pieces(names: Iterable[bytes]) -> re.Pattern[bytes]:
    """Words of which `##` makes one of these names: every part of them that has both a letter and an underscore."""
    parts = {name[start:end] for name in names for start in range(len(name)) for end in range(start + 1, len(name) + 1)}
    words = {part for part in parts - {*names} if b"_" in part and part.strip(b"_")}
    return re.compile(rb"(?<![\w$])(?:" + b"|".join(sorted(words, reverse=True)) + rb")(?![\w$])")


_CLOCK_PIECES, _QUESTION_PIECES = _pieces(_CLOCK), _pieces(_QUESTIONS)
_UNDERSCORES = re.compile(rb"(?<![\w$])__?(?![\w$])")
"""A word of them alone, which may be pasted to one of letters alone."""
_PASTES = re.compile(rb"##|%:%:|\?\?=|CAT|PASTE|GLUE|JOIN", re.IGNORECASE)
"""What pastes words, and what macros that do are called in the headers of this world."""
_ASM_PIECES = [[re.compile(rb"\b" + word + rb"\b") for word in words] for words in ((b"a", b"sm"), (b"as", b"m"))]
_UNTOLD = re.compile(rb"\bdependency\b|\bincbin\b|\binclude_macros\b")
"""`#pragma GCC dependency` looks at the time of a file, and the assembler reads files too."""
_ASM = re.compile(rb"\b(?:__)?asm(?:__)?\b")
_ANOTHER_MACHINE = re.compile(r"-m(?:arch|cpu|tune)=native")
"""What the flag means is the processor's, which is no part of any key."""
_ELSEWHERE = re.compile(
    r"-m(?:16|32|x32|abi=.*)|-stdlib=.*|-(?:I|iquote|isystem|idirafter)/.*|-f(?:no-)?(?:modules.*|preprocessed|directives-only)"
)
"""Flags by which a compiler looks in other directories than it has told, or tells in another way."""

_SEARCHED = re.compile(r"-(?:I|iquote|isystem|idirafter)(.+)")

_NAME = rb"[^\n<>\"]{1,255}"
_ASKED = re.compile(rb"__has_(?:include(?:_next)?|embed)[ \t]*\([ \t]*(?:[<\"](" + _NAME + rb")[>\"])?")
_ANY_NAME = re.compile(rb"[<\"](" + _NAME + rb"/" + _NAME + rb")[>\"]")
_OUT = re.compile(rb"[<\"](/" + _NAME + rb"|(?:" + _NAME + rb"/)?\.\./" + _NAME + rb")[>\"]")
_WORD = re.compile(rb"(?:[^\s\\$]|\\[ #]|\$\$)+")


def lasts(job: CompileJob, *, on_host: bool) -> bool:
    """Whether the same compile would say the same at another time, as far as its own files and flags tell.

    `on_host`: it can read files of this machine, of which the compiler does not tell those that the assembler or the
    linker reads.
    """
    if any(_ANOTHER_MACHINE.fullmatch(word) for word in job.argv):
        return False
    if on_host and (job.link or any(map(_ELSEWHERE.fullmatch, job.argv))):
        return False
    own = [joined(content) for content in job.files.values()]
    # Macros are defined by flags too.
    contents = [*own, "\n".join(job.argv[1:]).encode(errors="surrogateescape")]
    return not (
        any(map(asks_the_clock, contents))
        or _may_be_pasted(contents, _CLOCK_PIECES)
        or (on_host and _may_be_pasted(contents, _QUESTION_PIECES))
        or any(_leads_out(path, content, job) for path, content in zip(job.files, own, strict=True))
        or (on_host and any(map(_asks_the_host, contents)))
    )


def _asks_the_host(content: bytes) -> bool:
    """Whether something is read that the compiler does not tell of, or asked that nobody can follow."""
    if _ASM.search(content) or _UNTOLD.search(content) or asked(content).by_macro:
        return True
    pasted = _PASTES.search(content) and any(all(word.search(content) for word in words) for words in _ASM_PIECES)
    return bool(pasted)


def _leads_out(path: str, content: bytes, job: CompileJob) -> bool:
    """Whether what may be the name of a header leads to where the unit's own files are not, as to /proc."""
    names = {os.fsdecode(match[1]) for match in _OUT.finditer(content)}
    if any(name.startswith("/") for name in names):
        return True
    searched = filter(None, map(_SEARCHED.match, job.argv))
    places = [os.path.dirname(path), *(f"{job.workdir}/{match[1]}" for match in searched)]
    return not all(any(os.path.normpath(f"{place}/{name}") in job.files for place in places) for name in names)


def _may_be_pasted(contents: Sequence[bytes], pieces: re.Pattern[bytes]) -> bool:
    """Whether the preprocessor may make a name of words that are parts of it."""
    if any(map(pieces.search, contents)):
        return True
    return any(map(_UNDERSCORES.search, contents)) and any(map(_PASTES.search, contents))


def telling(argv: Sequence[str], token: str) -> tuple[str, ...]:
    """A command line by which the compiler also tells what it reads. `token` is of letters and digits, and no source
    can know it. Without -pipe, by which gcc's stdout is the assembler's stdin."""
    return (argv[0], "-MD", "-MF", "-", "-MT", token, *(word for word in argv[1:] if word != "-pipe"))


def told(stdout: bytes, token: str, job: CompileJob) -> tuple[str, ...] | None:
    """The files of this machine that were read, by absolute path; None where that cannot be told for sure."""
    start = token.encode() + b":"
    text = stdout[len(start) :].replace(b"\\\n", b" ")
    if not stdout.startswith(start) or not text.endswith(b"\n") or b"\n" in text[:-1]:
        return None
    if _WORD.sub(b"", text).strip():
        return None
    paths = [os.fsdecode(re.sub(rb"\\([ #])|\$(\$)", rb"\1\2", word.group())) for word in _WORD.finditer(text)]
    read = dict.fromkeys(path for path in paths if path.startswith("/") and path != os.devnull)
    own = (os.path.normpath(f"{job.workdir}/{path}") for path in paths if not path.startswith("/"))
    return tuple(read) if all(path in job.files for path in own) else None


class Asked(NamedTuple):
    """What a text wants to know beside the files that it includes."""

    clock: bool = False
    """The date or the time."""
    names: frozenset[bytes] = frozenset()
    """Whether there are these headers."""
    by_macro: bool = False
    """And others, which a macro names."""
    elsewhere: bool = False
    """And files that may be anywhere."""


def asked(text: bytes) -> Asked:
    """
    >>> asked(b"#if __has_include(<sys/rseq.h>)").names, asked(b"#define HAS(x) __has_include(x)").by_macro
    (frozenset({b'sys/rseq.h'}), True)
    """
    text = joined(text)
    names = {match[1] for match in _ASKED.finditer(text)} if b"__has_" in text else set()
    known = frozenset(names - {None})
    elsewhere = any(name.startswith(b"/") or b".." in name for name in known)
    return Asked(asks_the_clock(text), known, None in names, elsewhere)


def asks_the_clock(text: bytes) -> bool:
    return any(name in text for name in _CLOCK)


def names_in(text: bytes) -> set[bytes]:
    """Whatever may be the name of a header in a directory: one that a macro hands on stands there somewhere."""
    return {match[1] for match in _ANY_NAME.finditer(joined(text))}


def directories(read: Iterable[str], names: Iterable[bytes], roots: Sequence[str]) -> dict[str, None]:
    """Where a file could appear that would be found instead of one that was read, or where one was asked for.

    `read` are the headers, `names` those that a `__has_include` asks for, and `roots` the directories that the compiler
    looks in.
    """
    near = dict.fromkeys(map(os.path.dirname, read))
    real = {place: os.path.realpath(place) for place in (*roots, *near)}
    below = {"", *(os.path.dirname(os.fsdecode(name)) for name in names)}
    for place in near:
        for root in roots:
            if real[place].startswith(real[root] + "/"):
                below.add(real[place][len(real[root]) + 1 :])
    # A header may be found beside the one that includes it, too.
    return near | dict.fromkeys(f"{root}/{each}" if each else root for root in (*roots, *near) for each in below)
