"""Requests to what may answer instead of an API server, and how that is told."""

from __future__ import annotations

import base64
import doctest
import hashlib
import json
import socket
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.backends.kubernetes.server import CA, KEYS, Heard, Server, access_to, chunks, refused, said
from willitcompile.backends import CancelToken
from willitcompile.backends.kubernetes.api import client as api_module
from willitcompile.backends.kubernetes.api import line, wire
from willitcompile.backends.kubernetes.api.access import Proxy
from willitcompile.backends.kubernetes.api.client import Api, ApiError, Stopped, Unreachable
from willitcompile.backends.kubernetes.api.credentials import Credentials, Identity
from willitcompile.errors import BackendUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.unit.backends.kubernetes.server import Answer

FINE = said(b'{"fine": true}')


@contextmanager
def serving(*answers: bytes | Answer, key: str | None = "server", **options: object) -> Iterator[tuple[Server, Api]]:
    tokens = options.pop("tokens", ())
    certificate = options.pop("certificate", None)
    host, ca = options.pop("host", ""), options.pop("ca", None)
    with (
        Server(*answers, key=key, ca=ca, host=host) as server,  # type: ignore[arg-type]
        Api(access_to(server, *tokens, certificate=certificate, **options)) as api,  # type: ignore[misc, arg-type]
    ):
        yield server, api


def silence(_: socket.socket, __: Heard) -> object:
    """Nothing, and the connection stays."""
    return True


def hang_up(_: socket.socket, __: Heard) -> object:
    return None


