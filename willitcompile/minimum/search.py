"""From which place on a row says yes: by bisection, and by all of the row where that does not hold.

A row is the versions of a compiler or its standards, oldest first. Each answer costs a compile, so few are asked for;
but a row may say yes, no and yes again, and what is told of it has to be true all the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping, Sequence
    from typing import TypeAlias

    Asking: TypeAlias = Generator[Sequence[int], Mapping[int, bool], "Steps"]
    """Yields the places that it wants to know about next, and is sent the answer of each."""


class Steps(NamedTuple):
    """Where a row says yes, by its places. Where `others` is empty and `last` is the row's own last, that is one step.

    The answers that were had bear all of this out. Only where they fit one step are there places that nobody asked
    about: between two of the same answer.
    """

    first: int | None
    """Of the last stretch of yes; None where no place that was asked says so."""

    last: int | None
    others: tuple[int, ...] = ()
    """Earlier places that say yes too."""


def search(count: int) -> Asking:
    """Ask a row of `count` places, at least one.

    A row that is one step costs the logarithm of its length, and four more: its ends, and a neighbour on either side
    of the two places between which the step is. Any answer that does not fit one step has all of the row asked, and so
    has a last place that says no: what an old standard takes, all later ones may have given up.
    """
    answers: dict[int, bool] = {}
    end = count - 1
    yield from _ask(answers, (end, 0))
    if not answers[end]:
        yield from _ask(answers, range(count))
        return _steps(answers)
    no, yes = (0, end) if not answers[0] else (-1, 0)
    while yes - no > 1:
        middle = (no + yes) // 2
        yield from _ask(answers, (middle,))
        no, yes = (no, middle) if answers[middle] else (middle, yes)
    yield from _ask(answers, [place for place in (no - 1, yes + 1) if 0 <= place <= end])
    if any(answer != (place >= yes) for place, answer in answers.items()):
        yield from _ask(answers, range(count))
    return _steps(answers)


def _ask(answers: dict[int, bool], places: Sequence[int]) -> Generator[Sequence[int], Mapping[int, bool]]:
    """Those that were not asked yet."""
    if unknown := [place for place in dict.fromkeys(places) if place not in answers]:
        answers.update((yield unknown))


def _steps(answers: Mapping[int, bool]) -> Steps:
    said_yes = sorted(place for place, answer in answers.items() if answer)
    if not said_yes:
        return Steps(None, None)
    last = said_yes[-1]
    nos = [place for place, answer in answers.items() if not answer and place < last]
    first = min(place for place in said_yes if place > max(nos, default=-1))
    return Steps(first, last, tuple(place for place in said_yes if place < first))
