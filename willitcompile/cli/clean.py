"""`will-it-compile clean`."""

from __future__ import annotations

from importlib import import_module

from willitcompile.backends import BACKENDS
from willitcompile.cli.output import write_stdout
from willitcompile.reports.safe import safe_line


def clean() -> int:
    cleared = [each for module in BACKENDS.values() for each in import_module(module).clean()]
    for each in cleared or ["nothing to clear"]:
        write_stdout(f"{safe_line(each)}\n")
    return 0
