"""Spans: of which trace, below which span, how long, and none where nobody asks."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from willitcompile.errors import ConfigError
from willitcompile.server import spans as spans_module
from willitcompile.server.desk import Refused
from willitcompile.server.spans import Spans
from willitcompile.server.tracing import Untraced, trace_id, tracer

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
CALLER = f"00-{TRACE}-00f067aa0ba902b7-01"
DROPPED = f"00-{TRACE}-00f067aa0ba902b7-00"
"""Of a caller that records nothing."""


class Recorder:
    def __init__(self) -> None:
        self.exporter = InMemorySpanExporter()
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.tracing = Spans(provider)

    def spans(self) -> dict[str, ReadableSpan]:
        return {span.name: span for span in self.exporter.get_finished_spans()}


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


def ids(span: ReadableSpan) -> tuple[str, str, str | None]:
    """(trace, span, parent)."""
    context = span.get_span_context()
    assert context is not None
    parent = None if span.parent is None else f"{span.parent.span_id:016x}"
    return f"{context.trace_id:032x}", f"{context.span_id:016x}", parent


def seconds(span: ReadableSpan) -> float:
    assert span.start_time is not None
    assert span.end_time is not None
    return (span.end_time - span.start_time) / 1e9


def test_a_check_is_one_trace_from_its_caller_to_its_compiler(recorder: Recorder) -> None:
    tracing = recorder.tracing
    with tracing.submission(CALLER) as trace:
        tracing.submitted({"check.id": "5d0c"})
    assert trace is not None
    tracing.started(trace, 2.0, {"toolchain": "gcc-12"})
    tracing.answered(trace, 0.5, 0.3, {"verdict": "compiled"})
    found = recorder.spans()
    check, queue, backend, compile_ = (ids(found[name]) for name in ("check", "queue", "backend", "compile"))
    assert {each[0] for each in (check, queue, backend, compile_)} == {TRACE}
    assert check[2] == "00f067aa0ba902b7"
    assert trace == f"00-{TRACE}-{check[1]}-01"
    assert queue[2] == backend[2] == check[1]
    assert compile_[2] == backend[1]
    assert found["check"].kind is SpanKind.SERVER
    assert dict(found["check"].attributes or {}) == {"check.id": "5d0c"}
    assert dict(found["queue"].attributes or {}) == {"toolchain": "gcc-12"}
    assert dict(found["compile"].attributes or {}) == {"verdict": "compiled"}


def test_spans_are_as_long_as_what_they_stand_for(recorder: Recorder) -> None:
    recorder.tracing.started(CALLER, 2.0, {})
    recorder.tracing.answered(CALLER, 0.5, 0.3, {})
    found = recorder.spans()
    assert {name: round(seconds(span), 6) for name, span in found.items()} == {
        "queue": 2.0,
        "backend": 0.5,
        "compile": 0.3,
    }
    assert found["compile"].end_time == found["backend"].end_time
    assert abs((found["queue"].end_time or 0) / 1e9 - time.time()) < 60


def test_a_compile_never_begins_before_its_backend(recorder: Recorder) -> None:
    recorder.tracing.answered(CALLER, 0.2, 5.0, {})
    found = recorder.spans()
    assert found["compile"].start_time == found["backend"].start_time


def test_what_has_no_answer_has_no_compile_and_is_an_error(recorder: Recorder) -> None:
    recorder.tracing.answered(CALLER, 0.2, None, {"verdict": "error"})
    found = recorder.spans()
    assert list(found) == ["backend"]
    assert found["backend"].status.status_code is StatusCode.ERROR


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (Refused(400, "the body is not a check"), StatusCode.UNSET),
        (Refused(503, "the disk is full"), StatusCode.ERROR),
        (ValueError("broken"), StatusCode.ERROR),
    ],
)
def test_only_our_own_faults_are_errors(recorder: Recorder, error: Exception, status: StatusCode) -> None:
    with pytest.raises(type(error)), recorder.tracing.submission(CALLER):
        raise error
    span = recorder.spans()["check"]
    assert span.status.status_code is status
    assert not span.events


@pytest.mark.parametrize(
    "traceparent",
    [None, "", "x", f"00-{'0' * 32}-00f067aa0ba902b7-01", f"ff{CALLER[2:]}", CALLER + "\n", "0" * 100_000],
)
def test_a_caller_without_a_trace_begins_a_new_one(recorder: Recorder, traceparent: str | None) -> None:
    with recorder.tracing.submission(traceparent) as trace:
        pass
    assert trace_id(trace) not in {None, TRACE}
    assert recorder.spans()["check"].parent is None


def test_submissions_at_once_do_not_mix(recorder: Recorder) -> None:
    with recorder.tracing.submission(CALLER) as outer, recorder.tracing.submission(None) as inner:
        assert trace_id(inner) != trace_id(outer)


def test_what_a_caller_does_not_record_we_do_not_either(recorder: Recorder) -> None:
    with recorder.tracing.submission(DROPPED) as trace:
        pass
    assert trace is not None
    recorder.tracing.answered(trace, 0.2, 0.1, {})
    assert trace_id(trace) == TRACE
    assert not recorder.spans()


@pytest.mark.parametrize("traceparent", [CALLER, DROPPED])
def test_without_spans_the_callers_trace_is_handed_on(traceparent: str) -> None:
    with Untraced().submission(traceparent) as trace:
        assert trace == traceparent


@pytest.mark.parametrize("traceparent", [None, "", "garbage\n", f"00-{TRACE}-{'0' * 16}-01", CALLER + "-more"])
def test_without_spans_what_is_no_trace_is_not_handed_on(traceparent: str | None) -> None:
    with Untraced().submission(traceparent) as trace:
        assert trace is None


OFF: list[dict[str, str]] = [
    {},
    {"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"},
    {"OTEL_SDK_DISABLED": "true", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"},
    {"OTEL_EXPORTER_OTLP_ENDPOINT": "", "OTEL_TRACES_EXPORTER": ""},
    {"OTEL_SERVICE_NAME": "x"},
]


@pytest.mark.parametrize("environment", OFF)
def test_there_are_no_spans_where_nobody_asks_for_them(environment: dict[str, str]) -> None:
    assert isinstance(tracer(environment, "1.2.3"), Untraced)


ON = [
    {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"},
    {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:9/v1/traces"},
    {"OTEL_TRACES_EXPORTER": "otlp"},
    {"OTEL_TRACES_EXPORTER": "console", "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"},
]


@pytest.mark.parametrize("environment", ON)
def test_the_usual_variables_ask_for_spans(environment: dict[str, str]) -> None:
    tracing = tracer(environment, "1.2.3")
    assert isinstance(tracing, Spans)
    tracing.close()


@pytest.mark.parametrize(
    ("environment", "name"),
    [
        ({"OTEL_TRACES_EXPORTER": "zipkin"}, "OTEL_TRACES_EXPORTER=zipkin"),
        (
            {"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
            "OTEL_EXPORTER_OTLP_PROTOCOL=grpc",
        ),
    ],
)
def test_what_cannot_be_had_is_an_error(environment: dict[str, str], name: str) -> None:
    with pytest.raises(ConfigError) as caught:
        tracer(environment, "1.2.3")
    assert caught.value.asked == name


def run(code: str) -> str:
    """What a fresh process prints."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    return done.stdout


