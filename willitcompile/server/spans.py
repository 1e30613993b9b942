"""The spans themselves: see `willitcompile.server.tracing`. Needs the extra `otel`."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from opentelemetry import trace as api
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter
from opentelemetry.trace import SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from willitcompile.server.tracing import trace_id

if TYPE_CHECKING:
    from collections.abc import Iterator

    from willitcompile.server.tracing import Attributes

CLOSE_SECONDS = 3.0
"""How long the end waits for a collector that does not answer."""


def provider(exporter: str, version: str) -> TracerProvider:
    """`exporter` is `otlp` or `console`."""
    ours = Resource({"service.name": "will-it-compile", "service.version": version})
    # OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES stand above our own names.
    made = TracerProvider(
        resource=Resource.create().merge(ours).merge(OTELResourceDetector().detect()), shutdown_on_exit=False
    )
    made.add_span_processor(BatchSpanProcessor(ConsoleSpanExporter() if exporter == "console" else OTLPSpanExporter()))
    return made


class Spans:
    """See `willitcompile.server.tracing.Tracing`."""

    def __init__(self, provider: TracerProvider) -> None:
        self._provider = provider
        self._tracer = provider.get_tracer("willitcompile")
        self._propagator = TraceContextTextMapPropagator()

    @contextmanager
    def submission(self, traceparent: str | None) -> Iterator[str | None]:
        context = self._context(traceparent)
        with self._tracer.start_as_current_span(
            "check", context, SpanKind.SERVER, record_exception=False, set_status_on_exception=False
        ) as span:
            carrier: dict[str, str] = {}
            self._propagator.inject(carrier)
            try:
                yield carrier.get("traceparent")
            except Exception as error:
                # That a request was wrong, or one too many, is no fault of the service's: OpenTelemetry's own rule.
                if getattr(error, "status", 500) >= 500:
                    span.set_status(Status(StatusCode.ERROR))
                raise

    def submitted(self, attributes: Attributes) -> None:
        api.get_current_span().set_attributes(attributes)

    def started(self, trace: str, waited_seconds: float, attributes: Attributes) -> None:
        end = time.time_ns()
        start = end - _nanoseconds(waited_seconds)
        self._tracer.start_span("queue", self._context(trace), attributes=attributes, start_time=start).end(end)

    def answered(self, trace: str, seconds: float, compile_seconds: float | None, attributes: Attributes) -> None:
        end = time.time_ns()
        start = end - _nanoseconds(seconds)
        backend = self._tracer.start_span("backend", self._context(trace), attributes=attributes, start_time=start)
        if compile_seconds is None:
            backend.set_status(Status(StatusCode.ERROR))
        else:
            # Setting up comes first, and takes the most of what is not the compile.
            began = max(start, end - _nanoseconds(compile_seconds))
            context = api.set_span_in_context(backend, Context())
            self._tracer.start_span("compile", context, attributes=attributes, start_time=began).end(end)
        backend.end(end)

    def close(self) -> None:
        # To one that does not answer, the SDK would go on sending for 30 seconds.
        closing = threading.Thread(target=self._provider.shutdown, daemon=True)
        closing.start()
        closing.join(CLOSE_SECONDS)

    def _context(self, traceparent: str | None) -> Context:
        # The propagator's own judgement lets a newline at the end pass.
        carrier = {"traceparent": traceparent} if traceparent and trace_id(traceparent) else {}
        return self._propagator.extract(carrier, Context())


def _nanoseconds(seconds: float) -> int:
    return int(max(0.0, seconds) * 1e9)
