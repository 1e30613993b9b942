"""`doctor` on a real cluster: what it finds there, as whoever may do all or less, and the remedies that it names."""

from __future__ import annotations

import base64
import json
import secrets
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.backends import OUR_IMAGES
from tests.cluster import kubectl
from willitcompile.backends import Opening
from willitcompile.backends.kubernetes import manifests
from willitcompile.backends.kubernetes.api.access import locate
from willitcompile.backends.kubernetes.health import ROLE, findings
from willitcompile.backends.kubernetes.settings import parse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from willitcompile.model import Finding

pytestmark = pytest.mark.kubernetes

LABEL = "pod-security.kubernetes.io/enforce=restricted"
DEADLINE_SECONDS = 20.0


@pytest.fixture
def place(kubeconfig: str) -> Iterator[str]:
    """A namespace of a test's own, without any label."""
    name = f"wic-test-doctor-{secrets.token_hex(4)}"
    kubectl("create", "namespace", name)
    try:
        # Pods are refused before it is there.
        kubectl("wait", "--for=create", "serviceaccount/default", "--namespace", name, "--timeout=30s")
        yield name
    finally:
        kubectl("delete", "namespace", name, "--wait=false")


def ask(namespace: str, images: tuple[str, ...] = OUR_IMAGES, **section: object) -> dict[str, list[Finding]]:
    """By the last words of its name, what is found."""
    found: dict[str, list[Finding]] = {}
    for each in findings(Opening(images=images, options={"kubernetes": {"namespace": namespace, **section}})):
        found.setdefault(each.name.removeprefix("kubernetes").strip(), []).append(each)
    return found


def only(found: Mapping[str, list[Finding]], name: str) -> Finding:
    (one,) = found[name]
    return one


def bad(found: Mapping[str, list[Finding]]) -> dict[str, str]:
    return {name: each.detail for name, several in found.items() for each in several if each.ok is False}


