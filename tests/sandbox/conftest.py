"""The sandbox with a program of our own in the compiler's place, which does what no compiler would."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from typing import TYPE_CHECKING

import pytest

from willitcompile.backends.sandbox import SandboxBackend
from willitcompile.backends.sandbox.host import HostToolchain, host_toolchains
from willitcompile.backends.sandbox.mechanisms import MECHANISMS
from willitcompile.errors import BackendUnavailable
from willitcompile.model import Toolchain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture(params=MECHANISMS)
def mechanism(request: pytest.FixtureRequest, unavailable: Callable[..., None]) -> str:
    try:
        SandboxBackend(isolation=request.param).close()
    except BackendUnavailable as error:
        unavailable(f"sandbox-{request.param}", error.obstacle, error.remedy)
    return request.param


@pytest.fixture(scope="session")
def gcc(unavailable: Callable[..., None]) -> HostToolchain:
    for host in host_toolchains():
        if host.toolchain.family == "gcc":
            return host
    unavailable("sandbox", "there is no gcc", "apt-get install g++")
    raise AssertionError


@pytest.fixture(scope="session")
def impostor(gcc: HostToolchain) -> Iterator[Callable[[Path], HostToolchain]]:
    """`impostor(source)`: that C program, built, as a toolchain whose `gcc` it is."""

    def build(source: Path) -> HostToolchain:
        # Not below pytest's directory, which it closes to others each time that it starts.
        directory = tempfile.mkdtemp(prefix="impostor-")
        directories.append(directory)
        os.chmod(directory, 0o755)
        program = f"{directory}/gcc"
        subprocess.run(["gcc", "-O1", "-pthread", "-o", program, source], check=True)
        toolchain = Toolchain("impostor", "1", {"c": "impostor"}, {"c": {}}, {})
        return HostToolchain(toolchain, {"gcc": program}, (*gcc.readable, program), gcc.environment, "impostor")

    directories: list[str] = []
    yield build
    for directory in directories:
        shutil.rmtree(directory)


@pytest.fixture
def backend(mechanism: str) -> Iterator[SandboxBackend]:
    """The sandbox with this host's own toolchains."""
    with SandboxBackend(isolation=mechanism) as opened:
        yield opened
