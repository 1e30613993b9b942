"""What is heard of pods, from an API server that does what may happen to one."""

from __future__ import annotations

import json
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.unit.backends.kubernetes.server import Heard, Server, access_to, chunks, refused, said
from willitcompile.backends import Cancelled, CancelToken
from willitcompile.backends.kubernetes import listen
from willitcompile.backends.kubernetes.api.client import Api, ApiError, Unreachable
from willitcompile.backends.kubernetes.api.credentials import Credentials
from willitcompile.backends.kubernetes.pods import DELETED, Pod
from willitcompile.backends.kubernetes.watch import Watch
from willitcompile.errors import BackendUnavailable

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator

    from tests.unit.backends.kubernetes.server import Answer

SECONDS = 20
"""A deadline for what takes milliseconds."""


def pod(job_id: str, version: int, state: str = "running", name: str = "", owner: str = "u") -> dict[str, Any]:
    metadata = {
        "name": name or f"compile-{job_id}-x",
        "labels": {"job-id": job_id},
        "resourceVersion": str(version),
        "ownerReferences": [{"uid": owner, "controller": True}] if owner else [],
    }
    status = {"containerStatuses": [{"name": "compile", "state": {state: {"exitCode": 0}}}]}
    return {"metadata": metadata, "status": status}


def event(kind: str, document: dict[str, Any]) -> bytes:
    return json.dumps({"type": kind, "object": document}).encode() + b"\n"


def listed(version: int, *pods: dict[str, Any]) -> bytes:
    return said(json.dumps({"metadata": {"resourceVersion": str(version)}, "items": pods}).encode())


def failing(code: int, reason: str) -> bytes:
    return event("ERROR", {"kind": "Status", "code": code, "reason": reason, "message": "too old resource version"})


def lasting(*events: bytes) -> Answer:
    """A watch that goes on."""

    def answer(connection: socket.socket, _: Heard) -> object:
        connection.sendall(chunks(*events, end=False))
        return True

    return answer


def broken(*events: bytes) -> Answer:
    def answer(connection: socket.socket, _: Heard) -> object:
        connection.sendall(chunks(*events, end=False))
        return None

    return answer


@contextmanager
def watching(*answers: bytes | Answer, **access: Any) -> Iterator[tuple[Server, Watch]]:
    with Server(*answers) as server, Api(access_to(server, **access)) as api:
        watch = Watch(api, "s-1")
        try:
            yield server, watch
        finally:
            began = time.monotonic()
            watch.close()
            assert time.monotonic() - began < SECONDS / 2
            assert watch._thread is None or not watch._thread.is_alive()


def started(pod: Pod | None) -> bool:
    return pod is not None and pod.started


def ended(pod: Pod | None) -> bool:
    return pod is not None and pod.ended


def query(heard: Heard) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(heard.target).query).items()}


