"""What a cluster offers, and what it does not let us do."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, NamedTuple

from willitcompile.backends.kubernetes import manifests, troubles
from willitcompile.backends.kubernetes.api.access import locate
from willitcompile.backends.kubernetes.api.client import Api, ApiError, Stopped, Unreachable
from willitcompile.backends.kubernetes.health import nodes, room
from willitcompile.backends.kubernetes.health.network import COMPILERS, NotTriedError, probe
from willitcompile.backends.kubernetes.images import Images
from willitcompile.backends.kubernetes.manifests import Work
from willitcompile.backends.kubernetes.settings import parse
from willitcompile.backends.references import pins
from willitcompile.errors import BackendUnavailable
from willitcompile.model import Finding

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from willitcompile.backends import Opening
    from willitcompile.backends.kubernetes.settings import Settings
    from willitcompile.model import Toolchain

ROLE: Mapping[str, tuple[str, ...]] = {
    "jobs.batch": ("create", "get", "list", "watch", "delete"),
    "configmaps": ("create", "get", "delete"),
    "pods": ("get", "list", "watch"),
    "pods/log": ("get",),
}
"""By resource, what an account must be allowed: the Role in docs/kubernetes.md has this and nothing more."""
WARM_ROLE: Mapping[str, tuple[str, ...]] = {"pods/attach": ("create", "get")}
"""Besides, for pods that are started ahead. A websocket is opened with GET, for which servers want the one verb or the
other."""

_LEVEL = "pod-security.kubernetes.io/enforce"
_FIRST_SECONDS = 5.0
_PATIENCE_SECONDS = 2.0
_MOST_LISTED = 200
_AT_ONCE = 8
_FORBIDDEN, _NOT_FOUND = 403, 404


class _Seen(NamedTuple):
    """What the cluster tells of itself; None for what this account may not read."""

    missing: Mapping[str, Sequence[str]]
    """By resource of `ROLE`, the verbs that are not allowed."""
    missing_warm: Mapping[str, Sequence[str]]
    namespace: Mapping[str, Any] | None
    """Empty where there is none."""
    quotas: Sequence[Mapping[str, Any]] | None
    ranges: Sequence[Mapping[str, Any]] | None
    nodes: Sequence[Mapping[str, Any]] | None
    policies: Sequence[Mapping[str, Any]] | None


def findings(opening: Opening) -> list[Finding]:
    """One for each thing that matters. A machine without a cluster is none the worse for it. Raises ConfigError."""
    settings = parse(opening.options.get("kubernetes", {}))
    toolchains = Images(opening.images).toolchains(only_obtainable=False)
    try:
        with Api(locate(settings.context, settings.namespace)) as api:
            try:
                return _findings(api, settings, toolchains, pins(opening.images))
            except (ApiError, Unreachable, Stopped) as error:
                told = troubles.told("ask the cluster", error, api.access)
                is_known = isinstance(error, ApiError) and error.status != 401
                return [Finding("kubernetes", False, told.obstacle, "kubectl auth whoami" if is_known else told.remedy)]
    except BackendUnavailable as error:
        return [Finding("kubernetes", False, error.obstacle, error.remedy)]


def _findings(
    api: Api, settings: Settings, toolchains: Sequence[Toolchain], pinned: Mapping[str, str]
) -> list[Finding]:
    version = api.call("GET", "/version", patience=0, seconds=_FIRST_SECONDS) or {}
    where = f"{api.access.server} ({api.access.origin}), namespace {api.access.namespace}"
    seen = _look(api)
    return [
        Finding("kubernetes", ok=True, detail=f"{version.get('gitVersion', 'of an unknown version')}, at {where}"),
        *(found := _judged(seen, settings, toolchains, api.access.namespace)),
        _network(api, settings, _probed(toolchains, pinned, _fitting(seen, settings)), seen.policies, found),
    ]


def _judged(seen: _Seen, settings: Settings, toolchains: Sequence[Toolchain], namespace: str) -> list[Finding]:
    pod = _pod(settings)
    fit = _fitting(seen, settings)
    return [
        *_permissions(seen.missing, namespace),
        _warm(seen.missing_warm, settings, namespace),
        _level(seen.namespace, namespace),
        _unread("quota", "resourcequotas")
        if seen.quotas is None
        else room.quota(seen.quotas, pod, settings, namespace),
        _unread("limits", "limitranges") if seen.ranges is None else room.limit_range(seen.ranges, pod, namespace),
        _unread("nodes", "nodes") if seen.nodes is None else nodes.kinds(seen.nodes, pod),
        *([_unread("images", "nodes")] if fit is None else nodes.images(fit, toolchains)),
    ]


def _pod(settings: Settings) -> dict[str, Any]:
    """As a compile's."""
    return manifests.pod(Work("doctor", "", "", settings, settings.memory, settings.cpu, 0))


