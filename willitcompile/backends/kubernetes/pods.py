"""What a pod's status says of its compile, as pure functions from the API's objects. Nothing in them is trusted to have
the shape that it should have: a cluster may be any version, and whoever may write to it may write anything."""

from __future__ import annotations

from signal import SIGKILL, SIGTERM
from typing import Any, NamedTuple

from willitcompile.backends.kubernetes.manifests import CONTAINER, JOB_ID
from willitcompile.backends.kubernetes.syntax import is_name

_SAID = 300
"""Characters of what a cluster says of a trouble, in a message of ours."""

_IMAGE = frozenset(
    {
        "ImagePullBackOff",
        "ErrImagePull",
        "InvalidImageName",
        "ErrImageNeverPull",
        "ImageInspectError",
        "RegistryUnavailable",
        "SignatureValidationFailed",
    }
)
_CONFIGURATION = frozenset(
    {"CreateContainerConfigError", "CreateContainerError", "RunContainerError", "ContainerCannotRun", "StartError"}
)
_PASSING = frozenset({"ErrImagePull", "RegistryUnavailable"})
"""Of an image: nobody knows yet whether they stay."""
_RUNTIME_AWAY = (
    "error reading from server",
    "connection error",
    "connection refused",
    "connection reset",
    "code = Unavailable",
    "context deadline exceeded",
    "context canceled",
    "failed to reserve container name",
)
"""What a node says where what runs its containers does not answer, as it does when that is started again."""
_KILLED = frozenset({128 + SIGKILL, 128 + SIGTERM, 255})
"""Exit codes of a launcher that was ended from outside: by a signal, or with what ran it."""
_LOST = {
    "Evicted": "was evicted from its node",
    "Preempting": "had to give way to a more important pod",
    "Preempted": "had to give way to a more important pod",
    "NodeLost": "was on a node that died",
    "NodeShutdown": "was on a node that was shut down",
    "Terminated": "was on a node that was shut down",
    "Shutdown": "was on a node that was shut down",
    "NodeAffinity": "no longer fitted its node",
    "OutOfcpu": "found no room on its node",
    "OutOfmemory": "found no room on its node",
    "OutOfpods": "found no room on its node",
    "UnexpectedAdmissionError": "was refused by its node",
    "DeletionByTaintManager": "was on a node that stopped answering",
    "DeletionByPodGC": "was on a node that is gone",
    "EvictionByEvictionAPI": "was evicted from its node",
    "PreemptionByScheduler": "had to give way to a more important pod",
    "TerminationByKubelet": "was ended by its node, which ran short of something",
}


class Trouble(NamedTuple):
    """Why a pod gives no answer."""

    kind: str
    """`image`, `configuration`, `unschedulable`, `lost`, `deadline`, `out-of-memory`, `deleted`, `ended`; of a pod that
    nobody has seen start, `quota` and `start`."""
    text: str
    """What stands in the way, in words that follow "its pod"."""
    final: bool = True
    """Whether waiting does not help."""


DELETED = Trouble("deleted", "was deleted while it worked")
OUT_OF_TIME = Trouble("deadline", "took longer than its Job may, with the time to start it")


class Pod(NamedTuple):
    """What there is to know of one pod."""

    name: str
    job_id: str
    started: bool = False
    """Its container runs, or has run."""
    ended: bool = False
    """Its container runs no more, or the pod is gone: nothing comes any more."""
    trouble: Trouble | None = None
    """Which may stand beside an answer: what has ended with its job done has none."""
    image: str | None = None
    """Which image it is, exactly, as its node says: `docker.io/library/gcc@sha256:…`."""
    owner: str = ""
    """The uid of what controls it, its Job; empty where nothing does. Labels anybody may give to his pods."""


def read(document: object) -> Pod | None:
    """From a pod of the API; None for what is no compile's."""
    metadata = _mapping(_mapping(document).get("metadata"))
    job_id, name = _mapping(metadata.get("labels")).get(JOB_ID), metadata.get("name")
    # Its name becomes a part of paths, and of what people are told to type.
    if not isinstance(job_id, str) or not isinstance(name, str) or not is_name(name):
        return None
    status = _mapping(_mapping(document).get("status"))
    container = next(
        (each for each in map(_mapping, _sequence(status.get("containerStatuses"))) if each.get("name") == CONTAINER),
        {},
    )
    state = _mapping(container.get("state"))
    terminated, waiting = _mapping(state.get("terminated")), _mapping(state.get("waiting"))
    over = _word(status.get("phase")) in {"Succeeded", "Failed"} or bool(terminated)
    started = "running" in state or bool(terminated)
    # A deletion kills what runs, which then ends as others do that were killed.
    is_deleted = bool(metadata.get("deletionTimestamp")) and (not over or terminated.get("exitCode", 0) != 0)
    trouble = (
        _lost(status)
        or _waiting(waiting)
        or (DELETED if is_deleted else None)
        or _ended(status, terminated)
        or (None if started or over else _unscheduled(status))
    )
    image = container.get("imageID")
    exact = _exact(image) if isinstance(image, str) else None
    return Pod(name, job_id, started, over, trouble, exact, _owner(metadata))


