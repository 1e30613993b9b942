"""What breaks in the middle: a part of the cluster, the client. Nothing lost, no wrong verdict, nothing left."""

from __future__ import annotations

import json
import signal
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, NamedTuple

import pytest

from tests.backends import OUR_IMAGES, ROLE, Account
from tests.cluster import RUN, kubectl
from tests.contract.test_backend import ENDLESS, FINE, job
from tests.docker.private import command, run
from tests.kubernetes.test_troubles import gcc, running, until
from willitcompile.backends.kubernetes import backend as backend_module
from willitcompile.backends.kubernetes import jobs as jobs_module
from willitcompile.backends.kubernetes.watch import Watch
from willitcompile.errors import BackendFailed
from willitcompile.model import MIB, Limits, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from concurrent.futures import Future
    from pathlib import Path

    from tests.cluster import Cluster
    from tests.kubernetes.conftest import Opened
    from willitcompile.backends import Backend
    from willitcompile.model import CompileJob, CompileResult

pytestmark = pytest.mark.kubernetes

SLOW = b"#if __INCLUDE_LEVEL__ < 14\n#include __FILE__\n#include __FILE__\n#endif\n"
"""A second or so of gcc in a pod."""

BEGIN_SECONDS = 90.0
"""In which a pod starts where the server was away: the parts of a cluster come back to it one after another, those that
had tried most often last, after half a minute."""


@pytest.fixture(scope="module")
def _alone(own_cluster: Cluster) -> Iterator[Cluster]:
    with own_cluster.alone():
        yield own_cluster


@pytest.fixture
def broken(_alone: Cluster) -> Iterator[Cluster]:
    """A cluster that nobody else uses now. What is broken in it is mended afterwards."""
    before = servers()
    yield _alone
    for component in _alone.components:
        if not _alone.answers(component):
            _alone.kill(component)
            _alone.start(component)
    if servers() != before:
        # They come back to a server that was away by and by, after a minute where it was so several times.
        for component in ("controller-manager", "scheduler", "kubelet"):
            _alone.kill(component)
            _alone.start(component)


def servers() -> list[str]:
    """Which processes are the cluster's memory."""
    return [(RUN / f"{component}.pid").read_text() for component in ("etcd", "apiserver")]


class Owner(NamedTuple):
    """An account with the Role of the documentation and nothing more, by a token that stands in a file."""

    name: str
    namespace: str
    kubeconfig: Path
    token: Path

    def renew(self) -> None:
        """Another account of the same name takes its place, whose token is another one."""
        kubectl("delete", "serviceaccount", self.name, f"--namespace={self.namespace}")
        kubectl("create", "serviceaccount", self.name, f"--namespace={self.namespace}")
        self.token.write_text(kubectl("create", "token", self.name, f"--namespace={self.namespace}"))


@pytest.fixture
def owner(kubeconfig: str, room: str, tmp_path: Path) -> Owner:
    path = Account(kubeconfig, room, "owner", tmp_path).may(ROLE)
    document = json.loads(path.read_text())
    token = tmp_path / "token"
    token.write_text(document["users"][0]["user"]["token"])
    document["users"][0]["user"] = {"tokenFile": str(token)}
    path.write_text(json.dumps(document))
    return Owner("owner", room, path, token)


def numbered(backend: Backend, number: int) -> tuple[CompileJob, Verdict]:
    """A job, every third of which is wrong, and its verdict."""
    wrong = number % 3 == 0
    source = SLOW + (b"#if __INCLUDE_LEVEL__ == 0\n#error %d\n#endif\n" % number if wrong else b"")
    limits = Limits(wall_seconds=60, memory_bytes=1024 * MIB)
    return job(gcc(backend), source, limits=limits), Verdict.REJECTED if wrong else Verdict.COMPILED


class UnderWay(NamedTuple):
    answers: list[Future[CompileResult]]
    expected: list[Verdict]

    def verdicts(self) -> list[Verdict]:
        return [each.result(150).verdict for each in self.answers]


@pytest.fixture
def under_way(opened: Opened) -> Iterator[Callable[..., UnderWay]]:
    """`under_way(namespace, count, account=…)`: so many jobs, ten at a time, of which one is done."""
    with ThreadPoolExecutor(10) as pool:

        def start(namespace: str, count: int, account: Path | None = None, **settings: object) -> UnderWay:
            backend = opened(namespace, account=account, cpu="none", **settings)
            jobs = [numbered(backend, each) for each in range(count)]
            answers = [pool.submit(backend.compile, asked) for asked, _ in jobs]
            until(lambda: any(each.done() for each in answers) and bool(running(namespace)), BEGIN_SECONDS)
            return UnderWay(answers, [verdict for _, verdict in jobs])

        yield start


