"""What a source says of its own compile."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from willitcompile import languages
from willitcompile.backends.fake import TOOLCHAINS
from willitcompile.errors import SourceError
from willitcompile.expectations import MOST_RULES, MOST_TEXT, Rule, expectation, rules
from willitcompile.model import CheckResult, CompileResult, Expectation, Verdict

GCC, CLANG, GO, RUSTC = TOOLCHAINS
CPP = languages.language("c++")
REJECTED = Expectation(Verdict.REJECTED)


def read(text: str, language: str = "c++") -> list[Rule]:
    return rules("a.cpp", text.encode(), languages.language(language))


@pytest.mark.parametrize(
    ("comment", "rule"),
    [
        ("expect rejected", Rule(REJECTED)),
        ("expect compiled", Rule(Expectation(Verdict.COMPILED))),
        ("expect out-of-memory", Rule(Expectation(Verdict.OUT_OF_MEMORY))),
        ('expect rejected "no match"', Rule(Expectation(Verdict.REJECTED, "no match"))),
        (r'expect rejected "\"fmt\" \\n"', Rule(Expectation(Verdict.REJECTED, '"fmt" \\n'))),
        ("expect rejected with gcc", Rule(REJECTED, ("gcc",))),
        ("expect rejected with gcc>=12, clang-14,g++", Rule(REJECTED, ("gcc>=12", "clang-14", "g++"))),
        ("expect rejected at c++17,2a", Rule(REJECTED, (), ("c++17", "c++20"))),
        (
            'expect  rejected with all at c++20 "x y"',
            Rule(Expectation(Verdict.REJECTED, "x y"), ("all",), ("c++20",)),
        ),
    ],
)
@pytest.mark.parametrize(
    "line",
    [
        "// will-it-compile: {}",
        "//will-it-compile:{}  \r",
        "  /// will-it-compile: {}",
        "/* will-it-compile: {} */",
        "/** will-it-compile: {}",
        " * will-it-compile: {}",
        "f(\"//\", '\"', 'a'); // will-it-compile: {}",
        "let r: &'static str = f::<'a>(); //! will-it-compile: {}",
    ],
)
def test_a_comment_is_read(line: str, comment: str, rule: Rule) -> None:
    assert read(f"int x;\n{line.format(comment)}\nint y;\n") == [rule]


@pytest.mark.parametrize(
    "line",
    [
        'auto text = "// will-it-compile: expect rejected";',
        "text := `// will-it-compile: expect rejected",
        "// the program will-it-compile: what it is",
        "// https://will-it-compile:8080/expect",
        'x = "a\\"// will-it-compile: expect rejected',
        "a * will-it-compile: b",
        "// will-it-compile expect rejected",
    ],
)
def test_what_is_no_such_comment_says_nothing(line: str) -> None:
    assert read(line) == []


@pytest.mark.parametrize(
    ("comment", "obstacle"),
    [
        ("", "does not say what to expect"),
        ("expect", "does not say what to expect"),
        ("expct rejected", "does not say what to expect"),
        ("expect rejected because", "does not say what to expect"),
        ('expect rejected "open', "does not say what to expect"),
        ('expect rejected ""', "does not say what to expect"),
        ('expect rejected "a" "b"', "does not say what to expect"),
        ("expect refused", "refused is no verdict: compiled, rejected,"),
        ("expect rejected with go", "'go' does not compile c++: gcc, clang do"),
        ("expect rejected with gcc>=x", "'x' is no version"),
        ("expect rejected at c++21", "none of that name"),
        (f'expect rejected "{"x" * (MOST_TEXT + 1)}"', "more than 1000 characters"),
        ("expect rejected" + " " * 5000 + "x", "too long"),
    ],
)
def test_one_that_cannot_be_read_is_told_with_its_place(comment: str, obstacle: str) -> None:
    with pytest.raises(SourceError) as caught:
        read(f"int x;\n\n// will-it-compile: {comment}\n")
    assert "a.cpp:3" in caught.value.asked
    assert obstacle in caught.value.obstacle
    assert caught.value.remedy


def test_there_are_not_endlessly_many() -> None:
    line = "// will-it-compile: expect rejected\n"
    assert len(read(line * MOST_RULES)) == MOST_RULES
    with pytest.raises(SourceError, match="more than 100 such comments"):
        read(line * (MOST_RULES + 1))


def test_the_first_that_is_about_a_compile_counts() -> None:
    text = (
        b'// will-it-compile: expect rejected with clang at c++17 "one"\n'
        b'// will-it-compile: expect rejected with clang<10,gcc at c++17,c++20 "two"\n'
        b"// will-it-compile: expect compiled with clang-19\n"
    )

    def said(toolchain: int, standard: str) -> str | None:
        found = expectation("a.cpp", text, CPP, TOOLCHAINS[toolchain], standard)
        return found and (found.text or found.verdict)

    assert said(0, "c++17") == said(0, "c++20") == "two"
    assert said(0, "c++14") is None
    assert said(1, "c++17") == "one"
    assert said(1, "c++20") == "compiled"


@pytest.mark.parametrize(
    ("language", "compiler", "standard"), [("c", "gcc", "c17"), ("go", "go>=1.20", "1.21"), ("rust", "rust", "2021")]
)
def test_in_every_language(language: str, compiler: str, standard: str) -> None:
    (rule,) = read(f"// will-it-compile: expect rejected with {compiler} at {standard}\n", language)
    assert rule.standards[0] in languages.language(language).standards


@pytest.mark.parametrize(
    ("verdict", "text", "stderr", "good"),
    [
        (Verdict.REJECTED, "", "anything", True),
        (Verdict.REJECTED, "no matching", "a.cpp:1:2: error: no matching function", True),
        (Verdict.REJECTED, "\u2018f\u2019 is \u201cnew\u201d", "error: 'f' is \"new\"", True),
        (Verdict.REJECTED, "'f'", "error: \u2018f\u2019", True),
        (Verdict.REJECTED, "no matching", "error: something else", False),
        (Verdict.REJECTED, "one\ntwo", "one\ntwo", False),
        (Verdict.REJECTED, "words", ' 1 | f(); // will-it-compile: expect rejected "words"', False),
        (Verdict.COMPILED, "", "", False),
        (Verdict.CRASHED, "", "", False),
    ],
)
def test_what_is_as_expected(verdict: Verdict, text: str, stderr: str, good: bool) -> None:
    result = CompileResult(verdict, None, b"", b"", 0.0, "", "")
    check = CheckResult("a.cpp", "c++", "gcc-13", "c++17", "fake", result, "", stderr)
    assert check._replace(expected=Expectation(Verdict.REJECTED, text)).is_as_expected is good
    assert check.is_as_expected is (verdict is Verdict.COMPILED)


@given(st.text(alphabet="\"'`\\/*! \t\nwxe", max_size=60), st.sampled_from(["will-it-compile:", "expect rejected"]))
def test_whatever_a_source_holds_is_read_or_refused(before: str, after: str) -> None:
    with suppress(SourceError):
        read(f"{before}will-it-compile: expect rejected {before}{after}\n{before}\n")


@given(
    st.sampled_from(list(Verdict)),
    st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]), min_size=1, max_size=100),
    st.lists(st.sampled_from(["gcc", "clang-14", "g++>=10<13", "all"]), max_size=3),
    st.lists(st.sampled_from(CPP.standards), max_size=3),
)
def test_what_is_written_is_what_is_read(
    verdict: Verdict, text: str, compilers: list[str], standards: list[str]
) -> None:
    quoted = text.replace("\\", "\\\\").replace('"', '\\"')
    with_, at = (
        f" {word} {', '.join(names)}" if names else "" for word, names in (("with", compilers), ("at", standards))
    )
    found = read(f'// will-it-compile: expect {verdict}{with_}{at} "{quoted}"\n')
    assert found == [Rule(Expectation(verdict, text), tuple(compilers), tuple(standards))]
