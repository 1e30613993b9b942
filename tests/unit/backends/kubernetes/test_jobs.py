"""A Job from its creation to its deletion, with an API server that says what a test wants."""

from __future__ import annotations

import json
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from tests.unit.backends.kubernetes.server import Heard, Server, access_to, chunks, refused, said
from tests.unit.backends.kubernetes.test_pods import disrupted, pod, running, terminated, waiting
from tests.unit.backends.kubernetes.test_tape import FIRST, LOG, VERSION, numbered
from willitcompile.backends import Cancelled, CancelToken
from willitcompile.backends.kubernetes import jobs as jobs_module
from willitcompile.backends.kubernetes.api.client import Api, ApiError, Unreachable
from willitcompile.backends.kubernetes.jobs import Failed, Jobs, out_of_time
from willitcompile.backends.kubernetes.manifests import Work
from willitcompile.backends.kubernetes.pods import OUT_OF_TIME
from willitcompile.backends.kubernetes.settings import parse
from willitcompile.backends.kubernetes.tape import Answers
from willitcompile.backends.kubernetes.watch import Watch

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator

    from tests.unit.backends.kubernetes.server import Answer

SECONDS = 20
"""A deadline for what takes milliseconds."""
POD = "compile-a-x7k2p"
DEADLINE = {"type": "Failed", "status": "True", "reason": "DeadlineExceeded"}


class Scene:
    """What an API server says of one Job: each answer in its turn, the last of a kind for ever."""

    def __init__(self, **answers: list[bytes | Answer]) -> None:
        self.answers = answers
        self.heard: list[str] = []
        self._statuses: list[bytes] = []
        self._changed = threading.Condition()
        self._is_over = False

    def happens(self, status: Any, *, deleted: bool = False, kind: str = "MODIFIED") -> None:
        """To the pod."""
        with self._changed:
            document = pod(status, deleted=deleted, resourceVersion=str(len(self._statuses) + 1))
            self._statuses.append(json.dumps({"type": kind, "object": document}).encode() + b"\n")
            self._changed.notify_all()

    def __call__(self, connection: socket.socket, heard: Heard) -> object:
        path = heard.target.partition("?")[0]
        if "watch=1" in heard.target:
            return self._watch(connection)
        *_, above, last = path.split("/")
        what = last if last in {"jobs", "configmaps", "events", "log"} else above
        self.heard.append(f"{heard.method} {what}")
        answers = self.answers.get(f"{heard.method.lower()}_{what}", [refused(404, "NotFound")])
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if callable(answer):
            return answer(connection, heard)
        connection.sendall(answer)
        return b"\r\nContent-Length: " in answer

    def _watch(self, connection: socket.socket) -> object:
        connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        sent = 0
        while not self._is_over:
            with self._changed:
                new, sent = self._statuses[sent:], len(self._statuses)
                if not new:
                    self._changed.wait(SECONDS)
            for each in new:
                connection.sendall(b"%x\r\n%s\r\n" % (len(each), each))
        return None

    def end(self) -> None:
        with self._changed:
            self._is_over = True
            self._changed.notify_all()


@contextmanager
def acting(scene: Scene, **section: Any) -> Iterator[tuple[Jobs, Work]]:
    settings = parse({"architecture": "amd64", "start-seconds": 1, **section})
    work = Work("a", "gcc:13", "s-1", settings, 1 << 30, 0.5, 60)
    with Server(scene) as server, Api(access_to(server)) as api:
        watch = Watch(api, "s-1")
        watch.begin("a")
        try:
            yield Jobs(api, watch), work
        finally:
            watch.close()
            scene.end()


def followed(jobs: Jobs, work: Work, cancel: CancelToken | None = None) -> Answers:
    seen: list[Answers] = []
    jobs.follow(work, jobs.started(work), lambda: Answers([1000, 1000]), seen.append, cancel)
    return seen[-1]


class Enough(Exception):
    """Nobody wants its answers any more."""


def failure(jobs: Jobs, work: Work) -> Failed:
    with pytest.raises(Failed) as caught:
        followed(jobs, work)
    assert caught.value.job == "compile-a"
    return caught.value


def made(**status: Any) -> bytes:
    return said(json.dumps({"metadata": {"name": "compile-a", "uid": "u-1"}, "status": status}).encode())


class There:
    """What is there already: just what is to be made, or with these changes."""

    def __init__(self, **changes: Any) -> None:
        self.changes = changes
        self.document: dict[str, Any] = {}

    def exists(self, connection: socket.socket, heard: Heard) -> object:
        self.document = json.loads(heard.body)
        self.document["metadata"] |= {"uid": "u-1", **self.changes}
        connection.sendall(refused(409, "AlreadyExists"))
        return True

    def get(self, connection: socket.socket, _: Heard) -> object:
        connection.sendall(said(json.dumps(self.document).encode()))
        return True


