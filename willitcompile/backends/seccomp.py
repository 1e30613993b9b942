"""Which system calls a compile may make: one list for every backend, and the filter that is made of it.

An allowlist, so that a system call that the next kernel brings is refused until somebody has thought about it. Beyond
what Docker's default profile refuses it leaves out: sockets of every kind (but a pair of connected ones), kill
(tgkill is there, for a process's own threads: others are kept from it by their namespace or by Landlock), System V
IPC and message queues, keyrings, ptrace and reading other processes' memory, memory that belongs to no process
(memfd), bpf, perf, io_uring, userfaultfd, mounts, namespaces, modules, clocks, file handles, and extended attributes
(but for reading). Changing the mode or times of a file is answered with success, and not done.
"""

from __future__ import annotations

import os
import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

# By name, the number on x86_64 and on aarch64 (None where it has none), from asm/unistd_64.h and
# asm-generic/unistd.h.
_NUMBERS: dict[str, tuple[int | None, int | None]] = {
    "access": (21, None),
    "alarm": (37, None),
    "arch_prctl": (158, None),
    "brk": (12, 214),
    "capget": (125, 90),
    "chdir": (80, 49),
    "clock_getres": (229, 114),
    "clock_gettime": (228, 113),
    "clock_nanosleep": (230, 115),
    "close": (3, 57),
    "close_range": (436, 436),
    "copy_file_range": (326, 285),
    "creat": (85, None),
    "dup": (32, 23),
    "dup2": (33, None),
    "dup3": (292, 24),
    "epoll_create": (213, None),
    "epoll_create1": (291, 20),
    "epoll_ctl": (233, 21),
    "epoll_pwait": (281, 22),
    "epoll_pwait2": (441, 441),
    "epoll_wait": (232, None),
    "eventfd": (284, None),
    "eventfd2": (290, 19),
    "execve": (59, 221),
    "execveat": (322, 281),
    "exit": (60, 93),
    "exit_group": (231, 94),
    "faccessat": (269, 48),
    "faccessat2": (439, 439),
    "fadvise64": (221, 223),
    "fallocate": (285, 47),
    "fchdir": (81, 50),
    "fcntl": (72, 25),
    "fdatasync": (75, 83),
    "fgetxattr": (193, 10),
    "flock": (73, 32),
    "fork": (57, None),
    "fstat": (5, 80),
    "fstatfs": (138, 44),
    "fsync": (74, 82),
    "ftruncate": (77, 46),
    "futex": (202, 98),
    "futex_requeue": (456, 456),
    "futex_wait": (455, 455),
    "futex_waitv": (449, 449),
    "futex_wake": (454, 454),
    "get_robust_list": (274, 100),
    "getcpu": (309, 168),
    "getcwd": (79, 17),
    "getdents": (78, None),
    "getdents64": (217, 61),
    "getegid": (108, 177),
    "geteuid": (107, 175),
    "getgid": (104, 176),
    "getgroups": (115, 158),
    "getitimer": (36, 102),
    "getpgid": (121, 155),
    "getpgrp": (111, None),
    "getpid": (39, 172),
    "getppid": (110, 173),
    "getpriority": (140, 141),
    "getrandom": (318, 278),
    "getresgid": (120, 150),
    "getresuid": (118, 148),
    "getrlimit": (97, 163),
    "getrusage": (98, 165),
    "getsid": (124, 156),
    "gettid": (186, 178),
    "gettimeofday": (96, 169),
    "getuid": (102, 174),
    "getxattr": (191, 8),
    "lgetxattr": (192, 9),
    "link": (86, None),
    "linkat": (265, 37),
    "lseek": (8, 62),
    "lstat": (6, None),
    "madvise": (28, 233),
    "membarrier": (324, 283),
    "mincore": (27, 232),
    "mkdir": (83, None),
    "mkdirat": (258, 34),
    "mlock": (149, 228),
    "mmap": (9, 222),
    "mprotect": (10, 226),
    "mremap": (25, 216),
    "msync": (26, 227),
    "munlock": (150, 229),
    "munmap": (11, 215),
    "nanosleep": (35, 101),
    "newfstatat": (262, 79),
    "open": (2, None),
    "openat": (257, 56),
    "openat2": (437, 437),
    "pause": (34, None),
    "pidfd_open": (434, 434),
    "pipe": (22, None),
    "pipe2": (293, 59),
    "poll": (7, None),
    "ppoll": (271, 73),
    "prctl": (157, 167),
    "pread64": (17, 67),
    "preadv": (295, 69),
    "preadv2": (327, 286),
    "pselect6": (270, 72),
    "pwrite64": (18, 68),
    "pwritev": (296, 70),
    "pwritev2": (328, 287),
    "read": (0, 63),
    "readahead": (187, 213),
    "readlink": (89, None),
    "readlinkat": (267, 78),
    "readv": (19, 65),
    "recvfrom": (45, 207),
    "recvmsg": (47, 212),
    "rename": (82, None),
    "renameat": (264, 38),
    "renameat2": (316, 276),
    "restart_syscall": (219, 128),
    "rmdir": (84, None),
    "rseq": (334, 293),
    "rt_sigaction": (13, 134),
    "rt_sigpending": (127, 136),
    "rt_sigprocmask": (14, 135),
    "rt_sigreturn": (15, 139),
    "rt_sigsuspend": (130, 133),
    "rt_sigtimedwait": (128, 137),
    "sched_get_priority_max": (146, 125),
    "sched_get_priority_min": (147, 126),
    "sched_getaffinity": (204, 123),
    "sched_yield": (24, 124),
    "select": (23, None),
    "sendfile": (40, 71),
    "sendmsg": (46, 211),
    "sendto": (44, 206),
    "set_robust_list": (273, 99),
    "set_tid_address": (218, 96),
    "setitimer": (38, 103),
    "setpgid": (109, 154),
    "setrlimit": (160, 164),
    "setsid": (112, 157),
    "sigaltstack": (131, 132),
    "splice": (275, 76),
    "stat": (4, None),
    "statfs": (137, 43),
    "statx": (332, 291),
    "symlink": (88, None),
    "symlinkat": (266, 36),
    "sync_file_range": (277, 84),
    "sysinfo": (99, 179),
    "tee": (276, 77),
    "tgkill": (234, 131),
    "timer_create": (222, 107),
    "timer_delete": (226, 111),
    "timer_getoverrun": (225, 109),
    "timer_gettime": (224, 108),
    "timer_settime": (223, 110),
    "timerfd_create": (283, 85),
    "timerfd_gettime": (287, 87),
    "timerfd_settime": (286, 86),
    "times": (100, 153),
    "umask": (95, 166),
    "uname": (63, 160),
    "unlink": (87, None),
    "unlinkat": (263, 35),
    "vfork": (58, None),
    "vmsplice": (278, 75),
    "wait4": (61, 260),
    "waitid": (247, 95),
    "write": (1, 64),
    "writev": (20, 66),
}

