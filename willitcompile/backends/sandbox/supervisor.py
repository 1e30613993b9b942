"""The supervisor of one compile: starts it, and ends it whatever happens.

It makes the compile's cgroup, starts it, waits for its end, its limits or a word from the process that asked, ends
every process that came of it, removes cgroup and files, and reports. It hears of the death of who asked as the end of
its channel, so even SIGKILL leaves nothing running.
"""

from __future__ import annotations

import ctypes
import marshal
import os
import select
import signal
import time
from typing import TYPE_CHECKING

from willitcompile.backends.sandbox.cgroups import Cgroups, JobCgroup
from willitcompile.backends.sandbox.confinement import become_compile
from willitcompile.backends.sandbox.plan import Plan
from willitcompile.backends.sandbox.processes import ProcessTree
from willitcompile.backends.sandbox.workspace import remove_tree, written_bytes
from willitcompile.backends.supervision import Ending
from willitcompile.model import Limits

if TYPE_CHECKING:
    from collections.abc import Iterable

_libc = ctypes.CDLL(None, use_errno=True)
_SET_CHILD_SUBREAPER = 36  # linux/prctl.h

_TICK_SECONDS = 0.05
_TICK_SECONDS_WITHOUT_CGROUP = 0.01
_TICKS_BETWEEN_WALKS = 20
"""How often memory is looked at. Where no kernel limit stands behind it, a job gains about 2 GB a second."""


