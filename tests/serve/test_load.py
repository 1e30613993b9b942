"""Many clients at once: nothing that was acknowledged is lost, and each has the answer to its own question."""

from __future__ import annotations

import http.client
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from tests.serve.harness import Server, encoded, until

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.serve.harness import Client

    ServerOn = Callable[..., Server]

BACKENDS = [pytest.param("fake"), pytest.param("sandbox", marks=pytest.mark.sandbox)]
SUBMISSIONS, CLIENTS = 1000, 50
MOST_BYTES = 300 * 2**20
"""Of the memory of a server that has had a thousand submissions. It takes some 60 MB to begin with."""


def source(number: int) -> str:
    """One that no other has the answer of, and that takes a real compiler next to no time."""
    return f"// fake: stderr number-{number}.\n// fake: exit 1\n#error number-{number}.\n"


class Crowd:
    """Clients that submit, each on a connection of its own, and outlast a server that is started again."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._lock = threading.Lock()
        self.acknowledged: dict[int, str] = {}
        """By number, the job that the server said it has taken."""
        self.unknown: set[int] = set()
        """Those whose acknowledgement may have been lost on the way: they may be asked for again."""

    def submit(self, numbers: range) -> None:
        """All of them, one after another, as one client."""
        for number in numbers:
            self._insist(number)

    def _insist(self, number: int) -> None:
        def accepted() -> bool:
            try:
                with self._server.client(10) as client:
                    return self._submitted(client, number)
            except (OSError, http.client.HTTPException):
                self.unknown.add(number)
                return False

        until(accepted, pause=0.1)

    def _submitted(self, client: Client, number: int) -> bool:
        document = {"code": encoded(source(number)), "language": "c"}
        reply = client.call("POST", "/api/v1/compile", document)
        if reply.status in {429, 503}:
            assert int(reply.headers["Retry-After"]) >= 1
            return False
        assert reply.status == 202, reply
        with self._lock:
            self.acknowledged[number] = reply.json["job_id"]
        return True

    def assert_answered(self) -> None:
        """Every one, and of its own source."""
        assert len(set(self.acknowledged.values())) == len(self.acknowledged) == SUBMISSIONS
        with self._server.client() as client:
            for number, job_id in self.acknowledged.items():
                told = client.result(job_id)
                assert "error" not in told, told["error"]
                assert (told["job_id"], told["success"], told["compiled"]) == (job_id, True, False)
                assert f"number-{number}." in told["stderr"], told


def shares() -> list[range]:
    return [range(first, SUBMISSIONS, CLIENTS) for first in range(CLIENTS)]


@pytest.mark.parametrize("backend", BACKENDS)
def test_none_is_lost_and_none_answered_twice(server_on: ServerOn, backend: str) -> None:
    server = server_on(backend, queue_size=SUBMISSIONS)
    crowd = Crowd(server)
    with ThreadPoolExecutor(CLIENTS) as pool:
        list(pool.map(crowd.submit, shares()))
    crowd.assert_answered()
    assert not crowd.unknown
    told = server.statistics()
    assert (told["total_processed"], told["total_failed"]) == (SUBMISSIONS, SUBMISSIONS)
    assert (told["queued_jobs"], told["active_workers"]) == (0, 0)
    assert server.rss() < MOST_BYTES


@pytest.mark.parametrize("backend", BACKENDS)
def test_none_is_lost_where_the_server_is_killed_meanwhile(server_on: ServerOn, backend: str) -> None:
    server = server_on(backend, queue_size=SUBMISSIONS)
    crowd = Crowd(server)
    with ThreadPoolExecutor(CLIENTS) as pool:
        running = [pool.submit(crowd.submit, share) for share in shares()]
        for part in (1, 2):
            until(lambda part=part: len(crowd.acknowledged) >= SUBMISSIONS * part // 3)
            server.kill()
            server.start()
        for each in running:
            each.result()
    # It was in the middle of them that it was killed.
    assert crowd.unknown
    crowd.assert_answered()


def test_a_queue_that_is_too_short_refuses_and_loses_none(server_on: ServerOn) -> None:
    """Clients come back until all is taken."""
    server = server_on("fake", queue_size=50)
    crowd = Crowd(server)
    with ThreadPoolExecutor(CLIENTS) as pool:
        list(pool.map(crowd.submit, shares()))
    crowd.assert_answered()


def test_results_are_read_by_many_at_once(fake: Server) -> None:
    with fake.client() as client:
        jobs = {number: client.submit(source(number), "c") for number in range(20)}

    def read(_: int) -> Counter[int]:
        seen: Counter[int] = Counter()
        with fake.client() as client:
            for number, job_id in jobs.items():
                assert f"number-{number}." in client.result(job_id)["stderr"]
                seen[number] += 1
        return seen

    with ThreadPoolExecutor(CLIENTS) as pool:
        assert sum(pool.map(read, range(CLIENTS)), Counter()) == dict.fromkeys(jobs, CLIENTS)
