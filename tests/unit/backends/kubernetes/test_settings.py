from __future__ import annotations

import doctest
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from willitcompile.backends.kubernetes import settings, syntax
from willitcompile.backends.kubernetes.settings import KEYS, Settings, Warm, parse
from willitcompile.config import UnfitError, files
from willitcompile.errors import ConfigError
from willitcompile.model import GIB, MIB


def read(text: str) -> Settings:
    """From YAML."""
    (entry,) = files.from_yaml(f"kubernetes: {text}\n", "x.yaml")
    assert entry.section is not None
    return parse(entry.section)


def refused(section: Any) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        parse(section)
    return caught.value


def test_an_empty_section_is_the_defaults() -> None:
    assert parse({}) == read("") == Settings()
    assert parse(dict.fromkeys(KEYS)) == Settings()


def test_the_defaults_are_what_was_promised() -> None:
    default = Settings()
    assert (default.memory, default.cpu) == (512 * MIB, 0.5)
    assert (default.request_memory, default.request_cpu) == (64 * MIB, 0.1)
    assert (default.keep_seconds, default.delete, default.warm.enabled) == (300, "at-once", False)


def test_each_key_is_a_field_and_the_other_way_round() -> None:
    assert [key.field for key in KEYS.values()] == list(Settings._fields)
    assert [key.field for key in settings.WARM.values()] == list(Warm._fields)


@pytest.mark.parametrize("name", KEYS)
def test_each_example_says_something_else_than_the_default(name: str) -> None:
    read_as = getattr(read(f"{{{name}: {KEYS[name].example}}}"), KEYS[name].field)
    assert read_as != getattr(Settings(), KEYS[name].field)


