"""Read a configuration file as what it sets, each with its line. Imported only where there is a file."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from willitcompile.config import read, shown
from willitcompile.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from yaml import Event


class Entry(NamedTuple):
    """What a file says about one setting."""

    name: str
    values: list[str] | None
    """As text, whatever type the file gives them; None for what cannot be a value."""

    line: int


def entries(path: str, roots: Sequence[str] = ()) -> Iterable[Entry]:
    """What the file sets, in its order; see `read`. Raises ConfigError with the line where it is wrong."""
    data = read(path, roots)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"{shown(path)}:{line}", "it is not UTF-8 text", "save the file as UTF-8") from None
    return from_toml(text, shown(path)) if path.endswith(".toml") else from_yaml(text, shown(path))


def from_yaml(text: str, file: str) -> Iterator[Entry]:
    """One mapping of words to words or lists of words.

    Events, not a loaded document: each keeps its line and what was typed (`std: 17` stays `17`), an alias or
    nesting is refused where it begins, and PyYAML's composer is not used, whose C version recurses until the
    process dies.
    """
    import yaml

    events: Iterator[Event] = yaml.parse(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    try:
        next(events)  # the stream begins
        if isinstance(next(events), yaml.StreamEndEvent):
            return
        first = next(events)
        if isinstance(first, yaml.ScalarEvent) and not first.value:
            return
        if not isinstance(first, yaml.MappingStartEvent):
            raise _wrong(file, first, "it is not a list of settings", "write for example: compiler: gcc")
        while not isinstance(key := next(events), yaml.MappingEndEvent):
            if not isinstance(key, yaml.ScalarEvent):
                raise _wrong(file, key, "the name of a setting is a word", "write for example: compiler: gcc")
            yield Entry(key.value, _yaml_values(events), _line(key))
        next(events)  # the document ends
        if not isinstance(end := next(events), yaml.StreamEndEvent):
            raise _wrong(file, end, "a second document begins", "keep only one")
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
        line = mark.line + 1 if mark else _line_of(text, getattr(error, "position", 0))
        problem = getattr(error, "problem", None) or getattr(error, "reason", None) or "something is wrong"
        raise ConfigError(f"{file}:{line}", f"it is not YAML: {_unquoted(problem)}", "correct the line") from None


def _yaml_values(events: Iterator[Event]) -> list[str] | None:
    import yaml

    event = next(events)
    if isinstance(event, yaml.ScalarEvent):
        # `compiler:` with nothing after it sets nothing; only what is quoted is an empty word.
        return [event.value] if event.value or event.style else []
    if not isinstance(event, yaml.SequenceStartEvent):
        return None
    values = []
    while isinstance(item := next(events), yaml.ScalarEvent):
        values.append(item.value)
    return values if isinstance(item, yaml.SequenceEndEvent) else None


def _wrong(file: str, event: Event, obstacle: str, remedy: str) -> ConfigError:
    return ConfigError(f"{file}:{_line(event)}", obstacle, remedy)


def _line(event: Event) -> int:
    return event.start_mark.line + 1 if event.start_mark else 1


def from_toml(text: str, file: str) -> Iterator[Entry]:
    """The table [tool.willitcompile]."""
    import tomllib

    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        match = re.search(r"at line ([0-9]+)", str(error))
        line = int(match[1]) if match else text.count("\n") + 1
        problem = str(error).split(" (at ")[0]
        raise ConfigError(f"{file}:{line}", f"it is not TOML: {_unquoted(problem)}", "correct the line") from None
    except RecursionError:
        raise ConfigError(f"read {file}", "it nests too deep", "write it flatter") from None
    tool = document.get("tool", {})
    table = tool.get("willitcompile", {}) if isinstance(tool, dict) else {}
    if not isinstance(table, dict):
        raise ConfigError(f"read {file}", "tool.willitcompile is not a table", "write [tool.willitcompile]")
    for name, value in table.items():
        values = value if isinstance(value, list) else [value]
        fits = all(isinstance(item, str | int | float) for item in values)
        words = [str(item).lower() if isinstance(item, bool) else str(item) for item in values]
        yield Entry(name, words if fits else None, _toml_line(text, name))


def _toml_line(text: str, name: str) -> int:
    """Where a setting stands, which tomllib does not tell: the first line below our heading that says so."""
    heading = re.search(r"^[ \t]*\[[ \t]*tool[ \t.\"']+willitcompile\b", text, re.MULTILINE)
    start = heading.start() if heading else 0
    named = re.compile(rf"^[ \t]*(?:\[.*\.|tool\.willitcompile\.)?[\"']?{re.escape(name)}\b", re.MULTILINE)
    match = named.search(text, start)
    return _line_of(text, match.start() if match else start)


def _unquoted(problem: str) -> str:
    """What a parser says, without more of the file than a character or two.

    >>> _unquoted("Expected '=' after a key"), _unquoted("Cannot declare ('a', 'b') twice")
    ("Expected '=' after a key", 'Cannot declare … twice')
    """
    return re.sub(r"""\(.*\)|(['"]).{5,}\1""", "…", problem, flags=re.DOTALL)


def _line_of(text: str, position: int) -> int:
    return text.count("\n", 0, position) + 1
