"""The backends that the same tests are for. A new one is a line in `OPENERS`."""

from __future__ import annotations

import json
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
import yaml

from tests.cluster.build import KUBECTL
from tests.contract.leftovers import left_since, leftovers
from willitcompile.backends.fake import FakeBackend
from willitcompile.errors import BackendUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from willitcompile.backends import Backend
    from willitcompile.backends.kubernetes.backend import KubernetesBackend


class Opener(NamedTuple):
    tier: str
    """What it needs of the machine: see tests/conftest.py."""
    open: Callable[[pytest.FixtureRequest], Backend]
    """Raises BackendUnavailable where it cannot run."""


def _fake(_: pytest.FixtureRequest) -> Backend:
    return FakeBackend()


def _sandbox(isolation: str) -> Callable[[pytest.FixtureRequest], Backend]:
    def open_it(_: pytest.FixtureRequest) -> Backend:
        from willitcompile.backends.sandbox import SandboxBackend

        return SandboxBackend(isolation=isolation)

    return open_it


def _docker(_: pytest.FixtureRequest) -> Backend:
    from willitcompile.backends import open_backend

    return open_backend("docker")


OUR_IMAGES = tuple(f"{family}=will-it-compile/{family}:{{version}}" for family in ("gcc", "clang", "go", "rustc"))
"""What a cluster has to be told: it does not say which images its nodes have."""


EXAMPLES = Path(__file__).parents[1] / "docs/examples"
ROLE = (EXAMPLES / "kubernetes-role.yaml").read_text()
SERVE_ROLE = (EXAMPLES / "kubernetes-serve-role.yaml").read_text()
WARM_ROLE = (EXAMPLES / "kubernetes-warm-role.yaml").read_text()
"""As the documentation has them."""


def _kubernetes(request: pytest.FixtureRequest) -> Backend:
    """As the account that the documentation describes, which suffices for all that is tried."""
    from willitcompile.backends import Opening, open_backend

    namespace = request.getfixturevalue("namespace")
    return open_backend(
        "kubernetes", Opening(images=OUR_IMAGES, options={"kubernetes": {"namespace": namespace, "cpu": "none"}})
    )


_accounts: dict[str, Path] = {}


def _account_of_the_suite(request: pytest.FixtureRequest) -> Path:
    """The kubeconfig of an account that may do what ROLE says and nothing more. It ends with the namespace."""
    namespace = request.getfixturevalue("namespace")
    if namespace not in _accounts:
        directory = request.getfixturevalue("tmp_path_factory").mktemp("account")
        _accounts[namespace] = Account(request.getfixturevalue("kubeconfig"), namespace, "suite", directory).may(ROLE)
    return _accounts[namespace]


