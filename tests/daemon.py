"""A Docker daemon of the tests' own, with the toolchain images, where a machine has none that answers.

    python -m tests.daemon up            start one that stays, and say how to use it
    python -m tests.daemon build [NAME]  build the images of the tests, or these, with the daemon that answers: `serve`
                                         is that of the service, any other a toolchain's
    python -m tests.daemon down          stop it

What is slow is kept from run to run below $XDG_CACHE_HOME/will-it-compile-tests/docker: images are built anew only
where their Dockerfile, its arguments or the base changed.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import http.server
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from willitcompile import __version__
from willitcompile.toolchains import load_catalogue

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

ROOT = Path(__file__).parents[1]
IMAGES = ROOT / "images"
SERVICE = f"will-it-compile/serve:{__version__}"
SERVICE_PARTS = (".dockerignore", "README.md", "pyproject.toml", "images", "willitcompile")
"""What that image is made of."""

SERVICE_STAGES = ("python", "dependencies")
"""Each stays, with a name of its own, so that a change of our sources costs seconds."""

SERVICE_RELEASE = "trixie"
RECIPE = "will-it-compile.recipe"
"""The label with a hash of all that an image was built from."""

GO_VERSIONS = ("1.26", "1.22")
"""Each takes a minute and a half, for the standard library; two show that the Dockerfile does not care which."""

UPSTREAMS = {
    "go": "https://proxy.golang.org/",
    "simple": "https://pypi.org/simple/",
    "files": "https://files.pythonhosted.org/",
}
"""What builds fetch from, by the first part of the path under which they get it here."""

MIRROR_PORT = 8641
"""The same each time: docker keeps a layer by the arguments that it was built with."""

AT_ONCE = 2
START_SECONDS = 60.0
STOP_SECONDS = 30.0
BUILD_SECONDS = 900.0


class Daemon(NamedTuple):
    """A Docker daemon that answers."""

    host: str
    """As DOCKER_HOST has it: `unix:///run/docker.sock`."""

    ours: bool
    """Whether this module started it: nobody else uses it."""

    log: Path
    """What it writes; /dev/null where it is not ours."""


class Unavailable(Exception):
    """There is no daemon, or no image: what stands in the way, and what to do about it."""

    def __init__(self, why: str, remedy: str) -> None:
        super().__init__(f"{why}: {remedy}")
        self.why = why
        self.remedy = remedy


def answering() -> Daemon | None:
    """The daemon of DOCKER_HOST or of the current context, or one of ours that is up."""
    if not (docker := shutil.which("docker")):
        return None
    ours = _running()
    host = os.environ.get("DOCKER_HOST", "")
    if not host:
        asked = [docker, "context", "inspect", "--format", "{{.Endpoints.docker.Host}}"]
        host = subprocess.run(asked, capture_output=True, text=True, check=False).stdout.strip()
    for each in filter(None, (host, ours)):
        if _answers(each):
            return Daemon(each, each == ours, _log() if each == ours else Path(os.devnull))
    return None


def start(*, stays: bool = False) -> Daemon:
    """Start a dockerd that nobody else uses, and wait until it answers.

    It ends with `stop`, and with this process unless it `stays`. Raises Unavailable.
    """
    _check()
    directory = _directory()
    directory.mkdir(parents=True, exist_ok=True)
    # dockerd inherits the lock: it is held for as long as it lives, whoever started it.
    lock = os.open(directory / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        raise Unavailable(
            f"another run of the tests uses {directory}", "wait for it, or: python -m tests.daemon down"
        ) from None
    try:
        _clear(directory)
        # A short path: that of a unix socket has 107 bytes at most.
        run = Path(tempfile.mkdtemp(prefix="wic-docker-", dir="/tmp"))
        (directory / "run").write_text(str(run))
        return _launch(run, directory / "data", lock, stays)
    finally:
        os.close(lock)


def stop(daemon: Daemon) -> None:
    """End a daemon of ours, and all that it started."""
    if not daemon.ours:
        return
    run = Path(daemon.host.removeprefix("unix://")).parent
    with contextlib.suppress(FileNotFoundError, ValueError):
        _end(int((run / "docker.pid").read_text()), STOP_SECONDS)
    if process := _STARTED.pop(daemon.host, None):
        _end(process.pid, STOP_SECONDS)
        process.wait()
    _clear(_directory())


def build(daemon: Daemon, names: Sequence[str] = ()) -> dict[str, str]:
    """Our image of each of these toolchains, or of all that are tested, built where it is not there as it should be.

    Raises Unavailable.
    """
    catalogue = load_catalogue()
    wanted = {}
    for name in names or toolchains():
        image, arguments = catalogue.own_image(name), catalogue.build_arguments(name)
        if image is None or arguments is None:
            raise Unavailable(f"{name} is not in the catalogue", "see willitcompile/environments.yaml")
        wanted[name] = (image, IMAGES / str(catalogue.build_directory(name)), arguments)
    releases = {arguments["RELEASE"] for _, _, arguments in wanted.values()}
    with ThreadPoolExecutor(AT_ONCE) as pool, _mirrors(daemon) as mirrors:
        bases = dict(zip(releases, pool.map(lambda release: _base(daemon, release), releases), strict=True))
        # Go first: it takes the longest.
        done = pool.map(
            lambda each: _build_one(daemon, each[0], each[1], each[2], bases[each[2]["RELEASE"]], mirrors),
            sorted(wanted.values(), key=lambda each: not each[0].startswith("will-it-compile/go:")),
        )
        try:
            built = sum(done)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    if built:
        _prune(daemon)
    return {name: image for name, (image, _, _) in wanted.items()}


def build_service(daemon: Daemon) -> str:
    """The image of `will-it-compile serve`, built where it is not there as it should be. Raises Unavailable."""
    base = _base(daemon, SERVICE_RELEASE)
    if _is_built(daemon, SERVICE, recipe := _service_recipe(base)):
        return SERVICE
    with _mirrors(daemon) as mirrors:
        options = [*mirrors, f"--file={IMAGES}/serve/Dockerfile"]
        for stage in SERVICE_STAGES:
            _docker(
                daemon,
                *("build", *options, f"--target={stage}", f"--tag=will-it-compile-tests/serve:{stage}", str(ROOT)),
                seconds=BUILD_SECONDS,
            )
        _run_build(daemon, SERVICE, ROOT, recipe, options)
    _prune(daemon)
    return SERVICE


def has_service(daemon: Daemon) -> bool:
    """Whether that image is there, made of what is here."""
    base = _inspected(daemon, f"debian:{SERVICE_RELEASE}-slim", "{{.Id}}")
    return _is_built(daemon, SERVICE, _service_recipe(base))


def toolchains() -> tuple[str, ...]:
    """The toolchains whose images the tests build."""
    catalogue = load_catalogue()
    go = [f"go-{version}" for version in GO_VERSIONS]
    return tuple(name for name in catalogue.names if not name.startswith("go-") or name in go)


# --- the daemon

_STARTED: dict[str, subprocess.Popen[bytes]] = {}


def _directory() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "will-it-compile-tests" / "docker"


def _log() -> Path:
    return _directory() / "dockerd.log"


def _check() -> None:
    if os.geteuid() != 0:
        raise Unavailable("no Docker daemon answers", "start one, and set DOCKER_HOST if it is not the default one")
    for program, package in (("dockerd", "docker.io"), ("docker", "docker.io")):
        if not shutil.which(program):
            raise Unavailable(f"there is no {program}", f"apt-get install {package}, or run: tests/prepare")


def _launch(run: Path, data: Path, lock: int, stays: bool) -> Daemon:
    host = f"unix://{run}/docker.sock"
    # Compiles have no network, and builds have the host's: neither bridges nor iptables are touched.
    argv = ["dockerd", "--host", host, "--data-root", str(data), "--exec-root", f"{run}/exec"]
    argv += ["--pidfile", f"{run}/docker.pid", "--bridge", "none", "--iptables=false", "--shutdown-timeout", "5"]
    if not stays and (setpriv := shutil.which("setpriv")):
        argv = [setpriv, "--pdeathsig", "TERM", *argv]
    with _log().open("wb") as log:
        process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            # Ctrl-C is for the tests, which then stop it in order.
            start_new_session=True,
            pass_fds=(lock,),
        )
    daemon = Daemon(host, True, _log())
    _STARTED[host] = process
    try:
        deadline = time.monotonic() + START_SECONDS
        while not _answers(host):
            if process.poll() is not None or time.monotonic() > deadline:
                said = _log().read_text(errors="replace").splitlines()[-3:]
                raise Unavailable("dockerd does not start", f"see {_log()}, which ends with {' | '.join(said)}")
            time.sleep(0.05)
        if left := _docker(daemon, "ps", "--all", "--quiet").split():
            _docker(daemon, "rm", "--force", *left)
    except BaseException:
        stop(daemon)
        raise
    return daemon


def _running() -> str:
    """The host of the daemon of ours that is up, or was."""
    try:
        return f"unix://{(_directory() / 'run').read_text()}/docker.sock"
    except FileNotFoundError:
        return ""


def _answers(host: str) -> bool:
    if host.startswith("unix://"):
        with socket.socket(socket.AF_UNIX) as probe:
            try:
                probe.connect(host.removeprefix("unix://"))
            except OSError:
                return False
    try:
        asked = ["docker", "--host", host, "version", "--format", "{{.Server.Version}}"]
        return subprocess.run(asked, capture_output=True, check=False, timeout=10).returncode == 0
    except subprocess.TimeoutExpired:
        return False


def _end(pid: int, seconds: float) -> None:
    """End this process, and if it must be the hard way."""
    try:
        watched = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        for number in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(watched, number)
            if select.select([watched], [], [], seconds)[0]:
                return
    finally:
        os.close(watched)


def _clear(directory: Path) -> None:
    """Take away what a daemon that is gone left of its last run: nothing, unless it was killed."""
    try:
        run = Path((directory / "run").read_text())
    except FileNotFoundError:
        return
    with contextlib.suppress(FileNotFoundError, ValueError):
        # dockerd's own containerd.
        _end(int((run / "exec/containerd/containerd.pid").read_text()), STOP_SECONDS)
    below = (f"{run}/", f"{directory}/")
    mounts = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
    for mount in sorted((each for each in mounts if f"{each}/".startswith(below)), reverse=True):
        subprocess.run(["umount", "--lazy", mount], check=False)
    shutil.rmtree(run, ignore_errors=True)
    (directory / "run").unlink()


# --- the images


def _docker(daemon: Daemon, *argv: str, check: bool = True, seconds: float = 120, stdin: int | None = None) -> str:
    environment = {**os.environ, "DOCKER_BUILDKIT": "1" if _buildx() else "0", "DOCKER_CLI_HINTS": "false"}
    done = subprocess.run(
        ["docker", "--host", daemon.host, *argv],
        stdin=subprocess.DEVNULL if stdin is None else stdin,
        capture_output=True,
        text=True,
        errors="replace",
        env=environment,
        timeout=seconds,
        check=False,
    )
    if check and done.returncode != 0:
        said = "\n".join((done.stdout + done.stderr).splitlines()[-15:])
        raise Unavailable(f"docker {' '.join(argv[:2])} failed", f"it said: {said}")
    return done.stdout if done.returncode == 0 else ""


def _buildx() -> bool:
    return subprocess.run(["docker", "buildx", "version"], capture_output=True, check=False).returncode == 0


def _inspected(daemon: Daemon, image: str, format_: str) -> str:
    return _docker(daemon, "image", "inspect", "--format", format_, image, check=False).strip()


def _base(daemon: Daemon, release: str) -> str:
    """The id of Debian's image of this release: as it is there, or pulled, or where no registry answers made here."""
    image = f"debian:{release}-slim"
    if there := _inspected(daemon, image, "{{.Id}}"):
        return there
    with contextlib.suppress(subprocess.TimeoutExpired):
        _docker(daemon, "pull", "--quiet", image, check=False, seconds=120)
    if there := _inspected(daemon, image, "{{.Id}}"):
        return there
    if not daemon.ours:
        raise Unavailable(f"there is no {image}, and it cannot be pulled", f"docker pull {image}")
    if not shutil.which("mmdebstrap"):
        raise Unavailable(f"{image} cannot be pulled, nor made without mmdebstrap", "run: tests/prepare")
    unwanted = ("doc", "info", "lintian", "linda", "locale", "man")
    options = [f"--dpkgopt=path-exclude=/usr/share/{each}/*" for each in unwanted]
    options += ["--dpkgopt=path-include=/usr/share/doc/*/copyright", "--aptopt=Acquire::Languages none"]
    with tempfile.TemporaryDirectory(dir=_directory()) as scratch:
        archive = f"{scratch}/base.tar"
        argv = ["mmdebstrap", "--quiet", "--variant=apt", *options, release, archive]
        made = subprocess.run(argv, capture_output=True, text=True, timeout=BUILD_SECONDS, check=False)
        if made.returncode != 0:
            raise Unavailable(f"mmdebstrap made no {release}", f"it said: {made.stderr[-500:]}")
        _docker(daemon, "import", archive, image)
    return _inspected(daemon, image, "{{.Id}}")


