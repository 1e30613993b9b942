"""Ctrl-C and SIGTERM stop everything in order; a second one does not wait for order.

Before the first compile there is nothing to stop: then the first one ends the program as the second would.
"""

from __future__ import annotations

import _thread
import os
import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from willitcompile.backends import CancelToken

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

T = TypeVar("T")

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_SIGNAL_SECONDS = 0.5


class WatchedToken(CancelToken):
    """A token that knows whether a compile has ever waited for it."""

    watched = False

    def fileno(self) -> int:
        self.watched = True
        return super().fileno()


@contextmanager
def cancelling() -> Iterator[CancelToken]:
    """A token that the first signal cancels. The second raises KeyboardInterrupt, wherever the program is, and so
    does the first where no compile has begun."""
    token = WatchedToken()

    def stop(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - the signature of handlers
        if token.cancelled or not token.watched:
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


def abandonable(function: Callable[[], T]) -> T:
    """Call it, but let KeyboardInterrupt not wait for its end, as it would for threads that it has started."""
    done = _thread.allocate_lock()
    done.acquire()
    answers: list[T] = []
    errors: list[BaseException] = []

    def call() -> None:
        try:
            answers.append(function())
        except BaseException as error:  # noqa: BLE001 - raised again below
            errors.append(error)
        finally:
            done.release()

    _thread.start_new_thread(call, ())
    # A signal that comes just before a wait is heard when that is over.
    while not done.acquire(timeout=_SIGNAL_SECONDS):
        continue
    if errors:
        raise errors[0]
    return answers[0]


def end_children() -> None:
    """End the compilers that were being asked when all was abandoned. A backend's own processes ignore this signal,
    and end by themselves."""
    for thread in os.listdir("/proc/self/task"):
        try:
            with open(f"/proc/self/task/{thread}/children") as file:
                children = file.read().split()
        except OSError:  # the thread has ended, or this kernel does not tell
            continue
        for child in map(int, children):
            try:
                os.killpg(child, signal.SIGTERM)
            except (ProcessLookupError, PermissionError):  # it has ended, or leads no group
                continue
