"""Tiers: what a test needs of the machine beyond Python.

A test is `unit` unless it carries another tier's marker. A tier that this machine cannot run is skipped with
a line that says how to turn it on. `WIC_REQUIRE=all`, or a list as `WIC_REQUIRE=sandbox,docker`, makes such a
skip a failure, so that CI cannot pass by running nothing.
"""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING, NoReturn

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

TIERS = {
    "unit": "needs nothing but Python; every test without another tier",
    "sandbox": "compiles in the sandbox of this host: needs gcc, and bubblewrap or Landlock",
    "docker": "needs a Docker daemon",
    "kubernetes": "needs a cluster",
}


def required() -> frozenset[str]:
    return frozenset(filter(None, os.environ.get("WIC_REQUIRE", "").replace(" ", "").split(",")))


def say_unavailable(tier: str, why: str, remedy: str) -> NoReturn:
    """Skip the test, or fail it where the tier is required. `sandbox` requires `sandbox-landlock` too."""
    line = f"{tier}: skipped, {why}: {remedy}"
    if required() & {"all", tier, tier.partition("-")[0]}:
        pytest.fail(f"{line} (WIC_REQUIRE asks for it)", pytrace=False)
    pytest.skip(line)


@pytest.fixture(scope="session")
def unavailable() -> Callable[[str, str, str], NoReturn]:
    """`unavailable(tier, why, remedy)`: see `say_unavailable`."""
    return say_unavailable


@pytest.fixture(scope="session")
def docker_host(unavailable: Callable[[str, str, str], NoReturn]) -> Iterator[str]:
    """The address of a daemon: the one that answers, else, where the tier is required, one of our own.

    It has our toolchain images where the tier is required, else those that are there.
    """
    from tests import daemon

    needed = bool(required() & {"all", "docker"})
    found = daemon.answering()
    started = None
    try:
        if found is None:
            if not needed:
                unavailable(
                    "docker", "no daemon answers", "start one; or as root on Debian: WIC_REQUIRE=docker make test"
                )
            found = started = daemon.start()
        if needed:
            daemon.build(found)
        yield found.host
    except daemon.Unavailable as error:
        unavailable("docker", error.why, error.remedy)
    finally:
        if started:
            daemon.stop(started)


@pytest.fixture(autouse=True)
def _daemon_to_find(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only what is about Docker finds one: what `auto` chooses must not depend on the machine."""
    about_docker = request.node.get_closest_marker("docker")
    host = request.getfixturevalue("docker_host") if about_docker else "unix:///nonexistent/docker.sock"
    monkeypatch.setenv("DOCKER_HOST", host)


def pytest_configure(config: pytest.Config) -> None:
    # A shell starts what it puts into the background with SIGINT ignored, which every process below would inherit;
    # what the tests do with Ctrl-C would then tell nothing.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for tier, needs in TIERS.items():
        config.addinivalue_line("markers", f"{tier}: {needs}")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if not any(item.get_closest_marker(tier) for tier in TIERS):
            item.add_marker("unit")


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    if _forbidden_skips(session.config) and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if skips := _forbidden_skips(config):
        terminalreporter.write_line(f"WIC_REQUIRE=all: {skips} skipped, which is a failure", red=True, bold=True)


def _forbidden_skips(config: pytest.Config) -> int:
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    return len(reporter.stats.get("skipped", ())) if reporter and "all" in required() else 0