def _owner(metadata: dict[str, Any]) -> str:
    owners = map(_mapping, _sequence(metadata.get("ownerReferences")))
    return next((_word(each.get("uid")) for each in owners if each.get("controller") is True), "")


def gone(pod: Pod) -> Pod:
    """The same pod, when it is there no more."""
    if pod.ended:
        return pod
    return pod._replace(ended=True, trouble=pod.trouble or DELETED)


def _lost(status: dict[str, Any]) -> Trouble | None:
    conditions = map(_mapping, _sequence(status.get("conditions")))
    disrupted = next(
        (
            each.get("reason")
            for each in conditions
            if each.get("type") == "DisruptionTarget" and each.get("status") == "True"
        ),
        None,
    )
    for reason in map(_word, (status.get("reason"), disrupted)):
        if text := _LOST.get(reason):
            return Trouble("lost", _with(text, status.get("message")))
    return None


def _ended(status: dict[str, Any], terminated: dict[str, Any]) -> Trouble | None:
    if status.get("reason") == "DeadlineExceeded":
        return OUT_OF_TIME
    reason, code = _word(terminated.get("reason")), terminated.get("exitCode")
    # A container is called OOMKilled for ever where any process in it was, also if the launcher went on.
    if reason == "OOMKilled" and code == 128 + SIGKILL:
        return Trouble("out-of-memory", "was killed for want of memory")
    if reason in _CONFIGURATION:
        kind = "lost" if _is_runtime_away(terminated.get("message")) else "configuration"
        return Trouble(kind, _with("could not be started", terminated.get("message")))
    if terminated and code != 0:
        is_killed = isinstance(code, int) and code in _KILLED
        text = f"was killed, with exit code {code}" if is_killed else f"ended with exit code {_shown(code)}"
        return Trouble("lost" if is_killed else "ended", _with(text, terminated.get("message")))
    if status.get("phase") == "Failed" and not terminated:
        return Trouble(
            "lost", _with(f"failed: {_word(status.get('reason')) or 'nobody says why'}", status.get("message"))
        )
    return None


def _waiting(waiting: dict[str, Any]) -> Trouble | None:
    reason, message = _word(waiting.get("reason")), waiting.get("message")
    if reason in _IMAGE:
        is_final = reason not in _PASSING and not (reason == "ImageInspectError" and _is_runtime_away(message))
        return Trouble("image", _with(f"cannot get its image, {reason}", message), is_final)
    if reason in _CONFIGURATION:
        text = _with(f"cannot be started, {reason}", message)
        return Trouble("configuration", text, final=not _is_runtime_away(message))
    if reason == "CrashLoopBackOff":
        return Trouble("ended", _with("ended before its job", message))
    return None


def _is_runtime_away(message: object) -> bool:
    return isinstance(message, str) and any(words in message for words in _RUNTIME_AWAY)


def _unscheduled(status: dict[str, Any]) -> Trouble | None:
    """A node may yet come, as where a cluster grows on demand."""
    for condition in map(_mapping, _sequence(status.get("conditions"))):
        if condition.get("type") == "PodScheduled" and condition.get("status") == "False":
            return Trouble("unschedulable", _with("fits on no node", condition.get("message")), final=False)
    return None


def _with(text: str, message: object) -> str:
    said = " ".join(message.split())[:_SAID] if isinstance(message, str) else ""
    return f"{text}: {said}" if said else text


def _word(value: object) -> str:
    return value[:_SAID] if isinstance(value, str) else ""


def _shown(code: object) -> str:
    return str(code) if isinstance(code, int) and abs(code) < 1 << 31 else "unknown"


def _exact(image: str) -> str:
    """
    >>> _exact("docker-pullable://gcc@sha256:ab"), _exact("sha256:ab")
    ('gcc@sha256:ab', 'sha256:ab')
    """
    return image.rpartition("://")[2][:_SAID]


def _mapping(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _sequence(value: object) -> list[Any]:
    return value if isinstance(value, list) else []
