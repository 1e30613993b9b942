"""The launcher: process 1 of every compile container, and how to talk to it.

launcher.c says what it does, and has the protocol. Its binaries are committed, so that nobody needs a compiler for a
container engine to be of use; `make` in this directory rebuilds them byte for byte. This module is data to data: it
makes what goes to the launcher, and reads what comes from its stdout.

A launcher takes its records from stdin as they come, or a whole tape of them from files: `pack` makes the one stream
whose parts these files are. For the second it answers in lines, each of which `unwrap` makes a frame for a Reader.
"""

from __future__ import annotations

import os
import struct
from binascii import Error, a2b_base64, b2a_base64
from typing import TYPE_CHECKING, NamedTuple

from willitcompile.backends.supervision import Ending, layout

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from willitcompile.model import CompileJob, Limits

MACHINES = {"amd64": "x86_64", "x86_64": "x86_64", "arm64": "aarch64", "aarch64": "aarch64"}
"""By what a container engine calls a machine, what the kernel calls it, as `bpf_filter` wants it."""

_HEADER = struct.Struct("<BI")
_LIMITS = struct.Struct("<QQQQQ")
_ENDING = struct.Struct("<iiIQQQQ")
_STOPPED = (None, "wall", "memory", "processes", "output")
_LARGEST_FRAME = 4096
"""With its header; of the launcher's making."""
_LARGEST_NONCE = 64


class UnsupportedMachineError(Exception):
    """There is no launcher for this machine."""


class BrokenProtocolError(Exception):
    """What came is no launcher's: something else has written to its stdout, or it was cut off."""


class Seed(NamedTuple):
    """Links to files that the container has, made in the job's `tmp` before it starts: a prepared cache."""

    names: str
    """The path, in the container, of a file with one relative name on each line. Without it nothing is linked."""
    source: str
    """The directory in the container that the links lead to, each to the file of its name."""
    directory: str
    """Where they are made, below `tmp`."""


def binary(machine: str) -> bytes:
    """The launcher for a machine, as a container engine names it.

    Raises UnsupportedMachineError for any other than x86_64 and aarch64.
    """
    if machine not in MACHINES:
        raise UnsupportedMachineError(
            f"there is no launcher for {machine} machines, only for {' and '.join(dict.fromkeys(MACHINES.values()))}"
        )
    with open(f"{os.path.dirname(__file__)}/launcher-{MACHINES[machine]}", "rb") as file:
        return file.read()


def encode(
    job: CompileJob,
    *,
    argv: Sequence[str] | None = None,
    environment: Mapping[str, str] | None = None,
    seccomp: bytes = b"",
    seeds: Iterable[Seed] = (),
    inherited: Sequence[str] = (),
) -> Iterator[bytes]:
    """A whole job for the launcher, in pieces: its files, then what to run.

    `argv` is the job's, where the image has its program under another name; `environment` is what the backend sets,
    to which the job's is added; `inherited` names variables that have the container's value, where it has one and
    neither of those does. Raises ValueError for a path that is not inside of a job.
    """
    yield from lay_out(job.files)
    for seed in seeds:
        _check(seed.directory)
        yield _record(b"s", f"{seed.names}\0{seed.source}\0tmp/{seed.directory}")
    workdir = "src" if job.workdir == "." else f"src/{job.workdir}"
    both = {**(environment or {}), **job.environment}
    argv = job.argv if argv is None else argv
    yield run(argv, both, job.limits, workdir=workdir, seccomp=seccomp, inherited=inherited)


def lay_out(files: Mapping[str, bytes]) -> Iterator[bytes]:
    """Write the sources below `src`, read-only, and close its directories. Raises ValueError as `encode` does."""
    directories = ["src"]
    for path, content in layout(files):
        if content is None:
            directories.append(f"src/{path}")
            yield mkdir(f"src/{path}")
        else:
            yield from write(f"src/{path}", content, kind=b"f")
    yield b"".join(_record(b"c", path) for path in reversed(directories))


def mkdir(path: str) -> bytes:
    """Make a directory, relative to the launcher's root; the one above it has to be there."""
    _check(path)
    return _record(b"d", path)


def write(path: str, content: bytes, *, kind: bytes = b"w") -> Iterator[bytes]:
    """Write one file, relative to the launcher's root (`tmp/x.c`); its directory has to be there."""
    _check(path)
    name = _bytes(path) + b"\0"
    yield _HEADER.pack(ord(kind), len(name) + len(content)) + name
    yield content


def run(
    argv: Sequence[str],
    environment: Mapping[str, str],
    limits: Limits,
    *,
    workdir: str = "src",
    seccomp: bytes = b"",
    inherited: Sequence[str] = (),
) -> bytes:
    """Run this, in a directory relative to the launcher's root. The launcher answers with one ending."""
    _check(workdir)
    numbers = _LIMITS.pack(
        max(1, round(limits.wall_seconds * 1000)),
        limits.memory_bytes,
        limits.output_bytes,
        limits.file_bytes,
        limits.processes,
    )
    return b"".join(
        (
            *(_record(b"a", word) for word in argv),
            *(_record(b"e", f"{name}={value}") for name, value in environment.items()),
            *(_record(b"i", name) for name in inherited),
            *([_HEADER.pack(ord("p"), len(seccomp)) + seccomp] if seccomp else ()),
            _HEADER.pack(ord("x"), _LIMITS.size + len(_bytes(workdir))) + numbers + _bytes(workdir),
        )
    )


def next_job() -> bytes:
    """Begin anew before another job: what those before have left is removed. Where it cannot be, that job fails."""
    return _record(b"n", "")


