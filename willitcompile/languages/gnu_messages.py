"""What gcc, clang and the linkers print, as diagnostics. Any bytes at all give an answer, in linear time."""

from __future__ import annotations

import re

from willitcompile.languages import Messages
from willitcompile.languages.paths import as_named
from willitcompile.model import Diagnostic, FixIt

_SEVERITIES = {
    "fatal error": "error",
    "error": "error",
    "warning": "warning",
    "note": "note",
    "remark": "note",
    "internal compiler error": "error",
    "sorry, unimplemented": "error",
}
_SEVERITY = re.compile(rf"(?:^|: )({'|'.join(_SEVERITIES)}): ")
_PLACE = re.compile(r":(\d{1,9})(?::(\d{1,9}))?\Z")
_ECHO = re.compile(r" *\d* \|")
_FIXIT = re.compile(
    r'fix-it:"((?:[^"\\]|\\.)*+)":\{(\d{1,9}):(\d{1,9})-(\d{1,9}):(\d{1,9})\}:"((?:[^"\\]|\\.)*+)"\Z', re.DOTALL
)
_ESCAPE = re.compile(rb"\\([0-7]{1,3}|x[0-9A-Fa-f]{2}|.)", re.DOTALL)
_ESCAPES = {b"n": b"\n", b"t": b"\t", b"r": b"\r", b"a": b"\a", b"b": b"\b", b"f": b"\f", b"v": b"\v"}
_UNDEFINED = (": undefined reference to ", ": multiple definition of ")


def messages(stdout: bytes, stderr: bytes, prefix: str) -> Messages:
    """Read what a compile printed. See `Language.messages`."""
    text = stderr.decode("utf-8", "backslashreplace")
    kept: list[str] = []
    diagnostics: list[Diagnostic] = []
    fixits: dict[int, list[FixIt]] = {}
    for line in text.split("\n"):
        if line.startswith('fix-it:"'):
            fixit = _fixit(line.rstrip("\r"), prefix)
            if fixit is not None and diagnostics:
                fixits.setdefault(len(diagnostics) - 1, []).append(fixit)
            continue
        kept.append(line)
        diagnostic = _diagnostic(line.rstrip("\r"), prefix) if ": " in line else None
        if diagnostic is not None:
            diagnostics.append(diagnostic)
    for index, found in fixits.items():
        diagnostics[index] = diagnostics[index]._replace(fixits=tuple(found))
    return Messages(stdout.decode("utf-8", "backslashreplace"), "\n".join(kept), tuple(diagnostics))


def _diagnostic(line: str, prefix: str) -> Diagnostic | None:
    if _ECHO.match(line):
        return None
    found = _SEVERITY.search(line)
    if found is None:
        return _of_linker(line, prefix)
    message, code = _split_code(line[found.end() :])
    head = line[: found.start()]
    place = _PLACE.search(head[-20:])
    if place is None:
        # A program's own: `g++: error: …`, `collect2: error: …`, or a file without a line, which is rare.
        return Diagnostic(None, None, None, _SEVERITIES[found[1]], code, message)
    path = head[: len(head) - len(place[0])]
    return Diagnostic(
        as_named(path, prefix) if path else None,
        int(place[1]),
        int(place[2]) if place[2] else None,
        _SEVERITIES[found[1]],
        code,
        message,
    )


def _of_linker(line: str, prefix: str) -> Diagnostic | None:
    """`main.cpp:(.text+0x5): undefined reference to `f()'`, perhaps after the linker's own name."""
    for wording in _UNDEFINED:
        head, found, rest = line.partition(wording)
        if found:
            path, section, _ = head.partition(":(.")
            path = path.rpartition(": ")[2] if section else ""
            return Diagnostic(as_named(path, prefix) if path else None, None, None, "error", None, found[2:] + rest)
    return None


def _split_code(message: str) -> tuple[str, str | None]:
    """Cut `[-Wunused]`, `[-Werror=unused]` or `[-Werror,-Wunused]` from the end of a message."""
    if not message.endswith("]"):
        return message, None
    text, found, flags = message.rpartition(" [-")
    if not found or " " in flags or "[" in flags:
        return message, None
    names = [name for name in ("-" + flags[:-1]).split(",") if name != "-Werror"]
    if not names:
        return text, "-Werror"
    code = names[-1]
    return text, "-W" + code.removeprefix("-Werror=") if code.startswith("-Werror=") else code


def _fixit(line: str, prefix: str) -> FixIt | None:
    found = _FIXIT.match(line)
    if found is None:
        return None
    path, *numbers, text = found.groups()
    start_line, start_column, end_line, end_column = map(int, numbers)
    return FixIt(as_named(_unescaped(path), prefix), start_line, start_column, end_line, end_column, _unescaped(text))


def _unescaped(text: str) -> str:
    """Undo the compilers' quoting: octal for what is not ASCII, and C's escapes."""
    if "\\" not in text:
        return text

    def plain(found: re.Match[bytes]) -> bytes:
        escape = found[1]
        if escape[:1].isdigit():
            return bytes((int(escape, 8) & 0xFF,))
        if len(escape) == 3:
            return bytes((int(escape[1:], 16),))
        return _ESCAPES.get(escape, escape)

    data = text.encode("utf-8", "surrogateescape")
    return _ESCAPE.sub(plain, data).decode("utf-8", "backslashreplace")
