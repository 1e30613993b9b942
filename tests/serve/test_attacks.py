"""What strangers may send: meanwhile the service answers others, and afterwards it has as much memory and as many
descriptors as before."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import random
import re
import resource
import selectors
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from tests.serve.harness import Server, until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.serve.harness import Place

    ServerOn = Callable[..., Server]

HEAD_SECONDS = BODY_SECONDS = 2
CONNECTIONS = 300
MOST_BYTES = 300 << 20
"""Of memory that the server may have at any time. It begins with 40 MB, and 64 MiB of bodies may be coming in."""
PATIENCE = 5.0
"""Seconds that /health may take while two cores serve the attack, the attackers and other tests."""
V1, V2 = "/api/v1/compile", "/api/v2/checks"
BODY = 8 << 20
"""The largest that is allowed."""


@pytest.fixture(scope="module")
def server(place: Callable[[str], Place], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """With little patience."""
    server = Server(
        place("fake"),
        tmp_path_factory.mktemp("attacked"),
        jobs=1,
        header_timeout=f"{HEAD_SECONDS}s",
        body_timeout=f"{BODY_SECONDS}s",
        max_connections=CONNECTIONS,
    ).start()
    yield server
    server.close()


@contextlib.contextmanager
def attacked(server: Server) -> Iterator[None]:
    """Look after the server during an attack, and at what it has left when it is over."""
    before = server.descriptors()
    over = threading.Event()
    most = [0]

    def look() -> float:
        slowest = 0.0
        while not over.is_set():
            began = time.monotonic()
            until(lambda: is_healthy(server), 2 * PATIENCE)
            slowest = max(slowest, time.monotonic() - began)
            most[0] = max(most[0], server.rss())
            time.sleep(0.02)
        return slowest

    with ThreadPoolExecutor(1) as watcher:
        watching = watcher.submit(look)
        try:
            yield
        finally:
            over.set()
        assert watching.result() < PATIENCE
    assert most[0] < MOST_BYTES
    # Two for one that is accepted while we count.
    until(lambda: server.descriptors() <= before + 2, 30)
    assert server.runs()


def is_healthy(server: Server) -> bool:
    """Told to somebody who comes again where he is one of too many who come in one moment."""
    try:
        reply = server.get("/health")
    except (ConnectionError, http.client.RemoteDisconnected):
        return False
    assert reply.status == 200 or reply.message == "too many connections"
    return reply.status == 200


def connect(server: Server, number: int = 0) -> socket.socket:
    """As one of 50,000 clients."""
    source = f"127.1.{number // 250 % 200}.{number % 250 + 1}"
    return socket.create_connection(server.address, 20, (source, 0))


def post(path: str, body: bytes, length: int | None = None) -> bytes:
    size = len(body) if length is None else length
    return (
        f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {size}\r\n\r\n".encode()
        + body
    )


def get(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode()


def rest(connection: socket.socket) -> bytes:
    """All that comes until the connection's end, whatever that is like."""
    got = bytearray()
    with contextlib.suppress(ConnectionError):
        while more := connection.recv(65536):
            got += more
    return bytes(got)


def said(server: Server, sent: bytes, number: int = 0) -> bytes:
    """What comes back to a client, until the connection is closed on it."""
    with connect(server, number) as connection:
        with contextlib.suppress(ConnectionError):
            connection.sendall(sent)
        return rest(connection)


def statuses(said: bytes) -> list[int]:
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", said)]


def trickle(server: Server, first: bytes, more: bytes, count: int) -> list[bytes]:
    """On so many connections, a little every now and then until they are closed on us: what came back on each."""
    got: dict[int, bytes] = {}
    with selectors.DefaultSelector() as selector, contextlib.ExitStack() as stack:
        for number in range(count):
            connection = stack.enter_context(connect(server, number))
            connection.sendall(first)
            selector.register(connection, selectors.EVENT_READ, number)
        while selector.get_map():
            for key, _ in selector.select(0.1):
                assert isinstance(key.fileobj, socket.socket)
                selector.unregister(key.fileobj)
                got[key.data] = rest(key.fileobj)
            for key in list(selector.get_map().values()):
                assert isinstance(key.fileobj, socket.socket)
                with contextlib.suppress(ConnectionError):
                    key.fileobj.send(more)
    return list(got.values())


