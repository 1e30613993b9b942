"""What comes in: lines of a pipe, and what they ask for."""

from __future__ import annotations

import json
import os
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from willitcompile.backends import CancelToken
from willitcompile.batch.records import Lines, Record, Wrong, parse
from willitcompile.errors import Interrupted
from willitcompile.planning import CheckRequest

DEFAULTS = CheckRequest(paths=(), compilers=("gcc",), standards=("c17",))


def lines_of(pieces: list[bytes], most: int = 100) -> list[bytes | None]:
    """What is read of them, where the other end of the pipe is written by another."""
    theirs, ours = os.pipe()

    def write() -> None:
        for piece in pieces:
            os.write(ours, piece)
        os.close(ours)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        return list(Lines(theirs, CancelToken(), most))
    finally:
        writer.join()
        os.close(theirs)


@given(st.lists(st.binary(min_size=1, max_size=300), max_size=20))
def test_lines_are_those_of_what_was_written_and_long_ones_are_none(pieces: list[bytes]) -> None:
    whole = b"".join(pieces)
    expected = whole.split(b"\n")
    if not expected[-1]:
        expected.pop()
    assert lines_of(pieces) == [line if len(line) <= 100 else None for line in expected]


def test_a_line_without_end_takes_no_memory_and_costs_no_other() -> None:
    assert lines_of([b"a" * 60_000] * 40 + [b"\nb\n"], most=1000) == [None, b"b"]


def test_who_waits_for_a_line_hears_of_the_end() -> None:
    theirs, ours = os.pipe()
    cancel = CancelToken()
    lines = iter(Lines(theirs, cancel))
    os.write(ours, b"a\nhalf of")
    assert next(lines) == b"a"
    threading.Thread(target=cancel.cancel).start()
    with pytest.raises(Interrupted):
        next(lines)
    os.close(theirs)
    os.close(ours)


def parsed(record: object, number: int = 7, **more: str) -> Record | Wrong | None:
    line = record if isinstance(record, bytes) else json.dumps(record).encode()
    return parse(line, number, DEFAULTS, **more)


def test_a_record_says_what_it_says_and_the_rest_is_the_command_line() -> None:
    record = parsed({"id": "a", "language": "c++", "code": "é", "group": "x", "flags": ["-O2"], "more": [1]})
    assert isinstance(record, Record)
    assert (record.id, record.line, record.group) == ("a", 7, "x")
    assert record.request.files == {"main.cpp": "é".encode()}
    assert record.request.paths == ("main.cpp",)
    assert (record.request.compilers, record.request.standards) == (("gcc",), ("c17",))
    assert record.request.options.flags == ("-O2",)
    files = {"src/a.c": "int x;", "a.h": {"base64": "/w=="}}
    other = parsed(
        {"id": 3, "files": files, "paths": ["src/a.c"], "compilers": "gcc-9, clang", "standards": ["c99"], "link": True}
    )
    assert isinstance(other, Record)
    assert other.request.files == {"src/a.c": b"int x;", "a.h": b"\xff"}
    assert other.request.compilers == ("gcc-9", "clang")
    assert other.request.standards == ("c99",)
    assert other.request.options.link


@pytest.mark.parametrize(("field", "group"), [("model", "m"), ("n", "3"), ("deep", '{"a": 1}'), ("none", "")])
def test_any_field_may_be_the_group(field: str, group: str) -> None:
    record = parsed({"id": 1, "language": "c", "code": "", "model": "m", "n": 3, "deep": {"a": 1}}, group_by=field)
    assert isinstance(record, Record)
    assert record.group == group


def test_an_empty_line_is_none() -> None:
    assert parsed(b"") is None
    assert parsed(b" \t\r") is None


C = {"id": "a", "language": "c"}


@pytest.mark.parametrize(
    ("record", "obstacle"),
    [
        (b'{"id": "a"', "it is not JSON: expecting ',' delimiter at column 11"),
        (b"\xff", "it is not JSON: it is not UTF-8"),
        (b"[" * 100_000, "it nests too deep"),
        (b"1" * 5000, "a number is too long"),
        ([1], "it is not a JSON object"),
        ({"code": ""}, "it has no id"),
        ({"id": True}, "its id is neither"),
        ({"id": "x" * 1001}, "its id is neither"),
        ({"id": 1.5}, "its id is neither"),
        (C, "it has neither code nor files"),
        ({**C, "code": "", "files": {"a.c": ""}}, "it has both"),
        ({"id": "a", "code": ""}, "nothing tells which language it is"),
        ({**C, "code": 1}, "code is not a string"),
        ({"id": "a", "code": "", "language": "cobol"}, "cobol"),
        ({**C, "files": []}, "files is not an object"),
        ({**C, "files": {}}, "files is not an object"),
        ({**C, "files": {f"{n}.c": "" for n in range(1001)}}, "with 1 to 1000 files"),
        ({**C, "files": {"a.c": None}}, "the file 'a.c' is not a string"),
        ({**C, "files": {"a.c": {"base64": "?"}}}, "it is not base64"),
        ({**C, "files": {"../a.c": ""}}, "that is no path of a file that was sent"),
        ({**C, "files": {"/a.c": ""}}, "that is no path of a file that was sent"),
        ({**C, "files": {"-o": ""}}, "that is no path of a file that was sent"),
        ({**C, "files": {"a": "", "a/b.c": ""}}, "that is a directory too"),
        ({**C, "files": {"a.c": ""}, "paths": ["../b.c"]}, "that is no path"),
        ({**C, "files": {"a.c": ""}, "include_dirs": ["/etc"]}, "that is no path"),
        ({**C, "code": "", "standards": [1]}, "standards is not a list"),
        ({**C, "code": "", "flags": {"a": 1}}, "flags is not a list"),
        ({**C, "code": "", "link": "yes"}, "link is neither"),
        ({**C, "code": "", "compiler": "gcc"}, "there is no field 'compiler'"),
        ({**C, "code": "", "std": "c17"}, "there is no field 'std'"),
    ],
    ids=str,
)
def test_what_is_wrong_is_told_with_its_line(record: object, obstacle: str) -> None:
    wrong = parsed(record, 12)
    assert isinstance(wrong, Wrong)
    assert obstacle in str(wrong.error)
    assert wrong.line == 12
    assert wrong.error.remedy


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
NAMES = st.sampled_from(["id", "code", "files", "paths", "language", "flags", "link", "group", "std", "x"])


@given(
    st.one_of(st.binary(max_size=80), st.dictionaries(NAMES, JSON, max_size=6).map(lambda d: json.dumps(d).encode()))
)
def test_no_line_raises(line: bytes) -> None:
    record = parse(line, 1, DEFAULTS)
    assert record is None or isinstance(record, Record | Wrong)