def in_time(work: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def test_a_request_and_its_answer() -> None:
    with serving(FINE, tokens=("t1",)) as (server, api):
        query = {"labelSelector": "a=b", "watch": True, "limit": None}
        assert api.call("POST", "/api/v1/x y", query, {"kind": "Pod"}) == {"fine": True}
    heard = server.heard[0]
    assert (heard.method, heard.target) == ("POST", "/api/v1/x%20y?labelSelector=a%3Db&watch=true")
    assert json.loads(heard.body) == {"kind": "Pod"}
    assert heard.header("Host") == [server.url.removeprefix("https://")]
    assert heard.header("Authorization") == ["Bearer t1"]
    assert heard.header("Content-Type") == ["application/json"]
    assert heard.header("User-Agent")[0].startswith("will-it-compile/")


def test_the_examples_hold() -> None:
    assert doctest.testmod(line).failed == 0


def test_an_empty_answer_is_none() -> None:
    with serving(said(b"")) as (_, api):
        assert api.call("DELETE", "/x") is None


def test_a_patch_is_merged() -> None:
    with serving(FINE) as (server, api):
        api.call("PATCH", "/x", body={})
    assert server.heard[0].header("Content-Type") == ["application/merge-patch+json"]


def test_a_path_before_the_api_is_kept() -> None:
    with Server(FINE) as server:
        access = access_to(server)
        with Api(access._replace(server=f"{access.server}/k8s/clusters/c-1")) as api:
            api.call("GET", "/version")
    assert server.heard[0].target == "/k8s/clusters/c-1/version"


def test_an_address_of_version_6() -> None:
    with serving(FINE, host="::1") as (server, api):
        assert api.call("GET", "/version") == {"fine": True}
    assert server.heard[0].header("Host") == [f"[::1]:{server.port}"]


def test_headers_that_are_there_several_times() -> None:
    headers = (("Impersonate-User", "u"), ("Impersonate-Group", "a"), ("Impersonate-Group", "b"))
    with serving(FINE, headers=headers) as (server, api):
        api.call("GET", "/")
    assert server.heard[0].header("Impersonate-Group") == ["a", "b"]


def test_a_connection_is_used_again() -> None:
    with serving(FINE) as (server, api):
        for _ in range(5):
            api.call("GET", "/")
        assert api.requests == 5
    assert server.connections == 1


def test_requests_at_the_same_time_do_not_wait_for_each_other() -> None:
    together = threading.Barrier(4)

    def meet(connection: socket.socket, _: Heard) -> object:
        together.wait(10)
        connection.sendall(FINE)
        return True

    with serving(meet) as (server, api):
        for _ in range(3):
            threads = [in_time(lambda: api.call("GET", "/", patience=0)) for _ in range(4)]
            for each in threads:
                each.join(10)
        assert api.requests == 12
    assert server.connections == 4


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_connection_that_was_closed_meanwhile_costs_nothing(method: str) -> None:
    with serving(FINE, hang_up, FINE) as (server, api):
        api.call("GET", "/")
        started = time.monotonic()
        # With no patience at all: this is not the server's failure.
        assert api.call(method, "/", body={}, patience=0) == {"fine": True}
        assert time.monotonic() - started < 1
        assert api.requests == 3
    assert [each.connection for each in server.heard] == [0, 0, 1]


def test_a_connection_that_is_seen_to_be_closed_is_not_used() -> None:
    closed = threading.Event()

    def answer(connection: socket.socket, _: Heard) -> object:
        connection.sendall(FINE)
        connection.shutdown(socket.SHUT_RDWR)
        closed.set()
        return None

    with serving(answer, FINE) as (server, api):
        api.call("GET", "/")
        assert closed.wait(10)
        api.call("GET", "/", patience=0)
        assert (api.requests, server.connections) == (2, 2)


@pytest.mark.parametrize(
    "answer",
    [
        refused(429, "TooManyRequests"),
        refused(500, "InternalError"),
        refused(500, "ServerTimeout"),
        refused(504, "Timeout"),
        said(b"", status="502 Bad Gateway"),
        said(b"upstream", status="503 Service Unavailable"),
        b'HTTP/1.1 200 OK\r\nContent-Length: 100\r\nConnection: close\r\n\r\n{"half"',
        hang_up,
    ],
)
def test_what_may_pass_is_tried_again(answer: bytes | Answer) -> None:
    with serving(answer, answer, FINE) as (_, api):
        assert api.call("POST", "/", body={}) == {"fine": True}
        assert api.requests == 3


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (403, "Forbidden"),
        (404, "NotFound"),
        (409, "AlreadyExists"),
        (422, "Invalid"),
        (500, "Unknown"),
        (410, "Expired"),
    ],
)
def test_what_is_refused_for_good_is_told_at_once(status: int, reason: str) -> None:
    with serving(refused(status, reason)) as (_, api):
        with pytest.raises(ApiError) as error:
            api.call("POST", "/", body={})
        assert api.requests == 1
    assert (error.value.status, error.value.reason, error.value.message) == (status, reason, "told why")
    assert error.value.details == {"name": "x"}


def test_a_refusal_that_is_not_the_servers_has_a_reason_all_the_same() -> None:
    with serving(said(b"<h1>no\x1b</h1>", status="403 Forbidden")) as (_, api), pytest.raises(ApiError) as error:
        api.call("GET", "/")
    assert (error.value.reason, error.value.message) == ("Forbidden", "<h1>no\x1b</h1>")


def test_a_server_that_asks_to_be_left_alone_is() -> None:
    with serving(refused(429, "TooManyRequests", "Retry-After: 1"), FINE) as (_, api):
        started = time.monotonic()
        api.call("GET", "/")
        assert time.monotonic() - started >= 1


def test_longer_than_the_patience_is_not_waited() -> None:
    with serving(refused(429, "TooManyRequests", "Retry-After: 20")) as (_, api):
        started = time.monotonic()
        with pytest.raises(ApiError) as error:
            api.call("GET", "/", patience=5)
        assert time.monotonic() - started < 4
        assert api.requests == 1
    assert error.value.status == 429


