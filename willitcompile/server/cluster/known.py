"""A check as its jobs tell of it: what each was submitted with, and how far they are."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

from willitcompile import checker
from willitcompile.backends.queued import WAITING
from willitcompile.model import Expectation, Limits, Verdict
from willitcompile.server.checks import Ask, Cell, Check

if TYPE_CHECKING:
    from collections.abc import Sequence

    from willitcompile.backends.queued import Queued

_MOST_CELLS = 10_000
"""More than any check has."""
_NOTE_CHARACTERS = 20_000
"""Of all notes of one source, which have to fit into what is known of it."""
_NOTHING = Cell("", "", "", None)


class About(NamedTuple):
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
    def load(cls, text: str) -> About:
        """Raises ValueError."""
        try:
            said = json.loads(text)
            about = said.get("about")
            if about is not None:
                fields = {"notes": tuple(about["notes"]), "limits": Limits(**about["limits"])}
                # A job of an earlier version of the service says nothing of it.
                if about.get("expected") is not None:
                    verdict, text = about["expected"]
                    fields["expected"] = Expectation(Verdict(verdict), str(text))
                about = checker.About(**{**about, **fields})
            source, language, toolchain, standard = said["cell"]
            total, trace = said["total"], said["trace"]
            texts = (source, language, toolchain, standard or "", trace or "")
            if (
                type(total) is not int
                or not 0 < total <= _MOST_CELLS
                or not all(isinstance(each, str) for each in texts)
            ):
                raise ValueError("not what was written")
            return cls(Cell(source, language, toolchain, standard), total, about, trace)
        except (KeyError, TypeError, AttributeError, RecursionError) as error:
            raise ValueError(str(error)) from error


def _bounded(notes: Sequence[str]) -> list[str]:
    kept: list[str] = []
    left = _NOTE_CHARACTERS
    for note in notes:
        left -= len(json.dumps(note))
        if left < 0:
            return [*kept, f"and {len(notes) - len(kept)} more such notes"]
        kept.append(note)
    return kept


class Group:
    """One check, as far as it was heard of."""

    def __init__(self) -> None:
        self.cells: dict[int, Queued] = {}
        self.abouts: dict[int, About] = {}
        self._order: list[int] = []
        """Of the answers that came later, by number, as they came."""

    def take(self, queued: Queued) -> None:
        number = queued.ticket.number
        if number not in self.abouts:
            self.abouts[number] = about_of(queued)
        self.cells[number] = queued
        if queued.answer is not None and not _is_early(queued) and number not in self._order:
            self._order.append(number)

    @property
    def answered(self) -> list[Queued]:
        """Those with an answer, in the order in which they came, which is the same wherever they were heard of."""
        cells = self._own()
        early = sorted(number for number, each in cells.items() if each.answer is not None and _is_early(each))
        return [cells[number] for number in (*early, *self._order) if number in cells]

    @property
    def total(self) -> int:
        """As the first of them says it."""
        return self.abouts[min(self.abouts)].total if self.abouts else 0

    def _own(self) -> dict[int, Queued]:
        """Without what somebody else has added to them."""
        total = self.total
        return {number: each for number, each in self.cells.items() if number < total}

    @property
    def is_whole(self) -> bool:
        return self.total > 0 and all(number in self.cells for number in range(self.total))

    @property
    def cancelled(self) -> float | None:
        return min((each.cancelled for each in self._own().values() if each.cancelled is not None), default=None)

    @property
    def status(self) -> str:
        if self.cancelled is not None:
            return "cancelled"
        cells = self._own().values()
        if all(each.answer is not None for each in cells):
            return "done"
        return "queued" if all(each.state == WAITING for each in cells) else "running"

    @property
    def ended(self) -> float | None:
        """When the last of it did. (A Job is said to have ended a moment after its answer is there.)"""
        ends = (each.ended or each.answered or each.cancelled for each in self.cells.values())
        return max((end for end in ends if end is not None), default=None)

    @property
    def is_over(self) -> bool:
        return self.is_whole and all(each.is_settled for each in self._own().values())

    def check(self) -> Check:
        """Without what was sent."""
        first = next(iter(self.cells.values())).ticket
        cells = tuple(self.abouts[number].cell if number in self.abouts else _NOTHING for number in range(self.total))
        trace = next(iter(self.abouts.values())).trace
        return Check(first.group, first.client, first.priority, first.submitted, cells, Ask({}), trace=trace)


def _is_early(queued: Queued) -> bool:
    """Whether its answer is as old as its check."""
    return queued.answered == round(queued.ticket.submitted, 3)


def about_of(queued: Queued) -> About:
    try:
        about = About.load(queued.ticket.about)
        if queued.ticket.number < about.total:
            return about
    except ValueError:
        pass
    return About(_NOTHING, queued.ticket.number + 1, None, None)
