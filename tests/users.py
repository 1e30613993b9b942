"""Doing as another user, where the tests run as root."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def open_to_all(directory: Path) -> None:
    """Let every user pass through, as to a compiler that was installed for all."""
    for parent in (directory, *directory.parents):
        if parent.stat().st_uid == os.geteuid() and not parent.stat().st_mode & 0o001:
            parent.chmod(0o755)


def as_ordinary_user(function: Callable[[], str]) -> str:
    """What a function returns when a user without privileges calls it."""
    if os.geteuid() != 0:
        return function()
    # Python itself may lie where only root can read.
    import willitcompile.backends.sandbox.leftovers
    import willitcompile.backends.sandbox.supervisor
    import willitcompile.backends.verdicts  # noqa: F401

    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.setgroups([])
            os.setresgid(54321, 54321, 54321)
            os.setresuid(54321, 54321, 54321)
            os.write(write, function().encode())
        finally:
            os._exit(0)
    os.close(write)
    with open(read) as file:
        found = file.read()
    os.waitpid(pid, 0)
    return found
