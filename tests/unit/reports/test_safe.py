from __future__ import annotations

import doctest
import re
import time
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from willitcompile.reports import color
from willitcompile.reports import safe as module
from willitcompile.reports.color import paint_message
from willitcompile.reports.safe import safe, safe_line

ANY_TEXT = st.text(st.characters(), max_size=200)
"""Lone surrogates too: file names that are not UTF-8 have them."""

COMPILER_TEXT = st.lists(
    st.sampled_from([
        "main.cpp:1:21: error: ", "a.h:3: warning: ", "./x.go:3:2: ", "error[E0308]: ", "warning: ", "note: ",
        "  --> src/main.rs:1:2", "    3 | int x", "      |   ^~~~", "  | ^^^^ expected", "\x1b[31m", "\x9b", "\u202e",
        "In file included from a.h:3,", "\n", ":", "1", " ", "|", "^", "é", "x",
    ])
).map("".join)  # fmt: skip

FORBIDDEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


@given(ANY_TEXT)
def test_nothing_that_steers_a_terminal_comes_through(text: str) -> None:
    for character in safe(text):
        assert character in "\n\t" or unicodedata.category(character) not in FORBIDDEN


@given(ANY_TEXT)
def test_a_name_stays_on_one_line(text: str) -> None:
    assert not set(safe_line(text)) & set("\n\t\r\v\f\x85\u2028\u2029")


@given(st.text(st.characters(codec="ascii", exclude_categories=["Cc"])))
def test_plain_text_stays_as_it_is(text: str) -> None:
    assert safe(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred\x1b[0m", r"\x1b[31mred\x1b[0m"),
        ("\x9b31m", "<U+009B>31m"),
        ("\x1b]0;title\x07", r"\x1b]0;title\x07"),
        ("overwritten\rnew", r"overwritten\x0dnew"),
        ("line\r\n", "line\n"),
        ("\x7f\x08\x00", r"\x7f\x08\x00"),
        ("\u202eevil\u2066\u200e\u061c", "<U+202E>evil<U+2066><U+200E><U+061C>"),
        ("a\u2028b\u2029c\x85", "a<U+2028>b<U+2029>c<U+0085>"),
        ("\udcff", r"\xff"),
        ("\ud800", "<U+D800>"),
        ("zero\u200bwidth\ufeff", "zero<U+200B>width<U+FEFF>"),
        ("\U000e0041", "<U+E0041>"),
        ("naïve 漢字 🙂\u3000\u00a0'", "naïve 漢字 🙂\u3000\u00a0'"),
    ],
)
def test_what_becomes_of_each_kind_of_character(text: str, shown: str) -> None:
    assert safe(text) == shown


def test_a_newline_in_a_name_is_shown() -> None:
    assert safe_line("a\nb\r\n\tc") == r"a\nb\x0d\n\tc"


@given(st.one_of(ANY_TEXT, COMPILER_TEXT))
def test_colours_change_nothing_but_colour(text: str) -> None:
    plain = safe(text)
    assert re.sub(r"\x1b\[[0-9;]*m", "", paint_message(plain)) == plain


@pytest.mark.parametrize(
    ("line", "painted"),
    [
        ("main.cpp:1:2: error: no", "\x1b[1mmain.cpp:1:2:\x1b[0m \x1b[1;31merror:\x1b[0m no"),
        ("main.cpp:1:2: warning: hm", "\x1b[1mmain.cpp:1:2:\x1b[0m \x1b[1;33mwarning:\x1b[0m hm"),
        ("./main.go:3:2: undefined: x", "\x1b[1m./main.go:3:2:\x1b[0m undefined: x"),
        ("error[E0308]: mismatched", "\x1b[1;31merror[E0308]:\x1b[0m mismatched"),
        (" --> src/main.rs:1:2", " \x1b[1;34m-->\x1b[0m src/main.rs:1:2"),
        ("      |   ^~~~", "      |   \x1b[1;32m^~~~\x1b[0m"),
        ("  ^", "  \x1b[1;32m^\x1b[0m"),
        ("    3 | int main() { return x; }", "    3 | int main() { return x; }"),
        ("main.cpp: In function 'int main()':", "main.cpp: In function 'int main()':"),
    ],
)
def test_what_is_coloured(line: str, painted: str) -> None:
    assert paint_message(line) == painted


@pytest.mark.parametrize("piece", [" ", "|", ":1", "a", "1", ":", "^", "\x1b", "\u202e", "é", "error", "In:", " |^"])
def test_a_megabyte_on_one_line_takes_no_time(piece: str) -> None:
    text = piece * (2**20 // len(piece))
    start = time.monotonic()
    paint_message(safe(text))
    assert time.monotonic() - start < 5  # a quadratic pattern would take hours


def test_the_examples_of_the_documentation_hold() -> None:
    assert doctest.testmod(module).failed == 0
    assert doctest.testmod(color).failed == 0
