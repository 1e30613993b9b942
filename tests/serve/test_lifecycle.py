"""What is left of a server that ends, in order or not, and what the next one makes of it."""

from __future__ import annotations

import resource
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from tests.contract.leftovers import left_since, leftovers
from tests.serve.harness import PROGRAM, Server, encoded, is_alive, processes_below, until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.serve.harness import Client, Reply

    ServerOn = Callable[..., Server]

HERE = [pytest.param("fake"), pytest.param("sandbox", marks=pytest.mark.sandbox)]
"""Where the server itself keeps the queue, by what it costs to try."""
LOCAL = [*HERE, pytest.param("docker", marks=pytest.mark.docker)]
EVERYWHERE = [*LOCAL, pytest.param("kubernetes", marks=pytest.mark.kubernetes)]

HELLO = "int main(void) { return 0; }\n"
HANG = "// fake: hang\n"
ENDLESS = """\
// fake: hang
#if __INCLUDE_LEVEL__ < 150
#include __FILE__
#include __FILE__
#endif
"""


def marked(number: int) -> str:
    """A source that no other one has the answer of."""
    return f"// fake: stderr number {number}\n// fake: exit 1\n#error number {number}\nint main(void) {{ return 0; }}\n"


def assert_own(client: Client, jobs: dict[int, str]) -> None:
    """That each of these has a result, of its own source."""
    for number, job_id in jobs.items():
        told = client.result(job_id)
        assert (told["job_id"], told["success"], told["compiled"]) == (job_id, True, False), told
        assert f"number {number}\n" in told["stderr"].replace("\r", "") + "\n"


def submitted(server: Server, code: str = HELLO) -> Reply:
    return server.call("POST", "/api/v1/compile", {"code": encoded(code), "language": "c"})


class TestRestart:
    @pytest.mark.parametrize("backend", LOCAL)
    @pytest.mark.parametrize("end", [Server.terminate, Server.kill])
    def test_keeps_the_results(self, server_on: ServerOn, backend: str, end: Callable[[Server], object]) -> None:
        server = server_on(backend)
        with server.client() as client:
            paths = [f"/api/v1/compile/{client.submit(code, 'c')}" for code in (HELLO, marked(1), "")]
            paths += [f"/api/v2/checks/{client.checked({'x.c': HELLO})['id']}"]
            for path in paths[:3]:
                client.result(path.rpartition("/")[2])
            before = [client.call("GET", path).body for path in paths]
        end(server)
        server.start()
        assert [server.get(path).body for path in paths] == before

    @pytest.mark.parametrize("backend", EVERYWHERE)
    def test_after_a_kill_runs_what_ran_and_what_waited(self, server_on: ServerOn, backend: str) -> None:
        server = server_on(backend, jobs=1, timeout="1s")
        with server.client() as client:
            running = client.submit(ENDLESS, "c")
            server.wait_for(active_workers=1)
            jobs = {number: client.submit(marked(number), "c") for number in range(5)}
        server.kill()
        server.start(timeout="20s" if backend == "kubernetes" else "2s")
        with server.client() as client:
            for job_id in (running, *jobs.values()):
                assert client.call("GET", f"/api/v1/compile/{job_id}").status == 200
            assert_own(client, jobs)
            assert client.result(running)["error"] == "compilation timeout"

    @pytest.mark.parametrize("backend", LOCAL)
    def test_goes_on_with_a_check_where_it_was(self, server_on: ServerOn, backend: str) -> None:
        server = server_on(backend, jobs=1, timeout="1s")
        # A source that includes itself by a macro has all the others sent along, whose words the fake would obey too.
        files = {"a.c": marked(1), "b.c": HANG if backend == "fake" else ENDLESS, "c.c": marked(3)}
        with server.client() as client:
            check_id = client.check(files).json["id"]
            path = f"/api/v2/checks/{check_id}"
            until(lambda: client.call("GET", path).json["done"] == 1)
            first = client.call("GET", path).json["results"]
        server.restart()
        with server.client() as client:
            again = client.call("GET", path).json
            assert (again["total"], again["results"][:1]) == (3, first)
            document = client.finished(check_id)
        assert document["status"] == "done"
        assert document["results"][0] == first[0]
        assert [each["verdict"] for each in document["results"]] == ["rejected", "timeout", "rejected"]
        assert [each["source"] for each in document["results"]] == ["a.c", "b.c", "c.c"]

    def test_knows_what_was_cancelled(self, server_on: ServerOn) -> None:
        server = server_on("fake", jobs=1, timeout="60s")
        with server.client() as client:
            check_id = client.check({"x.c": ENDLESS}).json["id"]
            assert client.call("DELETE", f"/api/v2/checks/{check_id}").json["status"] == "cancelled"
        server.restart()
        assert server.get(f"/api/v2/checks/{check_id}").json["status"] == "cancelled"
        assert server.statistics()["active_workers"] == 0

    def test_many_times_in_a_row_loses_nothing(self, server_on: ServerOn) -> None:
        server = server_on("fake", jobs=2)
        jobs: dict[int, str] = {}
        for turn in range(4):
            with server.client() as client:
                for number in range(turn * 20, turn * 20 + 20):
                    jobs[number] = client.submit(marked(number), "c")
            server.restart()
        with server.client() as client:
            assert_own(client, jobs)


