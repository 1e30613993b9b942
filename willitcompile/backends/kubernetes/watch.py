"""One watch for all the pods of a session: whoever waits for a pod is told, and nobody polls."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

from willitcompile.backends import Cancelled, CancelToken
from willitcompile.backends.kubernetes import pods
from willitcompile.backends.kubernetes.api.client import ApiError
from willitcompile.backends.kubernetes.listen import WATCH_SECONDS, Listener
from willitcompile.backends.kubernetes.manifests import selector
from willitcompile.errors import BackendUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    from willitcompile.backends.kubernetes.api.client import Api
    from willitcompile.backends.kubernetes.pods import Pod

__all__ = ["WATCH_SECONDS", "Watch"]

_LOOK_SECONDS = 0.1
_MOST_OWNERS = 16
"""Who say that a pod of theirs is one Job's."""


class Watch(Listener):
    """Thread-safe. Begins with the first pod that is waited for."""

    def __init__(self, api: Api, session: str, *, seconds: int = WATCH_SECONDS, takes_all: bool = False) -> None:
        """`takes_all`: it hears of pods whose Jobs others make, too, which nobody has announced."""
        path = f"/api/v1/namespaces/{api.access.namespace}/pods"
        super().__init__(api, path, selector(session=session), seconds=seconds)
        self._takes_all = takes_all
        self._pods: dict[str, dict[str, Pod]] = {}
        """By job, and by who owns it."""
        self._owners: dict[str, str] = {}
        """By job, its Job's uid: of others' pods, whatever their labels say, nothing is believed."""
        self._wanted: set[str] = set()
        # By job: to wake all who wait whenever anything happens would cost more than all else, with 200 pods at once.
        self._told: dict[str, threading.Condition] = {}
        self._is_released = False

    def begin(self, job_id: str) -> None:
        """A Job of this id is about to be made."""
        with self._changed:
            self._wanted.add(job_id)
            self._told.setdefault(job_id, threading.Condition(self._lock))
            self._begin()

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

    def release(self) -> None:
        """Whoever waits is told Cancelled, now and later. What happens is still heard."""
        with self._changed:
            self._is_released = True
            self._tell_all()

    def close(self) -> None:
        self.release()
        super().close()

    def _tell_all(self) -> None:
        for each in (self._changed, *self._told.values()):
            each.notify_all()

    def _heard(self, kind: str, document: dict[str, Any]) -> None:
        if (pod := pods.read(document)) is None:
            return
        with self._changed:
            if pod.job_id not in self._wanted and not (self._takes_all and kind != "DELETED"):
                self._pods.pop(pod.job_id, None)
                return
            known = self._pods.get(pod.job_id, {}).get(pod.owner)
            if known is not None and _is_past(pod, known, kind):
                return
            seen = self._pods.setdefault(pod.job_id, {})
            if len(seen) < _MOST_OWNERS or pod.owner in {*seen, self._owners.get(pod.job_id)}:
                seen[pod.owner] = pods.gone(pod) if kind == "DELETED" else pod
            if waiting := self._told.get(pod.job_id):
                waiting.notify_all()
            self._changed.notify_all()

    def _listed(self, documents: list[dict[str, Any]], *, is_first: bool, is_last: bool) -> None:  # noqa: ARG002
        found = [pod for each in documents if (pod := pods.read(each))]
        with self._changed:
            now: dict[tuple[str, str], Pod] = {}
            for pod in found:
                key = pod.job_id, pod.owner
                if (self._takes_all or pod.job_id in self._wanted) and not (key in now and _is_past(pod, now[key])):
                    now[key] = pod
            before = {
                (job_id, owner): pods.gone(pod)
                for job_id, seen in self._pods.items()
                if job_id in self._wanted
                for owner, pod in seen.items()
            }
            self._pods = {}
            for (job_id, owner), pod in (before | now).items():
                self._pods.setdefault(job_id, {})[owner] = pod


def _is_past(pod: Pod, known: Pod, kind: str = "") -> bool:
    """Whether it is not the pod of its Job any more: of two, which a Job may have one after another, the end of the one
    is not that of the other."""
    return pod.name != known.name and (kind == "DELETED" or (pod.ended and not known.ended))
