"""One event, told everywhere that it belongs, and never at the cost of a check."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from willitcompile.errors import BackendFailed, RequestError
from willitcompile.model import Toolchain
from willitcompile.server import logs
from willitcompile.server.checks import Ask, Cell, Check, Statistics, Watcher, no_answer
from willitcompile.server.metrics import Metrics
from willitcompile.server.observer import Observed, Observer
from willitcompile.server.spans import Spans
from willitcompile.server.tracing import Untraced

if TYPE_CHECKING:
    from starlette.requests import Request

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
CALLER = f"00-{TRACE}-00f067aa0ba902b7-01"
SECRET = b"#error what nobody but its author may read"
CELL = Cell("main.cpp", "c++", "gcc-12", "c++20")
CHECK = Check("5d0c", "alice", "interactive", 0.0, (CELL, CELL), Ask({"main.cpp": SECRET}), trace=CALLER)
REJECTED = {
    "source": "main.cpp",
    "toolchain": "gcc-12",
    "verdict": "rejected",
    "duration_seconds": 0.3,
    "cached": False,
    "backend": "sandbox",
    "stderr": SECRET.decode(),
}


def metrics() -> Metrics:
    available = [Toolchain("gcc", "12", {}, {}, {})]
    return Metrics("sandbox", lambda: Statistics(1, 0, 0), "1.2.3", lambda: available)


class Recorder:
    """What is traced."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.observer = Observer(metrics(), Spans(provider))

    def spans(self) -> dict[str, dict[str, object]]:
        """By name, its attributes and how many seconds it took."""
        return {
            span.name: {**(span.attributes or {}), "seconds": ((span.end_time or 0) - (span.start_time or 0)) / 1e9}
            for span in self._exporter.get_finished_spans()
        }


def scraped(observer: Observer) -> list[str]:
    return observer.metrics.render()[0].decode().splitlines()


