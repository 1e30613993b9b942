"""Checks in a queue that the backend keeps where every process finds it, as a cluster does: nothing is kept here.

Each replica of the service hears of the whole queue and so tells of any check. All of them do what is next, in the same
order; that two want the same is harmless. What comes of a compile is read by the replica that has started it, and where
that is gone, a moment later by any other.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections import Counter, OrderedDict
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import accumulate
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from willitcompile import checker
from willitcompile.backends import CancelToken
from willitcompile.backends.queued import ENDED, RUNNING, WAITING, Queued, Ticket
from willitcompile.errors import BackendFailed, Interrupted, NoAnswer, WillItCompileError
from willitcompile.model import MIB, Limits
from willitcompile.server.checks import (
    INTERACTIVE,
    Answer,
    Ask,
    Cell,
    Check,
    Draining,
    Nobody,
    QueueFull,
    Standing,
    Statistics,
    Told,
    answer,
    count,
    no_answer,
    planned,
    tell,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence

    from willitcompile.backends.queued import JobQueue, QueueKeeper
    from willitcompile.model import CompileJob, Toolchain
    from willitcompile.server.checks import Watcher
    from willitcompile.server.checks import Kept

T = TypeVar("T")

BEGIN_SECONDS = 10.0
"""How long the start waits to hear what there is."""
AGED_SECONDS = 60.0
"""What has waited so long goes before, whatever its priority, so that nobody starves."""
RECENT_SECONDS = 60.0
"""Who had his turn within so long comes after who had not."""
OTHERS_SECONDS = 0.3
"""How long whoever took in a check is left to start it."""
ORPHAN_SECONDS = 2.0
"""How long whoever started a compile is left to tell what came of it; up to twice that."""
AGAIN_SECONDS = 1.0
SWEEP_SECONDS = 30.0
EXTRA_KEPT_SECONDS = 86_400
"""A cell of a check with many is kept longer by itself: the others may take their time."""
_LOOK_SECONDS = 0.05
_MOST_SECONDS = 2_000_000_000
_READERS = 256
_REQUESTS = 8
"""Threads, of which those for requests are never held up by those that wait for a compile."""
_CACHED_BYTES = 32 << 20
MOST_HELD_BYTES, MOST_KEPT_BYTES = 256 * MIB, 512 * MIB
"""Of what is to be compiled, and of what came of it: a cluster's store has 2 GiB by default, and not for this alone."""
_MUCH_BYTES = MIB // 4
"""An answer that is worth a look at how much is kept."""
_PACKED = 3
"""By how much text gets smaller at least: what is submitted just now counts by that."""
_NOTE_CHARACTERS = 20_000
"""Of all notes of one source, which have to fit into what is known of it."""


class _About(NamedTuple):
    """What is to be known of a cell beside its job, as whoever tells its answer finds it."""

    cell: Cell
    total: int
    """Cells of its check."""
    about: checker.About | None
    """None where it needs no compile."""
    trace: str | None

    def dump(self) -> str:
        said: dict[str, Any] = {"cell": self.cell, "total": self.total, "trace": self.trace}
        if about := self.about:
            said["about"] = {**about._asdict(), "notes": _bounded(about.notes), "limits": about.limits._asdict()}
        return json.dumps(said, separators=(",", ":"))

    @classmethod
    def load(cls, text: str) -> _About:
        """Raises ValueError."""
        try:
            said = json.loads(text)
            about = said.get("about")
            if about is not None:
                about = checker.About(**{**about, "notes": tuple(about["notes"]), "limits": Limits(**about["limits"])})
            return cls(Cell(*said["cell"]), int(said["total"]), about, said["trace"])
        except (KeyError, TypeError, AttributeError, RecursionError) as error:
            raise ValueError(str(error)) from error


def _bounded(notes: Sequence[str]) -> list[str]:
    kept: list[str] = []
    left = _NOTE_CHARACTERS
    for note in notes:
        left -= len(note)
        if left < 0:
            return [*kept, f"and {len(notes) - len(kept)} more such notes"]
        kept.append(note)
    return kept


