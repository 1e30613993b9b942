"""What the values say reaches the service, which takes the file that the chart makes of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
import yaml

from tests.chart.helm import CHART, NAMESPACE, RELEASE, VALUE_FILES
from willitcompile import config
from willitcompile.backends import references
from willitcompile.backends.kubernetes import settings as cluster
from willitcompile.model import GIB, MIB
from willitcompile.server import settings as server
from willitcompile.server.tokens import Tokens
from willitcompile.server.tokens import line as token_line

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tests.chart.helm import Helm

pytestmark = pytest.mark.chart

IMAGES = ("--set", "compile.registry=registry.example.org/team")
"""Without which production's admission policy would allow nothing."""


class Told(NamedTuple):
    """What the service understands of its file."""

    check: config.Settings
    serve: server.ServeSettings
    kubernetes: cluster.Settings
    file: dict[str, Any]


@pytest.fixture
def told(helm: Helm, tmp_path: Path) -> Any:
    def told(*arguments: str, values: Mapping[str, Any] | None = None) -> Told:
        objects = helm.template(*arguments, values=values)
        (text,) = (each["data"]["serve.yaml"] for each in objects if "serve.yaml" in each.get("data", {}))
        path = tmp_path / "serve.yaml"
        path.write_text(text)
        check = config.resolve({}, environment={}, file=str(path))
        references.pins(check.images)
        return Told(
            check,
            server.resolve({}, check.options[config.SERVICE_SECTION], str(path), {}),
            cluster.parse(check.options[cluster.SECTION]),
            yaml.safe_load(text),
        )

    return told


