"""Compiles in the pods of a cluster."""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, NamedTuple, Self, cast
from uuid import uuid4

from willitcompile import toolchains as names
from willitcompile.backends import Cancelled, CancelToken, Identity
from willitcompile.backends.clients import client_name
from willitcompile.backends.containers import out_of_memory, result
from willitcompile.backends.kubernetes import leftovers, manifests, troubles
from willitcompile.backends.kubernetes.api.client import Api, ApiError, Stopped, Unreachable
from willitcompile.backends.kubernetes.images import Images
from willitcompile.backends.kubernetes.jobs import Failed, Jobs
from willitcompile.backends.kubernetes.manifests import Work
from willitcompile.backends.kubernetes.slices import Slices, Ticket
from willitcompile.backends.kubernetes.tape import Answers, tape
from willitcompile.backends.kubernetes.warm import Gone, Lent, WarmPod
from willitcompile.backends.kubernetes.watch import Watch
from willitcompile.backends.launcher import MACHINES
from willitcompile.backends.pool import Pool
from willitcompile.backends.seccomp import bpf_filter
from willitcompile.backends.supervision import FILE_CACHE_BYTES
from willitcompile.errors import BackendFailed, Interrupted, WillItCompileError
from willitcompile.model import MIB, CompileJob, Limits

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence
    from types import TracebackType

    from willitcompile.backends import Opening, Wanted
    from willitcompile.backends.containers import Outcome
    from willitcompile.backends.kubernetes.api.access import Access
    from willitcompile.backends.kubernetes.pods import Pod
    from willitcompile.backends.kubernetes.queue import Queue
    from willitcompile.backends.kubernetes.settings import Settings
    from willitcompile.model import CompileResult, Toolchain

_MANY = 8
"""Compiles of one toolchain, beside which one request more does not count."""
LOSSES = 2
"""How often the units of a pod are tried again that was evicted, deleted or on a node that died."""
_GONE_SECONDS = 10.0
"""How long a pod that was ended early is waited for, so that nothing of it runs any more."""
LOG_BYTES, LOG_FACTOR = 64 * MIB, 4
"""What a pod's log may take of its node's disk, besides, and for each byte that its compiles may print: base64, and
what the node writes before each line. Who prints byte by byte takes more, and may be evicted for it."""
WARM_SECONDS = 3600
"""After which a pod that waits is replaced at the latest. Its client's end ends it at once, if the client was attached
to it already."""
_WARM_AGAIN_SECONDS = 30.0
"""After one could not be started, as where that is not permitted."""
_MARGIN_SECONDS = 30
"""Of a Job's deadline, besides what its pod and its compiles may take. The launcher ends a compile at its limit."""


class _Kind(NamedTuple):
    """What units have in common that may share a pod."""

    toolchain: str
    memory_bytes: int
    cpus: float | None


class _WarmKind(NamedTuple):
    """What pods that wait have in common, so that any of them will do."""

    kind: _Kind
    program: str
    """The compiler that was asked for its version."""


