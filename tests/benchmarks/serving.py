"""`will-it-compile serve` on the sandbox: what its answers take, and what it compiles beside the bare compiler."""

from __future__ import annotations

import itertools
import json
import os
import random
import re
import socket
import statistics
import subprocess
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from bench import HELLO, Figure, alternate

from tests.serve.harness import Place, Server, encoded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from bench import Machine

CLIENTS = (1, 50)
REQUESTS, FEW_REQUESTS = 2000, 300
"""For each number of clients, in each round."""
SUBMISSIONS, FEW_SUBMISSIONS = 500, 100

FILES, FEW_FILES = 60, 16
WAITING = 8
"""Clients that wait for a compile: so many that the next one is there when a compiler has ended."""

PODS = (4, 8)
PAUSE_SECONDS = 4.0
"""And up to one more: in which another pod has come to wait. A kubelet looks once a second."""
SANDBOX = Place("sandbox")

TRIVIAL = "int f_{0}() {{ return {0}; }}\n"
_LENGTH = re.compile(rb"\r\ncontent-length: (\d+)\r\n", re.IGNORECASE)


class Timed(NamedTuple):
    """What requests took, in seconds."""

    each: Sequence[float]
    wall: float


class Connection:
    """Keeps one connection, and does as little as a client can: it shares its cores with the server."""

    def __init__(self, address: tuple[str, int]) -> None:
        self._socket = socket.create_connection(address, 60)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def ask(self, request: bytes) -> bytes:
        """The answer, whole. Raises ConnectionError."""
        self._socket.sendall(request)
        answer = b""
        while True:
            head, blank, body = answer.partition(b"\r\n\r\n")
            if blank and (length := _LENGTH.search(head + b"\r\n")) and len(body) >= int(length[1]):
                return answer
            if not (more := self._socket.recv(65536)):
                raise ConnectionError(answer)
            answer += more

    def close(self) -> None:
        self._socket.close()


def requests(machine: Machine) -> Iterator[Figure]:
    """Requests a second while a core compiles, and how long each takes."""
    rounds = machine.rounds(5, 1)
    submissions = machine.rounds(SUBMISSIONS, FEW_SUBMISSIONS)
    asked = machine.rounds(REQUESTS, FEW_REQUESTS)
    numbers = itertools.count()
    with _server(jobs=1, queue_size=10**6) as server:
        with server.client() as client:
            finished = client.submit(TRIVIAL.format("finished"))
            client.result(finished)
        # There is always one that waits: it is submitted behind what keeps the compiler busy for long.
        _crowd(server, 4, [_submission(next(numbers)) for _ in range(4 * submissions)], b"202")
        with server.client() as client:
            waiting = client.submit(TRIVIAL.format("waiting"))
        kinds: dict[str, tuple[Callable[[], bytes], int, bytes]] = {
            "submit": (lambda: _submission(next(numbers)), submissions, b"202"),
            "poll": (lambda: _get(waiting), asked, b"200"),
            "result": (lambda: _get(finished), asked, b"200"),
        }
        for clients in CLIENTS:
            timed: dict[str, list[Timed]] = {kind: [] for kind in kinds}
            for _ in range(rounds):
                for kind, (make, count, status) in kinds.items():
                    timed[kind].append(_crowd(server, clients, [make() for _ in range(count)], status))
            for kind, taken in timed.items():
                name = f"{kind}, {clients} client{'s' if clients > 1 else ''}"
                yield Figure("serve", name, [len(each.each) / each.wall for each in taken], unit="a second")
                yield Figure("serve", f"{name}, p50", [statistics.median(each.each) for each in taken])
                yield Figure("serve", f"{name}, p99", [statistics.quantiles(each.each, n=100)[98] for each in taken])


def compiles(machine: Machine) -> Iterator[Figure]:
    """Compiles a second, as many at once as there are cores, beside the bare compiler."""
    cores = len(os.sched_getaffinity(0))
    yield from _compiles(machine, cores, HELLO.name, HELLO.read_text(), "at least 0.9 x")
    yield from _compiles(machine, cores, "one line", "", "")


def _compiles(machine: Machine, cores: int, name: str, text: str, goal: str) -> Iterator[Figure]:
    """Each file is this text and a line of its own."""
    count = machine.rounds(FILES, FEW_FILES)
    numbers = itertools.count()
    directory = machine.scratch / name.replace(" ", "-")
    directory.mkdir()
    with _server(jobs=cores) as server:

        def sources() -> list[str]:
            return [text + TRIVIAL.format(next(numbers)) for _ in range(count)]

        measures = (lambda: _bare(directory, cores, sources()), lambda: _served(server, sources()))
        bare, ours = alternate(machine.rounds(7, 2), *measures)
    yield Figure("serve", f"g++ -c, {name}, {cores} at a time", [count / each for each in bare], unit="a second")
    yield Figure("serve", f"the same by the server, -j{cores}", [count / each for each in ours], unit="a second")
    yield Figure("serve", "ratio, of each pair", [its / mine for its, mine in zip(bare, ours, strict=True)], goal, "x")


