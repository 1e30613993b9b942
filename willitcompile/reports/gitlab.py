"""For GitLab's merge requests: a Code Quality report.

See https://docs.gitlab.com/ci/testing/code_quality/#code-quality-report-format.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from willitcompile.errors import WillItCompileError
from willitcompile.reports.findings import findings
from willitcompile.reports.json import dumps

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from willitcompile.model import CheckResult
    from willitcompile.reports import Style
    from willitcompile.reports.findings import Finding

SEVERITIES = {"error": "critical", "warning": "minor"}
"""GitLab's own, of `info`, `minor`, `major`, `critical` and `blocker`."""


def render(results: Iterable[CheckResult], style: Style) -> Iterator[str]:  # noqa: ARG001 - the same for all
    """See `willitcompile.reports.Report`. The format has no place for an error that the results end in."""
    separator = "\n "
    yield "["
    try:
        for finding in findings(results):
            if finding is None:
                yield ""
                continue
            yield separator + dumps(_violation(finding))
            separator = ",\n "
    except WillItCompileError:
        yield "\n]\n"
        raise
    yield "\n]\n"


def _violation(finding: Finding) -> dict[str, object]:
    return {
        "description": finding.message + (f" ({finding.told_by})" if finding.told_by else ""),
        "check_name": finding.rule,
        "fingerprint": finding.fingerprint,
        "severity": SEVERITIES[finding.level],
        "location": {"path": finding.path, "lines": {"begin": finding.line or 1}},
    }
