"""The hook for pre-commit, by `pre-commit try-repo`, which installs it from this tree as somebody's machine would."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.sandbox

ROOT = Path(__file__).parents[2]
WHAT_IS_INSTALLED = (".pre-commit-hooks.yaml", "README.md", "images", "pyproject.toml", "willitcompile")


def git(directory: Path, *words: str) -> str:
    argv = ["git", "-c", "user.name=of a test", "-c", "user.email=test@example.org", *words]
    return subprocess.run(argv, cwd=directory, capture_output=True, text=True, check=True).stdout


@pytest.fixture(scope="module")
def hooks(tmp_path_factory: pytest.TempPathFactory, unavailable: Callable[[str, str, str], None]) -> Path:
    """A repository with what is in this tree, committed or not."""
    for name in ("git", "g++"):
        if not shutil.which(name):
            unavailable("sandbox", f"there is no {name}", f"apt-get install {name}")
    directory = tmp_path_factory.mktemp("hooks")
    for name in WHAT_IS_INSTALLED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, directory / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, directory / name)
    git(directory, "init", "--quiet")
    git(directory, "add", "--all")
    git(directory, "commit", "--quiet", "--message", "as it is")
    return directory


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where pre-commit keeps what it has installed."""
    return tmp_path_factory.mktemp("pre-commit")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    git(tmp_path, "init", "--quiet")
    (tmp_path / "README.md").write_text("# Nothing to compile\n")
    (tmp_path / "good.cpp").write_text('#include "part.hpp"\nint main() { return part; }\n')
    (tmp_path / "part.hpp").write_text("inline int part = 0;\n")
    return tmp_path


def pre_commit(project: Path, home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    git(project, "add", "--all")
    return subprocess.run(
        [sys.executable, "-m", "pre_commit", *words],
        cwd=project,
        env={**os.environ, "PRE_COMMIT_HOME": str(home), "WIC_BACKEND": "sandbox"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_commit_of_what_compiles_passes_and_another_does_not(project: Path, hooks: Path, home: Path) -> None:
    done = pre_commit(project, home, "try-repo", str(hooks), "will-it-compile", "--all-files", "--verbose")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "good.cpp: compiled" in done.stdout
    assert "part.hpp: compiled" in done.stdout
    assert "README.md" not in done.stdout.partition("===\n")[2].partition("===")[2]
    (project / "bad.cpp").write_text("int main() { return nothing; }\n")
    # As the page has it: from a configuration, with options of its own; what was installed is used again.
    (project / ".pre-commit-config.yaml").write_text(
        f"repos:\n- repo: {hooks}\n  rev: {git(hooks, 'rev-parse', 'HEAD').strip()}\n"
        "  hooks:\n  - id: will-it-compile\n    args: [--std, c++17, --quiet]\n"
    )
    done = pre_commit(project, home, "run")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "bad.cpp:1:21: error" in done.stdout
    assert "good.cpp" not in done.stdout
