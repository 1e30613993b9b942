"""Reading Rust source by its text alone: which modules and files it names."""

from __future__ import annotations

import re
from typing import NamedTuple

MOST = 10_000
"""Modules, and includes, of one file that are believed. A unit has no more files than that anyway."""

# What is of interest, or hides what looks like it. Each alternative begins with a letter of its own, with which
# `re` finds the next place fast; what stands before that is looked at afterwards.
_TOKEN = re.compile(
    rb"""(?x)
    /(?:(?P<line>/[^\n]*) | (?P<comment>\*))
  | "(?P<string>)
  | '(?P<char>(?:[^'\\\n]|\\(?:[^u]|u\{[0-9a-fA-F_]{1,10}\}|x..))')
  | \#(?P<attribute>!?[ \t\r\n]*\[)
  | mod\s+(?:r\#)?(?P<mod>[A-Za-z_\x80-\xff][\w\x80-\xff]*)\s*(?P<end>[;{])
  | main(?P<main>\b\s*)
  | include(?:_str|_bytes)?\s*!\s*[(\[{]\s*(?:r\#*)?"(?P<include>[^"\n]*)"
  | \{(?P<open>)
  | \}(?P<close>)
  | ;(?P<semicolon>)
""",
    re.DOTALL,
)
_STRING = re.compile(rb'[^"\\]*+(?:\\.[^"\\]*+)*+', re.DOTALL)
_RAW = re.compile(rb"(?:\A|[^\w\x80-\xff])[bc]?r\Z")
_FN = re.compile(rb"\bfn\s+\Z")
_PATH = re.compile(rb"\bpath\s*=\s*\"([^\"\n]*)\"")
_CRATE = re.compile(rb"crate_type|crate_name|no_main")
_COMMENT_EDGE = re.compile(rb"/\*|\*/")
_WORD = re.compile(rb"[\w\x80-\xff]")


class Module(NamedTuple):
    """One `mod name;`."""

    name: str
    inside: tuple[str, ...]
    """The inline modules around it, outermost first; one with a `#[path]` stands with that."""
    paths: tuple[str, ...]
    """What the `#[path]` and `#[cfg_attr(…, path)]` before it say."""
    only_paths: bool
    """Whether there is a plain `#[path]`, so that the name says nothing."""


class Outline(NamedTuple):
    """What a file says about others, and about its crate."""

    modules: tuple[Module, ...]
    includes: tuple[str, ...]
    """The literals of `include!`, `include_str!` and `include_bytes!`."""
    has_main: bool
    """A `fn main`, or a `use …::main;`, outside of all blocks."""
    attributes: frozenset[str]
    """Which of `crate_type`, `crate_name` and `no_main` it has."""


def outline(text: bytes) -> Outline:
    """Look at a file once. Whatever the text, this takes linear time."""
    scan = _Scan()
    position = 0
    while (token := _TOKEN.search(text, position)) is not None:
        position = scan.take(text, token)
        if max(len(scan.modules), len(scan.includes)) >= MOST:
            break
    return Outline(tuple(scan.modules), tuple(scan.includes), scan.has_main, frozenset(scan.attributes))


