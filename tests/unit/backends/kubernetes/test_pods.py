"""What a pod's status says. Those that a cluster was seen to give stand here as it gave them."""

from __future__ import annotations

import doctest
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from willitcompile.backends.kubernetes import pods
from willitcompile.backends.kubernetes.pods import DELETED, OUT_OF_TIME, Pod, Trouble, gone, read

WAITING = {"name": "compile", "image": "gcc:13", "imageID": "", "ready": False, "restartCount": 0}
SCHEDULED = {"type": "PodScheduled", "status": "True"}


def pod(status: Any, *, deleted: bool = False, **metadata: Any) -> dict[str, Any]:
    about = {"name": "compile-a-x7k2p", "labels": {"job-id": "a"}, **metadata}
    return {
        "metadata": {**about, **({"deletionTimestamp": "2026-11-23T08:52:37Z"} if deleted else {})},
        "status": status,
    }


def running(*conditions: Any) -> dict[str, Any]:
    state = {"running": {"startedAt": "2026-11-23T08:52:31Z"}}
    return {
        "phase": "Running",
        "conditions": [SCHEDULED, *conditions],
        "containerStatuses": [{**WAITING, "state": state}],
    }


def waiting(reason: str, message: str = "") -> dict[str, Any]:
    state = {"waiting": {"reason": reason, **({"message": message} if message else {})}}
    return {"phase": "Pending", "conditions": [SCHEDULED], "containerStatuses": [{**WAITING, "state": state}]}


def terminated(code: int, why: str, *conditions: Any, **status: Any) -> dict[str, Any]:
    state = {"terminated": {"exitCode": code, "reason": why, "finishedAt": "2026-11-23T08:52:35Z"}}
    container = {**WAITING, "imageID": "docker.io/library/gcc@sha256:ab", "state": state}
    phase = "Failed" if code else "Succeeded"
    return {"phase": phase, "conditions": [SCHEDULED, *conditions], "containerStatuses": [container], **status}


def disrupted(reason: str, message: str = "") -> dict[str, str]:
    return {"type": "DisruptionTarget", "status": "True", "reason": reason, "message": message}


def found(document: object) -> Pod:
    pod = read(document)
    assert pod is not None
    return pod


def trouble(status: Any, *, deleted: bool = False) -> Trouble:
    seen = found(pod(status, deleted=deleted)).trouble
    assert seen is not None
    return seen


def test_the_examples() -> None:
    assert not doctest.testmod(pods).failed


def test_a_life() -> None:
    pending = found(pod({"phase": "Pending"}))
    assert pending == Pod("compile-a-x7k2p", "a")
    creating = found(pod(waiting("ContainerCreating")))
    assert (creating.started, creating.ended, creating.trouble) == (False, False, None)
    runs = found(pod(running()))
    assert (runs.started, runs.ended, runs.trouble) == (True, False, None)
    done = found(pod(terminated(0, "Completed")))
    assert done == Pod("compile-a-x7k2p", "a", True, True, None, "docker.io/library/gcc@sha256:ab")
    # Its container has ended before the pod is told to have.
    assert found(pod({**terminated(0, "Completed"), "phase": "Running"})).ended


@pytest.mark.parametrize(
    ("reason", "kind", "final"),
    [
        ("ErrImagePull", "image", False),
        ("RegistryUnavailable", "image", False),
        ("ImagePullBackOff", "image", True),
        ("ErrImageNeverPull", "image", True),
        ("InvalidImageName", "image", True),
        ("ImageInspectError", "image", True),
        ("SignatureValidationFailed", "image", True),
        ("CreateContainerConfigError", "configuration", True),
        ("CreateContainerError", "configuration", True),
        ("RunContainerError", "configuration", True),
        ("CrashLoopBackOff", "ended", True),
    ],
)
def test_a_container_that_waits_in_vain(reason: str, kind: str, final: bool) -> None:
    seen = found(pod(waiting(reason, 'Back-off pulling\n image "x"')))
    assert (seen.started, seen.ended) == (False, False)
    assert seen.trouble is not None
    assert (seen.trouble.kind, seen.trouble.final) == (kind, final)
    assert seen.trouble.text.endswith(': Back-off pulling image "x"')


