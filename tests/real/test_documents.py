"""Every block of C++ of a real project's README: each ends as the bare compiler ends with what a reader would copy."""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import tarfile
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from markdown_it import MarkdownIt

from tests.real import fetch
from willitcompile.backends import open_backend
from willitcompile.checker import run
from willitcompile.planning import CheckRequest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SOURCE = "http://deb.debian.org/debian/pool/main/n/nlohmann-json3/nlohmann-json3_3.11.2.orig.tar.gz"
SHA256 = "d69f9deb6a75e2580465c6c4c5111b89c4dc2fa94e3a85fcd2ffcd9a143d9273"
BEFORE = """\
#include <cassert>
#include <fstream>
#include <iomanip>
#include <iostream>
#include <list>
#include <map>
#include <optional>
#include <set>
#include <unordered_map>
#include <nlohmann/json.hpp>
using json = nlohmann::json;
using namespace nlohmann::literals;
void fragment() {"""
"""What the README takes for granted."""

WANTED = ("README.md", "single_include/nlohmann/json.hpp")


@pytest.fixture(scope="module")
def project(unavailable: Callable[[str, str, str], None]) -> Path:
    """nlohmann/json 3.11.2."""
    try:
        return fetch.once("nlohmann-json", {SOURCE: SHA256}, _download)
    except OSError as error:
        unavailable("sandbox", f"{SOURCE} cannot be had: {error}", "it needs the network once; try again with it")
        raise


def _download(made: Path) -> None:
    archive = made.parent / "archive"
    with urllib.request.urlopen(SOURCE, timeout=fetch.PATIENCE) as answer, archive.open("wb") as file:
        shutil.copyfileobj(answer, file)
    if hashlib.sha256(archive.read_bytes()).hexdigest() != SHA256:
        raise OSError("it is another file than it was")
    with tarfile.open(archive) as files:
        for member in files.getmembers():
            name = member.name.partition("/")[2]
            if name in WANTED and (content := files.extractfile(member)):
                (made / name).parent.mkdir(parents=True, exist_ok=True)
                (made / name).write_bytes(content.read())


@pytest.fixture(scope="module")
def bare(project: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[int, bool]:
    """By the line of each block, found by another reader of Markdown: whether the compiler alone takes it."""
    directory = tmp_path_factory.mktemp("blocks")
    found = {}
    for token in MarkdownIt("commonmark").parse((project / "README.md").read_text()):
        if token.type == "fence" and token.map and token.info.split()[:1] == ["cpp"]:
            is_whole = re.search(r"^[^/]*\bmain\s*\(", token.content, re.MULTILINE)
            found[token.map[0] + 2] = token.content if is_whole else f"{BEFORE}\n{token.content}\n}}\n"

    def compiles(line: int) -> bool:
        file = directory / f"{line}.cpp"
        file.write_text(found[line])
        argv = ["g++-12", "-c", f"-I{project}/single_include", str(file), "-o", f"{file}.o"]
        return subprocess.run(argv, capture_output=True, check=False).returncode == 0

    with ThreadPoolExecutor(2) as pool:
        return dict(zip(found, pool.map(compiles, found), strict=True))


@pytest.mark.parametrize(
    "backend", [pytest.param(name, marks=getattr(pytest.mark, name)) for name in ("sandbox", "docker")]
)
def test_each_block_ends_as_with_the_bare_compiler(
    request: pytest.FixtureRequest, project: Path, bare: dict[int, bool], backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if backend == "docker":
        request.getfixturevalue("docker_host")
    monkeypatch.chdir(project)
    asked = CheckRequest(
        ("README.md",),
        ("gcc-12",),
        language="c++",
        include_dirs=("single_include",),
        documents={"c++": {"before": BEFORE, "after": "}", "every": "true"}},
    )
    with open_backend(backend) as opened:
        results = list(run(asked, opened))
    ended = {int(each.source.rpartition(":")[2]): str(each.verdict) for each in results}
    assert ended == {line: "compiled" if good else "rejected" for line, good in bare.items()}
    assert len(ended) == 36
    assert 5 < sum(bare.values()) < 36, "both kinds are there"
