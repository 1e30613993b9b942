"""Which files the compile of a Go file looks at: its package, its module, what they import and embed."""

from __future__ import annotations

import os
import re
from functools import lru_cache
from typing import TYPE_CHECKING

from willitcompile.errors import SourceError
from willitcompile.files import below, read_quietly, relative, sized
from willitcompile.languages import go_sources
from willitcompile.sources import SizeLimits

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from willitcompile.model import SourceUnit
    from willitcompile.sources import SourceTree

# What a package may have beside its Go files. The go command judges whether it may.
_BESIDE = (".s", ".S", ".sx", ".h", ".hh", ".hpp", ".hxx", ".c", ".cc", ".cpp", ".cxx", ".m", ".f", ".syso")

MOST_TRIES = 4_000_000
"""Names that the patterns of one source unit are held against, a long pattern counting for more: some seconds."""

# What the go command takes in an import path. Where a directory is called otherwise, its package cannot be
# named by a path, only from within.
_NAMEABLE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.~-]*(/[A-Za-z0-9_][A-Za-z0-9_.~-]*)*")


def gather(tree: SourceTree) -> SourceUnit:
    """Collect the package of `tree.main` and all that it needs. Raises SourceError."""
    directory = os.path.dirname(tree.main)
    package = _package_files(tree)
    for path in package:
        tree.send(path)
    alone = package == [tree.main]
    if not alone:
        _send_beside(tree, directory)
    root = _module_root(tree, directory)
    embeds = _Embeds(tree)
    if root is None:
        rest = relative(directory, tree.cwd) if below(directory, tree.cwd) else ""
        root = tree.cwd if rest == "." or (_NAMEABLE.fullmatch(rest) and "vendor" not in rest) else directory
        tree.add(os.path.join(root, "go.mod"), go_sources.SYNTHETIC)
        for path in package:
            embeds.send(path, directory)
    else:
        _send_module(tree, root, package, embeds)
    workdir = tree.cwd if below(tree.cwd, root) else root
    main = [tree.main] if alone else [directory]
    unit = tree.unit("go", main, workdir)
    if alone:
        return unit
    # A package is named as a path that begins with a dot, else it were one of the standard library.
    name = unit.main[0]
    return _with_main(unit, name if name.startswith(".") else "./" + name)


def representatives(files: Sequence[str]) -> list[str]:
    """Of the Go files of a directory tree, those that stand for a package, or are a program of their own."""
    by_directory: dict[str, list[str]] = {}
    for path in files:
        by_directory.setdefault(os.path.dirname(path), []).append(path)
    chosen: set[str] = set()
    for paths in by_directory.values():
        facts = {path: go_sources.facts(read_quietly(path, SizeLimits().file_bytes) or b"") for path in paths}
        by_package: dict[str, list[str]] = {}
        for path in paths:
            if facts[path].is_ignored:
                chosen.add(path)
            elif not path.endswith("_test.go"):
                by_package.setdefault(facts[path].package, []).append(path)
        for name, package in by_package.items():
            # Without a package clause a file is broken, and that is to be seen.
            several = not name or sum(facts[path].has_main for path in package) > 1
            chosen.update(package if several else package[:1])
        if not chosen.intersection(paths):
            chosen.update(paths[:1])
    return [path for path in files if path in chosen]


def _package_files(tree: SourceTree) -> list[str]:
    """The files that are compiled together with the main file, itself included, or it alone."""
    own = go_sources.facts(tree.content)
    name = own.package
    if not name or own.is_ignored:
        return [tree.main]
    directory = os.path.dirname(tree.main)
    is_test = tree.main.endswith("_test.go")
    names = {name, name.removesuffix("_test")} if is_test else {name}
    found = []
    programs = int(own.has_main)
    room = tree.limits.unit_bytes
    for file in tree.names(directory):
        path = os.path.join(directory, file)
        if path == tree.main:
            found.append(path)
        elif file.endswith(".go") and (is_test or not file.endswith("_test.go")):
            text = tree.read(path, f"{tree.typed} has {file} in its package")
            if text is None:
                continue
            room -= len(text)
            if room < 0:
                raise SourceError(
                    f"check {tree.typed}",
                    f"the Go files beside it have more than {sized(tree.limits.unit_bytes)}",
                    "put it in a directory of its own, or raise the setting max-unit-size",
                )
            seen = go_sources.facts(text)
            if not seen.is_ignored and (seen.package in names or (is_test and file.endswith("_test.go"))):
                found.append(path)
                programs += seen.has_main
    if name == "main" and programs > 1:
        return [tree.main]
    return found or [tree.main]


def _module_root(tree: SourceTree, directory: str) -> str | None:
    """The nearest directory upwards with a go.mod that may be read."""
    while True:
        mod = os.path.join(directory, "go.mod")
        if tree.exists(mod):
            wanted = f"{tree.typed} is of the module of {tree.shown(mod)}"
            return directory if tree.read(mod, wanted) is not None else None
        if directory == "/":
            return None
        directory = os.path.dirname(directory)


