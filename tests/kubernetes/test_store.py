"""The cluster as the store of results: one process submits a job, and any other fetches its result by its id."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from tests.backends import OUR_IMAGES, cluster_backend, objects_in, wait_until_gone
from tests.cluster import kubectl
from tests.contract.test_backend import ENDLESS, FINE, HUNGRY, WRONG, job
from willitcompile.backends import Wanted
from willitcompile.backends.kubernetes.store import UnknownJob
from willitcompile.errors import BackendFailed, ToolchainMissing
from willitcompile.model import MIB, CompileJob, CompileResult, Limits, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from willitcompile.backends.kubernetes.backend import KubernetesBackend

pytestmark = pytest.mark.kubernetes

PATIENCE_SECONDS = 90.0


@pytest.fixture(scope="module")
def store(kubeconfig: str, namespace: str) -> Iterator[KubernetesBackend]:
    """Where there is nothing in the end but what a test has forgotten to forget."""
    with cluster_backend(kubeconfig, namespace) as backend:
        yield backend


@pytest.fixture
def submitted(store: KubernetesBackend) -> Iterator[list[str]]:
    """Ids to forget afterwards."""
    ids: list[str] = []
    yield ids
    for each in ids:
        store.forget(each)


def ask(store: KubernetesBackend, source: bytes, *flags: str, limits: Limits | None = None, **more: Any) -> CompileJob:
    gcc = next(iter(store.toolchains(Wanted(("gcc",)))))
    return job(gcc, source, *flags, limits=limits or Limits(wall_seconds=60), **more)


def wait_for(store: KubernetesBackend, job_id: str) -> CompileResult:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while (result := store.fetch(job_id)) is None:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    return result


def is_known(store: KubernetesBackend, job_id: str) -> bool:
    try:
        store.fetch(job_id)
    except UnknownJob:
        return False
    return True


ELSEWHERE = """
import sys
from willitcompile.backends import Opening, open_backend
with open_backend("kubernetes", Opening(images=sys.argv[3:], options={"kubernetes": {"namespace": sys.argv[1]}})) as it:
    while (result := it.fetch(sys.argv[2])) is None:
        pass
    print([result._replace(duration_seconds=0.0, peak_memory_bytes=0)])