# Answered with success and not done: linkers and build tools mark what they wrote, and a compile's output is thrown
# away. Under Landlock, which does not control them, they would reach every file of this user.
_PRETENDED: dict[str, tuple[int | None, int | None]] = {
    "chmod": (90, None),
    "fchmod": (91, 52),
    "fchmodat": (268, 53),
    "fchmodat2": (452, 452),
    "futimesat": (261, None),
    "utime": (132, None),
    "utimensat": (280, 88),
    "utimes": (235, None),
}

# Allowed only with these arguments; see `_conditions`.
_CONDITIONAL: dict[str, tuple[int, int]] = {
    "clone": (56, 220),
    "ioctl": (16, 29),
    "prlimit64": (302, 261),
    "socketpair": (53, 199),
}
_CLONE3 = 435  # the same on both
_NEWEST = 462
"""The newest number that was there when this list was made. C libraries fall back from a later one when they
are told that it does not exist, and give up when told that it is not permitted."""

ALLOWED = tuple(sorted(_NUMBERS))
"""Allowed with any arguments, by name."""

_OF_THE_LAUNCHER = (
    "chmod",
    "fchmod",
    "fchmodat",
    "kill",
    "landlock_add_rule",
    "landlock_create_ruleset",
    "landlock_restrict_self",
    "signalfd4",
)
"""What pid 1 of a container does besides: see backends/launcher."""

REFUSED_CLONE_FLAGS = 0x7E028000
"""Every CLONE_NEW… flag that clone() takes, and CLONE_PARENT, by which a child would be that of whoever watches."""

SOCKET_TYPES = (1, 5)
"""SOCK_STREAM and SOCK_SEQPACKET: a datagram socket could send to every one that has a name."""

REFUSED_IOCTLS = (0x5412, 0x541C)
"""TIOCSTI and TIOCLINUX, which type into a terminal."""

_ARCHITECTURES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}
_X32 = 0x40000000

_EPERM, _ENOSYS = 1, 38
_ALLOW, _ERRNO, _KILL = 0x7FFF0000, 0x00050000, 0x80000000
_LOAD, _JEQ, _JGE, _JGT, _JSET, _AND, _RETURN = 0x20, 0x15, 0x35, 0x25, 0x45, 0x54, 0x06
_NR, _ARCH, _ARG0_LOW, _ARG1_LOW = 0, 4, 16, 24


class UnsupportedArchitectureError(Exception):
    """No list of system call numbers for this machine: nothing may be compiled here."""


