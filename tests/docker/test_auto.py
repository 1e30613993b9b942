"""What `auto` is on a machine with a daemon, and what the commands say of it."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from willitcompile.backends.sandbox.host import host_toolchains

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.docker, pytest.mark.usefixtures("docker_host")]


def program(*argv: str, directory: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "willitcompile.cli", *argv], cwd=directory, capture_output=True, text=True, check=False
    )


def backend_of(*argv: str, directory: Path) -> str:
    (directory / "main.cpp").write_text("int main() {}\n")
    ran = program("check", "main.cpp", *argv, "-f", "json", directory=directory)
    assert ran.returncode == 0, ran.stderr
    return str(json.loads(ran.stdout)["results"][0]["backend"])


def test_is_docker_where_the_daemon_has_what_is_wanted(tmp_path: Path) -> None:
    assert backend_of(directory=tmp_path) == "docker"
    assert backend_of("-c", "gcc-13", directory=tmp_path) == "docker"


@pytest.mark.sandbox
def test_is_the_sandbox_for_what_this_host_alone_has(tmp_path: Path) -> None:
    """rustc of this host is newer than any image's."""
    listed = program("images", "list", "-f", "json", directory=tmp_path)
    present = {each["toolchain"] for each in json.loads(listed.stdout)["images"] if each["present"]}
    alone = [host.toolchain for host in host_toolchains() if host.toolchain.name not in present]
    if not alone:
        pytest.skip("the daemon has every toolchain of this host")
    (tmp_path / "main.rs").write_text("fn main() {}\n")
    (tmp_path / "main.c").write_text("int x;\n")
    source = "main.rs" if "rust" in alone[0].languages else "main.c"
    ran = program("check", source, "-c", alone[0].name, "-f", "json", directory=tmp_path)
    assert json.loads(ran.stdout)["results"][0]["backend"] == "sandbox"


def test_the_doctor_and_the_list_of_environments_know_it(tmp_path: Path) -> None:
    healthy = program("doctor", directory=tmp_path)
    assert healthy.returncode == 0
    assert "docker" in healthy.stdout.splitlines()[-1]
    assert any(line.startswith("ok    docker ") for line in healthy.stdout.splitlines())
    listed = program("environments", directory=tmp_path)
    assert listed.stdout.startswith("backend: docker\n")


def test_what_neither_has_says_how_to_make_it(tmp_path: Path) -> None:
    (tmp_path / "main.cpp").write_text("int main() {}\n")
    ran = program("check", "main.cpp", "-c", "clang-99", directory=tmp_path)
    assert ran.returncode == 2
    assert "clang-99" in ran.stderr
