"""What a rustc of this host is, and where rustup keeps its own."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from willitcompile.backends.compilers import Unusable, first_line, rust_editions, rust_version
from willitcompile.backends.sandbox.host_c import Found, loader_environment, shared_libraries
from willitcompile.backends.sandbox.host_files import is_elf, links_in, own_prefix

if TYPE_CHECKING:
    from collections.abc import Mapping

    from willitcompile.backends.sandbox.host_run import Asker

_KNOWS_ITS_LIBRARY = (1, 75)
"""By then rustc asks the dynamic loader where it is. 1.63 panics: "no /proc/self/exe available"."""


def investigate_rust(program: str, asker: Asker) -> Found:
    """Ask the `rustc` at this path what it is. Raises Unusable and OSError."""
    program = os.path.realpath(program)
    if not is_elf(program):
        raise Unusable("is a script, which would need a shell in the sandbox")
    first = first_line(asker.ask(program, "--version").out)
    version = rust_version(first)
    editions, sysroot = rust_editions(program, asker)
    loaded = shared_libraries([program], asker)
    own = own_prefix(program)
    rustlib = os.path.join(sysroot, "lib", "rustlib")
    # From 1.90 it links by a wrapper around lld that looks for itself in /proc. Older ones know no such flag.
    plain_linker = ("-Clinker-features=-lld",)
    arguments = plain_linker if asker.tell([program, *plain_linker, "--print", "sysroot"]) else ()
    old = tuple(map(int, version.full.split(".")[:2])) < _KNOWS_ITS_LIBRARY
    return Found(
        family="rustc",
        version=version.version,
        full_version=version.full,
        compilers={"rust": first},
        standards={"rust": editions},
        # rustc itself falls back to 2015, for what was written before there were editions. What people ask
        # about is new code, which cargo gives the newest.
        defaults={"rust": tuple(editions)[-1]},
        programs={"rustc": program},
        # A toolchain of rustup's holds a gigabyte of documentation beside these, which does no harm.
        needs=(program, *loaded, own or rustlib, *_linked_libraries(rustlib)),
        link_needs=(),
        environment={"PATH": os.path.dirname(program), **loader_environment(loaded)},
        parts=(program, *loaded),
        arguments={"rustc": arguments} if arguments else {},
        links=(("/proc/self/exe", program),) if old else (),
    )


def _linked_libraries(rustlib: str) -> list[str]:
    """What Debian's rustlib links to in the system's library directory."""
    try:
        targets = sorted(os.listdir(rustlib))
    except OSError:
        return []
    return [link for target in targets for link in links_in(os.path.join(rustlib, target, "lib"))]


def with_linker(rust: Found, linker: str | None, toolchain: Found | None) -> Found:
    """A rustc that can link, with the `cc` on PATH, which is this toolchain's driver; else as it was."""
    if linker is None or toolchain is None:
        return rust
    paths = [
        *rust.environment["PATH"].split(":"),
        os.path.dirname(linker),
        *toolchain.environment["PATH"].split(":"),
    ]
    directories = [
        directory
        for found in (rust, toolchain)
        for directory in found.environment.get("LD_LIBRARY_PATH", "").split(":")
        if directory
    ]
    environment = {"PATH": ":".join(dict.fromkeys(paths))}
    if directories:
        environment["LD_LIBRARY_PATH"] = ":".join(dict.fromkeys(directories))
    return rust._replace(
        link_needs=(linker, *toolchain.needs, *toolchain.link_needs),
        environment=environment,
        parts=(*rust.parts, *toolchain.parts),
    )


def rustup_home(variables: Mapping[str, str]) -> str:
    return variables["RUSTUP_HOME"] or os.path.join(variables["HOME"] or os.path.expanduser("~"), ".rustup")


def rustup_compilers(variables: Mapping[str, str]) -> list[str]:
    """The `rustc` of each toolchain that rustup keeps, its default first. A name may be a link to another."""
    home = os.path.join(rustup_home(variables), "toolchains")
    try:
        names = sorted(os.listdir(home), reverse=True)
    except OSError:
        return []
    default = variables["RUSTUP_TOOLCHAIN"] or _default_toolchain(rustup_home(variables))
    # "stable" stands for "stable-x86_64-unknown-linux-gnu"
    names.sort(key=lambda name: name != default and not name.startswith(default + "-") if default else True)
    return [os.path.join(home, name, "bin", "rustc") for name in names]


def _default_toolchain(home: str) -> str:
    import tomllib

    try:
        with open(os.path.join(home, "settings.toml"), "rb") as file:
            return str(tomllib.load(file).get("default_toolchain", ""))
    except (OSError, ValueError):
        return ""
