"""The matrix, what sources expect, and the hint: the same on each backend, with real compilers."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from tests.backends import opened, those
from willitcompile.checker import run
from willitcompile.planning import CheckRequest
from willitcompile.reports import Style
from willitcompile.reports.text import render

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from willitcompile.backends import Backend
    from willitcompile.model import CheckResult

RANGES = {
    "sandbox": ("gcc>=9", "clang>=10"),
    "docker": ("gcc>=9", "clang>=13"),
    "kubernetes": ("gcc>=12", "clang>=19"),
}
"""By backend; a cluster of the tests has not the image of every version."""

CONCEPT = "template <typename T> concept Small = sizeof(T) <= 4;\nint twice(Small auto n) { return 2 * n; }\n"
"""Since gcc 10 and clang 10, at C++20: https://en.cppreference.com/w/cpp/compiler_support/20"""

DEDUCED = "struct S {\n  int n = 0;\n  int get(this const S& self) { return self.n; }\n};\n"
"""Since gcc 14 and clang 18: https://en.cppreference.com/w/cpp/compiler_support/23. Before C++23 gcc warns of it."""

MISMATCH = """\
// will-it-compile: expect rejected with gcc "invalid conversion from 'const char*' to 'int'"
// will-it-compile: expect rejected with clang "no matching function"
void f(int);
void g() { f("x"); }
"""


@pytest.fixture(params=those("sandbox", "docker", "kubernetes"))
def backend(request: pytest.FixtureRequest) -> Iterator[Backend]:
    with opened(request) as backend:
        yield backend


def checked(backend: Backend, **asked: Any) -> list[CheckResult]:
    return list(run(CheckRequest(**{"paths": ("main.cpp",), **asked}), backend))


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_dated_features_compile_since_their_versions(backend: Backend, here: Path) -> None:
    (here / "concept.cpp").write_text(CONCEPT)
    (here / "deduced.cpp").write_text(DEDUCED)
    results = checked(
        backend,
        paths=("concept.cpp", "deduced.cpp"),
        compilers=RANGES[backend.name],
        standards=("c++17", "c++20", "c++23"),
    )
    told = {(each.source, each.toolchain, each.standard): str(each.verdict) for each in results}
    expected = {}
    for source, toolchain, standard in told:
        family, _, version = toolchain.partition("-")
        if source == "concept.cpp":
            is_known = int(version) >= 10 and standard >= "c++20"
        else:
            is_known = int(version) >= (14 if family == "gcc" else 18) and (family == "gcc" or standard >= "c++23")
        expected[source, toolchain, standard] = "compiled" if is_known else "rejected"
    assert told == expected
    report = "".join(render(results, Style(matrix=True)))
    assert report.count("  rejected") == list(told.values()).count("rejected")
    # Versions of a compiler that say the same are told of as one.
    groups = re.findall("^rejected: (.*)", report, re.MULTILINE)
    assert 1 < len(groups) <= 8
    named = [name for group in groups for name in re.findall(r"[a-z]+-[0-9]+", group)]
    assert set(named) == {toolchain for (_, toolchain, _), verdict in told.items() if verdict == "rejected"}


def test_what_a_source_expects_of_each_compiler(backend: Backend, here: Path) -> None:
    (here / "main.cpp").write_text(MISMATCH)
    results = checked(backend, compilers=RANGES[backend.name])
    assert {each.verdict for each in results} == {"rejected"}
    assert {each.toolchain: each.is_as_expected for each in results} == {each.toolchain: True for each in results}
    (here / "main.cpp").write_text(MISMATCH.replace("invalid", "valid "))
    results = checked(backend, compilers=RANGES[backend.name][:1])
    assert not any(each.is_as_expected for each in results)


@pytest.mark.parametrize(
    ("source", "hint"), [(CONCEPT, "c++20"), ("int typo = nothing;\n", None)], ids=["concept", "typo"]
)
def test_the_hint(backend: Backend, here: Path, source: str, hint: str | None) -> None:
    (here / "main.cpp").write_text(source)
    (result,) = checked(backend, compilers=("gcc-12",), hint=True)
    assert (result.verdict, result.hint) == ("rejected", hint)
