"""What may be wrong with a pod, each told apart: never a verdict that the source does not deserve, and nothing left."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, NamedTuple

import pytest

from tests.cluster import kubectl
from tests.contract.test_backend import ENDLESS, FINE, HUNGRY, WRONG, job
from willitcompile.backends import CancelToken
from willitcompile.backends.kubernetes import backend as backend_module
from willitcompile.backends.kubernetes import manifests
from willitcompile.errors import BackendFailed
from willitcompile.model import MIB, Limits, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from concurrent.futures import Future

    from tests.kubernetes.conftest import Opened
    from willitcompile.backends import Backend
    from willitcompile.model import CompileJob, CompileResult, Toolchain

pytestmark = pytest.mark.kubernetes

START_SECONDS = 2


def gcc(backend: Backend) -> Toolchain:
    return next(each for each in backend.toolchains() if each.name == "gcc-13")


def failure(backend: Backend, asked: CompileJob | None = None) -> BackendFailed:
    with pytest.raises(BackendFailed) as raised:
        backend.compile(asked or job(gcc(backend), FINE, limits=backend.limits))
    error = raised.value
    assert "gcc-13" in error.asked
    return error


def until(holds: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def of_gcc(reference: str) -> tuple[str, ...]:
    return (f"gcc-13={reference}",)


# --- its image


@pytest.mark.parametrize(("policy", "reason"), [("Never", "ErrImageNeverPull"), ("IfNotPresent", "ImagePullBackOff")])
def test_an_image_that_nobody_has(opened: Opened, policy: str, reason: str) -> None:
    backend = opened(images=of_gcc("127.0.0.1:9/nothing/gcc:13"), image_pull_policy=policy, start_seconds=60)
    error = failure(backend)
    assert f"its pod cannot get its image, {reason}" in error.obstacle
    assert "127.0.0.1:9/nothing/gcc:13" in error.obstacle
    assert "images:" in error.remedy
    assert "kubernetes.image-pull-secrets" in error.remedy
    assert "kubectl describe job compile-" in error.remedy


@pytest.mark.parametrize(
    ("image", "why"),
    [
        ("will-it-compile/gcc:12", "its gcc is 'gcc (Debian 12."),
        ("will-it-compile/go:1.26", "gcc"),
        ("localhost/pause:1", "gcc"),
    ],
    ids=["of another version", "of another language", "of nothing"],
)
def test_an_image_that_is_not_the_toolchain(opened: Opened, image: str, why: str) -> None:
    error = failure(opened(images=of_gcc(image)))
    assert image in error.asked
    assert why in error.obstacle
    assert "images: gcc-13=" in error.remedy


# --- its start


def test_a_container_that_its_node_cannot_make(opened: Opened) -> None:
    """For want of a seccomp profile, which only the node can know."""
    error = failure(opened(seccomp_profile="profiles/nowhere.json"))
    assert "its pod cannot be started, CreateContainer" in error.obstacle
    assert "nowhere.json" in error.obstacle
    assert "kubectl get events" in error.remedy
    assert "kubectl describe job compile-" in error.remedy


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"node_selector": {"example.org/there": "none"}}, "didn't match Pod's node affinity/selector"),
        ({"cpu": "1000", "request_cpu": "1000"}, "Insufficient cpu"),
        ({"memory": "900Gi", "request_memory": "900Gi"}, "Insufficient memory"),
        ({"architecture": "arm64"}, "didn't match Pod's node affinity/selector"),
    ],
    ids=["selector", "cpu", "memory", "architecture"],
)
def test_a_pod_that_fits_on_no_node(opened: Opened, settings: dict[str, object], why: str) -> None:
    error = failure(opened(start_seconds=START_SECONDS, **settings))
    assert "its pod fits on no node: 0/1 nodes are available" in error.obstacle
    assert why in error.obstacle
    assert f"within {START_SECONDS} seconds" in error.obstacle
    assert "kubernetes.node-selector" in error.remedy
    assert "kubernetes.request-cpu" in error.remedy
    assert "kubectl describe job compile-" in error.remedy


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"runtime_class": "nowhere"}, 'RuntimeClass "nowhere" not found'),
        ({"priority_class": "nowhere"}, "no PriorityClass with name nowhere was found"),
        ({"service_account": "nowhere"}, 'serviceaccount "nowhere" not found'),
    ],
    ids=["runtime class", "priority class", "service account"],
)
def test_a_pod_that_is_refused(opened: Opened, settings: dict[str, object], why: str) -> None:
    error = failure(opened(start_seconds=START_SECONDS, **settings))
    assert f"its pod was not made within {START_SECONDS} seconds" in error.obstacle
    assert why in error.obstacle
    assert "kubectl get events" in error.remedy


def test_a_password_that_is_missing_is_not_missed(opened: Opened) -> None:
    """As long as the image is there."""
    backend = opened(image_pull_secrets=["nowhere"])
    assert backend.compile(job(gcc(backend), FINE)).verdict is Verdict.COMPILED


def test_a_pod_whose_sources_do_not_come(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manifests, "config_maps", lambda *_: [])
    error = failure(opened(start_seconds=START_SECONDS))
    assert error.obstacle == f"its pod did not start within {START_SECONDS} seconds"
    assert "kubernetes.start-seconds" in error.remedy
    assert "kubectl get events" in error.remedy
    assert "kubectl describe job compile-" in error.remedy


# --- what a namespace allows


@pytest.fixture
def bounded(room: str) -> Callable[..., str]:
    """`bounded({"pods": "0"})`: a namespace with this quota, which is in force."""

    def bound(hard: dict[str, str]) -> str:
        listed = [f"{what}={much}" for what, much in hard.items()]
        kubectl("create", "quota", "little", f"--namespace={room}", f"--hard={','.join(listed)}")
        name = next(iter(hard)).replace(".", "\\.")
        there = f"--for=jsonpath={{.status.hard.{name}}}={next(iter(hard.values()))}"
        kubectl("wait", "quota/little", f"--namespace={room}", there, "--timeout=30s")
        return room

    return bound


@pytest.mark.parametrize("what", ["count/jobs.batch", "count/configmaps"])
def test_a_quota_of_what_a_compile_is_made_of(opened: Opened, bounded: Callable[..., str], what: str) -> None:
    room = bounded({what: "1"})  # a namespace has a ConfigMap of its own
    if what == "count/jobs.batch":
        kubectl("create", "job", "other", "--image=x", f"--namespace={room}")
    began = time.monotonic()
    error = failure(opened(room))
    assert time.monotonic() - began < 20
    assert f"the quota of the namespace {room} is used up" in error.obstacle
    assert f"exceeded quota: little, requested: {what}=1, used: {what}=1, limited: {what}=1" in error.obstacle
    assert f"kubectl describe quota --namespace {room}" in error.remedy
    if what == "count/jobs.batch":
        kubectl("delete", "job", "other", f"--namespace={room}")


@pytest.mark.parametrize("hard", [{"pods": "0"}, {"requests.memory": "1Mi"}, {"limits.cpu": "100m"}], ids=str)
def test_a_quota_of_what_a_pod_takes(opened: Opened, bounded: Callable[..., str], hard: dict[str, str]) -> None:
    room = bounded(hard)
    error = failure(opened(room, start_seconds=START_SECONDS))
    assert f"its pod was not made within {START_SECONDS} seconds: " in error.obstacle
    assert "exceeded quota: little" in error.obstacle
    assert f"kubectl describe quota --namespace {room}" in error.remedy


def test_a_quota_that_has_room_for_one_at_a_time(opened: Opened, bounded: Callable[..., str]) -> None:
    """Where it is used up for the moment, the Job waits for its turn."""
    backend = opened(bounded({"pods": "1"}), start_seconds=60)
    with ThreadPoolExecutor(2) as pool:
        answers = [pool.submit(backend.compile, job(gcc(backend), source)) for source in (FINE, WRONG)]
        verdicts = [each.result(100).verdict for each in answers]
    assert verdicts == [Verdict.COMPILED, Verdict.REJECTED]


def test_many_at_once_where_a_quota_counts_them(opened: Opened, bounded: Callable[..., str]) -> None:
    """The server counts one after another, and asks those who come in between to come again."""
    backend = opened(bounded({"count/jobs.batch": "100", "count/configmaps": "100", "pods": "100"}))
    with ThreadPoolExecutor(12) as pool:
        answers = [pool.submit(backend.compile, job(gcc(backend), FINE)) for _ in range(12)]
        assert {each.result(100).verdict for each in answers} == {Verdict.COMPILED}


def test_a_limit_range_that_a_pod_does_not_fit(opened: Opened, room: str) -> None:
    limits = {"limits": [{"type": "Container", "max": {"memory": "64Mi"}}]}
    document = {"apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "small"}, "spec": limits}
    kubectl("apply", f"--namespace={room}", "--filename=-", input=json.dumps(document))
    error = failure(opened(room, start_seconds=START_SECONDS))
    assert "maximum memory usage per Container is 64Mi" in error.obstacle


def test_no_such_namespace(opened: Opened) -> None:
    error = failure(opened("wic-test-nowhere"))
    assert error.obstacle == "there is no namespace wic-test-nowhere"
    assert "kubectl create namespace wic-test-nowhere" in error.remedy


def test_a_namespace_that_is_being_deleted(opened: Opened, room: str) -> None:
    held = {"metadata": {"finalizers": ["example.org/held"]}}
    kubectl("create", "configmap", "held", f"--namespace={room}")
    kubectl("patch", "configmap", "held", f"--namespace={room}", "--patch", json.dumps(held))
    try:
        kubectl("delete", "namespace", room, "--wait=false")
        error = failure(opened(room))
        assert error.obstacle == f"the namespace {room} is being deleted"
        assert room in error.remedy
    finally:
        free = json.dumps({"metadata": {"finalizers": None}})
        kubectl("patch", "configmap", "held", f"--namespace={room}", "--patch", free)
        kubectl("delete", "configmap", "held", f"--namespace={room}", "--ignore-not-found")


# --- its end


class Running(NamedTuple):
    """A compile that runs until its time is up."""

    answer: Future[CompileResult]
    heard: list[str]
    """What the user was told."""


@pytest.fixture
def endless(opened: Opened) -> Iterator[Callable[..., Running]]:
    """`endless(namespace, seconds)`: a compile that runs until that limit, in a pod that has started."""
    cancel = CancelToken()
    with ThreadPoolExecutor(1) as pool:

        def start(namespace: str, seconds: float, **settings: object) -> Running:
            heard: list[str] = []
            backend = opened(namespace, notify=heard.append, **settings)
            asked = job(gcc(backend), ENDLESS, limits=Limits(wall_seconds=seconds, memory_bytes=4096 * MIB))
            answer = pool.submit(backend.compile, asked, cancel)
            until(lambda: bool(running(namespace)) or answer.done())
            return Running(answer, heard)

        try:
            yield start
        finally:
            cancel.cancel()


def running(namespace: str) -> list[str]:
    """The pods whose compiler may be at work."""
    found = json.loads(kubectl("get", "pods", f"--namespace={namespace}", "--output=json"))["items"]
    return [
        each["metadata"]["name"]
        for each in found
        if "deletionTimestamp" not in each["metadata"] and each["status"].get("phase") == "Running"
    ]


def evict(pod: str, namespace: str) -> None:
    document = {
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": {"name": pod, "namespace": namespace},
    }
    path = f"/api/v1/namespaces/{namespace}/pods/{pod}/eviction"
    kubectl("create", f"--raw={path}", "--filename=-", input=json.dumps(document))


def delete(pod: str, namespace: str) -> None:
    kubectl("delete", "pod", pod, f"--namespace={namespace}", "--wait=false")


def delete_at_once(pod: str, namespace: str) -> None:
    """Its object goes before its container has ended."""
    kubectl("delete", "pod", pod, f"--namespace={namespace}", "--wait=false", "--force", "--grace-period=0")


def delete_its_job(pod: str, namespace: str) -> None:
    kubectl("delete", "job", pod.rpartition("-")[0], f"--namespace={namespace}", "--wait=false")


@pytest.mark.parametrize(
    ("take_away", "told"),
    [
        (evict, "was evicted from its node"),
        (delete, "was deleted while it worked"),
        (delete_at_once, "was deleted while it worked"),
        (delete_its_job, "was deleted while it worked"),
    ],
    ids=lambda each: getattr(each, "__name__", ""),
)
def test_a_pod_that_is_taken_away_is_made_again(
    namespace: str, endless: Callable[..., Running], take_away: Callable[[str, str], None], told: str
) -> None:
    compile_ = endless(namespace, 3)
    (pod,) = running(namespace)
    take_away(pod, namespace)
    assert compile_.answer.result(60).verdict is Verdict.TIMEOUT
    (heard,) = compile_.heard
    assert heard.startswith(f"a compile is run again: its pod {told}")


def test_a_pod_that_is_taken_away_again_and_again(namespace: str, endless: Callable[..., Running]) -> None:
    compile_ = endless(namespace, 60)
    for _ in range(1 + backend_module.LOSSES):
        until(lambda: bool(running(namespace)))
        for pod in running(namespace):
            delete(pod, namespace)
    error = compile_.answer.exception(60)
    assert isinstance(error, BackendFailed)
    assert error.obstacle == "its pod was deleted while it worked"
    assert "run it again" in error.remedy
    assert len(compile_.heard) == backend_module.LOSSES


def test_sources_that_are_taken_away_are_read_by_then(namespace: str, endless: Callable[..., Running]) -> None:
    compile_ = endless(namespace, 3)
    kubectl("delete", "configmaps", f"--namespace={namespace}", "--selector=managed-by=will-it-compile")
    assert compile_.answer.result(60).verdict is Verdict.TIMEOUT
    assert compile_.heard == []


def test_a_job_that_takes_longer_than_it_may(
    namespace: str, endless: Callable[..., Running], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where its node is so slow that the launcher cannot end the compile at its limit."""
    monkeypatch.setattr(backend_module, "_MARGIN_SECONDS", -60)
    compile_ = endless(namespace, 60, start_seconds=3)
    error = compile_.answer.exception(60)
    assert isinstance(error, BackendFailed)
    assert error.obstacle == "its pod took longer than its Job may, with the time to start it"
    assert "kubectl get nodes" in error.remedy
    assert "kubectl describe job compile-" in error.remedy
    assert compile_.heard == []


