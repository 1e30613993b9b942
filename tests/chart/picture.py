"""Make docs/images/dashboard.png: `KUBECONFIG=… python -m tests.chart.picture`. It takes six minutes.

Two replicas of the service compile on a cluster with our images, everything happens to them, a real Prometheus scrapes
both, and picture.html draws the panels of the dashboard from what their queries find. It is not Grafana that draws.
"""

from __future__ import annotations

import json
import random
import re
import secrets
import subprocess
import tempfile
import threading
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.backends import OUR_IMAGES
from tests.chart import dashboard
from tests.chart.prometheus import Prometheus, scraping
from tests.chart.traffic import SOURCES, Tokens, Traffic
from tests.cluster import kubectl
from tests.serve.harness import Place, Server

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

PICTURE = Path(__file__).parents[2] / "docs" / "images" / "dashboard.png"
PAGE = Path(__file__).with_name("picture.html")
SIZE = (1400, 1625)

SECONDS = 330.0
STEP = 3.0
LABELS = {"namespace": "wic", "job": "wic-will-it-compile"}
VARIABLES = {"namespace": ".*", "job": ".*", "__rate_interval": "30s"}
PODS = ("replica-1", "replica-2")
TOOLCHAINS = ("gcc-13", "clang-19")
KINDS = ("compiled",) * 8 + ("rejected",) * 4 + ("timeout", "out-of-memory", "output-limit", "crashed")


def main() -> None:
    with tempfile.TemporaryDirectory() as scratch, room() as namespace, ExitStack() as stack:
        directory = Path(scratch)
        tokens = Tokens(directory)
        servers = [replica(directory / name, namespace, tokens) for name in PODS]
        for server in servers:
            stack.callback(server.close)
            server.start()
        urls = {name: server.url for name, server in zip(PODS, servers, strict=True)}
        prometheus = stack.enter_context(Prometheus(directory, scraping(urls, LABELS, tokens.of["prometheus"])))
        begin = time.time()
        busy([Traffic(server, tokens, TOOLCHAINS, 3) for server in servers])
        end = time.time()
        draw(prometheus, begin + 30, end, directory)


@contextmanager
def room() -> Iterator[str]:
    name = f"wic-picture-{secrets.token_hex(3)}"
    kubectl("create", "namespace", name)
    try:
        kubectl("wait", "--for=create", "serviceaccount/default", f"--namespace={name}", "--timeout=30s")
        yield name
    finally:
        kubectl("delete", "namespace", name, "--timeout=60s")


def replica(directory: Path, namespace: str, tokens: Tokens) -> Server:
    directory.mkdir()
    config = directory / "serve.yaml"
    config.write_text(
        json.dumps(
            {"images": list(OUR_IMAGES), "kubernetes": {"namespace": namespace, "cpu": "none", "memory": "512Mi"}}
        )
    )
    return Server(
        Place("kubernetes", {}, config),
        directory,
        state=None,
        tokens=tokens.file,
        jobs=3,
        queue_size=150,
        rate_limit=40,
    )


def busy(ways: Sequence[Traffic]) -> None:
    """Some minutes of people, a batch now and then, and once somebody who sends too much."""
    over = threading.Event()

    def people() -> None:
        chance = random.Random(7)
        while not over.wait(chance.uniform(1, 4)):
            chance.choice(ways).one(SOURCES[chance.choice(KINDS)], chance.choice(TOOLCHAINS))

    def builds() -> None:
        while not over.wait(75):
            ways[0].builds()

    def wrong() -> None:
        while not over.wait(7):
            ways[1].kubelet()
            ways[1].wrong()

    def greedy() -> None:
        if not over.wait(SECONDS * 0.6):
            ways[1].greedy()

    threads = [threading.Thread(target=each) for each in (people, people, builds, wrong, greedy)]
    for thread in threads:
        thread.start()
    over.wait(SECONDS)
    over.set()
    for thread in threads:
        thread.join()


def draw(prometheus: Prometheus, begin: float, end: float, directory: Path) -> None:
    board = dashboard.read()
    for panel in board["panels"]:
        panel["series"] = [
            {"name": named(query.legend, series["metric"]), "points": numbers(series["values"])}
            for query in dashboard.queries_of(panel)
            for series in prometheus.query_range(dashboard.filled(query.expression, VARIABLES), begin, end, STEP)
        ]
        panel["series"].sort(key=lambda each: each["name"])
    drawn = {"title": board["title"], "subtitle": f"{LABELS['namespace']} / {LABELS['job']}", "panels": board["panels"]}
    drawn |= {"begin": begin, "end": end, "step": STEP}
    page = directory / PAGE.name
    page.write_text(PAGE.read_text().replace("DRAWN", json.dumps(drawn).replace("<", "\\u003c")))
    subprocess.run(
        [
            *("chromium", "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"),
            f"--window-size={SIZE[0]},{SIZE[1]}",
            f"--screenshot={PICTURE}",
            page.as_uri(),
        ],
        check=True,
        capture_output=True,
        timeout=60,
    )


def named(legend: str, labels: dict[str, str]) -> str:
    return re.sub(r"{{(\w+)}}", lambda found: labels.get(found[1], ""), legend)


def numbers(values: list[Any]) -> list[tuple[float, float]]:
    return [(time, float(text)) for time, text in values if text != "NaN"]


if __name__ == "__main__":
    main()
