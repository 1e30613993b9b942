"""Where a compile job runs: the protocol, the table of backends, and how one is chosen."""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING, Protocol, Self

from willitcompile.errors import BackendUnavailable, RequestError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType

    from willitcompile.model import CompileJob, CompileResult, Toolchain


class CancelToken:
    """Tells running compiles to stop, from any thread or from a signal handler. Once cancelled it stays so.

    Its file descriptor becomes readable when it is cancelled, so that a backend can wait for it and for
    its compile at once.
    """

    def __init__(self) -> None:
        self._fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True
        os.eventfd_write(self._fd, 1)

    def fileno(self) -> int:
        return self._fd

    def __del__(self) -> None:
        os.close(self._fd)


class Backend(Protocol):
    """Runs compile jobs. Thread-safe; a context manager; leaves nothing behind, whatever happens."""

    name: str

    def toolchains(self) -> Sequence[Toolchain]:
        """What it can run, in the order of the catalogue, the first of a family being its default."""

    def compile(self, job: CompileJob, cancel: CancelToken | None = None) -> CompileResult:
        """Run one job to its end.

        Raises ToolchainMissing, BackendFailed, or Interrupted where `cancel` was cancelled.
        """

    def image_exists(self, image: str) -> bool:
        """Whether a job can start from this image at once. A backend without images has none."""

    def close(self) -> None:
        """End what is running and clear everything away. May be called twice."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


BACKENDS = {
    "sandbox": "willitcompile.backends.sandbox",
}
"""By name, the module with the backend's `open_backend(notify)`, `doctor()` and `clean()`. Each is imported only
when it is used."""

TEST_BACKENDS = {
    "fake": "willitcompile.backends.fake",
}
"""Those that compile nothing, with `open_backend()` alone. The command line does not offer them."""


def open_backend(name: str = "auto", notify: Callable[[str], None] = lambda _: None) -> Backend:
    """The backend of this name; `auto` chooses by what this machine has.

    `notify` is told, in whatever thread, of what takes long and happens only once.

    Raises RequestError for an unknown name and BackendUnavailable where it cannot run here.
    """
    if name == "auto":
        name = "sandbox"
    backend: Backend
    if name in TEST_BACKENDS:
        backend = import_module(TEST_BACKENDS[name]).open_backend()
        return backend
    if name not in BACKENDS:
        raise unknown_backend(name)
    backend = import_module(BACKENDS[name]).open_backend(notify)
    return backend


def unknown_backend(name: str) -> RequestError:
    return RequestError(
        f"use the backend {name!r}", "there is none of that name", f"use one of: auto, {', '.join(BACKENDS)}"
    )


__all__ = ["BACKENDS", "Backend", "BackendUnavailable", "CancelToken", "open_backend", "unknown_backend"]
