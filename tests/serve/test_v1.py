"""Version 1 of the API, to the letter, over a real socket: clients of the system before this one rely on it.

What does not depend on who compiles is tried on the fake backend, which is quick; the rest on each real one.
"""

from __future__ import annotations

import json
import re
import shutil
import time
import uuid
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from typing import TYPE_CHECKING, Any

import pytest

from tests.conftest import say_unavailable
from tests.serve.harness import Place, Server, encoded, until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.serve.harness import Reply

    ServerOn = Callable[..., Server]

COMPILE = "/api/v1/compile"
HELLO = "int main() { return 0; }\n"
PROGRAMS = {
    "c": "int main(void) { return 0; }\n",
    "cpp": "#include <vector>\nint main() { return static_cast<int>(std::vector<int>{}.size()); }\n",
    "c++": HELLO,
    "go": 'package main\n\nimport "fmt"\n\nfunc main() { fmt.Println("hello") }\n',
    "rust": 'fn main() { println!("hello"); }\n',
}
WRONG = {
    "c": "int main(void) { return nowhere; }\n",
    "cpp": "int main() { return nowhere; }\n",
    "c++": "int main() { return nowhere; }\n",
    "go": "package main\n\nfunc main() { nowhere() }\n",
    "rust": "fn main() { nowhere(); }\n",
}
ENDLESS = """\
// fake: hang
#if __INCLUDE_LEVEL__ < 150
#include __FILE__
#include __FILE__
#endif
"""
HUNGRY = f"#define TWICE(x) x x\nint a = {'TWICE(' * 40} 1 {')' * 40};\n"
"""A macro argument that doubles 40 times: it would take 2^40 tokens."""

RESULT = ("job_id", "success", "compiled", "stdout", "stderr", "exit_code", "duration")
"""What each result has, and `error` where there is one."""

COUNTS = (
    *("max_workers", "active_workers", "available_slots", "queued_jobs", "total_processed", "total_successful"),
    *("total_failed", "total_timeout", "total_errors", "uptime_seconds"),
)


def post(server: Server, body: bytes, content_type: str | None = "application/json") -> Reply:
    with server.client() as client:
        headers = {} if content_type is None else {"Content_Type": content_type}
        return client.call("POST", COMPILE, body=body, **headers)


def assert_json(reply: Reply, status: int) -> None:
    assert reply.status == status, reply
    assert reply.headers.get_all("Content-Type") == ["application/json"]
    assert reply.headers["Vary"] == "Origin"
    assert reply.headers["Access-Control-Allow-Origin"] == "*"


def assert_error(reply: Reply, status: int, message: str) -> None:
    assert_json(reply, status)
    assert reply.json == {"message": message}


def assert_told(told: dict[str, Any], error: str | None = None) -> None:
    """That a result has the fields of one, of their types, and this error or none."""
    assert tuple(told) == (RESULT if error is None else (*RESULT, "error")), told
    assert uuid.UUID(told["job_id"]).version == 4
    kinds = {name: type(told[name]) for name in RESULT[1:]}
    assert list(kinds.values()) == [bool, bool, str, str, int, int], kinds
    assert told.get("error") == error


class TestHealth:
    def test_says_when(self, fake: Server) -> None:
        reply = fake.get("/health")
        assert_json(reply, 200)
        assert list(reply.json) == ["status", "time"]
        assert reply.json["status"] == "healthy"
        # RFC 3339, by its own grammar: Python takes more than that.
        shape = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)"
        assert re.fullmatch(shape, reply.json["time"])
        assert abs(datetime.fromisoformat(reply.json["time"]) - datetime.now(UTC)) < timedelta(minutes=1)


