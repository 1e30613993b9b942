from __future__ import annotations

import io
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from willitcompile.backends.fake import FakeBackend
from willitcompile.cli import run
from willitcompile.errors import BackendUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from willitcompile.backends import Opening


class Ended(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty directory to be in, which looks like the root of a repository, and no settings from outside."""
    (tmp_path / ".git").mkdir()
    monkeypatch.chdir(tmp_path)
    for name in os.environ:
        if name in {"NO_COLOR", "FORCE_COLOR"} or name.startswith("WIC_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("WIC_CACHE", "false")
    return tmp_path


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Ended]:
    """`cli("check", "main.cpp")`: a command line in this process, on the fake backend."""

    def call(*argv: str, stdin: bytes = b"", **backend: Any) -> Ended:
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        opened = []

        def open_fake(name: str, opening: Opening) -> FakeBackend:
            opening.notify(f"preparing {name}")
            opened.append(FakeBackend(**backend))
            return opened[-1]

        code = run(argv, open_fake)
        assert all(fake.closed for fake in opened)
        return Ended(code, *capsys.readouterr())

    return call


@pytest.fixture(scope="session")
def sandbox(unavailable: Callable[[str, str, str], None]) -> None:
    """For a test that compiles for real."""
    from willitcompile.backends import open_backend

    try:
        with open_backend("sandbox") as backend:
            languages = {language for toolchain in backend.toolchains() for language in toolchain.languages}
    except BackendUnavailable as error:
        unavailable("sandbox", error.obstacle, error.remedy)
    else:
        if "c++" not in languages:
            unavailable("sandbox", "there is no C++ compiler", "apt-get install g++")


@pytest.fixture
def start(project: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """`start("check", "main.cpp")`: a process of its own, in pipes. With `code`, this Python instead."""
    started: list[subprocess.Popen[str]] = []

    def call(*argv: str, code: str = "", **more: Any) -> subprocess.Popen[str]:
        program = ["-c", code] if code else ["-m", "willitcompile.cli"]
        pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
        process = subprocess.Popen([sys.executable, *program, *argv], text=True, **{**pipes, **more})
        started.append(process)
        return process

    yield call
    for process in started:
        with process:
            process.kill()


@pytest.fixture
def program(start: Callable[..., subprocess.Popen[str]]) -> Callable[..., Ended]:
    """As `start`, to its end."""

    def call(*argv: str, stdin: str = "", **more: Any) -> Ended:
        process = start(*argv, **more)
        out, err = process.communicate(stdin, timeout=60)
        return Ended(process.returncode, out, err)

    return call
