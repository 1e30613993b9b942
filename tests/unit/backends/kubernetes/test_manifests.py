"""What is made in a cluster. A real API server is asked, too, whether it would take it."""

from __future__ import annotations

import json
import re
from base64 import b64decode
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from willitcompile.backends import launcher
from willitcompile.backends.kubernetes import manifests
from willitcompile.backends.kubernetes.api.access import locate
from willitcompile.backends.kubernetes.api.client import Api, ApiError
from willitcompile.backends.kubernetes.manifests import MOST_PARTS, PART_BYTES, PLACE, ROOT, Work, cut, name_of
from willitcompile.backends.kubernetes.settings import Settings, parse
from willitcompile.model import MIB

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator

LABEL = re.compile(r"(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?")
NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
OURS = {
    "managed-by": "will-it-compile",
    "job-id": "a-1",
    "will-it-compile/session": "s",
    "app.kubernetes.io/name": "will-it-compile",
    "app.kubernetes.io/component": "compile",
    "app.kubernetes.io/managed-by": "will-it-compile",
}

words = st.from_regex(r"[a-z][a-z0-9]{0,9}", fullmatch=True)
keys = st.builds("{}.example/{}".format, words, words) | words
texts = st.text(st.characters(codec="utf-8", categories=("L", "N", "P", "S")) | st.just(" "), max_size=30)
sections = st.fixed_dictionaries(
    {"architecture": st.sampled_from(["amd64", "arm64"])},
    optional={
        "memory": st.sampled_from(["256Mi", "512Mi", "1Gi", "1.5G"]),
        "cpu": st.sampled_from(["10m", "0.3", "2", "none"]),
        "start-seconds": st.integers(1, 3600),
        "keep-seconds": st.integers(0, 3600),
        "runtime-class": words,
        "priority-class": words,
        "service-account": words,
        "image-pull-secrets": st.lists(words, min_size=1, max_size=3),
        "image-pull-policy": st.sampled_from(["IfNotPresent", "Always", "Never"]),
        "node-selector": st.dictionaries(keys, words, max_size=4),
        "tolerations": st.lists(
            st.fixed_dictionaries(
                {"key": keys, "operator": st.just("Exists")}, optional={"effect": st.just("NoExecute")}
            ),
            max_size=3,
        ),
        "labels": st.dictionaries(keys, words, max_size=4),
        "annotations": st.dictionaries(keys, texts, max_size=4),
        "queue": words,
        "seccomp-profile": st.builds("{}/{}.json".format, words, words),
    },
)


@st.composite
def works(draw: st.DrawFn) -> Work:
    chosen = parse(draw(sections))
    return Work(
        id="a-1",
        image=draw(st.sampled_from(["gcc:13", "registry.example.org:5000/x/gcc@sha256:" + "ab" * 32])),
        session="s",
        settings=chosen,
        memory_bytes=draw(st.integers(16 * MIB, 1 << 40)),
        cpus=draw(st.sampled_from([None, 0.01, 0.1, 0.5, 64.0])),
        seconds=draw(st.integers(1, 100_000)),
        client=draw(st.none() | texts),
        question=draw(st.none() | texts),
        parts=draw(st.integers(0, 3)),
    )


def simple(section: dict[str, Any] | None = None, **changes: Any) -> Work:
    chosen = parse({"architecture": "amd64", **(section or {})})
    return Work("a-1", "gcc:13", "s", chosen, 640 * MIB, 0.5, 90)._replace(**changes)


