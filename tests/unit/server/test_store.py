from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from willitcompile.errors import BackendUnavailable
from willitcompile.server.checks import INTERACTIVE, Ask, Cell, Check, Told
from willitcompile.server.store import FILE, Store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TOLD = Told("compiled", '{"index": 0}')
OTHER = Told("rejected", '{"index": 0, "more": 1}')
CELL = Cell("main.c", "c", "gcc-13", None)


def check(name: str = "one", cells: int = 1, **more: Any) -> Check:
    return Check(name, "me", INTERACTIVE, 100.0, (CELL,) * cells, Ask({"main.c": b"int x;\xff"}), **more)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store(str(tmp_path / "state"))
    yield opened
    opened.close()


def test_what_was_added_is_there_after_it_was_opened_again(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    store.add(check(cells=3, trace="00-1-2-01")).result()
    store.answer("one", 1, TOLD).result()
    store.close()
    again = Store(str(tmp_path))
    (left,) = again.unfinished()
    assert (left.id, left.client, left.priority, left.total, left.numbers) == ("one", "me", INTERACTIVE, 3, (0, 2))
    loaded = again.load("one")
    assert loaded == check(cells=3, trace="00-1-2-01")
    again.close()


def test_a_check_is_done_with_its_last_answer_and_its_files_are_dropped(store: Store) -> None:
    store.add(check(cells=2)).result()
    store.answer("one", 1, TOLD).result()
    halfway = store.find("one")
    assert halfway is not None
    assert (halfway.status, halfway.done, dict(halfway.answers)) == ("running", 1, {1: TOLD})
    store.answer("one", 0, TOLD).result()
    done = store.find("one")
    assert done is not None
    assert (done.status, list(done.answers)) == ("done", [1, 0])
    assert done.finished == pytest.approx(time.time(), abs=60)
    assert store.load("one") is None
    assert list(store.unfinished()) == []


def test_only_the_first_answer_of_a_cell_counts(store: Store) -> None:
    store.add(check()).result()
    store.answer("one", 0, TOLD).result()
    store.answer("one", 0, OTHER).result()
    standing = store.find("one")
    assert standing is not None
    assert standing.answers == {0: TOLD}


def test_the_first_answers_can_be_left_out(store: Store) -> None:
    store.add(check(cells=3)).result()
    for number in (2, 0, 1):
        store.answer("one", number, Told("compiled", f"{number}")).result()
    standing = store.find("one", skip=2)
    assert standing is not None
    assert (standing.answers, standing.done) == ({1: Told("compiled", "1")}, 3)


def test_what_is_wrong_from_the_start_is_done_at_once(store: Store) -> None:
    store.add(check(answers=((0, {"error": "x"}),))).result()
    standing = store.find("one")
    assert standing is not None
    assert (standing.status, standing.answers) == ("done", {0: Told("error", '{"index": 0, "error": "x"}')})


def test_a_cancelled_check_takes_no_answer_more(store: Store) -> None:
    store.add(check(cells=2)).result()
    store.answer("one", 0, TOLD).result()
    store.cancel("one").result()
    store.answer("one", 1, TOLD).result()
    standing = store.find("one")
    assert standing is not None
    assert (standing.status, standing.answers) == ("cancelled", {0: TOLD})
    assert list(store.unfinished()) == []


def test_to_cancel_what_is_done_changes_nothing(store: Store) -> None:
    store.add(check()).result()
    store.answer("one", 0, TOLD).result()
    store.cancel("one").result()
    standing = store.find("one")
    assert standing is not None
    assert standing.status == "done"


def test_what_is_over_is_forgotten_by_age_number_and_size_and_what_is_not_never_is(store: Store) -> None:
    for number in range(10):
        store.add(check(f"done-{number}")).result()
        store.answer(f"done-{number}", 0, Told("compiled", "x" * 100)).result()
    store.add(check("waiting")).result()
    store.forget(0.0, 4, 1000).result()
    kept = [number for number in range(10) if store.find(f"done-{number}")]
    assert kept == [6, 7, 8, 9]
    store.forget(0.0, 4, 250).result()
    assert [number for number in range(10) if store.find(f"done-{number}")] == [8, 9]
    store.forget(time.time() + 1, 4, 1000).result()
    assert not any(store.find(f"done-{number}") for number in range(10))
    assert store.find("waiting") is not None


def test_nobody_else_may_open_it_meanwhile(store: Store, tmp_path: Path) -> None:
    with pytest.raises(BackendUnavailable, match="another will-it-compile serve") as refused:
        Store(str(tmp_path / "state"))
    assert "--state" in refused.value.remedy


def test_what_is_no_database_of_ours_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"something else, of somebody" * 100)
    with pytest.raises(BackendUnavailable) as refused:
        Store(str(tmp_path))
    assert FILE in refused.value.remedy
    assert (tmp_path / FILE).read_bytes() == b"something else, of somebody" * 100


def test_one_of_a_later_version_is_refused(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / FILE) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(BackendUnavailable, match="another version"):
        Store(str(tmp_path))


def test_a_directory_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(BackendUnavailable, match="not a directory"):
        Store(str(tmp_path / "file" / "state"))


def test_others_may_not_look_into_it(store: Store, tmp_path: Path) -> None:
    assert store is not None
    assert (tmp_path / "state").stat().st_mode & 0o077 == 0


def test_a_write_that_fails_spoils_no_other(store: Store) -> None:
    """They may have been in one transaction."""
    futures = [store.add(check(name)) for name in ("a", "b", "b", "c")]
    assert [type(each.exception()) for each in futures] == [type(None), type(None), sqlite3.IntegrityError, type(None)]
    assert [left.id for left in store.unfinished()] == ["a", "b", "c"]


KILLED = """
import os, sys
from willitcompile.server.checks import Ask, Cell, Check
from willitcompile.server.store import Store
store = Store(sys.argv[1])
number = 0
while True:
    check = Check(f"{number}", "me", "interactive", 1.0, (Cell("a.c", "c", "gcc-13", None),), Ask({"a.c": b"x" * 1000}))
    store.add(check).result()
    os.write(1, f"{number}\\n".encode())
    number += 1
"""


def test_what_was_acknowledged_is_there_after_a_kill(tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", KILLED, str(tmp_path)], stdout=subprocess.PIPE)
    assert process.stdout is not None
    for _ in range(50):
        assert process.stdout.readline()
    process.kill()
    acknowledged = 50 + process.stdout.read().count(b"\n")
    process.stdout.close()
    process.wait()
    store = Store(str(tmp_path))
    there = [int(left.id) for left in store.unfinished()]
    store.close()
    assert there[:acknowledged] == list(range(acknowledged))
    assert len(there) <= acknowledged + 1
    assert os.path.exists(tmp_path / FILE)
