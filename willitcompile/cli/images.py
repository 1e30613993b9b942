"""`will-it-compile images`: the toolchain images of a Docker daemon."""

from __future__ import annotations

import os
import sys
from collections import deque
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, TypeVar

from willitcompile import toolchains
from willitcompile.backends import Opening, Wanted
from willitcompile.backends.clients import client_name
from willitcompile.backends.docker import building, inventory, registry
from willitcompile.backends.docker.engine import EngineError, Gone, connect
from willitcompile.backends.docker.images import Images
from willitcompile.backends.docker.leftovers import clear_stale, remove_session
from willitcompile.backends.references import known_names, pins, to_pull
from willitcompile.cli.interrupt import abandonable, cancelling
from willitcompile.cli.output import write_stdout
from willitcompile.cli.terminal import is_terminal, say, say_error, wants_color
from willitcompile.config import resolve
from willitcompile.errors import BackendFailed, BackendUnavailable, RequestError, ToolchainMissing
from willitcompile.reports import units
from willitcompile.reports.safe import safe_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from rich.status import Status

    from willitcompile.backends.docker.engine import Engine
    from willitcompile.backends.docker.inventory import Entry
    from willitcompile.backends.references import Candidate
    from willitcompile.cli.progress import FetchBar
    from willitcompile.toolchains import Catalogue

T = TypeVar("T")

EVERY = toolchains.EVERY
_TAIL = 15
"""Lines of a build that failed, which tell why."""


def list_images(form: str, images: Sequence[str], config: str | None) -> int:
    """Returns 0, also where no daemon can be asked: what could be had is known all the same."""
    if form not in FORMATS:
        raise RequestError(
            f"list images as {form!r}", "there is no format of that name", f"use one of: {', '.join(FORMATS)}"
        )
    pinned = _pinned(images, config)
    with cancelling():
        try:
            engine = connect()
        except BackendUnavailable as error:
            say(f"note: what is there is not known: {error.obstacle}; try: {error.remedy}")
            engine = None
        try:
            entries = inventory.survey(engine, pinned)
        finally:
            if engine:
                engine.close()
        write_stdout(FORMATS[form](engine.endpoint.url if engine else None, entries))
    return 0


def build(asked: Sequence[str], network: str | None, arguments: Sequence[str], config: str | None) -> int:
    """Build our image of each toolchain, and make it ready. Raises WillItCompileError."""
    catalogue = toolchains.load_catalogue()
    given = _build_arguments(arguments)
    recipes = []
    for name in chosen(asked, catalogue.names, catalogue):
        recipe = building.recipe(name, catalogue, given, network)
        if recipe:
            recipes.append(recipe)
        elif EVERY not in asked:
            raise ToolchainMissing(
                f"build an image of {name}", "there is no Dockerfile of it", f"will-it-compile images pull {name}"
            )
    with _work(_pinned((), config)) as work:

        def build_one(recipe: building.Recipe) -> None:
            work.note(f"building {recipe.tag} from {os.path.join(recipe.directory, 'Dockerfile')}")
            try:
                size = building.build(work.engine, recipe, work.line, work.note, work.progress)
            except BackendFailed:
                work.tell_the_last_lines()
                raise
            finally:
                work.clear()
            write_stdout(safe_line(f"built {recipe.tag}: {units.size(size)}") + "\n")
            work.make_ready(recipe.toolchain, recipe.tag)

        return _each(recipes, build_one)


def pull(asked: Sequence[str], images: Sequence[str], config: str | None) -> int:
    """Pull the pinned or the official image of each toolchain, and make it ready. Raises WillItCompileError."""
    catalogue = toolchains.load_catalogue()
    pinned = _pinned(images, config)
    by_name = pins(pinned)
    wanted = []
    for name in chosen(asked, known_names(catalogue, by_name), catalogue):
        candidate = to_pull(name, catalogue, by_name)
        if candidate:
            wanted.append((name, candidate))
        elif EVERY in asked:
            say(f"note: there is no image of {name} to pull; try: will-it-compile images build {name}")
        else:
            raise ToolchainMissing(
                f"pull an image of {name}", "there is none to pull", f"will-it-compile images build {name}"
            )
    with _work(pinned) as work:

        def pull_one(each: tuple[str, Candidate]) -> None:
            name, candidate = each
            try:
                registry.fetch(work.engine, f"pull {name}", name, candidate, work.note, work.progress)
            finally:
                work.clear()
            write_stdout(safe_line(f"pulled {candidate.reference}") + "\n")
            work.make_ready(name, candidate.reference)

        return _each(wanted, pull_one)


def chosen(asked: Sequence[str], known: Sequence[str], catalogue: Catalogue) -> list[str]:
    """The toolchains that are meant: `gcc` is the default of its family, `all` every one. Raises ToolchainMissing."""
    found: dict[str, None] = {}
    for word in (word.strip() for words in asked for word in words.split(",")):
        if word == EVERY:
            found.update(dict.fromkeys(known))
            continue
        family, version = toolchains.parts(word)
        name = f"{family}-{version}" if version else next((each for each in known if _family(each) == family), "")
        if name not in known:
            raise _unknown(word, family, known, catalogue)
        found[name] = None
    return list(found)


def _family(name: str) -> str:
    return name.partition("-")[0]


def _unknown(word: str, family: str, known: Sequence[str], catalogue: Catalogue) -> ToolchainMissing:
    from difflib import get_close_matches

    siblings = [name for name in known if _family(name) == family]
    near = siblings or get_close_matches(word.lower()[:100], [*known, *catalogue.families, EVERY], n=3)
    return ToolchainMissing(
        f"find an image of {word[:60]!r}",
        "no toolchain of the catalogue is called so",
        f"use one of: {', '.join(near)}" if near else "will-it-compile images list",
    )


