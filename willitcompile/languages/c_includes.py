"""Which files a C or C++ source may include, found by looking at its text alone.

It finds too much rather than too little: what is in a comment or in an `#if 0` counts too. Running a
preprocessor would be exact, and would run hostile text on this host.
"""

from __future__ import annotations

import os
import re
from functools import cached_property
from typing import TYPE_CHECKING

from willitcompile.languages.c_family import CPP, C

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from willitcompile.sources import SourceTree

INCLUDABLE = C.extensions | CPP.extensions | CPP.headers | {".inc", ".def"}
"""What is sent along where a macro computes which file to include."""

COMPUTED_BYTES = 16 * 1024 * 1024
"""How much is sent along for computed includes, at most."""

_WORDS = (b"include", b"embed", b"import", b"incbin")
_SPLICE = re.compile(rb"\\[ \t\f\v]*\r?\n")
_BLANKS = re.compile(rb"[ \t\f\v]*")
_NAME_BYTES = 1024
_COMMENT_BYTES = 512
# Windows, so that no text makes the search quadratic: what is longer is not believed.
_COMMENTS = 8
# Between a `#` and its word.


MOST = 10_000
"""Names in one file that are believed."""


class Mention:
    """One place of a source that names another file."""

    __slots__ = ("kind", "name", "offset")

    def __init__(self, kind: str, name: str, offset: int) -> None:
        self.kind = kind
        """`quoted`, `angled`, `assembly`, or `computed`, which has no name."""
        self.name = name
        self.offset = offset
        """In the text without its line splices."""


def gather(tree: SourceTree) -> None:
    """Send the main file and every file that it may include, directly or not. Raises SourceError."""
    tree.add(tree.main, tree.content)
    queue = [(tree.main, tree.content)]
    forced = ((path, tree.send(path, f"{tree.typed} is compiled with {tree.shown(path)}")) for path in tree.forced)
    queue += [(path, content) for path, content in forced if content is not None]
    done = {path for path, _ in queue}
    computed: list[str] = []
    while queue:
        source = _Source(tree, *queue.pop())
        for target, mention in _targets(tree, source, computed):
            if target in done:
                continue
            content = tree.send(target)
            if content is None:
                tree.read(target, source.wanted(mention))
                continue
            done.add(target)
            queue.append((target, content))
        if not queue and computed:
            for target in _all_near(tree, computed, done):
                done.add(target)
                content = tree.send(target)
                if content is not None:
                    queue.append((target, content))
            # What these compute in their turn is in the same directories.
            computed = []


def mentions(data: bytes) -> list[Mention]:
    """The places of a source that name a file to include, embed or assemble, in no particular order."""
    text = joined(data)
    found: dict[tuple[str, str], Mention] = {}
    for word in _WORDS:
        start = text.find(word)
        while start >= 0 and len(found) < MOST:
            end = start + len(word)
            if (mention := _mention(text, start, end)) is not None:
                found.setdefault((mention.kind, mention.name), mention)
            start = text.find(word, end)
    return list(found.values())


def joined(data: bytes) -> bytes:
    """A text with its lines joined as a compiler joins them, and without trigraphs that matter here."""
    if b"??/" in data:
        data = data.replace(b"??/", b"\\")
    return _SPLICE.sub(b"", data) if b"\\" in data else data


def lines_of(data: bytes, offsets: Iterable[int]) -> dict[int, int]:
    """The line, from 1, of each offset in `joined(data)`. Goes through the data once, however many they are."""
    text = joined(data)
    splices = _SPLICE.finditer(data.replace(b"??/", b"\\"))
    splice = next(splices, None)
    found = {}
    line, counted, removed = 1, 0, 0
    for offset in sorted(offsets):
        while splice and splice.start() - removed <= offset:
            line += 1
            removed += splice.end() - splice.start()
            splice = next(splices, None)
        line += text.count(b"\n", counted, offset)
        counted = offset
        found[offset] = line
    return found


class _Source:
    """One file whose includes are looked for."""

    def __init__(self, tree: SourceTree, path: str, data: bytes) -> None:
        self.directory = os.path.dirname(path)
        self.mentions = mentions(data)
        self._shown = tree.shown(path)
        self._data = data

    def wanted(self, mention: Mention) -> str:
        return f"{self._shown}:{self._lines[mention.offset]} includes {mention.name}"

    @cached_property
    def _lines(self) -> dict[int, int]:
        return lines_of(self._data, (mention.offset for mention in self.mentions))


