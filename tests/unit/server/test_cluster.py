"""What a replica makes of what it sees of the queue. tests/serve/test_cluster.py has real ones."""

from __future__ import annotations

import asyncio
import json
import random
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from willitcompile import checker
from willitcompile.backends.queued import ENDED, RUNNING, WAITING, Queued, Ticket
from willitcompile.errors import BackendFailed
from willitcompile.model import Expectation, Limits, Verdict
from willitcompile.server.checks import Ask, Cell, Check, Kept, QueueFull, Told
from willitcompile.server.cluster import ClusterService, known, seen, service, told
from willitcompile.server.cluster.known import About, Group, about_of
from willitcompile.server.cluster.seen import Seen
from willitcompile.server.cluster.turns import AGED_SECONDS, next_up

CELL = Cell("x.c", "c", "gcc-13", None)
NOW = time.time()
JOBS = st.lists(st.tuples(st.sampled_from("xyz"), st.booleans(), st.integers(0, 9)), max_size=20)


def queued(
    group: str, number: int = 0, client: str = "a", *, priority: str = "interactive", at: float = NOW, **more: Any
) -> Queued:
    about = About(CELL, more.pop("total", 1), None, None).dump()
    return Queued(Ticket(group, number, client, priority, at, about), **{"state": WAITING, "version": 1, **more})


def ids(chosen: list[Queued]) -> list[str]:
    return [each.id for each in chosen]


class TestTurns:
    def test_of_one_client_the_oldest_first(self) -> None:
        waiting = [queued("b", 1, at=2), queued("b", 0, at=2), queued("a", at=3), queued("c", at=1)]
        assert ids(next_up(waiting, {}, 3, 3)) == ["c-0", "b-0", "b-1"]

    def test_clients_in_turn(self) -> None:
        waiting = [queued("busy", number, "busy", at=1) for number in range(5)] + [queued("modest", 0, "modest", at=2)]
        assert ids(next_up(waiting, {}, 3, 2)) == ["busy-0", "modest-0", "busy-1"]
        assert ids(next_up(waiting, {"busy": 1}, 1, 2)) == ["modest-0"]
        assert ids(next_up(waiting, {"modest": 2}, 2, 2)) == ["busy-0", "busy-1"]

    def test_interactive_before_batch_until_that_is_old(self) -> None:
        batch, quick = queued("slow", priority="batch", at=NOW), queued("quick", at=NOW + 1)
        assert ids(next_up([batch, quick], {}, 1, NOW + 1)) == ["quick-0"]
        assert ids(next_up([batch, quick], {}, 1, NOW + AGED_SECONDS)) == ["slow-0"]

    @given(
        st.lists(st.tuples(st.sampled_from("xyz"), st.booleans(), st.integers(0, 9)), max_size=20), st.integers(0, 25)
    )
    def test_all_come_in_the_end_and_none_twice(self, jobs: list[tuple[str, bool, int]], count: int) -> None:
        waiting = [
            queued("g", number, client, priority="batch" if batch else "interactive", at=at)
            for number, (client, batch, at) in enumerate(jobs)
        ]
        chosen = ids(next_up(waiting, {}, count, 5))
        assert len(chosen) == min(count, len(jobs)) == len(set(chosen))
        # Whoever sees the same in another order finds the same.
        assert ids(next_up(reversed(waiting), {}, count, 5)) == chosen


