"""The container of one job, as a pure function: what is asked of the Docker Engine's `POST /containers/create`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from willitcompile.backends.containers import UID, environment
from willitcompile.backends.seccomp import container_profile
from willitcompile.backends.supervision import FILE_CACHE_BYTES
from willitcompile.model import MIB

if TYPE_CHECKING:
    from collections.abc import Mapping

    from willitcompile.model import Limits

MANAGED = {"managed-by": "will-it-compile"}
"""The label of everything that we make in a daemon."""
SESSION = "will-it-compile.session"
"""Of a container: the process that made it."""

ROOT = "/work"
LAUNCHER = "/will-it-compile/launcher"
IDLE_SECONDS = 300
"""A container that waits longer than this for a job ends itself. Its client's end ends it at once, unless the daemon
was killed in that moment."""

_LAUNCHER_PROCESSES = 1
_FILES_OPEN = 1024
_MOST_FILES = 200_000
"""In its tmpfs. Each takes the kernel a kilobyte, of which the size of the tmpfs knows nothing."""

ENVIRONMENT = environment(ROOT)


def create_body(image: str, limits: Limits, labels: Mapping[str, str]) -> dict[str, Any]:
    """A container that waits for one job within these limits. `image` has the launcher in it."""
    body = hardened(image, labels)
    hard = limits.memory_bytes + FILE_CACHE_BYTES  # its sources lie in it too
    host: dict[str, Any] = body["HostConfig"]
    host |= {
        "AutoRemove": True,
        "ReadonlyRootfs": True,
        "Memory": hard,
        "MemorySwap": hard,  # of both together: no swap
        "PidsLimit": limits.processes + _LAUNCHER_PROCESSES,
        "Tmpfs": {ROOT: tmpfs_options(hard)},
    }
    if limits.cpus:
        host["NanoCpus"] = int(limits.cpus * 1_000_000_000)
    return body


def hardened(image: str, labels: Mapping[str, str]) -> dict[str, Any]:
    """What holds for every container of ours, whatever it is for."""
    return {
        "Image": image,
        "Entrypoint": [LAUNCHER, ROOT, str(IDLE_SECONDS)],
        "Cmd": [],
        "User": f"{UID}:{UID}",
        "WorkingDir": "/",
        "Labels": {**MANAGED, **labels},
        "OpenStdin": True,
        # Its stdin ends when its client does: the launcher takes that as the end of everything.
        "StdinOnce": True,
        "AttachStdin": True,
        "AttachStdout": True,
        "AttachStderr": True,
        "Tty": False,
        "NetworkDisabled": True,
        "Healthcheck": {"Test": ["NONE"]},
        "StopSignal": "SIGKILL",
        "HostConfig": {
            "NetworkMode": "none",
            "IpcMode": "none",
            "CgroupnsMode": "private",
            "CapDrop": ["ALL"],
            "SecurityOpt": ["no-new-privileges:true", f"seccomp={json.dumps(container_profile())}"],
            "Ulimits": [
                {"Name": "core", "Soft": 1, "Hard": 1},  # 0 would not keep it from a program that core_pattern names
                {"Name": "nofile", "Soft": _FILES_OPEN, "Hard": _FILES_OPEN},
            ],
            # What a job prints comes over the attached stream alone: no log grows on the daemon's disk.
            "LogConfig": {"Type": "none"},
            "Tmpfs": {ROOT: tmpfs_options(256 * MIB)},
            # The launcher is pid 1, and reaps.
            "Init": False,
            "RestartPolicy": {"Name": "no"},
        },
    }


def tmpfs_options(size: int) -> str:
    """No compiler here runs what it wrote."""
    return f"rw,noexec,nosuid,nodev,size={size},nr_inodes={_MOST_FILES},mode=0700,uid={UID},gid={UID}"
