"""Real sources to compile, and the sandboxes to compile them in."""

from __future__ import annotations

import os
import shutil
from functools import cache
from typing import TYPE_CHECKING

import pytest

from tests.real import fetch
from willitcompile.errors import BackendUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from willitcompile.backends.sandbox import SandboxBackend

    Unavailable = Callable[[str, str, str], None]

PACKAGES = {"gcc-11": "g++-11", "clang": "clang", "gcc": "g++"}
"""By compiler, the Debian package that has it."""


@pytest.fixture(scope="session")
def sandbox(unavailable: Unavailable) -> Iterator[Callable[[str, str], SandboxBackend]]:
    """`sandbox(isolation, compiler)`: that sandbox of this host, which has that compiler."""
    opened: dict[str, SandboxBackend] = {}

    def open_it(isolation: str, compiler: str) -> SandboxBackend:
        from willitcompile.backends.sandbox import SandboxBackend

        if isolation not in opened:
            try:
                opened[isolation] = SandboxBackend(isolation=isolation)
            except BackendUnavailable as error:
                unavailable(f"sandbox-{isolation}", error.obstacle, error.remedy)
        names = {name for each in opened[isolation].toolchains() for name in (each.name, *each.aliases)}
        if compiler not in names:
            remedy = f"apt-get install {PACKAGES[compiler]}" if compiler in PACKAGES else f"install {compiler}"
            unavailable("sandbox", f"there is no {compiler}", remedy)
        return opened[isolation]

    yield open_it
    for backend in opened.values():
        backend.close()


@pytest.fixture(scope="session")
def fetched(unavailable: Unavailable) -> Callable[[str], Path]:
    """`fetched("crates")` or `fetched("go_modules")`: see fetch.py."""

    @cache
    def get(what: str) -> Path:
        try:
            return getattr(fetch, what)()
        except fetch.FetchError as error:
            unavailable("sandbox", error.obstacle, error.remedy)
            raise

    return get


@pytest.fixture
def copied(
    fetched: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str, str], Path]:
    """`copied("crates", "itoa-1.0.11/src")`: a copy to change at will, which becomes the working directory."""

    def copy(what: str, below: str) -> Path:
        target = tmp_path / "copy"
        shutil.copytree(fetched(what) / below, target)
        monkeypatch.chdir(target)
        return target

    return copy


@pytest.fixture
def headers(unavailable: Unavailable) -> Callable[[str, str], None]:
    """`headers("/usr/include/fmt", "libfmt-dev")`: skip where they are not installed."""

    def need(directory: str, package: str) -> None:
        if not os.path.isdir(directory):
            unavailable("sandbox", f"{package} is not installed", f"apt-get install {package}")

    return need