def supervise(cgroups: Cgroups | None, plan_fd: int, stdout: int, stderr: int, channel: int) -> None:
    """Run one plan to its end, and report an `Ending` to the channel. `cgroups` is where one can be made."""
    with open(plan_fd, "rb") as file:
        plan = Plan(*marshal.load(file))  # noqa: S302 - from our own parent
    _libc.prctl(_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    cgroup = None
    failure = None
    ending = None
    try:
        limits = Limits._make(plan.limits)
        if cgroups and plan.with_cgroup:
            cgroup = JobCgroup(cgroups, plan.cgroup_name, limits)
        ending = _run(plan, limits, cgroup, stdout, stderr, channel)
    except Exception as error:  # noqa: BLE001 - nobody is above to see it: it travels in the report
        failure = f"{type(error).__name__}: {error}"
    finally:
        _end_everything(cgroup)
        if cgroup:
            cgroup.remove()
        remove_tree(plan.workspace)
        ending = ending or Ending(None, None, None, 0, 0, 0, 0.0, failure)
        try:
            os.write(channel, marshal.dumps(tuple(ending)))
        except BrokenPipeError:
            pass  # nobody is left to tell


def _run(plan: Plan, limits: Limits, cgroup: JobCgroup | None, stdout: int, stderr: int, channel: int) -> Ending:
    """Start the compile, and wait for its end or a reason to end it."""
    # Its write end closes as the compiler starts; what comes through it before says why it did not.
    error_read, error_write = os.pipe2(os.O_CLOEXEC)
    status_read, status_write = os.pipe2(os.O_CLOEXEC)
    begin = time.monotonic()
    pid = os.fork()
    if pid == 0:
        become_compile(plan, limits, cgroup, stdout, stderr, error_write, status_write)
    for descriptor in (stdout, stderr, error_write, status_write):
        os.close(descriptor)
    failure = os.read(error_read, 4096).decode(errors="replace") or None
    watch = _Watch(limits, cgroup, tmp=f"{plan.workspace}/tmp" if plan.arguments is None else None)
    stopped = watch.wait(pid, channel, begin + limits.wall_seconds)
    if stopped:
        _end_everything(cgroup)
    duration = time.monotonic() - begin
    code, by_signal = _wait_for(pid)
    oom_kills = cgroup.oom_kills() if cgroup else 0
    hits = cgroup.process_limit_hits() if cgroup else int(watch.at_process_limit)
    if plan.arguments is not None:
        # bubblewrap tells the compiler's exit code only where it came as far as starting it.
        told = _inner_exit_code(status_read)
        if told is not None:
            code, by_signal = (told, None) if told < 128 else (None, told - 128)
        elif not (stopped or oom_kills or hits):
            trouble = "was killed from outside" if by_signal else "could not set up the sandbox"
            failure = failure or f"bubblewrap {trouble}"
    return Ending(code, by_signal, stopped, oom_kills, hits, watch.peak_memory_bytes, duration, failure)


class _Watch:
    """Looks at a running compile from time to time."""

    def __init__(self, limits: Limits, cgroup: JobCgroup | None, tmp: str | None) -> None:
        """`tmp` is the compile's writable directory where that is one of the host's."""
        self._limits = limits
        self._tmp = tmp
        self._written_bytes = 0
        self._ticks = 0
        self._cgroup = cgroup
        self._tree = ProcessTree(os.getpid())
        self.peak_memory_bytes = 0
        self.at_process_limit = False

    def wait(self, pid: int, channel: int, deadline: float) -> str | None:
        """Return when the process has ended, or with why it has to."""
        process = os.pidfd_open(pid)
        tick = _TICK_SECONDS if self._cgroup else _TICK_SECONDS_WITHOUT_CGROUP
        poll = select.poll()
        poll.register(process, select.POLLIN)
        poll.register(channel, select.POLLIN | select.POLLHUP)
        while True:
            left = deadline - time.monotonic()
            ready = {fd for fd, _ in poll.poll(max(0.0, min(tick, left)) * 1000)}
            if process in ready:
                return None
            if channel in ready:
                return "cancelled"
            if time.monotonic() >= deadline:
                return "wall"
            if limit := self._limit_reached():
                return limit

    def _limit_reached(self) -> str | None:
        memory = self._cgroup.memory_bytes() if self._cgroup else self._tree.memory_bytes() + self._in_memory_files()
        self.peak_memory_bytes = max(self.peak_memory_bytes, memory)
        if memory > self._limits.memory_bytes:
            return "memory"
        if self._cgroup and self._cgroup.limits_processes:
            return None
        threads = self._tree.threads()
        self.at_process_limit |= threads >= self._limits.processes
        return "processes" if threads > self._limits.processes else None

    def _in_memory_files(self) -> int:
        """What it has written, looked at less often because there may be many files. (A cgroup counts them itself.)"""
        self._ticks += 1
        if self._tmp and self._ticks % _TICKS_BETWEEN_WALKS == 0:
            self._written_bytes = written_bytes(self._tmp)
        return self._written_bytes


def _inner_exit_code(status: int) -> int | None:
    """What bubblewrap's status pipe says of the compiler, once bubblewrap has ended."""
    os.set_blocking(status, False)
    try:
        text = os.read(status, 65536)
    except BlockingIOError:
        return None
    _, found, rest = text.partition(b'"exit-code":')
    return int(rest.split(b"}")[0]) if found else None


_waited: dict[int, int] = {}
"""The wait status of each child that was reaped."""


def _wait_for(pid: int) -> tuple[int | None, int | None]:
    """Its exit code, or the signal that killed it."""
    if pid not in _waited:
        _waited[pid] = os.waitpid(pid, 0)[1]
    code = os.waitstatus_to_exitcode(_waited[pid])
    return (code, None) if code >= 0 else (None, -code)


def _end_everything(cgroup: JobCgroup | None) -> None:
    """Kill and reap until no descendant is left. As their subreaper we inherit those whose parents die, also what
    has left its process group and session."""
    tree = ProcessTree(os.getpid())
    stopped: set[int] = set()
    # A stopped process cannot fork: else a fork bomb bears new ones as fast as its old ones are killed.
    while new := set(tree.pids()) - stopped:
        _signal_all(new, signal.SIGSTOP)
        stopped |= new
    while True:
        if cgroup:
            cgroup.kill()
        _signal_all(tree.pids(), signal.SIGKILL)
        try:
            pid, status = os.waitpid(-1, 0)
        except ChildProcessError:
            return
        _waited[pid] = status


def _signal_all(pids: Iterable[int], which: int) -> None:
    for pid in pids:
        try:
            os.kill(pid, which)
        except ProcessLookupError:
            continue
