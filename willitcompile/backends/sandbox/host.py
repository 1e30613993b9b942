"""Every gcc, clang, go and rustc on this host, and the files that each needs.

Finding them takes some seconds, since each compiler is asked for each standard. What was found is kept in
`$XDG_CACHE_HOME/will-it-compile/toolchains-*.json`, as long as everything that it was learnt from is unchanged.
This module is what a warm start pays for, so it imports little; the asking is in `host_probes`.
"""

from __future__ import annotations

import os
from binascii import crc32
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from willitcompile.files import cache_directory, own_cache_directory
from willitcompile.model import Toolchain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

FORMAT = 3
"""Of that file; a file of another format is not used. Nor is one by another version of this package:
the modules that ask the compilers are among the files that it watches."""

VARIABLES = ("PATH", "HOME", "RUSTUP_HOME", "RUSTUP_TOOLCHAIN")
"""What discovery depends on besides files."""

MOST_ENVIRONMENTS = 16

MAX_FILE_BYTES = 4 * 1024 * 1024


class HostToolchain(NamedTuple):
    """A compiler of this host, with what a sandbox must show and set for it to work."""

    toolchain: Toolchain

    programs: Mapping[str, str]
    """By role (`gcc`, `g++`, `clang`, `clang++`, `go`, `rustc`) the absolute path to execute and to give as
    argv[0]."""

    readable: tuple[str, ...]
    """Host files and directories that it needs: absolute, existing, none below another. For one that is a
    symlink the sandbox makes the same; what that leads to is an entry too, or lies below one."""

    environment: Mapping[str, str]
    """PATH, and what the compiler cannot find out without /proc: GOROOT, LD_LIBRARY_PATH."""

    identity: str
    """Changes when the compiler does: made of the real path, size and modification time of its files."""

    readable_to_link: tuple[str, ...] = ()
    """`readable` for a job that builds a program, where that takes more. Each path costs a job a mount."""

    arguments: Mapping[str, tuple[str, ...]] = MappingProxyType({})
    """By role, what comes before the arguments of a job, because there is no /proc."""

    links: tuple[tuple[str, str], ...] = ()
    """Symlinks that a sandbox without /proc makes beside `readable`: (absolute path, absolute target). An old
    rustc looks for itself at /proc/self/exe, and reads no more of /proc than that."""

    headers: Mapping[str, tuple[str, ...]] = MappingProxyType({})
    """By language, the directories where it looks for headers, with those that are not there."""

    def seeds(self, notify: Callable[[str], None]) -> tuple[tuple[str, str], ...]:
        """Symlinks that each job finds in `<root>/tmp`: (path below tmp, absolute target). Only Go has any.

        The first call for a Go version compiles its standard library, and tells `notify` that this takes a
        while. Raises BackendFailed where they cannot be kept anywhere.
        """
        if "go" not in self.programs:
            return ()
        from willitcompile.backends.sandbox.go_cache import go_seeds

        return go_seeds(self, notify)


class LeftOut(NamedTuple):
    """A program that looked like a compiler and is not offered."""

    program: str
    reason: str


class Survey(NamedTuple):
    """What this host has."""

    toolchains: tuple[HostToolchain, ...]
    """By family, and in a family the default first."""

    left_out: tuple[LeftOut, ...]

    watched: Mapping[str, list[int] | None]
    """Files and directories that it was learnt from, each with its `fingerprint`."""


def host_toolchains(path: str | None = None) -> tuple[HostToolchain, ...]:
    """The toolchains on this host; `path` stands in for PATH. Never raises: a broken compiler is left out."""
    return survey(path).toolchains


def left_out(path: str | None = None) -> tuple[LeftOut, ...]:
    """What `host_toolchains` found and does not offer, and why."""
    return survey(path).left_out


