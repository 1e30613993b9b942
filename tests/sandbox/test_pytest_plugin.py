"""The plugin for pytest, in runs of pytest of their own by its pytester, with real compilers."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from willitcompile.backends import open_backend
from willitcompile.errors import BackendUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    Run = Callable[..., subprocess.CompletedProcess[str]]

pytest_plugins = ["pytester"]
pytestmark = pytest.mark.sandbox


@pytest.fixture(scope="module")
def gccs(unavailable: Callable[[str, str, str], None]) -> list[str]:
    found: list[str] = []
    try:
        with open_backend("sandbox") as backend:
            found = [each.name for each in backend.toolchains() if each.family == "gcc" and "c++" in each.languages]
    except BackendUnavailable as error:
        unavailable("sandbox", error.obstacle, error.remedy)
    if not found:
        unavailable("sandbox", "there is no g++", "apt-get install g++")
    return found


@pytest.fixture
def run(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, gccs: list[str]) -> Run:
    """`run(test_file)`: pytest on it, with this plugin alone, as somebody without any settings has it."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setenv("COLUMNS", "160")

    def call(text: str, *argv: str, ini: str = "") -> subprocess.CompletedProcess[str]:
        pytester.makepyfile(test_it=text)
        pytester.makeini(f"[pytest]\naddopts = --strict-markers\nfilterwarnings = error\n{ini}")
        words = ["-rA", "-p", "no:cacheprovider", *argv]
        if os.environ.get("PYTEST_DISABLE_PLUGIN_AUTOLOAD"):
            words += ["-p", "willitcompile.pytest_plugin"]
        done = pytester.runpytest_subprocess(*words, timeout=120)
        return subprocess.CompletedProcess(words, done.ret, done.stdout.str(), done.stderr.str())

    return call


def test_a_source_and_a_file_compile_or_not(run: Run, pytester: pytest.Pytester) -> None:
    (pytester.path / "widget.hpp").write_text("inline int size() { return 1; }\n")
    (pytester.path / "main.c").write_text('#include "widget.h"\n')
    done = run(
        "from pathlib import Path\n"
        "def test(compiles):\n"
        "    assert compiles('int main() {}')\n"
        "    assert not compiles('int main() { return nothing; }', compiler='gcc', std=['c++17', 'c++20'])\n"
        "    assert compiles(Path('widget.hpp'))\n"
        "    assert not compiles(Path('main.c'))\n"
        "    assert compiles('int f(int class);', language='c', flags=['-O2'])\n"
        "    assert len(compiles('int x;', std=['c++17', 'c++20']).results) == 2\n"
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_failure_shows_what_the_compiler_said(run: Run, gccs: list[str]) -> None:
    done = run("def test(compiles):\n    assert compiles('int x =\\n  nothing;', compiler='gcc', std='c++17')\n")
    assert done.returncode == 1
    assert f"assert <rejected by {gccs[0]} at c++17: 'nothing' was not declared" in plain(done.stdout)
    assert f"Captured compiler ({gccs[0]}, c++17) call" in done.stdout
    assert "2 |   nothing;" in done.stdout


def test_neither_yes_nor_no_fails_even_what_expects_a_no(run: Run) -> None:
    done = run(
        "def test(compiles):\n    assert not compiles('int x;', timeout=0.0001)\n"
        "def test_verdict(compiles):\n    assert compiles('int x;', timeout=0.0001).verdict == 'timeout'\n"
    )
    assert "1 failed, 1 passed" in done.stdout
    assert "which is neither yes nor no; to test for that, look at .verdict" in done.stdout


def test_no_answer_fails_with_what_to_do(run: Run, gccs: list[str]) -> None:
    done = run(
        "def test_compiler(compiles):\n    assert not compiles('int x;', compiler='gcc-99')\n"
        "def test_file(compiles):\n"
        "    from pathlib import Path\n    assert not compiles(Path('missing.cpp'))\n"
        "def test_option(compiles):\n    assert not compiles('int x;', jobs=-1)\n"
    )
    assert "3 failed" in done.stdout
    assert f"gcc-99 is neither on this host nor in the catalogue; use one of: {gccs[0]}" in done.stdout
    assert "missing.cpp" in done.stdout
    assert "pytest_plugin.py" not in done.stdout, "its own lines are nothing to a reader"


def test_each_toolchain_has_a_test(run: Run, gccs: list[str]) -> None:
    done = run(
        "import pytest\n"
        "@pytest.mark.toolchains('gcc>=9', 'gcc')\n"
        "def test_each(compiles, toolchain):\n"
        "    [result] = compiles('int x;').results\n"
        "    assert result.toolchain == toolchain\n"
        "def test_all(toolchain):\n    pass\n"
        "@pytest.mark.toolchains(language='c')\n"
        "def test_c(compiles, toolchain):\n    assert compiles('int class;', language='c')\n"
        "@pytest.mark.toolchains('gcc-99')\n"
        "def test_none(toolchain):\n    raise AssertionError\n"
    )
    assert done.returncode == 0, done.stdout
    assert {f"PASSED test_it.py::test_each[{name}]" for name in gccs} <= set(done.stdout.splitlines())
    assert {f"PASSED test_it.py::test_all[{name}]" for name in gccs} <= set(done.stdout.splitlines())
    assert f"PASSED test_it.py::test_c[{gccs[0]}]" in done.stdout
    assert "SKIPPED [1] test_it.py: gcc-99 is neither" in done.stdout.replace("test_it.py:11", "test_it.py")


def test_a_fixture_of_the_same_name_is_left_alone(run: Run) -> None:
    done = run(
        "import pytest\n"
        "@pytest.fixture\n"
        "def toolchain():\n    return 'mine'\n"
        "def test_own(compiles, toolchain):\n    assert toolchain == 'mine' and compiles('int x;')\n"
        "@pytest.mark.parametrize('toolchain', ['given'])\n"
        "def test_given(toolchain):\n    assert toolchain == 'given'\n"
    )
    assert "2 passed" in done.stdout


def test_settings_say_where_and_which_language(run: Run) -> None:
    ini = "willitcompile_backend = sandbox\nwillitcompile_language = c\n"
    done = run("def test(compiles):\n    assert compiles('int class;').results[0].backend == 'sandbox'\n", ini=ini)
    assert done.returncode == 0, done.stdout
    done = run("def test(compiles):\n    assert compiles('int x;')\n", ini="willitcompile_backend = nowhere\n")
    assert "there is none of that name" in done.stdout
    assert done.returncode == 1


def test_it_is_there_where_it_is_installed(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD")
    done = run("def test(compiles):\n    assert compiles('int x;')\n")
    assert done.returncode == 0, done.stdout


def test_who_does_not_use_it_does_not_pay(run: Run) -> None:
    heavy = "{'willitcompile.backends', 'willitcompile.checker', 'willitcompile.planning', 'docker', 'kubernetes'}"
    done = run(f"import sys\ndef test():\n    assert not {heavy} & set(sys.modules)\n")
    assert done.returncode == 0, done.stdout
    assert "toolchains(*names" in run("", "--markers").stdout


def plain(text: str) -> str:
    return text.translate(str.maketrans("\u2018\u2019", "''"))
