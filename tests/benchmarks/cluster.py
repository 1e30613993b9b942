"""The kubernetes backend beside Jobs made by hand, beside the compile itself, and beside a Job for each file."""

from __future__ import annotations

import json
import os
import random
import secrets
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple, Self, cast
from uuid import uuid4

from bench import HELLO, Figure, alternate
from containers import SOURCE

from tests import cluster
from willitcompile import check
from willitcompile.backends import Opening, open_backend
from willitcompile.backends.kubernetes import manifests
from willitcompile.backends.kubernetes.api.access import locate
from willitcompile.backends.kubernetes.api.client import Api
from willitcompile.backends.kubernetes.settings import Settings, parse
from willitcompile.backends.kubernetes.watch import Watch
from willitcompile.model import CompileJob, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from bench import Machine

    from willitcompile.backends.kubernetes.backend import KubernetesBackend
    from willitcompile.backends.kubernetes.pods import Pod

TOOLCHAIN = "gcc-13"
DEFAULT: Mapping[str, object] = MappingProxyType({})
IMAGES = (f"gcc={manifests.NAME}/gcc:{{version}}",)
FILES, FEW_FILES = 200, 40
TRIVIAL = "int f_{0}() {{ return {0}; }}\n"
AT_ONCE = (8, 32)
MANY_REQUESTS = {"request-cpu": "10m"}
"""For 32 pods that wait, and as many that end, on a node of two cores: 100m each would keep most of them off it."""
SECONDS = 300.0
"""In which a pod has long ended."""


class Room(NamedTuple):
    """A namespace of a cluster, for one part alone."""

    namespace: str
    cluster: cluster.Cluster | None
    """None for one that is not our own."""

    def open(self, settings: Mapping[str, object] = DEFAULT, *, long_lived: bool = False) -> KubernetesBackend:
        section = {"namespace": self.namespace, **settings}
        opening = Opening(images=IMAGES, long_lived=long_lived, options={"kubernetes": section})
        return cast("KubernetesBackend", open_backend("kubernetes", opening))

    def check(self, machine: Machine) -> list[str]:
        """The command line of a check in it."""
        file = machine.scratch / f"{self.namespace}.json.yaml"  # what is JSON is YAML too
        file.write_text(json.dumps({"images": list(IMAGES), "kubernetes": {"namespace": self.namespace}}))
        return [machine.program, "check", "--config", str(file), "-b", "kubernetes", "-c", TOOLCHAIN, "-q"]


@contextmanager
def room() -> Iterator[Room]:
    """Raises RuntimeError where no cluster has the image, and Unavailable."""
    theirs = os.environ.get("WIC_TEST_KUBECONFIG")
    with cluster.used(start=False) as ours:
        if not theirs and (ours is None or not ours.has(cluster.toolchain_images())):
            raise RuntimeError("no cluster of the tests is up: make cluster-up, or set WIC_TEST_KUBECONFIG")
        # An absolute path: what is measured runs in another directory.
        os.environ["KUBECONFIG"] = os.path.abspath(theirs) if theirs else str(ours and ours.kubeconfig)
        name = f"wic-bench-{secrets.token_hex(4)}"
        cluster.kubectl("create", "namespace", name)
        try:
            cluster.kubectl("label", "namespace", name, "pod-security.kubernetes.io/enforce=restricted")
            # Pods are refused before it is there.
            cluster.kubectl("wait", "--for=create", "serviceaccount/default", f"--namespace={name}", "--timeout=30s")
            yield Room(name, None if theirs else ours)
        finally:
            # It goes by itself, as long as that may take.
            cluster.kubectl("delete", "namespace", name, "--wait=false")


def one_file(machine: Machine) -> Iterator[Figure]:
    """From process start to exit for one small file, beside a bare Job: alone, then many at once."""
    with room() as there, Bare(there.namespace) as bare:
        ask = partial(_successful, [*there.check(machine), str(HELLO)])
        theirs, ours = alternate(machine.rounds(20, 6), partial(_at_any_time, bare.job), partial(_at_any_time, ask))
        yield Figure("kubernetes", "a bare Job, hello.cpp", theirs)
        yield Figure("kubernetes", "will-it-compile check -b kubernetes hello.cpp", ours)
        yield Figure("kubernetes", "ratio, of each pair", _ratios(theirs, ours), "at most 1.3 x", "x")
        yield Figure("kubernetes", "more than a bare Job, of each pair", _more(theirs, ours), "at most 300 ms")
        for count in AT_ONCE:
            both = (partial(_together, count, bare.job), partial(_together, count, ask))
            theirs, ours = alternate(machine.rounds(5, 1), *both, warm=False)
            yield Figure("kubernetes", f"{count} bare Jobs at once", theirs)
            yield Figure("kubernetes", f"{count} processes of will-it-compile check at once", ours)
            yield Figure("kubernetes", f"ratio, {count} at once, of each pair", _ratios(theirs, ours), unit="x")


