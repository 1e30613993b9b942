"""The result of a submitted job, from what an API server says of it. tests/kubernetes asks a real one."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from tests.unit.backends.kubernetes import test_pods
from tests.unit.backends.kubernetes.server import Heard, Server, access_to, chunks, refused, said
from tests.unit.backends.kubernetes.test_pods import disrupted, running, terminated, waiting
from tests.unit.backends.kubernetes.test_tape import FIRST, VERSION, end, line, numbered
from willitcompile.backends.kubernetes.api.client import Api, ApiError, Unreachable
from willitcompile.backends.kubernetes.jobs import Failed
from willitcompile.backends.kubernetes.pods import OUT_OF_TIME
from willitcompile.backends.kubernetes.store import UnknownJob, fetch, question
from willitcompile.errors import BackendFailed
from willitcompile.model import CompileJob, Limits, Verdict

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator

JOB = CompileJob("gcc-13", "c++", {"x.cpp": b""}, ("g++",), limits=Limits(output_bytes=1000))
DONE = terminated(0, "Completed")
LATE = {"type": "Failed", "status": "True", "reason": "DeadlineExceeded"}
LOG = numbered(VERSION + FIRST)


def pod(status: Any, **more: Any) -> dict[str, Any]:
    """One of the Job that `job` is."""
    return test_pods.pod(status, **{"ownerReferences": [{"kind": "Job", "uid": "u-1", "controller": True}], **more})


def job(*conditions: dict[str, str], **annotations: Any) -> bytes:
    metadata = {"name": "compile-a", "uid": "u-1", "annotations": {"will-it-compile/job": question(JOB), **annotations}}
    return said(json.dumps({"metadata": metadata, "status": {"conditions": conditions}}).encode())


def listed(*pods: Any) -> bytes:
    return said(json.dumps({"items": pods}).encode())


@contextmanager
def asking(job: bytes, pods: bytes = b"", log: bytes = b"") -> Iterator[tuple[Api, list[str]]]:
    targets: list[str] = []

    def answer(connection: socket.socket, heard: Heard) -> object:
        path = heard.target.partition("?")[0]
        targets.append(heard.target)
        found = log if path.endswith("/log") else pods if path.endswith("/pods") else job
        connection.sendall(found)
        return b"\r\nContent-Length: " in found

    with Server(answer) as server, Api(access_to(server)) as api:
        yield api, targets


def failure(job: bytes, pods: bytes = b"", log: bytes = b"") -> Failed:
    with asking(job, pods, log) as (api, _), pytest.raises(Failed) as caught:
        fetch(api, "a")
    assert caught.value.job == "compile-a"
    return caught.value


def test_its_result() -> None:
    with asking(job(), listed(pod(DONE)), chunks(LOG)) as (api, targets):
        found = fetch(api, "a")
    assert found is not None
    assert (found.verdict, found.exit_code, found.stderr) == (Verdict.REJECTED, 1, b"x.cpp:1: error\n")
    assert found.compiler == "g++ (Debian 13.3.0-6) 13.3.0"
    assert found.image == "docker.io/library/gcc@sha256:ab"
    assert targets == [
        "/apis/batch/v1/namespaces/default/jobs/compile-a",
        "/api/v1/namespaces/default/pods?labelSelector=managed-by%3Dwill-it-compile%2Cjob-id%3Da",
        "/api/v1/namespaces/default/pods/compile-a-x7k2p/log?container=compile&limitBytes=67108864",
    ]


@pytest.mark.parametrize(
    "pods",
    [
        listed(),
        said(b"{}"),
        said(b""),
        said(b"[]"),
        said(b'{"items": 7}'),
        listed(None, 7, {"metadata": {"name": "x"}}),
        listed(pod({"phase": "Pending"})),
        listed(pod(waiting("ErrImagePull"))),
        listed(pod(running())),
    ],
)
def test_while_there_is_none(pods: bytes) -> None:
    with asking(job(), pods) as (api, _):
        assert fetch(api, "a") is None


@pytest.mark.parametrize("job_id", ["", "A", "a/../b", "x" * 51, "a b", "a,b=c"])
def test_what_is_no_id_is_nobodys_and_nobody_is_asked(job_id: str) -> None:
    with asking(job()) as (api, targets), pytest.raises(UnknownJob) as caught:
        fetch(api, job_id)
    assert not targets
    assert caught.value.exit_code == 2


def test_an_id_that_nobody_knows() -> None:
    with asking(refused(404, "NotFound")) as (api, _), pytest.raises(UnknownJob):
        fetch(api, "a")


@pytest.mark.parametrize(
    "found",
    [
        said(b""),
        said(b"[]"),
        said(b'{"metadata": {}}'),
        *(
            job(**{"will-it-compile/job": text})
            for text in (
                None,
                7,
                "",
                "{}",
                "[]",
                "[" * 100_000,
                question(JOB).replace("1000", "Infinity"),
                question(JOB).replace("1000", "NaN"),
                question(JOB).replace("[1]", "7"),
            )
        ),
    ],
)
def test_an_object_that_is_not_ours_is_no_result(found: bytes) -> None:
    with asking(found, listed(pod(DONE)), chunks(LOG)) as (api, _), pytest.raises(BackendFailed) as caught:
        fetch(api, "a")
    assert caught.value.obstacle == "the Job of that name was not submitted to be fetched"


@pytest.mark.parametrize(
    ("status", "deleted", "kind"),
    [
        (waiting("ImagePullBackOff"), False, "image"),
        (waiting("CreateContainerConfigError"), False, "configuration"),
        (running(disrupted("EvictionByEvictionAPI")), False, "lost"),
        (running(), True, "deleted"),
    ],
)
def test_a_trouble_that_stays_is_told(status: dict[str, Any], deleted: bool, kind: str) -> None:
    failed = failure(job(), listed(pod(status, deleted=deleted)))
    assert (failed.trouble.kind, failed.pod) == (kind, "compile-a-x7k2p")


def test_a_job_that_took_too_long_says_so() -> None:
    assert failure(job(LATE), listed()).trouble == OUT_OF_TIME
    assert failure(job(LATE), listed(pod(running(), deleted=True))).trouble == OUT_OF_TIME
    assert failure(job(LATE), listed(pod(terminated(143, "Error"), deleted=True)), chunks()).trouble == OUT_OF_TIME


def test_an_answer_that_was_in_time_counts() -> None:
    status = terminated(143, "Error")
    with asking(job(LATE), listed(pod(status, deleted=True)), chunks(LOG)) as (api, _):
        assert fetch(api, "a") is not None


@pytest.mark.parametrize("kind", ["Failed", "Complete"])
def test_a_job_that_ended_without_a_pod(kind: str) -> None:
    assert failure(job({"type": kind, "status": "True"}), listed()).trouble.kind == "deleted"


def test_of_two_pods_the_one_that_answers_is_asked() -> None:
    other = pod(terminated(143, "Error"), deleted=True, name="other")
    for pods in (listed(other, pod(DONE)), listed(pod(DONE), other)):
        with asking(job(), pods, chunks(LOG)) as (api, targets):
            assert fetch(api, "a") is not None
        assert "/compile-a-x7k2p/log" in targets[2]


@pytest.mark.parametrize(
    "owners",
    [
        [{"kind": "Job", "uid": "u-0", "controller": True}],  # of a Job of this id that was there before
        [],  # anybody's, with our labels
        [{"kind": "Job", "uid": "u-1"}],
        "u-1",
    ],
)
def test_a_pod_that_is_not_the_jobs_own_is_not_asked(owners: object) -> None:
    other = pod(DONE, name="aaa", ownerReferences=owners)
    with asking(job(), listed(other), chunks(LOG)) as (api, _):
        assert fetch(api, "a") is None
    with asking(job(), listed(other, pod(DONE)), chunks(LOG)) as (api, targets):
        assert fetch(api, "a") is not None
    assert "/compile-a-x7k2p/log" in targets[2]


def test_another_question_is_another_job() -> None:
    one = CompileJob("gcc-13", "c++", {"x.cpp": b"int x;"}, ("g++", "x.cpp"))
    others = [
        one._replace(files={"x.cpp": b"int y;"}),
        one._replace(files={"y.cpp": b"int x;"}),
        one._replace(files={"x.cpp": b"int ", "y.cpp": b"x;"}),
        one._replace(argv=("g++", "-O2", "x.cpp")),
        one._replace(environment={"A": "1"}),
        one._replace(limits=Limits(wall_seconds=1)),
        one._replace(workdir="x"),
        one._replace(link=True),
    ]
    assert question(one) == question(one._replace())
    assert len({question(each) for each in (one, *others)}) == 1 + len(others)


def test_want_of_memory() -> None:
    with asking(job(), listed(pod(terminated(137, "OOMKilled"))), chunks(numbered(VERSION))) as (api, _):
        found = fetch(api, "a")
    assert found is not None
    assert (found.verdict, found.limit) == (Verdict.OUT_OF_MEMORY, "memory")


@pytest.mark.parametrize("log", [refused(404, "NotFound"), refused(400, "BadRequest")])
@pytest.mark.parametrize("status", [DONE, terminated(137, "OOMKilled"), terminated(1, "Error")])
def test_a_log_that_is_gone_is_a_loss_whatever_else(log: bytes, status: dict[str, Any]) -> None:
    """Of what was killed, too: it may have answered before."""
    assert failure(job(), listed(pod(status)), log).trouble.kind == "lost"


@pytest.mark.parametrize(
    ("log", "kind"),
    [
        (refused(403, "Forbidden"), ApiError),
        (refused(500, "InternalError"), ApiError),
        (chunks(LOG[:50], end=False), Unreachable),
    ],
)
def test_a_log_that_cannot_be_read_now_may_be_later(log: bytes, kind: type[Exception]) -> None:
    with asking(job(), listed(pod(terminated(137, "OOMKilled"))), log) as (api, _), pytest.raises(kind):
        fetch(api, "a")


@pytest.mark.parametrize(
    ("log", "words"),
    [
        (chunks(b"hello\n"), "answers what makes no sense"),
        (chunks(LOG[: len(LOG) // 2]), "ended without an answer"),
        (chunks(), "ended without an answer"),
        (chunks(numbered(VERSION + line("F", b"cannot run g++"))), "could not run it: cannot run g++"),
        (chunks(numbered(VERSION + line("O", b"x" * 1001) + end())), "makes no sense"),
    ],
)
def test_an_end_without_an_answer(log: bytes, words: str) -> None:
    trouble = failure(job(), listed(pod(DONE)), log).trouble
    assert (trouble.kind, words in trouble.text) == ("ended", True)


def test_the_wrong_compiler_has_no_say() -> None:
    version = line("R", b"1") + line("O", b"g++ (Debian 12.2.0-13) 12.2.0\n") + end()
    trouble = failure(job(), listed(pod(DONE)), chunks(numbered(version + FIRST))).trouble
    assert trouble.kind == "image"
    assert "g++ (Debian 12.2.0-13) 12.2.0" in trouble.text
