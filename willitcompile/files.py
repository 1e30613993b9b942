"""The files of this host: what lies below what, and reading them without being led astray."""

from __future__ import annotations

import os
from stat import S_ISREG
from typing import TYPE_CHECKING

from willitcompile.errors import SourceError
from willitcompile.model import GIB, KIB, MIB

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

SKIPPED_DIRECTORIES = frozenset({"__pycache__", "node_modules"})
"""Not looked into for sources, and neither are those whose name begins with a dot."""


def below(path: str, directory: str) -> bool:
    """Whether a path is this directory or lies in it, by their names alone.

    >>> below("/a/b", "/a"), below("/a", "/a"), below("/ab", "/a"), below("/a", "/")
    (True, True, False, True)
    """
    return path == directory or path.startswith(directory if directory.endswith("/") else directory + "/")


def relative(path: str, directory: str) -> str:
    """A path without the directory that it is `below`.

    >>> relative("/a/b/c", "/a"), relative("/a", "/a"), relative("/a", "/")
    ('b/c', '.', 'a')
    """
    return path[len(directory.rstrip("/")) + 1 :] or "."


def read_regular(path: str, limit: int, roots: Sequence[str] = ()) -> bytes | None:
    """At most `limit` + 1 bytes of a regular file; None where it is none, or not in `roots` any more.

    Follows no link, waits for no pipe. Raises OSError.
    """
    # A device is not even opened, as some act when they are.
    if not S_ISREG(os.lstat(path).st_mode):
        return None
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    try:
        if not S_ISREG((state := os.fstat(fd)).st_mode) or not _opened_in(fd, roots):
            return None
        chunks = []
        wanted = limit + 1
        while wanted > 0 and (chunk := os.read(fd, min(wanted, max(state.st_size, 4096) + 1))):
            chunks.append(chunk)
            wanted -= len(chunk)
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)
    finally:
        os.close(fd)


def read_quietly(path: str, limit: int) -> bytes | None:
    """The content of a regular file that can be read and is no larger than `limit`, else None."""
    try:
        data = read_regular(os.path.realpath(path), limit)
    except (OSError, ValueError):
        return None
    return None if data is None or len(data) > limit else data


def files_below(directory: str, on_look: Callable[[str], None] | None = None) -> Iterator[str]:
    """Every file below a directory, its path beginning as `directory` was typed, in the order of their names.

    Links to directories are not followed, and the directories of `SKIPPED_DIRECTORIES` are left out. What is no file
    that could be read is given too, so that whoever reads it tells of it. `on_look` is told of each directory before
    it is read, with a `/` at its end. Raises SourceError where a directory cannot be read.
    """
    waiting = [_listed(directory, on_look)]
    while waiting:
        for entry in waiting[-1]:
            if not entry.is_dir(follow_symlinks=False):
                # Emacs marks so what somebody edits: as a link to nowhere.
                if not entry.name.startswith(".#") and not (entry.is_symlink() and entry.is_dir()):
                    yield entry.path
            elif not entry.name.startswith(".") and entry.name not in SKIPPED_DIRECTORIES:
                waiting.append(_listed(entry.path, on_look))
                break
        else:
            waiting.pop()


def _listed(directory: str, on_look: Callable[[str], None] | None) -> Iterator[os.DirEntry[str]]:
    if on_look:
        on_look(directory + "/")
    try:
        return iter(sorted(os.scandir(directory), key=lambda entry: entry.name))
    except (OSError, ValueError) as error:
        raise SourceError(
            f"check the directory {quoted(directory)}",
            why(error, "there is no such directory"),
            "name one that exists and that you may read",
        ) from None


def _opened_in(fd: int, roots: Sequence[str]) -> bool:
    """Whether an open file is in one of the roots: a directory above it may have become a link meanwhile."""
    if not roots:
        return True
    try:
        opened = os.readlink(f"/proc/self/fd/{fd}")
    except OSError:
        return True
    return any(below(opened, root) for root in roots)


def current_directory() -> str:
    """Raises SourceError where it was deleted."""
    try:
        return os.getcwd()
    except OSError:
        raise SourceError("read the sources", "the current directory is gone", "cd somewhere else") from None


def has_control(text: str) -> bool:
    """Whether a name has a line break or another character that makes a terminal or a log lie."""
    return not text.isprintable() and any(char < " " or char == "\x7f" for char in text)


def quoted(name: str) -> str:
    """A name for a message: as it is, unless one could not see it then."""
    return repr(name) if not name or has_control(name) else name


def sized(count: int) -> str:
    """
    >>> sized(16 << 20), sized(1536), sized(10)
    ('16 MiB', '1.5 KiB', '10 bytes')
    """
    for unit, name in ((GIB, "GiB"), (MIB, "MiB"), (KIB, "KiB")):
        if count >= unit:
            return f"{round(count / unit, 1):g} {name}"
    return f"{count} bytes"


def why(error: OSError | ValueError, missing: str) -> str:
    """What an error of the system means, in words. `missing` is for what is not there."""
    errno = getattr(error, "errno", None)
    if errno == 13:
        return "cannot be read: permission denied"
    if errno in {2, 20, None}:
        return missing
    return (os.strerror(errno) if errno else str(error)).lower()


CACHE_BYTES = 500 * MIB
"""What answers may take in the cache directory where nobody says otherwise."""


def cache_directory() -> str:
    """Where this program keeps what it can make again. It may not exist, and may not be writable."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    if not os.path.isabs(base):  # relative ones are to be ignored, the XDG specification says
        base = os.path.join(os.path.expanduser("~"), ".cache")
    return os.path.join(base, "will-it-compile")


def own_cache_directory() -> str:
    """`cache_directory()`, made if need be. Raises OSError, also where it belongs to somebody else."""
    directory = cache_directory()
    os.makedirs(directory, mode=0o700, exist_ok=True)
    status = os.stat(directory)
    if status.st_uid != os.geteuid() or status.st_mode & 0o022:
        # Somebody else could swap what is in there.
        raise PermissionError(f"{directory} can be written by others")
    return directory
