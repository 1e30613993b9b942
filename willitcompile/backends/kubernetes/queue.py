"""The cluster as a queue that all replicas of a service share: each job is a Job, and nothing else is kept anywhere.

A Job that waits is a suspended one. So is one that is compiled in a pod that has waited: its replica claims it, and
says so again for as long as that runs; else any other has it run in a pod of its own. A Job's answer is kept in an
annotation of it, or in ConfigMaps that it owns, so that it outlives its pod, and every replica hears of it through the
one watch by which it hears of everything. A Job that was cancelled has no time left, and one that needs no pod, or none
any more, wants none: so all of them end, and the cluster deletes them like all others.
"""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Any

from willitcompile.backends import Cancelled, CancelToken
from willitcompile.backends.containers import out_of_memory
from willitcompile.backends.kubernetes import manifests, store, troubles
from willitcompile.backends.kubernetes.alarm import Alarm
from willitcompile.backends.kubernetes.api.client import ApiError, Stopped, Unreachable
from willitcompile.backends.kubernetes.jobs import Failed, Jobs
from willitcompile.backends.kubernetes.manifests import JOB_ID, QUEUE_SESSION, Place, Work
from willitcompile.backends.kubernetes.records import (
    ABOUT,
    ANSWER,
    ANSWERED,
    ASKED_BY,
    CANCELLED,
    CLAIMED,
    GROUP,
    HINT,
    NUMBER,
    PARTS,
    PRIORITY,
    SIZE,
    SUBMITTED,
    WATCH_SECONDS,
    Record,
    View,
    pack,
    read,
    unpack,
)
from willitcompile.backends.kubernetes.tape import Answers
from willitcompile.backends.kubernetes.watch import Watch
from willitcompile.backends.queued import ENDED, RUNNING, WAITING
from willitcompile.errors import BackendFailed, BackendUnavailable, Interrupted
from willitcompile.model import CompileJob

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from willitcompile.backends.kubernetes.api.client import Api
    from willitcompile.backends.kubernetes.jobs import Made
    from willitcompile.backends.kubernetes.settings import Settings
    from willitcompile.backends.kubernetes.warm import Lent
    from willitcompile.backends.queued import Queued, Ticket
    from willitcompile.model import CompileResult

INLINE_BYTES = 8 << 10
"""Of an answer, packed, in the annotation: what there is of all Jobs is in the memory of each replica."""
PATIENCE_SECONDS = 5.0
"""For a server that is away, with whoever waits for an answer to a request of his own."""
CLAIM_SECONDS, RENEW_SECONDS = 10.0, 3.0
"""How long a claim is believed that is not heard of again, and how often that is written. Each replica counts from when
it has heard of it, so their clocks need not agree."""
_AGAIN_SECONDS = 1.0
_LOOK_SECONDS = 0.3
_MOST_TRIES = 20
"""Of a change to a Job that its controller changes at the same time."""
_CONFLICT, _NOT_FOUND = 409, 404
_REFUSALS = frozenset({401, 403})
_REFUSED_SECONDS = 60.0
"""How long a refusal is not believed, which would cost an answer: an API server that starts does not know all roles."""
_MOST_GONE = 1000
"""Jobs that were deleted, and may be told of once more by whoever changed them just before."""
_OVER = {"activeDeadlineSeconds": 0}
"""A Job that ends now."""
_NO_POD = {"completions": 0, "parallelism": 0}
"""One that has ended well without ever having had a pod."""
_BEGUN: dict[str, Any] = {"metadata": {"annotations": {CLAIMED: None}}, "spec": {"suspend": False}}
"""One that runs, in a pod of its own."""
_NO_JOB = CompileJob("", "", {}, ())


class _Over(Exception):
    """A Job has ended, whatever its pod is thought to do."""