class TestEnvironments:
    def test_of_the_fake_backend_are_all_of_it(self, fake: Server) -> None:
        reply = fake.get("/api/v1/environments")
        assert_json(reply, 200)
        where = {"oses": ["linux"], "architectures": ["x86_64"]}
        c = {"standards": ["c99", "c11", "c17"], **where}
        cpp = {"standards": ["c++11", "c++14", "c++17", "c++20"], **where}
        assert reply.json == [
            {"language": "c", "compilers": ["gcc-13", "clang-19"], **c},
            {"language": "cpp", "compilers": ["gcc-13", "clang-19"], **cpp},
            {"language": "go", "compilers": ["go-1.24"], **where},
            {"language": "rust", "compilers": ["rustc-1.85"], **where},
        ]
        keys = ["language", "compilers", "standards", "oses", "architectures"]
        assert [list(each) for each in reply.json] == [keys, keys, *[[key for key in keys if key != "standards"]] * 2]

    def test_are_those_that_the_backend_has(self, real: Server) -> None:
        reply = real.get("/api/v1/environments")
        assert_json(reply, 200)
        toolchains = real.get("/api/v2/toolchains").json["toolchains"]
        names = {"cpp": "c++"}
        assert reply.json
        for each in reply.json:
            language = names.get(each["language"], each["language"])
            have = [toolchain["name"] for toolchain in toolchains if language in toolchain["languages"]]
            assert each["compilers"] == have
            assert ("standards" in each) == (each["language"] in {"c", "cpp"})
            assert (each["oses"], each["architectures"]) == (["linux"], ["x86_64"])
        languages = [each["language"] for each in reply.json]
        assert languages == sorted(languages)
        assert {"c", "cpp"} <= set(languages) <= {"c", "cpp", "go", "rust"}

    def test_are_in_the_same_order_each_time(self, real: Server) -> None:
        assert len({real.get("/api/v1/environments").body for _ in range(3)}) == 1


class TestSubmission:
    def test_is_accepted(self, fake: Server) -> None:
        reply = fake.call("POST", COMPILE, {"code": encoded(HELLO), "language": "cpp"})
        assert_json(reply, 202)
        assert list(reply.json) == ["job_id", "status"]
        assert reply.json["status"] == "queued"
        assert str(uuid.UUID(reply.json["job_id"])) == reply.json["job_id"]
        assert uuid.UUID(reply.json["job_id"]).version == 4

    @pytest.mark.parametrize(
        "body",
        [
            *(b"", b" ", b"null", b"true", b"5", b'"code"', b"[]", b"[{}]", b"{", b"}", b"{]", b"nonsense"),
            *(b'{"code": "aW50", "language": "c"', b'{"code": "aW50", "language": "c', b'{"code": "aW50" "language"}'),
            b'{"code": "aW50", "language": "c"} trailing',
            b'{"code": "aW50", "language": "c"}{}',
            b"{'code': 'aW50', 'language': 'c'}",
            b'{"code": "\xff\xfe", "language": "c"}',
            b'{"code": "aW50", "language": "\xc3"}',
            b"[" * 100_000,
            b'{"code": ' * 50_000,
        ],
        ids=lambda body: repr(body[:40]),
    )
    def test_that_is_no_object_is_refused(self, fake: Server, body: bytes) -> None:
        assert_error(post(fake, body), 400, "invalid request body")

    @pytest.mark.parametrize("field", ["code", "language", "compiler", "standard", "architecture", "os"])
    @pytest.mark.parametrize("value", [5, 1.5, True, [], ["c"], {}], ids=json.dumps)
    def test_with_a_field_of_another_type_is_refused(self, fake: Server, field: str, value: object) -> None:
        document = {"code": encoded(HELLO), "language": "cpp", field: value}
        assert_error(fake.call("POST", COMPILE, document), 400, "invalid request body")

    @pytest.mark.parametrize(
        "content_type",
        [
            *(None, "", "text/plain", "text/json", "application/jsonx", "application/x-www-form-urlencoded"),
            *("multipart/form-data; boundary=x", "*/*", "application/json, text/plain"),
        ],
    )
    def test_of_another_content_type_is_refused(self, fake: Server, content_type: str | None) -> None:
        body = json.dumps({"code": encoded(HELLO), "language": "cpp"}).encode()
        assert_error(post(fake, body, content_type), 400, "invalid request body")

    @pytest.mark.parametrize("content_type", ["application/json; charset=utf-8", "Application/JSON;charset=UTF-8"])
    def test_may_name_its_character_set(self, fake: Server, content_type: str) -> None:
        body = json.dumps({"code": encoded(HELLO), "language": "cpp"}).encode()
        assert_json(post(fake, body, content_type), 202)

    def test_may_have_fields_that_nobody_knows(self, fake: Server) -> None:
        more = {"flags": ["-O2"], "version": 7, "job_id": "mine", "": {}}
        assert_told(fake.compiled(HELLO, **more))

    def test_may_have_fields_that_are_null_or_empty(self, fake: Server) -> None:
        for nothing in (None, ""):
            more = dict.fromkeys(("compiler", "standard", "architecture", "os"), nothing)
            told = fake.compiled(HELLO, **more)
            assert_told(told)
            assert told["compiled"] is True

    @pytest.mark.parametrize("how", ["told", "chunked"])
    def test_that_is_too_large_is_refused(self, server_on: ServerOn, how: str) -> None:
        server = server_on("fake", max_body="4KiB")
        body = json.dumps({"code": encoded(b" " * 8192), "language": "cpp"}).encode()
        head = b"POST /api/v1/compile HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        if how == "told":
            sent = head + b"Content-Length: %d\r\n\r\n" % len(body) + body
        else:
            sent = head + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
        answer = server.raw(sent)
        assert answer.startswith(b"HTTP/1.1 413 ")
        assert b"\r\ncontent-type: application/json\r\n" in answer.lower()
        assert json.loads(answer.partition(b"\r\n\r\n")[2]) == {"message": "request body too large"}
        assert_told(server.compiled(HELLO))

    def test_up_to_a_megabyte_is_taken(self, fake: Server) -> None:
        code = HELLO + " " * (2**20 - len(HELLO))
        assert fake.compiled(code)["compiled"] is True


