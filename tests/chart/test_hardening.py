"""docs/hardening.md: its values are the chart's, and production has of them what the page says."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.backends import EXAMPLES
from tests.chart.helm import VALUE_FILES

if TYPE_CHECKING:
    from tests.chart.helm import Helm

PAGE = (EXAMPLES.parent / "hardening.md").read_text()
MEASURES = [[cell.strip() for cell in line.split("|")[2:4]] for line in PAGE.splitlines() if line.startswith("| ")][1:]


def said(path: str) -> Any:
    """What the file of production says of a value; None for nothing."""
    found: Any = yaml.safe_load(VALUE_FILES["production"].read_text())
    for name in path.split("."):
        found = (found or {}).get(name)
    return found


@pytest.mark.parametrize(("paths", "there"), MEASURES)
def test_production_has_what_the_page_says(paths: str, there: str) -> None:
    for path in re.findall(r"`([^`]+)`", paths):
        value = said(path)
        is_on = (value.get("enabled") or value.get("create")) if isinstance(value, dict) else bool(value)
        assert bool(is_on) is there.startswith("yes"), path


@pytest.mark.chart
def test_the_values_of_the_page_are_those_of_the_chart(helm: Helm) -> None:
    (example,) = re.findall(r"```yaml\n# hardened\.yaml\n(.*?)```", PAGE, re.DOTALL)
    values = yaml.safe_load(example.replace("…", 64 * "a"))
    objects = helm.template(f"--values={VALUE_FILES['production']}", values=values)
    (policy,) = (each for each in objects if each["kind"] == "ValidatingAdmissionPolicy")
    (allowed,) = (each["expression"] for each in policy["spec"]["variables"] if each["name"] == "images")
    assert yaml.safe_load(allowed) == [values["compile"]["images"][0].partition("=")[2]]
    (deployment,) = (each["spec"]["template"]["spec"] for each in objects if each["kind"] == "Deployment")
    assert deployment["containers"][0]["image"] == f"registry.example.org/wic/serve@sha256:{64 * 'a'}"
