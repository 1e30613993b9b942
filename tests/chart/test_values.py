"""The schema of the chart's values: each wrong value is refused, with its path."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.chart.helm import CHART, RELEASE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.chart.helm import Helm

    Path = tuple[str, ...]
    Schema = dict[str, Any]

pytestmark = pytest.mark.chart

SCHEMA: Schema = json.loads((CHART / "values.schema.json").read_text())
VALUES = yaml.safe_load((CHART / "values.yaml").read_text())

OTHERS = {"boolean": "perhaps", "string": 7, "integer": "many", "number": "many", "array": "one", "object": "one"}
"""For each type a value of another one."""


def resolved(schema: Schema) -> Schema:
    if "$ref" not in schema:
        return schema
    found: Schema = SCHEMA["definitions"][schema["$ref"].rpartition("/")[2]]
    return found


def sections(schema: Schema, path: Path = ()) -> Iterator[Path]:
    """Each mapping whose keys are known, by its path."""
    if "properties" in schema:
        yield path
        for name, each in schema["properties"].items():
            yield from sections(resolved(each), (*path, name))


def leaves(schema: Schema, path: Path = ()) -> Iterator[tuple[Path, Schema]]:
    """All else, with what is said of it."""
    for name, each in schema["properties"].items():
        found = resolved(each)
        if "properties" in found:
            yield from leaves(found, (*path, name))
        else:
            yield (*path, name), found


def wrong(schema: Schema) -> Iterator[tuple[Path, object]]:
    """Values that the schema has to refuse, each with the path in it of what is wrong."""
    schema = resolved(schema)
    types = schema.get("type", "enum")
    types = [types] if isinstance(types, str) else types
    yield (), True if len(types) > 1 else OTHERS.get(types[0], "neither")
    if "pattern" in schema or "enum" in schema:
        yield (), "no such\nvalue!"
    if "minimum" in schema:
        yield (), schema["minimum"] - 1
    if "maximum" in schema:
        yield (), schema["maximum"] + 1
    if "exclusiveMinimum" in schema:
        yield (), schema["exclusiveMinimum"]
    if "exclusiveMaximum" in schema:
        yield (), schema["exclusiveMaximum"]
    if "items" in schema:
        yield from ((("0", *path), [value]) for path, value in wrong(schema["items"]))
    if "patternProperties" in schema:
        yield (), {"no such key!": "value"}
        yield ("key",), {"key": ["no text"]}
    elif "properties" in schema and schema.get("additionalProperties") is False:
        yield (), {"noSuchKey": "value"}


SECTIONS = list(sections(SCHEMA))
# `global` is for charts that this one is a part of: nothing here reads it.
LEAVES = [(path, schema) for path, schema in leaves(SCHEMA) if path != ("global",)]


def rounds() -> list[list[tuple[Path, Path, object]]]:
    """Every wrong value with its own path and that in it, in as few sets as have one of each value at most."""
    found: list[list[tuple[Path, Path, object]]] = []
    for path, schema in LEAVES:
        for number, (where, value) in enumerate(wrong(schema)):
            if number == len(found):
                found.append([])
            found[number].append((path, where, value))
    return found


def nested(*values: tuple[Path, object]) -> dict[str, Any]:
    """A file of values with all of these."""
    whole: dict[str, Any] = {}
    for (*above, name), value in values:
        place = whole
        for each in above:
            place = place.setdefault(each, {})
        place[name] = value
    return whole


def refused(helm: Helm, values: dict[str, object]) -> set[str]:
    """The paths of what is wrong, as helm says them."""
    done = helm.run("template", RELEASE, str(CHART), values=values, check=False)
    assert done.returncode != 0
    assert "values don't meet the specifications of the schema" in done.stderr
    return set(re.findall(r"^ *- at '(\S*)': (?!validation failed)", done.stderr, re.MULTILINE))


def shown(path: Path) -> str:
    return "".join(f"/{name}" for name in path)


def test_each_value_has_a_schema_and_no_other_has() -> None:
    def keys(values: dict[str, Any], path: Path = ()) -> Iterator[Path]:
        for name, value in values.items():
            if (*path, name) in SECTIONS:
                yield from keys(value, (*path, name))
            else:
                yield (*path, name)

    assert list(keys(VALUES)) == [path for path, _ in LEAVES]


@pytest.mark.parametrize("wrongs", rounds(), ids=lambda wrongs: f"{len(wrongs)} values")
def test_each_wrong_value_is_refused_with_its_path(helm: Helm, wrongs: list[tuple[Path, Path, object]]) -> None:
    values = nested(*((path, value) for path, _, value in wrongs))
    assert refused(helm, values) == {shown((*path, *where)) for path, where, _ in wrongs}


def test_an_unknown_key_of_each_section_is_refused_with_its_path(helm: Helm) -> None:
    values = nested(*(((*path, "noSuchKey"), "value") for path in SECTIONS))
    assert refused(helm, values) == {shown(path) for path in SECTIONS}


def test_a_default_cannot_be_taken_away(helm: Helm) -> None:
    """As by `key:` with nothing behind it, which does no harm where the default is empty."""

    def default(path: Path) -> object:
        found = VALUES
        for name in path:
            found = found[name]
        return found

    empty = [path for path, _ in LEAVES if default(path) in ("", [], {})]
    taken = [path for path, _ in LEAVES if path not in empty]
    done = helm.run("template", RELEASE, str(CHART), values=nested(*((path, None) for path in taken)), check=False)
    assert done.returncode != 0
    said = re.findall(r"at '(\S*)': missing propert(?:y|ies) (.*)", done.stderr)
    assert {shown(path) for path in taken} == {
        f"{section}/{name}" for section, names in said for name in re.findall(r"'(\w+)'", names)
    }
    helm.run("template", RELEASE, str(CHART), values=nested(*((path, None) for path in empty)))
