"""The cluster as the store of results: a job that one process submits, another one fetches by its id."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from willitcompile.backends.compilers import first_line
from willitcompile.backends.containers import out_of_memory, result
from willitcompile.backends.kubernetes import manifests, pods
from willitcompile.backends.kubernetes.api.client import ApiError
from willitcompile.backends.kubernetes.images import another
from willitcompile.backends.kubernetes.jobs import Failed, out_of_time
from willitcompile.backends.kubernetes.manifests import CONTAINER, QUESTION, selector
from willitcompile.backends.kubernetes.pods import Trouble
from willitcompile.backends.kubernetes.tape import Answers
from willitcompile.backends.launcher import BrokenProtocolError
from willitcompile.errors import BackendFailed, RequestError
from willitcompile.model import CompileJob, Limits

if TYPE_CHECKING:
    from willitcompile.backends.kubernetes.api.client import Api
    from willitcompile.backends.kubernetes.pods import Pod
    from willitcompile.model import CompileResult

_NOT_FOUND = 404
_REFUSALS = frozenset({401, 403})
_MOST_LOG_BYTES = 64 << 20
_ENDED = frozenset({"Complete", "Failed", "FailureTarget"})


class UnknownJob(RequestError):
    """The cluster has no job of this id: it was never submitted, or is kept no longer."""


def question(job: CompileJob) -> str:
    """What it takes to judge the result of a job, besides what its pod says."""
    return manifests.compact(
        {
            "toolchain": job.toolchain,
            "language": job.language,
            "output": job.limits.output_bytes,
            "rejected": sorted(job.rejected_exit_codes),
            "job": _digest(job),
        }
    )


def _digest(job: CompileJob) -> str:
    """Of all that is compiled: to submit an id again for something else is an error."""
    whole = hashlib.sha256()
    parts = (job.argv, job.workdir, sorted(job.environment.items()), tuple(job.limits), job.link)
    whole.update(repr(parts).encode(errors="surrogateescape"))
    for path, content in sorted(job.files.items()):
        whole.update(f"{path}\0{len(content)}\0".encode(errors="surrogateescape") + content)
    return whole.hexdigest()


def fetch(api: Api, job_id: str) -> CompileResult | None:
    """The result of a submitted job; None while there is none.

    Raises UnknownJob, Failed, ApiError, Unreachable, Stopped, and BackendFailed for an object that is not ours.
    """
    namespace = api.access.namespace
    name, document, job = find(api, job_id)
    listed = api.call("GET", f"/api/v1/namespaces/{namespace}/pods", {"labelSelector": selector(job_id=job_id)})
    pod = _pod(listed, document)
    late = out_of_time(document)
    if pod is None:
        # Also one that has ended well, as where its node was taken away before anybody came for its answer.
        if _has_ended(document):
            raise Failed(late or Trouble("deleted", "was deleted, or never made"), name)
        return None
    if not pod.ended:
        if pod.trouble and pod.trouble.final:
            raise Failed(late or pod.trouble, name, pod.name)
        return None
    answers = Answers([job.limits.output_bytes])
    try:
        path = f"/api/v1/namespaces/{namespace}/pods/{pod.name}/log"
        with api.stream(path, {"container": CONTAINER, "limitBytes": _MOST_LOG_BYTES}) as log:
            for chunk in log:
                answers.feed(chunk)
    except BrokenProtocolError as error:
        raise Failed(Trouble("ended", f"answers what makes no sense: {error}"), name, pod.name) from None
    except ApiError as error:
        if not error.is_lasting or error.status in _REFUSALS:
            raise
        text = f"has ended, and its log cannot be read: {error.message}"
        raise Failed(Trouble("lost", text), name, pod.name) from None
    if (found := judged(job, answers, pod, name)) is not None:
        return found
    raise Failed(late or pod.trouble or Trouble("ended", "ended without an answer"), name, pod.name)


def find(api: Api, job_id: str) -> tuple[str, dict[str, Any], CompileJob]:
    """The name of a submitted job's Job, that as the API has it, and the job as far as its result needs it.

    Raises UnknownJob, ApiError, Unreachable, Stopped, and BackendFailed for an object that is not ours.
    """
    try:
        name = manifests.name_of(job_id)
        document: dict[str, Any] = api.call("GET", f"/apis/batch/v1/namespaces/{api.access.namespace}/jobs/{name}")
    except ValueError:
        raise unknown(job_id) from None
    except ApiError as error:
        if error.status == _NOT_FOUND:
            raise unknown(job_id) from None
        raise
    return name, document, asked(document, job_id)


def _pod(listed: object, document: dict[str, Any]) -> Pod | None:
    """The pod of a Job, of a list: of two, which its controller may make, the one that it has not deleted."""
    items = listed.get("items") if isinstance(listed, dict) else None
    uid = (document.get("metadata") or {}).get("uid")
    read = [pod for each in (items if isinstance(items, list) else ()) if (pod := pods.read(each))]
    # Others are of a Job of the same id that was deleted, or nobody's.
    own = [pod for pod in read if uid and pod.owner == uid]
    return min(own, key=lambda each: (each.trouble is not None, not each.ended), default=None)


def judged(job: CompileJob, answers: Answers, pod: Pod, name: str) -> CompileResult | None:
    """What a whole log means; None where it has no answer. Raises Failed."""
    version = answers.version
    if version and (obstacle := another(job.toolchain, job.toolchain, version)):
        raise Failed(Trouble("image", f"has not the compiler that it should have: {obstacle}"), name, pod.name)
    if answers.complete:
        outcome = answers.outcome(0)
        if outcome.ending.failure:
            raise Failed(Trouble("ended", f"could not run it: {outcome.ending.failure}"), name, pod.name)
        return result(job, outcome, compiler=compiler(answers), image=pod.image)
    if pod.trouble and pod.trouble.kind == "out-of-memory":
        return out_of_memory(compiler(answers), pod.image)
    return None


def compiler(answers: Answers) -> str:
    """Its own name and version, exactly; empty where it has not said it."""
    version = answers.version
    return first_line(version.stdout.decode(errors="backslashreplace")) if version else ""


def asked(document: dict[str, Any], job_id: str) -> CompileJob:
    """The job, as far as its result needs it. Raises BackendFailed."""
    try:
        about = json.loads(document["metadata"]["annotations"][QUESTION])
        return CompileJob(
            toolchain=str(about["toolchain"]),
            language=str(about["language"]),
            files={},
            argv=(),
            # There is no more of it in a log, and whoever may write to a Job is not to have it held in memory.
            limits=Limits(output_bytes=min(int(about["output"]), _MOST_LOG_BYTES)),
            rejected_exit_codes=frozenset(map(int, about["rejected"])),
        )
    except (KeyError, TypeError, ValueError, OverflowError, RecursionError):
        raise BackendFailed(
            f"fetch the job {job_id}", "the Job of that name was not submitted to be fetched", "use another id"
        ) from None


def _has_ended(document: dict[str, Any]) -> bool:
    conditions = (document.get("status") or {}).get("conditions") or ()
    return any(each.get("type") in _ENDED and each.get("status") == "True" for each in conditions)


def unknown(job_id: str) -> UnknownJob:
    return UnknownJob(
        f"fetch the job {job_id[:60]}",
        "the cluster has no job of that id, or has it no longer",
        "submit it again; how long a result is kept says kubernetes.keep-seconds",
    )