def survey(path: str | None = None) -> Survey:
    """Both answers: from the cache while it holds, else by asking every compiler, which takes seconds."""
    variables = {name: os.environ.get(name, "") for name in VARIABLES}
    if path is not None:
        variables["PATH"] = path
    file = _cache_file(variables)
    found = _load(file, variables)
    if found is None:
        from willitcompile.backends.sandbox.host_probes import look_around

        found = look_around(variables)
        _save(file, variables, found)
    return found


def _cache_file(variables: Mapping[str, str]) -> str:
    """One for each environment: a shell in a virtual environment and one outside have another PATH."""
    key = crc32("\0".join(variables.values()).encode(errors="surrogateescape"))
    return os.path.join(cache_directory(), f"toolchains-{key:08x}.json")


def fingerprint(path: str) -> list[int] | None:
    """What tells whether a file or the list of a directory changed; None where it does not exist."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return [status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns]


def fingerprints(paths: Iterable[str]) -> dict[str, list[int] | None]:
    return {path: fingerprint(path) for path in paths}


def _load(file: str, variables: Mapping[str, str]) -> Survey | None:
    """What `_save` wrote, or None where it is missing, corrupt, somebody else's, or no longer true."""
    import json

    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    with open(descriptor, "rb") as opened:
        status = os.fstat(descriptor)
        if status.st_uid != os.geteuid() or status.st_mode & 0o022 or status.st_size > MAX_FILE_BYTES:
            return None
        try:
            document = json.loads(opened.read(MAX_FILE_BYTES))
            if (
                document["format"] != FORMAT
                or document["variables"] != variables
                or any(fingerprint(path) != known for path, known in document["watched"].items())
            ):
                return None
            toolchains = tuple(_toolchain(item) for item in document["toolchains"])
            if not all(os.path.lexists(entry) for item in toolchains for entry in item.readable):
                return None
            return Survey(
                toolchains=toolchains,
                left_out=tuple(LeftOut(program, reason) for program, reason in document["left_out"]),
                watched=document["watched"],
            )
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return None


def _toolchain(item: dict[str, Any]) -> HostToolchain:
    about = item["toolchain"]
    return HostToolchain(
        toolchain=Toolchain(**{**about, "aliases": tuple(about["aliases"])}),
        programs=item["programs"],
        readable=tuple(item["readable"]),
        readable_to_link=tuple(item["readable_to_link"]),
        environment=item["environment"],
        identity=item["identity"],
        arguments={role: tuple(words) for role, words in item["arguments"].items()},
        links=tuple((path, target) for path, target in item["links"]),
        headers={language: tuple(places) for language, places in item["headers"].items()},
    )


def _save(file: str, variables: Mapping[str, str], found: Survey) -> None:
    """Keep it for the next start. A cache that cannot be written is none."""
    import json

    document = {
        "format": FORMAT,
        "variables": variables,
        "watched": found.watched,
        "toolchains": [
            item._asdict()
            | {
                "toolchain": item.toolchain._asdict(),
                "arguments": dict(item.arguments),
                "headers": dict(item.headers),
            }
            for item in found.toolchains
        ],
        "left_out": [[item.program, item.reason] for item in found.left_out],
    }
    temporary = f"{file}.{os.urandom(8).hex()}"
    try:
        own_cache_directory()
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except OSError:
        return
    try:
        with open(descriptor, "w", encoding="utf-8", errors="surrogateescape") as opened:
            json.dump(document, opened)
        os.replace(temporary, file)
        _forget_oldest(os.path.dirname(file))
    except (OSError, ValueError):
        try:
            os.unlink(temporary)
        except OSError:
            return


def _forget_oldest(directory: str) -> None:
    """Keep the files of the environments that were used last."""
    names = [name for name in os.listdir(directory) if name.startswith("toolchains-")]
    files = [os.path.join(directory, name) for name in names]
    for file in sorted(files, key=os.path.getmtime)[:-MOST_ENVIRONMENTS]:
        os.unlink(file)
