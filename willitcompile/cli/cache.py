"""The cache of a command, and `will-it-compile cache`."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from willitcompile.cli.output import write_stdout
from willitcompile.errors import NoAnswer
from willitcompile.files import own_cache_directory
from willitcompile.reports import units

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from willitcompile.cache import Cache
    from willitcompile.cache.store import Store
    from willitcompile.config import Settings


@contextmanager
def opened_cache(settings: Settings, notify: Callable[[str], None]) -> Iterator[Cache | None]:
    """What the settings say; None for none. Raises ConfigError."""
    if not settings.cache:
        yield None
        return
    from willitcompile.cache import Cache

    cache = Cache(most_bytes=settings.cache_size, shared=settings.shared_cache, notify=notify)
    try:
        yield cache
    finally:
        cache.close()


def stats(settings: Settings) -> int:
    """Say what is kept. Raises NoAnswer."""
    with _store(settings) as store:
        entries, size, hits, misses, since = store.figures()
        asked = hits + misses
        write_stdout(
            f"{store.path}\n"
            f"{_answers(entries)}, {units.size(size)} of at most {units.size(settings.cache_size)}\n"
            f"{hits} of {asked} asked for were there, since {time.strftime('%Y-%m-%d', time.localtime(since))}\n"
        )
    return 0


def clear(settings: Settings) -> int:
    """Forget all of it. Raises NoAnswer."""
    with _store(settings) as store:
        entries = store.figures().entries
        store.clear()
        write_stdout(f"{_answers(entries)} forgotten\n")
    return 0


def _answers(count: int) -> str:
    return "1 answer" if count == 1 else f"{count} answers"


@contextmanager
def _store(settings: Settings) -> Iterator[Store]:
    from willitcompile.cache.store import Store, Unusable

    try:
        store = Store(own_cache_directory(), settings.cache_size)
        try:
            yield store
        finally:
            store.close()
    except (Unusable, OSError) as error:
        raise NoAnswer(
            "look into the cache", str(error), "name a directory of yours: export XDG_CACHE_HOME=/a/writable/directory"
        ) from error
