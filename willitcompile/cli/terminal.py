"""What goes to the terminal besides the report, and how it may look there."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from willitcompile.reports.safe import safe

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import TextIO

    from willitcompile.errors import WillItCompileError


def is_terminal(stream: TextIO | None) -> bool:
    try:
        return stream is not None and stream.isatty()
    except ValueError:  # it is closed
        return False


def width(stream: TextIO | None) -> int | None:
    """Columns of the terminal behind a stream; None where there is none, or it does not tell."""
    try:
        if stream is not None and is_terminal(stream):
            return os.get_terminal_size(stream.fileno()).columns or None
    except (OSError, ValueError):
        pass
    return None


def wants_color(choice: str, stream: TextIO | None, environment: Mapping[str, str] = os.environ) -> bool:
    """Whether to colour what goes to `stream`. See https://no-color.org and https://force-color.org."""
    if choice != "auto":
        return choice == "always"
    if environment.get("NO_COLOR"):
        return False
    if environment.get("FORCE_COLOR"):
        return True
    return environment.get("TERM", "dumb") != "dumb" and is_terminal(stream)


def say(text: str) -> None:
    """One or more lines to stderr, made safe. Nobody there to read them is no reason to fail."""
    try:
        if sys.stderr is not None:
            encoding = sys.stderr.encoding or "utf-8"
            sys.stderr.write(safe(text + "\n").encode(encoding, "backslashreplace").decode(encoding))
            sys.stderr.flush()
    except (OSError, ValueError):
        pass


def say_error(error: WillItCompileError) -> None:
    """What was asked, what stands in the way, and what to type now."""
    obstacle = error.obstacle.replace("\n", "\n  ")
    say(f"error: {error.asked}\n  {obstacle}\n  try: {error.remedy}")