def _mention(text: bytes, start: int, end: int) -> Mention | None:
    before = _introduced(text, start)
    if not before:
        return None
    is_next = text.startswith(b"_next", end)
    opening = _skip_blanks(text, end + 5 if is_next else end)
    if text.startswith(b"(", opening):
        opening = _skip_blanks(text, opening + 1)
    for quote, close, kind in ((b'"', b'"', "quoted"), (b"<", b">", "angled"), (b'\\"', b"\\", "assembly")):
        if text.startswith(quote, opening):
            opening += len(quote)
            closing = text.find(close, opening, opening + _NAME_BYTES)
            if closing < 0 or b"\n" in text[opening:closing] or (kind == "assembly" and before != b"."):
                return None
            name = os.fsdecode(text[opening:closing])
            if before == b".":
                return Mention("assembly", name, start)
            # #include_next passes over the directory of the file itself.
            return Mention("angled" if is_next else kind, name, start)
    # `#included` and `__has_include_x` are names like any other, and assembly has no such macros.
    macro = text[opening : opening + 1]
    if opening > end + 5 * is_next and before != b"." and (macro.isalpha() or macro == b"_"):
        return Mention("computed", "", start)
    return None


def _skip_blanks(text: bytes, start: int) -> int:
    # In all, not for each comment: a file may hold nothing else.
    end = start + _COMMENT_BYTES
    while True:
        blanks = _BLANKS.match(text, start)
        start = blanks.end() if blanks else start
        if not text.startswith(b"/*", start):
            return start
        closing = text.find(b"*/", start + 2, end)
        if closing < 0:
            return start
        start = closing + 2


def _introduced(text: bytes, start: int) -> bytes:
    """What makes the word at `start` count: `#`, `_` for `__has_include`, `.` for assembly; else nothing."""
    last = text[start - 1 : start] if start else b""
    if last in {b"#", b"."}:
        return last
    if last == b"_":
        return b"_" if text.endswith(b"__has_", 0, start) else b""
    if last not in {b" ", b"\t", b"/", b":", b"=", b"\f", b"\v"}:
        return b""
    head = text[max(0, start - _COMMENT_BYTES) : start].rstrip(b" \t\f\v")
    for _ in range(_COMMENTS):
        if not head.endswith(b"*/"):
            break
        head = head[: max(0, head.rfind(b"/*", 0, -2))].rstrip(b" \t\f\v")
    return b"#" if head.endswith((b"#", b"%:", b"??=")) else b""


def _targets(tree: SourceTree, source: _Source, computed: list[str]) -> Iterator[tuple[str, Mention]]:
    """Each file that a source names and that exists, with the place that names it."""
    for mention in source.mentions:
        if mention.kind == "computed":
            computed.append(source.directory)
            continue
        name = mention.name
        if not name or "\0" in name:
            continue
        if name.startswith("/"):
            if tree.exists(tree.absolute(name)):
                tree.note(
                    f"{source.wanted(mention)} by its absolute path, which is not there where the "
                    "compile runs: include it by a relative one"
                )
            continue
        if mention.kind == "quoted":
            places = [source.directory, *tree.search_dirs]
        elif mention.kind == "assembly":
            places = [tree.cwd, *tree.search_dirs]
        else:
            places = list(tree.search_dirs)
        for place in dict.fromkeys(places):
            if ".." in name:
                _mention_directories(tree, name, place)
            target = tree.absolute(name, place)
            if tree.exists(target):
                yield target, mention
                if mention.kind != "angled" and tree.read(target) is not None:
                    break


def _mention_directories(tree: SourceTree, name: str, place: str) -> None:
    """Let `sub` exist where `sub/../x.h` is included: the kernel wants to walk through it."""
    parts = name.split("/")
    for index, part in enumerate(parts):
        if part == ".." and index:
            tree.mention(tree.absolute("/".join(parts[:index]), place))


def _all_near(tree: SourceTree, computed: list[str], done: set[str]) -> Iterator[str]:
    """Every file that a computed include may mean, as long as there is room."""
    room = min(tree.room(), COMPUTED_BYTES)
    found: dict[str, None] = {}
    for directory in dict.fromkeys(computed):
        found.update(dict.fromkeys(_includable(tree, directory, deep=False)))
    for directory in tree.search_dirs:
        found.update(dict.fromkeys(_includable(tree, directory, deep=True)))
    for path in found:
        if path in done:
            continue
        room -= tree.size(path)
        if room < 0:
            tree.note(
                f"{tree.typed} includes what a macro names, and not all that it could mean was sent: "
                "name it in an #include, or give a smaller directory with -I"
            )
            return
        yield path


def _includable(tree: SourceTree, directory: str, *, deep: bool) -> Iterator[str]:
    waiting = [directory]
    while waiting:
        directory = waiting.pop()
        for name in tree.names(directory):
            if os.path.splitext(name)[1] in INCLUDABLE:
                yield os.path.join(directory, name)
        if deep:
            inner = [name for name in tree.directories(directory) if not name.startswith(".")]
            waiting.extend(os.path.join(directory, name) for name in reversed(inner))
