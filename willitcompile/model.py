"""The words of will-it-compile as data: what is asked of a backend, and what comes back.

Everything here is immutable and knows nothing of backends, languages or reports. These are named tuples rather than
frozen dataclasses because of what it costs to define one, 0.1 ms against 0.7: some forty are defined before a check
can start. To change a field, use `_replace`.
"""

from __future__ import annotations

from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

KIB = 1024
MIB = 1024 * KIB
GIB = 1024 * MIB

_NOTHING: Mapping[str, str] = MappingProxyType({})

EXPECTATION_MARK = "will-it-compile:"
"""What a comment begins with in which a source says how its compile is to end."""


class Verdict(StrEnum):
    """How a compile ended. Each of these is an answer; where there is no answer, an exception says so."""

    COMPILED = "compiled"
    REJECTED = "rejected"
    """The compiler says no."""
    TIMEOUT = "timeout"
    OUT_OF_MEMORY = "out-of-memory"
    OUTPUT_LIMIT = "output-limit"
    """It printed more than `Limits.output_bytes`, or wrote a file larger than `Limits.file_bytes`."""
    CRASHED = "crashed"
    """The compiler itself died: an internal error, a signal, or a process limit that it ran into."""


class Limits(NamedTuple):
    """What one compile may use. Reaching a limit is a verdict, not an error."""

    wall_seconds: float = 30.0
    """Elapsed time, from the compiler's start to its end."""

    memory_bytes: int = 1 * GIB
    """Memory of the whole process tree that is not backed by a file. g++ 12 needs about 300 MB for
    <regex> and 535 MB for an SVD with Eigen; see docs/cli.md for how to look."""

    cpus: float | None = None
    """Cores that it may keep busy; None for as many as there are."""

    processes: int = 256
    """Processes and threads at one time. A go build starts about 60."""

    output_bytes: int = 1 * MIB
    """Of stdout, and of stderr, each."""

    file_bytes: int = 256 * MIB
    """Size of any file that the compile writes."""


class Toolchain(NamedTuple):
    """One compiler at one version, as one backend has it."""

    family: str
    """`gcc`, `clang`, `go`, `rustc`."""

    version: str
    """What tells it from its siblings: `12` for gcc and clang, `1.26` for go, `1.95` for rustc."""

    compilers: Mapping[str, str]
    """By language, the compiler's own first line of `--version`, exactly; empty where only a result tells it."""

    standards: Mapping[str, Mapping[str, str]]
    """By language, the standards it accepts, oldest first, each with the spelling that it wants:
    `{"c++": {"c++20": "c++20", "c++23": "c++2b"}}`."""

    defaults: Mapping[str, str]
    """By language, the standard of a compile that names none."""

    aliases: tuple[str, ...] = ()
    """Other names it answers to, as `gcc` and `gcc-12.2.0`."""

    origin: str = ""
    """Where the backend has it from: a path on this host, an image."""

    @property
    def name(self) -> str:
        return f"{self.family}-{self.version}"

    @property
    def languages(self) -> tuple[str, ...]:
        return tuple(self.standards)

    def __str__(self) -> str:
        return self.name


class CompileJob(NamedTuple):
    """One compile: everything that a backend needs, nothing about which one.

    A backend lays out `<root>/src` with `files` (read-only) and `<root>/tmp` (writable, empty, memory-backed;
    HOME and TMPDIR name it), and runs `argv` in `<root>/src/<workdir>`. What the compile writes to `tmp` is
    thrown away. See `output_path`.
    """

    toolchain: str
    """The name of a toolchain that the backend offers, as `gcc-12`."""

    language: str
    files: Mapping[str, bytes]
    """By path below `<root>/src`: relative, normalised, `/` between its parts, no control characters."""

    argv: tuple[str, ...]
    """argv[0] is a program of the toolchain, by role: `gcc`, `g++`, `clang`, `clang++`, `go`, `rustc`."""

    workdir: str = "."
    environment: Mapping[str, str] = _NOTHING
    """Added to the few variables that a backend sets itself: PATH, HOME, TMPDIR, LC_ALL."""

    limits: Limits = Limits()
    link: bool = False
    """Whether it builds a program, and so needs a linker."""
    rejected_exit_codes: frozenset[int] = frozenset({1})
    """The exit codes by which this compiler says no; any other that is not 0 means that it crashed."""


class CompileResult(NamedTuple):
    """How a compile job ended, on whichever backend."""

    verdict: Verdict
    exit_code: int | None
    """As the compiler gave it; None where a signal or a limit ended it."""

    stdout: bytes
    stderr: bytes
    duration_seconds: float
    """Wall time of the compile alone, without setting up or clearing away its sandbox."""

    compiler: str
    """The compiler's own name and version, exactly."""

    isolation: str
    """What confined it: `namespaces`, `landlock`, …"""

    image: str | None = None
    """The image's digest, where it ran in a container."""

    truncated: bool = False
    """stdout or stderr reached its limit; what is kept is its head."""

    limit: str | None = None
    """Which limit ended it: `wall`, `memory`, `processes`, `output`, `file-size`; None for none."""

    signal: int | None = None
    """The signal that killed the compiler, where one did and no limit explains it."""

    peak_memory_bytes: int | None = None
    """The most memory the process tree was seen to use, where that is measured."""


