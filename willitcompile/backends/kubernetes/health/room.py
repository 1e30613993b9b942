"""Whether what a namespace allows has room for a pod of ours, as pure functions from the API's objects."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from willitcompile.model import MIB, Finding

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from willitcompile.backends.kubernetes.settings import Settings

_OBJECTS = {"pods": 1, "count/pods": 1, "count/jobs.batch": 1, "configmaps": 1, "count/configmaps": 1}
"""What one compile makes."""
_QUANTITY = re.compile(r"([+-]?[0-9.]+)(?:[eE]([+-]?[0-9]{1,2})|([numkKMGTPE]?)(i?))")
_POWERS = {"n": -3, "u": -2, "m": -1, "": 0, "k": 1, "K": 1, "M": 2, "G": 3, "T": 4, "P": 5, "E": 6}
_MET_SCOPES = {
    "Terminating": False,
    "NotTerminating": True,  # the deadline is the Job's, not its pod's
    "BestEffort": False,
    "NotBestEffort": True,
    "CrossNamespacePodAffinity": False,
}


def quantity(text: object) -> Decimal:
    """As the API writes one; 0 for what is none.

    >>> [str(quantity(each)) for each in ("1500m", "1Ki", "2G", "1e3", 7, "x")]
    ['1.500', '1024', '2000000000', '1E+3', '7', '0']
    """
    match = _QUANTITY.fullmatch(str(text))
    if match is None or match[1].count(".") > 1 or not any(map(str.isdecimal, match[1])):
        return Decimal(0)
    number, exponent, prefix, binary = match.groups(default="")
    if exponent:
        return Decimal(number).scaleb(int(exponent))
    return Decimal(number) * Decimal(1024 if binary else 1000) ** _POWERS[prefix]


def needs(pod: Mapping[str, Any]) -> dict[str, Decimal]:
    """What a compile in such a pod takes of a quota, by the quota's own names."""
    resources = pod["containers"][0]["resources"]
    found = {name: Decimal(count) for name, count in _OBJECTS.items()}
    for kind in ("requests", "limits"):
        found |= {f"{kind}.{name}": quantity(amount) for name, amount in resources[kind].items()}
    return found | {name: found[f"requests.{name}"] for name in ("cpu", "memory", "ephemeral-storage")}


def quota(quotas: Sequence[Mapping[str, Any]], pod: Mapping[str, Any], settings: Settings, namespace: str) -> Finding:
    """Whether there is room for one compile."""
    wanted = needs(pod)
    troubles, told = [], []
    for each in quotas:
        spec, status = each.get("spec") or {}, each.get("status") or {}
        if not _applies(spec, settings):
            continue
        used = status.get("used") or {}
        for name, most in (spec.get("hard") or {}).items():
            needed = wanted.get(name)
            if needed is None:
                if re.fullmatch(r"((requests|limits)\.)?(cpu|memory|ephemeral-storage)", name):
                    troubles.append(f"{name} has to be said of each pod, and of ours it is not")
            elif needed > quantity(most):
                troubles.append(f"{name} of {most} is less than one compile takes")
            elif needed + quantity(used.get(name)) > quantity(most):
                troubles.append(f"{name} is used up: {used.get(name)} of {most}")
            else:
                told.append(f"{name} {used.get(name, '0')} of {most}")
    if troubles:
        return Finding(
            "kubernetes quota", False, "; ".join(troubles), f"kubectl describe quota --namespace {namespace}"
        )
    return Finding("kubernetes quota", True, ", ".join(told) or "none that limits a compile")


def limit_range(ranges: Sequence[Mapping[str, Any]], pod: Mapping[str, Any], namespace: str) -> Finding:
    """Whether a pod may be of our container's size."""
    resources = pod["containers"][0]["resources"]
    limits = [
        each
        for found in ranges
        for each in (found.get("spec") or {}).get("limits") or ()
        if each.get("type") in {"Container", "Pod"}
    ]
    troubles = [trouble for each in limits for trouble in _beyond(each, resources)]
    if not troubles:
        return Finding("kubernetes limits", True, ", ".join(_shown(*each) for each in resources["limits"].items()))
    return Finding(
        "kubernetes limits",
        False,
        "; ".join(dict.fromkeys(troubles)),
        f"kubectl describe limitrange --namespace {namespace}; then set kubernetes.memory, kubernetes.cpu and their"
        " requests within it",
    )


def _beyond(limit: Mapping[str, Any], resources: Mapping[str, Mapping[str, str]]) -> Iterator[str]:
    whose = str(limit["type"]).lower()
    for name, wish in resources["limits"].items():
        most = (limit.get("max") or {}).get(name)
        if most is not None and quantity(wish) > quantity(most):
            yield f"{_shown(name, wish)} is more than a {whose} may have, {most}"
    for name, wish in resources["requests"].items():
        least = (limit.get("min") or {}).get(name)
        if least is not None and quantity(wish) < quantity(least):
            yield f"a request of {_shown(name, wish)} is less than a {whose} must make, {least}"
        ratio = (limit.get("maxLimitRequestRatio") or {}).get(name)
        most = resources["limits"].get(name)
        if ratio is not None and most is not None and quantity(most) > quantity(wish) * quantity(ratio):
            yield f"the limit of {_shown(name, most)} is more than {ratio} times the request, {_shown(name, wish)}"


def _applies(spec: Mapping[str, Any], settings: Settings) -> bool:
    """Whether a quota counts pods of ours."""
    if not all(_MET_SCOPES.get(scope, True) for scope in spec.get("scopes") or ()):
        return False
    for each in (spec.get("scopeSelector") or {}).get("matchExpressions") or ():
        if each.get("scopeName") != "PriorityClass":
            if not _MET_SCOPES.get(each.get("scopeName"), True):
                return False
            continue
        ours, values, operator = settings.priority_class, each.get("values") or (), each.get("operator")
        is_met = {"In": ours in values, "NotIn": ours not in values, "Exists": bool(ours), "DoesNotExist": not ours}
        if not is_met.get(operator, True):
            return False
    return True


def _shown(name: str, amount: str) -> str:
    """
    >>> _shown("memory", "536870912"), _shown("cpu", "500m")
    ('memory 512Mi', 'cpu 500m')
    """
    mebibytes, rest = divmod(int(amount), MIB) if name == "memory" else (0, 1)
    return f"{name} {amount if rest else f'{mebibytes}Mi'}"