def hello(nonce: bytes) -> bytes:
    """Ask for a sign of life, which is `Reader.greeted`: for whoever attaches to a launcher that runs already.

    Its answer tells that all before it was for somebody else. Raises ValueError for more than 64 bytes, and for none.
    """
    if not 1 <= len(nonce) <= _LARGEST_NONCE:
        raise ValueError(f"a nonce of {len(nonce)} bytes")
    return _HEADER.pack(ord("h"), len(nonce)) + nonce


def pack(records: Iterable[bytes]) -> bytes:
    """A whole tape of records, as one stream of raw deflate. It may be cut anywhere, into the files of a launcher."""
    from zlib import DEFLATED, compressobj

    # Level 9 takes more than twice as long, to save one byte in a hundred.
    packer = compressobj(6, DEFLATED, -15)
    return b"".join([*map(packer.compress, records), packer.flush()])


def unwrap(line: bytes, number: int) -> bytes:
    """The frame in one line that a launcher has printed, with its end or without.

    `number` is how many lines came before: a log may have lost one. Raises BrokenProtocolError.
    """
    told, _, line = line.removesuffix(b"\n").partition(b" ")
    if told != b"%d" % number:
        raise BrokenProtocolError(f"a line that is not number {number}: {(told + b' ' + line)[:80]!r}")
    try:
        frame = a2b_base64(line, strict_mode=True)
    except Error as error:
        raise BrokenProtocolError(f"a line that is no base64: {line[:80]!r}") from error
    is_frame = (
        _HEADER.size <= len(frame) <= _LARGEST_FRAME and _HEADER.unpack_from(frame)[1] == len(frame) - _HEADER.size
    )
    # There is one way only to write it: no bits are lost at its end.
    if not is_frame or b2a_base64(frame, newline=False) != line:
        raise BrokenProtocolError(f"a line that is no frame: {line[:80]!r}")
    return frame


def _check(path: str) -> None:
    for _ in layout({path: b""}):
        pass


def _record(kind: bytes, text: str) -> bytes:
    payload = _bytes(text)
    return _HEADER.pack(ord(kind), len(payload)) + payload


def _bytes(text: str) -> bytes:
    return text.encode(errors="surrogateescape")


class Reader:
    """Reads what a launcher says of one job. For the next one in the same container make another.

    It expects an R first, or the H that answers `hello`, or both in this order; when `ready`, at most an H. Whoever
    sends a `hello` compares the nonce: nothing else tells that what follows is meant for him.
    """

    def __init__(self, output_bytes: int, *, ready: bool = False) -> None:
        """`output_bytes` is the job's limit, beyond which nothing is kept; `ready`: it has had a job before."""
        self.ready = ready
        self.greeted: bytes | None = None
        """The nonce of the `hello` that was answered; None until then."""
        self.stdout = bytearray()
        self.stderr = bytearray()
        self.ending: Ending | None = None
        """How the job ended; None until it has."""
        self._output_bytes = output_bytes
        self._buffer = bytearray()

    @property
    def _may_greet(self) -> bool:
        """Once, and not while a compile runs."""
        return self.greeted is None and not self.stdout and not self.stderr

    @property
    def failure(self) -> str | None:
        """Why the job could not be started, where it could not."""
        return self.ending.failure if self.ending else None

    @property
    def truncated(self) -> bool:
        """Whether the compile printed more than it may."""
        return self.ending is not None and self.ending.stopped == "output"

    def feed(self, data: bytes) -> None:
        """Take the next bytes, however they were cut. Raises BrokenProtocolError."""
        self._buffer += data
        at = 0
        while len(self._buffer) - at >= _HEADER.size:
            kind, size = _HEADER.unpack_from(self._buffer, at)
            if size > _LARGEST_FRAME - _HEADER.size:
                raise BrokenProtocolError(f"a frame of {size} bytes")
            end = at + _HEADER.size + size
            if len(self._buffer) < end:
                break
            self._take(kind, bytes(self._buffer[at + _HEADER.size : end]))
            at = end
        del self._buffer[:at]

    def _take(self, kind: int, payload: bytes) -> None:
        if self.ending is not None or (not self.ready and kind not in b"RHF"):
            raise BrokenProtocolError(f"a frame {chr(kind)!r} out of its order")
        if kind == ord("R") and payload == b"1" and not self.ready:
            self.ready = True
        elif kind == ord("H") and self._may_greet and len(payload) <= _LARGEST_NONCE:
            self.ready = True
            self.greeted = payload
        elif kind in b"OE":
            stream = self.stdout if kind == ord("O") else self.stderr
            stream += payload
            if len(stream) > self._output_bytes:
                raise BrokenProtocolError(f"more than {self._output_bytes} bytes of output")
        elif kind == ord("T") and len(payload) == _ENDING.size:
            code, by_signal, stopped, oom_kills, hits, peak, nanoseconds = _ENDING.unpack(payload)
            if stopped >= len(_STOPPED):
                raise BrokenProtocolError(f"stopped for a reason {stopped}")
            self.ending = Ending(
                None if code < 0 else code,
                by_signal or None,
                _STOPPED[stopped],
                oom_kills,
                hits,
                peak,
                nanoseconds / 1e9,
            )
        elif kind == ord("F"):
            self.ending = Ending(None, None, None, 0, 0, 0, 0.0, payload.decode(errors="backslashreplace"))
        else:
            raise BrokenProtocolError(f"a frame {chr(kind)!r} of {len(payload)} bytes")
