"""Reading what users point at, which is hostile: links, pipes, binaries, names made to confuse.

Nothing outside of the directories that were given is ever read, and nothing but a regular file.
"""

from __future__ import annotations

from dataclasses import dataclass

from willitcompile.model import MIB


@dataclass(frozen=True, slots=True)
class SizeLimits:
    """How much source one check takes in. Both are settings."""

    file_bytes: int = 16 * MIB
    """One file. SQLite's amalgamation has 9 MB."""
    unit_bytes: int = 64 * MIB
    """All the files of one source unit together."""