def wait_for(what: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_who_waits_is_told() -> None:
    with watching(lasting(event("ADDED", pod("a", 5, "waiting")), event("MODIFIED", pod("a", 6)))) as (server, watch):
        watch.begin("a")
        found = watch.wait("a", started, SECONDS)
        assert found == watch.pod("a") == Pod("compile-a-x", "a", started=True, owner="u")
        assert watch.failure is None
        asked = query(server.heard[0])
    assert urlsplit(server.heard[0].target).path == "/api/v1/namespaces/default/pods"
    assert asked == {
        "watch": "1",
        "labelSelector": "managed-by=will-it-compile,will-it-compile/session=s-1",
        "timeoutSeconds": "300",
        "resourceVersion": "0",
    }


def test_one_request_for_many_pods() -> None:
    gate = threading.Event()

    def answer(connection: socket.socket, _: Heard) -> object:
        assert gate.wait(SECONDS)
        connection.sendall(chunks(*(event("ADDED", pod(f"j{number}", 5 + number)) for number in range(50)), end=False))
        return True

    with watching(answer) as (server, watch):
        for number in range(50):
            watch.begin(f"j{number}")
        gate.set()
        for number in range(50):
            assert watch.wait(f"j{number}", started, SECONDS) is not None
    assert len(server.heard) == 1


def test_of_others_pods_and_of_forgotten_ones_nothing_is_kept() -> None:
    pods = [pod("b", 5), {"metadata": {"name": "x", "resourceVersion": "6"}}, pod("a", 7), pod("c", 8), pod("a", 9)]
    with watching(lasting(*(event("ADDED", each) for each in pods))) as (_, watch):
        for job_id in ("a", "c"):
            watch.begin(job_id)
        assert watch.wait("c", started, SECONDS)
        assert watch.pod("b") is None
        watch.forget("a")
        assert watch.pod("a") is None
        watch.forget("nobody")


def test_one_that_is_gone_was_deleted() -> None:
    with watching(lasting(event("ADDED", pod("a", 5)), event("DELETED", pod("a", 6)))) as (_, watch):
        watch.begin("a")
        found = watch.wait("a", ended, SECONDS)
        assert found is not None
        assert found.trouble == DELETED


def test_the_end_of_a_second_pod_is_not_that_of_the_first() -> None:
    events = [
        event("ADDED", pod("a", 5, name="first")),
        event("DELETED", pod("a", 6, name="second")),
        event("ADDED", pod("b", 7)),
    ]
    with watching(lasting(*events)) as (_, watch):
        watch.begin("a")
        watch.begin("b")
        assert watch.wait("b", started, SECONDS)
        assert watch.pod("a") == Pod("first", "a", started=True, owner="u")


@pytest.mark.parametrize("how", [chunks, broken])
def test_it_goes_on_where_it_was(how: Callable[..., bytes | Answer]) -> None:
    """Where the server ended the watch in its order, and where the connection broke."""
    first = how(event("ADDED", pod("a", 41)), event("BOOKMARK", {"metadata": {"resourceVersion": "57"}}))
    with watching(first, lasting(event("MODIFIED", pod("a", 58, "terminated")))) as (server, watch):
        watch.begin("a")
        assert watch.wait("a", ended, SECONDS)
    assert [query(heard)["resourceVersion"] for heard in server.heard] == ["0", "57"]


@pytest.mark.parametrize(
    "gone", [refused(410, "Expired"), chunks(failing(410, "Expired")), broken(failing(410, "Gone"))]
)
def test_what_a_server_has_forgotten_it_is_asked_for_again(gone: bytes | Answer) -> None:
    """And what is not there any more has been deleted."""
    first = chunks(event("ADDED", pod("a", 41)), event("ADDED", pod("b", 42)), event("ADDED", pod("c", 43)))
    now = listed(99, pod("b", 44), pod("c", 98, "terminated"), pod("d", 97), pod("stranger", 96))
    with watching(first, gone, now, lasting(event("MODIFIED", pod("b", 100, "terminated")))) as (server, watch):
        for job_id in "abcd":
            watch.begin(job_id)
        lost = watch.wait("a", ended, SECONDS)
        assert lost is not None
        assert lost.trouble == DELETED
        done = watch.wait("b", ended, SECONDS)
        assert done is not None
        assert done.trouble is None
        found = watch.pod("c")
        assert found is not None
        assert (found.ended, found.trouble) == (True, None)
        assert started(watch.pod("d"))
        assert watch.pod("stranger") is None
    third, fourth = server.heard[2:4]
    assert query(third) == {"labelSelector": query(fourth)["labelSelector"]}
    assert query(fourth)["resourceVersion"] == "99"


@pytest.mark.parametrize(
    "fault", [refused(500, "InternalError"), said(b"[]"), said(b'{"items": [{}]}'), said(b""), said(b"{"), broken()]
)
def test_a_list_that_fails_is_asked_for_again(fault: bytes | Answer) -> None:
    first = chunks(event("ADDED", pod("a", 41)))
    with watching(first, refused(410, "Expired"), fault, listed(99), lasting()) as (server, watch):
        watch.begin("a")
        lost = watch.wait("a", ended, SECONDS)
        assert lost is not None
        assert lost.trouble == DELETED
        wait_for(lambda: len(server.heard) == 5)
    assert query(server.heard[4])["resourceVersion"] == "99"


@pytest.mark.parametrize(
    "garbage",
    [
        b"no json\n",
        b"[]\n",
        b"7\n",
        b"{}\n",
        b'{"type": "ADDED"}\n',
        b'{"type": "ADDED", "object": null}\n',
        b'{"type": "ADDED", "object": {"metadata": {}}}\n',
        b'{"type": "ADDED", "object": {"metadata": {"resourceVersion": null}}}\n',
        b'{"type": [], "object": []}\n',
        b'{"type": "ERROR", "object": null}\n',
        b'{"type": "ERROR", "object": {"code": "many"}}\n',
        b"[" * 100_000 + b"\n",
        b"\xff\xfe\n",
        failing(500, "InternalError"),
        failing(504, "Timeout"),
    ],
)
def test_garbage_is_no_end(garbage: bytes) -> None:
    with watching(broken(garbage), lasting(event("ADDED", pod("a", 5)))) as (_, watch):
        watch.begin("a")
        assert watch.wait("a", started, SECONDS)
        assert watch.failure is None


def test_a_line_without_end_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listen, "_LARGEST_EVENT", 1000)
    with watching(lasting(b"x" * 900, b"x" * 900), lasting(event("ADDED", pod("a", 5)))) as (_, watch):
        watch.begin("a")
        assert watch.wait("a", started, SECONDS)


