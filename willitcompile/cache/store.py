"""Answers in a file of SQLite, which many processes use at once.

The file is not to be trusted: whoever reads an answer checks it against its key. So it need not be written as a bank
would: nothing waits for a disk (`synchronous=OFF`), and what a power cut leaves is found out and thrown away. That a
process is killed in the middle is SQLite's to mend, by its journal. There is no write-ahead log, whose shared memory
would end us by SIGBUS where somebody cuts it short.
"""

from __future__ import annotations

import _sqlite3 as sqlite  # sqlite3 would bring datetime with it, which takes 4 ms
import os
import stat
import time
from _thread import allocate_lock
from typing import TYPE_CHECKING, Any, NamedTuple

from willitcompile.cache import key

if TYPE_CHECKING:
    from collections.abc import Iterable

NAME = "results.sqlite"
VERSION = 1
"""Of the tables. A file of another version is begun anew."""

BUSY_SECONDS = 5.0
"""How long others are waited for, each of whom takes some milliseconds."""

USED_AGAIN_SECONDS = 3600
"""That an answer was used is written down this often: a check that finds all it wants writes next to nothing."""

_NOT_THE_FILES_FAULT = frozenset({3, 5, 6, 7, 8, 9, 10, 13, 14, 15, 22, 23})
"""Of SQLite's codes, from SQLITE_PERM over SQLITE_FULL to SQLITE_AUTH: those that another file would not mend."""

_TABLES = (
    "CREATE TABLE answers (key BLOB PRIMARY KEY, inputs BLOB NOT NULL, answer BLOB NOT NULL, used INTEGER NOT NULL)",
    "CREATE INDEX answers_by_use ON answers (used)",
    "CREATE INDEX answers_by_inputs ON answers (inputs)",
    "CREATE TABLE inputs (digest BLOB PRIMARY KEY, record BLOB NOT NULL)",
    "CREATE TABLE counts (name TEXT PRIMARY KEY, count INTEGER NOT NULL)",
    f"PRAGMA user_version = {VERSION}",
)


class Kept(NamedTuple):
    """An answer as it is kept."""

    answer: bytes
    inputs: bytes
    """The digest of what it depends on beside its key; empty for nothing."""


class Entry(NamedTuple):
    """An answer to be kept."""

    key: bytes
    answer: bytes
    inputs: bytes
    record: bytes
    """What `inputs` is the digest of."""


class Figures(NamedTuple):
    """What there is to say of it."""

    entries: int
    bytes: int
    hits: int
    misses: int
    since: int
    """Seconds since 1970."""


class Unusable(Exception):
    """It can be neither read nor made. `args[0]` says why."""