class Queue:
    """A `willitcompile.backends.queued.JobQueue`."""

    def __init__(
        self,
        api: Api,
        settings: Settings,
        work: Callable[[str, CompileJob], tuple[Work, list[bytes]]],
        lend: Callable[[CompileJob], Lent] | None = None,
    ) -> None:
        """`work` makes of an id and a job what is to be created; `lend` lends a job a pod that has waited.

        It begins with `begin`.
        """
        self._api = api
        self._settings = settings
        self._work = work
        self._lend = lend
        self._lent: dict[str, Lent] = {}
        """By job, until its result is there."""
        self._name = os.urandom(8).hex()
        """By which it claims jobs."""
        self._alarm = Alarm(self._overdue)
        self._records: dict[str, Record] = {}
        self._gone: deque[str] = deque(maxlen=_MOST_GONE)
        """The uids of the last that were deleted."""
        # Held while somebody is told, so that all is told in one order.
        self._lock = threading.RLock()
        self._heard: Callable[[Sequence[Queued], Sequence[str]], None] = lambda *_: None
        self._view = View(api, self._known, self._take)
        self._watch = Watch(api, QUEUE_SESSION, seconds=WATCH_SECONDS, takes_all=True)
        self._jobs = Jobs(api, self._watch)
        self._path = f"/apis/batch/v1/namespaces/{api.access.namespace}/jobs"
        self._config_maps = f"/api/v1/namespaces/{api.access.namespace}/configmaps"
        self._stop = CancelToken()
        self.starts_itself = settings.queue is not None

    def begin(self, heard: Callable[[Sequence[Queued], Sequence[str]], None], seconds: float) -> None:
        self._heard = heard
        self._view.begin(seconds)

    def submit(self, ticket: Ticket, job: CompileJob, *, start: bool, keep_seconds: int) -> None:
        asked = f"submit a job for {job.toolchain}"
        work, parts = self._work(ticket.id, job)
        size = sum(map(len, parts))
        lent = self._lend(job) if self._lend and start else None
        if lent:
            self._lent[ticket.id] = lent
        claim = self._claim() if lent and lent.has_pod else None
        waits = not start or claim is not None
        work = self._placed(work, ticket, keep_seconds, store.question(job), size, waits=waits, claim=claim)
        try:
            self._put(asked, work, parts)
        except BaseException:
            self._give_back(ticket.id)
            raise

    def _put(self, asked: str, work: Work, parts: Sequence[bytes]) -> None:
        made: Made | None = None
        try:
            made = self._jobs.make(work, self._stop, patience=PATIENCE_SECONDS)
            self._jobs.give(made, parts, self._stop, patience=PATIENCE_SECONDS)
        except (ApiError, Unreachable, Stopped) as error:
            if made is not None or not isinstance(error, ApiError):
                self._undo(work)
            raise troubles.told(asked, error, self._api.access) from error
        self._made(asked, made)

    def settle(self, ticket: Ticket, answer: str, *, keep_seconds: int) -> None:
        asked = f"keep the answer {ticket.id}"
        nothing = Work(ticket.id, "none", QUEUE_SESSION, self._settings, 1 << 20, None, 1)
        work = self._placed(nothing, ticket, keep_seconds, store.question(_NO_JOB), 0, answer=pack(answer))
        try:
            made = self._jobs.make(work, self._stop, patience=PATIENCE_SECONDS)
        except (ApiError, Unreachable, Stopped) as error:
            if not isinstance(error, ApiError):
                self._undo(work)
            raise troubles.told(asked, error, self._api.access) from error
        self._made(asked, made)

    def start(self, queued: Queued) -> bool:
        def change(now: Record) -> dict[str, Any] | None:
            return _BEGUN if now.queued.state == WAITING and not now.queued.is_settled else None

        return self._changed(f"start the job {queued.id}", queued, change)

    def result(self, queued: Queued, cancel: CancelToken) -> CompileResult:
        try:
            return self._awaited(queued, cancel)
        finally:
            self._give_back(queued.id)

    def _awaited(self, queued: Queued, cancel: CancelToken) -> CompileResult:
        asked = f"compile the job {queued.id}"
        refused_at: float | None = None
        while True:
            try:
                return self._result(queued.id, cancel)
            except (Cancelled, Stopped):
                raise Interrupted(asked, "it was cancelled", "run it again") from None
            except _Over:
                continue
            except Failed as failure:
                record = self._record(queued.id)
                if record is None or record.queued.cancelled is not None:
                    raise Interrupted(asked, "it was cancelled", "run it again") from None
                if failure.trouble.kind != "lost" or not self._gets_another(queued, failure, asked, cancel):
                    raise troubles.told(asked, failure, self._api.access) from failure
            except ApiError as error:
                if error.is_lasting and error.status not in _REFUSALS:
                    raise troubles.told(asked, error, self._api.access) from error
                refused_at = refused_at or time.monotonic()
                if error.is_lasting and time.monotonic() - refused_at > _REFUSED_SECONDS:
                    raise troubles.told(asked, error, self._api.access) from error
                self._wait(_AGAIN_SECONDS, asked, cancel)
            except (Unreachable, BackendUnavailable):
                refused_at = None
                self._wait(_AGAIN_SECONDS, asked, cancel)

    def keep(self, queued: Queued, answer: str) -> bool:
        try:
            is_kept = self._kept(queued, answer)
        except (ApiError, Unreachable, Stopped) as error:
            raise troubles.told(f"keep the answer {queued.id}", error, self._api.access) from error
        if is_kept:
            self._clear(queued.id)
        return is_kept

    def answer(self, queued: Queued) -> str | None:
        packed = queued.answer or ""
        if not packed.startswith(PARTS):
            return unpack(packed)
        if (hint := HINT.fullmatch(packed)) is None:
            return None
        texts = []
        try:
            for number in range(int(hint[1])):
                path = f"{self._config_maps}/{_part_name(queued.id, hint[2], number)}"
                found = self._api.call("GET", path, cancel=self._stop, patience=PATIENCE_SECONDS)
                texts.append(str(found["data"]["answer"]))
        except (KeyError, TypeError):
            return None
        except (ApiError, Unreachable, Stopped) as error:
            if isinstance(error, ApiError) and error.status == _NOT_FOUND:
                return None
            raise troubles.told(f"fetch the answer {queued.id}", error, self._api.access) from error
        return unpack("".join(texts))

    def cancel(self, queued: Queued) -> None:
        def change(now: Record) -> dict[str, Any] | None:
            if now.queued.is_settled or now.queued.state == ENDED:
                return None
            # Kueue would hold a Job back again that it has not let go itself, and ends this one when it does.
            started = {} if self.starts_itself else {"suspend": False}
            return {"metadata": {"annotations": {CANCELLED: f"{time.time():.3f}"}}, "spec": {**_OVER, **started}}

        if self._changed(f"cancel the job {queued.id}", queued, change):
            self._clear(queued.id)

    def forget(self, queued: Queued) -> None:
        try:
            self._jobs.delete(manifests.name_of(queued.id))
        except (ApiError, Unreachable, Stopped) as error:
            raise troubles.told(f"forget the job {queued.id}", error, self._api.access) from error

    def look(self, group: str, number: int) -> bool:
        job_id = f"{group}-{number}"
        try:
            found = self._look(job_id)
        except ValueError:
            return False
        except (ApiError, Unreachable, Stopped) as error:
            raise troubles.told(f"look for the job {job_id}", error, self._api.access) from error
        return found is not None

    def failure(self) -> str | None:
        if (failure := self._view.failure) is not None:
            if isinstance(failure, BackendUnavailable):
                return failure.obstacle
            return troubles.told("hear of jobs", failure, self._api.access).obstacle
        return None if self._view.is_complete else "the cluster has not said yet which jobs there are"

    def close(self) -> None:
        self._unclaim()
        self._stop.cancel()
        self._alarm.close()
        for job_id in list(self._lent):
            self._give_back(job_id)
        self._jobs.interrupt()
        self._view.close()
        self._watch.close()

    # ---- what is heard

    def _known(self) -> dict[str, str]:
        with self._lock:
            return {job_id: record.owner for job_id, record in self._records.items()}

    def _take(self, records: Sequence[Record], gone: Sequence[str]) -> None:
        with self._lock:
            news = [each.queued for each in records if self._remember(each)]
            for job_id in gone:
                if record := self._records.pop(job_id, None):
                    self._gone.append(record.owner)
                self._alarm.unset(job_id)
                self._watch.forget(job_id)
            if news or gone:
                self._heard(news, gone)

    def _remember(self, record: Record) -> bool:
        """Whether it is news: what a request was answered may come before what was heard, and after it."""
        job_id, known = record.queued.id, self._records.get(record.queued.id)
        is_same = known is not None and known.owner == record.owner
        if known and is_same and known.queued.version >= record.queued.version:
            return False
        if not is_same and record.owner in self._gone:
            return False
        self._records[job_id] = record
        if record.claim is None or record.queued.is_settled:
            self._alarm.unset(job_id)
        else:
            self._alarm.set(job_id, RENEW_SECONDS if self._is_own(record) else CLAIM_SECONDS)
        if record.queued.is_settled:
            self._watch.forget(job_id)
        elif record.queued.state == RUNNING:
            self._watch.begin(job_id)
            self._watch.own(job_id, record.owner)
        return True

    def _record(self, job_id: str) -> Record | None:
        # Without the lock: who looks may hold that of the watch, which is told with this one held.
        return self._records.get(job_id)

    def _told(self, record: Record) -> None:
        """What a request was answered is heard like all else."""
        self._take([record], [])

    # ---- what is claimed

    def _claim(self) -> str:
        return f"{self._name} {time.time():.3f}"

    def _is_own(self, record: Record) -> bool:
        """Whether this replica has claimed it, and it has no answer yet."""
        is_open = not record.queued.is_settled
        return is_open and record.claim is not None and record.claim.startswith(self._name)

    def _overdue(self, job_id: str) -> None:
        """A claim is to be written again, or is believed no longer, and then its job waits."""
        if (record := self._record(job_id)) is None or record.claim is None:
            return
        if self._is_own(record):
            claimed = {"metadata": {"annotations": {CLAIMED: self._claim()}}}
            try:
                self._change(record.queued, lambda now: claimed if self._is_own(now) else None)
            except (ApiError, Unreachable, Stopped, BackendUnavailable):
                self._alarm.set(job_id, _AGAIN_SECONDS)
            return
        with self._lock:
            if self._records.get(job_id) is record:
                waits = record.queued._replace(state=WAITING)
                self._records[job_id] = record._replace(queued=waits)
                self._heard([waits], [])

    def _unclaim(self) -> None:
        """At the end: what runs here is to run in pods of its own."""
        for record in [each for each in list(self._records.values()) if self._is_own(each)]:
            try:
                self._run(record.queued)
            except (ApiError, Unreachable, Stopped, BackendUnavailable):
                return  # their claims are believed for a moment more

    def _run(self, queued: Queued) -> None:
        """Have a claimed one run in a pod of its own. Raises ApiError, Unreachable and Stopped."""
        self._change(queued, lambda now: _BEGUN if self._is_own(now) else None)

    def _give_back(self, job_id: str) -> None:
        if lent := self._lent.pop(job_id, None):
            lent.end()

    # ---- what is made and changed

    def _placed(
        self,
        work: Work,
        ticket: Ticket,
        keep_seconds: int,
        question: str,
        size: int,
        *,
        waits: bool = True,
        claim: str | None = None,
        answer: str | None = None,
    ) -> Work:
        labels = {GROUP: ticket.group, PRIORITY: ticket.priority}
        annotations = {
            NUMBER: str(ticket.number),
            ASKED_BY: ticket.client,
            SUBMITTED: f"{ticket.submitted:.3f}",
            ABOUT: ticket.about,
            SIZE: str(size),
            **({} if claim is None else {CLAIMED: claim}),
            **({} if answer is None else {ANSWER: answer, ANSWERED: f"{ticket.submitted:.3f}"}),
        }
        place = Place(
            labels, annotations, keep_seconds, waits, needs_pod=answer is None, may_need_none=claim is not None
        )
        return work._replace(session=QUEUE_SESSION, client=None, question=question, place=place)

    def _made(self, asked: str, made: Made) -> None:
        record = read(made.document)
        if record is None:
            raise BackendFailed(asked, "the cluster has changed what was submitted", "see what does: an admission hook")
        self._told(record)

    def _undo(self, work: Work) -> None:
        """Nobody is told of it, so that it only costs what it runs."""
        try:
            self._jobs.delete(work.name, patience=0)
        except (ApiError, Unreachable, Stopped):
            pass
        self._watch.forget(work.id)

    def _clear(self, job_id: str) -> None:
        """Of one that is settled, what it compiled is needed no more. The cluster deletes it too, with the Job."""
        record = self._record(job_id)
        names = [f"{manifests.name_of(job_id)}-{number}" for number in range(record.parts if record else 0)]
        for name in names:
            try:
                self._api.call("DELETE", f"{self._config_maps}/{name}", cancel=self._stop, patience=0)
            except (ApiError, Unreachable, Stopped):
                return

    def _kept(self, queued: Queued, answer: str) -> bool:
        """Raises ApiError, Unreachable and Stopped."""
        packed = pack(answer)
        if len(packed) > INLINE_BYTES:
            if (record := self._record(queued.id)) is None or record.queued.is_settled:
                return False
            packed = self._in_parts(queued, record.owner, packed)

        kept = {ANSWER: packed, ANSWERED: f"{time.time():.3f}"}

        def change(now: Record) -> dict[str, Any] | None:
            if now.queued.is_settled:
                return None
            over: dict[str, Any] = {}
            if now.claim is not None:
                over = {"spec": _NO_POD}
            elif now.queued.state == RUNNING and self._is_stuck(now.queued.id):
                # It has its answer and will not end by itself: its pod cannot start.
                over = {"spec": _OVER}
            return {"metadata": {"annotations": kept}, **over}

        if self._change(queued, change, tells=False):
            return True
        # Where the answer to the request that kept it was lost.
        now = self._record(queued.id)
        return now is not None and (now.queued.answer, now.queued.answered) == (packed, float(kept[ANSWERED]))

    def _is_stuck(self, job_id: str) -> bool:
        pod = self._watch.pod(job_id)
        return pod is None or not (pod.started or pod.ended)

    def _in_parts(self, queued: Queued, uid: str, packed: str) -> str:
        """Make ConfigMaps of an answer that is too large for an annotation, and say which."""
        # Another replica may do the same, and what it packs may differ. Whoever does it again makes no others.
        once = hashlib.sha256(packed.encode()).hexdigest()[:8]
        owner = {"apiVersion": "batch/v1", "kind": "Job", "name": manifests.name_of(queued.id), "uid": uid}
        pieces = [packed[at : at + manifests.PART_BYTES] for at in range(0, len(packed), manifests.PART_BYTES)]
        for number, piece in enumerate(pieces):
            metadata = {
                "name": _part_name(queued.id, once, number),
                "labels": {manifests.MANAGED_BY: manifests.NAME, JOB_ID: queued.id, GROUP: queued.ticket.group},
                "ownerReferences": [{**owner, "controller": True}],
            }
            document = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"answer": piece}}
            try:
                self._api.call("POST", self._config_maps, body=document, cancel=self._stop)
            except ApiError as error:
                # It is there, as where the answer to the request that made it was lost.
                if error.status != _CONFLICT:
                    raise
        return f"{PARTS}{len(pieces)}:{once}"

    def _changed(self, asked: str, queued: Queued, change: Callable[[Record], dict[str, Any] | None]) -> bool:
        try:
            return self._change(queued, change)
        except (ApiError, Unreachable, Stopped) as error:
            raise troubles.told(asked, error, self._api.access) from error

    def _change(self, queued: Queued, change: Callable[[Record], dict[str, Any] | None], *, tells: bool = True) -> bool:
        """Change a Job as it is now; False where `change` wants nothing of that any more, or it is not there.

        Others change it too, so what it was is named, and looked at again where it is that no longer. Raises ApiError,
        Unreachable and Stopped.
        """
        record = self._record(queued.id)
        for _ in range(_MOST_TRIES):
            if record is None or (body := change(record)) is None:
                return False
            was = {"uid": record.owner, "resourceVersion": str(record.queued.version)}
            body = {**body, "metadata": {**body.get("metadata", {}), **was}}
            path = f"{self._path}/{manifests.name_of(queued.id)}"
            try:
                answered = self._api.call("PATCH", path, body=body, cancel=self._stop, patience=PATIENCE_SECONDS)
            except ApiError as error:
                if error.status == _NOT_FOUND:
                    self._deleted(record)
                    return False
                if error.status != _CONFLICT:
                    raise
                if (found := self._look(queued.id)) is None:
                    self._deleted(record)
                record = found
                continue
            if tells and (changed := read(answered)):
                self._told(changed)
            return True
        raise Unreachable("it does not come to rest")

    def _deleted(self, record: Record) -> None:
        """It was known, and is there no more. The watch may tell late, and nobody is to try it again until then."""
        with self._lock:
            known = self._records.get(record.queued.id)
            if known is not None and known.owner == record.owner:
                self._take([], [record.queued.id])

    def _look(self, job_id: str) -> Record | None:
        """As it is now, which is told. Raises ValueError, ApiError, Unreachable and Stopped."""
        path = f"{self._path}/{manifests.name_of(job_id)}"
        try:
            record = read(self._api.call("GET", path, cancel=self._stop, patience=PATIENCE_SECONDS))
        except ApiError as error:
            if error.status == _NOT_FOUND:
                return None
            raise
        if record is not None:
            self._told(record)
        return record

    # ---- what comes of it

    def _result(self, job_id: str, cancel: CancelToken) -> CompileResult:
        """Raises Failed, ApiError, Unreachable, Stopped, Cancelled and BackendFailed."""
        record = self._record(job_id)
        if record is None or record.queued.cancelled is not None:
            raise Cancelled
        if record.queued.state == ENDED:
            found = store.fetch(self._api, job_id)
            if found is None:
                raise Unreachable("its pod has not ended yet")
            return found
        if record.queued.state == WAITING or (record.claim is not None and not self._is_own(record)):
            self._watch.changed(_LOOK_SECONDS)
            raise Unreachable("it waits")
        if record.claim is not None:
            lent = self._lent.get(job_id)
            found = lent.compile(cancel) if lent else None
            if found is not None:
                return found
            self._run(record.queued)
            return self._result(job_id, cancel)
        return self._follow(record, cancel)

    def _follow(self, record: Record, cancel: CancelToken) -> CompileResult:
        """Of one that runs, as soon as its pod says it. Raises as `_result` does."""
        job_id = record.queued.id
        # Its image and memory are what they are by now.
        work = Work(job_id, "", QUEUE_SESSION, self._settings, 0, None, record.seconds, silence=float(record.seconds))

        def look() -> None:
            now = self._record(job_id)
            if now is None or now.queued.state == ENDED or now.queued.cancelled is not None:
                raise _Over

        pod = self._jobs.started(work, cancel, look)
        limits = [record.question.limits.output_bytes]
        said = Answers(limits)

        def heard(answers: Answers) -> None:
            nonlocal said
            said = answers

        try:
            self._jobs.follow(work, pod, lambda: Answers(limits), heard, cancel, look)
        except Failed as failure:
            if failure.trouble.kind != "out-of-memory":
                raise
            now = self._watch.pod(job_id) or pod
            return out_of_memory(store.compiler(said), now.image)
        now = self._watch.pod(job_id) or pod
        found = store.judged(record.question, said, now, work.name)
        if found is None:
            raise Unreachable("its log has no answer yet")
        return found

    def _gets_another(self, queued: Queued, failure: Failed, asked: str, cancel: CancelToken) -> bool:
        """Whether a Job makes another pod, in place of the one that was lost; that it ends if it does not, is sure."""
        while True:
            record = self._record(queued.id)
            if record is None or record.queued.state == ENDED:
                return False
            pod = self._watch.pod(queued.id)
            if pod is not None and pod.name != failure.pod:
                return True
            self._wait(_LOOK_SECONDS, asked, cancel)

    def _wait(self, seconds: float, asked: str, cancel: CancelToken) -> None:
        """Raises Interrupted."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if cancel.cancelled or self._stop.cancelled:
                raise Interrupted(asked, "it was cancelled", "run it again")
            self._watch.changed(min(_LOOK_SECONDS, seconds))


def _part_name(job_id: str, once: str, number: int) -> str:
    return f"{manifests.name_of(job_id)}-answer-{once}-{number}"
