"""Compiles on this host, confined by the kernel.

Two mechanisms, the stronger first: `namespaces` (bubblewrap) and `landlock` (Landlock and seccomp, which need no
user namespace). Where neither can be had nothing is compiled.
"""

from __future__ import annotations

import _thread
import itertools
import os
import select
from typing import TYPE_CHECKING, Self

from willitcompile.backends import cores
from willitcompile.backends.sandbox.host import survey
from willitcompile.backends.sandbox.mechanisms import (
    choose_mechanisms,
    find_program,
    landlock_abi,
    make_plan,
)
from willitcompile.backends.sandbox.starter import Starter, read_ending
from willitcompile.backends.sandbox.workspace import Session, remove_tree
from willitcompile.backends.seccomp import UnsupportedArchitectureError, bpf_filter
from willitcompile.errors import BackendFailed, BackendUnavailable, Interrupted, ToolchainMissing
from willitcompile.model import CompileResult, Limits

if TYPE_CHECKING:
    import _socket
    from collections.abc import Callable, Mapping, Sequence
    from types import TracebackType

    from willitcompile.backends import CancelToken, Identity, Opening, Wanted
    from willitcompile.backends.sandbox.host import HostToolchain
    from willitcompile.backends.sandbox.plan import Plan
    from willitcompile.backends.supervision import Ending
    from willitcompile.model import CompileJob, Finding, Toolchain


