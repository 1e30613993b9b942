"""A connection that speaks HTTP/1.1, one request at a time, and what goes over it."""

from __future__ import annotations

import http.client
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple, cast
from urllib.parse import quote, urlencode

from willitcompile.backends.kubernetes.api.wire import Unreachable, in_words

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from socket import socket

    from willitcompile.backends.kubernetes.api.wire import Wire

PIECE = 1 << 16


class Request(NamedTuple):
    method: str
    target: str
    """From the root of the server, with its query."""
    headers: tuple[tuple[str, str], ...]
    """A name may be there more than once."""
    body: bytes | None = None


class Line:
    """See the module. One thread at a time."""

    def __init__(self, wire: Wire, certificate: bytes | None) -> None:
        self.wire = wire
        self.certificate = certificate
        """With what it was opened."""
        self._http = http.client.HTTPConnection("-")  # the host is told by a header of the request's
        self._http.auto_open = 0
        self._rest()

    def ask(self, request: Request, who: Iterable[tuple[str, str]]) -> http.client.HTTPResponse:
        """The head of the answer. Raises OSError, HTTPException and Stopped."""
        connection = self._http
        connection.putrequest(request.method, request.target, skip_host=True, skip_accept_encoding=True)
        for name, value in (*request.headers, *who):
            connection.putheader(name, value)
        if request.body is not None:
            connection.putheader("Content-Length", str(len(request.body)))
        try:
            connection.endheaders(request.body)
        except (BrokenPipeError, ConnectionResetError):
            pass  # it may have answered before it had read everything
        return connection.getresponse()

    def piece(self, response: http.client.HTTPResponse) -> bytes:
        """What comes next of the answer, nothing at its end. Raises Unreachable and Stopped."""
        with _told():
            content = response.read1(PIECE)
            if not content:
                _refuse_half(response, is_empty=False)
            return content

    def whole(self, response: http.client.HTTPResponse, most: int) -> bytes:
        """The answer. Raises Unreachable, also where it is longer than that, and Stopped."""
        with _told():
            content = response.read(most + 1)
            if len(content) > most:
                raise Unreachable("it answers without end", is_lasting=True)
            _refuse_half(response, is_empty=not content)
            return content

    def settle(self, response: http.client.HTTPResponse) -> bool:
        """Be ready for the next request after an answer that was read to its end; False where none can follow."""
        if response.will_close or response.length:
            return False
        self._rest()
        return True

    def _rest(self) -> None:
        self._http.close()
        self._http.sock = cast("socket", self.wire)


def _refuse_half(response: http.client.HTTPResponse, *, is_empty: bool) -> None:
    """http.client takes an answer for whole whose head was cut off, or that is shorter than it tells to be.

    Raises IncompleteRead.
    """
    has_length = response.chunked or response.length is not None
    ends_by_closing = response.headers.get("Connection", "").lower() == "close" and not is_empty
    if response.length or not (has_length or ends_by_closing):
        raise http.client.IncompleteRead(b"")


@contextmanager
def _told() -> Iterator[None]:
    """Raises Unreachable for what http.client and the socket raise."""
    try:
        yield
    except http.client.IncompleteRead as error:
        raise Unreachable("it closed the connection in the middle of its answer") from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise in_words(error) from error


def query(parameters: Mapping[str, object] | None) -> str:
    """With its question mark. None is left out, and a list is the name given several times.

    >>> query({"watch": True, "labelSelector": "a=b,c", "limit": None, "command": ["x y", "z"]})
    '?watch=true&labelSelector=a%3Db%2Cc&command=x+y&command=z'
    """
    pairs: list[tuple[str, str]] = []
    for name, value in (parameters or {}).items():
        several: Sequence[object] = value if isinstance(value, list | tuple) else (value,)
        pairs += [
            (name, str(each).lower() if isinstance(each, bool) else str(each)) for each in several if each is not None
        ]
    return f"?{urlencode(pairs)}" if pairs else ""


def quoted(path: str) -> str:
    """
    >>> quoted("/api/v1/namespaces/a b/pods?x\\r\\n")
    '/api/v1/namespaces/a%20b/pods%3Fx%0D%0A'
    """
    return quote(path, safe="/:@!$&'()*+,;=~", errors="surrogateescape")
