"""What one pod is given to do, and what it answers: a question to its compiler, then one or many units.

The whole is one tape of records for the launcher, compressed; its log is one line for each frame that it says. Each
unit has its own workspace, limits and ending, and answers as soon as it is done.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from willitcompile.backends import launcher
from willitcompile.backends.containers import Outcome, environment, records
from willitcompile.backends.kubernetes.manifests import ROOT
from willitcompile.backends.launcher import BrokenProtocolError, Reader
from willitcompile.model import KIB, MIB, Limits

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from willitcompile.model import CompileJob

INHERITED = ("PATH", "RUSTUP_HOME")
"""Of an image's own environment: where its compiler is, and where rustup's proxies look for theirs."""
ASKING = Limits(wall_seconds=60, memory_bytes=256 * MIB, output_bytes=64 * KIB)
"""For `g++ --version`, which may be the first that its node reads of the image."""
_LONGEST_LINE = 16 * KIB


def tape(jobs: Sequence[CompileJob], seccomp: bytes) -> bytes:
    """The version's question and these jobs, which are of one program.

    Raises ValueError for a path that is not inside of its job.
    """
    return launcher.pack(_tape(jobs, seccomp))


def _tape(jobs: Sequence[CompileJob], seccomp: bytes) -> Iterator[bytes]:
    yield question(jobs[0], seccomp)
    for job in jobs:
        yield launcher.next_job()
        yield from unit(job, seccomp)


def question(job: CompileJob, seccomp: bytes) -> bytes:
    """Ask the compiler of a job for its version."""
    ask = ("version",) if job.argv[0] == "go" else ("--version",)
    return launcher.run(
        (job.argv[0], *ask), environment(ROOT), ASKING, workdir="tmp", seccomp=seccomp, inherited=INHERITED
    )


def unit(job: CompileJob, seccomp: bytes) -> Iterator[bytes]:
    """One job's records."""
    return records(
        job,
        argv=job.argv,
        variables=environment(ROOT),
        seccomp=seccomp,
        seeds=job.argv[0] == "go",
        inherited=INHERITED,
    )


class Answers:
    """Reads a pod's log from its beginning, however it was cut."""

    def __init__(self, output_bytes: Sequence[int]) -> None:
        """`output_bytes` is the limit of each unit."""
        self._limits = [ASKING.output_bytes, *output_bytes]
        self._readers: list[Reader] = []
        self._rest = b""
        self._lines = 0
        self._next_reader()

    @property
    def complete(self) -> bool:
        """Whether every unit has answered."""
        return len(self._readers) > len(self._limits)

    @property
    def version(self) -> Outcome | None:
        """What the compiler said of itself."""
        return _outcome(self._readers[0])

    @property
    def done(self) -> int:
        """How many units have answered."""
        return max(0, len(self._readers) - 2)

    def outcome(self, unit: int) -> Outcome:
        """Of a unit that is done, from 0."""
        outcome = _outcome(self._readers[unit + 1])
        if outcome is None:
            raise IndexError(unit)
        return outcome

    def feed(self, data: bytes) -> None:
        """Take more of the log. Raises BrokenProtocolError."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > _LONGEST_LINE:
            raise BrokenProtocolError("a line without an end")
        for line in filter(None, lines):
            if self.complete:
                return
            reader = self._readers[-1]
            reader.feed(launcher.unwrap(line, self._lines))
            self._lines += 1
            if reader.ending is not None:
                self._next_reader()

    def _next_reader(self) -> None:
        number = len(self._readers)
        limit = self._limits[number] if number < len(self._limits) else 0
        self._readers.append(Reader(limit, ready=number > 0))


def _outcome(reader: Reader) -> Outcome | None:
    return Outcome(bytes(reader.stdout), bytes(reader.stderr), reader.ending) if reader.ending else None