class SandboxBackend:
    """Runs each job as a throw-away process tree on this host."""

    name = "sandbox"
    limits = Limits()
    fetches = False

    def __init__(
        self,
        isolation: str = "auto",
        notify: Callable[[str], None] = lambda _: None,
        toolchains: Sequence[HostToolchain] | None = None,
    ) -> None:
        """`isolation` is `auto` or one of MECHANISMS; `notify` is told of what takes long and happens once;
        `toolchains` are those of this host where none are given.

        Raises BackendUnavailable where this host has no such mechanism.
        """
        self._notify = notify
        self._bwrap = find_program("bwrap")
        self._mechanisms = choose_mechanisms(isolation, self._bwrap)
        self._proven = False
        self._lock = _thread.allocate_lock()
        self._given = toolchains
        self._hosts: dict[str, HostToolchain] | None = None
        self._watched: Mapping[str, list[int] | None] = {}
        """What they were learnt from."""
        self._seeds: dict[str, tuple[tuple[str, str], ...]] = {}
        self._running: set[_socket.socket] = set()
        self._count = itertools.count(1)
        self._closed = False
        self._with_cgroups = True
        try:
            self._seccomp = bpf_filter()
        except UnsupportedArchitectureError as error:
            raise BackendUnavailable(
                "compile in the sandbox",
                f"there is no seccomp filter for {error} machines yet",
                "check on an x86_64 or an aarch64 machine",
            ) from error
        try:
            self._session = Session()
            # Now rather than with the first job: this process may still have one thread.
            self._starter = Starter(self._session)
        except OSError as error:
            raise BackendFailed(
                "start the sandbox", f"{error.strerror}: {error.filename or ''}", "will-it-compile doctor"
            ) from error

    @property
    def isolation(self) -> str:
        """The mechanism that jobs get; `auto` settles with the first job."""
        return self._mechanisms[0]

    def forgo_cgroups(self) -> None:
        """From the next job on do without them, as on a host where none can be made."""
        self._with_cgroups = False

    def toolchains(self, wanted: Wanted | None = None) -> Sequence[Toolchain]:  # noqa: ARG002 - it knows them all
        return [host.toolchain for host in self._host_toolchains().values()]

    def has(self, wanted: Wanted) -> bool:
        from willitcompile.toolchains import offers

        return offers(self.toolchains(), wanted.compilers, wanted.languages)

    def at_once(self, jobs: int) -> int:
        return jobs or cores()

    def expect(
        self,
        toolchain: str,
        limits: Limits,
        count: int,
        at_once: int,
        cancel: CancelToken | None = None,
        sources: int | None = None,
    ) -> None:
        """There is nothing that could be prepared."""

    def compile(self, job: CompileJob, cancel: CancelToken | None = None) -> CompileResult:
        host = self._host_toolchains().get(job.toolchain)
        if host is None or job.argv[0] not in host.programs:
            names = ", ".join(self._host_toolchains()) or "none at all"
            raise ToolchainMissing(
                f"compile {job.language} with {job.toolchain}",
                "it is not on this host",
                f"use one of these: {names}",
            )
        while True:
            mechanism = self.isolation
            result = self._attempt(job, host, mechanism, cancel)
            if isinstance(result, CompileResult):
                return result
            with self._lock:
                if mechanism != self.isolation:
                    continue  # another thread has found out already
                if self._proven or len(self._mechanisms) == 1 or not landlock_abi():
                    raise BackendFailed(f"compile with {job.toolchain}", result, "will-it-compile doctor")
                # bubblewrap is there, but this host lets it make no namespaces: containers, hardened kernels.
                self._mechanisms = self._mechanisms[1:]

    def identity(self, toolchain: str) -> Identity | None:
        from willitcompile.backends.sandbox.host_identity import identity_of

        host = self._host_toolchains().get(toolchain)
        return identity_of(host, self._watched) if host else None

    def image_exists(self, image: str) -> bool:  # noqa: ARG002
        """There are no images here."""
        return False

    def close(self) -> None:
        with self._lock:
            if self._closed:
                return
            self._closed = True
        for channel in list(self._running):
            _stop(channel)
        self._starter.close()
        os.close(self._session.lock)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _host_toolchains(self) -> dict[str, HostToolchain]:
        if self._hosts is None:
            hosts = self._given
            if hosts is None:
                found = survey()
                hosts, self._watched = found.toolchains, found.watched
            self._hosts = {host.toolchain.name: host for host in hosts}
        return self._hosts

    def _attempt(
        self, job: CompileJob, host: HostToolchain, mechanism: str, cancel: CancelToken | None
    ) -> CompileResult | str:
        """One run of the job, or why the sandbox could not be set up."""
        seeds = self._seeds_of(host)
        if self._closed:
            raise BackendFailed("compile in the sandbox", "it was closed", "open another one")
        session = self._session
        name = f"{session.name}.{next(self._count)}"
        workspace = ""
        try:
            workspace = session.stage(job.files)
            plan = make_plan(
                job,
                host,
                mechanism,
                seeds=seeds,
                workspace=workspace,
                cgroup_name=name,
                with_cgroup=self._with_cgroups,
                seccomp=self._seccomp,
                bwrap=self._bwrap,
            )
            stdout, stderr, truncated, ending = self._run(plan, job.limits.output_bytes, cancel)
        except OSError as error:
            remove_tree(workspace)
            if isinstance(error, BrokenPipeError | ConnectionResetError):
                obstacle = "the process that starts compiles has ended"
                raise BackendFailed(
                    f"compile with {job.toolchain}", obstacle, "try again; look at ulimit -n and at free memory"
                ) from error
            raise BackendFailed(
                f"compile with {job.toolchain}",
                f"{error.strerror} ({error.filename or session.path})",
                "free some space or memory there, then try again",
            ) from error
        if ending is None:
            raise BackendFailed(f"compile with {job.toolchain}", "the sandbox's supervisor was killed", "try again")
        if ending.failure and ending.signal:
            raise BackendFailed(f"compile with {job.toolchain}", ending.failure, "run it again")
        if ending.failure:
            said = stderr.decode(errors="backslashreplace").strip()
            return f"{ending.failure}: {said}" if said else ending.failure
        self._proven = True
        if ending.stopped == "cancelled" and not truncated:
            raise Interrupted(f"compile with {job.toolchain}", "it was cancelled", "run it again")
        from willitcompile.backends.verdicts import judge

        verdict, limit = judge(
            exit_code=ending.exit_code,
            killed_by=ending.signal,
            stopped=ending.stopped,
            oom_kills=ending.oom_kills,
            process_limit_hits=ending.process_limit_hits,
            truncated=truncated,
            stderr=stderr,
            rejected_exit_codes=job.rejected_exit_codes,
        )
        return CompileResult(
            verdict=verdict,
            exit_code=None if limit in {"wall", "memory", "output"} else ending.exit_code,
            stdout=stdout,
            stderr=stderr,
            duration_seconds=ending.duration_seconds,
            compiler=host.toolchain.compilers.get(job.language, ""),
            isolation=mechanism,
            truncated=truncated,
            limit=limit,
            signal=None if limit else ending.signal,
            peak_memory_bytes=ending.peak_memory_bytes,
        )

    def _run(
        self, plan: Plan, output_bytes: int, cancel: CancelToken | None
    ) -> tuple[bytes, bytes, bool, Ending | None]:
        """Start it, read what it prints, wait for its end: (stdout, stderr, truncated, how it ended)."""
        out_read, out_write = os.pipe2(os.O_CLOEXEC)
        err_read, err_write = os.pipe2(os.O_CLOEXEC)
        try:
            channel = self._starter.start(plan, out_write, err_write)
        except BaseException:
            os.close(out_read)
            os.close(err_read)
            raise
        finally:
            os.close(out_write)
            os.close(err_write)
        self._running.add(channel)
        try:
            if self._closed:
                _stop(channel)
            # While the compile runs there is time for what comes after it.
            from willitcompile.backends import verdicts  # noqa: F401

            heads, truncated = _read_heads((out_read, err_read), channel, output_bytes, cancel)
            return heads[0], heads[1], truncated, read_ending(channel)
        except BaseException:
            _stop(channel)
            read_ending(channel)  # comes when nothing of it runs any more
            raise
        finally:
            self._running.discard(channel)
            channel.close()
            os.close(out_read)
            os.close(err_read)

    def _seeds_of(self, host: HostToolchain) -> tuple[tuple[str, str], ...]:
        name = host.toolchain.name
        if name not in self._seeds:
            self._seeds[name] = host.seeds(self._notify)
        return self._seeds[name]


