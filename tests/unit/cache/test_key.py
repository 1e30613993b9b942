"""What tells jobs apart, and the bytes that are kept of an answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from willitcompile.backends.fake import answer
from willitcompile.cache.key import MOST_BYTES, decode, encode, is_kept, key_of, seal
from willitcompile.model import CompileJob, CompileResult, Limits, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable

JOB = CompileJob("gcc-13", "c", {"a.c": b"int x;\n", "b.h": b""}, ("gcc", "-c", "a.c"), environment={"A": "1"})

texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=4)
jobs = st.builds(
    CompileJob,
    texts,
    texts,
    st.dictionaries(texts, st.binary(max_size=4), max_size=3),
    st.lists(texts, max_size=3).map(tuple),
    texts,
    st.dictionaries(texts, texts, max_size=2),
    st.builds(Limits, wall_seconds=st.sampled_from([1.0, 2.0]), memory_bytes=st.sampled_from([1, 2])),
    st.booleans(),
    st.frozensets(st.integers(0, 3), max_size=2),
)
results = st.builds(
    CompileResult,
    verdict=st.sampled_from([Verdict.COMPILED, Verdict.REJECTED]),
    exit_code=st.integers(0, 255),
    stdout=st.binary(max_size=3000),
    stderr=st.binary(max_size=3000),
    duration_seconds=st.floats(0, 1e5),
    compiler=texts,
    isolation=texts,
    image=st.none() | texts,
    peak_memory_bytes=st.none() | st.integers(0, 1 << 40),
)


def key(job: CompileJob, backend: str = "fake", identity: str = "1") -> bytes:
    return key_of(job, backend, identity)


@given(jobs, jobs, texts, texts, texts, texts)
def test_only_the_same_job_on_the_same_toolchain_has_the_same_key(
    one: CompileJob, other: CompileJob, backend: str, identity: str, another_backend: str, another: str
) -> None:
    first, second = key(one, backend, identity), key(other, another_backend, another)
    assert (first == second) == ((one, backend, identity) == (other, another_backend, another))


@pytest.mark.parametrize(
    "change",
    [
        lambda job: job._replace(files={**job.files, "a.c": b"int y;\n"}),
        lambda job: job._replace(files={**job.files, "c.h": b""}),
        lambda job: job._replace(files={"a.cb.h": b"int x;\n"}),
        lambda job: job._replace(argv=("gcc", "-O2", "-c", "a.c")),
        lambda job: job._replace(argv=("gcc", "-ca.c")),
        lambda job: job._replace(environment={"A": "2"}),
        lambda job: job._replace(workdir="src"),
        lambda job: job._replace(toolchain="gcc-14"),
        lambda job: job._replace(language="c++"),
        lambda job: job._replace(link=True),
        lambda job: job._replace(limits=Limits(wall_seconds=1.0)),
        lambda job: job._replace(rejected_exit_codes=frozenset({1, 2})),
    ],
)
def test_each_part_of_a_job_counts(change: Callable[[CompileJob], CompileJob]) -> None:
    assert key(change(JOB)) != key(JOB)


def test_where_it_runs_counts() -> None:
    assert len({key(JOB), key(JOB, "docker"), key(JOB, identity="2")}) == 3


def test_the_order_of_files_and_variables_does_not_count() -> None:
    turned = JOB._replace(files=dict(reversed(JOB.files.items())), environment=dict(JOB.environment))
    assert key(turned) == key(JOB)


@given(results, st.binary(), st.binary())
def test_an_answer_comes_back_as_it_was(result: CompileResult, first: bytes, second: bytes) -> None:
    if is_kept(result):
        assert decode(encode(result, first, second), first, second) == result


@given(results, st.integers(min_value=0), st.integers(0, 255))
def test_an_answer_that_was_changed_anywhere_is_none(result: CompileResult, place: int, byte: int) -> None:
    data = bytearray(encode(result, b"key"))
    before = bytes(data)
    data[place % len(data)] = byte
    assert bytes(data) == before or decode(bytes(data), b"key") is None


@given(st.binary(max_size=200))
def test_any_bytes_are_no_answer(data: bytes) -> None:
    assert decode(data, b"key") is None
    assert decode(seal(data, b"key"), b"key") is None


@pytest.mark.parametrize(
    "strange",
    [
        {"duration_seconds": float("nan")},
        {"duration_seconds": float("inf")},
        {"duration_seconds": -1.0},
        {"exit_code": 10**30},
        {"exit_code": -1},
        {"peak_memory_bytes": -1},
        {"peak_memory_bytes": 10**30},
    ],
)
def test_what_no_compile_comes_to_is_no_answer(strange: dict[str, object]) -> None:
    plain = CompileResult(Verdict.COMPILED, 0, b"", b"", 0.1, "gcc", "container")
    assert decode(encode(plain, b"key"), b"key") == plain
    assert decode(encode(plain._replace(**strange), b"key"), b"key") is None


def test_an_answer_belongs_to_its_key() -> None:
    data = encode(answer(), b"key", b"inputs")
    assert decode(data, b"key", b"inputs") == answer()
    assert decode(data, b"another", b"inputs") is None
    assert decode(data, b"key", b"") is None
    assert decode(data, b"keyi", b"nputs") is None


def test_what_unpacks_to_more_than_an_answer_may_have_is_none() -> None:
    assert decode(seal(bytes(MOST_BYTES + 1), b"key"), b"key") is None


@pytest.mark.parametrize(
    "result",
    [
        answer(Verdict.TIMEOUT, limit="wall"),
        answer(Verdict.OUT_OF_MEMORY, limit="memory"),
        answer(Verdict.OUTPUT_LIMIT, limit="output", truncated=True),
        answer(Verdict.CRASHED, signal=11),
        answer(Verdict.CRASHED, exit_code=4),
        answer(Verdict.REJECTED, truncated=True),
        answer(Verdict.REJECTED, stderr=b"as: /tmp/x.o: No space left on device\n"),
    ],
)
def test_what_the_machine_had_a_part_in_is_not_kept(result: CompileResult) -> None:
    assert not is_kept(result)


@pytest.mark.parametrize("result", [answer(), answer(Verdict.REJECTED, stderr=b"a.c:1: error: no")])
def test_what_the_source_alone_has_brought_about_is_kept(result: CompileResult) -> None:
    assert is_kept(result)
