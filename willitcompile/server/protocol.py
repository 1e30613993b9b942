"""What a client may cost before anybody knows what it wants: its connection, its headers, its body, its slowness.

uvicorn's HTTP/1.1 protocol has one time limit, for a connection that waits between requests, and one for the number of
connections, which those who say nothing can fill. Here each phase of a connection has its deadline:

    head        from the connection's start, or a further request's first byte, to the end of its headers
    body        from there to its end
    answering   none of ours: the application's work
    idle        from an answer to the next request's first byte (uvicorn's `timeout_keep_alive`)

and an answer that its client does not read is given up.
"""

from __future__ import annotations

import asyncio
import fcntl
import logging
import socket
import termios
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from willitcompile.server.refusals import BAD, CROWDED, LARGE_HEAD, LATE

if TYPE_CHECKING:
    from collections.abc import Callable

    from willitcompile.server.refusals import Refusal


_READ_BYTES = 16 << 10
"""At once. Of the least chunks there are that is 2,700, which take 20 ms; asyncio's own 256 KiB would hold up everybody
else for a third of a second."""
_UNREAD_BYTES = 256 << 10
"""Of a body that is still coming when it has its answer. What is more costs the client its connection."""
_MOST_LOOKS = 100
"""At connections that might be closed, to make room for one."""
_LINGER_SECONDS = 2.0
"""In which a client that is still sending may read why it should not: closed at once, what it sends would meet a reset,
and that takes the answer with it. Also how long one has its answer made that has closed its side."""
_SEND_BYTES = 256 << 10
"""Of an answer that the kernel may hold. By itself it takes megabytes: who reads one of them seems to read nothing."""
_LEAST_READ_BYTES = 64 << 10
"""Of an answer that waits to be read, in each `body_seconds`."""


class ConnectionLimits(NamedTuple):
    headers_seconds: float = 10.0
    body_seconds: float = 30.0
    """Also how long a client may read nothing of its answer."""
    header_bytes: int = 32 << 10
    """Of the request's line and headers."""
    connections: int = 1000
    """One more, and the one that has been without a request for the longest time is closed; where none is, the one
    more."""


def protocol(
    limits: ConnectionLimits, refused: Callable[[str], object] = str, is_ending: Callable[[], bool] = bool
) -> type[H11Protocol]:
    """For uvicorn's `http`, on asyncio's own loop: uvloop reads as much at once as it likes.

    A type for one server: what its instances share is of one thread. `refused` is told the reason of each refusal, one
    of `willitcompile.server.metrics.REASONS`. While `is_ending` says so, each answer is its connection's last, and says
    it: a client that keeps connections sends its next request over a new one, which may lead to another replica.
    """
    logging.getLogger("uvicorn.error").addFilter(_is_news)

    class Limited(_Limited):
        _shared = _Shared(limits, refused, is_ending, OrderedDict(), bytearray(_READ_BYTES))

    return Limited


def _is_news(record: logging.LogRecord) -> bool:
    """Not what strangers can have said as often as they like."""
    return record.msg != "Invalid HTTP request received."


class _Shared(NamedTuple):
    """What the connections of a server have in common."""

    limits: ConnectionLimits
    refused: Callable[[str], object]
    is_ending: Callable[[], bool]
    idle: OrderedDict[_Limited, None]
    """Those without a request, the longest first."""
    buffer: bytearray
    """Each reads into it, and has taken what it read when the next one does."""


