"""What the Jobs of the queue say, and that a replica knows what is there and what no more."""

from __future__ import annotations

import json
import random
import threading
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.backends.kubernetes.server import Heard, Server, access_to, chunks, refused, said
from tests.unit.backends.kubernetes.test_watch import event, lasting, wait_for
from willitcompile.backends.kubernetes import manifests, queue, store
from willitcompile.backends.kubernetes.alarm import Alarm
from willitcompile.backends.kubernetes.api import client
from willitcompile.backends.kubernetes.api.client import Api
from willitcompile.backends.kubernetes.manifests import Place, Work
from willitcompile.backends.kubernetes.queue import Queue
from willitcompile.backends.kubernetes.records import ANSWER, ANSWERED, CANCELLED, CLAIMED, View, pack, read, unpack
from willitcompile.backends.kubernetes.settings import Settings
from willitcompile.backends.queued import ENDED, RUNNING, WAITING, Queued, Ticket
from willitcompile.errors import BackendFailed
from willitcompile.model import CompileJob, Limits

if TYPE_CHECKING:
    import socket
    from collections.abc import Sequence

    from willitcompile.backends.kubernetes.records import Record

JOB = CompileJob("gcc-13", "c++", {"x.cpp": b""}, ("g++",), limits=Limits(output_bytes=1000))
TICKET = Ticket("a", 7, "café", "batch", 1234.5, '{"x": 1}')
LABELS = {"will-it-compile/check": "a", "will-it-compile/priority": "batch"}
ANNOTATIONS = {
    "will-it-compile/number": "7",
    "will-it-compile/asked-by": "café",
    "will-it-compile/submitted": "1234.500",
    "will-it-compile/about": '{"x": 1}',
    "will-it-compile/bytes": "900000",
}


def work(**place: Any) -> Work:
    named = Place(LABELS, ANNOTATIONS, 60, **place)
    return Work("a-7", "gcc:13", "queue", Settings(), 1 << 29, None, 90, question=store.question(JOB), place=named)


def document(version: int = 5, status: dict[str, Any] | None = None, **annotations: str) -> dict[str, Any]:
    """A Job as the API has it."""
    made = manifests.job(work())
    made["metadata"] |= {"uid": "u-1", "resourceVersion": str(version)}
    made["metadata"]["annotations"] |= annotations
    return {**made, "status": status or {}}


def record(found: Record | None) -> Record:
    assert found is not None
    return found


def over(kind: str) -> dict[str, Any]:
    return {"conditions": [{"type": kind, "status": "True", "lastTransitionTime": "1970-01-01T00:01:40Z"}]}


def test_a_job_that_waits() -> None:
    made = manifests.job(work())
    assert made["spec"]["suspend"] is True
    assert made["spec"]["ttlSecondsAfterFinished"] == 60
    assert made["spec"]["backoffLimit"] == 0
    assert made["spec"]["podFailurePolicy"]["rules"][0]["action"] == "Ignore"
    assert made["metadata"]["labels"].items() >= LABELS.items()
    found = record(read(document()))
    assert found.queued.ticket == TICKET
    assert (found.queued.state, found.queued.version, found.owner) == (WAITING, 5, "u-1")
    assert (found.queued.size, found.parts, found.seconds) == (900_000, 2, 90)
    assert (found.question.toolchain, found.question.limits.output_bytes) == ("gcc-13", 1000)
    assert not found.queued.is_settled


def test_a_job_that_is_started_at_once_and_one_that_needs_no_pod() -> None:
    assert "suspend" not in manifests.job(work(waits=False))["spec"]
    nothing = manifests.job(work(needs_pod=False))["spec"]
    assert (nothing["completions"], nothing["parallelism"]) == (0, 0)
    assert "suspend" not in nothing