class TestCreate:
    def test_a_job_and_then_what_it_owns(self) -> None:
        scene = Scene(post_jobs=[made()], post_configmaps=[made()])
        with acting(scene) as (jobs, work):
            jobs.create(work._replace(parts=2), [b"a", b"b"])
        assert scene.heard == ["POST jobs", "POST configmaps", "POST configmaps"]

    def test_what_all_belong_to_is_asked_for_once(self) -> None:
        bodies: list[dict[str, Any]] = []

        def make(connection: socket.socket, heard: Heard) -> object:
            bodies.append(json.loads(heard.body))
            connection.sendall(made())
            return True

        owner = said(json.dumps({"metadata": {"name": "everything", "uid": "u-9"}}).encode())
        scene = Scene(get_configmaps=[owner, refused(404, "NotFound")], post_jobs=[make], post_configmaps=[made()])
        with acting(scene, owner="everything") as (jobs, work):
            jobs.create(work, [b"a"])
            jobs.create(work, [b"a"])
        assert scene.heard.count("GET configmaps") == 1
        belongs = {"apiVersion": "v1", "kind": "ConfigMap", "name": "everything", "uid": "u-9"}
        assert [each["metadata"]["ownerReferences"] for each in bodies] == [[belongs]] * 2

    def test_what_exists_was_made_by_the_try_before(self) -> None:
        there = There()
        scene = Scene(
            post_jobs=[there.exists], get_jobs=[there.get], post_configmaps=[there.exists], get_configmaps=[there.get]
        )
        with acting(scene) as (jobs, work):
            jobs.create(work, [b"a"])
        assert scene.heard == ["POST jobs", "GET jobs", "POST configmaps", "GET configmaps"]

    def test_what_exists_and_is_somebody_elses_is_told(self) -> None:
        there = There(labels={"managed-by": "somebody"})
        scene = Scene(post_jobs=[there.exists], get_jobs=[there.get])
        with acting(scene) as (jobs, work), pytest.raises(ApiError, match="409"):
            jobs.create(work, [b"a"])

    @pytest.mark.parametrize(("question", "is_refused"), [(None, True), ("{}", False)])
    def test_what_a_pod_is_to_run_must_be_our_own(self, question: str | None, is_refused: bool) -> None:
        """But of a job that others may submit too, somebody else's may be first, and differ in its time."""

        def other(connection: socket.socket, _: Heard) -> object:
            connection.sendall(said(json.dumps({**there.document, "binaryData": {"launcher": "QQ=="}}).encode()))
            return True

        there = There()
        scene = Scene(post_jobs=[made()], post_configmaps=[there.exists], get_configmaps=[other])
        with acting(scene) as (jobs, work):
            asked = work._replace(question=question)
            if is_refused:
                with pytest.raises(ApiError, match="409"):
                    jobs.create(asked, [b"a"])
            else:
                jobs.create(asked, [b"a"])
        assert scene.heard == ["POST jobs", "POST configmaps", "GET configmaps"]

    def test_another_conflict_is_told(self) -> None:
        with acting(Scene(post_jobs=[refused(409, "Conflict")])) as (jobs, work), pytest.raises(ApiError):
            jobs.create(work, [b"a"])

    @pytest.mark.parametrize("answer", [said(b"{}"), said(b""), said(b"[]"), said(b'{"metadata": null}')])
    def test_an_answer_without_sense_is_told(self, answer: bytes) -> None:
        with acting(Scene(post_jobs=[answer])) as (jobs, work), pytest.raises(Unreachable):
            jobs.create(work, [b"a"])


