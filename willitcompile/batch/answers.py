"""The lines that go out, and a file of them that is known again after a kill."""

from __future__ import annotations

import fcntl
import json
import os
import stat
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from willitcompile.errors import NoAnswer, RequestError
from willitcompile.reports.json import dumps

if TYPE_CHECKING:
    from collections.abc import Callable

    from willitcompile.batch.records import Record, Wrong
    from willitcompile.model import CheckResult

REPEATED = "this id was there before"
"""What stands in the way of a record whose id another one has."""

_DIGEST = 16
"""Bytes: that two of a million ids have the same is less likely than 1 in 10^26."""


class Ids:
    """A set of ids that takes some 30 bytes for each, however long they are.

    >>> ids = Ids(); ids.add("a"), ids.add("a"), ids.add(1), ids.add("1")
    (True, False, True, True)
    """

    def __init__(self) -> None:
        self._count = 0
        self._slots = 1024
        self._table = bytearray(self._slots * _DIGEST)

    def __len__(self) -> int:
        return self._count

    def __contains__(self, name: str | int) -> bool:
        digest = _digest(name)
        place = self._place(digest)
        return self._table[place : place + _DIGEST] == digest

    def add(self, name: str | int) -> bool:
        """Whether it was not there before."""
        digest = _digest(name)
        if not self._put(digest):
            return False
        self._count += 1
        if self._count * 3 > self._slots * 2:
            old, self._slots = self._table, self._slots * 2
            self._table = bytearray(self._slots * _DIGEST)
            for start in range(0, len(old), _DIGEST):
                if any(known := old[start : start + _DIGEST]):
                    self._put(bytes(known))
        return True

    def _put(self, digest: bytes) -> bool:
        place = self._place(digest)
        if self._table[place : place + _DIGEST] == digest:
            return False
        self._table[place : place + _DIGEST] = digest
        return True

    def _place(self, digest: bytes) -> int:
        """Where it is, or the free place where it would be."""
        slot = int.from_bytes(digest[:8], "little") % self._slots
        while True:
            place = slot * _DIGEST
            known = self._table[place : place + _DIGEST]
            if known == digest or not any(known):
                return place
            slot = (slot + 1) % self._slots


def _digest(name: str | int) -> bytes:
    text = f"{type(name).__name__}:{name}".encode(errors="surrogatepass")
    return blake2b(text, digest_size=_DIGEST).digest()


def answered(record: Record, results: list[dict[str, Any]], *, good: bool) -> bytes:
    """The line for a record that was checked; `results` as in the json report."""
    head: dict[str, Any] = {"id": record.id}
    if record.group:
        head["group"] = record.group
    return f"{dumps({**head, 'compiled': good, 'results': results})}\n".encode()


def refused(record: Record | Wrong, error: RequestError) -> bytes:
    """The line for one that could not be."""
    head: dict[str, Any] = {"id": record.id, "line": record.line}
    if record.group:
        head["group"] = record.group
    said = {"asked": error.asked, "obstacle": error.obstacle, "remedy": error.remedy}
    return f"{dumps({**head, 'error': said})}\n".encode()


def verdict_of(results: list[CheckResult]) -> str:
    """Of a whole record: that of the first compile that did not do, else `compiled`."""
    return str(next((each.verdict for each in results if not each.is_as_expected), "compiled"))


class Output:
    """Where answers go: each line by one write, so that a kill tears at most the last one. Not thread-safe."""

    def __init__(self, fd: int, name: str) -> None:
        self._fd = fd
        self._name = name
        self._is_file = stat.S_ISREG(os.fstat(fd).st_mode)

    def write(self, line: bytes) -> None:
        """Raises BrokenPipeError, and NoAnswer where there is no room."""
        rest = memoryview(line)
        try:
            while rest:
                rest = rest[os.write(self._fd, rest) :]
        except BrokenPipeError:
            raise
        except OSError as error:
            self._take_back(len(line) - len(rest))
            raise NoAnswer(
                f"write to {self._name}", error.strerror or str(error), "make room, then run it again with --resume"
            ) from None

    def _take_back(self, written: int) -> None:
        """A part of a line is none."""
        if self._is_file and written:
            end = os.lseek(self._fd, -written, os.SEEK_CUR)
            os.ftruncate(self._fd, end)


class Done:
    """What was answered before."""

    def __init__(self) -> None:
        self.ids = Ids()
        self.lines: set[int] = set()
        """Of records that no id tells apart."""


def open_output(path: str, *, resume: bool) -> int:
    """A descriptor of the file, which is this process's alone. Raises RequestError."""
    try:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)
    except OSError as error:
        remedy = "name a file in a directory that can be written to"
        raise RequestError(f"write to {path}", error.strerror or str(error), remedy) from None
    try:
        about = os.fstat(fd)
        if stat.S_ISREG(about.st_mode):
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                remedy = "wait for it to end, or name another file"
                raise RequestError(f"write to {path}", "another batch is writing to it", remedy) from None
            if about.st_size and not resume:
                remedy = "to go on where it ended add --resume; to begin anew remove it first"
                raise RequestError(f"write to {path}", "there are answers in it", remedy)
        elif resume:
            raise RequestError(f"resume from {path}", "it is no regular file", "name the file with the answers")
    except BaseException:
        os.close(fd)
        raise
    return fd


def known_again(fd: int, path: str, count: Callable[[str, str, bool], None]) -> Done:
    """What the file of this descriptor answers, of which a torn last line is cut off. `count` is told of each the
    group, the verdict or `error`, and whether it is good.

    Raises RequestError where a line is no answer of ours: then nothing is changed.
    """
    done = Done()
    whole = 0
    with open(os.dup(fd), "rb") as file:
        file.seek(0)
        for number, line in enumerate(file, 1):
            if not line.endswith(b"\n"):
                break
            try:
                answer = json.loads(line)
                name, group = answer["id"], answer.get("group", "")
                error = answer.get("error")
                kind = "error" if error else _verdict(answer["results"])
            except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
                raise RequestError(
                    f"resume from {path}",
                    f"its line {number} is no answer of a batch",
                    "name the file with the answers",
                ) from None
            count(str(group), kind, bool(answer.get("compiled")))
            if name is None or (error and error.get("obstacle") == REPEATED):
                done.lines.add(answer["line"])
            else:
                done.ids.add(name)
            whole += len(line)
    if whole < os.fstat(fd).st_size:
        os.ftruncate(fd, whole)
    return done


def _verdict(results: list[dict[str, Any]]) -> str:
    return next((each["verdict"] for each in results if each["verdict"] != "compiled"), "compiled")
