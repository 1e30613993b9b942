"""Thousands of compiles in the pods of simulated nodes: what they cost the client, and the API server.

API server, scheduler and controllers are those of the tests' cluster; kwok plays the nodes. Each pod takes as long to
start and to end as a real one, and its log is what a real pod has answered. So this client does all that it does
otherwise, while nothing compiles.

    python tests/benchmarks/simulated.py NAMESPACE COUNT PODS DIRECTORY    the client, in a process of its own
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(Path(__file__).parent)]

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bench import Figure, Machine
    from cluster import Room

    from willitcompile.backends import Backend

MODULE, VERSION = "sigs.k8s.io/kwok", "v0.8.0"
PATCHED = "pkg/utils/informer/event.go"
PATCH = ("if !o.EnableListPager ||", 'if opts.ResourceVersion == "" && !o.EnableListPager ||')
"""It begins each watch at version 0, as if it had listed nothing, which an API server on an etcd before 3.4.25 refuses:
then it hears only of what it lists, twice a minute."""
NODES, PODS_OF_A_NODE = 10, 100
LABEL, TAINT = "will-it-compile-simulated", "kwok.x-k8s.io/node"
ON_THEM = {
    "node-selector": {LABEL: "true"},
    "tolerations": [{"key": TAINT, "operator": "Exists"}],
}
"""Of the section `kubernetes`: our pods go there, and nobody else's."""
START_MILLISECONDS, COMPILE_MILLISECONDS = 500, 500
COUNT, FEW = 2000, 200
LOOKS = (8, 4, 2, 1)
"""The points of a curve: the parts of a whole after which to look."""
PODS = (50, 200)
SOURCE = "int f_{0}() {{ }}\n"
"""Which g++ warns of, so that there is something to read."""


class Look(NamedTuple):
    """The client after some compiles."""

    done: int
    seconds: float
    cpu_seconds: float
    rss_bytes: int
    requests: int
    threads: int
    most_bytes: int
    """The most that was ever resident."""


# --- the bench


def many_pods(machine: Machine) -> Iterator[Figure]:
    """As many compiles as have a pod each, with 50 and with 200 of them at the same time."""
    from bench import Figure
    from cluster import room

    count = FEW if machine.quick else COUNT
    sources = machine.scratch / "simulated"
    sources.mkdir()
    for number in range(count):
        (sources / f"file_{number}.cpp").write_text(SOURCE.format(number))
    with room() as there:
        if there.cluster is None:
            raise RuntimeError("only the tests' own cluster can be told who plays a node: unset WIC_TEST_KUBECONFIG")
        with nodes(there, machine.scratch):
            for pods in PODS:
                looks = _client(there.namespace, count, pods, sources)
                last = looks[-1]
                which = f"{count} compiles, {pods} pods at a time"
                yield Figure("kubernetes", which, [last.seconds])
                yield Figure("kubernetes", f"{which}: each", [last.requests / count], "at most 5", "requests")
                yield Figure("kubernetes", f"{which}: of a core, each", [last.cpu_seconds / count])
                yield Figure("kubernetes", f"{which}: at most", [max(look.threads for look in looks)], unit="threads")
                for look in looks:
                    yield Figure("kubernetes", f"resident after {look.done}", [look.rss_bytes / 1e6], unit="MB")
                yield Figure("kubernetes", f"{which}: at most", [last.most_bytes / 1e6], unit="MB")


def _client(namespace: str, count: int, pods: int, sources: Path) -> list[Look]:
    """Raises RuntimeError."""
    argv = [sys.executable, __file__, namespace, str(count), str(pods), str(sources)]
    ran = subprocess.run(argv, capture_output=True, text=True, check=False)
    if ran.returncode:
        raise RuntimeError(f"the client fails: {ran.stderr.strip()[-1000:]}")
    return [Look(*json.loads(line)) for line in ran.stdout.splitlines()]


# --- the nodes


