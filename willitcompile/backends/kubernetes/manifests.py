"""What is made in a cluster, as pure functions: the Job of a compile, and the ConfigMaps with what it needs.

The Job comes first and owns its ConfigMaps, so that whoever deletes the Job, be it the cluster itself after a while,
deletes everything. Its pod waits until the last ConfigMap is there.
"""

from __future__ import annotations

import json
import os
import re
from base64 import b64encode
from typing import TYPE_CHECKING, Any, NamedTuple

from willitcompile.backends import launcher
from willitcompile.backends.containers import UID
from willitcompile.backends.kubernetes.settings import QUEUE_LABEL
from willitcompile.model import MIB

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from willitcompile.backends.kubernetes.settings import Settings

NAME = "will-it-compile"
MANAGED_BY = "managed-by"
JOB_ID = "job-id"
PREFIX = "compile-"
"""Of the name of a Job, before its id."""
SESSION = "will-it-compile/session"
"""The label with what one backend object made, of which it hears through one watch."""
CLIENT = "will-it-compile/client"
"""The annotation with the process that made it and waits for it; absent where anybody may come for the result."""
QUESTION = "will-it-compile/job"
"""The annotation with what it takes to judge the result."""
FILES = "will-it-compile/files"
"""The annotation with `Work.files`."""

CONTAINER = "compile"
ROOT = "/work/job"
"""Made by the launcher, and so its own: the volume that it lies in belongs to root, and anybody may write to it."""
PLACE = "/will-it-compile/job"
LAUNCHER = f"{PLACE}/launcher"

IDLE_SECONDS = 300
REQUEST_LOG_BYTES = 16 * MIB
PART_BYTES = 700_000
"""Of a job's files in one ConfigMap, which the API server takes up to 1 MiB of, with its names and labels."""
MOST_PARTS = 64
QUEUE_SESSION = "queue"
"""What `SESSION` says of all jobs of the queue that every process shares."""
_GRACE_SECONDS = 5
"""The launcher ends at once when it is told to."""
_AGAIN_WHERE_LOST = {
    "rules": [{"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}]
}
_AWAY_SECONDS = 20
"""How long a node may be silent before its pods are given up on. Kubernetes' own default is five minutes."""


class Place(NamedTuple):
    """Of a Job in the queue that all processes share."""

    labels: Mapping[str, str]
    """Of the Job and all that goes with it."""
    annotations: Mapping[str, str]
    """Of the Job."""
    keep_seconds: int
    """Once it has ended, in place of the settings' own."""
    waits: bool = True
    """Until somebody starts it."""
    needs_pod: bool = True
    """One that needs none has ended as soon as it is made."""
    may_need_none: bool = False
    """Whether that may turn out later, while it waits."""


class Work(NamedTuple):
    """One Job to be made."""

    id: str
    """Of lower-case letters, digits and dashes; at most 50 characters."""
    image: str
    session: str
    settings: Settings
    memory_bytes: int
    """The container's limit."""
    cpus: float | None
    seconds: int
    """How long it may take in all, from its creation to its end."""
    client: str | None = None
    """See `CLIENT`."""
    question: str | None = None
    """See `QUESTION`."""
    log_bytes: int = 256 * MIB
    """What its log may take of its node's disk."""
    silence: float = 0.0
    """Seconds for which it may say nothing: what its longest compile may take."""
    parts: int = 1
    """ConfigMaps of its files; 0 for a pod that waits for its job on stdin."""
    files: str = ""
    """A part of their names, where its id may come again: those of a Job that was deleted are there a moment longer."""
    place: Place | None = None
    """None for a Job that is started at once, and given up with its pod."""

    @property
    def name(self) -> str:
        return name_of(self.id)


def name_of(job_id: str) -> str:
    """Of a Job. Raises ValueError for an id that cannot be a part of one, nor a label."""
    if not re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,48}[a-z0-9])?", job_id):
        raise ValueError(f"not the id of a job: {job_id[:60]!r}")
    return PREFIX + job_id


