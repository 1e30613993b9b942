"""The Docker Engine API, as much of it as the life of a container takes.

Not by the docker package: importing that takes 150 to 220 ms, most of what a whole check may cost, and its client hands
out one stream per call behind private methods. What is not the life of a container (registries, their passwords,
builds) is left to it: see `images`.

Each request has a connection of its own, so that none waits for another. It speaks HTTP/1.0, to which an answer ends
with its connection.
"""

from __future__ import annotations

import json
import os
import socket
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote, urlencode

from willitcompile.errors import BackendUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from willitcompile.backends.docker.endpoint import Endpoint

NEWEST_API = (1, 52)
"""What of the API this was written for; an older daemon is spoken to in its own."""
OLDEST_API = (1, 40)
"""Docker 19.03, of 2019."""

CONNECT_SECONDS = 3.0
ANSWER_SECONDS = 120.0
"""A daemon that starts 200 containers at once may take a minute for one."""
_MOST_BYTES = 64 << 20
_MOST_HEAD_BYTES = 64 << 10


class EngineError(Exception):
    """The daemon says no."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{message} ({status})")
        self.status = status
        self.message = message


class Gone(Exception):
    """The daemon cannot be reached, or left in the middle of an answer."""


class Reply(NamedTuple):
    status: int
    headers: Mapping[str, str]
    """By name in small letters."""
    body: bytes


class Engine:
    """A daemon. Thread-safe."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self._prefix = ""
        self._tunnel: Any = None
        self._context: Any = None

    def ping(self) -> Mapping[str, str]:
        """The headers of its answer, which say who it is. Raises BackendUnavailable."""
        try:
            if self.endpoint.scheme == "ssh" and self._tunnel is None:
                from willitcompile.backends.docker.tunnel import Tunnel

                self._tunnel = Tunnel(self.endpoint)
            reply = self._exchange("GET", "/_ping", b"", {}, CONNECT_SECONDS if self.endpoint.scheme == "unix" else 10)
        except Gone as error:
            raise unreachable(self.endpoint, error) from error
        api = reply.headers.get("api-version", "")
        if reply.status != 200 or not api:
            raise BackendUnavailable(
                f"compile with Docker at {self.endpoint.url}",
                f"what answers there is no Docker daemon (status {reply.status})",
                "correct DOCKER_HOST, or the context: docker context ls",
            )
        numbers = tuple(int(number) for number in api.split(".") if number.isdecimal())
        if numbers < OLDEST_API:
            raise BackendUnavailable(
                f"compile with Docker at {self.endpoint.url}",
                f"it speaks version {api} of the API, and 1.40 is needed",
                "update Docker to 19.03 or later",
            )
        self._prefix = "/v" + ".".join(map(str, min(numbers, NEWEST_API)))
        return reply.headers

    def call(
        self,
        method: str,
        path: str,
        query: Mapping[str, Any] | None = None,
        body: object = None,
        *,
        seconds: float = ANSWER_SECONDS,
    ) -> Any:
        """The answer's JSON, None for an empty one. `body` is JSON, or bytes of a tar. Raises EngineError and Gone."""
        headers = {}
        if isinstance(body, bytes):
            content = body
            headers["Content-Type"] = "application/x-tar"
        else:
            content = b"" if body is None else json.dumps(body).encode()
            headers["Content-Type"] = "application/json"
        reply = self._exchange(method, self._prefix + path + _query(query), content, headers, seconds)
        return _read_json(reply)

    def attach(self, container: str, *, seconds: float = ANSWER_SECONDS) -> socket.socket:
        """The container's stdin, and its stdout and stderr as one stream of frames. Raises EngineError and Gone."""
        path = f"{self._prefix}/containers/{container}/attach?stream=1&stdin=1&stdout=1&stderr=1"
        connection = self._connect(seconds)
        try:
            head = (
                f"POST {path} HTTP/1.1\r\nHost: docker\r\nContent-Type: application/vnd.docker.raw-stream\r\n"
                "Connection: Upgrade\r\nUpgrade: tcp\r\nContent-Length: 0\r\n\r\n"
            )
            connection.sendall(head.encode())
            # Byte by byte: what follows the head is the container's, and nobody gives it back.
            said = bytearray()
            while not said.endswith(b"\r\n\r\n"):
                byte = connection.recv(1)
                if not byte or len(said) > _MOST_HEAD_BYTES:
                    raise Gone("it closed the connection")
                said += byte
            status, headers = _parse_head(bytes(said[:-4]))
            if status not in {101, 200}:
                length = headers.get("content-length", "")
                body = _receive(connection, int(length) if length.isdecimal() else None)
                raise EngineError(status, _message(body))
        except (OSError, ValueError) as error:
            connection.close()
            raise Gone(_words(error)) from error
        except BaseException:
            connection.close()
            raise
        return connection

    def events(
        self, method: str, path: str, query: Mapping[str, Any], *, headers: Mapping[str, str], seconds: float
    ) -> Iterator[dict[str, Any]]:
        """The objects of an answer that comes line by line; `seconds` is for each. Raises EngineError and Gone."""
        connection = self._connect(seconds)
        try:
            connection.sendall(_request(method, self._prefix + path + _query(query), b"", headers))
            with connection.makefile("rb") as stream:
                head = b""
                while not head.endswith(b"\r\n\r\n") and (line := stream.readline(_MOST_HEAD_BYTES)):
                    head += line
                status, _ = _parse_head(head[:-4])
                if status >= 400:
                    raise EngineError(status, _message(stream.read(_MOST_HEAD_BYTES)))
                while line := stream.readline(_MOST_BYTES):
                    if line.strip():
                        yield json.loads(line)
        except (OSError, ValueError) as error:
            raise Gone(_words(error)) from error
        finally:
            connection.close()

    def close(self) -> None:
        if self._tunnel is not None:
            self._tunnel.close()

    def _exchange(self, method: str, path: str, body: bytes, headers: Mapping[str, str], seconds: float) -> Reply:
        connection = self._connect(seconds)
        try:
            try:
                connection.sendall(_request(method, path, body, headers))
            except BrokenPipeError:
                pass  # it may have answered before it had read everything
            received = _receive(connection, None)
            head, separator, content = received.partition(b"\r\n\r\n")
            if not separator:
                raise Gone("it closed the connection")
            status, found = _parse_head(head)
        except (OSError, ValueError) as error:
            raise Gone(_words(error)) from error
        finally:
            connection.close()
        return Reply(status, found, content)

    def _connect(self, seconds: float) -> socket.socket:
        endpoint = self.endpoint
        try:
            if endpoint.scheme != "tcp":
                connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
                try:
                    connection.settimeout(CONNECT_SECONDS)
                    connection.connect(self._tunnel.path if self._tunnel else endpoint.path)
                except BaseException:
                    connection.close()
                    raise
            else:
                connection = socket.create_connection((endpoint.host, endpoint.port), CONNECT_SECONDS)
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                if endpoint.tls:
                    connection = self._encrypted(connection)
            connection.settimeout(seconds)
        except (OSError, ValueError) as error:
            raise Gone(_words(error)) from error
        return connection

    def _encrypted(self, connection: socket.socket) -> socket.socket:
        import ssl

        tls = self.endpoint.tls
        assert tls is not None  # noqa: S101 - for mypy
        if self._context is None:
            context = ssl.create_default_context(cafile=tls.ca)
            if not tls.verify:
                context.check_hostname = False
                context.verify_mode = ssl.CERT_NONE
            if tls.cert and tls.key:
                context.load_cert_chain(tls.cert, tls.key)
            self._context = context
        try:
            wrapped: socket.socket = self._context.wrap_socket(connection, server_hostname=self.endpoint.host)
        except BaseException:
            connection.close()
            raise
        return wrapped