def is_restricted(pod: dict[str, Any]) -> None:
    """https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted, with what it has of baseline."""
    for host in ("hostNetwork", "hostPID", "hostIPC", "hostUsers", "ephemeralContainers", "initContainers"):
        assert host not in pod
    around = pod["securityContext"]
    assert around["runAsNonRoot"] is True
    assert around["runAsUser"] == around["runAsGroup"] == 1000
    assert around["seccompProfile"]["type"] in {"RuntimeDefault", "Localhost"}
    assert set(around) == {"runAsNonRoot", "runAsUser", "runAsGroup", "seccompProfile"}
    assert all(set(each) <= {"name", "emptyDir", "projected"} for each in pod["volumes"])
    (container,) = pod["containers"]
    assert container["securityContext"] == {
        "privileged": False,
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert not {"ports", "lifecycle", "livenessProbe", "env", "envFrom", "volumeDevices"} & set(container)


@settings(max_examples=50)
@given(works())
def test_whatever_is_set_it_is_as_confined(work: Work) -> None:
    job = manifests.job(work)
    pod = job["spec"]["template"]["spec"]
    is_restricted(pod)
    assert pod["automountServiceAccountToken"] is False
    assert pod["enableServiceLinks"] is False
    assert pod["dnsPolicy"] == "None"
    assert pod["restartPolicy"] == "Never"
    (container,) = pod["containers"]
    mounts = {each["name"]: each for each in container["volumeMounts"]}
    volumes = {each["name"]: each for each in pod["volumes"]}
    assert mounts["job"] == {"name": "job", "mountPath": PLACE, "readOnly": True}
    assert volumes["work"]["emptyDir"] == {"medium": "Memory", "sizeLimit": str(work.memory_bytes)}
    assert set(mounts) == set(volumes) == {"job", "work"}
    assert pod["nodeSelector"].items() >= work.settings.node_selector.items()
    assert pod["nodeSelector"]["kubernetes.io/os"] == "linux"


@settings(max_examples=50)
@given(works())
def test_it_comes_to_an_end_and_is_cleared_away(work: Work) -> None:
    spec = manifests.job(work)["spec"]
    assert (spec["backoffLimit"], spec["completions"], spec["parallelism"]) == (0, 1, 1)
    assert spec["activeDeadlineSeconds"] == work.seconds
    assert spec["ttlSecondsAfterFinished"] == work.settings.keep_seconds
    assert spec.get("suspend", False) is bool(work.settings.queue)


@settings(max_examples=50)
@given(works())
def test_a_request_is_never_more_than_its_limit(work: Work) -> None:
    resources = manifests.pod(work)["containers"][0]["resources"]
    requests, limits = resources["requests"], resources["limits"]
    assert 0 < int(requests["memory"]) <= int(limits["memory"]) == work.memory_bytes
    assert int(requests["cpu"].removesuffix("m")) > 0
    if work.cpus:
        assert int(requests["cpu"].removesuffix("m")) <= int(limits["cpu"].removesuffix("m")) == work.cpus * 1000
    else:
        assert "cpu" not in limits


def test_no_limit_of_cpus_is_so_small_that_it_is_none() -> None:
    resources = manifests.pod(simple(cpus=0.0001))["containers"][0]["resources"]
    assert resources["limits"]["cpu"] == "1m"


@settings(max_examples=50)
@given(works(), st.binary(max_size=100))
def test_everything_is_named_and_labelled_as_kubernetes_allows(work: Work, content: bytes) -> None:
    job = manifests.job(work)
    maps = manifests.config_maps(work, [content] * work.parts, "uid-1")
    everything = [job["metadata"], job["spec"]["template"]["metadata"], *(each["metadata"] for each in maps)]
    for metadata in everything:
        assert metadata["labels"].items() >= OURS.items()
        assert metadata["labels"].items() >= work.settings.labels.items()
        assert all(len(value) <= 63 and LABEL.fullmatch(value) for value in metadata["labels"].values())
    names = [each["name"] for each in everything if "name" in each]
    assert all(NAME.fullmatch(name) for name in names)
    assert len(set(names)) == len(names) == 1 + len(maps)
    annotations = job["metadata"]["annotations"]
    assert annotations.get("will-it-compile/client") == work.client
    assert annotations.get("will-it-compile/job") == work.question
    # A pod tells nobody inside of it who asked.
    assert job["spec"]["template"]["metadata"]["annotations"] == dict(work.settings.annotations)
    assert (job["metadata"]["labels"].get("kueue.x-k8s.io/queue-name")) == work.settings.queue


@settings(max_examples=50)
@given(works(), st.binary(max_size=100))
def test_a_job_owns_what_its_pod_mounts(work: Work, content: bytes) -> None:
    maps = manifests.config_maps(work, [content] * work.parts, "uid-1")
    for each in maps:
        assert each["immutable"] is True
        (owner,) = each["metadata"]["ownerReferences"]
        # With blockOwnerDeletion an account would need a permission more.
        assert owner == {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "name": "compile-a-1",
            "uid": "uid-1",
            "controller": True,
        }
    pod = manifests.pod(work)
    projected = next(each["projected"] for each in pod["volumes"] if each["name"] == "job")
    there = {each["metadata"]["name"]: set(each["binaryData"]) for each in maps}
    paths = []
    for source in (each["configMap"] for each in projected["sources"]):
        assert "optional" not in source  # the pod waits for it
        assert {item["key"] for item in source["items"]} == there.pop(source["name"])
        paths += [item["path"] for item in source["items"]]
        modes = {item["path"]: item.get("mode", projected["defaultMode"]) for item in source["items"]}
        assert all(mode == (0o555 if path == "launcher" else 0o444) for path, mode in modes.items())
    assert not there
    (container,) = pod["containers"]
    program, root, idle, *parts = container["command"]
    assert (program, root) == (f"{PLACE}/launcher", ROOT)
    assert int(idle) > 0
    assert sorted(paths) == sorted(["launcher", *(part.removeprefix(f"{PLACE}/") for part in parts)])
    assert parts == [f"{PLACE}/part-{number}" for number in range(work.parts)]
    assert bool(container.get("stdin")) == bool(container.get("stdinOnce")) == (work.parts == 0)
    machine = {"amd64": "x86_64", "arm64": "aarch64"}[pod["nodeSelector"]["kubernetes.io/arch"]]
    assert b64decode(maps[0]["binaryData"]["launcher"]) == launcher.binary(machine)


@pytest.mark.parametrize("hostile", ["$(PATH)", "; rm -rf /", "{{.}}", "\x00", "a\nb: c"])
def test_no_text_of_a_user_gets_to_a_command(hostile: str) -> None:
    work = simple({"annotations": {"a": hostile.replace("\x00", "")}}, client=hostile, question=hostile)
    job = manifests.job(work)
    assert hostile not in json.dumps(job["spec"]["template"]["spec"], ensure_ascii=False)
    assert job["spec"]["template"]["spec"] == manifests.job(simple())["spec"]["template"]["spec"]


@settings(max_examples=20)
@given(st.integers(0, 3 * PART_BYTES), st.randoms(use_true_random=False))
def test_the_parts_are_the_whole_and_each_fits(size: int, chance: random.Random) -> None:
    packed = chance.randbytes(size)
    parts = cut(packed)
    assert b"".join(parts) == packed
    assert all(0 < len(part) <= PART_BYTES for part in parts)
    work = simple(parts=len(parts))
    for each in manifests.config_maps(work, parts, "uid-1"):
        assert len(json.dumps(each)) < 1 << 20


def test_the_fullest_config_map_is_one_that_is_taken() -> None:
    labels = {f"{'a' * 63}.{'b' * 63}.{'c' * 60}/l{number}": "v" * 63 for number in range(64)}
    work = simple({"labels": labels})
    (found,) = manifests.config_maps(work, [bytes(PART_BYTES)], "u" * 36)
    assert len(json.dumps(found)) < 1 << 20


def test_too_much_is_told() -> None:
    most = MOST_PARTS * PART_BYTES
    assert len(cut(bytes(most))) == MOST_PARTS
    with pytest.raises(ValueError, match=f"{most + 1} bytes when compressed, more than {most}"):
        cut(bytes(most + 1))


@pytest.mark.parametrize("job_id", ["a", "7", "a-1", "x" * 50, "0b6f5b1c-5b0a-4a7e-9f39-6d1f1d0f4d11"])
def test_an_id_is_a_part_of_a_name_and_a_label(job_id: str) -> None:
    assert NAME.fullmatch(name_of(job_id))
    assert len(manifests.config_map_name(simple(id=job_id), MOST_PARTS)) <= 63


@pytest.mark.parametrize("job_id", ["", "-a", "a-", "A", "a.b", "a/b", "a b", "a\n", "x" * 51, "é", "a,b", "../a"])
def test_what_is_no_id_is_refused(job_id: str) -> None:
    with pytest.raises(ValueError, match="not the id of a job"):
        name_of(job_id)


def test_a_selector_finds_what_is_ours() -> None:
    assert manifests.selector() == "managed-by=will-it-compile"
    assert manifests.selector(session="s") == "managed-by=will-it-compile,will-it-compile/session=s"
    assert manifests.selector(job_id="a-1") == "managed-by=will-it-compile,job-id=a-1"


VARIANTS: dict[str, dict[str, Any]] = {
    "default": {},
    "large": {"memory": "4Gi", "cpu": "4", "request-memory": "1Gi", "request-cpu": "1500m"},
    "small": {"memory": "256Mi", "cpu": "10m"},
    "no limit of cpu": {"cpu": "none"},
    "kept": {"keep-seconds": 0, "start-seconds": 1},
    "pulled": {"image-pull-policy": "Always", "image-pull-secrets": ["a.b-c", "d"]},
    "somewhere": {
        "architecture": "arm64",
        "node-selector": {"example.org/pool": "", "disk": "ssd"},
        "tolerations": [
            {"operator": "Exists"},
            {"key": "a", "value": "b", "effect": "NoSchedule"},
            {"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute"},
            {"key": "x", "operator": "Exists", "effect": "NoExecute", "toleration-seconds": 5},
        ],
    },
    "named": {
        "labels": {"example.org/team": "compilers", "cost": ""},
        "annotations": {"example.org/owner": "the compilers' team\n\tß"},
    },
    "queued": {"queue": "builds"},
    "profile": {"seccomp-profile": "profiles/compile.json"},
    "account": {"service-account": "default"},
    "fullest": {"labels": {f"{'a' * 63}.{'b' * 63}/l{number}": "v" * 63 for number in range(64)}},
}
REFERRING = {"runtime": {"runtime-class": "gvisor"}, "priority": {"priority-class": "low"}}
"""A pod of these is taken only where there is what they name."""


@pytest.mark.kubernetes
class TestAnApiServer:
    @pytest.fixture
    def api(self, kubeconfig: str, namespace: str) -> Iterator[Api]:
        with Api(locate(namespace=namespace)) as api:
            yield api

    def take(self, api: Api, path: str, document: dict[str, Any]) -> dict[str, Any]:
        """As if it were made. Fields that nobody knows are refused."""
        query = {"dryRun": "All", "fieldValidation": "Strict"}
        place = f"{path}/namespaces/{api.access.namespace}/{document['kind'].lower()}s"
        taken: dict[str, Any] = api.call("POST", place, query, document)
        return taken

    @pytest.mark.parametrize("parts", [0, 1, 3])
    @pytest.mark.parametrize("variant", [*VARIANTS, *REFERRING])
    def test_takes_the_job_and_its_config_maps(self, api: Api, variant: str, parts: int) -> None:
        work = simple({**VARIANTS, **REFERRING}[variant], client="c.1.2", question="{}", parts=parts)
        document = manifests.job(work)
        taken = self.take(api, "/apis/batch/v1", document)
        assert _within(document, taken)
        for each in manifests.config_maps(work, [bytes(PART_BYTES)] * parts, "uid-1"):
            assert _within(each, self.take(api, "/api/v1", each))

    @pytest.mark.parametrize("variant", VARIANTS)
    def test_takes_the_pod_where_only_what_is_restricted_is_taken(self, api: Api, variant: str) -> None:
        work = simple(VARIANTS[variant])
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}, "spec": manifests.pod(work)}
        self.take(api, "/api/v1", pod)

    def test_refuses_a_pod_that_is_not(self, api: Api) -> None:
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}, "spec": manifests.pod(simple())}
        pod["spec"]["containers"][0]["securityContext"]["capabilities"] = {}
        with pytest.raises(ApiError, match='violates PodSecurity "restricted'):
            self.take(api, "/api/v1", pod)


def _within(ours: Any, theirs: Any) -> bool:
    """Whether everything of ours is there as it was."""
    if isinstance(ours, dict):
        return all(_within(value, theirs.get(name, {})) for name, value in ours.items())
    if isinstance(ours, list):
        return len(ours) == len(theirs) and all(map(_within, ours, theirs))
    is_quantity = isinstance(ours, str) and re.fullmatch(r"\d+m?", ours)
    return bool(ours == theirs or is_quantity)


def test_the_defaults_are_what_was_promised() -> None:
    work = simple()._replace(settings=Settings(architecture="amd64"), memory_bytes=512 * MIB)
    resources = manifests.pod(work)["containers"][0]["resources"]
    assert resources == {
        "requests": {"memory": str(64 * MIB), "cpu": "100m", "ephemeral-storage": str(16 * MIB)},
        "limits": {"memory": str(512 * MIB), "cpu": "500m", "ephemeral-storage": str(256 * MIB)},
    }
    assert manifests.job(work)["spec"]["ttlSecondsAfterFinished"] == 300
    assert manifests.job(work)["metadata"]["name"] == "compile-a-1"
