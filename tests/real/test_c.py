"""SQLite's amalgamation and zlib, as two crates carry them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.real.agreement import Question, agreed
from tests.real.fetch import CRATES
from tests.real.mutations import MUTATIONS, mutate

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from willitcompile.backends.sandbox import SandboxBackend

    Copy = Callable[[str, str], Path]
    Open = Callable[[str, str], SandboxBackend]

pytestmark = pytest.mark.sandbox

ZLIB = f"libz-sys-{CRATES['libz-sys']}/src/zlib"
SQLITE = f"libsqlite3-sys-{CRATES['libsqlite3-sys']}/sqlite3"

COMBINATIONS = [
    ("gcc", "c89", "namespaces"),
    ("gcc", "gnu17", "landlock"),
    ("gcc-11", "c17", "namespaces"),
    ("gcc-11", "gnu99", "landlock"),
    ("clang", "c99", "namespaces"),
    ("clang", "gnu17", "landlock"),
]


@pytest.mark.parametrize(("compiler", "standard", "isolation"), COMBINATIONS)
def test_zlib_compiles(compiler: str, standard: str, isolation: str, sandbox: Open, copied: Copy) -> None:
    """Its headers lie beside it, and nobody names them."""
    sources = _sources(copied("crates", ZLIB))
    verdicts = agreed(Question(sources, compiler, standard), sandbox(isolation, compiler))
    assert set(verdicts.values()) == {"compiled"}
    assert len(verdicts) == 15


@pytest.mark.parametrize("mutation", MUTATIONS)
@pytest.mark.parametrize(("compiler", "standard", "isolation"), COMBINATIONS[::2])
def test_zlib_made_wrong_is_rejected_alike(
    compiler: str, standard: str, isolation: str, mutation: str, sandbox: Open, copied: Copy
) -> None:
    directory = copied("crates", ZLIB)
    sources = _sources(directory)
    for source in sources:
        mutate(directory / source, mutation)
    verdicts = agreed(Question(sources, compiler, standard), sandbox(isolation, compiler))
    assert "rejected" in verdicts.values()
    if mutation == "unknown-name":
        assert set(verdicts.values()) == {"rejected"}


def test_zlib_without_a_header_is_rejected_alike(sandbox: Open, copied: Copy) -> None:
    directory = copied("crates", ZLIB)
    (directory / "zutil.h").unlink()
    verdicts = agreed(Question(_sources(directory), "gcc", "c17"), sandbox("namespaces", "gcc"))
    assert verdicts["deflate.c"] == "rejected"


def test_zlib_with_a_definition_that_breaks_it_is_rejected_alike(sandbox: Open, copied: Copy) -> None:
    directory = copied("crates", ZLIB)
    question = Question(_sources(directory), "clang", "gnu17", defines=("windowBits=3", "HAVE_UNISTD_H"))
    assert "rejected" in agreed(question, sandbox("namespaces", "clang")).values()


@pytest.mark.parametrize(("compiler", "isolation"), [("gcc", "namespaces"), ("clang", "landlock")])
def test_sqlite_compiles(compiler: str, isolation: str, sandbox: Open, copied: Copy) -> None:
    copied("crates", SQLITE)
    question = Question(("sqlite3.c",), compiler, "gnu17")
    assert agreed(question, sandbox(isolation, compiler)) == {"sqlite3.c": "compiled"}


@pytest.mark.parametrize("mutation", MUTATIONS)
def test_sqlite_made_wrong_is_rejected_alike(mutation: str, sandbox: Open, copied: Copy) -> None:
    mutate(copied("crates", SQLITE) / "sqlite3.c", mutation)
    question = Question(("sqlite3.c",), "gcc", "gnu17", flags=("-fsyntax-only",))
    verdict = agreed(question, sandbox("namespaces", "gcc"))
    assert verdict == {"sqlite3.c": "rejected"}


def _sources(directory: Path) -> tuple[str, ...]:
    return tuple(sorted(path.name for path in directory.glob("*.c")))