@contextmanager
def nodes(there: Room, scratch: Path) -> Iterator[None]:
    """Simulated nodes, as long as this lasts. Raises RuntimeError."""
    from tests.cluster import kubectl

    assert there.cluster is not None
    directory = there.cluster.directory
    program = _kwok(directory.parent)
    with tempfile.TemporaryDirectory(prefix="kwok-", dir=scratch) as made:
        below = Path(made)
        _certify(directory, below)
        log = below / "answer.log"
        log.write_text(_answer(there))
        (below / "kwok.yaml").write_text("\n---\n".join(json.dumps(each, indent=1) for each in _stages(log)))
        names = [f"simulated-{number}" for number in range(NODES)]
        with _running(program, below, str(there.cluster.kubeconfig)):
            try:
                kubectl("delete", "node", f"--selector={LABEL}", "--ignore-not-found")  # of a run that was killed
                kubectl("create", "--filename=-", input=json.dumps(_list([_node(name) for name in names])))
                kubectl("wait", "--for=condition=Ready", f"--selector={LABEL}", "node", "--timeout=60s")
                yield
            finally:
                # Before their pods' namespace: what is on a node that is gone would wait for it.
                kubectl("delete", "jobs,pods", "--all", f"--namespace={there.namespace}", "--wait", "--timeout=60s")
                kubectl("delete", "node", f"--selector={LABEL}", "--timeout=60s", "--ignore-not-found")
                leases = [f"lease/{name}" for name in names]
                kubectl("delete", "--namespace=kube-node-lease", "--ignore-not-found", *leases)


def _kwok(cache: Path) -> Path:
    """The program, built if it is not there. Raises RuntimeError."""
    target = cache / f"kwok-{VERSION}"
    if target.exists():
        return target
    if not shutil.which("go"):
        raise RuntimeError("there is no go, which builds kwok: install Go 1.26 or later")
    print("building kwok from its source, once: this takes some minutes", file=sys.stderr, flush=True)
    with tempfile.TemporaryDirectory(suffix=".part", dir=cache) as part:
        source = Path(part) / "source"
        shutil.copytree(json.loads(_go(cache, "mod", "download", "-json", f"{MODULE}@{VERSION}"))["Dir"], source)
        patched = source / PATCHED
        patched.parent.chmod(0o755)
        patched.chmod(0o644)
        patched.write_text(patched.read_text().replace(*PATCH))
        made = Path(part) / "kwok"
        _go(source, "build", "-trimpath", "-ldflags=-s -w", "-o", str(made), "./cmd/kwok")
        made.rename(target)
    return target


def _go(directory: Path, *argv: str) -> str:
    environment = {**os.environ, "CGO_ENABLED": "0", "GOWORK": "off"}
    ran = subprocess.run(["go", *argv], cwd=directory, env=environment, capture_output=True, text=True, check=False)
    if ran.returncode:
        raise RuntimeError(f"go {argv[0]} fails: {ran.stderr.strip()[-500:]}")
    return ran.stdout.strip()


def _certify(authority: Path, below: Path) -> None:
    """What the API server, which asks a node for logs, takes for one of its nodes."""
    from tests.cluster.files import HOST_ADDRESS

    extensions = below / "extensions"
    extensions.write_text(f"subjectAltName=IP:{HOST_ADDRESS}\nextendedKeyUsage=serverAuth\n")
    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", f"{below}/kwok.key")
    _run("openssl", "req", *key, "-subj", "/CN=kwok", "-out", f"{below}/kwok.csr")
    signed = ("-CA", f"{authority}/ca.crt", "-CAkey", f"{authority}/ca.key", "-CAserial", f"{below}/serial")
    request = ("-req", "-days", "2", "-in", f"{below}/kwok.csr", "-out", f"{below}/kwok.crt")
    _run("openssl", "x509", *request, *signed, "-CAcreateserial", "-extfile", str(extensions))


