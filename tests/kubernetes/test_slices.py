"""Many small units of one check share a pod: each has its own verdict, and nothing of its neighbours'."""

from __future__ import annotations

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from tests.backends import cluster_backend
from tests.cluster import kubectl
from tests.contract.leftovers import compiling
from tests.contract.test_backend import ENDLESS, ENDLESS_STDERR, FINE, HUNGRY, WRONG, job
from willitcompile.backends import CancelToken, Wanted
from willitcompile.backends.kubernetes import slices
from willitcompile.backends.kubernetes.tape import tape
from willitcompile.checker import run
from willitcompile.errors import Interrupted
from willitcompile.model import KIB, MIB, CompileJob, Limits, Verdict
from willitcompile.planning import CheckRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from willitcompile.backends.kubernetes.backend import KubernetesBackend
    from willitcompile.model import CompileResult

pytestmark = pytest.mark.kubernetes

PATIENCE_SECONDS = 60.0

SLOW = b"""\
template <int N> constexpr long count()
{
    long sum = N;
    for (long outer = 0; outer < 100000; outer++)
        for (long inner = 0; inner < 100000; inner++)
            sum += inner & 1;
    return sum;
}
""" + b"".join(b'static_assert(count<%d>() == 1, "");\n' % number for number in range(100))
"""Takes long and little memory: g++ gives each up only after millions of steps."""

SECRET = b"int the_secret_of_a_neighbour;\n"


@pytest.fixture
def pods(monkeypatch: pytest.MonkeyPatch) -> list[list[CompileJob]]:
    """The units of each pod that was made."""
    found: list[list[CompileJob]] = []

    def noted(jobs: Sequence[CompileJob], seccomp: bytes) -> bytes:
        found.append(list(jobs))
        return tape(jobs, seccomp)

    monkeypatch.setattr("willitcompile.backends.kubernetes.backend.tape", noted)
    return found


