"""Reading Go source and go.mod by their text alone: enough to know which files a build looks at."""

from __future__ import annotations

import re
from typing import NamedTuple

MOST = 10_000
"""Imports and patterns of one file that are believed."""

_BLANKS = re.compile(rb"[\s;]*")
_PACKAGE = re.compile(rb"package\b")
_NAME = re.compile(rb"[\w\x80-\xff]+")
_IMPORT = re.compile(rb"import\b")
_ALIAS = re.compile(rb"[\w\x80-\xff.]+")
_STRING = re.compile(rb'"([^"\n]*)"|`([^`]*)`')
_EMBED = re.compile(rb"^//go:embed[ \t]+([^\n]*)", re.MULTILINE)
_PATTERN = re.compile(r'"((?:[^"\\]|\\.)*+)"|`([^`]*)`|(\S+)')
_MAIN = re.compile(rb"^func[ \t]+main[ \t]*\(", re.MULTILINE)
_IGNORED = re.compile(rb"^//(?:go:build|[ \t]*\+build)[ \t]+ignore[ \t]*\r?$", re.MULTILINE)
SYNTHETIC = b"// Made by will-it-compile.\nmodule check\n"
"""The go.mod of what has none. The language version is given to the compiler."""

_MODULE = re.compile(rb"^[ \t]*module[ \t]+(\S+)", re.MULTILINE)
_GO = re.compile(rb"^[ \t]*go[ \t]+(1\.[0-9]{1,3})", re.MULTILINE)
_REPLACE = re.compile(
    rb"^[ \t]*(?:replace[ \t]+)?([^\s()]+)(?:[ \t]+v\S+)?[ \t]+=>[ \t]+(\.{1,2}(?:/\S*)?)[ \t]*\r?$",
    re.MULTILINE,
)


class Facts(NamedTuple):
    """What a file says about the package that it is of."""

    package: str
    is_ignored: bool
    has_main: bool


def facts(text: bytes) -> Facts:
    """All at once, so that nobody needs to keep the text."""
    return Facts(package_name(text), is_ignored(text), has_main(text))


def package_name(text: bytes) -> str:
    """The name behind `package`; empty where there is none, or where it is not what a file begins with."""
    start = _package_end(text)
    found = _NAME.match(text, start) if start else None
    return found[0].decode("utf-8", "replace") if found else ""


def imports(text: bytes) -> list[str]:
    """The import paths of a file, in order, as they stand there."""
    found: list[str] = []
    position = _package_end(text)
    name = _NAME.match(text, position)
    position = _space(text, name.end()) if name else position
    while len(found) < MOST and _IMPORT.match(text, position):
        position = _space(text, position + len("import"))
        if text.startswith(b"(", position):
            position = _space(text, position + 1)
            while len(found) < MOST and not text.startswith(b")", position):
                after = _spec(text, position, found)
                if after == position:
                    return found
                position = after
            position += 1
        else:
            position = _spec(text, position, found)
        position = _space(text, position)
    return found


def embeds(text: bytes) -> list[str]:
    """The patterns of all `//go:embed` lines, without their `all:`."""
    if b"//go:embed" not in text:
        return []
    lines = b"\n".join(_EMBED.findall(text)).decode("utf-8", "surrogateescape")
    found = ("".join(groups) for groups in _PATTERN.findall(lines))
    return list(dict.fromkeys(pattern.removeprefix("all:") for pattern in found))[:MOST]


def has_main(text: bytes) -> bool:
    """Whether a file has a `func main`."""
    return _MAIN.search(text) is not None


def is_ignored(text: bytes) -> bool:
    """Whether a build constraint sets the file apart, as is done for a program beside a library."""
    return b"ignore" in text and _IGNORED.search(text) is not None


def module_path(mod: bytes) -> str:
    """What a go.mod calls its module."""
    found = _MODULE.search(mod)
    return found[1].decode("utf-8", "replace").strip('"`') if found else ""


def go_version(mod: bytes) -> str:
    """The language version that a go.mod asks for, as `1.21`; empty in our own."""
    if mod == SYNTHETIC:
        return ""
    found = _GO.search(mod)
    # What the go command assumes: https://go.dev/ref/mod#go-mod-file-go
    return found[1].decode() if found else "1.16"


def replacements(mod: bytes) -> list[tuple[str, str]]:
    """The modules that a go.mod replaces by directories: import path and directory."""
    if b"=>" not in mod:
        return []
    return [
        (path.decode("utf-8", "replace").strip('"`'), directory.decode("utf-8", "surrogateescape"))
        for path, directory in _REPLACE.findall(mod)
    ]


def _space(text: bytes, position: int) -> int:
    """The first place from `position` on that is neither blank nor in a comment."""
    while True:
        blanks = _BLANKS.match(text, position)
        position = blanks.end() if blanks else position
        if text.startswith(b"//", position):
            end = text.find(b"\n", position)
        elif text.startswith(b"/*", position):
            end = text.find(b"*/", position + 2) + 2
            end = end if end > 1 else -1
        else:
            return position
        if end < 0:
            return len(text)
        position = end


def _package_end(text: bytes) -> int:
    """Where the name of the package stands; 0 where there is no package clause."""
    start = _space(text, 3 if text.startswith(b"\xef\xbb\xbf") else 0)
    found = _PACKAGE.match(text, start)
    return _space(text, found.end()) if found else 0


def _spec(text: bytes, position: int, found: list[str]) -> int:
    """Read one import, add its path to `found`, and say where it ends: where it began, if it is none."""
    start = position
    alias = _ALIAS.match(text, position)
    if alias:
        position = _space(text, alias.end())
    path = _STRING.match(text, position)
    if path is None:
        return start
    found.append((path[1] or path[2] or b"").decode("utf-8", "replace"))
    return _space(text, path.end())
