"""Toolchain images of our own, from the Dockerfiles that come with the package.

With BuildKit where the docker command has it (its plugin buildx), else by the daemon's classic builder, which needs no
docker command.
"""

from __future__ import annotations

import io
import json
import os
import re
import select
import shutil
import signal
import subprocess
import tarfile
from collections import deque
from typing import TYPE_CHECKING, Any, NamedTuple

from willitcompile.backends.docker.engine import SIGNAL_SECONDS, EngineError, Gone
from willitcompile.backends.docker.leftovers import wait_for_removal
from willitcompile.backends.docker.ready import inspect
from willitcompile.backends.docker.registry import pull, registry_of
from willitcompile.errors import BackendFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from willitcompile.backends.docker.engine import Engine
    from willitcompile.toolchains import Catalogue

_TAIL = 15
"""Lines of a build that failed, in which its reason is looked for."""
_SILENT_SECONDS = 1800.0
"""A step may print nothing while it compiles Go's standard library."""
_END_SECONDS = 20.0

_STEP = re.compile(r"(?:Step (\d+/\d+) : |#\d+ \[(?:\S+ )?(\d+/\d+)\] )(.*)")
_CODE = re.compile(r"(?:non-zero code|exit code): (\d+)\b")
_COLOR = re.compile(r"\x1b\[[0-9;]*m")
_RUNNING = re.compile(r" ---> Running in (\w+)")
_FROM = re.compile(r"FROM\s+(?:--\S+\s+)*(\S+)(?:\s+AS\s+(\S+))?", re.IGNORECASE)
_ARG = re.compile(r"ARG\s+(\w+)(?:=(\S*))?", re.IGNORECASE)
_NO_NETWORK = re.compile(
    r"Temporary failure resolving|Could not resolve|Could not connect|Connection timed out|Network is unreachable"
    r"|dial tcp|no such host|i/o timeout|on network bridge",
)


class Recipe(NamedTuple):
    """All that one image is built from."""

    toolchain: str
    tag: str
    directory: str
    """With the Dockerfile."""
    arguments: Mapping[str, str]
    network: str | None = None
    """For the commands that the build runs; None for the daemon's default."""


def directory() -> str:
    """The Dockerfiles, by family: in the package where it is installed, beside it in a checkout."""
    package = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    inside = os.path.join(package, "images")
    return inside if os.path.isdir(inside) else os.path.join(os.path.dirname(package), "images")


def recipe(
    name: str, catalogue: Catalogue, arguments: Mapping[str, str] | None = None, network: str | None = None
) -> Recipe | None:
    """How our image of a toolchain is built, with further build arguments; None where there is no way to."""
    tag, known, family = catalogue.own_image(name), catalogue.build_arguments(name), catalogue.build_directory(name)
    if tag is None or known is None or family is None:
        return None
    return Recipe(name, tag, os.path.join(directory(), family), {**known, **(arguments or {})}, network)


def bases(dockerfile: str, arguments: Mapping[str, str]) -> list[str]:
    """The images that a Dockerfile begins with, which have to be pulled.

    >>> bases("ARG R=sid\\nFROM debian:${R}-slim AS b\\nFROM scratch\\nFROM b", {"R": "trixie"})
    ['debian:trixie-slim']
    """
    known: dict[str, str] = {}
    found: dict[str, None] = {}
    stages = {"scratch"}
    for line in dockerfile.splitlines():
        if argument := _ARG.fullmatch(line.strip()):
            known[argument[1]] = arguments.get(argument[1], argument[2] or "")
        elif stage := _FROM.fullmatch(line.strip()):
            image = re.sub(r"\$\{?(\w+)\}?", lambda match: known.get(match[1], ""), stage[1])
            if image not in stages:
                found[image] = None
            stages.add(stage[2] or "")
    return list(found)