EVERYTHING: dict[str, Any] = {
    "server": {
        "queueSize": 1_000_000,
        "keep": "2h",
        "keepResults": 10_000_000,
        "keepBytes": 2 * GIB,
        "rateLimit": 2.5,
        "trustedProxies": ["10.0.0.0/8", "fd00::/8", "192.0.2.1"],
        "corsOrigin": "https://example.org:8443",
        "maxBody": "16MiB",
        "headerTimeout": 0.5,
        "bodyTimeout": "1m",
        "maxConnections": 200_000,
        "grace": 60,
        "logFormat": "text",
        "logLevel": "warning",
    },
    "tokens": {"enabled": True, "existingSecret": "tokens"},
    "compile": {
        "namespace": {"name": "builds"},
        "jobs": 1024,
        "timeout": 45,
        "resources": {"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"cpu": 2, "memory": 4_000_000_000}},
        "registry": "registry.example.org/team/",
        "images": ["gcc-13=registry.example.org/gcc@sha256:" + 64 * "0"],
        "imagePullSecrets": ["password"],
        "imagePullPolicy": "Always",
        "architecture": "arm64",
        "startSeconds": 600,
        "nodeSelector": {"pool": "compilers"},
        "tolerations": [{"key": "dedicated", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 60}],
        "runtimeClassName": "gvisor",
        "seccompProfile": "profiles/compile.json",
        "queue": "builds",
        "labels": {"team": "on"},
        "annotations": {"example.org/owner": 'the compilers\' team: "we"\n# no comment'},
        "serviceAccountName": "compiler",
        "priorityClass": {"name": "low"},
        "warm": {"enabled": True, "min": 1, "max": 2, "idleSeconds": 60},
    },
}


def test_every_value_reaches_the_service(told: Any) -> None:
    settings = told(values=EVERYTHING)
    assert settings.check.backend == "kubernetes"
    assert (settings.check.jobs, settings.check.timeout) == (1024, 45)
    assert references.pins(settings.check.images) == {
        **{family: f"registry.example.org/team/{family}:{{version}}" for family in ("gcc", "clang", "go", "rustc")},
        "gcc-13": "registry.example.org/gcc@sha256:" + 64 * "0",
    }
    assert settings.serve._replace(state="") == server.ServeSettings(
        host="0.0.0.0",
        port=8080,
        queue_size=1_000_000,
        keep=7200,
        keep_results=10_000_000,
        keep_bytes=2 * GIB,
        rate_limit=2.5,
        trusted_proxies=("10.0.0.0/8", "fd00::/8", "192.0.2.1"),
        tokens="/etc/will-it-compile/tokens",
        cors_origin="https://example.org:8443",
        max_body=16 * MIB,
        header_timeout=0.5,
        body_timeout=60,
        max_connections=200_000,
        grace=60,
        log_format="text",
        log_level="warning",
    )
    assert settings.kubernetes == cluster.Settings(
        namespace="builds",
        architecture="arm64",
        memory=4_000_000_000,
        cpu=2,
        request_memory=GIB,
        request_cpu=1,
        start_seconds=600,
        warm=cluster.Warm(enabled=True, min=1, max=2, idle_seconds=60),
        runtime_class="gvisor",
        priority_class="low",
        service_account="compiler",
        image_pull_secrets=("password",),
        image_pull_policy="Always",
        node_selector={"pool": "compilers"},
        tolerations=({"key": "dedicated", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 60},),
        labels={"team": "on"},
        annotations={"example.org/owner": 'the compilers\' team: "we"\n# no comment'},
        queue="builds",
        owner=f"{RELEASE}-will-it-compile-queue",
        seccomp_profile="profiles/compile.json",
    )


def test_no_setting_is_out_of_reach(told: Any) -> None:
    """But those that the chart decides, or that mean nothing for a service in a cluster."""
    file = told(values=EVERYTHING).file
    assert set(server.SETTINGS) - set(file["serve"]) == {"state"}
    unused = {"context", "keep-seconds", "delete", "pods", "units"}
    assert set(cluster.KEYS) - set(file["kubernetes"]) == unused


@pytest.mark.parametrize("name", VALUE_FILES)
def test_the_service_takes_what_each_file_of_values_says(told: Any, name: str) -> None:
    settings = told("--values", str(VALUE_FILES[name]), *IMAGES)
    assert settings.kubernetes.owner == f"{RELEASE}-will-it-compile-queue"
    assert settings.kubernetes.memory == 512 * MIB
    assert settings.kubernetes.cpu == 0.5


def test_by_default_the_service_is_as_its_own_defaults_are(told: Any) -> None:
    settings = told()
    assert settings.serve._replace(state="", host="127.0.0.1") == server.ServeSettings()
    assert settings.check.timeout == config.Settings().timeout
    assert settings.kubernetes == cluster.Settings(namespace=NAMESPACE, owner=f"{RELEASE}-will-it-compile-queue")


REFUSED = {
    "server.keep": ["0", "25h", "1d", 86_401, ""],
    "server.keepBytes": ["0", "1TiB", 0, "many"],
    "server.corsOrigin": ["https://example.org/", "https://EXAMPLE.org", ""],
    "server.trustedProxies": [["10.0.0.256"], ["10.0.0.0/33"], ["proxy.example.org"]],
    "server.queueSize": [0, 1_000_001, "1000"],
    "server.rateLimit": [-1, 1_000_001],
    "compile.namespace.name": ["Builds", "-builds", 64 * "b"],
    "compile.jobs": [0, 1025],
    "compile.resources.limits.memory": ["128Mi", "191Mi", "512m", "512MiB", 1000],
    "compile.resources.limits.cpu": ["9m", "0", 0, "half"],
    "compile.resources.requests.cpu": ["-1", "1025", "100u"],
    "compile.images": [["gcc"], ["gcc=registry.example.org/gcc:13"], ["gcc-13=a b"]],
    "compile.architecture": ["x86_64"],
    "compile.startSeconds": [0, 3601],
    "compile.nodeSelector": [{"kubernetes.io/arch": "arm64"}, {"pool": "a b"}],
    "compile.tolerations": [
        [{"operator": "Equal", "value": "a"}],
        [{"key": "a", "operator": "Exists", "value": "b"}],
        [{"key": "a", "tolerationSeconds": 1}],
        [{"key": "a", "operator": "In"}],
    ],
    "compile.labels": [{"managed-by": "me"}, {"app.kubernetes.io/name": "a"}, {"will-it-compile/x": "a"}, {"a": "b c"}],
    "compile.annotations": [
        {"will-it-compile/answer": "compiled"},
        {"container.apparmor.security.beta.kubernetes.io/compile": "unconfined"},
    ],
    "compile.seccompProfile": ["../x", "/x", "unconfined", "a//b"],
    "compile.queue": [64 * "q", "Q"],
    "compile.runtimeClassName": ["gVisor"],
    "compile.warm.max": [0, 1001],
}


@pytest.mark.parametrize(("path", "value"), [(path, value) for path, values in REFUSED.items() for value in values])
def test_what_the_service_would_refuse_helm_refuses(helm: Helm, told: Any, path: str, value: object) -> None:
    """With the path; and without the schema the service does."""
    values: Any = value
    for name in reversed(path.split(".")):
        values = {name: values}
    if path.startswith("compile.warm"):
        values["compile"]["warm"]["enabled"] = True
    done = helm.run("template", RELEASE, str(CHART), values=values, check=False)
    assert done.returncode != 0
    assert f"at '/{path.replace('.', '/')}" in done.stderr
    if value not in ("", "1000"):  # nothing, and a number in quotes, are what helm alone is strict about
        with pytest.raises(config.ConfigError):
            told("--skip-schema-validation", values=values)


TOGETHER = {
    "use tokens: there is none": {"tokens": {"enabled": True}},
    "use a ServiceAccount that is there: it is not named": {"serviceAccount": {"create": False}},
    "make a namespace for compiles: it has no name of its own": {"compile": {"namespace": {"create": True}}},
    "use an autoscaler: its least is more than its most": {"autoscaling": {"enabled": True, "minReplicas": 21}},
    "use a budget for disruptions: it keeps 2 pods of 1, so that no node with one could ever be drained": {
        "podDisruptionBudget": {"enabled": True}
    },
    "keep pods warm: compile.warm.min is more than compile.warm.max": {
        "compile": {"warm": {"enabled": True, "min": 9, "max": 2}}
    },
    "use the admission policy: it would allow no image": {"compile": {"admissionPolicy": {"enabled": True}}},
}


@pytest.mark.parametrize("obstacle", TOGETHER)
def test_values_that_do_not_go_together_are_refused_with_a_remedy(helm: Helm, obstacle: str) -> None:
    done = helm.run("template", RELEASE, str(CHART), values=TOGETHER[obstacle], check=False)
    assert done.returncode != 0
    remedy = done.stderr.partition(f"{obstacle}\n")[2]
    assert remedy.startswith(("write", "set"))


def test_the_secret_of_tokens_is_the_file_that_the_service_reads(helm: Helm, tmp_path: Path) -> None:
    made = [token_line(name) for name in ("ci", "editor")]
    objects = helm.template(values={"tokens": {"enabled": True, "hashes": [entry for _, entry in made]}})
    (secret,) = (each for each in objects if each["kind"] == "Secret")
    (deployment,) = (each for each in objects if each["kind"] == "Deployment")
    sources = deployment["spec"]["template"]["spec"]["volumes"][0]["projected"]["sources"]
    assert sources[1]["secret"]["name"] == secret["metadata"]["name"]
    ((key, text),) = secret["stringData"].items()
    assert sources[1]["secret"]["items"] == [{"key": key, "path": "tokens"}]
    (tmp_path / "tokens").write_text(text)
    tokens = Tokens(tmp_path / "tokens", warn=lambda _: None)
    assert [tokens.who(f"Bearer {token}") for token, _ in made] == ["ci", "editor"]
