"""Some of the same real sources in a cluster: the verdicts are those of test_docker.py."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.backends import cluster_backend
from tests.real.fetch import CRATES
from tests.real.mutations import mutate
from willitcompile.checker import run
from willitcompile.model import MIB, Limits
from willitcompile.planning import CheckRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from willitcompile.backends import Backend

    Check = Callable[..., dict[tuple[str, str], str]]
    Copy = Callable[[str, str], Path]
    Unavailable = Callable[[str, str, str], None]

pytestmark = pytest.mark.kubernetes

LIBRARIES = {"fmt": "/usr/include/fmt", "nlohmann": "/usr/include/nlohmann"}
LIMITS = Limits(wall_seconds=120, memory_bytes=1536 * MIB)


@pytest.fixture(scope="module")
def cluster(kubeconfig: str, namespace: str) -> Iterator[Backend]:
    with cluster_backend(kubeconfig, namespace, cpu=2) as backend:
        yield backend


@pytest.fixture
def check(cluster: Backend) -> Check:
    """The verdict by source and toolchain."""

    def ask(
        *paths: str, compilers: tuple[str, ...], std: str | None = None, include: tuple[str, ...] = ()
    ) -> dict[tuple[str, str], str]:
        standards = (std,) if std else ()
        request = CheckRequest(paths, compilers, standards, include_dirs=include, limits=LIMITS._asdict())
        results = list(run(request, cluster))
        for each in results:
            assert each.toolchain.partition("-")[2] in each.result.compiler
            assert "sha256:" in str(each.result.image)
        return {(each.source, each.toolchain): each.verdict.value for each in results}

    return ask


def test_zlib(check: Check, copied: Copy) -> None:
    directory = copied("crates", f"libz-sys-{CRATES['libz-sys']}/src/zlib")
    names = ("adler32.c", "compress.c", "deflate.c", "inflate.c", "trees.c", "zutil.c")
    mutate(directory / "trees.c", "unknown-name")
    compilers = ("gcc-9", "gcc-14", "clang-14")
    assert check(*names, compilers=compilers, std="c99") == {
        (name, compiler): "rejected" if name == "trees.c" else "compiled" for name in names for compiler in compilers
    }


def test_programs_on_fmt_and_json(
    check: Check, unavailable: Unavailable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their headers, which the images do not have, are sent along."""
    monkeypatch.chdir(tmp_path)
    for name, directory in LIBRARIES.items():
        if not Path(directory).is_dir():
            unavailable("kubernetes", f"there is no {directory}", "apt-get install libfmt-dev nlohmann-json3-dev")
        shutil.copytree(directory, tmp_path / "include" / name)
    Path("fmt.cpp").write_text('#include <fmt/core.h>\nauto s = fmt::format("{} {}", 1, "two");\n')
    Path("json.cpp").write_text('#include <nlohmann/json.hpp>\nauto j = nlohmann::json::parse("[1]");\n')
    Path("wrong.cpp").write_text('#include <nlohmann/json.hpp>\nint j = nlohmann::json::parse("[1]").nothing();\n')
    expected = {"fmt.cpp": "compiled", "json.cpp": "compiled", "wrong.cpp": "rejected"}
    compilers = ("gcc-12", "clang-19")
    assert check(*expected, compilers=compilers, std="c++17", include=("include",)) == {
        (name, compiler): verdict for name, verdict in expected.items() for compiler in compilers
    }


@pytest.mark.parametrize("module", ["uuid", "xxhash"])
def test_go_modules(module: str, check: Check, copied: Copy) -> None:
    directory = copied("go_modules", module)
    assert set(check(".", compilers=("go-1.26",)).values()) == {"compiled"}
    (directory / "wrong.go").write_text(f"package {module}\n\nvar x int = nothing\n")
    assert "rejected" in check(".", compilers=("go-1.26",)).values()


@pytest.mark.parametrize("crate", ["itoa", "memchr"])
def test_crates(crate: str, check: Check, copied: Copy) -> None:
    directory = copied("crates", f"{crate}-{CRATES[crate]}")
    asked = ("src/lib.rs", "rustc-1.85")
    assert check(asked[0], compilers=asked[1:], std="2021") == {asked: "compiled"}
    mutate(directory / "src/lib.rs", "unknown-name")
    assert check(asked[0], compilers=asked[1:], std="2021") == {asked: "rejected"}


@pytest.mark.parametrize(
    ("standard", "first", "program"),
    [
        ("c++20", 13, '#include <format>\n#include <string>\nstd::string s = std::format("{}", 42);\n'),
        ("c++23", 14, '#include <print>\nvoid f() { std::print("{}", 42); }\n'),
    ],
    ids=["format", "print"],
)
def test_a_feature_compiles_since_the_release_that_brought_it(
    standard: str, first: int, program: str, check: Check, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("main.cpp").write_text(program)
    assert check("main.cpp", compilers=("gcc-12", "gcc-13", "gcc-14"), std=standard) == {
        ("main.cpp", f"gcc-{number}"): "compiled" if number >= first else "rejected" for number in (12, 13, 14)
    }
