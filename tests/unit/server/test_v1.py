"""What is pure in it; tests/serve/test_v1.py has the whole contract."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from willitcompile.backends.fake import TOOLCHAINS
from willitcompile.checker import About, judge
from willitcompile.model import CompileResult, Verdict
from willitcompile.server import v1
from willitcompile.server.checks import answer


def told(verdict: Verdict, exit_code: int | None = None) -> dict[str, Any]:
    about = About("main.c", "c", "gcc-13", "c17")
    ended = CompileResult(verdict, exit_code, b"out", b"err", 0.25, "gcc 13", "fake")
    return v1.result(answer(judge(about, ended, "fake")))


def test_only_what_was_compiled_is_told_as_compiled() -> None:
    """The earlier system told timeouts as compiled, and compilers killed for memory as the user's error."""
    compiled = {verdict: told(verdict)["compiled"] for verdict in Verdict}
    assert [verdict for verdict, is_so in compiled.items() if is_so] == [Verdict.COMPILED]
    errors = {verdict: told(verdict).get("error") for verdict in Verdict}
    assert errors[Verdict.COMPILED] is None
    assert errors[Verdict.REJECTED] is None
    assert errors[Verdict.TIMEOUT] == "compilation timeout"
    assert "memory" in str(errors[Verdict.OUT_OF_MEMORY])
    assert all(error for verdict, error in errors.items() if verdict not in {Verdict.COMPILED, Verdict.REJECTED})


def test_a_result_in_numbers() -> None:
    found = told(Verdict.REJECTED, 1)
    assert (found["exit_code"], found["duration"], found["stdout"], found["stderr"]) == (1, 250_000_000, "out", "err")
    assert told(Verdict.TIMEOUT)["exit_code"] == -1


def planned(**fields: str | None) -> str | None:
    """What is wrong with a request, told in its result; None for nothing."""
    body = {"code": "aW50IHg7", "language": "c", **fields}
    check = v1.plan(v1.Compile(**body), TOOLCHAINS, "fake", "me")
    assert len(check.cells) == 1
    return check.answers[0][1]["error"]["obstacle"] if check.answers else None


WRONG = [
    ("source code is required", {"code": ""}),
    ("invalid language: cobol", {"language": "cobol"}),
    ("invalid standard: c++99", {"standard": "c++99"}),
    ("invalid architecture: z80", {"architecture": "z80"}),
    ("invalid OS: beos", {"os": "beos"}),
    ("invalid compiler: tcc", {"compiler": "tcc"}),
    ("source code too large (max 1MB)", {"code": base64.b64encode(b"x" * (v1.MOST_BYTES + 1)).decode()}),
]


@pytest.mark.parametrize("first", range(len(WRONG)))
def test_the_first_thing_that_is_wrong_is_told(first: int) -> None:
    """All that come after it are wrong too."""
    fields: dict[str, str] = {}
    for _, wrong in reversed(WRONG[first:]):
        fields |= wrong
    assert planned(**fields) == WRONG[first][0]


def test_what_only_the_backend_tells() -> None:
    assert planned(code="%%%") == "invalid base64 encoding"
    assert planned(language="go", compiler="gcc-13") == "unsupported environment: go with gcc-13"
    assert planned(compiler="gcc-9") == "unsupported environment: c with gcc-9"
    assert str(planned(os="windows")).startswith("unsupported environment: c on windows")
    assert str(planned(language="c", standard="c++20")).startswith("unsupported environment: c with")
    only_go = [each for each in TOOLCHAINS if each.family == "go"]
    check = v1.plan(v1.Compile(code="aW50IHg7", language="rust"), only_go, "fake", "me")
    assert check.answers[0][1]["error"]["obstacle"] == "unsupported language: rust"


def test_what_is_right() -> None:
    assert planned() is None
    assert planned(language="cpp", compiler="gcc-13", standard="c++20", architecture=v1.HERE, os="linux") is None
    assert planned(compiler="", standard="", architecture="", os="") is None
    assert planned(compiler=None, standard=None, architecture=None, os=None) is None


@given(st.binary(max_size=200), st.integers(min_value=1, max_value=80))
def test_the_source_is_what_was_encoded_however_its_lines_were_broken(source: bytes, width: int) -> None:
    encoded = base64.b64encode(source).decode()
    broken = "\r\n".join(encoded[at : at + width] for at in range(0, len(encoded), width))
    assert v1._decoded_size(broken) == len(source)
    if source and b"\0" not in source:
        check = v1.plan(v1.Compile(code=broken, language="c"), TOOLCHAINS, "fake", "me")
        assert check.ask.files == {"main.c": source}


@given(st.builds(v1.Compile, *[st.none() | st.text(max_size=20)] * 6))
def test_whatever_is_sent_becomes_a_check(body: v1.Compile) -> None:
    check = v1.plan(body, TOOLCHAINS, "fake", "me")
    assert len(check.cells) == 1
