"""Who is next: interactive before batch, and within each all clients in turn.

Pure and not thread-safe: it belongs to one event loop.
"""

from __future__ import annotations

from collections import Counter, OrderedDict, deque
from typing import TYPE_CHECKING, Generic, TypeVar

from willitcompile.server.checks import PRIORITIES

if TYPE_CHECKING:
    from collections.abc import Callable

Item = TypeVar("Item")

TURNS = 4
"""Of those that go before: then it is the turn of one that waits behind, so that nobody starves."""


class FairQueue(Generic[Item]):
    """Of items that belong to clients, each with a priority."""

    def __init__(self) -> None:
        self._waiting: dict[str, OrderedDict[str, deque[Item]]] = {name: OrderedDict() for name in PRIORITIES}
        self._length = 0
        self._of: Counter[str] = Counter()
        self._passed = 0
        """How often in a row somebody behind was passed over."""

    def __len__(self) -> int:
        return self._length

    def of(self, client: str) -> int:
        """How many are this client's."""
        return self._of[client]

    def put(self, item: Item, client: str, priority: str) -> None:
        """At the end of the client's own."""
        self._waiting[priority].setdefault(client, deque()).append(item)
        self._left(client, -1)

    def take(self) -> Item:
        """The next one. Raises IndexError where nothing waits."""
        lines = [line for line in self._waiting.values() if line]
        if not lines:
            raise IndexError("nothing waits")
        line = lines[0]
        if len(lines) > 1:
            self._passed += 1
            if self._passed > TURNS:
                self._passed = 0
                line = lines[-1]
        client, items = next(iter(line.items()))
        item = items.popleft()
        if items:
            line.move_to_end(client)
        else:
            del line[client]
        self._left(client, 1)
        return item

    def remove(self, unwanted: Callable[[Item], bool]) -> int:
        """Take out all that are unwanted, and say how many."""
        before = self._length
        for line in self._waiting.values():
            for client, items in list(line.items()):
                kept = deque(item for item in items if not unwanted(item))
                self._left(client, len(items) - len(kept))
                if kept:
                    line[client] = kept
                else:
                    del line[client]
        return before - self._length

    def _left(self, client: str, count: int) -> None:
        self._length -= count
        self._of[client] -= count
        if not self._of[client]:
            del self._of[client]
