"""`will-it-compile doctor`."""

from __future__ import annotations

import sys
from importlib import import_module

from willitcompile.backends import BACKENDS
from willitcompile.cli.output import write_stdout
from willitcompile.cli.version import system
from willitcompile.model import Finding
from willitcompile.reports.safe import safe_line

_WORDS = {True: "ok", False: "bad", None: "note"}


def doctor() -> int:
    """Returns 0 where a check can run, else 3."""
    findings = _findings()
    width = max(len(finding.name) for finding in findings)
    bad = sum(finding.ok is False for finding in findings)
    end = f"a check cannot run: {bad} to mend\n" if bad else "a check can run\n"
    write_stdout("".join(line(finding, width) for finding in findings) + end)
    return 3 if bad else 0


def line(finding: Finding, width: int) -> str:
    """
    >>> line(Finding("bwrap", None, "not found", "apt install bubblewrap"), 6)
    'note  bwrap   not found; try: apt install bubblewrap\\n'
    """
    remedy = f"; try: {safe_line(finding.remedy)}" if finding.remedy else ""
    return f"{_WORDS[finding.ok]:4}  {finding.name:{width}}  {safe_line(finding.detail)}{remedy}\n"


def _findings() -> list[Finding]:
    if sys.platform != "linux":  # where the backends cannot even be imported
        return [Finding("platform", False, system(), "run it on Linux: a virtual machine or WSL will do")]
    return [finding for module in BACKENDS.values() for finding in import_module(module).doctor()]