@contextmanager
def _running(program: Path, below: Path, kubeconfig: str) -> Iterator[None]:
    """Raises RuntimeError where it does not start."""
    from tests.cluster.files import HOST_ADDRESS

    argv = [
        # It ends with this process, however that ends.
        *("setpriv", "--pdeathsig", "TERM", str(program), "--config", f"{below}/kwok.yaml", "--kubeconfig", kubeconfig),
        *("--manage-nodes-with-label-selector", f"{LABEL}=true", "--node-ip", HOST_ADDRESS, "--node-port", "10247"),
        *("--server-address", f"{HOST_ADDRESS}:10247"),
        *("--tls-cert-file", f"{below}/kwok.crt", "--tls-private-key-file", f"{below}/kwok.key"),
    ]
    said = below / "kwok.log"
    # It reads a configuration of its own in the home directory.
    environment = {**os.environ, "HOME": str(below), "KWOK_WORKDIR": str(below)}
    with said.open("wb") as log:
        process = subprocess.Popen(argv, stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=environment)
    try:
        yield
    except BaseException:
        print("".join(said.read_text(errors="replace").splitlines(keepends=True)[-5:]), file=sys.stderr)
        raise
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _node(name: str) -> dict[str, Any]:
    labels = {LABEL: "true", "kubernetes.io/hostname": name, "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64"}
    room = {"cpu": "64", "memory": "256Gi", "ephemeral-storage": "1Ti", "pods": str(PODS_OF_A_NODE)}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": labels},
        "spec": {"taints": [{"key": TAINT, "value": "fake", "effect": "NoSchedule"}]},
        "status": {"allocatable": room, "capacity": room},
    }


def _list(items: list[dict[str, Any]]) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "List", "items": items}


def _answer(there: Room) -> str:
    """What a real pod has said of a real compile, as a container runtime keeps it."""
    from cluster import TOOLCHAIN

    from tests.cluster import kubectl
    from willitcompile import check

    with there.open({"delete": "ttl"}) as backend:
        check(source=SOURCE.format(0), language="c++", compiler=TOOLCHAIN, backend=backend)
    everything = f"--namespace={there.namespace}"
    pod = kubectl("get", "pods", everything, "--output=name").split()[0]
    lines = kubectl("logs", everything, pod, "--timestamps").splitlines()
    kubectl("delete", "jobs", "--all", everything)
    return "".join(f"{when} stdout F {text}\n" for when, _, text in (line.partition(" ") for line in lines))


def _stages(log: Path) -> list[dict[str, Any]]:
    """What becomes of nodes and pods, and what their logs are."""
    api = "kwok.x-k8s.io/v1alpha1"

    def stage(
        name: str, kind: str, wanted: dict[str, str | None], then: dict[str, Any], after: int = 0
    ) -> dict[str, Any]:
        """`wanted`: by what is looked at, its value; None for any at all."""
        rules = [
            {"key": key, "operator": "Exists"} if value is None else {"key": key, "operator": "In", "values": [value]}
            for key, value in wanted.items()
        ]
        if kind == "Pod" and "delete" not in then:
            rules.append({"key": ".metadata.deletionTimestamp", "operator": "DoesNotExist"})
        return {
            "apiVersion": api,
            "kind": "Stage",
            "metadata": {"name": name},
            "spec": {
                "resourceRef": {"apiGroup": "v1", "kind": kind},
                "selector": {"matchExpressions": rules},
                "delay": {"durationMilliseconds": after, "jitterDurationMilliseconds": 2 * after},
                "next": then,
            },
        }

    is_ready = '.status.conditions.[] | select( .type == "Ready" ) | .status'
    node = {"statusTemplate": NODE_STATUS}
    ready = stage("node-ready", "Node", {}, node)
    ready["spec"]["selector"]["matchExpressions"] = [{"key": is_ready, "operator": "NotIn", "values": ["True"]}]
    return [
        ready,
        stage("pod-runs", "Pod", {".status.phase": "Pending"}, _pod("Running", RUNS), START_MILLISECONDS),
        stage("pod-ends", "Pod", {".status.phase": "Running"}, _pod("Succeeded", ENDED), COMPILE_MILLISECONDS),
        stage("pod-goes", "Pod", {".metadata.deletionTimestamp": None}, {"delete": True}),
        {
            "apiVersion": api,
            "kind": "ClusterLogs",
            "metadata": {"name": "answers"},
            "spec": {"logs": [{"logsFile": str(log), "follow": True}]},
        },
    ]