def warm(machine: Machine) -> Iterator[Figure]:
    """From the question to the answer of a service that keeps pods waiting, less what the compile in the pod took."""
    job = CompileJob(TOOLCHAIN, "c++", {HELLO.name: HELLO.read_bytes()}, ("g++", "-c", HELLO.name, "-o", "../tmp/o"))
    most = max(AT_ONCE)
    settings = {"warm": {"enabled": "true", "max": str(most)}, **MANY_REQUESTS}
    with room() as there, there.open(settings, long_lived=True) as backend:

        def ask() -> tuple[float, float]:
            begin = time.perf_counter()
            result = backend.compile(job)
            took = time.perf_counter() - begin
            _expect_compiled(result.verdict, result.stderr)
            return took, took - result.duration_seconds

        for count in (1, *AT_ONCE):
            took: list[float] = []
            more: list[float] = []
            with ThreadPoolExecutor(count) as threads:
                # What is asked for at once for the first time finds fewer that wait.
                for round_ in range(1 + machine.rounds(5, 2) * (4 if count == 1 else 1)):
                    if round_:
                        _settle(backend, count)
                    for whole, besides in threads.map(lambda _: ask(), range(count)):
                        if round_:
                            took.append(whole)
                            more.append(besides)
            which = f"hello.cpp in a warm pod, {count} at once"
            yield Figure("kubernetes", which, took)
            yield Figure("kubernetes", f"more than the compile took, {count} at once", more, "at most 100 ms")


def many_files(machine: Machine) -> Iterator[Figure]:
    """Many small files as one check, in few pods, beside the same check with a Job for each."""
    count = FEW_FILES if machine.quick else FILES
    with room() as there:
        for what, source in {"small": SOURCE, "trivial": TRIVIAL}.items():
            directory = _write(machine, what, source, count)
            both = (partial(_all_of, there, directory, {"units": 1}), partial(_all_of, there, directory))
            one_each, sliced = alternate(1, *both, warm=False)
            yield Figure("kubernetes", f"{count} {what} files, a Job for each, 8 at a time", one_each)
            yield Figure("kubernetes", f"{count} {what} files in slices, 8 pods at a time", sliced)
            faster = _ratios(sliced, one_each)
            yield Figure("kubernetes", f"times faster, {what} files", faster, "at least 5 x", "x")


def requests(machine: Machine) -> Iterator[Figure]:
    """What the API server is asked for each compile."""
    with room() as there:
        source = machine.scratch / "one.cpp"
        source.write_text(TRIVIAL.format(1))
        with there.open() as backend:
            check(source, compiler=TOOLCHAIN, backend=backend)
        # With what its closing took.
        yield Figure("kubernetes", "for one file", [backend.requests], "at most 5", "requests")
        count = FEW_FILES if machine.quick else FILES
        directory = _write(machine, "asked", TRIVIAL, count)
        with there.open() as backend:
            check(directory, compiler=TOOLCHAIN, backend=backend)
        yield Figure("kubernetes", f"for each of {count} files", [backend.requests / count], "less than 1", "requests")


class Bare:
    """A client that runs already, and makes Jobs by hand: with the same image, hardening and resources as ours."""

    def __init__(self, namespace: str) -> None:
        self._settings = parse({"namespace": namespace})
        self._api = Api(locate(None, namespace))
        self._session = secrets.token_hex(8)
        self._watch = Watch(self._api, self._session)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._watch.close()
        self._api.close()

    def job(self) -> float:
        """Seconds from the first request to the last: made, waited for, read, deleted."""
        work = _work(self._settings, self._session)
        namespace = self._settings.namespace
        begin = time.perf_counter()
        self._watch.begin(work.id)
        self._api.call("POST", f"/api/v1/namespaces/{namespace}/configmaps", body=_sources(work))
        self._api.call("POST", f"/apis/batch/v1/namespaces/{namespace}/jobs", body=_bare(work))
        pod = self._watch.wait(work.id, _ended, SECONDS)
        if pod is None or pod.trouble:
            raise RuntimeError(f"a bare Job fails: {pod}")
        with self._api.stream(f"/api/v1/namespaces/{namespace}/pods/{pod.name}/log") as log:
            b"".join(log)
        background = {"propagationPolicy": "Background"}
        self._api.call("DELETE", f"/apis/batch/v1/namespaces/{namespace}/jobs/{work.name}", body=background)
        self._api.call("DELETE", f"/api/v1/namespaces/{namespace}/configmaps/{work.name}")
        taken = time.perf_counter() - begin
        self._watch.forget(work.id)
        return taken


