"""What a check prints: the protocol of a report, and the table of formats.

A report is a module with one function, `render`. It is given the results as they come, so that thousands of
them cost no more memory than one, and yields a text for each, an empty one where it has nothing to say yet: so several
go in step (see `together`). Where the results end in an error, it brings
what it printed to a proper end and raises the error again.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, NamedTuple, Protocol

from willitcompile.errors import RequestError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from willitcompile.model import CheckResult


class Style(NamedTuple):
    """How to say it. A report for machines pays no attention to it."""

    color: bool = False
    quiet: bool = False
    """Only what does not compile, or not end as its source expects."""

    verbose: bool = False
    matrix: bool = False
    """Whether each source was asked about with several toolchains or standards, as far as they fit it."""
    width: int | None = None
    """Columns of the terminal that it goes to; None for a file or a pipe, where a line may have any length."""


class Report(Protocol):
    def __call__(self, results: Iterable[CheckResult], style: Style) -> Iterator[str]:
        """The report, in pieces. Raises what `results` raises, after its own last piece."""


REPORTS = {
    "text": "willitcompile.reports.text",
    "json": "willitcompile.reports.json",
    "sarif": "willitcompile.reports.sarif",
    "junit": "willitcompile.reports.junit",
    "github": "willitcompile.reports.github",
    "gitlab": "willitcompile.reports.gitlab",
    "html": "willitcompile.reports.html",
}
"""By format, the module with its `render`. Each is imported only when it is used."""


def load(name: str) -> Report:
    """The report of this format. Raises RequestError for an unknown one."""
    if name not in REPORTS:
        remedy = f"use one of: {', '.join(REPORTS)}"
        if name.startswith("no-"):  # -fno-exceptions, as compilers have it
            remedy = f"for a flag of the compiler write: --flag=-f{name}"
        raise RequestError(f"report as {name!r}", "there is no format of that name", remedy)
    report: Report = import_module(REPORTS[name]).render
    return report
