"""Where a compile job runs: the protocol, the table of backends, and how one is chosen."""

from __future__ import annotations

import os
from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple, Protocol, Self

from willitcompile.errors import BackendUnavailable, RequestError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import TracebackType

    from willitcompile.model import CompileJob, CompileResult, Limits, Toolchain


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


class Cancelled(Exception):
    """What was asked for is wanted no more. Between the parts of a backend: others are told Interrupted."""


class Wanted(NamedTuple):
    """What a check needs of a backend."""

    compilers: tuple[str, ...] = ()
    """As typed; empty for the default of each language."""
    languages: tuple[str, ...] = ()


class Opening(NamedTuple):
    """How to open a backend."""

    notify: Callable[[str], None] = lambda _: None
    """Is told, in whatever thread, of what takes long and happens only once."""

    progress: Callable[[str, int, int], None] = lambda *_: None
    """Is told how far that is: what, how many bytes of it are done, of how many (0 where nobody knows)."""

    wanted: Wanted = Wanted()
    """What `auto` chooses a backend for."""

    images: tuple[str, ...] = ()
    """Which image serves as a toolchain: `gcc-13=registry.example.org/gcc:13`."""

    long_lived: bool = False
    """Whether more will be asked than is known of now, as in a service: it is worth being ready for that."""

    may_go_elsewhere: bool = True
    """Whether `auto` may choose one of `ELSEWHERE`: not for images that hostile sources may have brought along."""

    options: Mapping[str, Mapping[str, object]] = MappingProxyType({})
    """By backend, its own section of the configuration, which it judges itself."""


class Identity(NamedTuple):
    """What a cache is to know of a toolchain."""

    text: str
    """Another one as soon as the toolchain, or what it runs in, may answer otherwise."""

    headers: Mapping[str, Sequence[str]] | None = None
    """By language, where it looks for headers on this machine, which `text` says nothing of; None where all that it can
    read is in an image."""


class Backend(Protocol):
    """Runs compile jobs. Thread-safe; a context manager; leaves nothing behind, whatever happens."""

    name: str

    limits: Limits
    """What a compile may use where nobody says how much."""

    fetches: bool
    """Whether it can get a toolchain that it has not."""

    def toolchains(self, wanted: Wanted | None = None) -> Sequence[Toolchain]:
        """What it can run, in the order of the catalogue, the first of a family being its default.

        Of more toolchains than it can look at it looks only at those that are wanted, and fetches what it has not.
        Raises NoAnswer where it cannot look, or not fetch.
        """

    def has(self, wanted: Wanted) -> bool:
        """Whether it can run all of this without fetching anything."""

    def at_once(self, jobs: int) -> int:
        """How many compiles to ask for at the same time, where so many are to run; 0 for what suits the backend."""

    def expect(
        self,
        toolchain: str,
        limits: Limits,
        count: int,
        at_once: int,
        cancel: CancelToken | None = None,
        sources: int | None = None,
    ) -> None:
        """So many jobs of a toolchain will come, so many of them at the same time: a backend may prepare for them.

        They are of so many sources; None for one of each.

        Those that come with the same token are of one check, and need not be kept from each other as strangers are.
        """

    def compile(self, job: CompileJob, cancel: CancelToken | None = None) -> CompileResult:
        """Run one job to its end.

        Raises ToolchainMissing, BackendFailed, or Interrupted where `cancel` was cancelled.
        """

    def identity(self, toolchain: str) -> Identity | None:
        """What its answers depend on now, besides their jobs; None where that is not known for sure. Starts nothing."""

    def image_exists(self, image: str) -> bool:
        """Whether a job can start from this image at once. A backend without images has none."""

    def close(self) -> None:
        """End what is running and clear everything away. May be called twice."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


BACKENDS = {
    "docker": "willitcompile.backends.docker",
    "sandbox": "willitcompile.backends.sandbox",
    "kubernetes": "willitcompile.backends.kubernetes",
}
"""By name, the module with the backend's `open_backend(opening)`, `doctor(opening)` and `clean(opening)`. Each is
imported only when it is used. `auto` tries them in this order."""

AT_HOME = {"kubernetes": ("KUBERNETES_SERVICE_HOST", "/var/run/secrets/kubernetes.io/serviceaccount/token")}
"""By backend, the variable and the file that say that this machine is a part of it: then it goes before all others."""

ELSEWHERE = frozenset({"kubernetes"})
"""Those that may be far away, or cost somebody money: not used unasked where something here can answer."""

TEST_BACKENDS = {
    "fake": "willitcompile.backends.fake",
}
"""Those that compile nothing, with `open_backend()` alone. The command line does not offer them."""


def open_backend(name: str = "auto", opening: Opening | None = None) -> Backend:
    """The backend of this name; `auto` chooses by what this machine has.

    Raises RequestError for an unknown name and BackendUnavailable where it cannot run here.
    """
    opening = opening or Opening()
    if name == "auto":
        return _choose(opening)
    backend: Backend
    if name in TEST_BACKENDS:
        backend = import_module(TEST_BACKENDS[name]).open_backend()
        return backend
    if name not in BACKENDS:
        raise unknown_backend(name)
    backend = import_module(BACKENDS[name]).open_backend(opening)
    return backend


def _choose(opening: Opening) -> Backend:
    """The first that has all that is wanted; where none has, the first that can be opened, which may fetch it."""
    opened: list[Backend] = []
    unavailable: dict[str, BackendUnavailable] = {}
    chosen = None
    at_home = [name for name, (variable, file) in AT_HOME.items() if os.environ.get(variable) and os.path.exists(file)]
    names = list(dict.fromkeys((*at_home, *BACKENDS)))
    try:
        for name in names:
            can_stay = not opening.may_go_elsewhere or any(each.fetches for each in opened)
            if name in ELSEWHERE and name not in at_home and can_stay:
                continue
            try:
                backend = open_backend(name, opening)
            except BackendUnavailable as error:
                unavailable[name] = error
                continue
            opened.append(backend)
            is_last = len(opened) + len(unavailable) == len(names)
            # With nothing left to choose from, the check itself says best what is missing.
            if (is_last and len(opened) == 1) or backend.has(opening.wanted):
                chosen = backend
                return backend
        if opened:
            chosen = opened[0]
            return chosen
    finally:
        for backend in opened:
            if backend is not chosen:
                backend.close()
    raise BackendUnavailable(
        "compile on this machine",
        "; ".join(f"{name}: {error.obstacle}" for name, error in unavailable.items()),
        " or ".join(error.remedy for error in unavailable.values()),
    )


def cores() -> int:
    """Those that this process may use."""
    return len(os.sched_getaffinity(0))


def unknown_backend(name: str) -> RequestError:
    return RequestError(
        f"use the backend {name!r}", "there is none of that name", f"use one of: auto, {', '.join(BACKENDS)}"
    )


__all__ = [
    "AT_HOME",
    "BACKENDS",
    "Backend",
    "BackendUnavailable",
    "CancelToken",
    "Identity",
    "Opening",
    "Wanted",
    "open_backend",
    "unknown_backend",
]
