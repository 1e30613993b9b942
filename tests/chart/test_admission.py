"""What the service's account may do in a cluster, and what it may have run there: by the chart's Role, by its admission
policy, and where that is off by Pod Security."""

from __future__ import annotations

import contextlib
import copy
import json
import re
import secrets
import subprocess
import time
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
import yaml

from tests.backends import EXAMPLES, OUR_IMAGES, ROLE, WARM_ROLE, Account
from tests.cluster import kubectl
from tests.cluster.build import KUBECTL
from tests.contract.test_backend import ENDLESS, FINE, job
from tests.kubernetes.test_queue import Heard
from tests.kubernetes.test_troubles import gcc, until
from willitcompile.backends import Opening, open_backend
from willitcompile.backends.kubernetes import manifests, settings
from willitcompile.backends.kubernetes.api.access import locate
from willitcompile.backends.kubernetes.api.client import Api
from willitcompile.backends.kubernetes.manifests import Work
from willitcompile.backends.queued import Ticket
from willitcompile.model import Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from tests.chart.helm import Helm

    Document = dict[str, Any]
    Change = Callable[[Document, Document], object]

pytestmark = [pytest.mark.chart, pytest.mark.kubernetes]

POLICY = {"registry": "will-it-compile", "admissionPolicy": {"enabled": True}}
DOCS = EXAMPLES.parent
SERVE_ROLE = (EXAMPLES / "kubernetes-serve-role.yaml").read_text()
PODS = """
rules:
  - apiGroups: [""]
    resources: [pods]
    verbs: [create]
  - apiGroups: [""]
    resources: [pods/ephemeralcontainers]
    verbs: [get, patch]
"""
"""More than the chart's Role: to see that it is the policy that refuses."""

VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")


class Release(NamedTuple):
    """What of the chart an account has to do with, in a namespace where nothing else judges its pods."""

    namespace: str
    account: Path
    """The kubeconfig of the service's account, which may make pods, too."""
    settings: settings.Settings
    """What the service is told."""

    def made(self, kind: str = "Job", image: str = "will-it-compile/gcc:13") -> Document:
        """A compile, as a Job or as the pod that comes of it."""
        told = self.settings
        made = manifests.job(Work("one", image, "tests", told, told.memory, told.cpu, 60))
        if kind == "Job":
            return made
        return {"apiVersion": "v1", "kind": "Pod", **made["spec"]["template"], "metadata": made["metadata"]}

    def refusal(self, *argv: str, document: Document | None = None) -> str:
        """What kubectl says against it as the service's account; empty where the API server would do it."""
        own = [KUBECTL, f"--kubeconfig={self.account}", f"--namespace={self.namespace}", *argv, "--dry-run=server"]
        given = [] if document is None else ["--filename=-"]
        done = subprocess.run([*own, *given], input=json.dumps(document), capture_output=True, text=True, check=False)
        assert bool(done.returncode) == bool(done.stderr), done.stderr
        return done.stderr


@contextlib.contextmanager
def _released(helm: Helm, kubeconfig: str, directory: Path, compiles: Mapping[str, object]) -> Iterator[Release]:
    """The chart's Role and policy with these values of `compile`, and its account."""
    name = f"wic-test-{secrets.token_hex(4)}"
    templates = [f"--show-only=templates/{each}.yaml" for each in ("configmap", "queue", "rbac", "admissionpolicy")]
    given = {"compile": compiles, "serviceAccount": {"create": False, "name": "service"}}
    objects = helm.template(f"--namespace={name}", *templates, values=given)
    manifest = yaml.safe_dump_all(objects)
    told = next(yaml.safe_load(each["data"]["serve.yaml"]) for each in objects if "serve.yaml" in each.get("data", {}))
    role = yaml.safe_dump(next(each for each in objects if each["kind"] == "Role"))
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("KUBECONFIG", kubeconfig)
        kubectl("create", "namespace", name)
        try:
            kubectl("wait", "--for=create", "serviceaccount/default", f"--namespace={name}", "--timeout=30s")
            kubectl("apply", "--filename=-", input=manifest)
            account = Account(kubeconfig, name, "service", directory)
            release = Release(name, account.may(role, _role("more", PODS)), settings.parse(told["kubernetes"]))
            # A policy counts a moment after it was written.
            privileged = release.made()
            privileged["spec"]["template"]["spec"]["hostNetwork"] = True
            until(lambda: "no hostNetwork" in release.refusal("create", document=privileged))
            yield release
        finally:
            kubectl("delete", "--ignore-not-found", "--filename=-", input=manifest)
            kubectl("delete", "namespace", name, "--wait=false")


