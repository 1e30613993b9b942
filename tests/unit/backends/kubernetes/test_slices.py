"""Units of one check that share a pod, as threads bring them."""

from __future__ import annotations

import gc
import threading
import time
import weakref
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from willitcompile.backends import Cancelled, CancelToken
from willitcompile.backends.containers import out_of_memory
from willitcompile.backends.kubernetes import slices as slices_module
from willitcompile.backends.kubernetes.slices import MOST_BYTES, Slice, Slices, Ticket
from willitcompile.model import CompileJob

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

SECONDS = 20
"""A deadline for what takes milliseconds."""
ANSWER = out_of_memory("g++", None)


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing here depends on who is fast: a slice that waits for more waits for long."""
    monkeypatch.setattr(slices_module, "LINGER_SECONDS", float(SECONDS))


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slices_module, "LINGER_SECONDS", 0.05)


def ticket(size: int = 1) -> Ticket:
    return Ticket(CompileJob("gcc-13", "c++", {"x.cpp": bytes(size)}, ("g++",)))


class Runner:
    """Compiles as the backend does, and sees what runs together."""

    def __init__(self, pods: int, units: int) -> None:
        self.slices = Slices(units)
        self.pods = pods
        self.ran: list[list[Ticket]] = []
        self.most = 0
        self.may_end = threading.Event()
        self.may_end.set()
        self.changed = threading.Condition()
        self._now = 0

    def compile(self, token: CancelToken | None, kind: Hashable = "kind", size: int = 1) -> Ticket:
        mine = ticket(size)
        slice_ = self.slices.join(token, kind, mine)
        if slice_ is not None:
            try:
                self.slices.begin(token, slice_)
                try:
                    self._run(slice_)
                finally:
                    self.slices.done(token)
            except Cancelled as error:
                for each in slice_.tickets:
                    each.give(error)
        mine.wait(token, lambda: False)
        return mine

    def _run(self, slice_: Slice) -> None:
        assert not slice_.is_open
        with self.changed:
            self._now += 1
            self.most = max(self.most, self._now)
            self.ran.append(list(slice_.tickets))
            self.changed.notify_all()
        assert self.may_end.wait(SECONDS)
        with self.changed:
            self._now -= 1
        for each in slice_.tickets:
            each.give(ANSWER)

    def wait_for(self, count: int) -> None:
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.ran) >= count, SECONDS)

    @property
    def sizes(self) -> list[int]:
        return sorted(map(len, self.ran))


def together(count: int, work: Callable[[int], object]) -> list[object]:
    with ThreadPoolExecutor(count) as threads:
        return list(threads.map(work, range(count), timeout=SECONDS))


@pytest.mark.parametrize(
    ("pods", "units", "count", "sizes"),
    [
        (2, 32, 10, [5, 5]),
        (8, 32, 3, [1, 1, 1]),
        (1, 4, 10, [2, 4, 4]),
        (3, 2, 9, [1, 2, 2, 2, 2]),
        (8, 32, 20, [2, 3, 3, 3, 3, 3, 3]),
        (1, 1, 3, [1, 1, 1]),
    ],
)
def test_all_that_come_are_in_as_few_as_may_be(pods: int, units: int, count: int, sizes: list[int]) -> None:
    runner, token = Runner(pods, units), CancelToken()
    runner.slices.expect(token, "kind", count, runner.pods)
    done = together(count, lambda _: runner.compile(token))
    assert runner.sizes == sizes
    assert runner.most <= pods
    assert {id(each) for group in runner.ran for each in group} == set(map(id, done))


def test_many_threads_lose_none() -> None:
    runner, token = Runner(pods=3, units=7), CancelToken()
    runner.slices.expect(token, "a", 150, runner.pods)
    runner.slices.expect(token, "b", 50, runner.pods)
    with ThreadPoolExecutor(21) as threads:
        kinds = ["b" if number % 4 == 0 else "a" for number in range(200)]
        done = list(threads.map(lambda kind: runner.compile(token, kind), kinds, timeout=SECONDS))
    assert all(each.answer is ANSWER for each in done)
    assert sum(runner.sizes) == 200
    assert len({id(each) for group in runner.ran for each in group}) == 200
    assert runner.most <= 3
    assert max(runner.sizes) == 7


def test_the_kinds_of_a_check_are_apart_and_share_its_pods() -> None:
    runner, token = Runner(pods=4, units=32), CancelToken()
    for kind in ("gcc", "clang"):
        runner.slices.expect(token, kind, 4, runner.pods)
    done = together(8, lambda number: (number % 2, runner.compile(token, ("gcc", "clang")[number % 2])))
    kind_of = {id(each): kind for kind, each in done}  # type: ignore[misc]
    assert all(len({kind_of[id(each)] for each in group}) == 1 for group in runner.ran)
    assert runner.sizes == [2, 2, 2, 2]


def test_two_checks_never_share() -> None:
    runner = Runner(pods=1, units=32)
    tokens = [CancelToken(), CancelToken()]
    for token in tokens:
        runner.slices.expect(token, "kind", 10, runner.pods)
    done = together(20, lambda number: (number % 2, runner.compile(tokens[number % 2])))
    check_of = {id(each): check for check, each in done}  # type: ignore[misc]
    assert all(len({check_of[id(each)] for each in group}) == 1 for group in runner.ran)
    assert runner.sizes == [10, 10]


def test_who_has_no_token_is_alone() -> None:
    runner = Runner(pods=1, units=32)
    runner.may_end.clear()
    with ThreadPoolExecutor(3) as threads:
        all_three = [threads.submit(runner.compile, None) for _ in range(3)]
        runner.wait_for(3)  # at the same time: nobody counts them
        runner.may_end.set()
        for each in all_three:
            each.result(SECONDS)
    assert runner.sizes == [1, 1, 1]


def test_who_was_not_announced_is_alone_and_waits_for_nobody() -> None:
    runner = Runner(pods=8, units=32)
    began = time.monotonic()
    runner.compile(CancelToken())
    assert time.monotonic() - began < SECONDS / 2
    assert runner.sizes == [1]


@pytest.mark.usefixtures("hasty")
def test_what_was_announced_and_does_not_come_is_waited_for_a_moment_only() -> None:
    runner, token = Runner(pods=1, units=32), CancelToken()
    runner.slices.expect(token, "kind", 10, runner.pods)
    together(4, lambda _: runner.compile(token))
    assert sum(runner.sizes) == 4
    # Who comes after that is answered, too.
    together(3, lambda _: runner.compile(token))
    assert sum(runner.sizes) == 7


def test_large_sources_go_alone() -> None:
    runner, token = Runner(pods=1, units=32), CancelToken()
    runner.slices.expect(token, "kind", 3, runner.pods)
    together(3, lambda _: runner.compile(token, size=MOST_BYTES))
    assert runner.sizes == [1, 1, 1]


def test_no_more_pods_of_a_check_at_one_time_than_it_may_have() -> None:
    runner, token, other = Runner(pods=2, units=1), CancelToken(), CancelToken()
    runner.may_end.clear()
    for each in (token, other):
        runner.slices.expect(each, "kind", 5, runner.pods)
    with ThreadPoolExecutor(10) as threads:
        waiting = [threads.submit(runner.compile, each) for each in (token, other) for _ in range(5)]
        runner.wait_for(4)
        with runner.changed:  # nobody else begins
            assert not runner.changed.wait_for(lambda: len(runner.ran) > 4, 0.3)
        runner.may_end.set()
        for future in waiting:
            future.result(SECONDS)
    assert runner.most <= 4
    assert len(runner.ran) == 10


def test_cancelling_ends_who_waits_for_a_place_and_gives_none_back() -> None:
    runner, token = Runner(pods=1, units=1), CancelToken()
    runner.may_end.clear()
    runner.slices.expect(token, "kind", 4, runner.pods)
    with ThreadPoolExecutor(4) as threads:
        waiting = [threads.submit(runner.compile, token) for _ in range(4)]
        runner.wait_for(1)
        token.cancel()
        runner.may_end.set()
        ends = [each.exception(SECONDS) for each in waiting]
    assert all(end is None or isinstance(end, Cancelled) for end in ends)
    assert any(isinstance(end, Cancelled) for end in ends)
    assert runner.most == 1
    check = runner.slices._checks[token]
    assert (check.running, check.open) == (0, {})


def test_cancelling_ends_who_waits_for_more() -> None:
    runner, token = Runner(pods=1, units=32), CancelToken()
    runner.slices.expect(token, "kind", 3, runner.pods)
    with ThreadPoolExecutor(2) as threads:
        waiting = [threads.submit(runner.compile, token) for _ in range(2)]
        began = time.monotonic()
        token.cancel()
        assert all(isinstance(each.exception(SECONDS), Cancelled) for each in waiting)
    assert time.monotonic() - began < SECONDS / 2
    assert not runner.slices._checks[token].open


def test_nothing_of_a_check_is_kept() -> None:
    runner = Runner(pods=2, units=3)
    token = CancelToken()
    runner.slices.expect(token, "kind", 10, runner.pods)
    first = weakref.ref(runner.compile(token, size=MOST_BYTES))
    assert len(runner.slices._checks) == 1
    gone = weakref.ref(token)
    del token
    runner.ran.clear()
    gc.collect()
    assert gone() is first() is None
    assert len(runner.slices._checks) == 0


class TestTicket:
    def test_the_first_answer_counts(self) -> None:
        given = ticket()
        assert not given.answered
        given.give(ANSWER)
        given.give(ValueError())
        assert given.answered
        assert given.wait(None, lambda: False) is ANSWER

    def test_an_error_is_raised(self) -> None:
        given = ticket()
        given.give(ValueError("no"))
        with pytest.raises(ValueError, match="no"):
            given.wait(None, lambda: False)

    def test_a_cancelled_token_ends_the_wait(self) -> None:
        token = CancelToken()
        token.cancel()
        with pytest.raises(Cancelled):
            ticket().wait(token, lambda: False)

    def test_closing_ends_the_wait(self) -> None:
        with pytest.raises(Cancelled):
            ticket().wait(None, lambda: True)

    def test_an_answer_that_is_there_counts_also_when_it_was_cancelled(self) -> None:
        token, given = CancelToken(), ticket()
        token.cancel()
        given.give(ANSWER)
        assert given.wait(token, lambda: True) is ANSWER
