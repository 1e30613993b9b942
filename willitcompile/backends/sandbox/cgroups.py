"""Limits on a whole process tree, by control groups, version 1 or 2, where this process may make them."""

from __future__ import annotations

import errno
import os
import signal
import time
from typing import TYPE_CHECKING, NamedTuple

from willitcompile.backends.sandbox.workspace import PREFIX, make_locked, take_stale
from willitcompile.backends.supervision import FILE_CACHE_BYTES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from willitcompile.model import Limits

_CONTROLLERS = ("memory", "pids", "cpu")


class Cgroups(NamedTuple):
    """Where job cgroups can be made. On version 1, a directory for each controller; on version 2, one for all."""

    version: int
    directories: Mapping[str, str]
    """By controller: `memory`, `pids`, `cpu`; only those that can be used."""


def find_cgroups(proc: str = "/proc/self") -> Cgroups | None:
    """What this process may use, or None where it may make no cgroup that limits memory.

    On version 2 a cgroup that holds processes cannot have limited children, so a place is looked for from this
    process's own cgroup upwards, which this user may write to and which already limits its children: root's own, or
    that of `user@.service`, where `systemd-run --user --scope` leads. Its own is divided where none above can be
    used and it holds nobody else: a service with `User=` and `Delegate=yes`, a container.
    """
    try:
        with open(f"{proc}/mountinfo", "rb") as file:
            mounts = file.read().decode(errors="surrogateescape")
        with open(f"{proc}/cgroup", "rb") as file:
            own = file.read().decode(errors="surrogateescape")
    except OSError:
        return None
    paths = dict(_own_paths(own))
    directories = {}
    unified: tuple[str, str] | None = None
    for kind, root, mount_point, options in _cgroup_mounts(mounts):
        if kind == "cgroup2":
            unified = unified or (_below(mount_point, root, paths.get("", "/")), mount_point)
            continue
        for controller in _CONTROLLERS:
            if controller in options and controller in paths and controller not in directories:
                directory = _below(mount_point, root, paths[controller])
                if os.access(directory, os.W_OK):
                    directories[controller] = directory
    if "memory" in directories:
        return Cgroups(1, directories)
    return _find_unified(*unified) if unified else None


def _own_paths(text: str) -> list[tuple[str, str]]:
    found = []
    for line in text.splitlines():
        _, controllers, path = line.split(":", 2)
        found += [(controller, path) for controller in controllers.split(",")]
    return found


def _cgroup_mounts(text: str) -> list[tuple[str, str, str, list[str]]]:
    """(type, root inside of the hierarchy, mount point, options) of each cgroup mount."""
    found = []
    for line in text.splitlines():
        left, _, right = line.partition(" - ")
        kind, _, rest = right.partition(" ")
        if kind in {"cgroup", "cgroup2"}:
            fields = left.split()
            found.append((kind, fields[3], fields[4], rest.split()[-1].split(",")))
    return found


def _below(mount_point: str, root: str, path: str) -> str:
    """Where a cgroup path is in the file system, also where only a part of the hierarchy is mounted."""
    if root != "/" and (path == root or path.startswith(root + "/")):
        path = path[len(root) :]
    return mount_point + path.rstrip("/")


def _find_unified(own: str, top: str) -> Cgroups | None:
    # Below its own cgroup first, so that what limits this process limits its jobs too.
    if delegated := _delegate_to_children(own):
        return delegated
    directory = own
    while directory.startswith(top):
        try:
            with open(directory + "/cgroup.subtree_control") as file:
                enabled = file.read().split()
        except OSError:
            enabled = []
        # Moving a process takes write access to the nearest common ancestor of where it was and where it goes.
        if "memory" in enabled and os.access(directory, os.W_OK) and os.access(directory + "/cgroup.procs", os.W_OK):
            return Cgroups(2, {name: directory for name in _CONTROLLERS if name in enabled})
        directory = os.path.dirname(directory)
    return None


def _delegate_to_children(own: str) -> Cgroups | None:
    """Where this process is alone in a cgroup that was delegated to it: step aside, and limit the children."""
    try:
        with open(own + "/cgroup.controllers") as file:
            available = file.read().split()
        with open(own + "/cgroup.procs") as file:
            inside = file.read().split()
        offered = [name for name in _CONTROLLERS if name in available]
        ours = {os.getpid()}
        # The starter leads a session of its own, and the process that asked is its parent. Elsewhere the parent is
        # whoever typed the command, a shell for instance: that one is not moved.
        if os.getsid(os.getppid()) != os.getsid(0):
            ours.add(os.getppid())
        alone = set(map(int, inside)) <= ours
        if not (alone and "memory" in offered and os.access(own, os.W_OK)):
            return None
        aside = f"{own}/supervisor"
        os.makedirs(aside, exist_ok=True)
        for pid in inside:
            _put(aside + "/cgroup.procs", pid)
        _put(own + "/cgroup.subtree_control", " ".join("+" + name for name in offered))
    except (OSError, ValueError):
        return None
    return Cgroups(2, dict.fromkeys(offered, own))