def next_up(waiting: Iterable[Queued], turns: Mapping[str, int], count: int, now: float) -> list[Queued]:
    """The `count` jobs that are next: interactive before batch, and within each the clients in turn.

    `turns` is how many each client has had lately. Every replica that sees the same finds the same.
    """
    lines: dict[tuple[bool, str], list[Queued]] = {}
    for each in waiting:
        is_behind = each.ticket.priority != INTERACTIVE and now - each.ticket.submitted < AGED_SECONDS
        lines.setdefault((is_behind, each.ticket.client), []).append(each)
    for line in lines.values():
        line.sort(key=_age, reverse=True)
    had = Counter(turns)
    chosen: list[Queued] = []
    while lines and len(chosen) < count:
        key = min(lines, key=lambda key: (key[0], had[key[1]], _age(lines[key][-1])))
        chosen.append(lines[key].pop())
        had[key[1]] += 1
        if not lines[key]:
            del lines[key]
    return chosen


def _age(queued: Queued) -> tuple[float, str, int]:
    return queued.ticket.submitted, queued.ticket.group, queued.ticket.number


class _Group:
    """One check, as far as it was heard of."""

    def __init__(self) -> None:
        self.cells: dict[int, Queued] = {}
        self.abouts: dict[int, _About] = {}
        self._order: list[int] = []
        """Of the answers that came later, by number, as they came."""

    def take(self, queued: Queued) -> None:
        number = queued.ticket.number
        if number not in self.abouts:
            self.abouts[number] = _about(queued)
        self.cells[number] = queued
        if queued.answer is not None and not _is_early(queued) and number not in self._order:
            self._order.append(number)

    @property
    def answered(self) -> list[Queued]:
        """Those with an answer, in the order in which they came, which is the same wherever they were heard of."""
        early = sorted(number for number, each in self.cells.items() if each.answer is not None and _is_early(each))
        return [self.cells[number] for number in (*early, *self._order) if number in self.cells]

    @property
    def total(self) -> int:
        return next((about.total for about in self.abouts.values()), 0)

    @property
    def is_whole(self) -> bool:
        return 0 < self.total <= len(self.cells)

    @property
    def cancelled(self) -> float | None:
        return min((each.cancelled for each in self.cells.values() if each.cancelled is not None), default=None)

    @property
    def status(self) -> str:
        if self.cancelled is not None:
            return "cancelled"
        if all(each.answer is not None for each in self.cells.values()):
            return "done"
        return "queued" if all(each.state == WAITING for each in self.cells.values()) else "running"

    @property
    def ended(self) -> float | None:
        """When its last compile did, to the second."""
        return max((each.ended for each in self.cells.values() if each.ended is not None), default=None)

    @property
    def is_over(self) -> bool:
        return self.is_whole and all(each.is_settled for each in self.cells.values())

    def check(self) -> Check:
        """Without what was sent."""
        first = next(iter(self.cells.values())).ticket
        nothing = Cell("", "", "", None)
        cells = tuple(self.abouts[number].cell if number in self.abouts else nothing for number in range(self.total))
        trace = next(iter(self.abouts.values())).trace
        return Check(first.group, first.client, first.priority, first.submitted, cells, Ask({}), trace=trace)


def _is_early(queued: Queued) -> bool:
    """Whether its answer is as old as its check."""
    return queued.answered == round(queued.ticket.submitted, 3)


def _about(queued: Queued) -> _About:
    try:
        return _About.load(queued.ticket.about)
    except ValueError:
        return _About(Cell("", "", "", None), queued.ticket.number + 1, None, None)


