"""What a person sees while sources are compiled: notes, and on a terminal bars."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from willitcompile.cli.terminal import is_terminal, say, wants_color

if TYPE_CHECKING:
    from willitcompile.cli.output import Write
    from willitcompile.cli.progress import FetchBar, Progress


class Bars:
    """On stderr; with `quiet` nothing at all. `color` is the setting. Thread-safe."""

    def __init__(self, color: str, *, quiet: bool) -> None:
        self.total = 0
        """How many compiles were to come; 0 where no bar says so."""
        self._color = color
        self._quiet = quiet
        self._bar: Progress | None = None
        self._fetch_bar: FetchBar | None = None

    def notify(self, text: str) -> None:
        if not self._quiet:
            self.around(say, f"note: {text}")

    def fetching(self, what: str, done: int, total: int) -> None:
        if not self._are_shown():
            return
        if self._fetch_bar is None:
            from willitcompile.cli.progress import FetchBar

            self._fetch_bar = FetchBar(color=wants_color(self._color, sys.stderr))
        self._fetch_bar.update(what, done, total)

    def start(self, count: int) -> None:
        """So many compiles come now, besides those that have been."""
        if not self._are_shown():
            return
        self.total += count
        if self._bar is None:
            from willitcompile.cli.progress import Progress

            self._bar = Progress(0, color=wants_color(self._color, sys.stderr))
        self._bar.total = self.total

    def advance(self) -> None:
        """One more is done."""
        if self._bar:
            self._bar.advance()

    def around(self, write: Write, text: str) -> None:
        """Write the text with the bar out of its way."""
        if self._bar:
            self._bar.around(write, text)
        else:
            write(text)

    def close(self) -> None:
        """Take the bars away. More may be started afterwards."""
        for bar in (self._bar, self._fetch_bar):
            if bar:
                bar.close()
        self._bar = self._fetch_bar = None

    def _are_shown(self) -> bool:
        return not self._quiet and is_terminal(sys.stderr)
