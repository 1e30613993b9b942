"""Jobs that a killed process left behind. The cluster itself ends and deletes them, minutes later."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from willitcompile.backends.clients import is_dead
from willitcompile.backends.kubernetes.api.client import ApiError, Stopped, Unreachable
from willitcompile.backends.kubernetes.manifests import CLIENT, selector
from willitcompile.backends.kubernetes.syntax import is_name
from willitcompile.errors import BackendUnavailable

if TYPE_CHECKING:
    from willitcompile.backends.kubernetes.api.client import Api

_MOST = 500
"""Jobs in one answer."""
_NOT_FOUND = 404


def clear_stale(api: Api) -> list[str]:
    """Delete the Jobs whose client has ended; their names. Never raises.

    Of a client on another machine nothing is known, and its Jobs end by themselves.
    """
    path = f"/apis/batch/v1/namespaces/{api.access.namespace}/jobs"
    cleared = []
    query: dict[str, object] = {"labelSelector": selector(), "limit": _MOST}
    try:
        while True:
            listed = api.call("GET", path, query, patience=2)
            stale = [_name(each) for each in listed.get("items") or () if _is_stale(each)]
            cleared += [f"job {api.access.namespace}/{name}" for name in stale if _delete(api, f"{path}/{name}")]
            if not (more := (listed.get("metadata") or {}).get("continue")):
                break
            query["continue"] = more
    except (ApiError, BackendUnavailable, Unreachable, Stopped, AttributeError, KeyError, TypeError):
        pass
    return cleared


def _delete(api: Api, path: str) -> bool:
    """Whether it was there."""
    try:
        api.call("DELETE", path, body={"propagationPolicy": "Background"}, patience=2)
    except ApiError as error:
        if error.status != _NOT_FOUND:
            raise
        return False
    return True


def _is_stale(job: dict[str, Any]) -> bool:
    client = ((job.get("metadata") or {}).get("annotations") or {}).get(CLIENT)
    # A name that is none would be a path to somewhere else.
    return isinstance(client, str) and is_dead(client) is True and is_name(_name(job))


def _name(job: dict[str, Any]) -> str:
    return str(job["metadata"]["name"])
