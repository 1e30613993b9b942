"""What the go command and the Go compiler print, as diagnostics. Any bytes at all give an answer."""

from __future__ import annotations

import re

from willitcompile.languages import Messages
from willitcompile.languages.paths import as_named
from willitcompile.model import Diagnostic

_PLACED = re.compile(r"(?:vet: )?(?P<path>[^:]*[^:\s]):(?P<line>\d{1,9})(?::(?P<column>\d{1,9}))?: (?P<message>.*)")
# It names a package that is imported before the place that imports it.
_PACKAGE = re.compile(r"(?:package )?[\w./~-]+: (?=[^:\s][^:]*\.go:\d)")
_SILENT = ("go: downloading ", "go: finding ", "go: warning: ")
# Of Go before 1.21, once more about an import that it has complained of.
_REPEATED = re.compile(r"go build \S+: no Go files in ?")


def messages(stdout: bytes, stderr: bytes, prefix: str) -> Messages:
    """Read what a compile printed. See `Language.messages`."""
    text = stderr.decode("utf-8", "backslashreplace")
    kept = [line for line in text.split("\n") if not _REPEATED.fullmatch(line)]
    if not any(kept):
        kept = text.split("\n")
    return Messages(stdout.decode("utf-8", "backslashreplace"), "\n".join(kept), _diagnostics(kept, prefix))


def _diagnostics(lines: list[str], prefix: str) -> tuple[Diagnostic, ...]:
    found: list[Diagnostic] = []
    unplaced: list[str] = []
    continues: list[str] = []
    in_package = False
    for line in lines:
        inner = line.removeprefix("\t")
        placed = _PLACED.match(inner) if len(inner) < 10_000 else None
        if placed is None and (importing := _PACKAGE.match(inner)):
            placed = _PLACED.match(inner, importing.end())
        if placed is not None:
            _finish(found, continues)
            is_note = line.startswith("\t") and bool(found) and not in_package
            found.append(_placed(placed, "note" if is_note else "error", prefix))
        elif line.startswith("\t") and found and not in_package:
            continues.append(line)
        elif line and not line.startswith(("# ", "\t", *_SILENT)) and line != "too many errors":
            in_package = line.startswith("package ")
            if line.startswith("note: ") and found:
                found.append(Diagnostic(None, None, None, "note", None, line.removeprefix("note: ")))
            else:
                unplaced.append(line)
        elif line.startswith("\t") and unplaced and len(unplaced) < 20:
            unplaced.append(line)
    _finish(found, continues)
    if unplaced and not found:
        # The errors of the go command itself and of the linker, which are about no line.
        text = "\n".join(unplaced[:20])
        found.append(Diagnostic(None, None, None, "error", None, text.removeprefix("go: ")))
    return tuple(found)


def _placed(place: re.Match[str], severity: str, prefix: str) -> Diagnostic:
    return Diagnostic(
        as_named(place["path"], prefix),
        int(place["line"]),
        int(place["column"]) if place["column"] else None,
        severity,
        None,
        place["message"],
    )


def _finish(found: list[Diagnostic], continues: list[str]) -> None:
    """Give the last diagnostic the lines that continue it."""
    if found and continues:
        found[-1] = found[-1]._replace(message="\n".join((found[-1].message, *continues)))
    continues.clear()