def test_patience_ends() -> None:
    with serving(refused(503, "ServiceUnavailable")) as (_, api):
        started = time.monotonic()
        with pytest.raises(ApiError):
            api.call("GET", "/", patience=1)
        assert time.monotonic() - started < 3
        assert 3 <= api.requests <= 6


def test_nobody_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with Server(FINE) as server:
        access = access_to(server)._replace(server=f"https://127.0.0.1:{port}")
    with Api(access) as api, pytest.raises(Unreachable, match="nothing listens there"):
        api.call("GET", "/", patience=0.3)


@pytest.mark.parametrize("how", ["too late", "cancel"])
def test_somebody_who_does_not_even_pick_up(how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "CONNECT_SECONDS", 0.3 if how == "too late" else 60)
    cancel = CancelToken()
    with Server(FINE) as server, socket.socket() as busy, socket.socket() as first:
        busy.bind(("127.0.0.1", 0))
        busy.listen(0)
        first.connect(busy.getsockname())  # there is no more room now
        access = access_to(server)._replace(server=f"https://127.0.0.1:{busy.getsockname()[1]}")
        started = time.monotonic()
        thread = in_time(cancel.cancel if how == "cancel" else lambda: None)
        with Api(access) as api, pytest.raises(Stopped if how == "cancel" else Unreachable):
            api.call("GET", "/", cancel=cancel, patience=0)
        thread.join(10)
        assert time.monotonic() - started < 5


def test_a_host_without_an_address_is_not_tried_again() -> None:
    with Server(FINE) as server:
        access = access_to(server)._replace(server="https://nowhere.invalid:6443")
    started = time.monotonic()
    with Api(access) as api, pytest.raises(Unreachable):
        api.call("GET", "/", patience=0)
    with Api(access._replace(server=f"https://{'x' * 70}.example")) as api, pytest.raises(Unreachable) as error:
        api.call("GET", "/", patience=60)
    assert str(error.value) == "its name is none"
    assert time.monotonic() - started < 30


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"\x00" * 3000,
        b"SSH-2.0-OpenSSH_9.2p1\r\n",
        b"HTTP/1.1 two hundred\r\n\r\n",
        b"HTTP/1.1 200",
        b"HTTP/1.1 200 OK\r\nContent-",
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nConten",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 1000 + b"\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100_000 + b"\r\n\r\n",
        said(b"hello"),
        said(b"\xff\xfe"),
        said(b"[" * 100_000),
        b"HTTP/1.1 200 OK\r\nContent-Length: 2000\r\n\r\n{}",
        chunks(b"{}", end=False),
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-9\r\n{}\r\n",
    ],
)
def test_what_makes_no_sense_is_told(answer: bytes) -> None:
    with serving(lambda connection, _: connection.sendall(answer)) as (_, api), pytest.raises(Unreachable) as error:
        api.call("GET", "/", patience=0, seconds=5)
    assert str(error.value)


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=200), st.sampled_from([b"", b"HTTP/1.1 ", b"HTTP/1.1 200 OK\r\n", chunks(end=False)]))
def test_whatever_answers_is_told(tail: bytes, head: bytes) -> None:
    with serving(lambda connection, _: connection.sendall(head + tail), key=None) as (_, api):
        try:
            api.call("GET", "/", patience=0, seconds=5)
        except (ApiError, Unreachable) as error:
            assert str(error)  # noqa: PT017 - an answer may also be one


def test_an_answer_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api_module, "_MOST_BYTES", 1000)
    with serving(said(b'"' + b"a" * 1000 + b'"')) as (_, api):
        with pytest.raises(Unreachable, match="without end"):
            api.call("GET", "/")
        assert api.requests == 1
    with serving(said(b'"' + b"a" * 998 + b'"')) as (_, api):
        assert api.call("GET", "/") == "a" * 998


def test_a_large_answer() -> None:
    content = json.dumps(["x" * 1000] * 3000).encode()
    with serving(chunks(*(content[at : at + 50_000] for at in range(0, len(content), 50_000)))) as (_, api):
        assert len(api.call("GET", "/")) == 3000


