"""One watch for all the pods of a session: whoever waits for a pod is told, and nobody polls.

A watch ends every few minutes, and with every restart of the API server. It goes on where it was, by the resource
version of the last thing it heard; where the server has forgotten that (410 Gone) it lists what is there, and what was
there before and is not any more has been deleted. That happens after long silence too, since no bookmarks are asked
for: an API server with an etcd before 3.4.25 refuses a watch that does.
"""

from __future__ import annotations

import json
import threading
import time
from typing import TYPE_CHECKING, Any

from willitcompile.backends import Cancelled, CancelToken
from willitcompile.backends.kubernetes import pods
from willitcompile.backends.kubernetes.api.client import ApiError, Stopped, Unreachable
from willitcompile.backends.kubernetes.manifests import selector
from willitcompile.errors import BackendUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from willitcompile.backends.kubernetes.api.client import Api, Stream
    from willitcompile.backends.kubernetes.pods import Pod

WATCH_SECONDS = 300
"""After which the server ends a watch, and it begins anew: half of what proxies allow a silent connection."""
_SILENCE_SECONDS = 30.0
"""More than that the server may be late to end it."""
_AGAIN_SECONDS = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0)
_LOOK_SECONDS = 0.1
_SHORT_SECONDS = 1.0
"""A watch that ends so soon was not worth its request."""
_DOUBT_SECONDS = 5.0
"""How long a refusal is not believed where all was well before: an API server that starts does not know all roles."""
_LARGEST_EVENT = 4 << 20
_GONE = 410
_MOST_OWNERS = 16
"""Who say that a pod of theirs is one Job's."""


