"""Requests to the API server of a cluster: JSON, streams and websockets.

Not by the official package: importing that takes 0.2 to 0.4 s, about what the compile itself takes.
"""

from __future__ import annotations

import http.client
import json
import os
import threading
import time
import weakref
from importlib import import_module
from typing import TYPE_CHECKING, Any, Self, cast
from urllib.parse import urlsplit

from willitcompile.backends import CancelToken
from willitcompile.backends.kubernetes.api.encryption import encryption
from willitcompile.backends.kubernetes.api.line import Line, Request, query, quoted
from willitcompile.backends.kubernetes.api.refusal import ApiError, refusal
from willitcompile.backends.kubernetes.api.stream import Stream
from willitcompile.backends.kubernetes.api.wire import Stopped, Unreachable, Waiting, Wire, connect, in_words, interrupt

if TYPE_CHECKING:
    import socket as sockets
    import ssl
    from collections.abc import Mapping

    from websocket import WebSocket

    from willitcompile.backends.kubernetes.api.access import Access
    from willitcompile.backends.kubernetes.api.credentials import Identity

__all__ = ["Api", "ApiError", "Stopped", "Stream", "Unreachable"]

PATIENCE_SECONDS = 30.0
FIRST_SECONDS = 3.0
"""Of patience with a server that has not answered this process yet."""
ANSWER_SECONDS = 20.0
SILENCE_SECONDS = 300.0
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 3.0
_LOGIN_SECONDS = 300.0
_MOST_BYTES = 64 << 20
_MOST_WORDS = 64 << 10


