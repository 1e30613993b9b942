"""Ctrl-C and SIGTERM stop everything in order; a second one does not wait for order."""

from __future__ import annotations

import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING

from willitcompile.backends import CancelToken

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def cancelling() -> Iterator[CancelToken]:
    """A token that the first signal cancels. The second raises KeyboardInterrupt, wherever the program is."""
    token = CancelToken()

    def stop(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - the signature of handlers
        if token.cancelled:
            raise KeyboardInterrupt
        token.cancel()

    # What is ignored stays ignored: nohup, and jobs that a shell starts in the background.
    before = {each: signal.getsignal(each) for each in SIGNALS if signal.getsignal(each) != signal.SIG_IGN}
    try:
        for each in before:
            signal.signal(each, stop)
    except ValueError:
        before = {}  # Python leaves signals to the main thread, and this is another
    try:
        yield token
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
