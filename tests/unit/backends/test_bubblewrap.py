"""The command line of bubblewrap."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from willitcompile.backends.sandbox.bubblewrap import bubblewrap_arguments

if TYPE_CHECKING:
    from pathlib import Path


def words(**changed: object) -> list[str]:
    given = {
        "readable": (), "links": (), "source": "/dev/shm/job/src", "seeds": (), "workdir": ".", "tmp_bytes": 1000,
    } | changed  # fmt: skip
    return [os.fsdecode(word) for word in bubblewrap_arguments(**given).split(b"\0")[:-1]]  # type: ignore[arg-type]


def pairs(found: list[str], option: str) -> list[tuple[str, str]]:
    return [(found[i + 1], found[i + 2]) for i, word in enumerate(found) if word == option]


def test_every_namespace_is_left() -> None:
    found = words()
    for name in ("user", "pid", "net", "ipc", "uts"):
        assert f"--unshare-{name}" in found
    assert "--share-net" not in found
    assert "--die-with-parent" in found


def test_what_can_be_written_is_tmp_alone() -> None:
    found = words(readable=("/usr/include",))
    assert {"--bind", "--proc", "--dev", "--dev-bind-try"}.isdisjoint(found)
    assert [destination for _, destination in pairs(found, "--dev-bind")] == ["/dev/null", "/dev/zero", "/dev/urandom"]
    assert found[found.index("--remount-ro") + 1] == "/"
    assert found[found.index("--size") + 1 : found.index("--size") + 4] == ["1000", "--tmpfs", "/work/tmp"]


def test_a_link_is_shown_as_a_link(tmp_path: Path) -> None:
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib64").symlink_to("lib")
    found = words(readable=(str(tmp_path / "lib"), str(tmp_path / "lib64")))
    assert (str(tmp_path / "lib"), str(tmp_path / "lib")) in pairs(found, "--ro-bind")
    assert ("lib", str(tmp_path / "lib64")) in pairs(found, "--symlink")


def test_what_has_gone_since_it_was_found_is_left_out(tmp_path: Path) -> None:
    assert str(tmp_path / "gone") not in words(readable=(str(tmp_path / "gone"),))


def test_names_that_are_no_text_survive() -> None:
    assert os.fsdecode(b"/work/src/\xff") in words(workdir=os.fsdecode(b"\xff"))
