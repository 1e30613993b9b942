"""What it takes to run the examples of pages."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from willitcompile.backends import open_backend
from willitcompile.errors import BackendUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture(scope="session")
def families(unavailable: Callable[[str, str, str], None]) -> set[str]:
    """Of the toolchains that the sandbox has on this host."""
    found: set[str] = set()
    try:
        with open_backend("sandbox") as backend:
            found = {toolchain.family for toolchain in backend.toolchains()}
    except BackendUnavailable as error:
        unavailable("sandbox", error.obstacle, error.remedy)
    return found


@pytest.fixture(scope="session")
def sandbox(families: set[str], unavailable: Callable[[str, str, str], None]) -> None:
    """This host has gcc and clang to run them with."""
    if not {"gcc", "clang"} <= families:
        unavailable("sandbox", "gcc or clang is missing", "apt-get install g++ clang")
