"""The last steps of a process before it becomes a compile: everything that it gives up."""

from __future__ import annotations

import array
import ctypes
import os
import resource
import signal
import struct
from typing import TYPE_CHECKING, NoReturn

from willitcompile.backends.sandbox import landlock
from willitcompile.backends.sandbox.bubblewrap import ARGUMENTS_FD, PASSWD, PASSWD_FD, SECCOMP_FD, STATUS_FD

if TYPE_CHECKING:
    from willitcompile.backends.sandbox.cgroups import JobCgroup
    from willitcompile.backends.sandbox.plan import Plan
    from willitcompile.model import Limits

_libc = ctypes.CDLL(None, use_errno=True)

# From linux/prctl.h, linux/seccomp.h and linux/capability.h.
_SET_PDEATHSIG, _SET_KEEPCAPS, _SET_SECCOMP, _CAP_AMBIENT = 1, 8, 22, 47
_CAP_AMBIENT_RAISE = 2
_SECCOMP_FILTER = 2
_CAPABILITY_VERSION_3 = 0x20080522
_CAP_DAC_READ_SEARCH = 2


def become_compile(
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
        for signal_number in (
            signal.SIGINT,
            signal.SIGTERM,
            signal.SIGHUP,
            signal.SIGQUIT,
            signal.SIGPIPE,
            signal.SIGXFSZ,
        ):
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
        # Not 0: that does not keep a crash from the program that core_pattern may name. A file takes more than this.
        resource.RLIMIT_CORE: 1,
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

    # struct sock_fprog: the number of instructions, and where they are.
    program = struct.pack("@HP", len(plan.seccomp) // 8, ctypes.addressof(filter_buffer))
    _check(_libc.prctl(_SET_SECCOMP, _SECCOMP_FILTER, program, 0, 0))


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
        _check(_libc.prctl(_CAP_AMBIENT, _CAP_AMBIENT_RAISE, _CAP_DAC_READ_SEARCH, 0, 0))


def _check(result: int) -> None:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
