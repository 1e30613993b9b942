"""Pods that were started ahead and wait for a job on stdin, so that a compile costs little more than itself.

Each serves one job and is thrown away, and is hardened exactly as any other: it is the same Job but for its stdin. A
pod belongs to the process that started it, which is attached to it from then on, and ends with it: the end of its stdin
is the end of everything in it. So two processes never want the same one.
"""

from __future__ import annotations

import json
import os
import select
import time
from typing import TYPE_CHECKING, Any

from willitcompile.backends import Cancelled, launcher
from willitcompile.backends.containers import Outcome
from willitcompile.backends.kubernetes.api.client import ApiError, Stopped, Unreachable
from willitcompile.backends.kubernetes.manifests import CONTAINER
from willitcompile.backends.kubernetes.tape import ASKING, question, unit
from willitcompile.backends.launcher import BrokenProtocolError, Reader

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from willitcompile.backends import CancelToken
    from willitcompile.backends.kubernetes.api.client import Api
    from willitcompile.backends.kubernetes.jobs import Jobs
    from willitcompile.backends.kubernetes.manifests import Work
    from willitcompile.backends.kubernetes.pods import Pod
    from willitcompile.backends.kubernetes.watch import Watch
    from willitcompile.model import CompileJob, CompileResult

PROTOCOLS = ("v5.channel.k8s.io", "v4.channel.k8s.io")
"""The newest first. They differ in how stdin is closed, which is done here by ending the connection."""
_STDIN, _STDOUT, _STDERR, _ERROR = 0, 1, 2, 3
"""Channels: the first byte of each message."""
_GREETING_SECONDS = 5.0
"""For a pod that has waited to say that it is still there: on the way to it a connection may have been forgotten."""
_GRACE_SECONDS = 30.0
_END_SECONDS = 2.0
"""In which a cluster says why a container ended: its node looks once a second."""
_PIECE = 32 << 10
_MOST_STDERR = 4096
_CLOSE = 0x8
"""What a websocket calls the frame that ends it."""


class Gone(Exception):
    """The pod is lost, and what it was given is as good as never begun."""


class WarmPod:
    """A pod that waits. Not thread-safe, but for `discard`."""

    def __init__(
        self, api: Api, jobs: Jobs, watch: Watch, work: Work, ask: CompileJob, seccomp: bytes, stop: CancelToken
    ) -> None:
        """Start it, attach to it, and ask its compiler for its version, as a job like `ask` would be compiled.

        `stop` ends whatever is done with it. Raises Failed, ApiError, Unreachable, Stopped, Cancelled and Gone; then
        nothing of it is left.
        """
        self._jobs, self._watch, self.work = jobs, watch, work
        self._seccomp = seccomp
        self._stop = stop
        self._socket: Any = None
        self._reader = Reader(0)
        self._stderr = b""
        watch.begin(work.id)
        try:
            jobs.create(work, [], stop)
            self.pod: Pod = jobs.started(work, stop)
            self._socket = _attach(api, self.pod.name)
            self.version = self._run([question(ask, seccomp)], ASKING.output_bytes, ASKING.wall_seconds, None)
        except BaseException:
            self.discard()
            raise

    def alive(self) -> bool:
        """Whether its connection still stands, as far as is known here."""
        connection = self._socket
        if connection is None or (known := self._watch.pod(self.work.id)) is None or known.ended or known.trouble:
            return False
        poll = select.poll()
        poll.register(connection.sock, select.POLLIN | select.POLLRDHUP)
        return not poll.poll(0)

    def run(self, job: CompileJob, cancel: CancelToken | None = None) -> Outcome | None:
        """Compile; None where the kernel ended the pod for want of memory. Raises Gone and Cancelled."""
        try:
            return self._run(unit(job, self._seccomp), job.limits.output_bytes, job.limits.wall_seconds, cancel)
        except Gone:

            def told(pod: Pod | None) -> bool:
                return pod is None or pod.ended

            pod = self._watch.wait(self.work.id, told, _END_SECONDS, cancel)
            if pod is not None and pod.trouble is not None and pod.trouble.kind == "out-of-memory":
                return None
            raise

    def image(self) -> str | None:
        return (self._watch.pod(self.work.id) or self.pod).image

    def discard(self) -> None:
        """End it, and delete it. Never raises: what the cluster cannot do now, it does later."""
        self._disconnect()
        self._jobs.discard(self.work)

    def end(self, seconds: float) -> None:
        """Discard it, and wait until nothing of it runs any more, or so long."""
        self._disconnect()
        try:
            self._jobs.delete(self.work.name)
            self._jobs.ended(self.work, seconds)
        except (ApiError, Unreachable, Stopped):
            pass
        finally:
            self._watch.forget(self.work.id)

    def _disconnect(self) -> None:
        connection, self._socket = self._socket, None
        if connection is not None:
            try:
                connection.shutdown()
            except (OSError, ValueError):
                pass  # the other end was faster

    def _run(
        self, records: Iterable[bytes], output_bytes: int, wall_seconds: float, cancel: CancelToken | None
    ) -> Outcome:
        nonce = os.urandom(8).hex().encode()
        self._reader = reader = Reader(output_bytes)
        self._send([launcher.hello(nonce), *records], cancel)
        deadline = time.monotonic() + _GREETING_SECONDS
        while reader.greeted != nonce:
            self._receive(deadline, cancel)
        deadline = time.monotonic() + wall_seconds + _GRACE_SECONDS
        while reader.ending is None:
            self._receive(deadline, cancel)
        return Outcome(bytes(reader.stdout), bytes(reader.stderr), reader.ending)

    def _send(self, records: Iterable[bytes], cancel: CancelToken | None) -> None:
        data = b"".join(records)
        try:
            for at in range(0, len(data), _PIECE):
                if self._stop.cancelled or (cancel is not None and cancel.cancelled):
                    raise Cancelled
                self._socket.send_binary(bytes([_STDIN]) + data[at : at + _PIECE])
        except Cancelled:
            raise
        except Exception as error:  # what a websocket raises is of many kinds
            raise Gone(f"the connection broke while the sources were sent: {error}") from error

    def _receive(self, deadline: float, cancel: CancelToken | None) -> None:
        """Take the next message. Raises Gone and Cancelled."""
        connection = self._socket
        if connection is None:
            raise Gone("it was discarded")
        if not _is_pending(connection):
            poll = select.poll()
            poll.register(connection.sock, select.POLLIN)
            tokens = [each for each in (self._stop, cancel) if each is not None]
            for each in tokens:
                poll.register(each, select.POLLIN)
            ready = poll.poll(max(0.0, deadline - time.monotonic()) * 1000)
            if any(each.cancelled for each in tokens):
                raise Cancelled
            if not ready:
                raise Gone("it does not answer")
        try:
            kind, data = connection.recv_data()
        except Exception as error:  # as above
            raise Gone(f"the connection broke: {error}") from error
        if kind == _CLOSE or not data:
            raise Gone(self._why("it ended"))
        if data[0] == _STDOUT:
            try:
                self._reader.feed(data[1:])
            except BrokenProtocolError as error:
                raise Gone(f"what answers in it is not the launcher: {error}") from error
        elif data[0] == _STDERR:
            self._stderr = (self._stderr + data[1:])[:_MOST_STDERR]
        elif data[0] == _ERROR:
            raise Gone(self._why(_status(data[1:])))

    def _why(self, text: str) -> str:
        said = self._stderr.decode(errors="backslashreplace").strip()
        return f"{text}: {said}" if said else text