# --- the node


def test_a_node_that_is_drained(namespace: str, broken: Cluster, opened: Opened) -> None:
    node = kubectl("get", "nodes", "--output=jsonpath={.items[0].metadata.name}")
    heard: list[str] = []
    backend = opened(notify=heard.append, start_seconds=40)
    asked = job(gcc(backend), ENDLESS, limits=Limits(wall_seconds=3, memory_bytes=2048 * MIB))
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(backend.compile, asked)
        until(lambda: bool(running(namespace)), BEGIN_SECONDS)
        kubectl("drain", node, "--pod-selector=managed-by=will-it-compile", "--delete-emptydir-data", "--timeout=40s")
        until(lambda: bool(heard))
        assert not running(namespace)
        kubectl("uncordon", node)
        assert answer.result(60).verdict is Verdict.TIMEOUT
    assert len(heard) == 1
    assert heard[0].startswith("a compile is run again: its pod was evicted from its node")


def test_a_node_that_dies(namespace: str, broken: Cluster, opened: Opened) -> None:
    """Its kubelet says nothing any more, and what the cluster does then, after a minute, is asked for at once."""
    node = kubectl("get", "nodes", "--output=jsonpath={.items[0].metadata.name}")
    heard: list[str] = []
    backend = opened(notify=heard.append, start_seconds=40)
    asked = job(gcc(backend), ENDLESS, limits=Limits(wall_seconds=8, memory_bytes=4096 * MIB))
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(backend.compile, asked)
        until(lambda: bool(running(namespace)), BEGIN_SECONDS)
        broken.kill("kubelet", signal.SIGKILL)
        kubectl("taint", "node", node, "example.org/dead:NoExecute")
        try:
            until(lambda: bool(heard) or answer.done())
        finally:
            kubectl("taint", "node", node, "example.org/dead:NoExecute-")
        broken.start("kubelet")
        assert answer.result(60).verdict is Verdict.TIMEOUT
    # What takes pods away may hear late that the node is well, and take the next one, too.
    assert len(heard) <= backend_module.LOSSES
    assert all(each.startswith("a compile is run again: its pod was on a node that stopped") for each in heard)


# --- parts of the cluster


@pytest.mark.parametrize("component", ["controller-manager", "scheduler"])
def test_a_part_of_the_cluster_is_away_for_a_while(
    owner: Owner, broken: Cluster, under_way: Callable[..., UnderWay], component: str
) -> None:
    """Nothing makes pods, or nothing places them: those that have theirs come to their end, and the others wait."""
    checks = under_way(owner.namespace, 24, owner.kubeconfig)
    broken.kill(component, signal.SIGKILL)
    until(lambda: not running(owner.namespace))
    assert not all(each.done() for each in checks.answers)
    broken.start(component)
    assert checks.verdicts() == checks.expected


@pytest.mark.parametrize("component", ["containerd", "kubelet", "etcd", "apiserver"])
def test_a_part_of_the_cluster_is_killed_and_started_again(
    owner: Owner, broken: Cluster, under_way: Callable[..., UnderWay], component: str
) -> None:
    checks = under_way(owner.namespace, 12, owner.kubeconfig)
    broken.kill(component, signal.SIGKILL)
    broken.start(component)
    assert checks.verdicts() == checks.expected