def _send_module(tree: SourceTree, root: str, package: list[str], embeds: _Embeds) -> None:
    """Send go.mod, go.sum and all packages that are imported from within the module, directly or not."""
    mod = tree.send(os.path.join(root, "go.mod")) or b""
    tree.send(os.path.join(root, "go.sum"))
    places = [(go_sources.module_path(mod), root)]
    for path, directory in go_sources.replacements(mod):
        replaced = tree.absolute(directory, root)
        wanted = f"{tree.shown(root)}/go.mod replaces {path} by {directory}"
        if tree.send(os.path.join(replaced, "go.mod"), wanted) is not None:
            places.append((path, replaced))
    vendor = os.path.join(root, "vendor")
    if tree.send(os.path.join(vendor, "modules.txt")) is not None:
        places.append(("", vendor))
    queue = list(package)
    done = {os.path.dirname(tree.main)}
    while queue:
        path = queue.pop()
        embeds.send(path, os.path.dirname(path))
        for name in go_sources.imports(tree.read(path) or b""):
            for directory in _directories(tree, name, places):
                if directory not in done:
                    done.add(directory)
                    queue.extend(_send_package(tree, directory))


def _directories(tree: SourceTree, name: str, places: list[tuple[str, str]]) -> Iterator[str]:
    """The directories that an import may mean."""
    if name.startswith(("/", ".")) or ".." in name.split("/") or "\0" in name:
        return
    for module, directory in places:
        if not module:
            found = tree.absolute(name, directory)
        elif name == module or name.startswith(module + "/"):
            found = tree.absolute(name[len(module) + 1 :], directory)
        else:
            continue
        if tree.is_dir(found):
            yield found


def _send_package(tree: SourceTree, directory: str) -> list[str]:
    sent = []
    for file in tree.names(directory):
        path = os.path.join(directory, file)
        if (
            file.endswith(".go")
            and not file.endswith("_test.go")
            and tree.send(path, f"{tree.shown(path)} is imported")
        ):
            sent.append(path)
    if sent:
        _send_beside(tree, directory)
    return sent


def _send_beside(tree: SourceTree, directory: str) -> None:
    for file in tree.names(directory):
        if file.endswith(_BESIDE):
            tree.send(os.path.join(directory, file))


class _Embeds:
    """Sends what `//go:embed` means. Each directory is listed once, and nothing is sent twice."""

    def __init__(self, tree: SourceTree) -> None:
        self._tree = tree
        self._listed: dict[str, tuple[dict[str, None], dict[str, None]]] = {}
        self._done: set[str] = set()
        self._tries = MOST_TRIES

    def send(self, path: str, directory: str) -> None:
        """What the Go file at `path` embeds into the package in `directory`. Raises SourceError."""
        for pattern in go_sources.embeds(self._tree.read(path) or b""):
            parts = pattern.split("/")
            if pattern.startswith("/") or ".." in parts:
                continue
            wanted = f"{self._tree.shown(path)} embeds {pattern}"
            for found in self._matching(directory, parts):
                self._send_below(found, wanted)

    def _matching(self, directory: str, parts: list[str]) -> list[str]:
        """The files and directories that a pattern means. It is looked at one directory at a time."""
        found = [directory]
        if parts == ["."]:
            return found
        for index, part in enumerate(parts, 1):
            found = [os.path.join(each, name) for each in found for name in self._named(each, part, index < len(parts))]
        return found

    def _named(self, directory: str, pattern: str, is_inner: bool) -> list[str]:
        files, directories = self._list(directory)
        if not any(special in pattern for special in "*?[\\"):
            return [pattern] if pattern in directories or (pattern in files and not is_inner) else []
        names = [*directories] if is_inner else [*files, *directories]
        self._tries -= len(names) * (1 + len(pattern) // 16) + 4 * len(pattern)
        if self._tries < 0:
            raise SourceError(
                f"check {self._tree.typed}",
                "its //go:embed patterns and the files that they may mean are too many",
                "embed a whole directory instead",
            )
        return [name for name in names if _matches(pattern, name)]

    def _list(self, directory: str) -> tuple[dict[str, None], dict[str, None]]:
        if (listed := self._listed.get(directory)) is None:
            files, directories = self._tree.names(directory), self._tree.directories(directory)
            listed = self._listed[directory] = dict.fromkeys(files), dict.fromkeys(directories)
        return listed

    def _send_below(self, path: str, wanted: str) -> None:
        waiting = [path]
        while waiting:
            path = waiting.pop()
            if path in self._done:
                continue
            self._done.add(path)
            if self._tree.is_link(path):
                # The go command embeds no links; followed, one would make it compile here alone.
                self._tree.note(f"{wanted}, which has the link {self._tree.shown(path)}: put the file itself there")
            elif self._tree.is_dir(path):
                self._tree.mention(path)
                waiting.extend(os.path.join(path, name) for names in self._list(path) for name in names)
            else:
                self._tree.send(path, wanted)


def _matches(pattern: str, name: str) -> bool:
    if pattern == name:
        return True
    compiled = _compiled(pattern)
    return compiled is not None and compiled.match(name) is not None


@lru_cache(maxsize=1024)
def _compiled(pattern: str) -> re.Pattern[str] | None:
    """Of a pattern that can mean more than its own text."""
    if not any(special in pattern for special in "*?[\\"):
        return None
    from fnmatch import translate

    # Go's patterns escape with a backslash and negate with a caret.
    translated = re.sub(r"\\(.)", lambda found: f"[{found[1]}]", pattern, flags=re.DOTALL).replace("[^", "[!")
    try:
        return re.compile(translate(translated))
    except re.error:
        return None


def _with_main(unit: SourceUnit, name: str) -> SourceUnit:

    return unit._replace(main=(name,))
