"""A batch on each backend, beside the bare compiler with as many at the same time."""

from __future__ import annotations

import json
import os
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from bench import Figure, alternate, wall
from cluster import room
from containers import SOURCE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from bench import Machine

RECORDS, FEW_RECORDS = 400, 60
IN_IMAGES = "gcc-13"
IMAGE = "will-it-compile/gcc:13"


def in_sandbox(machine: Machine) -> Iterator[Figure]:
    """The compiler of this host."""
    yield from _beside(machine, "sandbox", _on_host, ["-b", "sandbox", f"-j{_cores()}"])


def in_docker(machine: Machine) -> Iterator[Figure]:
    """The compiler of the image, in a container for each core that lasts until all is compiled."""
    if subprocess.run(["docker", "image", "inspect", IMAGE], capture_output=True, check=False).returncode:
        raise RuntimeError(f"there is no {IMAGE}: will-it-compile images build {IN_IMAGES}")

    def in_container(names: Sequence[str], directory: Path) -> None:
        options = ["--rm", "--network=none", "--tmpfs=/out", "-w/out", f"-v{directory}:/src:ro"]
        argv = ["docker", "run", *options, IMAGE, "g++", "-c", *(f"/src/{name}" for name in names)]
        subprocess.run(argv, check=True, capture_output=True)

    def in_containers(directory: Path) -> float:
        names = sorted(file.name for file in directory.iterdir())
        start = time.perf_counter()
        with ThreadPoolExecutor(_cores()) as pool:
            shares = [names[first :: _cores()] for first in range(_cores())]
            list(pool.map(lambda share: in_container(share, directory), shares))
        return time.perf_counter() - start

    yield from _beside(machine, "docker", in_containers, ["-b", "docker", "-c", IN_IMAGES, f"-j{_cores()}"])


def in_cluster(machine: Machine) -> Iterator[Figure]:
    """In a cluster on this machine, beside this host's own compiler, which is another version."""
    with room() as there:
        yield from _beside(machine, "kubernetes", _on_host, there.check(machine)[2:])


def _beside(machine: Machine, name: str, bare: Callable[[Path], float], words: Sequence[str]) -> Iterator[Figure]:
    """`bare` compiles all files of a directory, and says how long that took."""
    count = FEW_RECORDS if machine.quick else RECORDS
    directory = machine.scratch / f"batch-{name}"
    directory.mkdir()
    records = machine.scratch / f"{name}.jsonl"
    with records.open("w") as file:
        for number in range(count):
            code = SOURCE.format(number)
            (directory / f"{number}.cpp").write_text(code)
            file.write(json.dumps({"id": number, "language": "c++", "code": code}) + "\n")
    batch = [machine.program, "batch", str(records), "--no-cache", "-q", "-o", "/dev/null", *words]
    hand, ours = alternate(machine.rounds(3, 1), lambda: bare(directory), lambda: wall(batch), warm=False)
    yield Figure("batch", f"the bare compiler, {count} programs, {_cores()} at a time", hand)
    yield Figure("batch", f"will-it-compile batch -b {name}", ours)
    share = [its / mine for its, mine in zip(hand, ours, strict=True)]
    yield Figure("batch", f"throughput in {name}, of the bare compiler's", share, unit="x")


def _on_host(directory: Path) -> float:
    start = time.perf_counter()
    with ThreadPoolExecutor(_cores()) as pool:
        list(pool.map(lambda file: wall(["g++", "-c", str(file), "-o", "/dev/null"]), sorted(directory.iterdir())))
    return time.perf_counter() - start


def _cores() -> int:
    return len(os.sched_getaffinity(0))
