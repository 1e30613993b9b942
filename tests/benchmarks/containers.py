"""The docker backend beside `docker run` by hand with the same hardening, and beside the compile itself."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from bench import HELLO, Figure, alternate, wall

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bench import Machine

TOOLCHAIN = "gcc-12"
FILES = 50
MATRIX = {
    **dict.fromkeys(("gcc-11", "gcc-12", "gcc-13", "gcc-14"), "g++"),
    **dict.fromkeys(("clang-14", "clang-19"), "clang++"),
}
"""By toolchain, what to call in its image."""
STANDARDS = ("c++11", "c++14", "c++17", "c++20")
SOURCE = """\
#include <algorithm>
#include <string>
#include <vector>
int number_{0}(std::vector<std::string> words) {{
    std::sort(words.begin(), words.end());
    return static_cast<int>(words.size()) + {0};
}}
"""


def prepare() -> None:
    """Raises RuntimeError where no daemon has the image."""
    if not _has(_image()):
        raise RuntimeError(f"there is no {_image()}: will-it-compile images build {TOOLCHAIN}")


def one_file(machine: Machine) -> Iterator[Figure]:
    """From process start to exit, for one small file."""
    hand = _by_hand(machine, str(HELLO.parent), HELLO.name)
    check = [machine.program, "check", "-b", "docker", "-c", TOOLCHAIN, "-q", str(HELLO)]
    wall(check)  # makes the image ready
    by_hand, ours = alternate(machine.rounds(20, 6), lambda: wall(hand), lambda: wall(check))
    yield Figure("docker", "docker run, hello.cpp", by_hand)
    yield Figure("docker", "will-it-compile check -b docker hello.cpp", ours)
    yield Figure("docker", "ratio, of each pair", _ratios(by_hand, ours), "at most 1 x", "x")


def many_files(machine: Machine) -> Iterator[Figure]:
    """Fifty small files, on both sides one at a time, and as many as this machine has cores."""
    directory = machine.scratch / "fifty"
    directory.mkdir()
    for number in range(FILES):
        (directory / f"file_{number}.cpp").write_text(SOURCE.format(number))
    names = sorted(path.name for path in directory.iterdir())
    check = [machine.program, "check", "-b", "docker", "-c", TOOLCHAIN, "-q", str(directory)]

    def by_hand(jobs: int) -> float:
        start = time.perf_counter()
        with ThreadPoolExecutor(jobs) as pool:
            list(pool.map(lambda name: wall(_by_hand(machine, str(directory), name)), names))
        return time.perf_counter() - start

    wall(check)
    for jobs in sorted({1, len(os.sched_getaffinity(0))}):
        measured = (partial(by_hand, jobs), partial(wall, [*check, f"-j{jobs}"]))
        hand, ours = alternate(machine.rounds(3, 1), *measured, warm=False)
        yield Figure("docker", f"{FILES} docker runs, {jobs} at a time", hand)
        yield Figure("docker", f"will-it-compile check -b docker -j{jobs}, {FILES} files", ours)
        yield Figure("docker", "ratio, of each pair", _ratios(hand, ours), "at most 0.6 x", "x")


def matrix(machine: Machine) -> Iterator[Figure]:
    """Six compilers by four standards, beside a shell loop of the same images and flags, without any hardening."""
    for compiler in MATRIX:
        if not _has(_image(compiler)):
            raise RuntimeError(f"there is no {_image(compiler)}: will-it-compile images build {compiler}")
    loop = machine.scratch / "loop.sh"
    loop.write_text(
        "".join(
            f"docker run --rm -v {HELLO.parent}:/src:ro -w /src {_image(compiler)}"
            f" {driver} -std={standard} -c {HELLO.name} -o /dev/null\n"
            for compiler, driver in MATRIX.items()
            for standard in STANDARDS
        )
    )
    check = [machine.program, "check", "-b", "docker", "-c", ",".join(MATRIX), "-s", ",".join(STANDARDS)]
    check += ["--no-cache", "-q", str(HELLO)]
    wall(check)  # makes the images ready
    by_hand, ours = alternate(machine.rounds(5, 2), lambda: wall(["sh", str(loop)]), lambda: wall(check), warm=False)
    cells = f"{len(MATRIX)} compilers by {len(STANDARDS)} standards"
    yield Figure("matrix", f"a shell loop of docker run, {cells}", by_hand)
    yield Figure("matrix", f"will-it-compile check -b docker, {cells}", ours)
    times = [its / mine for its, mine in zip(by_hand, ours, strict=True)]
    yield Figure("matrix", "so many times faster, of each pair", times, "at least 3 x", "x")


def warm(machine: Machine) -> Iterator[Figure]:
    """A compile by a service that keeps containers waiting, beside the same compiler on this host."""
    from willitcompile.backends import Opening, Wanted, open_backend
    from willitcompile.model import CompileJob

    job = CompileJob(TOOLCHAIN, "c++", {HELLO.name: HELLO.read_bytes()}, ("g++", "-c", HELLO.name, "-o", "../tmp/o"))
    version = TOOLCHAIN.partition("-")[2]
    compiler = shutil.which(f"g++-{version}") or "g++"
    bare = [compiler, "-c", str(HELLO), "-o", str(machine.scratch / "hello.o")]
    with open_backend("docker", Opening(long_lived=True)) as backend:
        backend.toolchains(Wanted((TOOLCHAIN,)))
        alone: list[float] = []

        def ask() -> float:
            # For the next container to be there, and the last one gone: a service is not asked without a pause.
            time.sleep(1)
            start = time.perf_counter()
            result = backend.compile(job)
            took = time.perf_counter() - start
            alone.append(took - result.duration_seconds)
            return took

        on_host, ours = alternate(machine.rounds(20, 6), lambda: wall(bare), ask)
    more = [mine - its for its, mine in zip(on_host, ours, strict=True)]
    yield Figure("docker", f"{Path(compiler).name} -c hello.cpp on this host", on_host)
    yield Figure("docker", f"hello.cpp with {TOOLCHAIN} by a warm pool", ours)
    yield Figure("docker", "more than on this host, of each pair", more, "at most 40 ms")
    yield Figure("docker", "more than the compile in the container took", alone)


def _has(image: str) -> bool:
    return not subprocess.run(["docker", "image", "inspect", image], capture_output=True, check=False).returncode


def _image(toolchain: str = TOOLCHAIN) -> str:
    family, _, version = toolchain.partition("-")
    return f"will-it-compile/{family}:{version}"


def _hardening(machine: Machine, directory: str) -> list[str]:
    from willitcompile.backends.seccomp import container_profile

    profile = machine.scratch / "seccomp.json"
    profile.write_text(json.dumps(container_profile()))
    return [
        *("--network", "none", "--read-only", "--cap-drop", "ALL", "--ipc", "none", "--log-driver", "none"),
        *("--security-opt", "no-new-privileges", "--security-opt", f"seccomp={profile}", "--user", "1000:1000"),
        *("--memory", "1g", "--memory-swap", "1g", "--pids-limit", "256", "--init=false"),
        *(
            "--tmpfs",
            "/work:rw,noexec,nosuid,nodev,uid=1000",
            "-v",
            f"{directory}:/src:ro",
            "-w",
            "/src",
            "-e",
            "TMPDIR=/work",
        ),
    ]


def _by_hand(machine: Machine, directory: str, name: str) -> list[str]:
    return ["docker", "run", "--rm", *_hardening(machine, directory), _image(), "g++", "-c", name, "-o", "/work/o"]


def _ratios(theirs: list[float], ours: list[float]) -> list[float]:
    return [mine / its for its, mine in zip(theirs, ours, strict=True)]
