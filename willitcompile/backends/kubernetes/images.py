"""Which image stands for a toolchain in a cluster, and whether it is what it should be."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from willitcompile import toolchains
from willitcompile.backends import known
from willitcompile.backends.compilers import first_line
from willitcompile.backends.references import OFFICIAL, PINNED, candidates, known_names, pins
from willitcompile.errors import BackendFailed, ToolchainMissing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from willitcompile.backends import Wanted
    from willitcompile.backends.containers import Outcome
    from willitcompile.backends.references import Candidate
    from willitcompile.model import CompileJob, Toolchain


class Images:
    """What the settings and the catalogue say; the cluster is not asked."""

    def __init__(self, images: Sequence[str]) -> None:
        """`images` is as in `Opening`. Raises ConfigError."""
        self._pinned = pins(images)
        self._catalogue = toolchains.load_catalogue()
        self._names = known_names(self._catalogue, self._pinned)

    def toolchains(self, *, only_obtainable: bool) -> list[Toolchain]:
        """Each with its image as its origin. What nobody publishes may yet be on the nodes."""
        found = []
        for name in self._names:
            candidate = self._candidate(name)
            toolchain = known.toolchain(name)
            if toolchain and (candidate.source in {PINNED, OFFICIAL} or not only_obtainable):
                found.append(toolchain._replace(origin=candidate.reference))
        return found

    def wanted(self, wanted: Wanted | None) -> list[Toolchain]:
        """Those to choose from. Of `all` and of ranges these are the obtainable ones, or of a range that has none all
        that are in it, as with what is asked for by name."""
        obtainable = self.toolchains(only_obtainable=True)
        if wanted is None:
            return obtainable
        every = self.toolchains(only_obtainable=False)
        if not any(map(toolchains.is_selector, wanted.compilers)):
            return every
        chosen = {each.name for each in obtainable}
        for asked in wanted.compilers:
            meant = {each.name for each in every if toolchains.fits(asked, each)}
            if not toolchains.is_selector(asked) or not meant & chosen:
                chosen |= meant
        return [each for each in every if each.name in chosen]

    def of(self, name: str) -> str:
        """The image of a toolchain. Raises ToolchainMissing."""
        if name not in self._names:
            raise ToolchainMissing(
                f"compile with {name}",
                "nothing says which image has it",
                f"use one of: {', '.join(self._names)}; or say it: images: {name}=registry.example.org/IMAGE",
            )
        return self._candidate(name).reference

    def _candidate(self, name: str) -> Candidate:
        """What is pinned, else the official one, which any node can pull, else ours by its name."""
        possible = candidates(name, self._catalogue, self._pinned)
        return next((each for each in possible if each.source == OFFICIAL), possible[0])

    def confirm(self, job: CompileJob, version: Outcome) -> str:
        """The compiler's own name and version, from what it answered. Raises BackendFailed where it is another one."""
        image = self.of(job.toolchain)
        line = first_line(version.stdout.decode(errors="backslashreplace"))
        obstacle = another(job.toolchain, job.argv[0], version)
        if obstacle:
            raise BackendFailed(
                f"use the image {image} as {job.toolchain}",
                obstacle,
                f"name another: images: {job.toolchain}=…; will-it-compile images build {job.toolchain} makes one",
            )
        return line


def another(toolchain: str, program: str, version: Outcome) -> str | None:
    """Why what answered is not the compiler of this toolchain; None where it is."""
    if version.ending.failure:
        return version.ending.failure
    if version.ending.exit_code != 0:
        said = version.stderr.decode(errors="backslashreplace").strip()[:200]
        return f"its {program} does not tell its version{': ' if said else ''}{said}"
    line = first_line(version.stdout.decode(errors="backslashreplace"))
    return None if _is(toolchain, line) else f"its {program} is {line[:100]!r}"


def _is(name: str, line: str) -> bool:
    """What stands in parentheses is of who built it: the 12.2.0 of Debian 12 is its 12.2.0-14.

    >>> _is("gcc-13", "g++ (Debian 13.3.0-6) 13.3.0"), _is("gcc-14", "g++ (Debian 12.2.0-14) 12.2.0")
    (True, False)
    >>> _is("go-1.2", "go version go1.26.1 linux/amd64"), _is("clang-19", "Debian clang version 19.1.7 (3+b1)")
    (False, True)
    """
    version = name.partition("-")[2]
    told = re.sub(r"\([^)]*\)", " ", line)
    return not version[:1].isdecimal() or bool(re.search(rf"(?<![\d.-]){re.escape(version)}(?![\d])", told))
