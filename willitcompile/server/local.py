"""Checks that this process compiles itself: a queue in memory, what it holds on disk, and a thread for each compile."""

from __future__ import annotations

import asyncio
import itertools
import logging
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from willitcompile import checker
from willitcompile.backends import CancelToken
from willitcompile.errors import BackendFailed, Interrupted, NoAnswer, WillItCompileError
from willitcompile.files import sized
from willitcompile.model import GIB, MIB
from willitcompile.server import logs
from willitcompile.server.checks import (
    Draining,
    Nobody,
    QueueFull,
    Statistics,
    answer,
    count,
    may_wait,
    no_answer,
    planned,
    tell,
)
from willitcompile.server.queue import FairQueue

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from concurrent.futures import Future

    from willitcompile.backends import Backend
    from willitcompile.model import Limits, Toolchain
    from willitcompile.server.checks import Answer, Check, Kept, Standing, Watcher
    from willitcompile.server.store import Store

_AGAIN_SECONDS = 1.0
"""After what could not be written, as to a full disk."""
UNKEPT = 3
"""Tasks for each worker, of which but one may have an answer that is not kept yet."""
_TOLD_EACH = 60
"""Of so many attempts one is told of."""
RESERVED_BYTES = 16 * MIB
"""That checks leave of the disk, for answers."""
_SWEEP_SECONDS, _SWEEP_ANSWERS = 10.0, 200
"""After which what is kept no longer is dropped, whichever comes first."""
MOST_HELD_BYTES = GIB
"""Of the files of all checks that are not over."""
CANCEL_SECONDS = 20.0
"""How long compiles that were told to stop are waited for."""


class _Item(NamedTuple):
    """A cell that waits."""

    check_id: str
    number: int
    since: float
    """Seconds since 1970."""


