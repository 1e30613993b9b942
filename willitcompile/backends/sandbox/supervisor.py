"""Starting compiles, and ending them whatever happens.

    this process ── starter ─┬─ supervisor ── compile (bubblewrap, or the compiler under Landlock)
      many threads           └─ supervisor ── compile

The *starter* is forked once, while there is still one thread, or started afresh: from then on it forks, which a
process with threads must not do. Each compile has a *supervisor* of its own. It makes the compile's cgroup, starts
it, waits for its end, its limits or a word from this process, ends every process that came of it, removes
cgroup and files, and reports. It hears of the death of this process as the end of its channel, so even SIGKILL
leaves nothing running.
"""

from __future__ import annotations

import _socket
import array
import ctypes
import fcntl
import marshal
import os
import resource
import select
import signal
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

from willitcompile.backends.sandbox import landlock
from willitcompile.backends.sandbox.bubblewrap import (
    ARGUMENTS_FD,
    PASSWD,
    PASSWD_FD,
    SECCOMP_FD,
    STATUS_FD,
)
from willitcompile.backends.sandbox.cgroups import Cgroups, JobCgroup
from willitcompile.backends.sandbox.processes import ProcessTree
from willitcompile.backends.sandbox.workspace import remove_tree
from willitcompile.model import Limits

if TYPE_CHECKING:
    from collections.abc import Sequence

    from willitcompile.backends.sandbox.workspace import Session

_libc = ctypes.CDLL(None, use_errno=True)

_SET_PDEATHSIG, _SET_KEEPCAPS, _SET_SECCOMP, _SET_CHILD_SUBREAPER, _CAP_AMBIENT = 1, 8, 22, 36, 47
_SECCOMP_FILTER = 2
_CAPABILITY_VERSION_3 = 0x20080522
_CAP_DAC_READ_SEARCH = 2

_CHANNEL, _LOCK = 3, 4
"""The starter's own descriptors."""