def test_a_whole_section() -> None:
    assert read(
        """
        context: kind-kind
        namespace: builds
        architecture: arm64
        memory: 1G
        cpu: none
        request-memory: 128Mi
        request-cpu: 250m
        start-seconds: 60
        keep-seconds: 0
        delete: ttl
        pods: 32
        units: 1
        warm: {enabled: yes, min: 1, max: 4, idle-seconds: 60}
        runtime-class: gvisor
        priority-class: low
        service-account: compiler
        image-pull-secrets: [a, b.c, a]
        image-pull-policy: Never
        node-selector: {pool: compilers, example.org/fast: ""}
        tolerations:
        - {key: dedicated, value: compilers, effect: NoSchedule}
        - {operator: Exists, effect: NoExecute, tolerationSeconds: 60}
        labels: {team: compilers, example.org/on: yes}
        annotations: {example.org/owner: "who, if not us?"}
        queue: builds
        owner: will-it-compile-queue
        seccomp-profile: profiles/compile.json
    """.replace("\n    ", "\n")
    ) == Settings(
        context="kind-kind",
        namespace="builds",
        architecture="arm64",
        memory=10**9,
        cpu=None,
        request_memory=128 * MIB,
        request_cpu=0.25,
        start_seconds=60,
        keep_seconds=0,
        delete="ttl",
        pods=32,
        units=1,
        warm=Warm(enabled=True, min=1, max=4, idle_seconds=60),
        runtime_class="gvisor",
        priority_class="low",
        service_account="compiler",
        image_pull_secrets=("a", "b.c"),
        image_pull_policy="Never",
        node_selector={"pool": "compilers", "example.org/fast": ""},
        tolerations=(
            {"key": "dedicated", "value": "compilers", "effect": "NoSchedule"},
            {"operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 60},
        ),
        labels={"team": "compilers", "example.org/on": "yes"},
        annotations={"example.org/owner": "who, if not us?"},
        queue="builds",
        owner="will-it-compile-queue",
        seccomp_profile="profiles/compile.json",
    )


def test_numbers_and_booleans_of_python_are_taken_as_their_text() -> None:
    given = {"cpu": 0.25, "memory": GIB, "pods": 3, "warm": {"enabled": True}, "labels": {"on": True, "of": 3}}
    assert parse(given) == Settings(
        cpu=0.25, memory=GIB, pods=3, warm=Warm(enabled=True), labels={"on": "true", "of": "3"}
    )


WRONG: list[tuple[dict[str, object], str, str]] = [
    ({"memmory": "1Gi"}, "memmory", "did you mean memory?"),
    ({"imagePullSecrets": "a"}, "imagePullSecrets", "did you mean image-pull-secrets?"),
    ({"context": " "}, "context", "it is empty"),
    ({"namespace": "kube.system"}, "namespace", "a-z, 0-9 and -"),
    ({"namespace": "a\n"}, "namespace", "a-z, 0-9 and -"),
    ({"namespace": ["a"]}, "namespace", "not one word"),
    ({"architecture": "x86_64"}, "architecture", "none of amd64, arm64"),
    ({"memory": "512m"}, "memory", "at least 192Mi"),
    ({"memory": "512MB"}, "memory", "not a number of bytes"),
    ({"memory": "1e9Gi"}, "memory", "not a number of bytes"),
    ({"memory": "-1Gi"}, "memory", "not a number of bytes"),
    ({"memory": "none"}, "memory", "not a number of bytes"),
    ({"memory": "2000Ti"}, "memory", "a node can have"),
    ({"memory": True}, "memory", "not a number of bytes"),
    ({"memory": 1 << 64}, "memory", "not one word or number"),
    ({"cpu": "0"}, "cpu", "number of cores from 0.01"),
    ({"cpu": "5000"}, "cpu", "to 1024"),
    ({"cpu": float("nan")}, "cpu", "number of cores"),
    ({"cpu": float("inf")}, "cpu", "number of cores"),
    ({"request-memory": "1Gi"}, "request-memory", "more than kubernetes.memory"),
    ({"request-memory": "193Mi", "memory": "192Mi"}, "request-memory", "more than kubernetes.memory"),
    ({"request-cpu": "501m"}, "request-cpu", "more than kubernetes.cpu"),
    ({"start-seconds": "2m"}, "start-seconds", "whole number from 1 to 3600"),
    ({"keep-seconds": "-1"}, "keep-seconds", "whole number"),
    ({"delete": "never"}, "delete", "none of at-once, ttl"),
    ({"pods": 0}, "pods", "from 1 to 1000"),
    ({"pods": True}, "pods", "from 1 to 1000"),
    ({"pods": 1.5}, "pods", "from 1 to 1000"),
    ({"pods": "٣"}, "pods", "from 1 to 1000"),
    ({"units": "9" * 5000}, "units", "from 1 to 1000"),
    ({"warm": "true"}, "warm", "not a mapping"),
    ({"warm": {"enabled": "maybe"}}, "warm.enabled", "neither true nor false"),
    ({"warm": {"idle-sec": 3}}, "warm.idle-sec", "did you mean idle-seconds?"),
    ({"warm": {"min": 9}}, "warm.min", "more than kubernetes.warm.max, 8"),
    ({"runtime-class": "gVisor"}, "runtime-class", "names of Kubernetes"),
    ({"priority-class": "a..b"}, "priority-class", "names of Kubernetes"),
    ({"service-account": "-a"}, "service-account", "names of Kubernetes"),
    ({"service-account": "a" * 254}, "service-account", "names of Kubernetes"),
    ({"image-pull-secrets": ["a", "B"]}, "image-pull-secrets[1]", "names of Kubernetes"),
    ({"image-pull-secrets": ["a", None]}, "image-pull-secrets[1]", "not one word"),
    ({"image-pull-secrets": ["a"] * 65}, "image-pull-secrets", "more than 64"),
    ({"image-pull-policy": "always"}, "image-pull-policy", "none of IfNotPresent"),
    ({"node-selector": ["a"]}, "node-selector", "not a mapping"),
    ({"node-selector": {"pool": None}}, "node-selector.pool", 'an empty one is written ""'),
    ({"node-selector": {"a b": "c"}}, "node-selector", "a name is of at most"),
    ({"node-selector": {"A.b/c": "d"}}, "node-selector['A.b/c']", "a name is of at most"),
    ({"node-selector": {"/c": "d"}}, "node-selector", "a name is of at most"),
    ({"node-selector": {"a/": "d"}}, "node-selector['a/']", "a name is of at most"),
    ({"node-selector": {"a": "d" * 64}}, "node-selector.a", "a value is of at most"),
    ({"node-selector": {"a": "d\n"}}, "node-selector.a", "a value is of at most"),
    ({"node-selector": {"kubernetes.io/arch": "arm64"}}, "node-selector['kubernetes.io/arch']", "architecture sets it"),
    ({"node-selector": {"kubernetes.io/os": "windows"}}, "node-selector['kubernetes.io/os']", "Linux"),
    ({"tolerations": {"operator": "exists"}}, "tolerations[0].operator", "none of Equal, Exists"),
    ({"tolerations": [{"key": "a"}, {"effct": "b"}]}, "tolerations[1].effct", "did you mean effect?"),
    ({"tolerations": ["a"]}, "tolerations[0]", "not a mapping"),
    ({"tolerations": [{}]}, "tolerations[0].key", "only the operator Exists"),
    ({"tolerations": [{"value": "x"}]}, "tolerations[0].key", "only the operator Exists"),
    ({"tolerations": [{"key": "a", "operator": "Exists", "value": "b"}]}, "tolerations[0].value", "takes none"),
    ({"tolerations": [{"key": "a", "tolerationSeconds": 3}]}, "tolerations[0].toleration-seconds", "NoExecute"),
    (
        {"tolerations": [{"key": "a", "tolerationSeconds": 3, "toleration-seconds": 3}]},
        "tolerations[0].toleration-seconds",
        "set twice",
    ),
    ({"labels": {"job-id": "x"}}, "labels.job-id", "will-it-compile sets it"),
    ({"labels": {"managed-by": "x"}}, "labels.managed-by", "will-it-compile sets it"),
    ({"labels": {"app.kubernetes.io/name": "x"}}, "labels['app.kubernetes.io/name']", "will-it-compile sets it"),
    ({"labels": {"will-it-compile.session": "x"}}, "labels['will-it-compile.session']", "will-it-compile sets it"),
    ({"labels": {"will-it-compile/x": "x"}}, "labels['will-it-compile/x']", "will-it-compile sets it"),
    ({"labels": {"batch.kubernetes.io/job-name": "x"}}, "labels['batch.kubernetes.io/job-name']", "Kubernetes sets"),
    ({"labels": {"job-name": "x"}}, "labels.job-name", "Kubernetes sets"),
    ({"labels": {"kueue.x-k8s.io/queue-name": "x"}}, "labels['kueue.x-k8s.io/queue-name']", "queue sets it"),
    ({"labels": {"a": "{{ x }}"}}, "labels.a", "a value is of at most"),
    ({"annotations": {"managed-by": "x"}}, "annotations.managed-by", "will-it-compile sets it"),
    ({"annotations": {"a": "\x1b[2J"}}, "annotations.a", "cannot be shown"),
    ({"annotations": {"a": "\ud800"}}, "annotations.a", "cannot be shown"),
    ({"annotations": {"a": "x" * 65_536}}, "annotations", "64 KiB"),
    (
        {"annotations": {"container.apparmor.security.beta.kubernetes.io/compile": "unconfined"}},
        "annotations['container.apparmor.security.beta.kubernetes.io/compile']",
        "never unconfined",
    ),
    ({"queue": "a" * 64}, "queue", "more than 63"),
    ({"seccomp-profile": "/etc/passwd"}, "seccomp-profile", "below the kubelet's"),
    ({"seccomp-profile": "a/../../b"}, "seccomp-profile", "below the kubelet's"),
    ({"seccomp-profile": "Unconfined"}, "seccomp-profile", "never runs without"),
]


@pytest.mark.parametrize(("section", "where", "why"), WRONG, ids=lambda value: repr(value)[:60])
def test_what_is_wrong_is_told_with_its_key(section: dict[str, object], where: str, why: str) -> None:
    error = refused(section)
    assert error.asked == f"set kubernetes.{where}"
    assert why in error.obstacle
    assert error.remedy


@pytest.mark.parametrize(
    "section",
    [
        {"SECRET:*:19000": "x"},
        {"namespace": "SECRET"},
        {"memory": "SECRET"},
        {"labels": {"SECRET x": "a"}},
        {"labels": {"a": "SECRET x"}},
        {"annotations": {"a": "SECRET\x1b"}},
        {"tolerations": [{"SECRET\n": "a"}]},
        {"image-pull-secrets": "SECRET"},
        {"seccomp-profile": "/SECRET"},
        {"delete": "SECRET"},
    ],
)
def test_an_error_shows_no_value(section: dict[str, object]) -> None:
    error = refused(section)
    assert "SECRET" not in error.asked + error.obstacle + error.remedy


def test_a_request_that_nobody_named_gives_way_to_a_low_limit() -> None:
    low = parse({"memory": "192Mi", "cpu": "50m"})
    assert (low.request_memory, low.request_cpu) == (64 * MIB, low.cpu) == (64 * MIB, 0.05)
    assert parse({"cpu": "none", "request-cpu": "64"}).request_cpu == 64


def test_a_number_too_long_to_be_printed_is_refused_too() -> None:
    for name in ("pods", "memory", "cpu", "queue"):
        refused({name: 1 << 20_000})


def test_the_runtimes_own_profile_can_be_said() -> None:
    assert parse({"seccomp-profile": "RuntimeDefault"}).seccomp_profile is None


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("536870912", 512 * MIB),
        ("512Mi", 512 * MIB),
        ("0.5Gi", 512 * MIB),
        (".5Gi", 512 * MIB),
        ("64M", 64_000_000),
        ("64000k", 64_000_000),
        ("65536Ki", 64 * MIB),
        ("1G", 10**9),
        ("1e9", 10**9),
        ("1E9", 10**9),
        ("123456789.000000001", 123_456_790),
        ("99999999999m", 100_000_000),
        ("1Ti", 1024 * GIB),
        ("1T", 10**12),
    ],
)
def test_memory_is_counted_as_kubernetes_does(text: str, count: int) -> None:
    assert syntax.parse_memory(text, 0) == count


