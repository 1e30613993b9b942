"""One Job from its creation to its deletion: made with what it needs, waited for, read, and deleted."""

from __future__ import annotations

import time
from contextlib import contextmanager
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from willitcompile.backends import Cancelled
from willitcompile.backends.kubernetes import manifests, pods
from willitcompile.backends.kubernetes.api.client import PATIENCE_SECONDS, ApiError, Stopped, Unreachable
from willitcompile.backends.kubernetes.manifests import CONTAINER, FILES, JOB_ID, MANAGED_BY, QUESTION
from willitcompile.backends.kubernetes.pods import Trouble
from willitcompile.backends.launcher import BrokenProtocolError
from willitcompile.errors import BackendFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from willitcompile.backends import CancelToken
    from willitcompile.backends.kubernetes.api.client import Api, Stream
    from willitcompile.backends.kubernetes.manifests import Work
    from willitcompile.backends.kubernetes.pods import Pod
    from willitcompile.backends.kubernetes.tape import Answers
    from willitcompile.backends.kubernetes.watch import Watch

END_SECONDS = 30.0
"""More than its Job may take, for a cluster to say that it took too long."""
_LOG_SECONDS = 60.0
"""How long a log may be silent, besides what its compile may take."""
_AGAIN_SECONDS = 0.3
_OUTAGE_SECONDS = 60.0
"""How long a log that cannot be had for now is asked for again: an API server or a kubelet may be starting."""
_DOUBT_SECONDS = 5.0
"""How long a refusal is not believed where logs could be read before: an API server that starts lacks some roles."""
_MOST_BROKEN = 3
"""How often a log may make no sense: its node may have put a word of its own into it."""
_EXISTS, _NOT_FOUND = 409, 404
_REFUSALS = frozenset({401, 403})


class Failed(Exception):
    """A Job that gives no answer, or no further one."""

    def __init__(self, trouble: Trouble, job: str, pod: str | None = None) -> None:
        super().__init__(trouble.text)
        self.trouble = trouble
        self.job = job
        """Its name."""
        self.pod = pod
        """Its pod's, where it has got one."""


def out_of_time(document: object) -> Trouble | None:
    """What is wrong with a Job of the API that took longer than it may."""
    status = document.get("status") if isinstance(document, dict) else None
    conditions = status.get("conditions") if isinstance(status, dict) else None
    for condition in conditions if isinstance(conditions, list) else ():
        if isinstance(condition, dict) and condition.get("reason") == "DeadlineExceeded":
            return pods.OUT_OF_TIME
    return None


class Made(NamedTuple):
    """A Job that there is."""

    work: Work
    owner: str
    """Its uid."""
    is_new: bool
    """Whether it was not there before, as far as is known: the answer to a request that made it may have been lost."""
    document: Mapping[str, Any] = MappingProxyType({})
    """As the API has it."""


