"""Where jobs are laid out: nothing is written outside of it, and all of it can be removed."""

from __future__ import annotations

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
    root = Path(session.stage("job", {"main.c": b"int x;", "a/b/c.h": b"\xff", "empty/dir/": b"", "a/d.h": b""}))
    found = {str(path.relative_to(root / "src")) for path in (root / "src").rglob("*")}
    assert found == {"main.c", "a", "a/b", "a/b/c.h", "a/d.h", "empty", "empty/dir"}
    assert (root / "src/a/b/c.h").read_bytes() == b"\xff"
    assert list((root / "tmp").iterdir()) == []


@pytest.mark.parametrize(
    "path", ["../x", "/x", "a/../../x", "a//b", "./x", "a/./b", "..", ".", "a/..", "x\0y", "../a/"]
)
def test_a_path_that_leads_out_is_refused(session: Session, path: str) -> None:
    with pytest.raises(ValueError, match="not a path inside"):
        session.stage("job", {path: b""})


@given(st.lists(st.text(st.sampled_from("ab./\0-\n"), max_size=12), max_size=4))
def test_no_path_writes_outside(tmp_path_factory: pytest.TempPathFactory, paths: list[str]) -> None:
    base = tmp_path_factory.mktemp("base")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(workspace, "workspace_base", lambda: str(base))
        session = Session()
    try:
        session.stage("job", dict.fromkeys(paths, b"x"))
    except (ValueError, OSError):
        pass  # refused, or a file where a directory has to be
    finally:
        os.close(session.lock)
    outside = [path for path in base.rglob("*") if not path.is_relative_to(f"{session.path}/job/src")]
    assert {str(path.relative_to(base)) for path in outside} <= {
        session.name, f"{session.name}/job", f"{session.name}/job/src", f"{session.name}/job/tmp",
    }  # fmt: skip


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
    assert workspace.stale_sessions() == []
    os.close(session.lock)
    assert workspace.stale_sessions() == [session.path]
    session.lock = os.open(session.path, os.O_RDONLY)
