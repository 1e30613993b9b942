"""What Prometheus reads: every number where it belongs, and no series that a stranger could make."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse

from willitcompile.model import Toolchain, Verdict
from willitcompile.server.checks import PRIORITIES, Statistics
from willitcompile.server.metrics import APIS, METHODS, REASONS, VERDICTS, Metrics

if TYPE_CHECKING:
    from collections.abc import Callable

BUSY = Statistics(workers=8, active=3, queued=41)


def metrics(statistics: Callable[[], Statistics] = lambda: BUSY) -> Metrics:
    available = [Toolchain(family, version, {}, {}, {}) for family, version in (("gcc", "12"), ("clang", "14"))]
    return Metrics("sandbox", statistics, "1.2.3", lambda: available)


def read(of: Metrics) -> dict[str, float]:
    """By `name{label=value,…}`, labels in order of their names."""
    body, _ = of.render()
    return {
        sample.name + "{" + ",".join(f"{name}={value}" for name, value in sorted(sample.labels.items())) + "}": (
            sample.value
        )
        for family in parse(body.decode())
        for sample in family.samples
    }


def test_a_compile_is_counted_by_verdict_toolchain_and_backend_and_measured() -> None:
    of = metrics()
    of.answered("gcc-12", Verdict.COMPILED, 0.2)
    of.answered("gcc-12", Verdict.COMPILED, 3.0)
    of.answered("clang-14", "rejected", 0.2)
    found = read(of)
    assert found["willitcompile_compiles_total{backend=sandbox,toolchain=gcc-12,verdict=compiled}"] == 2
    assert found["willitcompile_compiles_total{backend=sandbox,toolchain=clang-14,verdict=rejected}"] == 1
    assert found["willitcompile_compile_duration_seconds_count{backend=sandbox,toolchain=gcc-12}"] == 2
    assert found["willitcompile_compile_duration_seconds_sum{backend=sandbox,toolchain=gcc-12}"] == pytest.approx(3.2)
    assert found["willitcompile_compile_duration_seconds_bucket{backend=sandbox,le=0.25,toolchain=gcc-12}"] == 1


def test_what_has_no_answer_is_counted_but_took_no_time() -> None:
    of = metrics()
    of.answered("gcc-12", "error", None)
    found = read(of)
    assert found["willitcompile_compiles_total{backend=sandbox,toolchain=gcc-12,verdict=error}"] == 1
    assert not [name for name in found if name.startswith("willitcompile_compile_duration_seconds_count")]


def test_time_in_the_queue_is_by_priority() -> None:
    of = metrics()
    of.started("batch", 20.0)
    of.started("interactive", 0.02)
    found = read(of)
    assert found["willitcompile_queue_seconds_bucket{le=10.0,priority=batch}"] == 0
    assert found["willitcompile_queue_seconds_bucket{le=30.0,priority=batch}"] == 1
    assert found["willitcompile_queue_seconds_count{priority=interactive}"] == 1


def test_a_clock_that_was_set_back_does_not_count_backwards() -> None:
    of = metrics()
    of.started("batch", -20.0)
    assert read(of)["willitcompile_queue_seconds_sum{priority=batch}"] == 0


def test_checks_cache_hits_and_refusals_are_counted() -> None:
    of = metrics()
    of.submitted("v1", "interactive")
    of.cached()
    of.refused("queue_full")
    of.refused("rate_limited")
    found = read(of)
    assert found["willitcompile_checks_total{api=v1,priority=interactive}"] == 1
    assert found["willitcompile_cache_hits_total{}"] == 1
    assert found["willitcompile_refused_total{reason=queue_full}"] == 1
    assert found["willitcompile_refused_total{reason=rate_limited}"] == found["willitcompile_rate_limited_total{}"] == 1


def test_what_never_happened_is_a_nought_so_that_its_first_time_is_a_rise() -> None:
    found = read(metrics())
    assert all(found[f"willitcompile_refused_total{{reason={reason}}}"] == 0 for reason in REASONS)
    assert all(
        found[f"willitcompile_checks_total{{api={api},priority={priority}}}"] == 0
        for api in APIS
        for priority in PRIORITIES
    )


def test_requests_are_counted_by_the_template_of_their_path() -> None:
    of = metrics()
    of.request("/api/v2/checks/{id}", "GET", 200, 0.002)
    of.request(None, "GET", 404, 0.001)
    found = read(of)
    assert found["willitcompile_http_requests_total{method=GET,route=/api/v2/checks/{id},status=200}"] == 1
    assert found["willitcompile_http_requests_total{method=GET,route=other,status=404}"] == 1
    assert found["willitcompile_http_request_duration_seconds_count{route=other}"] == 1


def test_how_busy_it_is_is_asked_at_each_scrape() -> None:
    now = BUSY
    of = metrics(lambda: now)
    assert read(of)["willitcompile_queue_length{}"] == 41
    now = Statistics(workers=8, active=0, queued=0)
    found = read(of)
    assert [found[f"willitcompile_{name}{{}}"] for name in ("queue_length", "workers", "workers_busy")] == [0, 8, 0]


def test_a_service_that_cannot_tell_does_not_hide_what_was_counted() -> None:
    def broken() -> Statistics:
        raise RuntimeError("broken")

    of = metrics(broken)
    of.cached()
    found = read(of)
    assert found["willitcompile_cache_hits_total{}"] == 1
    assert "willitcompile_workers{}" not in found


def test_it_tells_what_runs_and_how_the_process_is() -> None:
    found = read(metrics())
    (build,) = (name for name in found if name.startswith("willitcompile_build_info"))
    assert "version=1.2.3" in build
    assert "backend=sandbox" in build
    assert found["process_resident_memory_bytes{}"] > 1e6
    assert found["process_open_fds{}"] > 0


def test_strangers_cannot_make_series() -> None:
    of = metrics()

    def tell(text: str) -> None:
        of.answered(text, text, 0.1)
        of.started(text, 0.1)
        of.submitted(text, text)
        of.refused(text)
        of.request(None, text, 404, 0.1)

    tell("x")
    before = read(of).keys()
    for number in range(100):
        tell(f'{number}"}}\nforged 1\n')
    assert read(of).keys() == before


def test_known_names_are_told_as_they_are() -> None:
    of = metrics()
    for verdict in VERDICTS:
        of.answered("gcc-12", verdict, None)
    for method in METHODS:
        of.request("/", method, 200, 0.1)
    assert not [name for name in read(of) if "=other" in name]


def test_two_services_in_one_process_count_apart() -> None:
    one, other = metrics(), metrics()
    one.cached()
    assert read(other)["willitcompile_cache_hits_total{}"] == 0


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        ("", "text/plain; version="),
        ("*/*", "text/plain; version="),
        ("application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3", "application/openmetrics"),
        ("application/openmetrics-text; version=nonsense; escaping=\x7f", "application/openmetrics"),
        ("text/plain; version=nonsense", "text/plain; version="),
    ],
)
def test_the_format_is_the_one_that_was_asked_for(accept: str, content_type: str) -> None:
    of = metrics()
    of.answered("gcc-12", "compiled", 0.1)
    body, said = of.render(accept)
    assert said.startswith(content_type)
    assert "nonsense" not in said
    reader = parse_openmetrics if content_type.startswith("application") else parse
    names = {family.name for family in reader(body.decode())}
    assert "willitcompile_queue_seconds" in names
    assert not [name for name in names if name.endswith("_created")]