class FixIt(NamedTuple):
    """Replace the text between two places of a file. Lines and columns count from 1; the end is exclusive."""

    path: str
    start_line: int
    start_column: int
    end_line: int
    end_column: int
    text: str


class Diagnostic(NamedTuple):
    """One message of a compiler."""

    path: str | None
    """As the user would name the file; None where the message is about no file."""

    line: int | None
    column: int | None
    """In bytes from 1, as the compilers count."""

    severity: str
    """`error`, `warning`, `note` or `help`; what gcc calls a fatal error is an `error`."""

    code: str | None
    """`-Wunused-variable`, `E0308`; None where the compiler gives none."""

    message: str
    fixits: tuple[FixIt, ...] = ()


class SourceUnit(NamedTuple):
    """What one compile is asked about: a file with the local files that it needs."""

    source: str
    """As the user named it."""

    language: str
    files: Mapping[str, bytes]
    """See `CompileJob.files`."""

    main: tuple[str, ...]
    """What to name on the command line, relative to `workdir`; never starts with `-` or `@`."""

    workdir: str = "."
    include_dirs: tuple[str, ...] = ()
    """Where to look for headers, relative to `workdir`."""

    search: tuple[tuple[str, str], ...] = ()
    """Where else, each behind its option, as `("-isystem", "../third_party")`: relative to `workdir`, or absolute for
    a directory of the toolchain's own."""

    forced: tuple[str, ...] = ()
    """What is included before the main file, relative to `workdir`."""

    notes: tuple[str, ...] = ()
    """What a person should know when this is rejected: an include that was not sent, and why."""

    prefix: str = ""
    """What to put before a path that the compiler prints, so that it is as the user would name it. Empty where
    `workdir` is the directory that the user is in."""


class Expectation(NamedTuple):
    """What a source says of its own compile, in a comment. See `willitcompile.expectations`."""

    verdict: Verdict
    text: str = ""
    """What the compiler's messages are to hold; empty for whatever they say."""


class CheckResult(NamedTuple):
    """The answer for one source unit, one toolchain and one standard."""

    source: str
    language: str
    toolchain: str
    standard: str
    """The one that was compiled with, also where none was asked for."""

    backend: str
    result: CompileResult
    stdout: str
    stderr: str
    """What the compiler said to people, decoded; undecodable bytes stand as `\\xNN`."""

    diagnostics: tuple[Diagnostic, ...] = ()
    notes: tuple[str, ...] = ()
    cached: bool = False
    limits: Limits = Limits()
    """Within which it was compiled."""

    expected: Expectation | None = None
    """None where the source says nothing: then it is to compile."""

    hint: str | None = None
    """A later standard at which the same toolchain accepts what it has rejected here, where that was looked for."""

    path: str | None = None
    """The file that the source is in, where `source` is not its name: as one of the blocks of a document."""

    line: int | None = None
    """Where it begins in that file."""

    @property
    def file(self) -> str:
        """What its messages are about: the file that it is, or is in."""
        return self.path or self.source

    @property
    def verdict(self) -> Verdict:
        return self.result.verdict

    @property
    def is_as_expected(self) -> bool:
        """What the exit code and the reports call good: as the source says, else that it compiled."""
        if self.expected is None:
            return self.verdict is Verdict.COMPILED
        return self.verdict is self.expected.verdict and _says(f"{self.stdout}\n{self.stderr}", self.expected.text)


class Finding(NamedTuple):
    """One line of `doctor`."""

    name: str
    ok: bool | None
    """None for what is missing and not needed."""
    detail: str
    remedy: str | None = None
    """The command that mends it."""


_PLAIN_QUOTES = str.maketrans("\u2018\u2019\u201c\u201d", "''\"\"")


def plain_quotes(text: str) -> str:
    """With the quotes of a keyboard, whichever a compiler prints in its locale."""
    return text.translate(_PLAIN_QUOTES)


def _says(said: str, text: str) -> bool:
    """Whether a line of it holds the text. One that quotes the source where that asks for the text does not count."""
    if not text:
        return True
    wanted = plain_quotes(text)
    return any(wanted in line and EXPECTATION_MARK not in line for line in plain_quotes(said).split("\n"))


def output_path(workdir: str, name: str = "out") -> str:
    """A path for what a compile produces, relative to its `workdir`, in the writable `<root>/tmp`.

    >>> output_path("."), output_path("a/b", "out.o")
    ('../tmp/out', '../../../tmp/out.o')
    """
    depth = 1 if workdir == "." else 2 + workdir.count("/")
    return "../" * depth + "tmp/" + name
