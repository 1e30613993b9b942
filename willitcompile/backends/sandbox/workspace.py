"""The directories that compiles run in, and finding those that a killed process left.

A process has one session directory, which it holds locked, and in it one directory for each job. A lock says
more than a process id: it is right across pid namespaces, and the kernel drops it with its owner.
"""

from __future__ import annotations

import fcntl
import os
from typing import TYPE_CHECKING

from willitcompile.backends.supervision import layout
from willitcompile.model import MIB

if TYPE_CHECKING:
    from collections.abc import Mapping

PREFIX = "will-it-compile-"
_ENOUGH = 256 * MIB
"""Containers often get a /dev/shm of 64 MiB, in which a compile would fail that /tmp has room for."""


def workspace_base() -> str:
    """The directory that holds sessions: memory-backed where there is such a place with room."""
    for path in ("/dev/shm", os.environ.get("XDG_RUNTIME_DIR", "")):
        if path and os.access(path, os.W_OK | os.X_OK):
            free = os.statvfs(path)
            if free.f_bavail * free.f_frsize >= _ENOUGH:
                return path
    return os.environ.get("TMPDIR") or "/tmp"


class Session:
    """A locked directory of this process, `<base>/will-it-compile-<random>`. Raises OSError."""

    def __init__(self) -> None:
        self.name = PREFIX + os.urandom(8).hex()
        self.path = os.path.join(workspace_base(), self.name)
        # As root, jobs run as users of their own: they may pass through, but not look around.
        self.lock = make_locked(self.path, 0o711 if os.geteuid() == 0 else 0o700)

    def stage(self, files: Mapping[str, bytes]) -> str:
        """Write the files of a job to `<session>/<random>/src`, beside an empty `tmp`; give the directory.

        Its name is for nobody else to guess, since where jobs have users of their own, others could read its files.

        Raises ValueError for a path that is not inside of a job, and OSError.
        """
        root = os.path.join(self.path, os.urandom(16).hex())
        _make_directory(root)
        _make_directory(f"{root}/src")
        os.mkdir(f"{root}/tmp", 0o700)
        for path, content in layout(files):
            if content is None:
                _make_directory(f"{root}/src/{path}")
                continue
            fd = os.open(f"{root}/src/{path}", os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            try:
                _write_all(fd, content)
                os.fchmod(fd, 0o644)
            finally:
                os.close(fd)
        return root


def make_locked(path: str, mode: int) -> int:
    """Make a directory and lock it; a descriptor that holds the lock. Raises OSError."""
    while True:
        os.mkdir(path, 0o700)
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        fcntl.flock(fd, fcntl.LOCK_EX)
        try:
            # Whoever clears away what is stale may have found it before it was locked.
            if os.fstat(fd).st_ino == os.stat(path).st_ino:
                os.chmod(path, mode)
                return fd
        except FileNotFoundError:
            pass
        os.close(fd)


def take_stale(path: str) -> int | None:
    """The lock of a directory of this user's whose owner is gone, to be held while it is removed; else None."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return None  # gone, somebody else's, or no directory: not ours to judge
    try:
        if os.fstat(fd).st_uid == os.geteuid():
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return fd
    except BlockingIOError:
        pass
    os.close(fd)
    return None


def _make_directory(path: str) -> None:
    os.mkdir(path)
    os.chmod(path, 0o755)  # noqa: S103 - mkdir obeys the umask, and a job may have another user


def _write_all(fd: int, content: bytes) -> None:
    view = memoryview(content)
    while view:
        view = view[os.write(fd, view) :]


def remove_tree(path: str) -> None:
    """Remove a directory and what is in it, without following a link. What cannot be removed stays.

    Nothing may run in it any more. A job may have left directories nested so deep that no path reaches the last
    and no recursion comes back, so each is first moved to the top.
    """
    try:
        top = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return
    try:
        waiting = ["."]
        moved = 0
        while waiting:
            directory = waiting.pop()
            fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=top)
            try:
                os.fchmod(fd, 0o700)
                with os.scandir(fd) as entries:
                    found = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries]
                for name, is_directory in found:
                    if not is_directory:
                        os.unlink(name, dir_fd=fd)
                        continue
                    moved += 1
                    place = f"{PREFIX}{moved}"
                    os.chmod(name, 0o700, dir_fd=fd)
                    os.rename(name, place, src_dir_fd=fd, dst_dir_fd=top)
                    waiting.append(place)
            finally:
                os.close(fd)
            if directory != ".":
                os.rmdir(directory, dir_fd=top)
        os.rmdir(path)
    except OSError:
        return
    finally:
        os.close(top)


def clear_stale_sessions() -> list[str]:
    """Remove the sessions of this user whose process is gone; their paths."""
    base = workspace_base()
    with os.scandir(base) as entries:
        sessions = sorted(entry.path for entry in entries if entry.name.startswith(PREFIX))
    cleared = []
    for path in sessions:
        if (lock := take_stale(path)) is not None:
            remove_tree(path)
            os.close(lock)
            cleared.append(path)
    return cleared


def written_bytes(directory: str) -> int:
    """The room that the files below it take."""
    total = 0
    for path, _, names in os.walk(directory):
        for name in names:
            try:
                total += os.lstat(f"{path}/{name}").st_blocks * 512
            except OSError:
                continue
    return total
