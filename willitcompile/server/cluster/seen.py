"""What one replica sees of the queue that all of them share, and what of it is its own. Nothing here waits."""

from __future__ import annotations

import time
from collections import Counter, deque
from itertools import accumulate
from typing import TYPE_CHECKING

from willitcompile.backends.queued import RUNNING, WAITING
from willitcompile.model import MIB
from willitcompile.server.checks import QueueFull, may_wait
from willitcompile.server.cluster.known import Group
from willitcompile.server.cluster.turns import next_up

if TYPE_CHECKING:
    from collections.abc import Mapping

    from willitcompile.backends.queued import Queued
    from willitcompile.server.checks import Kept

RECENT_SECONDS = 60.0
"""Who had his turn within so long comes after who had not."""
OTHERS_SECONDS = 0.3
"""How long whoever took in a check is left to start it."""
MOST_HELD_BYTES, MOST_KEPT_BYTES = 256 * MIB, 512 * MIB
"""Of what is to be compiled, and of what came of it: a cluster's store has 2 GiB by default, and not for this alone."""
CHURN_SECONDS, MOST_CHURN_BYTES = 600.0, 768 * MIB
"""Of what was taken in within so long: a cluster's store has what was deleted for up to ten minutes more."""


class Seen:
    """Belongs to one thread."""

    def __init__(self, workers: int, queue_size: int) -> None:
        self._workers = workers
        self._queue_size = queue_size
        self.groups: dict[str, Group] = {}
        self.open: dict[str, Queued] = {}
        """All that is not settled."""
        self.own: set[str] = set()
        """What this replica took in, or has started, as long as that is open."""
        self.starting: dict[str, str] = {}
        """Those that are about to run, and for whom."""
        self.reserved: dict[str, str] = {}
        """Those that are on their way into the queue, and whose they are."""
        self.coming: dict[str, int] = {}
        """By check that is on its way, about how many bytes it will take."""
        self.comers: dict[str, str] = {}
        """Whose those are."""
        self._came: deque[tuple[float, Counter[str]]] = deque()
        """Of what was heard of lately, from when on, in time.monotonic's seconds: how many bytes, by client."""
        self._recent: dict[str, tuple[float, str]] = {}
        """When what was started lately was, and for whom."""
        self._chosen: dict[str, float] = {}
        """What others took in and is next, and since when, in time.monotonic's seconds."""

    def take(self, queued: Queued, now: float) -> None:
        group = self.groups.setdefault(queued.ticket.group, Group())
        if queued.ticket.number not in group.cells and not queued.is_settled:
            self._note(queued.ticket.client, queued.size)
        group.take(queued)
        if queued.state != WAITING and queued.cancelled is None and now - (queued.started or now) < RECENT_SECONDS:
            self._recent.setdefault(queued.id, (queued.started or now, queued.ticket.client))
        if queued.is_settled:
            self.open.pop(queued.id, None)
            self.own.discard(queued.id)
        else:
            self.open[queued.id] = queued

    def drop(self, job_id: str) -> None:
        check_id, _, number = job_id.rpartition("-")
        if (group := self.groups.get(check_id)) is not None:
            group.cells.pop(int(number), None)
            if not group.cells:
                del self.groups[check_id]
        self.open.pop(job_id, None)
        self._recent.pop(job_id, None)
        self.own.discard(job_id)

    def active(self) -> int:
        running = sum(each.state == RUNNING for each in self.open.values())
        return running + sum(not self._runs(job_id) for job_id in self.starting)

    def queued(self) -> int:
        return len(self.reserved) + len(self._waiting())

    def room(self) -> int:
        """For how many more there is, with nobody waiting before them."""
        return 0 if self.queued() else max(0, self._workers - self.active())

    def refuse(self, client: str, count: int, size: int) -> None:
        """Raises QueueFull where there is no room for so many cells of a client to wait, or so many bytes."""
        own = sum(whose == client for whose in self.reserved.values())
        own += sum(each.ticket.client == client for each in self._waiting())
        is_full = not may_wait(count, own, self._queue_size - self.queued())
        if is_full or (size and (self._holds_much(client, size) or self._churns(client, size))):
            raise QueueFull

    def choose(self) -> tuple[list[Queued], float | None]:
        """Which to start now, and after how many seconds to ask again, where it is not by itself that there is news."""
        room = self._workers - self.active()
        waiting = [each for each in self.open.values() if each.state == WAITING and each.id not in self.starting]
        over = {group for group in {each.ticket.group for each in waiting} if self.groups[group].cancelled is not None}
        waiting = [each for each in waiting if each.ticket.group not in over]
        if room <= 0 or not waiting:
            return [], None
        now, found, left = time.monotonic(), [], {}
        for each in next_up(waiting, self._turns(), room, time.time()):
            since = self._chosen.get(each.id, now)
            if each.id in self.own or now - since >= OTHERS_SECONDS:
                found.append(each)
            else:
                left[each.id] = since
        self._chosen = left
        return found, max(0.01, min(left.values()) + OTHERS_SECONDS - now) if left else None

    def stale(self, keep: Kept, now: float) -> list[Group]:
        """What is over, and kept no longer."""
        over = [group for group in self.groups.values() if group.is_over]
        over.sort(key=lambda group: group.ended or 0.0, reverse=True)
        sizes = accumulate(sum(each.size for each in group.cells.values()) for group in over)
        most = min(keep.bytes, MOST_KEPT_BYTES)
        return [
            group
            for place, (group, size) in enumerate(zip(over, sizes, strict=True))
            if place >= keep.checks or (place and size > most) or (group.ended or now) < now - keep.seconds
        ]

    def _waiting(self) -> list[Queued]:
        """But for what is on its way, of which some may be there already."""
        return [each for each in self.open.values() if each.state == WAITING and each.id not in self.reserved]

    def _runs(self, job_id: str) -> bool:
        known = self.open.get(job_id)
        return known is not None and known.state == RUNNING

    def _holds_much(self, client: str, size: int) -> bool:
        held = [(self.comers[check_id], coming) for check_id, coming in self.coming.items()]
        held += [(each.ticket.client, each.size) for each in self.open.values()]
        own = sum(each for whose, each in held if whose == client)
        return _is_much(own, sum(each for _, each in held), MOST_HELD_BYTES, size)

    def _note(self, client: str, size: int) -> None:
        now = time.monotonic()
        if not self._came or now - self._came[-1][0] > CHURN_SECONDS / 60:
            self._came.append((now, Counter()))
        self._came[-1][1][client] += size

    def _churns(self, client: str, size: int) -> bool:
        while self._came and time.monotonic() - self._came[0][0] > CHURN_SECONDS:
            self._came.popleft()
        came = sum(each.total() for _, each in self._came) + sum(self.coming.values())
        own = sum(each[client] for _, each in self._came)
        own += sum(coming for check_id, coming in self.coming.items() if self.comers[check_id] == client)
        return _is_much(own, came, MOST_CHURN_BYTES, size)

    def _turns(self) -> Mapping[str, int]:
        """How many each client has had lately, or has now."""
        old = time.time() - RECENT_SECONDS
        self._recent = {job_id: had for job_id, had in self._recent.items() if had[0] > old or self._runs(job_id)}
        begun = [client for job_id, client in self.starting.items() if job_id not in self._recent]
        return Counter([*(client for _, client in self._recent.values()), *begun])


def _is_much(own: int, had: int, most: int, more: int) -> bool:
    """Whether it is more than a client may have: half of what is free and his, as of the places."""
    return own + more > (own + max(0, most - had)) // 2