class TestEnd:
    @pytest.mark.parametrize("backend", HERE)
    def test_lets_what_runs_end_and_takes_no_more(self, server_on: ServerOn, backend: str) -> None:
        server = server_on(backend, jobs=1, timeout="3s", grace="30s")
        with server.client() as client:
            running = client.submit(ENDLESS, "c")
            server.wait_for(active_workers=1)
            waiting = client.submit(marked(1), "c")
        assert server.get("/ready").status == 200
        server.signal(signal.SIGTERM)
        until(lambda: server.get("/ready").status == 503, 2)
        refused = submitted(server)
        assert refused.status == 503
        assert int(refused.headers["Retry-After"]) >= 1
        assert refused.message
        assert server.call("POST", "/api/v2/checks", {"files": {"x.c": HELLO}}).status == 503
        assert server.get("/health").status == 200
        assert server.get(f"/api/v1/compile/{running}").json["status"] == "processing"
        assert server.wait(20) == 0
        server.start(jobs=1, timeout="60s")
        # It was over: to run it again would take a minute.
        assert server.get(f"/api/v1/compile/{running}").json["error"] == "compilation timeout"
        with server.client() as client:
            assert_own(client, {1: waiting})

    @pytest.mark.parametrize("backend", HERE)
    def test_does_not_wait_longer_than_it_may(self, server_on: ServerOn, backend: str) -> None:
        server = server_on(backend, jobs=1, timeout="60s", memory="4GiB", grace="500ms")
        with server.client() as client:
            running = client.submit(ENDLESS, "c")
        server.wait_for(active_workers=1)
        begin = time.monotonic()
        assert server.terminate() == 0
        assert time.monotonic() - begin < 10
        server.start(timeout="300ms")
        with server.client() as client:
            assert client.result(running)["error"] == "compilation timeout"

    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
    def test_of_one_that_does_nothing_comes_at_once(self, server_on: ServerOn, number: int) -> None:
        server = server_on("fake", grace="30s")
        with server.client() as idle:
            assert idle.call("GET", "/health").status == 200
            begin = time.monotonic()
            server.signal(number)
            assert server.wait(20) == 0
            assert time.monotonic() - begin < 5

    def test_meets_no_request_on_a_connection_that_is_kept(self, server_on: ServerOn) -> None:
        server = server_on("fake", grace="30s")
        with server.client() as client:
            assert client.call("GET", "/health").headers["Connection"] is None
            server.signal(signal.SIGTERM)
            # From then on each answer is its connection's last, and says so.
            kept = until(lambda: reply if (reply := client.call("GET", "/health")).headers["Connection"] else None, 5)
        assert (kept.status, kept.headers["Connection"]) == (200, "close")
        assert server.wait(20) == 0

    def test_does_not_wait_for_those_who_wait(self, server_on: ServerOn) -> None:
        server = server_on("fake", jobs=1, timeout="60s", grace="1s")
        with server.client() as client:
            path = f"/api/v2/checks/{client.check({'x.c': ENDLESS}).json['id']}"
        with server.events(path):
            begin = time.monotonic()
            assert server.terminate() == 0
            assert time.monotonic() - begin < 10

    def test_does_not_wait_for_one_who_says_that_he_has_seen_more_than_there_is(self, server_on: ServerOn) -> None:
        server = server_on("fake", jobs=1, timeout="60s", grace="1s")
        with server.client() as client:
            path = f"/api/v2/checks/{client.check({'x.c': ENDLESS}).json['id']}"
        with server.events(path, Last_Event_ID="99"):
            begin = time.monotonic()
            server.signal(signal.SIGTERM)
            until(lambda: server.get("/ready").status == 503, 5)
            assert server.wait(20) == 0
            assert time.monotonic() - begin < 10

    def test_comes_at_once_where_it_is_asked_for_twice(self, server_on: ServerOn) -> None:
        server = server_on("fake", jobs=1, timeout="60s", grace="60s")
        with server.client() as client:
            running = client.submit(ENDLESS, "c")
        server.wait_for(active_workers=1)
        server.signal(signal.SIGTERM)
        until(lambda: server.get("/ready").status == 503, 5)
        begin = time.monotonic()
        server.signal(signal.SIGTERM)
        assert server.wait(20) == 0
        assert time.monotonic() - begin < 5
        server.start(timeout="100ms")
        with server.client() as client:
            assert client.result(running)["error"] == "compilation timeout"

    @pytest.mark.sandbox
    def test_by_a_kill_leaves_no_process(self, server_on: ServerOn) -> None:
        before = leftovers()
        server = server_on("sandbox", timeout="60s", memory="4GiB")
        with server.client() as client:
            client.submit(ENDLESS, "c")
        server.wait_for(active_workers=1)
        assert until(lambda: processes_below(server.pid, "cc1"), 10)
        below = processes_below(server.pid)
        server.kill()
        until(lambda: not any(map(is_alive, below)), 10)
        server.start(timeout="100ms")
        server.wait_for(active_workers=0, queued_jobs=0)
        server.close()
        # What the killed one could not clear away, the next one has.
        until(lambda: not left_since(before), 10)


