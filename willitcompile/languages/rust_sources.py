"""Reading Rust source by its text alone: which modules and files it names."""

from __future__ import annotations

import re
from dataclasses import dataclass

_TOKEN = re.compile(
    rb"""(?x)
    (?P<line>//[^\n]*)
  | (?P<comment>/\*)
  | \b(?:br|cr|r)(?P<raw>\#{0,255})"
  | (?P<string>[bc]?"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z))
  | (?P<char>b?'(?:[^'\\\n]|\\(?:[^u]|u\{[0-9a-fA-F_]{1,10}\}|x..))')
  | (?P<attribute>\#!?[ \t\r\n]*\[)
  | \bmod\s+(?:r\#)?(?P<mod>[A-Za-z_\x80-\xff][\w\x80-\xff]*)\s*(?P<end>[;{])
  | \binclude(?:_str|_bytes)?\s*!\s*[(\[{]\s*(?P<include>(?:r\#*)?"[^"\n]*")
  | \bfn\s+(?P<fn>main)\b
  | (?P<use>\bmain\s*;)
  | (?P<open>[{])
  | (?P<close>[}])
  | (?P<semicolon>;)
""",
    re.DOTALL,
)
_PATH = re.compile(rb"\bpath\s*=\s*\"([^\"\n]*)\"")
_CRATE = re.compile(rb"\bcrate_(type|name)\b|\bno_main\b")
_COMMENT_EDGE = re.compile(rb"/\*|\*/")


@dataclass(frozen=True, slots=True)
class Module:
    """One `mod name;`."""

    name: str
    inside: tuple[str, ...]
    """The inline modules around it, outermost first; one with a `#[path]` stands with that."""
    paths: tuple[str, ...]
    """What the `#[path]` and `#[cfg_attr(…, path)]` before it say."""
    only_paths: bool
    """Whether there is a plain `#[path]`, so that the name says nothing."""


@dataclass(frozen=True, slots=True)
class Outline:
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
    return Outline(tuple(scan.modules), tuple(scan.includes), scan.has_main, frozenset(scan.attributes))


class _Scan:
    def __init__(self) -> None:
        self.modules: list[Module] = []
        self.includes: list[str] = []
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
        if kind == "comment":
            return _comment_end(text, token.end())
        if kind == "raw":
            end = text.find(b'"' + token["raw"], token.end())
            return len(text) if end < 0 else end + 1 + len(token["raw"])
        if kind == "attribute":
            return self._attribute(text, token)
        if kind == "end":
            self._module(_text(token["mod"]), opens=token["end"] == b"{")
        elif kind == "include":
            self.includes.append(_text(token["include"].partition(b'"')[2].rpartition(b'"')[0]))
        elif kind in {"fn", "use"}:
            self.has_main = self.has_main or not self.depth
        elif kind == "open":
            self.depth += 1
            self.paths.clear()
        elif kind == "close":
            self.depth = max(0, self.depth - 1)
            while self.inline and self.inline[-1][0] > self.depth:
                self.inline.pop()
        elif kind == "semicolon":
            self.paths.clear()
        return token.end()

    def _attribute(self, text: bytes, token: re.Match[bytes]) -> int:
        # An attribute may hold strings with brackets; a path or a crate's name stands before any of them.
        end = text.find(b"]", token.end(), token.end() + 4096)
        inner = text[token.end() : end if end >= 0 else token.end()]
        self.attributes.update(found.decode() for found in re.findall(rb"crate_type|crate_name|no_main", inner))
        conditional = inner.lstrip().startswith(b"cfg_attr")
        self.paths.extend((conditional, _text(path)) for path in _PATH.findall(inner))
        return token.end() if end < 0 else end + 1

    def _module(self, name: str, *, opens: bool) -> None:
        plain = [path for conditional, path in self.paths if not conditional]
        if opens:
            self.depth += 1
            self.inline.append((self.depth, plain[-1] if plain else name))
        else:
            inside = tuple(inner for _, inner in self.inline)
            self.modules.append(Module(name, inside, tuple(path for _, path in self.paths), bool(plain)))
        self.paths.clear()


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
