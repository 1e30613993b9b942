"""What went wrong in a cluster, in three parts: what was asked, what stands in the way, what to type now."""

from __future__ import annotations

from typing import TYPE_CHECKING

from willitcompile.backends.kubernetes.api.client import ApiError, Stopped, Unreachable
from willitcompile.backends.kubernetes.jobs import Failed
from willitcompile.errors import BackendFailed, BackendUnavailable, Interrupted, WillItCompileError

if TYPE_CHECKING:
    from willitcompile.backends.kubernetes.api.access import Access

_REMEDIES = {
    "image": "name one that the nodes can get: images: gcc=registry.example.org/gcc:{{version}}; or give them the"
    " password: kubernetes.image-pull-secrets",
    "configuration": "see what the node says of it: {events}",
    "unschedulable": "free or add a node, or ask for less: kubernetes.request-cpu, kubernetes.request-memory,"
    " kubernetes.node-selector, kubernetes.architecture",
    "quota": "kubectl describe quota --namespace {namespace}; {events}",
    "lost": "run it again, and see what happened to its node: kubectl get nodes",
    "deleted": "run it again",
    "deadline": "see whether its node is well: kubectl get nodes",
    "start": "give it longer: kubernetes.start-seconds; {events}",
    "ended": "see what the node says of it: {events}",
}
_LATER = "to have it stay: set kubernetes.delete to ttl, then kubectl describe job {job} --namespace {namespace}"


def told(asked: str, error: Exception, access: Access) -> WillItCompileError:
    """What to raise for a failure of the cluster, or of the way to it."""
    if isinstance(error, Stopped):
        return Interrupted(asked, "it was cancelled", "run it again")
    if isinstance(error, Failed):
        return _failed(asked, error, access)
    if isinstance(error, Unreachable):
        return BackendFailed(asked, f"{access.server} does not answer: {error}", "kubectl cluster-info")
    if isinstance(error, ApiError):
        return _refused(asked, error, access)
    return BackendFailed(asked, str(error), "will-it-compile doctor")


def _failed(asked: str, failure: Failed, access: Access) -> BackendFailed:
    trouble, about = failure.trouble, failure.pod or failure.job
    fill = {
        "job": failure.job,
        "namespace": access.namespace,
        # They stay for an hour, also of what was deleted.
        "events": f"kubectl get events --namespace {access.namespace} --field-selector involvedObject.name={about}",
    }
    remedy = _REMEDIES.get(trouble.kind, _REMEDIES["ended"])
    return BackendFailed(asked, f"its pod {trouble.text}", f"{remedy}; {_LATER}".format(**fill))


def _refused(asked: str, error: ApiError, access: Access) -> BackendFailed | BackendUnavailable:
    namespace = access.namespace
    if error.status == 401:
        return BackendUnavailable(
            asked, f"{access.server} does not know who we are: {error.message}", f"log in to it again ({access.origin})"
        )
    if error.status == 403 and "exceeded quota" in error.message:
        return BackendFailed(
            asked,
            f"the quota of the namespace {namespace} is used up: {error.message}",
            f"kubectl describe quota --namespace {namespace}",
        )
    if error.status == 403 and "being terminated" in error.message:
        return BackendFailed(
            asked,
            f"the namespace {namespace} is being deleted",
            f"use another one: --namespace NAME; or wait until it is gone: kubectl get namespace {namespace}",
        )
    if error.status == 403:
        return BackendFailed(
            asked,
            f"the cluster forbids it: {error.message}",
            "will-it-compile doctor names each permission that is missing; docs/kubernetes.md has the Role",
        )
    if error.status == 404 and error.details.get("kind") == "namespaces":
        return BackendFailed(
            asked, f"there is no namespace {namespace}", f"kubectl create namespace {namespace}, or --namespace NAME"
        )
    return BackendFailed(asked, f"the API server says: {error.message}", "will-it-compile doctor")
