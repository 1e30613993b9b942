"""Compiles in containers of a Docker daemon, or of what speaks its API."""

from __future__ import annotations

import os
import threading
import time
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple, Self

from willitcompile.backends import Cancelled, Identity, cores
from willitcompile.backends.clients import client_name
from willitcompile.backends.containers import out_of_memory, result
from willitcompile.backends.docker import ready as ready_images
from willitcompile.backends.docker.channel import Container, Silent
from willitcompile.backends.docker.container import SESSION, create_body
from willitcompile.backends.docker.engine import EngineError, Gone
from willitcompile.backends.docker.images import Images
from willitcompile.backends.docker.kept import Kept
from willitcompile.backends.docker.leftovers import clear_stale, remove_session
from willitcompile.backends.launcher import MACHINES, next_job
from willitcompile.backends.pool import Pool, PoolClosed
from willitcompile.backends.seccomp import bpf_filter
from willitcompile.errors import BackendFailed, BackendUnavailable, Interrupted, ToolchainMissing
from willitcompile.model import Limits

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence
    from types import TracebackType

    from willitcompile.backends import CancelToken, Opening, Wanted
    from willitcompile.backends.docker.engine import Engine
    from willitcompile.backends.docker.ready import Ready
    from willitcompile.backends.supervision import Ending
    from willitcompile.model import CompileJob, CompileResult, Toolchain

ATTEMPTS = 3
"""A compile whose container or daemon was lost is as good as one that never began: it is run again."""
RETURN_SECONDS = 20.0
"""How long a daemon that is being restarted is waited for."""
_PASSING = frozenset({409, 500, 502, 503})
"""What a daemon answers that ends or begins, or whose container was removed in between: the next one may do."""


class _Kind(NamedTuple):
    """What the containers of a kind have in common, so that any of them will do for a job of it."""

    image: str
    limits: Limits
    """Without what the launcher is told with the job itself."""


