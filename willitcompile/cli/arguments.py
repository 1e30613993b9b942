"""What a `check` command line says, whichever of the two parsers read it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping


class CheckArguments(NamedTuple):
    paths: tuple[str, ...]
    settings: Mapping[str, tuple[str, ...]]
    """By the name of a setting, what was typed for it, not yet judged: `willitcompile.config` does that."""

    output: str | None
    config: str | None
    quiet: bool
    verbose: bool
    watch: bool = False


OPTIONS: dict[str, str] = {
    "-c": "compiler",
    "--compiler": "compiler",
    "-s": "std",
    "--std": "std",
    "-l": "language",
    "--language": "language",
    "-b": "backend",
    "--backend": "backend",
    "-I": "include",
    "--include": "include",
    "-D": "define",
    "--define": "define",
    "-W": "warning",
    "--warning": "warning",
    "--flag": "flag",
    "--images": "images",
    "-j": "jobs",
    "--jobs": "jobs",
    "--timeout": "timeout",
    "--memory": "memory",
    "--cpus": "cpus",
    "--max-output": "max-output",
    "--max-file-size": "max-file-size",
    "--max-unit-size": "max-unit-size",
    "-f": "format",
    "--format": "format",
    "-o": "output",
    "--output": "output",
    "--cache-size": "cache-size",
    "--shared-cache": "shared-cache",
    "--color": "color",
    "--context": "context",
    "--namespace": "namespace",
    "--config": "config",
}
"""The options that take a value, and what it is for."""

SWITCHES: dict[str, str] = {
    "--link": "link",
    "--no-cache": "no-cache",
    "--no-expectations": "no-expectations",
    "--watch": "watch",
    "-q": "quiet",
    "--quiet": "quiet",
    "-v": "verbose",
    "--verbose": "verbose",
}

MANY = frozenset({"compiler", "std", "include", "define", "warning", "flag", "images", "format"})
"""What may be repeated; of all else the last counts."""


def arguments(paths: list[str], values: Mapping[str, list[str]], switches: frozenset[str]) -> CheckArguments:
    """From what was typed: `values` by what they are for, and the switches that were there."""
    settings = {
        name: tuple(given) if name in MANY else (given[-1],)
        for name, given in values.items()
        if given and name not in {"output", "config"}
    }
    if "link" in switches:
        settings["link"] = ("true",)
    for name in ("cache", "expectations"):
        if f"no-{name}" in switches:
            settings[name] = ("false",)
    return CheckArguments(
        paths=tuple(paths),
        settings=settings,
        output=_last(values, "output"),
        config=_last(values, "config"),
        quiet="quiet" in switches,
        verbose="verbose" in switches,
        watch="watch" in switches,
    )


def _last(values: Mapping[str, list[str]], name: str) -> str | None:
    given = values.get(name)
    return given[-1] if given else None
