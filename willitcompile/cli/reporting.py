"""Which reports a check writes, and where each goes."""

from __future__ import annotations

import os
import sys
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, NamedTuple

from willitcompile import reports
from willitcompile.cli.output import opened
from willitcompile.cli.terminal import wants_color, width
from willitcompile.errors import RequestError
from willitcompile.languages import languages_of
from willitcompile.reports import Report, Style, together

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from willitcompile.cli.output import Write
    from willitcompile.config import Format
    from willitcompile.model import CheckResult


class Target(NamedTuple):
    """One report to write."""

    report: Report
    file: str | None
    """None for stdout."""


def targets(formats: Sequence[Format], output: str | None) -> list[Target]:
    """What to write where. `output` is for the one format that names no file. Raises RequestError."""
    formats = list(dict.fromkeys(formats))
    homeless = [each.name for each in formats if each.file is None]
    if len(homeless) > 1:
        raise RequestError(
            f"report as {' and '.join(homeless)}",
            f"they would all go to {output or 'stdout'}",
            f"name a file for each but one: -f {homeless[0]} -f {homeless[1]}:report.{homeless[1]}",
        )
    if output and not homeless:
        raise RequestError(
            f"write the report to {output}",
            "each report that is asked for has a file of its own",
            f"leave out -o, or ask for one more: -f text -o {output}",
        )
    found = [Target(reports.load(each.name), output if each.file is None else each.file) for each in formats]
    files = [each.file for each in found if each.file is not None]
    for number, file in enumerate(files):
        keep_source(file)
        if any(os.path.realpath(file) == os.path.realpath(other) for other in files[:number]):
            raise RequestError(f"write to {file}", "two reports would go there", "name another file for one of them")
    return found


@contextmanager
def writing(
    targets: Sequence[Target], style: Style, color: str
) -> Iterator[Callable[[Iterable[CheckResult]], Iterator[tuple[Write, str]]]]:
    """A function from results to the texts of all reports, each with what writes it. For `color` see `Settings`.

    Files are there at the end, each whole or not at all. Raises RequestError for one that cannot be written to, before
    anything is.
    """
    with ExitStack() as stack:
        writes = [stack.enter_context(opened(target.file)) for target in targets]
        wanted = [
            (each.report, style._replace(color=wants_color(color, stream), width=width(stream)))
            for each in targets
            for stream in (sys.stdout if each.file is None else None,)
        ]

        def texts(results: Iterable[CheckResult]) -> Iterator[tuple[Write, str]]:
            for number, text in together.render(wanted, results):
                if text:
                    yield writes[number], text

        yield texts


def keep_source(file: str) -> None:
    """With a compiler -o names the program that it makes of a source; here it is the report, over a source even."""
    if os.path.exists(file) and any(languages_of(os.path.splitext(file)[1])):
        raise RequestError(f"write the report to {file}", "that is a source", "name another file: -o report.txt")
