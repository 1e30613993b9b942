"""Which images may serve as a toolchain.

In this order: the one that the settings pin; ours, where it was built here; the official one, which can be pulled.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from willitcompile.errors import ConfigError
from willitcompile.toolchains import own_image

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from willitcompile.toolchains import Catalogue

_PIN = re.compile(r"(?P<name>[a-z][a-z+]*(?:-[0-9a-z][0-9a-z._]*)?)=(?P<image>[A-Za-z0-9][A-Za-z0-9._/:@{}-]{0,300})")


class Candidate(NamedTuple):
    """An image that may serve."""

    reference: str
    source: str
    """`pinned`, `built here` or `official`."""

    @property
    def can_be_pulled(self) -> bool:
        return self.source != BUILT


PINNED, BUILT, OFFICIAL = "pinned", "built here", "official"


def pins(texts: Sequence[str]) -> dict[str, str]:
    """By toolchain or family, the image: from `gcc-13=registry/gcc@sha256:…` and `gcc=registry/gcc:{version}`.

    Raises ConfigError.
    """
    found = {}
    for text in texts:
        match = _PIN.fullmatch(text)
        if match is None or ("-" not in match["name"] and "{version}" not in match["image"]):
            raise ConfigError(
                f"use the image {text[:100]!r}",
                "it does not say which image serves for which toolchain",
                "write images: gcc-13=registry.example.org/gcc:13, or gcc=registry.example.org/gcc:{version}",
            )
        found[match["name"]] = match["image"]
    return found


def candidates(name: str, catalogue: Catalogue, pinned: Mapping[str, str]) -> list[Candidate]:
    """The images that may serve as the toolchain of this name, the preferred first."""
    family, _, version = name.partition("-")
    if image := pinned.get(name) or pinned.get(family):
        # What is pinned is meant: nothing else stands in for it.
        return [Candidate(image.replace("{version}", version), PINNED)]
    found = [Candidate(own_image(name), BUILT)]
    if official := catalogue.official_image(name):
        found.append(Candidate(official, OFFICIAL))
    return found


def to_pull(name: str, catalogue: Catalogue, pinned: Mapping[str, str]) -> Candidate | None:
    """The image that may be pulled for a toolchain; None where there is none."""
    return next((each for each in candidates(name, catalogue, pinned) if each.can_be_pulled), None)


def known_names(catalogue: Catalogue, pinned: Mapping[str, str]) -> tuple[str, ...]:
    """Every toolchain of the catalogue, then those that only the settings name."""
    return tuple(dict.fromkeys((*catalogue.names, *(name for name in pinned if "-" in name))))


def split(reference: str) -> tuple[str, str]:
    """The repository, and the tag or digest.

    >>> split("gcc:13"), split("localhost:5000/gcc"), split("gcc@sha256:ab")
    (('gcc', '13'), ('localhost:5000/gcc', 'latest'), ('gcc', 'sha256:ab'))
    """
    image, at, digest = reference.partition("@")
    if at:
        return image, digest
    before, colon, tag = reference.rpartition(":")
    return (before, tag) if colon and "/" not in tag else (reference, "latest")
