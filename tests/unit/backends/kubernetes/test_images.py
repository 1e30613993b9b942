"""Which image stands for a toolchain in a cluster, and whether it is what it should be."""

from __future__ import annotations

import doctest

import pytest

from willitcompile.backends import Wanted
from willitcompile.backends.containers import Outcome
from willitcompile.backends.kubernetes import images as images_module
from willitcompile.backends.kubernetes.images import Images, another
from willitcompile.backends.supervision import Ending
from willitcompile.errors import BackendFailed, ConfigError, ToolchainMissing
from willitcompile.model import CompileJob


def said(line: str, code: int | None = 0, stderr: bytes = b"", failure: str | None = None) -> Outcome:
    return Outcome(line.encode(), stderr, Ending(code, None, None, 0, 0, 0, 0.1, failure))


def test_the_examples() -> None:
    results = doctest.testmod(images_module)
    assert results.attempted
    assert not results.failed


def test_what_is_pinned_is_meant() -> None:
    images = Images(("gcc-13=a/gcc@sha256:ab", "clang=b/clang:{version}", "gcc-99=c/gcc:99"))
    assert images.of("gcc-13") == "a/gcc@sha256:ab"
    assert images.of("clang-19") == "b/clang:19"
    assert images.of("gcc-99") == "c/gcc:99"


def test_else_it_is_the_official_one_which_any_node_can_pull() -> None:
    images = Images(())
    assert images.of("gcc-13") == "gcc:13"
    assert images.of("go-1.24").startswith("golang:1.24")
    # Nobody publishes one of clang.
    assert images.of("clang-19") == "will-it-compile/clang:19"


def test_what_nobody_knows_is_missing() -> None:
    with pytest.raises(ToolchainMissing) as caught:
        Images(()).of("gcc-99")
    assert "gcc-99=registry.example.org/IMAGE" in caught.value.remedy


def test_what_says_nothing_is_refused() -> None:
    with pytest.raises(ConfigError):
        Images(("gcc=no-version",))


def test_what_can_be_obtained() -> None:
    images = Images(("clang-19=b/clang:19",))
    every = {each.name: each.origin for each in images.toolchains(only_obtainable=False)}
    obtainable = {each.name for each in images.toolchains(only_obtainable=True)}
    assert every["clang-19"] == "b/clang:19"
    assert {"gcc-13", "clang-19"} <= obtainable < set(every)
    assert "clang-18" not in obtainable


def meant(*compilers: str) -> set[str]:
    """Of clang only one version is pinned; gcc and go have official images."""
    found = Images(("clang-19=b/clang:19",)).wanted(Wanted(compilers, ("c++",)))
    return {each.name for each in found if each.family in {"gcc", "clang"}}


def test_of_all_and_of_ranges_only_what_can_be_obtained() -> None:
    assert {"gcc-9", "clang-19"} <= meant("all")
    assert "clang-18" not in meant("all")
    assert "clang-18" not in meant("clang>=17")
    assert "clang-18" in meant("clang-18")
    assert {"clang-19", "clang-18"} <= meant("all", "clang-18")
    assert "clang-17" not in meant("all", "clang-18")


def test_a_range_of_which_nothing_can_be_obtained_is_taken_at_its_word() -> None:
    assert {"clang-18", "clang-17"} <= meant("clang>=17<19")
    assert "clang-16" not in meant("clang>=17<19")


@pytest.mark.parametrize(
    ("toolchain", "line"),
    [
        ("gcc-13", "g++ (Debian 13.3.0-6) 13.3.0"),
        ("gcc-13", "g++ (GCC) 13.2.0"),
        ("gcc-12", "g++ (Debian 12.2.0-14) 12.2.0"),
        ("gcc-9", "gcc (Debian 9.3.0-22) 9.3.0"),
        ("gcc-12", "g++-12 (Ubuntu 12.3.0-1ubuntu1~22.04) 12.3.0"),
        ("gcc-13.3.0", "g++ (Debian 13.3.0-6) 13.3.0"),
        ("clang-19", "Debian clang version 19.1.7 (3+b1)"),
        ("clang-18", "Ubuntu clang version 18.1.3 (1ubuntu1)"),
        ("clang-16", "clang version 16.0.6 (https://github.com/llvm/llvm-project 7cbf1a25)"),
        ("go-1.26", "go version go1.26.1 linux/amd64"),
        ("go-1.26", "go version go1.26 linux/amd64"),
        ("rustc-1.85", "rustc 1.85.0 (4d91de4e4 2025-02-17)"),
        ("rustc-nightly", "rustc 1.97.0-nightly (0a1b2c3d4 2026-05-01)"),
    ],
)
def test_the_right_compiler(toolchain: str, line: str) -> None:
    assert another(toolchain, "g++", said(line + "\nCopyright 2023 Free Software Foundation")) is None


@pytest.mark.parametrize(
    ("toolchain", "line"),
    [
        ("gcc-14", "g++ (Debian 12.2.0-14) 12.2.0"),
        ("gcc-6", "g++ (Debian 13.3.0-6) 13.3.0"),
        ("gcc-22", "gcc (Debian 9.3.0-22) 9.3.0"),
        ("gcc-3", "g++ (GCC) 13.3.0"),
        ("gcc-12", "g++-12 (Ubuntu 13.3.0) 13.3.0"),
        ("clang-3", "Debian clang version 19.1.7 (3+b1)"),
        ("clang-7", "Debian clang version 19.1.7 (3+b1)"),
        ("go-1.2", "go version go1.26.1 linux/amd64"),
        ("rustc-1.8", "rustc 1.85.0 (4d91de4e4 2025-02-17)"),
        ("gcc-13", ""),
    ],
)
def test_the_wrong_compiler(toolchain: str, line: str) -> None:
    assert another(toolchain, "g++", said(line)) == f"its g++ is {line!r}"


class TestConfirm:
    job = CompileJob("gcc-13", "c++", {}, ("g++", "-c", "x.cpp"))

    def test_it_is(self) -> None:
        line = "g++ (Debian 13.3.0-6) 13.3.0"
        assert Images(()).confirm(self.job, said(f"{line}\nmore\n")) == line

    @pytest.mark.parametrize(
        ("outcome", "obstacle"),
        [
            (said("g++ (GCC) 12.2.0"), "its g++ is 'g++ (GCC) 12.2.0'"),
            (said("", 1, b"g++: what?\n"), "its g++ does not tell its version: g++: what?"),
            (said("", None), "its g++ does not tell its version"),
            (said("", failure="cannot run g++: No such file"), "cannot run g++: No such file"),
        ],
    )
    def test_it_is_not(self, outcome: Outcome, obstacle: str) -> None:
        with pytest.raises(BackendFailed) as caught:
            Images(("gcc-13=x/y:1",)).confirm(self.job, outcome)
        assert caught.value.asked == "use the image x/y:1 as gcc-13"
        assert caught.value.obstacle == obstacle
        assert "images: gcc-13=" in caught.value.remedy
