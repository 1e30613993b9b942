"""The backends under contract."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from tests.backends import opened, those
from tests.contract.leftovers import compiling
from willitcompile.backends.fake import FakeBackend

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from willitcompile.backends import Backend
    from willitcompile.model import Toolchain


@pytest.fixture(params=those("unit", "sandbox", "docker", "kubernetes"))
def backend(request: pytest.FixtureRequest) -> Iterator[Backend]:
    """A backend of its own for each test."""
    with opened(request) as backend:
        yield backend


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
