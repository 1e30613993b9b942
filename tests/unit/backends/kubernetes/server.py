"""A TLS server that answers what a test wants: no API server, but what may sit where one is expected.

Its keys are in `keys`: `server` is of `ca`, made out to localhost and its addresses; `elsewhere` to another host;
`client` is a client's, `locked` the same with a password. They protect nothing.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Self

from willitcompile.backends.kubernetes.api.access import Access
from willitcompile.backends.kubernetes.api.credentials import Credentials, Identity

if TYPE_CHECKING:
    from collections.abc import Callable

    Answer = Callable[[socket.socket, "Heard"], object]

KEYS = Path(__file__).parent / "keys"
CA = (KEYS / "ca.pem").read_bytes()


class Heard(NamedTuple):
    """A request."""

    method: str
    target: str
    headers: list[tuple[str, str]]
    body: bytes
    connection: int
    """The how manyeth it came over."""

    def header(self, name: str) -> list[str]:
        return [value for each, value in self.headers if each.lower() == name.lower()]


class Server:
    """Answers each request with the next of these, the last one for ever. One that is called ends its connection,
    unless it returns True."""

    def __init__(
        self, *answers: bytes | Answer, key: str | None = "server", ca: str | None = None, host: str = ""
    ) -> None:
        self.heard: list[Heard] = []
        self.came = threading.Event()
        """Set when a request has come."""
        self._answers = list(answers)
        self._context: ssl.SSLContext | None = None
        if key is not None:
            self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._context.load_cert_chain(KEYS / f"{key}.pem")
            if ca is not None:
                self._context.load_verify_locations(KEYS / f"{ca}.pem")
                self._context.verify_mode = ssl.CERT_REQUIRED
        self._lock = threading.Lock()
        self._open: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._listening = socket.create_server((host or "127.0.0.1", 0), family=family)
        self.port = self._listening.getsockname()[1]
        address = f"[{host}]" if ":" in host else host or "127.0.0.1"
        self.url = f"{'http' if key is None else 'https'}://{address}:{self.port}"
        self._accepting = threading.Thread(target=self._accept, daemon=True)
        self._accepting.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._accepting.join(10)
        self._listening.close()
        for each in self._open:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(10)
            assert not thread.is_alive()

    @property
    def connections(self) -> int:
        return len(self._threads)

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            # To be ended from here also while it is in TLS' hands.
            self._open.append(connection.dup())
            thread = threading.Thread(target=self._serve, args=(connection, len(self._threads)), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket, number: int) -> None:
        ending = self._open[number]
        with contextlib.suppress(OSError), ending, connection:
            if self._context is not None:
                connection = self._context.wrap_socket(connection, server_side=True)
            with connection, connection.makefile("rb") as lines:
                while (heard := _hear(lines, number)) is not None and self._answer(connection, heard):
                    pass

    def _answer(self, connection: socket.socket, heard: Heard) -> object:
        """True where another request may follow."""
        with self._lock:
            answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
            self.heard.append(heard)
        self.came.set()
        if callable(answer):
            return answer(connection, heard)
        connection.sendall(answer)
        return b"\r\nContent-Length: " in answer and b"\r\nConnection: close" not in answer


def _hear(lines: object, number: int) -> Heard | None:
    head = []
    while line := lines.readline().strip():  # type: ignore[attr-defined]
        head.append(line.decode())
    if not head:
        return None
    method, target, _ = head[0].split(" ", 2)
    headers = [(name, value.strip()) for name, _, value in (line.partition(":") for line in head[1:])]
    length = next((int(value) for name, value in headers if name == "Content-Length"), 0)
    body: bytes = lines.read(length)  # type: ignore[attr-defined]
    return Heard(method, target, headers, body, number)


def said(body: bytes, *headers: str, status: str = "200 OK") -> bytes:
    """A whole answer."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


def refused(status: int, reason: str, *headers: str) -> bytes:
    """As the API server does it."""
    body = b'{"kind":"Status","status":"Failure","message":"told why","reason":"%s","details":{"name":"x"},"code":%d}'
    return said(body % (reason.encode(), status), "Content-Type: application/json", *headers, status=f"{status} No")


def chunks(*pieces: bytes, end: bool = True) -> bytes:
    """The head of an answer that comes in pieces, and these."""
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    return head + b"".join(b"%x\r\n%s\r\n" % (len(each), each) for each in pieces) + b"0\r\n\r\n" * end


def access_to(server: Server, *tokens: str, certificate: bytes | None = None, **changes: object) -> Access:
    """With these tokens, one after the other as each is refused."""
    left = [f"Bearer {each}" for each in tokens]

    def read() -> Identity:
        return Identity((left.pop(0) if len(left) > 1 else left[0]) if left else None, certificate)

    found = Access(server.url, "default", "the test", None, Credentials(read), CA)
    return found._replace(**changes)  # type: ignore[arg-type]
