"""What sources need at least, as text and as JSON."""

from __future__ import annotations

import shlex
from itertools import product
from typing import TYPE_CHECKING

from willitcompile import languages
from willitcompile.model import Verdict
from willitcompile.reports.json import dumps
from willitcompile.reports.safe import safe_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from willitcompile.minimum import SourceMinimum
    from willitcompile.minimum.family import FamilyMinimum, Span, Tried
    from willitcompile.reports import Style

    Render = Callable[[str, Sequence[SourceMinimum], Style], str]

VERSION = 1


def as_text(backend: str, found: Sequence[SourceMinimum], style: Style) -> str:
    """A line for each source, and below it what was tried; with `style.quiet` the line alone."""
    lines = [] if style.quiet else [f"backend: {backend}"]
    for each in found:
        lines.append(f"{each.source}: {_answer(each)}")
        if not style.quiet:
            lines += [f"  {line}" for line in _details(each, verbose=style.verbose)]
    return "".join(f"{safe_line(line)}\n" for line in lines)


def as_json(backend: str, found: Sequence[SourceMinimum], style: Style) -> str:  # noqa: ARG001 - the same for all
    """Version 1; docs/minimum.md tells each field."""
    described = [
        {"source": each.source, "language": each.language, "families": [_as_dict(family) for family in each.families]}
        for each in found
    ]
    return dumps({"version": VERSION, "backend": backend, "minimum": described}) + "\n"


FORMATS: dict[str, Render] = {"text": as_text, "json": as_json}


def _as_dict(family: FamilyMinimum) -> dict[str, object]:
    return {
        "family": family.family,
        "standard": _span_as_dict(family.standard),
        "toolchain": _span_as_dict(family.toolchain),
        "needs_extensions": family.needs_extensions,
        "is_oldest": family.is_oldest,
        "is_monotonic": family.is_monotonic,
        "toolchains": list(family.toolchains),
        "tried": [
            {
                "toolchain": each.toolchain,
                "standard": each.standard,
                "is_pedantic": each.is_pedantic,
                "verdict": each.verdict and str(each.verdict),
            }
            for each in family.tried
        ],
    }


def _span_as_dict(span: Span | None) -> dict[str, object] | None:
    return {"first": span.first, "last": span.last, "others": list(span.others)} if span else None


def _answer(found: SourceMinimum) -> str:
    able = [each for each in found.families if each.standard]
    if not able:
        return "nothing here compiles it"
    # Families that need the same stand together.
    needs: dict[str, list[str]] = {}
    for each in able:
        needs.setdefault(_standards(each), []).append(_versions(each))
    if len(needs) == 1:
        [(standard, versions)] = needs.items()
        answer = f"needs {standard}; {', '.join(versions)}"
    else:
        answer = "needs " + "; ".join(f"{standard} with {', '.join(versions)}" for standard, versions in needs.items())
    return answer + "".join(f"; no {each.family} here compiles it" for each in found.families if not each.standard)


def _standards(found: FamilyMinimum) -> str:
    span = found.standard
    if span is None:
        return ""
    text = _titled(span.first)
    if found.needs_extensions and not span.first.startswith("gnu"):
        text += " and extensions"
    if span.last:
        text += " and no other" if span.last == span.first else f" to {_titled(span.last)}, none later"
    if span.others:
        text += f" (also {', '.join(map(_titled, span.others))}, but not all between)"
    return text


def _titled(standard: str) -> str:
    """
    >>> _titled("c++20"), _titled("gnu17"), _titled("go1.22"), _titled("2021")
    ('C++20', 'gnu17', 'Go 1.22', 'edition 2021')
    """
    if standard.startswith("c"):
        return standard.upper()
    if standard.startswith("go"):
        return f"Go {standard.removeprefix('go')}"
    return f"edition {standard}" if standard.isdecimal() else standard


def _versions(found: FamilyMinimum) -> str:
    span = found.toolchain
    if span is None:
        return ""
    first, newest = _version(span.first), _version(found.toolchains[-1])
    if found.is_oldest and not span.last:
        several = f"{first} to {newest}" if first != newest else first
        return f"any {found.family} here ({several})"
    if span.last:
        text = first if span.last == span.first else f"{first} to {_version(span.last)}"
        text += ", none later"
    else:
        text = f"{first} or later"
    if span.others:
        text += f" (also {', '.join(map(_version, span.others))}, but not all between)"
    return f"{found.family} {text}"


def _version(toolchain: str) -> str:
    return toolchain.partition("-")[2]


def _details(found: SourceMinimum, *, verbose: bool) -> Iterator[str]:
    """What was tried. At which standards only where it matters."""
    for family in found.families:
        if family.standard is None:
            yield f"{family.family}: {', '.join(_outcomes(family))}"
            continue
        outcomes = [
            f"{_version(name)} {_outcome(each)}"
            for name in family.toolchains
            if (each := _at(family.tried, name, family.standard.first))
        ]
        yield f"{family.family} at {family.standard.first}: {', '.join(outcomes)}"
        if verbose or family.standard.last or family.standard.others or _is_unclear(family):
            yield from _tried_standards(family, languages.language(found.language).standards)
    if not any(family.standard for family in found.families):
        yield f"to see why: will-it-compile check {shlex.quote(found.source)} -c {found.families[0].toolchains[-1]}"


def _at(tried: Sequence[Tried], toolchain: str, standard: str) -> Tried | None:
    """The last try of a toolchain at a standard: where extensions were errors, and it compiled, the only one."""
    those = (each for each in reversed(tried) if each.toolchain == toolchain and each.standard == standard)
    return next(those, None)


def _outcomes(family: FamilyMinimum) -> Iterator[str]:
    """Of each version that was tried, whatever it said at any standard."""
    for toolchain in family.toolchains:
        said = dict.fromkeys(_outcome(each) for each in family.tried if each.toolchain == toolchain)
        if said:
            yield f"{_version(toolchain)} {' or '.join(said)}"


def _tried_standards(family: FamilyMinimum, standards: Sequence[str]) -> Iterator[str]:
    """A line for each version that was tried at several, in the order of `standards`."""
    for toolchain, is_pedantic in product(family.toolchains, (True, False)):
        tries = [each for each in family.tried if each.toolchain == toolchain and each.is_pedantic == is_pedantic]
        if len(tries) > 1:
            outcomes = [f"{each.standard} {_outcome(each)}" for each in sorted(tries, key=_place_in(standards))]
            with_flag = " with -pedantic-errors" if is_pedantic else ""
            yield f"{family.family} {_version(toolchain)}{with_flag}: {', '.join(outcomes)}"


def _place_in(standards: Sequence[str]) -> Callable[[Tried], int]:
    return lambda tried: standards.index(tried.standard)


def _outcome(tried: Tried) -> str:
    return str(tried.verdict) if tried.verdict else f"does not know {tried.standard}"


def _is_unclear(family: FamilyMinimum) -> bool:
    """Whether a try ended in what is neither yes nor no, as at a limit."""
    return any(each.verdict not in {Verdict.COMPILED, Verdict.REJECTED, None} for each in family.tried)
