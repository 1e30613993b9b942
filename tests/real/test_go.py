"""Go modules that need nothing but the standard library."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.real.agreement import Question, agreed
from tests.real.mutations import MUTATIONS, mutate

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from willitcompile.backends.sandbox import SandboxBackend

    Copy = Callable[[str, str], Path]
    Open = Callable[[str, str], SandboxBackend]

pytestmark = pytest.mark.sandbox

PACKAGES = {
    "toml": {".", "internal", "internal/tag", "internal/toml-test", "cmd/tomlv", "ossfuzz"},
    "uuid": {"."},
    "xxhash": {".", "xxhsum"},
}
"""By module, the directories of its packages, or some of them."""

MAIN = {"toml": "decode.go", "uuid": "uuid.go", "xxhash": "xxhash.go"}
"""By module, a file of the package at its top."""


@pytest.mark.parametrize("isolation", ["namespaces", "landlock"])
@pytest.mark.parametrize("module", PACKAGES)
def test_each_package_of_a_module_compiles(module: str, isolation: str, sandbox: Open, copied: Copy) -> None:
    """They import each other by the module's path, and one has assembly."""
    copied("go_modules", module)
    verdicts = agreed(Question((".",), "go"), sandbox(isolation, "go"))
    assert set(verdicts.values()) == {"compiled"}
    assert {os.path.normpath(os.path.dirname(path)) for path in verdicts} >= PACKAGES[module]


@pytest.mark.parametrize("module", MAIN)
def test_a_file_is_compiled_with_its_package(module: str, sandbox: Open, copied: Copy) -> None:
    copied("go_modules", module)
    verdicts = agreed(Question((MAIN[module],), "go"), sandbox("namespaces", "go"))
    assert verdicts == {MAIN[module]: "compiled"}


@pytest.mark.parametrize("path", ["cmd/tomlv/main.go", "internal/toml-test/runner.go"])
def test_a_file_is_compiled_with_the_module_that_is_named(path: str, sandbox: Open, copied: Copy) -> None:
    """Above the directories that are given nothing is looked at."""
    copied("go_modules", "toml")
    question = Question((path,), "go", include_dirs=(".",))
    assert agreed(question, sandbox("namespaces", "go")) == {path: "compiled"}


@pytest.mark.parametrize("mutation", MUTATIONS)
@pytest.mark.parametrize("module", MAIN)
def test_a_package_made_wrong_is_rejected_alike(module: str, mutation: str, sandbox: Open, copied: Copy) -> None:
    """What imports it is rejected as well, for the same errors."""
    directory = copied("go_modules", module)
    mutate(directory / MAIN[module], mutation)
    verdicts = agreed(Question((".",), "go"), sandbox("namespaces", "go"))
    assert "rejected" in verdicts.values()


@pytest.mark.parametrize("standard", ["go1.9", "go1.17"])
def test_an_older_language_version_gives_the_same_verdicts(standard: str, sandbox: Open, copied: Copy) -> None:
    copied("go_modules", "toml")
    agreed(Question((".",), "go", standard), sandbox("namespaces", "go"))