def test_a_server_that_is_away_is_told_by_failure_and_waited_for() -> None:
    may_answer = threading.Event()

    def answer(connection: socket.socket, heard: Heard) -> object:
        if not may_answer.is_set():
            return None
        return lasting(event("ADDED", pod("a", 5)))(connection, heard)  # type: ignore[operator]

    with watching(answer) as (_, watch):
        watch.begin("a")
        wait_for(lambda: watch.failure is not None)
        assert isinstance(watch.failure, Unreachable)
        assert watch.wait("a", started, 0.01) is None
        may_answer.set()
        assert watch.wait("a", started, SECONDS)
        assert watch.failure is None


@pytest.mark.parametrize("answer", [chunks(), broken(), broken(b"x\n"), refused(503, "ServiceUnavailable")])
def test_a_server_that_ends_each_watch_at_once_is_not_overrun(answer: bytes | Answer) -> None:
    with watching(answer) as (server, watch):
        watch.begin("a")
        began = time.monotonic()
        wait_for(lambda: len(server.heard) >= 5)
        assert time.monotonic() - began > 0.3  # 0.05 + 0.1 + 0.2 + 0.5


@pytest.mark.parametrize("status", [401, 403])
def test_who_may_not_watch_is_told_at_once(status: int) -> None:
    with watching(refused(status, "Forbidden")) as (_, watch):
        watch.begin("a")
        began = time.monotonic()
        with pytest.raises(ApiError) as caught:
            watch.wait("a", started, SECONDS)
        assert caught.value.status == status
        assert time.monotonic() - began < SECONDS / 2


def test_a_permission_that_comes_is_used() -> None:
    with watching(refused(403, "Forbidden"), lasting(event("ADDED", pod("a", 5)))) as (_, watch):
        watch.begin("a")
        wait_for(lambda: watch.pod("a") is not None)
        assert watch.wait("a", started, SECONDS)


def test_a_refusal_after_all_was_well_is_doubted_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    """As of an API server that starts and does not know all roles yet."""
    refusals = [refused(403, "Forbidden")] * 2
    with watching(chunks(), *refusals, lasting(event("ADDED", pod("a", 5)))) as (_, watch):
        watch.begin("a")
        assert watch.wait("a", started, SECONDS)
    monkeypatch.setattr(listen, "_DOUBT_SECONDS", 0.2)
    with watching(chunks(), refusals[0]) as (_, watch):
        watch.begin("a")
        with pytest.raises(ApiError):
            watch.wait("a", started, SECONDS)


