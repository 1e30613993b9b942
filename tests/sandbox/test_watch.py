"""`check --watch` with the compilers of this host."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest

from tests.watching import Watch
from willitcompile.backends.sandbox import SandboxBackend
from willitcompile.errors import BackendUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.sandbox


@pytest.fixture
def speaks(unavailable: Callable[..., None]) -> Callable[[str], None]:
    """Skips where no compiler of this host speaks a language."""

    def need(language: str, remedy: str) -> None:
        try:
            with SandboxBackend() as backend:
                if any(language in toolchain.languages for toolchain in backend.toolchains()):
                    return
        except BackendUnavailable as error:
            unavailable("sandbox", error.obstacle, error.remedy)
        unavailable("sandbox", f"there is no compiler of {language}", remedy)

    return need


def test_a_header_that_is_broken_and_mended(speaks: Callable[..., None], tmp_path: Path) -> None:
    speaks("c++", "apt-get install g++")
    (tmp_path / "a.cpp").write_text('#include "a.h"\nint main() { return f(); }\n')
    (tmp_path / "b.c").write_text("int b;\n")
    (tmp_path / "a.h").write_text("int f();\n")
    with Watch(".", "-b", "sandbox", directory=tmp_path, code="") as watch:
        assert watch.round().endswith("watching 2 sources: all good\n")
        (tmp_path / "a.h").write_text("int f(;\n")
        said = watch.round()
        assert "a.h:1:" in said
        assert "./b.c" not in said
        assert said.endswith("watching 2 sources: 1 good, 1 not\n")
        (tmp_path / "a.h").write_text("int f();\n")
        assert watch.round().endswith("watching 2 sources: all good\n")
        assert watch.end(signal.SIGINT)[0] == 130


def test_a_package_of_go_that_gets_what_it_lacks(speaks: Callable[..., None], tmp_path: Path) -> None:
    speaks("go", "apt-get install golang-go")
    (tmp_path / "go.mod").write_text("module example.org/x\n")
    (tmp_path / "main.go").write_text("package main\n\nfunc main() { println(answer()) }\n")
    with Watch("main.go", "-b", "sandbox", directory=tmp_path, code="") as watch:
        assert "undefined: answer" in watch.round()
        (tmp_path / "answer.go").write_text("package main\n\nfunc answer() int { return 42 }\n")
        assert watch.round().endswith("watching main.go: good\n")


def test_a_module_of_rust_that_is_missing(speaks: Callable[..., None], tmp_path: Path) -> None:
    speaks("rust", "apt-get install rustc")
    (tmp_path / "main.rs").write_text("mod answer;\nfn main() { answer::f(); }\n")
    with Watch("main.rs", "-b", "sandbox", directory=tmp_path, code="") as watch:
        assert "file not found for module" in watch.round()
        (tmp_path / "answer.rs").write_text("pub fn f() {}\n")
        assert watch.round().endswith("watching main.rs: good\n")
