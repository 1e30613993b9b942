"""The objects of the chart, under many values: what Kubernetes says of them, old and new, and what matters in them."""

from __future__ import annotations

import functools
import json
import re
from typing import TYPE_CHECKING, Any

import kubernetes_validate
import pytest
import yaml

from tests.backends import EXAMPLES
from tests.chart.helm import CHART, NAMESPACE, RELEASE, VALUE_FILES
from willitcompile import config
from willitcompile.backends.kubernetes import manifests, settings
from willitcompile.backends.kubernetes.manifests import Work
from willitcompile.backends.references import pins
from willitcompile.server.settings import resolve as resolve_serve

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tests.chart.helm import Helm

    Document = dict[str, Any]

pytestmark = pytest.mark.chart

OLDEST, NEWEST = "1.27.0", kubernetes_validate.latest_version()
"""The oldest is that of Chart.yaml, the newest what kubernetes-validate knows."""

NEEDED: dict[str, Document] = {
    "default": {},
    "dev": {},
    "production": {"compile": {"registry": "registry.example.org"}},
}
"""What each file of values leaves to whoever installs it."""

GCC = {"image": "registry.example.org/gcc:13", "command": ["g++", "--version"]}
HASH = "somebody: " + 64 * "a"
TOLERATIONS = [{"key": "pool", "operator": "Equal", "value": "one", "effect": "NoExecute", "tolerationSeconds": 60}]

