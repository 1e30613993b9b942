"""Answers as they are kept with their jobs, and the last of them at hand."""

from __future__ import annotations

import json
from collections import OrderedDict
from typing import TYPE_CHECKING

from willitcompile.errors import BackendFailed
from willitcompile.model import Verdict
from willitcompile.server.checks import MOST_CHECK_BYTES, Told, no_answer, tell

if TYPE_CHECKING:
    from collections.abc import Sequence

    from willitcompile.server.checks import Cell

_CACHED_BYTES = 32 << 20
_BESIDE_BYTES = 64 << 10
"""Of an answer, more than its share of its check: notes, names."""
_VERDICTS = frozenset({"error", *map(str, Verdict)})


class Answers:
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


def dump(told: Told) -> str:
    """As it is kept: JSON begins with a brace."""
    return f"{told.verdict} {told.text}"


def load(text: str | None, number: int, cells: Sequence[Cell]) -> Told:
    """Takes a while. Whoever may write to the cluster may have written anything, and it goes out as it is."""
    verdict, _, rest = (text or "").partition(" ")
    if _is_answer(verdict, rest, number, len(cells)):
        return Told(verdict, rest)
    asked = f"tell the answer of {cells[number].source}"
    gone = BackendFailed(asked, "it is kept no longer", "send the check again")
    return tell(number, no_answer(cells[number], gone), len(cells))


def _is_answer(verdict: str, text: str, number: int, cells: int) -> bool:
    # One line, as an event of a stream is.
    if len(text) > MOST_CHECK_BYTES // cells + _BESIDE_BYTES or not text.isprintable() or verdict not in _VERDICTS:
        return False
    try:
        said = json.loads(text)
    except (ValueError, RecursionError):
        return False
    return isinstance(said, dict) and said.get("index") == number and said.get("verdict", "error") == verdict