class _Limited(H11Protocol, asyncio.BufferedProtocol):
    _shared: ClassVar[_Shared]

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self.conn = self._http = _Http(self._shared.limits.header_bytes, self._shared.is_ending)
        self.ws_protocol_class = None
        self._phase: tuple[str, int] | None = None
        """("head", "body" or "idle", the request's number); None while a request is answered, and at the end."""
        self._timer: asyncio.TimerHandle | None = None
        self._write_timer: asyncio.TimerHandle | None = None
        self._way: _Way = None  # type: ignore[assignment] # from connection_made on, as uvicorn has its transport
        self._is_half = False
        """Its client sends nothing more."""
        self._is_ending = False

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._way = _Way(transport, self._end)  # type: ignore[arg-type]
        super().connection_made(self._way)
        self._way.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BYTES)
        # Whatever waits to be sent is known of, not only where it is much.
        self._way.inner.set_write_buffer_limits(high=0)
        self._make_room()
        if len(self.connections) > self._shared.limits.connections:
            self._refuse(CROWDED)
        else:
            self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        self._is_ending = self._way.is_closed = True
        self._enter(None)
        if self._write_timer:
            self._write_timer.cancel()
        super().connection_lost(exc)

    def get_buffer(self, sizehint: int) -> bytearray:  # noqa: ARG002 - asyncio's
        return self._shared.buffer

    def buffer_updated(self, nbytes: int) -> None:
        if not self._is_ending:
            self.data_received(bytes(memoryview(self._shared.buffer)[:nbytes]))

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._watch()

    def eof_received(self) -> bool:  # type: ignore[override] # uvicorn's says None, asyncio takes both
        """A client that has gone looks the same as one that has said all and now reads, as `nc` does."""
        self._is_half = True
        if self._is_ending or self._phase:
            return False
        self._timer = self.loop.call_later(_LINGER_SECONDS, self._leave)
        self._shared.idle[self] = None  # it can be closed to make room
        return True

    def pause_writing(self) -> None:
        super().pause_writing()
        self._shared.idle.pop(self, None)
        self._await_reader()

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._write_timer:
            self._write_timer.cancel()
            self._write_timer = None
        if self._phase and self._phase[0] != "body":
            self._shared.idle[self] = None

    # What uvicorn calls.

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._unset_keepalive_if_required()  # it is ours: see _watch
        self._watch()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - uvicorn's
        self._refuse(LARGE_HEAD if self._http.is_too_large else BAD)

    def shutdown(self) -> None:
        if self._is_ending or self.conn.our_state is h11.ERROR:
            self._way.inner.close()
        else:
            super().shutdown()

    def _should_upgrade(self) -> bool:
        return False

    # Deadlines.

    def _watch(self) -> None:
        """Begin the phase that the connection is in now, unless it is in it already."""
        if self._way.is_closing():
            return
        phase = None
        if self.conn.their_state is h11.SEND_BODY:
            phase = ("body", self._http.requests)
        elif self.conn.their_state is h11.IDLE:
            is_new = not self._http.requests or self.conn.trailing_data[0]
            phase = ("head" if is_new else "idle", self._http.requests)
        if phase and self._is_half:
            self._leave()
        elif phase != self._phase:
            self._enter(phase)

    def _enter(self, phase: tuple[str, int] | None) -> None:
        self._phase = phase
        self._shared.idle.pop(self, None)
        if self._timer:
            self._timer.cancel()
            self._timer = None
        if phase is None:
            return
        seconds = {
            "head": self._shared.limits.headers_seconds,
            "body": self._shared.limits.body_seconds,
            "idle": self.timeout_keep_alive,
        }
        self._timer = self.loop.call_later(seconds[phase[0]], self._late)
        if phase[0] != "body" and not self.flow.write_paused:
            self._shared.idle[self] = None

    def _late(self) -> None:
        if self._phase and (self._phase[0] == "body" or self.conn.trailing_data[0]):
            self._refuse(LATE)
        else:
            self._leave()

    def _await_reader(self) -> None:
        waiting = self._way.inner.get_write_buffer_size()

        def look() -> None:
            if self._way.inner.get_write_buffer_size() > waiting - _LEAST_READ_BYTES:
                self._way.inner.abort()
            else:
                self._await_reader()

        self._write_timer = self.loop.call_later(self._shared.limits.body_seconds, look)

    # Ends.

    def _make_room(self) -> None:
        idle = self._shared.idle
        for _ in range(min(len(idle), _MOST_LOOKS)):
            if len(self.connections) <= self._shared.limits.connections:
                return
            longest = next(iter(idle))
            if longest._has_more():
                idle.move_to_end(longest)
            else:
                self.connections.discard(longest)
                longest._leave()

    def _has_more(self) -> bool:
        """Whether something waits to be read, as where hundreds of connections came in one moment."""
        if self._is_ending:
            return False
        count = bytearray(4)
        fcntl.ioctl(self._way.get_extra_info("socket").fileno(), termios.FIONREAD, count)
        return any(count)

    def _refuse(self, refusal: Refusal) -> None:
        """Answer so, unless it has an answer, and close the connection. Whatever handles the request is told so."""
        if self.conn.our_state in {h11.IDLE, h11.SEND_RESPONSE}:
            self._shared.refused(refusal.reason)
            self._way.write(refusal.whole)
        if self.cycle and not self.cycle.response_complete:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self._linger()

    def _end(self) -> None:
        """In place of the transport's own close."""
        if self.conn.their_state in {h11.SEND_BODY, h11.ERROR}:
            self._linger()
        else:
            self._leave()

    def _leave(self) -> None:
        self._is_ending = self._way.is_closed = True
        self._enter(None)
        self._way.inner.close()

    def _linger(self) -> None:
        """Send what there is to send and then the end, and throw away what still comes for a moment."""
        if self._is_ending:
            return
        self._is_ending = self._way.is_closed = True
        self._enter(None)
        try:
            if self._way.inner.can_write_eof():
                self._way.inner.write_eof()
        except OSError:  # it has gone already
            self._way.inner.close()
        self._way.inner.resume_reading()
        self._shared.idle[self] = None  # it can be closed to make room
        self._timer = self.loop.call_later(_LINGER_SECONDS, self._leave)


