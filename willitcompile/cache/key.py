"""What tells one compile from every other, and an answer as the bytes that are kept of it."""

from __future__ import annotations

import json
import os
from _blake2 import blake2b  # hashlib would bring OpenSSL with it, which takes 4 ms
from typing import TYPE_CHECKING, Any

from willitcompile.model import MIB, CompileResult, Verdict
from willitcompile.version import __version__

if TYPE_CHECKING:
    from collections.abc import Iterable

    from willitcompile.model import CompileJob

FORMAT = f"1 {__version__}".encode()
"""The number is to be raised where the same answer would have other bytes. Another version of ours may confine a
compile otherwise, or tell otherwise how it ended: it asks anew."""

MOST_BYTES = 8 * MIB
"""Of an answer that is kept. One may print 1 MiB to stdout and to stderr where nobody says otherwise."""

MOST_SECONDS = 100_000.0
"""That a compile may have taken: a day, and some more."""

KEPT = frozenset({Verdict.COMPILED, Verdict.REJECTED})

_SUM_BYTES = 16
_PACKED_FROM = 1024
_MACHINE_SAYS = (b"No space left on device", b"Cannot allocate memory", b"Resource temporarily unavailable")
"""Words of a compiler that has met the limits of its machine. That a source can print them too does no harm."""


def key_of(job: CompileJob, backend: str, identity: str) -> bytes:
    """32 bytes. Every part goes in with its length, so that no two jobs can be written alike.

    Limits are part of it: what compiles in a minute is no answer for whoever allows it a second.
    """
    hasher = blake2b(digest_size=32)
    parts: list[bytes] = [
        FORMAT,
        *map(_text, (backend, identity, job.toolchain, job.language, job.workdir)),
        repr(tuple(job.limits)).encode(),
        repr((job.link, sorted(job.rejected_exit_codes))).encode(),
        b"%d %d %d" % (len(job.argv), len(job.environment), len(job.files)),
        *map(_text, job.argv),
        *(_text(each) for item in sorted(job.environment.items()) for each in item),
    ]
    for path in sorted(job.files):
        parts += (_text(path), job.files[path])
    hasher.update(b"".join(b"%d:" % len(part) for part in parts))
    for part in parts:
        hasher.update(part)
    return hasher.digest()


def is_kept(result: CompileResult) -> bool:
    """Whether the source alone has brought this answer about."""
    return (
        result.verdict in KEPT
        and not result.truncated
        and result.limit is None
        and result.signal is None
        and not any(words in result.stderr for words in _MACHINE_SAYS)
    )


def encode(result: CompileResult, *bound: bytes) -> bytes:
    """An answer with a checksum, which holds it to what it is `bound` to: its key, and what it was made of."""
    head = [
        result.verdict,
        result.exit_code,
        result.duration_seconds,
        result.compiler,
        result.isolation,
        result.image,
        result.peak_memory_bytes,
        len(result.stdout),
    ]
    return seal(json.dumps(head).encode() + b"\n" + result.stdout + result.stderr, *bound)


def decode(data: bytes, *bound: bytes) -> CompileResult | None:
    """What `encode` was given; None for anything else, whoever may have written it."""
    body = unseal(data, *bound)
    if body is None:
        return None
    head, _, printed = body.partition(b"\n")
    try:
        verdict, exit_code, duration, compiler, isolation, image, peak, length = json.loads(head)
        if not 0 <= length <= len(printed):
            return None
        result = CompileResult(
            verdict=Verdict(verdict),
            exit_code=exit_code,
            stdout=printed[:length],
            stderr=printed[length:],
            duration_seconds=duration,
            compiler=compiler,
            isolation=isolation,
            image=image,
            peak_memory_bytes=peak,
        )
    except (ValueError, TypeError, RecursionError):
        return None
    return result if _fits(result, length) and is_kept(result) else None


def seal(body: bytes, *bound: bytes) -> bytes:
    stored = b"=" + body
    if len(body) >= _PACKED_FROM:
        import zlib

        stored = b"z" + zlib.compress(body, 1)
    return _sum(stored, bound) + stored


def unseal(data: bytes, *bound: bytes) -> bytes | None:
    """The body; None where it is not what was sealed with the same."""
    checksum, stored = data[:_SUM_BYTES], data[_SUM_BYTES:]
    if checksum != _sum(stored, bound):
        return None
    if stored[:1] == b"=":
        return stored[1:]
    import zlib

    # However much somebody has packed into it, who knows how to make a checksum.
    unpacker = zlib.decompressobj()
    try:
        body = unpacker.decompress(stored[1:], MOST_BYTES)
    except zlib.error:
        return None
    return body if unpacker.eof else None


def _sum(body: bytes, bound: Iterable[bytes]) -> bytes:
    hasher = blake2b(digest_size=_SUM_BYTES)
    for part in (*bound, body):
        hasher.update(b"%d:" % len(part))
        hasher.update(part)
    return hasher.digest()


def _fits(result: CompileResult, length: object) -> bool:
    """Whether the fields are of the types that they should be: JSON has others too."""

    def is_(value: Any, kind: type, *, or_none: bool = False) -> bool:
        return (or_none and value is None) or (isinstance(value, kind) and not isinstance(value, bool))

    return (
        is_(length, int)
        and is_(result.exit_code, int)
        and 0 <= (result.exit_code or 0) <= 255
        and is_(result.duration_seconds, float)
        and 0 <= result.duration_seconds <= MOST_SECONDS
        and is_(result.compiler, str)
        and is_(result.isolation, str)
        and is_(result.image, str, or_none=True)
        and is_(result.peak_memory_bytes, int, or_none=True)
        and 0 <= (result.peak_memory_bytes or 0) < 1 << 63
    )


def _text(text: str) -> bytes:
    return os.fsencode(text)