def _work(settings: Settings, session: str) -> manifests.Work:
    return manifests.Work(
        id=str(uuid4()),
        image=IMAGES[0].partition("=")[2].format(version=TOOLCHAIN.partition("-")[2]),
        session=session,
        settings=settings,
        memory_bytes=settings.memory,
        cpus=settings.cpu,
        seconds=120,
    )


def _bare(work: manifests.Work) -> dict[str, Any]:
    """Our Job, with a compiler in it for our launcher, and the source as it is."""
    job = manifests.job(work)
    spec = job["spec"]["template"]["spec"]
    container = spec["containers"][0]
    container["command"] = ["g++", "-c", f"/src/{HELLO.name}", "-o", "/work/hello.o"]
    container["env"] = [{"name": "TMPDIR", "value": "/work"}]
    container["volumeMounts"][1]["mountPath"] = "/src"
    spec["volumes"][1] = {"name": "job", "configMap": {"name": work.name}}
    return job


def _sources(work: manifests.Work) -> dict[str, Any]:
    metadata = {"name": work.name, "labels": manifests.labels(work)}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {HELLO.name: HELLO.read_text()}}


def _ended(pod: Pod | None) -> bool:
    return pod is not None and pod.ended


def _successful(argv: Sequence[str]) -> float:
    """Seconds from the start of a process to its end. Raises RuntimeError where it fails, which may be fast."""
    begin = time.perf_counter()
    ran = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    taken = time.perf_counter() - begin
    if ran.returncode:
        raise RuntimeError(f"exit code {ran.returncode}: {(ran.stderr or ran.stdout).strip()[-300:]}")
    return taken


def _at_any_time(measure: Callable[[], float]) -> float:
    """A kubelet looks once a second who has ended, and one measurement would begin where the one before was told."""
    time.sleep(random.random())
    return measure()


def _together(count: int, measure: Callable[[], float]) -> float:
    """Seconds until the last of so many is done."""
    begin = time.perf_counter()
    with ThreadPoolExecutor(count) as threads:
        list(threads.map(lambda _: measure(), range(count)))
    return time.perf_counter() - begin


def _all_of(there: Room, directory: Path, settings: Mapping[str, object] = DEFAULT) -> float:
    begin = time.perf_counter()
    with there.open(settings) as backend:
        for result in check(directory, compiler=TOOLCHAIN, backend=backend):
            _expect_compiled(result.result.verdict, result.result.stderr)
    return time.perf_counter() - begin


def _expect_compiled(verdict: Verdict, stderr: bytes) -> None:
    if verdict is not Verdict.COMPILED:
        raise RuntimeError(f"what compiles is {verdict}: {stderr.decode(errors='replace')[-300:]}")


def _write(machine: Machine, name: str, source: str, count: int) -> Path:
    directory = machine.scratch / name
    directory.mkdir()
    for number in range(count):
        (directory / f"file_{number}.cpp").write_text(source.format(number))
    return directory


def _settle(backend: KubernetesBackend, count: int) -> None:
    """Wait until so many pods wait."""
    pool = backend._warm
    assert pool is not None
    deadline = time.monotonic() + SECONDS
    while pool.waiting() < count:
        if time.monotonic() > deadline:
            raise RuntimeError(f"{pool.waiting()} pods wait, not {count}")
        time.sleep(0.05)


def _ratios(theirs: Sequence[float], ours: Sequence[float]) -> list[float]:
    return [mine / its for its, mine in zip(theirs, ours, strict=True)]


def _more(theirs: Sequence[float], ours: Sequence[float]) -> list[float]:
    return [mine - its for its, mine in zip(theirs, ours, strict=True)]
