"""The words of the service: a check that somebody sent, its cells, and how far it is.

A check is compiled cell by cell, each a source with a toolchain at a standard, so that a matrix of a hundred holds up
nobody. What becomes of a cell is its answer: data, as it goes out over HTTP.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeAlias

from willitcompile import languages
from willitcompile.errors import RequestError, ToolchainMissing, WillItCompileError
from willitcompile.languages import CompileOptions
from willitcompile.model import KIB, MIB, Verdict
from willitcompile.planning import CheckRequest, PlannedCheck
from willitcompile.reports.json import as_dict, dumps

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from willitcompile.model import CheckResult, Toolchain

INTERACTIVE, BATCH = "interactive", "batch"
PRIORITIES = (INTERACTIVE, BATCH)

MOST_CHECK_BYTES = 4 * MIB
"""Of all answers of a check together, so that nobody can have it tell gigabytes."""
_LEAST_ROOM = 3 * KIB

Answer: TypeAlias = dict[str, Any]
"""A result as the json report has it, or where there is none `source`, `language`, `toolchain`, `standard`, an `error`
with `asked`, `obstacle` and `remedy`, and whether it was `refused`: then it will be the next time too."""


class Ask(NamedTuple):
    """What to compile, as it was sent. Plain data, to be kept."""

    files: dict[str, bytes]
    """By relative path."""
    sources: tuple[str, ...] = ()
    """Those to check; empty for each that is one."""
    language: str | None = None
    compilers: tuple[str, ...] = ()
    standards: tuple[str, ...] = ()
    include_dirs: tuple[str, ...] = ()
    defines: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()
    link: bool = False
    limits: dict[str, int | float] = {}  # noqa: RUF012 - a whole number stays one; nobody changes it
    """The fields of `willitcompile.model.Limits` that differ from the service's."""

    def request(self) -> CheckRequest:
        """The same for the checker."""
        return CheckRequest(
            paths=self.sources,
            compilers=self.compilers,
            standards=self.standards,
            language=self.language,
            files=self.files,
            include_dirs=self.include_dirs,
            options=CompileOptions(self.defines, self.warnings, self.flags, self.link),
        )


class Cell(NamedTuple):
    """One compile of a check."""

    source: str
    language: str
    toolchain: str
    standard: str | None
    """None for the default."""


class Check(NamedTuple):
    """What somebody sent."""

    id: str
    """A random UUID."""
    client: str
    """Who: the name of a token, or an address."""
    priority: str
    """One of `PRIORITIES`."""
    submitted: float
    """Seconds since 1970."""
    cells: tuple[Cell, ...]
    """At least one."""
    ask: Ask
    answers: tuple[tuple[int, Answer], ...] = ()
    """By their numbers, those of cells that need no compile: they were wrong from the start."""
    trace: str | None = None
    """A W3C traceparent, where whoever sent it traces what becomes of it."""


class Told(NamedTuple):
    """An answer as it goes out."""

    verdict: str
    """`error` where there is none."""
    text: str
    """JSON, with the cell's number as `index`."""


class Standing(NamedTuple):
    """How far a check is."""

    id: str
    submitted: float
    cells: tuple[Cell, ...]
    status: str
    """`queued`, `running`, `done`, `cancelled`."""
    answers: Mapping[int, Told]
    """By the cell's number, in the order in which they came; without those that were to be left out."""
    done: int
    """How many there are in all."""
    finished: float | None = None
    """Seconds since 1970."""

    @property
    def is_over(self) -> bool:
        return self.status in {"done", "cancelled"}


class Statistics(NamedTuple):
    """What a service does, and has done since its start."""

    workers: int
    """Compiles that may run at one time."""
    active: int
    queued: int
    """Compiles that wait."""
    compiled: int = 0
    rejected: int = 0
    timeout: int = 0
    failed: int = 0
    """Without an answer that tells whether it compiles: no memory, a crash, a backend that broke, a wrong request."""


class Kept(NamedTuple):
    """For how long what is over is kept."""

    seconds: float
    checks: int
    """The last so many, at most, """
    bytes: int
    """and of these so many bytes."""


class QueueFull(Exception):
    """Nothing more is taken for now."""

    retry_after = 5
    """Seconds."""


class Draining(Exception):
    """Nothing more is taken: the service is about to end."""


