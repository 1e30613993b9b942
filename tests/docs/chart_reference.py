"""What the chart says of its values in other places than values.yaml, made of the comments there: the table of its
README and the descriptions of its schema. `--write` puts them there; a test compares.

A key with a comment above it is one value, with all that is below it. One without is a section of values.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import yaml

from tests.docs.pages import main

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

CHART = Path(__file__).parents[2] / "helm" / "will-it-compile"
PAGE = CHART / "README.md"
SCHEMA = CHART / "values.schema.json"
BEGIN = "<!-- From here to the end mark: `make docs` writes it, from values.yaml. -->"


class Value(NamedTuple):
    path: tuple[str, ...]
    default: object
    description: str


def values() -> list[Value]:
    """All values of the chart, in their order. Raises SystemExit for one without a comment."""
    text = (CHART / "values.yaml").read_text()
    root = yaml.compose(text, yaml.SafeLoader)
    assert isinstance(root, yaml.MappingNode)
    return list(_values(root, (), text.splitlines()))


def _values(node: yaml.MappingNode, above: tuple[str, ...], lines: list[str]) -> Iterator[Value]:
    for key, value in node.value:
        path = (*above, key.value)
        if description := _comment_above(lines, key.start_mark.line):
            # A constructor of its own for each: it remembers the nodes that it has seen.
            yield Value(path, yaml.SafeLoader("").construct_document(value), description)
        elif isinstance(value, yaml.MappingNode) and value.value:
            yield from _values(value, path, lines)
        else:
            raise SystemExit(f"values.yaml:{key.start_mark.line + 1}: {'.'.join(path)} has no comment above it")


def _comment_above(lines: list[str], number: int) -> str:
    """The lines of a comment that stand directly above a line, from 0, as one."""
    first = number
    while first and lines[first - 1].lstrip().startswith("# "):
        first -= 1
    return " ".join(line.strip().removeprefix("# ") for line in lines[first:number])


def table() -> str:
    rows = [
        f"| `{'.'.join(value.path)}` | `{json.dumps(value.default, ensure_ascii=False)}` | {_cell(value.description)} |"
        for value in values()
    ]
    return "\n".join(["| value | default | |", "|---|---|---|", *rows]) + "\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def schema_with_descriptions() -> str:
    """The schema, in which each value has its description."""
    schema = json.loads(SCHEMA.read_text())
    for value in values():
        place: dict[str, Any] = schema
        for name in value.path:
            place = _resolved(schema, place)["properties"][name]
        rest = {key: item for key, item in place.items() if key != "description"}
        place.clear()
        place.update(description=value.description, **rest)
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def _resolved(schema: Mapping[str, Any], place: dict[str, Any]) -> dict[str, Any]:
    reference = place.get("$ref", "")
    found: dict[str, Any] = schema["definitions"][reference.removeprefix("#/definitions/")] if reference else place
    return found


if __name__ == "__main__":
    described = schema_with_descriptions()
    if "--write" in sys.argv:
        SCHEMA.write_text(described)
    elif described != SCHEMA.read_text():
        raise SystemExit(f"{SCHEMA} does not say what values.yaml says; try: make docs")
    main(PAGE, table(), BEGIN)
