"""`will-it-compile clean`."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from willitcompile.backends import BACKENDS
from willitcompile.cli.output import write_stdout
from willitcompile.reports.safe import safe_line

if TYPE_CHECKING:
    from willitcompile.backends import Opening


def clean(opening: Opening) -> int:
    cleared = [each for module in BACKENDS.values() for each in import_module(module).clean(opening)]
    for each in cleared or ["nothing to clear"]:
        write_stdout(f"{safe_line(each)}\n")
    return 0
