"""Finding the answers of one check, and keeping those that it had to compile for."""

from __future__ import annotations

import os
import time
from _thread import allocate_lock
from typing import TYPE_CHECKING

from willitcompile import languages
from willitcompile.cache.inputs import Inputs, digest_of
from willitcompile.cache.key import KEPT, MOST_BYTES, decode, encode, is_kept, key_of
from willitcompile.cache.store import Entry
from willitcompile.model import Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from willitcompile.backends import Backend, CancelToken, Identity
    from willitcompile.cache import Cache
    from willitcompile.model import CompileJob, CompileResult

BATCH = 64
"""Answers that are written in one step."""
BATCH_SECONDS = 2.0
"""What a process that is killed loses of them, and what the next one can find."""

NOTHING = b""
"""The digest of no files of this machine."""


class Recall:
    """The answers of one backend, for as long as one check takes: each file of this machine is looked at once.

    Thread-safe. Close it, and what was learnt is kept.
    """

    def __init__(self, cache: Cache, backend: Backend) -> None:
        self._cache = cache
        self._backend = backend
        self._inputs = Inputs()
        self._lock = allocate_lock()
        self._identities: dict[str, Identity | None] = {}
        self._pending: list[tuple[str, Entry]] = []
        """With the toolchain of each."""
        self._used: list[bytes] = []
        self._wrong: list[bytes] = []
        self._misses = 0
        self._written = time.monotonic()

    def find(self, job: CompileJob) -> CompileResult | None:
        """What was answered to this job, where nothing has changed since."""
        identity = self._identity(job.toolchain)
        if identity is None:
            return None
        key = key_of(job, self._backend.name, identity.text)
        result = self._find_here(key) or (self._find_elsewhere(key, job) if identity.headers is None else None)
        if result is None:
            self._misses += 1
        else:
            self._used.append(key)
        return result

    def compile(self, job: CompileJob, cancel: CancelToken | None = None) -> CompileResult:
        """Compile, and keep the answer. See `Backend.compile`."""
        identity = self._identity(job.toolchain)
        is_on_host = identity is not None and identity.headers is not None
        if identity is None or not languages.language(job.language).lasts(job, on_host=is_on_host):
            return self._backend.compile(job, cancel)
        began = time.time()
        record: bytes | None = NOTHING
        if (roots := (identity.headers or {}).get(job.language)) is not None:
            result, read = self._compile_telling(job, cancel)
            # Without the directories where headers are nobody knows what could go before them.
            kept = is_kept(result) and bool(roots)
            record = self._inputs.record(read, job, roots, began) if read is not None and kept else None
        else:
            result = self._backend.compile(job, cancel)
        if record is not None and is_kept(result):
            self._keep(job, identity, result, record)
        return result

    def close(self) -> None:
        self._write()

    def _identity(self, toolchain: str) -> Identity | None:
        if toolchain not in self._identities:
            self._identities[toolchain] = self._backend.identity(toolchain)
        return self._identities[toolchain]

    def _find_here(self, key: bytes) -> CompileResult | None:
        kept = self._cache.find(key)
        if kept is None:
            return None
        result = decode(kept.answer, key, kept.inputs)
        if result is None:
            self._wrong.append(key)
            return None
        return result if kept.inputs == NOTHING or self._is_unchanged(kept.inputs) else None

    def _is_unchanged(self, digest: bytes) -> bool:
        known = self._inputs.known(digest)
        if known is None:
            record = self._cache.record(digest)
            known = record is not None and self._inputs.unchanged(digest, record)
        return known

    def _find_elsewhere(self, key: bytes, job: CompileJob) -> CompileResult | None:
        answer = self._cache.find_shared(key)
        result = decode(answer, key, NOTHING) if answer else None
        if answer and result:
            with self._lock:
                self._pending.append((job.toolchain, Entry(key, answer, NOTHING, NOTHING)))
        return result

    def _compile_telling(
        self, job: CompileJob, cancel: CancelToken | None
    ) -> tuple[CompileResult, Sequence[str] | None]:
        """The answer, and the files of this machine that the compiler has read; None where nobody knows."""
        from willitcompile.languages import c_inputs

        token = os.urandom(16).hex()
        result = self._backend.compile(job._replace(argv=c_inputs.telling(job.argv, token)), cancel)
        read = c_inputs.told(result.stdout, token, job) if result.verdict in KEPT else None
        if read is not None:
            return result._replace(stdout=b""), read
        if result.verdict in {*KEPT, Verdict.TIMEOUT} and not result.stdout:
            return result, None
        # What is told took room, or something else has printed too: the answer is to be what it is without a cache.
        return self._backend.compile(job, cancel), None

    def _keep(self, job: CompileJob, identity: Identity, result: CompileResult, record: bytes) -> None:
        key = key_of(job, self._backend.name, identity.text)
        inputs = digest_of(record) if record else NOTHING
        answer = encode(result, key, inputs)
        if len(answer) + len(record) > MOST_BYTES:
            return
        with self._lock:
            self._pending.append((job.toolchain, Entry(key, answer, inputs, record)))
            is_time = len(self._pending) >= BATCH or time.monotonic() - self._written > BATCH_SECONDS
        if is_time:
            self._write()

    def _write(self) -> None:
        with self._lock:
            pending, self._pending = self._pending, []
            used, self._used = self._used, []
            wrong, self._wrong = self._wrong, []
            misses, self._misses = self._misses, 0
            self._written = time.monotonic()
        # A compiler that was replaced meanwhile has given some of these answers.
        now = {toolchain: self._backend.identity(toolchain) for toolchain in {name for name, _ in pending}}
        sure = [(name, entry) for name, entry in pending if now[name] == self._identities[name]]
        entries = [entry for _, entry in sure]
        if entries or used or wrong or misses:
            self._cache.write(entries, used=used, wrong=wrong, hits=len(used), misses=misses)
        # What is known of a compiler of this machine by the times of its files is nothing to others.
        shared = [(each.key, each.answer) for name, each in sure if (known := now[name]) and known.headers is None]
        self._cache.write_shared(shared)
