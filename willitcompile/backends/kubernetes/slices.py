"""Units of one check that share a pod: a pod for each of 200 files would cost 200 times what it takes to start one.

Whoever brings a unit waits for its answer. The one who opened a slice runs it, when it is full, when all that were
announced have come, or when nobody has come for a moment.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from willitcompile.backends import Cancelled

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from willitcompile.backends import CancelToken
    from willitcompile.model import CompileJob, CompileResult

LINGER_SECONDS = 0.05
"""How long a slice that is not full waits for the next unit: reading a source and its headers takes a few ms."""
MOST_BYTES = 8 << 20
"""Of the sources of a slice."""
_LOOK_SECONDS = 0.1


class Ticket:
    """A unit, and its answer when there is one."""

    def __init__(self, job: CompileJob) -> None:
        self.job = job
        self.answer: CompileResult | Exception | None = None
        self._answered = threading.Event()

    def give(self, answer: CompileResult | Exception) -> None:
        """The first answer counts."""
        if self.answer is None:
            self.answer = answer
            self._answered.set()

    @property
    def answered(self) -> bool:
        return self._answered.is_set()

    def wait(self, cancel: CancelToken | None, closed: Callable[[], bool]) -> CompileResult:
        """Raises what the answer is where it is an error, and Cancelled."""
        # A token, which a signal handler may cancel, can notify nobody.
        while not self._answered.wait(_LOOK_SECONDS):
            if closed() or (cancel is not None and cancel.cancelled):
                raise Cancelled
        if isinstance(self.answer, Exception):
            raise self.answer
        assert self.answer is not None  # noqa: S101 - it is answered
        return self.answer


class Slice:
    """Tickets for one pod, whose compiler is asked for its version once: `gcc` says another one than `g++`."""

    def __init__(self, key: tuple[Hashable, str], first: Ticket) -> None:
        self.key = key
        self.tickets = [first]
        self.bytes = _size(first.job)
        self.is_open = True
        self.last = time.monotonic()
        """When the last one came."""

    def add(self, ticket: Ticket) -> None:
        self.tickets.append(ticket)
        self.bytes += _size(ticket.job)
        self.last = time.monotonic()


class _Check:
    """One check, and what of it is under way."""

    def __init__(self) -> None:
        self.announced = 0
        self.expected: dict[Hashable, int] = {}
        """By kind, the units that were announced and have not come."""
        self.open: dict[tuple[Hashable, str], Slice] = {}
        """By kind, and the program that compiles."""
        self.pods = 1
        """At one time."""
        self.size = 1
        """Units in a slice."""
        self.running = 0


class Slices:
    """Thread-safe. A check is known by its token; the kind of a unit is what those of a slice have in common."""

    def __init__(self, units: int) -> None:
        """At most so many units in a pod."""
        self._units = units
        self._changed = threading.Condition()
        # What was announced need not all come: a check is forgotten with its token.
        self._checks: WeakKeyDictionary[CancelToken, _Check] = WeakKeyDictionary()

    def expect(self, token: CancelToken, kind: Hashable, count: int, pods: int) -> None:
        """So many units of a check will come, which may have so many pods at one time."""
        with self._changed:
            check = self._checks.setdefault(token, _Check())
            check.announced += count
            check.expected[kind] = check.expected.get(kind, 0) + count
            check.pods = max(1, pods)
            check.size = max(1, min(self._units, -(-check.announced // check.pods)))

    def join(self, token: CancelToken | None, kind: Hashable, ticket: Ticket) -> Slice | None:
        """A slice that the caller has to run, or None where another runs the one that the ticket is in.

        Without a token the unit stays alone.
        """
        with self._changed:
            check = self._checks.setdefault(token, _Check()) if token else _Check()
            left = check.expected[kind] = max(0, check.expected.get(kind, 0) - 1)
            key = (kind, ticket.job.argv[0])
            slice_ = check.open.get(key)
            mine = slice_ is None
            if slice_ is None:
                slice_ = check.open[key] = Slice(key, ticket)
            else:
                slice_.add(ticket)
            if len(slice_.tickets) >= check.size or slice_.bytes >= MOST_BYTES or not left:
                del check.open[key]
                slice_.is_open = False
            self._changed.notify_all()
            return slice_ if mine else None

    def begin(self, token: CancelToken | None, slice_: Slice) -> None:
        """Wait until a slice is closed, and until its check may have one more pod. Give the place back with `done`.

        Raises Cancelled.
        """
        if token is None:
            return
        with self._changed:
            check = self._checks[token]
            try:
                while slice_.is_open and not token.cancelled:
                    if (left := slice_.last + LINGER_SECONDS - time.monotonic()) <= 0:
                        break
                    self._changed.wait(min(left, _LOOK_SECONDS))
            finally:
                # Also where it is interrupted: who came to it later would wait for ever.
                if slice_.is_open:
                    del check.open[slice_.key]
                    slice_.is_open = False
            while check.running >= check.pods and not token.cancelled:
                self._changed.wait(_LOOK_SECONDS)
            if token.cancelled:
                raise Cancelled
            check.running += 1

    def done(self, token: CancelToken | None) -> None:
        """A pod of this check has ended."""
        if token is None:
            return
        with self._changed:
            self._checks[token].running -= 1
            self._changed.notify_all()


def _size(job: CompileJob) -> int:
    return sum(map(len, job.files.values()))