"""


def test_another_process_fetches_exactly_what_a_compile_gives(
    store: KubernetesBackend, submitted: list[str], kubeconfig: str, namespace: str
) -> None:
    source = b'#warning caf\xe9\nchar odd[] = "\0\xff\x1b[31m";\n' + b"int x;\n" * 20_000
    asked = ask(store, source, "-E", "-P")
    submitted.append(store.submit(asked))
    argv = [sys.executable, "-c", ELSEWHERE, namespace, submitted[0], *OUR_IMAGES]
    environment = {**os.environ, "KUBECONFIG": kubeconfig}
    told = subprocess.run(argv, env=environment, capture_output=True, text=True, check=True, timeout=PATIENCE_SECONDS)
    direct = store.compile(asked)
    assert b"\0\xff" in direct.stdout
    assert b"caf\xe9" in direct.stderr
    assert told.stdout == f"{[direct._replace(duration_seconds=0.0, peak_memory_bytes=0)]}\n"


def test_each_verdict_is_fetched_as_often_as_one_likes(store: KubernetesBackend, submitted: list[str]) -> None:
    asked = {
        Verdict.COMPILED: ask(store, FINE),
        Verdict.REJECTED: ask(store, WRONG),
        Verdict.TIMEOUT: ask(store, ENDLESS, limits=Limits(wall_seconds=1)),
        Verdict.OUT_OF_MEMORY: ask(store, HUNGRY, limits=Limits(wall_seconds=60, memory_bytes=128 * MIB)),
    }
    submitted += [store.submit(each) for each in asked.values()]
    results = [wait_for(store, each) for each in submitted]
    assert [each.verdict for each in results] == list(asked)
    assert [each.limit for each in results] == [None, None, "wall", "memory"]
    assert results[1].stderr.startswith(b"main.c:3:9: error: ")
    assert [store.fetch(each) for each in submitted] == results


def test_nothing_is_there_while_it_runs_and_what_is_forgotten_is_unknown(
    store: KubernetesBackend, kubeconfig: str, namespace: str
) -> None:
    before = objects_in(kubeconfig, namespace)
    job_id = store.submit(ask(store, ENDLESS))
    assert store.fetch(job_id) is None
    kubectl("wait", "--for=create", "pod", f"--selector=job-id={job_id}", f"-n={namespace}", "--timeout=60s")
    assert store.fetch(job_id) is None
    running = "--for=jsonpath={.status.phase}=Running"
    kubectl("wait", running, "pod", f"--selector=job-id={job_id}", f"-n={namespace}", "--timeout=60s")
    assert store.fetch(job_id) is None
    store.forget(job_id)
    with pytest.raises(UnknownJob, match="has it no longer"):
        store.fetch(job_id)
    store.forget(job_id)
    wait_until_gone(kubeconfig, namespace, before)


@pytest.mark.parametrize("job_id", ["never-submitted", "", "Not a name", "a" * 51, "../../pods", "x/../y", "é"])
def test_an_id_that_nobody_has_submitted_is_unknown(store: KubernetesBackend, job_id: str) -> None:
    with pytest.raises(UnknownJob):
        store.fetch(job_id)


@pytest.mark.parametrize("job_id", ["Not a name", "a" * 51, "../../pods", "-a"])
def test_an_id_that_is_no_name_is_refused(
    store: KubernetesBackend, kubeconfig: str, namespace: str, job_id: str
) -> None:
    before = objects_in(kubeconfig, namespace)
    with pytest.raises(ValueError, match="not the id of a job"):
        store.submit(ask(store, FINE), job_id)
    assert objects_in(kubeconfig, namespace) == before


def test_a_toolchain_that_is_none_is_refused(store: KubernetesBackend) -> None:
    with pytest.raises(ToolchainMissing):
        store.submit(ask(store, FINE)._replace(toolchain="gcc-1.42"))


def test_the_same_id_twice_is_the_same_job_once(store: KubernetesBackend, submitted: list[str], namespace: str) -> None:
    job_id = f"twice-{uuid4()}"
    submitted.append(job_id)
    with ThreadPoolExecutor(4) as threads:
        ids = list(threads.map(lambda _: store.submit(ask(store, WRONG), job_id), range(4)))
    assert ids == [job_id] * 4
    first = wait_for(store, job_id)
    store.submit(ask(store, WRONG), job_id)
    assert store.fetch(job_id) == first
    assert len(kubectl("get", "pods", f"--selector=job-id={job_id}", f"-n={namespace}", "--output=name").split()) == 1


def test_a_large_job_comes_back_whole(store: KubernetesBackend, submitted: list[str], namespace: str) -> None:
    """Larger than a ConfigMap may be, as what is random does not shrink."""
    blob = os.urandom(1_000_000).hex().encode()
    source = b'#include "blob.h"\nint size = sizeof blob;\n'
    header = b"static const char blob[] =\n" + b"\n".join(
        b'"%s"' % blob[at : at + 4000] for at in range(0, len(blob), 4000)
    )
    asked = ask(store, source, "-E", "-P", files={"blob.h": header + b";\n"}, limits=Limits(output_bytes=8 * MIB))
    submitted.append(store.submit(asked))
    selected = ("configmaps", f"--selector=job-id={submitted[0]}", f"-n={namespace}", "--output=name")
    assert len(kubectl("get", *selected).split()) > 1
    result = wait_for(store, submitted[0])
    assert result.verdict is Verdict.COMPILED
    assert bytes(result.stdout).replace(b'"', b"").replace(b"\n", b"").replace(b" ", b"").count(blob) == 1


def test_a_result_is_kept_for_as_long_as_the_settings_say(kubeconfig: str, namespace: str) -> None:
    with cluster_backend(kubeconfig, namespace, **{"keep-seconds": 5}) as store:
        job_id = store.submit(ask(store, FINE))
        assert wait_for(store, job_id).verdict is Verdict.COMPILED
        deadline = time.monotonic() + PATIENCE_SECONDS
        while is_known(store, job_id):
            assert time.monotonic() < deadline
            time.sleep(0.2)


def test_a_job_of_that_name_that_is_not_ours_is_left_alone(store: KubernetesBackend, namespace: str) -> None:
    name = f"compile-theirs-{uuid4().hex[:8]}"
    container = {"name": "theirs", "image": "will-it-compile/gcc:13"}
    spec = {"suspend": True, "template": {"spec": {"restartPolicy": "Never", "containers": [container]}}}
    theirs = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name}, "spec": spec}
    kubectl("create", "--filename=-", f"--namespace={namespace}", input=json.dumps(theirs))
    job_id = name.removeprefix("compile-")
    try:
        with pytest.raises(BackendFailed, match="was not submitted to be fetched"):
            store.fetch(job_id)
        with pytest.raises(BackendFailed):
            store.submit(ask(store, FINE), job_id)
        with pytest.raises(BackendFailed):
            store.forget(job_id)
        owned = kubectl("get", "configmaps", f"--namespace={namespace}", "--output=name")
        assert name not in owned
        kubectl("get", "job", name, f"--namespace={namespace}")
    finally:
        kubectl("delete", "job", name, f"--namespace={namespace}", "--ignore-not-found")


def test_a_job_that_a_check_waits_for_is_not_to_be_fetched(store: KubernetesBackend, namespace: str) -> None:
    """It has no question, and is deleted by whoever waits for it."""
    from willitcompile.backends.kubernetes import manifests

    job_id = f"plain-{uuid4()}"
    document = manifests.job(store._work(job_id, [ask(store, FINE)]))
    document["spec"]["suspend"] = True
    kubectl("create", "--filename=-", f"--namespace={namespace}", input=json.dumps(document))
    try:
        with pytest.raises(BackendFailed, match="was not submitted to be fetched"):
            store.fetch(job_id)
        with pytest.raises(BackendFailed, match="already exists"):
            store.submit(ask(store, FINE), job_id)
    finally:
        kubectl("delete", "job", f"compile-{job_id}", f"--namespace={namespace}")


def test_another_question_by_the_same_id_is_refused(store: KubernetesBackend, submitted: list[str]) -> None:
    submitted.append(store.submit(ask(store, FINE)))
    with pytest.raises(BackendFailed, match="already exists"):
        store.submit(ask(store, FINE, main="main.cpp"), submitted[0])


def test_an_id_that_was_forgotten_may_be_used_again_at_once(store: KubernetesBackend, submitted: list[str]) -> None:
    """What belonged to the first is deleted a moment later, and must not be taken for the second's."""
    submitted.append(store.submit(ask(store, WRONG)))
    assert wait_for(store, submitted[0]).verdict is Verdict.REJECTED
    for _ in range(3):
        store.forget(submitted[0])
        store.submit(ask(store, FINE), submitted[0])
    assert wait_for(store, submitted[0]).verdict is Verdict.COMPILED


def test_twenty_at_once_each_come_back_by_their_own_id(store: KubernetesBackend, submitted: list[str]) -> None:
    def one(number: int) -> str:
        wrong = b"#error odd\n" if number % 2 else b""
        return store.submit(ask(store, b"number_%d;\n" % number + wrong, "-E", "-P"), f"many-{number}-{uuid4()}")

    with ThreadPoolExecutor(10) as threads:
        submitted += threads.map(one, range(20))
        results = list(threads.map(lambda job_id: wait_for(store, job_id), submitted))
    assert [each.stdout.strip() for each in results] == [b"number_%d;" % number for number in range(20)]
    assert [each.verdict for each in results] == [Verdict.COMPILED, Verdict.REJECTED] * 10
