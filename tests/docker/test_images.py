"""The toolchain images, as images/ builds them: each compiles and links as an ordinary user in a container that may
do nothing else, and holds nothing that a compile does not need.
"""

from __future__ import annotations

import io
import json
import subprocess
import tarfile
import time
from typing import TYPE_CHECKING, NoReturn

import pytest

from tests.daemon import toolchains
from willitcompile.toolchains import load_catalogue

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    Unavailables = Callable[[str, str, str], NoReturn]

pytestmark = pytest.mark.docker

CATALOGUE = load_catalogue()
NEWEST = tuple(next(name for name in toolchains() if name.startswith(f"{family}-")) for family in CATALOGUE.families)

C_RIGHT = b'#include <stdio.h>\n#include <pthread.h>\nint main(void) { return puts("hello") == EOF; }\n'
CPP_RIGHT = b'#include <iostream>\n#include <regex>\nint main() { std::cout << "hello\\n"; }\n'
RUST_RIGHT = (
    b'use std::collections::HashSet;\nfn main() { let s: HashSet<i32> = HashSet::new(); println!("{}", s.len()); }\n'
)
GO_RIGHT = b'package main\n\nimport "fmt"\n\nfunc main() { fmt.Println("hello") }\n'

C = {"gcc": "gcc", "clang": "clang"}
CPP = {"gcc": "g++", "clang": "clang++"}
GO_ENVIRONMENT = {
    "CGO_ENABLED": "0",
    "GO111MODULE": "on",
    "GOCACHE": "/work/cache",
    "GOENV": "off",
    "GOFLAGS": "",
    "GOPROXY": "off",
    "GOSUMDB": "off",
    "GOTOOLCHAIN": "local",
    "GOWORK": "off",
    "TMPDIR": "/work/tmp",
    "XDG_CONFIG_HOME": "off",
}
HARDENED = ("--network=none", "--cap-drop=ALL", "--security-opt=no-new-privileges", "--pids-limit=200")

LARGEST = {"gcc": 250, "clang": 440, "go": 295, "rustc": 560}
"""In 10^6 bytes: a tenth more than the largest of the family has."""


