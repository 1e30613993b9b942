"""Containers that have compiled a source, for the next compile of the same source: at another standard, say.

To start one takes 0.17 s of a core, as long as many a compile. They are for the same files alone: of two hundred
submissions none runs where another has been. The launcher removes what a job has left before the next one.
"""

from __future__ import annotations

from _thread import allocate_lock
from typing import TYPE_CHECKING, NamedTuple
from weakref import WeakKeyDictionary, finalize

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping

    from willitcompile.backends import CancelToken
    from willitcompile.backends.docker.channel import Container

MOST_IDLE = 16
"""Of one check. Each costs some megabytes while it waits; the one that has waited longest makes room."""


class _Idle(NamedTuple):
    kind: Hashable
    files: Mapping[str, bytes]
    container: Container


class Kept:
    """Thread-safe. A check is known by its token, a kind as in `Pool`."""

    def __init__(self) -> None:
        self._lock = allocate_lock()
        self._checks: WeakKeyDictionary[CancelToken, list[_Idle]] = WeakKeyDictionary()
        self._closed = False

    def expect(self, check: CancelToken) -> None:
        """A check that compiles sources more than once."""
        with self._lock:
            if check not in self._checks:
                idle = self._checks[check] = []
                # When it is over, however that comes, nobody has its token any more.
                finalize(check, _hang_up, idle).atexit = False

    def take(self, check: CancelToken | None, kind: Hashable, files: Mapping[str, bytes]) -> Container | None:
        """One that has compiled these files; None where none is idle."""
        with self._lock:
            idle = self._checks.get(check, []) if check is not None else []
            fitting = [each for each in idle if each.kind == kind and each.files == files]
            for each in fitting:
                idle.remove(each)
                if each.container.alive():
                    return each.container
                each.container.hang_up()
        return None

    def give(self, check: CancelToken | None, kind: Hashable, files: Mapping[str, bytes], container: Container) -> bool:
        """Keep one that has done its job; says whether it is."""
        with self._lock:
            idle = self._checks.get(check) if check is not None else None
            if idle is None or self._closed:
                return False
            idle.append(_Idle(kind, files, container))
            oldest = idle.pop(0) if len(idle) > MOST_IDLE else None
        if oldest:
            oldest.container.hang_up()
        return True

    def close(self) -> None:
        """End those that are kept. None is kept any more."""
        with self._lock:
            self._closed = True
            checks = list(self._checks.values())
        for idle in checks:
            _hang_up(idle)


def _hang_up(idle: list[_Idle]) -> None:
    while idle:
        idle.pop().container.hang_up()