def drip(connection: socket.socket, _: Heard) -> object:
    """A byte of an answer now and then, for ever."""
    try:
        connection.sendall(b"HTTP/1.1 200 OK\r\nX: ")
        while True:
            connection.sendall(b"y")
            threading.Event().wait(0.02)
    except OSError:
        return None


@pytest.mark.parametrize("answer", [silence, drip])
def test_what_does_not_come_to_an_end_is_not_waited_for(answer: Answer) -> None:
    with serving(answer) as (_, api):
        started = time.monotonic()
        with pytest.raises(Unreachable, match="does not answer in time"):
            api.call("GET", "/", patience=0, seconds=0.3)
        assert time.monotonic() - started < 5


@pytest.mark.parametrize("answer", [silence, drip, refused(429, "TooManyRequests", "Retry-After: 25")])
@pytest.mark.parametrize("how", ["cancel", "close"])
def test_waiting_ends_when_it_is_of_no_use(answer: bytes | Answer, how: str) -> None:
    cancel = CancelToken()
    with serving(FINE, answer) as (server, api):
        api.call("GET", "/")  # so that nothing of TLS comes any more, which would wake who waits
        server.came.clear()
        ended: list[float] = []

        def stop() -> None:
            assert server.came.wait(10)
            ended.append(time.monotonic())
            (cancel.cancel if how == "cancel" else api.close)()

        thread = in_time(stop)
        with pytest.raises(Stopped):
            api.call("GET", "/", cancel=cancel, patience=60, seconds=60)
        assert time.monotonic() - ended[0] < 2
        thread.join(10)


def test_nothing_is_asked_after_the_end() -> None:
    cancel = CancelToken()
    cancel.cancel()
    with serving(FINE) as (server, api):
        with pytest.raises(Stopped):
            api.call("GET", "/", cancel=cancel)
        api.call("GET", "/")
        api.close()
        api.close()
        for ask in (lambda: api.call("GET", "/"), lambda: api.stream("/"), lambda: api.socket("/")):
            with pytest.raises(Stopped):
                ask()
    assert len(server.heard) == 1


def with_token(wanted: str, answer: bytes) -> Answer:
    def judge(connection: socket.socket, heard: Heard) -> object:
        is_right = heard.header("Authorization") == [f"Bearer {wanted}"]
        connection.sendall(answer if is_right else refused(401, "Unauthorized"))
        return True

    return judge


def test_credentials_that_are_refused_are_looked_up_anew() -> None:
    with serving(with_token("new", FINE), tokens=("old", "new")) as (_, api):
        assert api.call("POST", "/", body={}, patience=0) == {"fine": True}
        assert api.requests == 2
        api.call("GET", "/")
        assert api.requests == 3


@pytest.mark.parametrize(("tokens", "tries"), [(("old", "older", "new"), 2), (("same",), 1), ((), 1)])
def test_credentials_that_are_refused_again(tokens: tuple[str, ...], tries: int) -> None:
    with serving(with_token("new", FINE), tokens=tokens) as (_, api):
        with pytest.raises(ApiError) as error:
            api.call("GET", "/")
        assert api.requests == tries
    assert (error.value.status, error.value.reason) == (401, "Unauthorized")


def test_many_threads_whose_credentials_are_refused_look_them_up_once() -> None:
    with serving(with_token("new", FINE), tokens=("old", "new", "newer")) as (_, api):
        found: list[object] = []
        threads = [in_time(lambda: found.append(api.call("GET", "/"))) for _ in range(8)]
        for each in threads:
            each.join(10)
        assert found == [{"fine": True}] * 8


