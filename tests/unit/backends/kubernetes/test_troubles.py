"""What went wrong in a cluster, as it is told: what was asked, what stands in the way, what to type now."""

from __future__ import annotations

import pytest

from willitcompile.backends.kubernetes.api.access import Access
from willitcompile.backends.kubernetes.api.client import ApiError, Stopped, Unreachable
from willitcompile.backends.kubernetes.api.credentials import Credentials, Identity
from willitcompile.backends.kubernetes.jobs import Failed
from willitcompile.backends.kubernetes.pods import Trouble
from willitcompile.backends.kubernetes.troubles import told
from willitcompile.errors import BackendFailed, BackendUnavailable, Interrupted, WillItCompileError

ACCESS = Access("https://c:6443", "builds", "the kubeconfig x", None, Credentials(lambda: Identity(None, None)), None)
KINDS = [
    "image",
    "configuration",
    "unschedulable",
    "quota",
    "lost",
    "deleted",
    "deadline",
    "start",
    "out-of-memory",
    "ended",
    "new",
]


def failed(kind: str, text: str = "was {odd}", pod: str | None = "compile-a-x") -> WillItCompileError:
    return told("compile with gcc-13", Failed(Trouble(kind, text), "compile-a", pod), ACCESS)


@pytest.mark.parametrize("kind", KINDS)
def test_each_says_what_to_look_at(kind: str) -> None:
    error = failed(kind)
    assert isinstance(error, BackendFailed)
    assert error.exit_code == 3
    assert (error.asked, error.obstacle) == ("compile with gcc-13", "its pod was {odd}")
    assert "kubectl describe job compile-a --namespace builds" in error.remedy
    assert "{" not in error.remedy.replace("{version}", "")


@pytest.mark.parametrize("kind", ["configuration", "start", "ended"])
def test_what_a_node_says_is_found_under_the_name_of_the_pod(kind: str) -> None:
    command = "kubectl get events --namespace builds --field-selector involvedObject.name="
    assert f"{command}compile-a-x;" in failed(kind).remedy
    assert f"{command}compile-a;" in failed(kind, pod=None).remedy


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("image", "images: gcc=registry.example.org/gcc:{version}"),
        ("unschedulable", "kubernetes.request-cpu"),
        ("quota", "kubectl describe quota --namespace builds"),
        ("lost", "kubectl get nodes"),
        ("start", "kubernetes.start-seconds"),
    ],
)
def test_and_what_mends_it(kind: str, words: str) -> None:
    assert words in failed(kind).remedy


@pytest.mark.parametrize(
    ("error", "kind", "obstacle", "remedy"),
    [
        (Stopped(), Interrupted, "cancelled", "again"),
        (Unreachable("nothing listens there"), BackendFailed, "https://c:6443 does not answer", "kubectl cluster-info"),
        (ApiError(401, "Unauthorized", "Unauthorized"), BackendUnavailable, "who we are", "the kubeconfig x"),
        (
            ApiError(403, "Forbidden", 'jobs.batch is forbidden: User "u" cannot create resource "jobs"'),
            BackendFailed,
            'cannot create resource "jobs"',
            "doctor",
        ),
        (
            ApiError(403, "Forbidden", "configmaps is forbidden: exceeded quota: q, requested: count/configmaps=1"),
            BackendFailed,
            "the quota of the namespace builds is used up",
            "kubectl describe quota --namespace builds",
        ),
        (
            ApiError(404, "NotFound", 'namespaces "builds" not found', {"kind": "namespaces"}),
            BackendFailed,
            "there is no namespace builds",
            "kubectl create namespace builds",
        ),
        (ApiError(422, "Invalid", "Job is invalid"), BackendFailed, "Job is invalid", "doctor"),
        (RuntimeError("?"), BackendFailed, "?", "doctor"),
    ],
)
def test_the_cluster_says_no(error: Exception, kind: type[Exception], obstacle: str, remedy: str) -> None:
    found = told("compile with gcc-13", error, ACCESS)
    assert type(found) is kind
    assert obstacle in found.obstacle
    assert remedy in found.remedy
