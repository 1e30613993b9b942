"""`will-it-compile images` with a real daemon, and with a real registry on 127.0.0.1."""

from __future__ import annotations

import base64
import json
import os
import pty
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import uuid
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.request import Request, urlopen

import docker
import pytest

from willitcompile.backends.docker import building
from willitcompile.cli import run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from typing import TypeAlias

    from docker import DockerClient

pytestmark = pytest.mark.docker

NAME, OWN = "gcc-10", "will-it-compile/gcc:10"
NEEDED = {
    OWN: "will-it-compile images build gcc-10",
    "will-it-compile/gcc:9": "will-it-compile images build gcc-9",
    "debian:trixie-slim": "docker pull debian:trixie-slim",
}
SECRET = "right:$2b$04$4VkQQbaOfj1RegoieUq.HOn.KNH.VldWGPQwqci9SyApBxexFDvqG"
"""The line of a file of htpasswd for the user `right`, whose password is the same word."""

PATCHED = (
    "import sys; from willitcompile.backends.docker import building; images = sys.argv.pop(1); "
    "building.directory = lambda: images; from willitcompile.cli import main; main()"
)
"""The program, with the directory of the Dockerfiles as its first argument."""


class Ended(NamedTuple):
    code: int
    out: str
    err: str


Program: TypeAlias = "Callable[..., Ended]"


