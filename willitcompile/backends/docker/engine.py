"""The Docker Engine API, as much of it as the life of a container takes.

Not by the docker package: importing that takes 150 to 220 ms, most of what a whole check may cost, and its client hands
out one stream per call behind private methods. What it is for is the user's configuration: passwords of registries,
and proxies. See `registry`.

Each request has a connection of its own, so that none waits for another. It speaks HTTP/1.0, to which an answer ends
with its connection.
"""

from __future__ import annotations

import _socket
import json
import os
import time
from _thread import allocate_lock
from typing import TYPE_CHECKING, Any, NamedTuple

from willitcompile.backends.docker.endpoint import REMEDY, likely, nowhere
from willitcompile.errors import BackendUnavailable

if TYPE_CHECKING:
    import socket
    import ssl
    from collections.abc import Generator, Iterator, Mapping

    from willitcompile.backends.docker.endpoint import Endpoint
    from willitcompile.backends.docker.tunnel import Tunnel

    Connection = _socket.socket | socket.socket

NEWEST_API = (1, 52)
"""What of the API this was written for; an older daemon is spoken to in its own."""
OLDEST_API = (1, 40)
"""Docker 19.03, of 2019."""

CONNECT_SECONDS = 3.0
GREETING_SECONDS = 10.0
ANSWER_SECONDS = 120.0
"""A daemon that starts 200 containers at once may take a minute for one."""
SIGNAL_SECONDS = 0.5
"""The longest wait at a time: Python hears of a signal that comes just before a wait only when that is over."""
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
        self.is_podman = False
        self.machine = ""
        """Of the daemon, as it calls it: `amd64`."""
        self._prefix = ""
        self._tunnel: Tunnel | None = None
        self._digging = allocate_lock()
        self._closed = False
        self._context: ssl.SSLContext | None = None

    def greet(self) -> dict[str, Any]:
        """What the daemon says of itself: `Version`, `Arch`, … To be called first. Raises BackendUnavailable."""
        asked = f"compile with Docker at {self.endpoint.url}"
        try:
            if self.endpoint.scheme == "ssh":
                self._dig()
            about = _read_json(self._exchange("GET", "/version", b"", {}, GREETING_SECONDS))
            api = str(about["ApiVersion"])
            numbers = tuple(map(int, api.split(".")))
        except Gone as error:
            raise unreachable(self.endpoint, self._explained(error)) from error
        except (EngineError, KeyError, TypeError, ValueError) as error:
            if isinstance(error, EngineError) and "HTTPS server" in error.message:
                raise BackendUnavailable(
                    asked, "it speaks TLS alone", "export DOCKER_TLS_VERIFY=1 DOCKER_CERT_PATH=~/.docker"
                ) from error
            raise BackendUnavailable(
                asked, f"what answers there is no Docker daemon ({error})", "docker context ls; echo $DOCKER_HOST"
            ) from error
        if numbers < OLDEST_API:
            raise BackendUnavailable(
                asked,
                f"it speaks version {api} of the API, and 1.40 is needed",
                "update Docker to 19.03 or later",
            )
        self.machine = str(about.get("Arch"))
        components = about.get("Components") or ()
        self.is_podman = any("Podman" in str(each.get("Name")) for each in components if isinstance(each, dict))
        self._prefix = "/v" + ".".join(map(str, min(numbers, NEWEST_API)))
        found: dict[str, Any] = about
        return found

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
        found = _read_json(reply)
        if found is None and method == "GET":  # cut off: whatever is asked for has an answer
            raise Gone("it closed the connection")
        return found

    def attach(self, container: str, *, seconds: float = ANSWER_SECONDS) -> Connection:
        """The container's stdin, and its stdout and stderr as one stream of frames, not blocking.

        Raises EngineError and Gone.
        """
        path = f"{self._prefix}/containers/{container}/attach?stream=1&stdin=1&stdout=1&stderr=1"
        deadline = time.monotonic() + seconds
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
                byte = _receive(connection, 1, deadline)
                if not byte or len(said) > _MOST_HEAD_BYTES:
                    raise Gone("it closed the connection")
                said += byte
            status, headers = _parse_head(bytes(said[:-4]))
            if status not in {101, 200}:
                length = headers.get("content-length", "")
                body = _receive(connection, int(length) if length.isdecimal() else None, deadline)
                raise EngineError(status, _message(body))
            connection.setblocking(False)
        except (OSError, ValueError) as error:
            connection.close()
            raise Gone(_words(error)) from error
        except BaseException:
            connection.close()
            raise
        return connection

    def events(
        self,
        method: str,
        path: str,
        query: Mapping[str, Any],
        *,
        headers: Mapping[str, str],
        seconds: float,
        body: bytes = b"",
    ) -> Generator[dict[str, Any]]:
        """The objects of an answer that comes line by line; `seconds` is for each. Raises EngineError and Gone.

        Closing it closes the connection, by which the daemon ends what it does.
        """
        connection = self._connect(seconds)
        try:
            connection.sendall(_request(method, self._prefix + path + _query(query), body, headers))
            lines = _lines(connection, seconds)
            head = b""
            while (line := next(lines, b"\r\n")) != b"\r\n" and len(head) < _MOST_HEAD_BYTES:
                head += line
            status, _ = _parse_head(head.rstrip())
            if status >= 400:
                raise EngineError(status, _message(b"".join(lines)))
            for line in lines:
                if line.strip():
                    yield dict(json.loads(line))
        except (OSError, ValueError, TypeError, RecursionError) as error:
            raise Gone(_words(error)) from error
        finally:
            connection.close()

    def close(self) -> None:
        with self._digging:
            self._closed = True
            if self._tunnel is not None:
                self._tunnel.close()

    def _dig(self) -> None:
        """See that there is a tunnel which stands. Raises Gone."""
        from willitcompile.backends.docker.tunnel import Tunnel

        with self._digging:
            if self._closed:
                raise Gone("the connection was closed")
            if self._tunnel is None or not self._tunnel.stands():
                if self._tunnel is not None:
                    self._tunnel.close()
                    self._tunnel = None
                self._tunnel = Tunnel(self.endpoint)

    def _explained(self, error: Gone) -> Gone:
        """With what ssh has to say: of a connection that it could not forward we see only the end."""
        said = self._tunnel.said() if self._tunnel is not None else ""
        if not said:
            return error
        explained = Gone(f"ssh says: {said}")
        explained.__cause__ = error.__cause__
        return explained

    def _exchange(self, method: str, path: str, body: bytes, headers: Mapping[str, str], seconds: float) -> Reply:
        deadline = time.monotonic() + seconds
        connection = self._connect(seconds)
        try:
            try:
                connection.sendall(_request(method, path, body, headers))
            except BrokenPipeError:
                pass  # it may have answered before it had read everything
            received = _receive(connection, None, deadline)
            head, separator, content = received.partition(b"\r\n\r\n")
            if not separator:
                raise Gone("it closed the connection")
            status, found = _parse_head(head)
            length = found.get("content-length", "")
            if length.isdecimal() and len(content) < int(length) and method != "HEAD":
                raise Gone("it closed the connection in the middle of its answer")
        except (OSError, ValueError) as error:
            raise Gone(_words(error)) from error
        finally:
            connection.close()
        return Reply(status, found, content)

    def _connect(self, seconds: float) -> Connection:
        endpoint = self.endpoint
        try:
            connection = self._connect_tcp() if endpoint.scheme == "tcp" else self._connect_unix()
            connection.settimeout(seconds)
        except (OSError, ValueError) as error:
            raise Gone(_words(error)) from error
        return connection

    def _connect_unix(self) -> Connection:
        # Without the module socket, which takes 5 ms.
        connection = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM | _socket.SOCK_CLOEXEC)
        try:
            connection.settimeout(CONNECT_SECONDS)
            connection.connect(self._tunnel.path if self._tunnel else self.endpoint.path)
        except BaseException:
            connection.close()
            raise
        return connection

    def _connect_tcp(self) -> Connection:
        import socket

        connection = socket.create_connection((self.endpoint.host, self.endpoint.port), CONNECT_SECONDS)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return self._encrypted(connection) if self.endpoint.tls else connection

    def _encrypted(self, connection: socket.socket) -> socket.socket:
        import ssl

        tls = self.endpoint.tls
        assert tls is not None  # noqa: S101 - for mypy
        if self._context is None:
            try:
                context = ssl.create_default_context(cafile=tls.ca)
                if tls.cert and tls.key:
                    # A key with a password is refused, or OpenSSL would ask for it on the terminal.
                    context.load_cert_chain(tls.cert, tls.key, password="")
            except (OSError, ValueError) as error:
                connection.close()
                files = ", ".join(filter(None, (tls.ca, tls.cert, tls.key)))
                raise ValueError(f"one of these cannot be used, or has a password: {files}") from error
            if not tls.verify:
                context.check_hostname = False
                context.verify_mode = ssl.CERT_NONE
            self._context = context
        try:
            wrapped: socket.socket = self._context.wrap_socket(connection, server_hostname=self.endpoint.host)
        except BaseException:
            connection.close()
            raise
        return wrapped


