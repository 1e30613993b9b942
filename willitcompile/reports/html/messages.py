"""What compilers said, source by source: what several say alike is told once."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from willitcompile.reports.groups import alike, named
from willitcompile.reports.html.words import line, plural, text, told, tone
from willitcompile.reports.places import relative
from willitcompile.reports.words import ending, explanation

if TYPE_CHECKING:
    from collections.abc import Sequence

    from willitcompile.model import CheckResult, Diagnostic

MOST_SHOWN = 100
"""Messages of one group. The compiler's own output has all."""

MOST_OUTPUT = 64_000
"""Characters of what one compiler said."""

MOST_OUTPUT_IN_ALL = 16_000_000
"""Characters on the page. What compilers said beyond that is left out, for the page to open at all."""

SIGNS = {"error": ("✗", "bad"), "warning": ("▲", "warn")}


class Group(NamedTuple):
    """Compiles of a source that ended alike and say the same."""

    checks: list[CheckResult]
    target: str
    """The id of the element that tells it; empty where there is nothing to tell."""


class Messages:
    """Writes the messages, and counts what it has written."""

    def __init__(self) -> None:
        self._groups = 0
        self._room = MOST_OUTPUT_IN_ALL

    def groups(self, checks: Sequence[CheckResult]) -> list[Group]:
        """All compiles of a source, those together that say the same."""
        return [Group(same, self._target(same[0])) for same in alike(checks)]

    def section(self, source: str, groups: Sequence[Group]) -> str:
        """Empty where none of them has anything to tell."""
        articles = [self._article(group) for group in groups if group.target]
        if not articles:
            return ""
        back = '<a href="#matrix">to the table</a>'
        fine = " fine" if all(check.is_as_expected for group in groups for check in group.checks) else ""
        head = f'<div class="head"><h3>{line(relative(source))}</h3>{back}</div>'
        return f'<section class="source-messages{fine}">{head}\n{"".join(articles)}</section>\n'

    def _target(self, check: CheckResult) -> str:
        if check.is_as_expected and not (check.diagnostics or check.stdout or check.stderr):
            return ""
        self._groups += 1
        return f"m{self._groups}"

    def _article(self, group: Group) -> str:
        check = group.checks[0]
        badge = f'<span class="badge {tone(check.verdict, check.is_as_expected)}">'
        badge += f"{told(check.verdict, check.is_as_expected)}</span>"
        remarks = [*explanation(check.result, check.limits), *check.notes]
        if check.expected:
            remarks.insert(0, ending(check))
        if check.hint:
            remarks.append(f"compiles with --std {check.hint}")
        parts = [
            f'<article class="group" id="{group.target}">',
            f'<h4>{badge} <span class="which">{line(named(group.checks))}</span></h4>\n',
            *(f'<p class="note">{line(remark)}</p>\n' for remark in remarks),
            _list(check),
            self._output(check, alone=len(group.checks) == 1),
            "</article>\n",
        ]
        return "".join(parts)

    def _output(self, check: CheckResult, *, alone: bool) -> str:
        said = "\n".join(filter(None, (each.strip("\n") for each in (check.stdout, check.stderr))))
        if not said:
            return ""
        self._room -= len(said)
        if self._room < 0:
            return '<p class="note">What the compiler said is left out: the page would be too large.</p>\n'
        cut = len(said) > MOST_OUTPUT or check.result.truncated
        more = '<p class="note">It said more than is shown.</p>' if cut else ""
        title = "The compiler's own words" + ("" if alone else f", those of {line(check.toolchain)}")
        is_open = "" if any(each.severity in SIGNS for each in check.diagnostics) else " open"
        quoted = f'<pre tabindex="0" role="group" aria-label="{title}">{text(said[:MOST_OUTPUT])}</pre>'
        return f"<details{is_open}><summary>{title}</summary>{quoted}{more}</details>\n"


def _list(check: CheckResult) -> str:
    """Errors and warnings. The notes between them, a template has hundreds, are in the compiler's own words."""
    shown = [each for each in check.diagnostics if each.severity in SIGNS]
    if not shown:
        return ""
    items = [_item(each) for each in shown[:MOST_SHOWN]]
    if (more := len(shown) - MOST_SHOWN) > 0:
        items.append(f'<li><span class="more">and {plural(more, "more message")}</span></li>\n')
    return f'<ol class="messages">\n{"".join(items)}</ol>\n'


def _item(diagnostic: Diagnostic) -> str:
    sign, style = SIGNS[diagnostic.severity]
    path = relative(diagnostic.path) if diagnostic.path else None
    where = ":".join(str(each) for each in (path, diagnostic.line, diagnostic.column) if each is not None)
    parts = [
        f'<span class="severity {style}"><span aria-hidden="true">{sign}</span> {line(diagnostic.severity)}</span>',
        f'<span class="where">{line(where)}</span>',
        f'<span class="text">{text(diagnostic.message)}</span>',
    ]
    if diagnostic.code:
        parts.append(f"<code>{line(diagnostic.code)}</code>")
    return f"<li>{' '.join(parts)}</li>\n"
