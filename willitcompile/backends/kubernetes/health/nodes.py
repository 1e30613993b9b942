"""Which nodes may run a compile, and what images they have, as pure functions from the API's objects."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from willitcompile.backends.references import split
from willitcompile.model import Finding
from willitcompile.toolchains import own_image

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from willitcompile.model import Toolchain

_SHOWN = 6


def fitting(nodes: Sequence[Mapping[str, Any]], pod: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Those that such a pod can be put on, by all but their room."""
    return [node for node in nodes if _fits(node, pod)]


def _fits(node: Mapping[str, Any], pod: Mapping[str, Any]) -> bool:
    labels = (node.get("metadata") or {}).get("labels") or {}
    spec, status = node.get("spec") or {}, node.get("status") or {}
    conditions = {each.get("type"): each.get("status") for each in status.get("conditions") or ()}
    return (
        all(labels.get(name) == value for name, value in pod["nodeSelector"].items())
        and conditions.get("Ready") == "True"
        and not spec.get("unschedulable")
        and all(_is_tolerated(taint, pod["tolerations"]) for taint in spec.get("taints") or ())
    )


def _is_tolerated(taint: Mapping[str, Any], tolerations: Sequence[Mapping[str, Any]]) -> bool:
    if taint.get("effect") == "PreferNoSchedule":
        return True
    return any(
        each.get("effect") in {None, taint.get("effect")}
        and each.get("key") in {None, taint.get("key")}
        and (each.get("operator") == "Exists" or each.get("value", "") == taint.get("value", ""))
        for each in tolerations
    )


def kinds(nodes: Sequence[Mapping[str, Any]], pod: Mapping[str, Any]) -> Finding:
    """Whether any node is of the kind that our pods ask for."""
    wanted = ", ".join(f"{name}={value}" for name, value in pod["nodeSelector"].items())
    fit = len(fitting(nodes, pod))
    if fit:
        return Finding("kubernetes nodes", True, f"{fit} of {len(nodes)} for {wanted}")
    there = {((node.get("metadata") or {}).get("labels") or {}).get("kubernetes.io/arch", "?") for node in nodes}
    return Finding(
        "kubernetes nodes",
        False,
        f"none of {len(nodes)} is ready, free for our pods and of {wanted} (there are {', '.join(sorted(there))})",
        "kubectl get nodes --show-labels; then set kubernetes.architecture, kubernetes.node-selector or"
        " kubernetes.tolerations",
    )


def there(nodes: Sequence[Mapping[str, Any]], toolchains: Sequence[Toolchain]) -> dict[str, int]:
    """By toolchain, on how many of these nodes its image is seen. A kubelet tells of no more than its 50 largest."""
    found = dict.fromkeys((each.name for each in toolchains), 0)
    for names in map(_names, nodes):
        for each in toolchains:
            found[each.name] += full(each.origin) in names
    return {name: count for name, count in found.items() if count}


def images(nodes: Sequence[Mapping[str, Any]], toolchains: Sequence[Toolchain]) -> list[Finding]:
    """Which toolchains need not be pulled on these nodes, and which could be there under another name."""
    found = there(nodes, toolchains)
    said = [name if count == len(nodes) else f"{name} ({count} of {len(nodes)})" for name, count in found.items()]
    more = ", …" if len(said) > _SHOWN else ""
    told = (
        Finding("kubernetes images", ok=True, detail=f"at least {', '.join(said[:_SHOWN])}{more} on the nodes")
        if said
        else Finding(
            "kubernetes images",
            None,
            "none of a toolchain is seen on the nodes, which pull it for the first compile",
            "pull it there before (docs/kubernetes.md), or name others: images: gcc=registry.example.org/gcc:{version}",
        )
    )
    others = [each for each in toolchains if each.name not in found]
    ours = there(nodes, [each._replace(origin=own_image(each.name)) for each in others])
    return [
        told,
        *(
            Finding(
                "kubernetes images",
                None,
                f"{own_image(each.name)} is on the nodes, and what is used for {each.name} is {each.origin}",
                f"say which to use: images: {each.family}=will-it-compile/{each.family}:{{version}}",
            )
            for each in {each.family: each for each in reversed(others) if each.name in ours}.values()
        ),
    ]


def _names(node: Mapping[str, Any]) -> set[str]:
    listed = (node.get("status") or {}).get("images") or ()
    return {full(str(name)) for each in listed for name in each.get("names") or ()}


def full(reference: str) -> str:
    """As a container runtime writes it.

    >>> full("gcc:13"), full("our/gcc:13"), full("localhost:5000/gcc"), full("ghcr.io/a/b:1@sha256:ab")
    ('docker.io/library/gcc:13', 'docker.io/our/gcc:13', 'localhost:5000/gcc:latest', 'ghcr.io/a/b@sha256:ab')
    """
    repository, version = split(reference)
    if ":" in version:  # a digest, beside which a tag says nothing
        repository, _ = split(repository)
    host, slash, _ = repository.partition("/")
    if not slash:
        repository = f"docker.io/library/{repository}"
    elif not {".", ":"} & set(host) and host != "localhost":
        repository = f"docker.io/{repository}"
    return f"{repository}{'@' if ':' in version else ':'}{version}"
