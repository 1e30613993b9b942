"""What a pod is given to do and answers. tests/sandbox has the launcher itself read such tapes."""

from __future__ import annotations

import struct
import zlib
from base64 import b64encode
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.sandbox.launching import Container, prepared
from willitcompile.backends.kubernetes.manifests import PLACE, ROOT
from willitcompile.backends.kubernetes.tape import ASKING, INHERITED, Answers, tape
from willitcompile.backends.launcher import BrokenProtocolError
from willitcompile.backends.seccomp import bpf_filter
from willitcompile.model import CompileJob, Limits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from willitcompile.backends.containers import Outcome

HEADER = struct.Struct("<BI")
ENDING = struct.Struct("<iiIQQQQ")


def frame(kind: str, payload: bytes = b"") -> bytes:
    return HEADER.pack(ord(kind), len(payload)) + payload


def line(kind: str, payload: bytes = b"") -> bytes:
    return b64encode(frame(kind, payload)) + b"\n"


def numbered(log: bytes) -> bytes:
    """As the launcher does it: each line begins with how many there were before it."""
    return b"".join(b"%d %s" % each for each in enumerate(log.splitlines(keepends=True)))


def end(code: int = 0, *, by_signal: int = 0, stopped: int = 0) -> bytes:
    return line("T", ENDING.pack(code, by_signal, stopped, 0, 0, 1 << 20, 250_000_000))


READY = line("R", b"1")
VERSION = READY + line("O", b"g++ (Debian 13.3.0-6) 13.3.0\n") + end()
FIRST = line("E", b"x.cpp:1: error\n") + end(1)
SECOND = line("O", b"a") + line("E", b"\0b") + line("O", b"\xff") + end(by_signal=11, code=-1)
LOG = numbered(VERSION + FIRST + SECOND)
ENDS = [len(numbered(log)) for log in (VERSION, VERSION + FIRST, VERSION + FIRST + SECOND)]
"""Where in it each answer is whole."""


def read(log: bytes, *places: int, limits: Sequence[int] = (1000, 1000)) -> Answers:
    answers = Answers(limits)
    for start, stop in pairwise([0, *sorted(places), len(log)]):
        answers.feed(log[start:stop])
    return answers


def test_each_unit_has_its_own_answer() -> None:
    answers = read(LOG)
    assert answers.complete
    assert answers.done == 2
    assert answers.version is not None
    assert answers.version.stdout.startswith(b"g++ ")
    first, second = answers.outcome(0), answers.outcome(1)
    assert (first.stdout, first.stderr, first.ending.exit_code) == (b"", b"x.cpp:1: error\n", 1)
    assert (second.stdout, second.stderr, second.ending[:2]) == (b"a\xff", b"\0b", (None, 11))
    assert first.ending.duration_seconds == 0.25


@given(st.lists(st.integers(0, len(LOG)), max_size=12))
def test_however_it_was_cut_it_is_the_same(places: list[int]) -> None:
    whole, answers = read(LOG), read(LOG, *places)
    assert answers.complete
    assert [answers.outcome(unit) for unit in range(2)] == [whole.outcome(unit) for unit in range(2)]
    assert answers.version == whole.version


@given(st.integers(0, len(LOG)))
def test_of_a_log_that_breaks_off_what_is_whole_counts(length: int) -> None:
    answers = read(LOG[:length])
    assert (answers.version is not None) == (length >= ENDS[0])
    assert answers.done == sum(length >= end for end in ENDS[1:])
    assert answers.complete == (length >= ENDS[2])
    for unit in range(answers.done):
        assert answers.outcome(unit) == read(LOG).outcome(unit)
    with pytest.raises(IndexError):
        answers.outcome(answers.done)


def test_before_the_first_answer_there_is_none() -> None:
    answers = Answers([1000])
    assert (answers.version, answers.done, answers.complete) == (None, 0, False)
    answers.feed(numbered(READY))
    assert answers.version is None


def test_what_comes_after_the_last_answer_is_not_read() -> None:
    answers = read(LOG + b"anything\n" + numbered(VERSION))
    assert answers.complete
    assert answers.done == 2


def test_a_unit_that_could_not_be_run_says_why_and_the_next_is_another() -> None:
    answers = read(numbered(VERSION + line("F", b"cannot write src/x: No space left (28)") + SECOND))
    assert answers.outcome(0).ending.failure == "cannot write src/x: No space left (28)"
    assert answers.outcome(1) == read(LOG).outcome(1)


