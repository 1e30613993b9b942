"""Where jobs are laid out: nothing is written outside of it, and all of it can be removed."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from willitcompile.backends.sandbox import workspace
from willitcompile.backends.sandbox.workspace import Session, remove_tree

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Session]:
    monkeypatch.setattr(workspace, "workspace_base", lambda: str(tmp_path))
    made = Session()
    yield made
    os.close(made.lock)


def test_files_are_laid_out_with_their_directories(session: Session) -> None:
    root = Path(session.stage({"main.c": b"int x;", "a/b/c.h": b"\xff", "empty/dir/": b"", "a/d.h": b""}))
    found = {str(path.relative_to(root / "src")) for path in (root / "src").rglob("*")}
    assert found == {"main.c", "a", "a/b", "a/b/c.h", "a/d.h", "empty", "empty/dir"}
    assert (root / "src/a/b/c.h").read_bytes() == b"\xff"
    assert list((root / "tmp").iterdir()) == []


@pytest.mark.parametrize(
    "path", ["../x", "/x", "a/../../x", "a//b", "./x", "a/./b", "..", ".", "a/..", "x\0y", "../a/"]
)
def test_a_path_that_leads_out_is_refused(session: Session, path: str) -> None:
    with pytest.raises(ValueError, match="not a path inside"):
        session.stage({path: b""})


@given(st.lists(st.text(st.sampled_from("ab./\0-\n"), max_size=12), max_size=4))
def test_no_path_writes_outside(tmp_path_factory: pytest.TempPathFactory, paths: list[str]) -> None:
    base = tmp_path_factory.mktemp("base")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(workspace, "workspace_base", lambda: str(base))
        session = Session()
    try:
        session.stage(dict.fromkeys(paths, b"x"))
    except (ValueError, OSError):
        pass  # refused, or a file where a directory has to be
    finally:
        os.close(session.lock)
    found = [path.relative_to(base) for path in base.rglob("*")]
    assert all(path.parts[0] == session.name for path in found)
    assert all(path.parts[2] in {"src", "tmp"} for path in found if len(path.parts) > 2)


def test_a_link_is_removed_and_what_it_leads_to_is_not(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "file").write_text("")
    tree = tmp_path / "tree"
    (tree / "below").mkdir(parents=True)
    (tree / "below/link").symlink_to(kept)
    (tree / "below").chmod(0)
    remove_tree(str(tree))
    assert not tree.exists()
    assert (kept / "file").exists()


def test_a_link_in_the_place_of_the_tree_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "kept")
    remove_tree(str(tmp_path / "link"))
    assert (tmp_path / "kept").exists()


def test_a_session_is_stale_when_its_lock_is_gone(session: Session) -> None:
    assert workspace.clear_stale_sessions() == []
    os.close(session.lock)
    assert workspace.clear_stale_sessions() == [session.path]
    assert not Path(session.path).exists()
    session.lock = os.open("/", os.O_RDONLY)


def test_what_is_cleared_before_it_is_locked_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "session"
    lock = fcntl.flock
    turns = []

    def too_late(fd: int, operation: int) -> None:
        if not turns:
            path.rmdir()
        turns.append(fd)
        lock(fd, operation)

    monkeypatch.setattr(fcntl, "flock", too_late)
    fd = workspace.make_locked(str(path), 0o711)
    assert len(turns) == 2
    assert os.fstat(fd).st_ino == path.stat().st_ino
    os.close(fd)


def test_the_umask_does_not_close_a_job_to_its_own_user(session: Session) -> None:
    before = os.umask(0o077)
    try:
        root = Path(session.stage({"a/b.c": b"int x;"}))
    finally:
        os.umask(before)
    modes = [path.stat().st_mode & 0o777 for path in (root, root / "src", root / "src/a", root / "src/a/b.c")]
    assert modes == [0o755, 0o755, 0o755, 0o644]


def test_others_cannot_find_the_sources_of_a_job(session: Session) -> None:
    root = Path(session.stage({"a.c": b"int x;"}))
    assert not Path(session.path).stat().st_mode & 0o044
    assert session.name not in root.name
    assert root.name != Path(session.stage({})).name
