"""What cannot well be seen through HTTP: see tests/serve for all else."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

import pytest

from willitcompile.backends.fake import TOOLCHAINS, FakeBackend
from willitcompile.errors import NoAnswer
from willitcompile.model import Limits
from willitcompile.server.checks import BATCH, INTERACTIVE, Ask, Cell, Check, Draining, Kept, QueueFull
from willitcompile.server.desk import new_id
from willitcompile.server.local import RESERVED_BYTES, LocalService
from willitcompile.server.store import Store

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from willitcompile.server.checks import Told

HANG = b"// fake: hang\n"


def check(source: bytes = b"", client: str = "me", priority: str = INTERACTIVE, cells: int = 1) -> Check:
    cell = Cell("main.c", "c", "gcc-13", None)
    ask = Ask({"main.c": source}, ("main.c",), "c")
    return Check(new_id(), client, priority, time.time(), (cell,) * cells, ask)


def serving(
    directory: Path,
    act: Callable[[LocalService, FakeBackend], Awaitable[None]],
    store: type[Store] = Store,
    **more: Any,
) -> None:
    """Run something with a service of one worker."""
    options = {"limits": Limits(), "workers": 1, "queue_size": 100, "keep": Kept(60, 100, 1 << 20), **more}

    async def run() -> None:
        with FakeBackend() as backend:
            service = LocalService(backend, store(str(directory)), lambda: TOOLCHAINS, **options)
            await service.start()
            try:
                await act(service, backend)
            finally:
                await service.close(0)

    asyncio.run(run())


def test_one_client_gets_half_of_what_is_free_and_another_one_half_of_the_rest(tmp_path: Path) -> None:
    async def act(service: LocalService, backend: FakeBackend) -> None:
        await service.submit(check(HANG, "busy"))
        await asyncio.to_thread(backend.wait_running, 1)
        await service.submit(check(HANG, "greedy", BATCH, cells=5))
        with pytest.raises(QueueFull):
            await service.submit(check(HANG, "greedy"))
        await service.submit(check(HANG, "modest", cells=2))
        with pytest.raises(QueueFull):
            await service.submit(check(HANG, "modest", cells=2))
        assert service.statistics().queued == 7
        # What was wrong from the start needs no place, and is told.
        wrong = check(client="greedy")._replace(answers=((0, {"error": "x"}),))
        await service.submit(wrong)
        standing = await service.find(wrong.id)
        assert standing is not None
        assert standing.status == "done"

    serving(tmp_path, act, queue_size=10)


class Crowded(Store):
    """On a disk that is nearly full."""

    left = RESERVED_BYTES + 100

    def room(self) -> int:
        return self.left


def test_a_disk_that_is_nearly_full_takes_no_check_and_says_so_before_it_is_asked(tmp_path: Path) -> None:
    async def act(service: LocalService, _: FakeBackend) -> None:
        assert await service.trouble() is None
        await service.submit(check())
        with pytest.raises(NoAnswer, match="nearly full"):
            await service.submit(check(b"x" * 101))
        Crowded.left = RESERVED_BYTES - 1
        assert "nearly full" in str(await service.trouble())

    serving(tmp_path, act, Crowded)


class Failing(Store):
    """Which cannot keep answers for a while."""

    fails = True

    def answer(self, check_id: str, number: int, told: Told) -> Future[None]:
        if not self.fails:
            return super().answer(check_id, number, told)
        failed: Future[None] = Future()
        failed.set_exception(sqlite3.OperationalError("database or disk is full"))
        return failed


def test_an_answer_that_cannot_be_kept_waits_and_is_kept_later(tmp_path: Path) -> None:
    async def act(service: LocalService, _: FakeBackend) -> None:
        one = check()
        await service.submit(one)
        while not await service.trouble():
            await asyncio.sleep(0.01)
        assert "disk is full" in str(await service.trouble())
        assert service.statistics().active == 1
        Failing.fails = False
        standing = await service.wait(one.id, 0, 30)
        assert standing is not None
        assert (standing.status, standing.answers[0].verdict) == ("done", "compiled")
        assert await service.trouble() is None

    serving(tmp_path, act, Failing)


def test_what_did_not_end_in_time_is_run_again_by_the_next(tmp_path: Path) -> None:
    one = check(HANG)

    async def first(service: LocalService, backend: FakeBackend) -> None:
        await service.submit(one)
        await asyncio.to_thread(backend.wait_running, 1)
        await service.close(0)
        with pytest.raises(Draining):
            await service.submit(check())

    async def second(service: LocalService, _: FakeBackend) -> None:
        standing = await service.wait(one.id, 0, 30)
        assert standing is not None
        assert standing.answers[0].verdict == "timeout"

    serving(tmp_path, first)
    serving(tmp_path, second, limits=Limits(wall_seconds=0.1))


def test_whoever_waits_is_told_when_the_service_ends(tmp_path: Path) -> None:
    async def act(service: LocalService, backend: FakeBackend) -> None:
        one = check(HANG)
        await service.submit(one)
        await asyncio.to_thread(backend.wait_running, 1)
        waiting = asyncio.create_task(service.wait(one.id, 0, 600))
        await asyncio.sleep(0)
        await service.close(0)
        standing = await asyncio.wait_for(waiting, 10)
        assert standing is not None
        assert standing.done == 0

    serving(tmp_path, act)