# Slowness.


def test_heads_that_come_byte_by_byte(server: Server) -> None:
    began = time.monotonic()
    with attacked(server):
        got = trickle(server, b"GET /health HTTP/1.1\r\nHost: x\r\n", b"x", 200)
    assert {tuple(statuses(each)) for each in got} == {(408,)}
    assert time.monotonic() - began < HEAD_SECONDS + 10


@pytest.mark.parametrize(
    ("first", "more"),
    [
        (post(V1, b"{", 1000), b" "),
        (post(V2, b"", 1000)[:-2] + b"Expect: 100-continue\r\n\r\n", b" "),
        (f"POST {V2} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n".encode(), b"1\r\n \r\n"),
    ],
    ids=["length", "continue", "chunks"],
)
def test_bodies_that_come_byte_by_byte(server: Server, first: bytes, more: bytes) -> None:
    began = time.monotonic()
    with attacked(server):
        got = trickle(server, first, more, 200)
    assert {statuses(each)[-1] for each in got} == {408}
    assert time.monotonic() - began < BODY_SECONDS + 10


def test_readers_that_do_not_read(server: Server) -> None:
    with attacked(server), contextlib.ExitStack() as stack:
        readers = []
        for _ in range(50):
            reader = stack.enter_context(socket.socket())
            reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            reader.settimeout(20)
            reader.connect(server.address)
            reader.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                while reader.send(get("/openapi.json") * 100):
                    pass
            readers.append(reader)
        # It gives them up while they are still there.
        descriptors = server.descriptors()
        until(lambda: server.descriptors() < descriptors - 40, 30)


# Many.


def test_ten_thousand_idle_connections(server_on: ServerOn) -> None:
    held, clients = 1000, 10_000
    with descriptors(clients + 1000):
        server = server_on("fake", max_connections=held, header_timeout="120s")
        with attacked(server), contextlib.ExitStack() as stack:
            for number in range(clients):
                stack.enter_context(connect(server, number))
            assert server.descriptors() >= held
            # Those that came in one moment are all accepted before the first of them is closed.
            until(lambda: server.descriptors() < held + 100)
            assert server.compiled("int x;\n", "c")["compiled"]


