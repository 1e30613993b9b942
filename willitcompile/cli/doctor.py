"""`will-it-compile doctor`."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING

from willitcompile.backends import BACKENDS
from willitcompile.cli.interrupt import cancelling
from willitcompile.cli.output import write_stdout
from willitcompile.cli.version import system
from willitcompile.model import Finding
from willitcompile.reports.safe import safe_line

if TYPE_CHECKING:
    from collections.abc import Callable

    from willitcompile.backends import Opening

_WORDS = {True: "ok", False: "bad", None: "note"}


def doctor(opening: Callable[[], Opening]) -> int:
    """Returns 0 where a check can run, else 3. `opening` is asked for where the backends can be imported."""
    with cancelling():  # what a cluster was asked to do for it is not left there
        found = _findings(opening)
    usable = [name for name, findings in found.items() if all(finding.ok is not False for finding in findings)]
    width = max(len(finding.name) for findings in found.values() for finding in findings)
    for findings in found.values():
        for finding in findings:
            # What one backend lacks is no harm while another one can do.
            told = finding._replace(ok=None) if usable and finding.ok is False else finding
            write_stdout(line(told, width))
    if usable:
        write_stdout(f"a check can run: {', '.join(usable)}\n")
        return 0
    bad = sum(finding.ok is False for findings in found.values() for finding in findings)
    write_stdout(f"a check cannot run: {bad} to mend\n")
    return 3


def line(finding: Finding, width: int) -> str:
    """
    >>> line(Finding("bwrap", None, "not found", "apt install bubblewrap"), 6)
    'note  bwrap   not found; try: apt install bubblewrap\\n'
    """
    remedy = f"; try: {safe_line(finding.remedy)}" if finding.remedy else ""
    return f"{_WORDS[finding.ok]:4}  {finding.name:{width}}  {safe_line(finding.detail)}{remedy}\n"


def _findings(opening: Callable[[], Opening]) -> dict[str, list[Finding]]:
    """By backend."""
    if sys.platform != "linux":  # where the backends cannot even be imported
        return {"": [Finding("platform", False, system(), "run it on Linux: a virtual machine or WSL will do")]}
    how = opening()
    return {name: import_module(module).doctor(how) for name, module in BACKENDS.items()}
