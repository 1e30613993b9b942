"""Answers that were given before: of the same job, by the same compiler, with the same files of this machine.

An answer is kept where the source alone has brought it about: `compiled` and `rejected`, and none that the time of day
has a part in. What goes wrong with keeping it costs no answer: then there is none, and it is compiled.
"""

from __future__ import annotations

from _thread import allocate_lock
from typing import TYPE_CHECKING, Any

from willitcompile.cache.store import Store, Unusable
from willitcompile.files import CACHE_BYTES, own_cache_directory

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from willitcompile.cache.shared import Shared
    from willitcompile.cache.store import Entry, Kept


class Cache:
    """Where answers are kept. Thread-safe; opens nothing before it is asked, and never raises afterwards."""

    def __init__(
        self,
        directory: str | None = None,
        *,
        most_bytes: int = CACHE_BYTES,
        shared: str | None = None,
        notify: Callable[[str], None] = lambda _: None,
    ) -> None:
        """`directory` is this user's own where None is given; `shared` is as the setting `shared-cache` has it.
        `notify` is told, once, where nothing can be kept. Raises ConfigError for a wrong `shared`."""
        self._directory = directory
        self._most_bytes = most_bytes
        self._notify = notify
        self._lock = allocate_lock()
        self._store: Store | None = None
        self._is_off = False
        self._shared: Shared | None = None
        if shared:
            from willitcompile.cache.shared import open_shared

            self._shared = open_shared(shared)

    def find(self, key: bytes) -> Kept | None:
        found: Kept | None = self._ask(lambda store: store.find(key))
        return found

    def record(self, digest: bytes) -> bytes | None:
        """What an answer depends on beside its key, by its digest."""
        found: bytes | None = self._ask(lambda store: store.record(digest))
        return found

    def write(
        self, entries: Sequence[Entry], *, used: Sequence[bytes], wrong: Sequence[bytes], hits: int, misses: int
    ) -> None:
        """See `Store.write`. What depends on this machine's files is nothing to others."""
        self._ask(lambda store: store.write(entries, used, wrong, hits, misses))

    def find_shared(self, key: bytes) -> bytes | None:
        found: bytes | None = self._ask_others(lambda shared: shared.find(key))
        return found

    def write_shared(self, answers: Sequence[tuple[bytes, bytes]]) -> None:
        if answers:
            self._ask_others(lambda shared: shared.write(answers))

    def close(self) -> None:
        if self._store:
            self._store.close()
        if self._shared:
            self._shared.close()

    def _ask(self, question: Callable[[Store], Any]) -> Any:
        """None where there is no answer; whoever cannot be asked once is not asked again."""
        if self._is_off:
            return None
        try:
            with self._lock:
                if self._store is None:
                    self._store = Store(self._directory or own_cache_directory(), self._most_bytes)
            return question(self._store)
        except (Unusable, OSError) as error:
            with self._lock:
                told, self._is_off = self._is_off, True
            if not told:
                why = f"{error.strerror}: {error.filename}" if isinstance(error, OSError) and error.filename else error
                self._notify(f"answers are not kept: {why}")
            return None

    def _ask_others(self, question: Callable[[Shared], Any]) -> Any:
        shared = self._shared
        if shared is None:
            return None
        from willitcompile.cache.shared import Unreachable

        try:
            return question(shared)
        except Unreachable as error:
            with self._lock:
                told, self._shared = self._shared is None, None
            shared.close()
            if not told:
                self._notify(f"the shared cache is not asked any more: {error}")
            return None
