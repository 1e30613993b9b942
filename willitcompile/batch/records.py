"""The lines that come in: each a record, as JSON, of somebody who may be hostile."""

from __future__ import annotations

import json
import os
import select
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from willitcompile import languages, planning, sent
from willitcompile.errors import Interrupted, RequestError, SourceError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from willitcompile.backends import CancelToken
    from willitcompile.planning import CheckRequest

MOST_LINE_BYTES = 32 * 1024 * 1024
"""Of one record."""
MOST_FILES = 1000
MOST_WORDS = 100
"""Compilers, standards, flags, each."""
MOST_ID = 1000
"""Characters of an id, or of a group's name."""
PIECE_BYTES = 1 << 18

FIELDS = (
    "id",
    "code",
    "files",
    "paths",
    "language",
    "compilers",
    "standards",
    "include_dirs",
    "defines",
    "warnings",
    "flags",
    "link",
    "group",
)


class Record(NamedTuple):
    """A source to check, or several."""

    id: str | int
    line: int
    """From 1."""
    group: str
    size: int
    """Bytes of its line."""
    request: CheckRequest


class Wrong(NamedTuple):
    """A line that cannot be checked."""

    id: str | int | None
    """None where it has none that could be read."""
    line: int
    group: str
    error: RequestError


class Lines:
    """Lines of a file or a pipe, of which no more is held than one and what was read with it."""

    def __init__(self, fd: int, cancel: CancelToken, most: int = MOST_LINE_BYTES) -> None:
        self._fd = fd
        self._most = most
        self._cancel = cancel
        self._buffer = bytearray()
        self._searched = 0
        self._is_over = False

    def __iter__(self) -> Iterator[bytes | None]:
        """Each without its end; None for one that is too long. Raises Interrupted, and OSError."""
        while True:
            end = self._buffer.find(b"\n", self._searched)
            if end >= 0:
                yield self._taken(end)
            elif len(self._buffer) > self._most:
                self._skip()
                yield None
            elif self._is_over:
                if self._buffer:
                    yield self._taken(len(self._buffer))
                return
            else:
                self._searched = len(self._buffer)
                self._read()

    def is_ready(self) -> bool:
        """Whether there is more without waiting."""
        if self._buffer.find(b"\n", self._searched) >= 0:
            return True
        return not self._is_over and bool(select.select([self._fd], [], [], 0)[0])

    def _taken(self, end: int) -> bytes | None:
        line = bytes(self._buffer[:end]) if end <= self._most else None
        del self._buffer[: end + 1]
        self._searched = 0
        return line

    def _skip(self) -> None:
        """Forget the rest of a line that is too long."""
        while True:
            end = self._buffer.find(b"\n")
            if end >= 0:
                del self._buffer[: end + 1]
                break
            self._buffer.clear()
            if self._is_over:
                break
            self._read()
        self._searched = 0

    def _read(self) -> None:
        # A signal handler may cancel while this waits.
        select.select([self._fd, self._cancel.fileno()], [], [])
        if self._cancel.cancelled:
            raise Interrupted("batch", "", "run it again")
        piece = os.read(self._fd, PIECE_BYTES)
        self._is_over = not piece
        self._buffer += piece


def parse(line: bytes | None, number: int, defaults: CheckRequest, group_by: str = "group") -> Record | Wrong | None:
    """What a line asks for, with `defaults` for what it does not say; None for an empty one. Never raises."""
    if line is not None and not line.strip():
        return None
    name, group, asked = None, "", f"check line {number}"
    try:
        record = _object(line, asked)
        group = _shown(record.get(group_by, ""))
        name = _id(record.get("id"), asked)
        return Record(name, number, group, len(line or b""), request_of(record, asked, defaults, group_by))
    except RequestError as error:
        return Wrong(name, number, group, error)


def _object(line: bytes | None, asked: str) -> dict[str, Any]:
    if line is None:
        obstacle = f"it is longer than {MOST_LINE_BYTES >> 20} MiB"
        raise _wrong(asked, obstacle, "leave the record out, or divide it")
    obstacle = "it is not a JSON object"
    try:
        record = json.loads(line)
        if isinstance(record, dict):
            return record
    except RecursionError:
        obstacle = "it nests too deep"
    except json.JSONDecodeError as error:
        obstacle = f"it is not JSON: {error.msg[:1].lower()}{error.msg[1:]} at column {error.colno}"
    except ValueError as error:  # of its encoding, and of numbers with thousands of digits
        obstacle = (
            f"it is not JSON: {'it is not UTF-8' if isinstance(error, UnicodeDecodeError) else 'a number is too long'}"
        )
    raise _wrong(asked, obstacle, 'write a line as {"id": "1", "language": "c", "code": "…"}')