def said(caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    """The lines of the log, as the json format has them."""
    formatter = logs._Json()
    return [json.loads(formatter.format(record)) for record in caplog.records]


@pytest.fixture(autouse=True)
def everything(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, logs.NAME)


def test_an_observer_is_what_services_take() -> None:
    _: Watcher = Observer(metrics())


def test_the_way_of_a_check_is_counted_logged_and_traced(caplog: pytest.LogCaptureFixture) -> None:
    recorder = Recorder()
    observer = recorder.observer
    with observer.submission(CALLER) as trace:
        check = CHECK._replace(trace=trace)
        observer.submitted(check, "v2")
    observer.started(check, 1, 2.0)
    observer.answered(check, 1, REJECTED, 0.5)

    page = scraped(observer)
    assert 'willitcompile_checks_total{api="v2",priority="interactive"} 1.0' in page
    assert 'willitcompile_queue_seconds_sum{priority="interactive"} 2.0' in page
    assert 'willitcompile_compiles_total{backend="sandbox",toolchain="gcc-12",verdict="rejected"} 1.0' in page
    assert 'willitcompile_compile_duration_seconds_sum{backend="sandbox",toolchain="gcc-12"} 0.3' in page

    lines = said(caplog)
    assert [line["message"] for line in lines] == ["submitted", "started", "answered"]
    assert all((line["job"], line["client"], line["trace"]) == ("5d0c", "alice", TRACE) for line in lines)
    assert lines[2]["verdict"] == "rejected"
    assert (lines[2]["seconds"], lines[2]["compile_seconds"], lines[2]["number"]) == (0.5, 0.3, 1)

    spans = recorder.spans()
    assert [spans[name].pop("seconds") for name in ("queue", "backend", "compile")] == [2.0, 0.5, 0.3]
    del spans["check"]["seconds"]
    assert spans["check"] == {"check.id": "5d0c", "api": "v2", "priority": "interactive", "compiles": 2}
    about = {"check.id": "5d0c", "check.number": 1, "language": "c++", "toolchain": "gcc-12", "standard": "c++20"}
    assert spans["queue"] == about | {"priority": "interactive"}
    assert spans["backend"] == spans["compile"] == about | {"verdict": "rejected", "backend": "sandbox"}


def test_neither_sources_nor_what_compilers_say_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    observer = Observer(metrics())
    observer.submitted(CHECK, "v1")
    observer.started(CHECK, 0, 0.1)
    observer.answered(CHECK, 0, REJECTED, 0.5)
    assert len(said(caplog)) == 3
    assert SECRET.decode() not in json.dumps(said(caplog))


def test_what_has_no_answer_is_an_error_with_its_reason(caplog: pytest.LogCaptureFixture) -> None:
    observer = Observer(metrics())
    observer.answered(CHECK, 0, no_answer(CELL, BackendFailed("check main.cpp", "the daemon is gone", "start it")), 0.5)
    (line,) = said(caplog)
    assert (line["verdict"], line["error"]) == ("error", "the daemon is gone")
    assert 'willitcompile_compiles_total{backend="sandbox",toolchain="gcc-12",verdict="error"} 1.0' in scraped(observer)


def test_what_was_wrong_from_the_start_is_refused_and_never_came_to_the_backend() -> None:
    recorder = Recorder()
    recorder.observer.answered(CHECK, 0, no_answer(CELL, RequestError("compile", "it is wrong", "mend it")), 0.0)
    assert any('verdict="refused"} 1.0' in line for line in scraped(recorder.observer))
    assert not recorder.spans()


def test_a_cached_answer_is_a_hit_and_no_compile() -> None:
    observer = Observer(metrics())
    observer.answered(CHECK, 0, REJECTED | {"cached": True}, 0.001)
    page = scraped(observer)
    assert "willitcompile_cache_hits_total 1.0" in page
    assert not [line for line in page if line.startswith("willitcompile_compiles_total{")]


def test_a_check_without_a_trace_is_not_traced(caplog: pytest.LogCaptureFixture) -> None:
    recorder = Recorder()
    observer = recorder.observer
    check = CHECK._replace(trace=None, cells=(CELL._replace(standard=None),))
    observer.started(check, 0, 0.1)
    observer.answered(check, 0, REJECTED, 0.1)
    assert not [line for line in said(caplog) if "trace" in line or "standard" in line]
    assert not recorder.spans()


def test_it_never_raises(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(Untraced):
        def answered(self, *_: object) -> None:
            raise RuntimeError("no")

    observer = Observer(metrics(), Broken())
    observer.answered(CHECK, 0, REJECTED, 0.5)
    observer.answered(CHECK, 99, REJECTED, 0.5)
    observer.answered(CHECK, 0, {"error": "not as it should be"}, 0.5)
    assert [line["message"] for line in said(caplog)] == ["could not be observed"] * 3
    assert all(line["hook"] == "answered" for line in said(caplog))


def test_a_refusal_is_counted_and_does_not_fill_the_log(caplog: pytest.LogCaptureFixture) -> None:
    observer = Observer(metrics())
    observer.refused("queue_full", "192.0.2.1")
    assert 'willitcompile_refused_total{reason="queue_full"} 1.0' in scraped(observer)
    assert [record.levelno for record in caplog.records] == [logging.DEBUG]


class Browser:
    """Sends requests to an observed application, without a socket."""

    def __init__(self) -> None:
        async def hello(request: Request) -> PlainTextResponse:
            if request.path_params["name"] == "nobody":
                raise RuntimeError("nobody")
            return PlainTextResponse("hello")

        self.observer = Observer(metrics())
        routes = [Route("/hello/{name}", hello)]
        self.app = Observed(Starlette(routes=routes), self.observer, lambda scope: scope["client"][0])

    def get(self, path: str, method: str = "GET") -> int:
        sent: list[Any] = []

        async def receive() -> dict[str, object]:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: Any) -> None:
            sent.append(message)

        scope = {
            "type": "http",
            "method": method,
            "path": path,
            "root_path": "",
            "query_string": b"token=secret",
            "headers": [],
            "client": ("192.0.2.1", 9),
        }
        asyncio.run(self.app(scope, receive, send))
        return int(sent[0]["status"])


def test_requests_are_counted_by_route(caplog: pytest.LogCaptureFixture) -> None:
    browser = Browser()
    assert [browser.get(path) for path in ("/hello/a", "/hello/b", "/nowhere/1", "/nowhere/2")] == [200, 200, 404, 404]
    assert browser.get("/hello/a", "BREW\n") == 405
    page = scraped(browser.observer)
    counts = [line.partition(" ")[0] for line in page if line.startswith("willitcompile_http_requests_total{")]
    assert counts == [
        'willitcompile_http_requests_total{method="GET",route="/hello/{name}",status="200"}',
        'willitcompile_http_requests_total{method="GET",route="other",status="404"}',
        'willitcompile_http_requests_total{method="other",route="/hello/{name}",status="405"}',
    ]
    assert said(caplog)[0].items() >= {"path": "/hello/a", "status": 200, "client": "192.0.2.1"}.items()
    assert "secret" not in json.dumps(said(caplog))


def test_a_request_that_broke_is_counted_as_a_failure() -> None:
    browser = Browser()
    with pytest.raises(RuntimeError, match="nobody"):
        browser.get("/hello/nobody")
    assert any('route="/hello/{name}",status="500"} 1.0' in line for line in scraped(browser.observer))