NODE_STATUS = """\
{{ $now := Now }}
conditions:
{{ range NodeConditions }}
- lastHeartbeatTime: {{ $now | Quote }}
  lastTransitionTime: {{ $now | Quote }}
  message: {{ .message | Quote }}
  reason: {{ .reason | Quote }}
  status: {{ .status | Quote }}
  type: {{ .type | Quote }}
{{ end }}
addresses:
- {address: {{ NodeIP | Quote }}, type: InternalIP}
daemonEndpoints:
  kubeletEndpoint:
    Port: {{ NodePort }}
phase: Running
"""

RUNS = "running: {startedAt: {{ $now | Quote }}}"
ENDED = "terminated: {exitCode: 0, reason: Completed, startedAt: {{ $now | Quote }}, finishedAt: {{ $now | Quote }}}"


def _pod(phase: str, state: str) -> dict[str, Any]:
    runs = "true" if phase == "Running" else "false"
    template = f"""\
{{{{ $now := Now }}}}
conditions:
- {{type: Initialized, status: "True", lastTransitionTime: {{{{ $now | Quote }}}}}}
- {{type: Ready, status: "{runs.title()}", lastTransitionTime: {{{{ $now | Quote }}}}}}
- {{type: ContainersReady, status: "{runs.title()}", lastTransitionTime: {{{{ $now | Quote }}}}}}
containerStatuses:
{{{{ range .spec.containers }}}}
- image: {{{{ .image | Quote }}}}
  imageID: {{{{ printf "%s@sha256:%064d" .image 0 | Quote }}}}
  name: {{{{ .name | Quote }}}}
  ready: {runs}
  started: {runs}
  restartCount: 0
  state:
    {state}
{{{{ end }}}}
phase: {phase}
startTime: {{{{ $now | Quote }}}}
"""
    return {"statusTemplate": template}


def _run(*argv: str) -> None:
    subprocess.run(argv, check=True, capture_output=True)


# --- the client


def main(namespace: str, count: int, pods: int, directory: str) -> None:
    """Checks a directory, and prints a Look on a line of its own now and then."""
    from cluster import IMAGES, TOOLCHAIN

    from willitcompile.backends import Opening, open_backend
    from willitcompile.checker import run
    from willitcompile.planning import CheckRequest

    section = {"namespace": namespace, "pods": pods, "units": 1, "start-seconds": 60, **ON_THEM}
    begin = time.perf_counter()
    with open_backend("kubernetes", Opening(images=IMAGES, options={"kubernetes": section})) as backend:
        _look(backend, 0, begin)
        results = run(CheckRequest((directory,), (TOOLCHAIN,)), backend)
        for done, result in enumerate(results, 1):
            if result.result.verdict != "compiled" or b"-Wreturn-type" not in result.result.stderr:
                raise RuntimeError(f"{result.source} is {result.result}")
            if done in {count // part for part in LOOKS}:
                _look(backend, done, begin)


def _look(backend: Backend, done: int, begin: float) -> None:
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    rss, most = (int(status[name].split()[0]) * 1024 for name in ("VmRSS", "VmHWM"))
    seconds, busy = time.perf_counter() - begin, time.process_time()
    requests = int(getattr(backend, "requests", 0))
    look = Look(done, seconds, busy, rss, requests, threading.active_count(), most)
    print(json.dumps(look), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4])
