"""What the Jobs of the queue say of their compiles, and how a replica hears of all of them."""

from __future__ import annotations

import binascii
import re
import zlib
from base64 import b64decode, b64encode
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from willitcompile.backends.kubernetes import manifests, store
from willitcompile.backends.kubernetes.listen import Listener
from willitcompile.backends.kubernetes.manifests import JOB_ID, MOST_PARTS, PART_BYTES, QUEUE_SESSION, SESSION, selector
from willitcompile.backends.queued import ENDED, RUNNING, WAITING, Queued, Ticket
from willitcompile.errors import BackendFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from willitcompile.backends.kubernetes.api.client import Api
    from willitcompile.model import CompileJob

GROUP = "will-it-compile/check"
PRIORITY = "will-it-compile/priority"
"""Labels."""
NUMBER = "will-it-compile/number"
ASKED_BY = "will-it-compile/asked-by"
SUBMITTED = "will-it-compile/submitted"
ABOUT = "will-it-compile/about"
ANSWER = "will-it-compile/answer"
"""The answer, packed, or `PARTS` and which ConfigMaps have it."""
ANSWERED = "will-it-compile/answered"
CANCELLED = "will-it-compile/cancelled"
CLAIMED = "will-it-compile/claimed"
"""Of a suspended one, which replica compiles it in a pod that has waited, and when it last said so."""
SIZE = "will-it-compile/bytes"
"""Of what it compiles, packed."""
"""Annotations, as is `NUMBER`."""
PARTS = "parts:"
HINT = re.compile(PARTS + r"([1-9][0-9]?):([0-9a-f]{8})")
"""Of an answer in ConfigMaps: how many they are, and a part of their names."""

WATCH_SECONDS = 60
"""A way that is dead is noticed so soon."""
PAGE = 250
"""Jobs in one answer: 8 KiB each, and as much again for an answer."""
_MOST_ANSWER_BYTES = 64 << 20
_MOST_NUMBER = 9999
_LATEST = 1e11
"""Seconds since 1970 that are a date yet."""
_FINISHED = frozenset({"Complete", "Failed", "FailureTarget", "SuccessCriteriaMet"})


class Record(NamedTuple):
    """What a replica remembers of a Job."""

    queued: Queued
    owner: str
    """Its uid."""
    question: CompileJob
    """As far as its result needs it."""
    seconds: int
    """How long it may take in all."""
    parts: int
    """ConfigMaps of what it compiles."""
    claim: str | None = None
    """See `CLAIMED`; None of one that has been started, or never was claimed."""


def read(document: object) -> Record | None:
    """From a Job of the API; None for what is none of the queue. Nothing is trusted to have its shape."""
    try:
        return _read(document)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError, BackendFailed):
        return None


