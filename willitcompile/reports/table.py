"""The matrix of a source as a table: toolchains by standards, a cell for each verdict, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from willitcompile import languages
from willitcompile.reports.safe import safe_line
from willitcompile.reports.words import cell

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from willitcompile.model import CheckResult

UNKNOWN = "n/a"
"""Stands where a toolchain does not know the standard."""

_GAP = "  "


class Matrix(NamedTuple):
    """The compiles of a source by what they were made with."""

    toolchains: tuple[str, ...]
    """In the order asked."""
    standards: tuple[str, ...]
    """Oldest first."""
    cells: Mapping[tuple[str, str], CheckResult]
    """By toolchain and standard."""

    @property
    def is_list(self) -> bool:
        """Whether each toolchain has one standard, its own: their defaults, where none was asked for."""
        return len(self.cells) == len(self.toolchains) and len(self.standards) > 1


def matrix(checks: Sequence[CheckResult]) -> Matrix:
    """Of the results of one source."""
    cells = {(check.toolchain, check.standard): check for check in checks}
    known = {name: at for at, name in enumerate(languages.language(checks[0].language).standards)} if checks else {}
    return Matrix(
        toolchains=tuple(dict.fromkeys(toolchain for toolchain, _ in cells)),
        standards=tuple(sorted({standard for _, standard in cells}, key=lambda name: (known.get(name, -1), name))),
        cells=cells,
    )


def table(asked: Matrix, width: int | None, paint: Callable[[CheckResult, str], str]) -> Iterator[str]:
    """Its lines, each at most `width` columns (None for any), as far as its words are no longer than that.

    Standards that do not fit beside the others stand below, with the toolchains once more. `paint` colours the word of
    a cell.
    """
    grid = _list(asked) if asked.is_list else _grid(asked)
    widths = [max(len(text) for text, _ in column) for column in zip(*grid, strict=True)]
    for part in _parts(widths, width):
        for row in grid:
            line = ""
            for number in part:
                text, check = row[number]
                shown = paint(check, text) if check else text
                line += _GAP + shown + " " * (widths[number] - len(text))
            yield line.rstrip()


_Word: TypeAlias = "tuple[str, CheckResult | None]"
"""What stands in one place, and the result that it tells, if one."""


def _list(asked: Matrix) -> list[list[_Word]]:
    return [
        [(safe_line(toolchain), None), (safe_line(standard), None), (cell(check), check)]
        for (toolchain, standard), check in asked.cells.items()
    ]


def _grid(asked: Matrix) -> list[list[_Word]]:
    rows: list[list[_Word]] = [[("", None), *((safe_line(standard), None) for standard in asked.standards)]]
    for toolchain in asked.toolchains:
        found = [asked.cells.get((toolchain, standard)) for standard in asked.standards]
        rows.append([(safe_line(toolchain), None), *((cell(check) if check else UNKNOWN, check) for check in found)])
    return rows


def _parts(widths: Sequence[int], width: int | None) -> Iterator[list[int]]:
    """The columns to print beside each other: always the first, and at least one more."""
    part = [0]
    for number in range(1, len(widths)):
        needed = sum(len(_GAP) + widths[each] for each in (*part, number))
        if width is not None and needed > width and len(part) > 1:
            yield part
            part = [0]
        part.append(number)
    yield part
