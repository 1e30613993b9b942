"""A check on its way into the queue: what of it is to be compiled, and what is answered already."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from willitcompile import checker
from willitcompile.backends.queued import Ticket
from willitcompile.errors import WillItCompileError
from willitcompile.server.checks import no_answer, planned
from willitcompile.server.cluster.known import About

if TYPE_CHECKING:
    from collections.abc import Sequence

    from willitcompile.model import CompileJob, Limits, Toolchain
    from willitcompile.server.checks import Answer, Check


class Prepared(NamedTuple):
    """A cell with its job, or its answer."""

    ticket: Ticket
    job: CompileJob | None
    told: Answer | None


def prepare(check: Check, available: Sequence[Toolchain], limits: Limits) -> list[Prepared]:
    """Each cell of a check in order. `limits` are those of a check that names none. Takes a while."""
    request = check.ask.request()
    limits = limits._replace(**check.ask.limits)  # type: ignore[arg-type] # as it was judged
    settled = dict(check.answers)
    found = []
    for number, cell in enumerate(check.cells):
        job, about, told = None, None, settled.get(number)
        if told is None:
            try:
                job, about = checker.prepare(planned(cell, available), request, limits)
            except WillItCompileError as error:
                told = no_answer(cell, error)
        known = About(cell, len(check.cells), about, check.trace).dump()
        ticket = Ticket(check.id, number, check.client, check.priority, check.submitted, known)
        found.append(Prepared(ticket, job, told))
    return found