def test_the_server_forgets_what_the_watch_has_heard_and_who_we_are(
    owner: Owner, broken: Cluster, opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    """410 Gone, as what happened meanwhile is in no server's memory; 401, as that of a token that is out of date."""
    listed = []

    def relist(watch: Watch) -> None:
        as_before(watch)
        listed.append(watch)

    as_before = Watch._relist
    monkeypatch.setattr(Watch, "_relist", relist)
    backend = opened(owner.namespace, account=owner.kubeconfig, cpu="none")
    # It still compiles when the server goes.
    asked = job(gcc(backend), ENDLESS, limits=Limits(wall_seconds=20, memory_bytes=4096 * MIB))
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(backend.compile, asked)
        until(lambda: bool(running(owner.namespace)), BEGIN_SECONDS)
        owner.renew()
        # Newer than all that the watch has heard.
        kubectl("annotate", "namespace", owner.namespace, "tests=newer")
        broken.kill("apiserver", signal.SIGKILL)
        broken.start("apiserver")
        assert answer.result(150).verdict is Verdict.TIMEOUT
    assert listed


def test_a_server_that_is_gone_for_good(
    owner: Owner, broken: Cluster, opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs_module, "_OUTAGE_SECONDS", 1.0)
    backend = opened(owner.namespace, account=owner.kubeconfig)
    with ThreadPoolExecutor(1) as pool:
        asked = job(gcc(backend), ENDLESS, limits=Limits(wall_seconds=5, memory_bytes=2048 * MIB))
        answer = pool.submit(backend.compile, asked)
        until(lambda: bool(running(owner.namespace)), BEGIN_SECONDS)
        broken.kill("apiserver", signal.SIGKILL)
        error = answer.exception(60)
    assert isinstance(error, BackendFailed)
    assert error.asked == "compile with gcc-13"
    assert error.obstacle.endswith(":6443 does not answer: nothing listens there")
    assert error.remedy == "kubectl cluster-info"
    broken.start("apiserver")
    # Nobody could delete the Job: it ends by itself, and is deleted some minutes later.
    until(lambda: not running(owner.namespace))
    kubectl("delete", "jobs", "--all", f"--namespace={owner.namespace}")


def test_a_server_that_is_not_there_at_first(owner: Owner, broken: Cluster, tmp_path: Path) -> None:
    """On the command line: exit 3, in three parts."""
    (tmp_path / "fine.c").write_bytes(FINE)
    broken.kill("apiserver", signal.SIGKILL)
    done = run(*asking(tmp_path, owner.namespace, "fine.c"), home=tmp_path, environment=of(owner))
    assert done.returncode == 3, done
    assert "fine.c" in done.stderr or "compile with gcc-13" in done.stderr
    assert ":6443 does not answer: nothing listens there" in done.stderr
    assert "kubectl cluster-info" in done.stderr


# --- the client


def of(owner: Owner) -> dict[str, str]:
    return {"KUBECONFIG": str(owner.kubeconfig)}


def asking(directory: Path, namespace: str, *paths: str, **settings: object) -> list[str]:
    """The words of a check of these files of a directory."""
    config = directory / "config.yaml"
    section = {name.replace("_", "-"): value for name, value in settings.items()}
    config.write_text(json.dumps({"images": OUR_IMAGES, "compiler": "gcc-13", "kubernetes": section}))
    words = ["check", "--backend=kubernetes", f"--config={config}", f"--namespace={namespace}", "--memory=2G"]
    return [*words, *(str(directory / path) for path in paths)]


@pytest.fixture
def endless(tmp_path: Path) -> list[str]:
    names = [f"{number}.c" for number in range(3)]
    for name in names:
        (tmp_path / name).write_bytes(ENDLESS)
    return names


def test_what_a_killed_client_leaves_is_cleared_by_clean(
    owner: Owner, endless: list[str], tmp_path: Path, left: Callable[[str], list[str]]
) -> None:
    words = asking(tmp_path, owner.namespace, *endless, units=1)
    with command(*words, "--timeout=120", home=tmp_path, environment=of(owner)) as client:
        until(lambda: len(running(owner.namespace)) == 3, BEGIN_SECONDS)
        where = f"--namespace={owner.namespace}"
        assert run("clean", where, home=tmp_path, environment=of(owner)).stdout == "nothing to clear\n"
        client.kill()
    cleaned = run("clean", where, home=tmp_path, environment=of(owner))
    assert cleaned.stdout.count(f"job {owner.namespace}/compile-") == 3, cleaned
    until(lambda: not left(owner.namespace))


def test_what_a_killed_client_leaves_goes_by_itself(
    owner: Owner, endless: list[str], tmp_path: Path, left: Callable[[str], list[str]]
) -> None:
    """Each compile at its limit, and what is left of it as long afterwards as the settings say."""
    words = asking(tmp_path, owner.namespace, *endless, units=1, keep_seconds=1)
    with command(*words, "--timeout=2", home=tmp_path, environment=of(owner)) as client:
        until(lambda: bool(running(owner.namespace)), BEGIN_SECONDS)
        client.kill()
    until(lambda: not left(owner.namespace))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_client_leaves_nothing(
    owner: Owner, endless: list[str], tmp_path: Path, left: Callable[[str], list[str]], number: int
) -> None:
    words = asking(tmp_path, owner.namespace, *endless, units=1)
    with command(*words, "--timeout=120", home=tmp_path, environment=of(owner)) as client:
        until(lambda: len(running(owner.namespace)) == 3, BEGIN_SECONDS)
        client.send_signal(number)
        _, err = client.communicate(timeout=60)
    assert client.returncode == 130, err
    states = "--output=jsonpath={.items[*].status.containerStatuses[*].state.running}"
    assert kubectl("get", "pods", f"--namespace={owner.namespace}", states) == ""
    # What it owned goes a moment after a Job.
    assert not [each for each in left(owner.namespace) if each.startswith("job")]
    until(lambda: not left(owner.namespace))