class Image:
    """One image, and containers of it."""

    def __init__(self, host: str, name: str) -> None:
        self.name = name
        self.family, _, self.version = name.partition("-")
        self.image = str(CATALOGUE.own_image(name))
        self._docker = ("docker", "--host", host)

    def docker(self, *argv: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        return subprocess.run([*self._docker, *argv], input=stdin, capture_output=True, check=False, timeout=120)

    def run(self, *argv: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        """A compile in a container that has no more than it needs."""
        options = (*HARDENED, "--rm", "--interactive", "--read-only", "--tmpfs=/tmp:mode=1777,noexec,nosuid,nodev")
        return self.docker("run", *options, "--workdir=/tmp", self.image, *argv, stdin=stdin)

    def inspect(self) -> dict[str, object]:
        answer = json.loads(self.docker("image", "inspect", self.image).stdout)
        assert isinstance(answer, list)
        return dict(answer[0])

    def created(self, *options: str) -> str:
        return self.docker("create", *options).stdout.decode().strip()

    def files(self) -> Iterator[tarfile.TarInfo]:
        container = self.created(self.image)
        try:
            with (
                subprocess.Popen([*self._docker, "export", container], stdout=subprocess.PIPE) as exporting,
                tarfile.open(fileobj=exporting.stdout, mode="r|") as archive,
            ):
                yield from archive
        finally:
            self.docker("rm", "--force", container)


@pytest.fixture
def image(docker_host: str, unavailable: Unavailables, request: pytest.FixtureRequest) -> Image:
    one = Image(docker_host, request.param)
    if one.docker("image", "inspect", one.image).returncode != 0:
        unavailable("docker", f"there is no {one.image}", f"python -m tests.daemon build {one.name}")
    return one


def each(names: Sequence[str]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("image", names, indirect=True)


C_FAMILY = tuple(name for name in toolchains() if name.partition("-")[0] in CPP)
C_EXTREMES = tuple(name for name in C_FAMILY if name in {"gcc-14", "gcc-9", "clang-22", "clang-15", "clang-13"})
"""The newest, the oldest (Debian's clang 11 lacks what `-flto` links with), and one that is packaged otherwise."""

RUST = tuple(name for name in toolchains() if name.startswith("rustc-"))
GO = tuple(name for name in toolchains() if name.startswith("go-"))


@each(toolchains())
def test_is_the_version_that_its_name_says(image: Image) -> None:
    said = image.run()
    assert said.returncode == 0, said.stderr
    arguments = CATALOGUE.build_arguments(image.name)
    assert arguments is not None
    assert arguments["VERSION"] in said.stdout.decode().partition("\n")[0]


@each(toolchains())
def test_is_an_ordinary_user_s(image: Image) -> None:
    config = image.inspect()["Config"]
    assert isinstance(config, dict)
    assert config["User"] == "1000:1000"
    assert not config.get("ExposedPorts")
    assert not config.get("Volumes")
    assert config["Labels"]["org.opencontainers.image.title"] == image.image.partition(":")[0]
    assert {"version", "description", "licenses"} <= {
        label.removeprefix("org.opencontainers.image.") for label in config["Labels"]
    }


@each(toolchains())
def test_is_small(image: Image) -> None:
    size = image.inspect()["Size"]
    assert isinstance(size, int)
    assert size < LARGEST[image.family] * 1_000_000


@each(NEWEST)
def test_holds_no_shell_no_package_manager_and_nothing_that_gives_rights(image: Image) -> None:
    names = set()
    for file in image.files():
        if file.isfile():
            names.add(file.name.rpartition("/")[2])
        assert not file.mode & 0o6000, file.name
        assert file.issym() or file.name.rstrip("/") in {"tmp", "dev/shm"} or not file.mode & 0o002, file.name
    assert not names & {
        "sh",
        "bash",
        "dash",
        "busybox",
        "apt",
        "apt-get",
        "dpkg",
        "perl",
        "python3",
        "su",
        "mount",
        "curl",
    }
    # What a debian:*-slim keeps, which the licences ask for, and no manuals.
    assert "copyright" in names or "LICENSE" in names
    assert not {name for name in names if name.endswith((".1.gz", ".mo"))}


@each(C_FAMILY)
def test_compiles_and_links_cpp(image: Image) -> None:
    cpp = image.run(CPP[image.family], "-x", "c++", "-", "-o", "/tmp/program", stdin=CPP_RIGHT)
    assert (cpp.returncode, cpp.stdout, cpp.stderr) == (0, b"", b"")


@each(C_EXTREMES)
def test_compiles_and_links_c(image: Image) -> None:
    c = image.run(C[image.family], "-x", "c", "-", "-pthread", "-o", "/tmp/program", stdin=C_RIGHT)
    assert (c.returncode, c.stdout, c.stderr) == (0, b"", b"")


@each(C_EXTREMES)
@pytest.mark.parametrize("flags", ["-static", "-fsanitize=address,undefined", "-fopenmp", "-O2 -flto"])
def test_links_what_the_flags_ask_for(image: Image, flags: str) -> None:
    cpp = image.run(CPP[image.family], "-x", "c++", "-", "-o", "/tmp/program", *flags.split(), stdin=CPP_RIGHT)
    assert (cpp.returncode, cpp.stdout, cpp.stderr) == (0, b"", b"")


@each(C_FAMILY)
def test_rejects_what_is_wrong_in_cpp(image: Image) -> None:
    wrong = image.run(CPP[image.family], "-x", "c++", "-", "-fsyntax-only", stdin=b"int main() { return x; }\n")
    assert wrong.returncode == 1
    assert b"<stdin>:1:21: error:" in wrong.stderr


@each(RUST)
@pytest.mark.parametrize("flags", ["--emit=metadata", "-Clto", "-Ctarget-feature=+crt-static"])
def test_compiles_and_links_rust(image: Image, flags: str) -> None:
    right = image.run("rustc", "-", "-o", "/tmp/program", flags, stdin=RUST_RIGHT)
    assert (right.returncode, right.stdout, right.stderr) == (0, b"", b"")


@each(RUST)
def test_rejects_what_is_wrong_in_rust(image: Image) -> None:
    wrong = image.run("rustc", "-", "--emit=metadata", "-o", "/tmp/program", stdin=b"fn main() { x }\n")
    assert wrong.returncode == 1
    assert b"E0425" in wrong.stderr


def go_job(image: Image, source: bytes) -> bytes:
    """A tree as a job has it: its source, and a cache of links to the standard library that the image holds."""
    container = image.created(image.image)
    try:
        answer = image.docker("cp", f"{container}:/will-it-compile/go-build/seeds", "-").stdout
    finally:
        image.docker("rm", container)
    with tarfile.open(fileobj=io.BytesIO(answer)) as archive:
        member = archive.extractfile("seeds")
        assert member is not None
        seeds = member.read().decode().split()
    assert len(seeds) > 1000
    output = io.BytesIO()
    with tarfile.open(fileobj=output, mode="w") as archive:
        for directory in ("work", "work/src", "work/tmp", "work/cache", *(f"work/cache/{n:02x}" for n in range(256))):
            add(archive, directory, tarfile.DIRTYPE)
        add(archive, "work/src/main.go", content=source)
        add(archive, "work/cache/trim.txt", content=str(int(time.time())).encode())
        for seed in seeds:
            add(archive, f"work/cache/{seed}", tarfile.SYMTYPE, link=f"/will-it-compile/go-build/{seed}")
    return output.getvalue()


def add(
    archive: tarfile.TarFile, name: str, kind: bytes = tarfile.REGTYPE, content: bytes = b"", link: str = ""
) -> None:
    info = tarfile.TarInfo(name)
    info.type, info.size, info.linkname = kind, len(content), link
    info.mode, info.uid, info.gid, info.mtime = 0o755, 1000, 1000, int(time.time())
    archive.addfile(info, io.BytesIO(content))


def go(image: Image, source: bytes, *argv: str) -> subprocess.CompletedProcess[bytes]:
    options = [*HARDENED, "--workdir=/work/src", *(f"--env={name}={value}" for name, value in GO_ENVIRONMENT.items())]
    container = image.created(*options, image.image, "go", *argv)
    try:
        image.docker("cp", "-", f"{container}:/", stdin=go_job(image, source))
        return image.docker("start", "--attach", container)
    finally:
        image.docker("rm", "--force", container)


@each(GO)
def test_compiles_go_with_the_library_that_it_holds(image: Image) -> None:
    right = go(image, GO_RIGHT, "list", "-export", "-v", '-f={{""}}', "main.go")
    assert right.returncode == 0, right.stderr
    # What it had to compile: its own package, and nothing of the standard library.
    assert right.stderr == b"command-line-arguments\n"


@each(GO)
def test_links_go(image: Image) -> None:
    right = go(image, GO_RIGHT, "build", "-o", "/work/tmp/program", "main.go")
    assert (right.returncode, right.stdout, right.stderr) == (0, b"", b"")


@each(GO)
def test_rejects_what_is_wrong_in_go(image: Image) -> None:
    wrong = go(image, b"package main\n\nfunc main() { x() }\n", "list", "-export", '-f={{""}}', "main.go")
    assert wrong.returncode == 1
    assert b"./main.go:3:15: undefined: x" in wrong.stderr
