"""Command lines of builds: read as the shell and the compiler would, without either."""

from __future__ import annotations

import shlex
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from willitcompile.listings.command_line import WrongLine, expanded, options, words


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("g++  -c\ta.cpp ", ["g++", "-c", "a.cpp"]),
        (r"c++ -DA=\"x\" a\ b.cpp", ["c++", '-DA="x"', "a b.cpp"]),
        (r'c++ -DA="\"good day\"" ""', ["c++", '-DA="good day"', ""]),
        ("c++ '-DA=\"x y\"' '-DB=\\n'", ["c++", '-DA="x y"', "-DB=\\n"]),
        (r'c++ "-DA=\\n\d"', ["c++", r"-DA=\n\d"]),
        (r'c++ -DPRICE="\$5\`"', ["c++", "-DPRICE=$5`"]),
    ],
)
def test_a_line_is_read_as_a_shell_reads_it(line: str, found: list[str]) -> None:
    assert words(line) == found
    said = subprocess.run(["sh", "-c", f"printf '%s\\n' {line}"], capture_output=True, text=True, check=True)
    assert said.stdout.splitlines() == found


@pytest.mark.parametrize("line", ["g++ 'a.cpp", 'g++ "a.cpp', "g++ a.cpp\\"])
def test_a_quote_without_its_end_is_told(line: str) -> None:
    with pytest.raises(WrongLine, match="its command has no"):
        words(line)


@given(st.lists(st.text(st.characters(exclude_characters="\0"))))
def test_what_was_quoted_is_read_again(given_words: list[str]) -> None:
    assert words(shlex.join(given_words)) == given_words


@given(st.text("ab \t\n\\\"'$`"))
def test_any_line_has_words_or_is_wrong(line: str) -> None:
    try:
        found = words(line)
    except WrongLine:
        return
    assert sum(map(len, found)) <= len(line)


def test_each_way_to_name_a_directory_keeps_its_kind_and_order() -> None:
    line = "g++ -Ia -I b -I=c -isystem d -isysteme -iquote f -idirafter g -include pre.h --include=more.h x.cpp"
    said = options(line.split())
    assert said.search == (
        *(("-I", name) for name in "abc"),
        *(("-isystem", name) for name in "de"),
        ("-iquote", "f"),
        ("-idirafter", "g"),
    )
    assert said.forced == ("pre.h", "more.h")
    assert said.flags == ()


def test_definitions_and_flags_keep_their_order() -> None:
    said = options(["cc", "-DA=1", "-U", "A", "-D", "B", "-Wall", "-Wno-all", "-O2", "-fPIC", "-Wp,-DC=1", "a.c"])
    assert said.flags == ("-DA=1", "-UA", "-DB", "-Wall", "-Wno-all", "-O2", "-fPIC", "-DC=1")


LEFT_OUT = """
    -c; -o a.o; -oa.o; -MD; -MMD -MF a.d; -MFa.d; -MT a.o; -MQ a.o; -MP; -MG; -pipe; -fcolor-diagnostics; -Winvalid-pch
    -fdiagnostics-color=always; -fdiagnostics-color; -Wl,--as-needed; -L /lib; -L/lib; -lm; -l m; -s; --coverage
    -ffile-prefix-map=/a=b; -save-temps; -gsplit-dwarf; -- a.cpp
"""


@pytest.mark.parametrize("leftover", [each.strip() for each in LEFT_OUT.replace("\n", ";").split(";") if each.strip()])
def test_what_says_nothing_of_the_source_is_left_out(leftover: str) -> None:
    said = options(["g++", "-DA", *leftover.split()])
    assert (said.flags, said.search, said.forced, said.standard) == (("-DA",), (), (), None)


@pytest.mark.parametrize(
    "flag", ["-fplugin=x.so", "-Xclang", "-specs=x", "-B/tmp", "--sysroot=/x", "-isysroot", "-wrapper"]
)
def test_what_is_not_known_is_kept_to_be_judged(flag: str) -> None:
    assert options(["g++", flag, "a.cpp"]).flags == (flag,)


@pytest.mark.parametrize(
    ("given_words", "compiler"),
    [
        ("ccache g++ -c a.cpp", "g++"),
        ("/usr/bin/sccache /usr/bin/clang++-14 a.cpp", "clang++-14"),
        ("env CCACHE_DIR=/tmp ccache distcc cc a.c", "cc"),
    ],
)
def test_the_compiler_is_found_behind_what_starts_it(given_words: str, compiler: str) -> None:
    assert options(given_words.split()).compiler == compiler


@pytest.mark.parametrize(
    ("given_words", "language"),
    [
        ("gcc -x c++ a.c", "c++"),
        ("gcc -xc a.h", "c"),
        ("g++ -x c++-header a.h", "c++"),
        ("gcc -x assembler-with-cpp a.S", ""),
        ("gcc a.c", None),
    ],
)
def test_the_language_is_what_x_says(given_words: str, language: str | None) -> None:
    assert options(given_words.split()).language == language


@pytest.mark.parametrize(
    ("given_words", "standard"),
    [
        ("g++ -std=c++11 -std=gnu++2b a.cpp", "gnu++2b"),
        ("gcc --std=c99 a.c", "c99"),
        ("gcc -ansi a.c", "ansi"),
        ("gcc a.c", None),
    ],
)
def test_the_last_standard_wins(given_words: str, standard: str | None) -> None:
    assert options(given_words.split()).standard == standard


@pytest.mark.parametrize(
    "given_words", ["", "ccache", "cl.exe /c a.cpp", "clang-cl /c a.cpp", "g++ -o", "g++ -I", "g++ -x"]
)
def test_a_line_that_tells_nothing_is_told(given_words: str) -> None:
    with pytest.raises(WrongLine):
        options(given_words.split())


def test_files_of_options_stand_for_what_is_in_them() -> None:
    files = {"a.rsp": "-DA '-DB=x y'\n@b.rsp", "b.rsp": "-DC\n"}
    assert expanded(["g++", "@a.rsp", "a.cpp"], files.__getitem__) == ["g++", "-DA", "-DB=x y", "-DC", "a.cpp"]


@pytest.mark.parametrize("content", ["@a.rsp", "@a.rsp @a.rsp", "-DA " * 200_000])
def test_files_of_options_have_an_end(content: str) -> None:
    with pytest.raises(WrongLine, match="more than"):
        expanded(["g++", "@a.rsp"], lambda _: content)


ODD = ("-I", "-D", "-x", "-std=", "@", "--", "-include", "-Wp,-D", "g++", "-o")


@settings(max_examples=50)
@given(
    st.lists(
        st.one_of(
            st.text(max_size=8),
            st.sampled_from(["-I", "-D", "-x", "-std=", "@", "--", "-include", "-Wp,-D", "g++", "-o"]),
        )
    )
)
def test_any_words_are_options_or_wrong(given_words: list[str]) -> None:
    try:
        said = options(given_words)
    except WrongLine:
        return
    assert said.compiler in {word.rpartition("/")[2] for word in given_words}


@pytest.mark.parametrize("between", ["&&", ";", "|", "||", "&"])
def test_a_line_for_a_shell(between: str) -> None:
    with pytest.raises(WrongLine, match="several"):
        options(words(f"g++ -c a.cpp {between} rm a.o"))
