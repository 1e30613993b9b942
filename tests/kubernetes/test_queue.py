"""The cluster as a queue: what becomes of a job whose pod does not live as it should."""

from __future__ import annotations

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from tests.cluster import kubectl
from tests.contract.test_backend import ENDLESS, FINE, HUNGRY, WRONG, job
from tests.kubernetes.test_troubles import gcc, of_gcc, until
from willitcompile.backends import CancelToken
from willitcompile.backends.queued import ENDED, RUNNING, WAITING, Queued, Ticket
from willitcompile.errors import BackendFailed, Interrupted
from willitcompile.model import MIB, Limits, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from tests.kubernetes.conftest import Opened
    from willitcompile.backends.kubernetes.queue import Queue

pytestmark = pytest.mark.kubernetes


class Heard:
    """A queue, and what it has told."""

    def __init__(self, backend: Any) -> None:
        self.backend = backend
        self.queue: Queue = backend.queue()
        self.jobs: dict[str, Queued] = {}
        # The first news of each, gone or not: the cluster may have removed a job again before `submit` returns.
        self.first: dict[str, Queued] = {}
        self.queue.begin(self._hear, 30)

    def _hear(self, news: Sequence[Queued], gone: Sequence[str]) -> None:
        for each in news:
            known = self.jobs.get(each.id)
            assert known is None or known.version < each.version
            self.jobs[each.id] = each
            self.first.setdefault(each.id, each)
        for job_id in gone:
            self.jobs.pop(job_id, None)

    def submit(self, source: bytes, *, start: bool = True, keep_seconds: int = 300, **limits: Any) -> str:
        asked = job(
            gcc(self.backend), source, limits=Limits(**{"wall_seconds": 60, "memory_bytes": 384 * MIB, **limits})
        )
        ticket = Ticket(str(uuid4()), 0, "somebody", "batch", time.time(), "about it")
        self.queue.submit(ticket, asked, start=start, keep_seconds=keep_seconds)
        assert self.first[ticket.id].ticket == ticket._replace(submitted=round(ticket.submitted, 3))
        return ticket.id

    def result(self, job_id: str) -> Any:
        return self.queue.result(self.jobs[job_id], CancelToken())


@pytest.fixture
def hear(opened: Opened, room: str) -> Iterator[Callable[..., Heard]]:
    """`hear(**settings)`: a queue in a namespace of its own. All that is in it is forgotten afterwards."""
    queues: list[Heard] = []

    def open_one(**settings: Any) -> Heard:
        queues.append(Heard(opened(room, cpu="none", **settings)))
        return queues[-1]

    yield open_one
    for each in list(queues[0].jobs.values()):
        queues[0].queue.forget(each)
    until(lambda: not queues[0].jobs)
    for heard in queues:
        heard.queue.close()


def pods(namespace: str) -> list[Any]:
    found: list[Any] = json.loads(kubectl("get", "pods", f"--namespace={namespace}", "--output=json"))["items"]
    return found


def running(namespace: str) -> list[str]:
    return [each["metadata"]["name"] for each in pods(namespace) if each["status"].get("phase") == "Running"]


def test_what_waits_does_so_until_it_is_started(hear: Callable[..., Heard], room: str) -> None:
    one, two = hear(), hear()
    job_id = one.submit(WRONG, start=False)
    until(lambda: job_id in two.jobs)
    assert two.jobs[job_id].state == WAITING
    assert not pods(room)
    # Both want to start it, and one of them does.
    with ThreadPoolExecutor(2) as pool:
        started = list(pool.map(lambda each: each.queue.start(each.jobs[job_id]), (one, two)))
    assert sorted(started) == [False, True]
    assert {one.jobs[job_id].state, two.jobs[job_id].state} == {RUNNING}
    assert two.result(job_id).verdict is Verdict.REJECTED
    until(lambda: one.jobs[job_id].state == ENDED)
    # Read again, by the one that has seen it only end.
    late = hear()
    assert late.result(job_id)._replace(duration_seconds=0.0) == one.result(job_id)._replace(duration_seconds=0.0)
    assert late.queue.keep(late.jobs[job_id], "first") is True
    assert one.queue.keep(one.jobs[job_id], "second") is False
    until(lambda: one.jobs[job_id].answer is not None)
    assert one.queue.answer(one.jobs[job_id]) == "first"
    assert len(pods(room)) == 1


def test_a_pod_that_is_evicted_is_replaced(hear: Callable[..., Heard], room: str) -> None:
    one = hear()
    job_id = one.submit(ENDLESS, wall_seconds=6.0, memory_bytes=4096 * MIB)
    with ThreadPoolExecutor(1) as pool:
        result = pool.submit(one.result, job_id)
        until(lambda: running(room))
        (name,) = running(room)
        eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name, "namespace": room}}
        path = f"/api/v1/namespaces/{room}/pods/{name}/eviction"
        kubectl("create", "--raw", path, "--filename=-", input=json.dumps(eviction))
        assert result.result(60).verdict is Verdict.TIMEOUT
    assert {each["metadata"]["name"] for each in pods(room)} - {name}


