"""For people in a browser: one file that needs nothing else, no network and no script.

The matrix stands before the messages, and is known only when all of them are. So they go to a temporary file, and of
each compile no more is held than its cell shows. All that comes from sources and compilers is escaped, and the page's
own policy would let nothing of it run or load anything.
"""

from __future__ import annotations

import base64
import hashlib
from collections import Counter
from datetime import UTC, datetime
from importlib.resources import files
from tempfile import SpooledTemporaryFile
from typing import TYPE_CHECKING

from willitcompile import __version__
from willitcompile.errors import NoAnswer, WillItCompileError
from willitcompile.model import MIB, Verdict
from willitcompile.reports.groups import by_source
from willitcompile.reports.html.matrix import Row, cell, tables
from willitcompile.reports.html.messages import Messages
from willitcompile.reports.html.words import line, told, tone
from willitcompile.reports.places import relative

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from willitcompile.model import CheckResult
    from willitcompile.reports import Style

IN_MEMORY = 4 * MIB
"""Of messages. More are kept in a file until the page is written."""

MARK = (
    '<rect width="32" height="32" rx="8" fill="#2b59c3"/><path d="M8 17l5.5 5.5L24 10" fill="none" stroke="#fff"'
    ' stroke-width="3.6" stroke-linecap="round" stroke-linejoin="round"/></svg>'
)
ICON = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32">{MARK}'


def render(results: Iterable[CheckResult], style: Style) -> Iterator[str]:  # noqa: ARG001 - the same for all
    """See `willitcompile.reports.Report`."""
    rows: list[Row] = []
    toolchains: dict[str, str] = {}
    error: WillItCompileError | None = None
    messages = Messages()
    with SpooledTemporaryFile(IN_MEMORY, "w+", encoding="utf-8", newline="") as said:
        try:
            for checks in by_source(results):
                yield ""
                if checks:
                    groups = messages.groups(checks)
                    target = {id(check): group.target for group in groups for check in group.checks}
                    cells = tuple(cell(check, target[id(check)]) for check in checks)
                    rows.append(Row(relative(checks[0].source), checks[0].language, cells))
                    toolchains |= {check.toolchain: _about(check) for check in checks}
                    said.write(messages.section(checks[0].source, groups))
        except WillItCompileError as raised:
            error = raised
        except OSError as full:
            why = full.strerror or str(full)
            raise NoAnswer("make the html report", why, "make room where TMPDIR is, or set it") from None
        yield _head(rows, error)
        yield '<div class="tables">\n'
        yield from tables(rows)
        yield "</div>\n"
        said.seek(0)
        if piece := said.read(MIB):
            yield "<h2>Messages</h2>\n"
            while piece:
                yield piece
                piece = said.read(MIB)
        yield _end(toolchains)
    if error:
        raise error


def _about(check: CheckResult) -> str:
    result = check.result
    image = f", image {result.image}" if result.image else ""
    return f"{result.compiler} ({check.backend}/{result.isolation}{image})"


def _head(rows: Sequence[Row], error: WillItCompileError | None) -> str:
    css = files("willitcompile.reports.html").joinpath("page.css").read_text("utf-8")
    digest = base64.b64encode(hashlib.sha256(css.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; base-uri 'none'; form-action 'none'"
    icon = base64.b64encode(ICON.encode()).decode()
    named = f": {line(rows[0].source)}" if len(rows) == 1 else ""
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Will it compile?{named}</title>
<link rel="icon" href="data:image/svg+xml;base64,{icon}">
<style>{css}</style>
</head>
<body>
<header>
<h1><svg width="26" height="26" viewBox="0 0 32 32" aria-hidden="true">{MARK} Will it compile?</h1>
{_glance(rows)}{_error(error)}</header>
<main>
<h2 id="matrix">Matrix</h2>
"""


def _glance(rows: Sequence[Row]) -> str:
    counts = Counter((each.verdict, each.is_good) for row in rows for each in row.cells)
    order = [(verdict, is_good) for is_good in (True, False) for verdict in Verdict if counts[verdict, is_good]]
    chips = "".join(f'<li class="{tone(*each)}">{told(*each)} {counts[each]}</li>' for each in order)
    only = ""
    if len(rows) > 1 and len({is_good for _, is_good in order}) == 2:
        words = "Show only sources where something is wrong"
        only = f'<label class="only"><input type="checkbox" id="only"> {words}</label>\n'
    bar = _bar([(tone(*each), counts[each]) for each in order])
    return f'<p class="glance">{_summary(counts)}</p>\n{bar}<ul class="counts">{chips}</ul>\n{only}'


def _summary(counts: Counter[tuple[Verdict, bool]]) -> str:
    total = counts.total()
    if not total:
        return "Nothing was compiled"
    if total == 1:
        return told(*next(iter(counts)))
    good = sum(count for (_, is_good), count in counts.items() if is_good)
    # Where a source expects what happens to it, what compiles is not the same as what is right.
    is_plain = all(is_good is (verdict is Verdict.COMPILED) for verdict, is_good in counts)
    does = "compile" if is_plain else "are as expected"
    return f"All {total} {does}" if good == total else f"{good} of {total} {does}"


def _bar(parts: Sequence[tuple[str, int]]) -> str:
    """How much of all is what: a picture of what stands beside it in words."""
    total = sum(count for _, count in parts)
    if total < 2:
        return ""
    drawn, at = [], 0
    for style, count in parts:
        drawn.append(f'<rect class="{style}" x="{at}" width="{count}" height="1"/>')
        at += count
    head = f'<svg class="bar" viewBox="0 0 {total} 1" preserveAspectRatio="none" aria-hidden="true">'
    return f"{head}{''.join(drawn)}</svg>\n"


def _error(error: WillItCompileError | None) -> str:
    if error is None:
        return ""
    said = f"{line(error.asked)}: {line(error.obstacle)}. To mend it: {line(error.remedy)}"
    return f'<p class="notice bad" role="alert"><strong>This is not all that was asked.</strong> {said}</p>\n'


def _end(toolchains: dict[str, str]) -> str:
    facts = "".join(f"<dt>{line(name)}</dt><dd>{line(about)}</dd>\n" for name, about in toolchains.items())
    about = f'<h2>Toolchains</h2>\n<dl class="facts">\n{facts}</dl>\n' if toolchains else ""
    now = datetime.now(UTC)
    made = f'<time datetime="{now:%Y-%m-%dT%H:%M:%SZ}">{now:%Y-%m-%d %H:%M} UTC</time>'
    return f"{about}</main>\n<footer>Made by will-it-compile {__version__} on {made}.</footer>\n</body>\n</html>\n"