def until(holds: Callable[[], bool]) -> None:
    """What is allowed is known to the API server a moment after it was written."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def apply(namespace: str, **document: object) -> None:
    kubectl("apply", "--namespace", namespace, "--filename=-", input=json.dumps(document))


def left(namespace: str) -> str:
    """What is there of ours, when the cluster has had time to delete it."""
    kinds = ("jobs,configmaps,pods", "--selector", manifests.selector(), "--namespace", namespace)
    assert not kubectl("get", "jobs", *kinds[1:], "--output=name")  # those at once
    kubectl("wait", "--for=delete", *kinds, f"--timeout={DEADLINE_SECONDS:.0f}s")
    return kubectl("get", *kinds, "--output=name")


class TestWhoMayDoAll:
    def test_finds_all_well_in_a_restricted_namespace(self, kubeconfig: str, place: str) -> None:
        kubectl("label", "namespace", place, LABEL)
        found = ask(place)
        assert bad(found) == {}
        version = json.loads(kubectl("version", "--output=json"))["serverVersion"]["gitVersion"]
        first = only(found, "")
        assert first.detail.startswith(f"{version}, at {locate().server} (context ")
        assert first.detail.endswith(f", namespace {place}")
        assert only(found, "permissions").ok
        assert only(found, "namespace") == ("kubernetes namespace", True, f"{place}, Pod Security restricted", None)
        assert only(found, "quota").ok
        assert only(found, "limits").ok
        assert only(found, "nodes").ok
        assert "gcc-13" in found["images"][0].detail

    def test_learns_whether_the_network_is_closed_and_leaves_nothing(self, place: str) -> None:
        network = only(ask(place), "network")
        reaches = network.detail.startswith("open: a pod reaches the API server; ")
        assert reaches or network.detail.startswith("closed: a pod does not reach the API server (")
        assert network.ok is (None if reaches else True)
        assert bool(network.remedy) is reaches
        assert left(place) == ""

    def test_tells_of_a_policy_that_does_nothing(self, place: str) -> None:
        apply(
            place,
            apiVersion="networking.k8s.io/v1",
            kind="NetworkPolicy",
            metadata={"name": "closed"},
            spec={"podSelector": {}, "policyTypes": ["Ingress", "Egress"]},
        )
        network = only(ask(place), "network")
        idle = "open: a pod reaches the API server, though there is a NetworkPolicy (1 in the namespace);"
        assert network.detail.startswith((idle, "closed: "))

    def test_a_namespace_without_pod_security_is_mended_by_its_remedy(self, place: str) -> None:
        found = only(ask(place), "namespace")
        assert (found.ok, found.detail) == (None, f"{place} holds pods to nothing; ours pass restricted")
        assert found.remedy
        kubectl(*found.remedy.split()[1:])
        until(lambda: only(ask(place), "namespace").ok is True)

    def test_a_namespace_that_is_not_there(self, kubeconfig: str) -> None:
        found = ask("wic-test-nowhere")
        assert bad(found) == {"namespace": "there is no wic-test-nowhere"}
        assert "not tried" in only(found, "network").detail

    def test_the_architecture_of_the_nodes(self, place: str) -> None:
        other = {"amd64": "arm64", "arm64": "amd64"}[manifests.architecture(parse({}))]
        found = ask(place, architecture=other)
        assert set(bad(found)) == {"nodes"}
        assert f"kubernetes.io/arch={other}" in only(found, "nodes").detail

    def test_an_image_that_is_nowhere_is_no_closed_network(self, place: str) -> None:
        images = tuple(f"{family}=will-it-compile/nowhere-{family}:{{version}}" for family in ("gcc", "clang"))
        found = ask(place, images, **{"image-pull-policy": "Never"})
        network = only(found, "network")
        assert (network.ok, bad(found)) == (None, {})
        assert "its pod cannot get its image, ErrImageNeverPull" in network.detail
        assert network.remedy == f"kubectl get events --namespace {place}"
        kubectl(*network.remedy.split()[1:])
        assert left(place) == ""

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    def test_a_signal_leaves_nothing(self, place: str, tmp_path: Path, number: int) -> None:
        (tmp_path / "config.yaml").write_text(json.dumps({"images": list(OUR_IMAGES)}))
        argv = [sys.executable, "-m", "willitcompile.cli", "doctor", "--namespace", place, "--config", "config.yaml"]
        process = subprocess.Popen(argv, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        try:
            until(lambda: kubectl("get", "jobs", "--namespace", place, "--output=name") != "")
            process.send_signal(number)
            out, err = process.communicate(timeout=DEADLINE_SECONDS)
        finally:
            process.kill()
        assert (process.returncode, out, err) == (130, "", "interrupted\n")
        assert left(place) == ""


class TestRoom:
    def test_a_quota_that_is_used_up(self, place: str) -> None:
        # The cluster puts one into each namespace.
        apply(
            place,
            apiVersion="v1",
            kind="ResourceQuota",
            metadata={"name": "tight"},
            spec={"hard": {"configmaps": "1", "count/jobs.batch": "5"}},
        )
        used = "--for=jsonpath={.status.used.configmaps}=1"
        kubectl("wait", used, "resourcequota/tight", "--namespace", place, "--timeout=30s")
        found = ask(place)
        assert bad(found) == {"quota": "configmaps is used up: 1 of 1"}
        assert "not tried" in only(found, "network").detail
        remedy = only(found, "quota").remedy
        assert remedy
        assert "configmaps" in kubectl(*remedy.split()[1:])

    def test_a_quota_with_room_says_how_much(self, place: str) -> None:
        apply(
            place,
            apiVersion="v1",
            kind="ResourceQuota",
            metadata={"name": "wide"},
            spec={"hard": {"pods": "10", "limits.memory": "4Gi", "limits.cpu": "4"}},
        )
        # Its controller counts before it lets anything in.
        kubectl("wait", "--for=jsonpath={.status.used.pods}=0", "resourcequota/wide", "-n", place, "--timeout=30s")
        found = ask(place)
        assert bad(found) == {}
        assert "limits.memory 0 of 4Gi" in only(found, "quota").detail
        assert "not known" not in only(found, "network").detail  # it has room

    def test_a_range_that_is_too_tight(self, place: str) -> None:
        limits = [{"type": "Container", "max": {"memory": "256Mi"}}]
        apply(place, apiVersion="v1", kind="LimitRange", metadata={"name": "tight"}, spec={"limits": limits})
        found = ask(place)
        assert bad(found) == {"limits": "memory 512Mi is more than a container may have, 256Mi"}
        remedy = only(found, "limits").remedy
        assert remedy
        assert "256Mi" in kubectl(*remedy.partition(";")[0].split()[1:])
        assert bad(ask(place, memory="256Mi")) == {}


class TestAnAccount:
    """Of which the API server is told by a token, and that may do what a Role says."""

    @pytest.fixture
    def account(self, place: str, tmp_path: Path) -> Iterator[Callable[..., str]]:
        """Become one that may do this and nothing else. Its token is returned."""
        admin = locate()

        def account(role: Mapping[str, tuple[str, ...]]) -> str:
            rules = [
                {"apiGroups": ["batch" if "." in resource else ""], "resources": [resource.partition(".")[0]]}
                | {"verbs": list(verbs)}
                for resource, verbs in role.items()
                if verbs
            ]
            api = "rbac.authorization.k8s.io"
            apply(place, apiVersion=f"{api}/v1", kind="Role", metadata={"name": "compile"}, rules=rules)
            kubectl("create", "serviceaccount", "somebody", "--namespace", place)
            who = f"{place}:somebody"
            kubectl("create", "rolebinding", "it", "--role=compile", f"--serviceaccount={who}", "--namespace", place)
            for resource, verbs in [each for each in role.items() if each[1]][:1]:  # and with it all of the Role
                until(lambda resource=resource, verb=verbs[0]: may(who, verb, resource))  # type: ignore[misc]
            token = kubectl("create", "token", "somebody", "--namespace", place).strip()
            become(token)
            return token

        def may(who: str, verb: str, resource: str) -> bool:
            name, _, subresource = resource.partition("/")
            below = [f"--subresource={subresource}"] if subresource else []
            argv = ["auth", "can-i", verb, name, *below, "--namespace", place, f"--as=system:serviceaccount:{who}"]
            return kubectl(*argv, check=False) == "yes\n"

        def become(token: str) -> None:
            cluster = {"server": admin.server, "insecure-skip-tls-verify": True}
            if admin.authority:
                authority = base64.b64encode(admin.authority).decode()
                cluster = {"server": admin.server, "certificate-authority-data": authority}
            document: dict[str, Any] = {
                "current-context": "here",
                "contexts": [{"name": "here", "context": {"cluster": "c", "user": "u"}}],
                "clusters": [{"name": "c", "cluster": cluster}],
                "users": [{"name": "u", "user": {"token": token}}],
            }
            (tmp_path / "config").write_text(json.dumps(document))
            environment.setenv("KUBECONFIG", str(tmp_path / "config"))

        with pytest.MonkeyPatch.context() as environment:
            yield account

    def test_with_the_role_and_nothing_more_a_check_can_run(
        self, account: Callable[..., str], place: str, kubeconfig: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        token = account(ROLE)
        found = ask(place)
        assert bad(found) == {}
        assert only(found, "permissions").ok
        assert "not enabled" in only(found, "warm pods").detail
        unknown = {name for name in ("namespace", "quota", "limits", "nodes", "images") if only(found, name).ok is None}
        assert unknown == {"namespace", "quota", "limits", "nodes", "images"}
        assert only(found, "network").detail.startswith(("open: ", "closed: "))
        assert token not in repr(found)
        assert set(bad(ask(place, warm={"enabled": True}))) == {"warm pods"}
        monkeypatch.setenv("KUBECONFIG", kubeconfig)
        assert left(place) == ""

    @pytest.mark.parametrize(
        ("resource", "verb"), [(resource, verb) for resource, verbs in ROLE.items() for verb in verbs]
    )
    def test_without_a_verb_it_names_that_verb(
        self, account: Callable[..., str], place: str, resource: str, verb: str
    ) -> None:
        account({**ROLE, resource: tuple(each for each in ROLE[resource] if each != verb)})
        found = ask(place)
        assert bad(found) == {"permissions": f"this account may not {verb} {resource}"}
        assert "not tried" in only(found, "network").detail
        command, _, more = (only(found, "permissions").remedy or "").partition("; ")
        assert more == "docs/kubernetes.md has the Role"
        asked = subprocess.run(command.split(), capture_output=True, text=True, check=False)
        assert (asked.returncode, asked.stdout) == (1, "no\n")

    def test_whose_token_is_no_good(self, account: Callable[..., str], place: str, kubeconfig: str) -> None:
        token = account({})
        kubectl("--kubeconfig", kubeconfig, "delete", "serviceaccount", "somebody", "--namespace", place)
        until(lambda: set(ask(place)) == {""})
        found = only(ask(place), "")
        assert found.ok is False
        assert "does not know who we are" in found.detail
        assert found.remedy
        assert found.remedy.startswith("log in to it again (context here of ")
        assert token not in repr(found)
