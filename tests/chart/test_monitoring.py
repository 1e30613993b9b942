"""What watches the service: promtool takes the rules, and every query has an answer of a real Prometheus."""

from __future__ import annotations

import itertools
import json
import re
import shutil
import signal
import subprocess
import threading
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn
from urllib.parse import urlsplit

import pytest
import yaml

from tests.chart import dashboard, prometheus
from tests.chart.helm import NAMESPACE, RELEASE, VALUE_FILES
from tests.chart.installation import Installation
from tests.chart.prometheus import SCRAPE_SECONDS, Prometheus, scraping
from tests.chart.traffic import Tokens, Traffic
from tests.serve.harness import Place, Server, until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from tests.chart.dashboard import Query
    from tests.chart.helm import Helm

pytestmark = pytest.mark.chart

PAGE = (Path(__file__).parents[2] / "docs" / "monitoring.md").read_text()
CASES = Path(__file__).with_name("rules_test.yaml")

LABELS = {"namespace": NAMESPACE, "job": f"{RELEASE}-will-it-compile"}
"""What a ServiceMonitor of the release would give to its pods' numbers."""
ALL = {"namespace": ".*", "job": ".*", "__rate_interval": "20s"}
"""The dashboard's variables as they are when it is opened."""
ON = {
    "monitoring": {
        "serviceMonitor": {"enabled": True},
        "prometheusRule": {"enabled": True},
        "dashboard": {"enabled": True},
    }
}
DASHBOARD = dashboard.read()
QUERIES = [query for panel in DASHBOARD["panels"] for query in dashboard.queries_of(panel)]


@pytest.fixture(scope="module", autouse=True)
def _programs(unavailable: Callable[[str, str, str], NoReturn]) -> None:
    if missing := prometheus.missing():
        unavailable("chart", f"there is no {missing[0]}", "apt-get install prometheus")


@pytest.fixture(scope="module")
def objects(helm: Helm) -> dict[str, dict[str, Any]]:
    """What is made with everything of it turned on, by kind; the dashboard's ConfigMap as `dashboard`."""
    made = helm.template(values=ON)
    return {
        "dashboard" if each["metadata"]["name"].endswith("-dashboard") else each["kind"]: each
        for each in made
        if each["metadata"]["labels"]["app.kubernetes.io/component"] == "monitoring"
    }


