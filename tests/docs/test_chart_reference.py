"""The chart's README and schema say of each value what values.yaml says."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.docs import chart_reference
from tests.docs.pages import page_with

if TYPE_CHECKING:
    from collections.abc import Iterator

SCHEMA: dict[str, Any] = json.loads(chart_reference.SCHEMA.read_text())


def leaves(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """What the schema has by name: values, and the keys of those that are mappings."""
    for name, place in schema.get("properties", {}).items():
        where = f"{path}.{name}".lstrip(".")
        reference = place.get("$ref", "").removeprefix("#/definitions/")
        target = SCHEMA["definitions"][reference] if reference else place
        if "properties" in target:
            yield from leaves(target, where)
        else:
            yield where, place


def test_the_readme_has_every_value_and_its_default() -> None:
    page = chart_reference.PAGE.read_text()
    assert page_with(chart_reference.table(), page, chart_reference.BEGIN) == page, "try: make docs"


def test_the_schema_describes_each_value_as_its_comment_does() -> None:
    assert chart_reference.schema_with_descriptions() == chart_reference.SCHEMA.read_text(), "try: make docs"


def test_nothing_in_the_schema_is_without_a_description() -> None:
    assert [where for where, place in leaves(SCHEMA) if not place.get("description")] == []


def test_the_schema_knows_no_value_that_is_not_in_the_file() -> None:
    defaults = yaml.safe_load((chart_reference.CHART / "values.yaml").read_text())

    def has(where: str) -> bool:
        place = defaults
        for name in where.split("."):
            if not isinstance(place, dict) or name not in place:
                return False
            place = place[name]
        return True

    assert [where for where, _ in leaves(SCHEMA) if not has(where)] == ["global"]


def test_a_value_without_a_comment_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    (tmp_path / "values.yaml").write_text("# Said\none: 1\nmany:\n  # Said too\n  two: 2\n  three: 3\n")
    monkeypatch.setattr(chart_reference, "CHART", tmp_path)
    with pytest.raises(SystemExit, match=r"values.yaml:6: many.three has no comment above it"):
        chart_reference.values()