def _role(name: str, rules: str) -> str:
    kind = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": name}}
    return yaml.safe_dump({**kind, **yaml.safe_load(rules)})


@pytest.fixture(scope="module")
def released(helm: Helm, kubeconfig: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Release]:
    with _released(helm, kubeconfig, tmp_path_factory.mktemp("released"), POLICY) as release:
        yield release


# --- what the policy refuses


def privileged(spec: Document, container: Document) -> None:
    container["securityContext"] |= {"privileged": True, "allowPrivilegeEscalation": True}


def host_path(spec: Document, container: Document) -> None:
    spec["volumes"].append({"name": "host", "hostPath": {"path": "/"}})


def _volume(**source: object) -> Change:
    return lambda spec, container: spec["volumes"].append({"name": "more", **source})


def _spec(**more: object) -> Change:
    return lambda spec, container: spec.update(more)


def _container(**more: object) -> Change:
    return lambda spec, container: container.update(more)


def _limits(**more: str) -> Change:
    def change(spec: Document, container: Document) -> None:
        container["resources"] = {"limits": {**container["resources"]["limits"], **more}}

    return change


def _without_limit(name: str) -> Change:
    def change(spec: Document, container: Document) -> None:
        del container["resources"]["limits"][name]

    return change


def _security(of: str, **more: object) -> Change:
    return lambda spec, container: {"pod": spec, "container": container}[of]["securityContext"].update(more)