def unreachable(endpoint: Endpoint, error: Gone) -> BackendUnavailable:
    """What to do about a daemon that does not answer."""
    asked = f"compile with Docker at {endpoint.url} ({endpoint.origin})"
    cause = error.__cause__
    if isinstance(cause, PermissionError):
        return BackendUnavailable(
            asked,
            f"permission denied: {os.environ.get('USER') or 'this user'} may not use the socket",
            "sudo usermod -aG docker $USER, then log in again; or use rootless Docker",
        )
    from willitcompile.backends.docker.endpoint import REMEDY

    if endpoint.scheme == "ssh":
        remedy = f"try: ssh {endpoint.host} docker version"
    else:
        remedy = REMEDY if endpoint.scheme == "unix" else "start the daemon there, or correct its address"
    return BackendUnavailable(asked, str(error), remedy)


def _words(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "it does not answer in time"
    if isinstance(error, FileNotFoundError):
        return "there is no such socket"
    if isinstance(error, ConnectionRefusedError):
        return "nothing listens there"
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def _request(method: str, path: str, body: bytes, headers: Mapping[str, str]) -> bytes:
    lines = [f"{method} {path} HTTP/1.0", "Host: docker", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


def _query(query: Mapping[str, Any] | None) -> str:
    """
    >>> _query({"force": True, "filters": {"label": ["a=b"]}})
    '?force=1&filters=%7B%22label%22%3A+%5B%22a%3Db%22%5D%7D'
    """
    if not query:
        return ""
    texts = {
        name: json.dumps(value) if isinstance(value, dict) else str(int(value) if isinstance(value, bool) else value)
        for name, value in query.items()
    }
    return "?" + urlencode(texts)


def in_path(name: str) -> str:
    """The name of an image in a path: it has slashes and colons."""
    return quote(name, safe="/:@")


def _receive(connection: socket.socket, length: int | None) -> bytes:
    """So many bytes, or all there are."""
    received = bytearray()
    while length is None or len(received) < length:
        data = connection.recv(65536)
        if not data:
            break
        received += data
        if len(received) > _MOST_BYTES:
            raise Gone("it answers without end")
    return bytes(received)


def _parse_head(head: bytes) -> tuple[int, dict[str, str]]:
    """Raises ValueError."""
    first, *lines = head.decode("latin-1").split("\r\n")
    words = first.split(" ", 2)
    if len(words) < 2 or not words[0].startswith("HTTP/1."):
        raise ValueError("what answers does not speak HTTP")
    headers = {}
    for line in lines:
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
    return int(words[1]), headers


def _read_json(reply: Reply) -> Any:
    if reply.status >= 400:
        raise EngineError(reply.status, _message(reply.body))
    if not reply.body.strip() or reply.status == 204:
        return None
    try:
        return json.loads(reply.body)
    except (ValueError, RecursionError):
        return None


def _message(body: bytes) -> str:
    try:
        document = json.loads(body)
        return str(document["message"])[:1000]
    except (ValueError, KeyError, TypeError, RecursionError):
        return body[:300].decode(errors="backslashreplace").strip() or "no reason given"