class JobCgroup:
    """The cgroup of one job. Raises OSError where it cannot be made."""

    def __init__(self, cgroups: Cgroups, name: str, limits: Limits) -> None:
        self._version = cgroups.version
        self._paths = {controller: f"{base}/{name}" for controller, base in cgroups.directories.items()}
        self._memory = self._paths["memory"]
        # Held as long as this process lives, by which others know that the cgroup is in use.
        self._locks = [make_locked(path, 0o755) for path in dict.fromkeys(self._paths.values())]
        hard = limits.memory_bytes + FILE_CACHE_BYTES
        if self._version == 1:
            _put(self._memory + "/memory.limit_in_bytes", hard)
            _put_if_there(self._memory + "/memory.memsw.limit_in_bytes", hard)
        else:
            _put(self._memory + "/memory.max", hard)
            _put_if_there(self._memory + "/memory.swap.max", 0)
        if "pids" in self._paths:
            _put(self._paths["pids"] + "/pids.max", limits.processes)
        if "cpu" in self._paths and limits.cpus:
            period = 100_000
            quota = max(1_000, int(limits.cpus * period))
            if self._version == 1:
                _put(self._paths["cpu"] + "/cpu.cfs_period_us", period)
                _put(self._paths["cpu"] + "/cpu.cfs_quota_us", quota)
            else:
                _put(self._paths["cpu"] + "/cpu.max", f"{quota} {period}")

    @property
    def limits_processes(self) -> bool:
        return "pids" in self._paths

    def join(self) -> None:
        """Move the calling process in, which must have one thread."""
        # Through cgroup.procs the kernel waits for every processor to pass by, 5 to 17 ms; a thread that moves
        # itself need not wait, but only version 1 knows of threads here.
        file = "tasks" if self._version == 1 else "cgroup.procs"
        for path in dict.fromkeys(self._paths.values()):
            _put(f"{path}/{file}", "0")

    def memory_bytes(self) -> int:
        """What the job uses and no file backs: the part that could not be dropped and read again."""
        wanted = (b"total_rss ", b"total_shmem ") if self._version == 1 else (b"anon ", b"shmem ")
        return sum(int(line.split()[1]) for line in _lines(self._memory + "/memory.stat") if line.startswith(wanted))

    def oom_kills(self) -> int:
        return self._event("memory", "memory.oom_control" if self._version == 1 else "memory.events", b"oom_kill ")

    def process_limit_hits(self) -> int:
        return self._event("pids", "pids.events", b"max ")

    def _event(self, controller: str, file: str, name: bytes) -> int:
        if controller not in self._paths:
            return 0
        for line in _lines(f"{self._paths[controller]}/{file}"):
            if line.startswith(name):
                return int(line.split()[1])
        return 0

    def kill(self) -> None:
        """Send SIGKILL to every process inside."""
        if self._version == 2:
            _put_if_there(self._memory + "/cgroup.kill", 1)
        _kill_all(self._memory)

    def remove(self) -> None:
        """To be called when no process is left in it. The kernel may still be busy with the last one's end."""
        for path in dict.fromkeys(self._paths.values()):
            _remove(path)


def _remove(path: str) -> None:
    give_up = time.monotonic() + 2
    while True:
        try:
            os.rmdir(path)
        except FileNotFoundError:
            return
        except OSError as error:
            if error.errno != errno.EBUSY or time.monotonic() > give_up:
                return
            time.sleep(0.001)
        else:
            return


def clear_stale_cgroups(cgroups: Cgroups | None) -> list[str]:
    """End and remove the job cgroups whose supervisor is gone; their paths."""
    cleared = []
    for base in dict.fromkeys(cgroups.directories.values()) if cgroups else ():
        for name in sorted(os.listdir(base)):
            path = f"{base}/{name}"
            if name.startswith(PREFIX) and (lock := take_stale(path)) is not None:
                _kill_all(path)
                _remove(path)
                os.close(lock)
                cleared.append(path)
    return cleared


def _kill_all(path: str) -> None:
    for line in _lines(path + "/cgroup.procs"):
        try:
            os.kill(int(line), signal.SIGKILL)
        except OSError:
            continue


def _lines(path: str) -> list[bytes]:
    try:
        with open(path, "rb", buffering=0) as file:
            return file.readall().splitlines()
    except OSError:
        return []


def _put(path: str, value: int | str) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, str(value).encode())
    finally:
        os.close(fd)


def _put_if_there(path: str, value: int | str) -> None:
    try:
        _put(path, value)
    except OSError:
        return
