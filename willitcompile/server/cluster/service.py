"""A service without a memory of its own: what it is asked is done by the queue, and what it tells is what it hears."""

from __future__ import annotations

import asyncio
import random
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from willitcompile import checker
from willitcompile.backends import CancelToken
from willitcompile.backends.queued import ENDED, RUNNING, WAITING, Queued
from willitcompile.errors import BackendFailed, Interrupted, NoAnswer, WillItCompileError
from willitcompile.model import MIB
from willitcompile.server.checks import (
    Answer,
    Check,
    Draining,
    Nobody,
    Standing,
    Statistics,
    answer,
    count,
    no_answer,
    tell,
)
from willitcompile.server.cluster.intake import Prepared, prepare
from willitcompile.server.cluster.known import About, Group, about_of
from willitcompile.server.cluster.seen import MOST_HELD_BYTES, Seen
from willitcompile.server.cluster.told import Answers, dump, load

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Sequence

    from willitcompile.backends.queued import JobQueue, QueueKeeper
    from willitcompile.model import Limits, Toolchain
    from willitcompile.server.checks import Kept, Watcher

T = TypeVar("T")

BEGIN_SECONDS = 10.0
"""How long the start waits to hear what there is."""
ORPHAN_SECONDS = 2.0
"""How long whoever started a compile is left to tell what came of it; up to twice that."""
AGAIN_SECONDS = 1.0
SWEEP_SECONDS = 30.0
EXTRA_KEPT_SECONDS = 86_400
"""A cell of a check with many is kept longer by itself: the others may take their time."""
OBSTACLE_SECONDS = 10.0
"""How long a change that failed is an obstacle: it is tried again sooner, if anybody still wants it."""
_LOOK_SECONDS = 0.05
_MOST_SECONDS = 2_000_000_000
_READERS = 256
_REQUESTS = 8
"""Threads, of which those for requests are never held up by those that wait for a compile."""
_MUCH_BYTES = MIB // 4
"""An answer that is worth a look at how much is kept."""
_LITTLE_BYTES = MIB
"""Of what is submitted, which is not worth a look at how small it gets."""


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
        self._seen = Seen(self._statistics.workers, queue_size)
        self._answers = Answers()
        self._reading: dict[str, CancelToken] = {}
        self._kept: set[str] = set()
        """Whose answers are kept, of which it has not heard yet."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._waiters: dict[str, set[asyncio.Future[None]]] = {}
        self._much = asyncio.Event()
        """Set where much has come to be kept."""
        self._looks = asyncio.Semaphore(_REQUESTS // 2)
        self._obstacle: tuple[str, float] | None = None
        """Why what was to be changed last could not be, and when, in time.monotonic's seconds."""
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
        settled = {number for number, _ in check.answers}
        waiting = [number for number in range(len(check.cells)) if number not in settled]
        size = await self._size(check, len(waiting))
        if self._draining:
            raise Draining
        room = 0 if self._queue.starts_itself else self._seen.room()
        now, later = waiting[:room], waiting[room:]
        self._seen.refuse(check.client, len(later), size)
        # Nobody is between these lines: there is one loop.
        ids = [f"{check.id}-{number}" for number in now]
        reserved = [f"{check.id}-{number}" for number in later]
        self._seen.reserved.update(dict.fromkeys(reserved, check.client))
        self._seen.coming[check.id], self._seen.comers[check.id] = size, check.client
        self._seen.starting.update(dict.fromkeys(ids, check.client))
        submitting = asyncio.ensure_future(self._submit(check, frozenset(now)))

        def done(task: asyncio.Future[None]) -> None:
            if not task.cancelled():
                task.exception()  # which whoever asked has been told, if he is there yet
            del self._seen.coming[check.id], self._seen.comers[check.id]
            for each in reserved:
                del self._seen.reserved[each]
            for each in ids:
                self._seen.starting.pop(each, None)
            self._due()

        submitting.add_done_callback(done)
        # Whoever asked may go away meanwhile, and there are no halves.
        await asyncio.shield(submitting)

    async def find(self, check_id: str, skip: int = 0) -> Standing | None:
        group = self._seen.groups.get(check_id)
        if group is None or not group.is_whole:
            await self._look(check_id)
            group = self._seen.groups.get(check_id)
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
        if group := self._seen.groups.get(check_id):
            await self._cancel(group)
        return await self.find(check_id)

    def statistics(self) -> Statistics:
        return self._statistics._replace(active=self._seen.active(), queued=self._seen.queued())

    async def trouble(self) -> str | None:
        if self._draining:
            return "it is about to end"
        if failure := self._queue.failure():
            return failure
        if self._obstacle is not None and time.monotonic() - self._obstacle[1] < OBSTACLE_SECONDS:
            return self._obstacle[0]
        return "its queue is full" if self._seen.queued() >= self._queue_size else None

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
        is_own = queued.id in self._seen.own
        self._seen.take(queued, now)
        if queued.is_settled:
            if queued.size > _MUCH_BYTES:
                self._much.set()
            if queued.cancelled is not None and queued.id in self._reading:
                self._reading[queued.id].cancel()
            self._kept.discard(queued.id)
        elif queued.state == RUNNING and is_own:
            self._read_soon(queued.id)
        elif queued.state == ENDED:
            # Not all replicas at the same time.
            wait = 0.0 if is_own else _jittered(ORPHAN_SECONDS)
            asyncio.get_running_loop().call_later(wait, self._read_soon, queued.id)

    def _drop(self, job_id: str) -> None:
        self._seen.drop(job_id)
        self._kept.discard(job_id)
        self._answers.drop(job_id)
        if token := self._reading.get(job_id):
            token.cancel()

    def _wake(self, check_id: str) -> None:
        for waiter in self._waiters.get(check_id, ()):
            if not waiter.done():
                waiter.set_result(None)

    # ---- what is next

    def _due(self) -> None:
        if not self._is_due:
            self._is_due = True
            asyncio.get_running_loop().call_soon(self._dispatch)

    def _dispatch(self) -> None:
        """Start what is next, as far as there is room."""
        self._is_due = False
        if self._draining or self._queue.starts_itself:
            return
        found, seconds = self._seen.choose()
        for each in found:
            self._seen.starting[each.id] = each.ticket.client
            self._spawn(self._start(each))
        if seconds is not None:
            asyncio.get_running_loop().call_later(seconds, self._due)

    async def _start(self, queued: Queued) -> None:
        try:
            is_ours = await self._change(self._queue.start, queued)
        except WillItCompileError:
            await asyncio.sleep(AGAIN_SECONDS)
            return
        finally:
            del self._seen.starting[queued.id]
            self._due()
        group = self._seen.groups.get(queued.ticket.group)
        if is_ours and group is not None:
            self._seen.own.add(queued.id)
            self._watcher.started(group.check(), queued.ticket.number, _since(queued.ticket.submitted))
            self._read_soon(queued.id)

    # ---- what is taken in

    async def _size(self, check: Check, compiles: int) -> int:
        """How many bytes it takes of the store, at most. Raises NoAnswer for what there never is room for."""
        size = sum(map(len, check.ask.files.values())) * compiles
        if size > _LITTLE_BYTES:
            size = compiles * await self._ask(_packed, list(check.ask.files.values()))
        if size > (most := MOST_HELD_BYTES // 2):
            obstacle = f"each compile has all files with it, {size // MIB} MiB together, more than {most // MIB}"
            raise BackendFailed("take in the check", obstacle, "send it in parts")
        return size

    async def _submit(self, check: Check, at_once: frozenset[int]) -> None:
        """Raises NoAnswer; then nothing of it stays there, as far as that can be had."""
        prepared = await self._ask(prepare, check, self._available(), self._limits)
        keep_seconds = min(int(self._keep.seconds) + (EXTRA_KEPT_SECONDS if len(prepared) > 1 else 0), _MOST_SECONDS)
        self._seen.own.update(cell.ticket.id for cell in prepared)

        async def put(cell: Prepared) -> None:
            if cell.job is None:
                text = dump(tell(cell.ticket.number, cell.told or {}, len(prepared)))
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
            self._spawn(self._undo(check.id, prepared))
            raise errors[0]
        for cell in prepared:
            if cell.told is not None:
                self._count(check, cell.ticket.number, cell.told, 0.0)
            elif cell.ticket.number in at_once:
                self._watcher.started(check, cell.ticket.number, _since(check.submitted))

    async def _undo(self, check_id: str, prepared: Sequence[Prepared]) -> None:
        group = self._seen.groups.get(check_id)
        forgets = [self._ask(self._queue.forget, each) for each in (group.cells.values() if group else ())]
        await asyncio.gather(*forgets, return_exceptions=True)
        self._seen.own.difference_update(cell.ticket.id for cell in prepared)

    # ---- what comes of it

    def _read_soon(self, job_id: str) -> None:
        queued = self._seen.open.get(job_id)
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
                group = self._seen.groups.get(queued.ticket.group)
                if queued.id in self._seen.open:
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
        known = about_of(queued)
        told = self._answer(known, queued, token)
        return None if told is None else (told, dump(tell(queued.ticket.number, told, known.total)))

    def _answer(self, known: About, queued: Queued, token: CancelToken) -> Answer | None:
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
            group = self._seen.groups.get(check_id)
            missing = [number for number in range(group.total if group else 0) if group and number not in group.cells]
            for number in missing:
                if not await self._ask(self._queue.look, check_id, number):
                    return

    async def _standing(self, check_id: str, group: Group, skip: int) -> Standing:
        """Raises NoAnswer."""
        # All of it as it is in this moment.
        status, answered, since, first = group.status, group.answered, group.cancelled, group.cells[0].ticket
        cells = tuple(group.abouts[number].cell for number in range(group.total))
        if status == "done":
            since = max((each.answered for each in answered if each.answered is not None), default=None)
        wanted = answered[skip:]
        told = {each.id: kept for each in wanted if (kept := self._answers.get(each.id)) is not None}
        if unknown := [each for each in wanted if each.id not in told]:
            loaded = await self._ask(
                lambda: [load(self._queue.answer(each), each.ticket.number, cells) for each in unknown]
            )
            told |= {each.id: found for each, found in zip(unknown, loaded, strict=True)}
            for each in unknown:
                self._answers.put(each.id, told[each.id])
        answers = {each.ticket.number: told[each.id] for each in wanted}
        return Standing(check_id, first.submitted, cells, status, answers, len(answered), since)

    async def _cancel(self, group: Group) -> None:
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
            try:
                await asyncio.wait_for(self._much.wait(), _jittered(SWEEP_SECONDS))
            except TimeoutError:
                pass
            self._much.clear()
            half = [each for each in self._seen.groups.values() if each.cancelled is not None and not each.is_over]
            for group in self._seen.stale(self._keep, time.time()):
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
            self._obstacle = error.obstacle, time.monotonic()
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


def _packed(files: Sequence[bytes]) -> int:
    packing = zlib.compressobj(1)
    return sum(len(packing.compress(each)) for each in files) + len(packing.flush())


def _group_of(job_id: str) -> str:
    return job_id.rpartition("-")[0]


def _jittered(seconds: float) -> float:
    return seconds * random.uniform(1, 2)  # noqa: S311 - nobody is to guess it


def _since(then: float) -> float:
    return max(0.0, time.time() - then)
