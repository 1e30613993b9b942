"""What compiles may have left on this machine: compare before and after.

Other runs of will-it-compile may be busy on the same machine: what is named after a directory that another
living process holds locked is theirs.
"""

from __future__ import annotations

import gc
import os
import threading
import time
from pathlib import Path

PREFIX = "will-it-compile-"

MARK = {"WIC_CONTRACT_JOB": f"contract-{os.getpid()}"}
"""Put into the environment of every job, so that its processes are known wherever they end up."""


def leftovers() -> frozenset[str]:
    """A line for each process, directory, cgroup, file descriptor and thread that may be of a compile."""
    gc.collect()  # what closes its descriptor only when it is collected
    return frozenset(
        [
            *(f"process {line}" for line in _processes()),
            *(f"directory {path}" for path in _directories()),
            *(f"cgroup {path}" for path in _cgroups()),
            *_descriptors(),
            *(f"thread {thread.name}" for thread in threading.enumerate()),
        ]
    )


def left_since(before: frozenset[str]) -> frozenset[str]:
    """What is left that was not there `before`.

    The directories and cgroups of other runs come and go, and are for a moment not yet, or no longer, locked: of
    these only what stays for two seconds counts.
    """
    end = time.monotonic() + 2
    while left := leftovers() - before:
        if time.monotonic() > end or not all(line.startswith(("directory ", "cgroup ")) for line in left):
            break
        time.sleep(0.05)
    return left


def compiling() -> frozenset[str]:
    """`PID CMDLINE` of every process of our jobs. A backend may keep helpers, but none of these."""
    mark = b"=".join(part.encode() for item in MARK.items() for part in item)
    found = (pid for pid in _pids() if mark in _read(f"/proc/{pid}/environ").split(b"\0"))
    return frozenset(f"{pid} {_described(pid)}" for pid in found)


def _processes() -> frozenset[str]:
    """`PID CMDLINE` of every descendant of this process, and of every process of our jobs. What a Docker daemon that
    the tests have started runs is counted by its containers: see tests/backends.py."""
    stats = {pid: stat for pid in _pids() if (stat := _read(f"/proc/{pid}/stat"))}
    parents = {pid: int(stat.rpartition(b")")[2].split()[1]) for pid, stat in stats.items()}
    descendants = (pid for pid in parents if _descends(pid, parents))
    return compiling() | {f"{pid} {_described(pid)}" for pid in descendants}


def _pids() -> set[int]:
    return {int(name) for name in os.listdir("/proc") if name.isdigit()} - {os.getpid()}


def _described(pid: int) -> str:
    words = _read(f"/proc/{pid}/cmdline") or _read(f"/proc/{pid}/comm")
    return words.replace(b"\0", b" ").decode(errors="replace").strip()


def _descends(pid: int, parents: dict[int, int]) -> bool:
    while pid in parents and not _read(f"/proc/{pid}/comm").startswith(b"dockerd"):
        pid = parents[pid]
        if pid == os.getpid():
            return True
    return False


def _read(path: str) -> bytes:
    """Nothing where the process is gone, or not ours to look at."""
    try:
        return Path(path).read_bytes()
    except OSError:
        return b""


def _directories() -> list[Path]:
    return [path for path in _sessions() if not _is_anothers(path)]


def _cgroups() -> list[Path]:
    theirs = {path.name for path in _sessions() if _is_anothers(path)}
    found = []
    for directory, names, _ in os.walk("/sys/fs/cgroup"):
        found += [Path(directory, name) for name in names if name.startswith(PREFIX)]
    return [path for path in found if path.name.partition(".")[0] not in theirs]


def _sessions() -> list[Path]:
    roots = {"/dev/shm", "/tmp", "/var/tmp", os.environ.get("TMPDIR"), os.environ.get("XDG_RUNTIME_DIR")}
    return [path for root in roots if root for path in Path(root).glob(f"{PREFIX}*")]


def _is_anothers(path: Path) -> bool:
    """Whether another process than this one has a lock on it."""
    try:
        inode = f":{path.stat().st_ino}"
    except OSError:
        return True
    # 1: FLOCK  ADVISORY  WRITE 1234 00:1a:42 0 EOF
    locks = [line.split() for line in Path("/proc/locks").read_text().splitlines()]
    holders = {fields[4] for fields in locks if len(fields) > 5 and fields[5].endswith(inode)}
    return bool(holders) and str(os.getpid()) not in holders


def _descriptors() -> list[str]:
    found = []
    for name in os.listdir("/proc/self/fd"):
        try:
            file = os.readlink(f"/proc/self/fd/{name}")
        except OSError:
            continue  # the one that listed the directory
        if "[eventfd]" not in file:  # a cancel token's, which lives as long as the backend or test that has it
            found.append(f"descriptor {name} of {file}")
    return found
