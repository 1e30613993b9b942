"""All commands but `check`, and what is said about slips."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import pytest

from willitcompile import __version__, backends
from willitcompile import cli as package
from willitcompile.backends import docker as real_docker
from willitcompile.backends import sandbox as real_sandbox
from willitcompile.backends.fake import TOOLCHAINS, FakeBackend
from willitcompile.cli import clean, doctor
from willitcompile.model import Finding
from willitcompile.reports import REPORTS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import TypeAlias

    from willitcompile.backends import Opening

    Cli: TypeAlias = Callable[..., "tuple[int, str, str]"]

NO_DOCKER = Finding("docker", False, "gone")
TWO = {name: backends.BACKENDS[name] for name in ("docker", "sandbox")}

COMMANDS = ("check", "environments", "doctor", "images", "clean", "version")


class TestEnvironments:
    def test_lists_each_toolchain_with_its_standards(self, cli: Cli) -> None:
        code, out, err = cli("environments")
        assert code == 0
        assert out.startswith("backend: fake\n\ngcc-13 (also gcc), from fake\n  c: c99, c11, c17 (default)\n")
        assert "  clang version 19.1.7 (fake)\n" in out
        assert err == "note: preparing auto\n"

    def test_in_json_too(self, cli: Cli) -> None:
        document = json.loads(cli("environments", "--format", "json")[1])
        assert document["version"] == 1
        assert [each["name"] for each in document["toolchains"]] == [each.name for each in TOOLCHAINS]
        assert document["toolchains"][2]["languages"] == {
            language: {
                "compiler": TOOLCHAINS[2].compilers[language],
                "standards": list(standards),
                "default": TOOLCHAINS[2].defaults[language],
            }
            for language, standards in TOOLCHAINS[2].standards.items()
        }

    def test_says_where_to_look_if_there_is_none(self, cli: Cli) -> None:
        assert cli("environments", toolchains=())[1] == "backend: fake\nno toolchain; see: will-it-compile doctor\n"

    def test_another_format_is_refused(self, cli: Cli) -> None:
        assert cli("environments", "-f", "yaml")[0] == 2


class TestDoctor:
    @pytest.fixture(autouse=True)
    def two(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(doctor, "BACKENDS", TWO)

    def findings(self, monkeypatch: pytest.MonkeyPatch, *findings: Finding, docker: Finding = NO_DOCKER) -> None:
        monkeypatch.setattr(real_sandbox, "doctor", lambda _: list(findings))
        monkeypatch.setattr(real_docker, "doctor", lambda _: [docker])

    def test_good_bad_and_unneeded_are_told_apart(self, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
        good, bad = Finding("gcc", True, "gcc 12"), Finding("landlock", False, "none\x1b[2J", "update Linux")
        self.findings(monkeypatch, good, bad, Finding("bwrap", None, "not found"))
        code, out, _ = cli("doctor")
        assert code == 3
        assert out == (
            "bad   docker    gone\n"
            "ok    gcc       gcc 12\n"
            "bad   landlock  none\\x1b[2J; try: update Linux\n"
            "note  bwrap     not found\n"
            "a check cannot run: 2 to mend\n"
        )

    def test_is_0_where_a_check_can_run(self, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
        self.findings(monkeypatch, Finding("gcc", True, "gcc 12"), Finding("bwrap", None, "not found"))
        code, out, _ = cli("doctor")
        assert code == 0
        assert out.startswith("note  docker  gone\n")
        assert out.endswith("a check can run: sandbox\n")

    def test_is_0_where_docker_alone_can(self, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
        self.findings(monkeypatch, Finding("gcc", False, "none"), docker=Finding("docker", True, "28.0"))
        code, out, _ = cli("doctor")
        assert (code, out.splitlines()[-1]) == (0, "a check can run: docker")

    def test_elsewhere_than_on_linux_nothing_else_is_looked_at(self, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sys, "platform", "darwin")
        code, out, _ = cli("doctor")
        assert code == 3
        assert len(out.splitlines()) == 2

    def test_the_example_of_the_documentation_holds(self) -> None:
        import doctest

        assert doctest.testmod(doctor).failed == 0


class TestClean:
    @pytest.fixture(autouse=True)
    def two(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(clean, "BACKENDS", TWO)

    def test_says_what_was_cleared(self, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(real_sandbox, "clean", lambda _: ["/dev/shm/x\n"])
        monkeypatch.setattr(real_docker, "clean", lambda _: [])
        assert cli("clean") == (0, "/dev/shm/x\\n\n", "")

    def test_says_that_there_was_nothing(self, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(real_sandbox, "clean", lambda _: [])
        monkeypatch.setattr(real_docker, "clean", lambda _: [])
        assert cli("clean")[1] == "nothing to clear\n"


class TestWhereInACluster:
    """`--context`, `--namespace` and the section of the file that was named reach whatever opens a backend."""

    @pytest.fixture
    def openings(self, project: Path, monkeypatch: pytest.MonkeyPatch) -> list[Opening]:
        """What backends were opened, asked and cleared with."""
        (project / "x.c").write_text("int x;\n")
        (project / "cluster.yaml").write_text("kubernetes: {namespace: file, pods: 3}\n")
        seen: list[Opening] = []
        for command in (clean, doctor):
            monkeypatch.setattr(command, "BACKENDS", {"sandbox": TWO["sandbox"]})
        monkeypatch.setattr(real_sandbox, "clean", lambda opening: seen.append(opening) or [])
        monkeypatch.setattr(real_sandbox, "doctor", lambda opening: seen.append(opening) or [Finding("x", True, "")])
        return seen

    @pytest.fixture
    def options(self, openings: list[Opening]) -> Callable[..., object]:
        def options(*argv: str) -> object:
            def open_backend(_: str, opening: Opening) -> FakeBackend:
                openings.append(opening)
                return FakeBackend()

            assert package.run(argv, open_backend) == 0
            return openings.pop().options

        return options

    COMMANDS = (("check", "x.c"), ("environments",), ("doctor",), ("clean",))

    @pytest.mark.parametrize("command", COMMANDS)
    def test_is_told_to_every_command(
        self, options: Callable[..., object], monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
    ) -> None:
        assert options(*command) == {}
        asked = options(*command, "--context", "kind", "--namespace", "flag", "--config", "cluster.yaml")
        assert asked == {"kubernetes": {"context": "kind", "namespace": "flag", "pods": "3"}}
        monkeypatch.setenv("WIC_NAMESPACE", "variable")
        assert options(*command) == {"kubernetes": {"namespace": "variable"}}

    @pytest.mark.parametrize("command", COMMANDS)
    @pytest.mark.usefixtures("openings")
    def test_is_refused_where_it_is_no_name(self, cli: Cli, command: tuple[str, ...]) -> None:
        code, _, err = cli(*command, "--namespace", "Builds")
        assert code == 2
        assert "use --namespace\n  namespace cannot be 'Builds': " in err

    @pytest.mark.parametrize("command", COMMANDS)
    def test_is_not_for_a_file_that_was_only_found(
        self, cli: Cli, project: Path, openings: list[Opening], command: tuple[str, ...]
    ) -> None:
        (project / "willitcompile.yaml").write_text("kubernetes: {namespace: kube-system}\n")
        code, _, err = cli(*command)
        assert (code, openings) == (2, [])
        assert "try: name it: --config willitcompile.yaml" in err

    def test_images_of_the_file_are_told_too(self, cli: Cli, project: Path, openings: list[Opening]) -> None:
        (project / "willitcompile.yaml").write_text("images: gcc-13=registry.example.org/gcc:13\n")
        assert "note: willitcompile.yaml chooses images" in cli("doctor")[2]
        assert openings[0].images == ("gcc-13=registry.example.org/gcc:13",)


@pytest.mark.parametrize("line", ["version", "--version"])
def test_the_version(cli: Cli, line: str) -> None:
    code, out, err = cli(line)
    assert (code, err) == (0, "")
    assert out.startswith(f"will-it-compile {__version__} (Python 3.")
    assert out.count("\n") == 1


@pytest.mark.parametrize("argv", [("--help",), ("-h",), *((name, "--help") for name in COMMANDS)])
def test_help_is_a_result(cli: Cli, argv: tuple[str, ...]) -> None:
    code, out, err = cli(*argv)
    assert (code, err) == (0, "")
    assert out.startswith("Usage: will-it-compile ")


def test_no_command_at_all_shows_them_and_is_a_slip(cli: Cli) -> None:
    code, out, err = cli()
    assert (code, out) == (2, "")
    assert all(f"\n  {name} " in err for name in COMMANDS)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("heck", "no such command 'heck'. Did you mean 'check'?\n  try: will-it-compile --help"),
        ("--bogus", "no such option: --bogus\n  try: will-it-compile --help"),
        ("check --timeout", "option '--timeout' requires an argument\n  try: will-it-compile check --help"),
        ("check --timeot 3 x.c", "no such option: --timeot"),
        ("check -O2 x.c", "no such option: -O\n  try: for a flag of the compiler write: --flag=-O2; else see: "),
        ("check -fno-exceptions x.c", "for a flag of the compiler write: --flag=-fno-exceptions"),
        ("check -q -std=c++20 nosuch.cpp", "there is no such file"),
        ("doctor x", "got unexpected extra argument"),
    ],
)
def test_a_slip_is_told_in_three_parts(cli: Cli, line: str, said: str) -> None:
    code, out, err = cli(*line.split())
    assert (code, out) == (2, "")
    assert err.startswith("error: ")
    assert said in err


class TestBackendByName:
    @pytest.fixture(autouse=True)
    def source(self, project: Path) -> None:
        (project / "x.c").write_text("int x;\n")

    @pytest.mark.parametrize("command", [("check", "x.c"), ("environments",)])
    @pytest.mark.parametrize("name", ["fake", "dcoker", ""])
    def test_what_cannot_compile_is_not_one(
        self, capsys: pytest.CaptureFixture[str], command: tuple[str, ...], name: str
    ) -> None:
        assert package.run([*command, "--backend", name]) == 2
        err = capsys.readouterr().err
        assert "fake" not in err.partition("try: ")[2]

    def test_every_backend_of_the_table_can_be_asked_for_its_health(self) -> None:
        from importlib import import_module

        for module in map(import_module, backends.BACKENDS.values()):
            assert callable(module.doctor)
            assert callable(module.clean)
            assert callable(module.open_backend)


def test_help_names_every_backend_and_format(cli: Cli) -> None:
    text = " ".join(cli("check", "--help")[1].split())
    assert f"Where to compile: auto (the default), {', '.join(backends.BACKENDS)}." in text
    assert f"text (the default), {', '.join(list(REPORTS)[1:])};" in text
