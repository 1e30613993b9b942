"""The cluster of the tests is one: what the other tests rely on is there."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.cluster import kubectl

if TYPE_CHECKING:
    from tests.cluster import Cluster

pytestmark = pytest.mark.kubernetes


def _pod(name: str, image: str, security: dict[str, object], **container: object) -> str:
    only = {"name": "only", "image": image, "imagePullPolicy": "IfNotPresent", "securityContext": security, **container}
    spec = {"restartPolicy": "Never", "terminationGracePeriodSeconds": 0, "containers": [only]}
    return json.dumps({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec})


RESTRICTED = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "runAsNonRoot": True,
    "runAsUser": 1000,
    "seccompProfile": {"type": "RuntimeDefault"},
}


def test_has_a_node_that_is_ready() -> None:
    nodes = json.loads(kubectl("get", "nodes", "--output=json"))["items"]
    ready = [each["status"] for node in nodes for each in node["status"]["conditions"] if each["type"] == "Ready"]
    assert "True" in ready


@pytest.mark.parametrize("image", ["gcc:13", "go:1.26"])
def test_runs_a_pod_of_our_image_in_a_restricted_namespace(namespace: str, image: str) -> None:
    family, _, version = image.partition(":")
    name = f"says-its-version-{family}"
    asked = [family, "version"] if family == "go" else [family, "--version"]
    manifest = _pod(name, f"will-it-compile/{image}", RESTRICTED, command=asked)
    kubectl("apply", "--namespace", namespace, "--filename=-", input=manifest)
    try:
        done = "--for=jsonpath={.status.phase}=Succeeded"
        kubectl("wait", "--namespace", namespace, done, f"pod/{name}", "--timeout=60s")
        assert version in kubectl("logs", "--namespace", namespace, name)
    finally:
        kubectl("delete", "--namespace", namespace, f"pod/{name}")


def test_refuses_a_privileged_pod_there(namespace: str) -> None:
    manifest = _pod("privileged", "will-it-compile/gcc:13", {"privileged": True})
    with pytest.raises(AssertionError, match='violates PodSecurity "restricted:latest": privileged'):
        kubectl("apply", "--namespace", namespace, "--filename=-", input=manifest)


def test_all_of_it_runs(own_cluster: Cluster) -> None:
    argv = [sys.executable, "-m", "tests.cluster", "status"]
    status = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert f"export KUBECONFIG={own_cluster.kubeconfig}\n" in status.stdout, status.stderr
    assert "does not run" not in status.stdout


@pytest.mark.parametrize("component", ["apiserver", "etcd", "kubelet"])
def test_what_was_killed_answers_again(own_cluster: Cluster, component: str) -> None:
    with own_cluster.alone():
        own_cluster.kill(component)
        assert not own_cluster.answers(component)
    assert all(own_cluster.answers(each) for each in own_cluster.components)
