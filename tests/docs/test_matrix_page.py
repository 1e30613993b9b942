"""docs/matrix.md: its sources and commands give what it shows."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from willitcompile.backends import Wanted, open_backend
from willitcompile.cli import run

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.docker

PAGE = (Path(__file__).parents[2] / "docs" / "matrix.md").read_text()
SOURCES = dict(
    zip(("main.cpp", "mismatch.cpp"), re.findall(r"^```cpp\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL), strict=True)
)
EXAMPLES = re.findall(r"^```console\n\$ (.*?)\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
NEEDED = ("gcc-14", "gcc-13", "gcc-12", "clang-19")


@pytest.mark.parametrize(("command", "shown"), EXAMPLES, ids=[command for command, _ in EXAMPLES])
def test_a_command_gives_what_the_page_shows(
    docker_host: str,
    unavailable: Callable[[str, str, str], None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    command: str,
    shown: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DOCKER_HOST", docker_host)
    monkeypatch.setenv("WIC_BACKEND", "docker")
    monkeypatch.setenv("WIC_CACHE", "false")
    for name, text in SOURCES.items():
        Path(name).write_text(text)
    with open_backend("docker") as backend:
        if not backend.has(Wanted(NEEDED)):
            unavailable("docker", "not all images of the page are there", f"will-it-compile images build {NEEDED[0]}")
    program, *argv = shlex.split(command)
    code = run(argv)
    out, err = capsys.readouterr()
    assert program == "will-it-compile"
    assert (_without_times(out), err) == (_without_times(shown), "")
    assert code == (1 if "rejected:" in shown or "hint:" in shown else 0)


def _without_times(text: str) -> str:
    return re.sub(r"[0-9.]+ s\)", "N s)", text)