OPTIONS: dict[str, Document] = {
    "names": {"fullnameOverride": "other", "nameOverride": "name", "commonLabels": {"example.org/team": "compilers"}},
    "long names": {"fullnameOverride": "n" * 50},
    "replicas": {"replicaCount": 3},
    "digest": {"image": {"repository": "r.example.org:5000/a/serve", "digest": "sha256:" + 64 * "b"}},
    "passwords": {"imagePullSecrets": ["one", "two"], "compile": {"imagePullSecrets": ["three"]}},
    "an account that is there": {"serviceAccount": {"create": False, "name": "theirs"}, "rbac": {"create": False}},
    "annotations": {
        "serviceAccount": {"annotations": {"example.org/role": "none: at all"}},
        "service": {"annotations": {"example.org/balancer": "true"}, "type": "LoadBalancer", "port": 8443},
        "podAnnotations": {"example.org/a": "b # c"},
        "podLabels": {"example.org/a": "true"},
    },
    "ingress": {
        "ingress": {
            "enabled": True,
            "className": "nginx",
            "annotations": {"cert-manager.io/cluster-issuer": "issuer"},
            "hosts": ["compile.example.org", "other.example.org"],
            "tls": [{"hosts": ["compile.example.org"], "secretName": "certificate"}],
        }
    },
    "no preStop": {"preStopSeconds": 0},
    "nodes": {
        "priorityClassName": "high",
        "nodeSelector": {"pool": "services"},
        "tolerations": TOLERATIONS,
        "affinity": {"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": []}},
        "topologySpreadConstraints": [
            {"maxSkew": 1, "topologyKey": "topology.kubernetes.io/zone", "whenUnsatisfiable": "DoNotSchedule"}
        ],
    },
    "environment": {
        "extraEnv": [
            {"name": "A", "value": "true"},
            {"name": "B", "valueFrom": {"secretKeyRef": {"name": "secret", "key": "b"}}},
        ],
        "proxy": {"http": "http://proxy:3128", "https": "http://proxy:3128", "except": ".example.org"},
        "telemetry": {"endpoint": "http://otel-collector:4318"},
    },
    "autoscaling": {"autoscaling": {"enabled": True}},
    "disruption budget": {"podDisruptionBudget": {"enabled": True, "minAvailable": "50%"}},
    "network policy": {"networkPolicy": {"enabled": True}},
    "narrow network policy": {
        "networkPolicy": {
            "enabled": True,
            "ingressFrom": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "ingress"}}}],
            "apiServerCIDRs": ["10.0.0.1/32", "fd00::/8"],
            "extraEgress": [{"to": [{"ipBlock": {"cidr": "10.1.0.0/16"}}]}],
        },
        "proxy": {"https": "http://proxy:3128"},
    },
    "server": {
        "server": {
            "queueSize": 1_000_000,
            "keep": "90m",
            "keepResults": 10_000_000,
            "keepBytes": 1 << 40,
            "rateLimit": 0.5,
            "trustedProxies": ["10.0.0.0/8", "unix"],
            "corsOrigin": "https://example.org",
            "maxBody": 1_000_000,
            "headerTimeout": 0.5,
            "logFormat": "text",
            "logLevel": "debug",
        }
    },
    "tokens": {"tokens": {"enabled": True, "hashes": [HASH, HASH]}, "tests": {"tokenSecret": "token"}},
    "a Secret that is there": {"tokens": {"enabled": True, "existingSecret": "theirs", "key": "their-key"}},
    "no network policy of compiles": {"compile": {"networkPolicy": {"enabled": False}}},
    "another namespace": {"compile": {"namespace": {"name": "builds"}}},
    "a new namespace": {"compile": {"namespace": {"name": "builds", "create": True}}},
    "compiles": {
        "compile": {
            "timeout": 60.5,
            "resources": {"limits": {"cpu": 2, "memory": "1Gi"}, "requests": {"cpu": 0.25, "memory": 134217728}},
            "registry": "registry.example.org:5000/team/",
            "images": ["gcc-13=r.example.org/gcc@sha256:" + 64 * "c", "go=r.example.org/go:{version}"],
            "imagePullPolicy": "Always",
            "architecture": "arm64",
            "nodeSelector": {"pool": "compilers", "example.org/fast": "true"},
            "tolerations": TOLERATIONS,
            "runtimeClassName": "gvisor",
            "seccompProfile": "profiles/compile.json",
            "queue": "builds",
            "labels": {"example.org/team": "1"},
            "annotations": {"example.org/about": "a: b # c"},
            "serviceAccountName": "compiler",
        }
    },
    "no limit of cpu": {"compile": {"resources": {"limits": {"cpu": "none"}}}},
    "priority": {"compile": {"priorityClass": {"create": True, "value": -2147483648}}},
    "a priority that is there": {"compile": {"priorityClass": {"name": "low"}}},
    "warm": {"compile": {"warm": {"enabled": True, "min": 1, "max": 3}}},
    "quota": {"compile": {"resourceQuota": {"enabled": True}, "limitRange": {"enabled": True}}},
    "pre-pull": {
        "compile": {
            "prePull": {"enabled": True, "images": [GCC, {**GCC, "image": "registry.example.org/gcc:14"}]},
            "runtimeClassName": "gvisor",
            "nodeSelector": {"pool": "compilers"},
            "tolerations": TOLERATIONS,
            "imagePullSecrets": ["registry-password"],
            "architecture": "amd64",
        }
    },
    "monitoring": {
        "monitoring": {
            "serviceMonitor": {"enabled": True, "labels": {"release": "prometheus"}},
            "prometheusRule": {"enabled": True, "labels": {"release": "prometheus"}},
            "dashboard": {"enabled": True},
        }
    },
}
"""Each is tried alone, and they are also tried together."""

POLICY = {"compile": {"registry": "registry.example.org", "admissionPolicy": {"enabled": True}}}
"""An option of Kubernetes 1.30."""

CLUSTER_WIDE = {"Namespace", "PriorityClass", "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"}


def merged(*values: Mapping[str, Any]) -> Document:
    """As helm merges them: mappings into each other, and of all else the last."""
    result: Document = {}
    for each in values:
        for key, value in each.items():
            known = result.get(key)
            result[key] = merged(known, value) if isinstance(value, dict) and isinstance(known, dict) else value
    return result


def rendered(helm: Helm, values: Mapping[str, Any], file: str = "default", version: str = NEWEST) -> list[Document]:
    arguments = (f"--values={VALUE_FILES[file]}", f"--kube-version={version}")
    return helm.template(*arguments, values=merged(NEEDED[file], values))


@functools.cache
def _judge(document: str, version: str) -> None:
    kubernetes_validate.validate(json.loads(document), version, strict=True)


def judge(objects: list[Document], version: str) -> None:
    """By the schemas of Kubernetes, which know no objects but its own. Raises ValidationError."""
    for each in objects:
        if each["apiVersion"].partition("/")[0] != "monitoring.coreos.com":
            _judge(json.dumps(each, sort_keys=True), version)