class Store:
    """Thread-safe. Every method raises Unusable where the file gives no answer."""

    def __init__(self, directory: str, most_bytes: int) -> None:
        """`directory` is this user's alone."""
        self.path = os.path.join(directory, NAME)
        self._most_bytes = most_bytes
        self._lock = allocate_lock()
        self._connection: sqlite.Connection | None = None

    def find(self, wanted: bytes) -> Kept | None:
        found = self._read("SELECT answer, inputs FROM answers WHERE key = ?", wanted)
        answer, inputs = found[0] if found else (None, None)
        return Kept(answer, inputs) if isinstance(answer, bytes) and isinstance(inputs, bytes) else None

    def record(self, digest: bytes) -> bytes | None:
        found = self._read("SELECT record FROM inputs WHERE digest = ?", digest)
        return key.unseal(found[0][0], digest) if found and isinstance(found[0][0], bytes) else None

    def write(
        self,
        entries: Iterable[Entry],
        used: Iterable[bytes] = (),
        wrong: Iterable[bytes] = (),
        hits: int = 0,
        misses: int = 0,
    ) -> None:
        """Keep these, in one step; say that others were used; forget those that were wrong."""
        now = int(time.time())

        def work(connection: sqlite.Connection) -> None:
            connection.executemany("DELETE FROM answers WHERE key = ?", [(each,) for each in wrong])
            for each in entries:
                connection.execute(
                    "REPLACE INTO answers VALUES (?, ?, ?, ?)", (each.key, each.inputs, each.answer, now)
                )
                if each.inputs:
                    sealed = key.seal(each.record, each.inputs)
                    connection.execute("REPLACE INTO inputs VALUES (?, ?)", (each.inputs, sealed))
            connection.executemany(
                "UPDATE answers SET used = ? WHERE key = ? AND used < ?",
                [(now, each, now - USED_AGAIN_SECONDS) for each in used],
            )
            for name, count in (("hits", hits), ("misses", misses)):
                connection.execute("UPDATE counts SET count = count + ? WHERE name = ?", (count, name))

        self._change(work)
        self._evict()

    def figures(self) -> Figures:
        counts = dict(self._read("SELECT name, count FROM counts"))
        (entries,) = self._read("SELECT count(*) FROM answers")[0]
        return Figures(entries, self._bytes(), counts.get("hits", 0), counts.get("misses", 0), counts.get("since", 0))

    def clear(self) -> None:
        """Forget everything. Others may be using it meanwhile: the file stays, and gets small."""

        def work(connection: sqlite.Connection) -> None:
            connection.execute("DELETE FROM answers")
            connection.execute("DELETE FROM inputs")
            connection.execute("UPDATE counts SET count = 0 WHERE name IN ('hits', 'misses')")
            connection.execute("UPDATE counts SET count = ? WHERE name = 'since'", (int(time.time()),))

        self._change(work)
        self._give_room_back()

    def close(self) -> None:
        with self._lock:
            if self._connection is not None:
                connection, self._connection = self._connection, None
                connection.close()

    def _read(self, statement: str, *values: bytes) -> list[tuple[Any, ...]]:
        with self._lock:
            rows: list[tuple[Any, ...]] = self._try(lambda connection: connection.execute(statement, values).fetchall())
            return rows

    def _change(self, work: Any) -> None:
        def in_one_step(connection: sqlite.Connection) -> None:
            connection.execute("BEGIN IMMEDIATE")
            try:
                work(connection)
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

        with self._lock:
            self._try(in_one_step)

    def _try(self, work: Any) -> Any:
        """Do this with the file. One that turns out to be none of SQLite's, or torn, is thrown away, once."""
        try:
            try:
                return work(self._opened())
            except (sqlite.DatabaseError, UnicodeDecodeError) as error:  # its words may quote the file
                if getattr(error, "sqlite_errorcode", 0) & 0xFF in _NOT_THE_FILES_FAULT:
                    raise
                self._throw_away()
                return work(self._opened())
        except (sqlite.Error, OSError, ValueError, OverflowError, MemoryError) as error:
            raise Unusable(str(error)) from error

    def _opened(self) -> sqlite.Connection:
        if self._connection is None:
            _make_private(self.path)
            connection = sqlite.connect(self.path, BUSY_SECONDS, check_same_thread=False, isolation_level=None)
            try:
                self._prepare(connection)
            except BaseException:
                connection.close()
                raise
            self._connection = connection
        return self._connection

    def _prepare(self, connection: sqlite.Connection) -> None:
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("PRAGMA trusted_schema = OFF")
        if connection.execute("PRAGMA user_version").fetchone() == (VERSION,):
            return
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        connection.execute("BEGIN IMMEDIATE")
        # Another process may have been first.
        if connection.execute("PRAGMA user_version").fetchone() != (VERSION,):
            for (table,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall():
                connection.execute(f'DROP TABLE "{table}"')
            for statement in _TABLES:
                connection.execute(statement)
            counts = [("hits", 0), ("misses", 0), ("since", int(time.time()))]
            connection.executemany("INSERT INTO counts VALUES (?, ?)", counts)
        connection.execute("COMMIT")

    def _throw_away(self) -> None:
        """Others may have it open still, and go on with what is no file any more until they end."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        for path in (self.path, f"{self.path}-journal"):
            if os.path.lexists(path):
                os.unlink(path)

    def _give_room_back(self) -> None:
        with self._lock:
            # As a script it goes on to the end: each step of it frees one page.
            self._try(lambda connection: connection.executescript("PRAGMA incremental_vacuum"))

    def _bytes(self) -> int:
        pages, free, size = (
            self._read(f"PRAGMA {name}")[0][0] for name in ("page_count", "freelist_count", "page_size")
        )
        used: int = (pages - free) * size
        return used

    def _evict(self) -> None:
        """Forget what was used least recently, a tenth at a time, until the rest has its room."""
        while self._bytes() > self._most_bytes:
            (entries,) = self._read("SELECT count(*) FROM answers")[0]
            if not entries:
                return

            def work(connection: sqlite.Connection, some: int = -(-entries // 10)) -> None:
                connection.execute(
                    "DELETE FROM answers WHERE key IN (SELECT key FROM answers ORDER BY used LIMIT ?)", (some,)
                )
                connection.execute("DELETE FROM inputs WHERE digest NOT IN (SELECT inputs FROM answers)")

            self._change(work)
            self._give_room_back()


def _make_private(path: str) -> None:
    """Make the file where there is none. Raises PermissionError for one that somebody else could have filled."""
    try:
        # Only where it is new: to close a file takes from this process all the locks that it has on it.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    except FileExistsError:
        pass
    state = os.lstat(path)
    if not stat.S_ISREG(state.st_mode):
        raise PermissionError(f"{path} is not a regular file")
    if state.st_uid != os.geteuid() or state.st_mode & 0o022:
        raise PermissionError(f"{path} can be written by others")
