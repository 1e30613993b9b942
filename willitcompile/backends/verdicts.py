"""From how a compile ended to what that means: one judgement for every backend."""

from __future__ import annotations

import re
import signal
from typing import TYPE_CHECKING

from willitcompile.model import Verdict

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

# Three things hide behind an exit code, because a compiler's driver says of its child only that something went wrong.
# No source may bring them about by what it makes a compiler print, so each has to be a whole line in the words of
# the program itself, where only its last words can be, and (see `_gave_up`) nothing else may explain the exit code.
_PROGRAM = rb"(?:\A|\n)[\w.+-]+: "
_NO_MEMORY = re.compile(
    _PROGRAM + rb"(?:"
    rb"out of memory allocating \d+ bytes after a total of \d+ bytes"
    rb"|fatal error: Killed signal terminated program \S+\ncompilation terminated\."
    rb")\n*\Z"
    rb"|(?:\A|\n)(?:"
    rb"virtual memory exhausted: Cannot allocate memory"
    rb"|LLVM ERROR: out of memory(?:\nAllocation failed)?"
    rb"|memory allocation of \d+ bytes failed"
    rb")\n*\Z"
)
_AN_ERROR = re.compile(rb"error:|\.go:\d+:", re.IGNORECASE)
_CHILD_DIED = re.compile(_PROGRAM + rb"internal compiler error: ([\w ]+) signal terminated program \S+(?=\n|\Z)")
_NO_PROCESS = re.compile(
    _PROGRAM + rb"fatal error: cannot execute [^\n]*: Resource temporarily unavailable\ncompilation terminated\.\n*\Z"
    rb"|(?:\A|\n)(?:[\w./-]+: )?fork/exec /[^\n:]*: resource temporarily unavailable\n*\Z"
)
# Clang says goodbye at length, and newer ones then exit with 1, as for any error.
_CRASHED = re.compile(
    _PROGRAM
    + rb"error: clang frontend command failed (?:with exit code \d+|due to signal) \(use -v to see invocation\)\n"
    rb"[^\n]*clang version [^\n]*\nTarget: [\s\S]*\Z"
)
_TAIL = 4096


def judge(  # noqa: PLR0911 - a line for each way to end
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
    if killed_by == signal.SIGXFSZ or (exit_code not in rejected_exit_codes and _file_too_large(tail)):
        return Verdict.OUTPUT_LIMIT, "file-size"
    if _gave_up(_NO_MEMORY, stderr):
        return Verdict.OUT_OF_MEMORY, "memory"
    if _gave_up(_NO_PROCESS, stderr):
        return Verdict.CRASHED, "processes"
    if _gave_up(_CRASHED, stderr):
        return Verdict.CRASHED, None
    if exit_code in rejected_exit_codes:
        return Verdict.REJECTED, None
    return Verdict.CRASHED, None


def _gave_up(reason: re.Pattern[bytes], stderr: bytes) -> bool:
    """Whether these are the compiler's last words, and its only complaint. A message about an error says that there is
    one in the source, whatever else there is: then it is rejected in any case."""
    last_words = reason.search(stderr[-_TAIL:])
    if not last_words:
        return False
    before = stderr[: len(stderr) - len(last_words.group())]
    return not _AN_ERROR.search(before)


def _file_too_large(tail: bytes) -> bool:
    """Whether the last of the driver's children to die had written too much."""
    deaths = _CHILD_DIED.findall(tail)
    return bool(deaths) and deaths[-1] == b"File size limit exceeded"
