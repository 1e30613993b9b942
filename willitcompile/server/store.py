"""Checks and their answers in SQLite: what was acknowledged outlives the process, and a power cut.

One thread writes, all that waits for it in one transaction, so that many small writes cost as little as one. A write
is done when its future is.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import threading
import time
from concurrent.futures import Future
from queue import SimpleQueue
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from willitcompile.errors import BackendUnavailable
from willitcompile.server.checks import Ask, Cell, Check, Standing, Told, tell

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Write = Callable[[sqlite3.Connection], object]

FILE, LOCK = "checks.sqlite3", "lock"
VERSION = 1
_FREED_PAGES = 2000
"""Given back to the file system at one time."""

_TABLES = """
CREATE TABLE checks (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    client TEXT NOT NULL,
    priority TEXT NOT NULL,
    submitted REAL NOT NULL,
    cells BLOB NOT NULL,
    ask BLOB,
    trace TEXT,
    total INTEGER NOT NULL,
    finished REAL,
    bytes INTEGER NOT NULL DEFAULT 0,
    cancelled INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX by_end ON checks (finished);
CREATE TABLE answers (
    position INTEGER PRIMARY KEY,
    id TEXT NOT NULL,
    number INTEGER NOT NULL,
    verdict TEXT NOT NULL,
    answer TEXT NOT NULL,
    UNIQUE (id, number)
);
"""


class Unfinished(NamedTuple):
    """A check that was taken before this process began."""

    id: str
    client: str
    priority: str
    submitted: float
    total: int
    numbers: tuple[int, ...]
    """Of its cells without an answer."""
    size: int
    """Bytes of what was sent."""


class Store:
    """Of one process at a time."""

    def __init__(self, directory: str) -> None:
        """Open it, and make it where there is none. Raises BackendUnavailable."""
        self.directory = directory
        self._asked = f"keep checks in {directory}"
        self._path = os.path.join(directory, FILE)
        self._lock = -1
        try:
            os.makedirs(directory, mode=0o700, exist_ok=True)
            self._lock = os.open(os.path.join(directory, LOCK), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._lock)
            raise BackendUnavailable(
                self._asked, "another will-it-compile serve keeps its own there", "give each its own: --state DIR"
            ) from None
        except OSError as error:
            raise BackendUnavailable(
                self._asked, (error.strerror or str(error)).lower(), "name a directory of yours: --state DIR"
            ) from None
        try:
            self._writer = self._opened()
            self._reader = self._opened()
            self._loader, self._loading = self._opened(), threading.Lock()
        except sqlite3.Error as error:
            os.close(self._lock)
            is_full = "full" in str(error)
            remedy = f"{'make room there' if is_full else f'move {self._path} away'}, or name another: --state DIR"
            raise BackendUnavailable(self._asked, str(error), remedy) from None
        self._writes: SimpleQueue[tuple[Write, Future[None]] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="will-it-compile store", daemon=True)
        self._thread.start()

    def room(self) -> int:
        """Bytes that its disk has left. Raises OSError."""
        disk = os.statvfs(self.directory)
        return disk.f_bavail * disk.f_frsize

    def add(self, check: Check) -> Future[None]:
        """Keep a check. The future has sqlite3.Error where that is not possible."""
        row = (
            check.id,
            check.client,
            check.priority,
            check.submitted,
            msgspec.json.encode(check.cells),
            msgspec.msgpack.encode(check.ask),
            check.trace,
            len(check.cells),
        )

        def write(connection: sqlite3.Connection) -> None:
            connection.execute(
                "INSERT INTO checks (id, client, priority, submitted, cells, ask, trace, total)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                row,
            )
            for number, answer in check.answers:
                self._answer(connection, check.id, number, tell(number, answer, len(check.cells)))

        return self._write(write)

    def answer(self, check_id: str, number: int, told: Told) -> Future[None]:
        """Keep an answer, the first of each cell. The future has sqlite3.Error where that is not possible."""
        return self._write(lambda connection: self._answer(connection, check_id, number, told))

    def cancel(self, check_id: str) -> Future[None]:
        """End a check that is not over."""
        return self._write(
            lambda connection: connection.execute(
                "UPDATE checks SET finished = ?, cancelled = 1, ask = NULL WHERE id = ? AND finished IS NULL",
                (time.time(), check_id),
            )
        )

    def forget(self, before: float, most: int, most_bytes: int) -> Future[None]:
        """Drop checks that were over before that time, and of the others all but the last so many, of so many bytes."""

        def write(connection: sqlite3.Connection) -> None:
            over = connection.execute(
                "SELECT id FROM (SELECT id, finished, row_number() OVER last AS place, sum(bytes) OVER last AS held"
                " FROM checks WHERE finished IS NOT NULL WINDOW last AS (ORDER BY finished DESC, number DESC))"
                " WHERE finished < ? OR place > ? OR held > ?",
                (before, most, most_bytes),
            ).fetchall()
            for (check_id,) in over:
                connection.execute("DELETE FROM answers WHERE id = ?", (check_id,))
                connection.execute("DELETE FROM checks WHERE id = ?", (check_id,))
            connection.execute(f"PRAGMA incremental_vacuum({_FREED_PAGES})").fetchall()

        return self._write(write)

    def progress(self, check_id: str) -> tuple[int, bool] | None:
        """How many answers a check has, and whether it is over: what is asked often. Raises sqlite3.Error."""
        row = self._reader.execute(
            "SELECT finished IS NOT NULL, (SELECT count(*) FROM answers WHERE answers.id = checks.id)"
            " FROM checks WHERE id = ?",
            (check_id,),
        ).fetchone()
        return None if row is None else (row[1], bool(row[0]))

    def find(self, check_id: str, skip: int = 0, *, running: bool = False) -> Standing | None:
        """How far a check is, without its first `skip` answers; `running` says whether a part of it runs, which is not
        kept. Raises sqlite3.Error."""
        row = self._reader.execute(
            "SELECT submitted, cells, finished, cancelled FROM checks WHERE id = ?", (check_id,)
        ).fetchone()
        if row is None:
            return None
        submitted, cells, finished, cancelled = row
        answers = {
            number: Told(verdict, text)
            for number, verdict, text in self._reader.execute(
                "SELECT number, verdict, answer FROM answers WHERE id = ? ORDER BY position LIMIT -1 OFFSET ?",
                (check_id, skip),
            )
        }
        done = (self.progress(check_id) or (0, False))[0]
        status = "cancelled" if cancelled else "done" if finished else "running" if running or done else "queued"
        return Standing(check_id, submitted, _cells(cells), status, answers, done, finished)

    def load(self, check_id: str) -> Check | None:
        """A check that is not over, with its files; from any thread."""
        with self._loading:
            row = self._loader.execute(
                "SELECT client, priority, submitted, cells, ask, trace FROM checks WHERE id = ? AND ask IS NOT NULL",
                (check_id,),
            ).fetchone()
        if row is None:
            return None
        client, priority, submitted, cells, ask, trace = row
        return Check(
            check_id,
            client,
            priority,
            submitted,
            _cells(cells),
            msgspec.msgpack.decode(ask, type=Ask),
            trace=trace,
        )

    def unfinished(self) -> Iterator[Unfinished]:
        """In the order in which they were taken."""
        rows = self._reader.execute(
            "SELECT id, client, priority, submitted, total, length(ask) FROM checks WHERE finished IS NULL"
            " ORDER BY number"
        ).fetchall()
        for check_id, client, priority, submitted, total, size in rows:
            found = self._reader.execute("SELECT number FROM answers WHERE id = ?", (check_id,))
            done = {number for (number,) in found}
            left = tuple(number for number in range(total) if number not in done)
            yield Unfinished(check_id, client, priority, submitted, total, left, size)

    def close(self) -> None:
        """Write what waits to be written. May be called twice."""
        if not self._thread.is_alive():
            return
        self._writes.put(None)
        self._thread.join()
        self._reader.close()
        self._loader.close()
        self._writer.close()
        os.close(self._lock)

    def _opened(self) -> sqlite3.Connection:
        """Raises sqlite3.Error."""
        connection = sqlite3.connect(self._path, timeout=10, isolation_level=None, check_same_thread=False)
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")  # which counts for a new file, before all else
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if version == 0:
            connection.executescript(f"BEGIN IMMEDIATE; {_TABLES} PRAGMA user_version = {VERSION}; COMMIT;")
        elif version != VERSION:
            connection.close()
            raise sqlite3.DatabaseError(f"it was written by another version of will-it-compile ({version})")
        return connection

    def _write(self, write: Write) -> Future[None]:
        future: Future[None] = Future()
        self._writes.put((write, future))
        return future

    def _run(self) -> None:
        ended = False
        while not ended:
            waiting = [self._writes.get()]
            while not self._writes.empty():
                waiting.append(self._writes.get())
            ended = None in waiting
            # From here on nobody can cancel it, whose future could not be set then.
            self._together([each for each in waiting if each is not None and each[1].set_running_or_notify_cancel()])

    def _together(self, waiting: list[tuple[Write, Future[None]]]) -> None:
        """In one transaction; where that fails, each in its own, so that one cannot spoil the others."""
        try:
            self._commit([write for write, _ in waiting])
        except sqlite3.Error as error:
            if len(waiting) == 1:
                waiting[0][1].set_exception(error)
                return
            for each in waiting:
                self._together([each])
            return
        for _, future in waiting:
            future.set_result(None)

    def _commit(self, writes: list[Write]) -> None:
        if not writes:
            return
        self._writer.execute("BEGIN IMMEDIATE")
        try:
            for write in writes:
                write(self._writer)
            self._writer.execute("COMMIT")
        except BaseException:
            if self._writer.in_transaction:
                self._writer.execute("ROLLBACK")
            raise

    @staticmethod
    def _answer(connection: sqlite3.Connection, check_id: str, number: int, told: Told) -> None:
        connection.execute(
            "INSERT OR IGNORE INTO answers (id, number, verdict, answer)"
            " SELECT id, ?, ?, ? FROM checks WHERE id = ? AND finished IS NULL",
            (number, told.verdict, told.text, check_id),
        )
        connection.execute("UPDATE checks SET bytes = bytes + ? WHERE id = ?", (len(told.text), check_id))
        # What was sent is needed no longer once everything is answered.
        connection.execute(
            "UPDATE checks SET finished = ?, ask = NULL WHERE id = ? AND finished IS NULL"
            " AND total = (SELECT count(*) FROM answers WHERE answers.id = checks.id)",
            (time.time(), check_id),
        )


def _cells(data: bytes) -> tuple[Cell, ...]:
    return msgspec.json.decode(data, type=tuple[Cell, ...])