class Lent:
    """What a job of the queue is lent: a pod that has waited, or none where none did."""

    def __init__(
        self,
        pod: WarmPod | None,
        serve: Callable[[WarmPod, CancelToken], CompileResult | None],
        done: Callable[[], None],
    ) -> None:
        """`serve` compiles the job in a pod, and is None where that is lost; `done` tells who lent it."""
        self._pod = pod
        self._serve = serve
        self._done = done

    @property
    def has_pod(self) -> bool:
        return self._pod is not None

    def compile(self, cancel: CancelToken) -> CompileResult | None:
        """None where there is no pod any more, or it is lost. Raises Cancelled, BackendFailed, and ApiError."""
        pod = self._pod
        try:
            return self._serve(pod, cancel) if pod else None
        finally:
            self._discard()

    def end(self) -> None:
        """Give it back, once; also while it compiles, which ends with that."""
        self._discard()
        self._done()

    def _discard(self) -> None:
        pod, self._pod = self._pod, None
        if pod:
            pod.discard()


def _attach(api: Api, pod: str) -> Any:
    """A websocket to the stdin, stdout and stderr of its container. Raises ApiError, Unreachable and Stopped."""
    query = {"container": CONTAINER, "stdin": "true", "stdout": "true", "stderr": "true"}
    path = f"/api/v1/namespaces/{api.access.namespace}/pods/{pod}/attach"
    newest, older = PROTOCOLS
    try:
        return api.socket(path, query, newest)
    except (ApiError, Unreachable) as error:
        # A server that does not know it refuses it in no particular way: by 403, without a word.
        if isinstance(error, Unreachable) and not error.is_lasting:
            raise
    return api.socket(path, query, older)


def _is_pending(connection: Any) -> bool:
    """Whether bytes have come that the kernel knows no more of."""
    pending = getattr(connection.sock, "pending", None)
    return bool(pending and pending())


def _status(data: bytes) -> str:
    """What the API says at the end of a stream."""
    try:
        return str(json.loads(data).get("message") or "it ended")[:300]
    except (ValueError, AttributeError, RecursionError):
        return "it ended"
