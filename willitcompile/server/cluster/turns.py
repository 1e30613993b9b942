"""Who is next, found by each replica for itself from what all of them see."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from willitcompile.server.checks import INTERACTIVE

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from willitcompile.backends.queued import Queued

AGED_SECONDS = 60.0
"""What has waited so long goes before, whatever its priority, so that nobody starves."""


def next_up(waiting: Iterable[Queued], turns: Mapping[str, int], count: int, now: float) -> list[Queued]:
    """The `count` jobs that are next: interactive before batch, and within each the clients in turn.

    `turns` is how many each client has had lately. Every replica that sees the same finds the same.
    """
    lines: dict[tuple[bool, str], list[Queued]] = {}
    for each in waiting:
        is_behind = each.ticket.priority != INTERACTIVE and now - each.ticket.submitted < AGED_SECONDS
        lines.setdefault((is_behind, each.ticket.client), []).append(each)
    for line in lines.values():
        line.sort(key=_age, reverse=True)
    had = Counter(turns)
    chosen: list[Queued] = []
    while lines and len(chosen) < count:
        key = min(lines, key=lambda key: (key[0], had[key[1]], _age(lines[key][-1])))
        chosen.append(lines[key].pop())
        had[key[1]] += 1
        if not lines[key]:
            del lines[key]
    return chosen


def _age(queued: Queued) -> tuple[float, str, int]:
    return queued.ticket.submitted, queued.ticket.group, queued.ticket.number
