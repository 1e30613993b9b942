"""How often a client may ask, by a token bucket for each, and how much at once.

A bucket is one number: when it will be full again. Whoever is not known has a full one, so a full one needs no memory.
Where more clients than that are remembered, those whose buckets are the fullest are forgotten first, as that gives them
the least: a flood of new addresses, of one request each, makes room among itself. Who wants an empty bucket forgotten
has to empty thousands of others.
"""

from __future__ import annotations

import heapq
import time
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING

from willitcompile.server.clients import group

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MOST_CLIENTS = 10_000
_ROUNDING = 1e-6
"""Seconds: what adding up floats may be wrong by."""


class RateLimit:
    """Not thread-safe: it belongs to the event loop's thread."""

    def __init__(
        self,
        per_minute: float,
        burst: int,
        clock: Callable[[], float] = time.monotonic,
        most_clients: int = MOST_CLIENTS,
    ) -> None:
        """`per_minute` of 0 limits nothing; `burst` is how many may come at once after a while of none."""
        if per_minute < 0 or burst < 1:
            raise ValueError(f"a rate of {per_minute} per minute, {burst} at once, lets nobody in")
        self._seconds = 60 / per_minute if per_minute else 0.0
        """For which one request has to be saved up."""
        self._burst = burst
        self._clock = clock
        self._most = most_clients
        self._full_at: dict[str, float] = {}
        """By client, in the clock's seconds."""

    def take(self, client: str) -> float:
        """0.0: it may. Otherwise the seconds until it may, and nothing was taken. All of an IPv6 /64 are one client."""
        if not self._seconds:
            return 0.0
        client, now = group(client), self._clock()
        full_at = max(self._full_at.get(client, now), now) + self._seconds
        wait = full_at - now - self._burst * self._seconds
        if wait > _ROUNDING:
            return wait
        self._full_at[client] = full_at
        if len(self._full_at) > self._most:
            self._forget(now)
        return 0.0

    def _forget(self, now: float) -> None:
        """A tenth at least, so that it is done seldom."""
        kept = {client: full_at for client, full_at in self._full_at.items() if full_at > now}
        surplus = len(kept) - self._most * 9 // 10
        for client in heapq.nsmallest(surplus, kept, key=kept.__getitem__) if surplus > 0 else ():
            del kept[client]
        self._full_at = kept


class AtOnce:
    """Counts each client's requests that are in progress.

    A handler that waits, as for a result, goes on when its client has gone: connections alone are no measure of them.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._requests: Counter[str] = Counter()

    @contextmanager
    def request(self, client: str) -> Iterator[bool]:
        """Around one: whether it may be. All of an IPv6 /64 are one client."""
        client = group(client)
        if self._requests.get(client, 0) >= self._most:
            yield False
            return
        self._requests[client] += 1
        try:
            yield True
        finally:
            self._requests[client] -= 1
            if not self._requests[client]:
                del self._requests[client]
