"""docs/images.md and docs/backends.md: their examples are run, and their tables are those of the program."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from willitcompile.backends.docker.inventory import Entry
from willitcompile.backends.references import candidates, pins
from willitcompile.cli.images import as_json
from willitcompile.config import resolve
from willitcompile.toolchains import load_catalogue

if TYPE_CHECKING:
    from collections.abc import Callable

DOCS = Path(__file__).parents[2] / "docs"
PAGES = {name: (DOCS / name).read_text() for name in ("images.md", "backends.md")}

EXAMPLES = [
    line.removeprefix("$ ")
    for page in PAGES.values()
    for block in re.findall(r"^```console\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    for line in block.splitlines()
    if line.startswith("$ ")
]
FETCHING = re.compile(r"will-it-compile images (build|pull) ")


@pytest.fixture
def run(tmp_path: Path) -> Callable[[str, str], subprocess.CompletedProcess[str]]:
    """A line of a shell, with the address of a daemon."""

    def call(line: str, host: str) -> subprocess.CompletedProcess[str]:
        (tmp_path / ".git").mkdir(exist_ok=True)
        (tmp_path / "main.cpp").write_text("int main() { return 0; }\n")
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        environment = {"PATH": path, "HOME": str(tmp_path), "DOCKER_HOST": host}
        return subprocess.run(
            line, shell=True, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False, timeout=120
        )

    return call


@pytest.mark.docker
@pytest.mark.parametrize(
    "line", [each for each in EXAMPLES if re.match(r"will-it-compile (?!images (build|pull))", each)]
)
def test_an_example_ends_well(
    run: Callable[..., subprocess.CompletedProcess[str]], docker_host: str, unavailable: Callable[..., None], line: str
) -> None:
    if "gcc-13" in line:
        listed = run("will-it-compile images list", docker_host).stdout
        if not re.search("^gcc-13 +(ready|here) ", listed, re.MULTILINE):
            unavailable("docker", "there is no image of gcc-13", "will-it-compile images build gcc-13")
    done = run(line, docker_host)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("line", [each for each in EXAMPLES if FETCHING.match(each)])
def test_an_example_that_takes_minutes_lacks_nothing_but_a_daemon(
    run: Callable[..., subprocess.CompletedProcess[str]], line: str
) -> None:
    done = run(line, "unix:///nonexistent/docker.sock")
    assert done.returncode == 3, done.stderr


def test_the_pins_of_the_example_are_read_as_the_page_says(tmp_path: Path) -> None:
    block = re.search(r"^```yaml\n(.*?)^```", PAGES["images.md"], re.MULTILINE | re.DOTALL)
    assert block
    (tmp_path / "willitcompile.yaml").write_text(block[1])
    pinned = pins(resolve({}, environment={}, directory=str(tmp_path)).images)
    catalogue = load_catalogue()
    (thirteen,), (twelve,) = (candidates(name, catalogue, pinned) for name in ("gcc-13", "gcc-12"))
    assert thirteen.reference.startswith("registry.example.org/gcc@sha256:")
    assert twelve.reference == "registry.example.org/gcc:12"


def test_the_fields_of_images_list_are_those_of_the_page() -> None:
    document = json.loads(as_json(None, [Entry("gcc-13")]))
    section = PAGES["images.md"].partition("## `images list --format json`")[2]
    whole, _, each = section.partition("Each of `images`:")
    assert re.findall(r"^\| `(\w+)` ", whole, re.MULTILINE) == list(document)
    assert re.findall(r"^\| `(\w+)` ", each, re.MULTILINE) == list(document["images"][0])


@pytest.mark.parametrize("page", PAGES)
def test_links_within_the_documentation_lead_somewhere(page: str) -> None:
    for target, anchor in re.findall(r"\]\(([\w./]+\.md)(?:#([\w-]+))?\)", PAGES[page]):
        text = (DOCS / target).read_text()
        headings = {re.sub(r"[^\w -]", "", line).strip().lower().replace(" ", "-") for line in _headings(text)}
        assert not anchor or anchor in headings, (target, anchor)


def _headings(text: str) -> list[str]:
    return re.findall(r"^#+ (.*)$", text, re.MULTILINE)
