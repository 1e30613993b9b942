"""Which files the compile of a Go file looks at: its package, its module, what they import and embed."""

from __future__ import annotations

import os
import re
from functools import lru_cache
from typing import TYPE_CHECKING

from willitcompile.files import below, read_quietly, relative
from willitcompile.languages import go_sources
from willitcompile.sources import SizeLimits

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from willitcompile.model import SourceUnit
    from willitcompile.sources import SourceTree

# What a package may have beside its Go files. The go command judges whether it may.
_BESIDE = (".s", ".S", ".sx", ".h", ".hh", ".hpp", ".hxx", ".c", ".cc", ".cpp", ".cxx", ".m", ".f", ".syso")

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
    if root is None:
        rest = relative(directory, tree.cwd) if below(directory, tree.cwd) else ""
        root = tree.cwd if rest == "." or (_NAMEABLE.fullmatch(rest) and "vendor" not in rest) else directory
        tree.add(os.path.join(root, "go.mod"), go_sources.SYNTHETIC)
        for path in package:
            _send_embedded(tree, path, directory)
    else:
        _send_module(tree, root, package)
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
        texts = {path: read_quietly(path, SizeLimits().file_bytes) or b"" for path in paths}
        by_package: dict[str, list[str]] = {}
        for path in paths:
            if go_sources.is_ignored(texts[path]):
                chosen.add(path)
            elif not path.endswith("_test.go"):
                by_package.setdefault(go_sources.package_name(texts[path]), []).append(path)
        for name, package in by_package.items():
            # Without a package clause a file is broken, and that is to be seen.
            several = not name or sum(go_sources.has_main(texts[path]) for path in package) > 1
            chosen.update(package if several else package[:1])
        if not chosen.intersection(paths):
            chosen.update(paths[:1])
    return [path for path in files if path in chosen]


def _package_files(tree: SourceTree) -> list[str]:
    """The files that are compiled together with the main file, itself included, or it alone."""
    name = go_sources.package_name(tree.content)
    if not name or go_sources.is_ignored(tree.content):
        return [tree.main]
    directory = os.path.dirname(tree.main)
    is_test = tree.main.endswith("_test.go")
    names = {name, name.removesuffix("_test")} if is_test else {name}
    found = []
    for file in tree.names(directory):
        path = os.path.join(directory, file)
        if path == tree.main:
            found.append(path)
        elif file.endswith(".go") and (is_test or not file.endswith("_test.go")):
            text = tree.read(path, f"{tree.typed} has {file} in its package")
            if text is None or go_sources.is_ignored(text):
                continue
            if go_sources.package_name(text) in names or (is_test and file.endswith("_test.go")):
                found.append(path)
    if name == "main" and sum(go_sources.has_main(tree.read(path) or b"") for path in found) > 1:
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


def _send_module(tree: SourceTree, root: str, package: list[str]) -> None:
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
        _send_embedded(tree, path, os.path.dirname(path))
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


def _send_embedded(tree: SourceTree, path: str, directory: str) -> None:
    for pattern in go_sources.embeds(tree.read(path) or b""):
        parts = pattern.split("/")
        if pattern.startswith("/") or ".." in parts:
            continue
        for found in _matching(tree, directory, parts):
            _send_tree(tree, found, f"{tree.shown(path)} embeds {pattern}")


def _matching(tree: SourceTree, directory: str, parts: list[str]) -> Iterator[str]:
    """The files and directories that a pattern means. It is looked at one directory at a time."""
    if parts == ["."]:
        yield directory
        return
    first, *rest = parts
    names = tree.directories(directory) if rest else [*tree.names(directory), *tree.directories(directory)]
    for name in names:
        if _matches(first, name):
            found = os.path.join(directory, name)
            if rest:
                yield from _matching(tree, found, rest)
            else:
                yield found


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


def _send_tree(tree: SourceTree, path: str, wanted: str) -> None:
    if tree.is_link(path):
        # The go command embeds no links; followed, one would make it compile here alone.
        tree.note(f"{wanted}, which has the link {tree.shown(path)}: put the file itself there")
        return
    if not tree.is_dir(path):
        tree.send(path, wanted)
        return
    tree.mention(path)
    for name in (*tree.names(path), *tree.directories(path)):
        _send_tree(tree, os.path.join(path, name), wanted)


def _with_main(unit: SourceUnit, name: str) -> SourceUnit:

    return unit._replace(main=(name,))
