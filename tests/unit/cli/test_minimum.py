"""`minimum` in this process, on the fake backend: what is asked of it, and what is said and returned."""

from __future__ import annotations

import json
import signal
from typing import TYPE_CHECKING

import pytest

from willitcompile.backends.fake import answer, toolchain
from willitcompile.errors import BackendFailed
from willitcompile.model import Verdict

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import TypeAlias

    from willitcompile.model import CompileJob, CompileResult

    Cli: TypeAlias = Callable[..., "tuple[int, str, str]"]

STANDARDS = {"c++": ("c++11", "c++14", "c++17")}
TOOLCHAINS = tuple(toolchain("gcc", version, STANDARDS) for version in ("13", "12", "11"))


@pytest.fixture(autouse=True)
def sources(project: Path) -> None:
    (project / "main.cpp").write_text("int x;\n")


def since_12(job: CompileJob) -> CompileResult:
    able = job.toolchain != "gcc-11" and "-std=c++11" not in job.argv
    return answer() if able else answer(Verdict.REJECTED)


def test_the_answer_and_0(cli: Cli) -> None:
    code, out, err = cli("minimum", "main.cpp", toolchains=TOOLCHAINS, script=since_12)
    assert code == 0
    assert out.splitlines() == [
        "backend: fake",
        "main.cpp: needs C++14; gcc 12 or later",
        "  gcc at c++14: 11 rejected, 12 compiled, 13 compiled",
    ]
    assert err == "note: preparing auto\n"


def test_1_where_nothing_compiles_one_of_the_sources(cli: Cli, project: Path) -> None:
    (project / "bad.cpp").write_text("// fake: exit 1\n")
    code, out, _ = cli("minimum", "main.cpp", "bad.cpp", "-q")
    assert code == 1
    assert out.splitlines() == [
        "main.cpp: needs C++11; any gcc here (13), any clang here (19)",
        "bad.cpp: nothing here compiles it",
    ]


@pytest.mark.parametrize(
    "line",
    ["", "missing.cpp", "main.cpp -f xml", "main.cpp -c gcc-99", "main.cpp --flag=-fplugin=x", "main.cpp -o main.cpp",
     "main.cpp -s c++20", "main.cpp -l cobol", "- ", "main.cpp --timeout never"],
)  # fmt: skip
def test_2_where_the_request_is_wrong(cli: Cli, line: str) -> None:
    code, out, err = cli("minimum", *line.split())
    assert (code, out) == (2, "")
    assert err


def test_3_where_there_is_no_answer(cli: Cli) -> None:
    def broken(_: CompileJob) -> CompileResult:
        raise BackendFailed("compile", "it is gone", "start it")

    code, out, err = cli("minimum", "main.cpp", script=broken)
    assert (code, out) == (3, "")
    assert "it is gone" in err


def test_json_into_a_file(cli: Cli, project: Path) -> None:
    code, out, _ = cli("minimum", "main.cpp", "-f", "json", "-o", "out.json", toolchains=TOOLCHAINS, script=since_12)
    assert (code, out) == (0, "")
    [found] = json.loads((project / "out.json").read_text())["minimum"]
    assert found["families"][0]["toolchain"] == {"first": "gcc-12", "last": None, "others": []}


def test_options_reach_the_compile(cli: Cli) -> None:
    jobs: list[CompileJob] = []

    def script(job: CompileJob) -> CompileResult:
        jobs.append(job)
        return answer()

    options = ["-DA=1", "-Wall", "--flag=-O2", "--link", "--timeout", "7", "-c", "gcc-13"]
    assert cli("minimum", "main.cpp", *options, script=script)[0] == 0
    assert {job.toolchain for job in jobs} == {"gcc-13"}
    assert all({"-DA=1", "-Wall", "-O2"} <= set(job.argv) and job.link for job in jobs)
    assert {job.limits.wall_seconds for job in jobs} == {7.0}


def test_the_compiler_and_the_report_of_a_file_do_not_count(cli: Cli, project: Path) -> None:
    (project / "willitcompile.yaml").write_text("compiler: gcc-12\nstd: c++17\nformat: json\ndefine: [B]\n")
    code, out, _ = cli("minimum", "main.cpp", "-q", toolchains=TOOLCHAINS)
    assert (code, out) == (0, "main.cpp: needs C++11; any gcc here (11 to 13)\n")


def test_standard_input(cli: Cli) -> None:
    code, out, _ = cli("minimum", "-", "-l", "c++", "-q", stdin=b"int x;\n", toolchains=TOOLCHAINS)
    assert (code, out) == (0, "-: needs C++11; any gcc here (11 to 13)\n")


def test_an_interrupt_ends_all_of_it(cli: Cli) -> None:
    """As the handler of Ctrl-C does it, while a compile runs."""
    begun = []

    def script(_: CompileJob) -> CompileResult:
        begun.append(True)
        signal.raise_signal(signal.SIGINT)
        return answer()

    code, out, err = cli("minimum", "main.cpp", "-c", "gcc-13", "-j", "1", script=script)
    assert (code, out) == (130, "")
    assert err.endswith("interrupted\n")
    assert len(begun) == 1
