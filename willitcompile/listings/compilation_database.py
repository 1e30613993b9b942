"""compile_commands.json, in which a build says how it compiles each file: by CMake, Meson, Bazel, Bear and others.

See https://clang.llvm.org/docs/JSONCompilationDatabase.html. Its words are another's: each flag is judged as one that
is typed, and no file is read but below the current directory, the database's own, and those given with -I.
"""

from __future__ import annotations

import json
import os
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from willitcompile.errors import FlagRefused, RequestError, SourceError, UnknownLanguage, UnknownStandard
from willitcompile.files import below, current_directory, has_control, quoted, read_regular
from willitcompile.languages import CompileOptions, detect, language
from willitcompile.languages.c_flags import judged_flags
from willitcompile.listings import Entry
from willitcompile.listings.command_line import WrongLine, expanded, options, words
from willitcompile.sources import is_system

if TYPE_CHECKING:
    from collections.abc import Iterator

    from willitcompile.listings import Given
    from willitcompile.listings.command_line import Options

MOST_ENTRIES = 100_000
"""Of one database. Chromium's has some 50,000."""

OPTION_FILE_BYTES = 1024 * 1024

_EXAMPLE = "make it anew: cmake -S . -B build -DCMAKE_EXPORT_COMPILE_COMMANDS=ON"
_BLANKS = " \t\r\n"


def entries(path: str, text: bytes, given: Given) -> list[Entry]:
    """See `willitcompile.listings.entries`. An entry of another language than C and C++ is left out."""
    database = _Database(path, given)
    found: list[Entry] = []
    for line, said in _objects(path, text):
        if len(found) == MOST_ENTRIES:
            found.append(database.problem(line, f"there are more than {MOST_ENTRIES} entries, and no more are read"))
            break
        entry = database.problem(line, said) if isinstance(said, str) else database.entry(line, said)
        if entry:
            found.append(entry)
    return found


def _objects(path: str, text: bytes) -> Iterator[tuple[int, object]]:
    """Each element with its line; a text, as the last, says why the rest cannot be read. Raises SourceError."""
    try:
        content = text.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = text.count(b"\n", 0, error.start) + 1
        raise SourceError(f"check {path}:{line}", "it is not UTF-8", _EXAMPLE) from None
    decoder = json.JSONDecoder()
    line, at, counted = 1, 0, 0

    def skip(at: int) -> int:
        while at < len(content) and content[at] in _BLANKS:
            at += 1
        return at

    at = skip(0)
    if content[at : at + 1] != "[":
        raise SourceError(f"check {path}:{content.count(chr(10), 0, at) + 1}", "it is no list of commands", _EXAMPLE)
    at = skip(at + 1)
    is_first = True
    while content[at : at + 1] != "]":
        line += content.count("\n", counted, at)
        counted = at
        if not is_first:
            if content[at : at + 1] != ",":
                yield line, "here it is no JSON: a comma or a ] is missing"
                return
            at = skip(at + 1)
            line += content.count("\n", counted, at)
            counted = at
        is_first = False
        try:
            said, end = decoder.raw_decode(content, at)
        except json.JSONDecodeError as error:
            yield error.lineno, f"here it is no JSON: {error.msg[:1].lower()}{error.msg[1:]}"
            return
        except ValueError:
            yield line, "it has a number of more digits than anybody needs"
            return
        except RecursionError:
            yield line, "it is nested too deeply"
            return
        yield line, said
        at = skip(end)


class _Wrong(Exception):
    """Why there is no answer for an entry, and what to do."""

    def __init__(self, obstacle: str, remedy: str = _EXAMPLE) -> None:
        super().__init__(obstacle)
        self.obstacle = obstacle
        self.remedy = remedy


class _Command(NamedTuple):
    """What an entry says, read."""

    directory: str
    file: str
    words: list[str]


