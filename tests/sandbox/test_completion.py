"""Completion in bash, zsh and fish, each installed as a user does it, and asked as its Tab key does."""

from __future__ import annotations

import os
import pty
import re
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.sandbox

PATIENCE = 20.0
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b[=>]|.\x08")
"""What a terminal is told beside text."""

CASES = [
    ("check main.cpp -c rustc-1.8", {"rustc-1.85"}),
    ("check -c clang,gcc-1", {"clang,gcc-10", "clang,gcc-11", "clang,gcc-12", "clang,gcc-13", "clang,gcc-14"}),
    ("check -l rust -s 20", {"2015", "2018", "2021", "2024"}),
    ("check -b k", {"kubernetes"}),
    ("check -f ju", {"junit"}),
    ("batch --order i", {"input"}),
    ("images build clang-2", {"clang-22"}),
    ("minim", {"minimum"}),
]


def environment(home: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("XDG_", "ZDOTDIR", "BASH_"))}
    return {**kept, "HOME": str(home), "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "TERM": "xterm"}


@pytest.fixture(scope="module")
def home(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """`home("fish")`: one in which completion for that shell is installed."""

    def make(shell: str) -> Path:
        if not shutil.which(shell):
            request.getfixturevalue("unavailable")("sandbox", f"there is no {shell}", f"apt-get install {shell}")
        directory = tmp_path_factory.mktemp(shell)
        # The shell is known by which one has started it, which must not give way to it.
        subprocess.run(
            [shell, "-c", "will-it-compile --install-completion; true"],
            env=environment(directory),
            check=True,
            capture_output=True,
        )
        return directory

    return make


@pytest.fixture(scope="module")
def bash_home(home: Callable[[str], Path]) -> Path:
    return home("bash")


@pytest.fixture(scope="module")
def fish_home(home: Callable[[str], Path]) -> Path:
    return home("fish")


@pytest.mark.parametrize(("typed", "offered"), CASES)
def test_bash(bash_home: Path, typed: str, offered: set[str]) -> None:
    words = ["will-it-compile", *typed.split()]
    script = (
        f'source "$HOME/.bashrc"; COMP_WORDS=({" ".join(words)}); COMP_CWORD={len(words) - 1}; '
        "_will_it_compile_completion will-it-compile; "  # with its name, as bash calls it
        'printf "%s\\n" "${COMPREPLY[@]}"'
    )
    done = subprocess.run(
        ["bash", "--norc", "-c", script], env=environment(bash_home), capture_output=True, text=True, check=True
    )
    assert set(done.stdout.split()) == offered, done.stderr


@pytest.mark.parametrize(("typed", "offered"), CASES)
def test_fish(fish_home: Path, typed: str, offered: set[str]) -> None:
    done = subprocess.run(
        ["fish", "-c", f'complete -C "will-it-compile {typed}"'],
        env=environment(fish_home),
        capture_output=True,
        text=True,
        check=True,
    )
    assert {line.split("\t")[0] for line in done.stdout.splitlines()} == offered, done.stderr


def test_zsh(home: Callable[[str], Path]) -> None:
    """An interactive one at a terminal: zsh completes nowhere else."""
    directory = home("zsh")
    with (directory / ".zshrc").open("a") as file:
        # Where others may write beside what root reads, it would ask.
        file.write("\ncompinit -u\nPS1='ready> '\nLISTMAX=1000\n")
    master, slave = pty.openpty()
    process = subprocess.Popen(
        ["zsh", "-i"], stdin=slave, stdout=slave, stderr=slave, env=environment(directory), start_new_session=True
    )
    os.close(slave)
    said = ""

    def until(pattern: str) -> None:
        nonlocal said
        end = time.monotonic() + PATIENCE
        while not re.search(pattern, ESCAPES.sub("", said)):
            assert select.select([master], [], [], max(0, end - time.monotonic()))[0], said
            said += os.read(master, 65536).decode(errors="replace")

    try:
        until("ready> ")
        # The first Tab of a session may only have it loaded, and ring the bell.
        os.write(master, b"will-it-compile minim\t")
        until(r"minimum |\x07")
        if "\x07" in said:
            said = ""
            os.write(master, b"\t")
            until(r"um ")
        for typed, expected in (
            ("check main.cpp -c rustc-1.8", r"rustc-1\.85 "),
            ("check -b k", r"kubernetes "),
            ("check -c gcc-1", r"gcc-10(?s:.)*gcc-14|gcc-14(?s:.)*gcc-10"),
        ):
            said = ""
            # What was there before is taken away with Ctrl-U.
            os.write(master, f"\x15will-it-compile {typed}\t".encode())
            until(expected)
    finally:
        process.kill()
        process.wait()
        os.close(master)