def _read(document: Any) -> Record:
    metadata, spec, status = document["metadata"], document["spec"], document.get("status") or {}
    annotations, job_id = metadata["annotations"], metadata["labels"][JOB_ID]
    ticket = Ticket(
        group=metadata["labels"][GROUP],
        number=_whole(annotations[NUMBER], _MOST_NUMBER),
        client=str(annotations[ASKED_BY]),
        priority=metadata["labels"][PRIORITY],
        submitted=_time(annotations[SUBMITTED]),
        about=str(annotations[ABOUT]),
    )
    is_ours = metadata["labels"][SESSION] == QUEUE_SESSION
    if not is_ours or ticket.id != job_id or metadata["name"] != manifests.name_of(job_id):
        raise ValueError(job_id)
    answered, cancelled = annotations.get(ANSWERED), annotations.get(CANCELLED)
    claim = str(annotations[CLAIMED]) if spec.get("suspend") and CLAIMED in annotations else None
    queued = Queued(
        ticket,
        _state(status, waits=bool(spec.get("suspend")) and claim is None),
        int(metadata["resourceVersion"]),
        annotations.get(ANSWER),
        None if answered is None else _time(answered),
        None if cancelled is None else _time(cancelled),
        _size(annotations),
        _seconds(status.get("startTime")),
        _ended(status),
    )
    question = store.asked(document, job_id)
    parts = -(-_whole(annotations[SIZE], MOST_PARTS * PART_BYTES) // PART_BYTES)
    return Record(queued, str(metadata["uid"]), question, int(spec["activeDeadlineSeconds"]), parts, claim)


def _size(annotations: dict[str, str]) -> int:
    answer = annotations.get(ANSWER)
    if answer is None:
        return 0 if CANCELLED in annotations else int(annotations[SIZE])
    if not answer.startswith(PARTS):
        return len(answer)
    if (hint := HINT.fullmatch(answer)) is None:
        raise ValueError(answer[:20])
    return int(hint[1]) * PART_BYTES


def _whole(text: str, most: int) -> int:
    """Raises ValueError. What anybody may have written is to count for no more than it can be."""
    if not 0 <= (number := int(text)) <= most:
        raise ValueError(text[:20])
    return number


def _time(text: str) -> float:
    """Raises ValueError, also for what is no moment."""
    if not 0 <= (seconds := float(text)) < _LATEST:
        raise ValueError(text[:20])
    return seconds


def _state(status: dict[str, Any], *, waits: bool) -> str:
    for condition in status.get("conditions") or ():
        if condition.get("type") in _FINISHED and condition.get("status") == "True":
            return ENDED
    return WAITING if waits else RUNNING


def _ended(status: dict[str, Any]) -> float | None:
    over = [each for each in status.get("conditions") or () if each["type"] in {"Complete", "Failed"}]
    return _seconds(over[0].get("lastTransitionTime")) if over else None


def _seconds(stamp: object) -> float | None:
    return datetime.fromisoformat(stamp).timestamp() if isinstance(stamp, str) else None


def pack(answer: str) -> str:
    """As an annotation has it, or the ConfigMaps together."""
    return b64encode(zlib.compress(answer.encode(), 6)).decode()


def unpack(packed: str) -> str | None:
    """None for what is no answer."""
    try:
        inflating = zlib.decompressobj()
        text = inflating.decompress(b64decode(packed, validate=True), _MOST_ANSWER_BYTES)
        return text.decode() if inflating.eof else None
    except (binascii.Error, zlib.error, ValueError):
        return None


class View(Listener):
    """Hears of all Jobs of the queue."""

    def __init__(
        self,
        api: Api,
        known: Callable[[], dict[str, str]],
        heard: Callable[[Sequence[Record], Sequence[str]], None],
    ) -> None:
        """`known` are the uids of all that there were, by id; `heard` is told of what there is, and what no more."""
        path = f"/apis/batch/v1/namespaces/{api.access.namespace}/jobs"
        super().__init__(api, path, selector(session=QUEUE_SESSION), seconds=WATCH_SECONDS, page=PAGE)
        self._is_behind = True  # so that it begins with all there is
        self._known = known
        self._tell = heard
        self._missing: dict[str, str] = {}
        """Of those that were known when a list began, what it has not named yet."""
        self.is_complete = False
        """Whether it ever was."""

    def begin(self, seconds: float) -> None:
        """Returns when it is complete, or knows that it cannot be, or after so long."""
        self._begin()
        with self._changed:
            self._changed.wait_for(lambda: self.is_complete or self._failure or self._closed, seconds)

    def _heard(self, kind: str, document: dict[str, Any]) -> None:
        if kind != "DELETED" and (record := read(document)) is not None:
            self._tell([record], [])
        elif (job_id := self._gone(document)) is not None:
            self._tell([], [job_id])

    def _gone(self, document: dict[str, Any]) -> str | None:
        """Which one that was known is there no more, or none of the queue, whatever it says of itself by now."""
        metadata = document["metadata"]
        job_id = str(metadata.get("name")).removeprefix(manifests.PREFIX)
        owner = self._known().get(job_id)
        return job_id if owner is not None and owner == metadata.get("uid") else None

    def _listed(self, documents: list[dict[str, Any]], *, is_first: bool, is_last: bool) -> None:
        if is_first:
            self._missing = self._known()
        found = [record for each in documents if (record := read(each))]
        for each in found:
            self._missing.pop(each.queued.id, None)
        self._tell(found, list(self._missing) if is_last else [])
        if is_last:
            with self._changed:
                self.is_complete = True
                self._changed.notify_all()
