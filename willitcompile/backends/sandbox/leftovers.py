"""Clearing away what was left by a process that was killed together with its starter."""

from __future__ import annotations

from typing import TYPE_CHECKING

from willitcompile.backends.sandbox.cgroups import clear_cgroup, stale_cgroups
from willitcompile.backends.sandbox.workspace import remove_tree, stale_sessions

if TYPE_CHECKING:
    from willitcompile.backends.sandbox.cgroups import Cgroups


def clear_stale(cgroups: Cgroups | None) -> list[str]:
    """What was cleared, as paths. What belongs to a process that lives is left alone."""
    found = stale_cgroups(cgroups)
    for path in found:
        clear_cgroup(path)
    directories = stale_sessions()
    for path in directories:
        remove_tree(path)
    return found + directories
