"""What passes between the process that asks for a compile and the supervisor that runs it."""

from __future__ import annotations

from typing import NamedTuple


class Plan(NamedTuple):
    """What a supervisor does. It crosses a process boundary by marshal, hence the plain fields."""

    argv: tuple[str, ...]
    environment: dict[str, str]
    workspace: str
    """The job's directory, with `src` and `tmp`; removed at the end."""
    cgroup_name: str
    with_cgroup: bool
    limits: tuple[float | None, ...]
    """The fields of `Limits`."""
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