@pytest.mark.parametrize(
    ("key", "changes", "said_of_it"),
    [
        ("server", {"authority": (KEYS / "other.pem").read_bytes()}, "its certificate is not trusted"),
        ("server", {"authority": None}, "its certificate is not trusted"),
        ("elsewhere", {}, "its certificate is not trusted: IP address mismatch"),
        ("server", {"server_name": "elsewhere.example"}, "its certificate is not trusted: Hostname mismatch"),
    ],
)
def test_a_server_that_is_not_who_it_should_be(key: str, changes: dict[str, object], said_of_it: str) -> None:
    with serving(FINE, key=key, tokens=("secret",), **changes) as (server, api):
        with pytest.raises(Unreachable, match=said_of_it):
            api.call("GET", "/", patience=60)  # and no second try
        with pytest.raises(Unreachable):
            api.socket("/")
    assert server.heard == []


@pytest.mark.parametrize(
    ("key", "changes"),
    [
        ("elsewhere", {"server_name": "elsewhere.example"}),
        ("elsewhere", {"verify": False}),
        ("server", {"verify": False, "authority": None}),
    ],
)
def test_a_server_that_is_trusted(key: str, changes: dict[str, object]) -> None:
    with serving(FINE, key=key, **changes) as (_, api):
        assert api.call("GET", "/") == {"fine": True}


def test_a_server_without_tls() -> None:
    with serving(FINE, key=None) as (_, api):
        assert api.call("GET", "/") == {"fine": True}


def test_a_server_that_does_not_speak_tls() -> None:
    def answer() -> None:
        connection, _ = listening.accept()
        with connection:
            assert connection.recv(5)[:1] == b"\x16"  # a ClientHello
            connection.sendall(b"HTTP/1.0 400 Bad Request\r\n\r\n")
            assert done.wait(10)

    done = threading.Event()
    with Server(FINE) as server, socket.create_server(("127.0.0.1", 0)) as listening:
        thread = in_time(answer)
        access = access_to(server)._replace(server=f"https://127.0.0.1:{listening.getsockname()[1]}")
        with Api(access) as api, pytest.raises(Unreachable, match="it does not speak TLS"):
            api.call("GET", "/", patience=60)
        done.set()
        thread.join(10)


def test_a_certificate_of_ours() -> None:
    with serving(FINE, ca="ca", certificate=(KEYS / "client.pem").read_bytes()) as (_, api):
        assert api.call("GET", "/") == {"fine": True}
    with serving(FINE, ca="ca") as (_, api), pytest.raises(Unreachable) as error:
        api.call("GET", "/", patience=0)
    # Its reason is lost where it closes the connection before it has read all that we say.
    assert str(error.value) in {"it does not accept our certificate", "it closed the connection"}


def test_another_certificate_of_ours_takes_another_connection() -> None:
    identities = [Identity("Bearer old"), Identity("Bearer new", (KEYS / "client.pem").read_bytes())]
    with Server(with_token("new", FINE)) as server:
        access = access_to(server)._replace(credentials=Credentials(lambda: identities.pop(0)))
        with Api(access) as api:
            assert api.call("GET", "/", patience=0) == {"fine": True}
    assert [each.connection for each in server.heard] == [0, 1]


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"certificate": b"nonsense"}, "the client's certificate"),
        ({"certificate": (KEYS / "locked.pem").read_bytes()}, "the client's certificate"),
        ({"certificate": CA}, "the client's certificate"),
        ({"authority": b"nonsense"}, "the certificate-authority"),
        ({"authority": b""}, "the certificate-authority"),
        ({"authority": b"\xff"}, "the certificate-authority"),
    ],
)
def test_keys_that_cannot_be_used(changes: dict[str, object], what: str) -> None:
    with serving(FINE, **changes) as (_, api), pytest.raises(BackendUnavailable) as error:
        api.call("GET", "/")
    assert error.value.obstacle.startswith(what)


