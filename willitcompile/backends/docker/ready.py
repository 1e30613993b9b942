"""Ready images: a toolchain's image, with the launcher in it and what its compiler said of itself as a label.

Whatever holds a compiler will do, an official image without a shell too. It is made ready once: the launcher is put
in, the compiler is asked for its version and standards, Go's standard library is compiled where the image has none,
and what came of it is committed as `will-it-compile/ready:<toolchain>-<id of that image>`. From then on one question to
the daemon tells every toolchain, for every client of it.
"""

from __future__ import annotations

import json
import time
from base64 import b64decode, b64encode
from binascii import crc32
from typing import TYPE_CHECKING, Any, NamedTuple

from willitcompile.backends import compilers, containers, launcher
from willitcompile.backends.compilers import Answer, Unusable
from willitcompile.backends.containers import GO_CACHE, SEEDS, UID
from willitcompile.backends.docker.channel import Container
from willitcompile.backends.docker.container import ENVIRONMENT, LAUNCHER, MANAGED, ROOT, SESSION, hardened
from willitcompile.backends.docker.engine import EngineError, Gone, quoted
from willitcompile.errors import BackendFailed
from willitcompile.languages.c_family import CPP, DRIVERS, C
from willitcompile.languages.go import ENVIRONMENT as GO_ENVIRONMENT
from willitcompile.model import GIB, MIB, Limits, Toolchain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from willitcompile.backends.docker.engine import Engine
    from willitcompile.model import CompileJob

REPOSITORY = "will-it-compile/ready"
FORMAT = 1
"""Of the label. What another version made is not used."""
_LABEL = "will-it-compile.ready"
_ABOUT = "will-it-compile.toolchain"

_ANY_MACHINE = "x86_64"
"""Whose launcher stands for all of its version."""

_ASKING = Limits(wall_seconds=20, memory_bytes=2 * GIB, output_bytes=4 * MIB)
_COMPILING_GO = Limits(wall_seconds=1800, memory_bytes=4 * GIB, processes=1024)


class Ready(NamedTuple):
    """A toolchain whose jobs can start at once."""

    image: str
    """The id of the ready image."""
    toolchain: Toolchain
    programs: Mapping[str, str]
    """By role, what to execute: a name that PATH has, or an absolute path."""
    environment: Mapping[str, str]
    """What its compiler needs set: PATH."""
    seeds: bool
    """Whether it has a compiled standard library at `GO_CACHE`."""
    reference: str
    """The image that it was made of, as it was named."""
    base: str
    """That image's id then."""
    source: str
    """Of that image: see `references.Candidate`."""


def version_of_label() -> str:
    return f"{FORMAT}-{crc32(launcher.binary(_ANY_MACHINE)):08x}"


def among(images: Iterable[Mapping[str, Any]]) -> list[Ready]:
    """The ready ones of a daemon's images, as it lists them: by family, and the newest first."""
    wanted = version_of_label()
    found = []
    for image in filter(_is_ours, images):
        labels = image.get("Labels") or {}
        if labels.get(_LABEL) == wanted:
            ready = _read(image.get("Id"), labels.get(_ABOUT))
            found += [ready] if ready else []
    return sorted(found, key=place)


def outlived(images: Iterable[Mapping[str, Any]]) -> list[str]:
    """The ids of those that serve nobody any more, since what they were made of is gone. Whichever version of us made
    them: another one may be in use beside this."""
    images = list(images)
    there = {image["Id"] for image in images}
    labelled = {str(image["Id"]): (image.get("Labels") or {}).get(_ABOUT) for image in images if _is_ours(image)}
    return [image for image, about in labelled.items() if about and _base(about) not in there]


def _is_ours(image: Mapping[str, Any]) -> bool:
    """Whether it has our name and no other. Labels alone may come from anybody, also by way of a registry."""
    repositories = {str(tag).rpartition(":")[0] for tag in image.get("RepoTags") or ()}
    return bool(repositories) and repositories <= {REPOSITORY, f"localhost/{REPOSITORY}", f"docker.io/{REPOSITORY}"}


