from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from willitcompile.reports.color import paint_message

SHORT = {"": "0", "B": "1", "R": "1;31", "G": "1;32", "Y": "1;33", "U": "1;34", "C": "1;36"}


def painted(text: str) -> str:
    """With `<R:…>` for red, so that it can be read."""
    names = {code: name for name, code in SHORT.items()}
    text = re.sub(r"\x1b\[0m", ">", text)
    return re.sub(r"\x1b\[([0-9;]+)m", lambda match: f"<{names[match[1]]}:", text)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("main.cpp:1:21: error: no", "<B:main.cpp:1:21:> <R:error:> no"),
        ("a b.c:3: warning: x", "<B:a b.c:3:> <Y:warning:> x"),
        ("a.c:3:1: note: x", "<B:a.c:3:1:> <C:note:> x"),
        ("a.c:3:1: fatal error: x", "<B:a.c:3:1:> <R:fatal error:> x"),
        ("./main.go:3:2: undefined: x", "<B:./main.go:3:2:> undefined: x"),
        ("    1 | x", "    1 | x"),
        ("      |  ^~~~", "      |  <G:^~~~>"),
        ("error[E0308]: mismatched types", "<R:error[E0308]:> mismatched types"),
        ("warning: unused", "<Y:warning:> unused"),
        ("  --> main.rs:1:2", "  <U:-->> main.rs:1:2"),
        ("main.cpp: In function 'int main()':", "main.cpp: In function 'int main()':"),
        ("an error: in the middle", "an error: in the middle"),
        ("", ""),
    ],
)
def test_what_matters_in_a_message_is_coloured(line: str, expected: str) -> None:
    assert painted(paint_message(line)) == expected


LINES = st.lists(
    st.sampled_from(["a.c:1:2:", " ", "error:", "^", "~", "|", "-->", "\n", "é", "warning[E1]:", "x", "note"])
)


@given(LINES.map("".join))
def test_nothing_but_colour_is_added_and_each_line_ends_without(text: str) -> None:
    colored = paint_message(text)
    assert re.sub(r"\x1b\[[0-9;]*m", "", colored) == text
    for line in colored.split("\n"):
        assert line.count("\x1b[0m") * 2 == line.count("\x1b")