def _pinned(images: Sequence[str], config: str | None) -> tuple[str, ...]:
    """The `images` of the settings. Raises RequestError."""
    settings = resolve({"images": images} if images else {}, file=config)
    for note in settings.notes:
        say(f"note: {note}")
    pins(settings.images)
    return settings.images


def _build_arguments(given: Sequence[str]) -> dict[str, str]:
    for text in given:
        if not text.partition("=")[0].isidentifier() or "=" not in text:
            raise RequestError(
                f"use --build-arg {text[:60]!r}",
                "it is not NAME=VALUE",
                "write for example: --build-arg GOPROXY=https://goproxy.example.org",
            )
    return dict(text.split("=", 1) for text in given)


def _each(things: Sequence[T], act: Callable[[T], None]) -> int:
    """Do all of them, also where one cannot be done. Each error is told when it comes."""
    if len(things) == 1:
        act(things[0])
        return 0
    code = 0
    for thing in things:
        try:
            act(thing)
        except BackendFailed as error:
            say_error(error)
            code = error.exit_code
    return code


class Work:
    """A daemon that is worked with, and what is shown meanwhile: bars on a terminal, else lines."""

    def __init__(self, engine: Engine, pinned: Sequence[str]) -> None:
        self.engine = engine
        self._pinned = tuple(pinned)
        self._session = f"{client_name()}/images"
        self._terminal = is_terminal(sys.stderr) and os.environ.get("TERM", "dumb") != "dumb"
        self._bar: FetchBar | None = None
        self._status: Status | None = None
        self._unseen: deque[str] = deque(maxlen=_TAIL)

    def note(self, text: str) -> None:
        self.clear()
        say(f"note: {text}")

    def line(self, text: str) -> None:
        """A line of a builder. On a terminal only the step is shown that it is at."""
        if not self._terminal:
            say(text)
            return
        self._unseen.append(text)
        if step := building.step(text):
            self._show(safe_line(step))

    def progress(self, what: str, done: int, total: int) -> None:
        if not self._terminal:
            return
        if self._bar is None:
            from willitcompile.cli.progress import FetchBar

            self._bar = FetchBar(color=wants_color("auto", sys.stderr))
        self._bar.update(what, done, total)

    def clear(self) -> None:
        """Take away what is only for the time being."""
        if self._bar:
            self._bar.close()
        if self._status:
            self._status.stop()
        self._bar = self._status = None

    def tell_the_last_lines(self) -> None:
        """What a builder said last, where it was not shown."""
        self.clear()
        for text in self._unseen:
            say(text)
        self._unseen.clear()

    def make_ready(self, name: str, reference: str) -> None:
        """So that the first compile need not. Raises BackendFailed."""
        images = Images(self.engine, self._session, Opening(self.note, self.progress, images=self._pinned))
        try:
            serving = images.find(name)
            if serving and serving.candidate.reference != reference:
                self.note(
                    f"{serving.candidate.reference} ({serving.candidate.source}) serves as {name} before this one"
                )
            else:
                abandonable(lambda: images.obtain(Wanted((name,))))
        except (EngineError, Gone) as error:
            raise BackendFailed(f"make {reference} ready", str(error), "try again") from error
        finally:
            self.clear()

    def close(self) -> None:
        self.clear()
        remove_session(self.engine, self._session)
        clear_stale(self.engine)
        self.engine.close()

    def _show(self, text: str) -> None:
        from rich.text import Text

        shown = Text(text, no_wrap=True, overflow="ellipsis")
        if self._status is None:
            from rich.console import Console

            console = Console(file=sys.stderr, no_color=not wants_color("auto", sys.stderr))
            self._status = console.status(shown)
            self._status.start()
        else:
            self._status.update(shown)


@contextmanager
def _work(pinned: Sequence[str]) -> Iterator[Work]:
    """Raises BackendUnavailable. Whatever happens, nothing half-done is left."""
    with cancelling(), closing(Work(connect(), pinned)) as work:
        yield work


def as_text(daemon: str | None, entries: Sequence[Entry]) -> str:
    rows = [("toolchain", "state", "size", "image", "from")]
    rows += [
        (
            entry.toolchain,
            _state(entry) if daemon else "unknown",
            "-" if entry.size is None else units.size(entry.size),
            entry.image or "-",
            entry.source or _origins(entry),
        )
        for entry in entries
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
    return "".join(f"{safe_line(line.rstrip())}\n" for line in (f"daemon: {daemon or 'none'}", *lines))


def _state(entry: Entry) -> str:
    if entry.ready:
        return "ready"
    return "here" if entry.image else "absent"


def _origins(entry: Entry) -> str:
    """How it can be had."""
    ways = [f"build (Debian {entry.release})"] if entry.release else []
    ways += [f"pull {entry.pull}"] if entry.pull else []
    return " or ".join(ways)


def as_json(daemon: str | None, entries: Sequence[Entry]) -> str:
    """Version 1; docs/images.md tells each field."""
    from willitcompile.reports.json import dumps

    described = [
        {
            "toolchain": entry.toolchain,
            "present": bool(entry.image) if daemon else None,
            "ready": entry.ready if daemon else None,
            "image": entry.image,
            "source": entry.source,
            "size_bytes": entry.size,
            "release": entry.release,
            "pull": entry.pull,
        }
        for entry in entries
    ]
    return dumps({"version": 1, "daemon": daemon, "images": described}) + "\n"


FORMATS: dict[str, Callable[[str | None, Sequence[Entry]], str]] = {"text": as_text, "json": as_json}
