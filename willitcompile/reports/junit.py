"""For CI servers: JUnit XML, as Jenkins, GitLab and others read. A suite for each source, a case for each compile.

It keeps to the schema of Jenkins' xUnit plugin, junit-10.xsd.
"""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from willitcompile.errors import WillItCompileError
from willitcompile.model import Verdict
from willitcompile.reports.groups import by_source
from willitcompile.reports.places import relative
from willitcompile.reports.safe import safe, safe_line
from willitcompile.reports.words import ending, explanation

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from willitcompile.model import CheckResult
    from willitcompile.reports import Style

MOST_OUTPUT = 64_000
"""Characters of what one compiler said. Servers keep reports for years."""

FAILURES = frozenset({Verdict.COMPILED, Verdict.REJECTED})
"""What is a failure, where it should be otherwise: an answer of the compiler. All else is an error."""


def render(results: Iterable[CheckResult], style: Style) -> Iterator[str]:  # noqa: ARG001 - the same for all
    """See `willitcompile.reports.Report`."""
    yield '<?xml version="1.0" encoding="UTF-8"?>\n<testsuites name="will-it-compile">\n'
    try:
        for checks in by_source(results):
            yield _suite(checks) if checks else ""
    except WillItCompileError as error:
        problem = _problem("error", type(error).__name__, f"{error.asked}: {error.obstacle}", f"try: {error.remedy}")
        case = _case("will-it-compile", "check", 0, problem)
        yield f"{_head('will-it-compile', 1, 0, 1, 0)}{case} </testsuite>\n</testsuites>\n"
        raise
    yield "</testsuites>\n"


def _suite(checks: list[CheckResult]) -> str:
    bad = [check for check in checks if not check.is_as_expected]
    failures = sum(check.verdict in FAILURES for check in bad)
    seconds = sum(check.result.duration_seconds for check in checks)
    head = _head(relative(checks[0].source), len(checks), failures, len(bad) - failures, seconds)
    return f"{head}{''.join(map(_check, checks))} </testsuite>\n"


def _check(check: CheckResult) -> str:
    output = _output(check)
    if check.is_as_expected:
        inside = f"   <system-err>{output}</system-err>\n" if output else ""
    else:
        first = next((each.message for each in check.diagnostics if each.severity == "error"), "")
        told = ": ".join(filter(None, [ending(check), *explanation(check.result, check.limits), first]))
        kind = "failure" if check.verdict in FAILURES else "error"
        inside = _problem(kind, check.verdict, told, "\n".join([told, *check.notes]), output)
    name = f"{check.toolchain} {check.standard}"
    return _case(relative(check.source), name, check.result.duration_seconds, inside)


def _head(name: str, tests: int, failures: int, errors: int, seconds: float) -> str:
    counts = f'tests="{tests}" failures="{failures}" errors="{errors}" skipped="0" time="{seconds:.3f}"'
    return f' <testsuite name="{_attribute(name)}" {counts}>\n'


def _case(source: str, name: str, seconds: float, inside: str) -> str:
    head = f'  <testcase classname="{_attribute(source)}" name="{_attribute(name)}" time="{seconds:.3f}"'
    return f"{head}>\n{inside}  </testcase>\n" if inside else f"{head}/>\n"


def _problem(kind: str, type_: str, message: str, text: str, output: str = "") -> str:
    inside = "\n".join(filter(None, [escape(safe(text)), output]))
    return f'   <{kind} type="{_attribute(type_)}" message="{_attribute(message[:1000])}">{inside}</{kind}>\n'


def _output(check: CheckResult) -> str:
    """What the compiler said, with every character that XML has no place for shown by its number."""
    said = "\n".join(filter(None, (safe(text).strip("\n") for text in (check.stdout, check.stderr))))
    return escape(said if len(said) <= MOST_OUTPUT else f"{said[:MOST_OUTPUT]}\n(it said more)")


def _attribute(text: str) -> str:
    return escape(safe_line(text))
