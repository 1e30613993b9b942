"""For GitHub Actions: annotations, as the commands `::error …::` that a step prints.

See https://docs.github.com/actions/reference/workflow-commands-for-github-actions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from willitcompile.errors import WillItCompileError
from willitcompile.reports.findings import findings
from willitcompile.reports.safe import safe, safe_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from willitcompile.model import CheckResult
    from willitcompile.reports import Style
    from willitcompile.reports.findings import Finding

_DATA = str.maketrans({"%": "%25", "\r": "%0D", "\n": "%0A"})
_PROPERTY = str.maketrans({"%": "%25", "\r": "%0D", "\n": "%0A", ":": "%3A", ",": "%2C"})


def render(results: Iterable[CheckResult], style: Style) -> Iterator[str]:  # noqa: ARG001 - the same for all
    """See `willitcompile.reports.Report`."""
    try:
        for finding in findings(results):
            yield _annotation(finding) if finding else ""
    except WillItCompileError as error:
        yield _command("error", f"{error}\ntry: {error.remedy}", title="will-it-compile")
        raise


def _annotation(finding: Finding) -> str:
    place: dict[str, object] = {"file": finding.path}
    if finding.line:
        place["line"] = finding.line
        if finding.column:
            place["col"] = finding.column
    title = f"{finding.rule} ({finding.told_by or finding.compiles[0]})" if finding.compiles else finding.rule
    return _command(finding.level, finding.message, **place, title=title)


def _command(name: str, message: str, **properties: object) -> str:
    said = ",".join(f"{key}={safe_line(str(value)).translate(_PROPERTY)}" for key, value in properties.items())
    return f"::{name} {said}::{safe(message).translate(_DATA)}\n"
