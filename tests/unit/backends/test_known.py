"""What is known of a compiler by its name; tests/docker/test_known.py holds it to what real ones say."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from willitcompile.backends import known
from willitcompile.languages import language as language_of
from willitcompile.languages.c_family import CPP, C
from willitcompile.toolchains import load_catalogue

if TYPE_CHECKING:
    from willitcompile.model import Toolchain


def the(name: str, *languages: str) -> Toolchain:
    found = known.toolchain(name, languages)
    assert found is not None, name
    return found


def spelled(name: str, standard: str) -> str | None:
    return the(name).standards["c++" if "++" in standard else "c"].get(standard)


def test_a_toolchain_has_what_a_survey_gives() -> None:
    gcc = the("gcc-13")
    assert (gcc.family, gcc.version, gcc.name, gcc.aliases, gcc.origin) == ("gcc", "13", "gcc-13", (), "")
    assert gcc.languages == ("c", "c++")
    assert gcc.compilers == {"c": "", "c++": ""}
    assert gcc.defaults == {"c": "gnu17", "c++": "gnu++17"}
    assert gcc.standards["c"] == {
        "c89": "c89", "gnu89": "gnu89", "c99": "c99", "gnu99": "gnu99", "c11": "c11", "gnu11": "gnu11",
        "c17": "c17", "gnu17": "gnu17", "c23": "c2x", "gnu23": "gnu2x",
    }  # fmt: skip
    assert tuple(gcc.standards["c"]) == C.standards
    assert the("go-1.3").standards == {"go": {"go1.1": "go1.1", "go1.2": "go1.2", "go1.3": "go1.3"}}
    assert the("rustc-1.85").standards == {"rust": {year: year for year in ("2015", "2018", "2021", "2024")}}


@pytest.mark.parametrize(
    ("standard", "first", "spelling", "before"),
    [
        # https://gcc.gnu.org/gcc-5/changes.html, gcc-8, and so on; gcc/c-family/c.opt of each branch
        ("c++17", "gcc-5", "c++17", None),
        ("c17", "gcc-8", "c17", None),
        ("c++20", "gcc-8", "c++2a", None),
        ("c++20", "gcc-10", "c++20", "c++2a"),
        ("gnu++20", "gcc-10", "gnu++20", "gnu++2a"),
        ("c23", "gcc-9", "c2x", None),
        ("c23", "gcc-14", "c23", "c2x"),
        ("gnu23", "gcc-14", "gnu23", "gnu2x"),
        ("c++23", "gcc-11", "c++23", None),
        ("c++26", "gcc-14", "c++26", None),
        # https://clang.llvm.org/cxx_status.html, c_status.html; clang/include/clang/Basic/LangStandards.def
        ("c++17", "clang-5", "c++17", "c++1z"),
        ("c++20", "clang-5", "c++2a", None),
        ("c++20", "clang-10", "c++20", "c++2a"),
        ("c17", "clang-6", "c17", None),
        ("c23", "clang-9", "c2x", None),
        ("c23", "clang-18", "c23", "c2x"),
        ("c++23", "clang-12", "c++2b", None),
        ("gnu++23", "clang-17", "gnu++23", "gnu++2b"),
        ("c++26", "clang-17", "c++26", None),
    ],
)
def test_a_spelling_is_taken_since_a_version(standard: str, first: str, spelling: str, before: str | None) -> None:
    family, _, version = first.partition("-")
    assert spelled(first, standard) == spelling
    assert spelled(f"{family}-{int(version) - 1}", standard) == before


@pytest.mark.parametrize(
    ("first", "language", "default", "before"),
    [
        ("gcc-5", "c", "gnu11", "gnu89"),  # https://gcc.gnu.org/gcc-5/porting_to.html
        ("gcc-8", "c", "gnu17", "gnu11"),  # https://gcc.gnu.org/gcc-8/changes.html
        ("gcc-15", "c", "gnu23", "gnu17"),  # https://gcc.gnu.org/gcc-15/changes.html
        ("gcc-6", "c++", "gnu++14", "gnu++98"),  # https://gcc.gnu.org/gcc-6/changes.html
        ("gcc-11", "c++", "gnu++17", "gnu++14"),  # https://gcc.gnu.org/gcc-11/changes.html
        ("gcc-16", "c++", "gnu++20", "gnu++17"),  # https://gcc.gnu.org/gcc-16/changes.html
        ("clang-11", "c", "gnu17", "gnu11"),  # https://releases.llvm.org/11.0.0/tools/clang/docs/ReleaseNotes.html
        ("clang-6", "c++", "gnu++14", "gnu++98"),  # https://releases.llvm.org/6.0.0/tools/clang/docs/ReleaseNotes.html
        (
            "clang-16",
            "c++",
            "gnu++17",
            "gnu++14",
        ),  # https://releases.llvm.org/16.0.0/tools/clang/docs/ReleaseNotes.html
    ],
)
def test_a_standard_is_the_default_since_a_version(first: str, language: str, default: str, before: str) -> None:
    family, _, version = first.partition("-")
    assert the(first).defaults[language] == default
    assert the(f"{family}-{int(version) - 1}").defaults[language] == before


@pytest.mark.parametrize(
    ("first", "edition", "before"),
    [
        ("rustc-1.31", "2018", "2015"),  # https://blog.rust-lang.org/2018/12/06/Rust-1.31-and-rust-2018/
        ("rustc-1.56", "2021", "2018"),  # https://blog.rust-lang.org/2021/10/21/Rust-1.56.0/
        ("rustc-1.85", "2024", "2021"),  # https://blog.rust-lang.org/2025/02/20/Rust-1.85.0/
    ],
)
def test_the_newest_edition_is_the_default(first: str, edition: str, before: str) -> None:
    minor = int(first.rpartition(".")[2])
    assert the(first).defaults == {"rust": edition}
    assert tuple(the(first).standards["rust"])[-1] == edition
    assert the(f"rustc-1.{minor - 1}").defaults == {"rust": before}
    assert edition not in the(f"rustc-1.{minor - 1}").standards["rust"]


def test_rustc_without_an_option_for_the_edition_cannot_be_used() -> None:
    assert the("rustc-1.27").standards == {"rust": {"2015": "2015"}}
    assert known.toolchain("rustc-1.26") is None  # error: Unrecognized option: 'edition'


@pytest.mark.parametrize(
    ("exact", "plain"),
    [
        ("gcc-13.2.0", "gcc-13"),
        ("gcc-9.5", "gcc-9"),
        ("gcc-14-bookworm", "gcc-14"),
        ("gcc-4.9", "gcc-4"),
        ("clang-3.9.1", "clang-3.9"),
        ("clang-19.1.7", "clang-19"),
        ("clang-20rc1", "clang-20"),
        ("go-1.24.13", "go-1.24"),
        ("go-1.27rc1", "go-1.27"),
        ("rustc-1.85.1", "rustc-1.85"),
    ],
)
def test_a_patch_level_changes_nothing_but_the_name(exact: str, plain: str) -> None:
    assert the(exact).name == exact
    assert the(exact)._replace(version="") == the(plain)._replace(version="")


@pytest.mark.parametrize(
    ("newer", "newest"),
    [
        ("gcc-17", "gcc-16"),
        ("gcc-123", "gcc-16"),
        ("clang-24", "clang-22"),
        ("clang-20260101", "clang-22"),
        ("rustc-1.120", "rustc-1.85"),
        ("rustc-2.0", "rustc-1.85"),
        ("rustc-nightly", "rustc-1.85"),
        ("rustc-beta", "rustc-1.85"),
    ],
)
def test_what_is_newer_than_known_is_as_the_newest(newer: str, newest: str) -> None:
    assert the(newer).name == newer
    assert the(newer)._replace(version="") == the(newest)._replace(version="")


def test_a_newer_go_takes_its_own_version() -> None:
    assert the("go-1.39").defaults == {"go": "go1.39"}
    assert list(the("go-1.39").standards["go"]) == [f"go1.{minor}" for minor in range(1, 40)]


@pytest.mark.parametrize(
    "name",
    [
        *("", "-", "gcc", "gcc-", "g++-13", "GCC-13", "tcc-1", "icc-2021", "python-3.11"),
        *("gcc-latest", "clang-", "go-1", "go-tip", "go-1.0", "go-2.1", "go-1.100000", "rustc-1", "rustc-stable"),
    ],
)
def test_nothing_is_known_of_another_family_or_without_a_version(name: str) -> None:
    assert known.toolchain(name) is None


def test_only_the_languages_that_are_asked_for() -> None:
    only = the("gcc-13", "c++")
    assert (only.languages, list(only.compilers), list(only.defaults)) == (("c++",), ["c++"], ["c++"])
    assert the("gcc-13", "c++", "c", "fortran") == the("gcc-13")
    assert known.toolchain("gcc-13", ["rust"]) is None


def test_all_of_the_catalogue_is_known() -> None:
    catalogue = load_catalogue()
    for family in catalogue.families.values():
        for version in family.versions:
            assert the(f"{family.name}-{version}").languages == tuple(family.languages)


@pytest.mark.parametrize("name", ["gcc-99", "clang-99"])
def test_the_newest_takes_every_standard(name: str) -> None:
    """A standard that C or C++ got is known here too; a lasting spelling is preferred."""
    for language in (C, CPP):
        spellings = the(name).standards[language.name]
        assert tuple(spellings) == language.standards
        assert all(spelling == standard for standard, spelling in spellings.items())


VERSIONS = st.one_of(
    st.text(),
    st.from_regex(r"[0-9]{1,12}(\.[0-9]{1,12}){0,3}[a-z0-9.-]{0,6}", fullmatch=True),
    st.integers(0, 30).map(str),
    st.integers(0, 130).map(lambda minor: f"1.{minor}"),
    st.sampled_from(("nightly", "beta", "dev", "٣", "1.²", "9" * 5000, "1." + "9" * 5000)),
)


@given(
    st.one_of(st.text(), st.tuples(st.sampled_from(("gcc", "clang", "go", "rustc", "other")), VERSIONS).map("-".join))
)
def test_whatever_the_name_a_toolchain_is_whole_or_not_there(name: str) -> None:
    found = known.toolchain(name)
    if found is None:
        return
    assert found.name == name
    assert found.languages
    assert list(found.compilers) == list(found.defaults) == list(found.standards)
    for each, standards in found.standards.items():
        language = language_of(each)
        assert found.family in language.families
        assert found.defaults[each] in standards
        assert len(standards) < 1000
        if each != "go":  # any number is a version of it
            assert list(standards) == [standard for standard in language.standards if standard in standards]
            assert all(spelling in language.spellings[standard] for standard, spelling in standards.items())


@given(st.sampled_from(("gcc", "clang")), st.integers(4, 40), st.integers(0, 10))
def test_a_newer_one_takes_what_an_older_one_did(family: str, major: int, more: int) -> None:
    older, newer = the(f"{family}-{major}"), the(f"{family}-{major + more}")
    for language in older.languages:
        assert set(older.standards[language]) <= set(newer.standards[language])
        names = list(newer.standards[language])
        assert names.index(older.defaults[language]) <= names.index(newer.defaults[language])
