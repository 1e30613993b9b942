"""The part of docs/api.md that is made of the OpenAPI document. `--write` puts it there; a test compares."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.docs.pages import main

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGE = Path(__file__).parents[2] / "docs" / "api.md"
BEGIN = "<!-- From here to the end mark: `make docs` writes it, from /openapi.json. -->"


def reference() -> str:
    from willitcompile.server.openapi import document

    whole = document()
    sections = [
        "\n".join(_operation(method, path, operation))
        for path, operations in whole["paths"].items()
        for method, operation in operations.items()
    ]
    sections.append("## What is sent and answered")
    sections += ["\n".join(_schema(name, schema)) for name, schema in whole["components"]["schemas"].items()]
    return "\n\n".join(sections) + "\n"


def _operation(method: str, path: str, operation: dict[str, Any]) -> Iterator[str]:
    yield f"### {method.upper()} {path}\n"
    yield operation["summary"]
    if more := operation.get("description"):
        yield f"\n{more}"
    if parameters := operation.get("parameters"):
        yield "\n| parameter | | |\n|---|---|---|"
        for each in parameters:
            yield f"| `{each['name']}` | {each['in']}, {_kind(each['schema'])} | {each['description']} |"
    if body := operation.get("requestBody"):
        ((media, content),) = body["content"].items()
        yield f"\nThe body is `{media}`: {_kind(content['schema'])}."
    yield "\n| status | | |\n|---|---|---|"
    for status, answer in operation["responses"].items():
        kinds = dict.fromkeys(_kind(content["schema"]) for content in answer.get("content", {}).values())
        yield f"| {status} | {_line(answer['description'])} | {', '.join(kinds)} |"


def _schema(name: str, schema: dict[str, Any]) -> Iterator[str]:
    yield f"### {name}\n"
    if text := schema.get("description"):
        yield f"{text}\n"
    if "properties" not in schema:
        yield _kind(schema)
        return
    yield "| field | | |\n|---|---|---|"
    for field, kind in schema["properties"].items():
        needed = "" if field in schema.get("required", ()) else ", may be absent"
        yield f"| `{field}` | {_kind(kind)}{needed} | {_line(kind.get('description', ''))} |"


def _kind(schema: dict[str, Any]) -> str:
    """A schema in words."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "anyOf" in schema:
        return " or ".join(map(_kind, schema["anyOf"]))
    if "enum" in schema or "const" in schema:
        return ", ".join(f"`{each}`" for each in schema.get("enum", [schema.get("const")]))
    kind = schema.get("type", "")
    words = " or ".join(kind) if isinstance(kind, list) else str(kind)
    if words == "array":
        words = f"list of {_kind(schema['items'])}"
    elif isinstance(schema.get("additionalProperties"), dict):
        words = f"by name, {_kind(schema['additionalProperties'])}"
    elif "properties" in schema:
        words = "object of " + ", ".join(f"`{field}`" for field in schema["properties"])
    return words + "".join(
        f", {text} {schema[bound]:.15g}"
        for bound, text in {"minimum": "at least", "exclusiveMinimum": "more than", "maximum": "at most"}.items()
        if bound in schema
    )


def _line(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


if __name__ == "__main__":
    main(PAGE, reference(), BEGIN)
