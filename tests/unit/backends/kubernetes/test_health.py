"""What `doctor` makes of what a cluster says; tests/kubernetes/test_doctor.py asks a real one."""

from __future__ import annotations

import doctest
import shutil
import socket
import subprocess
import threading
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from willitcompile.backends import Opening
from willitcompile.backends.containers import Outcome
from willitcompile.backends.kubernetes import health, manifests
from willitcompile.backends.kubernetes.health import findings, network, nodes, room
from willitcompile.backends.kubernetes.health.network import NotTriedError, judge
from willitcompile.backends.kubernetes.manifests import Work
from willitcompile.backends.kubernetes.settings import Settings, parse
from willitcompile.backends.supervision import Ending
from willitcompile.errors import ConfigError
from willitcompile.model import Toolchain

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import NoReturn


@pytest.mark.parametrize("module", [health, nodes, room])
def test_the_examples(module: Any) -> None:
    results = doctest.testmod(module)
    assert results.attempted
    assert not results.failed


def pod(settings: Settings | None = None) -> dict[str, Any]:
    settings = settings or parse({"architecture": "amd64"})
    return manifests.pod(Work("a", "gcc:13", "s", settings, settings.memory, settings.cpu, 60))


class TestWithoutACluster:
    def test_it_is_one_line(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
        (found,) = findings(Opening())
        assert (found.name, found.ok) == ("kubernetes", False)
        assert "no cluster is named" in found.detail
        assert found.remedy
        assert "export KUBECONFIG=" in found.remedy

    def test_nor_where_none_answers(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        with socket.socket() as nobody:
            nobody.bind(("127.0.0.1", 0))
            server = f"https://127.0.0.1:{nobody.getsockname()[1]}"
            (tmp_path / "config").write_text(
                "{current-context: a, contexts: [{name: a, context: {cluster: c, user: u}}],"
                f" clusters: [{{name: c, cluster: {{server: '{server}'}}}}],"
                " users: [{name: u, user: {token: hushhush}}]}"
            )
            monkeypatch.setenv("KUBECONFIG", str(tmp_path / "config"))
            (found,) = findings(Opening())
        assert found == (
            "kubernetes",
            False,
            f"{server} does not answer: nothing listens there",
            "kubectl cluster-info",
        )

    def test_wrong_settings_are_told_as_everywhere(self) -> None:
        with pytest.raises(ConfigError, match=r"set kubernetes\.pods"):
            findings(Opening(options={"kubernetes": {"pods": "many"}}))


class TestPermissions:
    def test_all_are_named(self) -> None:
        (found,) = health._permissions({}, "builds")
        assert found.ok
        assert "create, get, list, watch, delete jobs.batch; create, get, delete configmaps;" in found.detail

    def test_each_that_is_missing_is_named_with_what_asks_for_it(self) -> None:
        first, second = health._permissions({"jobs.batch": ["watch", "delete"], "pods/log": ["get"]}, "builds")
        assert (first.ok, first.detail) == (False, "this account may not watch, delete jobs.batch")
        assert first.remedy
        assert first.remedy.startswith("kubectl auth can-i watch jobs.batch --namespace builds; ")
        assert (second.ok, second.detail) == (False, "this account may not get pods/log")

    @pytest.mark.parametrize(
        ("enabled", "missing", "ok"), [(True, False, True), (True, True, False), (False, True, None)]
    )
    def test_of_warm_pods_matter_only_where_these_are_wanted(
        self, enabled: bool, missing: bool, ok: bool | None
    ) -> None:
        settings = parse({"warm": {"enabled": enabled}})
        found = health._warm({"pods/attach": ["create"]} if missing else {}, settings, "builds")
        assert found.ok is ok
        assert ("not enabled" in found.detail) is not enabled
        assert bool(found.remedy) is (ok is False)


class TestNamespace:
    @pytest.mark.parametrize(
        ("level", "ok", "detail"),
        [
            ("restricted", True, "builds, Pod Security restricted"),
            ("baseline", None, "builds holds pods only to baseline; ours pass restricted"),
            (None, None, "builds holds pods to nothing; ours pass restricted"),
        ],
    )
    def test_its_pod_security(self, level: str | None, ok: bool | None, detail: str) -> None:
        labels = {"pod-security.kubernetes.io/enforce": level} if level else None
        found = health._level({"metadata": {"labels": labels}}, "builds")
        assert found[1:3] == (ok, detail)
        remedy = "kubectl label namespace builds pod-security.kubernetes.io/enforce=restricted"
        assert found.remedy == (None if ok else remedy)

    def test_is_missing_or_going_or_not_to_be_read(self) -> None:
        assert health._level({}, "builds")[1:3] == (False, "there is no builds")
        going = {"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}}
        assert health._level(going, "builds")[1:3] == (False, "builds is being deleted")
        assert health._level(None, "builds").ok is None


def quota(hard: dict[str, str], used: dict[str, str] | None = None, **spec: object) -> dict[str, Any]:
    return {"spec": {"hard": hard, **spec}, "status": {"hard": hard, "used": used or {}}}


class TestQuota:
    def judge(self, *quotas: dict[str, Any], **section: object) -> tuple[bool | None, str]:
        settings = parse({"architecture": "amd64", **section})
        found = room.quota(quotas, pod(settings), settings, "builds")
        assert found.remedy == (None if found.ok else "kubectl describe quota --namespace builds")
        return found.ok, found.detail

    def test_none_limits_nothing(self) -> None:
        assert self.judge() == (True, "none that limits a compile")
        assert self.judge(quota({"services": "0", "count/secrets": "0"})) == (True, "none that limits a compile")

    def test_room_is_told(self) -> None:
        given = quota({"pods": "10", "limits.memory": "5Gi"}, {"pods": "9", "limits.memory": "4608Mi"})
        assert self.judge(given) == (True, "pods 9 of 10, limits.memory 4608Mi of 5Gi")

    @pytest.mark.parametrize(
        ("name", "hard", "used"),
        [
            ("pods", "10", "10"),
            ("count/jobs.batch", "3", "3"),
            ("configmaps", "1", "1"),
            ("limits.memory", "1Gi", "513Mi"),
            ("requests.memory", "64Mi", "1"),
            ("memory", "64Mi", "1"),
            ("limits.cpu", "1", "501m"),
            ("cpu", "1", "901m"),
        ],
    )
    def test_what_is_used_up_is_bad(self, name: str, hard: str, used: str) -> None:
        assert self.judge(quota({name: hard}, {name: used})) == (False, f"{name} is used up: {used} of {hard}")

    @pytest.mark.parametrize(("name", "hard"), [("pods", "0"), ("limits.cpu", "499m"), ("limits.memory", "511Mi")])
    def test_what_is_too_small_at_all_is_told_apart(self, name: str, hard: str) -> None:
        assert self.judge(quota({name: hard}, {name: "0"})) == (
            False,
            f"{name} of {hard} is less than one compile takes",
        )

    def test_what_a_pod_has_to_say_and_does_not(self) -> None:
        ok, detail = self.judge(quota({"limits.cpu": "10", "limits.ephemeral-storage": "1Gi"}), cpu="none")
        assert ok is False
        assert "limits.cpu has to be said" in detail
        assert "ephemeral-storage" not in detail

    @pytest.mark.parametrize(
        ("spec", "counts"),
        [
            ({"scopes": ["NotTerminating", "NotBestEffort"]}, True),
            ({"scopes": ["Terminating"]}, False),
            ({"scopes": ["NotTerminating", "BestEffort"]}, False),
            ({"scopeSelector": {"matchExpressions": [{"scopeName": "BestEffort", "operator": "Exists"}]}}, False),
        ],
    )
    def test_of_other_kinds_of_pods_it_does_not_matter(self, spec: dict[str, Any], counts: bool) -> None:
        assert self.judge(quota({"pods": "0"}, **spec))[0] is not counts

    @pytest.mark.parametrize(
        ("operator", "values", "ours", "counts"),
        [
            ("In", ["low"], "low", True),
            ("In", ["low"], None, False),
            ("NotIn", ["low"], "high", True),
            ("NotIn", ["low"], "low", False),
            ("Exists", None, "low", True),
            ("Exists", None, None, False),
            ("DoesNotExist", None, "low", False),
        ],
    )
    def test_of_priority_classes(self, operator: str, values: list[str] | None, ours: str | None, counts: bool) -> None:
        selector = {"matchExpressions": [{"scopeName": "PriorityClass", "operator": operator, "values": values}]}
        given = quota({"pods": "0"}, scopeSelector=selector)
        assert self.judge(given, **({"priority-class": ours} if ours else {}))[0] is not counts


class TestLimitRange:
    def judge(self, **limit: object) -> tuple[bool | None, str]:
        found = room.limit_range([{"spec": {"limits": [{"type": "Container", **limit}]}}], pod(), "builds")
        assert bool(found.remedy) is (found.ok is False)
        return found.ok, found.detail

    def test_what_fits(self) -> None:
        assert room.limit_range([], pod(), "builds").ok
        assert self.judge(max={"memory": "512Mi", "cpu": "500m"}, min={"memory": "64Mi", "cpu": "0.1"})[0]
        assert self.judge(type="PersistentVolumeClaim", max={"memory": "1"})[0]
        assert self.judge(default={"memory": "1Mi"}, max=None)[0]

    @pytest.mark.parametrize(
        ("limit", "detail"),
        [
            ({"max": {"memory": "511Mi"}}, "memory 512Mi is more than a container may have, 511Mi"),
            ({"type": "Pod", "max": {"cpu": "400m"}}, "cpu 500m is more than a pod may have, 400m"),
            ({"min": {"cpu": "200m"}}, "a request of cpu 100m is less than a container must make, 200m"),
            (
                {"maxLimitRequestRatio": {"cpu": "4"}},
                "the limit of cpu 500m is more than 4 times the request, cpu 100m",
            ),
        ],
    )
    def test_what_does_not(self, limit: dict[str, Any], detail: str) -> None:
        assert self.judge(**limit) == (False, detail)


@given(st.text() | st.from_regex(r"\A[-+]?[0-9.]{1,9}([eE][0-9]|[nukMGTPEKi]{0,2})?\Z"))
def test_whatever_stands_for_a_quantity_is_one(text: str) -> None:
    assert room.quantity(text).is_finite()


def node(arch: str = "amd64", *images: str, ready: str = "True", **spec: object) -> dict[str, Any]:
    labels = {"kubernetes.io/arch": arch, "kubernetes.io/os": "linux"}
    status = {"conditions": [{"type": "Ready", "status": ready}], "images": [{"names": list(images)}]}
    return {"metadata": {"labels": labels}, "spec": spec, "status": status}


CONTROL_PLANE = {"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"}


class TestNodes:
    @pytest.mark.parametrize(
        ("given", "fits"),
        [
            (node(), True),
            (node("arm64"), False),
            (node(ready="Unknown"), False),
            (node(unschedulable=True), False),
            (node(taints=[CONTROL_PLANE]), False),
            (node(taints=[{**CONTROL_PLANE, "effect": "PreferNoSchedule"}]), True),
            (node(taints=[{"key": "dedicated", "value": "x", "effect": "NoSchedule"}]), True),
            (node(taints=[{"key": "dedicated", "value": "y", "effect": "NoSchedule"}]), False),
        ],
    )
    def test_which_can_take_a_pod_of_ours(self, given: dict[str, Any], fits: bool) -> None:
        settings = parse({"architecture": "amd64", "tolerations": [{"key": "dedicated", "value": "x"}]})
        assert bool(nodes.fitting([given], pod(settings))) is fits
        assert nodes.kinds([given], pod(settings)).ok is fits

    def test_where_none_is_it_says_what_there_is(self) -> None:
        found = nodes.kinds([node("arm64"), node("s390x")], pod())
        assert found.ok is False
        assert "none of 2" in found.detail
        assert "there are arm64, s390x" in found.detail

    def toolchain(self, family: str, version: str, origin: str) -> Toolchain:
        return Toolchain(family, version, {}, {}, {}, origin=origin)

    def test_whose_images_are_there(self) -> None:
        given = [node("amd64", "docker.io/library/gcc:13", "docker.io/library/gcc@sha256:ab"), node()]
        known = [self.toolchain("gcc", "13", "gcc:13"), self.toolchain("gcc", "1", "gcc:1")]
        (found,) = nodes.images(given, known)
        assert found.ok
        assert found.detail == "at least gcc-13 (1 of 2) on the nodes"
        assert nodes.there(given, [self.toolchain("gcc", "12", "gcc@sha256:ab")]) == {"gcc-12": 1}

    def test_ours_under_a_name_that_is_not_used(self) -> None:
        given = [node("amd64", "docker.io/will-it-compile/gcc:13", "docker.io/will-it-compile/gcc:12")]
        used = [self.toolchain("gcc", "13", "gcc:13"), self.toolchain("gcc", "12", "gcc:12")]
        nothing, hint = nodes.images(given, used)
        assert (nothing.ok, hint.ok) == (None, None)
        assert "none of a toolchain" in nothing.detail
        assert hint.detail == "will-it-compile/gcc:13 is on the nodes, and what is used for gcc-13 is gcc:13"
        assert hint.remedy == "say which to use: images: gcc=will-it-compile/gcc:{version}"


class TestWhatTheProbeRunsIn:
    GCC, CLANG = (Toolchain(family, "13", {}, {}, {}, origin=f"{family}:13") for family in ("gcc", "clang"))
    GO = Toolchain("go", "1.26", {}, {}, {}, origin="golang:1.26")

    def test_what_is_seen_goes_before_what_is_named(self) -> None:
        there = [node("amd64", "docker.io/library/clang:13", "docker.io/library/golang:1.26")]
        known = [self.GO, self.GCC, self.CLANG]
        assert health._probed(known, {"gcc": "gcc:{version}"}, there) == self.CLANG
        assert health._probed(known, {"gcc": "gcc:{version}"}, None) == self.GCC
        assert health._probed(known, {"clang-13": "x"}, [node()]) == self.CLANG
        assert health._probed(known, {"go": "golang:{version}"}, None) is None


def outcome(exit_code: int | None = 0, stdout: bytes = b"", stderr: bytes = b"", failure: str | None = None) -> Outcome:
    return Outcome(stdout, stderr, Ending(exit_code, None, None, 0, 0, 0, 0.1, failure))


class TestJudgingTheProbe:
    def test_reached_or_not(self) -> None:
        assert judge(outcome(), outcome(stdout=b"reached\n")) == (True, "reached")
        assert judge(outcome(), outcome(stdout=b"Connection timed out\n")) == (False, "Connection timed out")

    @pytest.mark.parametrize(
        ("compiled", "ran", "why"),
        [
            (outcome(1, stderr=b"no netdb.h\n here"), outcome(), "it could not be compiled: no netdb.h here"),
            (outcome(None, failure="gcc: not found (2)"), outcome(), "it could not be compiled: gcc: not found"),
            (outcome(), outcome(2), "its program could not run: exit code 2"),
        ],
    )
    def test_what_went_wrong_is_no_closed_network(self, compiled: Outcome, ran: Outcome, why: str) -> None:
        with pytest.raises(NotTriedError) as error:
            judge(compiled, ran)
        assert str(error.value).startswith(why)


@pytest.fixture(scope="module")
def run(
    tmp_path_factory: pytest.TempPathFactory, unavailable: Callable[[str, str, str], NoReturn]
) -> Callable[..., tuple[int, str]]:
    """Runs the probe's program in an environment: its exit code, and what it prints."""
    gcc = shutil.which("gcc") or unavailable("sandbox", "there is no gcc", "apt install gcc")
    path = tmp_path_factory.mktemp("probe")
    (path / "probe.c").write_bytes(network._PROGRAM)
    subprocess.run([gcc, "-Wall", "-Werror", "-o", "probe", "probe.c"], cwd=path, check=True)

    def run(**environment: str) -> tuple[int, str]:
        done = subprocess.run(
            [path / "probe"], env=environment, capture_output=True, text=True, timeout=20, check=False
        )
        return done.returncode, done.stdout

    return run


@pytest.mark.sandbox
class TestItsProgram:
    @pytest.mark.parametrize(("family", "host"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")])
    def test_reaches_who_listens(
        self, run: Callable[..., tuple[int, str]], family: socket.AddressFamily, host: str
    ) -> None:
        with closing(socket.create_server((host, 0), family=family)) as server:
            port = str(server.getsockname()[1])
            assert run(KUBERNETES_SERVICE_HOST=host, KUBERNETES_SERVICE_PORT=port) == (0, "reached\n")

    def test_says_why_it_does_not(self, run: Callable[..., tuple[int, str]]) -> None:
        with socket.socket() as nobody:
            nobody.bind(("127.0.0.1", 0))
            port = str(nobody.getsockname()[1])
            ran = run(KUBERNETES_SERVICE_HOST="127.0.0.1", KUBERNETES_SERVICE_PORT=port)
        assert ran == (0, "Connection refused\n")

    def test_is_not_content_with_one_success(self, run: Callable[..., tuple[int, str]]) -> None:
        """A network may close a moment after a pod's start."""
        server = socket.create_server(("127.0.0.1", 0))

        def only_once() -> None:
            server.accept()[0].close()
            server.close()

        thread = threading.Thread(target=only_once)
        thread.start()
        ran = run(KUBERNETES_SERVICE_HOST="127.0.0.1", KUBERNETES_SERVICE_PORT=str(server.getsockname()[1]))
        thread.join()
        assert ran == (0, "Connection refused\n")

    @pytest.mark.parametrize("environment", [{}, {"KUBERNETES_SERVICE_HOST": "no address"}])
    def test_without_an_address_it_does_not_know(
        self, run: Callable[..., tuple[int, str]], environment: dict[str, str]
    ) -> None:
        assert run(**environment) == (2, "")