def test_a_pod_that_somebody_deletes_is_no_verdict(hear: Callable[..., Heard], room: str) -> None:
    one = hear()
    job_id = one.submit(ENDLESS, memory_bytes=4096 * MIB)
    with ThreadPoolExecutor(1) as pool:
        result = pool.submit(one.result, job_id)
        until(lambda: running(room))
        kubectl("delete", "pod", *running(room), f"--namespace={room}", "--wait=false")
        with pytest.raises(BackendFailed, match="its pod was deleted"):
            result.result(60)
    assert one.queue.keep(one.jobs[job_id], "an error")
    until(lambda: one.jobs[job_id].state == ENDED)


def test_a_compile_that_is_killed_with_its_launcher_has_its_verdict(hear: Callable[..., Heard]) -> None:
    one = hear()
    job_id = one.submit(HUNGRY, memory_bytes=128 * MIB)
    assert one.result(job_id).verdict is Verdict.OUT_OF_MEMORY


def test_a_pod_that_cannot_start_makes_room_with_its_answer(hear: Callable[..., Heard]) -> None:
    one = hear(images=of_gcc("127.0.0.1:9/nothing/gcc:13"), image_pull_policy="Never", start_seconds=60)
    job_id = one.submit(FINE)
    with pytest.raises(BackendFailed, match="ErrImageNeverPull"):
        one.result(job_id)
    assert one.jobs[job_id].state == RUNNING
    assert one.queue.keep(one.jobs[job_id], "an error")
    until(lambda: one.jobs[job_id].state == ENDED, 10)


@pytest.mark.parametrize("start", [True, False], ids=["running", "waiting"])
def test_what_is_cancelled_ends(hear: Callable[..., Heard], room: str, *, start: bool) -> None:
    one = hear()
    job_id = one.submit(ENDLESS, start=start, memory_bytes=4096 * MIB)
    with ThreadPoolExecutor(1) as pool:
        if start:
            until(lambda: running(room))
            result = pool.submit(one.result, job_id)
        one.queue.cancel(one.jobs[job_id])
        if start:
            with pytest.raises(Interrupted):
                result.result(30)
    assert one.jobs[job_id].cancelled is not None
    assert one.queue.keep(one.jobs[job_id], "too late") is False
    assert one.queue.start(one.jobs[job_id]) is False
    until(lambda: one.jobs[job_id].state == ENDED)
    until(lambda: not running(room))


def test_it_is_kept_for_as_long_as_was_said(hear: Callable[..., Heard]) -> None:
    one = hear()
    done, waiting = one.submit(FINE, keep_seconds=2), one.submit(FINE, keep_seconds=2, start=False)
    settled = Ticket(str(uuid4()), 0, "somebody", "batch", time.time(), "")
    one.queue.settle(settled, "wrong from the start", keep_seconds=2)
    assert one.queue.answer(one.jobs[settled.id]) == "wrong from the start"
    one.queue.cancel(one.jobs[waiting])
    until(lambda: not {done, waiting, settled.id} & set(one.jobs))
    assert one.queue.look(settled.group, 0) is False


def test_a_reader_ends_with_its_queue(hear: Callable[..., Heard]) -> None:
    one, two = hear(), hear()
    job_id = one.submit(ENDLESS, memory_bytes=4096 * MIB)
    until(lambda: job_id in two.jobs)
    errors: list[BaseException] = []

    def read() -> None:
        try:
            two.result(job_id)
        except Interrupted as error:
            errors.append(error)

    reader = threading.Thread(target=read)
    reader.start()
    two.queue.close()
    reader.join(20)
    assert len(errors) == 1
    one.queue.cancel(one.jobs[job_id])


def test_all_of_it_goes_with_what_it_belongs_to(hear: Callable[..., Heard], room: str) -> None:
    """What is done, what runs, what waits, and what comes when it is gone already."""
    kubectl("create", "configmap", "everything", f"--namespace={room}")
    one = hear(owner="everything")
    done = one.submit(FINE)
    assert one.result(done).verdict is Verdict.COMPILED
    assert one.queue.keep(one.jobs[done], "it compiles")
    runs = one.submit(ENDLESS, memory_bytes=4096 * MIB)
    until(lambda: running(room))
    waits = one.submit(FINE, start=False)
    kubectl("delete", "configmap", "everything", f"--namespace={room}")
    comes = one.submit(FINE, start=False)
    until(lambda: not {done, runs, waits, comes} & set(one.jobs), 60)
    until(
        lambda: not kubectl("get", "pods,configmaps", "--selector=managed-by", f"--namespace={room}", "--output=name"),
        60,
    )


def test_what_it_is_to_belong_to_is_not_there(hear: Callable[..., Heard], room: str) -> None:
    with pytest.raises(BackendFailed) as failed:
        hear(owner="nothing").submit(FINE)
    assert failed.value.obstacle == f"there is no ConfigMap nothing in the namespace {room}"
    assert failed.value.remedy == f"kubectl create configmap nothing --namespace {room}"
    assert not kubectl("get", "jobs", f"--namespace={room}", "--output=name")
