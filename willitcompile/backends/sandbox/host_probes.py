"""Looks at this host for compilers. It runs each of them many times, and is imported only for that."""

from __future__ import annotations

import glob
import hashlib
import os
import re
import stat
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, NamedTuple

from willitcompile.backends import compilers
from willitcompile.backends.compilers import FAMILIES, Unusable
from willitcompile.backends.sandbox import host, host_c, host_files, host_go, host_run, host_rust
from willitcompile.backends.sandbox.host_run import Asker
from willitcompile.languages import c_family
from willitcompile.model import Toolchain

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from willitcompile.backends.sandbox.host_c import Found

_NAME = re.compile(r"(gcc|clang|go|rustc)(-\d+(\.\d+)*)?")
_WRAPPERS = frozenset({"ccache", "distcc", "icecc", "sccache"})
_ELSEWHERE = {
    "clang": ("/usr/lib/llvm-*/bin/clang",),
    "go": ("/usr/local/go/bin/go", "/usr/lib/go-*/bin/go", "~/sdk/go*/bin/go"),
}
"""Where packages put compilers that may not be on PATH."""


class Candidate(NamedTuple):
    """A program that may be a compiler."""

    family: str
    program: str
    names: tuple[str, ...]
    """The names by which PATH knows it, the first found first."""


def look_around(variables: Mapping[str, str]) -> host.Survey:
    """Ask everything on this host that looks like a compiler. Never raises because of one that is broken."""
    left_out: list[host.LeftOut] = []
    directories = _directories(variables["PATH"], left_out)
    candidates = _candidates(directories, variables, left_out)
    with (
        ThreadPoolExecutor(2 * (os.cpu_count() or 1)) as pool,
        ThreadPoolExecutor(len(candidates) or 1) as outer,
    ):
        asker = Asker(":".join(directories), pool)
        results = list(outer.map(lambda candidate: _investigate(candidate, asker), candidates))
        linker = asker.find("cc")
    found: list[tuple[Candidate, Found]] = []
    taken: dict[str, str] = {}
    for candidate, result in zip(candidates, results, strict=True):
        if isinstance(result, str):
            left_out.append(host.LeftOut(candidate.program, result))
            continue
        name = f"{result.family}-{result.version}"
        if name in taken:
            reason = f"is a second {name}, after {taken[name]}"
            left_out.append(host.LeftOut(candidate.program, reason))
            continue
        taken[name] = candidate.program
        found.append((candidate, result))
    found = [(candidate, _linking(result, linker, found)) for candidate, result in found]
    watched = {os.path.realpath(module.__file__) for module in _OURS if module.__file__}
    watched.update(directories, _watched_places(variables), (candidate.program for candidate in candidates))
    watched.update(path for _, result in found for path in (*result.parts, *result.needs, *result.link_needs))
    if linker:
        watched.add(linker)
    return host.Survey(
        toolchains=tuple(_host_toolchain(candidate, result) for candidate, result in _in_order(found)),
        left_out=tuple(left_out),
        watched=host.fingerprints(sorted(watched)),
    )


_OURS = (c_family, compilers, host, host_c, host_files, host_go, host_run, host_rust, sys.modules[__name__])


def _directories(path: str, left_out: list[host.LeftOut]) -> list[str]:
    """The directories of PATH that can be trusted to name a compiler, each once, in order."""
    found: dict[str, None] = {}
    for directory in path.split(":"):
        if not os.path.isabs(directory):
            # It would mean another place in each working directory, such as that of hostile sources.
            continue
        try:
            mode = os.stat(directory).st_mode
        except OSError:
            continue
        if mode & stat.S_IWOTH:
            left_out.append(host.LeftOut(directory, "is a directory of PATH that everybody can write to"))
        elif stat.S_ISDIR(mode):
            found[directory] = None
    return list(found)


