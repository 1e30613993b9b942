"""A language is found by its name, and that of a file by its extension and content."""

from __future__ import annotations

import pytest

from willitcompile.errors import UnknownLanguage
from willitcompile.languages import LANGUAGES, detect, language, languages


@pytest.mark.parametrize(
    ("text", "name"),
    [("c", "c"), ("C++", "c++"), ("cpp", "c++"), ("cxx", "c++"), ("golang", "go"), (" Rust ", "rust"), ("rs", "rust")],
)
def test_a_language_has_a_name_and_aliases(text: str, name: str) -> None:
    assert language(text).name == name


def test_an_unknown_language_is_answered_with_the_known() -> None:
    with pytest.raises(UnknownLanguage) as caught:
        language("cobol")
    assert all(name in caught.value.remedy for name in LANGUAGES)


def test_the_table_is_of_the_languages() -> None:
    assert [each.name for each in languages()] == list(LANGUAGES)
    extensions = [extension for each in languages() for extension in each.extensions]
    assert len(extensions) == len(set(extensions))


def test_every_standard_is_canonical_and_has_spellings() -> None:
    for each in languages():
        assert set(each.spellings) == set(each.standards)
        for standard, spellings in each.spellings.items():
            assert each.canonical(standard) == standard
            assert all(each.canonical(spelled) == standard for spelled in spellings)


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("a.c", "c"),
        ("a.C", "c++"),
        ("a.cpp", "c++"),
        ("A.CPP", "c++"),
        ("a.c++", "c++"),
        ("a.hpp", "c++"),
        ("a.H", "c++"),
        ("dir.c/a.go", "go"),
        ("a.rs", "rust"),
    ],
)
def test_an_extension_tells_the_language(path: str, name: str) -> None:
    assert detect(path).name == name


C_HEADERS = [
    b"int f(void);\n",
    b'#ifdef __cplusplus\nextern "C" {\n#endif\nint f(void);\n#ifdef __cplusplus\n}\n#endif\n',
    b"#if defined(__cplusplus)\nnamespace x { class y; }\n#else\nstruct y;\n#endif\n",
    b'/* class x { public: }; */ // template<class T>\nchar *s = "std::x namespace {";\n',
    b"#include <stdio.h>\n#include <sys/types.h>\nstruct class { int new, template; };\n",
    b"int a(int this, char **using_it); unsigned x : 3;\n",
]
CPP_HEADERS = [
    b"class A;\n",
    b"class A {\n};\n",
    b"struct A final : B { };\n",
    b"namespace a::b {\n}\n",
    b"template <typename T> void f(T);\n",
    b"#include <iostream>\n",
    b"#  include <vector>\n",
    b"using x = int;\n",
    b"inline std::string f();\n",
    b"constexpr int x = 1;\n",
    b"struct A { private: int x; };\n",
    b"struct A { A() = default; };\n",
    b"void f(const A& a);\n",
    b"bool operator==(A, A);\n",
]


@pytest.mark.parametrize("text", C_HEADERS)
def test_a_header_without_cpp_is_c(text: bytes) -> None:
    assert detect("a.h", text).name == "c"


@pytest.mark.parametrize("text", CPP_HEADERS)
def test_a_header_with_cpp_is_cpp(text: bytes) -> None:
    assert detect("a.h", text).name == "c++"


def test_what_was_asked_for_wins() -> None:
    assert detect("a.cpp", b"", "c").name == "c"
    assert detect("stdin", b"", "rust").name == "rust"


@pytest.mark.parametrize("path", ["a", "a.txt", "Makefile", ".c"])
def test_what_nothing_tells_is_asked_for(path: str) -> None:
    with pytest.raises(UnknownLanguage) as caught:
        detect(path)
    assert "--language" in caught.value.remedy
    assert ".cpp" in caught.value.remedy
