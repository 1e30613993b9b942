"""What a source needs, by compilers whose answers are known: the fake backend says them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from willitcompile import minimum, planning
from willitcompile.backends.fake import FakeBackend, answer, toolchain
from willitcompile.errors import FlagRefused, SourceError, ToolchainMissing
from willitcompile.languages import CompileOptions
from willitcompile.minimum.family import Span
from willitcompile.model import Verdict
from willitcompile.planning import CheckRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from willitcompile.minimum import SourceMinimum
    from willitcompile.minimum.family import FamilyMinimum
    from willitcompile.model import CompileJob, CompileResult

STANDARDS = ("c++98", "gnu++98", "c++11", "gnu++11", "c++14", "gnu++14", "c++17", "gnu++17")
NEWER = (*STANDARDS, "c++20", "gnu++20")
GCC = tuple(toolchain("gcc", version, {"c++": NEWER}) for version in ("14", "13", "12", "11", "10"))
OLD_GCC = toolchain("gcc", "9", {"c++": STANDARDS})
CLANG = tuple(toolchain("clang", version, {"c++": NEWER}) for version in ("19", "18"))
ALL = (*GCC, OLD_GCC, *CLANG)
PEDANTIC = "-pedantic-errors"


def standard_of(job: CompileJob) -> str:
    return next(word for word in job.argv if word.startswith("-std=")).removeprefix("-std=")


def says(accepts: Callable[[str, str], bool | Verdict]) -> Callable[[CompileJob], CompileResult]:
    """A script: `accepts(toolchain, standard)`."""

    def script(job: CompileJob) -> CompileResult:
        said = accepts(job.toolchain, standard_of(job))
        if isinstance(said, Verdict):
            return answer(said)
        return answer() if said else answer(Verdict.REJECTED)

    return script


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "main.cpp").write_text("int x;\n")
    return "main.cpp"


def found(backend: FakeBackend, *paths: str, **asked: object) -> list[SourceMinimum]:
    request = CheckRequest(paths, **asked)  # type: ignore[arg-type]
    sources = planning.find(request)
    planned = minimum.plan(request, sources, backend.toolchains(minimum.wanted(request, sources)), backend.name)
    return minimum.run(request, backend, planned)


def families(
    source: str, accepts: Callable[[str, str], bool | Verdict], **asked: object
) -> Mapping[str, FamilyMinimum]:
    with FakeBackend(ALL, says(accepts)) as backend:
        [said] = found(backend, source, **asked)
    return {each.family: each for each in said.families}


def version(name: str) -> int:
    return int(name.partition("-")[2])


def year(standard: str) -> int:
    return 1900 + int(standard[-2:]) + (100 if int(standard[-2:]) < 90 else 0)


def test_the_lowest_standard_and_the_earliest_version(source: str) -> None:
    said = families(source, lambda name, standard: version(name) >= 12 and year(standard) >= 2017)
    gcc, clang = said["gcc"], said["clang"]
    assert (gcc.standard, gcc.toolchain, gcc.is_oldest, gcc.is_monotonic) == (
        Span("c++17"),
        Span("gcc-12"),
        False,
        True,
    )
    assert (clang.standard, clang.toolchain, clang.is_oldest) == (Span("c++17"), Span("clang-18"), True)


def test_nothing_is_compiled_twice_nor_with_a_standard_that_is_not_known(source: str) -> None:
    with FakeBackend(ALL, says(lambda _, standard: year(standard) >= 2020)) as backend:
        [said] = found(backend, source)
        asked = [(job.toolchain, standard_of(job)) for job in backend.jobs]
    # What compiles where extensions are errors is not compiled again where they are not.
    assert len(asked) == len(set(asked))
    gcc = said.families[0]
    assert gcc.toolchain == Span("gcc-10")
    assert [each for each in gcc.tried if each.verdict is None] == [("gcc-9", "c++20", False, None)]
    assert ("gcc-9", "c++20") not in asked


def test_an_extension_of_an_older_standard_is_not_that_standard(source: str) -> None:
    """The newest has the feature since C++17, and before with a warning; gcc 10 at C++17 with a warning too."""

    def script(job: CompileJob) -> CompileResult:
        able = year(standard_of(job)) >= 2017 and version(job.toolchain) > 10 if PEDANTIC in job.argv else True
        return answer() if able else answer(Verdict.REJECTED)

    with FakeBackend(ALL, script) as backend:
        [said] = found(backend, source, compilers=("gcc>9",))
    assert said.families[0].standard == Span("c++17")
    assert said.families[0].toolchain == Span("gcc-10")
    assert not said.families[0].needs_extensions


def test_what_no_standard_has_needs_extensions(source: str) -> None:
    def script(job: CompileJob) -> CompileResult:
        able = PEDANTIC not in job.argv and year(standard_of(job)) >= 2011
        return answer() if able else answer(Verdict.REJECTED)

    with FakeBackend(ALL, script) as backend:
        [said] = found(backend, source)
    assert said.families[0].standard == Span("c++11")
    assert said.families[0].needs_extensions


def test_a_language_without_extensions_is_asked_once(source: str, tmp_path: Path) -> None:
    (tmp_path / "main.go").write_text("package p\n")
    with FakeBackend() as backend:
        [said] = found(backend, "main.go")
        assert not any(PEDANTIC in job.argv for job in backend.jobs)
    assert (said.families[0].standard, said.families[0].needs_extensions) == (Span("go1.21"), False)


def test_gnu_extensions_only_where_nothing_else_does(source: str) -> None:
    said = families(source, lambda _, standard: standard.startswith("gnu") and year(standard) >= 2011)
    assert said["gcc"].standard == Span("gnu++11")


def test_a_later_standard_that_rejects_is_told(source: str) -> None:
    said = families(source, lambda _, standard: year(standard) <= 2014)
    assert said["gcc"].standard == Span("c++98", last="c++14")
    assert not said["gcc"].is_monotonic
    assert said["gcc"].toolchain == Span("gcc-9")


def test_a_version_between_that_rejects_is_told(source: str) -> None:
    said = families(source, lambda name, _: name not in {"gcc-12", "gcc-10", "gcc-9"})
    assert said["gcc"].toolchain == Span("gcc-13", others=("gcc-11",))
    assert not said["gcc"].is_monotonic


def test_what_new_versions_have_given_up_is_found_in_old_ones(source: str) -> None:
    said = families(source, lambda name, _: name in {"gcc-9", "gcc-10", "gcc-11"})
    assert said["gcc"].toolchain == Span("gcc-9", last="gcc-11")
    assert said["gcc"].standard == Span("c++98")
    assert said["clang"].standard is said["clang"].toolchain is None


def test_a_timeout_is_no_rejection(source: str) -> None:
    said = families(source, lambda name, _: Verdict.TIMEOUT if name == "gcc-11" else version(name) > 11)
    assert said["gcc"].toolchain == Span("gcc-12")
    assert ("gcc-11", "c++98", False, Verdict.TIMEOUT) in said["gcc"].tried


def test_a_source_that_nothing_compiles(source: str) -> None:
    said = families(source, lambda *_: False)
    assert [each.standard for each in said.values()] == [None, None]
    assert {each.toolchain for each in said["gcc"].tried} == set(said["gcc"].toolchains)


def test_sources_are_told_in_their_order_whatever_their_language(source: str, tmp_path: Path) -> None:
    (tmp_path / "a.cpp").write_text("int y;\n")
    with FakeBackend(ALL, says(lambda *_: True)) as backend:
        said = found(backend, source, "a.cpp")
    assert [(each.source, [family.family for family in each.families]) for each in said] == [
        ("main.cpp", ["gcc", "clang"]),
        ("a.cpp", ["gcc", "clang"]),
    ]


def test_the_standards_that_are_asked_for_count_for_nothing(source: str) -> None:
    assert families(source, lambda *_: True, standards=("c++20",))["gcc"].standard == Span("c++98")


@pytest.mark.parametrize(
    ("compilers", "toolchains"),
    [
        (("gcc",), ["gcc-9", "gcc-10", "gcc-11", "gcc-12", "gcc-13", "gcc-14"]),
        (("g++-13", "gcc-9"), ["gcc-9", "gcc-13"]),
        (("gcc>=12",), ["gcc-12", "gcc-13", "gcc-14"]),
        (("clang", "gcc-9"), ["clang-18", "clang-19", "gcc-9"]),
    ],
)
def test_which_toolchains_are_looked_at(source: str, compilers: tuple[str, ...], toolchains: list[str]) -> None:
    said = families(source, lambda *_: True, compilers=compilers)
    assert [name for each in said.values() for name in each.toolchains] == toolchains


def test_versions_go_by_number(source: str, tmp_path: Path) -> None:
    (tmp_path / "main.go").write_text("package p\n")
    both = [toolchain("go", version, {"go": ("go1.1",)}) for version in ("1.10", "1.9")]
    with FakeBackend(both) as backend:
        [said] = found(backend, "main.go")
    assert said.families[0].toolchains == ("go-1.9", "go-1.10")


def test_what_is_wrong_is_told(source: str, tmp_path: Path) -> None:
    with FakeBackend(ALL) as backend:
        with pytest.raises(ToolchainMissing):
            found(backend, source, compilers=("gcc-8",))
        with pytest.raises(FlagRefused):
            found(backend, source, options=CompileOptions(flags=("-fplugin=x",)))
        assert not backend.jobs
        (tmp_path / "bad").mkdir()
        (tmp_path / "bad" / "binary.cpp").write_bytes(b"\0" * 10)
        with pytest.raises(SourceError):
            found(backend, "bad")
