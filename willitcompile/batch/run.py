"""Answering records as they come, with no more of them in memory than are under way.

One thread reads and plans, others compile. Who reads waits while as much is under way as there may be, so that whoever
writes the records waits too.
"""

from __future__ import annotations

import threading
from collections import Counter, deque
from typing import TYPE_CHECKING, NamedTuple

from willitcompile import planning
from willitcompile.batch.answers import REPEATED, Done, Ids, answered, refused, verdict_of
from willitcompile.batch.records import Record, Wrong, parse
from willitcompile.checker import judge, prepare
from willitcompile.errors import Interrupted, RequestError
from willitcompile.model import MIB
from willitcompile.reports.json import as_dict

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from willitcompile.backends import Backend, CancelToken
    from willitcompile.batch.answers import Output
    from willitcompile.batch.records import Lines
    from willitcompile.batch.summary import Summary
    from willitcompile.cache.recall import Recall
    from willitcompile.model import Limits, Toolchain
    from willitcompile.planning import CheckRequest, PlannedCheck, Source

MOST_BYTES = 128 * MIB
"""Of lines that are under way, in and out: one is taken also where it alone is more."""
AHEAD = 2
"""Records that are under way, for each that may compile at the same time."""
AHEAD_IN_ORDER = 32
"""The same where answers wait for those before them: a slow compile is not to hold up all others."""

_LOOK_SECONDS = 0.5


class Settings(NamedTuple):
    """What holds for all records."""

    defaults: CheckRequest
    """For what a record does not say."""
    in_order: bool = False
    """Whether answers come in the order of the records, and not as they are there."""
    group_by: str = "group"


class _Planned(NamedTuple):
    place: int
    """Counted from 0, of those that are answered."""
    record: Record
    checks: list[PlannedCheck]


