"""What the service counts, for Prometheus. docs/operations.md tells each.

Nothing a client sends becomes the value of a label, so that there are never more series than the server's own names
make: a name that the server does not know is counted as `other`.
"""

from __future__ import annotations

import platform
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Histogram, Info, ProcessCollector, exposition
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from willitcompile.model import Verdict
from willitcompile.server.checks import PRIORITIES

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterator, Sequence

    from prometheus_client.metrics_core import Metric

    from willitcompile.model import Toolchain
    from willitcompile.server.checks import Statistics

OTHER = "other"

VERDICTS = (*map(str, Verdict), "error", "refused")
"""`error` for what has no answer, `refused` where that is because the request was wrong."""
APIS = ("v1", "v2")
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
REASONS = (
    "bad_request",
    "unauthorized",
    "request_timeout",
    "body_too_large",
    "headers_too_large",
    "rate_limited",
    "queue_full",
    "draining",
    "busy",
    "too_many_connections",
)
"""Why a request was refused, before or beside what it asks. `busy`: too many were under way at once."""

# An empty C file takes 20 ms, <iostream> 250, a page of templates seconds; the default limit is 30 s.
_COMPILE_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)
_QUEUE_BUCKETS = (0.001, 0.01, 0.05, 0.1, 0.5, 1, 2.5, 5, 10, 20, 30, 60, 120, 300, 600, 1800)
_REQUEST_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 30, 60)


_OPENMETRICS = "application/openmetrics-text"


class Metrics:
    """In a registry of its own, and thread-safe."""

    def __init__(
        self,
        backend: str,
        statistics: Callable[[], Statistics],
        version: str,
        available: Callable[[], Sequence[Toolchain]],
    ) -> None:
        """`statistics` is asked at each scrape. The names of those `available` may be a label."""
        self._backend = backend
        self._available = available
        self._registry = registry = CollectorRegistry()

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"willitcompile_{name}", text, labels, registry=registry)

        def histogram(name: str, text: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
            return Histogram(f"willitcompile_{name}", text, labels, buckets=buckets, registry=registry)

        self._compiles = counter("compiles_total", "Compiles that ended.", "verdict", "toolchain", "backend")
        self._compile_seconds = histogram(
            "compile_duration_seconds",
            "Time that the compiler itself took, without setting up and clearing away.",
            _COMPILE_BUCKETS,
            *("toolchain", "backend"),
        )
        self._queue_seconds = histogram(
            "queue_seconds", "Time from submission to the start of a compile.", _QUEUE_BUCKETS, "priority"
        )
        self._checks = counter("checks_total", "Checks that were accepted.", "api", "priority")
        self._cache_hits = counter("cache_hits_total", "Answers that needed no compile.")
        self._rate_limited = counter("rate_limited_total", "Requests refused because their client makes too many.")
        self._refused = counter("refused_total", "Requests refused.", "reason")
        self._requests = counter("http_requests_total", "HTTP requests answered.", "route", "method", "status")
        self._request_seconds = histogram(
            "http_request_duration_seconds",
            "Time to answer an HTTP request, with what it waited for a result where it asked to.",
            _REQUEST_BUCKETS,
            "route",
        )
        build = Info("willitcompile_build", "What is running.", registry=registry)
        build.info({"version": version, "backend": backend, "python": platform.python_version()})
        registry.register(_Workers(statistics))
        ProcessCollector(registry=registry)
        # A rate is seen from the first one on only where there was a nought before it.
        for reason in REASONS:
            self._refused.labels(reason)
        for api in APIS:
            for priority in PRIORITIES:
                self._checks.labels(api, priority)

    def submitted(self, api: str, priority: str) -> None:
        self._checks.labels(_known(api, APIS), _known(priority, PRIORITIES)).inc()

    def started(self, priority: str, waited_seconds: float) -> None:
        self._queue_seconds.labels(_known(priority, PRIORITIES)).observe(max(0.0, waited_seconds))

    def answered(self, toolchain: str, verdict: str, compile_seconds: float | None) -> None:
        """`compile_seconds` is None where there is no answer."""
        toolchain = _known(toolchain, [each.name for each in self._available()])
        self._compiles.labels(_known(verdict, VERDICTS), toolchain, self._backend).inc()
        if compile_seconds is not None:
            self._compile_seconds.labels(toolchain, self._backend).observe(compile_seconds)

    def cached(self) -> None:
        self._cache_hits.inc()

    def refused(self, reason: str) -> None:
        self._refused.labels(_known(reason, REASONS)).inc()
        if reason == "rate_limited":
            self._rate_limited.inc()

    def request(self, route: str | None, method: str, status: int, seconds: float) -> None:
        """`route` is the path's template, as `/api/v2/checks/{id}`; None for a path that has none."""
        route = route or OTHER
        self._requests.labels(route, _known(method, METHODS), str(status)).inc()
        self._request_seconds.labels(route).observe(seconds)

    def render(self, accept: str = "") -> tuple[bytes, str]:
        """What /metrics answers and its Content-Type; in OpenMetrics where the Accept header names that."""
        # Handed on as it came, the header could make prometheus_client raise: on a version that is no number.
        if _OPENMETRICS in accept:
            encode, content_type = exposition.choose_encoder(_OPENMETRICS)
            return encode(self._registry), content_type
        encode, content_type = exposition.choose_encoder("")
        return encode(_WithoutCreated(self._registry)), content_type


def _known(value: str, names: Container[str]) -> str:
    return value if value in names else OTHER


class _Workers(Collector):
    """How busy the service is at the time of a scrape."""

    def __init__(self, statistics: Callable[[], Statistics]) -> None:
        self._statistics = statistics

    def collect(self) -> Iterator[Metric]:
        try:
            now = self._statistics()
        except Exception:  # noqa: BLE001 - what broke the service must not hide the counters that tell of it
            return
        yield GaugeMetricFamily("willitcompile_queue_length", "Compiles that wait for a worker.", now.queued)
        yield GaugeMetricFamily("willitcompile_workers", "Compiles that can run at once.", now.workers)
        yield GaugeMetricFamily("willitcompile_workers_busy", "Compiles that are running.", now.active)


class _WithoutCreated(CollectorRegistry):
    """The older format has no place for when a series began, and would show each as a metric of its own."""

    def __init__(self, registry: CollectorRegistry) -> None:
        super().__init__()
        self._all = registry

    def collect(self) -> Iterator[Metric]:
        for metric in self._all.collect():
            metric.samples = [sample for sample in metric.samples if not sample.name.endswith("_created")]
            yield metric