def test_credentials_that_fail_are_told_and_asked_for_again() -> None:
    may = threading.Event()

    def current() -> Any:
        if not may.is_set():
            raise BackendUnavailable("log in", "the program fails", "log in by hand")
        return working.current()

    with Server(lasting(event("ADDED", pod("a", 5)))) as server:
        access = access_to(server, "t")
        working = access.credentials
        with Api(access._replace(credentials=Credentials(current))) as api:
            watch = Watch(api, "s-1")
            watch.begin("a")
            with pytest.raises(BackendUnavailable):
                watch.wait("a", started, SECONDS)
            may.set()
            wait_for(lambda: watch.pod("a") is not None)
            assert watch.wait("a", started, SECONDS)
            watch.close()


def test_waiting_has_an_end() -> None:
    with watching(lasting(event("ADDED", pod("a", 5, "waiting")))) as (_, watch):
        watch.begin("a")
        wait_for(lambda: watch.pod("a") is not None)
        assert watch.wait("a", started, 0.05) == Pod("compile-a-x", "a", owner="u")
        assert watch.wait("b", started, 0.05) is None
        watch.changed(0.05)


def test_a_cancelled_token_ends_the_wait() -> None:
    token = CancelToken()
    token.cancel()
    with watching(lasting()) as (_, watch):
        watch.begin("a")
        with pytest.raises(Cancelled):
            watch.wait("a", started, SECONDS, token)


def test_what_is_known_counts_also_when_it_was_cancelled() -> None:
    token = CancelToken()
    with watching(lasting(event("ADDED", pod("a", 5)))) as (_, watch):
        watch.begin("a")
        assert watch.wait("a", started, SECONDS)
        token.cancel()
        assert watch.wait("a", started, SECONDS, token)


@pytest.mark.parametrize("how", ["close", "release"])
def test_it_can_be_ended_while_somebody_waits(how: str) -> None:
    with watching(lasting()) as (server, watch):
        watch.begin("a")
        caught: list[BaseException] = []

        def wait() -> None:
            try:
                watch.wait("a", started, SECONDS)
            except Cancelled as error:
                caught.append(error)

        waiting = threading.Thread(target=wait)
        waiting.start()
        assert server.came.wait(SECONDS)
        getattr(watch, how)()
        waiting.join(SECONDS)
        assert caught


def test_what_happens_is_heard_after_those_who_wait_were_released() -> None:
    may = threading.Event()

    def answer(connection: socket.socket, _: Heard) -> object:
        assert may.wait(SECONDS)
        connection.sendall(chunks(event("ADDED", pod("a", 5)), end=False))
        return True

    with watching(answer) as (_, watch):
        watch.begin("a")
        watch.release()
        may.set()
        wait_for(lambda: started(watch.pod("a")))


def test_it_ends_at_once_also_where_no_server_answers() -> None:
    def silence(_: socket.socket, __: Heard) -> object:
        return True

    with watching(silence) as (server, watch):
        watch.begin("a")
        assert server.came.wait(SECONDS)


def test_without_a_pod_it_asks_nothing() -> None:
    with watching(lasting()) as (server, watch):
        watch.close()
        watch.begin("a")
        with pytest.raises(Cancelled):
            watch.wait("a", started, SECONDS)
    assert not server.heard


def test_of_anothers_pod_nothing_is_believed() -> None:
    """Whatever its labels and its name say, and whenever it comes."""
    script = lasting(
        event("ADDED", pod("a", 1, "terminated", name="compile-a-0", owner="")),
        event("ADDED", pod("a", 2, "waiting")),
        event("MODIFIED", pod("a", 3, "terminated", owner="somebody")),
        event("DELETED", pod("a", 4, "terminated", owner="somebody")),
        event("ADDED", pod("b", 5)),
    )
    with watching(script) as (_, watch):
        watch.begin("a")
        watch.begin("b")
        watch.own("a", "u")
        assert watch.wait("b", lambda found: found is not None, SECONDS)
        found = watch.pod("a")
        assert found is not None
        assert (found.owner, found.started, found.ended) == ("u", False, False)