class Api:
    """A cluster's API server. Thread-safe."""

    def __init__(self, access: Access) -> None:
        self.access = access
        self.requests = 0
        """That were sent, the tries again among them."""
        split = urlsplit(access.server)
        self._is_encrypted = split.scheme == "https"
        self._host = split.hostname or ""
        self._port = split.port or (443 if self._is_encrypted else 80)
        self._netloc = split.netloc
        self._prefix = split.path
        # Not by an import statement: within the package those point one way.
        self._agent = f"will-it-compile/{import_module('willitcompile').__version__}"
        self.has_answered = False
        """Whatever it was."""
        self._lock = threading.Lock()
        self._stop = CancelToken()
        self._idle: list[Line] = []
        self._tls: tuple[bytes | None, ssl.SSLContext] | None = None
        self._sockets: weakref.WeakSet[WebSocket] = weakref.WeakSet()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def call(
        self,
        method: str,
        path: str,
        query: Mapping[str, object] | None = None,
        body: object | None = None,
        *,
        cancel: CancelToken | None = None,
        patience: float = PATIENCE_SECONDS,
        seconds: float = ANSWER_SECONDS,
    ) -> Any:
        """The answer's JSON, None for an empty one. A PATCH is merged.

        What may pass is tried again, for `patience` seconds, and each try may take `seconds`; also a POST, which then
        finds that its object exists where an answer was lost. Raises ApiError, Unreachable, Stopped, and
        BackendUnavailable where there are no credentials to be had.
        """
        content = None if body is None else json.dumps(body, separators=(",", ":")).encode()
        request = self._request(method, path, query, content)
        # Where there never was an answer, waiting for a server to come back makes little sense.
        until = time.monotonic() + (patience if self.has_answered else min(patience, FIRST_SECONDS))
        pause = _FIRST_PAUSE
        while True:
            try:
                return self._once(request, self._waiting(seconds, cancel))
            except (ApiError, Unreachable) as error:
                # Half of it is left to chance, so that those who failed together do not come back together.
                left_alone = pause * (0.5 + os.urandom(1)[0] / 510)
                if isinstance(error, ApiError):
                    left_alone = max(left_alone, error.wait_seconds)
                if error.is_lasting or time.monotonic() + left_alone > until:
                    raise
            self._waiting(left_alone, cancel).wait(None)
            pause = min(2 * pause, _LONGEST_PAUSE)

    def stream(
        self,
        path: str,
        query: Mapping[str, object] | None = None,
        *,
        cancel: CancelToken | None = None,
        seconds: float = SILENCE_SECONDS,
    ) -> Stream:
        """A GET whose answer is read as it comes; `seconds` is the longest silence. Tried once.

        The head of a log's answer comes with its first line, so this may take as long. Raises what `call` does.
        """
        line, response = self._ask(self._request("GET", path, query), self._waiting(seconds, cancel))
        return Stream(line, response, lambda: self._waiting(seconds, cancel), self._keep)

    def socket(
        self,
        path: str,
        query: Mapping[str, object] | None = None,
        subprotocol: str = "v5.channel.k8s.io",
        *,
        seconds: float = ANSWER_SECONDS,
    ) -> WebSocket:
        """A websocket that speaks this, open; whoever gets it closes it. Each of its waits may take `seconds`.

        Tried once. Raises what `call` does.
        """
        request = self._request("GET", path, query)
        waiting = self._waiting(seconds, None)
        identity = self._identity(waiting)
        try:
            return self._upgrade(request, subprotocol, identity, waiting)
        except ApiError as error:
            renewed = self._identity(waiting, identity) if error.status == 401 else identity
            if renewed.proves_as(identity):
                raise
        return self._upgrade(request, subprotocol, renewed, waiting)

    def close(self) -> None:
        """End everything, from any thread. What is asked after that, or waited for now, raises Stopped.

        A stream, and the websocket, whose connection is ended, are still closed by those who have them.
        """
        self._stop.cancel()
        with self._lock:
            idle, self._idle = self._idle, []
            in_use = list(self._sockets)
        for line in idle:
            line.wire.end()
        for each in in_use:
            if (connection := each.sock) is not None:
                interrupt(connection)

    def _keep(self, line: Line, response: http.client.HTTPResponse) -> None:
        """For another request, where one can follow an answer that was read."""
        if line.settle(response):
            with self._lock:
                if not self._stop.cancelled:
                    self._idle.append(line)
                    return
        line.wire.end()

    def _waiting(self, seconds: float, cancel: CancelToken | None) -> Waiting:
        return Waiting(time.monotonic() + seconds, cancel, self._stop)

    def _request(
        self, method: str, path: str, parameters: Mapping[str, object] | None, content: bytes | None = None
    ) -> Request:
        headers = [
            ("Host", self._netloc),
            ("User-Agent", self._agent),
            ("Accept", "application/json, */*"),
            *self.access.headers,
        ]
        if content is not None:
            kind = "application/merge-patch+json" if method == "PATCH" else "application/json"
            headers.append(("Content-Type", kind))
        return Request(method, self._prefix + quoted(path) + query(parameters), tuple(headers), content)

    def _once(self, request: Request, waiting: Waiting) -> Any:
        line, response = self._ask(request, waiting)
        content = self._finish(line, response, _MOST_BYTES)
        if not content.strip():
            return None
        try:
            return json.loads(content)
        except (ValueError, RecursionError) as error:
            raise Unreachable("what it answers makes no sense", is_lasting=True) from error

    def _ask(self, request: Request, waiting: Waiting) -> tuple[Line, http.client.HTTPResponse]:
        """The head of an answer that says yes. Where it is doubted who we are, that is looked up anew, once."""
        identity = self._identity(waiting)
        is_doubted = False
        while True:
            line, response = self._send(request, identity, waiting)
            if 200 <= response.status < 300:
                return line, response
            content = self._finish(line, response, _MOST_WORDS)
            error = refusal(response.status, content, response.headers.get("retry-after"))
            if response.status != 401 or is_doubted:
                raise error
            is_doubted = True
            renewed = self._identity(waiting, identity)
            if renewed.proves_as(identity):
                raise error
            identity = renewed

    def _send(self, request: Request, identity: Identity, waiting: Waiting) -> tuple[Line, http.client.HTTPResponse]:
        """The head of an answer. Raises Unreachable, Stopped and BackendUnavailable."""
        waiting.check()
        line = self._kept(identity, waiting)
        is_kept = line is not None
        while True:
            if line is None:
                line = Line(Wire(self._connect(identity, waiting), waiting), identity.certificate)
            self._count()
            try:
                response = line.ask(request, _who(identity))
                self.has_answered = True
                return line, response
            except (OSError, http.client.HTTPException, ValueError) as error:
                line.wire.end()
                # The server ends what was idle for long, maybe in the moment in which it is used again.
                if not is_kept or isinstance(error, TimeoutError):
                    raise in_words(error) from error
            except BaseException:
                line.wire.end()
                raise
            line, is_kept = None, False

    def _finish(self, line: Line, response: http.client.HTTPResponse, most: int) -> bytes:
        """The whole of an answer. Raises Unreachable and Stopped."""
        try:
            content = line.whole(response, most)
        except BaseException:
            line.wire.end()
            raise
        self._keep(line, response)
        return content

    def _kept(self, identity: Identity, waiting: Waiting) -> Line | None:
        while True:
            with self._lock:
                line = self._idle.pop() if self._idle else None
            if line is None:
                return None
            if line.certificate == identity.certificate and line.wire.is_idle():
                line.wire.waiting = waiting
                return line
            line.wire.end()

    def _connect(self, identity: Identity, waiting: Waiting) -> sockets.socket:
        """Raises Unreachable, Stopped and BackendUnavailable."""
        tls = self._context(identity) if self._is_encrypted else None
        server_name = self.access.server_name or self._host
        try:
            return connect(self._host, self._port, self.access.proxy, tls, server_name, waiting)
        except (OSError, ValueError) as error:
            raise in_words(error) from error

    def _context(self, identity: Identity) -> ssl.SSLContext:
        """Raises BackendUnavailable."""
        with self._lock:
            if self._tls is None or self._tls[0] != identity.certificate:
                self._tls = identity.certificate, encryption(self.access, identity)
            return self._tls[1]

    def _identity(self, waiting: Waiting, refused: Identity | None = None) -> Identity:
        """Who we are; where that was refused, as it is by now. Raises BackendUnavailable, Unreachable and Stopped."""
        credentials = self.access.credentials
        at_hand = credentials.at_hand() if refused is None else None
        if at_hand is not None:
            return at_hand
        if not credentials.is_slow:
            return credentials.current() if refused is None else credentials.renew(refused)
        # A program may hang, or ask somebody who is not there. It goes on where it is not waited for.
        answers: list[Identity | BaseException] = []
        answered = CancelToken()

        def ask() -> None:
            try:
                answers.append(credentials.current() if refused is None else credentials.renew(refused))
            except BaseException as error:  # noqa: BLE001 - for the other thread to raise
                answers.append(error)
            answered.cancel()

        threading.Thread(target=ask, name="credentials", daemon=True).start()
        # Not for the time of a request: somebody may have to log in.
        waiting._replace(deadline=time.monotonic() + _LOGIN_SECONDS).wait(answered)
        if not answers:
            raise Unreachable("the program that logs in does not come to an end", is_lasting=True)
        if isinstance(answers[0], BaseException):
            raise answers[0]
        return answers[0]

    def _upgrade(self, request: Request, subprotocol: str, identity: Identity, waiting: Waiting) -> WebSocket:
        """Raises ApiError, Unreachable, Stopped and BackendUnavailable."""
        import websocket

        connection = self._connect(identity, waiting)
        connection.settimeout(max(0.001, waiting.deadline - time.monotonic()))
        found: Any = websocket.WebSocket(enable_multithread=True)
        found.sock = connection
        with self._lock:
            self._sockets.add(found)
        self._count()
        headers = [f"{name}: {value}" for name, value in (*request.headers, *_who(identity)) if name != "Host"]
        try:
            waiting.check()
            found.connect(
                f"{'wss' if self._is_encrypted else 'ws'}://{self._netloc}{request.target}",
                socket=connection,
                host=self._netloc,
                header=headers,
                subprotocols=[subprotocol],
                suppress_origin=True,
                redirect_limit=0,
                timeout=connection.gettimeout(),
            )
        except (websocket.WebSocketException, OSError, ValueError) as error:
            connection.close()
            waiting.check()
            if isinstance(error, websocket.WebSocketBadStatusException):
                wish = (error.resp_headers or {}).get("retry-after")
                raise refusal(error.status_code, error.resp_body or b"", wish) from None
            if isinstance(error, OSError):
                raise in_words(error) from error
            if isinstance(error, websocket.WebSocketTimeoutException):
                raise Unreachable("it does not answer in time") from error
            if isinstance(error, websocket.WebSocketConnectionClosedException):
                raise Unreachable("it closed the connection") from error
            raise Unreachable(f"it does not speak {subprotocol}", is_lasting=True) from error
        except BaseException:
            connection.close()
            raise
        return cast("WebSocket", found)

    def _count(self) -> None:
        with self._lock:
            self.requests += 1


def _who(identity: Identity) -> list[tuple[str, str]]:
    return [("Authorization", identity.authorization)] if identity.authorization else []