def test_a_redirection_is_not_followed() -> None:
    with Server(FINE, key=None) as other:
        moved = said(b"", f"Location: {other.url}/", status="307 Temporary Redirect")
        with serving(moved, tokens=("secret",)) as (_, api):
            for ask in (lambda: api.call("GET", "/"), lambda: api.stream("/")):
                with pytest.raises(ApiError) as error:
                    ask()
                assert (error.value.status, error.value.message) == (307, "it redirects, which is not followed")
        moved = moved.replace(b"http://", b"ws://")
        with serving(moved, tokens=("secret",)) as (_, api), pytest.raises(Unreachable):
            api.socket("/")
        assert other.connections == 0


def carry(connection: socket.socket, heard_host: str, port: int) -> None:
    """What comes from here to there, and back, until an end."""
    with socket.create_connection((heard_host, port)) as onward:
        both = ((connection, onward), (onward, connection))

        def pump(source: socket.socket, sink: socket.socket) -> None:
            try:
                while data := source.recv(65536):
                    sink.sendall(data)
                sink.shutdown(socket.SHUT_WR)
            except OSError:
                return

        threads = [in_time(lambda pair=pair: pump(*pair)) for pair in both]  # type: ignore[misc]
        for each in threads:
            each.join(10)


def test_through_a_proxy() -> None:
    def proxy(connection: socket.socket, heard: Heard) -> object:
        host, _, port = heard.target.rpartition(":")
        connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        carry(connection, host, int(port))
        return None

    with Server(proxy, key=None) as between:
        through = Proxy("http", "127.0.0.1", between.port, "me", "word")
        with serving(FINE, proxy=through) as (server, api):
            assert api.call("GET", "/") == {"fine": True}
    assert between.heard[0].target == f"127.0.0.1:{server.port}"
    assert between.heard[0].method == "CONNECT"
    assert between.heard[0].header("Proxy-Authorization") == ["Basic " + base64.b64encode(b"me:word").decode()]


@pytest.mark.parametrize(
    ("answer", "said_of_it"),
    [
        (said(b"", status="407 Proxy Authentication Required"), "refuses: 407 Proxy Authentication Required"),
        (said(b"", status="502 Bad Gateway"), "refuses: 502"),
        (b"\x00" * 20_000, "is no proxy"),
        (b"", "is in the way: it closed the connection"),
    ],
)
def test_a_proxy_that_does_not_do(answer: bytes, said_of_it: str) -> None:
    with (
        Server(lambda connection, _: connection.sendall(answer), key=None) as between,
        serving(FINE, proxy=Proxy("http", "127.0.0.1", between.port)) as (server, api),
    ):
        with pytest.raises(Unreachable, match=said_of_it):
            api.call("GET", "/", patience=0)
        assert server.connections == 0


@pytest.mark.parametrize("right", [True, False])
def test_through_a_socks_proxy(right: bool) -> None:
    asked: list[bytes] = []

    def proxy() -> None:
        connection, _ = listening.accept()
        with connection, connection.makefile("rb") as said_to_it:
            asked.append(said_to_it.read(4))
            connection.sendall(b"\5\2")
            asked.append(said_to_it.read(1 + 1 + 2 + 1 + 4))
            connection.sendall(b"\1\0" if right else b"\1\1")
            if not right:
                return
            head = said_to_it.read(5)
            host, port = said_to_it.read(head[4]).decode(), int.from_bytes(said_to_it.read(2), "big")
            connection.sendall(b"\5\0\0\1\0\0\0\0\0\0")
            carry(connection, host, port)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = in_time(proxy)
        through = Proxy("socks5", "127.0.0.1", listening.getsockname()[1], "me", "word")
        with serving(FINE, proxy=through) as (_, api):
            if right:
                assert api.call("GET", "/") == {"fine": True}
            else:
                with pytest.raises(Unreachable, match="refuses our password"):
                    api.call("GET", "/", patience=60)
        thread.join(10)
    assert asked == [b"\5\2\0\2", b"\1\2me\4word"]