def labels(work: Work) -> dict[str, str]:
    """Of the Job, its pod and its ConfigMaps."""
    return {
        **work.settings.labels,
        MANAGED_BY: NAME,
        JOB_ID: work.id,
        SESSION: work.session,
        "app.kubernetes.io/name": NAME,
        "app.kubernetes.io/component": "compile",
        "app.kubernetes.io/managed-by": NAME,
        **(work.place.labels if work.place else {}),
    }


def job(work: Work, owner: str | None = None) -> dict[str, Any]:
    """The Job. Its pod passes Pod Security at its strictest level, `restricted`.

    `owner` is the uid of the ConfigMap that `kubernetes.owner` names.
    """
    settings, place = work.settings, work.place
    owned = {"apiVersion": "v1", "kind": "ConfigMap", "name": settings.owner, "uid": owner}
    needs_pod = place is None or place.needs_pod
    queue = {QUEUE_LABEL: settings.queue} if settings.queue and needs_pod else {}
    annotations = {
        **settings.annotations,
        CLIENT: work.client,
        QUESTION: work.question,
        FILES: work.files or None,
        **(place.annotations if place else {}),
    }
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": work.name,
            "labels": {**labels(work), **queue},
            "annotations": {name: text for name, text in annotations.items() if text is not None},
            **({"ownerReferences": [owned]} if owner else {}),
        },
        "spec": {
            "backoffLimit": 0,
            # The number of completions may be changed of these alone.
            **({"completionMode": "Indexed"} if place and place.may_need_none else {}),
            "completions": 1 if needs_pod else 0,
            "parallelism": 1 if needs_pod else 0,
            "activeDeadlineSeconds": work.seconds,
            "ttlSecondsAfterFinished": place.keep_seconds if place else settings.keep_seconds,
            # Kueue starts it when it is its turn.
            **({"suspend": True} if queue or (place and place.waits and needs_pod) else {}),
            # Nobody waits for it who would make another one where its pod is evicted, or its node dies.
            **({"podFailurePolicy": _AGAIN_WHERE_LOST} if place else {}),
            "template": {
                "metadata": {"labels": labels(work), "annotations": dict(settings.annotations)},
                "spec": pod(work),
            },
        },
    }


def pod(work: Work) -> dict[str, Any]:
    """The pod's spec."""
    settings = work.settings
    spec: dict[str, Any] = {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        # It has nobody to ask for: not even the cluster's own resolver is named in it.
        "dnsPolicy": "None",
        "dnsConfig": {"nameservers": ["127.0.0.1"]},
        "terminationGracePeriodSeconds": _GRACE_SECONDS,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": UID,
            "runAsGroup": UID,
            "seccompProfile": {"type": "Localhost", "localhostProfile": settings.seccomp_profile}
            if settings.seccomp_profile
            else {"type": "RuntimeDefault"},
        },
        "nodeSelector": {
            **settings.node_selector,
            "kubernetes.io/os": "linux",
            "kubernetes.io/arch": architecture(settings),
        },
        "tolerations": [
            *settings.tolerations,
            *(
                {"key": f"node.kubernetes.io/{gone}", "operator": "Exists", "effect": "NoExecute"}
                | {"tolerationSeconds": _AWAY_SECONDS}
                for gone in ("not-ready", "unreachable")
            ),
        ],
        "containers": [_container(work)],
        "volumes": [
            {"name": "work", "emptyDir": {"medium": "Memory", "sizeLimit": str(work.memory_bytes)}},
            {"name": "job", "projected": {"defaultMode": 0o444, "sources": _sources(work)}},
        ],
    }
    if settings.runtime_class:
        spec["runtimeClassName"] = settings.runtime_class
    if settings.priority_class:
        spec["priorityClassName"] = settings.priority_class
    if settings.service_account:
        spec["serviceAccountName"] = settings.service_account
    if settings.image_pull_secrets:
        spec["imagePullSecrets"] = [{"name": name} for name in settings.image_pull_secrets]
    return spec