def _build_one(
    daemon: Daemon, image: str, directory: Path, arguments: Mapping[str, str], base: str, mirrors: Sequence[str]
) -> bool:
    """Whether it had to be built."""
    parts = [base, *(f"{name}={value}" for name, value in sorted(arguments.items()))]
    recipe = _recipe(parts, sorted(directory.iterdir()), directory)
    if _is_built(daemon, image, recipe):
        return False
    options = [f"--build-arg={name}={value}" for name, value in arguments.items()]
    _run_build(daemon, image, directory, recipe, [*options, *mirrors])
    return True


def _recipe(parts: Sequence[str], files: Sequence[Path], below: Path) -> str:
    read = [text for file in files for text in (str(file.relative_to(below)), file.read_text(errors="surrogateescape"))]
    return hashlib.sha256("\0".join([*parts, *read]).encode(errors="surrogateescape")).hexdigest()


def _service_recipe(base: str) -> str:
    found = [file for part in SERVICE_PARTS for file in [ROOT / part, *(ROOT / part).rglob("*")] if file.is_file()]
    return _recipe([base], sorted(file for file in found if "__pycache__" not in file.parts), ROOT)


def _is_built(daemon: Daemon, image: str, recipe: str) -> bool:
    return _inspected(daemon, image, f'{{{{index .Config.Labels "{RECIPE}"}}}}') == recipe


