"""docs/deployment.md and its examples."""

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

from tests.chart.helm import CHART
from willitcompile import __version__

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.chart.helm import Helm

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "deployment.md").read_text()
EXAMPLES = DOCS / "examples"


def test_the_images_have_the_version_that_there_is() -> None:
    assert set(re.findall(r"will-it-compile/serve:(\S+)", PAGE)) == {__version__}
    assert f"helm {CHART.relative_to(DOCS.parent)}" in PAGE.replace("helm install wic", "helm")


@pytest.mark.chart
def test_the_values_of_the_page_are_those_of_the_chart(helm: Helm) -> None:
    (example,) = re.findall(r"```yaml\n# our\.yaml\n(.*?)```", PAGE, re.DOTALL)
    made = helm.template("--values", str(CHART / "values-production.yaml"), values=yaml.safe_load(example))
    assert served(made) == f"registry.example.org/wic/serve:{__version__}"
    assert any(each["kind"] == "Ingress" for each in made)


@pytest.mark.chart
@pytest.mark.parametrize("tool", ["argo-cd", "flux"])
def test_what_a_tool_would_install_can_be_rendered(helm: Helm, tool: str) -> None:
    """As far as that can be seen without it: its files and values are the chart's."""
    documents = list(yaml.safe_load_all((EXAMPLES / f"{tool}.yaml").read_text()))
    spec = documents[-1]["spec"]
    if tool == "argo-cd":
        chart, values = spec["source"]["path"], spec["source"]["helm"]["valuesObject"]
        files = [f"{chart}/{name}" for name in spec["source"]["helm"]["valueFiles"]]
    else:
        chart, values = spec["chart"]["spec"]["chart"], spec["values"]
        files = spec["chart"]["spec"]["valuesFiles"]
    assert DOCS.parent / chart == CHART
    arguments = [f"--values={DOCS.parent / name}" for name in files]
    assert served(helm.template(*arguments, values=values)) == f"registry.example.org/wic/serve:{__version__}"


def served(made: list[dict[str, Any]]) -> str:
    (deployment,) = (each for each in made if each["kind"] == "Deployment")
    image: str = deployment["spec"]["template"]["spec"]["containers"][0]["image"]
    return image


@pytest.mark.sandbox
def test_a_commit_with_a_file_that_does_not_compile_is_refused(tmp_path: Path) -> None:
    programs = Path(sys.executable).parent
    where = {"PATH": f"{programs}:{os.environ['PATH']}", "HOME": str(tmp_path), "GIT_CONFIG_NOSYSTEM": "1"}
    room = tmp_path / "room"
    room.mkdir()

    def git(*argv: str) -> subprocess.CompletedProcess[str]:
        return run(["git", "-c", "user.name=n", "-c", "user.email=e@example.org", *argv], room, where)

    git("init", "--quiet")
    shutil.copy(EXAMPLES / "pre-commit-config.yaml", room / ".pre-commit-config.yaml")
    installed = run([f"{programs}/pre-commit", "install"], room, where)
    assert installed.returncode == 0, installed
    (room / "fine.cpp").write_text("#include <concepts>\nstatic_assert(std::integral<int>);\n")
    (room / "notes.txt").write_text("int main( {\n")
    git("add", ".")
    committed = git("commit", "--message=fine")
    assert committed.returncode == 0, committed
    (room / "wrong.cpp").write_text("int main() { return nothing; }\n")
    git("add", ".")
    refused = git("commit", "--message=wrong")
    assert refused.returncode == 1, refused
    assert re.search("wrong.cpp:1:21: error: .nothing. was not declared in this scope", refused.stderr)
    assert git("log", "--format=%s").stdout == "fine\n"


def run(argv: list[str], directory: Path, environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(argv, cwd=directory, env=environment, capture_output=True, text=True, check=False)
