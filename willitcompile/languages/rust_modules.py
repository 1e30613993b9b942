"""Which files the compile of a Rust file looks at: its modules, and what they include."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from willitcompile.files import read_quietly
from willitcompile.languages.rust_sources import Module, outline
from willitcompile.sources import SizeLimits

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from willitcompile.model import SourceUnit
    from willitcompile.sources import SourceTree

_OWNERS = frozenset({"main.rs", "lib.rs", "mod.rs"})
"""Files whose modules lie beside them, also where they are a module themselves."""

_SECTION = re.compile(rb"^[ \t]*\[([^\]\n]*)\]", re.MULTILINE)
_EDITION = re.compile(rb"^[ \t]*edition[ \t]*=[ \t]*[\"']([0-9]{4})[\"']", re.MULTILINE)
_INHERITED = re.compile(
    rb"^[ \t]*edition(?:\.workspace[ \t]*=[ \t]*true|[ \t]*=[ \t]*\{[ \t]*workspace[ \t]*=[ \t]*true)",
    re.MULTILINE,
)


def gather(tree: SourceTree) -> SourceUnit:
    """Collect `tree.main`, its modules and what these include. Raises SourceError."""
    tree.add(tree.main, tree.content)
    queue = [(tree.main, True)]
    done = set(queue)
    while queue:
        path, owns = queue.pop()
        directory = os.path.dirname(path)
        seen = outline(tree.read(path) or b"")
        for module in seen.modules:
            for name, target_owns in targets(module, path, owns=owns):
                target = (tree.absolute(name, directory), target_owns)
                wanted = f"{tree.shown(path)} has the module {module.name} in {name}"
                if target not in done and _send(tree, target[0], name, directory, wanted):
                    done.add(target)
                    queue.append(target)
        for name in seen.includes:
            target = (tree.absolute(name, directory), True)
            if target not in done and _send(tree, target[0], name, directory, f"{tree.shown(path)} includes {name}"):
                done.add(target)
                if name.endswith((".rs", ".in")):
                    queue.append(target)
    _send_manifests(tree)
    return tree.unit("rust")


def targets(module: Module, path: str, *, owns: bool) -> Iterator[tuple[str, bool]]:
    """Where the text of a module may be, relative to the directory of the file that declares it.

    `owns` says that the modules of that file lie beside it: it is a crate, a mod.rs, or has a `#[path]`. For
    each place it says whether the file there owns its modules in turn.
    """
    # https://doc.rust-lang.org/reference/items/modules.html#the-path-attribute
    stem = () if owns else (os.path.splitext(os.path.basename(path))[0],)
    inside = (*stem, *module.inside) if module.inside else ()
    for named in module.paths:
        yield os.path.join(*inside, named), True
    if not module.only_paths:
        within = (*stem, *module.inside, module.name)
        yield os.path.join(*within) + ".rs", False
        yield os.path.join(*within, "mod.rs"), True


def crates(files: Sequence[str]) -> list[str]:
    """Of the Rust files of a directory tree, those that no other has as a module."""
    known = {os.path.normpath(path): path for path in files}
    outlines = {path: outline(read_quietly(path, SizeLimits().file_bytes) or b"") for path in known}
    reached: set[str] = set()

    def reach(path: str, *, owns: bool) -> None:
        queue = [(path, owns)]
        visited = set(queue)
        while queue:
            path, owns = queue.pop()
            directory = os.path.dirname(path)
            for module in outlines[path].modules:
                for name, target_owns in targets(module, path, owns=owns):
                    target = (os.path.normpath(os.path.join(directory, name)), target_owns)
                    if target[0] in known and target not in visited:
                        visited.add(target)
                        queue.append(target)
                        reached.add(target[0])
            for name in outlines[path].includes:
                included = os.path.normpath(os.path.join(directory, name))
                if included in known:
                    reached.add(included)

    for path in known:
        if os.path.basename(path) in _OWNERS:
            reach(path, owns=True)
    # A file that is a module has its own modules in a directory of its name, a crate has them beside it.
    for path in known:
        if path not in reached and os.path.basename(path) not in _OWNERS:
            reach(path, owns=True)
    found = [path for name, path in known.items() if name not in reached]
    return found or list(files)


def edition_of(unit: SourceUnit) -> str:
    """The edition that the unit's Cargo.toml asks for; empty where it has none."""
    directory = os.path.normpath(os.path.join(unit.workdir, os.path.dirname(unit.main[0])))
    inherits = False
    while True:
        manifest = unit.files.get(os.path.normpath(os.path.join(directory, "Cargo.toml")))
        if manifest is not None:
            edition = _edition(manifest, "workspace.package" if inherits else "package")
            if edition:
                return edition
            if not inherits and not _INHERITED.search(manifest):
                # What cargo takes where a package says nothing.
                return "2015" if b"[package]" in manifest else ""
            inherits = True
        if directory in {"", "."}:
            return ""
        directory = os.path.dirname(directory)


def _edition(manifest: bytes, section: str) -> str:
    sections = list(_SECTION.finditer(manifest))
    for index, start in enumerate(sections):
        if start[1].strip().decode("utf-8", "replace") == section:
            end = sections[index + 1].start() if index + 1 < len(sections) else len(manifest)
            found = _EDITION.search(manifest, start.end(), end)
            return found[1].decode() if found else ""
    return ""


def _send(tree: SourceTree, path: str, name: str, directory: str, wanted: str) -> bool:
    if name.startswith("/") or "\0" in name:
        if tree.exists(path):
            tree.note(f"{wanted} by its absolute path, which is not there where the compile runs")
        return False
    for index, part in enumerate(parts := name.split("/")):
        if part == ".." and index:
            tree.mention(tree.absolute("/".join(parts[:index]), directory))
    return tree.exists(path) and tree.send(path, wanted) is not None


def _send_manifests(tree: SourceTree) -> None:
    """Send the Cargo.toml of the crate, and of the workspace that it has its edition from."""
    directory = os.path.dirname(tree.main)
    inherits = False
    while tree.inside(directory) or tree.is_dir(directory):
        path = os.path.join(directory, "Cargo.toml")
        manifest = tree.read(path)
        if manifest is not None and (not inherits or b"[workspace" in manifest):
            tree.add(path, manifest)
            if re.search(rb"^[ \t]*\[dependencies\.|^[ \t]*\[dependencies\]\s*^[ \t]*[\w\"]", manifest, re.MULTILINE):
                tree.note(f"{tree.shown(path)} has dependencies, of which the compile sees none")
            if inherits or not _INHERITED.search(manifest):
                return
            inherits = True
        if directory == "/":
            return
        directory = os.path.dirname(directory)
