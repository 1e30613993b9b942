"""How a compile ended, in the words that all reports use."""

from __future__ import annotations

from typing import TYPE_CHECKING

from willitcompile.model import Verdict
from willitcompile.reports import units
from willitcompile.reports.safe import safe_line

if TYPE_CHECKING:
    from collections.abc import Iterator

    from willitcompile.model import CheckResult, CompileResult, Limits


def ending(check: CheckResult) -> str:
    """The verdict, and what the source has to say to it: `rejected`, `compiled, but the source expects rejected`."""
    expected = check.expected
    if expected is None:
        return check.verdict
    if check.is_as_expected:
        return f"{check.verdict} as expected"
    if check.verdict is expected.verdict:
        return f'{check.verdict}, but without "{safe_line(expected.text)}"'
    return f"{check.verdict}, but the source expects {expected.verdict}"


def cell(check: CheckResult) -> str:
    """The same in few words, for a table: `rejected`, `rejected (expected)`, `compiled (unexpected)`."""
    if check.expected is None or (check.is_as_expected and check.verdict is Verdict.COMPILED):
        return check.verdict
    return f"{check.verdict} ({'expected' if check.is_as_expected else 'unexpected'})"


def explanation(result: CompileResult, limits: Limits) -> Iterator[str]:
    """What ended a compile other than the compiler, and what to type about it."""
    match result.verdict, result.limit:
        case Verdict.TIMEOUT, _:
            more = f"{min(limits.wall_seconds * 2, 86_400):g}"
            yield f"stopped after {units.seconds(limits.wall_seconds)}; for more time: --timeout {more}"
        case Verdict.OUT_OF_MEMORY, _:
            more = units.typed_size(limits.memory_bytes * 2)
            yield f"it needs more than {units.size(limits.memory_bytes)} of memory; for more: --memory {more}"
        case Verdict.OUTPUT_LIMIT, "file-size":
            yield f"it wrote a file of more than {units.size(limits.file_bytes)}"
        case Verdict.OUTPUT_LIMIT, _:
            more = units.typed_size(limits.output_bytes * 2)
            yield f"it printed more than {units.size(limits.output_bytes)}; for more: --max-output {more}"
        case Verdict.CRASHED, "processes":
            yield f"it needs more than {limits.processes} processes and threads"
        case Verdict.CRASHED, _:
            how = f"signal {result.signal}" if result.signal else f"exit code {result.exit_code}"
            yield f"the compiler itself died ({how}): this is a bug of the compiler, not a rejection"
