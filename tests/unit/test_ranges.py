from __future__ import annotations

import doctest
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from willitcompile import ranges
from willitcompile.backends.fake import toolchain
from willitcompile.errors import ToolchainMissing
from willitcompile.toolchains import family, fits, is_meant, is_selector, offers, select

if TYPE_CHECKING:
    from willitcompile.model import Toolchain

GCC = tuple(
    toolchain("gcc", version, {"c": ("c17",), "c++": ("c++17",)})._replace(aliases=(f"gcc-{version}.2.0",))
    for version in ("14", "13", "9")
)
GO = tuple(toolchain("go", version, {"go": ("go1.9",)})._replace(aliases=()) for version in ("1.10", "1.9"))
RUST = tuple(toolchain("rustc", version, {"rust": ("2021",)})._replace(aliases=()) for version in ("1.85", "nightly"))
HERE = (*GCC, *GO, *RUST)


def chosen(asked: str, language: str | None = None, available: tuple[Toolchain, ...] = HERE) -> list[str]:
    return [each.name for each in select(asked, available, language, "sandbox")]


def test_the_examples() -> None:
    results = doctest.testmod(ranges)
    assert results.attempted
    assert not results.failed


@pytest.mark.parametrize(
    ("asked", "names"),
    [
        ("gcc>=13", ["gcc-14", "gcc-13"]),
        ("gcc>13", ["gcc-14"]),
        ("gcc<=13", ["gcc-13", "gcc-9"]),
        ("gcc<13", ["gcc-9"]),
        ("gcc==13", ["gcc-13"]),
        ("gcc=13", ["gcc-13"]),
        ("gcc>=9<14", ["gcc-13", "gcc-9"]),
        ("G++ >= 9 < 14", ["gcc-13", "gcc-9"]),
        ("gcc>=13.2", ["gcc-14", "gcc-13"]),
        ("gcc>=13.3", ["gcc-14"]),
        ("gcc==13.2.0", ["gcc-13"]),
        ("go>=1.9", ["go-1.10", "go-1.9"]),
        ("go>1.9", ["go-1.10"]),
        ("golang<1.10", ["go-1.9"]),
        ("rust>=1.80", ["rustc-1.85", "rustc-nightly"]),
        ("rustc<=1.85", ["rustc-1.85"]),
        ("all", [each.name for each in HERE]),
        ("gcc", ["gcc-14"]),
    ],
)
def test_what_is_meant(asked: str, names: list[str]) -> None:
    assert chosen(asked) == names
    assert offers(HERE, (asked,), ())


@pytest.mark.parametrize(
    ("asked", "obstacle"),
    [
        ("gcc>=40", "no gcc on this host is in this range"),
        ("gcc>=13<13", "no gcc on this host is in this range"),
        ("clang>=1", "clang is not on this host"),
        ("gxx>=10", "no toolchain is called gxx; did you mean g++?"),
        ("gcc>=", "there is no version after >="),
        ("gcc>=x", "'x' is no version"),
        ("gcc=>10", "there is no version after ="),
        ("gcc>=10 13", "'10 13' is no version"),
        (">=10", "it does not say which compiler"),
        ("gcc>=1.2.3.4.5", "'1.2.3.4.5' is no version"),
        ("gcc>=" + "1" * 5000, "is no version"),
    ],
)
def test_says_why_there_is_none(asked: str, obstacle: str) -> None:
    assert is_selector(asked)
    assert not offers(HERE, (asked,), ())
    with pytest.raises(ToolchainMissing) as caught:
        select(asked, HERE, None, "sandbox")
    assert obstacle in caught.value.obstacle
    assert caught.value.remedy
    assert len(str(caught.value)) < 200


def test_a_range_of_another_language() -> None:
    assert chosen("gcc>=13", "c++") == ["gcc-14", "gcc-13"]
    with pytest.raises(ToolchainMissing, match="gcc-14 does not compile go"):
        chosen("gcc>=13", "go")
    assert chosen("all", "go") == ["go-1.10", "go-1.9"]
    assert chosen("all", "cobol") == []


@pytest.mark.parametrize("asked", ["gcc", "gcc-14", "gcc14", "gcc-14.2", "gcc-14.2.0", "g++-14", "gcc>13", "all"])
def test_what_may_be_meant_fits(asked: str) -> None:
    assert fits(asked, GCC[0])
    assert not fits(asked, GO[0]) or asked == "all"


def test_the_family_of_what_was_asked_for() -> None:
    assert [family(asked) for asked in ("g++-12", "rust>=1.70", "all", "nobody")] == ["gcc", "rustc", "all", "nobody"]


versions = st.lists(st.integers(0, 10**9 - 1), min_size=1, max_size=4).map(tuple)
texts = versions.map(lambda numbers: ".".join(map(str, numbers)))


@given(texts, texts)
def test_each_version_is_in_one_of_two_halves(version: str, bound: str) -> None:
    def holds(symbol: str) -> bool:
        return is_meant(f"gcc{symbol}{bound}", f"gcc-{version}")

    assert [holds("<"), holds("=="), holds(">")].count(True) == 1
    assert holds(">=") is not holds("<")
    assert holds("<=") is not holds(">")
    assert is_meant(f"gcc>={version}<={version}", f"gcc-{version}")


@given(st.lists(texts))
def test_versions_sort_by_their_numbers(found: list[str]) -> None:
    ordered = sorted([*found, "nightly"], key=ranges.order)
    assert ordered[-1] == "nightly"
    numbers = [tuple(map(int, version.split("."))) for version in ordered[:-1]]
    assert numbers == sorted(numbers)


@given(st.text(alphabet="gc+-><=. 0129x", max_size=20) | st.text(max_size=20))
def test_whatever_is_typed_is_a_range_or_is_refused(text: str) -> None:
    with suppress(ToolchainMissing):
        found = ranges.read(text)
        assert found.bounds
        assert isinstance(found.holds("12.2"), bool)
