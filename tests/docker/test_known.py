"""What is known of the compilers by their names is what the real ones say, in every toolchain image that is there."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

import pytest

from willitcompile.backends import known, open_backend

if TYPE_CHECKING:
    from collections.abc import Callable

    from willitcompile.model import Toolchain

pytestmark = [pytest.mark.docker, pytest.mark.usefixtures("docker_host")]


@pytest.fixture(scope="module")
def surveyed(docker_host: str, unavailable: Callable[[str, str, str], NoReturn]) -> tuple[Toolchain, ...]:
    """Every toolchain of the daemon, as its own compiler tells it."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("DOCKER_HOST", docker_host)
        with open_backend("docker") as backend:
            found = tuple(backend.toolchains())
    if not found:
        unavailable("docker", "the daemon has no toolchain image", "will-it-compile images build gcc")
    return found


def test_the_standards_and_their_spellings_are_those_of_the_real_compilers(surveyed: tuple[Toolchain, ...]) -> None:
    for real in surveyed:
        guessed = known.toolchain(real.name)
        assert guessed is not None, real.name
        assert (guessed.name, guessed.standards) == (real.name, real.standards)
        assert [list(each) for each in guessed.standards.values()] == [list(each) for each in real.standards.values()]
        assert (guessed.languages, list(guessed.compilers)) == (real.languages, list(real.compilers))


def test_the_defaults_are_those_of_the_real_compilers(surveyed: tuple[Toolchain, ...]) -> None:
    told = {real.name: real.defaults for real in surveyed}
    guessed = {name: toolchain.defaults for name in told if (toolchain := known.toolchain(name))}
    assert guessed == told


def test_an_exact_name_tells_the_same(surveyed: tuple[Toolchain, ...]) -> None:
    for real in surveyed:
        for exact in real.aliases:
            if exact == real.family:
                continue
            guessed = known.toolchain(exact)
            assert guessed is not None, exact
            assert (guessed.name, guessed.standards, guessed.defaults) == (exact, real.standards, real.defaults)
