"""A Markdown document, whose fenced blocks of C, C++, Go and Rust are compiled, each on its own.

What is compiled is the document itself, where all that is not the block is blank: so its lines and columns are the
document's, whatever the compiler says. See https://spec.commonmark.org/0.31.2/#fenced-code-blocks.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, NamedTuple

from willitcompile.errors import SourceError, UnknownStandard
from willitcompile.languages import language
from willitcompile.listings import Entry
from willitcompile.listings.fragments import wrappers
from willitcompile.model import Expectation, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator

    from willitcompile.listings import Given
    from willitcompile.listings.fragments import Wrapper

MOST_BLOCKS = 2000
MOST_LINES = 20_000
"""Of one document. Each block is held with as many blank lines as stand before it."""

MOST_INFO = 1000
"""Characters behind a fence."""

LANGUAGES = {
    "c": "c",
    "c++": "c++",
    "cc": "c++",
    "cpp": "c++",
    "cxx": "c++",
    "hpp": "c++",
    "go": "go",
    "golang": "go",
    "rs": "rust",
    "rust": "rust",
}
"""By the first word behind a fence."""

_QUOTE = re.compile(r" {0,3}>[ \t]?")
_ITEM = re.compile(r" {0,3}(?:[-+*]|[0-9]{1,9}[.)])(?:[ \t]{1,4}(?=\S)|[ \t])")
_OPENS = re.compile(r"[ \t]*(?P<fence>`{3,}(?=[^`]*$)|~{3,})(?P<info>.*)$")
_DOXYGEN = re.compile(r"[ \t]*[@\\]code(?P<info>\{[^}]*\})?[ \t]*$")
_END_OF_DOXYGEN = "@endcode"
_COMMENT = re.compile(r"\s*<!--\s*will-it-compile:(?P<words>[^>]*)-->\s*$")
_RUST_MAIN = re.compile(r"^[^/]*\bfn\s+main\s*\(", re.MULTILINE)
_MAIN = re.compile(r"^[^/]*\bmain\s*\(", re.MULTILINE)
_PACKAGE = re.compile(r"^\s*package\s+\w+", re.MULTILINE)
_INCLUDED = re.compile(r"\s*\{\{\s*#\w*include[^}]*\}\}\s*")


class Block(NamedTuple):
    """One fenced block."""

    opened: int
    """The line of its first fence, counted from 1."""
    words: tuple[str, ...]
    """Of its info string, and of a comment before it."""
    lines: tuple[str, ...]
    """What it holds, with blanks for what marks a quotation."""
    is_closed: bool


def entries(path: str, text: bytes, given: Given) -> Iterator[Entry]:
    """See `willitcompile.listings.entries`. A block of another language, one that says `ignore`, and one that mdBook
    fills from a file, are left out. Raises ConfigError."""
    around = wrappers(given.documents)
    count = 0
    for block in blocks(text.decode("utf-8", "surrogateescape").removeprefix("\ufeff")):
        spoken = LANGUAGES.get(block.words[0].lower()) if block.words else None
        if spoken is None or any(word.split("-")[0] == "ignore" for word in block.words):
            continue
        if all(_INCLUDED.fullmatch(line) for line in block.lines if line.strip()) and "".join(block.lines).strip():
            continue
        count += 1
        if count > MOST_BLOCKS:
            yield _problem(path, block, f"there are more than {MOST_BLOCKS} blocks", "divide the document")
            return
        if block.opened + len(block.lines) > MOST_LINES:
            yield _problem(path, block, f"it is behind line {MOST_LINES}", "divide the document")
            return
        if not block.is_closed:
            obstacle = "the block that begins here is not closed"
            yield _problem(path, block, obstacle, "close it with a fence like its own")
            continue
        yield _entry(path, block, spoken, around[spoken])


def _entry(path: str, block: Block, spoken: str, around: Wrapper) -> Entry:
    standard, expected = None, None
    is_fragment = around.every
    hidden = None
    try:
        for word in block.words[1:]:
            if word == "compile_fail":
                expected = expected or Expectation(Verdict.REJECTED)
            elif re.fullmatch(r"E[0-9]{4}", word) and expected:
                expected = Expectation(Verdict.REJECTED, word)
            elif word.startswith("std="):
                standard = language(spoken).canonical(word.removeprefix("std="))
            elif spoken == "rust" and re.fullmatch(r"edition20[0-9]{2}", word):
                standard = language(spoken).canonical(word.removeprefix("edition"))
            elif word == "fragment":
                is_fragment = True
            elif word.startswith("hidelines="):
                hidden = word.removeprefix("hidelines=")
    except UnknownStandard as error:
        return _problem(path, block, f"of its {word[:50]!r}: {error.obstacle}", error.remedy)
    lines = [_unhidden(line, hidden) for line in block.lines] if hidden and spoken != "rust" else list(block.lines)
    before, after = [], []
    # What is whole, is whole, whatever holds for all others.
    if is_fragment and not (around.every and _MAIN.search("\n".join(lines))):
        before, after = around.before.splitlines(), around.after.splitlines()
    if spoken == "go":
        return _go_entry(path, block, [*before], lines, after, standard, expected)
    if spoken == "rust":
        opens, lines, closes = _rust(tuple(lines))
        before, after = [*before, *([opens] if opens else [])], [*([closes] if closes else []), *after]
    if len(before) > block.opened:
        return _problem(
            path,
            block,
            f"{len(before)} lines come before it, and there is room for {block.opened} above it",
            "move it down, or write fewer lines in documents",
        )
    above = [""] * (block.opened - len(before)) + before
    content = "\n".join([*above, *lines, " ".join(after), ""]).encode("utf-8", "surrogateescape")
    name = f"{path}:{block.opened + 1}"
    return Entry(name, path, spoken, content, line=block.opened + 1, standard=standard, expected=expected)


def _go_entry(
    path: str,
    block: Block,
    before: list[str],
    lines: list[str],
    after: list[str],
    standard: str | None,
    expected: Expectation | None,
) -> Entry:
    """Go takes only files of its own name, which say where they come from, and would take all others beside it."""
    line = block.opened + 1
    package = [] if _PACKAGE.search("\n".join(lines)) else ["package main"]
    text = "\n".join([*package, *before, f"//line {path}:{line}:1", *lines, *after, ""])
    return Entry(
        f"{path}:{line}",
        f"{os.path.basename(path)}.go",
        "go",
        text.encode("utf-8", "surrogateescape"),
        document=path,
        line=line,
        is_alone=True,
        standard=standard,
        expected=expected,
    )


def blocks(text: str) -> Iterator[Block]:
    """Every fenced block, in its order. The time for it grows with the text alone."""
    lines = text.split("\n")
    items: list[int] = []
    opened: tuple[int, str, int, int, tuple[str, ...]] | None = None
    held: list[str] = []
    comment: tuple[str, ...] = ()
    for number, full in enumerate(lines, 1):
        line = full.removesuffix("\r")
        if opened:
            start, fence, quotes, column, words = opened
            depth, at = _quoted(line, quotes)
            rest = line[at:]
            if depth == quotes and not (rest.strip() and column and _indent(rest) < column):
                if _closes(rest, fence, column):
                    yield Block(start, words, tuple(held), is_closed=True)
                    opened = None
                else:
                    held.append(" " * at + full[at:])
                continue
            # What holds the block ends here, and so does the block.
            yield Block(start, words, tuple(held), is_closed=False)
            opened = None
        depth, at = _quoted(line, 100)
        rest = line[at:]
        if not rest.strip():
            continue
        indent = _indent(rest)
        while items and indent < items[-1]:
            items.pop()
        column = items[-1] if items else 0
        while len(items) < 100 and (item := _ITEM.match(rest, column)):
            rest = " " * item.end() + rest[item.end() :]
            column = item.end()
            items.append(column)
        found = (_OPENS.match(rest) or _DOXYGEN.match(rest)) if _indent(rest) < column + 4 else None
        said = _COMMENT.match(rest[:MOST_INFO])
        if found:
            fence = found.groupdict().get("fence") or _END_OF_DOXYGEN
            words = _words(found["info"] or "")
            opened, held = (number, fence, depth, column, (*words, *comment) if words else ()), []
        comment = tuple(re.split(r"[\s,|]+", said["words"].strip())) if said else ()
    if opened:
        yield Block(opened[0], opened[4], tuple(held), is_closed=False)


def _closes(line: str, fence: str, column: int) -> bool:
    bare = line.strip()
    if fence == _END_OF_DOXYGEN:
        return bare in {_END_OF_DOXYGEN, "\\endcode"}
    return len(bare) >= len(fence) and not bare.strip(fence[0]) and _indent(line) < column + 4


def _words(info: str) -> tuple[str, ...]:
    """
    >>> _words("{.cpp hidelines=~}"), _words("rust,ignore"), _words(" c++")
    (('cpp', 'hidelines=~'), ('rust', 'ignore'), ('c++',))
    """
    words = re.split(r"[\s,{}]+", info[:MOST_INFO].strip(" \t{},"))
    return tuple(word.removeprefix(".") for word in words if word)


def _quoted(line: str, most: int) -> tuple[int, int]:
    """How many quotations a line is in, and where its own text begins."""
    depth, at = 0, 0
    while depth < most and (mark := _QUOTE.match(line, at)):
        depth, at = depth + 1, mark.end()
    return depth, at


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip(" \t"))


def _unhidden(line: str, mark: str) -> str:
    """A line that mdBook hides, without the mark that hides it; what follows keeps its column."""
    at = _indent(line)
    return line[:at] + " " * len(mark) + line[at + len(mark) :] if line.startswith(mark, at) else line


def _rust(held: tuple[str, ...]) -> tuple[str, list[str], str]:
    """As rustdoc does: what stands before a block, its lines with those that are hidden, and what stands after it.

    >>> _rust(("# let x = 1;", "x;"))
    ('fn main() {', ['  let x = 1;', 'x;'], '}')
    """
    lines = [_shown(line) for line in held]
    if _RUST_MAIN.search("\n".join(lines)):
        return "", lines, ""
    code = "".join("\n".join(lines).split())
    opens, closes = "fn main() {", "}"
    if code.endswith("(())"):
        opens += " fn _inner() -> core::result::Result<(), impl core::fmt::Debug> {"
        closes = "} _inner().unwrap() }"
    # An attribute of the crate has to be the first of all.
    last = -1
    for place, line in enumerate(lines):
        if line.strip().startswith("#!["):
            last = place
        elif line.strip():
            break
    if last < 0:
        return opens, lines, closes
    lines[last] = f"{lines[last].rstrip()} {opens}"
    return "", lines, closes


def _shown(line: str) -> str:
    """A line of Rust without the mark that hides it in the page; what follows keeps its column."""
    bare = line.lstrip(" \t").rstrip("\r")
    at = _indent(line)
    if bare == "#" or bare.startswith(("# ", "##")):
        return line[:at] + " " + line[at + 1 :]
    return line


def _problem(path: str, block: Block, obstacle: str, remedy: str) -> Entry:
    where = f"{path}:{block.opened}"
    return Entry(where, path, "c++", line=block.opened, problem=SourceError(f"check {where}", obstacle, remedy))