def test_what_a_cluster_says_is_not_told_at_any_length() -> None:
    assert len(trouble(waiting("ImagePullBackOff", "x" * 10_000)).text) < 400


def test_no_node_fits_which_may_pass() -> None:
    message = "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector."
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
    assert trouble({"phase": "Pending", "conditions": [condition]}) == Trouble(
        "unschedulable", f"fits on no node: {message}", final=False
    )


def test_want_of_memory() -> None:
    assert trouble(terminated(137, "OOMKilled")).kind == "out-of-memory"


def test_what_has_ended_well_after_the_kernel_killed_a_compiler_in_it_has_no_trouble() -> None:
    # As a cluster has told it of a launcher that exited with 0.
    assert found(pod(terminated(0, "OOMKilled"))).trouble is None


@pytest.mark.parametrize(
    ("status", "deleted", "kind"),
    [
        (terminated(143, "OOMKilled"), False, "lost"),
        (terminated(143, "OOMKilled"), True, "deleted"),
        (terminated(137, "OOMKilled"), True, "deleted"),
        (terminated(137, "OOMKilled", disrupted("TerminationByKubelet")), False, "lost"),
        (terminated(137, "OOMKilled", reason="Evicted"), False, "lost"),
    ],
)
def test_a_loss_is_not_taken_for_want_of_memory(status: dict[str, Any], deleted: bool, kind: str) -> None:
    assert trouble(status, deleted=deleted).kind == kind


@pytest.mark.parametrize("code", [143, 137, 255])
def test_who_was_killed_from_outside_is_lost(code: int) -> None:
    assert trouble(terminated(code, "Error")) == Trouble("lost", f"was killed, with exit code {code}")
    assert trouble(terminated(137, "ContainerStatusUnknown")).kind == "lost"


def test_who_was_deleted_while_it_worked() -> None:
    for status in (running(), terminated(143, "Error"), terminated(137, "Error"), {"phase": "Pending"}):
        assert trouble(status, deleted=True) == DELETED


def test_who_is_deleted_when_it_is_done_has_no_trouble() -> None:
    assert found(pod(terminated(0, "Completed"), deleted=True)).trouble is None


def test_an_image_that_is_not_to_be_had_is_told_also_of_what_is_deleted_then() -> None:
    assert trouble(waiting("ImagePullBackOff"), deleted=True).kind == "image"


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (running(disrupted("EvictionByEvictionAPI", "Eviction API: evicting")), "was evicted from its node"),
        (terminated(143, "Error", disrupted("EvictionByEvictionAPI")), "was evicted from its node"),
        (terminated(137, "Error", disrupted("TerminationByKubelet")), "its node, which ran short"),
        (running(disrupted("DeletionByTaintManager")), "stopped answering"),
        (running(disrupted("DeletionByPodGC")), "a node that is gone"),
        (running(disrupted("PreemptionByScheduler")), "a more important pod"),
        ({"phase": "Failed", "reason": "Evicted", "message": "The node was low on resource: memory."}, "was evicted"),
        ({"phase": "Failed", "reason": "Terminated", "message": "Pod was terminated"}, "shut down"),
        ({"phase": "Failed", "reason": "NodeLost"}, "on a node that died"),
        ({"phase": "Failed", "reason": "OutOfcpu"}, "no room on its node"),
        ({"phase": "Failed", "reason": "UnexpectedAdmissionError"}, "refused by its node"),
        ({"phase": "Failed", "reason": "SomethingNew", "message": "a\nb"}, "failed: SomethingNew: a b"),
        ({"phase": "Failed"}, "nobody says why"),
    ],
)
@pytest.mark.parametrize("deleted", [False, True])
def test_what_happened_to_its_node(status: dict[str, Any], words: str, deleted: bool) -> None:
    seen = trouble(status, deleted=deleted)
    assert (seen.kind, words in seen.text) == ("lost", True)


