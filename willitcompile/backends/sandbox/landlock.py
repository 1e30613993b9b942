"""The kernel's Landlock: a process gives up every file but those named, for itself and all its children.

Numbers and structures are those of include/uapi/linux/landlock.h; what each version (ABI) brought is in
Documentation/userspace-api/landlock.rst of the kernel.
"""

from __future__ import annotations

import ctypes
import os
import stat
import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446  # the same on every architecture
_VERSION_FLAG = 1
_RULE_PATH_BENEATH = 1
_SET_NO_NEW_PRIVS = 38

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1, 2, 4, 8
_FILES = {1: 0x1FFF, 2: 0x3FFF, 3: 0x7FFF, 5: 0xFFFF}
"""By ABI, all the rights on files that it knows."""
_TRUNCATE, _IOCTL_DEV = 1 << 14, 1 << 15
_NETWORK = 3
"""bind and connect, from ABI 4."""
_SCOPED = 3
"""Abstract unix sockets and signals stay inside, from ABI 6."""

LIST = _READ_DIR
READ = _READ_FILE | _READ_DIR
READ_EXECUTE = READ | _EXECUTE
DEVICE = _READ_FILE | _WRITE_FILE
_ON_A_FILE = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL_DEV

_libc = ctypes.CDLL(None, use_errno=True)


def abi_version() -> int:
    """The version of Landlock in this kernel, 0 where there is none or it is switched off."""
    return max(0, int(_libc.syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), _VERSION_FLAG)))


def everything(abi: int) -> int:
    """Every right on files that this version knows."""
    return _FILES[max(known for known in _FILES if known <= abi)]


def restrict(rules: Iterable[tuple[str, int]], abi: int) -> None:
    """Give up everything but these paths, each with its rights, and with it new privileges. Raises OSError."""
    handled = everything(abi)
    attributes = struct.pack("=Q", handled)
    if abi >= 4:
        attributes += struct.pack("=Q", _NETWORK)
    if abi >= 6:
        attributes += struct.pack("=Q", _SCOPED)
    ruleset = _check(_libc.syscall(_CREATE_RULESET, attributes, ctypes.c_size_t(len(attributes)), 0))
    try:
        for path, rights in rules:
            fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
            try:
                if not stat.S_ISDIR(os.fstat(fd).st_mode):
                    rights &= _ON_A_FILE  # noqa: PLW2901
                rule = struct.pack("=Qi", rights & handled, fd)
                _check(_libc.syscall(_ADD_RULE, ruleset, _RULE_PATH_BENEATH, rule, 0))
            finally:
                os.close(fd)
        _check(_libc.prctl(_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
        _check(_libc.syscall(_RESTRICT_SELF, ruleset, 0))
    finally:
        os.close(ruleset)


def _check(result: int) -> int:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result
