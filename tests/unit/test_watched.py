"""What is watched is what a compile looks at, and every change of it is noticed, whoever makes it and however."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from willitcompile.backends.fake import FakeBackend
from willitcompile.checker import run
from willitcompile.errors import SourceError
from willitcompile.planning import CheckRequest, find, plan
from willitcompile.watched import SEARCH, Watched

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(path: Path, text: str = "") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def saved_by_rename(path: Path, text: str) -> None:
    """As most editors do."""
    write(path.with_name("temporary"), text)
    os.replace(path.with_name("temporary"), path)


def checked(*paths: str, **more: Any) -> Watched:
    """What is watched when these have been checked once."""
    watched = Watched()
    request = CheckRequest(paths, on_look=watched.look, **more)
    with FakeBackend() as backend:
        try:
            list(run(request, backend, checks=plan(request, backend, find(request))))
        except SourceError:
            pass
    assert not watched.outdated()
    return watched


class TestAChange:
    @pytest.mark.parametrize("save", [write, saved_by_rename])
    def test_of_a_header_is_one_of_those_who_include_it(self, project: Path, save: Callable[[Path, str], None]) -> None:
        write(project / "a.c", '#include "x.h"')
        write(project / "b.c", '#include "y.h"')
        write(project / "x.h", '#include "deep.h"')
        write(project / "y.h")
        write(project / "deep.h")
        watched = checked("a.c", "b.c")
        save(project / "deep.h", "int x;")
        assert watched.outdated() == {"a.c"}
        changes = watched.take()
        assert (changes.sources, changes.paths) == ({"a.c"}, {str(project / "deep.h")})
        assert not watched.outdated()

    def test_of_a_file_that_is_deleted_and_made_again_is_two(self, project: Path) -> None:
        write(project / "a.c")
        watched = checked("a.c")
        (project / "a.c").unlink()
        assert watched.take().sources == {"a.c"}
        write(project / "a.c")
        assert watched.take().sources == {"a.c"}

    def test_may_be_that_a_missing_include_is_there(self, project: Path) -> None:
        write(project / "a.c", '#include "sub/x.h"')
        watched = checked("a.c")
        write(project / "other.h")
        assert not watched.outdated()
        write(project / "sub/x.h")
        assert watched.take().sources == {"a.c"}

    def test_may_be_that_another_file_is_found_first(self, project: Path) -> None:
        write(project / "a.c", "#include <x.h>")
        write(project / "new/y.h")
        write(project / "old/x.h")
        watched = checked("a.c", include_dirs=("new", "old"))
        write(project / "new/x.h")
        assert watched.take().sources == {"a.c"}

    def test_of_where_a_link_leads_is_one(self, project: Path) -> None:
        write(project / "a.c", '#include "x.h"')
        write(project / "one.h", "1")
        write(project / "two.h", "2")
        (project / "x.h").symlink_to("one.h")
        watched = checked("a.c")
        (project / "x.h").unlink()
        (project / "x.h").symlink_to("two.h")
        assert watched.take().sources == {"a.c"}

    def test_of_the_same_size_and_time_is_one(self, project: Path) -> None:
        """As `cp -p` and `tar` make it."""
        write(project / "a.c", "int x;")
        before = (project / "a.c").stat()
        watched = checked("a.c")
        saved_by_rename(project / "a.c", "int y;")
        os.utime(project / "a.c", ns=(before.st_atime_ns, before.st_mtime_ns))
        assert watched.outdated() == {"a.c"}

    def test_of_a_go_package_is_one_of_its_other_files_too(self, project: Path) -> None:
        write(project / "p/a.go", "package p\n")
        watched = checked("p/a.go")
        write(project / "p/.a.go.swp")
        write(project / "p/a.go~")
        assert not watched.outdated()
        write(project / "p/b.go", "package p\n")
        changes = watched.take()
        assert (changes.sources, changes.paths) == ({"p/a.go"}, {str(project / "p/b.go")})

    def test_of_what_project_a_go_file_belongs_to_is_one(self, project: Path) -> None:
        write(project / "cmd/a.go", "package main\n")
        watched = checked("cmd/a.go")
        write(project / "go.mod", "module example.org/x\n")
        assert watched.outdated() == {"cmd/a.go"}

    def test_of_a_rust_module_is_one_of_its_crate(self, project: Path) -> None:
        write(project / "main.rs", "mod a;\nfn main() {}\n")
        watched = checked("main.rs")
        write(project / "a.rs")
        assert watched.take().sources == {"main.rs"}
        watched = checked("main.rs")
        write(project / "a.rs", "pub fn f() {}\n")
        assert watched.take().sources == {"main.rs"}

    def test_of_a_source_that_cannot_be_checked_is_one(self, project: Path) -> None:
        (project / "a.c").write_bytes(b"\0")
        write(project / "b.c")
        watched = checked(".")
        write(project / "a.c", "int x;")
        assert watched.take().sources == {"./a.c"}

    def test_of_an_include_directory_is_noticed_when_it_comes_back(self, project: Path) -> None:
        write(project / "a.c")
        write(project / "include/x.h")
        watched = Watched()
        request = CheckRequest(("a.c",), include_dirs=("include",), on_look=watched.look)
        with FakeBackend() as backend:
            checks = plan(request, backend)
            watched.forget({"a.c"})
            (project / "include/x.h").unlink()
            (project / "include").rmdir()
            with pytest.raises(SourceError):
                list(run(request, backend, checks=checks))
        assert not watched.outdated()
        (project / "include").mkdir()
        assert watched.take().sources == {"a.c"}
        write(project / "include/y.h")
        assert not watched.outdated()

    def test_of_what_a_directory_holds_is_one_of_the_search(self, project: Path) -> None:
        write(project / "src/a.c")
        watched = checked("src")
        write(project / "src/notes.txt")
        assert watched.take() == (frozenset(), {SEARCH})
        (project / "src/sub").mkdir()
        assert watched.take().sources == {SEARCH}
        (project / "src/a.c").unlink()
        changes = watched.take()
        assert (changes.sources, changes.paths) == ({SEARCH, "src/a.c"}, {str(project / "src/a.c")})


def test_what_is_forgotten_is_watched_for_others_only(project: Path) -> None:
    write(project / "a.c", '#include "x.h"\n#include "only.h"')
    write(project / "b.c", '#include "x.h"')
    watched = checked("a.c", "b.c")
    watched.forget({"a.c"})
    write(project / "only.h")
    assert not watched.outdated()
    write(project / "x.h")
    assert watched.take().sources == {"b.c"}
    watched.forget({"b.c"})
    assert len(watched) == 0


def test_what_changes_while_it_is_compiled_is_outdated(project: Path) -> None:
    """The state that counts is the one before a file was read."""
    write(project / "a.c", '#include "x.h"')
    watched = Watched()

    def look_and_save(source: str, path: str) -> None:
        watched.look(source, path)
        if path == str(project / "x.h") and not (project / "x.h").exists():
            write(project / "x.h", "int x;")

    request = CheckRequest(("a.c",), on_look=look_and_save)
    with FakeBackend() as backend:
        list(run(request, backend))
    assert watched.outdated() == {"a.c"}


NAMES = st.sampled_from(["a.h", "b.h", "sub/c.h", "main.c"])
ACTS = st.sampled_from(["write", "rename", "delete"])


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.tuples(ACTS, NAMES), min_size=1, max_size=4))
def test_a_source_is_outdated_as_soon_as_what_it_is_made_of_is_different(
    tmp_path: Path, acts: list[tuple[str, str]]
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        write(tmp_path / "main.c", '#include "a.h"\n#include "b.h"\n#include "sub/c.h"\n')
        for name in ("a.h", "b.h", "sub/c.h"):
            (tmp_path / name).unlink(missing_ok=True)
        watched = checked("main.c")
        before = contents(tmp_path)
        for number, (act, name) in enumerate(acts):
            if act == "delete":
                (tmp_path / name).unlink(missing_ok=True)
            else:
                {"write": write, "rename": saved_by_rename}[act](tmp_path / name, "//" + "x" * number)
        if contents(tmp_path) != before:
            assert watched.take().sources == {"main.c"}
        assert not watched.take().sources


def contents(directory: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in directory.rglob("*") if path.suffix in {".c", ".h"}}
