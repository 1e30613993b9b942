"""Results for reports to tell, and everything that a hostile source could have them say."""

from __future__ import annotations

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from willitcompile.model import CheckResult, CompileResult, Diagnostic, Expectation, FixIt, Verdict

NASTY = st.sampled_from([
    "</script><script>alert(1)</script>", "<img src=x onerror=alert(1)>", '" onclick="x', "]]>", "<!--", "&amp;",
    "::error file=x::y", "\r\n::stop-commands::z", "%0A", "a:b,c", "{0}", "[a](b)", "\x1b[2J", "\u202e", "\0",
    "\udcff", "\ud800", "\ufffe", "\u2028", "é", "漢", "🙂", "../../etc/passwd", "/etc/passwd", "<built-in>", "a b#?.c",
])  # fmt: skip
ANY_TEXT = st.one_of(st.lists(NASTY, max_size=3).map("".join), st.text(st.characters(codec=None), max_size=30))
NUMBERS = st.one_of(st.none(), st.integers(0, 3), st.integers(0, 999_999_999))
PLACES = st.integers(0, 5)

FIXITS = st.builds(FixIt, ANY_TEXT, PLACES, PLACES, PLACES, PLACES, ANY_TEXT)
DIAGNOSTICS = st.builds(
    Diagnostic,
    st.one_of(st.none(), ANY_TEXT),
    NUMBERS,
    NUMBERS,
    st.sampled_from(["error", "warning", "note", "help"]),
    st.one_of(st.none(), ANY_TEXT),
    ANY_TEXT,
    st.lists(FIXITS, max_size=2).map(tuple),
)
COMPILES = st.builds(
    CompileResult,
    verdict=st.sampled_from(Verdict),
    exit_code=st.one_of(st.none(), st.integers(0, 255)),
    stdout=st.just(b""),
    stderr=st.just(b""),
    duration_seconds=st.floats(0, 1000),
    compiler=ANY_TEXT,
    isolation=ANY_TEXT,
    image=st.one_of(st.none(), ANY_TEXT),
    truncated=st.booleans(),
    limit=st.sampled_from([None, "processes", "file-size"]),
    signal=st.sampled_from([None, 11]),
)
RESULTS = st.builds(
    CheckResult,
    source=st.one_of(st.sampled_from(["a.c", "-"]), ANY_TEXT.filter(bool)),
    language=st.sampled_from(["c", "c++", "go", "rust"]),
    toolchain=st.one_of(st.sampled_from(["gcc-12", "clang-14"]), ANY_TEXT),
    standard=st.one_of(st.sampled_from(["c17", "c++20"]), ANY_TEXT),
    backend=ANY_TEXT,
    result=COMPILES,
    stdout=ANY_TEXT,
    stderr=ANY_TEXT,
    diagnostics=st.lists(DIAGNOSTICS, max_size=4).map(tuple),
    notes=st.lists(ANY_TEXT, max_size=2).map(tuple),
    expected=st.one_of(st.none(), st.builds(Expectation, st.sampled_from(Verdict), ANY_TEXT)),
    hint=st.one_of(st.none(), ANY_TEXT),
    path=st.one_of(st.none(), ANY_TEXT.filter(bool)),
    line=st.one_of(st.none(), st.integers(1, 99_999)),
)
HOSTILE = st.lists(RESULTS, max_size=4)
"""Results with anything at all in any text."""

SLOWLY = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=60)
"""For tests of them: a busy machine takes its time."""
