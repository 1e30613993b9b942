"""The files of this machine that an answer depends on, by size and time: written down, and looked at again."""

from __future__ import annotations

import os
import time
from _blake2 import blake2b
from typing import TYPE_CHECKING

from willitcompile.files import has_control
from willitcompile.model import MIB

if TYPE_CHECKING:
    from collections.abc import Sequence

    from willitcompile.languages.c_inputs import Asked
    from willitcompile.model import CompileJob

SETTLED_SECONDS = 2.0
"""A file that has changed so shortly before a compile may change again without its time telling: FAT counts by two
seconds, ext3 by one, and a kernel by up to 10 ms."""

HEADER_BYTES = 64 * MIB
"""A header that is larger is not looked into, and what includes it not kept."""

ABSENT = "-"


def stamp(path: str) -> str:
    """What tells whether a file, or the list of a directory, has changed."""
    try:
        state = os.stat(path)
    except (OSError, ValueError):
        return ABSENT
    return f"{state.st_size} {state.st_mtime_ns} {state.st_ctime_ns} {state.st_ino}"


class Inputs:
    """Looks at each file once, for as long as one check takes."""

    def __init__(self) -> None:
        self._stamps: dict[str, str] = {}
        self._unchanged: dict[bytes, bool] = {}
        self._known: dict[tuple[str, str], Asked] = {}
        """By the path and the stamp of a header."""

    def known(self, digest: bytes) -> bool | None:
        """Whether what this stands for is unchanged; None where `unchanged` was not asked yet."""
        return self._unchanged.get(digest)

    def unchanged(self, digest: bytes, record: bytes) -> bool:
        """Whether all is as it was written down."""
        stamps = self._stamps
        same = digest_of(record) == digest
        for line in record.decode(errors="surrogateescape").split("\n") if same else ():
            path, _, before = line.partition("\0")
            now = stamps.get(path)
            if now is None:
                now = stamps[path] = stamp(path)
            if now != before:
                same = False
                break
        self._unchanged[digest] = same
        return same

    def record(self, read: Sequence[str], job: CompileJob, roots: Sequence[str], began: float) -> bytes | None:
        """Write down what a compile that began at this time, in seconds since 1970, has read; None where some of it may
        be another already, or asks what time it is."""
        from willitcompile.languages import c_inputs

        settled = (min(began, time.time()) - SETTLED_SECONDS) * 1e9
        stamps = {path: stamp(path) for path in read}
        if ABSENT in stamps.values():
            return None
        asked = [c_inputs.asked(content) for content in job.files.values()]
        asked += [self._asked(path, now) for path, now in stamps.items()]
        if any(each.clock or each.elsewhere for each in asked):
            return None
        names = {name for each in asked for name in each.names}
        if any(each.by_macro for each in asked):
            names.update(*map(c_inputs.names_in, job.files.values()), *map(_names_in, read))
        stamps |= {place: stamp(place) for place in c_inputs.directories(read, names, roots)}
        if not all(_is_settled(now, settled) and not has_control(path) for path, now in stamps.items()):
            return None
        lines = (f"{path}\0{stamps[path]}" for path in sorted(stamps))
        return "\n".join(lines).encode(errors="surrogateescape")

    def _asked(self, path: str, now: str) -> Asked:
        """What a header asks for; the clock where it cannot be looked into."""
        if (path, now) not in self._known:
            from willitcompile.languages import c_inputs

            text = _read(path)
            self._known[path, now] = c_inputs.Asked(clock=True) if text is None else c_inputs.asked(text)
        return self._known[path, now]


def _names_in(path: str) -> set[bytes]:
    from willitcompile.languages import c_inputs

    return c_inputs.names_in(_read(path) or b"")


def _read(path: str) -> bytes | None:
    """A header, which is a file of the toolchain's; None where it is too large, or gone."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    except OSError:
        return None
    try:
        size = os.fstat(descriptor).st_size
        text = os.read(descriptor, size + 1) if size <= HEADER_BYTES else b""
    except OSError:
        return None
    finally:
        os.close(descriptor)
    return text if len(text) == size else None


def _is_settled(now: str, settled: float) -> bool:
    return now == ABSENT or all(int(each) < settled for each in now.split()[1:3])


def digest_of(record: bytes) -> bytes:
    return blake2b(record, digest_size=16).digest()