def _fitting(seen: _Seen, settings: Settings) -> Sequence[Mapping[str, Any]] | None:
    return None if seen.nodes is None else nodes.fitting(seen.nodes, _pod(settings))


# ---- What each thing means.


def _permissions(missing: Mapping[str, Sequence[str]], namespace: str) -> list[Finding]:
    name = "kubernetes permissions"
    if not missing:
        return [Finding(name, ok=True, detail=_verbs(ROLE))]
    return [
        Finding(
            name,
            ok=False,
            detail=f"this account may not {', '.join(verbs)} {resource}",
            remedy=f"{_can_i(verbs[0], resource, namespace)}; docs/kubernetes.md has the Role",
        )
        for resource, verbs in missing.items()
    ]


def _warm(missing: Mapping[str, Sequence[str]], settings: Settings, namespace: str) -> Finding:
    name, enabled = "kubernetes warm pods", settings.warm.enabled
    off = "" if enabled else "not enabled (kubernetes.warm); "
    if not missing:
        return Finding(name, True if enabled else None, f"{off}permitted: {_verbs(WARM_ROLE)}")
    resource, verbs = next(iter(missing.items()))
    return Finding(
        name,
        ok=False if enabled else None,
        detail=f"{off}this account may not {_verbs(missing)}",
        remedy=f"{_can_i(verbs[0], resource, namespace)}; docs/kubernetes.md has the Role" if enabled else None,
    )


def _verbs(role: Mapping[str, Sequence[str]]) -> str:
    """
    >>> _verbs({"pods": ("get", "list"), "pods/log": ("get",)})
    'get, list pods; get pods/log'
    """
    return "; ".join(f"{', '.join(verbs)} {resource}" for resource, verbs in role.items())


def _can_i(verb: str, resource: str, namespace: str) -> str:
    """
    >>> _can_i("get", "pods/log", "builds")
    'kubectl auth can-i get pods --subresource=log --namespace builds'
    """
    name, _, subresource = resource.partition("/")
    # `pods/log` would be the pod of the name log.
    below = f" --subresource={subresource}" if subresource else ""
    return f"kubectl auth can-i {verb} {name}{below} --namespace {namespace}"


def _level(namespace: Mapping[str, Any] | None, name: str) -> Finding:
    what, mend = "kubernetes namespace", f"kubectl label namespace {name} {_LEVEL}=restricted"
    if namespace is None:
        return Finding(what, None, f"this account may not read {name}: whether Pod Security holds there is not known")
    if not namespace:
        return Finding(what, False, f"there is no {name}", f"kubectl create namespace {name}, or --namespace NAME")
    metadata = namespace.get("metadata") or {}
    if metadata.get("deletionTimestamp"):
        return Finding(what, False, f"{name} is being deleted", "--namespace NAME")
    level = (metadata.get("labels") or {}).get(_LEVEL)
    if level == "restricted":
        return Finding(what, ok=True, detail=f"{name}, Pod Security restricted")
    held = f"only to {level}" if level else "to nothing"
    return Finding(what, None, f"{name} holds pods {held}; ours pass restricted", mend)


def _unread(what: str, resource: str) -> Finding:
    return Finding(f"kubernetes {what}", ok=None, detail=f"not known: this account may not list {resource}")