WEAKER: dict[str, tuple[Change, str]] = {
    "a privileged container": (privileged, ".containers[0].securityContext has to be privileged: false"),
    "a hostPath": (host_path, ".volumes may be"),
    "a foreign image": (_container(image="example.org/gcc:13"), ".containers[0].image has to be will-it-compile/gcc:"),
    "an image of another repository": (_container(image="will-it-compile/gcc-evil:13"), ".containers[0].image has to"),
    "no limit of memory": (_without_limit("memory"), ".containers[0].resources.limits has to name each of cpu, memory"),
    "no limit of cpu": (_without_limit("cpu"), ".containers[0].resources.limits has to name each of cpu, memory"),
    "no limit of disk": (_without_limit("ephemeral-storage"), ".containers[0].resources.limits has to name each of"),
    "a limit of nothing": (_limits(memory="0"), ".containers[0].resources.limits has to name each of"),
    "the host's network": (_spec(hostNetwork=True), ": a compile has no hostNetwork"),
    "the host's processes": (_spec(hostPID=True), ": a compile has no hostPID"),
    "the host's IPC": (_spec(hostIPC=True), ": a compile has no hostIPC"),
    "a node of its choice": (_spec(nodeName="one"), ": a compile has no nodeName"),
    "an init container": (
        lambda spec, container: spec.update(initContainers=[{**container, "name": "init"}]),
        ": a compile has no initContainers",
    ),
    "a second container": (
        lambda spec, container: spec["containers"].append({**container, "name": "second"}),
        ".containers has to be one",
    ),
    "a Secret as a variable": (
        _container(envFrom=[{"secretRef": {"name": "passwords"}}]),
        ".containers[0]: a compile has no envFrom",
    ),
    "a Secret as a volume": (_volume(secret={"secretName": "passwords"}), ".volumes may be"),
    "a token as a volume": (
        _volume(projected={"sources": [{"serviceAccountToken": {"path": "token"}}]}),
        ".volumes may be",
    ),
    "a volume on the node's disk": (_volume(emptyDir={}), ".volumes may be"),
    "a volume without end": (_volume(emptyDir={"medium": "Memory"}), ".volumes may be"),
    "the account's token": (_spec(automountServiceAccountToken=True), ".automountServiceAccountToken has to be false"),
    "another account": (_spec(serviceAccountName="service"), ".serviceAccountName has to be default"),
    "another runtime": (_spec(runtimeClassName="runc"), ".runtimeClassName has to be none"),
    "to go before others": (_spec(priorityClassName="system-node-critical"), ".priorityClassName has to be none"),
    "nodes of others": (_spec(tolerations=[{"operator": "Exists"}]), ".tolerations may have the keys"),
    "to be root": (_security("pod", runAsUser=0, runAsNonRoot=False), ".securityContext has to be runAsNonRoot: true"),
    "the group of root": (_security("pod", runAsGroup=0), ".securityContext has to be runAsNonRoot: true"),
    "to be root in the container": (
        _security("container", runAsUser=0, runAsNonRoot=False),
        ".containers[0].securityContext has to be privileged: false",
    ),
    "any system call": (_security("pod", seccompProfile={"type": "Unconfined"}), ".securityContext has to be runAsNon"),
    "new privileges": (_security("container", allowPrivilegeEscalation=True), ".containers[0].securityContext has to"),
    "a root that can be written to": (
        _security("container", readOnlyRootFilesystem=False),
        ".containers[0].securityContext has to be",
    ),
    "a capability": (
        _security("container", capabilities={"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]}),
        ".containers[0].securityContext has to be",
    ),
    "all capabilities": (_security("container", capabilities={}), ".containers[0].securityContext has to be"),
}


def _pod(document: Document) -> Document:
    found: Document = document if document["kind"] == "Pod" else document["spec"]["template"]
    return found


def weaker(document: Document, change: Change) -> Document:
    changed = copy.deepcopy(document)
    spec = _pod(changed)["spec"]
    change(spec, spec["containers"][0])
    return changed


@pytest.mark.parametrize("kind", ["Job", "Pod"])
def test_what_the_service_makes_is_let_in(released: Release, kind: str) -> None:
    assert released.refusal("create", document=released.made(kind)) == ""


@pytest.mark.parametrize(
    ("kind", "what"),
    # A pod with a RuntimeClass that is not there is refused by others before.
    [(kind, what) for what in WEAKER for kind in ("Job", "Pod") if (kind, what) != ("Pod", "another runtime")],
)
def test_the_policy_refuses(released: Release, kind: str, what: str) -> None:
    change, message = WEAKER[what]
    said = released.refusal("create", document=weaker(released.made(kind), change))
    path = "spec" if kind == "Pod" else "spec.template.spec"
    assert "ValidatingAdmissionPolicy" in said
    assert f"denied request: {path}{message}" in said
    assert said.count("denied request") == 1


@pytest.mark.parametrize("kind", ["Job", "Pod"])
def test_the_policy_refuses_what_the_network_policy_would_not_find(released: Release, kind: str) -> None:
    document = released.made(kind)
    del _pod(document)["metadata"]["labels"]["managed-by"]
    assert "denied request: metadata.labels: a compile has managed-by" in released.refusal("create", document=document)


@pytest.mark.parametrize("kind", ["Job", "Pod"])
def test_the_policy_refuses_a_pod_without_apparmor(released: Release, kind: str) -> None:
    document = released.made(kind)
    _pod(document)["metadata"]["annotations"] = {"container.apparmor.security.beta.kubernetes.io/compile": "unconfined"}
    assert "denied request: metadata.annotations of a pod have to be {}" in released.refusal(
        "create", document=document
    )


def test_the_policy_refuses_to_debug_a_pod(released: Release) -> None:
    pod = released.made("Pod")
    pod["metadata"]["name"] = "compile-debugged"
    # It never runs.
    pod["spec"]["schedulingGates"] = [{"name": "example.org/never"}]
    kubectl("create", "--filename=-", f"--namespace={released.namespace}", input=json.dumps(pod))
    more = {"spec": {"ephemeralContainers": [{"name": "shell", "image": "will-it-compile/gcc:13"}]}}
    patch = (
        "patch",
        "pod",
        "compile-debugged",
        "--subresource=ephemeralcontainers",
        f"--patch={json.dumps(more)}",
    )
    assert re.search("spec: a compile has no .*ephemeralContainers", released.refusal(*patch))


def test_the_policy_says_what_the_page_on_hardening_says(released: Release) -> None:
    page = (DOCS / "hardening.md").read_text()
    (command,) = re.findall(r"^\$ kubectl (create job .*)$", page, re.MULTILINE)
    (said,) = re.findall(r"^denied request: .*$", page, re.MULTILINE)
    here = command.replace("will-it-compile-compiles", released.namespace)
    here = here.replace("wic:wic-will-it-compile", f"{released.namespace}:service")
    with pytest.raises(AssertionError, match=re.escape(said)):
        kubectl(*here.split())


def test_others_in_the_namespace_are_not_judged(released: Release) -> None:
    pod = weaker(released.made("Pod"), privileged)
    kubectl("create", "--filename=-", f"--namespace={released.namespace}", "--dry-run=server", input=json.dumps(pod))


def test_what_waits_is_started_after_the_images_have_changed_and_is_not_made_weaker(released: Release) -> None:
    waiting = released.made(image="registry.example.org/before/gcc:13")
    waiting["metadata"]["name"] = "compile-waiting"
    waiting["spec"]["suspend"] = True
    kubectl("create", "--filename=-", f"--namespace={released.namespace}", input=json.dumps(waiting))

    def patched(spec: Document) -> str:
        body = json.dumps({"spec": spec})
        return released.refusal("patch", "job", "compile-waiting", "--type=merge", f"--patch={body}")

    assert patched({"suspend": False}) == ""
    assert patched({"suspend": False, "activeDeadlineSeconds": 0}) == ""
    # What is suspended may get other nodes: https://kubernetes.io/docs/concepts/workloads/controllers/job/
    said = patched({"template": {"spec": {"tolerations": [{"operator": "Exists"}]}}})
    assert "ValidatingAdmissionPolicy" in said


def test_a_job_without_a_pod_gets_none_later(released: Release) -> None:
    settled = released.made(image="none")
    settled["metadata"]["name"] = "compile-settled"
    settled["spec"] |= {"completionMode": "Indexed", "completions": 0, "parallelism": 0, "suspend": True}
    assert released.refusal("create", document=settled) == ""
    kubectl("create", "--filename=-", f"--namespace={released.namespace}", input=json.dumps(settled))
    body = json.dumps({"spec": {"completions": 1, "parallelism": 1}})
    said = released.refusal("patch", "job", "compile-settled", "--type=merge", f"--patch={body}")
    assert "spec.template.spec.containers[0].image has to be" in said


VALUES: dict[str, tuple[Document, Document]] = {
    "profile and queue": (
        {
            "images": ["gcc=registry.example.org/gcc:{version}", "go-1.26=r.example.org/go@sha256:" + 64 * "a"],
            "resources": {"limits": {"cpu": "none"}},
            "seccompProfile": "profiles/compile.json",
            "queue": "builds",
            "labels": {"team": "compilers"},
            "annotations": {"example.org/owner": "the compilers' team"},
        },
        {"securityContext": ".securityContext has to be"},
    ),
    "nodes and runtime": (
        {
            "registry": "registry.example.org",
            "admissionPolicy": {"enabled": True, "allowedImages": ["registry.example.org/*"]},
            "runtimeClassName": "gvisor",
            "serviceAccountName": "compiler",
            "priorityClass": {"name": "low"},
            "nodeSelector": {"pool": "compilers", "example.org/fast": "yes"},
            "tolerations": [{"key": "dedicated", "operator": "Exists"}, {"operator": "Exists", "effect": "NoSchedule"}],
            "imagePullSecrets": ["registry-password"],
            "architecture": "arm64",
            "warm": {"enabled": True},
        },
        {
            "nodeSelector": '.nodeSelector has to have {"example.org/fast":"yes","pool":"compilers"}',
            "priorityClassName": ".priorityClassName has to be low",
            "runtimeClassName": ".runtimeClassName has to be gvisor",
            "serviceAccountName": ".serviceAccountName has to be compiler",
        },
    ),
}
"""Values of `compile`, and what a pod that misses a field of theirs is told."""


@pytest.mark.parametrize("name", VALUES)
def test_the_policy_wants_what_the_service_is_told_by_the_same_values(
    helm: Helm, kubeconfig: str, tmp_path: Path, name: str
) -> None:
    compiles, missing = VALUES[name]
    with _released(helm, kubeconfig, tmp_path, {"admissionPolicy": {"enabled": True}, **compiles}) as release:
        told = release.made(image="registry.example.org/gcc:13")
        assert release.refusal("create", document=told) == ""
        assert "image has to be r" in release.refusal("create", document=release.made())
        for field, message in missing.items():
            changed = copy.deepcopy(told)
            del _pod(changed)["spec"][field]
            assert f"denied request: spec.template.spec{message}" in release.refusal("create", document=changed)


# --- what a service does under it


@pytest.fixture
def queue(released: Release) -> Iterator[Heard]:
    """The queue of a service, as its account, with pods that wait; it has forgotten everything afterwards."""
    section = {"namespace": released.namespace, "warm": {"enabled": True, "max": 1}}
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("KUBECONFIG", str(released.account))
        opening = Opening(long_lived=True, images=OUR_IMAGES, options={"kubernetes": section})
        with open_backend("kubernetes", opening) as backend:
            heard = Heard(backend)
            try:
                yield heard
            finally:
                for each in list(heard.jobs.values()):
                    heard.queue.forget(each)
                until(lambda: not heard.jobs)
                heard.queue.close()


def test_a_check_and_a_queue_work_under_the_policy(queue: Heard) -> None:
    backend = queue.backend
    assert backend.compile(job(gcc(backend), FINE)).verdict is Verdict.COMPILED

    waiting = queue.submit(FINE, start=False)
    assert queue.queue.start(queue.jobs[waiting])
    assert queue.result(waiting).verdict is Verdict.COMPILED
    assert queue.queue.keep(queue.jobs[waiting], "its answer")

    endless = queue.submit(ENDLESS, start=False)
    queue.queue.cancel(queue.jobs[endless])
    until(lambda: queue.jobs[endless].cancelled is not None)

    ticket = Ticket(f"settled-{secrets.token_hex(4)}", 0, "somebody", "batch", time.time(), "about it")
    queue.queue.settle(ticket, "known", keep_seconds=60)
    until(lambda: ticket.id in queue.jobs)
    assert queue.queue.answer(queue.jobs[ticket.id]) == "known"


# --- without it: Pod Security

RESTRICTED = (
    "a privileged container",
    "a hostPath",
    "the host's network",
    "the host's processes",
    "the host's IPC",
    "to be root",
    "any system call",
    "new privileges",
    "all capabilities",
)


@pytest.fixture
def plain(released: Release) -> Document:
    """A compile's pod, for a namespace that has Pod Security in place of the policy."""
    return released.made("Pod")


def test_pod_security_lets_a_compile_in(plain: Document, namespace: str) -> None:
    create = ("create", "--filename=-", f"--namespace={namespace}", "--dry-run=server")
    kubectl(*create, input=json.dumps(plain))


@pytest.mark.parametrize("what", RESTRICTED)
def test_pod_security_refuses(plain: Document, namespace: str, what: str) -> None:
    pod = weaker(plain, WEAKER[what][0])
    with pytest.raises(AssertionError, match='violates PodSecurity "restricted:latest"'):
        kubectl("create", "--filename=-", f"--namespace={namespace}", "--dry-run=server", input=json.dumps(pod))


def test_a_job_that_pod_security_refuses_has_no_pod_and_an_event_tells(plain: Document, namespace: str) -> None:
    pod = weaker(plain, privileged)
    template = {"metadata": pod["metadata"], "spec": pod["spec"]}
    document = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "privileged"},
        "spec": {"template": template},
    }
    kubectl("create", "--filename=-", f"--namespace={namespace}", input=json.dumps(document))
    asked = ("--field-selector=reason=FailedCreate", "--output=jsonpath={.items[*].message}")
    try:
        until(lambda: "violates PodSecurity" in kubectl("get", "events", f"--namespace={namespace}", *asked))
        assert not kubectl("get", "pods", f"--namespace={namespace}", "--selector=job-name=privileged", "--output=name")
    finally:
        kubectl("delete", "job", "privileged", f"--namespace={namespace}")


