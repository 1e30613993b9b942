"""A real Prometheus that scrapes servers of the tests, as one in a cluster would scrape their pods."""

from __future__ import annotations

import json
import math
import re
import shutil
import subprocess
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlencode, urlsplit
from urllib.request import urlopen

from tests.serve.harness import until

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

SCRAPE_SECONDS = 1
START_SECONDS = 60.0
_ADDRESS = re.compile(r'msg="Listening on" address=(\S+)')


def missing() -> list[str]:
    """What of it is not on the PATH."""
    return [program for program in ("prometheus", "promtool") if not shutil.which(program)]


def scraping(pods: Mapping[str, str], labels: Mapping[str, str], token: str | None = None) -> dict[str, Any]:
    """For `scrape_configs`, servers as if each were in a pod: by its name their URLs, and labels of all of them."""
    return {
        "job_name": "tests",
        "static_configs": [
            {"targets": [urlsplit(url).netloc], "labels": {**labels, "pod": pod}} for pod, url in pods.items()
        ],
        **({"authorization": {"credentials": token}} if token else {}),
    }


class Prometheus:
    """`with Prometheus(directory, scraping(…)) as prometheus: …`."""

    def __init__(self, directory: Path, scraping: Mapping[str, Any], rules: Path | None = None) -> None:
        self._directory = directory
        self._log = directory / "prometheus.log"
        self._configuration = {
            "global": {"scrape_interval": f"{SCRAPE_SECONDS}s", "evaluation_interval": f"{SCRAPE_SECONDS}s"},
            "rule_files": [str(rules)] if rules else [],
            "scrape_configs": [scraping],
        }
        self._process: subprocess.Popen[bytes] | None = None
        self._url = ""

    def __enter__(self) -> Self:
        # What is JSON is YAML too.
        configuration = self._directory / "prometheus.yaml"
        configuration.write_text(json.dumps(self._configuration))
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [
                    "prometheus",
                    f"--config.file={configuration}",
                    f"--storage.tsdb.path={self._directory / 'data'}",
                    "--web.listen-address=127.0.0.1:0",
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        try:
            self._url = f"http://{until(self._listens, START_SECONDS)}"
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()

    def _listens(self) -> str | None:
        assert self._process
        said = self._log.read_text(errors="replace")
        assert self._process.poll() is None, f"it did not start:\n{said}"
        found = _ADDRESS.search(said)
        return found[1] if found and "Server is ready to receive web requests" in said else None

    def _stop(self) -> None:
        assert self._process
        self._process.terminate()
        self._process.wait()

    def ask(self, path: str, **parameters: str | float) -> Any:
        """What its API has at this path. Raises HTTPError."""
        with urlopen(f"{self._url}/api/v1/{path}?{urlencode(parameters)}", timeout=30) as reply:
            return json.load(reply)["data"]

    def query(self, expression: str) -> list[dict[str, Any]]:
        """What it gives now: series with a number, as `{"metric": labels, "value": [time, text]}`."""
        found: list[dict[str, Any]] = self.ask("query", query=expression)["result"]
        return [each for each in found if not math.isnan(float(each["value"][1]))]

    def query_range(self, expression: str, begin: float, end: float, step: float) -> list[dict[str, Any]]:
        """What it gave in this time: `{"metric": labels, "values": [[time, text], …]}`."""
        found: list[dict[str, Any]] = self.ask("query_range", query=expression, start=begin, end=end, step=step)[
            "result"
        ]
        return found
