"""Replicas of the service on a cluster, which is all that they share: any of them answers for any check."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
import yaml

from tests.backends import ROLE, SERVE_ROLE, Account, objects_in
from tests.cluster import kubectl
from tests.serve.replicas import ENDLESS, FINE, WRONG, Replica, check, running, until, verdicts
from willitcompile.errors import NoAnswer
from willitcompile.server.checks import Kept, QueueFull
from willitcompile.server.cluster import seen, service

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.cluster import Cluster

pytestmark = pytest.mark.kubernetes


def test_any_replica_answers_for_any_check(replica: Callable[..., Replica]) -> None:
    one, two = replica(), replica()
    checks = [check(FINE), check(WRONG, FINE), check(WRONG)]
    for number, each in enumerate(checks):
        (one, two)[number % 2].submit(each)
        # At once, by the other, which may not have heard of it.
        assert (two, one)[number % 2].find(each) is not None
    expected = [["compiled"], ["rejected", "compiled"], ["rejected"]]
    found = [one.answers(each) for each in checks]
    assert [verdicts(each) for each in found] == expected
    assert [two.answers(each) for each in checks] == found
    wrong = found[2][0]
    assert wrong["source"] == "0.c"
    assert wrong["diagnostics"][0]["path"] == "0.c"
    assert wrong["standard"] == "gnu17"
    assert (wrong["backend"], wrong["isolation"]) == ("kubernetes", "container")
    # Each compile was begun and told of once, by one of them.
    assert sorted(one.watched.begun + two.watched.begun) == sorted(each.id for each in checks for _ in each.cells)
    until(lambda: len(one.watched.told) + len(two.watched.told) == 4)
    assert one.do(one.service.find(str(uuid4()))) is None
    assert one.do(one.service.find("../../pods")) is None


def test_what_was_wrong_from_the_start_is_told_by_all(replica: Callable[..., Replica]) -> None:
    one, two = replica(), replica()
    told = {"source": "0.c", "error": {"asked": "check 0.c", "obstacle": "it is odd", "remedy": "mend it"}}
    wrong = check(FINE, FINE, FINE, answers=((0, told),))
    wrong = wrong._replace(cells=(wrong.cells[0], wrong.cells[1]._replace(toolchain="gcc-1.42"), wrong.cells[2]))
    one.submit(wrong)
    answers = two.answers(wrong)
    assert answers == one.answers(wrong)
    assert answers[0] == {"index": 0, **told}
    assert "gcc-1.42" in answers[1]["error"]["asked"]
    assert verdicts(answers) == ["error", "error", "compiled"]
    # No pod was made for what is not to be compiled, and no replica told of it twice.
    pods = kubectl("get", "pods", f"--selector=will-it-compile/check={wrong.id}", f"--namespace={one.room}", "-oname")
    assert len(pods.split()) == 1
    until(lambda: len(one.watched.told) + len(two.watched.told) == 3)


DYING = """
import os, signal, sys
from tests.serve.replicas import FINE, WRONG, Replica, check
one = Replica(sys.argv[1], sys.argv[2], jobs=1)
checks = [check(FINE if number % 2 else WRONG, client=f"client {number}") for number in range(5)]
one.submit(*checks)
print(*(each.id for each in checks), flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_replica_has_taken_in_is_done_by_another(
    replica: Callable[..., Replica], account: Path, room: str
) -> None:
    there = replica(jobs=2)
    died = subprocess.run(
        [sys.executable, "-c", DYING, str(account), room], capture_output=True, text=True, timeout=60, check=False
    )
    assert died.returncode == -signal.SIGKILL, died.stderr
    ids = died.stdout.split()
    assert len(ids) == 5
    # One that was started since knows as much.
    late = replica(jobs=2)
    for number, check_id in enumerate(ids):
        each = check(FINE)._replace(id=check_id)
        told = (there, late)[number % 2].answers(each)
        assert verdicts(told) == ["compiled" if number % 2 else "rejected"]


def test_one_client_with_many_holds_up_nobody(replica: Callable[..., Replica]) -> None:
    one, two = replica(jobs=1), replica(jobs=1)
    many = [check(FINE, FINE, client="busy") for _ in range(4)]
    behind = check(FINE, client="patient", priority="batch")
    one.submit(behind._replace(submitted=behind.submitted - 1), *many)
    single = check(FINE, client="modest")
    two.submit(single)
    assert verdicts(two.answers(single)) == ["compiled"]
    done = [found.done for each in many if (found := one.find(each)) is not None]
    assert sum(done) <= 3
    # Where nobody else is there, batch is taken last, unless it has waited for long.
    assert [verdicts(one.answers(each)) for each in many] == [["compiled"] * 2] * 4


def test_no_more_wait_than_may(replica: Callable[..., Replica]) -> None:
    one = replica(jobs=1, queue_size=2)
    slow = check(ENDLESS)
    one.submit(slow, check(FINE))
    with pytest.raises(QueueFull):  # he has his half of it
        one.submit(check(FINE))
    one.submit(check(FINE, client="another"))
    assert one.do(one.service.trouble()) == "its queue is full"
    statistics = one.service.statistics()
    assert (statistics.workers, statistics.active, statistics.queued) == (1, 1, 2)
    refused = check(FINE, client="a third")
    with pytest.raises(QueueFull):
        one.submit(refused)
    assert one.find(refused) is None
    # Another replica counts what it has heard of.
    two = replica(jobs=1, queue_size=2)
    with pytest.raises(QueueFull):
        two.submit(check(FINE, client="a fourth"))
    assert two.do(two.service.cancel(slow.id)).status == "cancelled"
    until(lambda: one.service.statistics().queued < 2)
    one.submit(refused)
    assert verdicts(one.answers(refused)) == ["compiled"]


def test_what_is_cancelled_is_so_for_everybody_and_ends(replica: Callable[..., Replica]) -> None:
    one, two = replica(jobs=1), replica(jobs=1)
    slow = check(ENDLESS, ENDLESS)
    after = check(WRONG)
    one.submit(slow, after)
    until(lambda: running(one.room))
    begun = time.monotonic()
    standing = two.do(two.service.cancel(slow.id))
    assert (standing.status, standing.answers, len(standing.cells)) == ("cancelled", {}, 2)
    assert standing.finished is not None
    until(lambda: (found := one.find(slow)) is not None and found.status == "cancelled")
    # The compile itself is ended, and makes room.
    assert verdicts(one.answers(after)) == ["rejected"]
    assert time.monotonic() - begun < 30
    until(lambda: not running(one.room))
    assert two.do(two.service.cancel(slow.id)).status == "cancelled"
    assert two.do(two.service.cancel(after.id)).status == "done"
    assert two.do(two.service.cancel(str(uuid4()))) is None


def test_who_waits_is_told_when_it_is_there(replica: Callable[..., Replica]) -> None:
    one, two = replica(), replica()
    several = check(FINE, WRONG, FINE)
    one.submit(several)
    told: list[int] = []
    while len(told) < 3:
        standing = two.do(two.service.wait(several.id, len(told), 30, len(told)))
        assert standing.done == len(told) + len(standing.answers)
        told += standing.answers
    assert sorted(told) == [0, 1, 2]
    one.answers(several)
    assert list(one.do(one.service.find(several.id)).answers) == told
    began = time.monotonic()
    assert two.do(two.service.wait(several.id, 3, 30)).is_over
    assert time.monotonic() - began < 20


def test_a_large_answer_is_told_as_it_is(replica: Callable[..., Replica]) -> None:
    one, two = replica(), replica()
    loud = b"".join(b'#warning "%s"\n' % secrets.token_hex(200).encode() for _ in range(900))
    large = check(loud)
    one.submit(large)
    found = one.answers(large)
    assert len(found[0]["stderr"]) > 400_000
    assert two.answers(large) == found


def test_what_is_over_is_forgotten_in_time(replica: Callable[..., Replica], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "SWEEP_SECONDS", 0.5)
    one, two = replica(keep=Kept(3, 1000, 1 << 30)), replica(keep=Kept(1000, 1, 1 << 30))
    single, several, last = check(FINE), check(FINE, FINE), check(FINE)
    for each in (single, several, last):
        one.submit(each)
        one.answers(each)
    for each in (single, several):
        until(lambda each=each: two.find(each) is None)  # type: ignore[misc]
    until(lambda: two.find(last) is None)
    assert one.find(last) is None
    until(lambda: not objects_in(os.environ["KUBECONFIG"], one.room) - one.before)


def test_what_it_compiled_is_gone_long_before_the_answer(replica: Callable[..., Replica]) -> None:
    one = replica()
    done, cancelled = check(FINE), check(ENDLESS)
    one.submit(done, cancelled)
    one.answers(done)
    one.do(one.service.cancel(cancelled.id))

    def config_maps() -> list[str]:
        found = kubectl("get", "configmaps", f"--namespace={one.room}", "--output=name").split()
        return [each for each in found if each.startswith("configmap/compile-")]

    until(lambda: not config_maps())
    assert verdicts(one.answers(done)) == ["compiled"]


def test_no_more_bytes_are_held_or_kept_than_may(
    replica: Callable[..., Replica], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(seen, "MOST_HELD_BYTES", 250_000)
    monkeypatch.setattr(seen, "MOST_KEPT_BYTES", 1_000_000)
    one = replica(jobs=1)
    blob = secrets.token_hex(60_000).encode()
    first, second = (check(b"/*%s*/" % blob + ENDLESS), check(b"/*%s*/" % blob + FINE, client="another"))
    one.submit(first)
    until(lambda: one.service._seen.open)
    one.submit(check(FINE))
    with pytest.raises(QueueFull):
        one.submit(second)
    one.do(one.service.cancel(first.id))
    one.submit(second)
    one.answers(second)
    monkeypatch.setattr(seen, "MOST_HELD_BYTES", 10_000_000)
    loud = [check(b'#warning "%s"\n' % secrets.token_hex(300_000).encode()) for _ in range(2)]
    for each in loud:
        one.submit(each)
        one.answers(each)
    until(lambda: one.find(loud[0]) is None)
    assert one.find(loud[1]) is not None


def test_without_its_own_permission_it_says_so(account: Path, kubeconfig: str, room: str, tmp_path: Path) -> None:
    limited = Account(kubeconfig, room, f"limited-{secrets.token_hex(3)}", tmp_path).may(ROLE)
    with Replica(limited, room, jobs=1) as one:
        one.submit(check(FINE), check(FINE))
        until(lambda: one.do(one.service.trouble()) is not None)
        assert 'cannot patch resource "jobs"' in one.do(one.service.trouble())
    kubectl("delete", "jobs", "--all", f"--namespace={room}")


def test_the_role_is_one_verb() -> None:
    assert [rule["verbs"] for rule in yaml.safe_load(SERVE_ROLE)["rules"]] == [["patch"]]


@pytest.mark.parametrize("component", ["apiserver", "controller-manager"])
def test_a_part_of_the_cluster_is_killed_and_started_again(
    replica: Callable[..., Replica], own_cluster: Cluster, component: str
) -> None:
    one, two = replica(jobs=2), replica(jobs=2)
    checks = [check(FINE if number % 2 else WRONG) for number in range(6)]
    with own_cluster.alone():
        one.submit(*checks[:3])
        two.submit(*checks[3:])
        own_cluster.kill(component, signal.SIGKILL)
        if component == "apiserver":
            with pytest.raises(NoAnswer):
                one.submit(check(FINE))
            with pytest.raises(NoAnswer):
                one.do(one.service.find(str(uuid4())))
            until(lambda: "does not answer" in (one.do(one.service.trouble()) or ""))
            # What it has heard of it tells nevertheless.
            assert one.find(checks[0]) is not None
        own_cluster.start(component)
        for number, each in enumerate(checks):
            told = (two, one)[number % 2].answers(each)
            assert verdicts(told) == ["compiled" if number % 2 else "rejected"]
        until(lambda: one.do(one.service.trouble()) is None)
