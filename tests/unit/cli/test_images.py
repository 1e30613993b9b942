"""`will-it-compile images` where no daemon is: what it refuses, and what it knows all the same."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from willitcompile.backends.docker.inventory import Entry
from willitcompile.cli.images import as_json, as_text, chosen
from willitcompile.errors import ToolchainMissing
from willitcompile.toolchains import load_catalogue

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import TypeAlias

    Cli: TypeAlias = Callable[..., "tuple[int, str, str]"]

CATALOGUE = load_catalogue()

ENTRIES = (
    Entry("gcc-14", "will-it-compile/gcc:14", "built here", 213 << 20, ready=True, release="trixie", pull="gcc:14"),
    Entry("gcc-13", "gcc:13", "official", 1 << 30, release="trixie", pull="gcc:13"),
    Entry("gcc-12", release="bookworm", pull="gcc:12"),
    Entry("clang-17", release="trixie"),
    Entry("gcc-7", pull="evil\x1b[2J"),
)


class TestList:
    def test_the_table_has_a_line_for_each_and_nothing_else_than_blanks_between(self) -> None:
        assert as_text("unix:///x", ENTRIES) == (
            "daemon: unix:///x\n"
            "toolchain  state   size     image                   from\n"
            "gcc-14     ready   213 MiB  will-it-compile/gcc:14  built here\n"
            "gcc-13     here    1 GiB    gcc:13                  official\n"
            "gcc-12     absent  -        -                       build (Debian bookworm) or pull gcc:12\n"
            "clang-17   absent  -        -                       build (Debian trixie)\n"
            "gcc-7      absent  -        -                       pull evil\\x1b[2J\n"
        )

    def test_without_a_daemon_it_says_what_could_be_had_and_is_no_error(self, cli: Cli) -> None:
        code, out, err = cli("images", "list")
        assert code == 0
        assert out.startswith("daemon: none\n")
        assert len(out.splitlines()) == 2 + len(CATALOGUE.names)
        assert all(line.split()[1] == "unknown" for line in out.splitlines()[2:])
        assert err.startswith("note: what is there is not known: there is no such socket; try: ")

    def test_in_json_what_nobody_knows_is_null(self, cli: Cli) -> None:
        document = json.loads(cli("images", "list", "-f", "json")[1])
        assert (document["version"], document["daemon"]) == (1, None)
        assert [each["toolchain"] for each in document["images"]] == list(CATALOGUE.names)
        assert {(each["present"], each["ready"]) for each in document["images"]} == {(None, None)}

    def test_in_json_what_is_absent_is_false(self) -> None:
        images = json.loads(as_json("unix:///x", ENTRIES))["images"]
        assert [(each["present"], each["ready"]) for each in images[:3]] == [
            (True, True),
            (True, False),
            (False, False),
        ]

    def test_what_the_settings_name_is_listed_too(self, cli: Cli, project: Path) -> None:
        (project / "willitcompile.yaml").write_text("images: gcc-99=registry.example.org/gcc:99\n")
        out = cli("images", "list", "--images", "gcc=registry.example.org/gcc:{version}")[1]
        assert out.splitlines()[-1].split() == ["gcc-99", "unknown", "-", "-", "pull", "registry.example.org/gcc:99"]
        assert "or pull registry.example.org/gcc:13\n" in out


class TestNames:
    @pytest.mark.parametrize(
        ("asked", "meant"),
        [
            (["gcc-13"], ["gcc-13"]),
            (["gcc"], ["gcc-14"]),
            (["g++-12,clang-17", "rust"], ["gcc-12", "clang-17", "rustc-1.85"]),
            (["go1.22", "gcc13", "gcc-13"], ["go-1.22", "gcc-13"]),
            (["all"], list(CATALOGUE.names)),
            (["gcc-9", "all"], ["gcc-9", *(name for name in CATALOGUE.names if name != "gcc-9")]),
        ],
    )
    def test_they_are_those_of_check(self, asked: list[str], meant: list[str]) -> None:
        assert chosen(asked, CATALOGUE.names, CATALOGUE) == meant

    @pytest.mark.parametrize(
        ("asked", "near"),
        [
            ("gcc-99", "use one of: gcc-14, gcc-13"),
            ("gc", "gcc"),
            ("clnag-17", "clang-17"),
            ("", "images list"),
            ("\x1b[2J", "images list"),
        ],
    )
    def test_an_unknown_one_is_told_with_those_that_are_near(self, asked: str, near: str) -> None:
        with pytest.raises(ToolchainMissing) as raised:
            chosen([asked], CATALOGUE.names, CATALOGUE)
        assert near in raised.value.remedy


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("images build gcc-99", "no toolchain of the catalogue is called so\n  try: use one of: gcc-14"),
        ("images pull gcc-99", "no toolchain of the catalogue is called so"),
        ("images pull clang-17", "there is none to pull\n  try: will-it-compile images build clang-17"),
        ("images build gcc --build-arg X", "it is not NAME=VALUE"),
        ("images build gcc --build-arg 1=2", "it is not NAME=VALUE"),
        ("images build", "missing argument 'NAME...'\n  try: will-it-compile images build --help"),
        ("images list -f yaml", "there is no format of that name\n  try: use one of: text, json"),
        ("images list --images gcc-13", "it does not say which image serves for which toolchain"),
        ("images pull gcc --images gcc=x", "it does not say which image serves for which toolchain"),
        ("images remove gcc", "no such command 'remove'"),
    ],
)
def test_a_slip_is_told_before_any_daemon_is_looked_for(cli: Cli, line: str, said: str) -> None:
    code, out, err = cli(*line.split())
    assert (code, out) == (2, "")
    assert said in err


@pytest.mark.parametrize("command", ["build", "pull"])
def test_without_a_daemon_nothing_can_be_had(cli: Cli, command: str) -> None:
    code, out, err = cli("images", command, "gcc-13")
    assert (code, out) == (3, "")
    assert "  there is no such socket\n  try: start one" in err


def test_pull_all_names_what_has_to_be_built(cli: Cli) -> None:
    code, _, err = cli("images", "pull", "all")
    assert code == 3
    assert "note: there is no image of clang-17 to pull; try: will-it-compile images build clang-17\n" in err


def test_no_command_shows_them(cli: Cli) -> None:
    code, out, err = cli("images")
    assert (code, out) == (2, "")
    assert all(f"\n  {name} " in err for name in ("list", "build", "pull"))