class _Database:
    """One database, and what may be read for it."""

    def __init__(self, path: str, given: Given) -> None:
        self._path = path
        self._here = current_directory()
        self._own = os.path.dirname(os.path.abspath(path))
        allowed = (self._here, self._own, *(os.path.join(self._here, name) for name in given.include_dirs))
        self._allowed = tuple(dict.fromkeys(map(os.path.realpath, allowed)))
        self._may_be_read: dict[str, bool] = {}
        build = self._shown(self._own)
        self._missing = f"where the build makes it, build first: cmake --build {build}"

    def problem(self, line: int, obstacle: str, remedy: str = _EXAMPLE, name: str = "") -> Entry:
        where = f"{self._path}:{line}"
        error = SourceError(f"check {where}", obstacle, remedy)
        return Entry(name or where, name or self._path, "c", problem=error)

    def entry(self, line: int, said: object) -> Entry | None:
        """None for one of another language."""
        name = ""
        try:
            command = self._command(said)
            path = self._absolute(command.file, command.directory)
            name = self._shown(path)
            read = options(expanded(command.words, lambda each: self._option_file(each, command.directory)))
            speaks = _language(path, read)
            return self._entry(name, path, speaks, command.directory, read) if speaks else None
        except WrongLine as error:
            return self.problem(line, f"{error}", name=name)
        except _Wrong as error:
            return self.problem(line, error.obstacle, error.remedy, name)

    def _entry(self, name: str, path: str, speaks: str, directory: str, read: Options) -> Entry:
        if not os.path.isfile(path):
            raise _Wrong(f"{name} is not there", self._missing)
        self._refuse_outside(os.path.dirname(path), name)
        standard = _standard(speaks, read.standard)
        asked = CompileOptions(flags=read.flags)
        if refused := _refused(asked):
            obstacle, remedy = refused
            raise _Wrong(f"{obstacle}", f"{remedy}, or check the file by itself: will-it-compile check {quoted(name)}")
        search = [(option, self._absolute(place, directory)) for option, place in read.search]
        for _, place in search:
            if not is_system(place) and os.path.isdir(place):
                self._refuse_outside(place, name)
        forced = [self._forced(each, directory, search) for each in read.forced]
        return Entry(
            name,
            name,
            speaks,
            standard=standard,
            options=asked,
            include_dirs=tuple(
                place for option, place in search if option == "-I" and not is_system(place) and os.path.isdir(place)
            ),
            search=tuple((option, place) for option, place in search if option != "-I" or is_system(place)),
            forced=tuple(forced),
            workdir=directory if self._is_allowed(directory) else None,
            missing=self._missing,
        )

    def _command(self, said: object) -> _Command:
        if not isinstance(said, dict):
            raise _Wrong("this entry is no object")
        directory, file = said.get("directory", self._own), said.get("file")
        for field, value in {"directory": directory, "file": file}.items():
            if not isinstance(value, str) or not value:
                raise _Wrong(f"this entry has no {field}" if value is None else f"its {field} is no name")
            if has_control(value) or not _is_encodable(value):
                raise _Wrong(f"its {field} {value!r} has a control character")
        arguments, command = said.get("arguments"), said.get("command")
        if arguments is None and command is None:
            raise _Wrong(f"the entry of {file} has neither a command nor arguments")
        if arguments is None:
            if not isinstance(command, str):
                raise _Wrong(f"the command of {file} is no text")
            arguments = words(command)
        if not isinstance(arguments, list) or not all(isinstance(word, str) for word in arguments):
            raise _Wrong(f"the arguments of {file} are no list of texts")
        if any("\0" in word or not _is_encodable(word) for word in arguments):
            raise _Wrong(f"the command of {file} has a character that no command line can have")
        return _Command(self._absolute(str(directory), self._own), str(file), arguments)

    def _forced(self, name: str, directory: str, search: list[tuple[str, str]]) -> str:
        """Where a compiler finds it: from where it runs, then as anything that is included."""
        for place in (directory, *(place for _, place in search)):
            path = self._absolute(name, place)
            if os.path.isfile(path):
                self._refuse_outside(os.path.dirname(path), name)
                return path
        raise _Wrong(f"{name}, which is to be included first, is not there", self._missing)

    def _option_file(self, name: str, directory: str) -> str:
        path = self._absolute(name, directory)
        if not self._is_allowed(os.path.dirname(path)):
            raise WrongLine(f"its file of options {quoted(name)} lies outside of the directories given")
        try:
            data = read_regular(os.path.realpath(path), OPTION_FILE_BYTES, self._allowed)
        except OSError:
            data = None
        if data is None:
            raise WrongLine(f"its file of options {quoted(name)} is not there: build first")
        if len(data) > OPTION_FILE_BYTES:
            raise WrongLine(f"its file of options {quoted(name)} has more than {OPTION_FILE_BYTES} bytes")
        return data.decode(errors="surrogateescape")

    def _absolute(self, name: str, directory: str) -> str:
        path = os.path.normpath(os.path.join(directory, name))
        return path[1:] if path.startswith("//") else path

    def _shown(self, path: str) -> str:
        return os.path.relpath(path, self._here) if below(path, self._here) else path

    def _is_allowed(self, directory: str) -> bool:
        known = self._may_be_read.get(directory)
        if known is None:
            real = os.path.realpath(directory)
            known = self._may_be_read[directory] = any(below(real, place) for place in self._allowed)
        return known

    def _refuse_outside(self, directory: str, name: str) -> None:
        if not self._is_allowed(directory):
            raise _Wrong(
                f"{quoted(name)} wants {quoted(directory)}, which lies outside of the current directory and that of "
                f"{self._path}",
                f"run it where both lie below, or trust that directory: -I {quoted(directory)}",
            )


def _language(path: str, read: Options) -> str | None:
    """None for another one than C and C++."""
    if read.language is not None:
        return read.language or None
    try:
        found = detect(path).name
    except UnknownLanguage:
        return None
    if found not in {"c", "c++"}:
        return None
    return "c++" if "++" in read.compiler else found


def _standard(speaks: str, spelled: str | None) -> str | None:
    if spelled is None:
        return None
    try:
        return language(speaks).canonical(spelled)
    except UnknownStandard as error:
        raise _Wrong(f"{error.asked}: {error.obstacle}", error.remedy) from None


@lru_cache(maxsize=1024)
def _refused(asked: CompileOptions) -> tuple[str, str] | None:
    """What stands in the way of these flags, and the remedy. A build gives most of its files the same ones."""
    try:
        judged_flags(asked)
    except FlagRefused as error:
        return f"{error.asked}: {error.obstacle}", error.remedy
    except RequestError as error:  # pragma: no cover - there is no other yet
        return error.obstacle, error.remedy
    return None


def _is_encodable(text: str) -> bool:
    try:
        os.fsencode(text)
    except UnicodeEncodeError:
        return False
    return True