def test_a_disruption_that_did_not_come_is_none() -> None:
    assert found(pod(running({**disrupted("EvictionByEvictionAPI"), "status": "False"}))).trouble is None


def test_its_deadline() -> None:
    assert trouble(terminated(137, "Error", reason="DeadlineExceeded")) == OUT_OF_TIME


def test_it_could_not_be_started() -> None:
    status = terminated(128, "StartError")
    status["containerStatuses"][0]["state"]["terminated"]["message"] = "exec: launcher: no such file"
    assert trouble(status) == Trouble("configuration", "could not be started: exec: launcher: no such file")


def test_its_kubelet_was_killed_while_it_was_started() -> None:
    status = terminated(128, "StartError")
    message = 'failed to start containerd task "7eb4b546f32d": context canceled: unknown'
    status["containerStatuses"][0]["state"]["terminated"]["message"] = message
    found = trouble(status)
    assert found is not None
    assert found.kind == "lost"


def test_it_ended_by_itself() -> None:
    assert trouble(terminated(1, "Error")) == Trouble("ended", "ended with exit code 1")


def test_another_container_is_not_asked() -> None:
    status = running()
    status["containerStatuses"].insert(0, {"name": "istio-proxy", "state": {"waiting": {"reason": "ImagePullBackOff"}}})
    assert found(pod(status)).trouble is None


class TestGone:
    def test_before_its_end(self) -> None:
        assert gone(found(pod(running()))) == found(pod(running()))._replace(ended=True, trouble=DELETED)

    def test_with_its_reason(self) -> None:
        seen = found(pod(waiting("ImagePullBackOff")))
        assert gone(seen).ended
        assert gone(seen).trouble == seen.trouble

    def test_after_its_end(self) -> None:
        seen = found(pod(terminated(0, "Completed")))
        assert gone(seen) == seen


@pytest.mark.parametrize(
    "document",
    [
        None,
        [],
        {},
        {"metadata": None},
        {"metadata": {"name": "x", "labels": {"app": "y"}}},
        {"metadata": {"name": 7, "labels": {"job-id": "a"}}},
        {"metadata": {"name": "x", "labels": {"job-id": ["a"]}}},
    ],
)
def test_what_is_no_compiles_is_nothing(document: object) -> None:
    assert read(document) is None


json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.sampled_from(["True", "Failed"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["status", "reason", "type", "exitCode", "message", "state", "terminated"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=8,
)
statuses = json | st.fixed_dictionaries(
    {},
    optional={
        "phase": json,
        "reason": json,
        "conditions": json
        | st.lists(
            st.fixed_dictionaries(
                {
                    "type": st.sampled_from(["DisruptionTarget", "PodScheduled"]),
                    "status": st.sampled_from(["True", "False"]),
                },
                optional={"reason": json, "message": json},
            )
            | json,
            max_size=3,
        ),
        "containerStatuses": json
        | st.lists(
            st.fixed_dictionaries(
                {"name": st.just("compile")},
                optional={
                    "imageID": json,
                    "state": json
                    | st.dictionaries(
                        st.sampled_from(["waiting", "running", "terminated"]),
                        json | st.fixed_dictionaries({}, optional={"reason": json, "exitCode": json, "message": json}),
                    ),
                },
            )
            | json,
            max_size=3,
        ),
    },
)


@given(statuses, json)
@example({"phase": ["Failed"]}, None)
@example({"reason": {}, "conditions": [disrupted("x") | {"reason": []}]}, None)  # type: ignore[dict-item]
def test_whatever_it_says_it_is_read(status: Any, deletion: Any) -> None:
    seen = found(pod(status, deletionTimestamp=deletion))
    assert seen.trouble is None or (seen.trouble.kind and len(seen.trouble.text) < 1000)
    assert seen.image is None or len(seen.image) <= 300
    over = gone(seen)
    assert over.ended
    assert over.trouble is None or over.trouble.kind


@given(json)
def test_and_whatever_it_is(document: Any) -> None:
    assert read(document) is None
    assert read({"metadata": {"name": "x", "labels": document}}) is None
