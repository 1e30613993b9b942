"""How many of what: of all records, and of each group."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from willitcompile.model import Verdict

MOST_GROUPS = 1000
OTHERS = "(others)"
"""The group of records whose own group is one too many."""


class Group(NamedTuple):
    """Of one group."""

    kinds: Counter[str]
    """By verdict, or `error` for what could not be checked."""

    @property
    def records(self) -> int:
        return self.kinds.total()

    @property
    def rate(self) -> float:
        """How many of those that could be checked have compiled, from 0 to 1."""
        checked = self.records - self.kinds["error"]
        return self.kinds[Verdict.COMPILED] / checked if checked else 0.0


class Summary:
    """Not thread-safe."""

    def __init__(self) -> None:
        self.groups: dict[str, Group] = {}
        self.all = Group(Counter())
        self.before = 0
        """Of all, those that an earlier run has answered."""

    def count(self, group: str, kind: str) -> None:
        if group not in self.groups and len(self.groups) >= MOST_GROUPS:
            group = OTHERS
        self.groups.setdefault(group, Group(Counter())).kinds[kind] += 1
        self.all.kinds[kind] += 1

    def as_dict(self) -> dict[str, object]:
        """For programs: docs/batch.md tells each field."""
        return {
            "version": 1,
            "answered_before": self.before,
            **_figures(self.all),
            "groups": {name: _figures(group) for name, group in sorted(self.groups.items())},
        }

    def text(self) -> str:
        """For people: some lines."""
        lines = [f"{self._head()}"]
        if set(self.groups) - {""}:
            rows = [("group", "records", "compiled", "")]
            for name, group in sorted(self.groups.items()):
                rows.append((_printable(name), f"{group.records}", f"{group.rate:.1%}", _others(group)))
            widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
            for name, records, rate, others in rows:
                row = f"  {name:{widths[0]}}  {records:>{widths[1]}}  {rate:>{widths[2]}}  {others}"
                lines.append(row.rstrip())
        return "\n".join(lines)

    def _head(self) -> str:
        count = self.all.records
        said = f"{count} {'record' if count == 1 else 'records'}: "
        said += f"{self.all.kinds[Verdict.COMPILED]} compiled ({self.all.rate:.1%})"
        if others := _others(self.all):
            said += f", {others}"
        return said + (f"; {self.before} of them were answered before" if self.before else "")


def _figures(group: Group) -> dict[str, object]:
    kinds = {kind: group.kinds[kind] for kind in (*map(str, Verdict), "error")}
    return {"records": group.records, "compile_rate": round(group.rate, 6), **kinds}


def _others(group: Group) -> str:
    names = [(str(kind), str(kind)) for kind in Verdict if kind is not Verdict.COMPILED]
    return ", ".join(f"{group.kinds[kind]} {said}" for kind, said in (*names, ("error", "wrong")) if group.kinds[kind])


def _printable(name: str) -> str:
    shown = name.encode("unicode_escape").decode() if not name.isprintable() else name
    return (shown if len(shown) <= 40 else f"{shown[:39]}…") or "(none)"