class Batch:
    """One batch with one backend."""

    def __init__(
        self,
        settings: Settings,
        backend: Backend,
        output: Output,
        summary: Summary,
        cancel: CancelToken,
        recall: Recall | None = None,
    ) -> None:
        self._settings = settings
        self._backend = backend
        self._output = output
        self._summary = summary
        self._cancel = cancel
        self._recall = recall
        self._limits: Limits = backend.limits._replace(**settings.defaults.limits)
        self._at_once = backend.at_once(settings.defaults.jobs)
        self._available: dict[object, Sequence[Toolchain]] = {}
        self._most = self._at_once * (AHEAD_IN_ORDER if settings.in_order else AHEAD)
        self._changed = threading.Condition()
        # All below belong to whoever holds the condition.
        self._waiting: deque[_Planned] = deque()
        self._under_way: dict[int, int] = {}
        """By place, the bytes of what is neither answered nor written."""
        self._bytes = 0
        self._next = 0
        """The place whose answer is written next, where they come in order."""
        self._kept: dict[int, tuple[bytes, str, str]] = {}
        self._error: BaseException | None = None
        self._is_over = False

    def run(self, lines: Lines, done: Done) -> None:
        """Answer them all. When it returns, or raises, nothing runs any more, and what was answered is written.

        Raises NoAnswer, Interrupted and BrokenPipeError: what is not written then is answered by the next run.
        """
        workers = [
            threading.Thread(target=self._work, name=f"will-it-compile-{number}") for number in range(self._at_once)
        ]
        started = []
        try:
            for worker in workers:
                worker.start()
                started.append(worker)
            self._read(lines, done)
        except BaseException as error:
            self._stop(error)
            raise
        finally:
            with self._changed:
                self._is_over = True
                self._changed.notify_all()
            for worker in started:
                worker.join()
            if self._error:
                raise self._error
        if self._cancel.cancelled:
            raise Interrupted("batch", "", "run it again")

    def _read(self, lines: Lines, done: Done) -> None:
        place = 0
        for block in self._blocks(lines, done):
            coming: Counter[str] = Counter()
            sources: dict[str, set[tuple[int, str]]] = {}
            planned: list[_Planned | Wrong] = []
            for record in block:
                each = self._plan(place, record)
                planned.append(each)
                place += 1
                for check in each.checks if isinstance(each, _Planned) else ():
                    coming[check.toolchain.name] += 1
                    sources.setdefault(check.toolchain.name, set()).add((place, check.source))
            for name, count in coming.items():
                self._backend.expect(name, self._limits, count, self._at_once, self._cancel, len(sources[name]))
            for number, each in enumerate(planned, place - len(planned)):
                size = each.record.size if isinstance(each, _Planned) else 0
                if not self._enter(number, size):
                    return
                if isinstance(each, Wrong):
                    self._answer(number, refused(each, each.error), each.group, "error")
                else:
                    with self._changed:
                        self._waiting.append(each)
                        self._changed.notify_all()

    def _blocks(self, lines: Lines, done: Done) -> Iterator[list[Record | Wrong]]:
        """New records, as many together as are there without waiting, so that a backend may prepare for them."""
        seen = Ids()
        block: list[Record | Wrong] = []
        held = 0
        for number, line in enumerate(lines, 1):
            record = parse(line, number, self._settings.defaults, self._settings.group_by)
            if record is not None and number not in done.lines:
                if record.id is not None and not seen.add(record.id):
                    error = RequestError(f"check line {number}", REPEATED, "give each record an id of its own")
                    record = Wrong(record.id, number, record.group, error)
                elif record.id is not None and record.id in done.ids:
                    record = None
                if record is not None:
                    block.append(record)
                    held += len(line or b"")
            if block and (len(block) >= self._at_once * AHEAD or held > MOST_BYTES or not lines.is_ready()):
                yield block
                block, held = [], 0
        if block:
            yield block

    def _plan(self, place: int, record: Record | Wrong) -> _Planned | Wrong:
        if isinstance(record, Wrong):
            return record
        try:
            sources = planning.find(record.request)
            return _Planned(place, record, self._combined(record.request, sources))
        except RequestError as error:
            return Wrong(record.id, record.line, record.group, error)

    def _combined(self, request: CheckRequest, sources: list[Source]) -> list[PlannedCheck]:
        wanted = planning.wanted(request, sources)
        if wanted not in self._available:
            if len(self._available) > 1000:  # hostile records may ask for ever new ones
                self._available.clear()
            self._available[wanted] = self._backend.toolchains(wanted)
        return planning.combine(request, sources, self._available[wanted], self._backend.name)

    def _enter(self, place: int, size: int) -> bool:
        """Wait until one more may be under way. False where all has ended."""
        with self._changed:
            while not (self._error or self._cancel.cancelled):
                if not self._under_way or (len(self._under_way) < self._most and self._bytes + size <= MOST_BYTES):
                    self._under_way[place] = size
                    self._bytes += size
                    return True
                self._changed.wait(_LOOK_SECONDS)
        return False

    def _work(self) -> None:
        while planned := self._take():
            try:
                line, kind = self._line(planned)
                self._answer(planned.place, line, planned.record.group, kind)
            except BaseException as error:  # noqa: BLE001 - raised by whoever waits
                self._stop(error)

    def _take(self) -> _Planned | None:
        with self._changed:
            while not (self._error or self._cancel.cancelled):
                if self._waiting:
                    return self._waiting.popleft()
                if self._is_over:
                    break
                self._changed.wait(_LOOK_SECONDS)
        return None

    def _line(self, planned: _Planned) -> tuple[bytes, str]:
        results = []
        try:
            for check in planned.checks:
                job, about = prepare(check, planned.record.request, self._limits)
                kept = self._recall.find(job) if self._recall else None
                answer = kept or (self._recall or self._backend).compile(job, self._cancel)
                results.append(judge(about, answer, self._backend.name)._replace(cached=kept is not None))
        except RequestError as error:
            return refused(planned.record, error), "error"
        kind = verdict_of(results)
        return answered(planned.record, [as_dict(each) for each in results], good=kind == "compiled"), kind

    def _answer(self, place: int, line: bytes, group: str, kind: str) -> None:
        with self._changed:
            if self._error:
                return
            if not self._settings.in_order:
                self._write(place, line, group, kind)
            else:
                self._bytes += len(line) - self._under_way[place]
                self._under_way[place] = len(line)
                self._kept[place] = (line, group, kind)
                while self._next in self._kept:
                    self._write(self._next, *self._kept.pop(self._next))
                    self._next += 1
            self._changed.notify_all()

    def _write(self, place: int, line: bytes, group: str, kind: str) -> None:
        self._output.write(line)
        self._bytes -= self._under_way.pop(place)
        self._summary.count(group, kind)

    def _stop(self, error: BaseException) -> None:
        """The first error counts: others may only come of it."""
        with self._changed:
            is_late = isinstance(error, Interrupted) and self._cancel.cancelled
            if self._error is None and not is_late:
                self._error = error
            self._changed.notify_all()
        self._cancel.cancel()