@pytest.mark.parametrize(
    "log",
    [
        READY + b"\xff\xfe\n",
        READY + READY,
        READY.rstrip() + b"=\n",
        READY.replace(b"\n", b"\r\n"),
        b64encode(frame("R", b"1") + frame("O", b"x")) + b"\n",
        b64encode(frame("R", b"2")) + b"\n",
        b64encode(b"R") + b"\n",
        line("O", b"not ready"),
        end(),
        VERSION + READY,
        VERSION + line("X"),
        VERSION + line("T", b"short"),
        VERSION + end(stopped=9),
        VERSION + line("O", b"x" * 600) + line("O", b"x" * 600),
        READY + line("O", bytes(4000)) * (ASKING.output_bytes // 4000 + 1),
    ],
)
def test_what_no_launcher_says_makes_no_sense(log: bytes) -> None:
    told = numbered(log)
    with pytest.raises(BrokenProtocolError):
        read(told)
    with pytest.raises(BrokenProtocolError):
        read(told, *range(1, len(told), 7))


@pytest.mark.parametrize(
    "log",
    [
        b"unable to retrieve container logs for containerd://ab\n",
        b"0 failed to create fsnotify watcher: too many open files\n",
        READY,
        b"00 " + READY,
        b"0  " + READY,
        b"-0 " + READY,
        b"1 " + READY,
        b"A" * 20_000,
    ],
)
def test_nor_what_is_no_line_of_its(log: bytes) -> None:
    with pytest.raises(BrokenProtocolError):
        read(log)


@pytest.mark.parametrize("missing", range(LOG.count(b"\n")))
def test_a_line_that_was_lost_is_missed(missing: int) -> None:
    """As where a node has put a log away that grew too large."""
    lines = LOG.splitlines(keepends=True)
    log = b"".join(lines[:missing] + lines[missing + 1 :])
    if missing == len(lines) - 1:
        assert not read(log).complete
    else:
        with pytest.raises(BrokenProtocolError):
            read(log)


@given(st.binary(max_size=200), st.integers(0, len(LOG)))
def test_garbage_changes_no_answer_before_it(garbage: bytes, place: int) -> None:
    answers = Answers([1000, 1000])
    answers.feed(LOG[:place])
    before = [answers.outcome(unit) for unit in range(answers.done)]
    try:
        answers.feed(garbage)
    except BrokenProtocolError:
        pass
    assert [answers.outcome(unit) for unit in range(len(before))] == before


def test_each_unit_is_held_to_its_own_limit() -> None:
    log = numbered(VERSION + line("O", b"12345") + end() + line("O", b"123456789") + end())
    assert read(log, limits=(5, 9)).complete
    for limits in ((4, 9), (5, 8)):
        with pytest.raises(BrokenProtocolError):
            read(log, limits=limits)


def job(*argv: str, **files: bytes) -> CompileJob:
    return CompileJob("gcc-13", "c++", {f"{name}.cpp": text for name, text in files.items()}, argv, limits=Limits(10))


def test_a_tape_is_one_compressed_stream_of_all_units() -> None:
    packed = tape([job("g++", "-c", "a.cpp", a=b"int a;" * 1000), job("g++", "b.cpp", b=b"int b;")], b"filter..")
    records = zlib.decompress(packed, -15)
    assert len(packed) < 1000 < len(records)
    assert records.count(b"src/a.cpp\0" + b"int a;" * 1000) == records.count(b"src/b.cpp\0int b;") == 1
    assert records.count(HEADER.pack(ord("n"), 0)) == 2
    assert records.count(frame("p", b"filter..")) == 3
    for name in INHERITED:
        assert records.count(frame("i", name.encode())) == 3
    assert records.count(f"HOME={ROOT}/tmp".encode()) == 3


@pytest.mark.parametrize("path", ["../x", "/x", "a/../../x"])
def test_a_path_that_leaves_a_job_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match="path"):
        tape([CompileJob("gcc-13", "c++", {path: b""}, ("g++",))], b"")


@pytest.fixture(scope="module")
def directory(unavailable: Callable[..., None]) -> Iterator[Path]:
    with prepared(unavailable) as path:
        yield path


@pytest.fixture(scope="module")
def log(directory: Path) -> bytes:
    """Of units that a launcher has run."""
    jobs = [
        job("gcc", "-c", "a.cpp", "-o", "/dev/null", a=b"int main() {}"),
        job("gcc", "-c", "b.cpp", "-o", "/dev/null", b=b"int main() { return x; }"),
        job("gcc", "-E", "c.cpp", c=b"one\xfftwo"),
        job("no-such-compiler"),
        job("gcc", "-fsyntax-only", "d.cpp", "a.cpp", d=b""),
    ]
    packed = tape(jobs, bpf_filter())
    parts = [packed[:100], packed[100:1000], packed[1000:]]
    with Container(directory, parts=parts, parts_at=PLACE, root=ROOT) as container:
        log = b""
        try:
            while True:
                log += container.read()
        except EOFError:
            assert container.wait() == 0
    return log


@pytest.mark.sandbox
class TestTheLauncher:
    @staticmethod
    def read(log: bytes) -> list[Outcome]:
        answers = Answers([1 << 20] * 5)
        answers.feed(log)
        assert answers.complete
        assert answers.version is not None
        assert b"Free Software" in answers.version.stdout
        return [answers.outcome(unit) for unit in range(5)]

    def test_answers_for_each_unit(self, log: bytes) -> None:
        compiled, rejected, preprocessed, missing, alone = self.read(log)
        assert (compiled.ending.exit_code, compiled.stderr) == (0, b"")
        assert rejected.ending.exit_code == 1
        assert b"b.cpp:1:21: error: " in rejected.stderr
        assert preprocessed.stdout.endswith(b"one\xfftwo\n")
        assert missing.ending.failure == "cannot run no-such-compiler: No such file or directory (2)"
        assert b"a.cpp: No such file" in alone.stderr  # of the first unit nothing is left

    @settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
    @given(data=st.data())
    def test_however_its_log_is_cut_it_is_the_same(self, log: bytes, data: st.DataObject) -> None:
        places = data.draw(st.lists(st.integers(0, len(log)), max_size=20))
        answers = read(log, *places, limits=[1 << 20] * 5)
        assert [answers.outcome(unit) for unit in range(5)] == self.read(log)