class Account:
    """A ServiceAccount of a test's own, which may do nothing at first."""

    def __init__(self, kubeconfig: str, namespace: str, name: str, directory: Path) -> None:
        """Make it. `directory` gets its kubeconfig, which names no namespace."""
        self._admin = ("--kubeconfig", kubeconfig, "--namespace", namespace)
        self.namespace = namespace
        self._name = name
        self._roles: tuple[str, ...] = ()
        self._kubectl("create", "serviceaccount", name)
        config = json.loads(self._kubectl("config", "view", "--raw", "--minify", "--output=json"))
        token = self._kubectl("create", "token", name).strip()
        config["users"] = [{"name": config["contexts"][0]["context"]["user"], "user": {"token": token}}]
        self.kubeconfig = directory / f"{name}.conf"
        self.kubeconfig.write_text(json.dumps(config))

    def may(self, *roles: str) -> Path:
        """From now on it may do what these Roles say, which are YAML, and nothing else. Return its kubeconfig."""
        from tests.cluster import kubectl

        if roles == self._roles:
            return self.kubeconfig
        self._roles = roles
        self._kubectl("delete", "rolebindings", "--selector", f"account={self._name}")
        rules = [rule for role in roles for rule in yaml.safe_load(role)["rules"]]
        for number, role in enumerate(roles):
            name = f"{self._name}-{number}"
            document = yaml.safe_load(role)
            document["metadata"]["name"] = name
            self._kubectl("apply", "--filename=-", input=json.dumps(document))
            binding = [f"--role={name}", f"--serviceaccount={self.namespace}:{self._name}", "--dry-run=client"]
            made = json.loads(self._kubectl("create", "rolebinding", name, *binding, "--output=json"))
            made["metadata"]["labels"] = {"account": self._name}
            self._kubectl("apply", "--filename=-", input=json.dumps(made))
        # What is allowed is known to the API server a moment after it was written.
        review = {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectRulesReview"}
        asked = json.dumps({**review, "spec": {"namespace": self.namespace}})
        own = ("--kubeconfig", str(self.kubeconfig), "create", "--validate=false", "--output=json", "--filename=-")
        deadline = time.monotonic() + 20
        while _ours(json.loads(kubectl(*own, input=asked))["status"]["resourceRules"]) != _verbs(rules):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        return self.kubeconfig

    def _kubectl(self, *argv: str, input: str | None = None) -> str:  # noqa: A002 - as subprocess has it
        from tests.cluster import kubectl

        return kubectl(*self._admin, *argv, input=input)


def _verbs(rules: list[dict[str, Any]]) -> frozenset[tuple[str, str, str]]:
    """(group, resource, verb) of each thing that rules allow."""
    return frozenset(
        (group, resource, verb)
        for rule in rules
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    )


def _ours(rules: list[dict[str, Any]]) -> frozenset[tuple[str, str, str]]:
    """Without what everybody may: to ask who they are, and what they may do."""
    return frozenset(each for each in _verbs(rules) if not each[0].endswith(".k8s.io"))


@contextmanager
def cluster_backend(
    kubeconfig: str | Path,
    namespace: str,
    *,
    admin: str | None = None,
    notify: Callable[[str], None] = lambda _: None,
    long_lived: bool = False,
    **section: object,
) -> Iterator[KubernetesBackend]:
    """One for this kubeconfig with these settings, which has left nothing in the namespace once it is closed.

    `admin` is the kubeconfig of who may see that, where the first is another's.
    """
    from willitcompile.backends import Opening
    from willitcompile.backends.kubernetes import open_backend

    others = objects_in(admin or str(kubeconfig), namespace)
    options = {"kubernetes": {"namespace": namespace, **section}}
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("KUBECONFIG", str(kubeconfig))
        backend = open_backend(Opening(notify, images=OUR_IMAGES, long_lived=long_lived, options=options))
    with backend:
        yield backend
    wait_until_gone(admin or str(kubeconfig), namespace, others)


def wait_until_gone(kubeconfig: str, namespace: str, others: frozenset[str] = frozenset()) -> None:
    """Until nothing is there but those others. Jobs are gone at once, and what they own a moment later."""
    deadline = time.monotonic() + REMOVAL_SECONDS["kubernetes"]
    while left := objects_in(kubeconfig, namespace) - others:
        assert not any(each.startswith("job") for each in left), left
        assert time.monotonic() < deadline, left
        time.sleep(0.05)


REMOVAL_SECONDS = {"docker": 10.0, "kubernetes": 20.0}
"""By tier, how long it takes at most until what has done its job is removed: others do that."""

OPENERS = {
    "fake": Opener("unit", _fake),
    "sandbox-namespaces": Opener("sandbox", _sandbox("namespaces")),
    "sandbox-landlock": Opener("sandbox", _sandbox("landlock")),
    "docker": Opener("docker", _docker),
    "kubernetes": Opener("kubernetes", _kubernetes),
}


def those(*tiers: str) -> list[object]:
    """For `params=`: the backends of these tiers, each marked with its own."""
    return [
        pytest.param(name, marks=getattr(pytest.mark, opener.tier))
        for name, opener in OPENERS.items()
        if opener.tier in tiers
    ]


@contextmanager
def opened(request: pytest.FixtureRequest) -> Iterator[Backend]:
    """The backend that a parametrised fixture is for, which has left nothing behind once it is closed."""
    opener = OPENERS[request.param]
    surroundings, objects = _elsewhere(request, opener.tier)
    before, others = leftovers(), objects()
    try:
        with pytest.MonkeyPatch.context() as environment:
            for name, value in surroundings.items():
                environment.setenv(name, value)
            backend = opener.open(request)
    except BackendUnavailable as error:
        request.getfixturevalue("unavailable")(request.param, error.obstacle, error.remedy)
        raise
    with backend:
        yield backend
    deadline = time.monotonic() + REMOVAL_SECONDS.get(opener.tier, 0)
    while left := objects() - others:
        assert time.monotonic() < deadline, left
        time.sleep(0.02)
    # What a daemon that the tests have started does for a container ends a moment after it.
    while (left := left_since(before)) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert left == frozenset()


def _elsewhere(request: pytest.FixtureRequest, tier: str) -> tuple[Mapping[str, str], Callable[[], frozenset[str]]]:
    """The variables by which a backend of this tier finds what runs its compiles, and a line for each thing there."""
    if tier == "docker":
        host = request.getfixturevalue("docker_host")
        return {"DOCKER_HOST": host}, lambda: _containers(host)
    if tier == "kubernetes":
        kubeconfig, namespace = request.getfixturevalue("kubeconfig"), request.getfixturevalue("namespace")
        return {"KUBECONFIG": str(_account_of_the_suite(request))}, lambda: objects_in(kubeconfig, namespace)
    return {}, frozenset


def objects_in(kubeconfig: str, namespace: str) -> frozenset[str]:
    """Pods, and what they are made of or go with; the namespace is of this run alone."""
    kinds = "jobs,pods,configmaps,secrets,services,serviceaccounts,roles,rolebindings,persistentvolumeclaims,leases"
    argv = [KUBECTL, "--kubeconfig", kubeconfig, "get", kinds, "--namespace", namespace, "--output=name"]
    ran = subprocess.run(argv, capture_output=True, text=True, check=True)
    return frozenset(ran.stdout.split()) - {"configmap/kube-root-ca.crt", "serviceaccount/default"}


def _containers(host: str) -> frozenset[str]:
    """Those of this process, and each volume and network: others may use the same daemon."""
    from willitcompile.backends.clients import client_name

    label = '{{.ID}} {{.Label "will-it-compile.session"}}'
    found = []
    for what in (["ps", "--all", "--no-trunc", "--format", label], ["volume", "ls", "-q"], ["network", "ls", "-q"]):
        ran = subprocess.run(["docker", "--host", host, *what], capture_output=True, text=True, check=True)
        found += [f"{what[0]} {line}" for line in ran.stdout.splitlines() if what[0] != "ps" or client_name() in line]
    return frozenset(found)
