"""A backend that compiles nothing: for tests of everything above backends, ours and other people's.

    with FakeBackend(script=lambda job: answer(Verdict.REJECTED, stderr=b"no")) as backend:
        ...

With a script, the script answers. Without one, the sources say themselves how their compile goes, in comments
that a real compiler passes over, one to a line, obeyed in the order of the files' names and of their lines:

| `// fake: …` | |
|---|---|
| `stdout TEXT`, `stderr TEXT` | print the line |
| `exit N` | end so; a job's `rejected_exit_codes` say what that means |
| `crash N` | die of signal N |
| `needs NAME` | be rejected unless the job has this file, directory (`name/`) or variable (`$NAME`) |
| `hang` | run until the time limit or a cancel |
| `flood stdout`, `flood stderr` | print without end |
| `allocate N`, `write N` | use N bytes of memory, write a file of N bytes |

A source without any compiles, silently.
"""

from __future__ import annotations

import re
import select
import threading
import time
from typing import TYPE_CHECKING, Self

from willitcompile.backends import CancelToken, cores
from willitcompile.errors import BackendFailed, Interrupted, ToolchainMissing
from willitcompile.model import CompileResult, Limits, Toolchain, Verdict
from willitcompile.toolchains import offers

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import TracebackType

    from willitcompile.backends import Identity, Wanted
    from willitcompile.model import CompileJob

VARIABLES = ("PATH", "HOME", "TMPDIR", "LC_ALL")
"""What every backend sets for every compile."""

_DIRECTIVE = re.compile(rb"//[ ]fake:[ ](\w+)(?:[ ]([^\r\n]*))?")


def answer(
    verdict: Verdict = Verdict.COMPILED,
    *,
    exit_code: int | None = None,
    stdout: bytes = b"",
    stderr: bytes = b"",
    limit: str | None = None,
    signal: int | None = None,
    truncated: bool = False,
) -> CompileResult:
    """A result for scripts to return. `exit_code` None is 0 for `compiled`, 1 for `rejected`, else None."""
    if exit_code is None:
        exit_code = {Verdict.COMPILED: 0, Verdict.REJECTED: 1}.get(verdict)
    return CompileResult(
        verdict=verdict,
        exit_code=exit_code,
        stdout=stdout,
        stderr=stderr,
        duration_seconds=0.0,
        compiler="",
        isolation="fake",
        truncated=truncated,
        limit=limit,
        signal=signal,
    )


def toolchain(family: str, version: str, languages: Mapping[str, Sequence[str]], first_line: str = "") -> Toolchain:
    """A toolchain that spells every standard as it is called; the last of each language is its default."""
    return Toolchain(
        family=family,
        version=version,
        compilers=dict.fromkeys(languages, first_line or f"{family} {version} (fake)"),
        standards={language: {name: name for name in names} for language, names in languages.items()},
        defaults={language: names[-1] for language, names in languages.items()},
        aliases=(family,),
        origin="fake",
    )


_C_FAMILY = {"c": ("c99", "c11", "c17"), "c++": ("c++11", "c++14", "c++17", "c++20")}

TOOLCHAINS = (
    toolchain("gcc", "13", _C_FAMILY, "gcc (fake) 13.3.0"),
    toolchain("clang", "19", _C_FAMILY, "clang version 19.1.7 (fake)"),
    toolchain("go", "1.24", {"go": ("go1.21", "go1.22", "go1.23", "go1.24")}, "go version go1.24.4 linux/amd64"),
    toolchain("rustc", "1.85", {"rust": ("2015", "2018", "2021", "2024")}, "rustc 1.85.0 (fake)"),
)