def in_steps(*pieces: bytes) -> tuple[Answer, threading.Semaphore]:
    """An answer whose next piece comes each time that the semaphore is released."""
    go = threading.Semaphore(0)

    def answer(connection: socket.socket, _: Heard) -> object:
        for each in pieces:
            assert go.acquire(timeout=10)
            connection.sendall(each)
        return pieces[-1] == b"0\r\n\r\n"

    return answer, go


HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


def test_a_stream_comes_as_it_comes() -> None:
    answer, go = in_steps(HEAD, b"3\r\none\r\n", b"3\r\ntwo\r\n", b"0\r\n\r\n")
    with serving(answer, FINE) as (server, api):
        go.release()
        with api.stream("/log", {"follow": True}) as stream:
            for expected in (b"one", b"two"):
                go.release()
                assert next(stream) == expected
            go.release()
            assert list(stream) == []
            assert list(stream) == []
        # What was read to its end leaves a connection for others, whatever is closed after that.
        assert api.call("GET", "/", patience=0) == {"fine": True}
        assert (api.requests, server.connections) == (2, 1)


@pytest.mark.parametrize("pieces", [(HEAD,), (HEAD, b"3\r\none\r\n")])
def test_a_stream_is_closed_from_another_thread(pieces: tuple[bytes, ...]) -> None:
    answer, go = in_steps(*pieces, b"never")
    with serving(answer) as (_, api):
        for _ in pieces:
            go.release()
        stream = api.stream("/")
        read = [next(stream) for _ in pieces[1:]]
        reading = threading.Event()

        def end() -> None:
            assert reading.wait(10)
            stream.close()

        thread = in_time(end)
        started = time.monotonic()
        reading.set()
        assert list(stream) == []
        assert time.monotonic() - started < 5
        assert read == [b"one"][: len(pieces) - 1]
        stream.close()
        thread.join(10)
        go.release()


def test_a_stream_that_nobody_reads_is_closed() -> None:
    answer, go = in_steps(HEAD, b"never")
    with serving(answer) as (_, api):
        go.release()
        stream = api.stream("/")
        stream.close()
        stream.close()
        assert list(stream) == []
        go.release()


@pytest.mark.parametrize(
    "broken",
    [
        HEAD + b"3\r\none\r\n",
        HEAD + b"3\r\none\r\n6\r\nt",
        HEAD + b"3\r\none\r\nzz",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\none",
    ],
)
def test_a_stream_that_breaks(broken: bytes) -> None:
    read: list[bytes] = []
    with (
        serving(lambda connection, _: connection.sendall(broken)) as (_, api),
        api.stream("/") as stream,
        pytest.raises(Unreachable),
    ):
        read.extend(stream)
    assert read[0] == b"one"  # what came before is told


def test_a_stream_that_falls_silent() -> None:
    answer, go = in_steps(HEAD, b"never")
    with serving(answer) as (_, api):
        go.release()
        with api.stream("/", seconds=0.3) as stream, pytest.raises(Unreachable, match="in time"):
            next(stream)
        go.release()


@pytest.mark.parametrize("how", ["cancel", "close"])
def test_a_stream_stops(how: str) -> None:
    answer, go = in_steps(HEAD, b"never")
    cancel = CancelToken()
    with serving(answer) as (_, api):
        go.release()
        with api.stream("/", cancel=cancel) as stream:
            in_time(cancel.cancel if how == "cancel" else api.close)
            with pytest.raises(Stopped):
                next(stream)
        go.release()


def test_a_stream_whose_head_does_not_come_stops() -> None:
    cancel = CancelToken()
    with serving(silence) as (server, api):
        in_time(lambda: server.came.wait(10) and cancel.cancel())
        with pytest.raises(Stopped):
            api.stream("/", cancel=cancel, seconds=60)


def test_a_stream_that_is_refused() -> None:
    with serving(refused(410, "Expired")) as (_, api):
        with pytest.raises(ApiError) as error:
            api.stream("/", {"watch": True})
        assert (error.value.reason, api.requests) == ("Expired", 1)
    with serving(with_token("new", chunks(b"a")), tokens=("old", "new")) as (_, api), api.stream("/") as stream:
        assert list(stream) == [b"a"]


