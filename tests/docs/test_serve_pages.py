"""docs/serve.md, docs/api.md and docs/operations.md say what the service does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.docs import api_reference
from tests.docs.pages import page_with
from willitcompile.server.checks import Statistics
from willitcompile.server.metrics import Metrics
from willitcompile.server.settings import EARLIER, SETTINGS, ServeSettings, resolve

DOCS = Path(__file__).parents[2] / "docs"
SERVE = (DOCS / "serve.md").read_text()
OPERATIONS = (DOCS / "operations.md").read_text()

ROWS = {
    row[0].strip("` "): [cell.strip() for cell in row[1:]]
    for line in SERVE.partition("## Every setting")[2].splitlines()
    if line.startswith("| `") and len(row := line.strip("|").split("|")) == 4
}


def test_the_reference_is_made_of_the_openapi_document() -> None:
    page = api_reference.PAGE.read_text()
    assert page_with(api_reference.reference(), page, api_reference.BEGIN) == page, "try: make docs"


def test_every_setting_is_in_the_table() -> None:
    assert list(ROWS) == list(SETTINGS)


@pytest.mark.parametrize("name", SETTINGS)
def test_a_setting_is_as_the_table_says(name: str) -> None:
    variables, default, _ = ROWS[name]
    assert re.findall(r"`(\w+)`", variables) == [SETTINGS[name].variable_name, *filter(None, [EARLIER.get(name)])]
    usual = getattr(ServeSettings(), SETTINGS[name].field)
    if default == "none" or name == "state":
        assert not usual
    else:
        assert SETTINGS[name].parse(default) == usual


def test_the_file_of_the_example_is_right(tmp_path: Path) -> None:
    from willitcompile.config import resolve as resolve_check

    (example,) = re.findall(r"```yaml\n(# serve\.yaml.*?)```", SERVE, re.DOTALL)
    file = tmp_path / "serve.yaml"
    file.write_text(example)
    settings = resolve_check({}, environment={}, file=str(file))
    serving = resolve({}, settings.options["serve"], str(file), {"HOME": "/"})
    assert (settings.backend, settings.jobs, settings.timeout) == ("docker", 8, 20)
    assert (serving.host, serving.rate_limit, serving.trusted_proxies) == ("0.0.0.0", 60, ("10.0.0.0/8",))


def test_each_metric_is_told_and_each_that_is_told_exists() -> None:
    metrics = Metrics("sandbox", lambda: Statistics(1, 0, 0), "1", list)
    text, _ = metrics.render()
    there = set(re.findall(r"^# TYPE (willitcompile_\w+) ", text.decode(), re.MULTILINE))
    told = set(re.findall(r"`(willitcompile_\w+)`", OPERATIONS))
    assert there <= told
    used = {re.sub(r"_bucket$", "", name) for name in re.findall(r"willitcompile_\w+", OPERATIONS)}
    assert used <= there