def test_kueue_is_told_of_what_needs_a_pod_and_of_nothing_else() -> None:
    queued = work(waits=False)._replace(settings=Settings(queue="builds"))
    made = manifests.job(queued)
    assert made["spec"]["suspend"] is True
    assert made["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "builds"
    assert queued.place is not None
    made = manifests.job(queued._replace(place=queued.place._replace(needs_pod=False)))
    assert "kueue.x-k8s.io/queue-name" not in made["metadata"]["labels"]


@pytest.mark.parametrize(
    ("suspended", "status", "state"),
    [
        (True, {}, WAITING),
        (True, {"conditions": [{"type": "Suspended", "status": "True"}]}, WAITING),
        (False, {}, RUNNING),
        (False, {"conditions": [{"type": "Failed", "status": "False"}]}, RUNNING),
        (False, over("Complete"), ENDED),
        (False, over("Failed"), ENDED),
        (False, over("FailureTarget"), ENDED),
    ],
)
def test_its_state(suspended: bool, status: dict[str, Any], state: str) -> None:
    there = document(status=status)
    there["spec"]["suspend"] = suspended
    assert record(read(there)).queued.state == state


def test_one_that_a_pod_compiles_which_has_waited_runs_until_it_has_its_own() -> None:
    made = manifests.job(work(may_need_none=True))["spec"]
    assert (made["suspend"], made["completionMode"], made["completions"]) == (True, "Indexed", 1)
    claimed = document(**{CLAIMED: "someone 1.5"})
    assert record(read(claimed)).queued.state == RUNNING
    assert record(read(claimed)).claim == "someone 1.5"
    claimed["spec"]["suspend"] = False
    assert record(read(claimed)).claim is None
    claimed["spec"]["suspend"] = True
    claimed["status"] = over("Complete")
    assert record(read(claimed)).queued.state == ENDED


def test_what_came_of_it() -> None:
    answered = record(read(document(status=over("Complete"), **{ANSWER: "packed", ANSWERED: "99.5"}))).queued
    assert (answered.answer, answered.answered, answered.size, answered.ended) == ("packed", 99.5, 6, 100.0)
    large = record(read(document(**{ANSWER: "parts:3:0123abcd"}))).queued
    assert large.size == 3 * manifests.PART_BYTES
    cancelled = record(read(document(**{CANCELLED: "77.25"}))).queued
    assert (cancelled.cancelled, cancelled.size, cancelled.is_settled) == (77.25, 0, True)


@pytest.mark.parametrize(
    ("where", "value"),
    [
        (("metadata", "name"), "compile-b-7"),
        (("metadata", "labels", "job-id"), "a-8"),
        (("metadata", "labels", "will-it-compile/check"), None),
        (("metadata", "labels", "will-it-compile/session"), "another"),
        (("metadata", "annotations", "will-it-compile/number"), "seven"),
        (("metadata", "annotations", "will-it-compile/number"), "-7"),
        (("metadata", "annotations", "will-it-compile/submitted"), "soon"),
        (("metadata", "annotations", "will-it-compile/submitted"), "nan"),
        (("metadata", "annotations", "will-it-compile/submitted"), "1e300"),
        (("metadata", "annotations", "will-it-compile/bytes"), "1000000000000000"),
        (("metadata", "annotations", "will-it-compile/bytes"), "-1"),
        (("metadata", "annotations", CANCELLED), "inf"),
        (("metadata", "annotations", "will-it-compile/job"), "{}"),
        (("metadata", "annotations", ANSWER), "parts:many"),
        (("metadata", "annotations", ANSWER), "parts:1000000:0123abcd"),
        (("metadata", "resourceVersion"), None),
        (("metadata", "annotations"), 5),
        (("spec", "activeDeadlineSeconds"), None),
        (("spec",), []),
        (("status",), {"conditions": [5]}),
        (("status",), {"startTime": "yesterday"}),
    ],
)
def test_what_is_none_of_the_queue(where: tuple[str, ...], value: object) -> None:
    there = document()
    inner: Any = there
    for name in where[:-1]:
        inner = inner[name]
    inner[where[-1]] = value
    assert read(there) is None


@given(
    st.recursive(st.none() | st.integers() | st.text(), lambda some: st.lists(some) | st.dictionaries(st.text(), some))
)
def test_what_makes_no_sense(there: object) -> None:
    assert read(there) is None


@given(st.text())
def test_an_answer_is_what_it_was(text: str) -> None:
    assert unpack(pack(text)) == text


@pytest.mark.parametrize("packed", ["", "x", "AAAA", pack("whole")[:-8], "é"])
def test_what_is_no_answer(packed: str) -> None:
    assert unpack(packed) is None


class Told:
    def __init__(self) -> None:
        self.known: dict[str, str] = {}
        self.gone: list[str] = []
        self.changed = threading.Event()

    def take(self, records: Sequence[Record], gone: Sequence[str]) -> None:
        self.known.update({each.queued.id: each.owner for each in records})
        for each in gone:
            self.known.pop(each, None)
        self.gone += gone
        self.changed.set()


def page(version: int, more: str, *jobs: dict[str, Any]) -> bytes:
    return said(json.dumps({"metadata": {"resourceVersion": str(version), "continue": more}, "items": jobs}).encode())


def another(name: str, version: int = 5) -> dict[str, Any]:
    return json.loads(
        json.dumps(document(version)).replace("a-7", f"{name}-7").replace('check": "a"', f'check": "{name}"')
    )


def test_all_there_is_is_listed_first_and_then_heard_of() -> None:
    told = Told()
    answers = (page(9, "next", another("b")), page(9, "", another("c")), lasting(event("DELETED", another("b", 12))))
    with Server(*answers) as server, Api(access_to(server)) as api:
        view = View(api, lambda: dict(told.known), told.take)
        view.begin(20)
        wait_for(lambda: told.known == {"c-7": "u-1"})
        assert view.is_complete
        view.close()
        asked = [parse_qs(urlsplit(heard.target).query) for heard in server.heard]
    assert [each.get("continue") for each in asked] == [None, ["next"], None]
    assert asked[0]["limit"] == ["250"]
    assert asked[2]["resourceVersion"] == ["9"]
    assert told.gone == ["b-7"]


def test_what_is_not_in_a_new_list_is_there_no_more() -> None:
    """Also where it has changed since, and has another uid: that one was made since."""
    told = Told()
    gone = event("ERROR", {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old"})
    answers = (page(9, "", another("b"), another("c")), chunks(gone), page(20, "", another("c", 15)), lasting())
    with Server(*answers) as server, Api(access_to(server)) as api:
        view = View(api, lambda: dict(told.known), told.take)
        view.begin(20)
        wait_for(lambda: told.gone == ["b-7"])
        assert told.known == {"c-7": "u-1"}
        view.close()


def test_a_list_that_is_refused_is_no_list() -> None:
    told = Told()
    with Server(refused(403, "Forbidden")) as server, Api(access_to(server)) as api:
        view = View(api, lambda: dict(told.known), told.take)
        view.begin(20)
        assert not view.is_complete
        assert view.failure is not None
        view.close()


def test_what_makes_no_sense_any_more_is_there_no_more() -> None:
    """Nor does its end have to make sense; and another's of the same name is not its end."""
    told = Told()
    strange, stranger, later = another("b", 11), another("c", 12), another("c", 13)
    del strange["metadata"]["annotations"]
    stranger["metadata"] |= {"uid": "u-2", "annotations": {}}
    later["metadata"]["labels"] = {}
    events = (event("MODIFIED", strange), event("DELETED", stranger), event("ADDED", {**another("d", 12), "spec": 5}))
    with (
        Server(page(9, "", another("b"), another("c")), lasting(*events, event("DELETED", later))) as server,
        Api(access_to(server)) as api,
    ):
        view = View(api, lambda: dict(told.known), told.take)
        view.begin(20)
        wait_for(lambda: not told.known)
        view.close()
    assert told.gone == ["b-7", "c-7"]


def test_a_page_that_is_too_large_is_asked_for_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "_MOST_BYTES", 10_000)
    told = Told()
    large = another("b")
    large["metadata"]["annotations"]["x"] = "x" * 10_000
    with (
        Server(
            page(9, "", large, another("c")), page(9, "next", another("b")), page(9, "", another("c")), lasting()
        ) as server,
        Api(access_to(server)) as api,
    ):
        view = View(api, lambda: dict(told.known), told.take)
        view.begin(20)
        wait_for(lambda: set(told.known) == {"b-7", "c-7"})
        view.close()
        asked = [parse_qs(urlsplit(heard.target).query) for heard in server.heard]
    assert [each.get("limit") for each in asked[:3]] == [["250"], ["31"], ["31"]]


class Cluster:
    """One Job, as the API has it."""

    def __init__(self, there: dict[str, Any], *, refusal: bytes = b"", applies: bool = False) -> None:
        self.applies = applies
        self.there = there
        self.refusal = refusal
        """What changes are answered; empty where the Job is gone."""
        self.made: list[str] = []

    def applied(self, change: dict[str, Any]) -> dict[str, Any]:
        """What of a change is done, whatever is answered."""
        if not self.applies:
            return {}
        self.there["metadata"]["resourceVersion"] = "6"
        return dict(change["annotations"])

    def answer(self, connection: socket.socket, heard: Heard) -> bool:
        if "watch=1" in heard.target:
            return bool(lasting()(connection, heard))
        if heard.method == "POST":
            name = json.loads(heard.body)["metadata"]["name"]
            exists = name in self.made
            self.made.append(name)
            connection.sendall(refused(409, "AlreadyExists") if exists else said(heard.body))
        elif heard.method == "PATCH":
            self.there["metadata"]["annotations"] |= self.applied(json.loads(heard.body)["metadata"])
            connection.sendall(self.refusal or refused(404, "NotFound"))
        else:
            alone = heard.target.endswith("/compile-a-7")
            connection.sendall(said(json.dumps(self.there).encode()) if alone else page(9, "", self.there))
        return True


def opened(api: Api, jobs: dict[str, Queued]) -> Queue:
    def heard(news: Sequence[Queued], gone: Sequence[str]) -> None:
        jobs.update({each.id: each for each in news})
        for each in gone:
            del jobs[each]

    found = Queue(api, Settings(), lambda *_: (work(), []))
    found.begin(heard, 20)
    return found


def test_one_that_is_gone_is_not_to_be_started_again_and_again() -> None:
    jobs: dict[str, Queued] = {}
    with Server(Cluster(document()).answer) as server, Api(access_to(server)) as api:
        queue = opened(api, jobs)
        assert queue.start(jobs["a-7"]) is False
        assert not jobs
        queue.close()


def test_a_claim_that_is_not_heard_of_again_is_believed_no_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue, "CLAIM_SECONDS", 0.05)
    jobs: dict[str, Queued] = {}
    with Server(Cluster(document(**{CLAIMED: "someone 1.5"})).answer) as server, Api(access_to(server)) as api:
        own = opened(api, jobs)
        wait_for(lambda: jobs["a-7"].state == WAITING)
        assert not any(heard.method == "PATCH" for heard in server.heard)
        # Whoever starts it says so in the same breath.
        own.start(jobs["a-7"])
        (change,) = [json.loads(heard.body) for heard in server.heard if heard.method == "PATCH"]
        assert change["spec"] == {"suspend": False}
        assert change["metadata"]["annotations"] == {CLAIMED: None}
        assert change["metadata"]["resourceVersion"] == "5"
        own.close()


def test_what_was_claimed_and_is_answered_needs_no_pod() -> None:
    jobs: dict[str, Queued] = {}
    with Server(Cluster(document(**{CLAIMED: "someone 1.5"})).answer) as server, Api(access_to(server)) as api:
        own = opened(api, jobs)
        own.keep(jobs["a-7"], "an answer")
        (change,) = [json.loads(heard.body) for heard in server.heard if heard.method == "PATCH"]
        assert change["spec"] == {"completions": 0, "parallelism": 0}
        own.close()


class TestAlarm:
    def test_it_tells_what_is_due_in_order_and_once(self) -> None:
        told: list[str] = []
        alarm = Alarm(told.append)
        for job_id, seconds in (("never", 60.0), ("second", 0.1), ("first", 0.05), ("unset", 0.02), ("anew", 0.01)):
            alarm.set(job_id, seconds)
        alarm.unset("unset")
        alarm.unset("nothing")
        alarm.set("anew", 0.15)
        wait_for(lambda: len(told) == 3)
        alarm.close()
        assert told == ["first", "second", "anew"]

    def test_it_does_not_begin_once_it_is_closed(self) -> None:
        told: list[str] = []
        alarm = Alarm(told.append)
        alarm.close()
        before = threading.active_count()
        alarm.set("late", 0.0)
        assert (threading.active_count(), told) == (before, [])


def test_an_answer_that_cannot_be_kept_fills_no_store() -> None:
    """However often it is tried, there is one copy of it."""
    jobs: dict[str, Queued] = {}
    cluster = Cluster(document(), refusal=refused(403, "Forbidden"))
    large = random.Random(1).randbytes(600_000).hex()
    with Server(cluster.answer) as server, Api(access_to(server)) as api:
        queue = opened(api, jobs)
        for _ in range(3):
            with pytest.raises(BackendFailed):
                queue.keep(jobs["a-7"], large)
        queue.close()
    assert len(set(cluster.made)) == len(cluster.made) // 3 == 2


@pytest.mark.parametrize("applies", [True, False])
def test_an_answer_that_was_kept_though_nobody_was_told_so_is_ours(applies: bool) -> None:
    jobs: dict[str, Queued] = {}
    cluster = Cluster(document(), refusal=refused(409, "Conflict"), applies=applies)
    with Server(cluster.answer) as server, Api(access_to(server)) as api:
        queue = opened(api, jobs)
        if applies:
            assert queue.keep(jobs["a-7"], "mine") is True
            assert queue.keep(jobs["a-7"], "another") is False
        else:
            with pytest.raises(BackendFailed, match="come to rest"):
                queue.keep(jobs["a-7"], "mine")
        queue.close()


def test_what_nobody_has_thought_of_ends_no_watch() -> None:
    told = Told()
    strange = b'{"type": "ERROR", "object": {"code": 1e999}}\n'
    answers = (page(9, ""), chunks(strange), lasting(event("ADDED", another("b", 12))))
    with Server(*answers) as server, Api(access_to(server)) as api:
        view = View(api, lambda: dict(told.known), told.take)
        view.begin(20)
        wait_for(lambda: told.known == {"b-7": "u-1"})
        assert view.failure is None
        view.close()
