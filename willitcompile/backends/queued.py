"""What a backend may offer beyond running jobs: a queue of them that it keeps itself, where every process finds them.

Nothing of it is lost with a process, and any process can do what is next.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from willitcompile.backends import CancelToken
    from willitcompile.model import CompileJob, CompileResult

WAITING, RUNNING, ENDED = "waiting", "running", "ended"


class Ticket(NamedTuple):
    """What a job is to whoever puts it into the queue."""

    group: str
    """The jobs of one group are found together. Of lower-case letters, digits and dashes; at most 40 characters."""
    number: int
    """Within its group, from 0."""
    client: str
    """Whose it is."""
    priority: str
    """As `group`."""
    submitted: float
    """Seconds since 1970."""
    about: str
    """Whatever is to be known of it later."""

    @property
    def id(self) -> str:
        return f"{self.group}-{self.number}"


class Queued(NamedTuple):
    """A job of the queue, as it was when it was last heard of."""

    ticket: Ticket
    state: str
    """`WAITING`, `RUNNING` or `ENDED`: what becomes of its compile. Where the process that it ran in is gone, it waits
    again."""
    version: int
    """A later one is greater."""
    answer: str | None = None
    """What was kept of it, or a hint where that is: see `JobQueue.answer`."""
    answered: float | None = None
    """When that was, in seconds since 1970; of what needed no compile, when it was submitted."""
    cancelled: float | None = None
    """Since when it is, in seconds since 1970."""
    size: int = 0
    """Bytes that it takes of the store: what it compiles, and once it is settled what came of it."""
    started: float | None = None
    ended: float | None = None
    """When it was, to the second."""

    @property
    def id(self) -> str:
        return self.ticket.id

    @property
    def is_settled(self) -> bool:
        """Whether nothing more is to be done."""
        return self.answer is not None or self.cancelled is not None


class JobQueue(Protocol):
    """Thread-safe. All but `failure` may take long, and raises NoAnswer where the store is away or refuses it."""

    starts_itself: bool
    """Whether something else decides when a job runs: then `start` is nobody's business."""

    def begin(self, heard: Callable[[Sequence[Queued], Sequence[str]], None], seconds: float) -> None:
        """Tell from now on of jobs that are new or have changed, and of the ids of those that are there no more.

        `heard` is called from any thread, and must not take long. What a method of this queue changes is told before
        that returns; but what is kept every process is told in the order in which it was. Returns itself when it has
        told what there is, knows that it cannot, or after so many seconds.
        """

    def submit(self, ticket: Ticket, job: CompileJob, *, start: bool, keep_seconds: int) -> None:
        """Put a job into the queue, or run it at once. It is not lost any more when this returns.

        `keep_seconds` is how long it is kept once it has ended, where nobody forgets it.
        """

    def settle(self, ticket: Ticket, answer: str, *, keep_seconds: int) -> None:
        """The same for what needs no compile."""

    def start(self, queued: Queued) -> bool:
        """Run one that waits; False where it does not wait any more, as where another process was faster."""

    def result(self, queued: Queued, cancel: CancelToken) -> CompileResult:
        """Wait for what comes of one that runs, or has run. Raises Interrupted, also where it is there no more.

        That the store is away is waited for; where NoAnswer is raised, there will be no result.
        """

    def keep(self, queued: Queued, answer: str) -> bool:
        """Keep what came of it, which ends it where it runs yet; False where it is settled already, or not there."""

    def answer(self, queued: Queued) -> str | None:
        """What was kept; None where that is there no more."""

    def cancel(self, queued: Queued) -> None:
        """End one that waits or runs."""

    def forget(self, queued: Queued) -> None: ...

    def look(self, group: str, number: int) -> bool:
        """Whether there is such a one, which then is told of. `group` may be anything."""

    def failure(self) -> str | None:
        """Why nothing is heard of the store now."""

    def close(self) -> None:
        """Whoever waits is told Interrupted."""


@runtime_checkable
class QueueKeeper(Protocol):
    """A backend that has one."""

    name: str

    def workers(self, jobs: int) -> int:
        """How many jobs are to run at one time where so many are asked for; 0 for what suits the backend."""

    def queue(self) -> JobQueue: ...