@contextlib.contextmanager
def descriptors(wanted: int) -> Iterator[None]:
    """As many of our own, and of the server's, which inherits what may be had at most."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < wanted + 1000:
        pytest.skip(f"only {hard} descriptors may be had here")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_connections_that_come_and_go(server: Server) -> None:
    with attacked(server):
        for number in range(3000):
            with connect(server, number) as connection:
                connection.sendall((b"", b"GET", get("/health"), post(V1, b"", 100))[number % 4])


def test_a_thousand_requests_in_one_go(server: Server) -> None:
    with attacked(server):
        sent = get("/health") * 999 + b"GET /nothing HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        assert statuses(said(server, sent)) == [200] * 999 + [404]


def test_waits_that_nobody_waits_for(server: Server) -> None:
    with attacked(server):
        check = server.call("POST", V2, {"files": {"a.c": "// fake: hang\n"}}).json["id"]
        for number in range(3000):
            with connect(server, number) as connection:
                connection.sendall(get(f"{V2}/{check}?wait=60&seen=1000"))
        until(lambda: is_healthy(server))
        assert server.call("DELETE", f"{V2}/{check}").status == 200


# Large.


@pytest.mark.parametrize(
    "head",
    [
        b"GET /" + b"x" * (1 << 20) + b" HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nCookie: " + b"x" * (1 << 20) + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\n" + b"x: y\r\n" * 200_000 + b"\r\n",
    ],
    ids=["path", "header", "headers"],
)
def test_huge_heads(server: Server, head: bytes) -> None:
    with attacked(server), ThreadPoolExecutor(8) as pool:
        got = [statuses(each) for each in pool.map(lambda number: said(server, head, number), range(100))]
    assert {tuple(each) for each in got} == {(431,)}


def test_many_of_the_largest_bodies_at_once(server: Server) -> None:
    sent = post(V1, b'{"code": "' + b"x" * (BODY - 20), BODY)
    with attacked(server):
        with ThreadPoolExecutor(40) as pool:
            got = list(pool.map(lambda number: statuses(said(server, sent, number)), range(40)))
        assert {each[-1] for each in got if each} <= {408, 503}
        # And who has a small one is not shut out meanwhile.
        with ThreadPoolExecutor(20) as pool:
            held = [pool.submit(said, server, sent, number) for number in range(20)]
            time.sleep(BODY_SECONDS / 2)
            assert server.compiled("int x;\n", "c")["compiled"]
            for each in held:
                each.result()


def test_bodies_that_are_too_large(server: Server) -> None:
    def send(number: int) -> list[int]:
        if number % 2:
            return statuses(said(server, post(V1, b" " * (BODY + 1)), number))
        return statuses(said(server, chunks + b"100000\r\n" + (b" " * (1 << 20) + b"\r\n100000\r\n") * 12, number))

    chunks = f"POST {V1} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    with attacked(server), ThreadPoolExecutor(4) as pool:
        assert [each for each in pool.map(send, range(20)) if each != [413]] == []


def test_a_body_in_chunks_of_one_byte_without_an_end(server: Server) -> None:
    began = time.monotonic()
    with attacked(server), connect(server) as connection:
        connection.sendall(f"POST {V1} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
        with contextlib.suppress(ConnectionError):
            while time.monotonic() - began < 20:
                connection.sendall(b"1\r\n \r\n" * 10_000)
        assert statuses(rest(connection)) == [408]


def test_answers_that_are_too_large_to_be_kept(server_on: ServerOn) -> None:
    """Of a compiler that prints a megabyte for each of a hundred sources."""
    server = server_on("fake")
    flood = "// fake: flood stdout\n// fake: flood stderr\n"
    with attacked(server), server.client() as client:
        reply = client.check({f"{number}.c": flood for number in range(100)})
        if reply.status == 202:
            document = client.finished(reply.json["id"])
            assert document["done"] == 100


# Nonsense.


def mangled(document: Any, chance: random.Random) -> bytes:
    """JSON, with something wrong in one place."""
    text = bytearray(json.dumps(document).encode())
    for _ in range(chance.randint(1, 3)):
        place = chance.randrange(len(text) or 1)
        match chance.randrange(4):
            case 0:
                del text[place : place + 1]
            case 1:
                text[place : place + 1] = chance.randbytes(1)
            case 2:
                text[place:place] = chance.choice([b"{", b"]", b'"', b"\\ud800", b"1e999", b"null", b"\x00", b"[[["])
            case _:
                text[place:] = b"xx"
    return bytes(text)


def test_thousands_of_documents_that_are_none(server: Server) -> None:
    chance = random.Random(1)
    v1 = {"code": "aW50IHg7", "language": "c", "compiler": "gcc-13", "standard": "c17"}
    v2 = {"files": {"a.c": "int x;", "b.c": {"base64": "eA=="}}, "standards": ["c17"], "limits": {"wall_seconds": 1}}
    seen = set()
    with attacked(server), server.client() as client:
        for number in range(3000):
            path, document = ((V1, v1), (V2, v2))[number % 2]
            reply = client.call("POST", path, body=mangled(document, chance), Content_Type="application/json")
            assert reply.status in {200, 202, 400, 429}, reply
            assert reply.json
            seen.add(reply.status)
    assert 400 in seen


@pytest.mark.parametrize("path", [V1, V2])
@pytest.mark.parametrize(
    "body",
    [
        b"[" * 100_000,
        b"[" * 100_000 + b"]" * 100_000,
        b'{"files":' * 100_000,
        b'{"x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"code": ' + b'{"a":' * 100_000 + b"1" + b"}" * 100_000 + b"}",
        b'{"files": {"a.c": ' + b"[" * 100_000 + b"]" * 100_000 + b"}}",
        b'{"files": {"a.c": {"base64": ' + b"[" * 100_000 + b"]" * 100_000 + b"}}}",
        b"9" * 1_000_000,
        b'{"limits": {"memory_bytes": ' + b"9" * 1_000_000 + b"}}",
    ],
    ids=["open", "list", "files", "unknown", "code", "file", "content", "digits", "limit"],
)
def test_json_that_nests_or_counts_too_deep(server: Server, path: str, body: bytes) -> None:
    with attacked(server):
        reply = server.call("POST", path, body=body, Content_Type="application/json")
    # What v1 does not know it does not look at.
    assert reply.status == 400 or (path == V1 and b"limits" in body)
    assert reply.json


def test_bytes_at_random(server: Server) -> None:
    chance = random.Random(2)
    starts = [
        b"",
        b"GET ",
        b"GET / HTTP/1.1\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\n",
        b"\x16\x03\x01",
        b"PRI * HTTP/2.0\r\n",
    ]
    with attacked(server), ThreadPoolExecutor(8) as pool:
        sent = [chance.choice(starts) + chance.randbytes(chance.randrange(2000)) + b"\r\n\r\n" for _ in range(500)]
        got = [statuses(each) for each in pool.map(lambda each: said(server, each), sent)]
    assert {status for each in got for status in each} <= {400, 404, 405, 408, 431}
    assert all(got)


@pytest.mark.parametrize(
    ("request_line", "status"),
    [
        ("CONNECT example.org:443 HTTP/1.1", 405),
        ("GET http://example.org/ HTTP/1.1", 404),
        ("GET //example.org/%2e%2e/ HTTP/1.1", 404),
        ("GET /../../etc/passwd HTTP/1.1", 404),
        ("GET /%00 HTTP/1.1", 404),
        ("GET /%ff%fe HTTP/1.1", 404),
        ("GET /api/v2/checks/%2e%2e%2fx HTTP/1.1", 404),
        ("GET /api/v2/checks/' HTTP/1.1", 404),
        ("GET /api/v1/compile/%00 HTTP/1.1", 404),
        ("TRACE /health HTTP/1.1", 405),
        ("BREW /health HTTP/1.1", 405),
        ("GET /health HTTP/2.0", 400),
    ],
)
def test_requests_that_are_none_of_ours(server: Server, request_line: str, status: int) -> None:
    with attacked(server):
        got = said(server, f"{request_line}\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    assert statuses(got) in ([status], [404] if status == 405 else [status])
    assert b"application/json" in got
    assert b"root:" not in got


def test_requests_that_hide_another(server: Server) -> None:
    """Of which a proxy may see one, and we two."""
    hidden = get("/metrics")
    for head in (
        "Content-Length: 0\r\nTransfer-Encoding: chunked",
        "Content-Length: 1\r\nContent-Length: 0",
        "Content-Length: +0",
        "Content-Length : 0",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
        "Transfer-Encoding: xchunked",
    ):
        got = said(server, f"POST {V1} HTTP/1.1\r\nHost: x\r\n{head}\r\n\r\n0\r\n\r\n".encode() + hidden)
        assert statuses(got) == [400], head


# Others' shares.


def test_whoever_makes_up_addresses_is_still_one_client(server_on: ServerOn) -> None:
    server = server_on("fake", rate_limit=5)
    code = {"code": "aW50IHg7", "language": "c"}
    replies = [server.call("POST", V1, code, X_Forwarded_For=f"10.0.{number}.1") for number in range(20)]
    assert [each.status for each in replies] == [202] * 5 + [429] * 15
    assert int(replies[-1].headers["Retry-After"]) <= 12


def test_thousands_of_guesses_of_a_token(server_on: ServerOn, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("tokens") / "tokens"
    path.write_text(f"ci:{os.urandom(32).hex()}\n")
    path.chmod(0o600)
    server = server_on("fake", tokens=path)
    with attacked(server), server.client() as client:
        for _ in range(2000):
            reply = client.call("GET", "/api/v1/environments", Authorization=f"Bearer wic_{os.urandom(32).hex()}")
            assert (reply.status, reply.message) == (401, "unauthorized")
