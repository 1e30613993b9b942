"""Limits on connections, by real ones to a uvicorn in a thread."""

from __future__ import annotations

import asyncio
import contextlib
import json
import select
import socket
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
import uvicorn
from starlette.requests import ClientDisconnect, Request

from willitcompile.server.bodies import BODY, BodyLimit
from willitcompile.server.metrics import REASONS
from willitcompile.server.protocol import ConnectionLimits, protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SOON = 5.0
"""Seconds within which all is to happen that has no time limit."""
LIMITS = ConnectionLimits(headers_seconds=0.4, body_seconds=0.5, header_bytes=4096, connections=20)
KEEP_ALIVE = 1
LARGE = 8 << 20


class App:
    """`/` tells the body's length, `/large` is a large answer, `/early` answers before it has the body, `/stream` says
    something and then waits for the client to go; `/hold` waits to be let go."""

    def __init__(self) -> None:
        self.disconnects = 0
        self.finished = 0
        self.holding = 0
        self.let_go = threading.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        try:
            await self._answer(scope, receive, send)
        except ClientDisconnect:
            self.disconnects += 1
            raise
        finally:
            self.finished += 1

    async def _answer(self, scope: Any, receive: Any, send: Any) -> None:
        body = b"" if scope["path"] in {"/early", "/stream"} else await Request(scope, receive).body()
        content = b"x" * LARGE if scope["path"] == "/large" else str(len(body)).encode()
        self.holding += scope["path"] == "/hold"
        while scope["path"] == "/hold" and not self.let_go.is_set():
            await asyncio.sleep(0.01)
        length = [] if scope["path"] == "/stream" else [(b"content-length", str(len(content)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": length})
        if scope["path"] == "/stream":
            await send({"type": "http.response.body", "body": b"hello", "more_body": True})
            while (await receive())["type"] != "http.disconnect":
                pass
            self.disconnects += 1
        await send({"type": "http.response.body", "body": content})


class Serving:
    def __init__(
        self, limits: ConnectionLimits = LIMITS, max_bytes: int = 1 << 20, budget_bytes: int = 2 << 20
    ) -> None:
        self.app = App()
        self.refused: list[str] = []
        self.limit = BodyLimit(self.app, max_bytes, budget_bytes, self.refused.append)
        config = uvicorn.Config(
            self.limit,
            http=protocol(limits, self.refused.append),
            loop="asyncio",
            lifespan="off",
            log_config=None,
            timeout_keep_alive=60 if limits.headers_seconds == 60 else KEEP_ALIVE,
        )
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self.server.run, args=([self._listener],))
        self._thread.start()
        until(lambda: self.server.started)

    def connect(self, sent: bytes = b"", buffer: int | None = None) -> socket.socket:
        client = socket.socket()
        if buffer:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        client.settimeout(SOON)
        client.connect(self._listener.getsockname())
        client.sendall(sent)
        return client

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        loop: asyncio.AbstractEventLoop = self.server.servers[0].get_loop()
        return loop

    @property
    def connections(self) -> int:
        return len(self.server.server_state.connections)

    def close(self) -> None:
        self.app.let_go.set()
        self.server.should_exit = True
        self._thread.join(10)
        assert not self._thread.is_alive()


@pytest.fixture(scope="module")
def shared() -> Iterator[Serving]:
    """For what leaves no trace in it."""
    with contextlib.closing(Serving()) as server:
        yield server


@pytest.fixture
def patient() -> Iterator[Serving]:
    """In which nothing is late."""
    with contextlib.closing(Serving(LIMITS._replace(headers_seconds=60, body_seconds=60))) as server:
        yield server


@pytest.fixture
def serving() -> Iterator[Serving]:
    with contextlib.closing(Serving()) as server:
        yield server


def until(what: Callable[[], object], seconds: float = SOON) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def get(path: str = "/", *headers: str) -> bytes:
    return "\r\n".join([f"GET {path} HTTP/1.1", "Host: x", *headers, "", ""]).encode()


def post(body: bytes, path: str = "/", length: int | None = None) -> bytes:
    return f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {length or len(body)}\r\n\r\n".encode() + body


def chunked(body: bytes, path: str = "/") -> bytes:
    return f"POST {path} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n".encode() + body


def one(client: socket.socket) -> tuple[int, dict[str, str], bytes]:
    """The next answer, read to its end and not beyond: status, headers in small letters, body."""
    text = b""
    while b"\r\n\r\n" not in text:
        more = client.recv(1)
        assert more, f"the connection ended after {text!r}"
        text += more
    first, *lines = text.decode().split("\r\n")[:-2]
    headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
    body = b""
    while len(body) < int(headers["content-length"]):
        more = client.recv(int(headers["content-length"]) - len(body))
        assert more
        body += more
    return int(first.split()[1]), headers, body


def rest(client: socket.socket) -> bytes:
    """All that comes until the connection's end."""
    got = b""
    try:
        while more := client.recv(65536):
            got += more
    except ConnectionResetError:
        pass
    return got


def assert_refused(client: socket.socket, status: int, message: str) -> dict[str, str]:
    """With exactly that, and the connection's end."""
    got, headers, body = one(client)
    assert (got, json.loads(body)) == (status, {"message": message})
    assert headers["content-type"] == "application/json"
    assert headers["connection"] == "close"
    assert rest(client) == b""
    return headers


# Heads.


def test_a_connection_that_says_nothing_is_closed_without_a_word(shared: Serving) -> None:
    began = time.monotonic()
    with shared.connect() as client:
        assert rest(client) == b""
    assert LIMITS.headers_seconds * 0.9 < time.monotonic() - began < LIMITS.headers_seconds + 1


def test_a_head_that_comes_too_slowly_is_refused(shared: Serving) -> None:
    began = time.monotonic()
    with shared.connect(b"GET / HTTP/1.1\r\n") as client:
        while not select.select([client], [], [], 0.02)[0]:
            with contextlib.suppress(OSError):
                client.send(b"x: y\r\n")
        assert_refused(client, 408, "request timeout")
    assert time.monotonic() - began < LIMITS.headers_seconds + 1


def test_a_further_request_s_head_has_its_time_from_its_first_byte(shared: Serving) -> None:
    with shared.connect(get()) as client:
        assert one(client)[0] == 200
        time.sleep(LIMITS.headers_seconds * 1.5)  # less than the connection may be idle
        client.sendall(get()[:10])
        began = time.monotonic()
        assert_refused(client, 408, "request timeout")
        assert LIMITS.headers_seconds * 0.9 < time.monotonic() - began < LIMITS.headers_seconds + 1


def test_a_connection_between_requests_is_closed_after_its_time(shared: Serving) -> None:
    with shared.connect(get()) as client:
        assert one(client)[0] == 200
        began = time.monotonic()
        assert rest(client) == b""
        assert KEEP_ALIVE * 0.9 < time.monotonic() - began < KEEP_ALIVE + 1


@pytest.mark.parametrize(
    "sent",
    [
        b"x" * 5000,
        b"GET /" + b"x" * 5000,
        get("/", "x: " + "y" * 5_000),
        get("/", "x: " + "y" * 30_000),
        get("/", "x: " + "y" * 300_000),
        get("/", *(f"x{number}: y" for number in range(5000))),
    ],
    ids=["garbage", "path", "header", "large header", "huge header", "headers"],
)
def test_a_head_that_is_too_large_is_refused(shared: Serving, sent: bytes) -> None:
    with shared.connect() as client:
        with contextlib.suppress(ConnectionError):
            client.sendall(sent)
        assert_refused(client, 431, "request headers too large")


@pytest.mark.parametrize(
    "sent",
    [
        b"\r\n\r\n",
        b"\x16\x03\x01\x02\x00",
        b"GET /\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/2.0\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nbad header\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: " + b"9" * 100 + b"\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        chunked(b"zz\r\n"),
        chunked(b"1\r\nabc\r\n"),
    ],
)
def test_what_is_no_request_is_refused(shared: Serving, sent: bytes, caplog: pytest.LogCaptureFixture) -> None:
    with shared.connect(sent) as client:
        assert_refused(client, 400, "bad request")
    assert not caplog.records  # nobody shall fill the log with it


@pytest.mark.parametrize("more", ["Upgrade: websocket", "Upgrade: h2c"])
def test_no_other_protocol_is_spoken(shared: Serving, more: str) -> None:
    with shared.connect(get("/", "Connection: Upgrade", more)) as client:
        assert one(client)[0] == 200


# Bodies.


@pytest.mark.parametrize("sent", [post(b"x" * 10, length=20), chunked(b"a\r\n0123456789\r\n")])
def test_a_body_that_comes_too_slowly_is_refused_and_its_handler_told(serving: Serving, sent: bytes) -> None:
    began = time.monotonic()
    with serving.connect(sent) as client:
        assert_refused(client, 408, "request timeout")
    assert LIMITS.body_seconds * 0.9 < time.monotonic() - began < LIMITS.body_seconds + 1
    until(lambda: serving.app.disconnects == 1)


def test_a_body_has_its_time_as_a_whole_however_often_something_comes(shared: Serving) -> None:
    began = time.monotonic()
    with shared.connect(chunked(b"")) as client:
        while not select.select([client], [], [], 0.02)[0]:
            with contextlib.suppress(OSError):
                client.send(b"1\r\nx\r\n")
        assert_refused(client, 408, "request timeout")
    assert time.monotonic() - began < LIMITS.body_seconds + 1


def test_a_request_whose_handler_takes_long_is_not_late(serving: Serving) -> None:
    with serving.connect(post(b"x" * 10, "/hold")) as client:
        time.sleep(max(LIMITS.headers_seconds, LIMITS.body_seconds, KEEP_ALIVE) * 1.5)
        serving.app.let_go.set()
        assert one(client)[2] == b"10"
        client.sendall(get())
        assert one(client)[0] == 200


@pytest.mark.parametrize("size", [(1 << 20) + 1, 1 << 40])
def test_a_body_that_is_announced_too_large_is_refused_at_once(serving: Serving, size: int) -> None:
    with serving.connect(post(b"", length=size)) as client:
        assert_refused(client, 413, "request body too large")
    assert serving.app.finished == 0


def test_who_sends_a_body_that_is_too_large_can_read_why_it_was_refused(shared: Serving) -> None:
    for _ in range(10):
        with shared.connect() as client:
            client.sendall(post(b"x" * (4 << 20)))
            assert_refused(client, 413, "request body too large")


def test_a_body_in_chunks_is_refused_once_it_is_too_large(serving: Serving) -> None:
    with serving.connect(chunked(b"")) as client:
        with contextlib.suppress(ConnectionError):
            for _ in range(64):
                client.sendall(b"8000\r\n" + b"x" * 0x8000 + b"\r\n")
        assert_refused(client, 413, "request body too large")
    until(lambda: serving.app.disconnects == 1)


def test_the_largest_body_is_not_too_large(shared: Serving) -> None:
    with shared.connect(post(b"x" * (1 << 20))) as client:
        assert one(client)[2] == b"%d" % (1 << 20)
        client.sendall(chunked(b"100000\r\n" + b"x" * (1 << 20) + b"\r\n0\r\n\r\n"))
        assert one(client)[2] == b"%d" % (1 << 20)


def test_large_bodies_that_never_end_shut_out_nobody(serving: Serving) -> None:
    hogs = [serving.connect(post(b"x" * 1_000_000, length=1_000_001)) for _ in range(2)]
    until(lambda: serving.limit._held > 2_000_000)
    with serving.connect(post(b"x" * 900_000, length=900_001)) as client:
        ready, _, _ = select.select(hogs, [], [], SOON)
        assert len(ready) == 1
        headers = assert_refused(ready[0], 503, "too much is being sent at once")
        assert headers["retry-after"] == "1"
        client.sendall(b"x")
        assert one(client)[2] == b"900001"
    until(lambda: serving.app.disconnects == 1)
    assert serving.refused == ["busy"]
    for hog in hogs:
        hog.close()
    until(lambda: serving.app.finished == 3)
    # And nothing is held any more.
    with serving.connect(post(b"x" * (1 << 20))) as client:
        assert one(client)[0] == 200


def test_a_body_counts_until_it_is_dealt_with(serving: Serving) -> None:
    held = [serving.connect(post(b"x" * 1_000_000, "/hold")) for _ in range(2)]
    until(lambda: serving.limit._held > 2_000_000 and not serving.limit._coming)
    with serving.connect(post(b"x" * 500_000)) as client:
        assert_refused(client, 503, "too much is being sent at once")
    serving.app.let_go.set()
    assert [one(each)[2] for each in held] == [b"1000000"] * 2
    for each in held:
        each.close()
    with serving.connect(post(b"x" * 500_000)) as client:
        assert one(client)[0] == 200
    assert serving.limit._held == 0


def test_a_body_that_is_needed_no_longer_does_not_count() -> None:
    """While its answer is waited for."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await Request(scope, receive).body()
        assert limit._held > 1000
        scope[BODY]()
        assert limit._held == 0
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": b"x" * 1000}

    async def send(message: object) -> None:
        pass

    limit = BodyLimit(app, 1000, 2000)
    asyncio.run(limit({"type": "http", "headers": []}, receive, send))
    assert limit._held == 0


def test_what_is_only_announced_takes_no_room(serving: Serving) -> None:
    silent = [serving.connect(post(b"", length=1 << 20)) for _ in range(10)]
    with serving.connect(post(b"x" * (1 << 20))) as client:
        assert one(client)[0] == 200
    for each in silent:
        each.close()


def test_an_answer_before_the_body_is_there_leaves_the_connection_good(shared: Serving) -> None:
    with shared.connect(post(b"x" * 10, "/early", length=20)) as client:
        assert one(client)[0] == 200
        client.sendall(b"y" * 10 + get())
        assert one(client)[0] == 200
        assert rest(client) == b""  # and it is idle, not forgotten


@pytest.mark.parametrize("size", [1 << 20, 100], ids=["large", "small"])
def test_a_body_that_nobody_reads_ends_the_connection(serving: Serving, size: int) -> None:
    """At once where it is large, and after its time where it does not come."""
    with serving.connect(chunked(b"", "/early")) as client:
        assert one(client)[0] == 200
        with contextlib.suppress(ConnectionError):
            client.sendall(b"%x\r\n" % size + b"x" * size)
        began = time.monotonic()
        assert rest(client) == b""
        assert time.monotonic() - began < LIMITS.body_seconds + 1
    assert serving.connections == 0 or until(lambda: serving.connections == 0) is None


def test_the_least_chunks_hold_up_nobody(serving: Serving) -> None:
    stop = threading.Event()

    def send() -> None:
        while not stop.is_set():
            with serving.connect(chunked(b"")) as client, contextlib.suppress(OSError):
                while not stop.is_set():
                    client.sendall(b"1\r\nx\r\n" * 10_000)

    thread = threading.Thread(target=send)
    thread.start()
    try:
        for _ in range(20):
            began = time.monotonic()
            with serving.connect(get()) as client:
                assert one(client)[0] == 200
            assert time.monotonic() - began < 1
    finally:
        stop.set()
        thread.join()


# Answers.


def test_an_answer_that_nobody_reads_is_given_up(serving: Serving) -> None:
    with serving.connect(get("/large"), buffer=4096):
        until(lambda: serving.app.finished == 1)
        assert serving.connections == 1
        until(lambda: serving.connections == 0, LIMITS.body_seconds * 2 + 1)


def test_an_answer_that_is_read_slowly_comes_whole(shared: Serving) -> None:
    with shared.connect(get("/large", "Connection: close"), buffer=65536) as client:
        began, got = time.monotonic(), 0
        while more := client.recv(LARGE // 8):
            got += len(more)
            if time.monotonic() - began < LIMITS.body_seconds * 3:
                time.sleep(0.05)
        assert time.monotonic() - began > LIMITS.body_seconds * 2
        assert got > LARGE


def test_an_answer_that_is_not_read_to_its_end_is_given_up(serving: Serving) -> None:
    with serving.connect(get("/large"), buffer=65536) as client:
        began = time.monotonic()
        while time.monotonic() - began < LIMITS.body_seconds * 2:
            assert client.recv(65536)
            time.sleep(0.05)
        assert serving.connections == 1
        until(lambda: serving.connections == 0)


def test_a_stream_that_nobody_listens_to_any_more_ends(serving: Serving) -> None:
    with serving.connect(get("/stream")) as client:
        until(lambda: b"hello" in client.recv(65536))
        time.sleep(max(LIMITS.headers_seconds, LIMITS.body_seconds, KEEP_ALIVE) * 1.5)
        assert serving.app.disconnects == 0
    until(lambda: serving.app.disconnects == 1)


def test_a_thousand_requests_in_one_go_are_answered_in_their_order(shared: Serving) -> None:
    sizes = range(1000)
    with shared.connect() as client:
        sender = threading.Thread(target=lambda: client.sendall(b"".join(post(b"x" * size) for size in sizes)))
        sender.start()
        assert [int(one(client)[2]) for _ in sizes] == list(sizes)
        sender.join()


@pytest.mark.parametrize("requests", [1, 3])
def test_a_client_that_has_closed_its_side_is_answered(shared: Serving, requests: int) -> None:
    with shared.connect(get("/early") * requests) as client:
        client.shutdown(socket.SHUT_WR)
        assert [one(client)[0] for _ in range(requests)] == [200] * requests
        assert rest(client) == b""


def test_a_client_that_has_gone_is_not_waited_for_long(serving: Serving) -> None:
    serving.connect(get("/hold")).close()
    until(lambda: serving.connections == 1)
    until(lambda: serving.connections == 0)
    assert serving.app.finished == 0


@pytest.mark.parametrize("sent", [b"", b"GET / HT", post(b"x", length=2)])
def test_a_client_that_has_closed_its_side_too_soon_is_not_waited_for(shared: Serving, sent: bytes) -> None:
    with shared.connect(sent) as client:
        time.sleep(0.05)
        began = time.monotonic()
        client.shutdown(socket.SHUT_WR)
        assert rest(client) == b""
        assert time.monotonic() - began < 0.2


# Connections.


def test_the_connection_that_was_idle_the_longest_makes_room(patient: Serving) -> None:
    with contextlib.ExitStack() as stack:
        held = [stack.enter_context(patient.connect(get("/hold"))) for _ in range(10)]
        silent = [stack.enter_context(patient.connect()) for _ in range(5)]
        used = [stack.enter_context(patient.connect(get())) for _ in range(5)]
        assert [one(each)[0] for each in used] == [200] * 5
        until(lambda: patient.connections == LIMITS.connections)
        for gone in (*silent, *used):
            more = stack.enter_context(patient.connect(get("/hold")))
            assert rest(gone) == b""
            held.append(more)
            assert patient.connections <= LIMITS.connections
        until(lambda: patient.app.holding == LIMITS.connections)
        # Now none is idle.
        headers = assert_refused(stack.enter_context(patient.connect(get())), 503, "too many connections")
        assert headers["retry-after"] == "1"
        patient.app.let_go.set()
        assert [one(each)[0] for each in held] == [200] * len(held)
        assert one(stack.enter_context(patient.connect(get())))[0] == 200


def test_requests_that_come_in_one_moment_are_not_taken_for_idle_connections(serving: Serving) -> None:
    busy = threading.Event()

    async def stop() -> None:
        busy.set()
        time.sleep(0.5)  # and nothing else happens meanwhile

    asyncio.run_coroutine_threadsafe(stop(), serving.loop)
    busy.wait()
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(serving.connect(get())) for _ in range(LIMITS.connections * 2)]
        assert [one(each)[0] in {200, 503} for each in clients] == [True] * len(clients)


def test_many_more_connections_than_may_be_are_never_open(serving: Serving) -> None:
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(serving.connect()) for _ in range(LIMITS.connections * 10)]
        assert one(stack.enter_context(serving.connect(get())))[0] == 200
        assert serving.connections <= LIMITS.connections
        assert [rest(each) for each in clients] == [b""] * len(clients)


def test_whoever_counts_refusals_is_told_their_reasons(serving: Serving) -> None:
    for sent in (b"GET", b"\r\n\r\n", b"x" * 5000, post(b"", length=1 << 30), post(b"x", length=2), get()):
        with serving.connect(sent) as client:
            one(client)
    with contextlib.ExitStack() as stack:
        for _ in range(LIMITS.connections):
            stack.enter_context(serving.connect(get("/hold")))
        until(lambda: serving.app.holding == LIMITS.connections)
        last = stack.enter_context(serving.connect(get("/hold")))
        assert one(last)[0] == 503
    assert serving.refused == [
        "request_timeout",
        "bad_request",
        "headers_too_large",
        "body_too_large",
        "request_timeout",
        "too_many_connections",
    ]
    assert set(serving.refused) < set(REASONS)


# The end.


def test_it_ends_at_once_with_connections_in_every_state_and_finishes_what_it_does() -> None:
    server = Serving(LIMITS._replace(headers_seconds=60, body_seconds=60))
    with contextlib.ExitStack() as stack:
        for sent in (b"", b"GET / HT", get(), post(b"", length=1 << 40), b"\r\n\r\n", get("/large")):
            stack.enter_context(server.connect(sent, buffer=4096 if b"large" in sent else None))
        held = stack.enter_context(server.connect(get("/hold")))
        until(lambda: server.connections == 7)
        server.server.should_exit = True
        time.sleep(0.2)
        server.app.let_go.set()
        assert one(held)[0] == 200
    server.close()
    assert server.connections == 0
