"""docs/pytest.md, docs/hooks.md and docs/ci.md: their examples are what is run.

What their hooks and templates do is tried in tests/sandbox/test_pre_commit.py and test_ci_templates.py.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests import go_tools
from willitcompile.model import plain_quotes

if TYPE_CHECKING:
    from collections.abc import Callable

ACTIONLINT = "github.com/rhysd/actionlint/cmd/actionlint"
ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"


def blocks(page: str, kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```", (DOCS / page).read_text(), re.MULTILINE | re.DOTALL)


def is_valid(schema: str, file: Path) -> None:
    argv = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, str(file)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.sandbox
def test_the_tests_of_the_page_pass(sandbox: None, tmp_path: Path) -> None:
    page = (DOCS / "pytest.md").read_text()
    for name, text in re.findall(r"^<!-- (\S+) -->\n```\w+\n(.*?)^```", page, re.MULTILINE | re.DOTALL):
        (tmp_path / name).write_text(text)
    argv = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "error"]
    done = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert re.search(r"^([89]|\d\d+) passed", done.stdout, re.MULTILINE), "six for two toolchains at the least, and two"
    assert "skipped" not in done.stdout
    # What the page shows is what a failure says.
    (tmp_path / "units.hpp").write_text(blocks("pytest.md", "cpp")[0])
    text = (tmp_path / "test_units.py").read_text().replace("assert not", "assert")
    (tmp_path / "test_units.py").write_text(text.replace('"."]', '"."], compiler="gcc"'))
    done = subprocess.run([*argv, "-k", "cannot"], cwd=tmp_path, capture_output=True, text=True, check=False)
    [shown] = re.findall(r"^E .*", blocks("pytest.md", "text")[0], re.MULTILINE)
    said = next(line for line in done.stdout.splitlines() if line.startswith("E  "))
    assert plain(said) == plain(shown)


def plain(line: str) -> str:
    return re.sub(r"gcc-\d+|gnu\+\+\d+|\s+", " ", plain_quotes(line)).split("(operand")[0].strip()


def test_every_setting_of_the_plugin_is_on_its_page() -> None:
    said = (ROOT / "willitcompile" / "pytest_plugin.py").read_text()
    page = (DOCS / "pytest.md").read_text()
    for name in set(re.findall(r'"(willitcompile_\w+)"', said)):
        assert f"`{name}`" in page


def test_the_hook_of_the_page_is_one_of_ours(tmp_path: Path) -> None:
    [text] = blocks("hooks.md", "yaml")
    file = tmp_path / ".pre-commit-config.yaml"
    file.write_text(text)
    subprocess.run([sys.executable, "-m", "pre_commit", "validate-config", str(file)], check=True)
    manifest = ROOT / ".pre-commit-hooks.yaml"
    subprocess.run([sys.executable, "-m", "pre_commit", "validate-manifest", str(manifest)], check=True)
    ours = {each["id"] for each in yaml.safe_load(manifest.read_text())}
    assert {hook["id"] for repo in yaml.safe_load(text)["repos"] for hook in repo["hooks"]} == ours


@pytest.mark.sandbox
@pytest.mark.parametrize(("staged", "code"), [("int x;\n", 0), ("int main() { return nothing; }\n", 1)])
def test_the_hook_of_git_alone_checks_what_is_staged(
    sandbox: None, tmp_path: Path, staged: str, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    subprocess.run(["git", "init", "--quiet"], cwd=tmp_path, check=True)
    [script] = blocks("hooks.md", "sh")
    hook = tmp_path / ".git" / "hooks" / "pre-commit"
    hook.write_text(script)
    hook.chmod(0o755)
    (tmp_path / "a.cpp").write_text(staged)
    subprocess.run(["git", "add", "a.cpp"], cwd=tmp_path, check=True)
    (tmp_path / "a.cpp").write_text("neither of them\n")
    name = ["-c", "user.name=of a test", "-c", "user.email=test@example.org"]
    done = subprocess.run(
        ["git", *name, "commit", "--quiet", "-m", "x"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == code, done.stdout + done.stderr
    assert ("a.cpp:1:21: error" in done.stdout + done.stderr) == bool(code)


@pytest.fixture(scope="session")
def actionlint(unavailable: Callable[[str, str, str], None]) -> str:
    try:
        return shutil.which("actionlint") or str(go_tools.install(ACTIONLINT, "1.7.12"))
    except OSError as error:
        unavailable("sandbox", f"there is no actionlint, and {error}", f"go install {ACTIONLINT}@v1.7.12")
        raise


@pytest.mark.sandbox
@pytest.mark.parametrize("wrong", ["", "paths", "uses"])
def test_actionlint_has_nothing_to_say_of_the_workflow_and_the_action(
    actionlint: str, tmp_path: Path, wrong: str
) -> None:
    """With the action in the same repository, as that is where it looks into one."""
    workflow = blocks("ci.md", "yaml")[0].replace("tools/will-it-compile@main", "./")
    # So that it is known to look.
    workflow = workflow.replace("paths: |", "pathss: |") if wrong == "paths" else workflow
    workflow = workflow.replace("@v4", "") if wrong == "uses" else workflow
    (tmp_path / ".git").mkdir()
    (tmp_path / ".github" / "workflows").mkdir(parents=True)
    (tmp_path / ".github" / "workflows" / "check.yml").write_text(workflow)
    shutil.copy(ROOT / "action.yml", tmp_path)
    done = subprocess.run([actionlint], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode == 0) == (not wrong), done.stdout + done.stderr


def test_the_workflow_of_the_page_is_one_and_its_inputs_are_the_actions(tmp_path: Path) -> None:
    workflow, template = blocks("ci.md", "yaml")
    (tmp_path / "workflow.yml").write_text(workflow)
    is_valid("vendor.github-workflows", tmp_path / "workflow.yml")
    action: dict[str, Any] = yaml.safe_load((ROOT / "action.yml").read_text())
    steps = yaml.safe_load(workflow)["jobs"]["compile"]["steps"]
    [ours] = [step for step in steps if "will-it-compile" in step["uses"]]
    assert set(ours["with"]) <= set(action["inputs"])
    page = (DOCS / "ci.md").read_text()
    table = set(re.findall(r"`(\w+)`", "".join(re.findall(r"^\| (`.*?) \|", page, re.MULTILINE))))
    assert table == set(action["inputs"])
    (tmp_path / "gitlab.yml").write_text(template)
    is_valid("vendor.gitlab-ci", tmp_path / "gitlab.yml")
    job = yaml.safe_load((ROOT / "gitlab" / "will-it-compile.yml").read_text())["will-it-compile"]
    assert set(yaml.safe_load(template)["will-it-compile"]["variables"]) == set(job["variables"])
    assert yaml.safe_load(template)["include"][0]["file"] == "gitlab/will-it-compile.yml"
