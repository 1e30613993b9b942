"""What tests of hostile sources share."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest

from willitcompile.backends.sandbox.workspace import remove_tree

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def soon() -> Iterator[None]:
    """For what took more than a minute once, and takes less than a second now: fails after ten."""

    def too_slow(*_: object) -> None:
        pytest.fail("it took ten seconds")

    before = signal.signal(signal.SIGALRM, too_slow)
    signal.alarm(10)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture
def deep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The current directory has `d/d/…/d/x.h`, 1,500 directories deep; gives that path."""
    monkeypatch.chdir(tmp_path)
    for _ in range(1500):
        os.mkdir("d")
        os.chdir("d")
    open("x.h", "w").close()
    os.chdir(tmp_path)
    yield "d/" * 1500 + "x.h"
    remove_tree(str(tmp_path / "d"))  # pytest cannot
