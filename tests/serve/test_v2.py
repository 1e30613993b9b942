"""Version 2 of the API over a real socket: matrices, waiting, events, cancelling, whose turn it is, what is refused."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from itertools import product
from typing import TYPE_CHECKING, Any

import pytest

from tests.serve.harness import Server, encoded, is_alive, processes_below, until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.serve.harness import Client, Event, Place, Reply

    ServerOn = Callable[..., Server]

CHECKS = "/api/v2/checks"
HELLO = "int main(void) { return 0; }\n"
REJECTED = "// fake: stderr no\n// fake: exit 1\n"
ENDLESS = """\
// fake: hang
#if __INCLUDE_LEVEL__ < 150
#include __FILE__
#include __FILE__
#endif
"""
HANG = "// fake: hang\n"
DOCUMENT = ["id", "status", "submitted", "finished", "total", "done", "results", "summary"]
OUTCOMES = ["compiled", "rejected", "timeout", "out-of-memory", "output-limit", "crashed", "error"]


def assert_document(document: dict[str, Any]) -> None:
    """That a document has all of its fields, and that they agree with each other."""
    assert list(document) == DOCUMENT
    assert uuid.UUID(document["id"]).version == 4
    assert document["status"] in {"queued", "running", "done", "cancelled"}
    for name in ("submitted", "finished"):
        if document[name] is not None:
            assert abs(datetime.fromisoformat(document[name]) - datetime.now(UTC)).total_seconds() < 600
    assert (document["finished"] is None) == (document["status"] in {"queued", "running"})
    results = document["results"]
    assert document["done"] == len(results) <= document["total"]
    indices = [each["index"] for each in results]
    assert indices == sorted(set(indices))
    if document["status"] == "done":
        assert indices == list(range(document["total"]))
    summary = dict.fromkeys(OUTCOMES, 0)
    for each in results:
        summary[each.get("verdict", "error")] += 1
    assert document["summary"] == summary


def assert_refused(reply: Reply, status: int = 400) -> str:
    """The message of an error, which may have its three parts too."""
    assert reply.status == status, reply
    assert reply.headers["Content-Type"] == "application/json"
    assert set(reply.json) <= {"message", "asked", "obstacle", "remedy"}
    assert isinstance(reply.json["message"], str)
    assert reply.json["message"]
    return reply.json["message"]


class TestToolchains:
    def test_are_told_with_what_they_take(self, fake: Server) -> None:
        reply = fake.get("/api/v2/toolchains")
        assert (reply.status, reply.headers["Content-Type"]) == (200, "application/json")
        told = reply.json
        assert told["backend"] == "fake"
        assert [each["name"] for each in told["toolchains"]] == ["gcc-13", "clang-19", "go-1.24", "rustc-1.85"]
        assert told["toolchains"][0] == {
            "name": "gcc-13",
            "family": "gcc",
            "version": "13",
            "languages": {
                "c": {"standards": ["c99", "c11", "c17"], "default": "c17", "compiler": "gcc (fake) 13.3.0"},
                "c++": {
                    "standards": ["c++11", "c++14", "c++17", "c++20"],
                    "default": "c++20",
                    "compiler": "gcc (fake) 13.3.0",
                },
            },
        }
        assert set(told["limits"]) == {"wall_seconds", "memory_bytes", "output_bytes"}
        assert all(value > 0 for value in told["limits"].values())


class TestMatrix:
    def test_is_each_source_with_each_toolchain_at_each_standard(self, fake: Server) -> None:
        files = {"b.cpp": HELLO, "a.cpp": REJECTED}
        toolchains, standards = ["clang-19", "gcc-13"], ["c++20", "c++17"]
        with fake.client() as client:
            document = client.checked(files, toolchains=toolchains, standards=standards)
        assert_document(document)
        assert document["status"] == "done"
        found = [(each["source"], each["toolchain"], each["standard"]) for each in document["results"]]
        assert sorted(found) == sorted(product(files, toolchains, standards))
        # By source, then toolchain, then standard, as the command line has it.
        assert [each[1:] for each in found[:4]] == list(product(toolchains, standards))
        assert document["summary"]["compiled"] == document["summary"]["rejected"] == 4
        for each in document["results"]:
            assert each["verdict"] == ("compiled" if each["source"] == "b.cpp" else "rejected")

    def test_has_the_default_toolchain_of_each_language(self, fake: Server) -> None:
        with fake.client() as client:
            document = client.checked({"x.c": HELLO, "x.cpp": HELLO, "x.go": "package main", "x.rs": "fn main() {}"})
        found = {(each["language"], each["toolchain"]) for each in document["results"]}
        assert found == {("c", "gcc-13"), ("c++", "gcc-13"), ("go", "go-1.24"), ("rust", "rustc-1.85")}

    def test_is_of_the_sources_that_are_named(self, fake: Server) -> None:
        with fake.client() as client:
            document = client.checked({"a.c": HELLO, "b.c": HELLO, "c.c": HELLO}, sources=["c.c", "a.c"])
        assert [each["source"] for each in document["results"]] == ["c.c", "a.c"]

    def test_headers_are_sent_along_and_not_checked(self, fake: Server) -> None:
        source = '#include "lib/x.h"\n// fake: needs lib/x.h\n'
        with fake.client() as client:
            document = client.checked({"main.c": source, "lib/x.h": "int x;\n"})
            assert [(each["source"], each["verdict"]) for each in document["results"]] == [("main.c", "compiled")]
            alone = client.checked({"main.c": source})
        assert alone["results"][0]["verdict"] == "rejected"

    def test_headers_are_found_where_that_is_said(self, fake: Server) -> None:
        files = {"main.c": '#include "x.h"\n// fake: needs include/x.h\n', "include/x.h": ""}
        with fake.client() as client:
            assert client.checked(files, include_dirs=["include"])["summary"]["compiled"] == 1

    def test_may_name_the_language(self, fake: Server) -> None:
        with fake.client() as client:
            (result,) = client.checked({"x.c": HELLO}, sources=["x.c"], language="c++")["results"]
        assert result["language"] == "c++"

    @pytest.mark.parametrize("content", [HELLO, {"base64": encoded(HELLO)}], ids=["text", "base64"])
    def test_takes_text_and_base64(self, fake: Server, content: object) -> None:
        with fake.client() as client:
            assert client.checked({"x.c": content})["summary"]["compiled"] == 1

    def test_takes_a_source_that_is_no_text(self, fake: Server) -> None:
        with fake.client() as client:
            content = {"base64": encoded(b"// fake: stderr \xff\xfe\n// fake: exit 1\n")}
            (result,) = client.checked({"x.c": content})["results"]
        assert result["stderr"] == "\\xff\\xfe\n"


SOURCES = {
    "compiled": {"main.cpp": "int main() {}\n"},
    "rejected": {"main.cpp": "int main() { return 0 }\n"},
    "warned": {"main.c": "int main(void) { int unused; return 0; }\n"},
    "with a header": {"src/main.cpp": '#include "x.h"\nint y = x + z;\n', "src/x.h": "extern int x;\nint x = ;\n"},
    "two": {"a.c": "int a = b;\n", "b.c": "int main(void) { return 0; }\n"},
    "unknown include": {"main.c": '#include "nowhere.h"\n'},
}


@pytest.fixture(scope="module")
def sandbox(place: Callable[[str], Place], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(place("sandbox"), tmp_path_factory.mktemp("sandbox")).start()
    yield server
    server.close()


@pytest.mark.sandbox
class TestReport:
    @pytest.mark.parametrize("name", SOURCES)
    def test_says_what_the_command_line_says(self, sandbox: Server, tmp_path: Path, name: str) -> None:
        files = SOURCES[name]
        for path, content in files.items():
            (tmp_path / path).parent.mkdir(exist_ok=True)
            (tmp_path / path).write_text(content)
        sources = [path for path in files if not path.endswith(".h")]
        argv = ["check", "-b", "sandbox", "-f", "json", "--warning", "-Wall", "--define", "X=1", *sources]
        ran = subprocess.run(
            [sys.executable, "-m", "willitcompile.cli", *argv],
            cwd=tmp_path,
            env={key: value for key, value in os.environ.items() if not key.startswith("WIC_")},
            capture_output=True,
            check=False,
        )
        with sandbox.client() as client:
            document = client.checked(files, sources=sources, warnings=["-Wall"], defines=["X=1"])
        theirs = json.loads(ran.stdout)
        assert [comparable(each) for each in document["results"]] == [comparable(each) for each in theirs["results"]]
        assert [list(each) for each in document["results"]] == [["index", *each] for each in theirs["results"]]
        assert {**theirs["summary"], "error": 0} == document["summary"]

    def test_has_exact_compilers(self, sandbox: Server) -> None:
        compilers = {
            each["name"]: {language: told["compiler"] for language, told in each["languages"].items()}
            for each in sandbox.get("/api/v2/toolchains").json["toolchains"]
        }
        with sandbox.client() as client:
            (result,) = client.checked({"x.cpp": HELLO})["results"]
        assert result["compiler"] == compilers[result["toolchain"]]["c++"]
        assert result["duration_seconds"] > 0


def comparable(result: dict[str, Any]) -> dict[str, Any]:
    """Without what differs from run to run."""
    return {
        name: value
        for name, value in result.items()
        if name not in {"index", "duration_seconds", "peak_memory_bytes", "cached"}
    }


class TestWaiting:
    def test_not_at_all_is_what_happens_unless_asked(self, server_on: ServerOn) -> None:
        server = server_on("fake", jobs=1, timeout="60s")
        reply = server.call("POST", CHECKS, {"files": {"x.c": ENDLESS}})
        assert (reply.status, reply.headers["Content-Type"]) == (202, "application/json")
        assert reply.headers["Location"] == f"{CHECKS}/{reply.json['id']}"
        assert_document(reply.json)
        assert (reply.json["total"], reply.json["done"], reply.json["results"]) == (1, 0, [])

    def test_for_a_check_that_ends_soon_gives_its_results(self, fake: Server) -> None:
        reply = fake.call("POST", CHECKS, {"files": {"x.c": REJECTED}, "wait": 20})
        assert reply.status == 200
        assert reply.headers["Location"] == f"{CHECKS}/{reply.json['id']}"
        assert_document(reply.json)
        assert (reply.json["status"], reply.json["summary"]["rejected"]) == ("done", 1)
        assert fake.get(reply.headers["Location"]).json == reply.json

    def test_for_one_that_takes_longer_gives_what_there_is(self, server_on: ServerOn) -> None:
        server = server_on("fake", jobs=1, timeout="60s")
        begin = time.monotonic()
        reply = server.call("POST", CHECKS, {"files": {"a.c": HELLO, "b.c": ENDLESS}, "wait": 1})
        assert 0.9 < time.monotonic() - begin < 30
        assert (reply.status, reply.json["status"], reply.json["done"]) == (202, "running", 1)
        assert_document(reply.json)
        begin = time.monotonic()
        again = server.get(f"{CHECKS}/{reply.json['id']}?wait=1")
        assert time.monotonic() - begin < 30
        assert (again.status, again.json["done"]) == (200, 1)

    def test_ends_with_the_next_result(self, server_on: ServerOn) -> None:
        server = server_on("fake", jobs=1, timeout="700ms")
        files = {"a.c": HELLO, "b.c": HANG, "c.c": HANG}
        with server.client() as client:
            path = f"{CHECKS}/{client.check(files).json['id']}"
            begin = time.monotonic()
            assert client.call("GET", f"{path}?wait=30&seen=0").json["done"] >= 1
            assert client.call("GET", f"{path}?wait=30&seen=1").json["done"] == 2
            assert 0.4 < time.monotonic() - begin < 20
            assert client.call("GET", f"{path}?wait=30&seen=2").json["status"] == "done"
            begin = time.monotonic()
            assert client.call("GET", f"{path}?wait=30&seen=3").json["status"] == "done"
            assert time.monotonic() - begin < 20

    def test_of_many_on_one_check_ends_for_all(self, server_on: ServerOn) -> None:
        server = server_on("fake", jobs=1, timeout="1s")
        with server.client() as client:
            path = f"{CHECKS}/{client.check({'x.c': ENDLESS}).json['id']}?wait=30"
        with ThreadPoolExecutor(50) as pool:
            replies = list(pool.map(lambda _: server.get(path), range(50)))
        assert {reply.json["status"] for reply in replies} == {"done"}

    @pytest.mark.parametrize("wait", [-1, 61, 1e9, "10", True, [], "NaN"])
    def test_a_wrong_time_is_refused(self, fake: Server, wait: object) -> None:
        assert_refused(fake.call("POST", CHECKS, {"files": {"x.c": HELLO}, "wait": wait}))

    @pytest.mark.parametrize(
        "query", ["wait=x", "wait=-1", "wait=61", "wait=inf", "wait=nan", "seen=x", "seen=-1", "wait=1e400"]
    )
    def test_a_wrong_query_is_refused(self, fake: Server, query: str) -> None:
        with fake.client() as client:
            path = f"{CHECKS}/{client.check({'x.c': HELLO}).json['id']}"
            assert_refused(client.call("GET", f"{path}?{query}"))


def assert_ended(events: list[Event], document: dict[str, Any]) -> None:
    assert events[-1].name == "done"
    assert events[-1].data == {**document, "results": []}


class TestEvents:
    def test_are_the_results_as_they_come(self, server_on: ServerOn) -> None:
        server = server_on("fake", jobs=2, timeout="1s")
        files = {"slow.c": ENDLESS, "quick.c": HELLO, "no.c": REJECTED}
        with server.client() as client:
            check_id = client.check(files, sources=list(files)).json["id"]
            begin = time.monotonic()
            with server.events(f"{CHECKS}/{check_id}") as stream:
                first = next(stream)
                assert time.monotonic() - begin < 0.9
                events = [first, *stream]
            document = client.finished(check_id)
        assert [(each.name, each.id) for each in events[:-1]] == [("result", str(n)) for n in (1, 2, 3)]
        assert [each.data["source"] for each in events[:-1]] == ["quick.c", "no.c", "slow.c"]
        assert sorted((each.data for each in events[:-1]), key=lambda data: data["index"]) == document["results"]
        assert_ended(events, document)

    def test_of_a_check_that_is_over_are_all_there(self, fake: Server) -> None:
        with fake.client() as client:
            document = client.checked({f"{number}.c": HELLO for number in range(5)})
        with fake.events(f"{CHECKS}/{document['id']}") as stream:
            events = list(stream)
        assert [each.name for each in events] == ["result"] * 5 + ["done"]
        assert_ended(events, document)

    def test_go_on_where_a_client_lost_them(self, fake: Server) -> None:
        with fake.client() as client:
            document = client.checked({f"{number}.c": HELLO for number in range(5)})
        path = f"{CHECKS}/{document['id']}"
        with fake.events(path) as stream:
            all_of_them = list(stream)
        for seen in range(6):
            with fake.events(path, Last_Event_ID=str(seen)) as stream:
                assert list(stream) == all_of_them[seen:]
            with fake.events(f"{path}?seen={seen}") as stream:
                assert list(stream) == all_of_them[seen:]

    def test_of_a_client_that_is_gone_cost_nothing(self, server_on: ServerOn) -> None:
        server = server_on("fake", jobs=1, timeout="60s")
        with server.client() as client:
            path = f"{CHECKS}/{client.check({'a.c': HELLO, 'b.c': ENDLESS}).json['id']}"
            before = server.descriptors()
            for _ in range(20):
                with server.events(path) as stream:
                    next(stream)
            until(lambda: server.descriptors() <= before + 2, 20)
            assert client.call("DELETE", path).json["status"] == "cancelled"

    def test_end_when_the_check_is_cancelled(self, server_on: ServerOn) -> None:
        server = server_on("fake", jobs=1, timeout="60s")
        with server.client() as client:
            path = f"{CHECKS}/{client.check({'x.c': ENDLESS}).json['id']}"
            with server.events(path) as stream:
                client.call("DELETE", path)
                events = list(stream)
        assert [each.name for each in events] == ["done"]
        assert events[0].data["status"] == "cancelled"

    def test_of_no_check_are_none(self, fake: Server) -> None:
        reply = fake.get(f"{CHECKS}/{uuid.uuid4()}", Accept="text/event-stream")
        assert assert_refused(reply, 404) == "check not found"


class TestCancelling:
    def test_ends_what_runs_and_what_waits(self, server_on: ServerOn) -> None:
        server = server_on("fake", jobs=1, timeout="60s")
        with server.client() as client:
            running = client.check({"a.c": HELLO, "b.c": ENDLESS, "c.c": HELLO}).json["id"]
            waiting = client.check({"x.c": HELLO}).json["id"]
            until(lambda: client.call("GET", f"{CHECKS}/{running}").json["done"] == 1, 10)
            for each in (waiting, running):
                reply = client.call("DELETE", f"{CHECKS}/{each}")
                assert (reply.status, reply.json["status"]) == (200, "cancelled")
                assert_document(reply.json)
            server.wait_for(active_workers=0, queued_jobs=0)
            # What was answered before stays so.
            document = client.call("GET", f"{CHECKS}/{running}").json
            assert (document["status"], document["done"], document["summary"]["compiled"]) == ("cancelled", 1, 1)
            assert client.call("DELETE", f"{CHECKS}/{running}").json == document
            assert client.checked({"x.c": HELLO})["status"] == "done"

    def test_of_what_is_over_changes_nothing(self, fake: Server) -> None:
        with fake.client() as client:
            document = client.checked({"x.c": HELLO})
            reply = client.call("DELETE", f"{CHECKS}/{document['id']}")
        assert (reply.status, reply.json) == (200, document)

    @pytest.mark.sandbox
    def test_ends_the_compiler(self, server_on: ServerOn) -> None:
        server = server_on("sandbox", jobs=1, timeout="60s", memory="4GiB")
        with server.client() as client:
            check_id = client.check({"x.c": ENDLESS}).json["id"]
            server.wait_for(active_workers=1)
            below = until(lambda: processes_below(server.pid, "cc1"), 10)
            assert client.call("DELETE", f"{CHECKS}/{check_id}").json["status"] == "cancelled"
            server.wait_for(active_workers=0)
        until(lambda: not any(map(is_alive, below)), 10)

    @pytest.mark.parametrize("check_id", [str(uuid.UUID(int=0)), "nope", "%00", "%2e%2e", "x" * 5000])
    @pytest.mark.parametrize("method", ["GET", "DELETE"])
    def test_of_what_nobody_has_sent_is_not_found(self, fake: Server, method: str, check_id: str) -> None:
        reply = fake.call(method, f"{CHECKS}/{check_id}")
        assert assert_refused(reply, 404) == "check not found"


class TestOrder:
    """Each compile takes 150 ms, one at a time."""

    @pytest.fixture
    def server(self, server_on: ServerOn) -> Server:
        return server_on("fake", jobs=1, timeout="150ms", trusted_proxies="127.0.0.1")

    def test_of_who_waits_for_it_before_who_does_not(self, server: Server) -> None:
        with server.client() as client:
            for _ in range(15):
                client.check({"x.c": HANG}, priority="batch")
            before = server.statistics()["total_timeout"]
            mine = client.check({"x.c": HELLO}, priority="interactive").json["id"]
            assert client.finished(mine)["status"] == "done"
            assert server.statistics()["total_timeout"] <= before + 3

    def test_starves_nobody(self, server: Server) -> None:
        with server.client() as client:
            for _ in range(25):
                client.check({"x.c": HANG}, priority="interactive")
            mine = client.check({"x.c": HELLO}, priority="batch").json["id"]
            assert client.finished(mine)["status"] == "done"
            assert server.statistics()["queued_jobs"] >= 5

    def test_is_fair_among_clients(self, server: Server) -> None:
        with server.client() as client:
            for _ in range(15):
                self.sent(client, "192.0.2.1", {"x.c": HANG})
            before = server.statistics()["total_timeout"]
            mine = self.sent(client, "192.0.2.2", {"x.c": HELLO})
            assert client.finished(mine)["status"] == "done"
            assert server.statistics()["total_timeout"] <= before + 3

    def test_is_the_same_for_version_1(self, server: Server) -> None:
        document = {"code": encoded(HANG), "language": "c"}
        with server.client() as client:
            for _ in range(15):
                client.call("POST", "/api/v1/compile", document, X_Forwarded_For="192.0.2.1")
            before = server.statistics()["total_timeout"]
            document["code"] = encoded(HELLO)
            mine = client.call("POST", "/api/v1/compile", document, X_Forwarded_For="192.0.2.2").json["job_id"]
            assert client.result(mine)["compiled"]
            assert server.statistics()["total_timeout"] <= before + 3

    def test_of_one_large_check_holds_up_nobody(self, server: Server) -> None:
        with server.client() as client:
            self.sent(client, "192.0.2.1", {f"{number}.c": HANG for number in range(15)})
            mine = self.sent(client, "192.0.2.2", {"x.c": HELLO})
            before = server.statistics()["total_timeout"]
            assert client.finished(mine)["status"] == "done"
            assert server.statistics()["total_timeout"] <= before + 3

    def sent(self, client: Client, address: str, files: dict[str, str]) -> str:
        return str(client.call("POST", CHECKS, {"files": files}, X_Forwarded_For=address).json["id"])


class TestLimits:
    def test_may_be_less_than_those_of_the_server(self, fake: Server) -> None:
        with fake.client() as client:
            begin = time.monotonic()
            (result,) = client.checked({"x.c": ENDLESS}, limits={"wall_seconds": 0.2})["results"]
            assert time.monotonic() - begin < 5
            assert (result["verdict"], result["limit"]) == ("timeout", "wall")
            hungry = {"x.c": f"// fake: allocate {100 * 2**20}\n"}
            assert client.checked(hungry)["summary"]["compiled"] == 1
            (result,) = client.checked(hungry, limits={"memory_bytes": 50 * 2**20})["results"]
            assert (result["verdict"], result["limit"]) == ("out-of-memory", "memory")
            noisy = {"x.c": "// fake: stdout " + "x" * 5000}
            (result,) = client.checked(noisy, limits={"output_bytes": 1000})["results"]
            assert (result["verdict"], len(result["stdout"]), result["truncated"]) == ("output-limit", 1000, True)

    def test_are_never_more(self, server_on: ServerOn) -> None:
        server = server_on("fake", timeout="300ms", memory="64MiB", max_output="4KiB")
        told = server.get("/api/v2/toolchains").json["limits"]
        assert told == {"wall_seconds": 0.3, "memory_bytes": 64 * 2**20, "output_bytes": 4096}
        for name, source in (
            ("wall_seconds", ENDLESS),
            ("memory_bytes", f"// fake: allocate {65 * 2**20}\n"),
            ("output_bytes", "// fake: stderr " + "x" * 5000),
        ):
            begin = time.monotonic()
            document = {"files": {"x.c": source}, "limits": {name: told[name] * 100}, "wait": 20}
            reply = server.call("POST", CHECKS, document)
            assert time.monotonic() - begin < 5
            assert reply.status == 400 or reply.json["summary"]["compiled"] == 0, reply

    @pytest.mark.parametrize(
        "limits",
        [
            *({"wall_seconds": value} for value in (0, -1, "1", True, [])),
            *({"memory_bytes": value} for value in (0, -1, 1.5, "64MiB", 100)),
            *({"output_bytes": value} for value in (0, -1, 1.5)),
            {"processes": 10**6},
            {"cpus": 64},
            [],
            5,
        ],
        ids=json.dumps,
    )
    def test_that_are_none_are_refused(self, fake: Server, limits: object) -> None:
        assert_refused(fake.call("POST", CHECKS, {"files": {"x.c": HELLO}, "limits": limits}))

    def test_on_the_rate_are_those_of_version_1(self, server_on: ServerOn) -> None:
        server = server_on("fake", rate_limit=2)
        replies = [server.call("POST", CHECKS, {"files": {"x.c": HELLO}}) for _ in range(3)]
        assert [reply.status for reply in replies] == [202, 202, 429]
        assert assert_refused(replies[2], 429) == "Rate limit exceeded"
        assert int(replies[2].headers["Retry-After"]) >= 1

    def test_on_the_queue_count_each_compile(self, server_on: ServerOn) -> None:
        server = server_on("fake", jobs=1, queue_size=6, timeout="60s")
        with server.client() as client:
            running = client.check({"x.c": HANG}).json["id"]
            server.wait_for(active_workers=1)
            assert client.check({f"{number}.c": HELLO for number in range(2)}).status == 202
            reply = client.check({"a.c": HELLO, "b.c": HELLO})
            assert assert_refused(reply, 429) == "job queue is full, please try again later"
            assert int(reply.headers["Retry-After"]) >= 1
            assert client.check({"a.c": HELLO}).status == 202
            client.call("DELETE", f"{CHECKS}/{running}")
            until(lambda: client.check({"a.c": HELLO, "b.c": HELLO}).status == 202, 10)

    def test_on_the_queue_refuse_at_once_what_will_never_fit(self, server_on: ServerOn) -> None:
        server = server_on("fake", jobs=1, queue_size=8)
        with server.client() as client:
            assert client.check({f"{number}.c": HELLO for number in range(4)}).status == 202
            assert "5 compiles" in assert_refused(client.check({f"{number}.c": HELLO for number in range(5)}))

    def test_on_the_queue_leave_room_for_others(self, server_on: ServerOn) -> None:
        """Of what is free, nobody gets more than half."""
        server = server_on("fake", jobs=1, queue_size=8, timeout="60s", trusted_proxies="127.0.0.1")
        with server.client() as client:

            def sent(last: int) -> int:
                reply = client.call("POST", CHECKS, {"files": {"x.c": HANG}}, X_Forwarded_For=f"192.0.2.{last}")
                return reply.status

            assert sent(1) == 202
            server.wait_for(active_workers=1)
            assert [sent(1) for _ in range(6)] == [*[202] * 4, 429, 429]
            assert [sent(2) for _ in range(3)] == [202, 202, 429]
            assert [sent(3) for _ in range(2)] == [202, 429]
            assert server.get("/ready").status == 200
            assert sent(4) == 202
            assert server.get("/ready").status == 503


PATHS = [
    *(
        "",
        ".",
        "..",
        "/",
        "/etc/passwd.c",
        "../x.c",
        "a/../../x.c",
        "a/../x.c",
        "./x.c",
        "a//x.c",
        "a/",
        "a/.",
        "~/x.c/..",
    ),
    *("a\nb.c", "a\x00b.c", "a\x1b[31m.c", "\x7f.c", "a\rb.c", "a\tb.c", "\ud800.c", "x" * 300 + ".c"),
    *("/".join(["d"] * 2000) + "/x.c", "x.c\n"),
]


class TestRefused:
    @pytest.mark.parametrize("path", PATHS, ids=lambda path: ascii(path[:30]))
    @pytest.mark.parametrize("beside", [{}, {"ok.c": HELLO}], ids=["alone", "beside"])
    def test_paths_that_lead_elsewhere(self, fake: Server, path: str, beside: dict[str, str]) -> None:
        assert_refused(fake.call("POST", CHECKS, {"files": {path: HELLO, **beside}}))

    @pytest.mark.parametrize("files", [{"a": HELLO, "a/x.c": HELLO}, {"x.c": HELLO, "x.c/y.c": HELLO}])
    def test_paths_that_are_a_file_and_a_directory(self, fake: Server, files: dict[str, str]) -> None:
        assert_refused(fake.call("POST", CHECKS, {"files": files}))

    @pytest.mark.parametrize(
        "content",
        [
            5,
            None,
            True,
            [],
            {},
            {"base64": 5},
            {"base64": "!"},
            {"base64": "aW5"},
            {"base64": "", "text": ""},
            {"text": ""},
        ],
        ids=json.dumps,
    )
    def test_contents_that_are_none(self, fake: Server, content: object) -> None:
        assert_refused(fake.call("POST", CHECKS, {"files": {"x.c": content}}))

    @pytest.mark.parametrize(
        "document",
        [
            *({}, [], None, "x", {"files": {}}, {"files": []}, {"files": None}, {"files": {"README": "text"}}),
            {"files": {"x.h": HELLO}},
            *(
                {"files": {"x.c": HELLO}, name: value}
                for name, value in (
                    *(("unknown", 1), ("Files", {}), ("wait", "x"), ("priority", "urgent"), ("priority", 1)),
                    *(("sources", ["y.c"]), ("sources", ["../x.c"]), ("sources", "x.c"), ("sources", ["/etc/passwd"])),
                    *(("language", "cobol"), ("language", 1), ("toolchains", "gcc-13"), ("toolchains", [1])),
                    *(("toolchains", ["gcc-13; rm"]), ("toolchains", ["tcc"]), ("toolchains", ["../gcc"])),
                    *(("toolchains", ["rustc"]), ("standards", ["c++99"]), ("standards", [""]), ("standards", "c17")),
                    *(("include_dirs", ["/etc"]), ("include_dirs", [".."]), ("include_dirs", ["a/../../b"])),
                    *(("include_dirs", ["a\n"]), ("defines", ["1=2"]), ("defines", ["-X"]), ("defines", [1])),
                    *(("link", "yes"), ("link", 1), ("flags", "-O2"), ("warnings", ["all; rm"])),
                )
            ),
        ],
        ids=lambda document: json.dumps(document)[-50:],
    )
    def test_documents_that_are_wrong(self, fake: Server, document: object) -> None:
        body = json.dumps(document).encode()
        assert_refused(fake.call("POST", CHECKS, body=body, Content_Type="application/json"))

    @pytest.mark.parametrize(
        "body", [b"", b"{", b"[]", b'{"files": {"x.c": "\xff"}}', b'{"files": {}} x', b"[" * 10**5]
    )
    def test_what_is_no_document(self, fake: Server, body: bytes) -> None:
        assert_refused(fake.call("POST", CHECKS, body=body, Content_Type="application/json"))

    @pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded"])
    def test_another_content_type(self, fake: Server, content_type: str) -> None:
        body = json.dumps({"files": {"x.c": HELLO}}).encode()
        assert_refused(fake.call("POST", CHECKS, body=body, Content_Type=content_type), 415)

    @pytest.mark.parametrize(
        "flag",
        [
            *("-fplugin=x.so", "-wrapper", "-B/tmp", "@x", "-o/tmp/x", "-o", "-I/etc", "-include/etc/passwd", "-x"),
            *("--sysroot=/", "-specs=x", "-Wl,-plugin,x", "-Xlinker", "-save-temps", "-", "x.c", "", "-D\x00"),
        ],
    )
    def test_flags_that_nobody_has_looked_at(self, fake: Server, flag: str) -> None:
        reply = fake.call("POST", CHECKS, {"files": {"x.c": HELLO}, "flags": [flag]})
        assert_refused(reply)
        if reply.json.get("asked") or flag.isprintable():
            assert {"asked", "obstacle", "remedy"} <= set(reply.json), reply

    def test_leaves_nothing_in_the_queue(self, fake: Server) -> None:
        before = fake.statistics()["total_processed"]
        for document in ({"files": {"../x.c": HELLO}}, {"files": {"x.c": HELLO}, "flags": ["-fplugin=x"]}):
            assert_refused(fake.call("POST", CHECKS, document))
        told = fake.statistics()
        assert (told["queued_jobs"], told["total_processed"]) == (0, before)

    def test_too_many_compiles_at_once(self, fake: Server) -> None:
        """No matrix is larger than the queue is long."""
        files = {f"{number}.c": HELLO for number in range(400)}
        reply = fake.call("POST", CHECKS, {"files": files, "toolchains": ["gcc", "clang"], "standards": ["c11", "c17"]})
        assert reply.status in {400, 413, 429}, reply.status


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", f"{CHECKS}/x", {"GET", "DELETE"}),
        ("POST", f"{CHECKS}/x", {"GET", "DELETE"}),
        ("GET", CHECKS, {"POST"}),
        ("DELETE", "/api/v2/toolchains", {"GET"}),
        ("POST", "/ready", {"GET"}),
        ("POST", "/metrics", {"GET"}),
        ("POST", "/openapi.json", {"GET"}),
        ("POST", "/", {"GET"}),
    ],
)
def test_routes_say_which_methods_they_take(fake: Server, method: str, path: str, allowed: set[str]) -> None:
    reply = fake.call(method, path)
    assert assert_refused(reply, 405) == "Method Not Allowed"
    assert set(reply.headers["Allow"].replace(" ", "").split(",")) - {"HEAD", "OPTIONS"} == allowed