class TestLimits:
    def test_on_the_rate_is_told_with_when_to_come_back(self, server_on: ServerOn) -> None:
        server = server_on("fake", rate_limit=3)
        replies = [server.call("POST", COMPILE, {"code": encoded(HELLO), "language": "c"}) for _ in range(4)]
        assert [reply.status for reply in replies] == [202, 202, 202, 429]
        assert_error(replies[3], 429, "Rate limit exceeded")
        assert 1 <= int(replies[3].headers["Retry-After"]) <= 20
        # Who waits for results asks often.
        path = f"{COMPILE}/{replies[0].json['job_id']}"
        assert [server.get(path).status for _ in range(10)] == [200] * 10
        assert server.get("/health").status == 200

    def test_is_ten_a_minute_where_nobody_says_otherwise(self, server_on: ServerOn) -> None:
        server = server_on("fake", rate_limit=None)
        replies = [server.call("POST", COMPILE, {"code": encoded(HELLO), "language": "c"}) for _ in range(11)]
        assert [reply.status for reply in replies] == [*[202] * 10, 429]

    def test_on_the_queue_is_told_with_when_to_come_back(self, server_on: ServerOn) -> None:
        server = server_on("fake", jobs=1, queue_size=1)
        with server.client() as client:
            running = client.submit(ENDLESS)
            server.wait_for(active_workers=1)
            waiting = client.submit(HELLO)
            reply = client.call("POST", COMPILE, {"code": encoded(HELLO), "language": "c"})
            assert_error(reply, 429, "job queue is full, please try again later")
            assert int(reply.headers["Retry-After"]) >= 1
            for job_id, status in ((running, "processing"), (waiting, "queued")):
                told = client.call("GET", f"{COMPILE}/{job_id}")
                assert_json(told, 200)
                assert told.json == {"job_id": job_id, "status": status}
                assert list(told.json) == ["job_id", "status"]
        server.wait_for(max_workers=1, active_workers=1, available_slots=0, queued_jobs=1)