class TestSeen:
    def see(self, *jobs: Queued, workers: int = 2, queue_size: int = 4) -> Seen:
        found = Seen(workers, queue_size)
        for each in jobs:
            found.take(each, NOW)
        return found

    def test_what_is_its_own_is_started_at_once_and_what_is_others_a_moment_later(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        now = self.see(queued("mine"), queued("theirs"))
        now.own.add("mine-0")
        chosen, again = now.choose()
        assert ids(chosen) == ["mine-0"]
        assert again is not None
        assert 0 < again < seen.OTHERS_SECONDS + 0.01
        monkeypatch.setattr(seen, "OTHERS_SECONDS", 0.0)
        assert sorted(ids(now.choose()[0])) == ["mine-0", "theirs-0"]

    def test_no_more_than_there_is_room_for(self) -> None:
        now = self.see(queued("r", state=RUNNING), queued("a"), queued("b"), workers=2)
        now.own |= {"a-0", "b-0"}
        assert ids(now.choose()[0]) == ["a-0"]
        now.starting["a-0"] = "a"
        assert now.active() == 2
        assert now.choose() == ([], None)
        # What has its answer makes room before its pod has ended.
        now.take(queued("r", state=RUNNING, version=2, answer="x"), NOW)
        assert ids(now.choose()[0]) == ["b-0"]

    def test_nothing_of_what_is_cancelled(self) -> None:
        now = self.see(queued("a", 0, total=2, cancelled=NOW), queued("a", 1, total=2))
        now.own.add("a-1")
        assert now.choose() == ([], None)

    def test_who_had_his_turn_comes_after_who_had_not(self) -> None:
        now = self.see(
            queued("old", client="busy", state=ENDED, started=time.time(), answer="x"),
            queued("more", client="busy", at=NOW - 5),
            queued("first", client="modest"),
            workers=1,
        )
        now.own |= {"more-0", "first-0"}
        assert ids(now.choose()[0]) == ["first-0"]

    def test_a_client_gets_half_of_what_is_free(self) -> None:
        now = self.see(queue_size=4)
        now.refuse("a", 2, 0)
        with pytest.raises(QueueFull):
            now.refuse("a", 3, 0)
        now.reserved.update({"x-0": "a", "x-1": "a"})
        with pytest.raises(QueueFull):
            now.refuse("a", 1, 0)
        now.refuse("b", 1, 0)
        now.take(queued("x"), NOW)  # which was counted already
        assert now.queued() == 2

    def test_bytes(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(seen, "MOST_HELD_BYTES", 100)
        now = self.see()
        now.refuse("a", 1, 50)
        with pytest.raises(QueueFull):
            now.refuse("a", 1, 51)  # also who is alone has half
        now.take(queued("x", state=RUNNING, size=40), NOW)
        now.coming["y"], now.comers["y"] = 20, "b"
        now.refuse("a", 0, 0)
        with pytest.raises(QueueFull):
            now.refuse("a", 0, 1)
        now.refuse("c", 0, 20)
        with pytest.raises(QueueFull):
            now.refuse("c", 0, 21)

    def test_bytes_that_were_deleted_count_for_a_while(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(seen, "MOST_CHURN_BYTES", 100)
        now = self.see(queued("x", size=40))
        now.take(queued("x", size=0, version=2, cancelled=NOW), NOW)
        now.drop("x-0")
        now.refuse("a", 0, 10)
        with pytest.raises(QueueFull):
            now.refuse("a", 0, 11)
        now.refuse("b", 0, 30)
        monkeypatch.setattr(seen, "CHURN_SECONDS", -1.0)
        now.refuse("a", 0, 50)

    def test_what_is_kept_no_longer(self, monkeypatch: pytest.MonkeyPatch) -> None:
        jobs = [queued(f"g{age}", state=ENDED, answer="x", size=10, ended=NOW - age) for age in (1, 2, 30, 90)]
        now = self.see(*jobs, queued("waits"))

        def stale(keep: Kept) -> list[str]:
            return [next(iter(group.cells.values())).id for group in now.stale(keep, NOW)]

        assert stale(Kept(100, 10, 1000)) == []
        assert stale(Kept(60, 10, 1000)) == ["g90-0"]
        assert stale(Kept(60, 2, 1000)) == ["g30-0", "g90-0"]
        assert stale(Kept(100, 10, 20)) == ["g30-0", "g90-0"]
        # The last one is kept, however large.
        assert stale(Kept(100, 10, 1)) == ["g2-0", "g30-0", "g90-0"]

    def test_what_is_gone_is_forgotten(self) -> None:
        now = self.see(queued("a", 0, total=2), queued("a", 1, total=2))
        now.drop("a-0")
        assert not now.groups["a"].is_whole
        now.drop("a-1")
        now.drop("never-3")
        assert not now.groups
        assert not now.open


class TestGroup:
    def group(self, *jobs: Queued) -> Group:
        found = Group()
        for each in jobs:
            found.take(each)
        return found

    @pytest.mark.parametrize(
        ("states", "status"),
        [
            ([{}, {}], "queued"),
            ([{}, {"state": RUNNING}], "running"),
            ([{}, {"answer": "x", "state": ENDED}], "running"),
            ([{"answer": "x", "state": ENDED}] * 2, "done"),
            ([{"answer": "x", "state": ENDED}, {"cancelled": NOW}], "cancelled"),
        ],
    )
    def test_status(self, states: list[dict[str, Any]], status: str) -> None:
        found = self.group(*(queued("a", number, total=2, **state) for number, state in enumerate(states)))
        assert found.status == status
        assert found.is_whole

    def test_answers_stand_in_the_order_in_which_they_came_behind_those_that_were_there(self) -> None:
        found = self.group(*(queued("a", number, total=4, at=5.0) for number in range(4)))
        for number, at in ((2, 9.0), (3, 5.0), (0, 8.0), (1, 5.0)):
            found.take(queued("a", number, total=4, at=5.0, version=2, answer="x", answered=at))
        assert [each.ticket.number for each in found.answered] == [1, 3, 2, 0]

    def test_what_somebody_else_adds_to_it_is_none_of_it(self) -> None:
        own = [queued("a", number, total=2, answer="x", state=ENDED) for number in range(2)]
        found = self.group(queued("a", 7, total=900), *own)
        assert (found.total, found.status, found.is_whole, found.is_over) == (2, "done", True, True)
        assert [each.ticket.number for each in found.answered] == [0, 1]


class TestAbout:
    def test_comes_back_as_it_was(self) -> None:
        about = checker.About("x.c", "c", "gcc-13", "c17", "src/", ("a note", "caf\udce9"), Limits(1.5, 2, cpus=None))
        whole = About(CELL, 3, about, "00-ab-cd-01")
        assert About.load(whole.dump()) == whole

    def test_what_the_source_expects_comes_back(self) -> None:
        expected = Expectation(Verdict.REJECTED, 'no "match"')
        about = checker.About("x.c", "c", "gcc-13", "c17", expected=expected)
        found = About.load(About(CELL, 1, about, None).dump()).about
        assert found == about
        assert found.expected is not None
        assert isinstance(found.expected.verdict, Verdict)

    def test_a_job_of_an_earlier_version_says_nothing_of_it(self) -> None:
        about = checker.About("x.c", "c", "gcc-13", "c17")
        said = json.loads(About(CELL, 1, about, None).dump())
        del said["about"]["expected"]
        assert About.load(json.dumps(said)).about == about

    def test_many_notes_are_cut(self) -> None:
        about = checker.About("x.c", "c", "gcc-13", "c17", notes=("n" * 900,) * 100)
        text = About(CELL, 1, about, None).dump()
        assert len(text) < 1.1 * known._NOTE_CHARACTERS
        found = About.load(text).about
        assert found is not None
        assert found.notes[-1] == "and 78 more such notes"

    def test_notes_are_cut_by_what_they_take(self) -> None:
        about = checker.About("x.c", "c", "gcc-13", "c17", notes=("\U0001f600" * 15_000,))
        assert len(About(CELL, 1, about, None).dump()) < 2000

    @pytest.mark.parametrize("total", ["0", "-1", "true", "1e999", "1.5", "1000000000000", '"3"', "2"])
    @pytest.mark.parametrize("cell", ['["a", "b", "c", null]'])
    def test_a_total_that_makes_no_sense(self, total: str, cell: str) -> None:
        ticket = Ticket("g", 2, "a", "batch", 1.0, f'{{"cell": {cell}, "total": {total}, "trace": null}}')
        assert about_of(Queued(ticket, WAITING, 1)).total == 3

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "{}",
            "[]",
            '{"cell": [1], "total": 5, "trace": null}',
            '{"cell": ["a", "b", {}, null], "total": 5, "trace": null}',
            '{"cell": ["a", "b", "c", null], "total": 5, "trace": [1]}',
            "5",
            "null",
        ],
    )
    def test_what_makes_no_sense(self, text: str) -> None:
        ticket = Ticket("g", 2, "a", "batch", 1.0, text)
        assert about_of(Queued(ticket, WAITING, 1)).total == 3


class Keeper:
    """A backend whose queue is away."""

    name = "away"

    def workers(self, jobs: int) -> int:
        return jobs

    def queue(self) -> Any:
        return self

    def failure(self) -> str | None:
        return None

    def keep(self) -> None:
        raise BackendFailed("keep it", "it is away", "wait")


class TestService:
    def service(self) -> ClusterService:
        return ClusterService(Keeper(), lambda: (), limits=Limits(), jobs=1, queue_size=9, keep=Kept(9, 9, 9))

    def test_a_change_that_failed_is_no_obstacle_for_ever(self, monkeypatch: pytest.MonkeyPatch) -> None:
        async def fail() -> list[str | None]:
            own = self.service()
            with pytest.raises(BackendFailed):
                await own._change(own._queue.keep)
            troubles = [await own.trouble()]
            monkeypatch.setattr(service, "OBSTACLE_SECONDS", 0.0)
            return [*troubles, await own.trouble()]

        assert asyncio.run(fail()) == ["it is away", None]

    def test_what_there_never_is_room_for(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(service, "MOST_HELD_BYTES", 64 << 20)
        noise, text = {"x.h": random.Random(1).randbytes(2 << 20)}, {"x.h": b"int x;\n" * 300_000}

        async def size(files: dict[str, bytes], compiles: int) -> int:
            check = Check("g", "a", "batch", NOW, (CELL,) * compiles, Ask(files))
            return await self.service()._size(check, compiles)

        assert 15 * (2 << 20) <= asyncio.run(size(noise, 15)) < 16 * (2 << 20)
        with pytest.raises(BackendFailed, match="MiB together, more than 32"):
            asyncio.run(size(noise, 16))
        assert asyncio.run(size(text, 500)) < 32 << 20


class TestTold:
    def test_comes_back_as_it_was(self) -> None:
        answer = Told("out-of-memory", '{"index": 0, "verdict": "out-of-memory"}')
        assert told.load(told.dump(answer), 0, [CELL]) == answer

    @pytest.mark.parametrize(
        "text",
        [
            None,
            "",
            "compiled",
            "compiled {",
            "compiled 5",
            'compiled {"index": 0}',
            'compiled {"index": 1, "verdict": "compiled"}',
            'rejected {"index": 0, "verdict": "compiled"}',
            'fine {"index": 0, "verdict": "fine"}',
            'compiled {"index": 0,\n\n "verdict": "compiled"}',
            'compiled {"index": 0, "verdict": "compiled", "stdout": "' + "x" * (5 << 20) + '"}',
            "error " + "[" * 100_000,
        ],
    )
    def test_what_is_gone_or_was_never_ours_is_an_error(self, text: str | None) -> None:
        found = told.load(text, 0, [CELL])
        assert found.verdict == "error"
        assert "it is kept no longer" in found.text

    def test_no_more_is_at_hand_than_there_is_room_for(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(told, "_CACHED_BYTES", 25)
        cache = told.Answers()
        for name in "abc":
            cache.put(name, Told("compiled", "x" * 10))
            assert cache.get("a") is not None
        assert cache.get("b") is None
        assert cache.get("c") is not None
        cache.drop("a")
        cache.drop("a")
        assert cache.get("a") is None
