"""What a check has looked at, and what of that is different now.

It looks again at each path, where inotify would tell of changes: thus it works on NFS, in the bind mounts of containers
and virtual machines, where nobody tells, and past `fs.inotify.max_user_watches`; it does not matter how an editor
saves; what is not there is watched like what is; and it takes no dependency. docs/watch.md says what it costs.
"""

from __future__ import annotations

import os
from _thread import allocate_lock
from stat import S_ISDIR
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable

State: TypeAlias = tuple[int, ...] | frozenset[str] | None
"""What a path is like: of a file, what changes with its content; of a directory, that it is one, or its names; None
where nothing is there to be looked at."""

SEARCH = ""
"""What looks at directories for sources, in place of a source."""

_DIRECTORY: State = ()


class Changes(NamedTuple):
    """What is different since it was looked at."""

    paths: frozenset[str]
    """The files, as they were looked at; not those that only the search for sources has come by."""

    sources: frozenset[str]
    """Whose compiles depend on them; `SEARCH` where a directory has other names."""

    def joined(self, more: Changes) -> Changes:
        return Changes(self.paths | more.paths, self.sources | more.sources)


class Watched:
    """The paths that sources depend on, each as it was when it was first looked at.

    Compiles may look, in whatever thread, and `outdated` be asked while they do; all else is asked by one thread, when
    none runs.
    """

    def __init__(self) -> None:
        self._lock = allocate_lock()
        self._states: dict[str, State] = {}
        self._dependents: dict[str, set[str]] = {}

    def look(self, source: str, path: str) -> None:
        """A source depends on a path, and is about to look at it. A `/` at its end is for the names in it."""
        with self._lock:
            if path not in self._states:
                self._states[path] = state(path)
            self._dependents.setdefault(path, set()).add(source)

    def forget(self, sources: Iterable[str]) -> None:
        """These are looked at anew, or gone."""
        gone = set(sources)
        with self._lock:
            for path in [path for path, dependents in self._dependents.items() if not gone.isdisjoint(dependents)]:
                self._dependents[path] -= gone
                if not self._dependents[path]:
                    del self._dependents[path], self._states[path]

    def outdated(self) -> frozenset[str]:
        """The sources that depend on what is different now."""
        found: set[str] = set()
        for path, before in self._all():
            if state(path) != before:
                with self._lock:
                    found |= self._dependents[path]
        return frozenset(found)

    def take(self) -> Changes:
        """What is different now. From here on it is as it should be."""
        paths: set[str] = set()
        sources: set[str] = set()
        for path, before in self._all():
            now = state(path)
            if now == before:
                continue
            self._states[path] = now
            dependents = self._dependents[path]
            sources |= dependents
            if dependents != {SEARCH}:
                paths |= _named(path, before, now)
        return Changes(frozenset(paths), frozenset(sources))

    def __len__(self) -> int:
        return len(self._states)

    def _all(self) -> list[tuple[str, State]]:
        # A copy: compiles look at more meanwhile.
        with self._lock:
            return list(self._states.items())


def state(path: str) -> State:
    """What a path is like at this moment. With a `/` at its end, the names in that directory, but those that editors
    make for a while."""
    try:
        if path.endswith("/"):
            return frozenset(name for name in os.listdir(path) if not name.startswith((".", "#")) and name[-1] != "~")
        found = os.stat(path)
    except (OSError, ValueError):
        return None
    if S_ISDIR(found.st_mode):
        return _DIRECTORY
    return (found.st_mode, found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


def _named(path: str, before: State, now: State) -> set[str]:
    """The files that a change is about: for a directory, those that have come and gone."""
    if not path.endswith("/"):
        return {path}
    names = [each if isinstance(each, frozenset) else frozenset() for each in (before, now)]
    return {path + name for name in names[0] ^ names[1]}
