"""From how a compile ended to what that means: one judgement for every backend."""

from __future__ import annotations

import re
import signal
from typing import TYPE_CHECKING

from willitcompile.model import Verdict

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

# The last thing that a compiler says when memory cannot be had or its own child was killed. Only the last lines
# count, because what comes before may quote the source: a compiler's message about a source goes on with the
# line that it is about, a note, or a summary.
_NO_MEMORY = re.compile(
    rb"\n?[^\n:]{0,80}: (?:fatal error: )?(?:"
    rb"out of memory allocating \d+ bytes after a total of \d+ bytes"
    rb"|Killed signal terminated program \S+\ncompilation terminated\."
    rb"|Cannot allocate memory"
    rb")\n*\Z"
    rb"|(?:\A|\n)(?:"
    rb"virtual memory exhausted: Cannot allocate memory"
    rb"|LLVM ERROR: out of memory(?:\nAllocation failed)?"
    rb"|memory allocation of \d+ bytes failed"
    rb")\n*\Z"
)
_NO_PROCESS = re.compile(
    rb"(?:fork|spawn|clone|pthread_create)[^\n]{0,200}: [Rr]esource temporarily unavailable"
    rb"|failed to create new OS thread"
)
_FILE_TOO_LARGE = re.compile(rb"File size limit exceeded|file size limit exceeded|File too large")
_TAIL = 4096


def judge(  # noqa: PLR0911 - one line for each way to end
    *,
    exit_code: int | None,
    killed_by: int | None,
    stopped: str | None,
    oom_kills: int,
    process_limit_hits: int,
    truncated: bool,
    stderr: bytes,
    rejected_exit_codes: AbstractSet[int],
) -> tuple[Verdict, str | None]:
    """The verdict, and which limit explains it.

    `stopped` is why the backend ended it (`wall`, `memory`, `processes`), None where it ended by itself;
    `killed_by` the signal that did. What the kernel counted outweighs what the compiler said, and what it
    said is asked only where no counter tells.
    """
    if exit_code == 0 and not stopped and not truncated:
        return Verdict.COMPILED, None
    if stopped == "memory" or oom_kills:
        return Verdict.OUT_OF_MEMORY, "memory"
    if stopped == "wall":
        return Verdict.TIMEOUT, "wall"
    if truncated:
        return Verdict.OUTPUT_LIMIT, "output"
    if stopped == "processes" or process_limit_hits:
        return Verdict.CRASHED, "processes"
    tail = stderr[-_TAIL:]
    if killed_by == signal.SIGXFSZ or (exit_code not in rejected_exit_codes and _FILE_TOO_LARGE.search(tail)):
        return Verdict.OUTPUT_LIMIT, "file-size"
    if _NO_MEMORY.search(tail):
        return Verdict.OUT_OF_MEMORY, "memory"
    if _NO_PROCESS.search(tail[-400:]):
        return Verdict.CRASHED, "processes"
    if exit_code in rejected_exit_codes:
        return Verdict.REJECTED, None
    return Verdict.CRASHED, None