class Jobs:
    """Thread-safe."""

    def __init__(self, api: Api, watch: Watch) -> None:
        self._api = api
        self._watch = watch
        namespace = api.access.namespace
        self._jobs = f"/apis/batch/v1/namespaces/{namespace}/jobs"
        self._core = f"/api/v1/namespaces/{namespace}"
        self._logs: set[Stream] = set()
        self._interrupted = False
        self._has_read = False
        self._owner: str | None = None
        """The uid of what all Jobs belong to, once it is known."""

    def create(self, work: Work, parts: Sequence[bytes], cancel: CancelToken | None = None) -> None:
        """Make the Job and its ConfigMaps. Raises ApiError, Unreachable, Stopped.

        Every request may be made twice, as where an answer was lost: the names are the work's own.
        """
        self.give(self.make(work, cancel), parts, cancel)

    def make(self, work: Work, cancel: CancelToken | None = None, *, patience: float = PATIENCE_SECONDS) -> Made:
        """Make the Job alone. Raises as `create` does; after an ApiError there is none."""
        document = manifests.job(work, self._owner_of(work, cancel, patience))
        made, is_new = self._create(self._jobs, document, cancel, patience=patience)
        try:
            owner = str(made["metadata"]["uid"])
        except (KeyError, TypeError):
            raise Unreachable("what it answers makes no sense", is_lasting=True) from None
        # Where it was there already, it knows them by the names that its maker gave them.
        files = (made["metadata"].get("annotations") or {}).get(FILES)
        self._watch.own(work.id, owner)
        return Made(work._replace(files=files if isinstance(files, str) else ""), owner, is_new, made)

    def _owner_of(self, work: Work, cancel: CancelToken | None, patience: float) -> str | None:
        """Asked for once. Raises as `create` does, and BackendFailed where it is not there."""
        if (name := work.settings.owner) is None or self._owner is not None:
            return self._owner
        try:
            found = self._api.call("GET", f"{self._core}/configmaps/{name}", cancel=cancel, patience=patience)
            self._owner = str(found["metadata"]["uid"])
        except ApiError as error:
            if error.status != _NOT_FOUND:
                raise
            raise BackendFailed(
                "make a Job that belongs to kubernetes.owner",
                f"there is no ConfigMap {name} in the namespace {self._api.access.namespace}",
                f"kubectl create configmap {name} --namespace {self._api.access.namespace}",
            ) from error
        except (KeyError, TypeError):
            raise Unreachable("what it answers makes no sense", is_lasting=True) from None
        return self._owner

    def give(
        self,
        made: Made,
        parts: Sequence[bytes],
        cancel: CancelToken | None = None,
        *,
        patience: float = PATIENCE_SECONDS,
    ) -> None:
        """Make the ConfigMaps of a Job, which its pod waits for. Raises as `create` does."""
        # Who submits the same job at the same time may have been faster.
        exactly = made.is_new and made.work.question is None
        for document in manifests.config_maps(made.work, parts, made.owner):
            self._create(f"{self._core}/configmaps", document, cancel, exactly=exactly, patience=patience)

    def _create(
        self,
        path: str,
        document: dict[str, Any],
        cancel: CancelToken | None,
        *,
        exactly: bool = True,
        patience: float = PATIENCE_SECONDS,
    ) -> tuple[dict[str, Any], bool]:
        """What is there now, and whether it was made just now.

        Raises ApiError also where something else of that name is there already; `exactly` the same to the last byte, as
        a ConfigMap has what the pod runs, or only for the same. (A job that is packed twice has two times in it.)
        """
        try:
            return self._api.call("POST", path, body=document, cancel=cancel, patience=patience), True
        except ApiError as error:
            if error.status != _EXISTS or error.reason != "AlreadyExists":
                raise
            name = document["metadata"]["name"]
            found = self._api.call("GET", f"{path}/{name}", cancel=cancel, patience=patience)
            if not _is_same(found, document, exactly=exactly):
                raise
            return found, False

    def delete(self, name: str, *, patience: float = 10.0) -> None:
        """Delete a Job, and with it what it owns. Raises ApiError and Unreachable; one that is gone is fine."""
        options = {"propagationPolicy": "Background"}
        try:
            self._api.call("DELETE", f"{self._jobs}/{name}", body=options, patience=patience)
        except ApiError as error:
            if error.status != _NOT_FOUND:
                raise

    def discard(self, work: Work) -> None:
        """Delete a Job and hear no more of it. Never raises: the cluster itself deletes it later."""
        try:
            self.delete(work.name)
        except (ApiError, Unreachable, Stopped):
            pass
        finally:
            self._watch.forget(work.id)

    def started(self, work: Work, cancel: CancelToken | None = None, look: Callable[[], None] = lambda: None) -> Pod:
        """Wait until the pod of a Job has started. Raises Failed, ApiError, Unreachable and Cancelled, and whatever
        `look` does, which is called now and then."""

        def settled(pod: Pod | None) -> bool:
            look()
            return pod is not None and (pod.started or pod.ended or (pod.trouble is not None and pod.trouble.final))

        # A queue may hold a Job back for as long as it likes.
        while (
            (pod := self._watch.wait(work.id, settled, work.settings.start_seconds, cancel)) is None
            and work.settings.queue
            and self._watch.failure is None
        ):
            continue
        if pod is not None and pod.started:
            return pod
        if not settled(pod) and (failure := self._watch.failure):
            raise failure
        limit = f"within {work.settings.start_seconds} seconds"
        if pod is None:
            raise Failed(Trouble("quota", f"was not made {limit}: {self._why_none(work)}"), work.name)
        trouble = pod.trouble or Trouble("start", f"did not start {limit}")
        trouble = trouble if trouble.final else trouble._replace(text=f"{trouble.text}, {limit}")
        raise Failed(self._because(work, trouble), work.name, pod.name)

    def _because(self, work: Work, trouble: Trouble) -> Trouble:
        """A pod does not say that it was deleted because its Job took too long; the Job does."""
        if trouble != pods.DELETED:
            return trouble
        try:
            return out_of_time(self._api.call("GET", f"{self._jobs}/{work.name}", patience=2)) or trouble
        except (ApiError, Unreachable):
            return trouble

    def _why_none(self, work: Work) -> str:
        """Why a Job has got no pod, as far as this account may know it."""
        guess = "the namespace's quota may be used up, or an admission policy refuse it"
        query = {"fieldSelector": f"involvedObject.kind=Job,involvedObject.name={work.name}"}
        try:
            listed = self._api.call("GET", f"{self._core}/events", query, patience=0)
            said = [str(each["message"]) for each in listed["items"] if each.get("type") == "Warning"]
        except (ApiError, Unreachable, KeyError, TypeError, AttributeError):
            return guess
        return " ".join(said[-1].split())[:300] if said else guess

    def follow(
        self,
        work: Work,
        pod: Pod,
        answers: Callable[[], Answers],
        heard: Callable[[Answers], None],
        cancel: CancelToken | None = None,
        look: Callable[[], None] = lambda: None,
    ) -> None:
        """Read the log of a pod that has started until every unit has answered.

        `answers` makes a new reader, as each request tells a log from its beginning; `heard` is called with it
        whenever there may be more. Raises Failed, ApiError, Unreachable, Stopped and Cancelled, and what `look` does,
        which is called before a log is asked for again.
        """
        query = {"container": CONTAINER, "follow": "true"}
        path = f"{self._core}/pods/{pod.name}/log"
        deadline = time.monotonic() + work.seconds + END_SECONDS
        away_since: float | None = None
        broken = 0
        while True:
            known = self._watch.pod(work.id) or pod
            reader = answers()
            why = ""
            away: ApiError | Unreachable | None = None
            try:
                with self._log(path, query, cancel, work.silence + _LOG_SECONDS) as log:
                    away_since = None
                    for chunk in log:
                        reader.feed(chunk)
                        heard(reader)
                        if reader.complete:
                            return
                        if time.monotonic() > deadline:
                            break
            except Unreachable as error:
                away = error
            except ApiError as error:
                if error.status in _REFUSALS or not error.is_lasting:
                    away = error
                why = error.message
            except BrokenProtocolError as error:
                why = f"answers what makes no sense: {error}"
                broken += 1
                if known.ended or broken == _MOST_BROKEN:
                    raise Failed(Trouble("ended", why), work.name, pod.name) from None
            now = time.monotonic()
            if away:
                away_since = away_since or now
                self._bear(work, known, away, now - away_since)
            elif known.ended or (why and known.trouble):
                # Nothing more can come: it had ended before its log was read to the end.
                raise self._end(work, known, why)
            elif now > deadline:
                raise Failed(Trouble("deadline", f"does not end{': ' if why else ''}{why}"), work.name, pod.name)
            look()
            self._watch.wait(work.id, lambda now, known=known: now != known, _AGAIN_SECONDS, cancel)  # type: ignore[misc]

    def _bear(self, work: Work, pod: Pod, away: ApiError | Unreachable, seconds: float) -> None:
        """What to do about a log that cannot be had for now, for so long already: nothing, or Failed, or `away`."""
        if pod.trouble and pod.trouble.kind in {"lost", "deleted"}:
            raise Failed(self._because(work, pod.trouble), work.name, pod.name)
        # Its answer may be there to be read later, whatever else has become of it.
        patience = _OUTAGE_SECONDS
        if isinstance(away, ApiError) and away.status in _REFUSALS:
            patience = _DOUBT_SECONDS if self._has_read else 0
        if seconds >= patience:
            raise away

    def _end(self, work: Work, pod: Pod, why: str) -> Failed:
        # The launcher has ended well, so it has said everything: a node may lose a log, as where its runtime is killed.
        trouble = pod.trouble or Trouble("lost", f"has ended, and its log has no answer{': ' if why else ''}{why}")
        if why and trouble.kind == "out-of-memory":
            # Of which unit, nobody knows.
            trouble = Trouble("lost", f"{trouble.text}, and its log cannot be read: {why}")
        return Failed(self._because(work, trouble), work.name, pod.name)

    def ended(self, work: Work, seconds: float) -> None:
        """Wait until the pod of a Job that was deleted is gone, or so long."""
        deadline = time.monotonic() + seconds
        while (pod := self._watch.pod(work.id)) is not None and not pod.ended and time.monotonic() < deadline:
            if self._watch.failure:
                return
            self._watch.changed(_AGAIN_SECONDS)

    def interrupt(self) -> None:
        """End what is being followed, and what is waited for."""
        self._interrupted = True
        self._watch.release()
        for log in list(self._logs):
            log.close()

    @contextmanager
    def _log(self, path: str, query: dict[str, str], cancel: CancelToken | None, seconds: float) -> Iterator[Stream]:
        with self._api.stream(path, query, cancel=cancel, seconds=seconds) as log:
            self._logs.add(log)
            self._has_read = True
            try:
                if self._interrupted:
                    raise Cancelled
                yield log
            finally:
                self._logs.discard(log)


def _is_same(there: object, document: dict[str, Any], *, exactly: bool) -> bool:
    """Whether what is there is what was to be made: of the same job, asking the same, and of the same owner."""
    metadata = there.get("metadata") if isinstance(there, dict) else None
    if not isinstance(metadata, dict) or metadata.get("deletionTimestamp"):
        return False

    def told(metadata: dict[str, Any]) -> list[object]:
        labels, annotations = metadata.get("labels") or {}, metadata.get("annotations") or {}
        owners = [each["uid"] for each in metadata.get("ownerReferences") or ()]
        return [labels.get(MANAGED_BY), labels.get(JOB_ID), annotations.get(QUESTION), owners]

    content = there.get("binaryData") if isinstance(there, dict) else None
    return told(metadata) == told(document["metadata"]) and (not exactly or content == document.get("binaryData"))
