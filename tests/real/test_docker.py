"""The same real sources with every toolchain image, and the differences between compilers that people ask about."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.daemon import toolchains
from tests.real.fetch import CRATES
from tests.real.mutations import mutate
from willitcompile.backends import Wanted, open_backend
from willitcompile.checker import run
from willitcompile.languages import CompileOptions
from willitcompile.model import MIB, CheckResult, Limits
from willitcompile.planning import CheckRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from willitcompile.backends import Backend

    Copy = Callable[[str, str], Path]
    Unavailable = Callable[[str, str, str], None]

pytestmark = pytest.mark.docker

ALL = toolchains()
C_FAMILY = [name for name in ALL if name.startswith(("gcc-", "clang-"))]
GO = [name for name in ALL if name.startswith("go-")]
RUST = [name for name in ALL if name.startswith("rustc-")]
LIBRARIES = {"fmt": "/usr/include/fmt", "nlohmann": "/usr/include/nlohmann"}
LIMITS = Limits(wall_seconds=120, memory_bytes=2048 * MIB)


@pytest.fixture(scope="module")
def docker(docker_host: str) -> Iterator[Backend]:
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("DOCKER_HOST", docker_host)
        backend = open_backend("docker")
    with backend:
        yield backend


@pytest.fixture
def check(docker: Backend, unavailable: Unavailable) -> Callable[..., dict[str, str]]:
    """The verdict of each source, with this toolchain."""

    def ask(toolchain: str, *paths: str, std: str | None = None, include: tuple[str, ...] = ()) -> dict[str, str]:
        if not docker.has(Wanted((toolchain,))):
            unavailable("docker", f"there is no image of {toolchain}", f"will-it-compile images build {toolchain}")
        request = CheckRequest(
            paths,
            compilers=(toolchain,),
            standards=(std,) if std else (),
            include_dirs=include,
            options=CompileOptions(),
            limits=LIMITS._asdict(),
        )
        results = list(run(request, docker))
        for result in results:
            _is_of(result, toolchain)
        return {result.source: result.verdict.value for result in results}

    return ask


def _is_of(result: CheckResult, toolchain: str) -> None:
    """It says which compiler of which image it was, in the compiler's own words."""
    assert result.toolchain == toolchain
    assert toolchain.partition("-")[2] in result.result.compiler
    assert "sha256:" in str(result.result.image)


@pytest.mark.parametrize("toolchain", C_FAMILY)
def test_zlib_with_every_c_compiler(toolchain: str, check: Callable[..., dict[str, str]], copied: Copy) -> None:
    directory = copied("crates", f"libz-sys-{CRATES['libz-sys']}/src/zlib")
    names = ("adler32.c", "compress.c", "deflate.c", "inflate.c", "trees.c", "zutil.c")
    mutate(directory / "trees.c", "unknown-name")
    verdicts = check(toolchain, *names, std="c99")
    assert verdicts == dict.fromkeys(names, "compiled") | {"trees.c": "rejected"}


@pytest.mark.parametrize("toolchain", C_FAMILY)
def test_programs_on_fmt_and_json_with_every_cpp_compiler(
    toolchain: str,
    check: Callable[..., dict[str, str]],
    unavailable: Unavailable,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Their headers, which the images do not have, are sent along."""
    monkeypatch.chdir(tmp_path)
    for name, directory in LIBRARIES.items():
        if not Path(directory).is_dir():
            unavailable("docker", f"there is no {directory}", "apt-get install libfmt-dev nlohmann-json3-dev")
        shutil.copytree(directory, tmp_path / "include" / name)
    Path("fmt.cpp").write_text('#include <fmt/core.h>\nauto s = fmt::format("{} {}", 1, "two");\n')
    Path("json.cpp").write_text('#include <nlohmann/json.hpp>\nauto j = nlohmann::json::parse("[1]");\n')
    Path("wrong.cpp").write_text('#include <nlohmann/json.hpp>\nint j = nlohmann::json::parse("[1]").nothing();\n')
    verdicts = check(toolchain, "fmt.cpp", "json.cpp", "wrong.cpp", std="c++17", include=("include",))
    assert verdicts == {"fmt.cpp": "compiled", "json.cpp": "compiled", "wrong.cpp": "rejected"}


@pytest.mark.parametrize("toolchain", GO)
@pytest.mark.parametrize("module", ["uuid", "xxhash"])
def test_go_modules(toolchain: str, module: str, check: Callable[..., dict[str, str]], copied: Copy) -> None:
    directory = copied("go_modules", module)
    assert set(check(toolchain, ".").values()) == {"compiled"}
    (directory / "wrong.go").write_text(f"package {module}\n\nvar x int = nothing\n")
    assert "rejected" in check(toolchain, ".").values()


@pytest.mark.parametrize("toolchain", RUST)
@pytest.mark.parametrize("crate", ["itoa", "smallvec", "memchr"])
def test_crates(toolchain: str, crate: str, check: Callable[..., dict[str, str]], copied: Copy) -> None:
    directory = copied("crates", f"{crate}-{CRATES[crate]}")
    assert check(toolchain, "src/lib.rs", std="2021") == {"src/lib.rs": "compiled"}
    mutate(directory / "src/lib.rs", "unknown-name")
    assert check(toolchain, "src/lib.rs", std="2021") == {"src/lib.rs": "rejected"}


SINCE = {
    "concepts": ("c++20", "gcc-10", "template <typename T> concept Any = true; template <Any T> void f(T) {}"),
    "ranges": ("c++20", "gcc-10", "#include <ranges>\nauto v = std::views::iota(1, 3);"),
    "format": ("c++20", "gcc-13", '#include <format>\n#include <string>\nstd::string s = std::format("{}", 42);'),
    "print": ("c++23", "gcc-14", '#include <print>\nvoid f() { std::print("{}", 42); }'),
}
"""By feature: the standard, the first gcc that has it, and a program. From gcc.gnu.org: libstdc++'s and g++'s tables of
what each release brought."""


GCC = {name: int(name.partition("-")[2]) for name in ALL if name.startswith("gcc-")}
FIRST_WITH = {"c++20": 9, "c++23": 11}
"""By standard, the first gcc that knows its name."""


@pytest.mark.parametrize(
    ("feature", "toolchain"),
    [(feature, name) for feature in SINCE for name, number in GCC.items() if number >= FIRST_WITH[SINCE[feature][0]]],
)
def test_a_feature_compiles_since_the_release_that_brought_it(
    feature: str,
    toolchain: str,
    check: Callable[..., dict[str, str]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    standard, first, program = SINCE[feature]
    monkeypatch.chdir(tmp_path)
    Path("main.cpp").write_text(program)
    expected = "compiled" if GCC[toolchain] >= GCC[first] else "rejected"
    assert check(toolchain, "main.cpp", std=standard) == {"main.cpp": expected}


@pytest.mark.parametrize("toolchain", [name for name in C_FAMILY if name.startswith("clang-")])
def test_a_compiler_that_crashes_has_rejected_nothing(
    toolchain: str, check: Callable[..., dict[str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From some release on clang says only in words that it has crashed."""
    monkeypatch.chdir(tmp_path)
    Path("main.cpp").write_text("#pragma clang __debug crash\n")
    assert check(toolchain, "main.cpp") == {"main.cpp": "crashed"}