class KubernetesBackend:
    """Runs each job in a pod that is thrown away afterwards, many small ones of one check in the same."""

    name = "kubernetes"
    fetches = True

    def __init__(self, access: Access, settings: Settings, opening: Opening) -> None:
        """Asks the cluster nothing yet. Raises ConfigError for wrong `images`."""
        self.limits = Limits(memory_bytes=settings.memory - FILE_CACHE_BYTES, cpus=settings.cpu)
        self._settings = settings
        self._notify = opening.notify
        self._images = Images(opening.images)
        self._api = Api(access)
        self._session = os.urandom(8).hex()
        self._watch = Watch(self._api, self._session)
        self._jobs = Jobs(self._api, self._watch)
        self._slices = Slices(settings.units)
        self._seccomp = bpf_filter(MACHINES[manifests.architecture(settings)])
        self._stop = CancelToken()
        self._warm: Pool[WarmPod] | None = None
        """None where nothing is started ahead."""
        self._warm_again = 0.0
        """Before this time none is started."""
        self._warm_told = False
        if settings.warm.enabled and opening.long_lived:
            self._warm = Pool(
                self._start,
                warm=True,
                least=settings.warm.min,
                most=settings.warm.max,
                remembered_seconds=settings.warm.idle_seconds,
            )
        self._closed = False
        self._changed = threading.Condition()
        self._running = 0
        self._cleaner: threading.Thread | None = None

    @property
    def requests(self) -> int:
        """How many requests it has sent to the API server."""
        return self._api.requests

    @property
    def waiting(self) -> int:
        """How many pods wait for a compile."""
        return self._warm.waiting() if self._warm else 0

    def toolchains(self, wanted: Wanted | None = None) -> Sequence[Toolchain]:
        """Those whose images the cluster can be asked for; whether it gets one shows when a pod starts."""
        return self._images.wanted(wanted)

    def has(self, wanted: Wanted) -> bool:
        return names.offers(self.toolchains(wanted), wanted.compilers, wanted.languages)

    def at_once(self, jobs: int) -> int:
        """`jobs` are pods here, each with as many units as it may have."""
        return (jobs or self._settings.pods) * self._settings.units

    def expect(
        self,
        toolchain: str,
        limits: Limits,
        count: int,
        at_once: int,
        cancel: CancelToken | None = None,
        sources: int | None = None,  # noqa: ARG002
    ) -> None:
        if cancel is not None:
            kind = _Kind(toolchain, limits.memory_bytes, limits.cpus)
            self._slices.expect(cancel, kind, count, pods=at_once // self._settings.units)
        if count >= _MANY or self._warm:
            self._clear_stale()

    def compile(self, job: CompileJob, cancel: CancelToken | None = None) -> CompileResult:
        asked = f"compile with {job.toolchain}"
        self._images.of(job.toolchain)  # raises ToolchainMissing
        ticket = Ticket(job)
        kind = _kind(job)
        self._enter()
        try:
            if self._warm is None:
                return self._compile_cold(kind, ticket, cancel)
            if cancel is not None and cancel.cancelled:
                raise Cancelled
            key = _WarmKind(kind, job.argv[0])
            pod = self._warm.take_ready(key)
            try:
                answer = self._compile_warm(pod, job, cancel) if pod else None
                return answer or self._compile_cold(kind, ticket, cancel)
            finally:
                self._warm.done(key)
        except (Cancelled, Stopped):
            raise Interrupted(asked, "it was cancelled", "run it again") from None
        except WillItCompileError:
            raise
        except (ApiError, Unreachable, Failed) as error:
            raise troubles.told(asked, error, self._api.access) from error
        finally:
            self._leave()

    def identity(self, toolchain: str) -> Identity | None:
        """Only of an image that is named by its digest: what a tag means is each node's to say, and may change."""
        image = self._images.of(toolchain)
        return Identity(f"{manifests.architecture(self._settings)} {image}") if "@" in image else None

    def image_exists(self, image: str) -> bool:  # noqa: ARG002
        """What is on the nodes, or in their registry, shows when a pod starts: a namespace's account cannot see it."""
        return False

    def submit(self, job: CompileJob, job_id: str | None = None) -> str:
        """Start a job of which this process need not hear again. Its id, by which `fetch` gets the result.

        The cluster keeps the result for `keep_seconds` after it is there. To submit the same id twice is to submit it
        once. Raises ToolchainMissing, ValueError for an id that is no name in Kubernetes, and BackendFailed.
        """
        from willitcompile.backends.kubernetes.store import question

        asked = f"submit a job for {job.toolchain}"
        work = self._work(job_id or str(uuid4()), [job])
        work = work._replace(client=None, question=question(job), files=os.urandom(4).hex())
        try:
            self._jobs.create(*self._with_parts(work, [job]))
        except (ApiError, Unreachable, Stopped, Failed) as error:
            raise troubles.told(asked, error, self._api.access) from error
        return work.id

    def fetch(self, job_id: str) -> CompileResult | None:
        """The result of a job that any process has submitted; None while there is none yet.

        Raises UnknownJob where the cluster has no such job, and BackendFailed where it gives no answer.
        """
        from willitcompile.backends.kubernetes.store import fetch

        try:
            return fetch(self._api, job_id)
        except (ApiError, Unreachable, Stopped, Failed) as error:
            raise troubles.told(f"fetch the job {job_id}", error, self._api.access) from error

    def forget(self, job_id: str) -> None:
        """Delete a submitted job, running or done; one that is not there is fine. Raises BackendFailed."""
        from willitcompile.backends.kubernetes.store import UnknownJob, find

        try:
            name, _, _ = find(self._api, job_id)
            self._jobs.delete(name)
        except UnknownJob:
            pass
        except (ApiError, Unreachable, Stopped) as error:
            raise troubles.told(f"forget the job {job_id}", error, self._api.access) from error

    def workers(self, jobs: int) -> int:
        """See `willitcompile.backends.queued`, as for `queue`."""
        return jobs or self._settings.pods

    def queue(self) -> Queue:
        from willitcompile.backends.kubernetes.queue import Queue

        def work(job_id: str, job: CompileJob) -> tuple[Work, list[bytes]]:
            return self._with_parts(self._work(job_id, [job]), [job])

        return Queue(self._api, self._settings, work, self._lender(self._warm) if self._warm else None)

    def _lender(self, pool: Pool[WarmPod]) -> Callable[[CompileJob], Lent]:
        def lend(job: CompileJob) -> Lent:
            key = _WarmKind(_kind(job), job.argv[0])
            return Lent(pool.take_ready(key), lambda pod, cancel: self._serve(pod, job, cancel), lambda: pool.done(key))

        return lend

    def close(self) -> None:
        with self._changed:
            if self._closed:
                return
            self._closed = True
        self._stop.cancel()
        self._jobs.interrupt()
        with self._changed:
            self._changed.wait_for(lambda: not self._running)
        if self._warm:
            self._warm.close()
        self._watch.close()
        if self._cleaner:
            self._cleaner.join()
        self._api.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _enter(self) -> None:
        with self._changed:
            if self._closed:
                raise BackendFailed("compile on Kubernetes", "the backend was closed", "open another one")
            self._running += 1

    def _leave(self) -> None:
        with self._changed:
            self._running -= 1
            self._changed.notify_all()

    def _run(self, tickets: Sequence[Ticket], cancel: CancelToken | None) -> None:
        """Get an answer for every ticket. Raises ApiError, Unreachable, Stopped, Cancelled, BackendFailed."""
        groups = deque([list(tickets)])
        losses = 0
        while groups:
            group = [each for each in groups.popleft() if not each.answered]
            if not group:
                continue
            try:
                self._attempt(group, cancel)
            except Failed as failure:
                left = [each for each in group if not each.answered]
                kind = failure.trouble.kind
                if kind == "out-of-memory" and len(left) < len(group):
                    groups.appendleft(left)
                elif kind in {"lost", "deleted"} and losses < LOSSES and not self._closed:
                    losses += 1
                    self._notify(f"a compile is run again: its pod {failure.trouble.text}")
                    # One that has its pod evicted for what it prints is not to cost the others their answers.
                    groups.extendleft([[each] for each in reversed(left)] if losses == LOSSES else [left])
                elif kind == "ended" and len(group) > 1:
                    groups.extendleft([each] for each in reversed(left))  # so that none can spoil another's answer
                else:
                    for each in left:
                        each.give(failure)

    def _compile_cold(self, kind: _Kind, ticket: Ticket, cancel: CancelToken | None) -> CompileResult:
        """In a pod of a Job, with others of its check. Raises as `_run` does, and what the answer is."""
        slice_ = self._slices.join(cancel, kind, ticket)
        if slice_ is not None:
            try:
                self._slices.begin(cancel, slice_)
                try:
                    self._run(slice_.tickets, cancel)
                finally:
                    self._slices.done(cancel)
            except BaseException as error:
                # Nobody else would tell those who wait for it.
                lost = error if isinstance(error, Exception) else Cancelled()
                for each in slice_.tickets:
                    each.give(lost)
                raise
        return ticket.wait(cancel, lambda: self._closed)

    def _compile_warm(self, pod: WarmPod, job: CompileJob, cancel: CancelToken | None) -> CompileResult | None:
        """In a pod that has waited, and is used up by it; None where it is lost. Raises Cancelled and BackendFailed."""
        try:
            answer = self._serve(pod, job, cancel)
        except BaseException:
            pod.end(_GONE_SECONDS)
            raise
        pod.discard()
        return answer

    def _serve(self, pod: WarmPod, job: CompileJob, cancel: CancelToken | None) -> CompileResult | None:
        """The same, and whoever has the pod ends it."""
        try:
            compiler = self._images.confirm(job, pod.version)
            outcome = pod.run(job, cancel)
            image = pod.image()
        except Gone:
            return None
        if outcome is None:
            return out_of_memory(compiler, image)
        judged = _judged(job, outcome, compiler, image)
        if isinstance(judged, BackendFailed):
            raise judged
        return judged

    def _start(self, key: Hashable) -> WarmPod:
        """A pod that waits for a job of this kind. Raises what WarmPod does: whoever wants one starts a Job instead."""
        kind, program = cast("_WarmKind", key)
        if time.monotonic() < self._warm_again:
            raise Gone("the last one could not be started")
        ask = CompileJob(kind.toolchain, "", {}, (program,), limits=Limits(0, kind.memory_bytes, kind.cpus))
        work = self._work(str(uuid4()), [ask])
        work = work._replace(parts=0, seconds=work.seconds + self._settings.warm.idle_seconds + WARM_SECONDS)
        try:
            return WarmPod(self._api, self._jobs, self._watch, work, ask, self._seccomp, self._stop)
        except (ApiError, Unreachable, Failed, Gone) as error:
            with self._changed:
                self._warm_again = time.monotonic() + _WARM_AGAIN_SECONDS
                first, self._warm_told = not self._warm_told, True
            if first:
                told = troubles.told("start a pod ahead", error, self._api.access)
                self._notify(f"no pod can wait for a compile, so each starts its own: {told.obstacle}: {told.remedy}")
            raise

    def _attempt(self, group: Sequence[Ticket], cancel: CancelToken | None) -> None:
        """One Job for these, from its making to its end."""
        if self._closed:
            raise Cancelled
        jobs = [each.job for each in group]
        work, parts = self._with_parts(self._work(str(uuid4()), jobs), jobs)
        self._watch.begin(work.id)
        try:
            made = self._jobs.make(work, cancel)
        except (ApiError, Unreachable) as error:
            if isinstance(error, ApiError) or not self._api.has_answered:  # then there is nothing to clear
                self._watch.forget(work.id)
            else:
                self._clear(work, tidy=False)
            raise
        except BaseException:
            self._clear(work, tidy=False)
            raise
        tidy = False
        try:
            self._jobs.give(made, parts, cancel)
            self._follow(work, self._jobs.started(work, cancel), group, cancel)
            tidy = True
        finally:
            self._clear(work, tidy=tidy)

    def _follow(self, work: Work, pod: Pod, group: Sequence[Ticket], cancel: CancelToken | None) -> None:
        """Give each ticket its answer when its pod has said it. Raises as `Jobs.follow` does, and BackendFailed."""
        limits = [each.job.limits.output_bytes for each in group]
        compiler = ""

        def image() -> str | None:
            return (self._watch.pod(work.id) or pod).image

        def heard(said: Answers) -> None:
            nonlocal compiler
            if said.version is None:
                return
            compiler = compiler or self._images.confirm(group[0].job, said.version)
            for number in range(said.done):
                if not group[number].answered:
                    group[number].give(_judged(group[number].job, said.outcome(number), compiler, image()))

        try:
            self._jobs.follow(work, pod, lambda: Answers(limits), heard, cancel)
        except Failed as failure:
            if failure.trouble.kind == "out-of-memory":
                # The kernel has killed the launcher too, for what the unit took that it had not answered for.
                next(each for each in group if not each.answered).give(out_of_memory(compiler, image()))
            raise

    def _clear(self, work: Work, *, tidy: bool) -> None:
        """Delete a Job, and where it was ended early return only when nothing of it runs any more.

        Raises ApiError where all else went well.
        """
        try:
            if self._settings.delete == "ttl" and tidy:
                return
            self._jobs.delete(work.name)
            if not tidy and self._watch.pod(work.id) is not None:
                self._jobs.ended(work, _GONE_SECONDS)
        except (ApiError, Unreachable) as error:
            # Its answer, or why there is none, is worth more than that. But what is not allowed has to be told.
            if tidy and isinstance(error, ApiError):
                raise
            self._notify(f"the Job {work.name} could not be deleted, which the cluster itself does later: {error}")
        finally:
            self._watch.forget(work.id)

    def _clear_stale(self) -> None:
        """Clear what killed processes left behind, once and meanwhile. It costs a request, so not for a few files."""
        with self._changed:
            if self._cleaner is None and not self._closed:
                self._cleaner = threading.Thread(target=leftovers.clear_stale, args=(self._api,), daemon=True)
                self._cleaner.start()

    def _with_parts(self, work: Work, jobs: Sequence[CompileJob]) -> tuple[Work, list[bytes]]:
        """A Job with what its ConfigMaps hold. Raises BackendFailed."""
        try:
            parts = manifests.cut(tape(jobs, self._seccomp))
        except ValueError as error:
            raise BackendFailed(
                f"send the sources of {jobs[0].toolchain}'s job to Kubernetes",
                str(error),
                "check fewer or smaller files at once, or use another backend: --backend docker",
            ) from error
        return work._replace(parts=len(parts)), parts

    def _work(self, job_id: str, jobs: Sequence[CompileJob]) -> Work:
        """The Job for these, which are of one kind."""
        limits = jobs[0].limits
        seconds = sum(each.limits.wall_seconds for each in jobs)
        return Work(
            id=job_id,
            image=self._images.of(jobs[0].toolchain),
            session=self._session,
            settings=self._settings,
            memory_bytes=limits.memory_bytes + FILE_CACHE_BYTES,  # its sources lie in it too
            cpus=limits.cpus or self._settings.cpu,
            seconds=int(self._settings.start_seconds + seconds + len(jobs)) + _MARGIN_SECONDS,
            silence=max(each.limits.wall_seconds for each in jobs),
            log_bytes=LOG_BYTES + sum(2 * LOG_FACTOR * each.limits.output_bytes for each in jobs),
            client=client_name(),
        )


def _kind(job: CompileJob) -> _Kind:
    return _Kind(job.toolchain, job.limits.memory_bytes, job.limits.cpus)


def _judged(job: CompileJob, outcome: Outcome, compiler: str, image: str | None) -> CompileResult | BackendFailed:
    if failure := outcome.ending.failure:
        return BackendFailed(
            f"compile with {job.toolchain}",
            failure,
            "give it room: --memory 2G" if "space" in failure else "will-it-compile doctor",
        )
    return result(job, outcome, compiler=compiler, image=image)
