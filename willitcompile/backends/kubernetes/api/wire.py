"""A socket to a cluster, through a proxy where there is one, whose every wait can be ended from elsewhere."""

from __future__ import annotations

import errno
import io
import os
import select
import socket
import ssl
import time
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Buffer  # type: ignore[attr-defined]

    from willitcompile.backends import CancelToken
    from willitcompile.backends.kubernetes.api.access import Proxy

CONNECT_SECONDS = 5.0
"""For each address of the host."""
_MOST_HEAD_BYTES = 16 << 10
_SILENT_SECONDS, _PROBES = 30, 3
"""A watch may be silent for minutes: a peer that has vanished is noticed, and no router forgets the connection."""


class Unreachable(Exception):
    """The server does not answer, or not with sense. Its text is for people."""

    def __init__(self, text: str, *, is_lasting: bool = False) -> None:
        super().__init__(text)
        self.is_lasting = is_lasting
        """Whether trying again is of no use."""


class Stopped(Exception):
    """What was waited for is wanted no more: its token was cancelled, or all was closed."""


class Waiting(NamedTuple):
    """For how long to wait, and what ends it earlier."""

    deadline: float
    """In time.monotonic's seconds."""
    cancel: CancelToken | None
    stop: CancelToken

    def check(self) -> None:
        """Raises Stopped."""
        if self.stop.cancelled or (self.cancel is not None and self.cancel.cancelled):
            raise Stopped

    def wait(self, what: socket.socket | CancelToken | None, events: int = select.POLLIN) -> bool:
        """Until one of these happens to it; False where it is too late. Raises Stopped."""
        poll = select.poll()
        for each in (self.stop, self.cancel):
            if each is not None:
                poll.register(each, select.POLLIN)
        if what is not None:
            poll.register(what, events)
        self.check()
        ready = poll.poll(max(0.0, self.deadline - time.monotonic()) * 1000)
        self.check()
        return bool(ready)

    def at_most(self, seconds: float) -> Waiting:
        return self._replace(deadline=min(self.deadline, time.monotonic() + seconds))


class Wire:
    """What http.client takes for a socket. One thread at a time, but for `interrupt`."""

    def __init__(self, connection: socket.socket, waiting: Waiting) -> None:
        self._connection = connection
        self.waiting = waiting
        """For what is done next."""

    def receive_into(self, buffer: Buffer) -> int:
        """Raises OSError and Stopped."""
        while True:
            self.waiting.check()
            try:
                return self._connection.recv_into(buffer)
            except OSError as error:
                await_again(self._connection, error, select.POLLIN, self.waiting)

    def sendall(self, data: bytes) -> None:
        """Raises OSError and Stopped."""
        left = memoryview(data)
        while left:
            self.waiting.check()
            try:
                left = left[self._connection.send(left) :]
            except OSError as error:
                await_again(self._connection, error, select.POLLOUT, self.waiting)

    def makefile(self, *_: object) -> io.BufferedReader:
        return io.BufferedReader(_Raw(self), 1 << 16)

    def close(self) -> None:
        """Nothing: http.client does this as soon as it has seen that no further request can follow."""

    def is_idle(self) -> bool:
        """Whether it stands, and nothing has come."""
        try:
            self._connection.recv(1)
        except OSError as error:
            return _awaited(error, select.POLLIN) is not None
        return False

    def interrupt(self) -> None:
        """End it for whoever uses it. From any thread."""
        interrupt(self._connection)

    def end(self) -> None:
        self._connection.close()

    def release(self) -> socket.socket:
        """The socket, for others."""
        return self._connection


class _Raw(io.RawIOBase):
    def __init__(self, wire: Wire) -> None:
        super().__init__()
        self._wire = wire

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Buffer) -> int:
        return self._wire.receive_into(buffer)


def interrupt(connection: socket.socket) -> None:
    """End it for whoever uses it. From any thread."""
    try:
        # Not as TLS would do it, whose state is the other thread's.
        socket.socket.shutdown(connection, socket.SHUT_RDWR)
    except OSError:
        pass  # the other end was faster


def connect(
    host: str, port: int, proxy: Proxy | None, tls: ssl.SSLContext | None, server_name: str, waiting: Waiting
) -> socket.socket:
    """A socket that does not block. Raises OSError, Stopped and Unreachable."""
    connection = _connect(host, port, waiting) if proxy is None else _through(proxy, host, port, waiting)
    try:
        if tls is not None:
            connection = tls.wrap_socket(connection, server_hostname=server_name, do_handshake_on_connect=False)
            _shake_hands(connection, waiting)
    except BaseException:
        connection.close()
        raise
    return connection


def _through(proxy: Proxy, host: str, port: int, waiting: Waiting) -> socket.socket:
    """Raises Stopped and Unreachable."""
    try:
        connection = _connect(proxy.host, proxy.port, waiting)
        try:
            (_through_socks if proxy.scheme == "socks5" else _through_http)(connection, proxy, host, port, waiting)
        except BaseException:
            connection.close()
            raise
    except OSError as error:
        raise Unreachable(f"the proxy {proxy.host}:{proxy.port} is in the way: {in_words(error)}") from error
    return connection


def _connect(host: str, port: int, waiting: Waiting) -> socket.socket:
    failed: OSError = TimeoutError()
    try:
        addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except UnicodeError as error:
        raise Unreachable("its name is none", is_lasting=True) from error
    for family, kind, protocol, _, address in addresses:
        connection = socket.socket(family, kind, protocol)
        try:
            connection.setblocking(False)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, _SILENT_SECONDS)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, _SILENT_SECONDS // _PROBES)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, _PROBES)
            code = connection.connect_ex(address)
            if code == errno.EINPROGRESS:
                if not waiting.at_most(CONNECT_SECONDS).wait(connection, select.POLLOUT):
                    raise TimeoutError
                code = connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if code:
                raise OSError(code, os.strerror(code))
        except OSError as error:
            failed = error
            connection.close()
        except BaseException:
            connection.close()
            raise
        else:
            return connection
    raise failed


