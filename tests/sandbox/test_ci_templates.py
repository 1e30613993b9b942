"""The action for GitHub and the template for GitLab: their schemas, and their scripts, run as a runner does."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
import yaml

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.sandbox

ROOT = Path(__file__).parents[2]
ACTION: dict[str, Any] = yaml.safe_load((ROOT / "action.yml").read_text())
TEMPLATE = ROOT / "gitlab" / "will-it-compile.yml"
BAD = "int main() { return nothing; }\n"


@pytest.mark.parametrize(
    ("schema", "file"), [("vendor.github-actions", ROOT / "action.yml"), ("vendor.gitlab-ci", TEMPLATE)]
)
def test_it_is_what_its_schema_says(schema: str, file: Path) -> None:
    argv = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, str(file)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


class Ran(NamedTuple):
    """What a step of the action has done."""

    code: int
    stdout: str
    stderr: str
    summary: str
    outputs: dict[str, str]


class Runner:
    """Runs the action's steps, as GitHub's runner does: https://docs.github.com/en/actions/reference/."""

    def __init__(self, directory: Path) -> None:
        self.temporary = directory / "runner"
        self.temporary.mkdir()
        self.workspace = directory / "workspace"
        self.workspace.mkdir()

    def step(self, name: str, **inputs: str) -> Ran:
        [step] = [each for each in ACTION["runs"]["steps"] if each["id"] == name]
        assert step["shell"] == "bash"
        assert "${{" not in step["run"], "an input could add commands to the script"
        values = {f"inputs.{key}": inputs.get(key, each["default"]) for key, each in ACTION["inputs"].items()}
        assert {f"inputs.{key}" for key in inputs} <= set(values)
        values["github.action_path"] = str(ROOT)
        environment = {
            key: re.sub(r"\$\{\{ (.*?) \}\}", lambda match: values[match[1]], text) for key, text in step["env"].items()
        }
        files = {key: self.temporary / key.lower() for key in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY")}
        for file in files.values():
            file.write_text("")
        done = subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]],
            cwd=self.workspace,
            env={**os.environ, **environment, "RUNNER_TEMP": str(self.temporary)}
            | {key: str(file) for key, file in files.items()},
            capture_output=True,
            text=True,
            check=False,
        )
        outputs = dict(line.split("=", 1) for line in files["GITHUB_OUTPUT"].read_text().splitlines())
        return Ran(done.returncode, done.stdout, done.stderr, files["GITHUB_STEP_SUMMARY"].read_text(), outputs)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory, unavailable: Callable[[str, str, str], None]) -> Runner:
    """A runner in which the action has installed what it needs."""
    if not shutil.which("g++"):
        unavailable("sandbox", "there is no g++", "apt-get install g++")
    runner = Runner(tmp_path_factory.mktemp("github"))
    done = runner.step("install", python=sys.executable)
    assert done.code == 0, done.stderr
    return runner


@pytest.fixture
def runner(installed: Runner) -> Runner:
    shutil.rmtree(installed.workspace)
    installed.workspace.mkdir()
    return installed


def test_the_action_passes_what_compiles(runner: Runner) -> None:
    (runner.workspace / "a file.cpp").write_text('#include "part.hpp"\n')
    (runner.workspace / "include").mkdir()
    (runner.workspace / "include" / "part.hpp").write_text("int part;\n")
    done = runner.step(
        "check", paths="a file.cpp\n", compilers="gcc\n", standards="c++17,c++20", backend="sandbox", args="-Iinclude\n"
    )
    assert done.code == 0, done.stdout + done.stderr
    assert "    a file.cpp: compiled" in done.summary
    report = json.loads(Path(done.outputs["report"]).read_text())
    assert [each["standard"] for each in report["results"]] == ["c++17", "c++20"]


def test_the_action_fails_with_an_annotation(runner: Runner) -> None:
    (runner.workspace / "good.cpp").write_text("int x;\n")
    (runner.workspace / "bad.cpp").write_text(BAD)
    done = runner.step("check", backend="sandbox")
    assert done.code == 1
    assert re.search(r"^::error file=bad\.cpp,line=1,col=21", done.stdout, re.MULTILINE)
    assert "bad.cpp: rejected" in done.summary
    assert Path(done.outputs["report"]).is_file()


def test_what_a_source_prints_is_no_command_of_the_runner(runner: Runner) -> None:
    (runner.workspace / "bad.cpp").write_text('#error x\n#pragma message "\\n::set-output name=report::/etc/passwd"\n')
    done = runner.step("check", backend="sandbox")
    stopped = re.search(r"^::stop-commands::(\w{32})\n(.*?)^::\1::$", done.stdout, re.MULTILINE | re.DOTALL)
    assert stopped
    commands = re.sub(re.escape(stopped[2]), "", done.stdout)
    assert not re.search(r"^::(?!error|warning|notice|stop-commands|\w{32}::)", commands, re.MULTILINE)


def test_inputs_are_words_and_never_commands(runner: Runner) -> None:
    (runner.workspace / "good.cpp").write_text("int x;\n")
    attack = "$(touch hacked)`touch hacked`;touch hacked"
    for name in ("paths", "compilers", "standards", "backend", "args"):
        assert runner.step("check", **{name: attack}).code == 2
    assert [each.name for each in runner.workspace.iterdir()] == ["good.cpp"]


@pytest.mark.parametrize(("source", "code"), [("int x;\n", 0), (BAD, 1)])
def test_the_template_of_gitlab_checks(
    runner: Runner, tmp_path: Path, source: str, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its script, line by line in one shell, as the runner does; that pip installs what it is told to was tried above,
    and by the first of these two."""
    job = yaml.safe_load(TEMPLATE.read_text())["will-it-compile"]
    (tmp_path / "a.cpp").write_text(source)
    script = "\n".join(job["script"])
    if code:
        # The same environment again, where it takes as long to install everything anew.
        script = script.replace("$(mktemp -d)", str(runner.temporary / "will-it-compile"))
        script = re.sub(
            r"^python3 -m venv.*\n|^\S*/bin/pip\S* install [^\n]*\\\n[^\n]*\n", "", script, flags=re.MULTILINE
        )
        assert "pip" not in script
    else:
        script = script.replace("python3", sys.executable)
    for name, value in job["variables"].items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("WILL_IT_COMPILE_PACKAGE", str(ROOT))
    monkeypatch.setenv("WILL_IT_COMPILE_ARGS", "--backend sandbox -s c++17")
    monkeypatch.setenv("TMPDIR", str(runner.temporary))
    done = subprocess.run(
        ["bash", "-eo", "pipefail", "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == code, done.stdout + done.stderr
    reports = job["artifacts"]["reports"]
    assert len(json.loads((tmp_path / reports["codequality"]).read_text())) == code
    assert ("<failure" in (tmp_path / reports["junit"]).read_text()) == bool(code)


def test_the_template_of_gitlab_says_what_it_needs(tmp_path: Path) -> None:
    job = yaml.safe_load(TEMPLATE.read_text())["will-it-compile"]
    [line] = [each for each in job["script"] if "install" in each]
    done = subprocess.run(["bash", "-ec", line], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "WILL_IT_COMPILE_PACKAGE: set it to what pip is to install" in done.stderr
