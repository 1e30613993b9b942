"""What tells a toolchain of this host from what it was before, for a cache: a millisecond of looking at files."""

from __future__ import annotations

import os
from _blake2 import blake2b
from typing import TYPE_CHECKING

from willitcompile.backends import Identity
from willitcompile.backends.sandbox.host import fingerprint
from willitcompile.backends.sandbox.mechanisms import LOCALE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from willitcompile.backends.sandbox.host import HostToolchain


def identity_of(host: HostToolchain, watched: Mapping[str, list[int] | None]) -> Identity | None:
    """`watched` is what the toolchain was learnt from; None where some of it is another now, so that nobody knows what
    this is."""
    if any(fingerprint(path) != known for path, known in watched.items()):
        return None
    about = host._replace(toolchain=host.toolchain._replace(standards={}, aliases=()))
    library = [(path, fingerprint(path)) for path in (*_library(host), *_configuration(host, watched))]
    text = repr((about, sorted(host.programs.items()), LOCALE, library))
    return Identity(blake2b(text.encode(errors="surrogateescape"), digest_size=16).hexdigest(), host.headers)


def _library(host: HostToolchain) -> Iterator[str]:
    """The files and directories of the standard library that a language brings along."""
    if "rustc" in host.programs:
        prefix = os.path.dirname(os.path.dirname(host.programs["rustc"]))
        for target in _listed(os.path.join(prefix, "lib", "rustlib")):
            yield from _listed(os.path.join(target, "lib"))
    if root := host.environment.get("GOROOT"):
        # Of its ten thousand files, where the packages are: what an update replaces is another list of a directory.
        yield from _listed(os.path.join(root, "src"))
        yield from _listed(os.path.join(root, "pkg", "include"))


def _configuration(host: HostToolchain, watched: Iterable[str]) -> Iterator[str]:
    """Files that are rarely there, and change what a compiler does: gcc's specs, clang's flags."""
    for path in watched:
        if os.path.basename(path) in {"cc1", "cc1plus"}:
            yield os.path.join(os.path.dirname(path), "specs")
    if host.toolchain.family == "clang":
        for program in host.programs.values():
            for place in dict.fromkeys((program, os.path.realpath(program))):
                yield f"{place}.cfg"
                yield os.path.join(os.path.dirname(place), "clang.cfg")
                yield os.path.join(os.path.dirname(place), "clang++.cfg")


def _listed(directory: str) -> list[str]:
    try:
        return [os.path.join(directory, name) for name in sorted(os.listdir(directory))]
    except OSError:
        return []
