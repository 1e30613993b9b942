"""The connection to a container: what comes over it in pieces, makes no sense, stops, or ends."""

from __future__ import annotations

import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from tests.unit.backends.docker.peer import Peer, said
from willitcompile.backends import Cancelled, CancelToken
from willitcompile.backends.docker.channel import Container
from willitcompile.backends.docker.endpoint import Endpoint
from willitcompile.backends.docker.engine import Engine, Gone
from willitcompile.model import Limits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

LIMITS = Limits(wall_seconds=5)
READY = b"R\1\0\0\0" + b"1"
ENDED = b"T\x2c\0\0\0" + (0).to_bytes(4, "little") + bytes(40)
LARGE = bytes(64 << 20)
"""More than any buffer between the two takes."""
SECONDS = 20


def frame(content: bytes, stream: int = 1) -> bytes:
    """As the daemon sends it."""
    return bytes((stream, 0, 0, 0)) + len(content).to_bytes(4, "big") + content


@contextmanager
def container(directory: Path, then: Callable[[socket.socket], None]) -> Iterator[Container]:
    """One whose connection is ready, and then does this."""

    def attach(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 101 UPGRADED\r\n\r\n" + frame(READY))
        try:
            then(connection)
        except OSError:
            return  # the test has ended

    done = said(b"", status="204 No Content")
    with Peer(directory, said(b'{"Id": "abc"}'), attach, done) as peer:
        made = Container(Engine(Endpoint("unix", peer.path, "", 0, "")), {})
        try:
            yield made
        finally:
            made.discard()


def bytewise(connection: socket.socket) -> None:
    connection.recv(1)
    whole = frame(b"O\2\0\0\0ou") + frame(b"T") + frame(ENDED[1:20]) + frame(ENDED[20:]) + frame(b"noise", 2)
    for byte in whole:
        connection.sendall(bytes((byte,)))


def test_frames_come_in_any_pieces(tmp_path: Path) -> None:
    with container(tmp_path, bytewise) as made:
        outcome = made.run([b"x"], LIMITS)
    assert (outcome.stdout, outcome.ending.exit_code) == (b"ou", 0)


@pytest.mark.parametrize(
    "nonsense",
    [
        b"HTTP/1.1 500 nonsense\r\n",
        b"\xff" * 100,
        frame(b"?" * 100),
        b"\1\0\0\0\xff\xff\xff\xff",
        frame(ENDED, stream=7),
        frame(READY),
    ],
)
def test_what_makes_no_sense_is_no_answer(tmp_path: Path, nonsense: bytes) -> None:
    def answer(connection: socket.socket) -> None:
        connection.recv(1)
        connection.sendall(nonsense)

    with container(tmp_path, answer) as made, pytest.raises(Gone):
        made.run([b"x"], LIMITS)


def test_the_end_of_the_container_says_what_it_said(tmp_path: Path) -> None:
    def end(connection: socket.socket) -> None:
        connection.recv(1)
        connection.sendall(frame(b"exec format error", 2))
        connection.shutdown(socket.SHUT_WR)

    with container(tmp_path, end) as made, pytest.raises(Gone, match="its container ended: exec format error"):
        made.run([b"x"], LIMITS)


def test_the_end_is_heard_while_the_sources_are_sent(tmp_path: Path) -> None:
    """The daemon takes no more of them then, and does not say so."""

    def end(connection: socket.socket) -> None:
        connection.recv(1)
        connection.shutdown(socket.SHUT_WR)

    with container(tmp_path, end) as made, pytest.raises(Gone, match="its container ended"):
        made.run([LARGE], LIMITS)


@pytest.mark.parametrize("record", [b"x", LARGE])
def test_cancelling_while_nothing_moves(tmp_path: Path, record: bytes) -> None:
    cancel = CancelToken()
    with container(tmp_path, lambda _: None) as made, ThreadPoolExecutor(1) as pool:
        running = pool.submit(made.run, [record], LIMITS, cancel)
        cancel.cancel()
        assert isinstance(running.exception(SECONDS), Cancelled)


@pytest.mark.parametrize("record", [b"x", LARGE])
def test_interrupting_from_another_thread(tmp_path: Path, record: bytes) -> None:
    heard = threading.Event()

    def hear(connection: socket.socket) -> None:
        connection.recv(1)
        heard.set()

    with container(tmp_path, hear) as made, ThreadPoolExecutor(1) as pool:
        running = pool.submit(made.run, [record], LIMITS)
        assert heard.wait(SECONDS)
        made.interrupt()
        assert isinstance(running.exception(SECONDS), Gone)


def test_whether_it_lives(tmp_path: Path) -> None:
    over = threading.Event()
    closed = threading.Event()

    def end(connection: socket.socket) -> None:
        over.wait(SECONDS)
        connection.close()
        closed.set()

    with container(tmp_path, end) as made:
        assert made.alive()
        over.set()
        assert closed.wait(SECONDS)
        assert not made.alive()
        made.hang_up()
        assert not made.alive()


@pytest.mark.parametrize("created", [b"null", b"[]", b"{}", b'{"Id": 7}', b""])
def test_a_container_without_an_id(tmp_path: Path, created: bytes) -> None:
    body: dict[str, Any] = {}
    with Peer(tmp_path, said(created, status="201 Created")) as peer, pytest.raises(Gone):
        Container(Engine(Endpoint("unix", peer.path, "", 0, "")), body)