def step(line: str) -> str | None:
    """What a line of either builder says of how far it is.

    >>> step("Step 3/9 : RUN make"), step("#7 [build 3/9] RUN make"), step(" ---> 1234")
    ('3/9 RUN make', '3/9 RUN make', None)
    """
    match = _STEP.match(line)
    return f"{match[1] or match[2]} {match[3]}" if match else None


def build(
    engine: Engine,
    what: Recipe,
    tell: Callable[[str], None],
    notify: Callable[[str], None] = lambda _: None,
    progress: Callable[[str, int, int], None] = lambda *_: None,
) -> int:
    """Build an image, telling each line that the builder prints. Returns its size in bytes.

    Raises BackendFailed; then what had its tag before has it still.
    """
    asked = f"build {what.tag}"
    tail: deque[str] = deque(maxlen=_TAIL)
    at = "the build"

    def heard(line: str) -> None:
        nonlocal at
        plain = _COLOR.sub("", line).rstrip()
        tail.append(plain)
        if reached := step(plain):
            at = f"step {reached.partition(' ')[0]}"
        tell(plain)

    try:
        _fetch_bases(engine, what, notify, progress)
        if command := _buildx(engine):
            _by_buildx(engine, [*command, *options(what)], heard)
        else:
            _by_daemon(engine, what, heard)
        image = inspect(engine, what.tag)
    except _BuildFailed as error:
        code = _CODE.search(str(error))
        # The command itself fills lines, and stands above.
        obstacle = f"{at} ended with code {code[1]}" if code else str(error) or f"{at} failed"
        raise BackendFailed(asked, obstacle, _remedy(what, [*tail, str(error)])) from error
    except (EngineError, Gone) as error:
        raise BackendFailed(asked, str(error), "docker info") from error
    if image is None:
        raise BackendFailed(asked, "it was built, and is not in this daemon", "docker buildx use default")
    return int(image.get("Size") or 0)


def options(what: Recipe) -> list[str]:
    """Of `docker build`, with the directory: the same for either builder, and for people."""
    given = [f"--build-arg={name}={value}" for name, value in what.arguments.items()]
    network = [f"--network={what.network}"] if what.network else []
    return [*given, *network, f"--tag={what.tag}", what.directory]


class _BuildFailed(Exception):
    """The builder says no."""


def _remedy(what: Recipe, said: Sequence[str]) -> str:
    if what.network is None and any(_NO_NETWORK.search(line) for line in said):
        again = f"will-it-compile images build {what.toolchain} --network host"
        return f"connect the machine; or where only the host reaches the network: {again}"
    import shlex

    return f"see it alone: {shlex.join(['docker', 'build', *options(what)])}"


def _fetch_bases(
    engine: Engine, what: Recipe, notify: Callable[[str], None], progress: Callable[[str, int, int], None]
) -> None:
    """Pull what the build begins with, if it is not there: a builder's own error says less of it."""
    try:
        with open(os.path.join(what.directory, "Dockerfile"), encoding="utf-8") as file:
            dockerfile = file.read()
    except OSError as error:
        raise BackendFailed(
            f"build {what.tag}", f"{error.filename}: {error.strerror}", "install will-it-compile again"
        ) from error
    for base in bases(dockerfile, what.arguments):
        if inspect(engine, base):
            continue
        try:
            pull(engine, base, notify, progress)
        except EngineError as error:
            registry = registry_of(base) or "Docker Hub"
            raise BackendFailed(
                f"build {what.tag}",
                f"it begins with {base}, which is not here and cannot be pulled: {error.message}",
                f"let the daemon reach {registry}, or bring the image: docker save {base} | docker load",
            ) from error


