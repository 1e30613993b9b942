"""`will-it-compile version`."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed

from willitcompile.cli import PROGRAM


def version() -> str:
    return f"{PROGRAM} {own()} (Python {platform.python_version()}, {system()})"


def own() -> str:
    try:
        return installed(PROGRAM)
    except PackageNotFoundError:  # run from its source, without being installed
        return "(not installed)"


def system() -> str:
    return f"{platform.system()} {platform.release()} {platform.machine()}"
