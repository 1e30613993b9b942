"""Read a configuration file as what it sets, each with its line. Imported only where there is a file."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from willitcompile.config import SECTIONS, read, shown
from willitcompile.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from yaml import Event

_DEEPEST = 8
"""Mappings and lists in one another, in the section of a backend."""


class Entry(NamedTuple):
    """What a file says about one setting."""

    name: str
    values: list[str] | None
    """As text, whatever type the file gives them; None for what cannot be a value."""

    line: int
    section: dict[str, object] | None = None
    """Of a backend, with texts, lists, mappings and None; `values` is None then too."""


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
            if key.value in SECTIONS:
                yield Entry(key.value, None, _line(key), _yaml_section(events, file))
            else:
                yield Entry(key.value, _yaml_values(events), _line(key))
        next(events)  # the document ends
        if not isinstance(end := next(events), yaml.StreamEndEvent):
            raise _wrong(file, end, "a second document begins", "keep only one")
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
        line = mark.line + 1 if mark else _line_of(text, getattr(error, "position", 0))
        problem = getattr(error, "problem", None) or getattr(error, "reason", None) or "something is wrong"
        if "nesting depth" in problem:  # libyaml since 0.2.6 counts too, and looks ahead of its events
            raise ConfigError(f"{file}:{line}", f"it nests more than {_DEEPEST} deep", "write it flatter") from None
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


def _yaml_section(events: Iterator[Event], file: str) -> dict[str, object] | None:
    """None for what is no mapping. Of a scalar it keeps what was typed: `cpu: 0.50`, `memory: 512Mi`."""
    import yaml

    event = next(events)
    if isinstance(event, yaml.ScalarEvent) and not (event.value or event.style):
        return {}
    section = _yaml_data(event, events, file, _DEEPEST) if isinstance(event, yaml.MappingStartEvent) else None
    return section if isinstance(section, dict) else None


def _yaml_data(event: Event, events: Iterator[Event], file: str, depth: int) -> object:
    import yaml

    if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
        raise _wrong(file, event, "an anchor or an alias cannot be here", "write out what it stands for")
    if isinstance(event, yaml.ScalarEvent):
        return None if not event.style and event.value in _YAML_NULLS else event.value
    if not depth:
        raise _wrong(file, event, f"it nests more than {_DEEPEST} deep", "write it flatter")
    if isinstance(event, yaml.SequenceStartEvent):
        items = []
        while not isinstance(item := next(events), yaml.SequenceEndEvent):
            items.append(_yaml_data(item, events, file, depth - 1))
        return items
    mapping: dict[str, object] = {}
    while not isinstance(key := next(events), yaml.MappingEndEvent):
        if not isinstance(key, yaml.ScalarEvent) or key.anchor:
            raise _wrong(file, key, "the name of a setting is a word", "write for example: namespace: builds")
        if key.value in mapping:
            raise _wrong(file, key, "a setting is set twice", "leave one of the two")
        mapping[key.value] = _yaml_data(next(events), events, file, depth - 1)
    return mapping


_YAML_NULLS = frozenset({"", "~", "null", "Null", "NULL"})


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
    except ValueError:  # Python's own limit, of 4300 digits
        raise ConfigError(f"read {file}", "it holds a number that is too long", "shorten it") from None
    tool = document.get("tool", {})
    table = tool.get("willitcompile", {}) if isinstance(tool, dict) else {}
    if not isinstance(table, dict):
        raise ConfigError(f"read {file}", "tool.willitcompile is not a table", "write [tool.willitcompile]")
    for name, value in table.items():
        line = _toml_line(text, name)
        if name in SECTIONS:
            section = _toml_data(value, f"{file}:{line}", _DEEPEST) if isinstance(value, dict) else None
            yield Entry(name, None, line, section if isinstance(section, dict) else None)
            continue
        values = value if isinstance(value, list) else [value]
        fits = all(isinstance(item, str | int | float) for item in values)
        yield Entry(name, [_toml_word(item) for item in values] if fits else None, line)


def _toml_word(value: object) -> str:
    if isinstance(value, int) and abs(value) >= 1 << 64:  # in hexadecimal it may have more digits than can be printed
        return hex(value)
    return str(value).lower() if isinstance(value, bool) else str(value)


def _toml_data(value: object, where: str, depth: int) -> object:
    """The same as of YAML: text, whatever its type."""
    if isinstance(value, str | int | float):
        return _toml_word(value)
    if not isinstance(value, dict | list):
        raise ConfigError(where, "it holds a date or a time, which no setting is", "write it in quotation marks")
    if not depth:
        raise ConfigError(where, f"it nests more than {_DEEPEST} deep", "write it flatter")
    if isinstance(value, list):
        return [_toml_data(item, where, depth - 1) for item in value]
    return {name: _toml_data(item, where, depth - 1) for name, item in value.items()}


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
