"""The same question to will-it-compile and to the bare compiler: both have to give the same answer."""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from willitcompile.checker import run
from willitcompile.languages import CompileOptions
from willitcompile.model import GIB, Limits
from willitcompile.planning import CheckRequest

if TYPE_CHECKING:
    from collections.abc import Callable

    from willitcompile.backends import Backend

PATIENT = Limits(wall_seconds=300, memory_bytes=3 * GIB)
"""A busy machine must not turn an answer into a timeout."""

ERROR = re.compile(
    r"""(?x)
      [^:\s][^:]*:\d+:\d+:[ ](?:fatal[ ])?error:[ ].*   # gcc and clang
    | error(?:\[E\d+\])?:[ ].*                          # rustc
    | \S+\.go:\d+:\d+:[ ].*
    """
)


@dataclass(frozen=True, slots=True)
class Question:
    """Do these compile? Paths are relative to the working directory, and so are the include directories."""

    paths: tuple[str, ...]
    compiler: str
    standard: str | None = None
    include_dirs: tuple[str, ...] = ()
    defines: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()
    link: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    verdict: str
    """`compiled` or `rejected`; will-it-compile may give others, which are then wrong."""
    errors: tuple[str, ...]
    """Every line with an error, as the compiler prints it. It quotes the path, which is the same on both sides."""


def agreed(question: Question, backend: Backend) -> dict[str, str]:
    """The verdicts by path, after asserting that the bare compiler gives the same for the same reasons."""
    with ThreadPoolExecutor(1) as pool:
        if any(map(os.path.isdir, question.paths)):
            given = ours(question, backend)
            wanted = bare(replace(question, paths=tuple(given)))
        else:
            asked = pool.submit(bare, question)
            given, wanted = ours(question, backend), asked.result()
    assert given
    for path, answer in given.items():
        assert answer == wanted[path], f"{path}: will-it-compile says {answer}, the bare compiler {wanted[path]}"
    return {path: answer.verdict for path, answer in given.items()}


def ours(question: Question, backend: Backend) -> dict[str, Answer]:
    """What will-it-compile says. A path that is a directory stands for each source found in it."""
    request = CheckRequest(
        paths=question.paths,
        compilers=(question.compiler,),
        standards=(question.standard,) if question.standard else (),
        include_dirs=question.include_dirs,
        options=CompileOptions(defines=question.defines, flags=question.flags, link=question.link),
        limits=PATIENT._asdict(),
    )
    return {result.source: Answer(result.verdict.value, _errors(result.stderr)) for result in run(request, backend)}


def bare(question: Question) -> dict[str, Answer]:
    """What the compiler itself says, on this host and without any sandbox."""
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        return dict(zip(question.paths, pool.map(lambda path: _bare(question, path), question.paths), strict=True))


def _bare(question: Question, path: str) -> Answer:
    with tempfile.TemporaryDirectory(prefix="real-input-") as directory:
        ran = subprocess.run(
            _COMMANDS[question.compiler.partition("-")[0]](question, path, f"{directory}/out"),
            env={**os.environ, "LC_ALL": "C.UTF-8", "CGO_ENABLED": "0", "GOTOOLCHAIN": "local"},
            capture_output=True,
            check=False,
        )
    said = ran.stderr.decode(errors="backslashreplace")
    return Answer("rejected" if ran.returncode else "compiled", _errors(said))


def _errors(said: str) -> tuple[str, ...]:
    return tuple(line for line in said.splitlines() if ERROR.fullmatch(line))


def _c_family(question: Question, path: str, out: str) -> list[str]:
    family, _, version = question.compiler.partition("-")
    drivers = {"gcc": ("gcc", "g++"), "clang": ("clang", "clang++")}[family]
    driver = drivers[not path.endswith(".c")] + (f"-{version}" if version else "")
    libraries = [flag for flag in question.flags if flag.startswith("-l")]
    return [
        driver,
        *([f"-std={question.standard}"] if question.standard else []),
        *(f"-I{directory}" for directory in question.include_dirs),
        *(f"-D{define}" for define in question.defines),
        *(flag for flag in question.flags if flag not in libraries),
        *([] if question.link else ["-c"]),
        path,
        *libraries,
        "-o",
        out,
    ]


def _go(question: Question, path: str, out: str) -> list[str]:
    language = [f"-gcflags=-lang={question.standard}"] if question.standard else []
    # With more than one package to build it links none, as will-it-compile does not. There is nothing of unsafe.
    return ["go", "build", *language, os.path.join(".", os.path.dirname(path)), "unsafe"]


def _rustc(question: Question, path: str, out: str) -> list[str]:
    edition = [f"--edition={question.standard}"] if question.standard else []
    return ["rustc", "--crate-type=lib", *edition, *question.flags, path, "-o", out]


_COMMANDS: dict[str, Callable[[Question, str, str], list[str]]] = {
    "gcc": _c_family,
    "clang": _c_family,
    "go": _go,
    "rustc": _rustc,
}
