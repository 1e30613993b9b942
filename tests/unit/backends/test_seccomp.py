"""The filter, run by an interpreter of classic BPF as the kernel would."""

from __future__ import annotations

import struct

import pytest

from willitcompile.backends import seccomp

X86_64, AARCH64, I386 = 0xC000003E, 0xC00000B7, 0x40000003
ALLOW, EPERM, ENOSYS, PRETENDED, KILL = 0x7FFF0000, 0x00050001, 0x00050026, 0x00050000, 0x80000000


def decide(machine: str, arch: int, number: int, *arguments: int) -> int:
    data = struct.pack("=iIQ6Q", number, arch, 0, *(list(arguments) + [0] * 6)[:6])
    program = [*struct.iter_unpack("=HBBI", seccomp.bpf_filter(machine))]
    accumulator = position = 0
    for _ in range(len(program)):
        code, yes, no, value = program[position]
        position += 1
        if code == 0x20:
            (accumulator,) = struct.unpack_from("=I", data, value)
        elif code == 0x06:
            return value
        elif code == 0x54:
            accumulator &= value
        else:
            holds = {
                0x15: accumulator == value, 0x35: accumulator >= value, 0x25: accumulator > value,
                0x45: bool(accumulator & value),
            }[code]  # fmt: skip
            position += yes if holds else no
    raise AssertionError("the filter does not end")


@pytest.mark.parametrize(
    ("number", "arguments", "decision"),
    [
        (0, (), ALLOW),  # read
        (59, (), ALLOW),  # execve
        (41, (2, 1), EPERM),  # socket, AF_INET
        (53, (1, 1), ALLOW),  # socketpair, AF_UNIX, SOCK_STREAM
        (53, (1, 0x80005), ALLOW),  # SOCK_SEQPACKET | SOCK_CLOEXEC
        (53, (1, 2), EPERM),  # SOCK_DGRAM, which could send to any socket with a name
        (53, (1, 3), EPERM),  # SOCK_RAW, which is the same there
        (53, (40,), EPERM),
        (90, (), PRETENDED),  # chmod
        (280, (), PRETENDED),  # utimensat
        (76, (), EPERM),  # truncate
        (319, (), EPERM),  # memfd_create
        (56, (17,), ALLOW),  # clone as fork does it
        (56, (0x10000000 | 17,), EPERM),  # CLONE_NEWUSER
        (56, (0x02000000,), EPERM),  # CLONE_NEWCGROUP
        (56, (0x8000 | 17,), EPERM),  # CLONE_PARENT
        (435, (), ENOSYS),  # clone3
        (302, (0,), ALLOW),  # prlimit64 of its own
        (302, (1,), EPERM),
        (16, (1, 0x5401), ALLOW),  # ioctl TCGETS
        (16, (1, 0x5412), EPERM),  # TIOCSTI
        (16, (1, 0xFFFFFFFF_00005412), EPERM),  # the kernel looks at the low half only
        (62, (), EPERM),  # kill
        (101, (), EPERM),  # ptrace
        (165, (), EPERM),  # mount
        (250, (), EPERM),  # keyctl
        (272, (), EPERM),  # unshare
        (321, (), EPERM),  # bpf
        (425, (), EPERM),  # io_uring_setup
        (10_000, (), ENOSYS),
        (0x40000000, (), KILL),  # x32
    ],
)
def test_x86_64(number: int, arguments: tuple[int, ...], decision: int) -> None:
    assert decide("x86_64", X86_64, number, *arguments) == decision


def test_32_bit_system_calls_are_fatal() -> None:
    assert decide("x86_64", I386, 20) == KILL


@pytest.mark.parametrize(
    ("number", "arguments", "decision"),
    [
        (63, (), ALLOW),
        (221, (), ALLOW),
        (198, (2,), EPERM),
        (220, (0x10000000,), EPERM),
        (435, (), ENOSYS),
        (129, (), EPERM),
    ],
)
def test_aarch64(number: int, arguments: tuple[int, ...], decision: int) -> None:
    assert decide("aarch64", AARCH64, number, *arguments) == decision


def test_a_machine_without_numbers_is_refused() -> None:
    with pytest.raises(seccomp.UnsupportedArchitectureError):
        seccomp.bpf_filter("mips")


def test_nothing_dangerous_is_on_the_list() -> None:
    dangerous = {
        "keyctl", "add_key", "request_key", "bpf", "ptrace", "mount", "umount2", "unshare", "setns", "kexec_load",
        "socket", "connect", "io_uring_setup", "userfaultfd", "perf_event_open", "open_by_handle_at", "init_module",
        "clone3", "clone", "process_vm_readv", "process_vm_writev", "pivot_root", "chroot", "kill", "setuid",
        "shmget", "msgget", "mknod",
    }  # fmt: skip
    assert not dangerous & set(seccomp.ALLOWED)
