"""Which images may serve as a toolchain."""

from __future__ import annotations

import doctest
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from willitcompile.backends import references
from willitcompile.backends.docker import endpoint, engine, images
from willitcompile.backends.references import Candidate, candidates, own_image, pins
from willitcompile.errors import ConfigError
from willitcompile.toolchains import load_catalogue

if TYPE_CHECKING:
    from types import ModuleType

CATALOGUE = load_catalogue()


def test_ours_goes_before_the_official_one() -> None:
    assert candidates("gcc-13", CATALOGUE, {}) == [
        Candidate("will-it-compile/gcc:13", "built here"),
        Candidate("gcc:13", "official"),
    ]


def test_clang_has_no_official_one() -> None:
    assert candidates("clang-17", CATALOGUE, {}) == [Candidate("will-it-compile/clang:17", "built here")]
    assert not candidates("clang-17", CATALOGUE, {})[0].can_be_pulled


@pytest.mark.parametrize(
    ("pin", "image"),
    [
        ("gcc-13=registry.example.org/gcc@sha256:0123", "registry.example.org/gcc@sha256:0123"),
        ("gcc=registry.example.org/library/gcc:{version}", "registry.example.org/library/gcc:13"),
    ],
)
def test_what_is_pinned_is_meant_and_nothing_else(pin: str, image: str) -> None:
    assert candidates("gcc-13", CATALOGUE, pins([pin])) == [Candidate(image, "pinned")]


def test_a_toolchain_is_pinned_before_its_family() -> None:
    pinned = pins(["gcc=a/gcc:{version}", "gcc-13=b/gcc:13"])
    assert candidates("gcc-13", CATALOGUE, pinned)[0].reference == "b/gcc:13"
    assert candidates("gcc-12", CATALOGUE, pinned)[0].reference == "a/gcc:12"


@pytest.mark.parametrize("text", ["gcc-13", "=gcc:13", "gcc-13=", "gcc=gcc:13", "gcc-13=a b", "gcc-13=--privileged"])
def test_a_pin_that_makes_no_sense_is_refused_in_three_parts(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        pins([text])
    assert repr(text) in caught.value.asked
    assert "gcc-13=registry.example.org/gcc:13" in caught.value.remedy


@given(st.text())
def test_no_text_is_anything_but_a_pin_or_an_error(text: str) -> None:
    try:
        found = pins([text])
    except ConfigError:
        return
    for image in found.values():
        assert image.isascii()
        assert image[0].isalnum()
        assert not set(image) & set(" \t\r\n?#%&\\'\"")


@pytest.mark.parametrize("name", CATALOGUE.names)
def test_our_image_is_called_as_the_catalogue_calls_it(name: str) -> None:
    assert own_image(name) == CATALOGUE.own_image(name)


@pytest.mark.parametrize("module", [endpoint, engine, images, references])
def test_the_examples_of_the_documentation_hold(module: ModuleType) -> None:
    ran = doctest.testmod(module)
    assert (ran.failed, ran.attempted > 0) == (0, True)
