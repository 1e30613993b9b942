"""An answer of the API server that is read as it comes: a watch, a log."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Self

from willitcompile.backends.kubernetes.api.wire import Unreachable

if TYPE_CHECKING:
    from collections.abc import Callable
    from http.client import HTTPResponse

    from willitcompile.backends.kubernetes.api.line import Line
    from willitcompile.backends.kubernetes.api.wire import Waiting


class Stream:
    """An answer that comes piece by piece: iterate it. A context manager."""

    def __init__(
        self,
        line: Line,
        response: HTTPResponse,
        waiting: Callable[[], Waiting],
        keep: Callable[[Line, HTTPResponse], None],
    ) -> None:
        """`waiting` is how to wait for each piece; `keep` gets the connection after an answer that was read."""
        self._line = line
        self._response = response
        self._waiting = waiting
        self._keep = keep
        self._lock = threading.Lock()
        self._is_read = False
        self._is_over = False
        self._is_closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> bytes:
        """Raises StopIteration at the end and where it was closed, Unreachable where it breaks, and Stopped."""
        with self._lock:
            if self._is_over or self._is_closed:
                raise StopIteration
            self._is_read = True
        piece, is_whole = b"", False
        try:
            self._line.wire.waiting = self._waiting()
            piece = self._line.piece(self._response)
            is_whole = not piece
        except Unreachable:
            if not self._is_closed:
                raise
        finally:
            self._put_down(is_over=not piece, is_whole=is_whole)
        if self._is_over:
            raise StopIteration
        return piece

    def close(self) -> None:
        """End it for whoever reads it, at once. From any thread, and as often as one likes."""
        with self._lock:
            self._is_closed = True
            if self._is_read:
                self._line.wire.interrupt()
            elif not self._is_over:
                self._is_over = True
                self._line.wire.end()

    def _put_down(self, *, is_over: bool, is_whole: bool) -> None:
        with self._lock:
            self._is_read = False
            if self._is_closed or is_over:
                self._is_over = True
                if is_whole and not self._is_closed:
                    self._keep(self._line, self._response)
                else:
                    self._line.wire.end()
