"""compile_commands.json: what it says is taken; what is wrong is told by its line and costs the others nothing."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from willitcompile.backends.fake import FakeBackend
from willitcompile.checker import run
from willitcompile.errors import RequestError, SourceError, UnknownStandard
from willitcompile.languages import CompileOptions
from willitcompile.planning import CheckRequest, find

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from willitcompile.model import CompileJob
    from willitcompile.planning import Source

    Write = Callable[..., None]

DATABASE = "build/compile_commands.json"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two sources and a header, in a directory with another one beside it."""
    directory = tmp_path / "project"
    for name in ("src/a.cpp", "src/b.c", "include/a.h", "build/made.h", "../outside/o.h"):
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_text("int x;\n")
    monkeypatch.chdir(directory)
    return directory


@pytest.fixture
def write(project: Path) -> Write:
    """`write(entry, …)`: a database of them, each on a line of its own from 2 on."""

    def write_entries(*entries: Any) -> None:
        (project / DATABASE).write_text("[\n" + ",\n".join(map(json.dumps, entries)) + "\n]\n")

    return write_entries


def entry(*flags: str, file: str = "../src/a.cpp", compiler: str = "g++", **others: Any) -> dict[str, Any]:
    return {"directory": os.path.abspath("build"), "file": file, "arguments": [compiler, *flags, "-c", file], **others}


def sources(**asked: Any) -> list[Source]:
    return find(CheckRequest((DATABASE,), **asked))


def problem(at: int = 0) -> str:
    """What is wrong with the entry at this place; there is a good one beside it."""
    found = sources()[at].entry
    assert found
    assert found.problem
    return str(found.problem)


def jobs(**asked: Any) -> list[CompileJob]:
    with FakeBackend() as backend:
        list(run(CheckRequest((DATABASE,), jobs=1, **asked), backend))
        return backend.jobs


def test_each_entry_is_compiled_where_and_as_it_says(project: Path, write: Write) -> None:
    (project / "src/a.cpp").write_text('#include "a.h"\n#include <made.h>\n')
    write(
        entry("-std=c++14", "-DA=1", "-UA", "-Wall", "-O2", "-I../include", "-isystem", ".", "-o", "a.o", "-MD"),
        entry(file=str(project / "src/b.c"), compiler="cc"),
    )
    first, second = jobs()
    assert (first.workdir, second.workdir) == ("build", "build")
    assert set(first.files) == {"src/a.cpp", "include/a.h", "build/made.h"}
    assert [word for word in first.argv if word.startswith(("-D", "-U", "-W", "-O", "-I", "-isystem"))] == [
        *("-DA=1", "-UA", "-Wall", "-O2", "-I../include", "-isystem."),
    ]
    assert "-std=c++14" in first.argv
    assert "../src/a.cpp" in first.argv
    assert second.language == "c"


def test_what_is_asked_comes_before_and_behind(write: Write, project: Path) -> None:
    (project / "mine").mkdir()
    write(entry("-std=c++14", "-Wall", "-I../include"))
    options = CompileOptions(flags=("-Wno-all",))
    [job] = jobs(include_dirs=("mine",), options=options, standards=("c++20",))
    assert [word for word in job.argv if word.startswith("-I")] == ["-I../mine", "-I../include"]
    assert job.argv.index("-Wall") < job.argv.index("-Wno-all")
    assert "-std=c++20" in job.argv


def test_a_file_in_two_ways_is_two_sources(write: Write) -> None:
    write(entry("-DA"), entry("-DB"), entry("-DB"))
    assert [source.name for source in sources()] == ["src/a.cpp", "src/a.cpp (2)"]


def test_what_is_included_first_is_sent(write: Write, project: Path) -> None:
    (project / "build/first.h").write_text('#include "made.h"\n')
    write(entry("-include", "first.h"))
    [job] = jobs()
    assert {"build/first.h", "build/made.h"} <= set(job.files)
    assert job.argv[job.argv.index("-include") + 1] == "first.h"


def test_directories_of_the_toolchain_are_named_and_not_sent(write: Write) -> None:
    write(entry("-isystem", "/usr/include", "-I/usr/lib/x/../y", "-I/nonexistent"))
    [job] = jobs()
    assert set(job.files) == {"src/a.cpp", "build/"}
    assert [word for word in job.argv if "/usr" in word] == ["-isystem/usr/include", "-I/usr/lib/y"]
    assert "-I/nonexistent" not in job.argv