def one(objects: list[Document], kind: str, name: str = "") -> Document:
    """The object of this kind whose name ends so."""
    (found,) = (each for each in objects if each["kind"] == kind and each["metadata"]["name"].endswith(name))
    return found


def kinds(objects: list[Document]) -> set[str]:
    return {each["kind"] for each in objects}


def pods(objects: list[Document]) -> list[Document]:
    """Each pod, or the template of one, that comes of the chart itself."""
    found = [each for each in objects if each["kind"] == "Pod"]
    return found + [each["spec"]["template"] for each in objects if each["kind"] in {"Deployment", "DaemonSet", "Job"}]


def containers(pod: Document) -> list[Document]:
    return [*pod["spec"]["containers"], *pod["spec"].get("initContainers", ())]


def told(objects: list[Document]) -> Document:
    """What the service is told."""
    (text,) = (each["data"]["serve.yaml"] for each in objects if "serve.yaml" in each.get("data", {}))
    found: Document = yaml.safe_load(text)
    return found


# --- all of them


def sound(objects: list[Document], version: str, directory: Path) -> None:
    """What holds whatever the values are."""
    judge(objects, version)
    names = [(each["kind"], each["metadata"].get("namespace"), each["metadata"]["name"]) for each in objects]
    assert len(set(names)) == len(names)
    for each in objects:
        labels = each["metadata"]["labels"]
        assert labels["app.kubernetes.io/instance"] == RELEASE
        assert {f"app.kubernetes.io/{what}" for what in ("name", "version", "component", "managed-by")} < set(labels)
        assert labels["helm.sh/chart"].startswith("will-it-compile-")
        assert ("namespace" in each["metadata"]) == (each["kind"] not in CLUSTER_WIDE)
    for pod in pods(objects):
        restricted(pod)
    for each in objects:
        if each["kind"] in {"Deployment", "DaemonSet"}:
            found = each["spec"]["template"]["metadata"]["labels"].items()
            assert each["spec"]["selector"]["matchLabels"].items() <= found
    file = directory / "serve.yaml"
    file.write_text(yaml.safe_dump(told(objects)))
    settings_of = config.resolve({}, file=str(file))
    pins(settings_of.images)
    settings.parse(settings_of.options["kubernetes"])
    resolve_serve({}, settings_of.options["serve"], str(file), {})