class _Http(h11.Connection):
    """Counts, finds fault with a little more than h11 does, and takes leave."""

    def __init__(self, header_bytes: int, is_ending: Callable[[], bool]) -> None:
        super().__init__(h11.SERVER, header_bytes)
        self._header_bytes = header_bytes
        self._is_ending = is_ending
        self.requests = 0
        self.is_too_large = False
        self._unread = 0
        """Bytes of the body that came after its answer."""

    def send(self, event: h11.Event) -> bytes | None:  # type: ignore[override] # h11's is overloaded
        if isinstance(event, h11.Response) and self._is_ending():
            headers = [*event.headers, (b"connection", b"close")]
            event = h11.Response(status_code=event.status_code, headers=headers, reason=event.reason)
        return super().send(event)

    def next_event(self) -> h11.Event | type[h11.NEED_DATA | h11.PAUSED]:
        try:
            event = super().next_event()
        except h11.RemoteProtocolError as error:
            self.is_too_large = error.error_status_hint == 431
            raise
        if isinstance(event, h11.Request):
            self.requests += 1
            self._unread = 0
            # It looks only at what is not whole yet.
            lines = sum(len(name) + len(value) + 4 for name, value in event.headers)
            if lines + len(event.target) > self._header_bytes:
                self.is_too_large = True
                raise h11.RemoteProtocolError("headers too large")
            if event.http_version not in {b"1.0", b"1.1"}:
                raise h11.RemoteProtocolError("another version of HTTP")
            names = {name for name, _ in event.headers}
            # Which of the two counts is what request smuggling is made of: RFC 9112, 6.1.
            if {b"content-length", b"transfer-encoding"} <= names:
                raise h11.RemoteProtocolError("both a length and chunks")
        elif isinstance(event, h11.Data) and self.our_state is h11.DONE:
            self._unread += len(event.data)
            if self._unread > _UNREAD_BYTES:
                raise h11.RemoteProtocolError("a body that nobody reads")
        return event


class _Way(asyncio.Transport):
    """The transport as uvicorn sees it: how it is closed is ours to say."""

    def __init__(self, inner: asyncio.Transport, end: Callable[[], None]) -> None:
        super().__init__()
        self.inner = inner
        self.is_closed = False
        self._end = end

    def close(self) -> None:
        if not self.is_closed:
            self._end()

    def is_closing(self) -> bool:
        return self.is_closed or self.inner.is_closing()

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if not self.is_closed:
            self.inner.write(data)

    def pause_reading(self) -> None:
        if not self.is_closed:
            self.inner.pause_reading()

    def resume_reading(self) -> None:
        self.inner.resume_reading()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self.inner.get_extra_info(name, default)
