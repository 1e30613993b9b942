"""docs/projects.md: its project is what its commands check, and they say what it shows."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.sandbox

PAGE = (Path(__file__).parents[2] / "docs" / "projects.md").read_text()
C_FAMILY = PAGE.partition("\n## Go modules\n")[0]
FILES = dict(re.findall(r"^<!-- (\S+) -->\n```\w+\n(.*?)^```", C_FAMILY, re.MULTILINE | re.DOTALL))
COMMANDS = [line.removeprefix("$ ") for line in C_FAMILY.splitlines() if line.startswith("$ will-it-compile ")]
SHOWN = re.findall(r"^```console\n\$ ([^\n]*)\n(backend: .*?)^```", C_FAMILY, re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def configured(sandbox: None, tmp_path_factory: pytest.TempPathFactory, unavailable: Callable[..., None]) -> Path:
    """The project of the page, in which CMake has run."""
    if not shutil.which("cmake"):
        unavailable("sandbox", "cmake is missing", "apt-get install cmake")
    directory = tmp_path_factory.mktemp("shop")
    for name, text in FILES.items():
        (directory / name).parent.mkdir(exist_ok=True)
        (directory / name).write_text(text)
    [configure] = [line.removeprefix("$ ") for line in C_FAMILY.splitlines() if line.startswith("$ cmake ")]
    subprocess.run(shlex.split(configure), cwd=directory, check=True, capture_output=True)
    return directory


def run(command: str, directory: Path) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "willitcompile.cli", *shlex.split(command)[1:], "--backend", "sandbox"]
    return subprocess.run(argv, cwd=directory, capture_output=True, text=True, check=False)


def plain(text: str) -> str:
    """Without what differs from machine to machine."""
    return re.sub(r"(gcc|clang)-\d+|sandbox[ /]\(?\w+\)?|[\d.]+ s\b", r"\1", text)


@pytest.mark.parametrize("command", dict.fromkeys(COMMANDS))
def test_a_command_answers(configured: Path, command: str) -> None:
    done = run(command, configured)
    is_all = "include/price.hpp" not in command
    assert (done.returncode, done.stderr) == (1 if is_all else 0, "")
    assert "price" in done.stdout
    assert ("total.cpp" in done.stdout) == is_all


@pytest.mark.parametrize(("command", "shown"), SHOWN, ids=[command for command, _ in SHOWN])
def test_it_says_what_is_shown(configured: Path, command: str, shown: str) -> None:
    said = run(command, configured).stdout
    # What the compiler quotes differs between its versions.
    lines = [line for line in plain(shown).splitlines() if not line.startswith(" ")]
    assert [line for line in plain(said).splitlines() if not line.startswith(" ")] == lines


def test_the_settings_are_the_flags_of_the_command(configured: Path, tmp_path: Path) -> None:
    shutil.copytree(configured, tmp_path / "shop")
    [settings] = re.findall(r"^```yaml\n(.*?)^```", C_FAMILY, re.MULTILINE | re.DOTALL)
    (tmp_path / "shop/willitcompile.yaml").write_text(settings)
    done = run("will-it-compile check src/price.cpp", tmp_path / "shop")
    assert (done.returncode, done.stderr) == (0, "")


def test_a_header_that_is_to_be_built_is_named_with_the_command(configured: Path, tmp_path: Path) -> None:
    shutil.copytree(configured, tmp_path / "shop")
    text = (tmp_path / "shop/build/compile_commands.json").read_text()
    (tmp_path / "shop/build/compile_commands.json").write_text(text.replace(str(configured), str(tmp_path / "shop")))
    (tmp_path / "shop/build/config.h").unlink()
    shown = C_FAMILY.partition("```text\n")[2].partition("```")[0]
    done = run("will-it-compile check build/compile_commands.json", tmp_path / "shop")
    assert plain(shown) in plain(done.stdout)