def _buildx(engine: Engine) -> list[str] | None:
    """The command that builds with BuildKit, where the docker command and the daemon have that."""
    docker = shutil.which("docker")
    if docker is None or engine.is_podman:
        return None
    command = [docker, "buildx"]
    try:
        done = subprocess.run([*command, "version"], capture_output=True, check=False, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return [*command, "build", "--load", "--progress=plain", "--provenance=false"] if done.returncode == 0 else None


def _by_buildx(engine: Engine, argv: Sequence[str], heard: Callable[[str], None]) -> None:
    environment = dict(os.environ)
    if not engine.endpoint.named:
        environment["DOCKER_HOST"] = engine.endpoint.url
    process = subprocess.Popen(
        argv,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        # Ctrl-C is ours to hear: it is told below.
        start_new_session=True,
    )
    last = ""
    with process:
        try:
            assert process.stdout is not None  # noqa: S101 - it is a pipe
            for line in _read_lines(process.stdout.fileno()):
                if line.startswith("ERROR: ") or not last.startswith("ERROR: "):
                    last = line.strip() or last
                heard(line)
        except BaseException:
            # Once asks it to cancel the build and to leave: the command, and the plugin that it has started.
            os.killpg(process.pid, signal.SIGINT)
            try:
                process.wait(_END_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
            raise
    if process.returncode != 0:
        raise _BuildFailed(last)


def _read_lines(pipe: int) -> Iterator[str]:
    """What a program prints, without the ends of its lines, until it ends."""
    waiting = select.poll()
    waiting.register(pipe, select.POLLIN)
    rest = b""
    while True:
        while not waiting.poll(SIGNAL_SECONDS * 1000):
            continue
        data = os.read(pipe, 65536)
        # A last line may have no end.
        *whole, rest = (rest + data).split(b"\n") if data or not rest else (rest, b"")
        yield from (line.decode(errors="backslashreplace") for line in whole)
        if not data:
            return


def _by_daemon(engine: Engine, what: Recipe, heard: Callable[[str], None]) -> None:
    """By the classic builder. It ends when its client does."""
    query = {
        "t": what.tag,
        "buildargs": json.dumps({**_proxies(engine), **what.arguments}),
        "rm": True,
        "forcerm": True,
        **({"networkmode": what.network} if what.network else {}),
    }
    events = engine.events(
        "POST",
        "/build",
        query,
        headers={"Content-Type": "application/x-tar"},
        body=_context(what.directory),
        seconds=_SILENT_SECONDS,
    )
    container = ""
    try:
        for line in _lines(events):
            if running := _RUNNING.match(line):
                container = running[1]
            heard(line)
    finally:
        events.close()
        if container:  # that of the last command, whose build may have been cancelled
            wait_for_removal(engine, container, _END_SECONDS)


def _lines(events: Iterator[Mapping[str, object]]) -> Iterator[str]:
    """What the builder prints, whole lines of it. Raises _BuildFailed."""
    rest = ""
    for event in events:
        if error := event.get("error"):
            if rest.strip():
                yield rest
            raise _BuildFailed(str(error))
        *whole, rest = (rest + str(event.get("stream") or "")).replace("\r", "\n").split("\n")
        yield from whole
    if rest:
        yield rest


def _context(path: str) -> bytes:
    """A directory as a tar, the same for the same files, so that what was built is found again.

    It ends with its end mark: what a daemon had not read when it closes the connection would reset that.
    """
    buffer = io.BytesIO()

    def plain(entry: tarfile.TarInfo) -> tarfile.TarInfo:
        entry.uid = entry.gid = entry.mtime = 0
        entry.uname = entry.gname = ""
        return entry

    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name in sorted(os.listdir(path)):
            archive.add(os.path.join(path, name), name, filter=plain)
        end = archive.offset + 2 * tarfile.BLOCKSIZE
    return buffer.getvalue()[:end]


def _proxies(engine: Engine) -> dict[str, str]:
    """The proxies of the user's Docker configuration, as the docker command passes them to builds."""
    from docker.utils.config import load_general_config
    from docker.utils.proxy import ProxyConfig

    configured: Any = load_general_config().get("proxies") or {}
    chosen: Any = configured.get(engine.endpoint.url) or configured.get("default") or {}
    found: Mapping[str, Any] = ProxyConfig.from_dict(chosen).get_environment()
    return {name: str(value) for name, value in found.items()}