class _Answers:
    """The last that were told, as far as there is room."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, tuple[int, Told]] = OrderedDict()
        self._bytes = 0

    def get(self, job_id: str) -> Told | None:
        if (found := self._kept.get(job_id)) is None:
            return None
        self._kept.move_to_end(job_id)
        return found[1]

    def put(self, job_id: str, told: Told) -> None:
        self.drop(job_id)
        self._kept[job_id] = len(told.text), told
        self._bytes += len(told.text)
        while self._bytes > _CACHED_BYTES and len(self._kept) > 1:
            self.drop(next(iter(self._kept)))

    def drop(self, job_id: str) -> None:
        if found := self._kept.pop(job_id, None):
            self._bytes -= found[0]


class ClusterService:
    """A `Service`; see there. It belongs to one event loop."""

    def __init__(
        self,
        backend: QueueKeeper,
        available: Callable[[], Sequence[Toolchain]],
        *,
        limits: Limits,
        jobs: int,
        queue_size: int,
        keep: Kept,
        watcher: Watcher | None = None,
    ) -> None:
        """`available` is what the backend has; `limits` are those of a check that names none.

        `jobs` is how many may run at one time, 0 for what suits the backend.
        """
        self._name = backend.name
        self._queue: JobQueue = backend.queue()
        self._available = available
        self._limits = limits
        self._queue_size = queue_size
        self._keep = keep
        self._watcher = watcher or Nobody()
        self._statistics = Statistics(backend.workers(jobs), 0, 0)
        self._requests = ThreadPoolExecutor(_REQUESTS, thread_name_prefix="will-it-compile request")
        readers = min(_READERS, self._statistics.workers + _REQUESTS)
        self._readers = ThreadPoolExecutor(readers, thread_name_prefix="will-it-compile reader")
        self._groups: dict[str, _Group] = {}
        self._open: dict[str, Queued] = {}
        """All that is not settled."""
        self._recent: dict[str, tuple[float, str]] = {}
        """When what was started lately was, and for whom."""
        self._answers = _Answers()
        self._reserved: dict[str, str] = {}
        """Those that are on their way into the queue, and whose they are."""
        self._coming: dict[str, int] = {}
        """By check that is on its way, about how many bytes it will take."""
        self._starting: dict[str, str] = {}
        """Those that are about to run, and for whom."""
        self._own: set[str] = set()
        """What this replica took in, or has started."""
        self._chosen: dict[str, float] = {}
        """What others took in and is next, and since when, in time.monotonic's seconds."""
        self._reading: dict[str, CancelToken] = {}
        self._kept: set[str] = set()
        """Whose answers are kept, of which it has not heard yet."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._waiters: dict[str, set[asyncio.Future[None]]] = {}
        self._much = asyncio.Event()
        """Set where much has come to be kept."""
        self._looks = asyncio.Semaphore(_REQUESTS // 2)
        self._obstacle: str | None = None
        """Why what was to be changed last could not be."""
        self._is_due = False
        self._draining = False

    @property
    def is_draining(self) -> bool:
        return self._draining

    async def start(self) -> None:
        loop = asyncio.get_running_loop()

        def heard(news: Sequence[Queued], gone: Sequence[str]) -> None:
            try:
                loop.call_soon_threadsafe(self._hear, news, gone)
            except RuntimeError:  # the loop has ended
                pass

        # A cluster that is away now is no reason to end: `trouble` tells of it.
        await self._ask(self._queue.begin, heard, BEGIN_SECONDS)
        self._spawn(self._sweep())

    async def submit(self, check: Check) -> None:
        if self._draining:
            raise Draining
        settled = {number for number, _ in check.answers}
        waiting = [number for number in range(len(check.cells)) if number not in settled]
        room = self._room()
        now, later = waiting[:room], waiting[room:]
        size = sum(map(len, check.ask.files.values())) * len(waiting) // _PACKED
        self._refuse(check.client, len(later), size)
        # Nobody is between these lines: there is one loop.
        ids = [f"{check.id}-{number}" for number in now]
        reserved = [f"{check.id}-{number}" for number in later]
        self._reserved.update(dict.fromkeys(reserved, check.client))
        self._coming[check.id] = size
        self._starting.update(dict.fromkeys(ids, check.client))
        submitting = asyncio.ensure_future(self._submit(check, frozenset(now)))

        def done(task: asyncio.Future[None]) -> None:
            if not task.cancelled():
                task.exception()  # which whoever asked has been told, if he is there yet
            del self._coming[check.id]
            for each in reserved:
                del self._reserved[each]
            for each in ids:
                self._starting.pop(each, None)
            self._due()

        submitting.add_done_callback(done)
        # Whoever asked may go away meanwhile, and there are no halves.
        await asyncio.shield(submitting)

    def _refuse(self, client: str, count: int, size: int) -> None:
        """Raises QueueFull where there is no room for so many cells of a client, or so many bytes."""
        own = sum(each == client for each in self._reserved.values()) + sum(
            each.state == WAITING and each.ticket.client == client and each.id not in self._reserved
            for each in self._open.values()
        )
        free = self._queue_size - self._queued()
        # Of what is free he may have half, so that nobody takes all of it.
        share = max(1, (own + free) // 2)
        held = sum(self._coming.values()) + sum(each.size for each in self._open.values())
        if count and (count > free or own + count > share):
            raise QueueFull
        if held and held + size > MOST_HELD_BYTES:
            raise QueueFull

    async def find(self, check_id: str, skip: int = 0) -> Standing | None:
        group = self._groups.get(check_id)
        if group is None or not group.is_whole:
            await self._look(check_id)
            group = self._groups.get(check_id)
        return await self._standing(check_id, group, skip) if group is not None and group.is_whole else None

    async def wait(self, check_id: str, seen: int, seconds: float, skip: int = 0) -> Standing | None:
        deadline = time.monotonic() + seconds
        waiters = self._waiters.setdefault(check_id, set())
        try:
            while True:
                # Before it is looked at: what happens meanwhile counts.
                waiter = asyncio.get_running_loop().create_future()
                waiters.add(waiter)
                standing = await self.find(check_id, skip)
                left = deadline - time.monotonic()
                if standing is None or standing.is_over or standing.done > seen or left <= 0 or self._draining:
                    return standing
                await asyncio.wait([waiter], timeout=left)
                waiters.discard(waiter)
        finally:
            waiters.discard(waiter)
            if not waiters and self._waiters.get(check_id) is waiters:
                del self._waiters[check_id]

    async def cancel(self, check_id: str) -> Standing | None:
        standing = await self.find(check_id)
        if standing is None or standing.is_over:
            return standing
        await self._cancel(self._groups[check_id])
        return await self.find(check_id)

    def statistics(self) -> Statistics:
        return self._statistics._replace(active=self._active(), queued=self._queued())

    async def trouble(self) -> str | None:
        if self._draining:
            return "it is about to end"
        if failure := self._queue.failure() or self._obstacle:
            return failure
        return "its queue is full" if self._queued() >= self._queue_size else None

    async def close(self, grace: float) -> None:
        self._draining = True
        for check_id in list(self._waiters):
            self._wake(check_id)
        deadline = time.monotonic() + grace
        while self._reading and time.monotonic() < deadline:
            await asyncio.sleep(min(_LOOK_SECONDS, grace))
        for token in self._reading.values():
            token.cancel()
        await asyncio.to_thread(self._queue.close)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for threads in (self._requests, self._readers):
            await asyncio.to_thread(threads.shutdown)

    # ---- what is heard

    def _hear(self, news: Sequence[Queued], gone: Sequence[str]) -> None:
        now = time.time()
        # Those of a list come all at once.
        for queued in sorted(news, key=lambda each: each.answered or 0.0):
            self._take(queued, now)
        for job_id in gone:
            self._drop(job_id)
        for check_id in {each.ticket.group for each in news} | {_group_of(each) for each in gone}:
            self._wake(check_id)
        self._due()

    def _take(self, queued: Queued, now: float) -> None:
        ticket = queued.ticket
        self._groups.setdefault(ticket.group, _Group()).take(queued)
        if queued.state != WAITING and queued.cancelled is None and now - (queued.started or now) < RECENT_SECONDS:
            self._recent.setdefault(queued.id, (queued.started or now, ticket.client))
        if queued.is_settled:
            self._open.pop(queued.id, None)
            if queued.size > _MUCH_BYTES:
                self._much.set()
            if queued.cancelled is not None and queued.id in self._reading:
                self._reading[queued.id].cancel()
            self._own.discard(queued.id)
            self._kept.discard(queued.id)
            return
        self._open[queued.id] = queued
        if queued.state == RUNNING and queued.id in self._own:
            self._read_soon(queued.id)
        elif queued.state == ENDED:
            # Not all of them at the same time.
            wait = 0.0 if queued.id in self._own else _jittered(ORPHAN_SECONDS)
            asyncio.get_running_loop().call_later(wait, self._read_soon, queued.id)

    def _drop(self, job_id: str) -> None:
        check_id, _, number = job_id.rpartition("-")
        if (group := self._groups.get(check_id)) is not None:
            group.cells.pop(int(number), None)
            if not group.cells:
                del self._groups[check_id]
        self._open.pop(job_id, None)
        self._recent.pop(job_id, None)
        self._chosen.pop(job_id, None)
        self._own.discard(job_id)
        self._kept.discard(job_id)
        self._answers.drop(job_id)
        if token := self._reading.get(job_id):
            token.cancel()

    def _wake(self, check_id: str) -> None:
        for waiter in self._waiters.get(check_id, ()):
            if not waiter.done():
                waiter.set_result(None)

    # ---- what is next

    def _active(self) -> int:
        running = sum(each.state == RUNNING for each in self._open.values())
        return running + sum(not self._runs(job_id) for job_id in self._starting)

    def _runs(self, job_id: str) -> bool:
        known = self._open.get(job_id)
        return known is not None and known.state == RUNNING

    def _queued(self) -> int:
        waiting = sum(each.state == WAITING and each.id not in self._reserved for each in self._open.values())
        return len(self._reserved) + waiting

    def _room(self) -> int:
        """For how many there is, with nobody waiting before them."""
        if self._queue.starts_itself or self._queued():
            return 0
        return max(0, self._statistics.workers - self._active())

    def _due(self) -> None:
        if not self._is_due:
            self._is_due = True
            asyncio.get_running_loop().call_soon(self._dispatch)

    def _dispatch(self) -> None:
        """Start what is next, as far as there is room."""
        self._is_due = False
        room = self._statistics.workers - self._active()
        if room <= 0 or self._draining or self._queue.starts_itself:
            return
        waiting = [
            each
            for each in self._open.values()
            if each.state == WAITING and each.id not in self._starting and not self._is_cancelled(each)
        ]
        chosen = {}
        now = time.monotonic()
        for each in next_up(waiting, self._turns(), room, time.time()) if waiting else ():
            since = self._chosen.get(each.id, now)
            if each.id in self._own or now - since >= OTHERS_SECONDS:
                self._starting[each.id] = each.ticket.client
                self._spawn(self._start(each))
            else:
                chosen[each.id] = since
        self._chosen = chosen
        if chosen:
            wait = min(chosen.values()) + OTHERS_SECONDS - now
            asyncio.get_running_loop().call_later(max(0.01, wait), self._due)

    def _is_cancelled(self, queued: Queued) -> bool:
        return self._groups[queued.ticket.group].cancelled is not None

    def _turns(self) -> Counter[str]:
        """How many each client has had lately, or has now."""
        old = time.time() - RECENT_SECONDS
        self._recent = {job_id: had for job_id, had in self._recent.items() if had[0] > old or self._runs(job_id)}
        begun = {job_id: client for job_id, client in self._starting.items() if job_id not in self._recent}
        return Counter([*(client for _, client in self._recent.values()), *begun.values()])

    async def _start(self, queued: Queued) -> None:
        try:
            is_ours = await self._change(self._queue.start, queued)
        except WillItCompileError:
            asyncio.get_running_loop().call_later(AGAIN_SECONDS, self._due)
            return
        finally:
            del self._starting[queued.id]
            self._due()
        group = self._groups.get(queued.ticket.group)
        if is_ours and group is not None:
            self._own.add(queued.id)
            self._watcher.started(group.check(), queued.ticket.number, _since(queued.ticket.submitted))
            self._read_soon(queued.id)

    # ---- what is taken in

    async def _submit(self, check: Check, at_once: frozenset[int]) -> None:
        """Raises NoAnswer; then nothing of it stays there, as far as that can be had."""
        prepared = await self._ask(self._prepare, check)
        keep_seconds = min(int(self._keep.seconds) + (EXTRA_KEPT_SECONDS if len(prepared) > 1 else 0), _MOST_SECONDS)
        self._own.update(cell.ticket.id for cell in prepared)

        async def put(cell: _Prepared) -> None:
            if cell.job is None:
                text = _dump(tell(cell.ticket.number, cell.told or {}, len(prepared)))
                await self._ask(partial(self._queue.settle, cell.ticket, text, keep_seconds=keep_seconds))
                return
            start = cell.ticket.number in at_once
            ask = partial(self._queue.submit, cell.ticket, cell.job, start=start, keep_seconds=keep_seconds)
            await self._ask(ask)

        # The first one comes last: where it is there, all are.
        first, *others = prepared
        errors = [each for each in await asyncio.gather(*map(put, others), return_exceptions=True) if each]
        if not errors:
            errors = [each for each in await asyncio.gather(put(first), return_exceptions=True) if each]
        if errors:
            self._spawn(self._undo(prepared))
            raise errors[0]
        for cell in prepared:
            if cell.told is not None:
                self._count(check, cell.ticket.number, cell.told, 0.0)
            elif cell.ticket.number in at_once:
                self._watcher.started(check, cell.ticket.number, _since(check.submitted))

    def _prepare(self, check: Check) -> list[_Prepared]:
        """In a thread. Each cell with its job, or its answer."""
        request, available = check.ask.request(), self._available()
        limits = self._limits._replace(**check.ask.limits)  # type: ignore[arg-type] # as it was judged
        settled = dict(check.answers)
        found = []
        for number, cell in enumerate(check.cells):
            job, about, told = None, None, settled.get(number)
            if told is None:
                try:
                    job, about = checker.prepare(planned(cell, available), request, limits)
                except WillItCompileError as error:
                    told = no_answer(cell, error)
            known = _About(cell, len(check.cells), about, check.trace).dump()
            ticket = Ticket(check.id, number, check.client, check.priority, check.submitted, known)
            found.append(_Prepared(ticket, job, told))
        return found

    async def _undo(self, prepared: Sequence[_Prepared]) -> None:
        there = [self._open.get(cell.ticket.id) for cell in prepared]
        forgets = [self._ask(self._queue.forget, each) for each in there if each is not None]
        await asyncio.gather(*forgets, return_exceptions=True)
        self._own.difference_update(cell.ticket.id for cell in prepared)

    # ---- what comes of it

    def _read_soon(self, job_id: str) -> None:
        queued = self._open.get(job_id)
        if (
            queued is None
            or queued.state == WAITING
            or job_id in self._reading
            or job_id in self._kept
            or self._draining
        ):
            return
        self._reading[job_id] = token = CancelToken()
        self._spawn(self._read(queued, token))

    async def _read(self, queued: Queued, token: CancelToken) -> None:
        """See that what comes of one is kept."""
        began = time.monotonic()
        try:
            read = await asyncio.get_running_loop().run_in_executor(self._readers, self._told, queued, token)
            while read is not None and not token.cancelled:
                told, text = read
                try:
                    is_ours = await self._change(self._queue.keep, queued, text)
                except NoAnswer:
                    await asyncio.sleep(AGAIN_SECONDS)
                    continue
                group = self._groups.get(queued.ticket.group)
                if queued.id in self._open:
                    self._kept.add(queued.id)
                if is_ours and group is not None:
                    self._count(group.check(), queued.ticket.number, told, time.monotonic() - began)
                return
        except Interrupted:
            pass
        finally:
            del self._reading[queued.id]

    def _told(self, queued: Queued, token: CancelToken) -> tuple[Answer, str] | None:
        """In a thread: the answer of one that was started, also as it is kept; None where that is wanted no longer."""
        known = _about(queued)
        told = self._answer(known, queued, token)
        return None if told is None else (told, _dump(tell(queued.ticket.number, told, known.total)))

    def _answer(self, known: _About, queued: Queued, token: CancelToken) -> Answer | None:
        try:
            result = self._queue.result(queued, token)
            if known.about is None:
                raise BackendFailed("tell what came of it", "nothing says what was asked", "send it again")
            return answer(checker.judge(known.about, result, self._name))
        except Interrupted:
            return None
        except WillItCompileError as error:
            return no_answer(known.cell, error)
        except Exception as error:  # noqa: BLE001 - whoever sent it is to hear of it, and the others theirs
            broken = BackendFailed(f"compile {known.cell.source}", f"{type(error).__name__}: {error}", "tell us of it")
            return no_answer(known.cell, broken)

    def _count(self, check: Check, number: int, told: Answer, seconds: float) -> None:
        self._statistics = count(self._statistics, told)
        self._watcher.answered(check, number, told, seconds)

    # ---- what is told

    async def _look(self, check_id: str) -> None:
        """For what was not heard of, as where another replica took it in a moment ago. Raises NoAnswer."""
        # Not all threads at the same time are for those who guess.
        async with self._looks:
            if not await self._ask(self._queue.look, check_id, 0):
                return
            group = self._groups.get(check_id)
            missing = [number for number in range(group.total if group else 0) if group and number not in group.cells]
            for number in missing:
                if not await self._ask(self._queue.look, check_id, number):
                    return

    async def _standing(self, check_id: str, group: _Group, skip: int) -> Standing:
        """Raises NoAnswer."""
        # All of it as it is in this moment.
        status, answered, since, first = group.status, group.answered, group.cancelled, group.cells[0].ticket
        cells = tuple(group.abouts[number].cell for number in range(group.total))
        if status == "done":
            since = max((each.answered for each in answered if each.answered is not None), default=None)
        wanted = answered[skip:]
        told = {each.id: kept for each in wanted if (kept := self._answers.get(each.id)) is not None}
        if unknown := [each for each in wanted if each.id not in told]:
            texts = await self._ask(lambda: [self._queue.answer(each) for each in unknown])
            for each, text in zip(unknown, texts, strict=True):
                told[each.id] = _load(text, each.ticket.number, cells)
                self._answers.put(each.id, told[each.id])
        answers = {each.ticket.number: told[each.id] for each in wanted}
        return Standing(check_id, first.submitted, cells, status, answers, len(answered), since)

    async def _cancel(self, group: _Group) -> None:
        """Raises NoAnswer."""
        left = [each for each in group.cells.values() if not each.is_settled]
        done = await asyncio.gather(*(self._ask(self._queue.cancel, each) for each in left), return_exceptions=True)
        for each in done:
            if isinstance(each, BaseException):
                raise each

    async def _sweep(self) -> None:
        """Delete what is over and kept no longer, and finish what a replica could not that has ended."""
        while True:
            # Not all replicas at once.
            await asyncio.wait([swept := asyncio.ensure_future(self._much.wait())], timeout=_jittered(SWEEP_SECONDS))
            swept.cancel()
            self._much.clear()
            over = [group for group in self._groups.values() if group.is_over]
            over.sort(key=lambda group: group.ended or 0.0, reverse=True)
            old = time.time() - self._keep.seconds
            most = min(self._keep.bytes, MOST_KEPT_BYTES)
            sizes = accumulate(sum(each.size for each in group.cells.values()) for group in over)
            stale = [
                group
                for place, (group, size) in enumerate(zip(over, sizes, strict=True))
                if place >= self._keep.checks or size > most or (group.ended is not None and group.ended < old)
            ]
            half = [each for each in self._groups.values() if each.cancelled is not None and not each.is_over]
            for group in stale:
                for queued in list(group.cells.values()):
                    await self._try(self._ask(self._queue.forget, queued))
            for group in half:
                await self._try(self._cancel(group))

    async def _try(self, what: Awaitable[object]) -> None:
        try:
            await what
        except WillItCompileError:
            pass

    # ---- threads and tasks

    async def _change(self, what: Callable[..., T], *arguments: Any) -> T:
        """As `_ask`, of what is not done for somebody who would be told."""
        try:
            changed = await self._ask(what, *arguments)
        except NoAnswer as error:
            self._obstacle = error.obstacle
            raise
        self._obstacle = None
        return changed

    async def _ask(self, what: Callable[..., T], *arguments: Any) -> T:
        """In a thread. Raises what that does, and NoAnswer at the end."""
        ending = BackendFailed("ask the cluster", "the service is about to end", "ask again")
        try:
            asked = asyncio.get_running_loop().run_in_executor(self._requests, what, *arguments)
        except RuntimeError:  # the threads have ended
            raise ending from None
        try:
            return await asked
        except Interrupted:
            raise ending from None

    def _spawn(self, what: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(what)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


class _Prepared(NamedTuple):
    """A cell on its way: with its job, or its answer."""

    ticket: Ticket
    job: CompileJob | None
    told: Answer | None


def _group_of(job_id: str) -> str:
    return job_id.rpartition("-")[0]


def _jittered(seconds: float) -> float:
    return seconds * random.uniform(1, 2)  # noqa: S311 - nobody is to guess it


def _since(then: float) -> float:
    return max(0.0, time.time() - then)


def _dump(told: Told) -> str:
    """As it is kept: JSON begins with a brace."""
    return f"{told.verdict} {told.text}"


def _load(text: str | None, number: int, cells: Sequence[Cell]) -> Told:
    verdict, _, rest = (text or "").partition(" ")
    if rest:
        return Told(verdict, rest)
    asked = f"tell the answer of {cells[number].source}"
    gone = BackendFailed(asked, "it is kept no longer", "send the check again")
    return tell(number, no_answer(cells[number], gone), len(cells))