_TICK_SECONDS = 0.05
_TICK_SECONDS_WITHOUT_CGROUP = 0.01
"""How often memory is looked at. Where no kernel limit stands behind it, a job gains about 2 GB a second."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a supervisor does. It crosses a process boundary by marshal, hence the plain fields."""

    argv: tuple[str, ...]
    environment: dict[str, str]
    workspace: str
    """The job's directory, with `src` and `tmp`; removed at the end."""
    cgroup_name: str
    cgroups: tuple[int, dict[str, str]] | None
    limits: tuple[float, int, float | None, int, int, int]
    """The fields of `Limits`, in their order."""
    seccomp: bytes
    arguments: bytes | None = None
    """For `bwrap --args`; None runs `argv` under Landlock."""
    landlock_abi: int = 0
    rules: tuple[tuple[str, int], ...] = ()
    workdir: str = "/"
    uid: int | None = None
    """What a root supervisor becomes before it starts the compiler: a user that nothing else runs as."""
    read_everything: bool = False
    """Keep CAP_DAC_READ_SEARCH: the toolchain lies in a directory of root's own. Landlock still holds."""
    seeds: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Ending:
    """How a compile ended, before anybody judges it."""

    exit_code: int | None
    signal: int | None
    stopped: str | None
    """Why the supervisor ended it: `wall`, `memory`, `processes`, `cancelled`."""
    oom_kills: int
    process_limit_hits: int
    peak_memory_bytes: int
    duration_seconds: float
    failure: str | None = None
    """The sandbox could not be set up, so there is nothing to judge."""


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
            fields = tuple(getattr(plan, name) for name in Plan.__slots__)
            with open(memory, "wb", closefd=False) as file:
                marshal.dump(fields, file)
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
        "from willitcompile.backends.sandbox import supervisor;"
        f"supervisor._live(100, 101, {session.path!r})"
    )
    return os.posix_spawn(
        sys.executable,
        [sys.executable, "-I", "-S", "-c", code],
        os.environ,
        file_actions=[
            (os.POSIX_SPAWN_DUP2, channel.fileno(), 100),
            (os.POSIX_SPAWN_DUP2, session.lock, 101),
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
        _serve(_socket.socket(fileno=_CHANNEL))
        remove_tree(session_path)
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
    channel, lock = (fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 200) for fd in (channel, lock))
    os.dup2(channel, _CHANNEL, inheritable=False)
    os.dup2(lock, _LOCK, inheritable=False)
    null = os.open("/dev/null", os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(null, standard)
    os.closerange(_LOCK + 1, os.sysconf("SC_OPEN_MAX"))


def _serve(channel: _socket.socket) -> None:
    """Fork a supervisor for each message until the other end is closed, then wait for them all."""
    sizes = _socket.CMSG_LEN(4 * array.array("i").itemsize)
    while True:
        message, ancillary, _, _ = channel.recvmsg(1, sizes, _socket.MSG_CMSG_CLOEXEC)
        if not message:
            break
        descriptors = array.array("i")
        for _, _, data in ancillary:
            descriptors.frombytes(data)
        if os.fork() == 0:
            code = 1
            try:
                channel.close()
                _supervise(*descriptors)
                code = 0
            finally:
                os._exit(code)
        for descriptor in descriptors:
            os.close(descriptor)
        _reap(os.WNOHANG)
    _reap(0)


def _reap(flags: int) -> None:
    try:
        while os.waitpid(-1, flags)[0]:
            pass
    except ChildProcessError:
        return


def _supervise(plan_fd: int, stdout: int, stderr: int, channel: int) -> None:
    with open(plan_fd, "rb") as file:
        plan = Plan(*marshal.load(file))  # noqa: S302 - from our own parent
    _libc.prctl(_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    cgroup = None
    failure = None
    ending = None
    try:
        limits = Limits(*plan.limits)
        if plan.cgroups:
            cgroup = JobCgroup(Cgroups(*plan.cgroups), plan.cgroup_name, limits)
        ending = _run(plan, limits, cgroup, stdout, stderr, channel)
    except Exception as error:  # noqa: BLE001 - nobody is above to see it: it travels in the report
        failure = f"{type(error).__name__}: {error}"
    finally:
        _end_everything(cgroup)
        if cgroup:
            cgroup.remove()
        remove_tree(plan.workspace)
        ending = ending or Ending(None, None, None, 0, 0, 0, 0.0, failure)
        fields = tuple(getattr(ending, name) for name in Ending.__slots__)
        try:
            os.write(channel, marshal.dumps(fields))
        except BrokenPipeError:
            pass  # nobody is left to tell


def _run(
    plan: Plan, limits: Limits, cgroup: JobCgroup | None, stdout: int, stderr: int, channel: int
) -> Ending:
    """Start the compile and wait for its end or a reason to end it."""
    # Its write end closes as the compiler starts; what comes through it before says why it did not.
    error_read, error_write = os.pipe2(os.O_CLOEXEC)
    status_read, status_write = os.pipe2(os.O_CLOEXEC)
    begin = time.monotonic()
    pid = os.fork()
    if pid == 0:
        _start_compile(plan, limits, cgroup, stdout, stderr, error_write, status_write)
    for descriptor in (stdout, stderr, error_write, status_write):
        os.close(descriptor)
    setup_error = os.read(error_read, 4096)
    process = os.pidfd_open(pid)
    tree = ProcessTree(os.getpid())
    tick = _TICK_SECONDS if cgroup else _TICK_SECONDS_WITHOUT_CGROUP
    poll = select.poll()
    poll.register(process, select.POLLIN)
    poll.register(channel, select.POLLIN | select.POLLHUP)
    deadline = begin + limits.wall_seconds
    stopped = None
    at_process_limit = False
    peak = 0
    while True:
        now = time.monotonic()
        ready = {fd for fd, _ in poll.poll(max(0.0, min(tick, deadline - now)) * 1000)}
        if process in ready:
            break
        if channel in ready:
            stopped = "cancelled"
        elif time.monotonic() >= deadline:
            stopped = "wall"
        else:
            memory = cgroup.memory_bytes() if cgroup else tree.memory_bytes()
            peak = max(peak, memory)
            if memory > limits.memory_bytes:
                stopped = "memory"
            elif not (cgroup and cgroup.limits_processes):
                threads = tree.threads()
                at_process_limit |= threads >= limits.processes
                if threads > limits.processes:
                    stopped = "processes"
        if stopped:
            _end_everything(cgroup)
            break
    duration = time.monotonic() - begin
    status, usage = _wait_for(pid)
    oom_kills = cgroup.oom_kills() if cgroup else 0
    hits = cgroup.process_limit_hits() if cgroup else int(at_process_limit)
    code, by_signal = _decode(status)
    failure = setup_error.decode(errors="replace") or None
    if plan.arguments is not None:
        # bubblewrap tells the compiler's exit code only where it came as far as starting it.
        os.set_blocking(status_read, False)
        told = _inner_exit_code(status_read)
        if told is not None:
            code, by_signal = (told, None) if told < 128 else (None, told - 128)
        elif not (stopped or oom_kills or hits):
            failure = failure or "bubblewrap could not set up the sandbox"
    peak = max(peak, usage)
    return Ending(code, by_signal, stopped, oom_kills, hits, peak, duration, failure)


def _inner_exit_code(status: int) -> int | None:
    try:
        text = os.read(status, 65536)
    except BlockingIOError:
        return None
    _, found, rest = text.partition(b'"exit-code":')
    return int(rest.split(b"}")[0]) if found else None


_waited: dict[int, tuple[int, int]] = {}
"""Of each child that was reaped, its wait status and the peak memory of the largest process below it."""


def _wait_for(pid: int) -> tuple[int, int]:
    if pid not in _waited:
        _, status, usage = os.wait4(pid, 0)
        _waited[pid] = status, usage.ru_maxrss * 1024
    return _waited[pid]


def _decode(status: int) -> tuple[int | None, int | None]:
    if os.WIFSIGNALED(status):
        return None, os.WTERMSIG(status)
    return os.WEXITSTATUS(status), None


def _end_everything(cgroup: JobCgroup | None) -> None:
    """Kill and reap until no descendant is left. As their subreaper we inherit those whose parents die, also what
    has left its process group and session."""
    me = os.getpid()
    while True:
        if cgroup:
            cgroup.kill()
        for child in ProcessTree(me).children():
            try:
                os.kill(child, signal.SIGKILL)
            except ProcessLookupError:
                continue
        try:
            pid, status, usage = os.wait4(-1, 0)
        except ChildProcessError:
            return
        _waited[pid] = status, usage.ru_maxrss * 1024


def _start_compile(
    plan: Plan,
    limits: Limits,
    cgroup: JobCgroup | None,
    stdout: int,
    stderr: int,
    error: int,
    status: int,
) -> NoReturn:
    """In the child: confine this process, then become the compiler."""
    try:
        _libc.prctl(_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        os.setsid()
        os.dup2(stdout, 1)
        os.dup2(stderr, 2)
        if cgroup:
            cgroup.join()
        _lower_limits(limits, alone=plan.uid is not None)
        _volunteer_for_oom_killer()
        if plan.arguments is None:
            _confine_by_landlock(plan)
        else:
            if plan.uid is not None:
                _become(plan.uid)
            _offer(plan.arguments, ARGUMENTS_FD)
            _offer(plan.seccomp, SECCOMP_FD)
            _offer(PASSWD, PASSWD_FD)
            os.dup2(status, STATUS_FD)
        for signal_number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGPIPE, signal.SIGXFSZ):
            signal.signal(signal_number, signal.SIG_DFL)
        os.execve(plan.argv[0], plan.argv, plan.environment)
    except BaseException as problem:  # noqa: BLE001 - whatever it is, it must not go on as a copy of its parent
        os.write(error, f"{plan.argv[0]}: {problem}".encode(errors="replace"))
    finally:
        os._exit(127)


def _offer(content: bytes, descriptor: int) -> None:
    """Let the program that we become read this from a descriptor."""
    memory = os.memfd_create("wic", os.MFD_CLOEXEC)
    os.write(memory, content)
    os.lseek(memory, 0, os.SEEK_SET)
    os.dup2(memory, descriptor)


def _lower_limits(limits: Limits, *, alone: bool) -> None:
    """`alone`: no other process runs as this job's user, so the kernel's count of the user's processes is its own."""
    cores = os.cpu_count() or 1
    bounds = {
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_FSIZE: limits.file_bytes,
        resource.RLIMIT_NOFILE: 1024,
        resource.RLIMIT_MEMLOCK: 0,
        resource.RLIMIT_MSGQUEUE: 0,
        # A second line: the wall clock ends a job well before.
        resource.RLIMIT_CPU: int(limits.wall_seconds * cores) + 5,
        # gcc raises its own stack to 64 MiB.
        resource.RLIMIT_STACK: 64 << 20,
        # Where others run as this user too, it only keeps a fork bomb from outrunning the supervisor.
        resource.RLIMIT_NPROC: limits.processes + (0 if alone else _threads_in_system()),
    }
    for kind, wanted in bounds.items():
        soft, hard = resource.getrlimit(kind)
        highest = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        lowest = highest if kind != resource.RLIMIT_STACK else min(highest, soft if soft >= 0 else 8 << 20)
        resource.setrlimit(kind, (lowest, highest))


def _threads_in_system() -> int:
    try:
        with open("/proc/loadavg") as file:
            return int(file.read().split()[3].partition("/")[2])
    except (OSError, IndexError, ValueError):
        return 4096


def _volunteer_for_oom_killer() -> None:
    """When the whole machine runs out of memory, a compile is to go first."""
    try:
        with open("/proc/self/oom_score_adj", "w") as file:
            file.write("1000")
    except OSError:
        return


def _confine_by_landlock(plan: Plan) -> None:
    os.chdir(plan.workdir)
    tmp = plan.workspace + "/tmp"
    for name, target in plan.seeds:
        path = f"{tmp}/{name}"
        try:
            os.symlink(target, path)
        except FileNotFoundError:
            os.makedirs(os.path.dirname(path), 0o700)
            os.symlink(target, path)
    if plan.uid is not None:
        _hand_over(tmp, plan.uid)
        _become(plan.uid, read_everything=plan.read_everything)
    landlock.restrict(plan.rules, plan.landlock_abi)
    filter_buffer = ctypes.create_string_buffer(plan.seccomp, len(plan.seccomp))

    class Program(ctypes.Structure):
        _fields_: Sequence[Any] = [("length", ctypes.c_ushort), ("filter", ctypes.c_void_p)]

    program = Program(len(plan.seccomp) // 8, ctypes.addressof(filter_buffer))
    _check(_libc.prctl(_SET_SECCOMP, _SECCOMP_FILTER, ctypes.byref(program), 0, 0))


def _hand_over(directory: str, uid: int) -> None:
    for path, _, _ in os.walk(directory):
        os.chown(path, uid, uid)


def _become(uid: int, *, read_everything: bool = False) -> None:
    """From root to a user that exists nowhere else, without a capability (but for the one that is asked for)."""
    os.setgroups([])
    if read_everything:
        _check(_libc.prctl(_SET_KEEPCAPS, 1, 0, 0, 0))
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)
    # Changing credentials clears this.
    _libc.prctl(_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    kept = 1 << _CAP_DAC_READ_SEARCH if read_everything else 0
    header = array.array("I", [_CAPABILITY_VERSION_3, 0]).tobytes()
    data = array.array("I", [kept, kept, kept, 0, 0, 0]).tobytes()
    _check(_libc.capset(header, data))
    if read_everything:
        _check(_libc.prctl(_CAP_AMBIENT, 2, _CAP_DAC_READ_SEARCH, 0, 0))


def _check(result: int) -> None:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