class LocalService:
    """A `Service`; see there. It belongs to one event loop."""

    def __init__(
        self,
        backend: Backend,
        store: Store,
        available: Callable[[], Sequence[Toolchain]],
        *,
        limits: Limits,
        workers: int,
        queue_size: int,
        keep: Kept,
        watcher: Watcher | None = None,
    ) -> None:
        """`available` is what the backend has; `limits` are those of a check that names none."""
        self._backend = backend
        self._store = store
        self._available = available
        self._limits = limits
        self._queue_size = queue_size
        self._keep = keep
        self._watcher = watcher or Nobody()
        self._queue: FairQueue[_Item] = FairQueue()
        self._held: dict[str, tuple[int, int]] = {}
        """By check that is not over, the bytes of its files, and how many answers it lacks."""
        self._reserved = 0
        """Cells that are being written."""
        self._threads = ThreadPoolExecutor(workers, thread_name_prefix="will-it-compile worker")
        self._running: dict[str, tuple[CancelToken, int]] = {}
        """By check, what stops its compiles, and how many there are."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._compiling = 0
        """Of the tasks, those that are not yet keeping their answer."""
        self._waiters: dict[str, set[asyncio.Future[None]]] = {}
        self._statistics = Statistics(workers, 0, 0)
        self._unkept: str | None = None
        """Why the last answer could not be kept."""
        self._draining = False
        self._answered = 0
        self._swept = asyncio.Event()
        """It is time to sweep."""
        self._sweeper: asyncio.Task[None] | None = None

    @property
    def is_draining(self) -> bool:
        return self._draining

    async def start(self) -> None:
        for left in self._store.unfinished():
            self._held[left.id] = (left.size, len(left.numbers))
            for number in left.numbers:
                self._queue.put(_Item(left.id, number, left.submitted), left.client, left.priority)
        self._sweeper = asyncio.create_task(self._sweep())
        self._fill()

    async def submit(self, check: Check) -> None:
        if self._draining:
            raise Draining
        size = sum(map(len, check.ask.files.values()))
        settled = {number for number, _ in check.answers}
        waiting = [number for number in range(len(check.cells)) if number not in settled]
        self._refuse(check.client, len(waiting), size)
        if obstacle := self._no_room(size):
            raise BackendFailed("keep a check", obstacle, f"make room in {self._store.directory}")
        self._reserved += len(waiting)
        self._held[check.id] = (size, len(waiting))
        try:
            await self._written(self._store.add(check))
        except BaseException:
            del self._held[check.id]
            raise
        finally:
            self._reserved -= len(waiting)
        if not waiting:
            del self._held[check.id]
        for _, told in check.answers:
            self._statistics = count(self._statistics, told)
        for number in waiting:
            self._queue.put(_Item(check.id, number, check.submitted), check.client, check.priority)
        self._fill()

    async def find(self, check_id: str, skip: int = 0) -> Standing | None:
        with _reading():
            return self._store.find(check_id, skip, running=check_id in self._running)

    async def wait(self, check_id: str, seen: int, seconds: float, skip: int = 0) -> Standing | None:
        deadline = time.monotonic() + seconds
        while True:
            with _reading():
                done, is_over = self._store.progress(check_id) or (0, True)
            left = deadline - time.monotonic()
            if is_over or done > seen or left <= 0 or self._draining:
                return await self.find(check_id, skip)
            # Nothing has happened since it was looked at: both are of this loop, which was not left meanwhile.
            waiter = asyncio.get_running_loop().create_future()
            self._waiters.setdefault(check_id, set()).add(waiter)
            try:
                await asyncio.wait([waiter], timeout=left)
            finally:
                waiters = self._waiters.get(check_id, set())
                waiters.discard(waiter)
                if not waiters:
                    self._waiters.pop(check_id, None)

    async def cancel(self, check_id: str) -> Standing | None:
        await self._written(self._store.cancel(check_id))
        self._queue.remove(lambda item: item.check_id == check_id)
        self._held.pop(check_id, None)
        if running := self._running.get(check_id):
            running[0].cancel()
        self._wake(check_id)
        return await self.find(check_id)

    def statistics(self) -> Statistics:
        active = min(len(self._tasks), self._statistics.workers)
        return self._statistics._replace(active=active, queued=len(self._queue))

    async def trouble(self) -> str | None:
        if self._draining:
            return "it is about to end"
        if len(self._queue) + self._reserved >= self._queue_size:
            return "its queue is full"
        return self._unkept or self._no_room(0)

    async def close(self, grace: float) -> None:
        self._draining = True
        for check_id in list(self._waiters):
            self._wake(check_id)
        if self._sweeper:
            self._sweeper.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=grace)
        for token, _ in self._running.values():
            token.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=CANCEL_SECONDS)
        await asyncio.to_thread(self._threads.shutdown)
        await asyncio.to_thread(self._store.close)

    async def _written(self, future: Future[None]) -> None:
        try:
            await asyncio.wrap_future(future)
        except sqlite3.Error as error:
            raise _lost("keep a check", error) from error

    def _refuse(self, client: str, count: int, size: int) -> None:
        """Raises QueueFull where there is no room for so many cells of a client, or so many bytes."""
        free = self._queue_size - len(self._queue) - self._reserved
        held = sum(held for held, _ in self._held.values())
        if not may_wait(count, self._queue.of(client), free) or held + size > MOST_HELD_BYTES:
            raise QueueFull

    def _no_room(self, size: int) -> str | None:
        """Why so many bytes more are not to be taken: the answers of those that were need some room too."""
        try:
            room = self._store.room()
        except OSError as error:
            return (error.strerror or str(error)).lower()
        return None if room >= RESERVED_BYTES + size else f"its disk is nearly full: {sized(room)} are left"

    def _fill(self) -> None:
        """Start what waits, as far as there is room."""
        workers = self._statistics.workers
        while (
            not self._draining
            and self._compiling < workers
            and len(self._tasks) < UNKEPT * workers
            and len(self._queue)
        ):
            item = self._queue.take()
            self._compiling += 1
            token, running = self._running.get(item.check_id, (None, 0))
            self._running[item.check_id] = (token or CancelToken(), running + 1)
            task = asyncio.create_task(self._run(item))
            self._tasks.add(task)
            task.add_done_callback(lambda done, item=item: self._ended(done, item))  # type: ignore[misc]

    def _ended(self, task: asyncio.Task[None], item: _Item) -> None:
        self._tasks.discard(task)
        token, running = self._running.pop(item.check_id)
        if running > 1:
            self._running[item.check_id] = (token, running - 1)
        self._wake(item.check_id)
        self._fill()

    async def _run(self, item: _Item) -> None:
        """Compile one cell, and see that its answer is kept. Never raises."""
        token = self._running[item.check_id][0]
        started = time.monotonic()
        try:
            ran = await self._compiled(item, token)
        finally:
            # The next one need not wait until this one's answer is on the disk.
            self._compiling -= 1
            self._fill()
        if ran is not None:
            await self._kept(item, *ran, token, time.monotonic() - started)

    async def _compiled(self, item: _Item, token: CancelToken) -> tuple[Check, Answer] | None:
        """As `_compile` has it, which is tried again where the check cannot be read."""
        loop = asyncio.get_running_loop()
        for attempt in itertools.count():
            try:
                return await loop.run_in_executor(self._threads, self._compile, item, token)
            except sqlite3.Error as error:
                if attempt % _TOLD_EACH == 0:
                    logs.say("a check cannot be read, and waits", logging.ERROR, fields={"error": str(error)})
                if self._draining:
                    break
                await asyncio.sleep(_AGAIN_SECONDS)
        return None

    async def _kept(self, item: _Item, check: Check, told: Answer, token: CancelToken, seconds: float) -> None:
        """Keep an answer, however long that takes: so many of them, and nothing more is begun.

        At the end of the service it is left to whoever comes next, who compiles it again.
        """
        text = tell(item.number, told, len(check.cells))
        for attempt in itertools.count():
            try:
                await self._written(self._store.answer(item.check_id, item.number, text))
            except NoAnswer as error:
                self._unkept = f"an answer cannot be kept: {error.obstacle}"
                if attempt % _TOLD_EACH == 0:
                    about = {"job": item.check_id, "number": item.number, "error": error.obstacle}
                    logs.say("an answer cannot be kept, and waits", logging.ERROR, fields=about)
                if self._draining or token.cancelled:
                    return
                await asyncio.sleep(_AGAIN_SECONDS)
            else:
                break
        self._unkept = None
        self._statistics = count(self._statistics, told)
        if held := self._held.pop(item.check_id, None):
            self._held.update({item.check_id: (held[0], held[1] - 1)} if held[1] > 1 else {})
        self._watcher.answered(check, item.number, told, seconds)
        self._answered += 1
        if self._answered % _SWEEP_ANSWERS == 0:
            self._swept.set()

    def _compile(self, item: _Item, token: CancelToken) -> tuple[Check, Answer] | None:
        """In a thread: the check and the cell's answer; None where that is wanted no longer. Raises sqlite3.Error."""
        check = self._store.load(item.check_id)
        if check is None or token.cancelled:
            return None
        self._watcher.started(check, item.number, max(0.0, time.time() - item.since))
        cell = check.cells[item.number]
        try:
            limits = self._limits._replace(**check.ask.limits)  # type: ignore[arg-type]
            job, about = checker.prepare(planned(cell, self._available()), check.ask.request(), limits)
            result = self._backend.compile(job, token)
            return check, answer(checker.judge(about, result, self._backend.name))
        except Interrupted:
            return None
        except WillItCompileError as error:
            return check, no_answer(cell, error)
        except Exception as error:  # noqa: BLE001 - whoever sent it is to hear of it, and the others theirs
            broken = BackendFailed(f"compile {cell.source}", f"{type(error).__name__}: {error}", "tell us of it")
            return check, no_answer(cell, broken)

    def _wake(self, check_id: str) -> None:
        for waiter in self._waiters.get(check_id, ()):
            if not waiter.done():
                waiter.set_result(None)

    async def _sweep(self) -> None:
        while True:
            try:
                await self._written(
                    self._store.forget(time.time() - self._keep.seconds, self._keep.checks, self._keep.bytes)
                )
            except NoAnswer:
                pass
            self._swept.clear()
            try:
                await asyncio.wait_for(self._swept.wait(), min(_SWEEP_SECONDS, self._keep.seconds))
            except TimeoutError:
                pass


@contextmanager
def _reading() -> Iterator[None]:
    """Raises NoAnswer."""
    try:
        yield
    except sqlite3.Error as error:
        raise _lost("read a check", error) from error


def _lost(asked: str, error: sqlite3.Error) -> NoAnswer:
    return BackendFailed(asked, str(error), "look at the disk of the service's state directory, and send it again")
