"""What a source needs of one compiler, found without compiling: a generator asks for that, and is sent the verdicts."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from willitcompile.minimum.search import search
from willitcompile.model import Verdict

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence
    from typing import TypeAlias, TypeVar

    from willitcompile.minimum.search import Steps
    from willitcompile.model import Toolchain

    T = TypeVar("T")
    Compiling: TypeAlias = Generator[Sequence["Try"], Sequence[Verdict], T]
    """Yields what to compile with next, and is sent how each ended."""


class Try(NamedTuple):
    """A compile of the source."""

    toolchain: Toolchain
    standard: str
    is_pedantic: bool = False
    """Whether extensions are errors. Else compilers take much of a standard before it, with no more than a warning."""


class Tried(NamedTuple):
    """What came of one."""

    toolchain: str
    standard: str
    is_pedantic: bool
    verdict: Verdict | None
    """None where the toolchain does not know the standard, so that nothing had to be compiled."""


class Span(NamedTuple):
    """Where a source compiles, on a row of standards or of toolchains, by their names. See `Steps`."""

    first: str
    """The lowest of the last unbroken stretch."""

    last: str | None = None
    """The highest of it; None where that is the end of the row: all from `first` on."""

    others: tuple[str, ...] = ()
    """Lower ones, with some between that do not take it."""


class FamilyMinimum(NamedTuple):
    """What a source needs of one compiler."""

    family: str
    toolchains: tuple[str, ...]
    """Those there were to look at, oldest first, whether or not each was tried."""

    standard: Span | None
    """None where nothing that was tried compiles it, as for `toolchain`."""

    toolchain: Span | None
    """At the first of those standards, and whatever extensions it takes."""

    needs_extensions: bool
    """Whether no standard has all that the source uses, so that extensions were let pass for `standard` too."""

    tried: tuple[Tried, ...]
    """In the order in which they were."""

    @property
    def is_oldest(self) -> bool:
        """Whether the oldest there is takes it, so that one still older might."""
        return self.toolchain is not None and self.toolchain.first == self.toolchains[0]

    @property
    def is_monotonic(self) -> bool:
        """Whether what compiles once compiles ever after: no later standard and no later version rejects it."""
        return not any(span.others or span.last for span in (self.standard, self.toolchain) if span)


class Tries:
    """What was tried of one compiler, so that nothing is compiled twice."""

    def __init__(self, language: str) -> None:
        self._language = language
        self._verdicts: dict[tuple[str, str, bool], Verdict | None] = {}

    def compiles(self, tried: Try) -> bool:
        """What compiles where extensions are errors does so where they are not."""
        found = (self._verdicts.get((tried.toolchain.name, tried.standard, each)) for each in {True, tried.is_pedantic})
        return Verdict.COMPILED in found

    def compile(self, tries: Sequence[Try]) -> Compiling[None]:
        """Those that are new, and whose toolchain knows the standard."""
        new = [each for each in tries if _key(each) not in self._verdicts and not self.compiles(each)]
        able = [each for each in new if each.standard in each.toolchain.standards[self._language]]
        verdicts = (yield able) if able else ()
        self._verdicts.update({_key(each): None for each in new})
        self._verdicts.update(zip(map(_key, able), verdicts, strict=True))

    def along(self, row: Sequence[Try]) -> Compiling[Steps]:
        """Search a row of them."""
        asking = search(len(row))
        places = next(asking)
        while True:
            yield from self.compile([row[place] for place in places])
            try:
                places = asking.send({place: self.compiles(row[place]) for place in places})
            except StopIteration as end:
                steps: Steps = end.value
                return steps

    def standards(self, toolchain: Toolchain) -> Compiling[tuple[Span, bool] | None]:
        """Search those of a toolchain: without any extension, then with those that pass, then with all of GNU's.

        Returns them, and whether it took extensions.
        """
        known = toolchain.standards[self._language]
        gnu = [each for each in known if each.startswith("gnu")]
        strict = [each for each in known if each not in gnu]
        for names, is_pedantic in ((strict, bool(gnu)), (strict, False), (gnu, False)):
            steps = yield from self.along([Try(toolchain, name, is_pedantic) for name in names])
            if span := _span(steps, names):
                return span, bool(gnu) and not is_pedantic
            if not gnu:
                break
        return None

    def all(self) -> tuple[Tried, ...]:
        return tuple(Tried(*key, verdict) for key, verdict in self._verdicts.items())


def _key(tried: Try) -> tuple[str, str, bool]:
    return tried.toolchain.name, tried.standard, tried.is_pedantic


def find(toolchains: Sequence[Toolchain], language: str) -> Compiling[FamilyMinimum]:
    """What a source of this language needs, of these versions of one compiler, oldest first."""
    tries = Tries(language)
    found = yield from tries.standards(toolchains[-1])
    if found is None:
        # What new versions have given up, an old one may take.
        older = [Try(each, each.defaults[language]) for each in reversed(toolchains[:-1])]
        yield from tries.compile(older)
        if taken := next((each for each in older if tries.compiles(each)), None):
            found = (yield from tries.standards(taken.toolchain)) or (Span(taken.standard), True)
    standard, needs_extensions = found or (None, False)
    versions = None
    if standard is not None:
        steps = yield from tries.along([Try(each, standard.first) for each in toolchains])
        versions = _span(steps, [each.name for each in toolchains])
    return FamilyMinimum(
        family=toolchains[0].family,
        toolchains=tuple(each.name for each in toolchains),
        standard=standard,
        toolchain=versions,
        needs_extensions=needs_extensions,
        tried=tries.all(),
    )


def _span(steps: Steps, names: Sequence[str]) -> Span | None:
    if steps.first is None or steps.last is None:
        return None
    last = None if steps.last == len(names) - 1 else names[steps.last]
    return Span(names[steps.first], last, tuple(names[place] for place in steps.others))
