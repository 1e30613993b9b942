"""One watch for many objects of a cluster: what happens to each of them is heard, and nobody polls.

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

from willitcompile.backends import CancelToken
from willitcompile.backends.kubernetes.api.client import ApiError, Stopped, Unreachable
from willitcompile.errors import BackendUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from willitcompile.backends.kubernetes.api.client import Api, Stream

WATCH_SECONDS = 300
"""After which the server ends a watch, and it begins anew: half of what proxies allow a silent connection."""
_SILENCE_SECONDS = 30.0
"""More than that the server may be late to end it."""
_AGAIN_SECONDS = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0)
_SHORT_SECONDS = 1.0
"""A watch that ends so soon was not worth its request."""
_DOUBT_SECONDS = 5.0
"""How long a refusal is not believed where all was well before: an API server that starts does not know all roles."""
_LARGEST_EVENT = 16 << 20
"""More than an object can be: 1.5 MiB in a cluster's store, of which each byte may be six in JSON."""
_SMALLER = 8
"""By how much a page is, after one that was too large."""
_GONE = 410


class Listener:
    """Thread-safe. Whoever inherits from it says what is done with what is heard."""

    def __init__(self, api: Api, path: str, selector: str, *, seconds: int = WATCH_SECONDS, page: int = 0) -> None:
        """Of the objects at this path of the API that a label selector finds.

        `seconds` is how long one watch lasts, and `page` how many objects are asked for at a time; 0 for all.
        """
        self._api = api
        self._path = path
        self._selector = selector
        self._seconds = seconds
        self._page = page
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)
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
        self._closed = False

    @property
    def failure(self) -> ApiError | BackendUnavailable | Unreachable | None:
        """Why nothing is heard from the cluster now; None where all is well."""
        return self._failure

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._tell_all()
        self._stop.cancel()
        if self._thread:
            self._thread.join(_SILENCE_SECONDS)

    def _begin(self) -> None:
        """In a thread of its own, once."""
        with self._changed:
            if self._thread is None and not self._closed:
                self._thread = threading.Thread(target=self._run, name="watch", daemon=True)
                self._thread.start()

    def _tell_all(self) -> None:
        """Whether anything is heard at all has changed. Called with the lock."""
        self._changed.notify_all()

    def _heard(self, kind: str, document: dict[str, Any]) -> None:
        """`ADDED`, `MODIFIED` or `DELETED`, and the object. Called without the lock."""
        raise NotImplementedError

    def _listed(self, documents: list[dict[str, Any]], *, is_first: bool, is_last: bool) -> None:
        """A page of what is there; nothing else is. Called without the lock. May raise TypeError."""
        raise NotImplementedError

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
            except Exception as error:  # noqa: BLE001 - whoever waits would hear nothing any more, and not why
                self._fail(Unreachable(f"what it tells is too much: {type(error).__name__}: {error}"))
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
            "timeoutSeconds": self._seconds,
            # At first what the server has at hand: what is newer comes as what happens.
            "resourceVersion": self._version or "0",
        }
        seconds = self._seconds + _SILENCE_SECONDS
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
        self._heard(kind, document)

    def _relist(self) -> None:
        """See everything that is there, and know what is there no more. Raises as `_hear` does."""
        query: dict[str, object] = {"labelSelector": self._selector}
        if page := self._page:
            query["limit"] = page
        is_first = True
        while True:
            try:
                listed: Any = self._api.call("GET", self._path, query, cancel=self._stop, patience=0)
            except Unreachable as error:
                if not error.is_lasting or (page := page // _SMALLER) == 0:
                    raise
                # Somebody's objects are so large that a page of them is more than is read.
                query["limit"] = page
                continue
            try:
                version, more = listed["metadata"]["resourceVersion"], listed["metadata"].get("continue")
                if not isinstance(version, str):
                    raise TypeError
                self._listed(list(listed.get("items") or ()), is_first=is_first, is_last=not more)
            except (KeyError, TypeError, AttributeError):
                raise Unreachable("the API server's list makes no sense") from None
            if not more:
                break
            is_first = False
            query["continue"] = more
        with self._changed:
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
