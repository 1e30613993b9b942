"""A bar on stderr while many files are checked, and only on a terminal."""

from __future__ import annotations

import sys
import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID

PATIENCE_SECONDS = 0.5
"""A check that is over before needs no bar, and does not pay for importing rich."""


class Progress:
    """Thread-safe. The bar is taken away while anything else is printed, so that no line is torn."""

    def __init__(self, total: int, *, color: bool) -> None:
        self.total = total
        self.done = 0
        self._color = color
        self._start = time.monotonic()
        self._lock = threading.Lock()
        self._bar: RichProgress | None = None
        self._closed = False

    def advance(self) -> None:
        """One more is done."""
        with self._lock:
            self.done += 1
            if self._closed:
                return
            if self._bar is None and self.total > 1 and time.monotonic() - self._start > PATIENCE_SECONDS:
                self._bar = _bar(self.total, self._color)
            if self._bar is not None:
                self._bar.update(self._bar.task_ids[0], completed=self.done, total=self.total)
                self._bar.start()
                self._bar.refresh()

    def around(self, write: Callable[[str], None], text: str) -> None:
        """Write the text with the bar out of its way."""
        with self._lock:
            self._take_away()
            write(text)

    def close(self) -> None:
        with self._lock:
            self._take_away()
            self._closed = True

    def _take_away(self) -> None:
        # A transient bar that is stopped erases itself. The next `advance` shows it again.
        if self._bar is not None:
            self._bar.stop()


class FetchBar:
    """A bar on stderr for each thing that is being fetched, with its bytes. Thread-safe."""

    def __init__(self, *, color: bool) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, DownloadColumn, TextColumn
        from rich.progress import Progress as RichProgress

        self._bar = RichProgress(
            TextColumn("{task.description}"),
            BarColumn(),
            DownloadColumn(binary_units=True),
            console=Console(file=sys.stderr, no_color=not color),
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._tasks: dict[str, TaskID] = {}
        self._lock = threading.Lock()
        self._bar.start()

    def update(self, what: str, done: int, total: int) -> None:
        """So many bytes of so many; 0 where nobody knows how many."""
        with self._lock:
            if what not in self._tasks:
                self._tasks[what] = self._bar.add_task(what, total=total or None)
            self._bar.update(self._tasks[what], completed=done, total=total or None)

    def close(self) -> None:
        self._bar.stop()


def _bar(total: int, color: bool) -> RichProgress:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as RichProgress

    columns = (TextColumn("checking"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    # No thread of its own, and stdout is left alone: both are `Progress`'s business.
    bar = RichProgress(
        *columns,
        console=Console(file=sys.stderr, no_color=not color),
        auto_refresh=False,
        transient=True,
        redirect_stdout=False,
        redirect_stderr=False,
    )
    bar.add_task("", total=total)
    return bar
