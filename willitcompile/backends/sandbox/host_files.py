"""Which files of the host a program needs: the symlinks on the way to it, its loader, its libraries.

Paths that come back are *trails*: each symlink on the way, then the real path. A sandbox that makes every
entry of a trail again (symlinks as symlinks) can use the first name as the host can.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

MAX_LINKS = 40
"""As the kernel: more symlinks than this on one path are a loop."""

_WIDE = frozenset(
    {
        *("/", "/bin", "/boot", "/dev", "/etc", "/home", "/media", "/mnt", "/opt", "/proc", "/root", "/run"),
        *("/sbin", "/snap", "/srv", "/sys", "/tmp", "/var", "/var/lib", "/var/tmp"),
        *("/usr", "/usr/bin", "/usr/sbin", "/usr/share"),
        *("/usr/local", "/usr/local/bin", "/usr/local/etc", "/usr/local/sbin", "/usr/local/share"),
        *("/nix", "/nix/store", "/gnu", "/gnu/store", "/home/linuxbrew", "/home/linuxbrew/.linuxbrew"),
    }
)
_WIDE_BELOW_HOME = (".local", ".local/bin", ".local/lib", ".local/share", ".cache", ".config", "bin", "lib")


def trail(path: str) -> tuple[str, ...]:
    """The symlinks on the way to `path`, then its real path. Empty where it does not exist.

    On a host with merged /usr, `/lib/x.so` gives `/lib` and `/usr/lib/x.so`.
    """
    entries: list[str] = []
    todo = [part for part in path.split("/") if part not in {"", "."}]
    todo.reverse()
    here = ""
    links = 0
    while todo:
        part = todo.pop()
        if part == "..":
            here = here.rpartition("/")[0]
            continue
        step = f"{here}/{part}"
        try:
            target = os.readlink(step)
        except OSError:  # not a symlink, or not there, which the end tells
            here = step
            continue
        links += 1
        if links > MAX_LINKS:
            return ()
        entries.append(step)
        if target.startswith("/"):
            here = ""
        todo.extend(part for part in reversed(target.split("/")) if part not in {"", "."})
    if not os.path.exists(here or "/"):
        return ()
    return (*dict.fromkeys(entries), here or "/")


def wide(path: str) -> bool:
    """Whether a directory holds more than one toolchain's own files, so that it is never shown as a whole."""
    home = os.path.realpath(os.path.expanduser("~"))
    return (
        path in _WIDE
        or home == path
        or home.startswith(path.rstrip("/") + "/")
        or path in {os.path.join(home, below) for below in _WIDE_BELOW_HOME}
    )


def links_in(directory: str) -> list[str]:
    """The symlinks directly in a directory; none where it cannot be read."""
    try:
        with os.scandir(directory) as entries:
            return sorted(entry.path for entry in entries if entry.is_symlink())
    except OSError:
        return []


def _is_empty(directory: str) -> bool:
    try:
        with os.scandir(directory) as entries:
            return next(entries, None) is None
    except OSError:
        return True


def minimal(paths: Iterable[str]) -> tuple[str, ...]:
    """The trails of all these paths, sorted, without what is missing, empty, wide, or below another entry."""
    entries: set[str] = set()
    for path in dict.fromkeys(paths):
        way = trail(path)
        if way and not (os.path.isdir(way[-1]) and (wide(way[-1]) or _is_empty(way[-1]))):
            entries.update(way)
    kept: list[str] = []
    shown: set[str] = set()
    for entry in sorted(entries):  # a directory sorts before all that is in it
        parents = entry.split("/")
        if any("/".join(parents[:depth]) in shown for depth in range(2, len(parents))):
            continue
        kept.append(entry)
        if os.path.isdir(entry) and not os.path.islink(entry):
            shown.add(entry)
    return tuple(kept)


def own_prefix(program: str) -> str | None:
    """The directory that a toolchain of its own was installed into, or None for one spread over the system.

    `program` is a real path: `/opt/gcc-15/bin/g++` gives `/opt/gcc-15`, `/usr/bin/g++-12` gives None.
    """
    directory = os.path.dirname(program)
    prefix = os.path.dirname(directory)
    return None if os.path.basename(directory) != "bin" or wide(prefix) else prefix


def is_elf(path: str) -> bool:
    """Whether a file is a program of the machine rather than a script. Raises OSError."""
    with open(path, "rb") as file:
        return file.read(4) == b"\x7fELF"


def interpreter(path: str) -> str | None:
    """The dynamic loader that an ELF program names, or None: static, unreadable or no ELF."""
    import struct

    try:
        with open(path, "rb") as file:
            head = file.read(64)
            if head[:4] != b"\x7fELF" or len(head) < 64:
                return None
            wide_words, order = head[4] == 2, "<" if head[5] == 1 else ">"
            table, size, count = (
                (*struct.unpack_from(order + "Q", head, 32), *struct.unpack_from(order + "HH", head, 54))
                if wide_words
                else (*struct.unpack_from(order + "I", head, 28), *struct.unpack_from(order + "HH", head, 42))
            )
            file.seek(table)
            headers = file.read(size * count)
            for at in range(0, len(headers), size):
                if struct.unpack_from(order + "I", headers, at)[0] != 3:  # PT_INTERP
                    continue
                where, length = (
                    struct.unpack_from(order + "Q16xQ", headers, at + 8)
                    if wide_words
                    else struct.unpack_from(order + "I8xI", headers, at + 4)
                )
                file.seek(where)
                return os.fsdecode(file.read(min(length, 4096)).rstrip(b"\0")) or None
    except (OSError, struct.error, ValueError):
        return None
    return None


def libraries(path: str, run: Callable[[list[str]], str]) -> tuple[str, ...]:
    """The dynamic loader of a program and the shared libraries that it loads, as the loader names them.

    `run` gives what a command prints, or "" where it fails.
    """
    loader = interpreter(path)
    if loader is None:
        return ()
    found = [loader]
    for line in run([loader, "--list", path]).splitlines():
        # "	libc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f…)"
        name = line.partition("=>")[2].rpartition(" (")[0].strip()
        if name.startswith("/"):
            found.append(name)
    return tuple(found)
