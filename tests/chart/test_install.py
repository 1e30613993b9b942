"""The chart in a real cluster, with each of its files of values: installed, asked, and gone again."""

from __future__ import annotations

import os
import re
import secrets
import socket
import subprocess
import time
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
import yaml

from tests.chart.helm import CHART, VALUE_FILES
from tests.chart.installation import Installation
from tests.cluster.build import KUBECTL
from tests.serve.harness import until
from willitcompile import __version__
from willitcompile.server.tokens import line

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.chart.helm import Helm
    from tests.serve.harness import Client

pytestmark = [pytest.mark.chart, pytest.mark.kubernetes]

RIGHT, WRONG = {"main.cpp": "int main() { return 0; }\n"}, {"main.cpp": "int main() { return 0 }\n"}
REPLICAS = {"default": 1, "dev": 1, "production": 3}
REMOVAL_SECONDS = 60.0


class Release(NamedTuple):
    values: str
    """The name of its file of values."""
    installation: Installation
    notes: str
    token: str
    """Empty where none is wanted."""


def settings(values: str, installation: Installation) -> dict[str, Any]:
    """What has to be said beyond a file of values: where the images are, and names of this run's own."""
    if values == "dev":
        return {}
    if values == "default":
        return {"compile": {"registry": "will-it-compile"}}
    return {
        "compile": {
            "registry": "will-it-compile",
            "namespace": {"name": installation.compiles},
            "warm": {"enabled": True, "max": 1},
        },
        "preStopSeconds": 2,
        "tests": {"tokenSecret": "token-of-the-test"},
    }


@pytest.fixture(scope="module", params=list(VALUE_FILES))
def release(request: pytest.FixtureRequest, helm: Helm, kubeconfig: str, loaded_image: str) -> Iterator[Release]:
    values = request.param
    token = ""
    with Installation(helm, kubeconfig) as installation:
        if values == "production":
            token, entry = line("ci")
            installation.headers["Authorization"] = f"Bearer {token}"
            for name, literal in (
                ("will-it-compile-tokens", f"tokens={entry}"),
                ("token-of-the-test", f"token={token}"),
            ):
                installation.kubectl("create", "secret", "generic", name, f"--from-literal={literal}")
        notes = installation.install("--values", str(VALUE_FILES[values]), values=settings(values, installation))
        yield Release(values, installation, notes, token)


def verdict(client: Client, files: dict[str, str]) -> str:
    (result,) = client.checked(files, toolchains=["gcc-13"])["results"]
    return str(result["verdict"])


def test_the_image_is_that_of_this_version() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert chart["appVersion"] == __version__


def test_all_replicas_become_ready(release: Release, loaded_image: str) -> None:
    count = REPLICAS[release.values]
    assert len(release.installation.pod_names(count)) == count
    for pod in release.installation.pods():
        (container,) = pod["status"]["containerStatuses"]
        assert container["restartCount"] == 0
        assert container["image"].endswith(loaded_image)


def test_a_check_compiles_in_the_namespace_for_it(release: Release) -> None:
    installation = release.installation
    with installation.reached() as client:
        assert verdict(client, RIGHT) == "compiled"
        assert verdict(client, WRONG) == "rejected"
    pods = installation.get("pods", "--selector=managed-by=will-it-compile", "--all-namespaces")["items"]
    found = {each["metadata"]["namespace"] for each in pods} & {installation.namespace, installation.compiles}
    assert found == {installation.compiles if release.values == "production" else installation.namespace}


def test_any_replica_answers_for_the_checks_of_others(release: Release) -> None:
    names = release.installation.pod_names(REPLICAS[release.values])
    with release.installation.reached(names[0]) as one, release.installation.reached(names[-1]) as another:
        right, wrong = one.check(RIGHT, toolchains=["gcc-13"]), another.check(WRONG, toolchains=["gcc-13"])
        assert (right.status, wrong.status) == (202, 202)
        told = another.finished(right.json["id"]), one.finished(wrong.json["id"])
    assert [each["results"][0]["verdict"] for each in told] == ["compiled", "rejected"]


def test_the_commands_of_the_notes_work(release: Release, helm: Helm, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    commands = "\n".join(
        each for each in release.notes.splitlines() if re.match(r"  (  --|kubectl |helm |curl )", each)
    )
    assert commands.count("kubectl") >= 3
    assert commands.count("curl") >= 2
    for program, path in (("helm", helm.program), ("kubectl", KUBECTL)):
        (tmp_path / program).symlink_to(path)
    script = f"""
        set -e
        trap 'kill $(jobs -p)' EXIT
        # Who types is slower than kubectl.
        curl() {{ command curl --fail --retry 20 --retry-connrefused --retry-delay 1 "$@"; }}
        {commands.replace("8080", str(port))}
    """
    environment = {**helm.environment, "PATH": f"{tmp_path}:{os.environ['PATH']}", "TOKEN": release.token}
    done = subprocess.run(
        ["bash", "-c", script],
        env={**environment, "KUBECONFIG": release.installation.kubeconfig},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, (script, done.stdout, done.stderr)
    assert '"verdict": "compiled"' in done.stdout
    # `helm test` is one of them, and asks the Service from within the cluster.
    assert re.search(r"^Phase: +Succeeded", done.stdout, re.MULTILINE)


@pytest.mark.parametrize("release", ["production"], indirect=True)
def test_who_has_no_token_gets_nothing(release: Release) -> None:
    with release.installation.reached() as client:
        for headers in ({"Authorization": ""}, {"Authorization": f"Bearer {secrets.token_urlsafe(32)}"}):
            for method, path in (("POST", "/api/v2/checks"), ("GET", "/metrics"), ("GET", "/api/v1/environments")):
                assert client.call(method, path, {"files": RIGHT}, **headers).status == 401
        assert client.call("GET", "/ready", Authorization="").status == 200
        assert client.call("GET", "/metrics").status == 200


@pytest.mark.parametrize("release", ["production"], indirect=True)
def test_a_compile_is_served_by_a_pod_that_has_waited(release: Release) -> None:
    """With all that guards the namespace turned on: the first ask for one, and one of the next finds it."""
    installation = release.installation

    def is_served(client: Client) -> bool:
        job = client.checked(RIGHT, toolchains=["gcc-13"])["id"] + "-0"
        pods = installation.get("pods", f"--selector=job-id={job}", f"--namespace={installation.compiles}")["items"]
        return not pods

    # Each asks the same replica: the pods that wait are its own.
    with installation.reached(installation.pod_names(REPLICAS["production"])[0]) as client:
        until(lambda: is_served(client))


def test_what_is_uninstalled_leaves_nothing(release: Release) -> None:
    installation = release.installation
    given = {each for each in installation.objects() if "/Secret/" in each and "/sh.helm" not in each}
    with installation.reached() as client:
        # One that is done is kept, one is not done.
        assert verdict(client, RIGHT) == "compiled"
        assert client.check(RIGHT, toolchains=["gcc-13"]).status == 202
    assert sum("/Job/compile-" in each for each in installation.objects()) >= 2
    installation.helm("uninstall", installation.name, "--wait")
    deadline = time.monotonic() + REMOVAL_SECONDS
    while left := installation.objects() - given:
        assert time.monotonic() < deadline, left
        time.sleep(0.5)
