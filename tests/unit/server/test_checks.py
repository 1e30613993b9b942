from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from willitcompile.checker import About, judge
from willitcompile.model import CompileResult, Verdict
from willitcompile.server.checks import MOST_CHECK_BYTES, Answer, answer, tell


def said(stdout: bytes, stderr: bytes) -> Answer:
    ended = CompileResult(Verdict.REJECTED, 1, stdout, stderr, 0.1, "gcc", "fake")
    return answer(judge(About("main.c", "c", "gcc-13", "c17"), ended, "fake"))


def test_what_fits_is_told_as_it_is() -> None:
    whole = said(b"out", b"main.c:1:2: error: no\n")
    told = tell(3, whole, 1000)
    assert told.verdict == "rejected"
    assert json.loads(told.text) == {"index": 3, **whole}


def test_what_a_check_of_many_cells_says_fits_a_document_and_the_verdict_stays() -> None:
    line = b"main.c:1:2: error: \x01\xff<script>" + b"x" * 50 + b"\n"
    whole = said(b"\x1b" * 1_000_000, line * 10_000)
    for cells in (1, 10, 1000):
        told = tell(0, whole, cells)
        found = json.loads(told.text)
        assert len(told.text) * cells < MOST_CHECK_BYTES + cells * 2000
        assert (found["verdict"], found["exit_code"], found["truncated"]) == ("rejected", 1, True)
        assert whole["stderr"].startswith(found["stderr"])
        assert found["diagnostics"] == whole["diagnostics"][: len(found["diagnostics"])]
        assert found["stderr"]


@given(st.binary(max_size=5000), st.sampled_from([1, 500, 1000]))
def test_whatever_was_printed_is_json(printed: bytes, cells: int) -> None:
    found = json.loads(tell(0, said(printed * 4, printed), cells).text)
    assert set(found) == {"index", *said(b"", b"")}


def test_no_answer_is_told_too() -> None:
    told = tell(1, {"source": "a.c", "error": {"obstacle": "x" * 10_000}}, 1000)
    assert told.verdict == "error"
    assert json.loads(told.text)["error"]["obstacle"] == "x" * 10_000
