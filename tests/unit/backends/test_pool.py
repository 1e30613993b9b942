"""Things that wait for a job: as many as are wanted, none that is dead, none left at the end."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from willitcompile.backends import Cancelled, CancelToken
from willitcompile.backends import pool as pool_module
from willitcompile.backends.pool import MOST_WAITING, Pool, PoolClosed

if TYPE_CHECKING:
    from collections.abc import Callable

SECONDS = 20
"""A deadline for what takes milliseconds."""


class Thing:
    def __init__(self, number: int) -> None:
        self.number = number
        self.lives = True
        self.discarded = threading.Event()

    def alive(self) -> bool:
        return self.lives

    def discard(self) -> None:
        self.lives = False
        self.discarded.set()


class Maker:
    """Makes things, or what a test wants instead."""

    def __init__(self) -> None:
        self.things: list[Thing] = []
        self.failures: list[Exception] = []
        self.may_start = threading.Event()
        self.may_start.set()
        self.changed = threading.Condition()

    def __call__(self, _: object) -> Thing:
        assert self.may_start.wait(SECONDS)
        with self.changed:
            self.changed.notify_all()
            if self.failures:
                raise self.failures.pop()
            self.things.append(Thing(len(self.things)))
            return self.things[-1]

    def wait_for(self, count: int) -> None:
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.things) >= count, SECONDS)


@pytest.fixture
def maker() -> Maker:
    return Maker()


def test_one_for_each_job(maker: Maker) -> None:
    pool = Pool(maker)
    first, second = pool.take("kind"), pool.take("kind")
    assert first is not second
    pool.close()
    assert [thing.number for thing in maker.things if thing.lives] == [0, 1]  # who took them has them


def test_what_is_expected_is_started_before(maker: Maker) -> None:
    pool = Pool(maker)
    pool.expect("kind", 10, 3)
    maker.wait_for(3)
    pool.close()
    assert len(maker.things) == 3
    assert not any(thing.lives for thing in maker.things)


def test_the_last_job_starts_no_further_one(maker: Maker) -> None:
    pool = Pool(maker)
    pool.expect("kind", 4, 2)
    for _ in range(4):
        pool.take("kind")
        pool.done("kind")
    pool.close()
    assert len(maker.things) == 4


def test_what_has_died_is_not_given_out(maker: Maker) -> None:
    pool = Pool(maker)
    pool.expect("kind", 1, 1)
    maker.wait_for(1)
    maker.things[0].lives = False
    assert pool.take("kind").number == 1
    assert maker.things[0].discarded.is_set()
    pool.close()


def test_why_it_could_not_be_started_is_told_to_who_waits_and_to_nobody_later(maker: Maker) -> None:
    pool = Pool(maker)
    maker.failures.append(OSError("no"))
    with pytest.raises(OSError, match="no"):
        pool.take("kind")
    assert pool.take("kind").lives
    pool.close()


def test_a_cancelled_token_ends_the_wait(maker: Maker) -> None:
    maker.may_start.clear()
    pool = Pool(maker)
    cancel = CancelToken()
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(pool.take, "kind", cancel)
        cancel.cancel()
        assert isinstance(waiting.exception(SECONDS), Cancelled)
    # What was started for it is there for the next.
    maker.may_start.set()
    assert pool.take("kind").number == 0
    pool.close()


def test_closing_ends_the_wait_and_what_is_being_started(maker: Maker) -> None:
    maker.may_start.clear()
    pool = Pool(maker)
    with ThreadPoolExecutor(2) as threads:
        waiting = threads.submit(pool.take, "kind")
        closing = threads.submit(pool.close)
        assert isinstance(waiting.exception(SECONDS), PoolClosed)
        maker.may_start.set()
        closing.result(SECONDS)
    assert not any(thing.lives for thing in maker.things)


def test_closing_does_not_wait_for_ever(maker: Maker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool_module, "CLOSE_SECONDS", 0.1)
    maker.may_start.clear()
    pool = Pool(maker)
    pool.expect("kind", 1, 1)
    pool.close()
    maker.may_start.set()
    maker.wait_for(1)
    assert maker.things[0].discarded.wait(SECONDS)


def test_no_room_for_a_thread_is_an_error_and_nothing_to_wait_for(
    maker: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = Pool(maker)

    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        with pytest.raises(RuntimeError):
            pool.take("kind")
    pool.close()


def test_a_warm_pool_holds_as_many_as_were_in_use(maker: Maker) -> None:
    pool = Pool(maker, warm=True)
    for _ in range(3):
        pool.take("kind")
    maker.wait_for(6)
    for _ in range(3):
        pool.done("kind")
    pool.close()
    assert sum(thing.lives for thing in maker.things) == 3
    assert len(maker.things) <= 3 + MOST_WAITING


def test_a_warm_pool_lets_go_of_what_nobody_wants(maker: Maker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool_module, "REMEMBERED_SECONDS", 0.05)
    pool = Pool(maker, warm=True)
    taken = pool.take("kind")
    pool.done("kind")
    maker.wait_for(2)
    for thing in maker.things:
        assert thing is taken or thing.discarded.wait(SECONDS)
    pool.close()


class TestReady:
    """Of a warm pool who cannot wait takes what is there."""

    def test_there_is_none_and_one_is_started(self, maker: Maker) -> None:
        pool = Pool(maker, warm=True)
        assert pool.take_ready("kind") is None
        maker.wait_for(1)
        pool.done("kind")
        wait_until(lambda: pool.waiting() == 1)
        taken = pool.take_ready("kind")
        assert taken is maker.things[0]
        # Another in its place.
        maker.wait_for(2)
        pool.done("kind")
        pool.close()
        assert [thing.number for thing in maker.things if thing.lives] == [0]

    def test_each_is_taken_once(self, maker: Maker) -> None:
        pool = Pool(maker, warm=True, least=8)
        pool.take_ready("kind")
        wait_until(lambda: pool.waiting() == 8)
        with ThreadPoolExecutor(8) as threads:
            taken = list(threads.map(lambda _: pool.take_ready("kind"), range(8)))
        assert None not in taken
        assert len(set(map(id, taken))) == 8
        pool.close()

    def test_one_that_has_died_is_not_given_out_and_replaced(self, maker: Maker) -> None:
        pool = Pool(maker, warm=True, least=2)
        pool.take_ready("kind")
        wait_until(lambda: pool.waiting() == 2)
        dead, alive = pool._kinds["kind"].ready
        assert isinstance(dead, Thing)
        dead.lives = False
        assert pool.take_ready("kind") is alive
        assert dead.discarded.is_set()
        wait_until(lambda: pool.waiting() >= 2)
        pool.close()

    def test_all_have_died(self, maker: Maker) -> None:
        pool = Pool(maker, warm=True, least=3)
        pool.take_ready("kind")
        wait_until(lambda: pool.waiting() == 3)
        maker.may_start.clear()
        for thing in maker.things:
            thing.lives = False
        assert pool.take_ready("kind") is None
        assert all(thing.discarded.is_set() for thing in maker.things)
        maker.may_start.set()
        wait_until(lambda: pool.waiting() >= 3)
        pool.close()

    def test_what_cannot_be_started_is_tried_again_for_the_next(self, maker: Maker) -> None:
        maker.failures = [OSError("no")]
        pool = Pool(maker, warm=True)
        assert pool.take_ready("kind") is None
        wait_until(lambda: not maker.failures)
        pool.done("kind")
        wait_until(lambda: pool.take_ready("kind") is not None)
        pool.close()

    def test_what_was_given_back_is_counted(self, maker: Maker) -> None:
        pool = Pool(maker, warm=True, most=4)
        for _ in range(20):
            pool.take_ready("kind")
            pool.done("kind")
        assert pool._kinds["kind"].running == 0
        wait_until(lambda: not pool._kinds["kind"].starting)
        assert pool.waiting() <= 4
        pool.close()

    def test_of_a_closed_pool_nothing(self, maker: Maker) -> None:
        pool = Pool(maker, warm=True, least=1)
        pool.take_ready("kind")
        wait_until(lambda: pool.waiting() == 1)
        pool.close()
        assert pool.take_ready("kind") is None
        assert len(maker.things) == 1
        assert not maker.things[0].lives


class TestBounds:
    def test_at_least_so_many_of_each_kind_that_was_asked_for(self, maker: Maker) -> None:
        pool = Pool(maker, warm=True, least=3, remembered_seconds=0.05)
        for kind in ("a", "b"):
            pool.take_ready(kind)
            pool.done(kind)
        wait_until(lambda: pool.waiting() == 6)
        pool.close()

    def test_they_stay_when_nobody_wants_them(self, maker: Maker) -> None:
        pool = Pool(maker, warm=True, least=2, remembered_seconds=0.05)
        taken = [pool.take_ready("kind") for _ in range(6)]
        wait_until(lambda: pool.waiting() == 6)
        for _ in taken:
            pool.done("kind")
        wait_until(lambda: pool.waiting() == 2)
        wait_until(lambda: sum(thing.discarded.is_set() for thing in maker.things) == 4)
        assert pool.waiting() == 2
        pool.close()

    def test_at_most_so_many(self, maker: Maker) -> None:
        pool = Pool(maker, warm=True, most=2)
        for _ in range(10):
            pool.take_ready("kind")
        wait_until(lambda: not pool._kinds["kind"].starting)
        assert pool.waiting() <= 2
        pool.close()

    def test_one_that_dies_while_it_waits_is_replaced(self, maker: Maker) -> None:
        """Also where nobody asks."""
        pool = Pool(maker, warm=True, least=1, remembered_seconds=0.05)
        pool.take_ready("kind")
        wait_until(lambda: pool.waiting() == 1)
        first = maker.things[0]
        first.lives = False
        assert first.discarded.wait(SECONDS)
        wait_until(lambda: pool.waiting() == 1)
        pool.close()


def wait_until(happens: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS
    while not happens():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_many_at_once_each_get_their_own(maker: Maker) -> None:
    pool = Pool(maker)
    pool.expect("kind", 200, 16)

    def use(_: int) -> int:
        thing = pool.take("kind")
        pool.done("kind")
        return thing.number

    with ThreadPoolExecutor(16) as threads:
        taken = list(threads.map(use, range(200)))
    pool.close()
    assert len(set(taken)) == 200
    assert all(thing.discarded.is_set() for thing in maker.things if thing.number not in taken)