# --- and what the Role lets it ask


def _things(api: Api) -> Iterator[tuple[str, str]]:
    """The group and name of each resource that the API server has, `pods/log` among them."""
    groups = [each["preferredVersion"]["groupVersion"] for each in api.call("GET", "/apis")["groups"]]
    for path in ("/api/v1", *(f"/apis/{group}" for group in groups)):
        for each in api.call("GET", path)["resources"]:
            yield path.partition("/apis/")[2].partition("/")[0], each["name"]


def _allowed(api: Api, account: str, namespace: str) -> set[tuple[str, str, str]]:
    """(group, resource, verb) of all that it may do there."""
    _, _, of, _ = account.split(":")
    groups = ["system:serviceaccounts", f"system:serviceaccounts:{of}", "system:authenticated"]
    allowed = set()
    for group, name in _things(api):
        resource, _, subresource = name.partition("/")
        for verb in VERBS:
            asked = {"group": group, "resource": resource, "subresource": subresource, "verb": verb}
            spec = {"user": account, "groups": groups, "resourceAttributes": {"namespace": namespace, **asked}}
            body = {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec}
            if api.call("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", body=body)["status"]["allowed"]:
                allowed.add((group, name, verb))
    return allowed


@pytest.mark.parametrize("warm", [False, True], ids=["cold", "warm"])
def test_each_verb_outside_the_role_is_refused(helm: Helm, namespace: str, kubeconfig: str, *, warm: bool) -> None:
    release = f"wic-{'warm' if warm else 'cold'}"
    values = {"fullnameOverride": release, "compile": {"warm": {"enabled": warm}}}
    templates = [f"--show-only=templates/{each}.yaml" for each in ("serviceaccount", "rbac")]
    objects = helm.template(f"--namespace={namespace}", *templates, values=values)
    kubectl("apply", "--filename=-", input=yaml.safe_dump_all(objects))
    account, stranger = (f"system:serviceaccount:{namespace}:{name}" for name in (release, "default"))
    told = {
        (group, resource, verb)
        for role in (ROLE, SERVE_ROLE, *([WARM_ROLE] if warm else []))
        for rule in yaml.safe_load(role)["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }
    with Api(locate()) as api:
        anybody = _allowed(api, stranger, namespace)
        assert not anybody & told
        assert _allowed(api, account, namespace) == anybody | told
        assert _allowed(api, account, "default") == anybody