class TestStarted:
    def test_it_runs(self) -> None:
        scene = Scene()
        with acting(scene) as (jobs, work):
            scene.happens(waiting("ContainerCreating"), kind="ADDED")
            scene.happens(running())
            assert jobs.started(work).name == POD

    def test_a_trouble_that_stays_is_not_waited_for(self) -> None:
        scene = Scene()
        with acting(scene, **{"start-seconds": SECONDS}) as (jobs, work):
            scene.happens(waiting("ImagePullBackOff", "no such image"))
            began = time.monotonic()
            failed = failure(jobs, work)
            assert time.monotonic() - began < SECONDS / 2
        assert (failed.trouble.kind, failed.pod) == ("image", POD)

    @pytest.mark.parametrize(
        ("status", "kind"),
        [
            (waiting("ContainerCreating"), "start"),
            (waiting("ErrImagePull"), "image"),
            ({"conditions": [{"type": "PodScheduled", "status": "False"}]}, "unschedulable"),
        ],
    )
    def test_one_that_may_pass_is_waited_for(self, status: dict[str, Any], kind: str) -> None:
        scene = Scene()
        with acting(scene) as (jobs, work):
            scene.happens(status)
            failed = failure(jobs, work)
        assert failed.trouble.kind == kind
        assert failed.trouble.text.endswith("within 1 seconds")

    def test_no_pod_at_all(self) -> None:
        warning = {"type": "Warning", "message": "pods is forbidden:\n exceeded quota"}
        listed = said(json.dumps({"items": [{"type": "Normal", "message": "x"}, warning]}).encode())
        with acting(Scene(get_events=[listed])) as (jobs, work):
            trouble = failure(jobs, work).trouble
        assert (trouble.kind, trouble.text) == (
            "quota",
            "was not made within 1 seconds: pods is forbidden: exceeded quota",
        )

    @pytest.mark.parametrize("events", [refused(403, "Forbidden"), said(b"{}"), said(b'{"items": []}'), said(b"[1]")])
    def test_no_pod_and_nobody_says_why(self, events: bytes) -> None:
        with acting(Scene(get_events=[events])) as (jobs, work):
            assert "the namespace's quota may be used up" in failure(jobs, work).trouble.text

    def test_a_queue_may_take_longer(self) -> None:
        scene = Scene()
        with acting(scene, queue="builds") as (jobs, work):
            timer = threading.Timer(1.5, scene.happens, [running()])
            timer.start()
            assert jobs.started(work).started
            timer.join()

    def test_interrupting_ends_the_wait(self) -> None:
        with acting(Scene(), **{"start-seconds": SECONDS}) as (jobs, work):
            threading.Timer(0.1, jobs.interrupt).start()
            with pytest.raises(Cancelled):
                jobs.started(work)


