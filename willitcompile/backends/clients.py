"""Who made something in a daemon or a cluster, so that others can tell when its maker is dead."""

from __future__ import annotations

import os
from functools import cache


@cache
def client_name() -> str:
    """This process, as no other is called: `<boot>.<pid namespace>.<pid>.<start time>`."""
    return _name_of(str(os.getpid())) or f"unknown.{os.getpid()}"


def _name_of(pid: str) -> str | None:
    try:
        with open("/proc/sys/kernel/random/boot_id") as file:
            boot = file.read().strip()
        namespace = os.readlink("/proc/self/ns/pid").strip("pid:[]")
        with open(f"/proc/{pid}/stat", "rb") as stat:
            fields = stat.read().rpartition(b")")[2].split()
    except OSError:
        return None
    return f"{boot}.{namespace}.{pid}.{fields[19].decode()}"


def is_dead(client: str) -> bool | None:
    """Whether the process of this name has ended; None where that cannot be known here."""
    parts = client.split(".")
    ours = client_name().split(".")
    if len(parts) != 4 or len(ours) != 4 or parts[:2] != ours[:2] or not parts[2].isdecimal():
        return None
    number = int(parts[2][:10])
    try:
        if not 0 < number < 1 << 31 or len(parts[2]) > 10:
            return True  # nobody's
        os.kill(number, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        pass
    # Of another user's process /proc may say nothing.
    name = _name_of(str(number))
    return None if name is None else name != client
