"""The toolchain images of a daemon: which are there, which can be had, and making those ready that are asked for."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from willitcompile import toolchains
from willitcompile.backends import Wanted
from willitcompile.backends.docker import ready as ready_images
from willitcompile.backends.docker.references import Candidate, candidates, own_image, pins
from willitcompile.errors import ToolchainMissing

if TYPE_CHECKING:
    from collections.abc import Iterable

    from willitcompile.backends import Opening
    from willitcompile.backends.docker.engine import Engine
    from willitcompile.backends.docker.ready import Ready
    from willitcompile.toolchains import Catalogue

_AT_ONCE = 4
"""Images that are made ready at one time."""


class Present(NamedTuple):
    """An image that is there and may serve as a toolchain."""

    candidate: Candidate
    id: str
    size: int
    """In bytes."""


class Images:
    """What one backend, with its settings, sees of a daemon's images. Not thread-safe."""

    def __init__(self, engine: Engine, session: str, opening: Opening) -> None:
        self._engine = engine
        self._session = session
        self._notify = opening.notify
        self._progress = opening.progress
        self._pinned = pins(opening.images)
        self._listed: dict[str, tuple[str, int]] | None = None
        self._made: dict[str, Ready] | None = None
        self._catalogue: Catalogue | None = None

    @property
    def catalogue(self) -> Catalogue:
        if self._catalogue is None:
            self._catalogue = toolchains.load_catalogue()
        return self._catalogue

    def forget(self) -> None:
        """Look again: something was removed or replaced."""
        self._listed = self._made = None

    def made_ready(self) -> dict[str, Ready]:
        """The ready images of the daemon by toolchain, stale ones too. Raises EngineError and Gone."""
        self._list()
        assert self._made is not None  # noqa: S101 - it has listed them
        return self._made

    def obtain(self, wanted: Wanted | None) -> dict[str, Ready]:
        """Make ready what is wanted, pulling what is not there; None for everything that is there.

        A name that is nobody's is left for the caller to miss. Raises EngineError, Gone, and BackendFailed.
        """
        if wanted is not None and (quickly := self._ready_already(wanted)) is not None:
            return quickly
        names = self.present() if wanted is None else self._names(wanted)
        missing = [name for name in names if self._ready(name) is None]
        for name in missing:
            if not self._present(name):
                self._pull(name)
        if missing:
            from concurrent.futures import ThreadPoolExecutor

            with ThreadPoolExecutor(_AT_ONCE) as pool:
                list(pool.map(self._make, missing))
        return {name: ready for name in names if (ready := self._ready(name))}

    def has(self, wanted: Wanted) -> bool:
        if wanted == Wanted():
            return bool(self.present())
        names = self._names(wanted)
        return bool(names) and all(self._ready(name) or self._present(name) for name in names)

    def present(self) -> list[str]:
        """The toolchains that there are images of, in the order of the catalogue."""
        return [name for name in self._known() if self._present(name)]

    def _ready_already(self, wanted: Wanted) -> dict[str, Ready] | None:
        """What is wanted, where all of it is ready; then nobody needs the catalogue, which takes 20 ms to read."""
        if self._pinned or toolchains.EVERY in wanted.compilers:
            return None
        ready = {name: each for name in self.made_ready() if (each := self._ready(name))}
        available = [each.toolchain for each in ready.values()]
        try:
            names = [toolchains.resolve(each, available, None, "docker").name for each in wanted.compilers]
            for language in wanted.languages:
                if not any(language in ready[name].toolchain.languages for name in names):
                    names.append(toolchains.default(available, language, "docker").name)
        except ToolchainMissing:
            return None
        return {name: ready[name] for name in names}

    def find(self, name: str) -> Present | None:
        """The image that serves as a toolchain here."""
        return self._present(name)

    def candidates(self, name: str) -> list[Candidate]:
        return candidates(name, self.catalogue, self._pinned)

    def _known(self) -> list[str]:
        return [
            *self.catalogue.names,
            *(name for name in self._pinned if "-" in name and name not in self.catalogue.names),
        ]

    def _names(self, wanted: Wanted) -> list[str]:
        """The toolchains that a check is about, each once."""
        names: dict[str, None] = {}
        for asked in wanted.compilers:
            if asked == toolchains.EVERY:
                speak = [name for name in self.present() if self._speaks(name, wanted.languages)]
                names.update(dict.fromkeys(speak))
            elif name := self._named(asked):
                names[name] = None
        for language in wanted.languages:
            if not any(self._speaks(name, (language,)) for name in names):
                speak = [name for name in self._known() if self._speaks(name, (language,))]
                if default := self._first(speak):
                    names[default] = None
        return list(names)

    def _named(self, asked: str) -> str | None:
        """The toolchain that a user means: for a family, the first that is there."""
        family, version = toolchains.parts(asked)
        if not version:
            return self._first(name for name in self._known() if name.partition("-")[0] == family)
        known = self._known()
        while version:
            if f"{family}-{version}" in known:
                return f"{family}-{version}"
            version = version.rpartition(".")[0]
        return None

    def _first(self, names: Iterable[str]) -> str | None:
        names = list(names)
        return next((name for name in names if self._ready(name) or self._present(name)), names[0] if names else None)

    def _speaks(self, name: str, languages: Iterable[str]) -> bool:
        family = self.catalogue.families.get(name.partition("-")[0])
        return bool(family and set(languages) & set(family.languages))

    def _present(self, name: str) -> Present | None:
        listed = self._list()
        for candidate in self.candidates(name):
            if found := listed.get(_full(candidate.reference)):
                return Present(candidate, *found)
        return None

    def _list(self) -> dict[str, tuple[str, int]]:
        """By tag or digest, the id and size of each image."""
        if self._listed is None:
            self._listed = {}
            images = self._engine.call("GET", "/images/json") or ()
            self._made = ready_images.among(images)
            for image in images:
                about = (str(image["Id"]), int(image.get("Size") or 0))
                for reference in (*(image.get("RepoTags") or ()), *(image.get("RepoDigests") or ())):
                    self._listed[_full(reference)] = about
        return self._listed

    def _ready(self, name: str) -> Ready | None:
        """The ready image of a toolchain, if it was made of what serves as the toolchain now."""
        ready = self.made_ready().get(name)
        if ready is None or self._pinned:
            serving = self._present(name) if ready else None
            return ready if ready and serving and serving.id == ready.base else None
        listed = self._list()
        # Ours goes before all others; this needs no catalogue, which takes 20 ms to read.
        serving_now = listed.get(_full(own_image(name))) or listed.get(_full(ready.reference))
        return ready if serving_now is None or serving_now[0] == ready.base else None

    def _make(self, name: str) -> None:
        present = self._present(name)
        if present is None:
            return
        reference = present.candidate.reference
        self._notify(f"making {reference} ready to compile with {name}, once")
        made = ready_images.make(self._engine, name, reference, self._session, self._notify)
        self.made_ready()[name] = made

    def _pull(self, name: str) -> None:
        """Raises ToolchainMissing where there is nothing to pull, and BackendFailed where it cannot be had."""
        pullable = [each for each in self.candidates(name) if each.can_be_pulled]
        if not pullable:
            raise ToolchainMissing(
                f"compile with {name}",
                "there is no image of it, and none to pull",
                f"will-it-compile images build {name}",
            )
        from willitcompile.backends.docker.registry import fetch

        fetch(self._engine, f"compile with {name}", name, pullable[-1], self._notify, self._progress)
        self.forget()


def _full(reference: str) -> str:
    """As the daemon lists it: with a tag, and without the registry that everybody means.

    >>> _full("docker.io/library/gcc:13"), _full("gcc"), _full("localhost/will-it-compile/gcc:13")
    ('gcc:13', 'gcc:latest', 'will-it-compile/gcc:13')
    """
    short = re.sub(r"^(docker\.io/(library/)?|localhost/)", "", reference)
    return short if "@" in short or ":" in short.rpartition("/")[2] else f"{short}:latest"
