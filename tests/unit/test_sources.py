"""Sources are read safely, and laid out as the user sees them."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.users import as_ordinary_user, open_to_all
from willitcompile.backends.sandbox.workspace import remove_tree
from willitcompile.errors import SourceError
from willitcompile.files import below, files_below, read_regular, relative
from willitcompile.sources import SizeLimits, SourceTree

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    directory = tmp_path / "project"
    (directory / "src").mkdir(parents=True)
    (directory / "include").mkdir()
    (directory / "src/main.cpp").write_text("int main() {}\n")
    (directory / "include/x.h").write_text("int x;\n")
    monkeypatch.chdir(directory)
    return directory


def refusal(main: str, **more: object) -> SourceError:
    with pytest.raises(SourceError) as caught:
        SourceTree(main, **more)  # type: ignore[arg-type]
    assert caught.value.asked
    assert caught.value.obstacle
    assert caught.value.remedy
    return caught.value


class TestTheMainFile:
    def test_is_read(self, project: Path) -> None:
        assert SourceTree("src/main.cpp").content == b"int main() {}\n"

    def test_need_not_be_utf8_in_name_or_content(self, project: Path) -> None:
        name = os.fsdecode(b"caf\xe9.c")
        (project / name).write_bytes(b"// \xff\xfe\n")
        tree = SourceTree(name)
        tree.send(tree.main)
        assert tree.unit("c").files == {name: b"// \xff\xfe\n"}

    @pytest.mark.parametrize(
        ("name", "obstacle"),
        [
            ("", "empty"),
            ("missing.c", "no such file"),
            ("src/main.cpp/x.c", "no such file"),
            ("src", "directory"),
            ("a\nb.c", "control character"),
            ("a\0b.c", "control character"),
            ("x" * 5000, "too long"),
        ],
    )
    def test_that_is_none_is_refused(self, project: Path, name: str, obstacle: str) -> None:
        assert obstacle in refusal(name).obstacle

    def test_that_is_a_pipe_or_a_socket_is_refused_without_waiting(self, project: Path) -> None:
        os.mkfifo("pipe.c")
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind("socket.c")
            for name in ("pipe.c", "socket.c", "/dev/null"):
                assert "regular" in refusal(name).obstacle

    def test_that_is_binary_is_refused(self, project: Path) -> None:
        (project / "a.c").write_bytes("int x;".encode("utf-16"))
        error = refusal("a.c")
        assert "binary" in error.obstacle
        assert "iconv" in error.remedy

    def test_that_may_not_be_read_is_refused(self, project: Path) -> None:
        (project / "a.c").touch(0o000)
        open_to_all(project)
        assert "permission" in as_ordinary_user(lambda: refusal("a.c").obstacle)

    def test_that_is_too_large_is_refused(self, project: Path) -> None:
        (project / "a.c").write_bytes(b" " * 11)
        limits = SizeLimits(file_bytes=10)
        assert refusal("a.c", limits=limits).obstacle == "it has more than 10 bytes"
        (project / "a.c").write_bytes(b" " * 10)
        assert len(SourceTree("a.c", limits=limits).content) == 10

    def test_is_not_read_from_a_directory_that_is_gone(self, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(project / "include")
        (project / "include/x.h").unlink()
        (project / "include").rmdir()
        error = refusal("x.h")
        assert (error.obstacle, error.remedy) == ("the current directory is gone", "cd somewhere else")

    def test_may_be_a_link_within_its_directory_but_not_out_of_it(self, project: Path) -> None:
        (project / "src/link.cpp").symlink_to("main.cpp")
        assert SourceTree("src/link.cpp").content
        (project / "src/out.cpp").symlink_to("../include/x.h")
        error = refusal("src/out.cpp")
        assert "link" in error.obstacle
        assert "include/x.h" in error.remedy
        assert SourceTree("src/out.cpp", roots=["include"]).content == b"int x;\n"

    def test_may_be_on_no_disk(self, project: Path) -> None:
        tree = SourceTree("stdin.cpp", virtual={"stdin.cpp": b"int x;"})
        tree.send(tree.main)
        unit = tree.unit("c++")
        assert (unit.files, unit.main, unit.workdir) == ({"stdin.cpp": b"int x;"}, ("stdin.cpp",), ".")

    def test_without_a_disk_nothing_else_is_seen(self, project: Path) -> None:
        tree = SourceTree("a.c", virtual={"a.c": b"", "sub/b.h": b"b"}, roots=["."], disk=False)
        assert tree.read(tree.absolute("src/main.cpp")) is None
        assert not tree.is_dir(tree.absolute("src"))
        assert tree.names(tree.cwd) == ["a.c"]
        assert tree.directories(tree.cwd) == ["sub"]
        assert "no such" in refusal("src/main.cpp", virtual={"a.c": b""}, disk=False).obstacle


class TestOtherFiles:
    def test_outside_of_the_roots_are_not_read_and_noted(self, project: Path) -> None:
        tree = SourceTree("src/main.cpp")
        assert tree.read(tree.absolute("include/x.h"), "src/main.cpp:3 includes ../include/x.h") is None
        assert tree.notes == [
            "src/main.cpp:3 includes ../include/x.h, which lies outside of the directories given: add -I include"
        ]

    def test_in_a_root_are_read(self, project: Path) -> None:
        tree = SourceTree("src/main.cpp", roots=["include"])
        assert tree.read(tree.absolute("include/x.h")) == b"int x;\n"

    def test_that_are_missing_leave_no_note(self, project: Path) -> None:
        tree = SourceTree("src/main.cpp")
        assert tree.read(tree.absolute("src/y.h"), "src/main.cpp:1 includes y.h") is None
        assert tree.notes == []

    def test_behind_a_link_out_of_the_roots_are_not_read(self, project: Path) -> None:
        (project / "src/link.h").symlink_to("../include/x.h")
        (project / "src/dir").symlink_to("../include")
        tree = SourceTree("src/main.cpp")
        for name in ("src/link.h", "src/dir/x.h"):
            assert tree.read(tree.absolute(name), name) is None
        assert len(tree.notes) == 2
        assert not tree.is_dir(tree.absolute("src/dir"))

    def test_behind_a_link_are_not_read_when_the_directory_is_known_already(self, project: Path) -> None:
        (project / "src/dir").symlink_to("../include")
        tree = SourceTree("src/main.cpp")
        assert tree.inside(tree.absolute("src"))
        assert not tree.inside(tree.absolute("src/dir"))
        assert tree.names(tree.absolute("src/dir")) == []

    def test_that_are_pipes_are_not_waited_for(self, project: Path) -> None:
        os.mkfifo("src/pipe.h")
        tree = SourceTree("src/main.cpp")
        assert tree.read(tree.absolute("src/pipe.h"), "x") is None
        assert "regular" in tree.notes[0]

    def test_that_are_too_large_are_an_error(self, project: Path) -> None:
        (project / "src/large.h").write_bytes(b" " * 100)
        tree = SourceTree("src/main.cpp", limits=SizeLimits(file_bytes=20))
        with pytest.raises(SourceError, match=r"large\.h"):
            tree.read(tree.absolute("src/large.h"))

    def test_that_are_too_many_bytes_together_are_an_error(self, project: Path) -> None:
        tree = SourceTree("src/main.cpp", limits=SizeLimits(unit_bytes=20))
        tree.send(tree.main)
        with pytest.raises(SourceError, match="more than"):
            tree.add(tree.absolute("src/y.h"), b" " * 10)

    def test_are_counted_once_when_sent_twice(self, project: Path) -> None:
        tree = SourceTree("src/main.cpp", limits=SizeLimits(unit_bytes=20))
        tree.send(tree.main)
        tree.send(tree.main)
        assert tree.room() == 6

    def test_that_became_links_while_they_were_opened_are_not_read(self, project: Path) -> None:
        (project / "link.h").symlink_to("include/x.h")
        assert read_regular("link.h", 100) is None
        root = os.path.realpath("src")
        assert read_regular(os.path.realpath("include/x.h"), 100, [root]) is None


class TestIncludeDirectories:
    def test_must_exist_and_be_directories(self, project: Path) -> None:
        assert "no such" in refusal("src/main.cpp", include_dirs=["nowhere"]).obstacle
        assert "not a directory" in refusal("src/main.cpp", include_dirs=["include/x.h"]).obstacle
        assert refusal("src/main.cpp", include_dirs=[""])
        assert refusal("src/main.cpp", include_dirs=["a\nb"])

    def test_exist_in_the_job_though_they_are_empty(self, project: Path) -> None:
        (project / "empty").mkdir()
        tree = SourceTree("src/main.cpp", include_dirs=["empty", "include"])
        tree.send(tree.main)
        unit = tree.unit("c++")
        assert set(unit.files) == {"src/main.cpp", "empty/", "include/"}
        assert unit.include_dirs == ("empty", "include")


class TestTheLayout:
    def laid_out(self, main: str, *sent: str, **more: object) -> tuple[list[str], tuple[str, ...], str, str]:
        tree = SourceTree(main, **more)  # type: ignore[arg-type]
        tree.send(tree.main)
        for name in sent:
            tree.send(tree.absolute(name))
        unit = tree.unit("c++")
        return sorted(unit.files), unit.main, unit.workdir, unit.prefix

    def test_below_the_working_directory(self, project: Path) -> None:
        assert self.laid_out("src/main.cpp") == (["src/main.cpp"], ("src/main.cpp",), ".", "")
        assert self.laid_out(f"{project}/src/main.cpp") == (["src/main.cpp"], ("src/main.cpp",), ".", "")

    def test_beside_the_working_directory(self, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(project / "src")
        assert self.laid_out("main.cpp", "../include/x.h", include_dirs=["../include"]) == (
            ["include/x.h", "src/main.cpp"],
            ("main.cpp",),
            "src",
            "",
        )
        monkeypatch.chdir(project / "include")
        assert self.laid_out("../src/main.cpp") == (
            ["include/", "src/main.cpp"],
            ("../src/main.cpp",),
            "include",
            "",
        )

    def test_elsewhere_has_no_path_of_the_host(self, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir("/usr")
        assert self.laid_out(f"{project}/src/main.cpp") == (["main.cpp"], ("main.cpp",), ".", f"{project}/src/")

    @pytest.mark.parametrize("name", ["-o.c", "@file.c"])
    def test_no_name_is_an_option(self, project: Path, name: str) -> None:
        (project / name).touch()
        assert self.laid_out("./" + name)[1] == ("./" + name,)
        assert self.laid_out(name)[1] == ("./" + name,)

    def test_a_mentioned_directory_exists(self, project: Path) -> None:
        (project / "src/sub").mkdir()
        tree = SourceTree("src/main.cpp")
        tree.send(tree.main)
        tree.mention(tree.absolute("src/sub"))
        tree.mention(tree.absolute("src/not"))
        assert set(tree.unit("c++").files) == {"src/main.cpp", "src/sub/"}

    @given(st.lists(st.text("abc/.", min_size=1, max_size=8).filter(lambda name: name.strip("/.")), max_size=6))
    def test_every_path_of_a_job_is_relative_and_normalised(self, names: list[str]) -> None:
        virtual = {name.lstrip("/"): b"x" for name in ["m.c", *names]}
        tree = SourceTree("m.c", virtual=virtual, cwd="/home/me/project", disk=False)
        for name in virtual:
            tree.send(tree.absolute(name))
        unit = tree.unit("c")
        for path in (*unit.files, unit.workdir):
            assert not path.startswith("/")
            assert os.path.normpath(path) == path.rstrip("/")
            assert path.split("/")[0] != ".."
        for main in unit.main:
            assert os.path.normpath(os.path.join(unit.workdir, main)) in unit.files


class TestADirectory:
    def test_is_walked_in_order_without_links_hidden_and_foreign_directories(self, project: Path) -> None:
        (project / "src/b.c").touch()
        (project / "src/a").mkdir()
        (project / "src/a/z.c").touch()
        (project / "src/.git").mkdir()
        (project / "src/.git/x.c").touch()
        (project / "src/node_modules").mkdir()
        (project / "src/node_modules/x.c").touch()
        (project / "src/inner.c").symlink_to("b.c")
        (project / "src/outer.c").symlink_to("../include/x.h")
        (project / "src/loop").symlink_to(".")
        os.mkfifo("src/pipe.c")
        found = ["src/a/z.c", "src/b.c", "src/inner.c", "src/main.cpp", "src/outer.c", "src/pipe.c"]
        assert list(files_below("src")) == found, "what cannot be read is for its reader to tell"
        assert list(files_below("./include/")) == ["./include/x.h"]

    def test_that_is_nested_deep_is_walked_to_its_end(self, project: Path) -> None:
        before = os.getcwd()
        for _ in range(1500):
            os.mkdir("d")
            os.chdir("d")
        open("x.c", "w").close()
        os.chdir(before)
        found = [name for name in files_below("d") if name.endswith("x.c")]
        remove_tree("d")  # pytest cannot
        assert len(found) == 1

    def test_that_may_not_be_read_is_an_error(self, project: Path) -> None:
        (project / "src/private").mkdir(0o000)
        open_to_all(project)

        def refused() -> str:
            try:
                return str(list(files_below("src")))
            except SourceError as error:
                return f"{error.asked}: {error.obstacle}"

        assert as_ordinary_user(refused) == "check the directory src/private: cannot be read: permission denied"

    def test_that_is_missing_is_an_error(self, project: Path) -> None:
        for name in ("nowhere", "src/main.cpp", "a\0b"):
            with pytest.raises(SourceError):
                list(files_below(name))


parts = st.lists(st.sampled_from(["a", "b", "ab", "a-b"]), max_size=4)


@given(parts, parts)
def test_below_agrees_with_the_parts_of_a_path(path: list[str], directory: list[str]) -> None:
    assert below("/" + "/".join(path), "/" + "/".join(directory)) == (path[: len(directory)] == directory)


@given(parts, parts)
def test_relative_undoes_join(directory: list[str], path: list[str]) -> None:
    base = "/" + "/".join(directory)
    assert relative(os.path.join(base, *path).rstrip("/") or "/", base) == ("/".join(path) or ".")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(max_size=30))
def test_any_name_at_all_is_read_or_refused(project: Path, name: str) -> None:
    try:
        tree = SourceTree(name)
    except SourceError:
        return
    assert isinstance(tree.content, bytes)
