"""What a compiler says of itself: its version and the standards it takes, on whichever backend it is asked."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple, Protocol

from willitcompile.languages.c_family import CPP, DRIVERS, C

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

FAMILIES = ("gcc", "clang", "go", "rustc")
"""In the order of the catalogue."""

VERSION_MACROS = {
    "gcc": ("__GNUC__", "__GNUC_MINOR__", "__GNUC_PATCHLEVEL__"),
    "clang": ("__clang_major__", "__clang_minor__", "__clang_patchlevel__"),
}
OLDEST_GO_LANGUAGE = 1
"""go1.1: the compiler takes any since then."""
EDITIONS = ("2015", "2018", "2021", "2024", "2027")
"""Those that rustc may know, oldest first; each is asked about."""


class Unusable(Exception):
    """A program that cannot be offered as a compiler; the text says why."""


class Answer(NamedTuple):
    """What a program said. Undecodable bytes are kept as surrogates, since the text may hold paths."""

    code: int
    out: str
    err: str


class Asker(Protocol):
    """Runs a compiler to ask it something."""

    def ask(self, *argv: str, **environment: str) -> Answer:
        """Raises Unusable, also where the program says that it failed."""

    def try_each(self, questions: Iterable[Sequence[str]]) -> list[Answer | None]:
        """The answers in order, None where there is none or the program failed."""


class Version(NamedTuple):
    family: str
    version: str
    """See `Toolchain.version`."""
    full: str
    """To the patch level: `12.2.0`."""


def first_line(text: str) -> str:
    return text.partition("\n")[0].strip()


def macros(text: str) -> dict[str, str]:
    """What `-dM -E` printed."""
    found = {}
    for line in text.splitlines():
        word, _, rest = line.partition(" ")
        if word == "#define":
            name, _, value = rest.partition(" ")
            found[name] = value
    return found


def c_version(family: str, text: str) -> Version:
    """From the predefined macros of a gcc or a clang. Raises Unusable."""
    defined = macros(text)
    if family == "gcc" and "__clang__" in defined:
        raise Unusable("is clang under the name of gcc")
    names = VERSION_MACROS[family]
    if not all(defined.get(name, "").isdecimal() for name in names):
        raise Unusable(f"does not answer like a {family}")
    numbers = [defined[name] for name in names]
    return Version(family, numbers[0], ".".join(numbers))


def c_standards(
    family: str, programs: Mapping[str, str], asker: Asker, complete: Callable[[str, str], bool]
) -> dict[str, tuple[dict[str, str], str]]:
    """By language, the spelling of each standard that is accepted, and the standard where none is named.

    `programs` are by role; `complete(driver, language)` tells whether a driver has the compiler proper that it runs.
    """
    found = {}
    for language in (C, CPP):
        driver = programs.get(DRIVERS[family, language.name])
        if driver is None or not complete(driver, language.name):
            continue
        ask = [driver, "-x", language.name, "-dM", "-E", "/dev/null"]
        spellings = [(name, spelling) for name, known in language.spellings.items() for spelling in known]
        unasked, *answers = asker.try_each([ask, *([*ask, f"-std={spelling}"] for _, spelling in spellings)])
        accepted: dict[str, tuple[str, str]] = {}
        for (name, spelling), answer in zip(spellings, answers, strict=True):
            # gcc takes a standard of another language with no more than a warning.
            if answer is not None and not answer.err:
                accepted.setdefault(name, (spelling, answer.out))
        if unasked is None or not accepted:
            continue
        default = _same_macros(unasked, accepted)
        found[language.name] = ({name: spelling for name, (spelling, _) in accepted.items()}, default)
    return found


def _same_macros(unasked: Answer, accepted: Mapping[str, tuple[str, str]]) -> str:
    """The standard that predefines what the compiler does unasked; the newest where none is the same."""
    same = (name for name, (_, defined) in accepted.items() if defined == unasked.out)
    return next(same, tuple(accepted)[-1])


def go_version(first: str) -> Version:
    """From `go version`: "go version go1.26.8 linux/amd64", "go version devel go1.27-0a1b2c …". Raises Unusable."""
    match = re.match(r"go version (?:devel )?go1\.(\d+)([.\w]*)", first)
    if match is None:
        raise Unusable("does not answer like a go")
    return Version("go", f"1.{match[1]}", f"1.{match[1]}{match[2]}")


def go_standards(version: Version) -> dict[str, str]:
    minor = int(version.version.partition(".")[2])
    return {f"go1.{number}": f"go1.{number}" for number in range(OLDEST_GO_LANGUAGE, minor + 1)}


def rust_version(first: str) -> Version:
    """From `rustc --version`: "rustc 1.95.0 (59807616e 2026-04-14)", "rustc 1.97.0-nightly (…)". Raises Unusable."""
    match = re.match(r"rustc (\d+\.\d+)(\.\d+)(?:-([a-z]+))?", first)
    if match is None:
        raise Unusable("does not answer like a rustc")
    number, patch, channel = match.groups()
    return Version("rustc", channel or number, number + patch + (f"-{channel}" if channel else ""))


def rust_editions(program: str, asker: Asker) -> tuple[dict[str, str], str]:
    """The editions that it takes, and its sysroot. Raises Unusable."""
    answers = asker.try_each([program, "--edition", edition, "--print", "sysroot"] for edition in EDITIONS)
    editions = {edition: edition for edition, answer in zip(EDITIONS, answers, strict=True) if answer}
    sysroot = answers[0].out.strip() if answers[0] else ""
    if not sysroot.startswith("/"):
        raise Unusable("does not say where its libraries are")
    return editions, sysroot
