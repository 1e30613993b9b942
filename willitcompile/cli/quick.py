"""Read a `check` command line without typer, whose import takes longer than all else together.

Only a line with nothing unusual in it: known options, each with its value, and paths. Anything else, a
request for help or a slip, is typer's, the authority on what is right and what is said about it. A test holds
the two to the same results.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from willitcompile.cli.arguments import OPTIONS, SWITCHES, arguments

if TYPE_CHECKING:
    from collections.abc import Sequence

    from willitcompile.cli.arguments import CheckArguments


def parse(argv: Sequence[str]) -> CheckArguments | None:
    """The arguments that follow `check`; None where typer should look."""
    paths: list[str] = []
    values: dict[str, list[str]] = {}
    switches: set[str] = set()
    rest = list(reversed(argv))
    while rest:
        word = rest.pop()
        if word == "--":
            paths += reversed(rest)
            break
        if len(word) < 2 or word[0] != "-":
            paths.append(word)
        elif word[1] == "-":
            name, equals, value = word.partition("=")
            if name in SWITCHES and not equals:
                switches.add(SWITCHES[name])
                continue
            if name not in OPTIONS or not (equals or rest):
                return None
            values.setdefault(OPTIONS[name], []).append(value if equals else rest.pop())
        elif not _short(word, rest, values, switches):
            return None
    return arguments(paths, values, frozenset(switches))


def _short(word: str, rest: list[str], values: dict[str, list[str]], switches: set[str]) -> bool:
    """`-q`, `-qv`, `-c gcc`, `-cgcc`, `-qcgcc`: switches, and at most one option with its value last."""
    for place in range(1, len(word)):
        letter = "-" + word[place]
        if letter in SWITCHES:
            switches.add(SWITCHES[letter])
            continue
        value = word[place + 1 :]
        if letter not in OPTIONS or not (value or rest):
            return False
        values.setdefault(OPTIONS[letter], []).append(value or rest.pop())
        break
    return True
