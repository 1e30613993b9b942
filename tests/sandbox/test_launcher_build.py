"""The launcher's binaries are what its source says: built again, they are the same byte for byte."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from willitcompile.backends import launcher

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.sandbox

HERE = Path(launcher.__file__).parent
COMPILER = "12.2.0"
"""With another one the bytes may be others."""


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_a_binary_is_what_its_source_says(machine: str, tmp_path: Path, unavailable: Callable[..., None]) -> None:
    compiler = f"{machine}-linux-gnu-gcc-12"
    package = f"gcc-12-{machine.replace('_', '-')}-linux-gnu linux-libc-dev-arm64-cross"
    if not shutil.which(compiler):
        unavailable("sandbox", f"there is no {compiler}", f"on Debian 12: apt-get install {package}")
    version = subprocess.run([compiler, "-dumpfullversion"], capture_output=True, text=True, check=True).stdout.strip()
    if version != COMPILER:
        unavailable("sandbox", f"the binaries are of gcc {COMPILER}, this is {version}", "use Debian 12")
    # Elsewhere, so that no name of a directory is in it.
    for path in (*HERE.glob("*.[ch]"), HERE / "Makefile"):
        shutil.copy(path, tmp_path)
    subprocess.run(["make", "-C", tmp_path, f"launcher-{machine}"], check=True)
    assert (tmp_path / f"launcher-{machine}").read_bytes() == launcher.binary(machine)
