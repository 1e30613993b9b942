"""The file of SQLite: many processes at once, killed ones, torn files, no room."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from willitcompile.backends.fake import answer
from willitcompile.cache.key import decode, encode
from willitcompile.cache.store import Entry, Store, Unusable
from willitcompile.model import MIB

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from willitcompile.model import CompileResult

PROCESSES = 16

WRITER = """
import random, sys
from contextlib import closing
from tests.unit.cache.test_store import entry, result_of, right
from willitcompile.cache.store import Store

directory, seed, rounds = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
numbers = random.Random(seed)
with closing(Store(directory, 64 << 20)) as store:
    print("ready", flush=True)
    for _ in range(rounds):
        some = [numbers.randrange(200) for _ in range(5)]
        store.write([entry(number) for number in some], hits=1)
        for number in [*some, numbers.randrange(200)]:
            assert right(store, number) is not False, number
"""


def key_of(number: int) -> bytes:
    return b"%032d" % number


def result_of(number: int) -> CompileResult:
    """An answer that no other number has, of up to 40 KB that cannot be packed."""
    return answer(stderr=b"%d " % number + random.Random(number).randbytes(number * 200))


def entry(number: int) -> Entry:
    return Entry(key_of(number), encode(result_of(number), key_of(number), b""), b"", b"")


def right(store: Store, number: int) -> bool | None:
    """Whether what the file says is the answer of this number; None where it says nothing that is believed."""
    kept = store.find(key_of(number))
    found = decode(kept.answer, key_of(number), kept.inputs) if kept else None
    return None if found is None else found == result_of(number)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with closing(Store(str(tmp_path), 64 * MIB)) as opened:
        yield opened


def start(directory: Path, seed: int, rounds: int) -> subprocess.Popen[str]:
    argv = [sys.executable, "-c", WRITER, str(directory), str(seed), str(rounds)]
    return subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_what_was_written_is_found_by_the_next_process(store: Store, tmp_path: Path) -> None:
    store.write([entry(1), entry(2)], hits=3, misses=1)
    with closing(Store(str(tmp_path), MIB)) as another:
        assert right(another, 1)
        assert right(another, 3) is None
        assert another.figures()[0] == 2
        assert another.figures()[2:4] == (3, 1)


def test_it_is_for_its_user_alone(store: Store) -> None:
    store.write([entry(1)])
    assert os.stat(store.path).st_mode & 0o777 == 0o600


def test_sixteen_processes_read_and_write_at_once(tmp_path: Path) -> None:
    writers = [start(tmp_path, seed, 20) for seed in range(PROCESSES)]
    for writer in writers:
        _, said = writer.communicate(timeout=120)
        assert writer.returncode == 0, said
    with closing(Store(str(tmp_path), 64 * MIB)) as store:
        assert store.figures().hits == PROCESSES * 20
        assert all(right(store, number) is not False for number in range(200))


def test_processes_that_are_killed_while_they_write_leave_no_wrong_answer(tmp_path: Path) -> None:
    numbers = random.Random(8)
    with closing(Store(str(tmp_path), 64 * MIB)) as store:
        for seed in range(6):
            writers = [start(tmp_path, 10 * seed + each, 100_000) for each in range(3)]
            for writer in writers:
                assert writer.stdout is not None
                assert writer.stdout.readline() == "ready\n"
            # Somewhere in what they do without a pause.
            before = store.figures().hits
            until = before + numbers.randrange(1, 40)
            while store.figures().hits < until:
                assert all(writer.poll() is None for writer in writers)
            for writer in writers:
                writer.send_signal(signal.SIGKILL)
                writer.communicate(timeout=60)
            assert all(right(store, number) is not False for number in range(200))
        assert any(right(store, number) for number in range(200))
        store.write([entry(number) for number in range(200)])
        assert all(right(store, number) for number in range(200))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("whole")
    with closing(Store(str(directory), 64 * MIB)) as store:
        store.write([entry(number) for number in range(60)])
    return directory / "results.sqlite"


places = st.integers(0, 1 << 30) | st.integers(0, 4096)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=100, deadline=None)
@given(st.sampled_from(["bytes", "cut", "zeroes", "another page"]), places, places, st.binary(min_size=1, max_size=64))
def test_a_file_that_is_torn_anywhere_gives_no_wrong_answer(
    whole: Path, tmp_path: Path, kind: str, place: int, other: int, put: bytes
) -> None:
    data = bytearray(whole.read_bytes())
    place %= len(data)
    page, other = place // 4096 * 4096, other % len(data) // 4096 * 4096
    if kind == "bytes":
        data[place : place + len(put)] = put
    elif kind == "cut":
        del data[place:]
    elif kind == "zeroes":
        data[page : page + 4096] = bytes(4096)
    else:
        data[page : page + 4096] = data[other : other + 4096]
    (tmp_path / "results.sqlite").write_bytes(data)
    (tmp_path / "results.sqlite-journal").unlink(missing_ok=True)
    with closing(Store(str(tmp_path), 64 * MIB)) as store:
        try:
            assert all(right(store, number) is not False for number in range(60))
            store.write([entry(number) for number in range(60)])
            assert all(right(store, number) is not False for number in range(60))
        except Unusable:
            pass


def test_a_file_that_is_none_of_ours_is_begun_anew(store: Store, tmp_path: Path) -> None:
    (tmp_path / "results.sqlite").write_bytes(b"not a database, but of some length" * 1000)
    (tmp_path / "results.sqlite").chmod(0o600)
    assert store.find(key_of(1)) is None
    store.write([entry(1)])
    assert right(store, 1)


def test_a_file_without_its_tables_is_begun_anew(store: Store, tmp_path: Path) -> None:
    import sqlite3

    with closing(sqlite3.connect(tmp_path / "results.sqlite")) as made:
        made.execute("PRAGMA user_version = 1")
    (tmp_path / "results.sqlite").chmod(0o600)
    store.write([entry(1)])
    assert right(store, 1)


def test_what_was_used_least_recently_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1_000_000.0
    monkeypatch.setattr("time.time", lambda: now)
    with closing(Store(str(tmp_path), 2 * MIB)) as store:
        for number in range(100, 120):  # of some 20 KB each
            now += 3600
            store.write([entry(number)])
        now += 3600
        store.write([], used=[key_of(100)])
        for number in range(120, 200):
            now += 3600
            store.write([entry(number)], used=[key_of(100)])
        assert right(store, 100)
        assert right(store, 199)
        assert right(store, 101) is None
        assert store.figures().bytes <= 2 * MIB
        assert os.stat(store.path).st_size <= 2.2 * MIB


def test_a_bound_that_was_lowered_holds(store: Store, tmp_path: Path) -> None:
    store.write([entry(number) for number in range(200)])
    with closing(Store(str(tmp_path), MIB)) as smaller:
        smaller.write([entry(5)])
        assert smaller.figures().bytes <= MIB
    assert os.stat(store.path).st_size <= 1.1 * MIB


def test_clear_forgets_everything_and_gives_the_room_back(store: Store) -> None:
    store.write([entry(number) for number in range(200)], hits=4)
    store.clear()
    assert store.figures()[:4] == (0, store.figures().bytes, 0, 0)
    assert os.stat(store.path).st_size < MIB / 4
    assert right(store, 150) is None


@pytest.mark.parametrize("kind", ["a directory", "a link", "open to all"])
def test_a_file_that_somebody_else_could_have_filled_is_not_used(store: Store, tmp_path: Path, kind: str) -> None:
    path = tmp_path / "results.sqlite"
    if kind == "a directory":
        path.mkdir()
    elif kind == "a link":
        (tmp_path / "elsewhere").write_bytes(b"")
        path.symlink_to(tmp_path / "elsewhere")
    else:
        path.write_bytes(b"")
        path.chmod(0o666)
    with pytest.raises(Unusable):
        store.find(key_of(1))
    with pytest.raises(Unusable):
        store.write([entry(1)])


def test_a_full_disk_costs_what_would_be_kept_and_no_more(tmp_path: Path) -> None:
    """As of a disk without room, of which no test may need one: a process that may write no larger file."""
    program = """
import resource, signal, sys
from contextlib import closing
from tests.unit.cache.test_store import entry, right
from willitcompile.cache.store import Store, Unusable

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
with closing(Store(sys.argv[1], 64 << 20)) as store:
    store.write([entry(1)])
    resource.setrlimit(resource.RLIMIT_FSIZE, (256 << 10, 256 << 10))
    try:
        store.write([entry(number) for number in range(100, 200)])
        sys.exit("it had room")
    except Unusable as error:
        print(error)
    assert right(store, 1)
    assert all(right(store, number) is not False for number in range(200))
"""
    argv = [sys.executable, "-c", program, str(tmp_path)]
    ended = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout
    with closing(Store(str(tmp_path), 64 * MIB)) as store:
        assert right(store, 1)