@contextmanager
def full_disk(server: Server) -> Iterator[None]:
    """No file of the server can become any longer than its longest is, until the end of this."""
    longest = max(each.stat().st_size for each in server.state.rglob("*") if each.is_file())
    before = resource.prlimit(server.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (longest, before[1]))
    try:
        yield
    finally:
        resource.prlimit(server.pid, resource.RLIMIT_FSIZE, before)


class TestState:
    def test_on_a_full_disk_takes_no_more_and_loses_nothing(self, server_on: ServerOn) -> None:
        server = server_on("fake", jobs=1, timeout="1s")
        with server.client() as client:
            jobs = {number: client.submit(marked(number), "c") for number in range(3)}
            running = client.submit(ENDLESS, "c")
            server.wait_for(active_workers=1)
            with full_disk(server):
                replies = []
                for number in range(3, 40):
                    reply = submitted(server, marked(number) + "//" + "x" * 50_000)
                    replies.append(reply.status)
                    if reply.status == 202:
                        jobs[number] = reply.json["job_id"]
                assert set(replies) <= {202, 503}
                assert 503 in replies
                assert reply.message
                assert server.get("/health").status == 200
                # The compile, which takes a second, ends while its answer cannot be kept: it keeps its place till then.
                time.sleep(1.5)
                assert server.statistics()["active_workers"] == 1
            until(lambda: submitted(server).status == 202, 20)
            assert client.result(running)["error"] == "compilation timeout"
            assert_own(client, jobs)
        server.restart()
        with server.client() as client:
            assert_own(client, jobs)

    def test_on_a_full_disk_keeps_what_could_not_be_cancelled(self, server_on: ServerOn) -> None:
        server = server_on("fake", jobs=1, timeout="2s")
        with server.client() as client:
            running = client.check({"x.c": ENDLESS}).json["id"]
            waiting = client.check({"x.c": HELLO}).json["id"]
            with full_disk(server):
                # Until what there is of room is used up.
                until(lambda: submitted(server, HELLO + "//" + "x" * 50_000).status == 503, 20)
                replies = [client.call("DELETE", f"/api/v2/checks/{each}") for each in (waiting, running)]
            for check_id, reply in zip((waiting, running), replies, strict=True):
                assert reply.status in {200, 503}
                told = client.finished(check_id)
                assert (told["status"] == "cancelled") == (reply.status == 200)

    def test_is_of_one_server(self, server_on: ServerOn) -> None:
        first = server_on("fake")
        second = server_on("fake", start=False, state=first.state)
        second.launch()
        assert second.wait(20) in {2, 3}
        assert str(first.state) in second.said()
        assert submitted(first).status == 202

    @pytest.mark.parametrize("state", ["/dev/null/state", "/proc/state"])
    def test_that_cannot_be_written_is_told(self, server_on: ServerOn, state: str) -> None:
        server = server_on("fake", start=False, state=state)
        server.launch()
        assert server.wait(20) in {2, 3}
        assert state in server.said()

    def test_that_is_broken_is_told(self, server_on: ServerOn) -> None:
        server = server_on("fake")
        server.close()
        for file in server.state.rglob("*"):
            if file.is_file() and file.stat().st_size:
                file.write_bytes(b"nonsense" * 1024)
        server.launch()
        assert server.wait(20) in {2, 3}
        assert str(server.state) in server.said()

    def test_is_for_nobody_else_to_read(self, server_on: ServerOn) -> None:
        server = server_on("fake")
        assert server.state.stat().st_mode & 0o077 == 0