ALL_WRONG = {
    "code": "",
    "language": "cobol",
    "standard": "c++99",
    "architecture": "pdp-11",
    "os": "vms",
    "compiler": "tcc",
}
STEPS: tuple[tuple[dict[str, str], str], ...] = (
    ({}, "source code is required"),
    ({"code": "!" * (3 * 2**20)}, "invalid language: cobol"),
    ({"language": "go"}, "invalid standard: c++99"),
    ({"standard": ""}, "invalid architecture: pdp-11"),
    ({"architecture": "x86_64"}, "invalid OS: vms"),
    ({"os": "linux"}, "invalid compiler: tcc"),
    ({"compiler": "gcc-13"}, "source code too large (max 1MB)"),
    ({"code": "!!!"}, "invalid base64 encoding"),
    ({"code": encoded(HELLO)}, "unsupported environment: go with gcc-13"),
)
"""All is wrong at first. Each step mends what was told before, and so what is told next."""

CASES = list(
    zip(
        accumulate((mended for mended, _ in STEPS), lambda document, mended: document | mended, initial=ALL_WRONG),
        (error for _, error in ((None, None), *STEPS)),
        strict=True,
    )
)[1:]


class TestValidation:
    @pytest.mark.parametrize(("document", "error"), CASES, ids=[error for _, error in STEPS])
    def test_tells_the_first_thing_that_is_wrong(self, fake: Server, document: dict[str, str], error: str) -> None:
        with fake.client() as client:
            reply = client.call("POST", COMPILE, document)
            assert_json(reply, 202)
            told = client.result(reply.json["job_id"])
        assert_told(told, error)
        assert (told["success"], told["compiled"], told["exit_code"]) == (False, False, 0)
        assert (told["stdout"], told["stderr"]) == ("", "")

    @pytest.mark.parametrize("missing", ["code", "language"])
    def test_of_what_is_not_there_is_that_of_what_is_empty(self, fake: Server, missing: str) -> None:
        errors = {"code": "source code is required", "language": "invalid language: "}
        full = {"code": encoded(HELLO), "language": "cpp"}
        without = {name: value for name, value in full.items() if name != missing}
        for document in (without, {**full, missing: ""}, {**full, missing: None}):
            with fake.client() as client:
                told = client.result(client.call("POST", COMPILE, document).json["job_id"])
            assert_told(told, errors[missing])

    @pytest.mark.parametrize(
        ("field", "value", "error"),
        [
            ("language", "C", "invalid language: C"),
            ("language", "c++\r\n\x1b[31m\u2028\u00e9", "invalid language: c++\r\n\x1b[31m\u2028\u00e9"),
            ("language", "python", "invalid language: python"),
            ("compiler", "gcc-13; rm", "invalid compiler: gcc-13; rm"),
            ("standard", "c++2", "invalid standard: c++2"),
            ("architecture", "X86_64", "invalid architecture: X86_64"),
            ("os", "Linux", "invalid OS: Linux"),
            ("compiler", "go-1.24", "unsupported environment: cpp with go-1.24"),
            ("compiler", "gcc-9", "unsupported environment: cpp with gcc-9"),
            *(
                ("code", code, "invalid base64 encoding")
                for code in ("a", "aW50IHg", "aW50IHg7=", "aW50 IHg7", "aW50-_==")
            ),
            ("code", encoded(b" " * (2**21)), "source code too large (max 1MB)"),
        ],
        ids=lambda case: repr(case[:40]),
    )
    def test_repeats_what_it_was_given(self, fake: Server, field: str, value: str, error: str) -> None:
        document = {"code": encoded(HELLO), "language": "c++", field: value}
        with fake.client() as client:
            told = client.result(client.call("POST", COMPILE, document).json["job_id"])
        assert_told(told, error)

    @pytest.mark.sandbox
    def test_knows_languages_that_this_backend_has_not(self, place: Callable[[str], Place], tmp_path: Path) -> None:
        """Where the only compiler is gcc."""
        programs = tmp_path / "programs"
        programs.mkdir()
        for name in ("gcc", "g++", "as", "ld", "cc1", "bwrap"):
            if found := shutil.which(name):
                (programs / name).symlink_to(found)
        there = place("sandbox")
        server = Server(
            there._replace(environment={**there.environment, "PATH": str(programs), "HOME": str(programs)}), tmp_path
        ).start()
        try:
            assert_told(server.compiled("fn main() {}", "rust"), "unsupported language: rust")
            assert "rust" not in {each["language"] for each in server.get("/api/v1/environments").json}
        finally:
            server.close()


