"""Tiers: what a test needs of the machine beyond Python.

A test is `unit` unless it carries another tier's marker. A tier that this machine cannot run is skipped with
a line that says how to turn it on. `WIC_REQUIRE=all`, or a list as `WIC_REQUIRE=sandbox,docker`, makes such a
skip a failure, so that CI cannot pass by running nothing.
"""

from __future__ import annotations

import os
import secrets
import signal
from typing import TYPE_CHECKING, NoReturn

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.cluster import Cluster
    from tests.daemon import Daemon

TIERS = {
    "unit": "needs nothing but Python; every test without another tier",
    "sandbox": "compiles in the sandbox of this host: needs gcc, and bubblewrap or Landlock",
    "docker": "needs a Docker daemon",
    "kubernetes": "needs a cluster",
    "chart": "needs helm, and Prometheus for the alerts and the dashboard",
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
def _daemon(unavailable: Callable[[str, str, str], NoReturn]) -> Iterator[Daemon]:
    """The one that answers, else, where the tier is required, one of our own.

    It has our toolchain images where the tier is required, or those that a cluster needs where that one is; else those
    that are there.
    """
    from tests import cluster, daemon

    needed = bool(required() & {"all", "docker", "kubernetes"})
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
            daemon.build(found, () if required() & {"all", "docker"} else cluster.TOOLCHAINS)
        yield found
    except daemon.Unavailable as error:
        unavailable("docker", error.why, error.remedy)
    finally:
        if started:
            daemon.stop(started)


@pytest.fixture(scope="session")
def docker_host(_daemon: Daemon) -> str:
    """The address of a Docker daemon, as DOCKER_HOST has it."""
    return _daemon.host


@pytest.fixture(scope="session")
def service_image(_daemon: Daemon, unavailable: Callable[[str, str, str], NoReturn]) -> str:
    """The image of the service, made of the sources that are here, in the Docker daemon."""
    from tests import daemon

    try:
        if _daemon.ours or required() & {"all", "docker", "kubernetes"}:
            return daemon.build_service(_daemon)
    except daemon.Unavailable as error:
        unavailable("docker", error.why, error.remedy)
    if not daemon.has_service(_daemon):
        unavailable("docker", f"there is no {daemon.SERVICE} of these sources", "python -m tests.daemon build serve")
    return daemon.SERVICE


@pytest.fixture(scope="session")
def _cluster(
    request: pytest.FixtureRequest, unavailable: Callable[[str, str, str], NoReturn]
) -> Iterator[Cluster | None]:
    """Ours that is up, else, where the tier is required, started for this run; None where another one is named."""
    from tests import cluster

    if os.environ.get("WIC_TEST_KUBECONFIG"):
        yield None
        return
    needed = bool(required() & {"all", "kubernetes"})
    try:
        with cluster.used(start=needed) as ours:
            if ours is None:
                unavailable(
                    "kubernetes",
                    "no cluster of the tests is up",
                    "as root on Debian: make cluster-up; or set WIC_TEST_KUBECONFIG to the kubeconfig of any other that"
                    " has our images (kind load docker-image will-it-compile/gcc:13, or: minikube image load)",
                )
            images = cluster.toolchain_images()
            if needed:
                ours.load(request.getfixturevalue("docker_host"), images)
            elif not ours.has(images):
                unavailable("kubernetes", "the cluster has not all images of the tests", "make cluster-up")
            yield ours
    except cluster.Unavailable as error:
        unavailable("kubernetes", error.why, error.remedy)


@pytest.fixture(scope="session")
def kubeconfig(_cluster: Cluster | None, unavailable: Callable[[str, str, str], NoReturn]) -> str:
    """The path of a kubeconfig of a cluster with our toolchain images: that of WIC_TEST_KUBECONFIG, or of our own."""
    from tests import cluster

    if _cluster:
        return str(_cluster.kubeconfig)
    theirs = os.path.abspath(os.environ["WIC_TEST_KUBECONFIG"])
    if not cluster.reaches(theirs):
        unavailable("kubernetes", "no cluster answers at WIC_TEST_KUBECONFIG", f"kubectl --kubeconfig {theirs} version")
    return theirs


@pytest.fixture(scope="session")
def own_cluster(_cluster: Cluster | None, unavailable: Callable[[str, str, str], NoReturn]) -> Cluster:
    """The cluster, for tests that break something in it: `with own_cluster.alone(): own_cluster.kill("apiserver")`."""
    if _cluster is None:
        unavailable("kubernetes", "the cluster is somebody else's, and not to be broken", "unset WIC_TEST_KUBECONFIG")
    return _cluster


@pytest.fixture(scope="session")
def namespace(kubeconfig: str) -> Iterator[str]:
    """A namespace for this run alone, which only has what Pod Security calls restricted."""
    from tests.cluster import kubectl

    name = f"wic-test-{secrets.token_hex(4)}"
    levels = [f"pod-security.kubernetes.io/{what}=restricted" for what in ("enforce", "warn", "audit")]
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("KUBECONFIG", kubeconfig)
        kubectl("create", "namespace", name)
        try:
            kubectl("label", "namespace", name, *levels)
            # Pods are refused before it is there.
            kubectl("wait", "--for=create", "serviceaccount/default", "--namespace", name, "--timeout=30s")
        except BaseException:
            kubectl("delete", "namespace", name, "--wait=false")
            raise
    yield name
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("KUBECONFIG", kubeconfig)
        kubectl("delete", "namespace", name, "--timeout=60s")


@pytest.fixture(autouse=True)
def _cluster_to_find(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only what is about Kubernetes finds a cluster, and none is in one."""
    about_kubernetes = request.node.get_closest_marker("kubernetes")
    found = request.getfixturevalue("kubeconfig") if about_kubernetes else "/nonexistent/kubeconfig"
    monkeypatch.setenv("KUBECONFIG", found)
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)


@pytest.fixture(autouse=True)
def _daemon_to_find(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only what is about Docker finds one: what `auto` chooses must not depend on the machine."""
    about_docker = request.node.get_closest_marker("docker")
    host = request.getfixturevalue("docker_host") if about_docker else "unix:///nonexistent/docker.sock"
    monkeypatch.setenv("DOCKER_HOST", host)


@pytest.fixture(autouse=True)
def _no_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test compiles for itself, but for those of the cache."""
    monkeypatch.setenv("WIC_CACHE", "false")


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