def test_nothing_of_opentelemetry_is_imported_where_nobody_asks_for_spans() -> None:
    code = """
import sys
from willitcompile.server.tracing import tracer
tracer({}, "1.2.3")
print(any("opentelemetry" in name for name in sys.modules))
"""
    assert run(code) == "False\n"


def test_where_the_extra_is_missing_its_error_names_it() -> None:
    code = """
import sys
sys.modules["opentelemetry"] = None
from willitcompile.errors import ConfigError
from willitcompile.server.tracing import tracer
try:
    tracer({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}, "1.2.3")
except ConfigError as error:
    print(error.obstacle, error.remedy, sep=": ")
"""
    assert "pip install '.[otel]'" in run(code)


class Collector(HTTPServer):
    """Takes what is sent to it, as an OpenTelemetry collector does."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Taken)
        self.bodies: list[tuple[str, bytes]] = []


class _Taken(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        self.server.bodies.append((self.path, self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def test_a_collector_gets_the_spans(monkeypatch: pytest.MonkeyPatch) -> None:
    with Collector() as collector:
        thread = threading.Thread(target=collector.serve_forever)
        thread.start()
        try:
            monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{collector.server_port}")
            monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment=test")
            tracing = tracer({"OTEL_TRACES_EXPORTER": "otlp"}, "1.2.3")
            tracing.answered(CALLER, 0.5, 0.3, {"toolchain": "gcc-12"})
            tracing.close()
        finally:
            collector.shutdown()
            thread.join()
    ((path, body),) = collector.bodies
    assert path == "/v1/traces"
    for text in (b"will-it-compile", b"1.2.3", b"deployment.environment", b"backend", b"compile", b"gcc-12"):
        assert text in body
    assert bytes.fromhex(TRACE) in body


def test_our_name_gives_way_to_the_operators(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_SERVICE_NAME", "theirs")
    made = spans_module.provider("console", "1.2.3")
    assert made.resource.attributes["service.name"] == "theirs"
    assert made.resource.attributes["service.version"] == "1.2.3"
    made.shutdown()


def test_a_collector_that_is_gone_does_not_hold_up_the_end() -> None:
    # In a process of its own: what still tries to send goes on for a while, in a thread that other tests would see.
    code = f"""
import os
import time
from willitcompile.server import spans
from willitcompile.server.tracing import tracer
spans.CLOSE_SECONDS = 0.5
os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"] = "http://127.0.0.1:9"
tracing = tracer({{"OTEL_TRACES_EXPORTER": "otlp"}}, "1.2.3")
tracing.answered({CALLER!r}, 0.5, 0.3, {{}})
began = time.monotonic()
tracing.close()
print(time.monotonic() - began < 5, flush=True)
os._exit(0)
"""
    assert run(code) == "True\n"
