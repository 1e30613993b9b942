"""What passes between the process that asks for a compile and the supervisor that runs it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from willitcompile.model import Limits

LimitsTuple: TypeAlias = tuple[float, int, float | None, int, int, int]
"""The fields of `Limits`, in their order."""


def limits_as_tuple(limits: Limits) -> LimitsTuple:
    return (
        limits.wall_seconds,
        limits.memory_bytes,
        limits.cpus,
        limits.processes,
        limits.output_bytes,
        limits.file_bytes,
    )


@dataclass(frozen=True, slots=True)
class Plan:
    """What a supervisor does. It crosses a process boundary by marshal, hence the plain fields."""

    argv: tuple[str, ...]
    environment: dict[str, str]
    workspace: str
    """The job's directory, with `src` and `tmp`; removed at the end."""
    cgroup_name: str
    cgroups: tuple[int, dict[str, str]] | None
    limits: LimitsTuple
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
