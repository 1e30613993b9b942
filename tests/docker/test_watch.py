"""`check --watch` with Docker, whose containers wait for the next change."""

from __future__ import annotations

import re
import signal
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from tests.watching import Watch
from willitcompile.backends.docker.container import SESSION

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.docker


def test_a_header_that_is_broken_and_mended(docker_host: str, unavailable: Callable[..., None], tmp_path: Path) -> None:
    image = "will-it-compile/gcc:12"
    if subprocess.run(["docker", "image", "inspect", image], capture_output=True, check=False).returncode:
        unavailable("docker", f"there is no {image}", "will-it-compile images build gcc-12")
    (tmp_path / "a.cpp").write_text('#include "a.h"\nint main() { return f(); }\n')
    (tmp_path / "a.h").write_text("int f(;\n")
    with Watch("a.cpp", "-b", "docker", "-c", "gcc-12", directory=tmp_path, code="", DOCKER_HOST=docker_host) as watch:
        said = watch.round()
        assert "a.h:1:" in said
        assert said.endswith("watching a.cpp: not good\n")
        (tmp_path / "a.h").write_text("int f();\n")
        assert watch.round().endswith("watching a.cpp: good\n")
        wait_for(lambda: sessions_of(watch.process.pid))  # the container for the next change
        assert watch.end(signal.SIGINT)[0] == 130
        wait_for(lambda: not sessions_of(watch.process.pid))


def wait_for(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def sessions_of(process: int) -> list[str]:
    """The sessions of the containers that a process has."""
    listed = ["docker", "ps", "--all", "--filter", f"label={SESSION}", "--format", f'{{{{.Label "{SESSION}"}}}}']
    found = subprocess.run(listed, capture_output=True, text=True, check=True).stdout.split()
    return [session for session in found if re.search(rf"\b{process}\b", session)]