class DockerBackend:
    """Runs each job in a container of its own, or in one that has compiled the same files in the same check."""

    name = "docker"
    limits = Limits()
    fetches = True

    def __init__(self, engine: Engine, opening: Opening) -> None:
        """`engine` has been greeted, and is closed with this. Raises BackendUnavailable, and ConfigError for wrong
        `images`."""
        if engine.machine not in MACHINES:
            raise BackendUnavailable(
                f"compile with Docker at {engine.endpoint.url}",
                f"there is no launcher for {engine.machine or 'its'} machines",
                "use a daemon on an x86_64 or an aarch64 machine",
            )
        self._engine = engine
        self._seccomp = bpf_filter(MACHINES[engine.machine])
        self._session = f"{client_name()}/{os.urandom(8).hex()}"
        self._images = Images(self._engine, self._session, opening)
        self._ready: dict[str, Ready] = {}
        self._digests: dict[str, str] = {}
        self._lock = threading.Lock()
        """Of what is known about images; may be held for as long as a pull takes."""
        self._ending = threading.Lock()
        self._pool: Pool[Container] = Pool(self._start, warm=opening.long_lived)
        self._kept = Kept()
        self._shares = not opening.long_lived
        """Who is served by a service is alone in a container, which is there already."""
        self._running: set[Container] = set()
        self._closed = False
        self._untidy = False
        """Whether something went otherwise than a job does, so that a container may be left."""
        self._cleaner: threading.Thread | None = None

    def toolchains(self, wanted: Wanted | None = None) -> Sequence[Toolchain]:
        with self._lock:
            try:
                obtained = self._images.obtain(wanted)
                self._ready |= obtained
                self._digests |= {name: self._images.digest(each) for name, each in obtained.items()}
            except (EngineError, Gone) as error:
                raise BackendFailed("look for the images of Docker", str(error), "docker images") from error
            return [each.toolchain for each in sorted(self._ready.values(), key=ready_images.place)]

    def has(self, wanted: Wanted) -> bool:
        """Whether there are images for all of this, without pulling one."""
        try:
            return self._images.has(wanted)
        except (EngineError, Gone):
            return False

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
        if ready := self._ready.get(toolchain):
            kind = _kind(ready, limits)
            if cancel is not None and self._shares and sources is not None and sources < count:
                self._kept.expect(cancel)
                count = sources
            self._pool.expect(kind, count, at_once)

    def compile(self, job: CompileJob, cancel: CancelToken | None = None) -> CompileResult:
        ready = self._ready_for(job)
        asked = f"compile with {job.toolchain}"
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return self._attempt(job, ready, cancel)
            except (Cancelled, PoolClosed):
                raise Interrupted(asked, "it was cancelled", "run it again") from None
            except EngineError as error:
                if attempt < ATTEMPTS and error.status == 404:  # the image was removed, or replaced, meanwhile
                    ready = self._make_ready_again(job)
                    continue
                if attempt < ATTEMPTS and error.status in _PASSING and self._answers_again(cancel):
                    continue
                raise BackendFailed(asked, f"Docker says: {error.message}", "will-it-compile doctor") from error
            except Silent as error:
                raise BackendFailed(asked, str(error), "will-it-compile doctor, then run it again") from error
            except Gone as error:
                if self._closed or (cancel is not None and cancel.cancelled):
                    raise Interrupted(asked, "it was cancelled", "run it again") from None
                if attempt == ATTEMPTS or not self._answers_again(cancel):
                    raise BackendFailed(asked, str(error), "will-it-compile doctor, then run it again") from error
        raise AssertionError

    def identity(self, toolchain: str) -> Identity | None:
        """The image that runs, by its id, which says all that is in it; the other is what results name."""
        ready = self._ready.get(toolchain)
        return Identity(f"{ready.image} {self._digests[toolchain]}") if ready else None

    def image_exists(self, image: str) -> bool:
        try:
            return ready_images.inspect(self._engine, image) is not None
        except (EngineError, Gone) as error:
            raise BackendFailed(f"look for the image {image}", str(error), "docker images") from error

    def close(self) -> None:
        with self._ending:
            if self._closed:
                return
            self._closed = True
        for container in list(self._running):
            self._untidy = True
            container.interrupt()
        self._kept.close()
        self._pool.close()
        # What has done its job is removed by the daemon, a tenth of a second later; nobody need wait for that.
        if self._untidy:
            remove_session(self._engine, self._session)
        if self._cleaner:
            self._cleaner.join()
        self._engine.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _ready_for(self, job: CompileJob) -> Ready:
        ready = self._ready.get(job.toolchain)
        if ready is None:
            self.toolchains()
            ready = self._ready.get(job.toolchain)
        if ready is None or job.argv[0] not in ready.programs:
            names = ", ".join(self._ready) or "none at all"
            raise ToolchainMissing(
                f"compile {job.language} with {job.toolchain}",
                "Docker has no image of it",
                f"use one of these: {names}; or make it: will-it-compile images build {job.toolchain}",
            )
        return ready

    def _make_ready_again(self, job: CompileJob) -> Ready:
        with self._lock:
            self._ready.pop(job.toolchain, None)
            self._images.forget()
        return self._ready_for(job)

    def _start(self, key: Hashable) -> Container:
        assert isinstance(key, _Kind)  # noqa: S101 - for mypy
        labels = {SESSION: self._session}
        try:
            return Container(self._engine, create_body(key.image, key.limits, labels))
        except BaseException:
            self._untidy = True
            raise
        finally:
            self._clear_stale()

    def _clear_stale(self) -> None:
        """Look once for what killed runs have left, while there is a compile to wait for."""
        with self._ending:
            if self._cleaner or self._closed:
                return
            cleaner = threading.Thread(target=clear_stale, args=(self._engine,), daemon=True)
            cleaner.start()
            self._cleaner = cleaner

    def _attempt(self, job: CompileJob, ready: Ready, cancel: CancelToken | None) -> CompileResult:
        if self._closed:
            raise BackendFailed("compile with Docker", "the backend was closed", "open another one")
        if cancel is not None and cancel.cancelled:
            raise Cancelled
        compiler, digest = ready.toolchain.compilers.get(job.language, ""), self._digests[job.toolchain]
        kind = _kind(ready, job.limits)
        records = ready_images.records(ready, job, self._seccomp)
        kept = self._kept.take(cancel, kind, job.files)
        container = self._pool.take(kind, cancel) if kept is None else kept
        keeps = False
        self._running.add(container)
        try:
            if self._closed:  # between the two lines above nobody would have interrupted it
                raise PoolClosed
            outcome = container.run(records if kept is None else chain([next_job()], records), job.limits, cancel)
            keeps = _was_ordinary(outcome.ending)
        except BaseException as error:
            self._untidy = True
            memory_ran_out = isinstance(error, Gone) and self._was_out_of_memory(container)
            container.discard()  # comes back when nothing of it runs any more
            if memory_ran_out:
                return out_of_memory(compiler, digest)
            raise
        finally:
            self._running.discard(container)
            if not (keeps and self._kept.give(cancel, kind, job.files, container)):
                container.hang_up()
            if kept is None:
                self._pool.done(kind)
        if outcome.ending.failure:
            raise BackendFailed(
                f"compile with {job.toolchain}",
                outcome.ending.failure,
                "give it room: --memory 2G" if "space" in outcome.ending.failure else "will-it-compile doctor",
            )
        return result(job, outcome, compiler=compiler, image=digest)

    def _was_out_of_memory(self, container: Container) -> bool:
        """Whether the kernel has killed the launcher itself for what its job took."""
        try:
            state = self._engine.call("GET", f"/containers/{container.id}/json")["State"]
        except (EngineError, Gone, KeyError, TypeError):
            return False
        return bool(state.get("OOMKilled"))

    def _answers_again(self, cancel: CancelToken | None) -> bool:
        """Wait for a daemon that is being restarted."""
        deadline = time.monotonic() + RETURN_SECONDS
        while not self._closed and not (cancel is not None and cancel.cancelled):
            try:
                self._engine.greet()
            except BackendUnavailable:
                if time.monotonic() > deadline:
                    return False
                time.sleep(0.2)
            else:
                return True
        return False


def _was_ordinary(ending: Ending) -> bool:
    """Whether another job may follow in the same container: no limit was reached and nothing was killed."""
    trouble = ending.stopped or ending.failure or ending.oom_kills or ending.process_limit_hits
    return ending.exit_code is not None and not trouble


def _kind(ready: Ready, limits: Limits) -> _Kind:
    told_later = type(limits)()
    return _Kind(
        ready.image,
        limits._replace(
            wall_seconds=told_later.wall_seconds,
            output_bytes=told_later.output_bytes,
            file_bytes=told_later.file_bytes,
        ),
    )
