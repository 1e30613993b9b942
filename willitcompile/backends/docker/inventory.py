"""Which toolchain images a daemon has, and where those come from that it has not."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from willitcompile import toolchains
from willitcompile.backends import Opening
from willitcompile.backends.docker.engine import EngineError, Gone
from willitcompile.backends.docker.images import Images
from willitcompile.backends.references import known_names, pins, to_pull
from willitcompile.errors import BackendFailed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from willitcompile.backends.docker.engine import Engine
    from willitcompile.toolchains import Catalogue


class Entry(NamedTuple):
    """A toolchain, and what there is of it."""

    toolchain: str
    image: str | None = None
    """The image that serves as it; None where there is none, or where nobody knows."""
    source: str | None = None
    """Of that image: `pinned`, `built here` or `official`."""
    size: int | None = None
    """In bytes, of which other images may share some."""
    ready: bool = False
    """Whether a compile can start at once. Else it is made ready by the first one."""
    release: str | None = None
    """The release of Debian from which `images build` makes one; None where it cannot."""
    pull: str | None = None
    """What `images pull` pulls; None where there is nothing."""


def survey(engine: Engine | None, images: Sequence[str]) -> list[Entry]:
    """An entry for each toolchain; without an engine, only where its image could come from.

    `images` is as in `Opening`. Raises ConfigError, and BackendFailed.
    """
    catalogue = toolchains.load_catalogue()
    pinned = pins(images)
    absent = [_absent(name, catalogue, pinned) for name in known_names(catalogue, pinned)]
    if engine is None:
        return absent
    try:
        seen = Images(engine, "", Opening(images=tuple(images)))
        return [_with_image(entry, seen) for entry in absent]
    except (EngineError, Gone) as error:
        raise BackendFailed("list the images", str(error), "docker images") from error


def _absent(name: str, catalogue: Catalogue, pinned: Mapping[str, str]) -> Entry:
    pull = to_pull(name, catalogue, pinned)
    arguments = catalogue.build_arguments(name)
    return Entry(
        name,
        release=arguments["RELEASE"] if arguments else None,
        pull=pull.reference if pull else None,
    )


def _with_image(entry: Entry, seen: Images) -> Entry:
    present = seen.find(entry.toolchain)
    if present is None:
        return entry
    return entry._replace(
        image=present.candidate.reference,
        source=present.candidate.source,
        size=present.size,
        ready=seen.ready(entry.toolchain) is not None,
    )