def _run_build(daemon: Daemon, image: str, context: Path, recipe: str, options: Sequence[str]) -> None:
    began = time.monotonic()
    options = [*options, "--force-rm", f"--label={RECIPE}={recipe}", f"--tag={image}"]
    _docker(daemon, "build", *options, str(context), seconds=BUILD_SECONDS)
    size = int(_inspected(daemon, image, "{{.Size}}")) // 1_000_000
    print(f"built {image}: {size} MB in {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)


def _prune(daemon: Daemon) -> None:
    """Remove the stages that images were copied from."""
    if daemon.ours:
        _docker(daemon, "image", "prune", "--force")


@contextlib.contextmanager
def _mirrors(daemon: Daemon) -> Iterator[Sequence[str]]:
    """The options of a build that lead it to the Go module proxy, and to PyPI, through this process.

    A machine may reach them only through a gateway with a certificate of its own, which this machine trusts and the
    image that is built does not. What comes is checked all the same: go has the key of the checksum database, and what
    PyPI's index says of a file's hash came over TLS to this process.
    """
    if not daemon.ours:
        yield ()
        return
    try:
        server = http.server.ThreadingHTTPServer(("127.0.0.1", MIRROR_PORT), _Mirror)
    except OSError:  # another run builds, too
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Mirror)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    address = f"http://127.0.0.1:{server.server_port}"
    try:
        yield (
            "--network=host",
            f"--build-arg=GOPROXY={address}/go",
            f"--build-arg=PIP_INDEX_URL={address}/simple",
        )
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Mirror(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        where, _, rest = self.path.removeprefix("/").partition("/")
        try:
            asked = urllib.request.Request(
                UPSTREAMS[where] + rest, headers={"Accept": self.headers.get("Accept", "*/*")}
            )
            answer = urllib.request.urlopen(asked, timeout=60)
        except urllib.error.HTTPError as error:
            answer = error
        except (KeyError, OSError) as error:
            self.send_error(502, str(error))
            return
        with answer:
            body = answer.read()
        if where == "simple":
            body = body.replace(UPSTREAMS["files"].encode(), b"/files/")
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.headers.get("Content-Type", "application/octet-stream"))
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as it is called in what it overrides
        """Say nothing."""


def main(arguments: Sequence[str]) -> int:
    command, names = (arguments[0] if arguments else ""), arguments[1:]
    try:
        if command == "up":
            daemon = answering() or start(stays=True)
            print(f"export DOCKER_HOST={daemon.host}")
        elif command == "down":
            if host := _running():
                stop(Daemon(host, True, _log()))
        elif command == "build":
            daemon = answering() or start()
            try:
                wanted = [name for name in names if name != "serve"]
                if wanted or not names:
                    for name, image in build(daemon, wanted).items():
                        print(name, image)
                if "serve" in names or not names:
                    print("serve", build_service(daemon))
            finally:
                if daemon.host in _STARTED:
                    stop(daemon)
        else:
            print(__doc__, file=sys.stderr)
            return 2
    except Unavailable as error:
        print(error, file=sys.stderr)
        return 3
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
