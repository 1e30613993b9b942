"""Files that kubectl is configured with, as far as reaching a cluster takes it.

Not by the official package: importing that takes longer than a whole check should. They hold secrets, so no error says
what is written in one but the names of contexts, clusters and users.
"""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from willitcompile.errors import BackendUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from yaml import Event

ASKED = "compile on Kubernetes"
_LARGEST = 8 << 20
_DEEPEST = 64
_LONGEST_PATH = 300
_MOST_NAMED = 12
"""Of the contexts that there are, so many are told."""


class Entry(NamedTuple):
    """A cluster, a user or a context."""

    kind: str
    """`cluster`, `user` or `context`."""
    name: str
    fields: Mapping[str, object]
    """Of text, booleans, None, lists and mappings: numbers are text here, as typed."""
    file: str

    def text(self, key: str) -> str | None:
        """None where it is not there, or empty. Raises BackendUnavailable for what is no text."""
        found = self.fields.get(key)
        if found is None or found == "":
            return None
        if not isinstance(found, str):
            raise self.wrong(f"{key} is not text")
        return found

    def flag(self, key: str) -> bool:
        """Raises BackendUnavailable."""
        found = self.fields.get(key)
        if found is None or isinstance(found, bool):
            return bool(found)
        raise self.wrong(f"{key} is neither true nor false")

    def mapping(self, key: str) -> Mapping[str, object]:
        """Raises BackendUnavailable."""
        found = self.fields.get(key)
        if found is None or isinstance(found, Mapping):
            return found or {}
        raise self.wrong(f"{key} is not a mapping")

    def texts(self, key: str) -> list[str]:
        """Raises BackendUnavailable."""
        found = self.fields.get(key) or []
        if isinstance(found, list) and all(isinstance(each, str) for each in found):
            return found
        raise self.wrong(f"{key} is not a list of texts")

    def path(self, key: str) -> str | None:
        """Of a file that is named relative to this one. Raises BackendUnavailable."""
        found = self.text(key)
        return os.path.join(os.path.dirname(self.file), found) if found else None

    def data(self, key: str) -> bytes | None:
        """What stands here as `KEY-data` in base64, or in the file that KEY names. Raises BackendUnavailable."""
        if text := self.text(f"{key}-data"):
            try:
                return base64.b64decode("".join(text.split()), validate=True)
            except (binascii.Error, ValueError):
                raise self.wrong(f"{key}-data is not base64") from None
        path = self.path(key)
        return read_bytes(path, f"the {key} of the {self.kind} {self.name!r}") if path else None

    def wrong(self, obstacle: str) -> BackendUnavailable:
        return BackendUnavailable(
            ASKED, f"the {self.kind} {self.name!r} in {shown(self.file)} is wrong: {obstacle}", _look(self.file)
        )


class Kubeconfig(NamedTuple):
    """All files together."""

    files: tuple[str, ...]
    """Those that are there."""
    current: str
    """The name of the context to use; empty for none."""
    contexts: Mapping[str, Entry]
    clusters: Mapping[str, Entry]
    users: Mapping[str, Entry]

    def context(self, name: str | None) -> Entry:
        """The one of this name, or the current one. Raises BackendUnavailable."""
        where = ", ".join(map(shown, self.files))
        wanted = name or self.current
        if not wanted:
            raise BackendUnavailable(
                ASKED, f"no context is chosen in {where} ({self._there_are()})", "kubectl config use-context NAME"
            )
        if wanted not in self.contexts:
            said = "" if name else ", which is the current one"
            raise BackendUnavailable(
                ASKED,
                f"there is no context {wanted!r} in {where}{said} ({self._there_are()})",
                "kubectl config get-contexts",
            )
        return self.contexts[wanted]

    def _there_are(self) -> str:
        if not self.contexts:
            return "there is none"
        names = [repr(each) for each in self.contexts]
        more = len(names) - _MOST_NAMED
        return f"there are: {', '.join(names[:_MOST_NAMED])}" + (f" and {more} more" if more > 0 else "")


def places(environment: Mapping[str, str]) -> list[str]:
    """Where to look, whether anything is there or not: `KUBECONFIG`, else the usual place."""
    if listed := environment.get("KUBECONFIG"):
        return [os.path.abspath(each) for each in listed.split(os.pathsep) if each]
    home = environment.get("HOME")
    return [os.path.join(home, ".kube", "config")] if home else []


