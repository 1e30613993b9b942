"""The command line of bubblewrap, as a pure function. It runs what it is told in namespaces of its own."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

ROOT = "/work"
"""Where a job finds its `src` and `tmp`."""

SECCOMP_FD, PASSWD_FD, STATUS_FD, ARGUMENTS_FD = 40, 41, 42, 43
"""The descriptors that the supervisor opens for it, higher than any that it has itself."""

PASSWD = b"compiler:x:1000:1000::/work/tmp:/nonexistent\n"
_DEVICES = ("/dev/null", "/dev/zero", "/dev/urandom")


def bubblewrap_arguments(
    *,
    readable: Iterable[str],
    links: Iterable[tuple[str, str]],
    source: str,
    seeds: Iterable[tuple[str, str]],
    workdir: str,
    tmp_bytes: int,
) -> bytes:
    """What goes to `bwrap --args`, each ended by NUL: everything but the command.

    `readable` are host paths to be seen at their own place, `links` links to be made (path, target), `source` the
    directory that becomes `/work/src`, `seeds` the links that each job gets in `/work/tmp`.
    """
    arguments: list[str] = [
        *("--unshare-user", "--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts"),
        *("--unshare-cgroup-try", "--die-with-parent"),
        *("--uid", "1000", "--gid", "1000", "--hostname", "sandbox"),
        *("--perms", "0444", "--ro-bind-data", str(PASSWD_FD), "/etc/passwd"),
    ]
    for device in _DEVICES:
        arguments += ("--dev-bind", device, device)
    for path in readable:
        arguments += _expose(path)
    for path, target in links:
        arguments += ("--symlink", target, path)
    arguments += ("--ro-bind", source, f"{ROOT}/src", "--size", str(tmp_bytes), "--tmpfs", f"{ROOT}/tmp")
    for name, target in seeds:
        arguments += ("--symlink", target, f"{ROOT}/tmp/{name}")
    arguments += ("--remount-ro", "/", "--chdir", os.path.normpath(f"{ROOT}/src/{workdir}"))
    arguments += ("--seccomp", str(SECCOMP_FD), "--json-status-fd", str(STATUS_FD))
    return b"".join(os.fsencode(argument) + b"\0" for argument in arguments)


def _expose(path: str) -> Sequence[str]:
    """Show a host path at its own place: a link as a link, so that /lib64 -> usr/lib64 stays one directory."""
    try:
        if stat.S_ISLNK(os.lstat(path).st_mode):
            return ("--symlink", os.readlink(path), path)
    except OSError:
        return ()
    return ("--ro-bind", path, path)
