"""The processes below one, from /proc, for where no cgroup counts them."""

from __future__ import annotations

import os


class ProcessTree:
    """Every descendant of a process that is its descendants' subreaper, so that none can leave the tree."""

    def __init__(self, root: int) -> None:
        self._root = root

    def pids(self) -> list[int]:
        return [pid for pid, _ in self._descendants()]

    def memory_bytes(self) -> int:
        """Resident memory that no file on a disk backs, of all descendants. What two share counts twice."""
        return sum(_own_bytes(pid) for pid, _ in self._descendants())

    def threads(self) -> int:
        return sum(threads for _, threads in self._descendants())

    def _descendants(self) -> list[tuple[int, int]]:
        """(pid, threads) of each."""
        found = []
        waiting = _threads_and_children(self._root)[1]
        while waiting:
            pid = waiting.pop()
            threads, children = _threads_and_children(pid)
            found.append((pid, threads))
            waiting += children
        return found


def _threads_and_children(pid: int) -> tuple[int, list[int]]:
    """A process is listed as a child of the thread that made it."""
    children: list[int] = []
    try:
        threads = os.listdir(f"/proc/{pid}/task")
    except OSError:
        return 0, children
    for thread in threads:
        try:
            with open(f"/proc/{pid}/task/{thread}/children", "rb", buffering=0) as file:
                children += map(int, file.readall().split())
        except OSError:
            continue
    return len(threads), children


def _own_bytes(pid: int) -> int:
    """Its resident memory that no file backs, or only one in memory."""
    try:
        with open(f"/proc/{pid}/status", "rb", buffering=0) as file:
            lines = file.readall().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith((b"RssAnon:", b"RssShmem:")))