def upgraded(subprotocol: str, *frames: bytes, then: Callable[[socket.socket], object] | None = None) -> Answer:
    """A websocket, these frames, and what comes back."""

    def answer(connection: socket.socket, heard: Heard) -> object:
        guid = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
        key = hashlib.sha1((heard.header("Sec-WebSocket-Key")[0] + guid).encode()).digest()
        head = [
            "HTTP/1.1 101 Switching Protocols",
            "Upgrade: websocket",
            "Connection: Upgrade",
            f"Sec-WebSocket-Accept: {base64.b64encode(key).decode()}",
            *([f"Sec-WebSocket-Protocol: {subprotocol}"] if subprotocol else []),
        ]
        # With the head: what follows it at once is not lost.
        connection.sendall("\r\n".join([*head, "", ""]).encode() + b"".join(frames))
        return then(connection) if then else connection.recv(1000)

    return answer


def test_a_websocket() -> None:
    heard: list[bytes] = []
    answer = upgraded("v5.channel.k8s.io", b"\x82\x03\1hi", then=lambda connection: heard.append(connection.recv(1000)))
    with serving(answer, tokens=("t1",)) as (server, api):
        found = api.socket("/attach", {"stdin": True, "command": ["a", "b"]}, "v5.channel.k8s.io")
        assert found.recv() == b"\1hi"
        found.send_binary(b"\0yes")
        found.shutdown()
    request = server.heard[0]
    assert request.target == "/attach?stdin=true&command=a&command=b"
    assert request.header("Authorization") == ["Bearer t1"]
    assert request.header("Sec-WebSocket-Protocol") == ["v5.channel.k8s.io"]
    assert request.header("Host") == [server.url.removeprefix("https://")]
    assert request.header("Origin") == []
    assert len(heard[0]) == 2 + 4 + 4


def test_a_websocket_that_is_refused() -> None:
    with serving(refused(403, "Forbidden")) as (_, api):
        with pytest.raises(ApiError) as error:
            api.socket("/", {}, "v5.channel.k8s.io")
        assert (error.value.status, error.value.message) == (403, "told why")
    for answer in (upgraded(""), upgraded("v4.channel.k8s.io"), b"HTTP/1.1 101 Fine\r\n\r\n", b"\xff\xff\r\n", b""):
        hostile = answer if callable(answer) else (lambda connection, _, said_=answer: connection.sendall(said_))
        with serving(hostile) as (_, api), pytest.raises(Unreachable):
            api.socket("/", {}, "v5.channel.k8s.io", seconds=5)


def test_a_websocket_with_credentials_that_are_refused() -> None:
    fine = upgraded("v5.channel.k8s.io")

    def judge(connection: socket.socket, heard: Heard) -> object:
        if heard.header("Authorization") == ["Bearer new"]:
            return fine(connection, heard)
        connection.sendall(refused(401, "Unauthorized"))
        return None

    with serving(judge, tokens=("old", "new")) as (_, api):
        api.socket("/", {}, "v5.channel.k8s.io").shutdown()
        assert api.requests == 2


def test_a_websocket_ends_with_all_else() -> None:
    import websocket

    with serving(upgraded("v5.channel.k8s.io")) as (_, api):
        found = api.socket("/", {}, "v5.channel.k8s.io", seconds=60)
        thread = in_time(api.close)
        with pytest.raises((websocket.WebSocketConnectionClosedException, OSError)):
            found.recv()
        thread.join(10)
        found.shutdown()


def test_a_websocket_that_does_not_answer() -> None:
    with serving(silence) as (_, api), pytest.raises(Unreachable, match="in time"):
        api.socket("/", {}, "v5.channel.k8s.io", seconds=0.3)
