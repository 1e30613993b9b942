"""The matrix: a table for each language, of its sources and toolchains by standards."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from willitcompile.languages import language
from willitcompile.model import Verdict
from willitcompile.reports.html.words import line, plural, told, tone

if TYPE_CHECKING:
    from collections.abc import Sequence

    from willitcompile.model import CheckResult

LANGUAGES = {"c": "C", "c++": "C++", "go": "Go", "rust": "Rust"}


class Cell(NamedTuple):
    """What is shown of one compile."""

    toolchain: str
    standard: str
    verdict: Verdict
    is_good: bool
    remark: str
    """In few words: `2 warnings`, `as expected`."""

    target: str
    """The id of its messages; empty for none."""


class Row(NamedTuple):
    """All compiles of a source."""

    source: str
    language: str
    cells: tuple[Cell, ...]


def cell(check: CheckResult, target: str) -> Cell:
    if check.expected:
        remark = "as expected" if check.is_as_expected else "not as expected"
    else:
        warnings = sum(each.severity == "warning" for each in check.diagnostics)
        remark = plural(warnings, "warning") if warnings and check.verdict is Verdict.COMPILED else ""
    return Cell(check.toolchain, check.standard, check.verdict, check.is_as_expected, remark, target)


def tables(rows: Sequence[Row]) -> list[str]:
    by_language: dict[str, list[Row]] = {}
    for row in rows:
        by_language.setdefault(row.language, []).append(row)
    return [part for name, of_it in by_language.items() for part in _table(name, of_it)]


def _table(name: str, rows: list[Row]) -> list[str]:
    """In pieces: with thousands of sources, it is large."""
    found = {cell.standard for row in rows for cell in row.cells}
    order = {standard: number for number, standard in enumerate(language(name).standards)}
    standards = sorted(found, key=lambda each: (order.get(each, len(order)), each))
    # Of a single source, the caption says which.
    single = len(rows) == 1
    caption = f'<span class="mono">{line(rows[0].source)}</span>, ' if single else f"{len(rows)} sources, "
    heads = [*(() if single else ("Source",)), "Toolchain", *standards]
    titles = "".join(f'<th scope="col">{line(head)}</th>' for head in heads)
    return [
        f'<div class="scroll" tabindex="0" role="region" aria-label="The matrix of {LANGUAGES.get(name, line(name))}">',
        f"<table>\n<caption>{caption}{LANGUAGES.get(name, line(name))}</caption>\n<thead><tr>{titles}</tr></thead>\n",
        *(_body(row, standards, single=single) for row in rows),
        "</table></div>\n",
    ]


def _body(row: Row, standards: list[str], *, single: bool) -> str:
    cells: dict[str, dict[str, Cell]] = {}
    for each in row.cells:
        cells.setdefault(each.toolchain, {})[each.standard] = each
    fine = ' class="fine"' if not single and all(each.is_good for each in row.cells) else ""
    source = f'<th scope="rowgroup" class="source" rowspan="{len(cells)}">{line(row.source)}</th>'
    lines: list[str] = []
    for toolchain, of_it in cells.items():
        told = "".join(f"<td>{_cell(of_it.get(standard))}</td>" for standard in standards)
        head = "" if single or lines else source
        lines.append(f'<tr>{head}<th scope="row">{line(toolchain)}</th>{told}</tr>\n')
    return f"<tbody{fine}>{''.join(lines)}</tbody>\n"


def _cell(cell: Cell | None) -> str:
    if cell is None:
        return '<span class="cell none">n/a</span>'
    inside = told(cell.verdict, cell.is_good) + (f" <small>{cell.remark}</small>" if cell.remark else "")
    style = f"cell {tone(cell.verdict, cell.is_good)}"
    if cell.target:
        return f'<a class="{style}" href="#{cell.target}">{inside}</a>'
    return f'<span class="{style}">{inside}</span>'