def bpf_filter(machine: str | None = None) -> bytes:
    """The filter as classic BPF, an array of `struct sock_filter` in the machine's byte order.

    Raises UnsupportedArchitectureError for a machine other than x86_64 and aarch64.
    """
    machine = machine or os.uname().machine
    if machine not in _ARCHITECTURES:
        raise UnsupportedArchitectureError(machine)
    column, audit_arch = _ARCHITECTURES[machine]
    program = [
        (_LOAD, 0, 0, _ARCH),
        # A 32-bit system call has other numbers, so no list of these could judge it.
        (_JEQ, 1, 0, audit_arch),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, _NR),
    ]
    if machine == "x86_64":
        program += [(_JGE, 0, 1, _X32), (_RETURN, 0, 0, _KILL)]
    known = (numbers[column] for numbers in _NUMBERS.values())
    for first, last in _ranges(number for number in known if number is not None):
        program += [(_JGE, 0, 2, first), (_JGT, 1, 0, last), (_RETURN, 0, 0, _ALLOW)]
    for number in (numbers[column] for numbers in _PRETENDED.values()):
        if number is not None:
            program += [(_JEQ, 0, 1, number), (_RETURN, 0, 0, _ERRNO)]
    program += _conditions({name: numbers[column] for name, numbers in _CONDITIONAL.items()})
    # glibc falls back to clone(), whose flags a filter can read; clone3's lie behind a pointer.
    program += [(_JEQ, 0, 1, _CLONE3), (_RETURN, 0, 0, _ERRNO | _ENOSYS)]
    program += [(_JGT, 0, 1, _NEWEST), (_RETURN, 0, 0, _ERRNO | _ENOSYS)]
    program += [(_RETURN, 0, 0, _ERRNO | _EPERM)]
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in program)


def container_profile() -> dict[str, object]:
    """The same list as a profile for container engines, which confines the launcher too.

    The launcher then gives the compile `bpf_filter()` besides, which is the stricter one: here it may end what it
    started, and close a directory of sources.
    """
    allow = "SCMP_ACT_ALLOW"

    def only(name: str, index: int, value: int, operator: str, second: int = 0) -> dict[str, object]:
        condition = {"index": index, "value": value, "valueTwo": second, "op": operator}
        return {"names": [name], "action": allow, "args": [condition]}

    return {
        "defaultAction": "SCMP_ACT_ERRNO",
        "archMap": [
            {"architecture": "SCMP_ARCH_X86_64", "subArchitectures": []},
            {"architecture": "SCMP_ARCH_AARCH64", "subArchitectures": []},
        ],
        "syscalls": [
            {"names": [*ALLOWED, *_OF_THE_LAUNCHER], "action": allow},
            only("clone", 0, REFUSED_CLONE_FLAGS, "SCMP_CMP_MASKED_EQ"),
            {"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": _ENOSYS},
            only("prlimit64", 0, 0, "SCMP_CMP_EQ"),
            *(
                {
                    "names": ["socketpair"],
                    "action": allow,
                    "args": [
                        {"index": 0, "value": 1, "valueTwo": 0, "op": "SCMP_CMP_EQ"},
                        {"index": 1, "value": 0xF, "valueTwo": kind, "op": "SCMP_CMP_MASKED_EQ"},
                    ],
                }
                for kind in SOCKET_TYPES
            ),
            # Engines join two conditions on one argument by "or". No container has a virtual console for the other.
            only("ioctl", 1, REFUSED_IOCTLS[0], "SCMP_CMP_NE"),
        ],
    }


def _ranges(numbers: Iterable[int]) -> list[tuple[int, int]]:
    ranges: list[tuple[int, int]] = []
    for number in sorted(set(numbers)):
        if ranges and number == ranges[-1][1] + 1:
            ranges[-1] = (ranges[-1][0], number)
        else:
            ranges.append((number, number))
    return ranges


def _conditions(number: dict[str, int]) -> list[tuple[int, int, int, int]]:
    """Each tests for its number, then ends in a return: what follows it sees the number still loaded."""
    refused = (_RETURN, 0, 0, _ERRNO | _EPERM)
    allowed = (_RETURN, 0, 0, _ALLOW)
    return [
        # No new namespaces.
        (_JEQ, 0, 4, number["clone"]),
        (_LOAD, 0, 0, _ARG0_LOW),
        (_JSET, 0, 1, REFUSED_CLONE_FLAGS),
        refused,
        allowed,
        # Only a process's own limits: another's could be lowered until the kernel kills it.
        (_JEQ, 0, 4, number["prlimit64"]),
        (_LOAD, 0, 0, _ARG0_LOW),
        (_JEQ, 1, 0, 0),
        refused,
        allowed,
        # Only AF_UNIX. Rust's standard library hands over a pidfd through one when it starts a linker.
        (_JEQ, 0, 8, number["socketpair"]),
        (_LOAD, 0, 0, _ARG0_LOW),
        (_JEQ, 0, 4, 1),
        (_LOAD, 0, 0, _ARG1_LOW),
        (_AND, 0, 0, 0xF),
        (_JEQ, 2, 0, SOCKET_TYPES[0]),
        (_JEQ, 1, 0, SOCKET_TYPES[1]),
        refused,
        allowed,
        (_JEQ, 0, 5, number["ioctl"]),
        (_LOAD, 0, 0, _ARG1_LOW),
        (_JEQ, 1, 0, REFUSED_IOCTLS[0]),
        (_JEQ, 0, 1, REFUSED_IOCTLS[1]),
        refused,
        allowed,
    ]
