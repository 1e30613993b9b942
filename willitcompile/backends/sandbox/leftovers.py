"""Clearing away what was left by a process that was killed together with its starter and supervisors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from willitcompile.backends.sandbox.cgroups import clear_stale_cgroups
from willitcompile.backends.sandbox.workspace import clear_stale_sessions

if TYPE_CHECKING:
    from willitcompile.backends.sandbox.cgroups import Cgroups


def clear_stale(cgroups: Cgroups | None) -> list[str]:
    """What was cleared, as paths. What belongs to a process that lives is left alone."""
    return clear_stale_cgroups(cgroups) + clear_stale_sessions()