def test_files_of_options_are_read(write: Write, project: Path) -> None:
    (project / "build/a.rsp").write_text("-DA '-DB=x y' @b.rsp\n")
    (project / "build/b.rsp").write_text("-I../include\n")
    write(entry("@a.rsp"))
    [source] = sources()
    assert source.entry
    assert source.entry.options.flags == ("-DA", "-DB=x y")
    assert source.entry.include_dirs == (str(project / "include"),)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"file": "../../outside/o.c"}, "o.c is not there"),
        ({"file": "/etc/passwd", "arguments": ["gcc", "-xc", "/etc/passwd"]}, "lies outside"),
        ({"arguments": ["g++", "-I/etc"]}, "/etc, which lies outside"),
        ({"arguments": ["g++", "-I../../outside"]}, "outside, which lies outside"),
        ({"arguments": ["g++", "-I../to-etc"]}, "lies outside"),
        ({"arguments": ["g++", "-include", "../../outside/o.h"]}, "lies outside"),
        ({"arguments": ["g++", "@/etc/passwd"]}, "lies outside"),
        ({"arguments": ["g++", "@loop.rsp"]}, "deep"),
        ({"arguments": ["g++", "@gone.rsp"]}, "gone.rsp is not there"),
        ({"arguments": ["g++", "-include", "gone.h"]}, "gone.h, which is to be included first, is not there"),
        ({"arguments": ["g++", "-fplugin=x.so"]}, "'-fplugin=x.so'"),
        ({"arguments": ["clang++", "-Xclang", "-load"]}, "'-Xclang'"),
        ({"arguments": ["g++", "-DA=\x1b[31m"]}, "NAME=VALUE"),
        ({"arguments": ["g++", "-std=c++99"]}, "c++99"),
        ({"arguments": ["cl.exe", "/c"]}, "cl.exe"),
        ({"arguments": ["g++", "a\0"]}, "character that no command line can have"),
        ({"arguments": ["g++", "\ud800"]}, "character that no command line can have"),
        ({"arguments": "g++"}, "no list of texts"),
        ({"arguments": [1]}, "no list of texts"),
        ({"arguments": None}, "neither a command nor arguments"),
        ({"arguments": None, "command": "g++ 'a"}, "no closing quotation"),
        ({"arguments": None, "command": 3}, "is no text"),
        ({"file": "a\nb.cpp"}, "control character"),
        ({"file": None}, "has no file"),
        ({"file": 3}, "its file is no name"),
        ({"directory": ["x"]}, "its directory is no name"),
    ],
    ids=str,
)
def test_what_is_wrong_with_an_entry_is_told_by_its_line(
    write: Write, project: Path, wrong: dict[str, Any], told: str
) -> None:
    (project / "to-etc").symlink_to("/etc")
    (project / "build/loop.rsp").write_text("@loop.rsp")
    write(entry("-DGOOD"), entry() | wrong)
    said = problem(1)
    assert said.startswith(f"check {DATABASE}:3: ")
    assert told in said
    assert "\x1b" not in said
    with FakeBackend() as backend:
        results = []
        with pytest.raises(RequestError):
            results.extend(run(CheckRequest((DATABASE,)), backend))
        assert [result.source for result in results] == ["src/a.cpp"]


def test_a_directory_outside_may_be_given(write: Write) -> None:
    write(entry("-I../../outside"))
    [source] = sources(include_dirs=("../outside",))
    assert source.entry
    assert source.entry.problem is None


def test_a_source_that_is_a_link_to_elsewhere_is_not_read(write: Write, project: Path) -> None:
    (project / "src/link.c").symlink_to("/etc/passwd")
    write(entry(file="../src/link.c"), entry())
    with FakeBackend() as backend, pytest.raises(SourceError, match="leaves the directories given"):
        list(run(CheckRequest((DATABASE,)), backend))
    assert not any("root:" in text.decode() for job in backend.jobs for text in job.files.values())


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", 1),
        ("{}", 1),
        ("\n\n[{]", 3),
        ('[\n{"file":\n}]', 3),
        ("[" * 200_000, 1),
        ('[{"a":' * 100_000, 1),
        ("[\n1" + "1" * 5000 + "]", 2),
        ("[\n\xff]", 2),
    ],
    ids=["empty", "object", "broken", "broken-later", "deep", "deep-objects", "number", "bytes"],
)
def test_what_is_no_database_is_told_at_once_by_its_line(project: Path, text: str, line: int) -> None:
    (project / DATABASE).write_bytes(text.encode("latin-1"))
    with pytest.raises(SourceError, match=rf"^check {DATABASE}:{line}: "):
        sources()


def test_what_is_broken_behind_the_first_entries_costs_them_nothing(project: Path) -> None:
    (project / DATABASE).write_text(f"[\n{json.dumps(entry())},\n{{]")
    assert [bool(source.entry and source.entry.problem) for source in sources()] == [False, True]
    assert f"{DATABASE}:3: here it is no JSON" in problem(1)


def test_a_million_entries_are_not_read(project: Path) -> None:
    (project / DATABASE).write_text("[" + ",".join(["1"] * 1_000_000) + "]")
    with pytest.raises(SourceError, match=r"more than|100001"):
        sources()


def test_a_standard_that_the_compiler_does_not_know_is_no_answer(write: Write) -> None:
    """And not one at another standard."""
    write(entry("-std=c++26"), entry(file="../src/b.c", compiler="gcc"))
    results = []
    with FakeBackend() as backend, pytest.raises(UnknownStandard, match=r"c\+\+26"):
        results.extend(run(CheckRequest((DATABASE,)), backend))
    assert [result.source for result in results] == ["src/b.c"]


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.dictionaries(st.sampled_from(["file", "directory", "command", "arguments", "output"]), inner)
        ),
        max_leaves=12,
    )
)
def test_any_json_is_told_of_or_checked(project: Path, said: Any) -> None:
    (project / DATABASE).write_text(json.dumps([said, entry()]))
    assert any(source.name == "src/a.cpp" for source in sources())
