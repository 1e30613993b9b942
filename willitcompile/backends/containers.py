"""What the backends that compile in containers have in common, whoever runs the containers."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

from willitcompile.backends import launcher
from willitcompile.model import CompileResult, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from willitcompile.backends.supervision import Ending
    from willitcompile.model import CompileJob

ISOLATION = "container"
UID = 1000

GO_CACHE = "/will-it-compile/go-build"
SEEDS = f"{GO_CACHE}/seeds"
"""The names of the files of a compiled standard library, one a line. Our own Go images bring it."""


class Outcome(NamedTuple):
    """What a job printed, within its limit, and how it ended."""

    stdout: bytes
    stderr: bytes
    ending: Ending


def environment(root: str) -> dict[str, str]:
    """What every compile finds set, besides PATH, where its launcher works in `root`."""
    return {"HOME": f"{root}/tmp", "TMPDIR": f"{root}/tmp", "LC_ALL": "C"}


def records(
    job: CompileJob,
    *,
    argv: Sequence[str],
    variables: Mapping[str, str],
    seccomp: bytes,
    seeds: bool,
    inherited: Sequence[str] = (),
) -> Iterator[bytes]:
    """A job as its launcher is told it. Raises ValueError for a path that is not inside of the job.

    `variables` are set besides the job's own, `inherited` are those of the container that it gets too; `seeds`: the
    image may have a compiled standard library.
    """
    links = []
    if seeds:
        place = ".cache/go-build"
        links.append(launcher.Seed(SEEDS, GO_CACHE, place))
        yield launcher.mkdir("tmp/.cache") + launcher.mkdir(f"tmp/{place}")
        # Told that old files were looked for today, or each job would do it: half a second for nothing.
        yield from launcher.write(f"tmp/{place}/trim.txt", str(int(time.time())).encode())
    yield from launcher.encode(job, argv=argv, environment=variables, seccomp=seccomp, seeds=links, inherited=inherited)


def result(job: CompileJob, outcome: Outcome, *, compiler: str, image: str | None) -> CompileResult:
    """What an outcome means."""
    from willitcompile.backends.verdicts import judge

    ending = outcome.ending
    truncated = ending.stopped == "output"
    verdict, limit = judge(
        exit_code=ending.exit_code,
        killed_by=ending.signal,
        stopped=None if truncated else ending.stopped,
        oom_kills=ending.oom_kills,
        process_limit_hits=ending.process_limit_hits,
        truncated=truncated,
        stderr=outcome.stderr,
        rejected_exit_codes=job.rejected_exit_codes,
    )
    return CompileResult(
        verdict=verdict,
        exit_code=None if limit in {"wall", "memory", "output"} else ending.exit_code,
        stdout=outcome.stdout,
        stderr=outcome.stderr,
        duration_seconds=ending.duration_seconds,
        compiler=compiler,
        isolation=ISOLATION,
        image=image,
        truncated=truncated,
        limit=limit,
        signal=None if limit else ending.signal,
        peak_memory_bytes=ending.peak_memory_bytes,
    )


def out_of_memory(compiler: str, image: str | None) -> CompileResult:
    """Of a job of which nothing is known but that the kernel ended it, and its launcher, for want of memory."""
    return CompileResult(
        Verdict.OUT_OF_MEMORY, None, b"", b"", 0.0, compiler, ISOLATION, image, truncated=False, limit="memory"
    )
