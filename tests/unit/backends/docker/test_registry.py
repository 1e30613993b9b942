from __future__ import annotations

import doctest

import pytest

from willitcompile.backends.docker import registry
from willitcompile.backends.references import OFFICIAL, PINNED, Candidate

PIN = Candidate("registry.example.org/gcc:13", PINNED)
GCC = Candidate("gcc:13", OFFICIAL)


@pytest.mark.parametrize(
    ("candidate", "message", "remedy"),
    [
        (PIN, "unauthorized: authentication required", "docker login registry.example.org"),
        (PIN, "no basic auth credentials", "docker login registry.example.org"),
        (PIN, "pull access denied for gcc", "or log in: docker login registry.example.org"),
        (PIN, "manifest unknown", "docker pull registry.example.org/gcc:13; or correct --images"),
        (PIN, "dial tcp: no such host", "docker pull registry.example.org/gcc:13; or correct --images"),
        (GCC, "dial tcp: no such host", "will-it-compile images build gcc-13, or name an image"),
        (GCC, "toomanyrequests: You have reached your pull rate limit", "will-it-compile images build gcc-13, or"),
    ],
)
def test_what_to_do_depends_on_what_was_said(candidate: Candidate, message: str, remedy: str) -> None:
    assert remedy in registry._remedy("gcc-13", candidate, message)


def test_the_examples_of_the_documentation_hold() -> None:
    assert doctest.testmod(registry).failed == 0
