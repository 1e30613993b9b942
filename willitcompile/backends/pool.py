"""Containers that wait for a job, so that none has to wait for its container.

A container takes 150 to 300 ms to start and serves one job. The one for the next job is started while the job before
compiles.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from willitcompile.backends import Cancelled

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from willitcompile.backends import CancelToken

MOST_WAITING = 8
"""Of one kind, in a pool that is kept warm."""
REMEMBERED_SECONDS = 60.0
"""A pool that is kept warm holds as many as were in use at once within so long."""

CLOSE_SECONDS = 30.0
"""How long closing waits for what is being started."""
_LOOK_SECONDS = 0.1


class Waiting(Protocol):
    def alive(self) -> bool:
        """Whether it can still take a job."""

    def discard(self) -> None:
        """End it. Never raises."""


W = TypeVar("W", bound=Waiting)


class _Kind(Generic[W]):
    def __init__(self) -> None:
        self.ready: deque[W | Exception] = deque()
        """Each with why it could not be started, for who wants the next one."""
        self.starting = 0
        self.takers = 0
        self.running = 0
        self.expected = 0
        """Jobs that were announced and have not taken theirs."""
        self.peaks: deque[tuple[float, int]] = deque()
        """(when, how many ran), the largest of the time that is remembered first."""


class Pool(Generic[W]):
    """Thread-safe. A kind of container is whatever key its jobs have in common."""

    def __init__(
        self,
        start: Callable[[Hashable], W],
        *,
        warm: bool = False,
        least: int = 0,
        most: int = MOST_WAITING,
        remembered_seconds: float | None = None,
    ) -> None:
        """`start` makes one that waits; it may take long, and raise.

        `warm` keeps some for jobs not announced: as many as were in use at once within `remembered_seconds`, but at
        least and at most so many of each kind that was ever asked for.
        """
        self._start = start
        self._warm = warm
        self._least = least
        self._most = most
        self._remembered = REMEMBERED_SECONDS if remembered_seconds is None else remembered_seconds
        self._kinds: dict[Hashable, _Kind[W]] = {}
        self._changed = threading.Condition()
        self._closed = False
        self._keeper: threading.Thread | None = None

    def expect(self, key: Hashable, count: int, at_once: int) -> None:
        """So many jobs will come, so many of them at the same time."""
        with self._changed:
            kind = self._kinds.setdefault(key, _Kind())
            kind.expected += count
            self._fill(key, kind, min(at_once, kind.expected))

    def take(self, key: Hashable, cancel: CancelToken | None = None) -> W:
        """One that waits, or the next to be started. Give it back with `done`.

        Raises what its start raised, PoolClosed, and Cancelled.
        """
        while True:
            taken = self._take(key, cancel)
            if taken.alive():
                return taken
            taken.discard()
            self.done(key)

    def take_ready(self, key: Hashable) -> W | None:
        """One that waits, if any does; another is started in its place. Tell `done` afterwards in both cases."""
        while True:
            with self._changed:
                kind = self._kinds.setdefault(key, _Kind())
                kind.running += 1
                self._remember(kind)
                waiting = [each for each in kind.ready if not isinstance(each, Exception)]
                taken = waiting[0] if waiting else None
                if taken is not None:
                    kind.ready.remove(taken)
                self._fill(key, kind, self._wanted(kind))
            if taken is None or taken.alive():
                return taken
            self.done(key)
            taken.discard()

    def _take(self, key: Hashable, cancel: CancelToken | None) -> W:
        with self._changed:
            kind = self._kinds.setdefault(key, _Kind())
            kind.expected = max(0, kind.expected - 1)
            kind.takers += 1
            self._remember(kind)
            try:
                self._fill(key, kind, 0)
                while not kind.ready:
                    if self._closed:
                        raise PoolClosed
                    if cancel is not None and cancel.cancelled:
                        raise Cancelled
                    # A token, which a signal handler may cancel, can notify nobody.
                    self._changed.wait(None if cancel is None else _LOOK_SECONDS)
                taken = kind.ready.popleft()
            finally:
                kind.takers -= 1
                if not kind.takers:  # who has left may have left it
                    kind.ready = deque(each for each in kind.ready if not isinstance(each, Exception))
            if isinstance(taken, Exception):
                raise taken
            kind.running += 1
            # The next job's container starts while this one compiles.
            self._fill(key, kind, self._wanted(kind))
            return taken

    def done(self, key: Hashable) -> None:
        """What was taken is used up."""
        with self._changed:
            self._kinds[key].running -= 1

    def close(self) -> None:
        """End those that wait, and those that are being started when they are."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
            left = [each for kind in self._kinds.values() for each in kind.ready if not isinstance(each, Exception)]
            for kind in self._kinds.values():
                kind.ready.clear()
        _discard(left)
        with self._changed:
            # Not for ever: a daemon that hangs starts nothing.
            self._changed.wait_for(lambda: not any(kind.starting for kind in self._kinds.values()), CLOSE_SECONDS)
        if self._keeper:
            self._keeper.join()

    def waiting(self) -> int:
        """How many wait for a job."""
        with self._changed:
            return sum(len(kind.ready) for kind in self._kinds.values())

    def _wanted(self, kind: _Kind[W]) -> int:
        """How many should wait, beside those that run."""
        ahead = min(kind.expected, kind.running)
        if self._warm:
            ahead = max(ahead, self._least, min(kind.peaks[0][1], self._most) if kind.peaks else 0)
        return ahead

    def _remember(self, kind: _Kind[W]) -> None:
        if not self._warm:
            return
        now, used = time.monotonic(), kind.running + kind.takers
        while kind.peaks and kind.peaks[-1][1] <= used:
            kind.peaks.pop()
        kind.peaks.append((now, used))
        if self._keeper is None and not self._closed:
            self._keeper = threading.Thread(target=self._keep, name="warm-pool", daemon=True)
            self._keeper.start()

    def _keep(self) -> None:
        """Let go of what nobody has wanted for a while."""
        while True:
            with self._changed:
                if self._closed:
                    return
                old = time.monotonic() - self._remembered
                surplus = [each for key, kind in self._kinds.items() for each in self._age(key, kind, old)]
                next_look = min(
                    (when - old for kind in self._kinds.values() for when, _ in kind.peaks), default=self._remembered
                )
            _discard(surplus)
            with self._changed:
                self._changed.wait_for(lambda: self._closed, max(next_look, 0.01))

    def _age(self, key: Hashable, kind: _Kind[W], old: float) -> list[W]:
        while kind.peaks and kind.peaks[0][0] <= old:
            kind.peaks.popleft()
        if kind.running and not kind.peaks:
            kind.peaks.append((time.monotonic(), kind.running))
        surplus = [each for each in kind.ready if not isinstance(each, Exception) and not each.alive()]
        kind.ready = deque(each for each in kind.ready if each not in surplus)
        wanted = self._wanted(kind) + kind.takers
        self._fill(key, kind, wanted - kind.takers)
        while len(kind.ready) > wanted:
            each = kind.ready.popleft()
            if not isinstance(each, Exception):
                surplus.append(each)
        return surplus

    def _fill(self, key: Hashable, kind: _Kind[W], ahead: int) -> None:
        """Start what is missing to serve who is waiting, and so many besides."""
        missing = kind.takers + ahead - len(kind.ready) - kind.starting
        for _ in range(0 if self._closed else missing):
            threading.Thread(target=self._start_one, args=(key, kind), daemon=True).start()
            kind.starting += 1  # after it, as there may be no room for a thread; the lock is held

    def _start_one(self, key: Hashable, kind: _Kind[W]) -> None:
        started: W | Exception
        try:
            started = self._start(key)
        except Exception as error:  # noqa: BLE001 - it is raised to whoever takes it
            started = error
        with self._changed:
            if not self._closed:
                # Why nobody waits for could not be started says nothing of the next one.
                if not isinstance(started, Exception) or kind.takers > len(kind.ready):
                    kind.ready.append(started)
                kind.starting -= 1
                self._changed.notify_all()
                return
        if not isinstance(started, Exception):
            started.discard()
        with self._changed:
            kind.starting -= 1
            self._changed.notify_all()


class PoolClosed(Exception):
    """Nothing can be taken any more."""


def _discard(waiting: list[W]) -> None:
    """All at once: each takes the daemon a while."""
    threads = [threading.Thread(target=each.discard, daemon=True) for each in waiting]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
