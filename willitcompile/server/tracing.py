"""Spans for OpenTelemetry, where the usual variables ask for them:

    check            the request that submitted it; its parent is the caller's, by `traceparent`
    ├── queue        until it starts
    └── backend      setting up, compiling, clearing away
        └── compile  the compiler alone

Over the queue goes the check's own `traceparent`, as a text (`Check.trace`): what is stored, and run again after a
restart or by another replica, stays part of its trace.
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from willitcompile.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from contextlib import AbstractContextManager

Attributes = dict[str, str | bool | int | float]

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
_EXPORTER = "OTEL_TRACES_EXPORTER"

# https://www.w3.org/TR/trace-context/#traceparent-header: neither id may be all noughts.
_TRACEPARENT = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")


class Tracing(Protocol):
    """Thread-safe. No time is lost on spans: they are sent from another thread, and dropped where that cannot be."""

    def submission(self, traceparent: str | None) -> AbstractContextManager[str | None]:
        """The span `check`, around what accepts a check: gives what is to be its `Check.trace`."""

    def submitted(self, attributes: Attributes) -> None:
        """What the check is, told within `submission`."""

    def started(self, trace: str, waited_seconds: float, attributes: Attributes) -> None:
        """The span `queue`, which ends now."""

    def answered(self, trace: str, seconds: float, compile_seconds: float | None, attributes: Attributes) -> None:
        """The spans `backend` and `compile`, which end now. `compile_seconds` is None where there is no answer."""

    def close(self) -> None:
        """Send what is left, or give up after a few seconds."""


class Untraced:
    """No spans; the caller's trace is handed on as it is."""

    @contextmanager
    def submission(self, traceparent: str | None) -> Iterator[str | None]:
        yield traceparent if trace_id(traceparent) else None

    def submitted(self, attributes: Attributes) -> None:
        pass

    def started(self, trace: str, waited_seconds: float, attributes: Attributes) -> None:
        pass

    def answered(self, trace: str, seconds: float, compile_seconds: float | None, attributes: Attributes) -> None:
        pass

    def close(self) -> None:
        pass


def trace_id(traceparent: str | None) -> str | None:
    """The trace that a `traceparent` names; None where it is none.

    >>> trace_id("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
    '4bf92f3577b34da6a3ce929d0e0e4736'
    """
    match = _TRACEPARENT.fullmatch(traceparent or "")
    return match[1] if match else None


def tracer(environment: Mapping[str, str], version: str) -> Tracing:
    """As OTEL_TRACES_EXPORTER (`otlp`, `console`, `none`) and OTEL_EXPORTER_OTLP_ENDPOINT say; nothing is imported
    where neither asks for spans. The variables that the SDK reads itself, it reads from the process.

    Raises ConfigError where they ask for what cannot be had.
    """
    exporter = environment.get(_EXPORTER, "").strip()
    is_disabled = environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"
    if is_disabled or exporter == "none" or not (exporter or any(environment.get(name) for name in _ENDPOINTS)):
        return Untraced()
    if exporter not in {"", "otlp", "console"}:
        raise ConfigError(
            f"{_EXPORTER}={exporter}", "it is none of otlp, console, none", f"set {_EXPORTER} to one of these"
        )
    for name in _PROTOCOLS:
        if environment.get(name, "http/protobuf").strip() not in {"", "http/protobuf"}:
            raise ConfigError(
                f"{name}={environment[name]}",
                "spans are sent as http/protobuf only",
                f"unset {name}, and name the collector's HTTP port, usually 4318",
            )
    try:
        from willitcompile.server import spans
    except ImportError as error:
        raise ConfigError(
            "send spans, as OTEL_… variables ask for",
            f"{error.name} is not installed",
            "in a checkout of will-it-compile: pip install '.[otel]'; or set OTEL_TRACES_EXPORTER=none",
        ) from error
    return spans.Spans(spans.provider(exporter or "otlp", version))
