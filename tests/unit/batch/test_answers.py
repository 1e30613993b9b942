"""The file of answers: which ids are in it, and what a kill or a full disk leaves of it."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from willitcompile.batch.answers import REPEATED, Ids, known_again, open_output
from willitcompile.batch.summary import MOST_GROUPS, OTHERS, Summary
from willitcompile.errors import RequestError

if TYPE_CHECKING:
    from pathlib import Path


@given(st.lists(st.integers(0, 50) | st.text(max_size=3), max_size=200))
def test_ids_are_a_set(names: list[int | str]) -> None:
    ids, expected = Ids(), set[tuple[type, int | str]]()
    for name in names:
        key = (type(name), name)
        assert (name in ids) == (key in expected)
        assert ids.add(name) == (key not in expected)
        expected.add(key)
    assert len(ids) == len(expected)


def test_many_ids_are_all_found() -> None:
    ids = Ids()
    assert all(ids.add(f"id {number}") for number in range(5000))
    assert not any(ids.add(f"id {number}") for number in range(5000))
    assert "id 5000" not in ids


LINES = [
    b'{"id": "a", "compiled": true, "results": [{"verdict": "compiled"}]}\n',
    b'{"id": 2, "group": "g", "compiled": false, "results": [{"verdict": "compiled"}, {"verdict": "timeout"}]}\n',
    b'{"id": null, "line": 3, "error": {"obstacle": "x"}}\n',
    json.dumps({"id": "a", "line": 4, "error": {"obstacle": REPEATED}}).encode() + b"\n",
    b'{"id": "wrong", "line": 5, "error": {"obstacle": "x"}}\n',
]


@pytest.mark.parametrize("torn", range(0, len(LINES[1]), 7))
def test_a_torn_line_is_cut_off_and_the_others_are_known(tmp_path: Path, torn: int) -> None:
    file = tmp_path / "out.jsonl"
    file.write_bytes(b"".join(LINES) + LINES[1][:torn])
    counted: list[tuple[str, str, bool]] = []
    fd = open_output(str(file), resume=True)
    done = known_again(fd, str(file), lambda *each: counted.append(each))
    os.write(fd, b"next\n")
    os.close(fd)
    assert file.read_bytes() == b"".join(LINES) + b"next\n"
    assert counted == [
        ("", "compiled", True),
        ("g", "timeout", False),
        ("", "error", False),
        ("", "error", False),
        ("", "error", False),
    ]
    assert [name in done.ids for name in ("a", 2, "2", "wrong")] == [True, True, False, True]
    assert done.lines == {3, 4}


@pytest.mark.parametrize("line", [b"\n", b"x\n", b"[]\n", b"{}\n", b'{"id": 1}\n', b'{"id": 1, "results": 3}\n'])
def test_a_file_of_something_else_is_left_alone(tmp_path: Path, line: bytes) -> None:
    file = tmp_path / "notes.txt"
    file.write_bytes(LINES[0] + line + b"torn")
    fd = open_output(str(file), resume=True)
    with pytest.raises(RequestError, match="its line 2 is no answer of a batch"):
        known_again(fd, str(file), lambda *_: None)
    os.close(fd)
    assert file.read_bytes() == LINES[0] + line + b"torn"


def test_one_writes_at_a_time(tmp_path: Path) -> None:
    file = str(tmp_path / "out.jsonl")
    fd = open_output(file, resume=False)
    with pytest.raises(RequestError, match="another batch is writing to it"):
        open_output(file, resume=True)
    os.close(fd)
    os.close(open_output(file, resume=True))


def test_groups_without_end_are_counted_together() -> None:
    summary = Summary()
    for number in range(MOST_GROUPS + 10):
        summary.count(f"g{number}", "compiled")
    assert len(summary.groups) == MOST_GROUPS + 1
    assert summary.groups[OTHERS].records == 10


def test_a_group_is_shown_as_what_it_is() -> None:
    summary = Summary()
    summary.count("\x1b[31mred", "rejected")
    assert "\x1b" not in summary.text()
    assert "\\x1b[31mred" in summary.text()