class Service(Protocol):
    """Takes checks, has them compiled, and keeps what came of them."""

    @property
    def is_draining(self) -> bool:
        """Whether it is about to end: then nothing is taken, and nobody has to wait any longer."""

    async def start(self) -> None:
        """Go on with what was left by whoever ran before. Raises WillItCompileError."""

    async def submit(self, check: Check) -> None:
        """Take a check, which is not lost any more when this returns. Raises QueueFull, Draining and NoAnswer."""

    async def find(self, check_id: str, skip: int = 0) -> Standing | None:
        """How far it is, without its first `skip` answers; None for one that was never taken, or is kept no longer.

        Raises NoAnswer.
        """

    async def wait(self, check_id: str, seen: int, seconds: float, skip: int = 0) -> Standing | None:
        """The same, but not before it is over, has more than `seen` answers, or so much time has passed."""

    async def cancel(self, check_id: str) -> Standing | None:
        """Stop what is not over yet. Raises NoAnswer."""

    def statistics(self) -> Statistics: ...

    async def trouble(self) -> str | None:
        """Why it can take no check now; None where it can."""

    async def close(self, grace: float) -> None:
        """Take no more, let what runs end within so many seconds, and stop the rest, which is not lost."""


class Watcher(Protocol):
    """Is told what a service does. Never raises."""

    def started(self, check: Check, number: int, waited: float) -> None:
        """A cell's compile begins, which has waited so many seconds."""

    def answered(self, check: Check, number: int, answer: Answer, seconds: float) -> None:
        """A cell has its answer, so many seconds after it began."""


class Nobody:
    """A watcher that looks away."""

    def started(self, check: Check, number: int, waited: float) -> None: ...

    def answered(self, check: Check, number: int, answer: Answer, seconds: float) -> None: ...


def may_wait(count: int, own: int, free: int) -> bool:
    """Whether a client who has `own` compiles in a queue may add so many, where so many places are free.

    Of what is free he may have half, so that nobody takes all of it. What needs no compile needs no place.
    """
    return count == 0 or (count <= free and own + count <= max(1, (own + free) // 2))


def planned(cell: Cell, available: Sequence[Toolchain]) -> PlannedCheck:
    """A cell for the checker. Raises ToolchainMissing where there is no such toolchain any more."""
    for toolchain in available:
        if toolchain.name == cell.toolchain:
            language = languages.language(cell.language)
            return PlannedCheck(cell.source, language, toolchain, cell.standard)
    raise ToolchainMissing(
        f"compile with {cell.toolchain}", "it is not here any more", "send the check again, with one that is"
    )


def cells(checks: Sequence[PlannedCheck]) -> tuple[Cell, ...]:
    return tuple(Cell(each.source, each.language.name, each.toolchain.name, each.standard) for each in checks)


def answer(result: CheckResult) -> Answer:
    return as_dict(result)


def no_answer(cell: Cell, error: WillItCompileError) -> Answer:
    said = {"asked": error.asked, "obstacle": error.obstacle, "remedy": error.remedy}
    return {**cell._asdict(), "error": said, "refused": isinstance(error, RequestError)}


def tell(number: int, told: Answer, cells: int) -> Told:
    """The answer of that cell, of so many, with as much of what its compiler said as there is room for."""
    room = MOST_CHECK_BYTES // cells
    text = dumps({"index": number, **told})
    if len(text) > room and "verdict" in told:
        text = dumps({"index": number, **_cut(told, room)})
    return Told(str(told.get("verdict", "error")), text)


def _cut(told: Answer, room: int) -> Answer:
    """A third of the room each for what was printed to either stream, and for what was read from it."""
    share = max(room, _LEAST_ROOM) // 3
    diagnostics, left = [], share
    for each in told["diagnostics"]:
        if (left := left - len(dumps(each))) < 0:
            break
        diagnostics.append(each)
    streams = {stream: _head(told[stream], share) for stream in ("stdout", "stderr")}
    return {**told, **streams, "diagnostics": diagnostics, "truncated": True}


def _head(text: str, room: int) -> str:
    """So much of its beginning that it has room as JSON, where a character takes up to twelve."""
    text = text[:room]
    while len(dumps(text)) > room:
        text = text[: len(text) * 3 // 4]
    return text


def count(statistics: Statistics, told: Answer) -> Statistics:
    """With one answer more."""
    return statistics._replace(**{(kind := outcome(told)): getattr(statistics, kind) + 1})


def outcome(told: Answer) -> str:
    """Which counter of `Statistics` an answer is for."""
    match told.get("verdict"):
        case Verdict.COMPILED:
            return "compiled"
        case Verdict.REJECTED | Verdict.OUTPUT_LIMIT:
            return "rejected"
        case Verdict.TIMEOUT:
            return "timeout"
    return "failed"