@pytest.fixture(autouse=True)
def _patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy machine the next unit may be long in coming, and all that were announced do come here."""
    monkeypatch.setattr(slices, "LINGER_SECONDS", PATIENCE_SECONDS)


def ask(backend: KubernetesBackend, source: bytes, *flags: str, **more: Any) -> CompileJob:
    gcc = next(iter(backend.toolchains(Wanted(("gcc",)))))
    return job(gcc, source, *flags, **{"limits": Limits(wall_seconds=60, memory_bytes=128 * MIB), **more})


def together(
    backend: KubernetesBackend, jobs: Sequence[CompileJob], token: CancelToken | None = None
) -> list[CompileResult | BaseException]:
    """What becomes of the units of one check."""
    token = token or CancelToken()
    backend.expect(jobs[0].toolchain, jobs[0].limits, len(jobs), backend.at_once(0), token)
    with ThreadPoolExecutor(len(jobs)) as threads:
        running = [threads.submit(backend.compile, each, token) for each in jobs]
        return [each.exception() or each.result() for each in running]


def verdicts(results: Sequence[CompileResult | BaseException]) -> list[object]:
    return [each if isinstance(each, BaseException) else each.verdict for each in results]


def wait_until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_forty_files_take_few_pods_and_less_than_a_request_each(
    kubeconfig: str, namespace: str, pods: list[list[CompileJob]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    expected = dict.fromkeys((f"unit_{number:02}.cpp" for number in range(40)), "compiled")
    for name in expected:
        (tmp_path / name).write_bytes(FINE.replace(b"0", name[5:7].encode().lstrip(b"0") or b"0"))
    odd = {
        "unit_07.cpp": (b"int x = nothing;\n", "rejected"),
        "unit_11.cpp": (SLOW, "timeout"),
        "unit_19.cpp": (HUNGRY, "out-of-memory"),
        "unit_20.cpp": (ENDLESS_STDERR, "output-limit"),
        "unit_39.cpp": (b"#error at the end\n", "rejected"),
    }
    for name, (source, verdict) in odd.items():
        (tmp_path / name).write_bytes(source)
        expected[name] = verdict
    limits = {"wall_seconds": 3.0, "memory_bytes": 200 * MIB, "output_bytes": 64 * KIB}
    request = CheckRequest((".",), compilers=("gcc-13",), limits=limits)
    with cluster_backend(kubeconfig, namespace) as backend:
        results = list(run(request, backend))
        requests = backend.requests
    assert [(each.source.removeprefix("./"), each.verdict.value) for each in results] == list(expected.items())
    assert len(pods) <= 8
    assert sum(map(len, pods)) == 40
    assert requests < 40
    said = {each.source.removeprefix("./"): each.stderr for each in results}
    assert said["unit_07.cpp"].startswith("unit_07.cpp:1:9: error: ") or "unit_07.cpp:1:9" in said["unit_07.cpp"]
    assert [name for name, text in said.items() if text] == ["unit_07.cpp", "unit_20.cpp", "unit_39.cpp"]


def test_results_come_while_their_pod_still_works(
    kubeconfig: str, namespace: str, pods: list[list[CompileJob]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a", "b", "c"):
        (tmp_path / f"{name}.c").write_bytes(FINE)
    (tmp_path / "z.c").write_bytes(ENDLESS)
    request = CheckRequest((".",), compilers=("gcc-13",), limits={"wall_seconds": 10.0, "memory_bytes": 2048 * MIB})
    with cluster_backend(kubeconfig, namespace, pods=1) as backend:
        results = run(request, backend)
        first = [next(results).verdict for _ in range(3)]
        selected = ("pods", "--selector=managed-by=will-it-compile", f"--namespace={namespace}", "--output=json")
        phases = [each["status"]["phase"] for each in json.loads(kubectl("get", *selected))["items"]]
        assert [*first, *(each.verdict for each in results)] == [Verdict.COMPILED] * 3 + [Verdict.TIMEOUT]
    assert phases == ["Running"]
    assert [len(each) for each in pods] == [4]


def test_a_hostile_unit_neither_reads_its_neighbours_nor_changes_what_becomes_of_them(
    kubeconfig: str, namespace: str, pods: list[list[CompileJob]]
) -> None:
    with cluster_backend(kubeconfig, namespace, pods=1, units=100) as backend:

        def nosy(path: str) -> CompileJob:
            return ask(backend, b'#include "%s"\n' % path.encode(), "-E")

        def reads(path: str) -> CompileJob:
            return ask(backend, b'__asm__(".incbin \\"%s\\"");\n' % path.encode())

        innocent = [
            ask(backend, b'#include "secret.h"\n', "-E", files={"secret.h": SECRET, "deep/secret.h": SECRET}),
            ask(backend, FINE),
            ask(backend, WRONG),
        ]
        hostile = [
            *map(nosy, ("secret.h", "deep/secret.h", "../src/secret.h", "/work/job/src/secret.h", "/proc/1/cmdline")),
            *map(reads, ("/work/job/tmp/o", "/will-it-compile/job/part-0", "/proc/1/environ", "/proc/1/fd/1")),
            # To leave something for the next one, in the place of its sources.
            ask(backend, FINE)._replace(argv=("gcc", "-c", "-o", "secret.h", "main.c")),
            ask(backend, FINE)._replace(argv=("gcc", "-c", "-o", "/work/job/src/secret.h", "main.c")),
            ask(backend, FINE)._replace(argv=("gcc", "-c", "-o", "/work/left", "main.c")),
            ask(backend, HUNGRY),
            ask(backend, ENDLESS_STDERR),
            ask(backend, b"int a = %s1%s;\n" % (b"(" * 1_000_000, b")" * 1_000_000)),
        ]
        mixed = [each for one in hostile for each in (one, *innocent)]
        can_be_read = reads("/usr/include/stdio.h")
        *results, control = together(backend, [*mixed, can_be_read])
    assert verdicts([control]) == [Verdict.COMPILED]
    assert [len(each) for each in pods] == [len(mixed) + 1]
    of = {id(asked): result for asked, result in zip(mixed, results, strict=True)}
    expected = [Verdict.REJECTED] * 12 + [Verdict.OUT_OF_MEMORY, Verdict.OUTPUT_LIMIT, Verdict.CRASHED]
    assert verdicts([of[id(each)] for each in hostile]) == expected
    for number, (asked, result) in enumerate(zip(mixed, results, strict=True)):
        assert not isinstance(result, BaseException)
        kind = number % 4
        if kind == 0:
            assert b"the_secret" not in result.stdout + result.stderr
        else:
            assert result.verdict is (Verdict.REJECTED if asked is innocent[2] else Verdict.COMPILED)
        assert (b"the_secret" in result.stdout) is (kind == 1)


def test_each_toolchain_of_a_matrix_answers_for_itself(
    kubeconfig: str, namespace: str, pods: list[list[CompileJob]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for number in range(6):
        (tmp_path / f"{number}.cpp").write_text(f"#ifndef __clang__\n#error gcc {number}\n#endif\n")
    (tmp_path / "6.cpp").write_text('#include <print>\nvoid f() { std::print("{}", 42); }\n')
    request = CheckRequest((".",), compilers=("gcc-13", "gcc-14", "clang-14"), standards=("c++23",))
    with cluster_backend(kubeconfig, namespace) as backend:
        results = list(run(request, backend))
    assert [(each.toolchain, each.verdict.value) for each in results] == [
        *[("gcc-13", "rejected"), ("gcc-14", "rejected"), ("clang-14", "compiled")] * 6,
        *[("gcc-13", "rejected"), ("gcc-14", "compiled"), ("clang-14", "rejected")],
    ]
    for each in results:
        assert each.toolchain.partition("-")[2] in each.result.compiler
    assert all(len({unit.toolchain for unit in each}) == 1 for each in pods)
    assert len({each.result.image for each in results}) == 3


def test_two_checks_at_once_never_share_a_pod(kubeconfig: str, namespace: str, pods: list[list[CompileJob]]) -> None:
    both = threading.Barrier(2)
    with cluster_backend(kubeconfig, namespace, pods=1) as backend, ThreadPoolExecutor(2) as threads:

        def check(who: int) -> list[object]:
            jobs = [ask(backend, b"int of_%d_%d;\n" % (who, number)) for number in range(6)]
            both.wait(PATIENCE_SECONDS)
            return verdicts(together(backend, jobs))

        assert list(threads.map(check, range(2))) == [[Verdict.COMPILED] * 6] * 2
    whose = [{unit.files["main.c"].split(b"_")[1] for unit in each} for each in pods]
    assert sorted(map(len, pods)) == [6, 6]
    assert all(len(each) == 1 for each in whose)


def test_cancelling_in_the_middle_of_a_slice_leaves_nothing(
    kubeconfig: str, namespace: str, pods: list[list[CompileJob]]
) -> None:
    token = CancelToken()
    with cluster_backend(kubeconfig, namespace, pods=1) as backend, ThreadPoolExecutor(1) as threads:
        jobs = [ask(backend, FINE), ask(backend, ENDLESS), ask(backend, FINE), ask(backend, FINE)]
        running = threads.submit(together, backend, jobs, token)
        wait_until(lambda: any("cc1" in line for line in compiling()))
        token.cancel()
        results = running.result()
        assert compiling() == frozenset()
    assert len(pods) == 1
    assert {type(each) for each in results if isinstance(each, BaseException)} == {Interrupted}
    assert sum(isinstance(each, Interrupted) for each in results) >= 1
    assert {each.verdict for each in results if not isinstance(each, BaseException)} <= {Verdict.COMPILED}