def _shake_hands(connection: ssl.SSLSocket, waiting: Waiting) -> None:
    while True:
        try:
            connection.do_handshake()
        except OSError as error:
            await_again(connection, error, select.POLLIN, waiting)
        else:
            return


def _through_http(connection: socket.socket, proxy: Proxy, host: str, port: int, waiting: Waiting) -> None:
    from willitcompile.backends.kubernetes.api.credentials import basic

    address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    head = f"CONNECT {address} HTTP/1.1\r\nHost: {address}\r\n"
    if proxy.username is not None:
        head += f"Proxy-Authorization: {basic(proxy.username, proxy.password or '')}\r\n"
    wire = Wire(connection, waiting)
    wire.sendall(f"{head}\r\n".encode())
    said = b""
    while not said.endswith(b"\r\n\r\n"):
        said += _exactly(wire, 1)  # what follows is the server's
        if len(said) > _MOST_HEAD_BYTES:
            raise Unreachable(f"what answers at {proxy.host}:{proxy.port} is no proxy", is_lasting=True)
    words = said.split(b"\r\n", 1)[0].split(None, 2)
    if len(words) < 2 or not words[0].startswith(b"HTTP/1.") or words[1] != b"200":
        reason = b" ".join(words[1:])[:100].decode(errors="replace")
        # 502 to 504: it is the server that cannot be reached, perhaps for now.
        is_lasting = not (len(words) > 1 and words[1].startswith(b"50"))
        raise Unreachable(f"the proxy {proxy.host}:{proxy.port} refuses: {reason}", is_lasting=is_lasting)


def _through_socks(connection: socket.socket, proxy: Proxy, host: str, port: int, waiting: Waiting) -> None:
    """RFC 1928 and 1929. The proxy looks the host up."""
    wire = Wire(connection, waiting)
    name, password = ((each or "").encode()[:255] for each in (proxy.username, proxy.password))
    wire.sendall(b"\5\2\0\2" if name else b"\5\1\0")
    version, method = _exactly(wire, 2)
    if version != 5 or method not in {0, 2}:
        raise Unreachable(f"the proxy {proxy.host}:{proxy.port} lets nobody in, or is none", is_lasting=True)
    if method == 2:
        wire.sendall(b"\1" + bytes([len(name)]) + name + bytes([len(password)]) + password)
        if _exactly(wire, 2)[1]:
            raise Unreachable(f"the proxy {proxy.host}:{proxy.port} refuses our password", is_lasting=True)
    target = host.encode()[:255]
    wire.sendall(b"\5\1\0\3" + bytes([len(target)]) + target + port.to_bytes(2, "big"))
    _, refusal, _, kind = _exactly(wire, 4)
    if refusal:
        raise Unreachable(f"the proxy {proxy.host}:{proxy.port} cannot reach {host}:{port} ({refusal})")
    _exactly(wire, {1: 4, 4: 16}.get(kind) or _exactly(wire, 1)[0])
    _exactly(wire, 2)


def _exactly(wire: Wire, length: int) -> bytes:
    received = b""
    while len(received) < length:
        buffer = bytearray(length - len(received))
        if not (count := wire.receive_into(buffer)):
            raise ConnectionResetError
        received += buffer[:count]
    return received


def await_again(connection: socket.socket, error: OSError, event: int, waiting: Waiting) -> None:
    """Wait for what was in the way, where that was no end. Raises OSError and Stopped."""
    events = _awaited(error, event)
    if events is None:
        raise error
    if not waiting.wait(connection, events):
        raise TimeoutError from error


def _awaited(error: OSError, event: int) -> int | None:
    """What to wait for where a socket that does not block would have blocked; None where it broke."""
    if isinstance(error, ssl.SSLWantReadError):
        return select.POLLIN
    if isinstance(error, ssl.SSLWantWriteError):
        return select.POLLOUT
    return event if isinstance(error, BlockingIOError) else None


def in_words(error: Exception) -> Unreachable:
    """What stands in the way, and whether it will tomorrow."""
    found = _in_words(error)
    found.__cause__ = error
    return found


def _in_words(error: Exception) -> Unreachable:
    if isinstance(error, Unreachable):
        return error
    if isinstance(error, ssl.SSLError):
        return _of_tls(error)
    if isinstance(error, socket.gaierror):
        is_lasting = error.errno != socket.EAI_AGAIN
        return Unreachable(f"its name cannot be looked up: {error.strerror}", is_lasting=is_lasting)
    for kind, text in _WORDS.items():
        if isinstance(error, kind):
            return Unreachable(text)
    return Unreachable((isinstance(error, OSError) and error.strerror) or "what it answers makes no sense")


_WORDS: dict[type[Exception], str] = {
    TimeoutError: "it does not answer in time",
    ConnectionRefusedError: "nothing listens there",
    ConnectionError: "it closed the connection",
}


def _of_tls(error: ssl.SSLError) -> Unreachable:
    reason = error.reason or ""
    if isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError):
        return Unreachable("it closed the connection")
    if isinstance(error, ssl.SSLCertVerificationError):
        text = f"its certificate is not trusted: {error.verify_message}"
    elif "ALERT" in reason and ("CERTIFICATE" in reason or "UNKNOWN_CA" in reason):
        text = "it does not accept our certificate"
    elif reason in {"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE"}:
        text = "it does not speak TLS"
    else:
        text = f"TLS fails: {reason.lower().replace('_', ' ')}"
    return Unreachable(text, is_lasting=True)