class Watch:
    """Thread-safe. Begins with the first pod that is waited for."""

    def __init__(self, api: Api, session: str) -> None:
        self._api = api
        self._path = f"/api/v1/namespaces/{api.access.namespace}/pods"
        self._selector = selector(session=session)
        self._pods: dict[str, dict[str, Pod]] = {}
        """By job, and by who owns it."""
        self._owners: dict[str, str] = {}
        """By job, its Job's uid: of others' pods, whatever their labels say, nothing is believed."""
        self._wanted: set[str] = set()
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)
        # By job: to wake all who wait whenever anything happens would cost more than all else, with 200 pods at once.
        self._told: dict[str, threading.Condition] = {}
        self._thread: threading.Thread | None = None
        self._version = ""
        self._is_behind = False
        """Whether something may have happened that it has not heard of, and will not."""
        self._failure: ApiError | BackendUnavailable | Unreachable | None = None
        """Why it hears nothing now."""
        self._was_allowed = False
        self._refused_at: float | None = None
        """Since when it is not any more, in time.monotonic's seconds."""
        self._stop = CancelToken()
        self._is_released = False
        self._closed = False

    def begin(self, job_id: str) -> None:
        """A Job of this id is about to be made."""
        with self._changed:
            self._wanted.add(job_id)
            self._told[job_id] = threading.Condition(self._lock)
            if self._thread is None and not self._closed:
                self._thread = threading.Thread(target=self._run, name="watch-pods", daemon=True)
                self._thread.start()

    def forget(self, job_id: str) -> None:
        with self._changed:
            self._wanted.discard(job_id)
            self._told.pop(job_id, None)
            self._pods.pop(job_id, None)
            self._owners.pop(job_id, None)

    def own(self, job_id: str, uid: str) -> None:
        """The Job was made: only its own pods are its pods."""
        with self._changed:
            self._owners[job_id] = uid

    def pod(self, job_id: str) -> Pod | None:
        """What is known of a Job's pod now."""
        seen = self._pods.get(job_id)
        owner = self._owners.get(job_id)
        if not seen or owner is None:
            return next(reversed(seen.values())) if seen else None
        return seen.get(owner)

    def wait(
        self,
        job_id: str,
        until: Callable[[Pod | None], bool],
        seconds: float,
        cancel: CancelToken | None = None,
    ) -> Pod | None:
        """What is known of a Job's pod as soon as that will do, or after so long.

        Raises Cancelled; ApiError where it may not be watched, BackendUnavailable where there are no credentials.
        """
        deadline = time.monotonic() + seconds
        with self._changed:
            while not until(pod := self.pod(job_id)):
                if self._is_released or (cancel is not None and cancel.cancelled):
                    raise Cancelled
                if isinstance(self._failure, ApiError | BackendUnavailable):
                    raise self._failure
                if (left := deadline - time.monotonic()) <= 0:
                    return pod
                # A token, which a signal handler may cancel, can notify nobody.
                self._told.get(job_id, self._changed).wait(min(left, _LOOK_SECONDS))
            return pod

    def changed(self, seconds: float) -> None:
        """Wait until anything has changed, or so long."""
        with self._changed:
            self._changed.wait(seconds)

    @property
    def failure(self) -> ApiError | BackendUnavailable | Unreachable | None:
        """Why nothing is heard from the cluster now; None where all is well."""
        return self._failure

    def release(self) -> None:
        """Whoever waits is told Cancelled, now and later. What happens is still heard."""
        with self._changed:
            self._is_released = True
            self._tell_all()

    def close(self) -> None:
        self.release()
        with self._changed:
            self._closed = True
            self._tell_all()
        self._stop.cancel()
        if self._thread:
            self._thread.join(_SILENCE_SECONDS)

    def _run(self) -> None:
        failures = 0
        while not self._closed:
            began = time.monotonic()
            try:
                if self._is_behind:
                    self._relist()
                self._hear()
            except Stopped:
                return
            except (ApiError, BackendUnavailable, Unreachable) as error:
                self._fail(error)
            # What ends or fails at once is not to be asked again without a pause.
            failures = failures + 1 if time.monotonic() - began < _SHORT_SECONDS else 0
            with self._changed:
                pause = _AGAIN_SECONDS[min(failures, len(_AGAIN_SECONDS)) - 1] if failures else 0
                self._changed.wait_for(lambda: self._closed, pause)

    def _fail(self, error: ApiError | BackendUnavailable | Unreachable) -> None:
        if isinstance(error, ApiError):
            if error.status == _GONE:
                self._version, self._is_behind = "", True
                return
            if error.status not in {401, 403} or self._is_doubted():
                error = Unreachable(str(error))
        with self._changed:
            self._failure = error
            self._tell_all()

    def _tell_all(self) -> None:
        for each in (self._changed, *self._told.values()):
            each.notify_all()

    def _is_doubted(self) -> bool:
        if not self._was_allowed:
            return False
        self._refused_at = self._refused_at or time.monotonic()
        return time.monotonic() - self._refused_at < _DOUBT_SECONDS

    def _hear(self) -> None:
        """One request. Returns where the server ends it in order. Raises ApiError, Unreachable and Stopped, and
        BackendUnavailable."""
        query = {
            "watch": "1",
            "labelSelector": self._selector,
            "timeoutSeconds": WATCH_SECONDS,
            # At first what the server has at hand: what is newer comes as what happens.
            "resourceVersion": self._version or "0",
        }
        seconds = WATCH_SECONDS + _SILENCE_SECONDS
        with self._api.stream(self._path, query, cancel=self._stop, seconds=seconds) as stream:
            self._failure, self._was_allowed, self._refused_at = None, True, None
            for line in _lines(stream):
                self._take(line)

    def _take(self, line: bytes) -> None:
        try:
            event = json.loads(line)
            kind, document = event["type"], event["object"]
            if kind == "ERROR":
                raise ApiError(
                    int(document.get("code") or 500), str(document.get("reason")), str(document.get("message")), {}
                )
            version = document["metadata"]["resourceVersion"]
            if not isinstance(version, str):
                raise TypeError
            self._version = version
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            raise Unreachable("the API server's watch makes no sense") from None
        if (pod := pods.read(document)) is None:
            return
        with self._changed:
            known = self._pods.get(pod.job_id, {}).get(pod.owner)
            # Of two pods of one Job, which its controller may make, the end of one is not that of the other.
            is_other = known is not None and known.name != pod.name and kind == "DELETED"
            if pod.job_id in self._wanted and not is_other:
                seen = self._pods.setdefault(pod.job_id, {})
                if len(seen) < _MOST_OWNERS or pod.owner in {*seen, self._owners.get(pod.job_id)}:
                    seen[pod.owner] = pods.gone(pod) if kind == "DELETED" else pod
                self._told[pod.job_id].notify_all()
                self._changed.notify_all()

    def _relist(self) -> None:
        """See everything that is there, and know what is there no more. Raises as `_hear` does."""
        listed: Any = self._api.call(
            "GET", self._path, {"labelSelector": self._selector}, cancel=self._stop, patience=0
        )
        try:
            version = listed["metadata"]["resourceVersion"]
            found = [pod for each in listed.get("items") or () if (pod := pods.read(each))]
            if not isinstance(version, str):
                raise TypeError
        except (KeyError, TypeError, AttributeError):
            raise Unreachable("the API server's list of pods makes no sense") from None
        with self._changed:
            before = {
                (job_id, owner): pods.gone(pod) for job_id, seen in self._pods.items() for owner, pod in seen.items()
            }
            now = {(pod.job_id, pod.owner): pod for pod in found if pod.job_id in self._wanted}
            self._pods = {}
            for (job_id, owner), pod in (before | now).items():
                self._pods.setdefault(job_id, {})[owner] = pod
            self._version, self._is_behind = version, False
            self._tell_all()


def _lines(stream: Stream) -> Iterator[bytes]:
    """Raises Unreachable for a line without an end."""
    rest = bytearray()
    for chunk in stream:
        rest += chunk
        if b"\n" in chunk:
            *whole, rest = rest.split(b"\n")
            yield from map(bytes, filter(None, whole))
        if len(rest) > _LARGEST_EVENT:
            raise Unreachable("the API server's watch makes no sense")
