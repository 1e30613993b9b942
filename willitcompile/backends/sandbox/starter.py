"""The process that forks supervisors.

    this process ── starter ─┬─ supervisor ── compile (bubblewrap, or the compiler under Landlock)
      many threads           └─ supervisor ── compile

It is forked once, while there is still one thread, or started afresh: from then on it forks, which a process with
threads must not do.
"""

from __future__ import annotations

import _socket
import array
import fcntl
import marshal
import os
import signal
import sys
from typing import TYPE_CHECKING, NoReturn

from willitcompile.backends.sandbox.workspace import remove_tree
from willitcompile.backends.supervision import Ending

if TYPE_CHECKING:
    from collections.abc import Callable

    from willitcompile.backends.sandbox.plan import Plan
    from willitcompile.backends.sandbox.workspace import Session

_CHANNEL, _LOCK = 3, 4
"""The starter's own descriptors."""


class Starter:
    """The process that forks supervisors. Thread-safe: one message is one job."""

    def __init__(self, session: Session) -> None:
        # A process group of its own keeps Ctrl-C in a terminal from the compiles: this process tells them.
        ours, theirs = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_SEQPACKET)
        self._socket = ours
        with_threads = "threading" in sys.modules and sys.modules["threading"].active_count() > 1
        if with_threads:
            self._pid = _start_afresh(theirs, session)
        else:
            self._pid = os.fork()
            if self._pid == 0:
                _live(theirs.fileno(), session.lock, session.path)
        theirs.close()

    def start(self, plan: Plan, stdout: int, stderr: int) -> _socket.socket:
        """Start a compile that writes to these descriptors. Shut the channel that comes back for writing to stop it;
        it gives one message when everything is cleared away (`read_ending`).

        Raises OSError where the starter is gone.
        """
        ours, theirs = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_STREAM)
        memory = os.memfd_create("plan", os.MFD_CLOEXEC)
        try:
            with open(memory, "wb", closefd=False) as file:
                marshal.dump(tuple(plan), file)
                file.seek(0)
            descriptors = array.array("i", [memory, stdout, stderr, theirs.fileno()])
            self._socket.sendmsg([b"."], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, descriptors)])
        except BaseException:
            ours.close()
            raise
        finally:
            os.close(memory)
            theirs.close()
        return ours

    def close(self) -> None:
        """Return when every supervisor has ended its compile and the session's directory is gone."""
        if self._pid:
            self._socket.close()
            os.waitpid(self._pid, 0)
            self._pid = 0


def read_ending(channel: _socket.socket) -> Ending | None:
    """The report that follows a compile; None where its supervisor was killed before it could tell."""
    parts = []
    while data := channel.recv(65536):
        parts.append(data)
    return Ending(*marshal.loads(b"".join(parts))) if parts else None  # noqa: S302 - from our own child


def _start_afresh(channel: _socket.socket, session: Session) -> int:
    package = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(__file__))))
    code = (
        f"import sys; sys.path.insert(0, {package!r});"
        "from willitcompile.backends.sandbox import starter;"
        f"starter._live(40, 41, {session.path!r})"
    )
    return os.posix_spawn(
        sys.executable,
        [sys.executable, "-I", "-S", "-c", code],
        os.environ,
        file_actions=[
            (os.POSIX_SPAWN_DUP2, channel.fileno(), 40),
            (os.POSIX_SPAWN_DUP2, session.lock, 41),
        ],
    )


def _live(channel: int, lock: int, session_path: str) -> NoReturn:
    """The starter's whole life; never returns into the program that it was forked from."""
    code = 1
    try:
        os.setsid()
        for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
            signal.signal(ignored, signal.SIG_IGN)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        _keep_only(channel, lock)
        # Here rather than above, so that they are imported while the other process prepares its first job.
        from willitcompile.backends.sandbox.cgroups import find_cgroups
        from willitcompile.backends.sandbox.leftovers import clear_stale
        from willitcompile.backends.sandbox.supervisor import supervise

        cgroups = find_cgroups()
        _serve(_socket.socket(fileno=_CHANNEL), lambda *descriptors: supervise(cgroups, *descriptors))
        remove_tree(session_path)
        clear_stale(cgroups)
        code = 0
    finally:
        os._exit(code)


def _keep_only(channel: int, lock: int) -> None:
    """Close every descriptor but these two.

    What the program had open, secrets and terminals among it, must not be there for a compile to inherit; a
    pipe that this process kept open would never end for its reader. The session's lock is kept until the
    session is cleared away, even where the program is already dead.
    """
    # Out of the way first: either may have the other's number.
    channel, lock = (fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 44) for fd in (channel, lock))
    os.dup2(channel, _CHANNEL, inheritable=False)
    os.dup2(lock, _LOCK, inheritable=False)
    null = os.open("/dev/null", os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(null, standard)
    os.closerange(_LOCK + 1, os.sysconf("SC_OPEN_MAX"))


def _serve(channel: _socket.socket, supervise: Callable[..., None]) -> None:
    """Keep one supervisor waiting for the next job, until the other end is closed; then wait for them all.

    It is the supervisor that takes the message, so that a job need not wait for a fork.
    """
    while True:
        taken_read, taken_write = os.pipe2(os.O_CLOEXEC)
        pid = os.fork()
        if pid == 0:
            os.close(taken_read)
            _wait_for_job(channel, taken_write, supervise)
        os.close(taken_write)
        taken = os.read(taken_read, 1)
        os.close(taken_read)
        # One that has ended without a job was told that there will be none, unless something killed it.
        if not taken and os.waitpid(pid, 0)[1] == 0:
            break
        _reap(os.WNOHANG)
    _reap(0)


def _wait_for_job(channel: _socket.socket, taken: int, supervise: Callable[..., None]) -> NoReturn:
    code = 1
    try:
        sizes = _socket.CMSG_LEN(4 * array.array("i").itemsize)
        message, ancillary, _, _ = channel.recvmsg(1, sizes, _socket.MSG_CMSG_CLOEXEC)
        if message:
            os.write(taken, message)
            os.close(taken)
            channel.close()
            descriptors = array.array("i")
            for _, _, data in ancillary:
                descriptors.frombytes(data)
            supervise(*descriptors)
        code = 0
    finally:
        os._exit(code)


def _reap(flags: int) -> None:
    try:
        while os.waitpid(-1, flags)[0]:
            pass
    except ChildProcessError:
        return