def restricted(pod: Document) -> None:
    """As Pod Security calls it, and more: https://kubernetes.io/docs/concepts/security/pod-security-standards/"""
    spec = pod["spec"]
    assert not {"hostNetwork", "hostPID", "hostIPC"} & set(spec)
    security = spec["securityContext"]
    assert security["runAsNonRoot"] is True
    assert security["runAsUser"] == security["runAsGroup"] == 1000
    assert security["seccompProfile"] == {"type": "RuntimeDefault"}
    for each in containers(pod):
        assert each["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert each["image"]
        assert "memory" in each["resources"]["limits"]
        assert set(each["resources"]["requests"]) == {"cpu", "memory"}
    assert all({"configMap", "secret", "emptyDir", "projected"} & set(each) for each in spec.get("volumes", ()))


@pytest.mark.parametrize("version", [OLDEST, NEWEST])
@pytest.mark.parametrize("option", OPTIONS)
def test_each_option_renders_what_kubernetes_knows(helm: Helm, tmp_path: Path, option: str, version: str) -> None:
    sound(rendered(helm, OPTIONS[option], version=version), version, tmp_path)


@pytest.mark.parametrize("version", [OLDEST, NEWEST])
@pytest.mark.parametrize("file", VALUE_FILES)
@pytest.mark.parametrize("everything", [False, True], ids=["as it is", "with every option"])
def test_each_file_renders_what_kubernetes_knows(
    helm: Helm, tmp_path: Path, file: str, version: str, *, everything: bool
) -> None:
    options = list(OPTIONS.values()) if everything else []
    policy: Document = {"compile": {"admissionPolicy": {"enabled": version != OLDEST}}} if file == "production" else {}
    tokens = {"monitoring": {"serviceMonitor": {"tokenSecret": "token"}}}
    sound(rendered(helm, merged(*options, policy, tokens), file, version), version, tmp_path)


def test_with_every_option_there_is_an_object_of_every_template(helm: Helm) -> None:
    tokens = {"monitoring": {"serviceMonitor": {"tokenSecret": "token"}}}
    without = ("an account that is there", "a Secret that is there", "no network policy of compiles")
    values = merged(*(each for name, each in OPTIONS.items() if name not in without), POLICY, tokens)
    said = helm.run("template", RELEASE, str(CHART), f"--kube-version={NEWEST}", values=values).stdout
    templates = {str(each.relative_to(CHART.parent)) for each in CHART.glob("templates/**/*.yaml")}
    assert {line.removeprefix("# Source: ") for line in said.splitlines() if line.startswith("# Source: ")} == templates


@pytest.mark.parametrize("file", VALUE_FILES)
def test_helm_has_no_complaint(helm: Helm, file: str) -> None:
    helm.run("lint", "--strict", str(CHART), f"--values={VALUE_FILES[file]}", values=NEEDED[file])


# --- what matters in them


@pytest.mark.parametrize("warm", [False, True], ids=["cold", "warm"])
def test_the_role_is_that_of_the_examples(helm: Helm, *, warm: bool) -> None:
    objects = rendered(helm, {"compile": {"warm": {"enabled": warm}, "namespace": {"name": "builds"}}})
    files = ["kubernetes-role", "kubernetes-serve-role", *(["kubernetes-warm-role"] if warm else [])]
    role, binding = one(objects, "Role"), one(objects, "RoleBinding")
    rules = [rule for name in files for rule in yaml.safe_load((EXAMPLES / f"{name}.yaml").read_text())["rules"]]
    assert role["rules"] == rules
    assert role["metadata"]["namespace"] == binding["metadata"]["namespace"] == "builds"
    assert binding["roleRef"]["name"] == role["metadata"]["name"]
    account = one(objects, "ServiceAccount")
    assert binding["subjects"] == [
        {"kind": "ServiceAccount", "name": account["metadata"]["name"], "namespace": NAMESPACE}
    ]
    assert not {"ClusterRole", "ClusterRoleBinding"} & kinds(objects)


def test_only_the_service_itself_has_a_token(helm: Helm) -> None:
    objects = rendered(helm, OPTIONS["pre-pull"])
    assert one(objects, "ServiceAccount")["automountServiceAccountToken"] is False
    mounted = [pod["spec"].get("automountServiceAccountToken") for pod in pods(objects)]
    assert sorted(mounted) == [False, False, True]
    spec = one(objects, "Deployment")["spec"]["template"]["spec"]
    assert spec["automountServiceAccountToken"] is True
    assert spec["serviceAccountName"] == one(objects, "ServiceAccount")["metadata"]["name"]


def test_the_network_policy_of_compiles_selects_their_pods_and_not_the_services(helm: Helm) -> None:
    objects = rendered(helm, {})
    policy = one(objects, "NetworkPolicy", "-compile")
    work = Work("one", "gcc:13", "tests", settings.parse(told(objects)["kubernetes"]), 1 << 29, 0.5, 60)
    wanted = policy["spec"]["podSelector"]["matchLabels"].items()
    assert wanted <= manifests.job(work)["spec"]["template"]["metadata"]["labels"].items()
    assert not any(wanted <= pod["metadata"]["labels"].items() for pod in pods(objects))
    assert policy["metadata"]["namespace"] == told(objects)["kubernetes"]["namespace"]
    assert policy["spec"]["policyTypes"] == ["Ingress", "Egress"]
    assert not {"ingress", "egress"} & set(policy["spec"])
    example = yaml.safe_load((EXAMPLES / "kubernetes-network-policy.yaml").read_text())
    assert policy["spec"] == example["spec"]


def test_a_compile_is_what_the_values_say(helm: Helm) -> None:
    objects = rendered(helm, OPTIONS["compiles"])
    found = settings.parse(told(objects)["kubernetes"])
    spec = manifests.job(Work("one", "gcc:13", "tests", found, found.memory, found.cpu, 60))["spec"]["template"]["spec"]
    assert spec["containers"][0]["resources"] == {
        "requests": {"cpu": "250m", "memory": str(128 << 20), "ephemeral-storage": str(16 << 20)},
        "limits": {"cpu": "2000m", "memory": str(1 << 30), "ephemeral-storage": str(256 << 20)},
    }
    assert spec["nodeSelector"].items() >= {"pool": "compilers", "kubernetes.io/arch": "arm64"}.items()
    assert spec["tolerations"][: len(TOLERATIONS)] == TOLERATIONS
    assert (spec["runtimeClassName"], spec["serviceAccountName"]) == ("gvisor", "compiler")
    assert spec["securityContext"]["seccompProfile"]["localhostProfile"] == "profiles/compile.json"
    assert (found.queue, found.labels) == ("builds", {"example.org/team": "1"})
    assert pins(told(objects)["images"]) == {
        **{family: f"registry.example.org:5000/team/{family}:{{version}}" for family in ("gcc", "clang", "rustc")},
        "gcc-13": "r.example.org/gcc@sha256:" + 64 * "c",
        "go": "r.example.org/go:{version}",
    }


def test_what_is_there_where_nothing_is_said(helm: Helm) -> None:
    objects = rendered(helm, {})
    assert kinds(objects) == {
        *("ConfigMap", "Deployment", "NetworkPolicy", "Pod", "Role", "RoleBinding", "Service", "ServiceAccount")
    }
    deployment = one(objects, "Deployment")["spec"]
    (container,) = deployment["template"]["spec"]["containers"]
    assert container["resources"] == {
        "requests": {"cpu": "200m", "memory": "256Mi"},
        "limits": {"cpu": "1000m", "memory": "512Mi"},
    }
    paths = {"startupProbe": "/health", "livenessProbe": "/health", "readinessProbe": "/ready"}
    for probe, path in paths.items():
        assert container[probe]["httpGet"] == {"path": path, "port": "http"}
        assert 5 <= container[probe]["initialDelaySeconds"] <= 10
    assert deployment["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
    compiles = told(objects)["kubernetes"]
    assert (compiles["request-cpu"], compiles["request-memory"]) == ("100m", "64Mi")
    assert (compiles["cpu"], compiles["memory"]) == ("500m", "512Mi")


def test_production_is_for_many_users(helm: Helm) -> None:
    objects = rendered(helm, {}, "production")
    scaler = one(objects, "HorizontalPodAutoscaler")["spec"]
    assert (scaler["minReplicas"], scaler["maxReplicas"]) == (3, 20)
    assert {each["resource"]["name"] for each in scaler["metrics"]} == {"cpu", "memory"}
    deployment = one(objects, "Deployment")
    assert "replicas" not in deployment["spec"]
    assert scaler["scaleTargetRef"]["name"] == deployment["metadata"]["name"]
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    budget = one(objects, "PodDisruptionBudget")["spec"]
    assert budget["minAvailable"] == 2
    spread = deployment["spec"]["template"]["spec"]["topologySpreadConstraints"]
    assert [each["topologyKey"] for each in spread] == ["kubernetes.io/hostname"]
    own = one(objects, "NetworkPolicy", "will-it-compile")["spec"]
    selectors = (budget["selector"], spread[0]["labelSelector"], own["podSelector"])
    assert all(each["matchLabels"].items() <= labels.items() for each in selectors)
    assert kinds(objects) >= {"LimitRange", "ResourceQuota", "PriorityClass", "ValidatingAdmissionPolicy"}
    levels = one(objects, "Namespace")["metadata"]["labels"]
    assert {levels[f"pod-security.kubernetes.io/{what}"] for what in ("enforce", "warn", "audit")} == {"restricted"}


@pytest.mark.parametrize("file", VALUE_FILES)
def test_a_pod_is_killed_only_after_it_could_end_by_itself(helm: Helm, file: str) -> None:
    objects = rendered(helm, {}, file)
    spec = one(objects, "Deployment")["spec"]["template"]["spec"]
    hook = spec["containers"][0].get("lifecycle")
    waits = int(hook["preStop"]["exec"]["command"][-1].partition("sleep(")[2].rstrip(")")) if hook else 0
    assert spec["terminationGracePeriodSeconds"] >= waits + told(objects)["serve"]["grace"] + 5


def test_pods_are_made_anew_only_where_they_are_told_something_else(helm: Helm) -> None:
    def checksum(values: Mapping[str, Any]) -> str:
        found: str = one(rendered(helm, values), "Deployment")["spec"]["template"]["metadata"]["annotations"][
            "checksum/config"
        ]
        return found

    assert checksum({}) == checksum({"replicaCount": 5, "tokens": {"hashes": [HASH]}})
    assert checksum({}) != checksum({"server": {"queueSize": 7}})


def test_tokens_are_a_file_that_changes_with_their_secret(helm: Helm) -> None:
    objects = rendered(helm, OPTIONS["tokens"])
    secret = one(objects, "Secret")
    assert secret["stringData"]["tokens"].splitlines() == [HASH, HASH]
    spec = one(objects, "Deployment")["spec"]["template"]["spec"]
    (mount,) = (each for each in spec["containers"][0]["volumeMounts"] if each["name"] == "config")
    assert "subPath" not in mount
    (volume,) = (each for each in spec["volumes"] if each["name"] == "config")
    (source,) = (each["secret"] for each in volume["projected"]["sources"] if "secret" in each)
    assert source["name"] == secret["metadata"]["name"]
    assert f"{mount['mountPath']}/{source['items'][0]['path']}" == told(objects)["serve"]["tokens"]
    theirs = rendered(helm, OPTIONS["a Secret that is there"])
    assert "Secret" not in kinds(theirs)


def test_images_are_pulled_as_the_example_does(helm: Helm) -> None:
    found = one(rendered(helm, OPTIONS["pre-pull"]), "DaemonSet")["spec"]
    example = yaml.safe_load((EXAMPLES / "kubernetes-pre-pull.yaml").read_text())["spec"]
    assert found["updateStrategy"] == example["updateStrategy"]
    spec, like = found["template"]["spec"], example["template"]["spec"]
    for key in ("automountServiceAccountToken", "enableServiceLinks", "terminationGracePeriodSeconds"):
        assert spec[key] == like[key]
    pulled, wanted = spec["initContainers"], like["initContainers"][0]
    assert [(each["image"], each["command"]) for each in pulled] == [
        (GCC["image"], GCC["command"]),
        ("registry.example.org/gcc:14", GCC["command"]),
    ]
    assert all(each[key] == wanted[key] for each in pulled for key in ("securityContext", "resources"))
    assert spec["containers"][0]["image"] == like["containers"][0]["image"]
    assert spec["imagePullSecrets"] == [{"name": "registry-password"}]
    assert spec["nodeSelector"] == {"pool": "compilers", "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64"}


def test_the_service_is_the_only_one_that_the_policy_is_for(helm: Helm) -> None:
    objects = rendered(helm, merged(POLICY, {"compile": {"namespace": {"name": "builds"}}}))
    policy, binding = one(objects, "ValidatingAdmissionPolicy"), one(objects, "ValidatingAdmissionPolicyBinding")
    assert policy["spec"]["failurePolicy"] == "Fail"
    account = f"system:serviceaccount:{NAMESPACE}:{one(objects, 'ServiceAccount')['metadata']['name']}"
    assert json.dumps(account) in policy["spec"]["matchConditions"][0]["expression"]
    assert binding["spec"]["policyName"] == policy["metadata"]["name"]
    assert binding["spec"]["validationActions"] == ["Deny"]
    assert binding["spec"]["matchResources"] == {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "builds"}}
    }


