"""Tells of jobs of which nothing was heard for a while."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Alarm:
    """Thread-safe."""

    def __init__(self, overdue: Callable[[str], None]) -> None:
        """`overdue` is called with a job's id, in a thread of the alarm's own."""
        self._overdue = overdue
        self._changed = threading.Condition()
        self._due: dict[str, float] = {}
        """By job, when it is, in time.monotonic's seconds."""
        self._thread: threading.Thread | None = None
        self._closed = False

    def set(self, job_id: str, seconds: float) -> None:
        """Tell of it once, after so long, unless it is set anew before."""
        with self._changed:
            self._due[job_id] = time.monotonic() + seconds
            if self._thread is None and not self._closed:
                self._thread = threading.Thread(target=self._run, name="alarm", daemon=True)
                self._thread.start()
            self._changed.notify()

    def unset(self, job_id: str) -> None:
        with self._changed:
            self._due.pop(job_id, None)

    def close(self) -> None:
        """Nothing more is told once this returns."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        if self._thread:
            self._thread.join()

    def _run(self) -> None:
        while (job_id := self._next()) is not None:
            self._overdue(job_id)

    def _next(self) -> str | None:
        """Wait for the next one that is due; None at the end."""
        with self._changed:
            while not self._closed:
                job_id = min(self._due, key=self._due.__getitem__, default=None)
                left = None if job_id is None else self._due[job_id] - time.monotonic()
                if job_id is not None and left is not None and left <= 0:
                    del self._due[job_id]
                    return job_id
                self._changed.wait(left)
            return None