def connect() -> Engine:
    """The daemon that somebody named, else the first that answers in a usual place. Raises BackendUnavailable."""
    failed = None
    for endpoint in likely():
        engine = Engine(endpoint)
        try:
            engine.greet()
        except BackendUnavailable as error:
            engine.close()
            failed = failed or error
        else:
            return engine
    raise failed or nowhere()


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
    obstacle = str(error)
    if endpoint.tls and (
        isinstance(cause, ConnectionResetError | BrokenPipeError) or type(cause).__name__ == "SSLEOFError"
    ):
        # Its reason is lost where it closes the connection before it has read all that we say.
        obstacle = "it hangs up, as where it wants a certificate of ours that it trusts"
    if endpoint.scheme == "ssh":
        remedy = f"ssh {endpoint.host} docker version"
    else:
        remedy = REMEDY if endpoint.scheme == "unix" else "start the daemon there, or correct its address"
    return BackendUnavailable(asked, obstacle, remedy)


def _words(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "it does not answer in time"
    if isinstance(error, FileNotFoundError):
        return "there is no such socket"
    if isinstance(error, ConnectionRefusedError):
        return "nothing listens there"
    if isinstance(error, (json.JSONDecodeError, RecursionError, TypeError)):
        return "what it answers makes no sense"
    if isinstance(error, OSError) and (
        reason := getattr(error, "reason", None)
    ):  # one of ssl, which is imported only where it is needed
        return _words_of_tls(str(reason), str(getattr(error, "verify_message", "")))
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def _words_of_tls(reason: str, untrusted: str) -> str:
    if untrusted:
        return f"its certificate is not trusted: {untrusted}"
    if "CERTIFICATE" in reason or "UNKNOWN_CA" in reason:
        return "it wants a certificate of ours that it trusts: cert.pem and key.pem, beside ca.pem"
    if reason in {"WRONG_VERSION_NUMBER", "UNEXPECTED_EOF_WHILE_READING"}:
        return "it does not speak TLS"
    return f"TLS fails: {reason.lower().replace('_', ' ')}"


def _request(method: str, path: str, body: bytes, headers: Mapping[str, str]) -> bytes:
    lines = [f"{method} {path} HTTP/1.0", "Host: docker", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


def _query(query: Mapping[str, Any] | None) -> str:
    """
    >>> _query({"force": True, "filters": {"label": ["a=b"]}})
    '?force=1&filters=%7B%22label%22:%20%5B%22a%3Db%22%5D%7D'
    """
    if not query:
        return ""
    texts = {
        name: json.dumps(value) if isinstance(value, dict) else str(int(value) if isinstance(value, bool) else value)
        for name, value in query.items()
    }
    return "?" + "&".join(f"{name}={quoted(text)}" for name, text in texts.items())


def quoted(text: str) -> str:
    """For a path or a query. Names of images keep their slashes and colons."""
    return "".join(
        chr(byte) if (chr(byte).isalnum() and byte < 128) or byte in b"-._~/:@" else f"%{byte:02X}"
        for byte in text.encode(errors="surrogateescape")
    )


def _lines(connection: Connection, seconds: float) -> Iterator[bytes]:
    """Each with its end, as it comes; `seconds` is for each. Raises OSError."""
    rest = b""
    while data := _patiently(connection, seconds):
        *lines, rest = (rest + data).split(b"\n")
        if len(rest) > _MOST_BYTES:
            raise Gone("it answers without end")
        yield from (line + b"\n" for line in lines)
    if rest:
        yield rest


def _patiently(connection: Connection, seconds: float) -> bytes:
    """What comes next, which may take half an hour. Raises OSError."""
    deadline = time.monotonic() + seconds
    while True:
        left = deadline - time.monotonic()
        connection.settimeout(max(0.001, min(left, SIGNAL_SECONDS)))
        try:
            return connection.recv(65536)
        except TimeoutError:
            if left <= SIGNAL_SECONDS:
                raise


def _receive(connection: Connection, length: int | None, deadline: float) -> bytes:
    """So many bytes, or all there are. Raises OSError, and Gone where there is no end of them."""
    received = bytearray()
    while length is None or len(received) < length:
        left = deadline - time.monotonic()
        if left <= 0:  # a peer may send a byte now and then, for ever
            raise TimeoutError
        connection.settimeout(left)
        data = connection.recv(65536 if length is None else min(65536, length - len(received)))
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
    except (ValueError, RecursionError) as error:
        raise Gone(_words(error)) from error


def _message(body: bytes) -> str:
    try:
        document = json.loads(body)
        return str(document["message"])[:1000]
    except (ValueError, KeyError, TypeError, RecursionError):
        return body[:300].decode(errors="backslashreplace").strip() or "no reason given"