def in_cluster(machine: Machine) -> Iterator[Figure]:
    """Compiles a minute of a cluster, by as many pods at once, and what the service itself takes of it."""
    from cluster import IMAGES, room

    numbers = itertools.count()
    with room() as there:
        for name, text in ((HELLO.name, HELLO.read_text()), ("one line", "")):
            for pods in PODS:
                config = machine.scratch / f"{pods}.yaml"
                section = {"namespace": there.namespace, "cpu": "none"}
                config.write_text(json.dumps({"images": list(IMAGES), "kubernetes": section}))
                place = Place("kubernetes", {"KUBECONFIG": os.environ["KUBECONFIG"]}, config)
                count = machine.rounds(FILES, FEW_FILES)
                minute, own = [], []
                with _server(place, jobs=pods) as server:
                    for round_ in range(1 + machine.rounds(3, 1)):
                        before = _cpu_seconds(server.pid)
                        sources = [text + TRIVIAL.format(next(numbers)) for _ in range(count)]
                        took = _served(server, sources, clients=2 * pods, toolchains=["gcc-13"])
                        if round_:  # the first finds no image on the node, nor in its memory
                            minute.append(60 * count / took)
                            own.append((_cpu_seconds(server.pid) - before) / count)
                yield Figure("serve", f"{name}, {pods} pods at a time", minute, unit="a minute")
                yield Figure("serve", "CPU of the service for each", own)


def warm(machine: Machine) -> Iterator[Figure]:
    """From a check of one file, sent to a service, to its answer: in a pod of its own, and in one that has waited."""
    from cluster import IMAGES, TOOLCHAIN, room

    ways: dict[str, dict[str, object]] = {"a pod of its own": {}, "a pod that waited": {"warm": {"enabled": "true"}}}
    with room() as there:
        for name, section in ways.items():
            config = machine.scratch / f"{name}.yaml"
            config.write_text(
                json.dumps({"images": list(IMAGES), "kubernetes": {"namespace": there.namespace, **section}})
            )
            place = Place("kubernetes", {"KUBECONFIG": os.environ["KUBECONFIG"]}, config)
            took, more = [], []
            with _server(place) as server, server.client(120) as client:
                for round_ in range(1 + machine.rounds(20, 5)):
                    time.sleep(PAUSE_SECONDS + random.random())
                    begin = time.perf_counter()
                    told = client.check({HELLO.name: HELLO.read_text()}, wait=60, toolchains=[TOOLCHAIN]).json
                    seconds = time.perf_counter() - begin
                    if round_:  # the first finds none that waits
                        took.append(seconds)
                        more.append(seconds - told["results"][0]["duration_seconds"])
            yield Figure("serve", f"{HELLO.name} in {name}", took)
            yield Figure("serve", f"more than the compile took, in {name}", more)


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def _server(place: Place = SANDBOX, **settings: object) -> Iterator[Server]:
    # On a disk, as for who serves: to be sure that a submission is written is a part of what its answer takes.
    with tempfile.TemporaryDirectory(prefix="wic-bench-", dir="/var/tmp") as directory:
        server = Server(place, Path(directory), **settings).start()
        try:
            yield server
        finally:
            server.kill()


def _crowd(server: Server, clients: int, requests: Sequence[bytes], status: bytes) -> Timed:
    """Each client on its own connection, one request after another."""
    begin = threading.Barrier(clients + 1, timeout=60)

    def ask(mine: Sequence[bytes]) -> list[float]:
        connection = Connection(server.address)
        taken = []
        connection.ask(b"GET /health HTTP/1.1\r\nHost: bench\r\n\r\n")
        begin.wait()
        for request in mine:
            start = time.perf_counter()
            answer = connection.ask(request)
            taken.append(time.perf_counter() - start)
            if answer.split(maxsplit=2)[1] != status:
                raise RuntimeError(answer.decode(errors="replace"))
        connection.close()
        return taken

    with ThreadPoolExecutor(clients) as pool:
        running = [pool.submit(ask, requests[first::clients]) for first in range(clients)]
        begin.wait()
        start = time.perf_counter()
        taken = [seconds for each in running for seconds in each.result()]
        return Timed(taken, time.perf_counter() - start)


def _submission(number: int) -> bytes:
    return _post("/api/v1/compile", f'{{"code": "{encoded(TRIVIAL.format(number))}", "language": "cpp"}}')


def _post(path: str, body: str) -> bytes:
    head = f"POST {path} HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    return f"{head}\r\n\r\n{body}".encode()


def _get(job_id: str) -> bytes:
    return f"GET /api/v1/compile/{job_id} HTTP/1.1\r\nHost: bench\r\n\r\n".encode()


def _bare(directory: Path, at_once: int, sources: Sequence[str]) -> float:
    names = [f"{number}.cpp" for number in range(len(sources))]
    for name, source in zip(names, sources, strict=True):
        (directory / name).write_text(source)
    compiler = ["xargs", "-0", f"-P{at_once}", "-I{}", "g++", "-c", "{}", "-o", "{}.o"]
    start = time.perf_counter()
    subprocess.run(compiler, input="\0".join(names), text=True, cwd=directory, check=True)
    return time.perf_counter() - start


def _served(server: Server, sources: Sequence[str], clients: int = WAITING, **more: object) -> float:
    """By clients that each wait for their answer before they send the next."""

    def ask(mine: Sequence[str]) -> None:
        with server.client(120) as client:
            for source in mine:
                told: dict[str, Any] = client.check({"main.cpp": source}, wait=60, **more).json
                if told["summary"]["compiled"] != 1:
                    raise RuntimeError(str(told))

    start = time.perf_counter()
    with ThreadPoolExecutor(clients) as pool:
        list(pool.map(ask, [sources[first::clients] for first in range(clients)]))
    return time.perf_counter() - start
