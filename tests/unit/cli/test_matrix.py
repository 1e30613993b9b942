"""Several compilers and standards from the command line, what sources expect, and the hint: on the fake backend."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from willitcompile.backends.fake import answer, toolchain
from willitcompile.model import Verdict

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.unit.cli.conftest import Ended
    from willitcompile.model import CompileJob, CompileResult

    Cli = Callable[..., Ended]

C_FAMILY = {"c": ("c11", "c17"), "c++": ("c++17", "c++20")}
SEVERAL = (
    *(toolchain("gcc", version, C_FAMILY) for version in ("13", "9")),
    toolchain("gcc", "8", {"c++": ("c++17",)}),
    toolchain("go", "1.24", {"go": ("go1.23", "go1.24")}),
)
REJECTED = "// fake: stderr a.cpp:1:1: error: no such luck\n// fake: exit 1\n"


def source(text: str = "int x;\n", name: str = "a.cpp") -> None:
    Path(name).write_text(text)


def cells(ended: Ended) -> list[tuple[str, str]]:
    return [(each["toolchain"], each["standard"]) for each in json.loads(ended.out)["results"]]


@pytest.mark.parametrize(
    ("asked", "meant"),
    [
        ("gcc>=9", ["gcc-13", "gcc-9"]),
        ("gcc<13", ["gcc-9", "gcc-8"]),
        ("gcc>8<13", ["gcc-9"]),
        ("all", ["gcc-13", "gcc-9", "gcc-8"]),
        ("gcc==8,gcc", ["gcc-8", "gcc-13"]),
        ("gcc<9,go>=1.20", ["gcc-8"]),
    ],
)
def test_a_range_is_every_version_in_it_that_speaks_the_language(cli: Cli, asked: str, meant: list[str]) -> None:
    source()
    found = cells(cli("check", "a.cpp", "-c", asked, "-f", "json", toolchains=SEVERAL))
    assert [name for name, _ in found] == meant


def test_each_source_is_compiled_with_those_that_speak_its_language(cli: Cli) -> None:
    source()
    source("package p\n", "b.go")
    found = cells(cli("check", "a.cpp", "b.go", "-c", "gcc>=9,go>=1.20", "-f", "json", toolchains=SEVERAL))
    assert [name for name, _ in found] == ["gcc-13", "gcc-9", "go-1.24"]


def test_valid_pairs_only(cli: Cli) -> None:
    source()
    ended = cli("check", "a.cpp", "-c", "gcc<10", "-s", "c++17,c++20", toolchains=SEVERAL)
    assert ended.code == 0
    assert "  gcc-8  compiled  n/a\n" in ended.out
    assert "1 file, 3 checks: 3 compiled\n" in ended.out


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ("gcc>=40", "no gcc on the fake backend is in this range"),
        ("gcc>=x", "'x' is no version"),
        ("gcc>=9\x1b[2J", "is no version"),
        ("go>=1", "go-1.24 does not compile c++"),
    ],
)
def test_a_range_of_nothing_is_an_error_in_three_parts(cli: Cli, asked: str, told: str) -> None:
    source()
    code, out, err = cli("check", "a.cpp", "-q", "-c", asked, toolchains=SEVERAL)
    assert (code, out) == (2, "")
    assert told in err
    assert "\n  try: " in err
    assert "\x1b" not in err


@pytest.mark.parametrize(
    ("comment", "text", "code"),
    [
        ("expect rejected", REJECTED, 0),
        ('expect rejected "no such luck"', REJECTED, 0),
        ('expect rejected "something else"', REJECTED, 1),
        ("expect compiled", REJECTED, 1),
        ("expect rejected", "int x;\n", 1),
        ("expect crashed", "// fake: crash 11\n", 0),
        ("expect rejected with clang", REJECTED, 1),
        ("expect rejected with gcc<10", REJECTED, 1),
        ("expect rejected with gcc>=10 at c++20", REJECTED, 0),
        ("expect rejected at c++17", REJECTED, 1),
        ("expct rejected", "int x;\n", 2),
    ],
)
def test_the_exit_code_is_that_of_what_the_source_expects(cli: Cli, comment: str, text: str, code: int) -> None:
    source(f"// will-it-compile: {comment}\n{text}")
    assert cli("check", "a.cpp").code == code


def test_what_is_expected_is_in_json(cli: Cli) -> None:
    source(f'// will-it-compile: expect rejected "no such"\n{REJECTED}')
    (result,) = json.loads(cli("check", "a.cpp", "-f", "json").out)["results"]
    assert result["expected"] == {"verdict": "rejected", "text": "no such", "met": True}


def test_a_comment_that_cannot_be_read_costs_no_other_source_its_answer(cli: Cli) -> None:
    source("// will-it-compile: expect nothing\n")
    source(name="b.cpp")
    code, out, err = cli("check", "a.cpp", "b.cpp", "-j1")
    assert code == 2
    assert "b.cpp: compiled" in out
    assert "a.cpp:1" in err


@pytest.mark.parametrize("comment", ["expect rejected", "expct rejected"])
def test_where_sources_are_strangers_what_they_expect_counts_for_nothing(cli: Cli, comment: str) -> None:
    source(f"// will-it-compile: {comment}\n{REJECTED}")
    code, out, _ = cli("check", "a.cpp", "--no-expectations", "-f", "json")
    assert code == 1
    assert json.loads(out)["results"][0]["expected"] is None


def test_standard_input_expects_too(cli: Cli) -> None:
    text = f"// will-it-compile: expect rejected\n{REJECTED}".encode()
    assert cli("check", "-", "-l", "c++", stdin=text).code == 0


def test_a_plain_check_looks_for_a_hint(cli: Cli) -> None:
    source(REJECTED)
    early = toolchain("gcc", "13", C_FAMILY)._replace(defaults={"c++": "c++17", "c": "c11"})

    def judge(job: CompileJob) -> CompileResult:
        is_new = "-std=c++20" in job.argv
        return answer() if is_new else answer(Verdict.REJECTED, stderr=b"a.cpp:1:1: error: no\n")

    code, out, _ = cli("check", "a.cpp", toolchains=(early,), script=judge)
    assert code == 1
    assert out.endswith(")\n  hint: compiles with --std c++20\n")
    (result,) = json.loads(cli("check", "a.cpp", "-f", "json", toolchains=(early,), script=judge).out)["results"]
    assert (result["verdict"], result["hint"]) == ("rejected", "c++20")
    assert "hint" not in cli("check", "a.cpp", "-s", "c++17", toolchains=(early,), script=judge).out
