"""Every toolchain of this host compiles and links in the sandbox, and says what it says outside."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from willitcompile import check
from willitcompile.languages import languages

if TYPE_CHECKING:
    from pathlib import Path

    from willitcompile.backends.sandbox import SandboxBackend

pytestmark = pytest.mark.sandbox

HELLO = {
    "c": '#include <stdio.h>\nint main(void) { puts("hello"); }\n',
    "c++": '#include <iostream>\nint main() { std::cout << "hello"; }\n',
    "go": 'package main\n\nimport "fmt"\n\nfunc main() { fmt.Println("hello") }\n',
    "rust": 'fn main() { println!("hello"); }\n',
}


@pytest.mark.parametrize("link", [False, True], ids=["object", "program"])
@pytest.mark.parametrize("language", HELLO)
def test_hello(backend: SandboxBackend, language: str, link: bool) -> None:
    speakers = [toolchain.name for toolchain in backend.toolchains() if language in toolchain.languages]
    assert speakers
    results = check(source=HELLO[language], language=language, compiler=speakers, link=link, backend=backend)
    assert {result.toolchain: str(result.verdict) for result in results} == dict.fromkeys(speakers, "compiled")
    assert not [result.stderr for result in results if result.stderr]


@pytest.mark.parametrize("language", ["c", "c++"])
def test_every_compiler_counts_columns_in_bytes(backend: SandboxBackend, language: str) -> None:
    """gcc would count those of a terminal, where an emoji takes two."""
    source = 'const char *text = "\u00e9\U0001f600"; int number = nothing;\n'
    speakers = [toolchain.name for toolchain in backend.toolchains() if language in toolchain.languages]
    results = check(source=source, language=language, compiler=speakers, backend=backend)
    column = source.encode().index(b"nothing") + 1
    assert {result.toolchain: result.diagnostics[0].column for result in results} == dict.fromkeys(speakers, column)


def test_there_is_a_hello_for_each_language() -> None:
    assert set(HELLO) == {language.name for language in languages()}


def test_messages_are_those_of_the_bare_compiler(backend: SandboxBackend) -> None:
    """Also their quotation marks, which depend on the locale."""
    (result,) = check(source="int main() { return x; }\n", language="c++", compiler="gcc", backend=backend)
    assert "\N{LEFT SINGLE QUOTATION MARK}x\N{RIGHT SINGLE QUOTATION MARK} was not declared" in result.stderr


@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_a_header_alone_is_as_good_as_included(backend: SandboxBackend, compiler: str, tmp_path: Path) -> None:
    """Also with -Werror: compiled as a source, gcc would warn of each `#pragma once`."""
    (tmp_path / "widget.hpp").write_text(
        '#pragma once\n#include "dependency.h"\ninline int widget() { return size; }\n'
    )
    (tmp_path / "dependency.h").write_text("#pragma once\nconst int size = 1;\n")
    (tmp_path / "lacking.hpp").write_text("#pragma once\ninline int f() { return size; }\n")
    good, bad = (str(tmp_path / name) for name in ("widget.hpp", "lacking.hpp"))
    results = check(good, bad, compiler=compiler, warnings=["-Wall", "-Werror"], backend=backend)
    assert [str(result.verdict) for result in results] == ["compiled", "rejected"]