def _container(work: Work) -> dict[str, Any]:
    settings = work.settings
    limits = {"memory": str(work.memory_bytes), "ephemeral-storage": str(work.log_bytes)}
    if work.cpus:
        # A limit of none would be no limit.
        limits["cpu"] = f"{max(1, round(work.cpus * 1000))}m"
    requests = {
        "memory": str(min(settings.request_memory, work.memory_bytes)),
        "cpu": f"{round(min(settings.request_cpu, work.cpus or settings.request_cpu) * 1000)}m",
        # Few print anything. (What is not said here would be as much as the limit.)
        "ephemeral-storage": str(min(REQUEST_LOG_BYTES, work.log_bytes)),
    }
    waits = work.parts == 0
    return {
        "name": CONTAINER,
        "image": work.image,
        "imagePullPolicy": settings.image_pull_policy,
        # What waits does so until its client is gone, or its Job's deadline has come.
        "command": [
            LAUNCHER,
            ROOT,
            str(work.seconds if waits else IDLE_SECONDS),
            *(f"{PLACE}/part-{number}" for number in range(work.parts)),
        ],
        "workingDir": "/",
        # What waits for a job takes it from stdin, whose end is its end.
        **({"stdin": True, "stdinOnce": True} if waits else {}),
        "resources": {"requests": requests, "limits": limits},
        "securityContext": {
            "privileged": False,
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "terminationMessagePath": "/dev/termination-log",
        "terminationMessagePolicy": "File",
        "volumeMounts": [
            {"name": "work", "mountPath": "/work"},
            {"name": "job", "mountPath": PLACE, "readOnly": True},
        ],
    }


def _sources(work: Work) -> list[dict[str, Any]]:
    first = {"key": "launcher", "path": "launcher", "mode": 0o555}
    return [
        {
            "configMap": {
                "name": config_map_name(work, number),
                "items": [
                    *([first] if number == 0 else []),
                    *([{"key": "part", "path": f"part-{number}"}] if work.parts else []),
                ],
            }
        }
        for number in range(max(1, work.parts))
    ]


def config_map_name(work: Work, number: int) -> str:
    return "-".join(filter(None, (work.name, work.files, str(number))))


def config_maps(work: Work, parts: Sequence[bytes], owner: str) -> list[dict[str, Any]]:
    """What the Job's pod mounts. `owner` is the Job's uid."""
    program = launcher.binary(architecture(work.settings))
    return [
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {
                "name": config_map_name(work, number),
                "labels": labels(work),
                "ownerReferences": [
                    {"apiVersion": "batch/v1", "kind": "Job", "name": work.name, "uid": owner, "controller": True}
                ],
            },
            "immutable": True,
            "binaryData": {
                **({"launcher": b64encode(program).decode()} if number == 0 else {}),
                **({"part": b64encode(parts[number]).decode()} if parts else {}),
            },
        }
        for number in range(max(1, len(parts)))
    ]


def cut(packed: bytes) -> list[bytes]:
    """A job's files in parts that fit a ConfigMap each. Raises ValueError where they are too many."""
    parts = [packed[at : at + PART_BYTES] for at in range(0, len(packed), PART_BYTES)]
    if len(parts) > MOST_PARTS:
        raise ValueError(f"{len(packed)} bytes when compressed, more than {MOST_PARTS * PART_BYTES}")
    return parts


def architecture(settings: Settings) -> str:
    """Of the nodes, as Kubernetes calls it: `amd64`."""
    if settings.architecture:
        return settings.architecture
    return {"x86_64": "amd64", "aarch64": "arm64"}.get(os.uname().machine, "amd64")


def selector(**wanted: str) -> str:
    """A label selector for what is ours: `selector(session="…")`, `selector(job_id="…")`."""
    names = {"session": SESSION, "job_id": JOB_ID}
    return ",".join([f"{MANAGED_BY}={NAME}", *(f"{names[name]}={value}" for name, value in wanted.items())])


def compact(document: Mapping[str, object]) -> str:
    """As an annotation has it."""
    return json.dumps(document, separators=(",", ":"), sort_keys=True)