@pytest.fixture
def program(tmp_path: Path) -> Program:
    """A command line, in a process of its own with a home of its own, and `config` as that of Docker."""

    def call(*argv: str, config: object = None) -> Ended:
        (tmp_path / ".docker").mkdir(exist_ok=True)
        (tmp_path / ".docker" / "config.json").write_text(json.dumps(config or {}))
        (tmp_path / "main.c").write_text("int main(void) { return 0; }\n")
        environment = {**os.environ, "HOME": str(tmp_path), "PYTHONPATH": os.getcwd()}
        environment.pop("DOCKER_CONFIG", None)
        done = subprocess.run(
            [sys.executable, "-m", "willitcompile.cli", *argv],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        return Ended(done.returncode, done.stdout, done.stderr)

    return call


@pytest.fixture(scope="module", autouse=True)
def client(docker_host: str, unavailable: Callable[[str, str, str], None]) -> Iterator[DockerClient]:
    client = docker.DockerClient(base_url=docker_host, timeout=120)
    for image, remedy in NEEDED.items():
        if not client.images.list(image):
            client.close()
            unavailable("docker", f"there is no {image}", remedy)
    yield client
    client.close()


def containers(client: DockerClient, mark: str) -> list[str]:
    """Those with this in their labels, which are those of their image too, or in their command."""
    return [each["Id"] for each in client.api.containers(all=True) if mark in f"{each['Labels']} {each['Command']}"]


# --- list


def listed(program: Program, *argv: str) -> dict[str, Any]:
    ended = program("images", "list", "--format", "json", *argv)
    assert (ended.code, ended.err) == (0, "")
    return {each["toolchain"]: each for each in json.loads(ended.out)["images"]}


def test_what_is_there_is_listed_with_its_size(program: Program, client: DockerClient) -> None:
    found = listed(program)[NAME]
    assert found["present"] is True
    assert (found["image"], found["source"]) == (OWN, "built here")
    assert found["size_bytes"] == client.images.get(OWN).attrs["Size"]
    assert (found["release"], found["pull"]) == ("bullseye", "gcc:10")


def test_the_table_says_the_same(program: Program) -> None:
    ended = program("images", "list")
    assert ended.code == 0
    assert re.search(rf"^{NAME}  +(ready|here)  +\d[\d.]* MiB  +{OWN}  +built here$", ended.out, re.MULTILINE)
    assert re.search(
        r"^go-1\.15  +absent  +-  +-  +build \(Debian trixie\) or pull golang:1\.15-alpine$", ended.out, re.MULTILINE
    )


def test_a_pinned_image_that_is_not_there_is_absent_whatever_else_is(program: Program) -> None:
    found = listed(program, "--images", f"{NAME}=registry.example.org/gcc:10")[NAME]
    assert (found["present"], found["ready"], found["image"]) == (False, False, None)
    assert found["pull"] == "registry.example.org/gcc:10"


# --- pull


class Registry(NamedTuple):
    host: str
    pin: str
    """As `--images` has it."""
    digest: str


@pytest.fixture(scope="module")
def start_registry(tmp_path_factory: pytest.TempPathFactory, unavailable: Any) -> Iterator[Callable[..., str]]:
    """`start_registry()`: its host; all of one start share their content. With `secret`, it asks for a password."""
    if not shutil.which("docker-registry"):
        unavailable("docker", "there is no docker-registry", "apt-get install docker-registry")
    directory = tmp_path_factory.mktemp("registry")
    started = []

    def start(*, secret: bool = False) -> str:
        host = f"127.0.0.1:{free_port()}"
        config = directory / f"{host}.yml"
        (directory / "htpasswd").write_text(f"{SECRET}\n")
        settings: dict[str, Any] = {
            "version": 0.1,
            "log": {"level": "error"},
            "storage": {"filesystem": {"rootdirectory": str(directory / "data")}},
            "http": {"addr": host},
        }
        if secret:
            settings["auth"] = {"htpasswd": {"realm": "tests", "path": str(directory / "htpasswd")}}
        config.write_text(json.dumps(settings))
        with (directory / "log").open("ab") as log:
            started.append(subprocess.Popen(["docker-registry", "serve", str(config)], stdout=log, stderr=log))
        wait_for(lambda: answers(host))
        return host

    yield start
    for process in started:
        process.terminate()
        process.wait()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def answers(host: str) -> bool:
    name, _, port = host.partition(":")
    with socket.socket() as probe:
        return probe.connect_ex((name, int(port))) == 0


def wait_for(event: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not event():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture(scope="module")
def registry(start_registry: Callable[..., str], client: DockerClient, tmp_path_factory: Any) -> Iterator[Registry]:
    """One that has an image of gcc 10, which is none of those that the daemon has."""
    host = start_registry()
    reference = f"{host}/gcc:10"
    context = tmp_path_factory.mktemp("pushed")
    (context / "Dockerfile").write_text(f"FROM {OWN}\nLABEL tests={host}\n")
    client.images.build(path=str(context), tag=reference, rm=True)
    for event in client.images.push(f"{host}/gcc", tag="10", stream=True, decode=True):
        assert "error" not in event, event
    remove(client, reference)
    accepted = "application/vnd.docker.distribution.manifest.v2+json"
    with urlopen(Request(f"http://{host}/v2/gcc/manifests/10", headers={"Accept": accepted})) as answer:
        digest = answer.headers["Docker-Content-Digest"]
    yield Registry(host, f"{NAME}={reference}", digest)
    for image in client.images.list():
        for name in (*image.tags, *image.attrs["RepoDigests"]):
            if name.startswith(f"{host}/"):
                remove(client, name)


def remove(client: DockerClient, reference: str) -> None:
    """With the image that was made ready from it."""
    ready = client.images.list("will-it-compile/ready")
    made = [tag for image in ready for tag in image.tags if tag.partition(":")[2].startswith(f"{NAME}-")]
    for each in (*made, reference):
        if client.images.list(each):
            client.images.remove(each, force=True)


def test_a_pinned_image_is_pulled_made_ready_and_compiles(
    program: Program, client: DockerClient, registry: Registry
) -> None:
    host, pin, digest = registry
    remove(client, f"{host}/gcc:10")
    ended = program("images", "pull", NAME, "--images", pin)
    assert ended.code == 0, ended.err
    assert ended.out == f"pulled {host}/gcc:10\n"
    assert ended.err.startswith(f"note: pulling {host}/gcc:10, once\nnote: making {host}/gcc:10 ready")
    found = listed(program, "--images", pin)[NAME]
    assert (found["image"], found["source"], found["ready"]) == (f"{host}/gcc:10", "pinned", True)
    ended = program("check", "main.c", "-b", "docker", "-c", NAME, "--images", pin, "-f", "json")
    assert (ended.code, ended.err) == (0, "")
    (result,) = json.loads(ended.out)["results"]
    assert result["image"] == f"{host}/gcc@{digest}"
    assert result["toolchain"] == NAME


@pytest.mark.parametrize("by_digest", [False, True])
def test_a_check_pulls_what_it_needs(
    program: Program, client: DockerClient, registry: Registry, by_digest: bool
) -> None:
    host, _, digest = registry
    remove(client, f"{host}/gcc:10")
    image = f"{host}/gcc@{digest}" if by_digest else f"{host}/gcc:10"
    ended = program("check", "main.c", "-b", "docker", "-c", NAME, "--images", f"{NAME}={image}", "-f", "json")
    assert ended.code == 0, ended.err
    assert f"note: pulling {image}, once\n" in ended.err
    assert json.loads(ended.out)["results"][0]["image"] == f"{host}/gcc@{digest}"
    # The daemon removes what has done its job, and nobody waits for that.
    wait_for(lambda: not containers(client, host))
    if by_digest:
        client.images.remove(image, force=True)


@pytest.mark.parametrize("command", [("images", "pull", NAME), ("check", "main.c", "-b", "docker", "-c", NAME)])
def test_an_image_that_its_registry_has_not_is_told(
    program: Program, registry: Registry, command: tuple[str, ...]
) -> None:
    ended = program(*command, "--images", f"{NAME}={registry.host}/nosuch:1")
    assert (ended.code, ended.out) == (3, "")
    assert f"  {registry.host}/nosuch:1 cannot be pulled: " in ended.err
    assert "try: see what stands in the way: docker pull" in ended.err


def test_a_registry_that_does_not_answer_is_told(program: Program) -> None:
    ended = program("images", "pull", NAME, "--images", f"{NAME}=127.0.0.1:{free_port()}/gcc:10")
    assert ended.code == 3
    assert "connection refused" in ended.err


def test_a_password_is_taken_from_the_configuration_of_docker(
    program: Program, client: DockerClient, registry: Registry, start_registry: Callable[..., str]
) -> None:
    host = start_registry(secret=True)
    argv = ("images", "pull", NAME, "--images", f"{NAME}={host}/gcc:10")
    for config in ({}, {"auths": {host: {"auth": base64.b64encode(b"right:wrong").decode()}}}):
        ended = program(*argv, config=config)
        assert ended.code == 3
        assert ended.err.endswith(f"\n  try: docker login {host}\n")
    right = {"auths": {host: {"auth": base64.b64encode(b"right:right").decode()}}}
    ended = program(*argv, config=right)
    assert ended.code == 0, ended.err
    client.images.remove(f"{host}/gcc:10", force=True)


def test_an_image_of_another_compiler_is_refused(program: Program) -> None:
    ended = program("check", "main.c", "-b", "docker", "-c", NAME, "--images", f"{NAME}=will-it-compile/gcc:9")
    assert ended.code == 3
    assert "  its gcc is a gcc-9\n" in ended.err


# --- build


@pytest.fixture
def dockerfile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, client: DockerClient) -> Iterator[Path]:
    """What our image of gcc 10 is built from now. What its tag named before, it names again afterwards."""
    path = tmp_path / "images" / "gcc" / "Dockerfile"
    path.parent.mkdir(parents=True)
    monkeypatch.setattr(building, "directory", lambda: str(path.parent.parent))
    before = client.images.get(OWN).id
    yield path
    client.images.get(before).tag(*OWN.split(":"))
    left = [each.id for each in client.images.list(filters={"label": "tests.of=images"})]
    for image in left:
        client.images.remove(image, force=True)


def test_an_image_is_built_and_made_ready(
    dockerfile: Path, capfd: pytest.CaptureFixture[str], client: DockerClient
) -> None:
    # A label of its own keeps what was built in an earlier run from being taken.
    dockerfile.write_text(
        f"ARG RELEASE\nARG VERSION\nFROM {OWN.replace('10', '${VERSION}')}\nARG MORE\n"
        f"LABEL tests.of=images tests.more=$MORE tests.time={time.time()}\n"
    )
    code = run(["images", "build", NAME, "--build-arg", "MORE=this"])
    out, err = capfd.readouterr()
    assert code == 0, err
    image = client.images.get(OWN)
    assert image.labels["tests.more"] == "this"
    assert re.fullmatch(rf"built {OWN}: [\d.]+ MiB\n", out)
    assert re.search(r"^(Step \d/\d : LABEL|#\d+ .*(LABEL|FROM))", err, re.MULTILINE)
    assert f"\nnote: making {OWN} ready to compile with {NAME}, once\n" in err
    assert containers(client, "tests.of") == []


def test_a_build_that_fails_says_at_which_step(
    dockerfile: Path, capfd: pytest.CaptureFixture[str], client: DockerClient
) -> None:
    dockerfile.write_text("FROM debian:trixie-slim\nRUN echo it fails; exit 7\n")
    before = client.images.get(OWN).id
    assert run(["images", "build", NAME, "--network=none"]) == 3
    out, err = capfd.readouterr()
    assert out == ""
    assert f"error: build {OWN}\n  step 2/2 ended with code 7\n  try: see it alone: docker build " in err
    assert "it fails\n" in err
    assert containers(client, "it fails") == []
    assert client.images.get(OWN).id == before


def test_the_others_are_built_all_the_same(dockerfile: Path, capfd: pytest.CaptureFixture[str]) -> None:
    dockerfile.write_text(f"ARG VERSION\nFROM {OWN}\nLABEL tests.of=images\n")
    (dockerfile.parent.parent / "rust").mkdir()
    assert run(["images", "build", f"rust,{NAME}", "--network", "none"]) == 3
    out, err = capfd.readouterr()
    assert "error: build will-it-compile/rustc:1.85\n" in err
    assert out.startswith(f"built {OWN}: ")


def test_a_base_that_cannot_be_had_is_told(dockerfile: Path, capfd: pytest.CaptureFixture[str]) -> None:
    base = f"127.0.0.1:{free_port()}/base:1"
    dockerfile.write_text(f"FROM {base}\n")
    assert run(["images", "build", NAME]) == 3
    err = capfd.readouterr().err
    assert f"it begins with {base}, which is not here and cannot be pulled: " in err
    assert f"docker save {base} | docker load\n" in err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_the_build(dockerfile: Path, client: DockerClient, number: signal.Signals) -> None:
    # What has run once to its end would not run again.
    dockerfile.write_text(f"FROM debian:trixie-slim\nRUN echo it runs && sleep 1000 # {uuid.uuid4()}\n")
    before = client.images.get(OWN).id
    argv = [sys.executable, "-c", PATCHED, str(dockerfile.parent.parent), "images", "build", NAME, "--network=none"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr
        assert any(re.search(r"^(#\d+ [\d.]+ )?it runs$", line) for line in process.stderr)
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, "")
    assert err.endswith("interrupted\n")
    assert containers(client, "it runs") == []
    assert client.images.get(OWN).id == before


def test_a_terminal_shows_the_step_and_only_of_a_failure_the_lines(dockerfile: Path) -> None:
    dockerfile.write_text("FROM debian:trixie-slim\nRUN sleep 1; printf 'why it\\033[2J failed\\n' && exit 1\n")
    argv = [sys.executable, "-c", PATCHED, str(dockerfile.parent.parent), "images", "build", NAME, "--network=none"]
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "100"}
    with subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=theirs, env=environment) as process:
        os.close(theirs)
        shown = b""
        try:
            while data := os.read(ours, 65536):
                shown += data
        except OSError:  # the other end is closed
            pass
    os.close(ours)
    assert process.returncode == 3
    text = shown.decode()
    assert " 2/2 RUN sleep" in text.partition("why it")[0]
    assert "why it\\x1b[2J failed" in text
    assert "step 2/2 ended with code 1" in text
