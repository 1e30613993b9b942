"""A release of the chart in a cluster, and ways to ask it."""

from __future__ import annotations

import contextlib
import json
import re
import secrets
import subprocess
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

from tests import cluster
from tests.chart.helm import CHART
from tests.cluster.build import KUBECTL
from tests.serve.harness import Client, until

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.chart.helm import Helm

PATIENCE_SECONDS = 120.0
OF_EVERY_NAMESPACE = {"ConfigMap/kube-root-ca.crt", "ServiceAccount/default"}
SERVE = "--selector=app.kubernetes.io/component=serve"


class Installation:
    """One release, in a namespace of its own, with compiles in that or in another one."""

    def __init__(self, helm: Helm, kubeconfig: str) -> None:
        self.name = f"wic-{secrets.token_hex(3)}"
        self.namespace = f"{self.name}-service"
        self.compiles = f"{self.name}-compiles"
        """The namespace for compiles, where the values have one."""
        self.object = f"{self.name}-will-it-compile"
        """The name of its Deployment, its Service and the rest."""
        self.kubeconfig = kubeconfig
        self.headers: dict[str, str] = {}
        """Of every request: a token, where the service wants one."""
        self._helm = helm

    def __enter__(self) -> Self:
        self.kubectl("create", "namespace", self.namespace)
        self.kubectl("label", "namespace", self.namespace, "pod-security.kubernetes.io/enforce=restricted")
        self.kubectl("wait", "--for=create", "serviceaccount/default", "--timeout=30s")
        return self

    def __exit__(self, *_: object) -> None:
        self.helm("uninstall", self.name, "--ignore-not-found")
        self.kubectl("delete", "namespace", self.namespace, self.compiles, "--ignore-not-found", "--timeout=120s")

    def helm(self, *argv: str, values: Mapping[str, Any] | None = None) -> str:
        """What helm says. Raises AssertionError with its error, and with what became of the pods."""
        options = ("--namespace", self.namespace, "--kubeconfig", self.kubeconfig)
        try:
            return self._helm.run(*argv, *options, values=values).stdout
        except AssertionError as error:
            logs = self.kubectl("logs", SERVE, "--prefix", "--tail=20", check=False)
            raise AssertionError(f"{error}\n{self.kubectl('describe', 'pods', check=False)}\n{logs}") from None

    def install(self, *argv: str, values: Mapping[str, Any] | None = None) -> str:
        """Return its notes, once it is ready."""
        return self._put("install", *argv, values=values)

    def upgrade(self, *argv: str, values: Mapping[str, Any] | None = None) -> str:
        return self._put("upgrade", *argv, values=values)

    def _put(self, verb: str, *argv: str, values: Mapping[str, Any] | None) -> str:
        return self.helm(verb, self.name, str(CHART), "--wait", "--timeout=180s", *argv, values=values)

    def kubectl(self, *argv: str, check: bool = True) -> str:
        """In the release's namespace, where no other is named."""
        mine = () if any(each.startswith(("--namespace", "--all-namespaces")) for each in argv) else (self.namespace,)
        options = [f"--namespace={each}" for each in mine]
        return cluster.kubectl("--kubeconfig", self.kubeconfig, *options, *argv, check=check)

    def get(self, *argv: str) -> dict[str, Any]:
        return dict(json.loads(self.kubectl("get", *argv, "--output=json")))

    def pods(self) -> list[dict[str, Any]]:
        """Those of the service that are ready and not about to end."""
        return [
            each
            for each in self.get("pods", SERVE)["items"]
            if "deletionTimestamp" not in each["metadata"]
            and any(
                condition["type"] == "Ready" and condition["status"] == "True"
                for condition in each.get("status", {}).get("conditions", [])
            )
        ]

    def pod_names(self, count: int) -> list[str]:
        """Of so many pods, once there are."""
        return until(
            lambda: names if len(names := [each["metadata"]["name"] for each in self.pods()]) == count else None,
            PATIENCE_SECONDS,
            0.2,
        )

    @contextlib.contextmanager
    def reached(self, pod: str | None = None) -> Iterator[Client]:
        """A client of the service, or of one of its pods, by kubectl port-forward."""
        argv = [KUBECTL, f"--kubeconfig={self.kubeconfig}", f"--namespace={self.namespace}", "port-forward"]
        argv += [f"pod/{pod}", ":8080"] if pod else [f"service/{self.object}", ":80"]
        with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
            assert process.stdout
            try:
                said = process.stdout.readline()
                address = re.search(r"127\.0\.0\.1:\d+", said)
                assert address, said
                with Client(f"http://{address[0]}", headers=self.headers) as client:
                    yield client
            finally:
                process.terminate()

    def objects(self) -> set[str]:
        """All that is there of it, as `namespace/Kind/name`: what its namespaces hold, and what belongs to none and has
        its name."""
        line = '{.metadata.namespace}/{.kind}/{.metadata.name}{"\\n"}'
        told = f"--output=jsonpath={{range .items[*]}}{line}{{end}}"
        found = [each.split("/") for each in self.kubectl("get", self._kinds, "--all-namespaces", told).split()]
        return {
            f"{namespace}/{kind}/{name}"
            for namespace, kind, name in found
            if namespace in {self.namespace, self.compiles} or (not namespace and self.name in name)
            if f"{kind}/{name}" not in {*OF_EVERY_NAMESPACE, f"Namespace/{self.namespace}"}
        }

    @cached_property
    def _kinds(self) -> str:
        """All but those that tell what was, and what is told by EndpointSlices too."""
        found = self.kubectl("api-resources", "--verbs=list,delete", "--output=name").split()
        return ",".join(each for each in found if not each.startswith(("events", "endpoints")) or "slices" in each)