def _candidates(
    directories: Iterable[str], variables: Mapping[str, str], left_out: list[host.LeftOut]
) -> list[Candidate]:
    """Each program once, however many names it has, in the order of PATH, then those beside PATH."""
    names: dict[tuple[str, str], list[str]] = {}
    programs: dict[tuple[str, str], str] = {}

    def add(family: str, program: str, name: str | None) -> None:
        real = os.path.realpath(program)
        if os.path.isfile(real) and os.access(real, os.X_OK):
            programs.setdefault((family, real), program)
            known = names.setdefault((family, real), [])
            if name is not None and name not in known:
                known.append(name)

    for directory in directories:
        try:
            listed = sorted(name for name in os.listdir(directory) if _NAME.fullmatch(name))
        except OSError as error:
            left_out.append(host.LeftOut(directory, f"cannot be listed: {error.strerror}"))
            continue
        for name in listed:
            program = os.path.join(directory, name)
            kind = os.path.basename(os.path.realpath(program))
            if kind == "rustup":
                for position, compiler in enumerate(host_rust.rustup_compilers(variables)):
                    add("rustc", compiler, name if position == 0 else None)
            elif kind in _WRAPPERS:
                left_out.append(host.LeftOut(program, f"is {kind}, which keeps a cache of its own"))
            else:
                add(_family(name), program, name)
    for family, patterns in _ELSEWHERE.items():
        for pattern in patterns:
            for program in sorted(glob.glob(os.path.expanduser(pattern)), reverse=True):
                add(family, program, None)
    for compiler in host_rust.rustup_compilers(variables):
        add("rustc", compiler, None)
    return [Candidate(key[0], program, tuple(names[key])) for key, program in programs.items()]


def _family(name: str) -> str:
    return name.partition("-")[0]


def _investigate(candidate: Candidate, asker: Asker) -> Found | str:
    """What it is, or why it cannot be used."""
    try:
        if candidate.family == "go":
            return host_go.investigate_go(candidate.program, asker)
        if candidate.family == "rustc":
            return host_rust.investigate_rust(candidate.program, asker)
        return host_c.investigate_c(candidate.family, candidate.program, asker)
    except (Unusable, OSError) as error:
        return str(error)


def _linking(result: Found, linker: str | None, found: Iterable[tuple[Candidate, Found]]) -> Found:
    """rustc links with `cc`; the others bring what they need."""
    if result.family != "rustc" or linker is None:
        return result
    real = os.path.realpath(linker)
    drivers = (other for _, other in found if real in map(os.path.realpath, other.programs.values()))
    return host_rust.with_linker(result, linker, next(drivers, None))


def _watched_places(variables: Mapping[str, str]) -> list[str]:
    """Directories in which another compiler may appear."""
    patterns = [pattern for patterns in _ELSEWHERE.values() for pattern in patterns]
    home = host_rust.rustup_home(variables)
    return [
        *(os.path.expanduser(pattern.partition("*")[0].rpartition("/")[0]) for pattern in patterns),
        os.path.join(home, "toolchains"),
        os.path.join(home, "settings.toml"),
    ]


def _in_order(found: Iterable[tuple[Candidate, Found]]) -> list[tuple[Candidate, Found]]:
    """By family; in a family what its plain name means on PATH, then the newest first."""

    def place(item: tuple[Candidate, Found]) -> tuple[int, bool, list[int]]:
        candidate, result = item
        numbers = [-int(number) for number in re.findall(r"\d+", result.version)]
        return FAMILIES.index(result.family), candidate.family not in candidate.names, numbers or [1]

    return sorted(found, key=place)


def _host_toolchain(candidate: Candidate, found: Found) -> host.HostToolchain:
    name = f"{found.family}-{found.version}"
    aliases = dict.fromkeys((*candidate.names, f"{found.family}-{found.full_version}"))
    aliases.pop(name, None)
    return host.HostToolchain(
        toolchain=Toolchain(
            family=found.family,
            version=found.version,
            compilers=found.compilers,
            standards=found.standards,
            defaults=found.defaults,
            aliases=tuple(aliases),
            origin=candidate.program,
        ),
        programs=found.programs,
        readable=host_files.minimal(found.needs),
        readable_to_link=host_files.minimal((*found.needs, *found.link_needs)),
        environment=found.environment,
        identity=_identity(found),
        arguments=found.arguments,
        links=found.links,
        headers=found.headers,
    )


def _identity(found: Found) -> str:
    digest = hashlib.sha256()
    for path in sorted({os.path.realpath(part) for part in found.parts}):
        try:
            status = os.stat(path)
        except OSError:
            continue
        digest.update(f"{path}\0{status.st_size}\0{status.st_mtime_ns}\n".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()[:32]
