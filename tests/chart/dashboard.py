"""The chart's dashboard, as Grafana reads it."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, NamedTuple

from tests.chart.helm import CHART

if TYPE_CHECKING:
    from collections.abc import Mapping

FILE = CHART / "files" / "dashboard.json"


class Query(NamedTuple):
    panel: str
    expression: str
    """With Grafana's variables: `$namespace`, `$__rate_interval`."""
    legend: str
    """With the labels that name a line: `{{verdict}}`."""


def read() -> dict[str, Any]:
    dashboard: dict[str, Any] = json.loads(FILE.read_text())
    return dashboard


def queries_of(panel: Mapping[str, Any]) -> list[Query]:
    return [Query(panel["title"], each["expr"], each["legendFormat"]) for each in panel.get("targets", ())]


def filled(expression: str, variables: Mapping[str, str]) -> str:
    """With the values of its variables. Raises KeyError for one that has none."""
    return re.sub(r"\$(\w+)", lambda found: variables[found[1]], expression)
