"""Several reports of one check: what goes where, and what is refused."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from willitcompile.backends.fake import answer
from willitcompile.errors import BackendFailed

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import TypeAlias

    from willitcompile.model import CompileJob, CompileResult

    Cli: TypeAlias = Callable[..., "tuple[int, str, str]"]


@pytest.fixture(autouse=True)
def sources(project: Path) -> None:
    (project / "good.cpp").write_text("int main() {}\n")
    (project / "bad.cpp").write_text("// fake: stderr bad.cpp:1:2: error: no\n// fake: exit 1\n")


def test_each_has_its_file_and_one_has_stdout(cli: Cli, project: Path) -> None:
    code, out, _ = cli(
        *("check", "good.cpp", "bad.cpp", "-f", "text", "-f", "sarif:out.sarif"),
        *("-f", "junit:out.xml", "-f", "html:out.html", "-f", "gitlab:out.json", "-f", "github:out.txt"),
    )
    assert code == 1
    assert out == cli("check", "good.cpp", "bad.cpp")[1]
    assert len(json.loads((project / "out.sarif").read_text())["runs"][0]["results"]) == 1
    assert 'failures="1"' in (project / "out.xml").read_text()
    assert (project / "out.html").read_text().startswith("<!DOCTYPE html>")
    assert len(json.loads((project / "out.json").read_text())) == 1
    assert (project / "out.txt").read_text().startswith("::error file=bad.cpp")


def test_where_all_go_to_files_nothing_is_printed(cli: Cli, project: Path) -> None:
    assert cli("check", "good.cpp", "-q", "-f", "json:a.json", "-f", "junit:b.xml") == (0, "", "")
    assert {each.name for each in project.iterdir() if each.is_file()} == {"a.json", "b.xml", "good.cpp", "bad.cpp"}


def test_output_is_for_the_one_without_a_file(cli: Cli, project: Path) -> None:
    assert cli("check", "good.cpp", "-q", "-f", "json", "-f", "junit:b.xml", "-o", "a.json")[1] == ""
    assert json.loads((project / "a.json").read_text())["summary"]["compiled"] == 1


def test_the_same_twice_is_once(cli: Cli) -> None:
    assert json.loads(cli("check", "good.cpp", "-f", "json", "-f", "json")[1])["summary"]["compiled"] == 1


def test_each_source_is_compiled_once(cli: Cli) -> None:
    jobs: list[CompileJob] = []

    def script(job: CompileJob) -> CompileResult:
        jobs.append(job)
        return answer()

    cli("check", "good.cpp", "-f", "text", "-f", "json:a.json", "-f", "sarif:b.sarif", script=script)
    assert len(jobs) == 1


def test_only_what_goes_to_a_terminal_is_coloured_unless_asked_for(cli: Cli, project: Path) -> None:
    _, out, _ = cli("check", "bad.cpp", "-f", "text:plain.txt", "-f", "json", "--color", "auto")
    assert json.loads(out)
    assert "\x1b" not in (project / "plain.txt").read_text()


@pytest.mark.parametrize(
    ("line", "obstacle"),
    [
        ("-f text -f json", "they would all go to stdout"),
        ("-f text -f json -o out.txt", "they would all go to out.txt"),
        ("-f sarif:out.sarif -o out.txt", "each report that is asked for has a file of its own"),
        ("-f json:same -f junit:./same", "two reports would go there"),
        ("-f json -f junit:same -o same", "two reports would go there"),
        ("-f sarif:good.cpp", "that is a source"),
        ("-f text -f json:good.cpp", "that is a source"),
        ("-f sarif:", "it names no file after the colon"),
        ("-f :out.txt", "it is empty"),
        ("-f yaml:out.yaml", "there is no format of that name"),
        ("-f sarif:missing/out.sarif", "No such file or directory"),
        ("-f sarif:.", "it is a directory"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_compiled(
    cli: Cli, project: Path, line: str, obstacle: str
) -> None:
    def script(job: CompileJob) -> CompileResult:
        raise AssertionError

    before = sorted(each.name for each in project.iterdir())
    code, out, err = cli("check", "good.cpp", "-q", *line.split(), script=script)
    assert (code, out) == (2, "")
    first, middle, last = err.splitlines()
    assert first.startswith("error: ")
    assert obstacle in middle
    assert last.startswith("  try: ")
    assert sorted(each.name for each in project.iterdir()) == before


def test_an_error_is_in_every_report_that_has_a_place_for_it(cli: Cli, project: Path) -> None:
    def script(job: CompileJob) -> CompileResult:
        raise BackendFailed("compile", "the daemon is gone", "start it")

    line = "good.cpp -q -f json -f sarif:a.sarif -f junit:a.xml -f html:a.html -f github:a.txt"
    code, out, _ = cli("check", *line.split(), script=script)
    assert code == 3
    assert json.loads(out)["error"]["obstacle"] == "the daemon is gone"
    for name in ("a.sarif", "a.xml", "a.html", "a.txt"):
        assert "the daemon is gone" in (project / name).read_text(), name


def test_a_configuration_file_names_several(cli: Cli, project: Path) -> None:
    (project / "wic.yaml").write_text("format: [text, 'json:out.json']\n")
    code, out, _ = cli("check", "good.cpp", "--config", "wic.yaml")
    assert (code, out.splitlines()[0]) == (0, "backend: fake (fake)")
    assert json.loads((project / "out.json").read_text())["summary"]["compiled"] == 1


def test_the_command_line_counts_instead_of_the_file(cli: Cli, project: Path) -> None:
    (project / "wic.yaml").write_text("format: [text, 'json:out.json']\n")
    assert json.loads(cli("check", "good.cpp", "--config", "wic.yaml", "-f", "json")[1])
    assert not (project / "out.json").exists()


def test_a_file_that_came_with_the_sources_has_nothing_written(cli: Cli, project: Path) -> None:
    (project / "willitcompile.yaml").write_text("std: c++17\nformat: [text, 'json:precious']\n")
    code, _, err = cli("check", "good.cpp")
    assert code == 2
    assert err == (
        "error: willitcompile.yaml:2\n  a file that was found, not named, may not say where a report is written\n"
        "  try: name it: --config willitcompile.yaml\n"
    )
    assert not (project / "precious").exists()
