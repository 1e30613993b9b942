from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from willitcompile.server.checks import BATCH, INTERACTIVE, PRIORITIES
from willitcompile.server.queue import TURNS, FairQueue


def drained(queue: FairQueue[str]) -> list[str]:
    return [queue.take() for _ in range(len(queue))]


def test_clients_take_turns() -> None:
    queue: FairQueue[str] = FairQueue()
    for item in ("a1", "a2", "a3", "b1", "c1", "c2"):
        queue.put(item, client=item[0], priority=INTERACTIVE)
    assert drained(queue) == ["a1", "b1", "c1", "a2", "c2", "a3"]


def test_who_comes_late_waits_for_one_turn_of_each() -> None:
    queue: FairQueue[str] = FairQueue()
    for number in range(1000):
        queue.put(f"a{number}", "a", INTERACTIVE)
    queue.put("b", "b", INTERACTIVE)
    assert queue.take() == "a0"
    assert queue.take() == "b"


def test_interactive_goes_before_batch_which_does_not_starve() -> None:
    queue: FairQueue[str] = FairQueue()
    for _ in range(100):
        queue.put("batch", "b", BATCH)
        queue.put("interactive", "a", INTERACTIVE)
    order = drained(queue)
    assert order[:TURNS] == ["interactive"] * TURNS
    first_hundred = Counter(order[:100])
    assert first_hundred["batch"] == 100 // (TURNS + 1)


def test_an_empty_queue_has_nothing() -> None:
    with pytest.raises(IndexError):
        FairQueue[str]().take()


def test_what_is_removed_does_not_come() -> None:
    queue: FairQueue[str] = FairQueue()
    for item in ("a1", "a2", "b1"):
        queue.put(item, item[0], BATCH)
    assert queue.remove(lambda item: item in {"a1", "b1"}) == 2
    assert len(queue) == 1
    assert drained(queue) == ["a2"]


ENTRIES = st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from(PRIORITIES)), max_size=60)


@given(ENTRIES)
def test_nothing_is_lost_nor_told_twice_and_each_clients_own_order_is_kept(entries: list[tuple[str, str]]) -> None:
    queue: FairQueue[int] = FairQueue()
    for number, (client, priority) in enumerate(entries):
        queue.put(number, client, priority)
    assert len(queue) == len(entries)
    order = [queue.take() for _ in entries]
    assert sorted(order) == list(range(len(entries)))
    for who in set(entries):
        own = [number for number in order if entries[number] == who]
        assert own == sorted(own)
    assert len(queue) == 0