class FakeBackend:
    """See the module. Its attributes are for tests to look at."""

    name = "fake"
    limits = Limits()
    fetches = False

    def __init__(
        self,
        toolchains: Sequence[Toolchain] = TOOLCHAINS,
        script: Callable[[CompileJob], CompileResult] | None = None,
        identity: Identity | None = None,
    ) -> None:
        """`script` may block, sleep or raise: it is called in the thread that asked for the compile. `identity` is that
        of each toolchain, for a cache; without one nothing is kept."""
        self.jobs: list[CompileJob] = []
        """All that were asked for, in the order of their start."""
        self.expected: list[tuple[str, Limits, int, int]] = []
        """What `expect` was told."""
        self.running = 0
        self.most_running = 0
        """The most that ever ran at once."""
        self.closed = False
        self._toolchains = tuple(toolchains)
        self._script = script
        self._identity = identity
        self._closing = CancelToken()
        self._changed = threading.Condition()

    def toolchains(self, wanted: Wanted | None = None) -> Sequence[Toolchain]:  # noqa: ARG002
        return self._toolchains

    def has(self, wanted: Wanted) -> bool:
        return offers(self._toolchains, wanted.compilers, wanted.languages)

    def at_once(self, jobs: int) -> int:
        return jobs or cores()

    def expect(
        self,
        toolchain: str,
        limits: Limits,
        count: int,
        at_once: int,
        cancel: CancelToken | None = None,  # noqa: ARG002
        sources: int | None = None,  # noqa: ARG002
    ) -> None:
        """Keeps what it is told."""
        self.expected.append((toolchain, limits, count, at_once))

    def compile(self, job: CompileJob, cancel: CancelToken | None = None) -> CompileResult:
        """Answer as the script or the sources say. See `Backend.compile`."""
        compilers = [each.compilers[job.language] for each in self._toolchains if each.name == job.toolchain]
        if not compilers:
            raise ToolchainMissing(
                f"compile with {job.toolchain}",
                "the fake backend has no such toolchain",
                f"use one of: {', '.join(map(str, self._toolchains))}",
            )
        with self._changed:
            if self.closed:
                raise BackendFailed("compile", "the backend is closed", "open another")
            self.jobs.append(job)
            self.running += 1
            self.most_running = max(self.most_running, self.running)
            self._changed.notify_all()
        start = time.monotonic()
        try:
            self._stop_if_told(cancel)
            result = self._script(job) if self._script else self._obey(job, cancel)
            self._stop_if_told(cancel)
        finally:
            with self._changed:
                self.running -= 1
                self._changed.notify_all()
        return result._replace(
            compiler=result.compiler or compilers[0],
            duration_seconds=result.duration_seconds or time.monotonic() - start,
        )

    def wait_running(self, count: int, seconds: float = 10.0) -> None:
        """Return as soon as exactly `count` compiles run. Raises TimeoutError."""
        with self._changed:
            if not self._changed.wait_for(lambda: self.running == count, seconds):
                raise TimeoutError(f"{self.running} compiles run, not {count}")

    def identity(self, toolchain: str) -> Identity | None:  # noqa: ARG002 - they are alike
        return self._identity

    def image_exists(self, image: str) -> bool:  # noqa: ARG002 - it has none
        return False

    def close(self) -> None:
        with self._changed:
            self.closed = True
        self._closing.cancel()
        with self._changed:
            self._changed.wait_for(lambda: self.running == 0)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _stop_if_told(self, cancel: CancelToken | None) -> None:
        if self._closing.cancelled or (cancel is not None and cancel.cancelled):
            raise Interrupted("compile", "it was cancelled", "run it again")

    def _wait(self, seconds: float, cancel: CancelToken | None) -> None:
        poll = select.poll()
        for token in (self._closing, cancel):
            if token is not None:
                poll.register(token, select.POLLIN)
        poll.poll(seconds * 1000)

    def _obey(self, job: CompileJob, cancel: CancelToken | None) -> CompileResult:
        printed = {"stdout": b"", "stderr": b""}
        ending = answer()
        for what, text in _directives(job):
            match what:
                case "stdout" | "stderr":
                    printed[what] += text + b"\n"
                case "flood":
                    printed[text.decode()] += b"flood\n" * (job.limits.output_bytes // 6 + 1)
                case "needs":
                    if not _has(job, text.decode(errors="surrogateescape")):
                        printed["stderr"] += b"error: there is no " + text + b"\n"
                        ending = _exited(job, min(job.rejected_exit_codes))
                case "hang":
                    self._wait(job.limits.wall_seconds, cancel)
                    self._stop_if_told(cancel)
                    ending = answer(Verdict.TIMEOUT, limit="wall")
                case _:
                    ending = _ended(job, what, int(text or 0)) or ending
        most = job.limits.output_bytes
        if max(map(len, printed.values())) > most:
            ending = answer(Verdict.OUTPUT_LIMIT, limit="output", truncated=True)
        return ending._replace(stdout=printed["stdout"][:most], stderr=printed["stderr"][:most])


def open_backend() -> FakeBackend:
    """The fake with its own toolchains, where the sources say how they compile."""
    return FakeBackend()


def _directives(job: CompileJob) -> list[tuple[str, bytes]]:
    found = []
    for _, content in sorted(job.files.items()):
        for directive in _DIRECTIVE.finditer(content):
            found.append((directive[1].decode(), directive[2] or b""))  # noqa: PERF401 - two loops read better
    return found


def _ended(job: CompileJob, how: str, number: int) -> CompileResult | None:
    """None where the number is within the job's limits."""
    match how:
        case "exit":
            return _exited(job, number)
        case "crash":
            return answer(Verdict.CRASHED, signal=number)
        case "allocate":
            over = number > job.limits.memory_bytes
            return answer(Verdict.OUT_OF_MEMORY, limit="memory") if over else None
        case "write":
            over = number > job.limits.file_bytes
            return answer(Verdict.OUTPUT_LIMIT, limit="file-size") if over else None
    raise BackendFailed("compile", f"a source says `fake: {how}`", "see the list in backends/fake.py")


def _exited(job: CompileJob, code: int) -> CompileResult:
    if code == 0:
        return answer()
    said_no = code in job.rejected_exit_codes
    return answer(Verdict.REJECTED if said_no else Verdict.CRASHED, exit_code=code)


def _has(job: CompileJob, name: str) -> bool:
    if name.startswith("$"):
        return name[1:] in VARIABLES or name[1:] in job.environment
    if name.endswith("/"):
        return any(path.startswith(name) for path in job.files)
    return name in job.files