@pytest.mark.parametrize(
    ("values", "version", "said"),
    [
        (POLICY, "1.29.9", "Kubernetes v1.29.9 has no ValidatingAdmissionPolicy"),
        ({"compile": {"admissionPolicy": {"enabled": True}}}, NEWEST, "it would allow no image"),
        ({"compile": {"prePull": {"enabled": True}}}, NEWEST, "compile.prePull.images names none"),
        ({"compile": {"namespace": {"create": True}}}, NEWEST, "compile.namespace.name"),
        ({"compile": {"namespace": {"create": True, "name": NAMESPACE}}}, NEWEST, "compile.namespace.name"),
        ({"tokens": {"enabled": True}}, NEWEST, "tokens.hashes"),
        ({"serviceAccount": {"create": False}}, NEWEST, "serviceAccount.name"),
    ],
)
def test_what_does_not_go_together_is_refused(helm: Helm, values: Document, version: str, said: str) -> None:
    with pytest.raises(AssertionError, match=re.escape(said)):
        rendered(helm, values, version=version)


def test_a_cluster_that_is_too_old_is_refused(helm: Helm) -> None:
    with pytest.raises(AssertionError, match=re.escape("incompatible with Kubernetes v1.26.9")):
        rendered(helm, {}, version="1.26.9")