class TestResult:
    @pytest.mark.parametrize("language", PROGRAMS)
    def test_of_a_program_that_compiles(self, real: Server, language: str) -> None:
        skip_unless_offered(real, language)
        told = real.compiled(PROGRAMS[language], language)
        assert_told(told)
        assert (told["success"], told["compiled"], told["exit_code"]) == (True, True, 0), told
        # A compile takes more than a millisecond and less than two minutes, in nanoseconds.
        assert 10**6 < told["duration"] < 120 * 10**9

    @pytest.mark.parametrize("language", WRONG)
    def test_of_a_program_that_does_not(self, real: Server, language: str) -> None:
        skip_unless_offered(real, language)
        told = real.compiled(WRONG[language], language)
        assert_told(told)
        assert (told["success"], told["compiled"]) == (True, False)
        assert told["exit_code"] > 0
        assert "nowhere" in told["stderr"]
        assert told["stdout"] == ""
        assert told["duration"] > 10**6

    def test_is_of_the_compiler_and_the_standard_that_were_asked_for(self, real: Server) -> None:
        environments = {each["language"]: each for each in real.get("/api/v1/environments").json}
        for compiler in environments["cpp"]["compilers"][:3]:
            family, _, version = compiler.partition("-")
            macro = {"gcc": "__GNUC__", "clang": "__clang_major__"}[family]
            code = f"static_assert({macro} == {version});\nstatic_assert(__cplusplus == 201402L);\nint main() {{}}\n"
            # A static_assert without a message is of C++17, which both take with a warning.
            told = real.compiled(code, "cpp", compiler=compiler, standard="c++14")
            assert (told["success"], told["compiled"]) == (True, True), told
            assert "error" not in told
            assert not real.compiled(code, "cpp", compiler=compiler, standard="c++17")["compiled"]

    def test_has_warnings_of_what_compiles(self, real: Server) -> None:
        told = real.compiled("#warning careful\nint main(void) { return 0; }\n", "c")
        assert_told(told)
        assert (told["compiled"], told["exit_code"]) == (True, 0)
        assert "careful" in told["stderr"]

    def test_keeps_the_streams_apart(self, fake: Server) -> None:
        told = fake.compiled("// fake: stdout one\n// fake: stderr two\n// fake: exit 1\n")
        assert_told(told)
        assert (told["stdout"], told["stderr"], told["exit_code"]) == ("one\n", "two\n", 1)
        assert (told["success"], told["compiled"]) == (True, False)
        assert told["duration"] > 0

    def test_is_the_same_each_time(self, fake: Server) -> None:
        with fake.client() as client:
            job_id = client.submit("// fake: stderr once\n")
            client.result(job_id)
            replies = [client.call("GET", f"{COMPILE}/{job_id}") for _ in range(3)]
        assert_json(replies[0], 200)
        assert len({reply.body for reply in replies}) == 1
        assert replies[0].json["job_id"] == job_id

    @pytest.mark.parametrize("end", ["\r\n", "\n", "\r"], ids=repr)
    def test_of_base64_in_lines(self, real: Server, end: str) -> None:
        """As PEM and MIME write it; Go's decoder passes over both characters."""
        code = encoded("int main() { return 0; }\n" * 1 + "// " + "x" * 300)
        lines = end.join(code[at : at + 60] for at in range(0, len(code), 60)) + end
        with real.client() as client:
            reply = client.call("POST", COMPILE, {"code": lines, "language": "cpp"})
            told = client.result(reply.json["job_id"])
        assert_told(told)
        assert told["compiled"] is True

    def test_of_a_source_that_is_no_text(self, real: Server) -> None:
        told = real.compiled(b"int main() { \xff\xfe }\n", "cpp")
        assert_told(told)
        assert (told["success"], told["compiled"]) == (True, False)

    def test_of_one_that_is_no_source_at_all(self, real: Server) -> None:
        told = real.compiled(b"\x7fELF\0\0", "cpp")
        assert_told(told, "it is binary: it contains NUL bytes")
        assert (told["success"], told["compiled"]) == (False, False)

    def test_of_one_that_takes_too_long(self, server_on: ServerOn, real_backend: str) -> None:
        told = server_on(real_backend, timeout="1s").compiled(ENDLESS, "c")
        assert_told(told, "compilation timeout")
        assert told["compiled"] is False
        assert 10**9 <= told["duration"] < 30 * 10**9

    def test_of_one_that_takes_too_much_memory(self, server_on: ServerOn, real_backend: str) -> None:
        told = server_on(real_backend, timeout="120s", memory="128MiB").compiled(HUNGRY, "c")
        assert_told(told, told.get("error", ""))
        assert told["compiled"] is False
        assert "memory" in told["error"]

    @pytest.mark.parametrize(
        ("how", "error"),
        [
            ("hang", "compilation timeout"),
            ("allocate 1099511627776", "memory"),
            ("nonsense", "compilation failed: "),
            ("crash 11", "crash"),
        ],
    )
    def test_that_is_not_the_fault_of_the_source_says_so(self, server_on: ServerOn, how: str, error: str) -> None:
        server = server_on("fake", timeout="200ms")
        told = server.compiled(f"// fake: {how}\n")
        assert_told(told, told.get("error", ""))
        assert error in told["error"]
        assert told["compiled"] is False
        if error == "compilation failed: ":
            assert told["success"] is False
            assert told["error"].startswith(error)
        assert server.statistics()["total_failed"] == 0


