"""Which cluster is found, and when: in a pod its own, by its ServiceAccount; that of a kubeconfig only where nothing
local can answer."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from tests import cluster
from tests.backends import OUR_IMAGES, ROLE, Account, objects_in, wait_until_gone
from willitcompile import backends
from willitcompile.backends import BackendUnavailable, Opening, Wanted, open_backend
from willitcompile.backends.kubernetes.api import access
from willitcompile.model import CompileJob, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.kubernetes


@pytest.fixture
def in_pod(kubeconfig: str, namespace: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """As in a pod of the namespace, whose account may do what the documented Role says. What kubelet mounts there."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("KUBECONFIG", kubeconfig)
        ours = access.locate()
    if ours.authority is None:
        pytest.skip("kubernetes: skipped, the cluster's certificate is not of its own authority")
    account = Account(kubeconfig, namespace, f"auto-{os.urandom(4).hex()}", tmp_path)
    (token,) = (each["user"]["token"] for each in json.loads(account.may(ROLE).read_text())["users"])
    mounted = tmp_path / "serviceaccount"
    mounted.mkdir()
    for name, content in (("token", token.encode()), ("ca.crt", ours.authority), ("namespace", namespace.encode())):
        (mounted / name).write_bytes(content)
    server = urlsplit(ours.server)
    monkeypatch.setattr(access, "SERVICE_ACCOUNT", str(mounted))
    monkeypatch.setitem(backends.AT_HOME, "kubernetes", ("KUBERNETES_SERVICE_HOST", str(mounted / "token")))
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", server.hostname or "")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", str(server.port or 443))
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    return mounted


def test_in_a_pod_its_own_cluster_goes_before_all_that_is_local(in_pod: Path, kubeconfig: str, namespace: str) -> None:
    before = objects_in(kubeconfig, namespace)
    job = CompileJob("gcc-13", "c", {"main.c": b"int x = nothing;\n"}, ("gcc", "-c", "main.c", "-o", "../tmp/o"))
    with open_backend("auto", Opening(images=OUR_IMAGES)) as backend:
        assert backend.name == "kubernetes"
        assert backend.compile(job).verdict is Verdict.REJECTED
    wait_until_gone(kubeconfig, namespace, before)
    found = access.locate()
    assert (found.origin, found.namespace, found.context) == ("in the pod", namespace, None)


def test_in_a_pod_without_an_account_the_remedy_is_said(
    in_pod: Path,
) -> None:
    (in_pod / "token").unlink()
    with pytest.raises(BackendUnavailable) as error:
        open_backend("kubernetes", Opening(images=OUR_IMAGES))
    assert "automountServiceAccountToken: true" in error.value.remedy


def _elsewhere_only() -> str:
    """A toolchain that the cluster has and this machine has not."""
    try:
        with open_backend("sandbox") as sandbox:
            return next(each for each in cluster.TOOLCHAINS if not sandbox.has(Wanted((each,))))
    except BackendUnavailable:
        return cluster.TOOLCHAINS[0]


def test_a_kubeconfig_is_used_where_nothing_local_has_what_is_wanted(
    kubeconfig: str, namespace: str, tmp_path: Path
) -> None:
    toolchain = _elsewhere_only()
    language, source = {"go": ("go", "package main\n"), "rustc": ("rust", "pub fn f() {}\n")}.get(
        toolchain.partition("-")[0], ("c++", "int x;\n")
    )
    images = [f"--images={each}" for each in OUR_IMAGES]
    argv = [sys.executable, "-m", "willitcompile.cli", "check", "-", "--language", language, "--compiler", toolchain]
    argv += [*images, "--namespace", namespace, "--format", "json"]
    before = objects_in(kubeconfig, namespace)
    ran = subprocess.run(argv, input=source, cwd=tmp_path, capture_output=True, text=True, check=False)
    wait_until_gone(kubeconfig, namespace, before)
    assert ran.returncode == 0, ran.stderr
    (result,) = json.loads(ran.stdout)["results"]
    assert (result["backend"], result["verdict"], result["toolchain"]) == ("kubernetes", "compiled", toolchain)


def test_a_kubeconfig_is_not_used_behind_anybodys_back(
    unavailable: Callable[..., None],
) -> None:
    try:
        with open_backend("sandbox") as sandbox:
            there = next(iter(sandbox.toolchains())).name
    except BackendUnavailable as error:
        unavailable("sandbox", error.obstacle, error.remedy)
    with open_backend("auto", Opening(wanted=Wanted((there,)), images=OUR_IMAGES)) as backend:
        assert backend.name == "sandbox"
