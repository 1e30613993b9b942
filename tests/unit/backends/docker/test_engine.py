"""What may answer instead of a Docker daemon, and how it is told."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.backends.docker.peer import Peer, said
from willitcompile.backends.docker import engine as engine_module
from willitcompile.backends.docker.endpoint import Endpoint
from willitcompile.backends.docker.engine import Engine, EngineError, Gone, quoted
from willitcompile.errors import BackendUnavailable

if TYPE_CHECKING:
    import socket
    from pathlib import Path

VERSION = said(b'{"ApiVersion": "1.41", "Arch": "amd64"}')


def engine(peer: Peer) -> Engine:
    return Engine(Endpoint("unix", peer.path, "", 0, "DOCKER_HOST"))


def silence(connection: socket.socket) -> None:
    """Accept, and never answer."""


def drip(connection: socket.socket) -> None:
    """A byte of an answer now and then, for ever."""
    try:
        while True:
            connection.sendall(b"H")
            threading.Event().wait(0.02)
    except OSError:
        return


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"\x00" * 3000,
        b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n",
        b"HTTP/1.1 200\r\n",
        b"HTTP/1.1 two hundred\r\n\r\n",
        said(b"hello"),
        said(b""),
        said(b"[]"),
        said(b"null"),
        said(b"{}"),
        said(b"[" * 100_000),
        said(b'{"ApiVersion": "new"}'),
        said(b'{"ApiVersion": "%s"}' % (b"9" * 5000)),
        said(b"\xff\xfe"),
        said(b'{"ApiVersion": "1.41"}', "Content-Length: 2000"),
        said(b"broken", status="500 Internal Server Error"),
        said(b'{"message": "no"}', status="403 Forbidden"),
    ],
)
def test_what_is_no_daemon_is_told(tmp_path: Path, answer: bytes) -> None:
    with Peer(tmp_path, answer) as peer, pytest.raises(BackendUnavailable) as error:
        engine(peer).greet()
    assert error.value.exit_code == 3
    assert peer.path in error.value.asked
    assert error.value.obstacle
    assert error.value.remedy


@given(st.binary(max_size=300))
def test_whatever_answers_is_told(tmp_path_factory: pytest.TempPathFactory, answer: bytes) -> None:
    with Peer(tmp_path_factory.mktemp("p"), answer) as peer, pytest.raises(BackendUnavailable):
        engine(peer).greet()


@pytest.mark.parametrize("answer", [silence, drip])
def test_what_does_not_come_to_an_end_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: object
) -> None:
    monkeypatch.setattr(engine_module, "GREETING_SECONDS", 0.3)
    with Peer(tmp_path, answer) as peer, pytest.raises(BackendUnavailable) as error:  # type: ignore[arg-type]
        engine(peer).greet()
    assert error.value.obstacle == "it does not answer in time"


def test_an_old_daemon(tmp_path: Path) -> None:
    with Peer(tmp_path, said(b'{"ApiVersion": "1.24"}')) as peer, pytest.raises(BackendUnavailable) as error:
        engine(peer).greet()
    assert error.value.obstacle == "it speaks version 1.24 of the API, and 1.40 is needed"


def test_a_daemon_that_wants_tls(tmp_path: Path) -> None:
    answer = said(b"Client sent an HTTP request to an HTTPS server.\n", status="400 Bad Request")
    with Peer(tmp_path, answer) as peer, pytest.raises(BackendUnavailable) as error:
        engine(peer).greet()
    assert error.value.obstacle == "it speaks TLS alone"


def test_a_new_daemon_is_spoken_to_in_what_is_known(tmp_path: Path) -> None:
    heard = []

    def hear(connection: socket.socket) -> None:
        heard.append(connection.recv(65536))
        connection.sendall(said(b"[]"))
        connection.close()

    with Peer(tmp_path, said(b'{"ApiVersion": "1.99"}'), hear) as peer:
        asked = engine(peer)
        asked.greet()
        assert asked.call("GET", "/images/json") == []
    assert heard[0].startswith(b"GET /v1.52/images/json HTTP/1.0\r\n")


@pytest.mark.parametrize(
    "answer",
    [
        said(b'[{"Id": "abc"}', "Content-Length: 100"),
        said(b'[{"Id": "abc"'),
        said(b""),
        b"HTTP/1.0 200 OK\r\nContent-",
    ],
)
def test_an_answer_that_was_cut_off_is_none(tmp_path: Path, answer: bytes) -> None:
    """Half a list of images is not a list of half the images."""
    with Peer(tmp_path, answer) as peer, pytest.raises(Gone):
        engine(peer).call("GET", "/images/json")


def test_what_the_daemon_refuses_is_its_own_words(tmp_path: Path) -> None:
    answer = said(b'{"message": "conflict: in use"}', status="409 Conflict")
    with Peer(tmp_path, answer) as peer, pytest.raises(EngineError) as error:
        engine(peer).call("DELETE", "/images/x")
    assert (error.value.status, error.value.message) == (409, "conflict: in use")


def test_an_attachment_ends_at_the_head(tmp_path: Path) -> None:
    """What follows is the container's, however much of it comes with the head."""

    def upgrade(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 101 UPGRADED\r\nUpgrade: tcp\r\n\r\n\1\0\0\0\0\0\0\2hi")

    with Peer(tmp_path, upgrade) as peer:
        connection = engine(peer).attach("x")
        assert connection.recv(100) == b"\1\0\0\0\0\0\0\2hi"
        with pytest.raises(BlockingIOError):
            connection.recv(1)
        connection.close()


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b"", Gone),
        (b"HTTP/1.1 101", Gone),
        (b"x" * 100_000, Gone),
        (said(b'{"message": "no such container"}', status="404 Not Found"), EngineError),
    ],
)
def test_an_attachment_that_fails(tmp_path: Path, answer: bytes, error: type[Exception]) -> None:
    with Peer(tmp_path, answer) as peer, pytest.raises(error):
        engine(peer).attach("x", seconds=5)


@pytest.mark.parametrize("rest", [b"[1]\n", b"nonsense\n", b"[" * 100_000 + b"\n"])
def test_events_that_make_no_sense(tmp_path: Path, rest: bytes) -> None:
    with Peer(tmp_path, said(b'{"status": "one"}\n' + rest)) as peer:
        events = engine(peer).events("POST", "/images/create", {}, headers={}, seconds=5)
        assert next(events) == {"status": "one"}
        with pytest.raises(Gone):
            next(events)


@given(st.text())
def test_a_quoted_name_is_one_word_of_ascii(text: str) -> None:
    from urllib.parse import unquote

    found = quoted(text)
    assert found.isascii()
    assert not set(found) & set(" ?#&\r\n\0")
    assert unquote(found, errors="surrogateescape") == text