class _Scan:
    def __init__(self) -> None:
        self.modules: dict[Module, None] = {}
        self.includes: dict[str, None] = {}
        self.has_main = False
        self.attributes: set[str] = set()
        self.depth = 0
        self.inline: list[tuple[int, str]] = []
        """The inline modules around this place, each with the depth of its block."""
        self.paths: list[tuple[bool, str]] = []
        """The paths of the attributes since the last item, each with whether it is conditional."""

    def take(self, text: bytes, token: re.Match[bytes]) -> int:
        """Take in one token; says where to look for the next."""
        kind = token.lastgroup
        start, end = token.span()
        if kind == "string":
            return _string_end(text, end)
        if kind == "comment":
            return _comment_end(text, end)
        if kind == "attribute":
            return self._attribute(text, end)
        if kind in {"end", "include", "main"} and start and _WORD.match(text, start - 1):
            # Within a longer name, as `amod`.
            return start + 1
        if kind == "end":
            self._module(_text(token["mod"]), opens=token["end"] == b"{")
        elif kind == "include":
            self.includes[_text(token["include"])] = None
        elif kind == "main" and not self.depth:
            is_used = text.startswith(b";", end)
            self.has_main = self.has_main or is_used or bool(_FN.search(text, max(0, start - 40), start))
        elif kind == "open":
            self.depth += 1
            self.paths.clear()
        elif kind == "close":
            self.depth = max(0, self.depth - 1)
            while self.inline and self.inline[-1][0] > self.depth:
                self.inline.pop()
        elif kind == "semicolon":
            self.paths.clear()
        return end

    def _attribute(self, text: bytes, start: int) -> int:
        # An attribute may hold strings with brackets; a path or a crate's name stands before any of them.
        end = text.find(b"]", start, start + 4096)
        if end < 0:
            return start
        inner = text[start:end]
        self.attributes.update(found.decode() for found in _CRATE.findall(inner))
        if b"path" in inner and len(self.paths) < MOST:
            conditional = inner.lstrip().startswith(b"cfg_attr")
            self.paths.extend((conditional, _text(path)) for path in _PATH.findall(inner))
        return end + 1

    def _module(self, name: str, *, opens: bool) -> None:
        plain = [path for conditional, path in self.paths if not conditional]
        if opens:
            self.depth += 1
            if len(self.inline) < 100:
                self.inline.append((self.depth, plain[-1] if plain else name))
        else:
            inside = tuple(inner for _, inner in self.inline)
            paths = tuple(path for _, path in self.paths)
            self.modules[Module(name, inside, paths, only_paths=bool(plain))] = None
        self.paths.clear()


def _string_end(text: bytes, position: int) -> int:
    """Where a string ends whose text begins at `position`, behind its quote."""
    start = position - 1
    while start and position - start <= 255 and text[start - 1] == ord("#"):
        start -= 1
    if start and text[start - 1] == ord("r") and _RAW.search(text, max(0, start - 3), start):
        closing = b'"' + text[start : position - 1]
        end = text.find(closing, position)
        return len(text) if end < 0 else end + len(closing)
    found = _STRING.match(text, position)
    return (found.end() if found else position) + 1


def _comment_end(text: bytes, position: int) -> int:
    """Where a block comment ends that is open at `position`; they nest."""
    depth = 1
    for edge in _COMMENT_EDGE.finditer(text, position):
        depth += 1 if edge[0] == b"/*" else -1
        if not depth:
            return edge.end()
    return len(text)


def _text(name: bytes) -> str:
    return name.decode("utf-8", "surrogateescape")


_ELSEWHERE = re.compile(
    rb"\b(?:option_)?env\s*!|\boption_env\b|\benv\s+as\b"
    rb'|"/|\.\./|\\x2[eEfF]|\\u\{[0_]*2_*[eEfF]'  # a slash or a dot may be written by its number
)
_INCLUDES = re.compile(rb"\binclude(?:_str|_bytes)?\b")
_PLAIN_INCLUDES = re.compile(rb'\binclude(?:_str|_bytes)?\s*!\s*[(\[{]\s*"[^"\\]*"')


def reads_elsewhere(text: bytes) -> bool:
    """Whether a source may ask for a variable, or for a file by its absolute path: of that no compiler tells.

    >>> reads_elsewhere(b'include_str!("/etc/hosts")'), reads_elsewhere(b'include_str!("hosts")')
    (True, False)
    >>> reads_elsewhere(rb'include_str!("\\x2fetc/hosts")'), reads_elsewhere(b'include!(concat!("/", "etc/hosts"))')
    (True, True)
    """
    if _ELSEWHERE.search(text):
        return True
    # Of a path that is put together nobody knows where it leads.
    return len(_INCLUDES.findall(text)) != len(_PLAIN_INCLUDES.findall(text))
