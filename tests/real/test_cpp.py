"""Programs on fmt, Eigen and nlohmann-json, which Debian carries as headers of the system."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.real.agreement import Question, agreed

if TYPE_CHECKING:
    from collections.abc import Callable

    from willitcompile.backends.sandbox import SandboxBackend

    Headers = Callable[[str, str], None]
    Open = Callable[[str, str], SandboxBackend]

pytestmark = pytest.mark.sandbox

PROGRAMS = Path(__file__).parent / "programs"

LIBRARIES = {
    "fmt": ("/usr/include/fmt", "libfmt-dev"),
    "eigen": ("/usr/include/eigen3", "libeigen3-dev"),
    "json": ("/usr/include/nlohmann", "nlohmann-json3-dev"),
}
"""By the first word of a program's name: where the headers are, and the package that has them."""

FEW = [("gcc", "gnu++20", "landlock"), ("gcc-11", "c++14", "namespaces"), ("clang", "c++17", "namespaces")]
MANY = [*FEW, ("clang", "c++20", "namespaces")]


@pytest.fixture(autouse=True)
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A copy of the programs is the working directory."""
    shutil.copytree(PROGRAMS, tmp_path / "programs")
    monkeypatch.chdir(tmp_path / "programs")


@pytest.mark.parametrize(
    ("library", "compiler", "standard", "isolation"),
    [("fmt", *each) for each in MANY] + [(name, *each) for name in ("eigen", "json") for each in FEW],
)
def test_programs_on_a_library_get_the_same_verdicts(
    library: str, compiler: str, standard: str, isolation: str, sandbox: Open, headers: Headers
) -> None:
    headers(*LIBRARIES[library])
    sources = tuple(sorted(path.name for path in PROGRAMS.glob(f"{library}_*.cpp")))
    verdicts = agreed(Question(sources, compiler, standard), sandbox(isolation, compiler))
    for source, verdict in verdicts.items():
        if "_right" in source:
            assert verdict == "compiled"
        if "_wrong" in source:
            assert verdict == "rejected"


def test_a_format_string_is_judged_from_cpp20_on(sandbox: Open, headers: Headers) -> None:
    headers(*LIBRARIES["fmt"])
    backend = sandbox("namespaces", "gcc")
    at = {
        standard: agreed(Question(("fmt_format_string.cpp",), "gcc", standard), backend)
        for standard in ("c++17", "c++20")
    }
    assert at["c++17"] == {"fmt_format_string.cpp": "compiled"}
    assert at["c++20"] == {"fmt_format_string.cpp": "rejected"}


@pytest.mark.parametrize("isolation", ["namespaces", "landlock"])
def test_a_library_is_found_in_a_directory_that_is_named(isolation: str, sandbox: Open, headers: Headers) -> None:
    """<Eigen/Core> is not in a directory that compilers look in by themselves."""
    headers(*LIBRARIES["eigen"])
    Path("main.cpp").write_text("#include <Eigen/Core>\nEigen::Vector3d zero = Eigen::Vector3d::Zero();\n")
    backend = sandbox(isolation, "gcc")
    assert agreed(Question(("main.cpp",), "gcc", "c++17"), backend) == {"main.cpp": "rejected"}
    named = Question(("main.cpp",), "gcc", "c++17", include_dirs=("/usr/include/eigen3",))
    assert agreed(named, backend) == {"main.cpp": "compiled"}


@pytest.mark.parametrize("compiler", ["gcc", "clang"])
@pytest.mark.parametrize(("flags", "verdict"), [(("-lfmt",), "compiled"), ((), "rejected")])
def test_a_program_is_linked_alike(
    flags: tuple[str, ...], verdict: str, compiler: str, sandbox: Open, headers: Headers
) -> None:
    headers(*LIBRARIES["fmt"])
    Path("main.cpp").write_text('#include <fmt/core.h>\nint main() { fmt::print("{}\\n", 42); }\n')
    question = Question(("main.cpp",), compiler, "c++17", flags=flags, link=True)
    assert agreed(question, sandbox("namespaces", compiler)) == {"main.cpp": verdict}