@pytest.fixture(scope="module")
def rules(objects: dict[str, dict[str, Any]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file that the operator would make of the PrometheusRule."""
    file = tmp_path_factory.mktemp("rules") / "rules.yaml"
    file.write_text(yaml.safe_dump(objects["PrometheusRule"]["spec"]))
    return file


def alerts(file: Path) -> list[dict[str, Any]]:
    (group,) = yaml.safe_load(file.read_text())["groups"]
    found: list[dict[str, Any]] = group["rules"]
    return found


def promtool(*argv: str | Path) -> None:
    done = subprocess.run(["promtool", *argv], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_promtool_takes_the_rules(rules: Path) -> None:
    promtool("check", "rules", "--lint=all", "--lint-fatal", rules)


def test_each_alert_fires_where_it_should_and_only_there(rules: Path, tmp_path: Path) -> None:
    shutil.copy(rules, tmp_path / "rules.yaml")
    shutil.copy(CASES, tmp_path)
    promtool("test", "rules", tmp_path / CASES.name)


def test_each_alert_has_a_case(rules: Path) -> None:
    assert set(re.findall(r'alertname="(\w+)"', CASES.read_text())) == {each["alert"] for each in alerts(rules)}


def test_each_alert_says_what_to_do_and_links_to_its_part_of_the_page(rules: Path) -> None:
    headings = {heading.lower() for heading in re.findall(r"^### (\w+)$", PAGE, re.MULTILINE)}
    for alert in alerts(rules):
        assert set(alert["annotations"]) == {"summary", "description", "runbook_url"}
        link, _, heading = alert["annotations"]["runbook_url"].partition("#")
        assert link == "docs/monitoring.md"
        assert heading == alert["alert"].lower()
        headings.remove(heading)
    assert not headings, "the page tells of alerts that there are not"


def test_the_monitor_finds_the_service_and_no_other(helm: Helm, objects: dict[str, dict[str, Any]]) -> None:
    monitor = objects["ServiceMonitor"]["spec"]
    services = [each for each in helm.template(values=ON) if each["kind"] == "Service"]
    (found,) = [
        each for each in services if monitor["selector"]["matchLabels"].items() <= each["metadata"]["labels"].items()
    ]
    # By which the rules select: a Prometheus takes it for `job`.
    assert found["metadata"]["name"] == LABELS["job"]
    (endpoint,) = monitor["endpoints"]
    assert endpoint["port"] in {port["name"] for port in found["spec"]["ports"]}
    assert "authorization" not in endpoint


def test_the_monitor_has_a_token_where_the_service_wants_one(helm: Helm) -> None:
    values = {**ON, "tokens": {"enabled": True, "existingSecret": "ours"}}
    values["monitoring"] = {"serviceMonitor": {"enabled": True, "tokenSecret": "scraping"}}
    (monitor,) = [each for each in helm.template(values=values) if each["kind"] == "ServiceMonitor"]
    assert monitor["spec"]["endpoints"][0]["authorization"] == {"credentials": {"name": "scraping", "key": "token"}}
    del values["monitoring"]["serviceMonitor"]["tokenSecret"]
    refused = helm.run("template", str(dashboard.CHART), values=values, check=False)
    assert "set monitoring.serviceMonitor.tokenSecret" in refused.stderr


def test_the_config_map_holds_the_dashboard_and_grafana_finds_it(objects: dict[str, dict[str, Any]]) -> None:
    (content,) = objects["dashboard"]["data"].values()
    assert json.loads(content) == DASHBOARD
    assert objects["dashboard"]["metadata"]["labels"]["grafana_dashboard"] == "1"


def test_the_dashboards_panels_do_not_overlap_and_each_is_explained() -> None:
    taken: set[tuple[int, int]] = set()
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        here = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not here & taken, panel["title"]
        assert max(x for x, _ in here) < 24
        taken |= here
        assert panel["type"] == "row" or panel["description"], panel["title"]


@pytest.fixture(scope="module")
def scraped(rules: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """Who watches a server that everything happens to."""
    directory = tmp_path_factory.mktemp("scraped")
    tokens = Tokens(directory)
    server = Server(
        Place("fake"), directory, tokens=tokens.file, jobs=2, queue_size=32, rate_limit=60, grace="60s"
    ).start()
    try:
        with (
            Prometheus(
                directory, scraping({"pod-0": server.url}, LABELS, tokens.of["prometheus"]), rules
            ) as prometheus,
            # What hangs does so for as long as it takes to be seen waiting, between one look and the next.
            going_on(Traffic(server, tokens, ("gcc-13", "clang-19"), 2 * SCRAPE_SECONDS).everything),
        ):
            yield prometheus
    finally:
        server.close()


@contextmanager
def going_on(act: Callable[[], None]) -> Iterator[None]:
    """Again and again, to the end of the block, which no error of it passes by."""
    over = threading.Event()
    errors: list[BaseException] = []

    def again() -> None:
        try:
            while not over.is_set():
                act()
        except BaseException as error:  # noqa: BLE001 - for the thread that waits
            errors.append(error)

    thread = threading.Thread(target=again)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
    assert not errors, errors


@pytest.mark.parametrize("query", [pytest.param(each, id=f"{each.panel} {each.legend}") for each in QUERIES])
def test_a_query_of_the_dashboard_finds_what_happens(scraped: Prometheus, query: Query) -> None:
    def found() -> list[dict[str, Any]]:
        series = scraped.query(dashboard.filled(query.expression, ALL))
        return [each for each in series if float(each["value"][1]) > 0]

    series = until(found)
    for label in re.findall(r"{{(\w+)}}", query.legend):
        assert all(each["metric"].get(label) for each in series), f"the legend names {label}, which is not there"


def test_the_dashboard_can_be_asked_of_one_service(scraped: Prometheus) -> None:
    variables = {each["name"]: each["query"] for each in DASHBOARD["templating"]["list"]}
    assert variables.pop("datasource") == "prometheus"
    for name, query in variables.items():
        asked = re.fullmatch(r"label_values\((.+), (\w+)\)", query["query"])
        assert asked
        assert asked[2] == name
        match = {"match[]": dashboard.filled(asked[1], ALL)}
        assert until(lambda match=match, name=name: scraped.ask(f"label/{name}/values", **match)) == [LABELS[name]]
    for query in QUERIES:
        nobody = dashboard.filled(query.expression, {**ALL, "namespace": "another"})
        assert not scraped.query(nobody)


def selectors(file: Path) -> set[str]:
    """What alerts look at: `up{job="wic"}`."""
    return set(re.findall(r"\w+{[^}]*}", " ".join(each["expr"] for each in alerts(file))))


def of_a_refusal(selector: str) -> bool:
    return 'status="503"' in selector or 'status=~"5' in selector


def wait_for(prometheus: Prometheus, selector: str) -> None:
    until(lambda: prometheus.query(selector))


def test_what_the_alerts_look_at_is_there(scraped: Prometheus, rules: Path) -> None:
    for selector in selectors(rules):
        if not of_a_refusal(selector):
            wait_for(scraped, selector)


def test_prometheus_works_the_rules_out(scraped: Prometheus) -> None:
    (group,) = scraped.ask("rules")["groups"]
    assert len(group["rules"]) > 5
    until(lambda: {each["health"] for each in scraped.ask("rules")["groups"][0]["rules"]} == {"ok"})


def test_what_the_alerts_look_at_is_there_when_nothing_is_taken(rules: Path, tmp_path: Path) -> None:
    """As where the cluster does not answer: this one is about to end, and cannot yet."""
    server = Server(Place("fake"), tmp_path, grace="60s").start()
    try:
        with Prometheus(tmp_path, scraping({"pod-0": server.url}, LABELS)) as prometheus, server.client() as client:
            client.check({"a.c": "// fake: hang\n"}, limits={"wall_seconds": 20})
            server.wait_for(active_workers=1)
            server.signal(signal.SIGTERM)
            until(lambda: client.call("GET", "/ready").status == 503)
            assert client.check({"a.c": "int x;\n"}).status == 503
            for selector in filter(of_a_refusal, selectors(rules)):
                wait_for(prometheus, selector)
    finally:
        server.kill()


def discovered(installation: Installation, ways: Mapping[str, str]) -> list[dict[str, Any]]:
    """What Prometheus would find by `role: endpointslice`, with the URLs by which this host comes to each pod.

    Debian's has no kubernetes_sd_configs.
    """
    found = []
    for piece in installation.get("endpointslices")["items"]:
        for port, endpoint in itertools.product(piece["ports"], piece["endpoints"]):
            labels = {
                "namespace": piece["metadata"]["namespace"],
                "service_name": piece["metadata"]["labels"]["kubernetes.io/service-name"],
                "endpointslice_port_name": port["name"],
                "pod_name": endpoint["targetRef"]["name"],
            }
            meta = {f"__meta_kubernetes_{name}": value for name, value in labels.items()}
            found.append({"targets": [urlsplit(ways[labels["pod_name"]]).netloc], "labels": meta})
    return found


@pytest.mark.kubernetes
def test_a_prometheus_without_an_operator_finds_each_pod(
    helm: Helm, kubeconfig: str, loaded_image: str, tmp_path: Path
) -> None:
    """As the page says, and with the labels that the rules select by."""
    blocks = re.findall(r"^```yaml\n(- job_name: .*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    with Installation(helm, kubeconfig) as installation, ExitStack() as stack:
        installation.install("--values", str(VALUE_FILES["dev"]), "--set=replicaCount=2")
        ways = {pod: stack.enter_context(installation.reached(pod)).url for pod in installation.pod_names(2)}
        mine = blocks[0].replace("wic-will-it-compile", installation.object).replace("builds", installation.namespace)
        (job,) = yaml.safe_load(mine)
        assert job.pop("kubernetes_sd_configs") == [
            {"role": "endpointslice", "namespaces": {"names": [installation.namespace]}}
        ]
        job["static_configs"] = discovered(installation, ways)
        prometheus = stack.enter_context(Prometheus(tmp_path, job))
        build = f'willitcompile_build_info{{namespace="{installation.namespace}", job="{installation.object}"}}'
        until(lambda: {each["metric"]["pod"] for each in prometheus.query(build)} == set(ways))