@pytest.mark.parametrize(
    ("text", "cores"),
    [("100m", 0.1), ("0.5", 0.5), ("2", 2), ("1e1", 10), ("5e-1", 0.5), ("0.0101", 0.011), ("1k", 1000), ("1.", 1)],
)
def test_cores_are_counted_as_kubernetes_does(text: str, cores: float) -> None:
    assert syntax.parse_cpu(text) == cores


@pytest.mark.parametrize("text", ["", ".", "m", "1 Mi", "1ki", "1K", "1mi", "1i", "0x10", "1_0", "1e10", "+1", "1Mi\n"])
def test_what_is_no_quantity(text: str) -> None:
    with pytest.raises(UnfitError):
        syntax.parse_memory(text, 0)


@given(st.integers(10, 1024_000))
def test_thousandths_of_a_core_are_exact(thousandths: int) -> None:
    cores = syntax.parse_cpu(f"{thousandths}m")
    assert round(cores * 1000) == thousandths
    assert syntax.parse_cpu(repr(cores)) == cores


@given(st.integers(192 * MIB, 1 << 50))
def test_bytes_are_exact(count: int) -> None:
    assert syntax.parse_memory(str(count)) == count


TEXTS = st.text(max_size=8) | st.sampled_from(
    [
        "1",
        "100m",
        "64Mi",
        "2Gi",
        "true",
        "none",
        "a",
        "Exists",
        "NoExecute",
        "a/b",
        "",
        "gvisor",
        "arm64",
        "ttl",
        "job-id",
    ]
)
NAMES = st.sampled_from([*KEYS, *settings.WARM, *settings.TOLERATION, "tolerationSeconds", "a.b/c"]) | st.text(
    max_size=5
)
DATA = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=20,
)


def settings_or_a_config_error(section: dict[str, Any]) -> None:
    try:
        parsed = parse(section)
    except ConfigError as error:
        assert error.asked.startswith("set kubernetes")  # noqa: PT017 - it may fit as well
        assert error.obstacle  # noqa: PT017
        assert error.remedy  # noqa: PT017
        return
    assert parsed.request_memory <= parsed.memory
    assert parsed.cpu is None or parsed.request_cpu <= parsed.cpu
    assert parsed.warm.min <= parsed.warm.max


@given(st.dictionaries(NAMES, DATA, max_size=6))
@example({"tolerations": {"operator": "Exists"}})
def test_any_data_is_settings_or_a_config_error(section: dict[str, Any]) -> None:
    settings_or_a_config_error(section)


@given(st.sampled_from(list(KEYS)), DATA)
def test_any_data_of_any_key_is_settings_or_a_config_error(name: str, value: Any) -> None:
    settings_or_a_config_error({name: value})


@pytest.mark.parametrize("section", [None, "a", ["a"], 3])
def test_what_is_no_mapping_is_refused(section: Any) -> None:
    assert refused(section).asked == "set kubernetes"


def test_the_examples_of_the_documentation_hold() -> None:
    assert doctest.testmod(syntax).failed == 0
