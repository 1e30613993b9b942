"""What nobody who has sent a check may notice: an upgrade, a rollback, and pods of the service that go."""

from __future__ import annotations

import json
import signal
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.chart.helm import VALUE_FILES
from tests.chart.installation import PATIENCE_SECONDS, Installation
from tests.cluster import kubectl, namespaces
from tests.serve.harness import until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.chart.helm import Helm
    from tests.cluster import Cluster

pytestmark = [pytest.mark.chart, pytest.mark.kubernetes]

LOAD = Path(__file__).with_name("load.py").read_text()
REPLICAS = 2
VALUES = ("--values", str(VALUE_FILES["dev"]), f"--set=replicaCount={REPLICAS}", "--set=preStopSeconds=3")
LOG_LEVEL = "--set=server.logLevel="


@pytest.fixture(scope="module")
def installation(helm: Helm, kubeconfig: str, loaded_image: str) -> Iterator[Installation]:
    with Installation(helm, kubeconfig) as made:
        made.install(*VALUES, LOG_LEVEL + "info")
        yield made


class Load:
    """A pod that sends checks through the Service, and what it was told."""

    def __init__(self, installation: Installation, image: str) -> None:
        self._installation = installation
        service = installation.get("service", installation.object)["spec"]
        argv = ["python3", "-c", LOAD, service["clusterIP"], str(service["ports"][0]["port"])]
        self._pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "load"},
            "spec": {
                "restartPolicy": "Never",
                "automountServiceAccountToken": False,
                "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
                "containers": [
                    {
                        "name": "load",
                        "image": image,
                        "command": argv,
                        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
                        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],
                    }
                ],
                "volumes": [{"name": "tmp", "emptyDir": {}}],
            },
        }
        self.told: dict[str, Any] = {}

    @contextmanager
    def running(self) -> Iterator[None]:
        """From the first compile on, and until each check has its answer, or has waited for too long for one."""
        create = (
            "--kubeconfig",
            self._installation.kubeconfig,
            "create",
            f"--namespace={self._installation.namespace}",
        )
        kubectl(*create, "--filename=-", input=json.dumps(self._pod))
        try:
            until(self._compiles, PATIENCE_SECONDS, 0.2)
            yield
            self._kubectl("exec", "load", "--", "python3", "-c", "open('/tmp/stop', 'w')")
            self._kubectl("wait", "pod/load", "--for=jsonpath={.status.phase}=Succeeded", "--timeout=180s")
            self.told = json.loads(self._kubectl("logs", "load"))
        finally:
            self._kubectl("delete", "pod", "load", "--now")

    def _compiles(self) -> bool:
        jobs = self._installation.get("jobs", "--selector=will-it-compile/session=queue")["items"]
        return any(each.get("status", {}).get("succeeded") for each in jobs)

    def _kubectl(self, *argv: str) -> str:
        return self._installation.kubectl(*argv)


@pytest.fixture
def load(installation: Installation, loaded_image: str) -> Load:
    installation.pod_names(REPLICAS)
    return Load(installation, loaded_image)


def test_an_upgrade_a_rollback_and_a_drain_are_noticed_by_nobody(installation: Installation, load: Load) -> None:
    pods = [set(installation.pod_names(REPLICAS))]
    with load.running():
        installation.upgrade(*VALUES, LOG_LEVEL + "warning")
        pods.append(set(installation.pod_names(REPLICAS)))
        installation.helm("rollback", installation.name, "--wait", "--timeout=180s")
        pods.append(set(installation.pod_names(REPLICAS)))
        # As who drains a node.
        installation.kubectl("delete", "pod", min(pods[-1]))
        pods.append(set(installation.pod_names(REPLICAS)))
    # All were exchanged, and one once more.
    assert [len(one & other) for one, other in pairwise(pods)] == [0, 0, 1]
    told = load.told
    assert (told["lost"], told["refused"], told["broken"], told["kept"]) == ([], [], [], [])
    assert told["answered"] == told["taken"]
    assert told["taken"] >= 10
    assert told["asked"] >= 100


def test_a_pod_that_dies_loses_nothing(installation: Installation, load: Load, own_cluster: Cluster) -> None:
    with load.running():
        for pod in installation.pods():
            # Both, one after the other: what the first has begun, and what the second has begun of it.
            (status,) = pod["status"]["containerStatuses"]
            assert namespaces.send(process_of(status["containerID"]), signal.SIGKILL)
            until(lambda pod=pod: restarts(installation, pod["metadata"]["name"]) == 1, PATIENCE_SECONDS, 0.2)
            installation.pod_names(REPLICAS)
    told = load.told
    assert told["lost"] == []
    assert told["answered"] == told["taken"] > 0


def test_its_test_fails_where_it_cannot_compile(installation: Installation) -> None:
    installation.upgrade(*VALUES, LOG_LEVEL + "info", "--set=tests.toolchain=gcc-1")
    with pytest.raises(AssertionError, match="gcc-1"):
        installation.helm("test", installation.name, "--logs")


def restarts(installation: Installation, pod: str) -> int:
    (status,) = installation.get("pod", pod)["status"]["containerStatuses"]
    return int(status["restartCount"])


def process_of(container: str) -> int:
    """The first process of a container, `containerd://` and its id, as this machine has it."""
    container_id = container.rpartition("/")[2]
    for directory in Path("/proc").glob("[0-9]*"):
        try:
            if container_id in (directory / "cgroup").read_text():
                return int(directory.name)
        except OSError:  # it has just ended
            continue
    raise AssertionError(f"no process is in {container}")
