"""For code scanning: SARIF 2.1.0 (https://docs.oasis-open.org/sarif/sarif/v2.1.0/), as GitHub, editors and others read.

Numbers in brackets are sections of that standard. Results are written as they come; what is known only at the end,
the rules and how the run ended, stands behind them.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING
from urllib.parse import quote

from willitcompile import __version__
from willitcompile.errors import WillItCompileError
from willitcompile.model import Verdict
from willitcompile.reports.findings import EXPECTATION, findings
from willitcompile.reports.json import dumps

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from willitcompile.model import CheckResult, FixIt
    from willitcompile.reports import Style
    from willitcompile.reports.findings import Finding, Fix, Note

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"

BASE = "SRCROOT"
"""What relative paths begin at. Nothing says where that is on this machine: readers lay it over their own tree."""

MOST_RULES = 1_000
"""A source can make up names of warnings. Those after so many are all the one rule `other`."""

OTHER = "other"

RULES = {
    "error": "The compiler rejects it.",
    "warning": "The compiler warns of it.",
    Verdict.REJECTED: "The compiler rejects it, and names no place.",
    Verdict.TIMEOUT: "The compile took longer than it may.",
    Verdict.OUT_OF_MEMORY: "The compile needs more memory than it may use.",
    Verdict.OUTPUT_LIMIT: "The compile writes more than it may.",
    Verdict.CRASHED: "The compiler itself died.",
    EXPECTATION: "It did not end as the source says that it would.",
    "more": "There is more than the report holds.",
    OTHER: "A message of the compiler.",
}
"""What we say of the rules that are ours."""

_LINK = re.compile(r"[\[\]]")


def render(results: Iterable[CheckResult], style: Style) -> Iterator[str]:  # noqa: ARG001 - the same for all
    """See `willitcompile.reports.Report`."""
    rules: dict[str, int] = {}
    separator = "\n  "
    yield f'{{"$schema": "{SCHEMA}",\n "version": "2.1.0",\n "runs": [{{"results": ['
    try:
        for finding in findings(results):
            if finding is None:
                yield ""
                continue
            yield separator + dumps(_result(finding, rules))
            separator = ",\n  "
    except WillItCompileError as error:
        yield _end(rules, error)
        raise
    yield _end(rules, None)


def _end(rules: dict[str, int], error: WillItCompileError | None) -> str:
    invocation: dict[str, object] = {"executionSuccessful": error is None}
    if error:
        text = f"{error}; try: {error.remedy}"
        invocation["toolExecutionNotifications"] = [{"level": "error", "message": _message(text)}]
    driver = {
        "name": "will-it-compile",
        "version": __version__,
        "semanticVersion": __version__,
        "rules": [_rule(name) for name in rules],
    }
    rest = {
        "tool": {"driver": driver},
        "invocations": [invocation],
        "columnKind": "unicodeCodePoints",
        "originalUriBaseIds": {BASE: {"description": {"text": "The directory that the check was run in."}}},
    }
    return f"],\n  {dumps(rest)[1:]}]}}\n"


def _rule(name: str) -> dict[str, object]:
    text = RULES.get(name) or f"The compilers call it {name}."
    said = _message(text)
    return {"id": name, "shortDescription": said, "fullDescription": said, "help": said}


def _result(finding: Finding, rules: dict[str, int]) -> dict[str, object]:
    rule = finding.rule if finding.rule in rules or len(rules) < MOST_RULES else OTHER
    text = finding.message + (f"\n({finding.told_by})" if finding.told_by else "")
    result: dict[str, object] = {
        "ruleId": rule,
        "ruleIndex": rules.setdefault(rule, len(rules)),
        "level": finding.level,
        "message": _message(text),
        "locations": [{"physicalLocation": _place(finding.path, finding.line, finding.column)}],
        # GitHub's uploader adds what GitHub itself compares, a hash of the line and those around it.
        "partialFingerprints": {"message/v1": finding.fingerprint},
        "properties": {"compiles": list(finding.compiles)},
    }
    if finding.notes:
        result["relatedLocations"] = _unique(map(_related, finding.notes))
    if finding.fixes:
        result["fixes"] = _unique(map(_fix, finding.fixes))
    return result


def _unique(parts: Iterable[dict[str, object]]) -> list[dict[str, object]]:
    """A compiler may repeat itself; these arrays may not (3.27.22, 3.27.30)."""
    return list({dumps(part): part for part in parts}.values())


def _related(note: Note) -> dict[str, object]:
    location: dict[str, object] = {"message": _message(note.message)}
    if note.path:
        location["physicalLocation"] = _place(note.path, note.line, note.column)
    return location


def _place(path: str, line: int | None, column: int | None) -> dict[str, object]:
    place: dict[str, object] = {"artifactLocation": _artifact(path)}
    if line:
        place["region"] = {"startLine": line, **({"startColumn": column} if column else {})}
    return place


def _artifact(path: str) -> dict[str, object]:
    """A path as a URI (3.4.3): relative to our base, or that of a file of this machine."""
    uri = quote(os.fsencode(_encodable(path)), safe="/")
    return {"uri": f"file://{uri}"} if path.startswith("/") else {"uri": uri, "uriBaseId": BASE}


def _encodable(path: str) -> str:
    """With what no file name holds, a surrogate that stands for no byte, replaced."""
    return re.sub("[\ud800-\udc7f\udd00-\udfff]", "\ufffd", path)


def _fix(fix: Fix) -> dict[str, object]:
    files: dict[str, list[FixIt]] = {}
    for replacement in fix.replacements:
        files.setdefault(replacement.path, []).append(replacement)
    return {
        "description": _message(fix.description),
        "artifactChanges": [
            {"artifactLocation": _artifact(path), "replacements": [_replacement(each) for each in of_it]}
            for path, of_it in files.items()
        ],
    }


def _replacement(fixit: FixIt) -> dict[str, object]:
    region = {
        "startLine": fixit.start_line,
        "startColumn": fixit.start_column,
        "endLine": fixit.end_line,
        "endColumn": fixit.end_column,
    }
    return {"deletedRegion": region, "insertedContent": {"text": fixit.text}}


def _message(text: str) -> dict[str, object]:
    """A plain text message: its braces are doubled (3.11.5), and nothing in it is a link (3.11.6)."""
    text = text.replace("{", "{{").replace("}", "}}")
    return {"text": _LINK.sub(r"\\\g<0>", text) if "](" in text else text}