def _read_heads(
    streams: tuple[int, int], channel: _socket.socket, limit: int, cancel: CancelToken | None
) -> tuple[tuple[bytes, bytes], bool]:
    """Read both streams to their ends or the limit. Whoever reaches it ends the compile."""
    kept = {stream: bytearray() for stream in streams}
    poll = select.poll()
    for stream in streams:
        poll.register(stream, select.POLLIN)
    if cancel:
        poll.register(cancel, select.POLLIN)
    unfinished = set(streams)
    truncated = False
    while unfinished:
        for ready, _ in poll.poll():
            if ready not in kept:
                _stop(channel)
                poll.unregister(ready)
                continue
            room = limit - len(kept[ready])
            data = os.read(ready, min(65536, room + 1))
            kept[ready] += data[:room]
            if len(data) > room:
                truncated = True
                _stop(channel)
            if not data or len(data) > room:
                unfinished.discard(ready)
                poll.unregister(ready)
    return (bytes(kept[streams[0]]), bytes(kept[streams[1]])), truncated


def _stop(channel: _socket.socket) -> None:
    try:
        channel.shutdown(1)  # SHUT_WR
    except OSError:
        return  # it ended by itself


def open_backend(opening: Opening) -> SandboxBackend:
    return SandboxBackend(notify=opening.notify)


def clean(opening: Opening) -> list[str]:  # noqa: ARG001 - it needs no settings
    """Clear away what killed runs left on this host. Returns what was cleared."""
    from willitcompile.backends.sandbox.cgroups import find_cgroups
    from willitcompile.backends.sandbox.leftovers import clear_stale

    return clear_stale(find_cgroups())


def doctor(opening: Opening) -> list[Finding]:  # noqa: ARG001
    """What the sandbox finds on this host."""
    from willitcompile.backends.sandbox.health import findings

    return findings()
