"""What those who run compiles have in common, on this host or in a container: how a job's files are laid out, and how
a compile's end is told."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from willitcompile.model import MIB

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


FILE_CACHE_BYTES = 128 * MIB
"""What the kernel may keep of files, on top of a job's memory limit.

The supervisor ends a job whose own memory passes its limit; the kernel's limit, this much higher, is there for
a job that is faster than the supervisor. Without room between the two, a job that needs a little more than its
limit is not killed at all: the kernel evicts the compiler's own pages and reads them back, for ten minutes with
g++ on <regex> at 100 MiB.
"""


class Ending(NamedTuple):
    """How a compile ended, before anybody judges it."""

    exit_code: int | None
    signal: int | None
    stopped: str | None
    """Why the supervisor ended it: `wall`, `memory`, `processes`, `output`, `cancelled`."""
    oom_kills: int
    process_limit_hits: int
    peak_memory_bytes: int
    duration_seconds: float
    failure: str | None = None
    """The sandbox could not be set up, so there is nothing to judge."""


def layout(files: Mapping[str, bytes]) -> Iterator[tuple[str, bytes | None]]:
    """What to make for the files of a job, in order: (path, content), or (path, None) for a directory.

    The paths were checked by whoever made the job; they are checked again here, because what comes out of it is
    where something is written. A path that ends in `/` is an empty directory. Raises ValueError for a path that is
    not inside of a job.
    """
    made = set()
    for path, content in files.items():
        directory, _, leaf = path.rpartition("/")
        parts = directory.split("/") if directory else []
        if (
            "\0" in path
            or path.startswith("/")
            or leaf in {".", ".."}
            or any(part in {"", ".", ".."} for part in parts)
        ):
            raise ValueError(f"not a path inside of a job: {path!r}")
        for depth in range(1, len(parts) + 1):
            parent = "/".join(parts[:depth])
            if parent not in made:
                made.add(parent)
                yield parent, None
        if leaf:
            yield path, content
