"""What is known of a compiler by its name alone, where asking it costs too much: in a pod, a second and five requests.

It says what the surveys of the real ones say (`compilers.c_standards`, `compilers.rust_editions`), so that a check is
planned the same on every backend. One that is newer than any here is taken for the newest.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from willitcompile.backends import compilers
from willitcompile.languages.c_family import CPP, C
from willitcompile.model import Toolchain

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from willitcompile.languages.c_family import CLanguage


class _Dialects(NamedTuple):
    """One language of a gcc or a clang, with the major version since when."""

    spellings: Mapping[str, int]
    """By the end of a spelling, `2a` for both `c++2a` and `gnu++2a`: what takes the one takes the other. A spelling
    that came no sooner than a better one is left out. 0 for all that may be met: since gcc 4.9 and clang 3.6."""
    defaults: Mapping[str, int]
    """The standard where none is named, oldest first."""


# gcc 9 to 16 and clang 9 to 23 were asked. What is older is from the gcc/c-family/c.opt of its branch, from
# https://gcc.gnu.org/gcc-5/changes.html to gcc-8, and from https://clang.llvm.org/cxx_status.html and c_status.html.
_DIALECTS = {
    ("gcc", C): _Dialects(
        spellings={"89": 0, "99": 0, "11": 0, "17": 8, "2x": 9, "23": 14},
        defaults={"gnu89": 0, "gnu11": 5, "gnu17": 8, "gnu23": 15},
    ),
    ("gcc", CPP): _Dialects(
        spellings={"98": 0, "11": 0, "14": 0, "17": 5, "2a": 8, "20": 10, "23": 11, "26": 14},
        defaults={"gnu++98": 0, "gnu++14": 6, "gnu++17": 11, "gnu++20": 16},
    ),
    ("clang", C): _Dialects(
        spellings={"89": 0, "99": 0, "11": 0, "17": 6, "2x": 9, "23": 18},
        defaults={"gnu11": 0, "gnu17": 11},
    ),
    ("clang", CPP): _Dialects(
        spellings={"98": 0, "11": 0, "14": 0, "1z": 0, "17": 5, "2a": 5, "20": 10, "2b": 12, "23": 17, "26": 17},
        defaults={"gnu++98": 0, "gnu++14": 6, "gnu++17": 16},
    ),
}

_EDITIONS = {"2015": (1, 27), "2018": (1, 31), "2021": (1, 56), "2024": (1, 85)}
"""Since which rustc. The first is that of `--edition` itself, without which rustc cannot be asked for any:
https://github.com/rust-lang/rust/pull/50080"""
_CHANNELS = ("beta", "nightly", "dev")
"""Versions of rustc that have no number, and are newer than any that has one."""

_NUMBERS = re.compile(r"([0-9]{1,9})(?:\.([0-9]{1,9}))?")
_MOST_GO = 999
"""The last minor version that is taken for one: each has an entry for every one before it."""


def toolchain(name: str, languages: Sequence[str] = ()) -> Toolchain | None:
    """The toolchain of this name, as `gcc-13`, `gcc-13.2.0`, `rustc-1.85`, `rustc-nightly`, with the standards that it
    takes and its defaults: for these languages, or for all of its family.

    The name is kept as it is. `compilers` has "" for each language, until a compile tells.

    None for a family that is not known, for a version that does not say enough (`gcc-latest`, `go-1`) or with which
    this cannot work (rustc before 1.27), and where it compiles none of the languages.
    """
    family, _, version = name.partition("-")
    found = _standards(family, version)
    standards = {language: each[0] for language, each in found.items() if not languages or language in languages}
    if not standards:
        return None
    return Toolchain(
        family=family,
        version=version,
        compilers=dict.fromkeys(standards, ""),
        standards=standards,
        defaults={language: found[language][1] for language in standards},
    )


def _standards(family: str, version: str) -> dict[str, tuple[dict[str, str], str]]:
    """By language, the spelling of each standard and the default; empty where nothing is known."""
    match = _NUMBERS.match(version)
    major = int(match[1]) if match else None
    minor = int(match[2]) if match and match[2] else None
    if family == "rustc" and version in _CHANNELS:
        return _rust(max(_EDITIONS.values()))
    if family == "rustc" and major is not None and minor is not None:
        return _rust((major, minor))
    if family == "go" and major == 1 and minor is not None and compilers.OLDEST_GO_LANGUAGE <= minor <= _MOST_GO:
        standards = compilers.go_standards(compilers.Version("go", f"1.{minor}", version))
        return {"go": (standards, f"go1.{minor}")}
    if major is not None:
        return {
            language.name: _c(language, dialects, major)
            for (whose, language), dialects in _DIALECTS.items()
            if whose == family
        }
    return {}


def _c(language: CLanguage, dialects: _Dialects, major: int) -> tuple[dict[str, str], str]:
    accepted: dict[str, str] = {}
    for standard, spellings in language.spellings.items():
        # The first that is accepted, as in the survey.
        for spelling in spellings:
            if (since := dialects.spellings.get(spelling[-2:])) is not None and since <= major:
                accepted.setdefault(standard, spelling)
    default = [standard for standard, since in dialects.defaults.items() if since <= major][-1]
    return accepted, default


def _rust(version: tuple[int, int]) -> dict[str, tuple[dict[str, str], str]]:
    editions = {edition: edition for edition, since in _EDITIONS.items() if since <= version}
    return {"rust": (editions, tuple(editions)[-1])} if editions else {}
