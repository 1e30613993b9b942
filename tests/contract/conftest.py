"""The backends under contract. A new one is a line in `OPENERS`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from tests.contract.leftovers import compiling, left_since, leftovers
from willitcompile.backends.fake import FakeBackend
from willitcompile.errors import BackendUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from willitcompile.backends import Backend
    from willitcompile.model import Toolchain


def _sandbox(isolation: str) -> Callable[[], Backend]:
    def open_it() -> Backend:
        from willitcompile.backends.sandbox import SandboxBackend

        return SandboxBackend(isolation=isolation)

    return open_it


OPENERS: dict[str, tuple[str, Callable[[], Backend]]] = {
    "fake": ("unit", FakeBackend),
    "sandbox-namespaces": ("sandbox", _sandbox("namespaces")),
    "sandbox-landlock": ("sandbox", _sandbox("landlock")),
}
"""By name, the tier that it needs, and how to open it. It raises BackendUnavailable where it cannot run."""


@pytest.fixture(params=[pytest.param(name, marks=getattr(pytest.mark, tier)) for name, (tier, _) in OPENERS.items()])
def backend(request: pytest.FixtureRequest, unavailable: Callable[..., None]) -> Iterator[Backend]:
    """A backend of its own for each test, which has left nothing behind once it is closed."""
    before = leftovers()
    try:
        opened = OPENERS[request.param][1]()
    except BackendUnavailable as error:
        unavailable(request.param, error.obstacle, error.remedy)
        raise
    with opened:
        yield opened
    assert left_since(before) == frozenset()


@pytest.fixture
def gcc(backend: Backend, unavailable: Callable[..., None]) -> Toolchain:
    """The gcc of the backend, whose C and C++ the programs of this suite are written in."""
    for toolchain in backend.toolchains():
        if toolchain.family == "gcc" and {"c", "c++"} <= set(toolchain.languages):
            return toolchain
    unavailable(backend.name, "it has no gcc with C++", "apt-get install g++")
    raise AssertionError


@pytest.fixture
def wait_until_running(backend: Backend) -> Callable[[], None]:
    """Call it to wait until a compiler runs. Raises TimeoutError after 20 seconds."""
    if isinstance(backend, FakeBackend):
        return lambda: backend.wait_running(1)

    def wait() -> None:
        end = time.monotonic() + 20
        while not any("cc1" in line for line in compiling()):
            if time.monotonic() > end:
                raise TimeoutError("no compiler has started")
            time.sleep(0.005)

    return wait
