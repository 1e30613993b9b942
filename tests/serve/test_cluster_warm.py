"""Replicas on a cluster that have pods wait: what those compile is in the queue as all else."""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.backends import ROLE, SERVE_ROLE, WARM_ROLE, Account
from tests.cluster import kubectl
from tests.serve.replicas import ENDLESS, FINE, WRONG, Replica, check, until, verdicts
from willitcompile.backends.kubernetes import queue
from willitcompile.server.checks import Ask, Cell, Check

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.kubernetes

WARM = {"warm": {"enabled": True, "max": 2}}
_SLOW = b"""
template <int> constexpr int slow() {
    int n = 0;
    for (int i = 0; i < 20; ++i) { for (int j = 0; j < 50000; ++j) { n ^= j; } }
    return n;
}
"""
SLOW = _SLOW + b"constexpr int fine[] = {slow<0>(), slow<1>(), slow<2>(), slow<3>()};"
SLOWER = _SLOW + b"constexpr int fine[] = {%s};" % b", ".join(b"slow<%d>()" % number for number in range(10))
"""Each takes about a second of a core, and then it compiles."""


@pytest.fixture(scope="module")
def account(kubeconfig: str, room: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Which may do what the documentation says of a service with warm pods, and nothing more."""
    return Account(kubeconfig, room, "warming", tmp_path_factory.mktemp("warming")).may(ROLE, SERVE_ROLE, WARM_ROLE)


@pytest.fixture(scope="module")
def limited(kubeconfig: str, room: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Which may not attach to pods."""
    return Account(kubeconfig, room, "limited", tmp_path_factory.mktemp("limited")).may(ROLE, SERVE_ROLE)


def ready(one: Replica, first: Check | None = None) -> Replica:
    """One with pods that wait, as many as the first check of their kind has needed."""
    first = first or check(FINE)
    count = len(first.cells)
    one.submit(first)
    one.answers(first)
    until(lambda: one.backend.waiting >= count)
    return one


def named(source: bytes) -> tuple[Check, bytes]:
    """A check of a source with a name of its own, by which its compiler is known among all processes."""
    name = f"{secrets.token_hex(8)}.cpp"
    return check(source)._replace(cells=(Cell(name, "c++", "gcc-13", None),), ask=Ask({name: source})), name.encode()


def compiles(name: bytes) -> bool:
    def read(pid: str) -> bytes:
        try:
            return Path(f"/proc/{pid}/cmdline").read_bytes()
        except OSError:
            return b""

    return any(name in read(pid) for pid in os.listdir("/proc") if pid.isdecimal())


def own_pods(one: Replica, asked: Check) -> list[str]:
    """Those of its Jobs, which what a pod that waited compiles has none of."""
    selector = f"--selector=will-it-compile/check={asked.id}"
    return kubectl("get", "pods", selector, f"--namespace={one.room}", "--output=name").split()


def others(one: Replica) -> list[str]:
    """The Jobs that are none of the queue."""
    selector = "--selector=managed-by=will-it-compile,will-it-compile/session!=queue"
    return kubectl("get", "jobs", selector, f"--namespace={one.room}", "--output=name").split()


def jobs_of(one: Replica, asked: Check) -> list[dict[str, Any]]:
    selector = f"--selector=will-it-compile/check={asked.id}"
    found: list[dict[str, Any]] = json.loads(
        kubectl("get", "jobs", selector, f"--namespace={one.room}", "--output=json")
    )["items"]
    return found


def ends(job: dict[str, Any]) -> str | None:
    conditions = job["status"].get("conditions", ())
    return next((each["type"] for each in conditions if each["type"] in {"Complete", "Failed"}), None)


def test_a_pod_that_waited_answers_and_every_replica_tells_it(replica: Callable[..., Replica]) -> None:
    one, two = ready(replica(**WARM), check(FINE, FINE)), replica(**WARM)
    asked = check(FINE, WRONG)
    one.submit(asked)
    assert two.find(asked) is not None
    told = one.answers(asked)
    assert verdicts(told) == ["compiled", "rejected"]
    assert told[1]["diagnostics"][0]["path"] == "1.c"
    assert (told[0]["backend"], told[0]["isolation"]) == ("kubernetes", "container")
    assert "gcc@sha256" in told[0]["image"] or told[0]["image"].startswith("sha256:")
    assert two.answers(asked) == told
    until(lambda: one.watched.begun.count(asked.id) == 2 and len(one.watched.told) == 4)
    assert not two.watched.told
    # Its Jobs end well without a pod, and so are deleted by the cluster in time.
    until(lambda: [ends(each) for each in jobs_of(one, asked)] == ["Complete"] * 2)
    assert not own_pods(one, asked)


def test_what_finds_no_pod_waiting_has_its_own(replica: Callable[..., Replica]) -> None:
    one = ready(replica(**WARM))
    asked = check(FINE, WRONG, FINE, FINE)
    one.submit(asked)
    assert verdicts(one.answers(asked)) == ["compiled", "rejected", "compiled", "compiled"]
    assert 0 < len(own_pods(one, asked)) < 4


def test_large_sources_and_large_answers(replica: Callable[..., Replica]) -> None:
    one, two = ready(replica(**WARM)), replica()
    noise = secrets.token_hex(1_000_000).encode()
    loud = b"/*%s*/\n" % noise + b"".join(b'#warning "%s"\n' % noise[at : at + 400] for at in range(900))
    asked = check(loud)
    one.submit(asked)
    told = one.answers(asked)
    assert len(told[0]["stderr"]) > 400_000
    assert two.answers(asked) == told
    assert not own_pods(one, asked)


def test_what_they_compile_counts_among_what_may_run(replica: Callable[..., Replica]) -> None:
    one, two = ready(replica(jobs=1, **WARM), named(FINE)[0]), replica(jobs=1, **WARM)
    (slow, name), after, last = named(ENDLESS), check(WRONG), check(FINE)
    one.submit(slow)
    until(lambda: compiles(name))
    two.submit(after)
    one.submit(last)
    until(lambda: one.service.statistics().queued == two.service.statistics().queued == 2)
    assert one.service.statistics().active == two.service.statistics().active == 1
    assert not [*own_pods(one, slow), *own_pods(one, after), *own_pods(one, last)]
    standing = two.find(slow)
    assert standing is not None
    assert standing.status == "running"
    # To cancel it, wherever that is asked for, ends it and makes room.
    assert two.do(two.service.cancel(slow.id)).status == "cancelled"
    until(lambda: (found := one.find(slow)) is not None and found.status == "cancelled")
    assert (verdicts(one.answers(after)), verdicts(two.answers(last))) == (["rejected"], ["compiled"])
    until(lambda: not compiles(name))
    assert not own_pods(one, slow)


DYING = """
import os, signal, sys, time
from tests.serve.test_cluster_warm import FINE, SLOW, WARM, Replica, compiles, named, ready
one = ready(Replica(sys.argv[1], sys.argv[2], **WARM), named(FINE)[0])
asked, name = named(SLOW)
one.submit(asked)
while not compiles(name):
    time.sleep(0.01)
print(asked.id, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_replica_compiled_is_run_again_by_another(
    replica: Callable[..., Replica], account: Path, room: str
) -> None:
    there = replica(**WARM)
    argv = [sys.executable, "-c", DYING, str(account), room]
    died = subprocess.run(argv, capture_output=True, text=True, timeout=90, check=False)
    assert died.returncode == -signal.SIGKILL, died.stderr
    asked = check(SLOW)._replace(id=died.stdout.strip())
    # One that was started since finds it as it is.
    late = replica(**WARM)
    until(lambda: own_pods(there, asked))
    assert verdicts(there.answers(asked)) == ["compiled"]
    assert there.answers(asked) == late.answers(asked)
    until(lambda: len(there.watched.told) + len(late.watched.told) == 1)
    assert len(own_pods(there, asked)) == 1


def test_who_is_slow_is_left_alone_as_long_as_he_says_so(
    replica: Callable[..., Replica], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue, "CLAIM_SECONDS", 6.0)
    monkeypatch.setattr(queue, "RENEW_SECONDS", 0.3)
    one, two = ready(replica(**WARM), named(FINE)[0]), replica(**WARM)
    asked, name = named(SLOWER)
    one.submit(asked)
    until(lambda: compiles(name))
    assert verdicts(two.answers(asked)) == ["compiled"]
    assert not own_pods(one, asked)
    assert not two.watched.begun


def test_who_was_thought_to_be_gone_does_no_harm(
    replica: Callable[..., Replica], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where a process was stopped for a while: what it compiles is compiled again, and told once."""
    monkeypatch.setattr(queue, "CLAIM_SECONDS", 0.5)
    monkeypatch.setattr(queue, "RENEW_SECONDS", 600.0)
    one, two = ready(replica(**WARM), named(FINE)[0]), replica()
    asked, _ = named(SLOW)
    one.submit(asked)
    until(lambda: own_pods(one, asked))
    assert verdicts(two.answers(asked)) == ["compiled"]
    assert one.answers(asked) == two.answers(asked)
    until(lambda: len(one.watched.told) + len(two.watched.told) == 2)
    until(lambda: ends(*jobs_of(one, asked)) is not None)
    assert [source for source, _ in one.watched.told + two.watched.told].count(asked.cells[0].source) == 1


def test_a_pod_that_is_lost_is_made_good_by_the_job(replica: Callable[..., Replica]) -> None:
    one = ready(replica(**WARM), named(FINE)[0])
    asked, name = named(SLOWER)
    one.submit(asked)
    until(lambda: compiles(name))
    kubectl("delete", *others(one), f"--namespace={one.room}", "--wait=false")
    assert verdicts(one.answers(asked)) == ["compiled"]
    assert len(own_pods(one, asked)) == 1


def test_a_replica_that_ends_leaves_no_pod_waiting_and_what_runs_to_the_others(
    replica: Callable[..., Replica], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue, "CLAIM_SECONDS", 600.0)  # nobody waits for that
    one, two = ready(replica(**WARM), named(FINE)[0]), replica()
    asked, name = named(SLOW)
    one.submit(asked)
    until(lambda: compiles(name))
    one.close()
    assert verdicts(two.answers(asked)) == ["compiled"]
    until(lambda: not others(two))


def test_without_their_permission_each_has_its_own_pod(
    limited: Path, replica: Callable[..., Replica], room: str
) -> None:
    two = replica()
    with Replica(limited, room, **WARM) as one:
        for _ in range(2):
            asked = check(FINE)
            one.submit(asked)
            assert verdicts(one.answers(asked)) == ["compiled"]
            assert len(own_pods(one, asked)) == 1
            until(lambda: one.notes)
        assert two.answers(asked) == one.answers(asked)
    (note,) = one.notes
    assert 'resource "pods/attach"' in note
