"""`check` in this process, on the fake backend: what is asked of it, and what is said and returned."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest

from willitcompile import cli as package
from willitcompile.backends.fake import answer
from willitcompile.errors import BackendFailed, BackendUnavailable
from willitcompile.model import CompileJob, CompileResult, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import TypeAlias

    Cli: TypeAlias = Callable[..., "tuple[int, str, str]"]

GOOD = "int main() {}\n"
BAD = '// fake: stderr main.cpp:1:2: error: no\n// fake: exit 1\nint main() {"\n'


@pytest.fixture(autouse=True)
def sources(project: Path) -> None:
    (project / "good.cpp").write_text(GOOD)
    (project / "bad.cpp").write_text(BAD)


class TestExitCode:
    def test_is_0_where_everything_compiles(self, cli: Cli) -> None:
        code, out, err = cli("check", "good.cpp", "-q")
        assert (code, out, err) == (0, "", "")

    @pytest.mark.parametrize("ending", ["exit 1", "hang", "crash 11", "flood stderr", "allocate 9999999999"])
    def test_is_1_where_something_does_not(self, cli: Cli, project: Path, ending: str) -> None:
        (project / "other.cpp").write_text(f"// fake: {ending}\n")
        assert cli("check", "good.cpp", "other.cpp", "--timeout", "10ms")[0] == 1

    @pytest.mark.parametrize(
        "line",
        [
            "",
            "missing.cpp",
            "good.cpp --bogus",
            "good.cpp -c gcc-99",
            "good.cpp -c nosuch",
            "good.cpp -s c++99",
            "good.cpp -l cobol",
            "good.cpp --flag=-fplugin=x",
            "good.cpp --timeout never",
            "good.cpp --memory 3",
            "good.cpp -j 0",
            "good.cpp -f xml",
            "good.cpp --color purple",
            "good.cpp --config missing.yaml",
            "good.cpp -o missing/report",
            "good.cpp -o .",
            "-",
            "--",
        ],
    )
    @pytest.mark.parametrize("prefix", ["", "-qv "])
    def test_is_2_where_the_request_is_wrong_and_says_what_to_type(self, cli: Cli, prefix: str, line: str) -> None:
        code, out, err = cli("check", *(prefix + line).split())
        assert code == 2
        assert out == ""
        first, *middle, last = [line for line in err.splitlines() if not line.startswith("note: ")]
        assert first.startswith("error: ")
        assert middle
        assert last.startswith("  try: ")
        assert "Traceback" not in err

    def test_is_3_where_no_answer_could_be_had(self, cli: Cli) -> None:
        def script(job: CompileJob) -> CompileResult:
            raise BackendFailed("compile", "the daemon is gone", "start it")

        code, _, err = cli("check", "good.cpp", "-q", script=script)
        assert (code, err) == (3, "error: compile\n  the daemon is gone\n  try: start it\n")

    def test_is_3_where_there_is_no_backend(self, capsys: pytest.CaptureFixture[str]) -> None:
        def opener(name: str, opening: object) -> object:
            raise BackendUnavailable(f"open {name}", "there is nothing", "install it")

        assert package.run(["check", "good.cpp"], opener) == 3  # type: ignore[arg-type]
        assert capsys.readouterr().err == "error: open auto\n  there is nothing\n  try: install it\n"

    def test_is_130_where_it_was_interrupted(self, cli: Cli) -> None:
        def script(job: CompileJob) -> CompileResult:
            raise KeyboardInterrupt

        assert cli("check", "good.cpp", "-q", script=script)[::2] == (130, "interrupted: 0 checked\n")


class TestFaultOfOurs:
    @staticmethod
    def script(job: CompileJob) -> CompileResult:
        raise ZeroDivisionError("\x1b[2J")

    def test_is_no_answer_and_no_traceback(self, cli: Cli) -> None:
        code, _, err = cli("check", "good.cpp", "-q", script=self.script)
        assert code == 3
        assert "will-it-compile itself broke: ZeroDivisionError: \\x1b[2J" in err
        assert "Traceback" not in err

    def test_is_traced_back_if_asked(self, cli: Cli) -> None:
        assert "Traceback" in cli("check", "good.cpp", "-v", script=self.script)[2]

    def test_is_told_in_json_too(self, cli: Cli) -> None:
        _, out, _ = cli("check", "good.cpp", "-f", "json", script=self.script)
        assert "ZeroDivisionError" in json.loads(out)["error"]["obstacle"]


class TestWhatIsAsked:
    def test_flags_reach_the_compiler(self, cli: Cli) -> None:
        jobs: list[CompileJob] = []

        def script(job: CompileJob) -> CompileResult:
            jobs.append(job)
            return answer()

        line = "good.cpp -std=c++14 -Wall -DNAME=1 --flag=-O2 --timeout 2m --memory 2G --max-output 3K --cpus 1.5"
        assert cli("check", *line.split(), script=script)[0] == 0
        (job,) = jobs
        assert {"-std=c++14", "-Wall", "-DNAME=1", "-O2"} <= set(job.argv)
        limits = job.limits
        assert (limits.wall_seconds, limits.memory_bytes, limits.output_bytes, limits.cpus) == (120, 2**31, 3072, 1.5)

    def test_compilers_and_standards_make_a_matrix(self, cli: Cli) -> None:
        _, out, _ = cli("check", "good.cpp", "-c", "gcc,clang", "-s", "c++17", "-s", "c++20", "-f", "json")
        pairs = [(each["toolchain"], each["standard"]) for each in json.loads(out)["results"]]
        assert pairs == [(name, std) for name in ("gcc-13", "clang-19") for std in ("c++17", "c++20")]

    def test_dash_is_standard_input(self, cli: Cli) -> None:
        assert cli("check", "-", "-l", "c++", stdin=BAD.encode())[0] == 1
        assert cli("check", "-", "--language=c++", stdin=GOOD.encode())[0] == 0

    def test_standard_input_has_the_size_limit_of_files(self, cli: Cli) -> None:
        code, _, err = cli("check", "-", "-lc", "--max-file-size", "10", stdin=b"int x = 123;")
        assert code == 2
        assert "max-file-size" in err

    def test_a_configuration_file_holds_where_no_flag_does(self, cli: Cli, project: Path) -> None:
        (project / "willitcompile.yaml").write_text("format: json\nstd: c++14\n")
        assert json.loads(cli("check", "good.cpp")[1])["results"][0]["standard"] == "c++14"
        assert cli("check", "good.cpp", "-f", "text")[1].startswith("backend: fake")

    def test_a_broken_configuration_file_is_named_with_its_line(self, cli: Cli, project: Path) -> None:
        (project / "willitcompile.yaml").write_text("format: json\ntimeot: 3\n")
        code, _, err = cli("check", "good.cpp")
        assert code == 2
        assert err.startswith("error: willitcompile.yaml:2\n  unknown setting 'timeot'; did you mean timeout?\n")


class TestWhatIsSaid:
    def test_the_report_alone_goes_to_stdout(self, cli: Cli) -> None:
        code, out, err = cli("check", "bad.cpp", "good.cpp")
        assert code == 1
        assert out.splitlines()[0] == "backend: fake (fake)"
        assert out.splitlines()[-1] == "2 files: 1 compiled, 1 rejected"
        assert err == "note: preparing auto\n"

    def test_quiet_says_only_what_does_not_compile(self, cli: Cli) -> None:
        _, out, err = cli("check", "bad.cpp", "good.cpp", "-q")
        assert (out.count("\n"), err) == (2, "")
        assert "good.cpp" not in out

    def test_no_colour_in_a_pipe_unless_asked_for(self, cli: Cli) -> None:
        assert "\x1b" not in cli("check", "bad.cpp")[1]
        assert "\x1b[1;31mrejected" in cli("check", "bad.cpp", "--color", "always")[1]
        assert "\x1b" not in cli("check", "bad.cpp", "--color=always", "-f", "json")[1]

    def test_json_is_one_document_also_where_it_ends_in_an_error(self, cli: Cli) -> None:
        code, out, _ = cli("check", "missing.cpp", "-f", "json")
        assert code == 2
        document = json.loads(out)
        assert document["results"] == []
        assert document["error"]["obstacle"]

    def test_json_has_no_peak_memory_where_none_was_seen(self, cli: Cli) -> None:
        for seen, said in ((0, None), (4096, 4096)):
            script = lambda job, seen=seen: answer()._replace(peak_memory_bytes=seen)  # noqa: E731
            (result,) = json.loads(cli("check", "good.cpp", "-f", "json", script=script)[1])["results"]
            assert result["peak_memory_bytes"] == said

    def test_hostile_names_do_not_reach_the_terminal(self, cli: Cli, project: Path) -> None:
        name = "\x1b[2J\n\u202e.cpp"
        (project / name).write_text(GOOD)
        for line in (
            ("check", name),
            ("check", name, "--bogus"),
            ("check", "no" + name),
            ("check", "good.cpp", "-f", name),
        ):
            _, out, err = cli(*line)
            assert not {"\x1b", "\u202e"} & set(out + err)

    def test_a_name_that_is_not_utf_8_is_shown_by_its_bytes(self, cli: Cli, project: Path) -> None:
        name = os.fsdecode(b"\xff.cpp")
        (project / name).write_text(GOOD)
        assert r"\xff.cpp: compiled" in cli("check", name)[1]
        assert json.loads(cli("check", name, "-f", "json")[1])["results"][0]["source"] == r"\xff.cpp"

    def test_each_verdict_stands_in_the_summary(self, cli: Cli) -> None:
        summary = json.loads(cli("check", "bad.cpp", "good.cpp", "-f", "json")[1])["summary"]
        assert summary == {**dict.fromkeys(map(str, Verdict), 0), "compiled": 1, "rejected": 1}


class TestOutputFile:
    def test_takes_the_report_instead_of_stdout(self, cli: Cli, project: Path) -> None:
        code, out, _ = cli("check", "bad.cpp", "-f", "json", "-o", "report.json")
        assert (code, out) == (1, "")
        assert json.loads((project / "report.json").read_text())["summary"]["rejected"] == 1

    def test_is_replaced_whole_and_keeps_its_mode(self, cli: Cli, project: Path) -> None:
        report = project / "report"
        report.write_text("x" * 10_000)
        report.chmod(0o640)
        cli("check", "good.cpp", "-o", "report")
        assert report.read_text().startswith("backend: fake")
        assert report.stat().st_mode & 0o777 == 0o640

    def test_is_the_file_that_a_link_names(self, cli: Cli, project: Path) -> None:
        (project / "link").symlink_to("target")
        cli("check", "good.cpp", "-o", "link")
        assert (project / "link").is_symlink()
        assert "good.cpp" in (project / "target").read_text()

    def test_is_not_a_file_elsewhere_that_a_link_names(self, cli: Cli, project: Path) -> None:
        profile = project.parent / "profile"
        profile.write_text("worth a lot")
        (project / "report").symlink_to(profile)
        code, _, err = cli("check", "good.cpp", "-f", "text:report")
        assert code == 2
        assert "it is a link that leaves its directory" in err
        assert profile.read_text() == "worth a lot"

    def test_stays_as_it_was_where_there_is_nothing_to_report(self, cli: Cli, project: Path) -> None:
        (project / "report").write_text("before")
        assert cli("check", "missing.cpp", "-o", "report")[0] == 2
        assert (project / "report").read_text() == "before"

    def test_holds_the_error_where_the_report_tells_of_it(self, cli: Cli, project: Path) -> None:
        assert cli("check", "missing.cpp", "-o", "report", "-f", "json")[0] == 2
        assert json.loads((project / "report").read_text())["error"]

    def test_may_be_a_device(self, cli: Cli) -> None:
        assert cli("check", "good.cpp", "-o", "/dev/null")[:2] == (0, "")
        code, _, err = cli("check", "good.cpp", "-o", "/dev/full", "-q", "-f", "json")
        assert code == 3
        assert "No space left" in err
        assert os.path.exists("/dev/full")

    @pytest.mark.parametrize("line", ["good.cpp", "bad.cpp", "missing.cpp", "good.cpp -o missing/x", "good.cpp -f x"])
    def test_nothing_else_is_left_behind(self, cli: Cli, project: Path, line: str) -> None:
        before = set(project.iterdir())
        cli("check", "-o", "report", *line.split())
        assert set(project.iterdir()) - before <= {project / "report"}
