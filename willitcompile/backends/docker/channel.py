"""A container that was started and waits for a job, and the connection to its launcher."""

from __future__ import annotations

import _socket
import select
import time
from typing import TYPE_CHECKING, Any

from willitcompile.backends import Cancelled
from willitcompile.backends.containers import Outcome
from willitcompile.backends.docker.engine import EngineError, Gone
from willitcompile.backends.docker.podman import adapted
from willitcompile.backends.launcher import BrokenProtocolError, Reader

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from willitcompile.backends import CancelToken
    from willitcompile.backends.docker.engine import Connection, Engine
    from willitcompile.model import Limits

START_SECONDS = 120.0
DISCARD_SECONDS = 20.0
"""How long a removal is waited for. The daemon goes on with it all the same."""
_GRACE_SECONDS = 30.0
"""The launcher ends a job at its time limit. A machine that was suspended, or a daemon that hangs, is given up on."""
_PIECE = 1 << 16
_NO_HEADER = 8
_STDERR = 2
_LARGEST_FRAME = 16 << 20
"""The daemon's own have 32 KiB at most."""


class Silent(Gone):
    """The job's time is long over, and its launcher says nothing: another one would do no better."""


class Container:
    """See the module. Not thread-safe, but for `discard`."""

    def __init__(
        self, engine: Engine, body: dict[str, Any], before_start: Callable[[str], None] = lambda _: None
    ) -> None:
        """Create, attach to, and start it. `before_start` gets its id in between.

        Raises EngineError and Gone; then nothing of it is left.
        """
        self._engine = engine
        created = engine.call("POST", "/containers/create", body=adapted(body) if engine.is_podman else body)
        if not isinstance(created, dict) or not isinstance(created.get("Id"), str):
            raise Gone("it closed the connection")
        self.id: str = created["Id"]
        self._connection: Connection | None = None
        self._raw = bytearray()
        self._stderr = bytearray()
        self._reader = Reader(0)
        try:
            before_start(self.id)
            self._connection = engine.attach(self.id, seconds=START_SECONDS)
            engine.call("POST", f"/containers/{self.id}/start", seconds=START_SECONDS)
            while not self._reader.ready:
                self._receive(time.monotonic() + START_SECONDS, None)
                if self._reader.failure:
                    raise Gone(f"its launcher cannot work: {self._reader.failure}")
        except BaseException:
            self.discard()
            raise

    def alive(self) -> bool:
        """Whether its connection still stands."""
        connection = self._connection
        if connection is None:
            return False
        poll = select.poll()
        poll.register(connection, select.POLLIN | select.POLLRDHUP)
        return not poll.poll(0)

    def run(self, records: Iterable[bytes], limits: Limits, cancel: CancelToken | None = None) -> Outcome:
        """Send a job with these limits, and wait for its end. Raises Gone and Cancelled."""
        connection = self._connection
        if connection is None:
            raise Gone("the container was discarded")
        self._reader = reader = Reader(limits.output_bytes, ready=True)
        for record in records:
            self._send(record, cancel)
        deadline = time.monotonic() + limits.wall_seconds + _GRACE_SECONDS
        while reader.ending is None:
            self._receive(deadline, cancel)
        return Outcome(bytes(reader.stdout), bytes(reader.stderr), reader.ending)

    def interrupt(self) -> None:
        """End the connection for whoever uses it: `run` raises Gone. From any thread, unlike all else."""
        connection = self._connection
        if connection is not None:
            try:
                # Not as TLS would do it, whose state is the other thread's.
                _socket.socket.shutdown(connection, _socket.SHUT_RDWR)
            except OSError:
                pass  # the other end was faster

    def hang_up(self) -> None:
        """Close the connection: the launcher ends whatever runs, and itself."""
        self.interrupt()
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def discard(self) -> None:
        """End it, and remove it. Never raises: what the daemon cannot do now, the next run does."""
        self.hang_up()
        try:
            self._engine.call("DELETE", f"/containers/{self.id}", {"force": True, "v": True}, seconds=DISCARD_SECONDS)
        except (EngineError, Gone):
            return  # it has removed itself, or is doing so

    def _send(self, record: bytes, cancel: CancelToken | None) -> None:
        """Raises Gone and Cancelled."""
        left = memoryview(record)
        while left:
            connection = self._connection
            if connection is None:
                raise Gone("the container was discarded")
            try:
                left = left[connection.send(left) :]
            except OSError as error:
                event = _awaited(error, select.POLLOUT)
                if event is None:
                    raise Gone("the connection broke while the sources were sent") from error
                # The launcher says nothing yet: what is to be read is the end, while the daemon takes no more.
                self._wait(connection, event | select.POLLIN, time.monotonic() + _GRACE_SECONDS, cancel)
                self._hear(connection)

    def _wait(self, connection: Connection, event: int, deadline: float, cancel: CancelToken | None) -> None:
        """Raises Gone and Cancelled."""
        poll = select.poll()
        poll.register(connection, event)
        if cancel is not None:
            poll.register(cancel, select.POLLIN)
        ready = {fd for fd, _ in poll.poll(max(0.0, deadline - time.monotonic()) * 1000)}
        if cancel is not None and cancel.fileno() in ready:
            raise Cancelled
        if not ready:
            raise Silent("the container does not answer")

    def _receive(self, deadline: float, cancel: CancelToken | None) -> None:
        """Take what comes next. Raises Gone where nothing can come any more, and Cancelled."""
        connection = self._connection
        if connection is None:
            raise Gone("the container was discarded")
        if cancel is not None and cancel.cancelled:
            raise Cancelled
        while (event := self._hear(connection)) is not None:
            self._wait(connection, event, deadline, cancel)

    def _hear(self, connection: Connection) -> int | None:
        """Take what has come; where nothing has, what to wait for. Raises Gone."""
        try:
            data = connection.recv(_PIECE)
        except OSError as error:
            event = _awaited(error, select.POLLIN)
            if event is None:
                raise Gone("the connection broke") from error
            return event
        if not data:
            said = bytes(self._stderr[-300:]).decode(errors="backslashreplace").strip()
            raise Gone("its container ended" + (f": {said}" if said else ""))
        self._raw += data
        try:
            self._unpack()
        except BrokenProtocolError as error:
            raise Gone(f"what answers in the container is not the launcher: {error}") from error
        return None

    def _unpack(self) -> None:
        """Part the daemon's frames: a byte for the stream, three of nothing, four for the length."""
        while len(self._raw) >= _NO_HEADER:
            length = int.from_bytes(self._raw[4:8], "big")
            if self._raw[0] > _STDERR or length > _LARGEST_FRAME:
                raise BrokenProtocolError("no frames of Docker's")
            if len(self._raw) < _NO_HEADER + length:
                return
            content = bytes(self._raw[_NO_HEADER : _NO_HEADER + length])
            stream = self._raw[0]
            del self._raw[: _NO_HEADER + length]
            if stream == 1:
                self._reader.feed(content)
            elif len(self._stderr) < _PIECE:
                self._stderr += content


def _awaited(error: OSError, event: int) -> int | None:
    """What to wait for where a connection that does not block would have blocked; None where it broke."""
    if isinstance(error, BlockingIOError):
        return event
    # Those of ssl, which is imported only where it is needed.
    return {"SSLWantReadError": select.POLLIN, "SSLWantWriteError": select.POLLOUT}.get(type(error).__name__)