def _probed(
    toolchains: Sequence[Toolchain], pinned: Mapping[str, str], fit: Sequence[Mapping[str, Any]] | None
) -> Toolchain | None:
    """With which the network is tried: one that is seen on a node, else one that somebody says is there."""
    possible = [each for each in toolchains if each.family in COMPILERS]
    seen = nodes.there(fit or (), possible)
    named = [each for each in possible if each.name in pinned or each.family in pinned]
    return next((each for each in (*(one for one in possible if one.name in seen), *named)), None)


def _network(
    api: Api,
    settings: Settings,
    toolchain: Toolchain | None,
    policies: Sequence[Mapping[str, Any]] | None,
    found: Sequence[Finding],
) -> Finding:
    name = "kubernetes network"
    if any(each.ok is False for each in found):
        return Finding(name, None, "not tried: what is bad above comes first")
    if toolchain is None:
        return Finding(
            name,
            None,
            f"not tried: no image of {' or '.join(COMPILERS)} is known to be on the nodes",
            "name one: images: gcc=registry.example.org/gcc:{version}",
        )
    try:
        reached, how = probe(api, settings, toolchain.origin, COMPILERS[toolchain.family])
    except NotTriedError as error:
        again = f"kubectl get events --namespace {api.access.namespace}"
        return Finding(name, None, f"not known: a pod of {toolchain.origin} was to try it, and {error}", again)
    if not reached:
        return Finding(name, ok=True, detail=f"closed: a pod does not reach the API server ({how})")
    idle = f", though there is a NetworkPolicy ({len(policies)} in the namespace)" if policies else ""
    return Finding(
        name,
        ok=None,
        detail=f"open: a pod reaches the API server{idle}; a compile is kept from it by its filter all the same",
        remedy="kubectl apply the NetworkPolicy that docs/kubernetes.md has, on a network plug-in that enforces it",
    )


# ---- Asking. All at once, as each takes its way to the cluster and back.


def _look(api: Api) -> _Seen:
    """Raises ApiError, Unreachable, Stopped and BackendUnavailable."""
    namespace = api.access.namespace
    here = f"/api/v1/namespaces/{namespace}"
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        asked = {
            (role is WARM_ROLE, resource, verb): pool.submit(_may, api, resource, verb)
            for role in (ROLE, WARM_ROLE)
            for resource, verbs in role.items()
            for verb in verbs
        }
        own = pool.submit(_read, api, here)
        lists = [
            pool.submit(_list, api, path)
            for path in (
                f"{here}/resourcequotas",
                f"{here}/limitranges",
                "/api/v1/nodes",
                f"/apis/networking.k8s.io/v1/namespaces/{namespace}/networkpolicies",
            )
        ]
        missing: dict[bool, dict[str, list[str]]] = {False: {}, True: {}}
        for (is_warm, resource, verb), is_allowed in asked.items():
            if not is_allowed.result():
                missing[is_warm].setdefault(resource, []).append(verb)
        return _Seen(missing[False], missing[True], own.result(), *(each.result() for each in lists))


def _may(api: Api, resource: str, verb: str) -> bool:
    name, _, subresource = resource.partition("/")
    name, _, group = name.partition(".")
    attributes = {
        "namespace": api.access.namespace,
        "verb": verb,
        "group": group,
        "resource": name,
        **({"subresource": subresource} if subresource else {}),
    }
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": attributes},
    }
    path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
    answer = api.call("POST", path, body=review, patience=_PATIENCE_SECONDS)
    return bool(answer["status"]["allowed"])


def _list(api: Api, path: str) -> list[dict[str, Any]] | None:
    """The first of what is there; None where that may not be read."""
    found = _read(api, path)
    return None if found is None else found.get("items") or []


def _read(api: Api, path: str) -> dict[str, Any] | None:
    """Empty where nothing is there; None where that may not be read."""
    try:
        return api.call("GET", path, {"limit": _MOST_LISTED}, patience=_PATIENCE_SECONDS) or {}
    except ApiError as error:
        if error.status == _NOT_FOUND:
            return {}
        if error.status == _FORBIDDEN:
            return None
        raise