def _base(about: object) -> str | None:
    try:
        return str(json.loads(b64decode(str(about), validate=True))["base"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return None


def place(ready: Ready) -> tuple[int, list[int]]:
    """Where a toolchain stands among others: by family, and the newest first. The catalogue has the same order."""
    family, version = ready.toolchain.family, ready.toolchain.version
    known = compilers.FAMILIES.index(family) if family in compilers.FAMILIES else len(compilers.FAMILIES)
    return known, [-int(number) if number.isdecimal() else 0 for number in version.split(".")]


def _read(image: object, about: object) -> Ready | None:
    """What a label says; None where that makes no sense. It is only as good as whoever may write to the daemon."""
    try:
        document = json.loads(b64decode(str(about), validate=True))
        toolchain = document.pop("toolchain")
        toolchain["aliases"] = tuple(map(str, toolchain["aliases"]))
        ready = Ready(image=str(image), toolchain=Toolchain(**toolchain), **document)
        texts = (ready.reference, ready.base, ready.source, ready.toolchain.family, ready.toolchain.version)
        mappings = (ready.programs, ready.environment, ready.toolchain.compilers, ready.toolchain.standards)
        fits = all(isinstance(each, str) for each in texts) and all(isinstance(each, dict) for each in mappings)
        return ready if fits else None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def inspect(engine: Engine, reference: str) -> dict[str, Any] | None:
    """An image, or None where it is not there. Raises EngineError and Gone."""
    try:
        found: dict[str, Any] = engine.call("GET", f"/images/{quoted(reference)}/json")
    except EngineError as error:
        if error.status == 404:
            return None
        raise
    return found


def make(engine: Engine, name: str, reference: str, source: str, session: str, notify: Callable[[str], None]) -> Ready:
    """Make the image of this reference, which is there, ready as a toolchain.

    Raises EngineError, Gone, and BackendFailed where what is in it is not that compiler.
    """
    image = inspect(engine, reference)
    if image is None:
        raise EngineError(404, f"no such image: {reference}")
    family = name.partition("-")[0]
    labels = {SESSION: session}
    body = hardened(image["Id"], labels)
    body["HostConfig"] |= {"Memory": _COMPILING_GO.memory_bytes, "PidsLimit": _COMPILING_GO.processes}
    if (image.get("Config") or {}).get("Volumes"):
        raise BackendFailed(
            f"use the image {reference} as {name}",
            "it declares volumes, in which a compile could fill the daemon's disk",
            f"use another: will-it-compile images build {name}",
        )
    try:
        archive = _archive(launcher.binary(image.get("Architecture", "")))
    except launcher.UnsupportedMachineError as error:
        raise BackendFailed(
            f"use the image {reference} as {name}", str(error), f"use another: will-it-compile images build {name}"
        ) from error
    container = Container(engine, body, before_start=lambda id_: _put(engine, id_, archive))
    try:
        variables = dict(entry.partition("=")[::2] for entry in (image.get("Config") or {}).get("Env") or ())
        asker = ContainerAsker(container, variables.get("PATH") or "/usr/local/bin:/usr/bin:/bin")
        try:
            survey = _survey(name, family, asker)
        except Unusable as error:
            raise BackendFailed(
                f"use the image {reference} as {name}",
                f"its {family} {error}",
                "build one that is known to work: will-it-compile images build " + name,
            ) from error
        seeds = family == "go" and _has_library(engine, container, asker, name, notify)
        container.hang_up()
        engine.call("POST", f"/containers/{container.id}/wait", seconds=60)
        ready = Ready(
            image="",
            toolchain=survey[0]._replace(origin=reference),
            programs=survey[1],
            environment={"PATH": asker.path},
            seeds=seeds,
            reference=reference,
            base=image["Id"],
            source=source,
        )
        return ready._replace(image=_commit(engine, container.id, ready))
    finally:
        container.discard()


def _put(engine: Engine, container: str, archive: bytes) -> None:
    engine.call("PUT", f"/containers/{container}/archive", {"path": "/"}, archive)


def _archive(program: bytes) -> bytes:
    """The launcher, and a directory for what Go compiles."""
    directory, _, name = LAUNCHER.strip("/").rpartition("/")
    return _tar(
        {
            f"{directory}/": (0o755, b"", 0),
            f"{directory}/{name}": (0o755, program, 0),
            f"{GO_CACHE.strip('/')}/": (0o755, b"", UID),
            # Podman gives a tmpfs the mode of what it covers.
            f"{ROOT.strip('/')}/": (0o1777, b"", 0),
        }
    )


def _tar(files: Mapping[str, tuple[int, bytes, int]]) -> bytes:
    """By path, mode, content and owner; a directory's path ends with a slash."""
    import io
    import tarfile

    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for path, (mode, content, owner) in files.items():
            entry = tarfile.TarInfo(path.rstrip("/"))
            entry.type = tarfile.DIRTYPE if path.endswith("/") else tarfile.REGTYPE
            entry.mode, entry.size, entry.mtime = mode, len(content), int(time.time())
            entry.uid = entry.gid = owner
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


class ContainerAsker:
    """Asks the compiler of an image, one question after another in one container. See `compilers.Asker`."""

    def __init__(self, container: Container, path: str) -> None:
        self._container = container
        self.path = path

    def run(self, argv: Sequence[str], environment: Mapping[str, str], limits: Limits = _ASKING) -> Answer:
        """Raises Unusable where it cannot be started or does not end by itself, and Gone."""
        job = launcher.run(argv, {**ENVIRONMENT, "PATH": self.path, **environment}, limits, workdir="tmp")
        outcome = self._container.run([job], limits)
        if outcome.ending.failure:
            raise Unusable(f"cannot be started: {outcome.ending.failure}")
        if outcome.ending.exit_code is None:
            raise Unusable(f"did not answer {' '.join(argv[1:])}")
        decoded = (text.decode(errors="surrogateescape") for text in (outcome.stdout, outcome.stderr))
        return Answer(outcome.ending.exit_code, *decoded)

    def ask(self, *argv: str, **environment: str) -> Answer:
        answer = self.run(argv, environment)
        if answer.code != 0:
            raise Unusable(f"{' '.join(argv[1:])} failed: {(answer.err or answer.out)[:200].strip()}")
        return answer

    def try_each(self, questions: Iterable[Sequence[str]]) -> list[Answer | None]:
        answers: list[Answer | None] = []
        for argv in questions:
            try:
                answers.append(self.ask(*argv))
            except Unusable:
                answers.append(None)
        return answers


def _survey(name: str, family: str, asker: ContainerAsker) -> tuple[Toolchain, dict[str, str]]:
    """The toolchain, and its programs by role. Raises Unusable."""
    survey = {"gcc": _survey_c, "clang": _survey_c, "go": _survey_go, "rustc": _survey_rust}.get(family)
    if survey is None:
        raise Unusable("is of no family that is known")
    toolchain, programs = survey(family, asker)
    if toolchain.name != name:
        raise Unusable(f"is a {toolchain.name}")
    return toolchain, programs


def _survey_c(family: str, asker: ContainerAsker) -> tuple[Toolchain, dict[str, str]]:
    drivers = {language: DRIVERS[family, language] for language in (C.name, CPP.name)}
    first, second = drivers.values()
    version = compilers.c_version(family, asker.ask(first, "-x", "c", "-dM", "-E", "/dev/null").out)
    programs = {first: first}
    if asker.try_each([[second, "--version"]])[0]:
        programs[second] = second
    accepted = compilers.c_standards(family, programs, asker, lambda *_: True)
    if not accepted:
        raise Unusable("compiles neither C nor C++")
    return (
        _toolchain(
            version,
            {language: compilers.first_line(asker.ask(drivers[language], "--version").out) for language in accepted},
            {language: standards for language, (standards, _) in accepted.items()},
            {language: default for language, (_, default) in accepted.items()},
        ),
        programs,
    )


def _survey_go(family: str, asker: ContainerAsker) -> tuple[Toolchain, dict[str, str]]:
    first = compilers.first_line(asker.ask(family, "version", **GO_ENVIRONMENT).out)
    version = compilers.go_version(first)
    standards = {"go": compilers.go_standards(version)}
    return _toolchain(version, {"go": first}, standards, {"go": f"go{version.version}"}), {"go": "go"}


def _survey_rust(family: str, asker: ContainerAsker) -> tuple[Toolchain, dict[str, str]]:
    # Where rustup put a proxy in its place, the one that it would run: the proxy costs each compile some 20 ms.
    _, sysroot = compilers.rust_editions(family, asker)
    itself = f"{sysroot}/bin/{family}"
    program = itself if asker.try_each([[itself, "--version"]])[0] else family
    first = compilers.first_line(asker.ask(program, "--version").out)
    version = compilers.rust_version(first)
    editions, _ = compilers.rust_editions(program, asker)
    return _toolchain(version, {"rust": first}, {"rust": editions}, {"rust": tuple(editions)[-1]}), {family: program}


def _toolchain(
    version: compilers.Version,
    first_lines: Mapping[str, str],
    standards: Mapping[str, Mapping[str, str]],
    defaults: Mapping[str, str],
) -> Toolchain:
    full = f"{version.family}-{version.full}"
    return Toolchain(
        family=version.family,
        version=version.version,
        compilers=first_lines,
        standards=standards,
        defaults=defaults,
        aliases=() if full == f"{version.family}-{version.version}" else (full,),
    )


def _has_library(
    engine: Engine, container: Container, asker: ContainerAsker, name: str, notify: Callable[[str], None]
) -> bool:
    """Whether the image has, or now gets, Go's standard library compiled. Raises BackendFailed."""
    try:
        engine.call("HEAD", f"/containers/{container.id}/archive", {"path": SEEDS})
    except EngineError:
        pass
    else:
        return True
    notify(f"compiling the standard library of {name}, once for its image: about half a minute")
    environment = {**GO_ENVIRONMENT, "GOCACHE": GO_CACHE, "GOFLAGS": ""}
    answer = asker.run(["go", "build", "std"], environment, _COMPILING_GO)
    if answer.code != 0:
        raise BackendFailed(
            f"prepare the standard library of {name}", answer.err[-300:].strip() or "go build std failed", "try again"
        )
    changes = engine.call("GET", f"/containers/{container.id}/changes") or ()
    below = f"{GO_CACHE}/"
    names = [str(each["Path"]).removeprefix(below) for each in changes if str(each["Path"]).startswith(below)]
    seeds = sorted(each for each in names if each[2:3] == "/")
    _put(
        engine,
        container.id,
        _tar({SEEDS.strip("/"): (0o644, "\n".join(seeds).encode() + b"\n", 0)}),
    )
    return True


def _commit(engine: Engine, container: str, ready: Ready) -> str:
    """The id of the image that the container has become."""
    name = ready.toolchain.name
    document = {**ready._asdict(), "toolchain": ready.toolchain._asdict()}
    del document["image"]
    tag = f"{name}-{ready.base.rpartition(':')[2][:12]}"
    # A container's labels become the image's, and an image's those of its containers, which are nobody's session. As
    # instructions, since Podman reads no other labels.
    labels = {
        **MANAGED,
        SESSION: '""',
        _LABEL: version_of_label(),
        _ABOUT: b64encode(json.dumps(document).encode()).decode(),
    }
    instructions = "\n".join(f"LABEL {name}={value}" for name, value in labels.items())
    made = engine.call(
        "POST",
        "/commit",
        {"container": container, "repo": REPOSITORY, "tag": tag, "pause": False, "changes": instructions},
        {},  # Podman wants a body
    )
    return str(made["Id"])


def remove(engine: Engine, image: str) -> bool:
    """Remove an image that no container uses any more."""
    try:
        engine.call("DELETE", f"/images/{quoted(image)}")
    except (EngineError, Gone):
        return False
    return True


def records(ready: Ready, job: CompileJob, seccomp: bytes) -> Iterator[bytes]:
    """A job as its launcher is told it. Raises ValueError for a path that is not inside of the job."""
    return containers.records(
        job,
        argv=(ready.programs[job.argv[0]], *job.argv[1:]),
        variables={**ENVIRONMENT, **ready.environment},
        seccomp=seccomp,
        seeds=ready.seeds,
    )
