"""For programs: one JSON document, version 1. Fields are added, never changed; docs/json.md tells each.

It is pure ASCII, valid whatever the compiler printed, and written as the results come, so that it is never
held in memory: `summary` stands behind the results, and `error` last, where there was one.
"""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING

from willitcompile.errors import WillItCompileError
from willitcompile.model import Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from willitcompile.model import CheckResult, Diagnostic
    from willitcompile.reports import Style

VERSION = 1


def render(results: Iterable[CheckResult], style: Style) -> Iterator[str]:  # noqa: ARG001 - the same for all
    """See `willitcompile.reports.Report`."""
    counts: Counter[Verdict] = Counter()
    yield f'{{"version": {VERSION},\n "results": ['
    try:
        for check in results:
            yield (",\n  " if counts else "\n  ") + dumps(as_dict(check))
            counts[check.verdict] += 1
    except WillItCompileError as error:
        yield _end(counts, error)
        raise
    yield _end(counts, None)


def _end(counts: Counter[Verdict], error: WillItCompileError | None) -> str:
    end = f'],\n "summary": {dumps({str(verdict): counts[verdict] for verdict in Verdict})}'
    if error:
        said = {"asked": error.asked, "obstacle": error.obstacle, "remedy": error.remedy}
        end += f',\n "error": {dumps(said)}'
    return end + "}\n"


def as_dict(check: CheckResult) -> dict[str, object]:
    """One element of `results`."""
    result = check.result
    return {
        "source": check.source,
        "language": check.language,
        "toolchain": check.toolchain,
        "standard": check.standard,
        "verdict": str(check.verdict),
        "exit_code": result.exit_code,
        "duration_seconds": round(result.duration_seconds, 6),
        "cached": check.cached,
        "backend": check.backend,
        "isolation": result.isolation,
        "compiler": result.compiler,
        "image": result.image,
        "stdout": check.stdout,
        "stderr": check.stderr,
        "truncated": result.truncated,
        "diagnostics": [_diagnostic(each) for each in check.diagnostics],
        "limit": result.limit,
        "signal": result.signal,
        # A compile of milliseconds may be over before it is looked at.
        "peak_memory_bytes": result.peak_memory_bytes or None,
        "notes": list(check.notes),
        "expected": _expected(check),
        "hint": check.hint,
        "path": check.path,
        "line": check.line,
    }


def _expected(check: CheckResult) -> dict[str, object] | None:
    if check.expected is None:
        return None
    return {"verdict": str(check.expected.verdict), "text": check.expected.text, "met": check.is_as_expected}


def _diagnostic(diagnostic: Diagnostic) -> dict[str, object]:
    return {
        "path": diagnostic.path,
        "line": diagnostic.line,
        "column": diagnostic.column,
        "severity": diagnostic.severity,
        "code": diagnostic.code,
        "message": diagnostic.message,
        "fixits": [
            {
                "path": fixit.path,
                "start_line": fixit.start_line,
                "start_column": fixit.start_column,
                "end_line": fixit.end_line,
                "end_column": fixit.end_column,
                "text": fixit.text,
            }
            for fixit in diagnostic.fixits
        ],
    }


def dumps(value: object) -> str:
    r"""As ASCII. A lone surrogate has no place in valid JSON: a byte of a name that is not UTF-8 becomes
    `\xff`, as elsewhere in results, and any other is named by its number.

    >>> dumps("caf\u00e9 \udcff")
    '"caf\\u00e9 \\\\xff"'
    """
    return json.dumps(_encodable(value))


def _encodable(value: object) -> object:
    match value:
        case str():
            try:
                value.encode()
            except UnicodeEncodeError:
                return "".join(map(_character, value))
            return value
        case dict():
            return {key: _encodable(item) for key, item in value.items()}
        case list():
            return [_encodable(item) for item in value]
    return value


def _character(character: str) -> str:
    code = ord(character)
    if not 0xD800 <= code <= 0xDFFF:
        return character
    return f"\\x{code - 0xDC00:02x}" if 0xDC80 <= code <= 0xDCFF else f"\\u{code:04x}"