class TestFollow:
    def test_until_all_have_answered(self) -> None:
        scene = Scene(get_log=[chunks(LOG[:100], LOG[100:], end=False)])
        with acting(scene) as (jobs, work):
            scene.happens(running())
            assert followed(jobs, work).complete
        assert scene.heard == ["GET log"]

    @pytest.mark.parametrize(
        "first",
        [
            chunks(LOG[:200]),
            chunks(LOG[:200], end=False) + b"garbage",
            chunks(b"unable to retrieve container logs for containerd://ab\n"),
            refused(500, "InternalError"),
            refused(404, "NotFound"),
        ],
    )
    def test_a_log_that_breaks_off_is_read_again(self, first: bytes) -> None:
        scene = Scene(get_log=[first, chunks(LOG)])
        with acting(scene) as (jobs, work):
            scene.happens(running())
            assert followed(jobs, work).complete
        assert scene.heard == ["GET log"] * 2

    @pytest.mark.parametrize(
        "first",
        [chunks(LOG[:200], end=False) + b"garbage", refused(500, "InternalError"), refused(503, "ServiceUnavailable")],
    )
    @pytest.mark.parametrize("status", [terminated(0, "Completed"), terminated(137, "OOMKilled")])
    def test_also_when_its_pod_has_ended(self, first: bytes, status: dict[str, Any]) -> None:
        """Its answers are there, and nobody is told another one for want of them."""
        scene = Scene(get_log=[first, chunks(LOG)])
        with acting(scene) as (jobs, work):
            scene.happens(status)
            assert followed(jobs, work).complete
        assert scene.heard == ["GET log"] * 2

    def test_a_log_that_never_makes_sense_is_told(self) -> None:
        scene = Scene(get_log=[chunks(b"hello\n")])
        with acting(scene) as (jobs, work):
            scene.happens(running())
            trouble = failure(jobs, work).trouble
        assert trouble.kind == "ended"
        assert trouble.text.startswith("answers what makes no sense")
        assert len(scene.heard) == 3

    @pytest.mark.parametrize(
        ("status", "deleted", "kind"),
        [
            (terminated(0, "Completed"), False, "lost"),
            (terminated(1, "Error"), False, "ended"),
            (terminated(137, "OOMKilled"), False, "out-of-memory"),
            (terminated(143, "Error"), False, "lost"),
            (terminated(143, "Error"), True, "deleted"),
            (terminated(143, "Error", disrupted("EvictionByEvictionAPI")), True, "lost"),
        ],
    )
    def test_it_ended_without_an_answer(self, status: dict[str, Any], deleted: bool, kind: str) -> None:
        scene = Scene(get_log=[chunks(numbered(VERSION + FIRST))])
        with acting(scene) as (jobs, work):
            scene.happens(status, deleted=deleted)
            assert failure(jobs, work).trouble.kind == kind

    def test_want_of_memory_is_of_nobody_where_the_log_cannot_be_read(self) -> None:
        """It may have the answer of the unit that would be called the culprit."""
        scene = Scene(get_log=[refused(404, "NotFound")])
        with acting(scene) as (jobs, work):
            scene.happens(terminated(137, "OOMKilled"))
            trouble = failure(jobs, work).trouble
        assert (trouble.kind, trouble.text) == (
            "lost",
            "was killed for want of memory, and its log cannot be read: told why",
        )

    def test_a_job_that_took_too_long_says_so(self) -> None:
        scene = Scene(get_log=[chunks()], get_jobs=[made(conditions=[DEADLINE])])
        with acting(scene) as (jobs, work):
            scene.happens(terminated(143, "Error"), deleted=True)
            assert failure(jobs, work).trouble == OUT_OF_TIME

    def test_an_outage_has_an_end(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(jobs_module, "_OUTAGE_SECONDS", 0.5)
        for answer, kind in ((lambda *_: None, Unreachable), (refused(500, "InternalError"), ApiError)):
            scene = Scene(get_log=[answer])
            with acting(scene) as (jobs, work):
                scene.happens(running())
                with pytest.raises(kind):
                    followed(jobs, work)
            assert len(scene.heard) > 1

    @pytest.mark.parametrize("status", [401, 403])
    def test_who_may_not_read_logs_is_told_at_once(self, status: int) -> None:
        scene = Scene(get_log=[refused(status, "Forbidden")])
        with acting(scene) as (jobs, work):
            scene.happens(running())
            with pytest.raises(ApiError) as caught:
                followed(jobs, work)
        assert caught.value.status == status
        assert len(scene.heard) == 1

    def test_a_refusal_after_all_was_well_is_doubted(self) -> None:
        scene = Scene(get_log=[chunks(LOG[:200]), refused(403, "Forbidden"), chunks(LOG)])
        with acting(scene) as (jobs, work):
            scene.happens(running())
            assert followed(jobs, work).complete

    @pytest.mark.parametrize("how", ["cancel", "interrupt"])
    def test_it_can_be_ended(self, how: str) -> None:
        token = CancelToken()
        scene = Scene(get_log=[lambda connection, _: connection.sendall(chunks(LOG[:50], end=False)) or True])
        with acting(scene) as (jobs, work):
            scene.happens(running())
            act = token.cancel if how == "cancel" else jobs.interrupt
            threading.Timer(0.2, act).start()
            began = time.monotonic()
            with pytest.raises(Exception) as caught:  # noqa: PT011 - either of two
                followed(jobs, work, token)
            assert type(caught.value).__name__ in {"Cancelled", "Stopped"}
            assert time.monotonic() - began < SECONDS / 2


class TestDelete:
    def test_what_is_gone_is_fine(self) -> None:
        scene = Scene()
        with acting(scene) as (jobs, work):
            jobs.delete(work.name)
        assert scene.heard == ["DELETE jobs"]

    def test_who_may_not_is_told_but_where_it_does_not_matter(self) -> None:
        with acting(Scene(delete_jobs=[refused(403, "Forbidden")])) as (jobs, work):
            with pytest.raises(ApiError):
                jobs.delete(work.name)
            jobs.discard(work)

    def test_it_is_waited_until_nothing_runs(self) -> None:
        scene = Scene()
        with acting(scene) as (jobs, work):
            scene.happens(running())
            jobs.started(work)
            began = time.monotonic()
            jobs.ended(work, 0.2)
            assert time.monotonic() - began >= 0.2
            threading.Timer(0.1, scene.happens, [terminated(143, "Error")], {"deleted": True}).start()
            jobs.ended(work, SECONDS)
            assert time.monotonic() - began < SECONDS / 2


@pytest.mark.parametrize("document", [None, [], {}, {"status": []}, {"status": {"conditions": {}}}, made()])
def test_a_job_without_conditions_is_not_late(document: object) -> None:
    assert out_of_time(document) is None
    assert out_of_time({"status": {"conditions": [None, 7, {"reason": ["DeadlineExceeded"]}]}}) is None
    assert out_of_time({"status": {"conditions": [None, DEADLINE]}}) == OUT_OF_TIME


def test_a_log_is_not_asked_for_again_where_nobody_wants_it() -> None:
    """As that of a compile that was cancelled, whose pod is not told of any more."""
    scene = Scene(get_log=[refused(400, "BadRequest")])
    wanted = iter([True, False])

    def look() -> None:
        if not next(wanted):
            raise Enough

    with acting(scene) as (jobs, work):
        scene.happens(running())
        pod_of_it = jobs.started(work)
        with pytest.raises(Enough):
            jobs.follow(work, pod_of_it, lambda: Answers([1000]), lambda _: None, look=look)
    assert scene.heard == ["GET log"] * 2
