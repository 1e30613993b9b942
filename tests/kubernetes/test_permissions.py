"""What will-it-compile may do in a cluster: with the documented Role everything, and what is said where a verb of it is
missing. That the Role suffices for every promise of a backend is shown by tests/contract, which runs as its account."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
import yaml

from tests.backends import OUR_IMAGES, ROLE, WARM_ROLE, Account, cluster_backend
from tests.cluster import kubectl
from willitcompile.backends import Opening
from willitcompile.backends.kubernetes import health
from willitcompile.errors import BackendFailed
from willitcompile.model import CompileJob, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from willitcompile.backends.kubernetes.backend import KubernetesBackend

pytestmark = pytest.mark.kubernetes

PATIENCE_SECONDS = 60.0
JOB = CompileJob("gcc-13", "c", {"main.c": b"int x;\n"}, ("gcc", "-c", "main.c", "-o", "../tmp/o"))

VERBS = [(rule["resources"][0], verb) for rule in yaml.safe_load(ROLE)["rules"] for verb in rule["verbs"]]


def check(backend: KubernetesBackend, _: str) -> None:
    backend.compile(JOB)


def fetch(backend: KubernetesBackend, done: str) -> None:
    backend.fetch(done)


def submit_again(backend: KubernetesBackend, done: str) -> None:
    backend.submit(JOB, done)


def forget(backend: KubernetesBackend, done: str) -> None:
    backend.forget(done)


NEEDED: dict[tuple[str, str], list[Callable[[KubernetesBackend, str], None]]] = {
    ("jobs", "create"): [check, submit_again],
    ("configmaps", "create"): [check, submit_again],
    ("pods", "watch"): [check],
    ("pods/log", "get"): [check, fetch],
    ("jobs", "delete"): [check, forget],
    ("jobs", "get"): [fetch, submit_again, forget],
    ("configmaps", "get"): [submit_again],
    ("pods", "list"): [fetch],
}
"""By verb, what cannot be done without it. The others are for `doctor`, `clean`, and whoever looks at what there is."""


@pytest.fixture(scope="module")
def account(kubeconfig: str, namespace: str, tmp_path_factory: pytest.TempPathFactory) -> Account:
    return Account(kubeconfig, namespace, "limited", tmp_path_factory.mktemp("limited"))


@pytest.fixture(scope="module")
def done(kubeconfig: str, namespace: str) -> Iterator[str]:
    """The id of a job that was submitted, and has its result."""
    with cluster_backend(kubeconfig, namespace) as backend:
        job_id = backend.submit(JOB, f"done-{uuid4()}")
        deadline = time.monotonic() + PATIENCE_SECONDS
        while backend.fetch(job_id) is None:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        yield job_id
        backend.forget(job_id)


def without(resource: str, verb: str) -> str:
    role = yaml.safe_load(ROLE)
    for rule in role["rules"]:
        if rule["resources"] == [resource]:
            rule["verbs"].remove(verb)
    role["rules"] = [rule for rule in role["rules"] if rule["verbs"]]
    return yaml.safe_dump(role)


def ours(namespace: str) -> set[str]:
    """The Jobs, and what they own."""
    kinds = ("jobs,pods,configmaps", "--selector=managed-by=will-it-compile")
    return set(kubectl("get", *kinds, "--namespace", namespace, "--output=name").split())


@pytest.mark.parametrize(("role", "asked"), [(ROLE, health.ROLE), (WARM_ROLE, health.WARM_ROLE)], ids=["role", "warm"])
def test_doctor_asks_for_each_verb_of_the_role_and_no_other(role: str, asked: dict[str, tuple[str, ...]]) -> None:
    told = {
        ".".join(filter(None, (rule["resources"][0], rule["apiGroups"][0]))): tuple(rule["verbs"])
        for rule in yaml.safe_load(role)["rules"]
    }
    assert told == asked


def test_with_the_role_a_check_runs_and_nothing_is_left(account: Account, kubeconfig: str, namespace: str) -> None:
    with cluster_backend(account.may(ROLE), namespace, admin=kubeconfig) as backend:
        assert backend.compile(JOB).verdict is Verdict.COMPILED


@pytest.mark.parametrize(("resource", "verb"), VERBS, ids=[f"{verb}-{resource}" for resource, verb in VERBS])
def test_a_missing_verb_is_named_with_its_resource(
    account: Account,
    kubeconfig: str,
    namespace: str,
    done: str,
    resource: str,
    verb: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    limited = account.may(without(resource, verb))
    before = ours(namespace)
    with cluster_backend(limited, namespace, admin=kubeconfig) as backend:
        for action in NEEDED.get((resource, verb), ()):
            with pytest.raises(BackendFailed) as error:
                action(backend, done)
            name, _, subresource = resource.partition("/")
            shown = f"{name}/{subresource}" if subresource else name
            assert f'cannot {verb} resource "{shown}"' in error.value.obstacle
            assert "will-it-compile doctor" in error.value.remedy
        if (resource, verb) == ("jobs", "delete"):
            kubectl("delete", *(ours(namespace) - before), "--namespace", namespace, "--ignore-not-found")
    monkeypatch.setenv("KUBECONFIG", str(limited))
    options = {"kubernetes": {"namespace": namespace}}
    found = [each.detail for each in health.findings(Opening(images=OUR_IMAGES, options=options)) if each.ok is False]
    group = ".batch" if resource == "jobs" else ""
    assert found == [f"this account may not {verb} {resource}{group}"]


def test_without_any_permission_nothing_is_made(account: Account, kubeconfig: str, namespace: str) -> None:
    nothing = yaml.safe_dump({**yaml.safe_load(ROLE), "rules": []})
    with cluster_backend(account.may(nothing), namespace, admin=kubeconfig) as backend:
        before = ours(namespace)
        with pytest.raises(BackendFailed, match='cannot create resource "jobs" in API group "batch"'):
            backend.compile(JOB)
        assert ours(namespace) == before
