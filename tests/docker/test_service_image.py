"""The image of the service, as images/serve builds it: it needs no more than a cluster gives it, and holds no more than
it needs. What it does in a cluster: tests/chart.
"""

from __future__ import annotations

import json
import subprocess
import tarfile
from typing import TYPE_CHECKING, Any

import pytest

from willitcompile import __version__

if TYPE_CHECKING:
    from collections.abc import Callable

    Run = Callable[..., subprocess.CompletedProcess[str]]

pytestmark = pytest.mark.docker

HARDENED = ("--read-only", "--network=none", "--cap-drop=ALL", "--security-opt=no-new-privileges", "--pids-limit=100")
LARGEST_BYTES = 91_000_000
"""A tenth more than it has."""

EVERY_MODULE = """
import importlib, os, pathlib, sys
assert (os.getuid(), os.getgid()) == (1000, 1000)
for module in pathlib.Path("/usr/lib/python3.13/lib-dynload").iterdir():
    importlib.import_module(module.name.partition(".")[0])
import starlette, uvicorn, h11, msgspec, prometheus_client, websocket, typer, rich, zoneinfo
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from google.protobuf.internal import api_implementation
import yaml
# Those that are compiled, and not what does for them in Python.
assert (api_implementation.Type(), yaml.__with_libyaml__) == ("upb", True)
import willitcompile.server.run
for module in list(sys.modules.values()):
    cached = getattr(module, "__cached__", None)
    assert cached is None or os.path.exists(cached), f"{module} is compiled anew at each start"
"""


@pytest.fixture
def run(docker_host: str, service_image: str) -> Run:
    """`run(*argv, entrypoint="")`: in a container that has no more than it needs."""

    def run_it(*argv: str, entrypoint: str = "") -> subprocess.CompletedProcess[str]:
        options = [*HARDENED, *([f"--entrypoint={entrypoint}"] if entrypoint else [])]
        return subprocess.run(
            ["docker", "--host", docker_host, "run", "--rm", *options, service_image, *argv],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    return run_it


@pytest.fixture
def config(docker_host: str, service_image: str) -> dict[str, Any]:
    argv = ["docker", "--host", docker_host, "image", "inspect", service_image]
    return dict(json.loads(subprocess.run(argv, capture_output=True, check=True).stdout)[0])


def test_is_the_version_that_its_name_says(run: Run, service_image: str) -> None:
    said = run("version")
    assert said.returncode == 0, said.stderr
    assert f"will-it-compile {__version__} " in said.stdout
    assert service_image.endswith(f":{__version__}")
    assert "Usage: will-it-compile serve" in run("serve", "--help").stdout


def test_asks_for_a_cluster_where_there_is_none(run: Run) -> None:
    said = run("serve", "--backend", "kubernetes")
    assert said.returncode == 3
    assert "no cluster is named" in said.stderr
    assert run("doctor").returncode == 3


def test_says_what_it_does_without(docker_host: str, service_image: str) -> None:
    config = {
        "clusters": [{"name": "a", "cluster": {"server": "https://127.0.0.1:1"}}],
        "users": [{"name": "a", "user": {"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": "aws"}}}],
        "contexts": [{"name": "a", "context": {"cluster": "a", "user": "a"}}],
        "current-context": "a",
    }
    program = f"""if True:
        import pathlib, sys
        from willitcompile.cli import leave, run
        pathlib.Path("/tmp/config").write_text({json.dumps(config)!r})
        leave(run(["check", "-b", "kubernetes", "-l", "c", "-"]))
    """
    options = [*HARDENED, "--tmpfs=/tmp:mode=1777", "--env=KUBECONFIG=/tmp/config", "--entrypoint=python3"]
    argv = ["docker", "--host", docker_host, "run", "--rm", *options, service_image, "-c", program]
    said = subprocess.run(argv, capture_output=True, text=True, timeout=120, check=False)
    assert said.returncode == 3
    assert "the package kubernetes is not installed" in said.stderr
    assert "try: pip install kubernetes" in said.stderr


def test_has_all_that_its_modules_import(run: Run) -> None:
    said = run("-W", "error", "-c", EVERY_MODULE, entrypoint="python3")
    assert (said.returncode, said.stderr) == (0, "")


def test_is_small_and_an_ordinary_user_s(config: dict[str, Any]) -> None:
    assert config["Size"] < LARGEST_BYTES
    assert config["Config"]["User"] == "1000:1000"
    assert list(config["Config"]["ExposedPorts"]) == ["8080/tcp"]
    assert config["Config"]["Labels"]["org.opencontainers.image.title"] == "will-it-compile/serve"


def test_holds_no_shell_no_compiler_no_package_manager_and_nothing_that_gives_rights(
    docker_host: str, service_image: str
) -> None:
    docker = ("docker", "--host", docker_host)
    container = subprocess.run([*docker, "create", service_image], capture_output=True, text=True, check=True).stdout
    programs = set()
    try:
        with (
            subprocess.Popen([*docker, "export", container.strip()], stdout=subprocess.PIPE) as exporting,
            tarfile.open(fileobj=exporting.stdout, mode="r|") as archive,
        ):
            for file in archive:
                assert not file.mode & 0o6000, file.name
                assert (file.uid, file.gid) == (0, 0), file.name
                is_for_all = file.issym() or file.name.rstrip("/") in {"tmp", "dev/shm"}
                assert is_for_all or not file.mode & 0o002, file.name
                assert not file.name.startswith(("usr/lib/python3/dist-packages/pip", "usr/lib/python3.13/ensurepip"))
                if file.isfile() and file.mode & 0o111 and ".so" not in file.name:
                    programs.add(file.name)
    finally:
        subprocess.run([*docker, "rm", container.strip()], capture_output=True, check=True)
    assert {each for each in programs if "bin/" in each} == {"usr/bin/python3.13", "usr/bin/will-it-compile"}