def skip_unless_offered(server: Server, language: str) -> None:
    offered = {each["language"] for each in server.get("/api/v1/environments").json}
    if {"c++": "cpp"}.get(language, language) not in offered:
        say_unavailable("sandbox", f"there is no compiler for {language}", "install one")


class TestJobs:
    @pytest.mark.parametrize(
        "job_id",
        [
            *("00000000-0000-4000-8000-000000000000", "nope", "1", "%00", "%2e%2e", "caf%C3%A9", "%ff"),
            *("x" * 5000, "' OR 1=1 --".replace(" ", "%20"), "$(reboot)"),
        ],
    )
    def test_that_nobody_has_submitted_are_not_found(self, fake: Server, job_id: str) -> None:
        assert_error(fake.get(f"{COMPILE}/{job_id}"), 404, "job not found")


class TestStatistics:
    def test_are_whole_numbers_and_two_times(self, fake: Server) -> None:
        reply = fake.get("/api/v1/workers/stats")
        assert_json(reply, 200)
        told = reply.json
        assert list(told) == [*COUNTS[:-1], "uptime", "uptime_seconds", "start_time"]
        assert all(type(told[name]) is int and told[name] >= 0 for name in COUNTS)
        assert told["available_slots"] == told["max_workers"] - told["active_workers"]
        assert re.fullmatch(r"((\d+d )?\d+h )?(\d+m )?\d+s", told["uptime"])
        since = datetime.now(UTC) - datetime.fromisoformat(told["start_time"])
        assert abs(since.total_seconds() - told["uptime_seconds"]) < 5

    def test_count_each_job_once_and_by_how_it_ended(self, server_on: ServerOn) -> None:
        server = server_on("fake", jobs=3, timeout="200ms")
        assert server.statistics()["max_workers"] == 3
        assert {name: server.statistics()[name] for name in COUNTS if name.startswith("total")} == {
            name: 0 for name in COUNTS if name.startswith("total")
        }
        for code in (HELLO, HELLO, "// fake: exit 1\n", ENDLESS, "// fake: nonsense\n"):
            server.compiled(code)
        server.compiled(HELLO, compiler="tcc")
        told = until(lambda: each if (each := server.statistics())["total_processed"] == 6 else None, 5)
        assert (told["total_successful"], told["total_failed"]) == (2, 1)
        assert (told["total_timeout"], told["total_errors"]) == (1, 2)
        assert (told["active_workers"], told["available_slots"], told["queued_jobs"]) == (0, 3, 0)


