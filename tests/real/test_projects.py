"""Real CMake projects by their compile_commands.json: each file ends as it does in the project's own build."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from willitcompile.backends import Wanted, open_backend
from willitcompile.checker import run
from willitcompile.errors import RequestError
from willitcompile.model import MIB
from willitcompile.planning import CheckRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from willitcompile.backends import Backend
    from willitcompile.model import CheckResult

    Unavailable = Callable[[str, str, str], None]

GOOGLETEST = Path("/usr/src/googletest")
LIMITS = {"wall_seconds": 120, "memory_bytes": 2048 * MIB}

SHOP = {
    "CMakeLists.txt": """
        cmake_minimum_required(VERSION 3.16)
        project(shop C CXX)
        set(CMAKE_CXX_STANDARD 17)
        configure_file(config.h.in generated/config.h)
        add_custom_command(OUTPUT made.h COMMAND ${CMAKE_COMMAND} -E copy ${CMAKE_SOURCE_DIR}/made.in made.h
                           DEPENDS made.in)
        add_library(common OBJECT src/price.cpp src/legacy.c src/wrong.cpp src/it\\ is.cpp ${CMAKE_BINARY_DIR}/made.h)
        target_include_directories(common PUBLIC include ${CMAKE_BINARY_DIR} ${CMAKE_BINARY_DIR}/generated)
        target_include_directories(common SYSTEM PRIVATE vendor)
        target_compile_definitions(common PRIVATE "GREETING=\\"good day, it's \\\\\\\\ there\\"")
        target_compile_options(common PRIVATE -Wall -Werror)
        target_precompile_headers(common PRIVATE $<$<COMPILE_LANGUAGE:CXX>:<string_view$<ANGLE-R>>)
        add_library(strict OBJECT src/twice.cpp)
        target_compile_definitions(strict PRIVATE STRICT)
        add_library(lax OBJECT src/twice.cpp)
    """,
    "config.h.in": "#define CURRENCY 1\n",
    "made.in": "#define MADE 1\n",
    "include/price.hpp": "#pragma once\nstruct Price { int cents; };\n",
    # -isystem silences what -Werror would make an error of.
    "vendor/vendored.h": "static int unused_one = 1;\n#define VENDORED 1\n",
    "src/price.cpp": """
        #include "price.hpp"
        #include <vendored.h>
        #include "config.h"
        #include "made.h"
        static_assert(std::string_view(GREETING) == "good day, it's \\\\ there" && CURRENCY && MADE && VENDORED);
    """,
    "src/legacy.c": "int f(int class) { return class + MADE_BY_NOBODY; }\n",
    "src/wrong.cpp": '#include "price.hpp"\nint total(Price price) { return price.euros; }\n',
    "src/it is.cpp": '#include "../include/price.hpp"\nint x = Price{1}.cents;\n',
    "src/twice.cpp": "#ifdef STRICT\n#error strictly not\n#endif\n",
}


@pytest.fixture(params=[pytest.param(name, marks=getattr(pytest.mark, name)) for name in ("sandbox", "docker")])
def backend(request: pytest.FixtureRequest, unavailable: Unavailable) -> Iterator[Backend]:
    """One that has the gcc that this host's CMake takes."""
    name: str = request.param
    with open_backend(name) as opened:
        if not opened.has(Wanted((version(unavailable),))):
            unavailable(
                name, f"there is no {version(unavailable)}", f"will-it-compile images build {version(unavailable)}"
            )
        yield opened


def version(unavailable: Unavailable) -> str:
    if not shutil.which("c++") or not shutil.which("cmake"):
        unavailable("sandbox", "there is no cmake, or no compiler", "apt-get install cmake g++")
    said = subprocess.run(["c++", "-dumpversion"], capture_output=True, text=True, check=True).stdout
    return f"gcc-{said.strip().partition('.')[0]}"


def check(backend: Backend, *paths: str) -> dict[str, CheckResult]:
    request = CheckRequest(paths, limits=LIMITS)
    return {result.source: result for result in run(request, backend)}


def built(directory: Path, *definitions: str) -> dict[str, list[str]]:
    """Configure and build, as far as it goes: by source, how each of its compiles ended."""
    cmake = ["cmake", "-S", ".", "-B", "build", "-DCMAKE_EXPORT_COMPILE_COMMANDS=ON", *definitions]
    subprocess.run(cmake, cwd=directory, check=True, capture_output=True)
    subprocess.run(["cmake", "--build", "build", "-j2", "--", "-k"], cwd=directory, check=False, capture_output=True)
    verdicts: dict[str, list[str]] = {}
    for entry in json.loads((directory / "build/compile_commands.json").read_text()):
        words = shlex.split(entry["command"])
        output = Path(entry["directory"], words[words.index("-o") + 1])
        verdict = "compiled" if output.exists() else "rejected"
        verdicts.setdefault(os.path.relpath(entry["file"], directory), []).append(verdict)
    return verdicts


def agreed(results: dict[str, CheckResult], verdicts: dict[str, list[str]]) -> None:
    found: dict[str, list[str]] = {}
    for name, result in results.items():
        found.setdefault(name.partition(" (")[0], []).append(result.verdict.value)
    assert found == verdicts


@pytest.fixture(scope="module")
def googletest(tmp_path_factory: pytest.TempPathFactory, unavailable: Unavailable) -> tuple[Path, dict[str, list[str]]]:
    """Where it is, with one file that is wrong, and what its build says."""
    if not GOOGLETEST.is_dir():
        unavailable("sandbox", "there is no googletest", "apt-get install googletest")
    project = tmp_path_factory.mktemp("googletest") / "source"
    shutil.copytree(GOOGLETEST, project, ignore=shutil.ignore_patterns("test", "samples"))
    wrong = project / "googlemock/src/gmock_main.cc"
    wrong.write_text(wrong.read_text() + "\nint wrong = nothing;\n")
    return project, built(project, "-DCMAKE_CXX_STANDARD=14")


def test_googletest(
    backend: Backend, googletest: tuple[Path, dict[str, list[str]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    project, verdicts = googletest
    assert sorted(verdict for each in verdicts.values() for verdict in each) == [*["compiled"] * 3, "rejected"]
    monkeypatch.chdir(project)
    agreed(check(backend, "build/compile_commands.json"), verdicts)


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    directory = tmp_path / "the shop"
    for name, text in SHOP.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    monkeypatch.chdir(directory)
    return directory


def test_a_project_with_all_that_is_difficult(backend: Backend, shop: Path) -> None:
    """Blanks and quotes in names and definitions, headers that are made, a precompiled one, one file in two ways."""
    verdicts = built(shop)
    results = check(backend, "build/compile_commands.json")
    assert verdicts["src/price.cpp"] == ["compiled"]
    assert verdicts["src/it is.cpp"] == ["compiled"]
    assert verdicts["src/twice.cpp"] == ["rejected", "compiled"]
    assert verdicts["src/wrong.cpp"] == verdicts["src/legacy.c"] == ["rejected"]
    # What CMake compiles to a precompiled header is listed too.
    agreed(results, verdicts)
    [error] = [each for each in results["src/wrong.cpp"].diagnostics if each.severity == "error"]
    assert (error.path, error.line) == ("src/wrong.cpp", 2)


def test_before_the_build_what_it_makes_is_named(backend: Backend, shop: Path) -> None:
    subprocess.run(
        ["cmake", "-S", ".", "-B", "build", "-DCMAKE_EXPORT_COMPILE_COMMANDS=ON"], check=True, capture_output=True
    )
    result = check(backend, "build/compile_commands.json")["src/price.cpp"]
    assert result.verdict.value == "rejected"
    assert "made.h is not there: where the build makes it, build first: cmake --build build" in result.notes


def test_what_cannot_be_answered_costs_the_others_nothing(backend: Backend, shop: Path) -> None:
    built(shop)
    database = shop / "build/compile_commands.json"
    entries = json.loads(database.read_text())
    outside = {"directory": "/", "file": "/etc/passwd", "arguments": ["gcc", "-x", "c", "/etc/passwd"]}
    plugin = {"directory": str(shop), "file": "src/twice.cpp", "arguments": ["g++", "-fplugin=evil.so"]}
    database.write_text(json.dumps([outside, plugin, *entries, {"file": "src/gone.cpp", "command": "g++"}], indent=1))
    results = []
    with pytest.raises(RequestError) as told:
        results.extend(run(CheckRequest(("build/compile_commands.json",), limits=LIMITS), backend))
    assert len(results) == len(entries)
    assert "compile_commands.json:2: /etc/passwd" in str(told.value)
    assert "-fplugin=evil.so" in str(told.value)
    assert "gone.cpp is not there" in str(told.value)
