"""The node's namespaces: of processes, mounts and network.

All that runs in them ends with their first process, and its mounts, links, firewall rules and ports with it. So nothing
of the cluster meets what else the host runs, and nothing can be left behind.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

from tests.cluster.files import HOST_ADDRESS, NODE_ADDRESS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

LINK = "wic-cluster"
END_SECONDS = 20.0


def make(pause: Path, covers: Mapping[str, Path]) -> int:
    """Make them, and return the id of their first process, which is `pause`. Raises TimeoutError and OSError.

    Each path of `covers` is within them what it is mapped to.
    """
    # Nobody's child: who starts the cluster may go. The mounts are copies, and shared among each other alone, as
    # kubelet wants them.
    command = 'setsid unshare --fork --pid --mount --net --propagation private --mount-proc "$1" >/dev/null 2>&1 &'
    _run("sh", "-c", command, "sh", str(pause))
    first = wait_for("the node's first process", lambda: find(pause), END_SECONDS)
    _run("ip", "link", "add", LINK, "type", "veth", "peer", "name", "host", "netns", str(first))
    _run("ip", "address", "add", f"{HOST_ADDRESS}/30", "dev", LINK)
    _run("ip", "link", "set", LINK, "up")
    _run(*entering(first), "mount", "--make-rshared", "/")
    _run(*entering(first), "ip", "address", "add", f"{NODE_ADDRESS}/30", "dev", "host")
    for link in ("host", "lo"):
        _run(*entering(first), "ip", "link", "set", link, "up")
    for path, other in covers.items():
        _run(*entering(first), "mount", "--bind", str(other), path)
    return first


def find(pause: Path) -> int:
    """The id of the first process of the namespaces that were made with this `pause`, or 0."""
    for pid in _pids():
        if _read(f"/proc/{pid}/cmdline") == bytes(pause) + b"\0" and _ids(pid)[1:] == ["1"]:
            return int(pid)
    return 0


def end(first: int) -> None:
    """End all that runs in them, and return when nothing of them is left."""
    status = _read(f"/proc/{first}/stat").rpartition(b")")[2].split()
    send(first, signal.SIGKILL)
    # It is in two of them, and ends when the first process has.
    if status and _read(f"/proc/{int(status[1])}/comm") == b"unshare\n":
        send(int(status[1]), signal.SIGKILL)
    # It goes by itself with its other end, some time after that.
    subprocess.run(["ip", "link", "delete", LINK], capture_output=True, check=False)


def entering(first: int) -> list[str]:
    return ["nsenter", "--target", str(first), "--pid", "--mount", "--net", "--"]


def start(first: int, argv: Sequence[str], log: Path) -> int:
    """Start a process in them that is nobody's child. Return its id, as it is outside, or 0 if it is gone already."""
    command = 'log=$1; shift; setsid "$@" </dev/null >>"$log" 2>&1 & echo $!'
    inside = _run(*entering(first), "sh", "-c", command, "sh", str(log), *argv).strip()
    namespace = os.readlink(f"/proc/{first}/ns/pid")
    for pid in _pids():
        with contextlib.suppress(OSError):
            if _ids(pid)[-1:] == [inside] and os.readlink(f"/proc/{pid}/ns/pid") == namespace:
                return int(pid)
    return 0


def started(pid: int) -> str:
    """When a process began: with its id, that is what no other one has. Nothing where it is gone."""
    fields = _read(f"/proc/{pid}/stat").rpartition(b")")[2].split()
    return fields[19].decode() if len(fields) > 19 and fields[0] != b"Z" else ""


def send(pid: int, number: int, seconds: float = END_SECONDS) -> bool:
    """Send a signal, and whether the process is gone afterwards; of one that ends processes that is waited for."""
    try:
        watched = os.pidfd_open(pid)
    except OSError:
        return True
    try:
        signal.pidfd_send_signal(watched, number)
        wait = seconds if number in {signal.SIGTERM, signal.SIGKILL} else 0
        return bool(select.select([watched], [], [], wait)[0])
    except ProcessLookupError:
        return True
    finally:
        os.close(watched)


def remove_cgroups() -> None:
    """Those of the pods, which belong to no namespace, unless they are of somebody else's pods."""
    for root in (*Path("/sys/fs/cgroup").glob("*/kubepods"), *Path("/sys/fs/cgroup").glob("kubepods")):
        if not any(_read(str(file)) for file in root.glob("**/cgroup.procs")):
            for directory, _, _ in os.walk(root, topdown=False):
                with contextlib.suppress(OSError):
                    os.rmdir(directory)


def wait_for(what: str, found: Callable[[], int], seconds: float) -> int:
    """What `found` returns once it is not 0. Raises TimeoutError."""
    deadline = time.monotonic() + seconds
    while not (number := found()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} is not there after {seconds:.0f} s")
        time.sleep(0.05)
    return number


def _run(*argv: str) -> str:
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise OSError(f"{' '.join(argv)}: {done.stderr.strip()[-500:]}")
    return done.stdout


def _pids() -> list[str]:
    return [name for name in os.listdir("/proc") if name.isdecimal()]


def _ids(pid: str) -> list[str]:
    """A process's ids, from this namespace to its own."""
    for line in _read(f"/proc/{pid}/status").splitlines():
        if line.startswith(b"NSpid:"):
            return line.decode().split()[1:]
    return []


def _read(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError:
        return b""