class TestRoutes:
    @pytest.mark.parametrize("path", ["/nothing", "/api", "/api/v1", "/api/v1/nothing", "/api/v3/compile", "/health/x"])
    @pytest.mark.parametrize("method", ["GET", "POST"])
    def test_that_nobody_knows_are_not_found(self, fake: Server, method: str, path: str) -> None:
        assert_error(fake.call(method, path), 404, "Not Found")

    @pytest.mark.parametrize(
        ("method", "path", "allowed"),
        [
            ("POST", "/health", "GET"),
            ("DELETE", "/health", "GET"),
            ("GET", COMPILE, "POST"),
            ("PUT", COMPILE, "POST"),
            ("DELETE", f"{COMPILE}/x", "GET"),
            ("POST", f"{COMPILE}/x", "GET"),
            ("POST", "/api/v1/environments", "GET"),
            ("PATCH", "/api/v1/workers/stats", "GET"),
        ],
    )
    def test_say_which_methods_they_take(self, fake: Server, method: str, path: str, allowed: str) -> None:
        reply = fake.call(method, path)
        assert_error(reply, 405, "Method Not Allowed")
        methods = set(reply.headers["Allow"].replace(" ", "").split(","))
        assert allowed in methods
        assert method not in methods
        assert methods <= {allowed, "HEAD", "OPTIONS"}

    @pytest.mark.parametrize(
        "path", [COMPILE, f"{COMPILE}/x", "/api/v1/environments", "/api/v1/workers/stats", "/health"]
    )
    def test_tell_browsers_what_is_allowed(self, fake: Server, path: str) -> None:
        headers = {"Access_Control_Request_Method": "POST", "Access_Control_Request_Headers": "content-type"}
        reply = fake.call("OPTIONS", path, Origin="https://example.org", **headers)
        assert (reply.status, reply.body) == (204, b"")
        assert reply.headers["Access-Control-Allow-Origin"] == "*"
        methods = set(reply.headers["Access-Control-Allow-Methods"].replace(" ", "").split(","))
        assert {"GET", "POST", "OPTIONS"} <= methods
        assert "content-type" in reply.headers["Access-Control-Allow-Headers"].lower()
        assert "Origin" in reply.headers["Vary"]

    def test_let_only_one_origin_in_where_that_is_set(self, server_on: ServerOn) -> None:
        server = server_on("fake", cors_origin="https://example.org")
        for origin in ("https://example.org", "https://example.com", ""):
            for path in ("/health", "/nothing", f"{COMPILE}/x"):
                reply = server.get(path, **({"Origin": origin} if origin else {}))
                assert reply.headers.get("Access-Control-Allow-Origin") in {"https://example.org", None}
                assert "Origin" in reply.headers["Vary"]
                if origin == "https://example.org":
                    assert reply.headers["Access-Control-Allow-Origin"] == origin

    def test_are_served_with_a_query_too(self, fake: Server) -> None:
        assert fake.get("/health?probe=1").status == 200

    def test_answer_a_kept_connection_at_once(self, fake: Server) -> None:
        """Not only when the other side has acknowledged the head of an answer, which takes 40 ms."""
        with fake.client() as client:
            begin = time.monotonic()
            for _ in range(50):
                assert client.call("GET", "/health").status == 200
            assert time.monotonic() - begin < 1
