r"""What the service tells its operator: one line for each event, on stderr.

    {"time": "2026-01-31T09:15:00.123Z", "level": "info", "message": "answered", "job": "5d0c…", "verdict": "compiled"}
    2026-01-31T09:15:00.123Z info answered job=5d0c… verdict=compiled

Names of sources and headers come from strangers: nothing in them can end a line, begin another, or reach the terminal
as an escape sequence. Tokens, sources and what compilers print are never logged.
"""

from __future__ import annotations

import json
import logging
import math
import re
import sys
from datetime import UTC, datetime
from types import MappingProxyType
from typing import TYPE_CHECKING

from willitcompile.reports.json import dumps
from willitcompile.reports.safe import safe, safe_line

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import TextIO

FORMATS = ("json", "text")
LEVELS = ("debug", "info", "warning", "error")

NAME = "willitcompile"
"""The logger above all of ours."""

MOST_CHARACTERS = 1000
"""Of a message or a field; a longer one is cut."""
MOST_TRACEBACK = 20_000

_PLAIN = re.compile(r"[\w.:/@+%-]+", re.ASCII)
_RESERVED = frozenset({"time", "level", "message", "logger", "exception"})

_log = logging.getLogger(f"{NAME}.server")


def say(
    message: str,
    level: int = logging.INFO,
    *,
    fields: Mapping[str, object] = MappingProxyType({}),
    raised: BaseException | None = None,
) -> None:
    """Log an event: `say("answered", fields={"job": check.id, "verdict": "compiled"})`.

    Fields that are None are left out. `raised` adds its traceback.
    """
    _log.log(level, "%s", message, extra={"fields": fields}, exc_info=raised)


def setup(form: str, level: str = "info", stream: TextIO | None = None) -> None:
    """Send what this process logs, uvicorn and other libraries too, to `stream` (stderr) as `json` or `text`.

    Of libraries only warnings are told, unless the level is `debug`. Start uvicorn with `log_config=None`.
    """
    root = logging.getLogger()
    for handler in tuple(root.handlers):
        if isinstance(handler, _Handler):
            root.removeHandler(handler)
    handler = _Handler(sys.stderr if stream is None else stream)
    handler.setFormatter(_Json() if form == "json" else _Text())
    root.addHandler(handler)
    ours = getattr(logging, level.upper())
    root.setLevel(max(ours, logging.WARNING))
    logging.getLogger(NAME).setLevel(ours)
    logging.getLogger("uvicorn").setLevel(logging.INFO if ours <= logging.DEBUG else max(ours, logging.WARNING))
    # Our own line for a request has more in it, and its path made safe.
    logging.getLogger("uvicorn.access").disabled = True


class _Handler(logging.StreamHandler["TextIO"]):
    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the name it has in logging
        """A log that cannot be written, as to a pipe that nobody reads any more, is no reason to fail."""


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": _time(record),
            "level": _level(record),
            "message": _cut(_message(record)),
        }
        line |= dict(_fields(record))
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)[-MOST_TRACEBACK:]
        return dumps(line)


class _Text(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        fields = "".join(f" {name}={_shown(value)}" for name, value in _fields(record))
        line = f"{_time(record)} {_level(record)} {safe_line(_cut(_message(record)))}{fields}"
        if not record.exc_info:
            return line
        # Each line of it is set in, so that a message within cannot pass for a line of the log.
        traceback = safe(self.formatException(record.exc_info)[-MOST_TRACEBACK:])
        return "\n    ".join([line, *traceback.split("\n")])


def _time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _level(record: logging.LogRecord) -> str:
    return record.levelname.lower()


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception:  # noqa: BLE001 - a library's own slip must not lose its line
        return str(record.msg)


def _fields(record: logging.LogRecord) -> Iterator[tuple[str, object]]:
    if not record.name.startswith(NAME):
        yield "logger", record.name
    fields = getattr(record, "fields", {})
    for name, value in fields.items():
        if value is not None and name not in _RESERVED:
            yield name, _simple(value)


def _simple(value: object) -> object:
    """As JSON can have it."""
    if isinstance(value, float):
        return round(value, 6) if math.isfinite(value) else str(value)
    return value if isinstance(value, bool | int) else _cut(str(value))


def _cut(text: str) -> str:
    return text if len(text) <= MOST_CHARACTERS else text[:MOST_CHARACTERS] + "…"


def _shown(value: object) -> str:
    r"""
    >>> _shown(0.25), _shown("gcc-12"), _shown("my file.c"), _shown('"'), _shown("a\nb=c")
    ('0.25', 'gcc-12', '"my file.c"', '"\\""', '"a\\\\nb=c"')
    """
    text = safe_line(value) if isinstance(value, str) else json.dumps(value)
    return text if _PLAIN.fullmatch(text) else '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
