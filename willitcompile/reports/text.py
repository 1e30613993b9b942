"""For people: the compiler's own message, then one line that says how it ended, in words."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from willitcompile.errors import WillItCompileError
from willitcompile.model import Verdict
from willitcompile.reports import color, units
from willitcompile.reports.safe import safe, safe_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from willitcompile.model import CheckResult, CompileResult, Limits
    from willitcompile.reports import Style

_COLORS = {Verdict.COMPILED: color.GREEN, Verdict.REJECTED: color.RED}


def render(results: Iterable[CheckResult], style: Style) -> Iterator[str]:
    """See `willitcompile.reports.Report`."""
    counts: Counter[Verdict] = Counter()
    sources: set[str] = set()
    try:
        for check in results:
            if not counts and not style.quiet:
                yield f"backend: {safe_line(check.backend)} ({safe_line(check.result.isolation)})\n"
            counts[check.verdict] += 1
            sources.add(check.source)
            if not (style.quiet and check.verdict is Verdict.COMPILED):
                yield "".join(f"{line}\n" for line in _lines(check, style))
    except WillItCompileError:
        yield _tally(counts, len(sources), style)
        raise
    yield _tally(counts, len(sources), style)


def _lines(check: CheckResult, style: Style) -> Iterator[str]:
    for said in (check.stdout, check.stderr):
        if said:
            text = safe(said).rstrip("\n")
            yield color.paint_message(text) if style.color else text
    if check.result.truncated:
        yield "(the compiler printed more than is shown)"
    yield _summary(check, style)
    for line in _explanation(check.result, check.limits):
        yield f"  {line}"
    for note in check.notes:
        yield f"  note: {safe_line(note)}"
    if style.verbose:
        for line in _details(check):
            yield f"  {line}"


def _summary(check: CheckResult, style: Style) -> str:
    verdict: str = check.verdict
    if style.color:
        verdict = color.paint(verdict, _COLORS.get(check.verdict, color.YELLOW))
    verdict += "".join(
        f", {_plural(count, severity)}"
        for severity in ("error", "warning")
        if (count := sum(each.severity == severity for each in check.diagnostics))
    )
    duration = "cached" if check.cached else units.seconds(check.result.duration_seconds)
    how = (check.toolchain, check.standard, f"{check.backend}/{check.result.isolation}", duration)
    return f"{safe_line(check.source)}: {verdict} ({', '.join(map(safe_line, how))})"


def _explanation(result: CompileResult, limits: Limits) -> Iterator[str]:
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


def _details(check: CheckResult) -> Iterator[str]:
    result = check.result
    yield f"language: {safe_line(check.language)}"
    yield f"compiler: {safe_line(result.compiler)}"
    if result.image:
        yield f"image: {safe_line(result.image)}"
    if result.exit_code is not None:
        yield f"exit code: {result.exit_code}"
    if result.peak_memory_bytes:  # a compile of milliseconds may be over before it is looked at
        yield f"peak memory: {units.size(result.peak_memory_bytes)}"


def _tally(counts: Counter[Verdict], sources: int, style: Style) -> str:
    total = sum(counts.values())
    if total < 2 or style.quiet:
        return ""
    what = _plural(total, "file") if sources == total else f"{_plural(sources, 'file')}, {total} checks"
    return f"{what}: {', '.join(f'{counts[verdict]} {verdict}' for verdict in Verdict if counts[verdict])}\n"


def _plural(count: int, what: str) -> str:
    return f"{count} {what}{'s' if count != 1 else ''}"
