"""Habits from compilers: -o and flags that begin as an option of ours does."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from willitcompile.backends.fake import FakeBackend
from willitcompile.cli import run

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ok.c").write_text("int x;\n")
    return tmp_path


def check(*arguments: str) -> int:
    return run(["check", *arguments], lambda *_: FakeBackend())


def test_the_report_is_not_written_over_a_source(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert check("ok.c", "-o", "ok.c") == 2
    assert (here / "ok.c").read_text() == "int x;\n"
    assert "that is a source" in capsys.readouterr().err


@pytest.mark.parametrize("flag", ["-fPIC", "-fplugin=x.so", "-specs=foo", "-save-temps", "-lm"])
def test_a_flag_of_the_compiler_is_told_how_to_be_written(flag: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert check("ok.c", flag) == 2
    assert f"write: --flag={flag}" in capsys.readouterr().err