def _id(name: object, asked: str) -> str | int:
    if name is None:
        raise _wrong(asked, "it has no id", 'write a line as {"id": "1", "language": "c", "code": "…"}')
    if isinstance(name, bool) or not isinstance(name, str | int) or len(str(name)) > MOST_ID:
        raise _wrong(asked, f"its id is neither text nor a number of at most {MOST_ID} characters", "shorten it")
    return name


def request_of(record: Mapping[str, Any], asked: str, defaults: CheckRequest, group_by: str = "group") -> CheckRequest:
    """What the fields of a record ask for. Raises RequestError, which says that `asked` was."""
    for field in record:
        if field not in FIELDS and field != group_by and (meant := _meant(field)):
            raise _wrong(asked, f"there is no field {field!r}", f"did you mean {meant}?")
    language = record.get("language")
    if language is not None and not isinstance(language, str):
        raise _wrong(asked, "language is not a string", f"use one of: {', '.join(_names())}")
    language = language or defaults.language
    files = _files(record, asked, language)
    paths = _words(record, "paths", asked) if "files" in record else tuple(files)
    include_dirs = _words(record, "include_dirs", asked)
    sent.refuse_paths(files, (*paths, *include_dirs))
    link = record.get("link", defaults.options.link)
    if not isinstance(link, bool):
        raise _wrong(asked, "link is neither true nor false", "leave it out")
    given = {name: _words(record, name, asked) for name in ("defines", "warnings", "flags") if name in record}
    return defaults._replace(
        paths=paths,
        compilers=_words(record, "compilers", asked, split=True) or defaults.compilers,
        standards=_words(record, "standards", asked, split=True) or defaults.standards,
        language=language,
        files=files,
        include_dirs=include_dirs,
        options=defaults.options._replace(link=link, **given),
    )


def _files(record: Mapping[str, Any], asked: str, language: str | None) -> dict[str, bytes]:
    code, files = record.get("code"), record.get("files")
    if (code is None) == (files is None):
        obstacle = "it has neither code nor files" if code is None else "it has both code and files"
        raise _wrong(asked, obstacle, 'write {"id": "1", "language": "c", "code": "…"}')
    if code is not None:
        if not isinstance(code, str):
            raise _wrong(asked, "code is not a string", "write the source as one string")
        if language is None:
            raise _wrong(asked, "nothing tells which language it is", "add a language, or use --language")
        return {f"main{planning.extension(languages.language(language))}": _bytes(code)}
    if not isinstance(files, dict) or not 0 < len(files) <= MOST_FILES:
        raise _wrong(asked, f"files is not an object with 1 to {MOST_FILES} files", 'write {"main.c": "…"}')
    contents = {}
    for path, file in files.items():
        if isinstance(file, str):
            contents[path] = _bytes(file)
        elif isinstance(file, dict) and set(file) == {"base64"} and isinstance(file["base64"], str):
            contents[path] = sent.decoded(path, file["base64"])
        else:
            raise _wrong(asked, f"the file {path!r} is not a string", 'write it as text, or as {"base64": "…"}')
    return contents


def _words(record: Mapping[str, Any], name: str, asked: str, *, split: bool = False) -> tuple[str, ...]:
    given = record.get(name)
    if isinstance(given, str):
        given = [word.strip() for word in given.split(",")] if split else [given]
    if given is None:
        return ()
    if not isinstance(given, list) or len(given) > MOST_WORDS or not all(isinstance(word, str) for word in given):
        raise _wrong(asked, f"{name} is not a list of at most {MOST_WORDS} strings", f'write "{name}": ["…"]')
    return tuple(given)


def _bytes(text: str) -> bytes:
    return text.encode(errors="surrogatepass")


def _shown(group: object) -> str:
    """A group's name: of whatever a field holds."""
    text = group if isinstance(group, str) else "" if group is None else json.dumps(group)
    return text if len(text) <= MOST_ID else f"{text[:MOST_ID]}…"


@lru_cache(maxsize=1000)
def _meant(field: str) -> str | None:
    """Which of ours a field looks like: others are left alone, as data sets have many."""
    import difflib

    aliases = {"std": "standards", "source": "code", "toolchains": "compilers", "toolchain": "compilers"}
    close = difflib.get_close_matches(field[:100], FIELDS, 1, 0.85)
    return aliases.get(field) or (close[0] if close else None)


def _names() -> list[str]:
    return [each.name for each in languages.languages()]


def _wrong(asked: str, obstacle: str, remedy: str) -> SourceError:
    return SourceError(asked, obstacle, remedy)
