"""What is said of a row is true of it, whatever it looks like, and costs few questions where it is one step."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from willitcompile.minimum.search import Steps, search

if TYPE_CHECKING:
    from collections.abc import Sequence


def searched(row: Sequence[bool]) -> tuple[Steps, list[int]]:
    """What is found, and the places that were asked about."""
    asking = search(len(row))
    asked: list[int] = []
    places = next(asking)
    while True:
        asked += places
        try:
            places = asking.send({place: row[place] for place in places})
        except StopIteration as end:
            return end.value, asked


STEPS = st.integers(1, 60).flatmap(lambda count: st.tuples(st.just(count), st.integers(0, count)))
ROWS = st.lists(st.booleans(), min_size=1, max_size=30)


@given(STEPS)
def test_one_step_is_found_with_few_questions(step: tuple[int, int]) -> None:
    count, first = step
    found, asked = searched([place >= first for place in range(count)])
    assert found == (Steps(first, count - 1) if first < count else Steps(None, None))
    assert len(asked) <= (count.bit_length() + 4 if first < count else count)


@given(STEPS)
def test_both_neighbours_of_a_step_are_asked(step: tuple[int, int]) -> None:
    count, first = step
    _, asked = searched([place >= first for place in range(count)])
    if first < count:
        around = range(first - 2, first + 2) if first else range(2)
        assert {place for place in around if 0 <= place < count} <= set(asked)


@given(ROWS)
def test_the_answers_bear_out_what_is_said(row: list[bool]) -> None:
    found, asked = searched(row)
    yes = {place for place in asked if row[place]}
    if found.first is None or found.last is None:
        assert not yes
    else:
        stretch = {place for place in yes if found.first <= place <= found.last}
        assert {found.first, found.last} <= stretch
        assert stretch == {place for place in asked if found.first <= place <= found.last}
        assert set(found.others) == yes - stretch
        assert all(place < found.first for place in found.others)


@given(ROWS)
def test_what_was_not_asked_lies_between_two_of_the_same_answer(row: list[bool]) -> None:
    """And then all answers fit one step: any other row is known whole."""
    _, asked = searched(row)
    answers = [row[place] for place in sorted(asked)]
    assert len(asked) == len(set(asked))
    assert len(asked) == len(row) or answers == sorted(answers)


@given(ROWS)
def test_no_place_is_said_to_be_good_that_is_next_to_a_bad_one_unasked(row: list[bool]) -> None:
    """Where the answer begins and ends is known, not guessed."""
    found, asked = searched(row)
    if found.first:
        assert found.first - 1 in asked
    if found.last is not None and found.last < len(row) - 1:
        assert found.last + 1 in asked


def test_a_gap_is_seen_next_to_the_step() -> None:
    found, _ = searched([False, True, False, True, True, True])
    assert found == Steps(3, 5, (1,))


def test_what_was_given_up_is_found() -> None:
    found, _ = searched([True, True, True, False, False])
    assert found == Steps(0, 2)


@given(ROWS)
def test_none_is_said_to_be_good_only_where_all_were_asked(row: list[bool]) -> None:
    found, _ = searched(row)
    assert (found.first is None) == (not any(row))