class TestAddress:
    def test_that_is_in_use_is_told(self, server_on: ServerOn) -> None:
        first = server_on("fake")
        second = server_on("fake", start=False, port=first.address[1])
        second.launch()
        assert second.wait(20) in {2, 3}
        assert str(first.address[1]) in second.said()

    def test_is_also_by_variables(self, server_on: ServerOn) -> None:
        server = server_on("fake", start=False, port=None, jobs=None, queue_size=None)
        variables = {"PORT": "0", "MAX_WORKERS": "3", "QUEUE_SIZE": "7"}
        server.place = server.place._replace(environment={**server.place.environment, **variables})
        server.start()
        assert server.statistics()["max_workers"] == 3


class TestResults:
    def test_are_kept_up_to_a_number(self, server_on: ServerOn) -> None:
        server = server_on("fake", jobs=1, keep_results=3)
        with server.client() as client:
            # It is looked at when so many are answered, and from time to time.
            jobs = [client.submit(marked(number), "c") for number in range(200)]
            paths = [f"/api/v1/compile/{each}" for each in jobs]
            until(lambda: [client.call("GET", path).status for path in paths] == [404] * 197 + [200] * 3, 20)
            assert_own(client, {number: jobs[number] for number in (197, 198, 199)})

    def test_are_kept_for_a_time(self, server_on: ServerOn) -> None:
        server = server_on("fake", jobs=1, keep="1s", timeout="4s")
        with server.client() as client:
            job_id = client.submit(marked(1), "c")
            assert_own(client, {1: job_id})
            slow = client.submit(ENDLESS, "c")
            until(lambda: client.call("GET", f"/api/v1/compile/{job_id}").status == 404, 3.5)
            # What has no result yet is not too old for one.
            assert client.result(slow)["error"] == "compilation timeout"

    def test_that_wait_are_not_counted(self, server_on: ServerOn) -> None:
        server = server_on("fake", jobs=1, keep_results=1, timeout="500ms")
        with server.client() as client:
            client.submit(ENDLESS, "c")
            jobs = [client.submit(marked(number), "c") for number in range(5)]
            assert {client.call("GET", f"/api/v1/compile/{each}").status for each in jobs} == {200}
            assert_own(client, {4: jobs[4]})


def test_a_wrong_setting_is_told(server_on: ServerOn) -> None:
    for name, value in (("port", "http"), ("rate_limit", "many"), ("tokens", "/nonexistent/tokens")):
        server = server_on("fake", start=False, **{name: value})
        server.launch()
        assert server.wait(20) == 2
        assert name.replace("_", "-") in server.said()
        assert "Traceback" not in server.said()


def test_with_too_few_descriptors_it_says_how_to_have_more() -> None:
    few = lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))  # noqa: E731
    argv = [sys.executable, str(PROGRAM), "serve", "--backend", "fake", "--port", "0"]
    ran = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False, preexec_fn=few)
    assert ran.returncode == 3
    assert "ulimit -n" in ran.stderr


def test_without_the_extra_it_says_what_to_install(server_on: ServerOn) -> None:
    """As where only the package itself is installed."""
    code = "import sys; sys.modules.update(starlette=None, uvicorn=None)\nfrom willitcompile.cli import main; main()"
    ran = subprocess.run([sys.executable, "-c", code, "serve"], capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode in {2, 3}
    assert "pip install '.[serve]'" in ran.stderr
    assert "Traceback" not in ran.stderr
