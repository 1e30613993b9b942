"""The part of docs/cli.md that is the program's own `--help`. `--write` puts it there; a test compares."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.docs.pages import main

PAGE = Path(__file__).parents[2] / "docs" / "cli.md"
BEGIN = "<!-- From here to the end mark: `make docs` writes it, from `--help`. -->"


def commands() -> list[str]:
    from willitcompile.cli.app import app

    names = [_name(command) for command in app.registered_commands]
    for group in app.registered_groups:
        names += [str(group.typer_instance.info.name)]
        names += [f"{names[-1]} {_name(command)}" for command in group.typer_instance.registered_commands]
    return names


def _name(command: Any) -> str:
    return str(command.name or command.callback.__name__)


def help_of(command: str = "") -> str:
    """What the program prints, 80 columns wide and without any colour."""
    environment = {"PATH": os.defpath, "COLUMNS": "80", "TERM": "dumb", "LC_ALL": "C.UTF-8"}
    argv = [sys.executable, "-m", "willitcompile.cli", *command.split(), "--help"]
    return subprocess.run(argv, capture_output=True, check=True, text=True, env=environment).stdout


def reference() -> str:
    sections = [f"```text\n{help_of()}```\n"]
    sections += [f"### {name}\n\n```text\n{help_of(name)}```\n" for name in commands()]
    return "\n".join(sections)


if __name__ == "__main__":
    main(PAGE, reference(), BEGIN)
