"""What the tests of the Kubernetes backend share: backends with any settings, which have left nothing in the end."""

from __future__ import annotations

import secrets
import threading
import time
from typing import TYPE_CHECKING

import pytest

from tests.backends import OUR_IMAGES
from tests.cluster import kubectl
from willitcompile.backends import Opening, open_backend

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from willitcompile.backends import Backend

    Opened = Callable[..., Backend]

REMOVAL_SECONDS = 30.0


@pytest.fixture
def room(kubeconfig: str) -> Iterator[str]:
    """A restricted namespace of one test's own, for what would be in the way of others, as a quota."""
    name = f"wic-test-{secrets.token_hex(4)}"
    kubectl("create", "namespace", name)
    kubectl("label", "namespace", name, "pod-security.kubernetes.io/enforce=restricted")
    try:
        kubectl("wait", "--for=create", "serviceaccount/default", f"--namespace={name}", "--timeout=30s")
        yield name
    finally:
        kubectl("delete", "namespace", name, "--wait=false", "--ignore-not-found")


@pytest.fixture
def left() -> Callable[[str], list[str]]:
    """What there is in a namespace that compiles may have left."""

    def find(namespace: str) -> list[str]:
        found = kubectl("get", "jobs,pods,configmaps", f"--namespace={namespace}", "--output=name").split()
        return [each for each in found if each != "configmap/kube-root-ca.crt"]

    return find


@pytest.fixture
def opened(kubeconfig: str, namespace: str, left: Callable[[str], list[str]]) -> Iterator[Opened]:
    """`opened(namespace, account=…, images=…, notify=…, **settings)`: a backend, with the keys of the section
    `kubernetes`, of an administrator or of whoever the kubeconfig `account` says.

    Those are closed afterwards, and have left nothing: no object in their namespaces, and no thread.
    """
    backends: list[Backend] = []
    used = set()
    before = set(threading.enumerate())

    def open_one(
        where: str = namespace,
        *,
        account: Path | None = None,
        images: Sequence[str] = OUR_IMAGES,
        notify: Callable[[str], None] = lambda _: None,
        **settings: object,
    ) -> Backend:
        section = {"namespace": where, **{name.replace("_", "-"): value for name, value in settings.items()}}
        opening = Opening(images=images, options={"kubernetes": section}, notify=notify)
        with pytest.MonkeyPatch.context() as environment:
            environment.setenv("KUBECONFIG", str(account or kubeconfig))
            backends.append(open_backend("kubernetes", opening))
        used.add(where)
        return backends[-1]

    try:
        yield open_one
    finally:
        for backend in backends:
            backend.close()
    deadline = time.monotonic() + REMOVAL_SECONDS
    for where in used:
        while found := left(where):
            assert time.monotonic() < deadline, found
            time.sleep(0.05)
    assert not [each for each in threading.enumerate() if each not in before and each.is_alive()]
