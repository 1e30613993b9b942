"""The toolchain images of a daemon: which are there, which can be had, and making those ready that are asked for."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from willitcompile import toolchains
from willitcompile.backends import Wanted
from willitcompile.backends.docker import ready as ready_images
from willitcompile.backends.references import OFFICIAL, Candidate, candidates, known_names, pins, split, to_pull
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


class _Listed(NamedTuple):
    """What a daemon says of an image."""

    id: str
    size: int
    digests: tuple[str, ...]


class Images:
    """What one backend, with its settings, sees of a daemon's images. Not thread-safe."""

    def __init__(self, engine: Engine, session: str, opening: Opening) -> None:
        self._engine = engine
        self._session = session
        self._notify = opening.notify
        self._progress = opening.progress
        self._pinned = pins(opening.images)
        self._listed: dict[str, _Listed] | None = None
        self._made: list[Ready] = []
        self._catalogue: Catalogue | None = None

    @property
    def catalogue(self) -> Catalogue:
        if self._catalogue is None:
            self._catalogue = toolchains.load_catalogue()
        return self._catalogue

    def forget(self) -> None:
        """Look again: something was removed or replaced."""
        self._listed = None

    def obtain(self, wanted: Wanted | None) -> dict[str, Ready]:
        """Make ready what is wanted, pulling what is not there; None for everything that is there.

        A name that is nobody's is left for the caller to miss. Raises EngineError, Gone, and BackendFailed.
        """
        if wanted is not None and (quickly := self._ready_already(wanted)) is not None:
            return quickly
        names = self.present() if wanted is None else self._names(wanted)
        missing = [name for name in names if self.ready(name) is None]
        for name in missing:
            if not self._present(name):
                self._pull(name)
        if missing:
            from concurrent.futures import ThreadPoolExecutor

            with ThreadPoolExecutor(_AT_ONCE) as pool:
                list(pool.map(self._make, missing))
        return {name: ready for name in names if (ready := self.ready(name))}

    def has(self, wanted: Wanted) -> bool:
        if wanted == Wanted():
            return bool(self.present())
        if any(asked != toolchains.EVERY and not self._meant(asked) for asked in wanted.compilers):
            return False
        names = self._names(wanted)
        return bool(names) and all(self._present(name) for name in names)

    def present(self) -> list[str]:
        """The toolchains that there are images of, in the order of the catalogue."""
        return [name for name in self._known() if self._present(name)]

    def _ready_already(self, wanted: Wanted) -> dict[str, Ready] | None:
        """What is wanted, where all of it is ready; then nobody needs the catalogue, which takes 20 ms to read."""
        if self._pinned or any(map(toolchains.is_selector, wanted.compilers)):
            return None
        self._list()
        known = dict.fromkeys(each.toolchain.name for each in self._made)
        ready = {name: each for name in known if (each := self.ready(name))}
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

    def _known(self) -> tuple[str, ...]:
        return known_names(self.catalogue, self._pinned)

    def _names(self, wanted: Wanted) -> list[str]:
        """The toolchains that a check is about, each once."""
        names: dict[str, None] = {}
        for asked in wanted.compilers:
            if asked == toolchains.EVERY:
                speak = [name for name in self.present() if self._speaks(name, wanted.languages)]
                names.update(dict.fromkeys(speak))
            else:
                names.update(dict.fromkeys(self._meant(asked)))
        for language in wanted.languages:
            if not any(self._speaks(name, (language,)) for name in names):
                speak = [name for name in self._known() if self._speaks(name, (language,))]
                if default := self._first(speak):
                    names[default] = None
        return list(names)

    def _meant(self, asked: str) -> list[str]:
        """Of a range those that are there, else the first that could be: at most one is fetched, as of a family."""
        if not toolchains.is_selector(asked):
            return [name] if (name := self._named(asked)) else []
        names = [name for name in self._known() if toolchains.is_meant(asked, name)]
        return [name for name in names if self._present(name)] or names[:1]

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
        return next((name for name in names if self._present(name)), names[0] if names else None)

    def _speaks(self, name: str, languages: Iterable[str]) -> bool:
        family = self.catalogue.families.get(name.partition("-")[0])
        return bool(family and set(languages) & set(family.languages))

    def digest(self, ready: Ready) -> str:
        """What results name as the image: `gcc@sha256:…` where it came from a registry, else its id."""
        serving = self._present(ready.toolchain.name) if self._pinned else None
        reference = serving.candidate.reference if serving else ready.reference
        listed = self._list().get(_full(reference))
        same = (each for each in (listed.digests if listed else ()) if _repository(each) == _repository(reference))
        return next(same, ready.base)

    def ready(self, name: str) -> Ready | None:
        """The ready image of what serves as the toolchain now. Raises EngineError and Gone."""
        listed = self._list()
        serving: _Listed | None = None
        if self._pinned or self._catalogue:
            present = self._present(name)
            serving = listed[_full(present.candidate.reference)] if present else None
        else:
            # Ours goes before all others; this needs no catalogue, which takes 20 ms to read.
            official = (each.reference for each in self._made_of(name) if each.source == OFFICIAL)
            serving = next(
                (listed[each] for each in map(_full, (toolchains.own_image(name), *official)) if each in listed), None
            )
        return next((each for each in self._made_of(name) if serving and each.base == serving.id), None)

    def _made_of(self, name: str) -> list[Ready]:
        return [each for each in self._made if each.toolchain.name == name]

    def _present(self, name: str) -> Present | None:
        listed = self._list()
        for candidate in self.candidates(name):
            if found := listed.get(_full(candidate.reference)):
                return Present(candidate, found.id, found.size)
        return None

    def _list(self) -> dict[str, _Listed]:
        """By tag or digest, each image."""
        if self._listed is None:
            found = {}
            images = self._engine.call("GET", "/images/json") or ()
            for image in images:
                digests = tuple(each for each in image.get("RepoDigests") or () if not each.startswith("<none>"))
                about = _Listed(str(image["Id"]), int(image.get("Size") or 0), digests)
                found.update(dict.fromkeys(map(_full, (*(image.get("RepoTags") or ()), *digests)), about))
            self._made = ready_images.among(images)
            self._listed = found
        return self._listed

    def _make(self, name: str) -> None:
        present = self._present(name)
        if present is None:
            return
        reference, source = present.candidate
        self._notify(f"making {reference} ready to compile with {name}, once")
        self._made.append(ready_images.make(self._engine, name, reference, source, self._session, self._notify))
        for image in ready_images.outlived(self._engine.call("GET", "/images/json") or ()):
            ready_images.remove(self._engine, image)

    def _pull(self, name: str) -> None:
        """Raises ToolchainMissing where there is nothing to pull, and BackendFailed where it cannot be had."""
        candidate = to_pull(name, self.catalogue, self._pinned)
        if candidate is None:
            raise ToolchainMissing(
                f"compile with {name}",
                "there is no image of it, and none to pull",
                f"will-it-compile images build {name}",
            )
        from willitcompile.backends.docker.registry import fetch

        fetch(self._engine, f"compile with {name}", name, candidate, self._notify, self._progress)
        self.forget()


def _full(reference: str) -> str:
    """As the daemon lists it: with a tag, and without the registry that everybody means.

    >>> _full("docker.io/library/gcc:13"), _full("gcc"), _full("localhost/will-it-compile/gcc:13")
    ('gcc:13', 'gcc:latest', 'will-it-compile/gcc:13')
    """
    short = re.sub(r"^(docker\.io/(library/)?|localhost/)", "", reference)
    return short if "@" in short or ":" in short.rpartition("/")[2] else f"{short}:latest"


def _repository(reference: str) -> str:
    """
    >>> _repository("127.0.0.1:5000/gcc@sha256:ab"), _repository("docker.io/library/gcc:13")
    ('127.0.0.1:5000/gcc', 'gcc')
    """
    return split(_full(reference))[0]