@pytest.mark.parametrize("beyond", [0, -384 * MIB], ids=["told by the launcher", "told by the kernel"])
def test_a_compile_that_takes_too_much_memory(opened: Opened, monkeypatch: pytest.MonkeyPatch, beyond: int) -> None:
    """The kernel's limit is usually the higher one, for what is faster than the launcher."""
    monkeypatch.setattr(backend_module, "FILE_CACHE_BYTES", backend_module.FILE_CACHE_BYTES + beyond)
    backend = opened()
    result = backend.compile(job(gcc(backend), HUNGRY, limits=Limits(memory_bytes=512 * MIB)))
    assert (result.verdict, result.limit) == (Verdict.OUT_OF_MEMORY, "memory")


def test_sources_that_do_not_fit(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    """They lie in the memory of the pod, whose end the launcher may not survive."""
    monkeypatch.setattr(backend_module, "FILE_CACHE_BYTES", 16 * MIB)
    backend = opened()
    asked = job(gcc(backend), FINE, files={"large.h": bytes(100 * MIB)}, limits=Limits(memory_bytes=16 * MIB))
    try:
        told = str(backend.compile(asked).verdict)
    except BackendFailed as error:
        told = error.obstacle
    assert told == Verdict.OUT_OF_MEMORY or "No space left" in told
