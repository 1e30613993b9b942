"""The blocks of a document: which there are, and what each becomes."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from willitcompile.errors import ConfigError
from willitcompile.listings import Entry, Given, entries, listing
from willitcompile.listings.fragments import DEFAULTS, Wrapper, wrappers
from willitcompile.listings.markdown import MOST_BLOCKS, MOST_LINES, blocks
from willitcompile.model import Expectation, Verdict

DOCS = Path(__file__).parents[3] / "docs"


def told(text: str, documents: dict[str, Any] | None = None) -> list[Entry]:
    return list(entries("README.md", text.encode(errors="surrogateescape"), Given(documents=documents or {})))


def lines_of(entry: Entry) -> list[str]:
    assert entry.text is not None
    return entry.text.decode().split("\n")


def of_markdown_it(text: str) -> list[tuple[int, str, list[str]]]:
    """By the reference: the line of each fence, its first word, and what it holds."""
    found = []
    for token in MarkdownIt("commonmark").parse(text):
        if token.type == "fence" and token.map:
            words = token.info.split()
            found.append((token.map[0] + 1, words[0] if words else "", token.content.split("\n")[:-1]))
    return found


@pytest.mark.parametrize("page", sorted(DOCS.glob("*.md")), ids=lambda page: page.name)
def test_our_own_pages_have_the_blocks_that_the_reference_finds(page: Path) -> None:
    text = page.read_text()
    ours = [(block.opened, block.words[:1], [line.strip() for line in block.lines]) for block in blocks(text)]
    theirs = [
        (line, (word,) if word else (), [each.strip() for each in held]) for line, word, held in of_markdown_it(text)
    ]
    assert ours == theirs


LINES = st.sampled_from(
    ["```", "```cpp", "~~~", "~~~~ c", "````", "   ```", "    ```", "int x;", "", "text", "`` `", "``` a`b", "~~~ a`b"]
)


@given(st.lists(LINES, max_size=14))
def test_fences_open_and_close_as_the_reference_has_them(lines: list[str]) -> None:
    text = "\n".join(["# title", *lines, "", "# end"]) + "\n"
    ours = [(block.opened, [line.strip() for line in block.lines]) for block in blocks(text) if block.is_closed]
    theirs = [(line, [each.strip() for each in held]) for line, _, held in of_markdown_it(text)]
    if ours != theirs[: len(ours)]:
        raise AssertionError((ours, theirs))
    # Only the last of all can be without an end, which a document may have.
    assert len(theirs) - len(ours) in {0, 1}


@given(st.text(st.sampled_from("`~>-* \t\ncpp{}.@#1")))
def test_nothing_breaks_it(text: str) -> None:
    for entry in told(text):
        assert entry.problem or entry.text is not None


def test_lines_and_columns_are_those_of_the_document() -> None:
    text = "# a\n\n> - item\n>   ```c\n>   int x = y;\n>   ```\n\n```cpp\nint z;\n```\n"
    quoted, plain = told(text)
    assert (quoted.name, quoted.line, quoted.language) == ("README.md:5", 5, "c")
    assert lines_of(quoted)[4] == "    int x = y;"
    assert not "".join(lines_of(quoted)[:4]).strip()
    assert lines_of(plain)[8] == "int z;"
    assert (plain.name, plain.path, plain.document) == ("README.md:9", "README.md", None)


@pytest.mark.parametrize(
    ("info", "language"),
    [
        ("c", "c"),
        ("C++", "c++"),
        ("{.cpp}", "c++"),
        ("cpp {linenos=true}", "c++"),
        ("go", "go"),
        ("rust,no_run", "rust"),
    ],
)
def test_the_language_is_the_first_word(info: str, language: str) -> None:
    [entry] = told(f"```{info}\nx\n```\n")
    assert entry.language == language


@pytest.mark.parametrize(
    "text",
    [
        "```python\nx\n```\n",
        "```\nint x;\n```\n",
        "    ```c\n    int x;\n",
        "```cpp ignore\nx\n```\n",
        "```rust,ignore\nx\n```\n",
        "```rust,ignore-wasm32\nx\n```\n",
        "<!-- will-it-compile: ignore -->\n```c\nx\n```\n",
        "```rust\n{{#include ../src/main.rs:2:9}}\n```\n",
        "@code\nint x;\n@endcode\n",
    ],
)
def test_what_is_not_to_be_checked_is_left_out(text: str) -> None:
    assert told(text) == []


@pytest.mark.parametrize(
    ("info", "expected"),
    [
        ("rust", None),
        ("rust,compile_fail", Expectation(Verdict.REJECTED)),
        ("rust,compile_fail,E0308", Expectation(Verdict.REJECTED, "E0308")),
        ("cpp compile_fail", Expectation(Verdict.REJECTED)),
        ("rust,should_panic", None),
    ],
)
def test_a_block_says_how_it_is_to_end(info: str, expected: Expectation | None) -> None:
    [entry] = told(f"```{info}\nx\n```\n")
    assert entry.expected == expected


@pytest.mark.parametrize(
    ("info", "standard"),
    [("cpp std=c++20", "c++20"), ("cpp,std=c++2b", "c++23"), ("rust,edition2018", "2018"), ("c", None)],
)
def test_a_block_says_its_standard(info: str, standard: str | None) -> None:
    [entry] = told(f"```{info}\nx\n```\n")
    assert entry.standard == standard


def test_a_comment_before_a_block_says_the_same() -> None:
    [entry] = told("<!-- will-it-compile: compile_fail std=c++20 -->\n```cpp\nx\n```\n")
    assert entry.expected == Expectation(Verdict.REJECTED)
    assert entry.standard == "c++20"


def test_doxygen_has_blocks_of_its_own() -> None:
    [entry] = told("text\n@code{.cpp}\nint x;\n```\n@endcode\n")
    assert lines_of(entry)[2:4] == ["int x;", "```"]


def test_hidden_lines_are_compiled() -> None:
    [c] = told("```cpp,hidelines=~\n~#include <vector>\n  ~int a;\nint b;\n```\n")
    assert lines_of(c)[1:4] == [" #include <vector>", "   int a;", "int b;"]
    [rust] = told("```rust\n# use std::io;\n#[test]\n## x\n```\n")
    assert lines_of(rust)[1:4] == ["  use std::io;", "#[test]", " # x"]


def test_rust_gets_a_main_as_rustdoc_has_it() -> None:
    [plain] = told("```rust\nlet x = 1;\n```\n")
    assert lines_of(plain)[:3] == ["fn main() {", "let x = 1;", "}"]
    [whole] = told("```rust\nfn main() {}\n```\n")
    assert lines_of(whole)[:3] == ["", "fn main() {}", ""]
    [fallible] = told('```rust\n"1".parse::<i32>()?;\n# Ok::<(), std::num::ParseIntError>(())\n```\n')
    assert "_inner" in lines_of(fallible)[0]


def test_go_gets_a_package_and_says_where_it_comes_from() -> None:
    [entry] = told("\n\n```go\nfunc f() {}\n```\n")
    assert lines_of(entry) == ["package main", "//line README.md:4:1", "func f() {}", ""]
    assert (entry.path, entry.document, entry.is_alone) == ("README.md.go", "README.md", True)
    [other] = told("```go\npackage p\n```\n")
    assert lines_of(other)[0] == "//line README.md:2:1"


def test_a_fragment_gets_what_is_around_it() -> None:
    text = "text\n\n\n```cpp,fragment\ni += 1;\n```\n\n```cpp\nint x;\n```\n\n```cpp\nint main() {}\n```\n"
    fragment, plain, whole = told(text)
    assert lines_of(fragment)[3:6] == ["void fragment() {", "i += 1;", "}"]
    assert not lines_of(plain)[7]
    around = {"c++": {"before": "#include <vector>\nvoid f() {", "after": "}"}}
    fragment, plain, whole = told(text, around)
    assert lines_of(fragment)[2:6] == ["#include <vector>", "void f() {", "i += 1;", "}"]
    assert not lines_of(plain)[7]
    fragment, plain, whole = told(text, {"c++": {**around["c++"], "every": "true"}})
    assert lines_of(plain)[6:8] == ["#include <vector>", "void f() {"]
    assert not "".join(lines_of(whole)[:11]), "what is whole is whole"


def test_there_may_be_no_room_for_it() -> None:
    around = {"c++": {"before": "//\n//\n//"}}
    [entry] = told("\n```cpp fragment\nint x;\n```\n", around)
    assert entry.problem
    assert "3 lines come before it, and there is room for 2" in str(entry.problem)


def test_an_unclosed_block_is_told_with_its_line_and_the_others_are_answered() -> None:
    good, inner, last = told("```c\nint x;\n```\n\n> ```c\n> int y;\n\ntext\n\n~~~~c\nint z;\n~~~\n")
    assert good.problem is None
    for entry, line in ((inner, 5), (last, 10)):
        assert entry.problem
        assert f"check README.md:{line}" in str(entry.problem)
        assert "not closed" in str(entry.problem)


def test_a_standard_that_nobody_knows_is_told_with_its_line() -> None:
    [entry] = told("\n```cpp std=c++99\nx\n```\n")
    assert entry.problem
    assert "README.md:2" in str(entry.problem)


def test_there_are_bounds() -> None:
    found = told("```c\n```\n" * (MOST_BLOCKS + 10))
    assert len(found) == MOST_BLOCKS + 1
    assert found[-1].problem
    [late] = told("\n" * MOST_LINES + "```c\nint x;\n```\n")
    assert late.problem


@pytest.mark.parametrize("piece", ["> ", "- ", "`", "~~~\n", "```c\n", "> ```\n", "<!--", "\t", "1. ", "@code{", "#"])
def test_the_time_grows_with_the_text_alone(piece: str) -> None:
    def seconds(times: int) -> float:
        text = piece * times
        start = time.process_time()
        for _ in blocks(text):
            pass
        return time.process_time() - start

    # Ten times as much, and less than forty times as long: were it with the square, it would be a hundred.
    assert seconds(300_000) < 40 * max(seconds(30_000), 0.005)


@pytest.mark.parametrize("name", ["README.md", "a.markdown"])
def test_a_document_is_known_by_its_name(name: str) -> None:
    known = listing(name)
    assert known
    assert known.in_directories
    assert listing("README.mdx") is None


def test_the_section_of_the_configuration() -> None:
    assert wrappers({})["c++"] == DEFAULTS["c++"]
    assert wrappers({"cpp": {"before": "a"}})["c++"] == Wrapper("a", "", every=False)
    assert wrappers({"c": {"every": "true"}})["c"].every


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ({"cobol": {}}, "cobol"),
        ({"c": "x"}, "not a mapping"),
        ({"c": {"before": ["x"]}}, "not a mapping"),
        ({"c": {"befor": "x"}}, "a key that we do not know"),
        ({"c": {"every": "yes"}}, "neither true nor false"),
    ],
)
def test_what_is_wrong_with_it_is_told(section: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        wrappers(section)
    assert said in f"{caught.value}"