def read(paths: Sequence[str]) -> Kubeconfig:
    """As kubectl does: the first file to name a thing wins, and one that is not there is passed over.

    Raises BackendUnavailable for one that cannot be read or understood.
    """
    found = Kubeconfig(tuple(filter(os.path.exists, paths)), "", {}, {}, {})
    parts: dict[str, dict[str, Entry]] = {"context": {}, "cluster": {}, "user": {}}
    current = ""
    for path in found.files:
        document = _document(path)
        for kind, entries in parts.items():
            for entry in _entries(document, kind, path):
                entries.setdefault(entry.name, entry)
        chosen = document.get("current-context")
        current = current or (chosen if isinstance(chosen, str) else "")
    return found._replace(current=current, contexts=parts["context"], clusters=parts["cluster"], users=parts["user"])


def read_bytes(path: str, what: str) -> bytes:
    """A small file's content. Raises BackendUnavailable."""
    try:
        with open(path, "rb") as file:
            content = file.read(_LARGEST + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "that is no name of a file"
        raise BackendUnavailable(ASKED, f"{what} cannot be read: {shown(path)}: {reason}", _look(path)) from None
    if len(content) > _LARGEST:
        raise BackendUnavailable(ASKED, f"{what} is too large: {shown(path)}", _look(path))
    return content


def shown(path: str) -> str:
    """For people: with a tilde for their home."""
    if not _is_path(path):
        return "(not shown)"
    home = os.path.expanduser("~").rstrip("/") + "/"
    return f"~/{path[len(home) :]}" if len(home) > 1 and path.startswith(home) else path


def _look(path: str) -> str:
    import shlex

    return f"ls -l {shlex.quote(path)}; kubectl config view" if _is_path(path) else "kubectl config view"


def _is_path(text: str) -> bool:
    """Whether it can be shown: what is hardly a path may be a key in the wrong place."""
    return text.isprintable() and len(text) <= _LONGEST_PATH


def _document(path: str) -> Mapping[str, object]:
    import yaml

    content = read_bytes(path, "the kubeconfig")
    try:
        events = yaml.parse(content, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
        found = _Builder(events).build()
    except (yaml.YAMLError, ValueError) as error:
        # The error's own words may quote what stands there.
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        raise BackendUnavailable(ASKED, f"the kubeconfig {shown(path)} is not YAML{where}", _look(path)) from None
    if found is None:
        return {}
    if not isinstance(found, Mapping):
        raise BackendUnavailable(ASKED, f"the kubeconfig {shown(path)} is no kubeconfig", _look(path))
    return found


def _entries(document: Mapping[str, object], kind: str, path: str) -> Iterator[Entry]:
    found = document.get(f"{kind}s") or []
    if not isinstance(found, list):
        raise BackendUnavailable(ASKED, f"in the kubeconfig {shown(path)}, {kind}s is not a list", _look(path))
    for each in found:
        name = each.get("name") if isinstance(each, Mapping) else None
        fields = (each.get(kind) or {}) if isinstance(each, Mapping) else None
        if not isinstance(name, str) or not isinstance(fields, Mapping):
            raise BackendUnavailable(
                ASKED, f"in the kubeconfig {shown(path)}, one of the {kind}s has no name or no content", _look(path)
            )
        yield Entry(kind, name, fields, path)


class _Builder:
    """YAML's events as data. Not yaml.load, which ends the whole process where brackets nest deeply enough."""

    def __init__(self, events: Iterator[Event]) -> None:
        self._events = events
        self._anchors: dict[str, object] = {}

    def build(self) -> object:
        """The first document; None where there is none. Raises ValueError and yaml.YAMLError."""
        import yaml

        for event in self._events:
            if isinstance(event, yaml.DocumentStartEvent):
                return self._node(next(self._events), 0)
        return None

    def _node(self, event: Event, depth: int) -> object:
        import yaml

        if depth > _DEEPEST:
            raise ValueError("too deep")
        if isinstance(event, yaml.AliasEvent):
            if event.anchor not in self._anchors:
                raise ValueError("an alias of nothing")
            return self._anchors[event.anchor]
        if isinstance(event, yaml.SequenceStartEvent):
            items: list[object] = []
            while not isinstance(inner := next(self._events), yaml.SequenceEndEvent):
                items.append(self._node(inner, depth + 1))
            found: object = items
        elif isinstance(event, yaml.MappingStartEvent):
            fields: dict[str, object] = {}
            while not isinstance(inner := next(self._events), yaml.MappingEndEvent):
                key = self._node(inner, depth + 1)
                value = self._node(next(self._events), depth + 1)
                if isinstance(key, str):
                    fields[key] = value
            found = fields
        elif isinstance(event, yaml.ScalarEvent):
            plain = event.style in {None, "", " "} and not event.tag
            found = _PLAIN.get(event.value, event.value) if plain else event.value
        else:
            raise ValueError("not a node")
        if event.anchor:
            self._anchors[event.anchor] = found
        return found


_PLAIN: dict[str, object] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
