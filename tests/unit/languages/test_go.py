"""Go: which files go along, how the go command is asked, and what is made of its answer."""

from __future__ import annotations

import time
import tracemalloc
from contextlib import nullcontext
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from willitcompile.errors import FlagRefused, SourceError, UnknownStandard
from willitcompile.languages import CompileOptions
from willitcompile.languages.go import GO
from willitcompile.languages.go_sources import (
    SYNTHETIC,
    embeds,
    go_version,
    imports,
    is_ignored,
    package_name,
    replacements,
)
from willitcompile.model import Diagnostic, SourceUnit, Toolchain
from willitcompile.sources import SizeLimits, SourceTree

if TYPE_CHECKING:
    from pathlib import Path

STANDARDS = {f"go1.{minor}": f"go1.{minor}" for minor in range(1, 27)}
NEW = Toolchain("go", "1.26", {}, {"go": STANDARDS}, {"go": "go1.26"})
OLD = Toolchain("go", "1.19", {}, {"go": {f"go1.{m}": f"go1.{m}" for m in range(1, 20)}}, {"go": "go1.19"})

MAIN = "package main\n\nfunc main() {}\n"


def gathered(files: dict[str, str], main: str = "main.go", cwd: str = "/p") -> SourceUnit:
    virtual = {"/p/" + name: text.encode() for name, text in files.items()}
    return GO.gather(SourceTree(main, virtual=virtual, cwd=cwd, disk=False))


class TestStandards:
    @pytest.mark.parametrize("text", ["1.21", "go1.21", "Go1.21", "1.21.3", "go1.21.0", "-lang=go1.21"])
    def test_a_version_has_many_spellings(self, text: str) -> None:
        assert GO.canonical(text) == "go1.21"

    @pytest.mark.parametrize("text", ["", "go", "2.0", "1.", "1.0", "1.999", "1.x", "c++20", "1.²", "1.21."])
    def test_others_are_unknown(self, text: str) -> None:
        with pytest.raises(UnknownStandard):
            GO.canonical(text)

    def test_the_default_is_what_go_mod_says(self) -> None:
        unit = gathered({"main.go": MAIN, "go.mod": "module m\n\ngo 1.20\n"})
        assert GO.default_standard(unit, NEW) == "go1.20"

    def test_the_default_is_what_the_go_command_assumes(self) -> None:
        assert GO.default_standard(gathered({"main.go": MAIN, "go.mod": "module m\n"}), NEW) == "go1.16"

    def test_the_default_is_of_the_toolchain_without_go_mod_or_where_that_wants_too_much(self) -> None:
        assert GO.default_standard(gathered({"main.go": MAIN}), NEW) == "go1.26"
        unit = gathered({"main.go": MAIN, "go.mod": "module m\ngo 1.22.1\n"})
        assert GO.default_standard(unit, OLD) == "go1.19"


class TestReading:
    @pytest.mark.parametrize(
        ("text", "name"),
        [
            ("package main", "main"),
            ("\ufeff// c\n/* package no */ package\n/* x */ a;import", "a"),
            ("//go:build x\n\npackage π\n", "π"),
            ("pakage x", ""),
            ("packagex", ""),
            ("", ""),
            ("/* unclosed package x", ""),
        ],
    )
    def test_the_package(self, text: str, name: str) -> None:
        assert package_name(text.encode()) == name

    @pytest.mark.parametrize(
        ("text", "paths"),
        [
            ('package a\nimport "x"\nimport y "y/z"; import . `w`\nvar s = "no"', ["x", "y/z", "w"]),
            ('package a;import(\n"x" // "no"\n/* "no" */ _ "y"\n)\nimport ("z")', ["x", "y", "z"]),
            ('package a\nimport ()\nfunc f() { import "no" }', []),
            ('package a\nimport (\n"x"\nfunc', ["x"]),
            ("package a\nimport", []),
            ('import "x"', []),
        ],
    )
    def test_the_imports(self, text: str, paths: list[str]) -> None:
        assert imports(text.encode()) == paths

    def test_the_embedded(self) -> None:
        text = b'//go:embed a.txt all:b "c d" `e f`\n //go:embed no\n//go:embed g/*\n'
        assert embeds(text) == ["a.txt", "b", "c d", "e f", "g/*"]

    def test_what_a_constraint_sets_apart(self) -> None:
        assert is_ignored(b"//go:build ignore\n\npackage main")
        assert is_ignored(b"// +build ignore\n\npackage main")
        assert not is_ignored(b"//go:build linux\n\npackage main // ignore")

    def test_go_mod(self) -> None:
        mod = b"module m\n\ngo 1.21.3 // x\nreplace a v1.0.0 => ./b\nreplace (\n\tc => ../d\n\te => f v1.2.3\n)\n"
        assert go_version(mod) == "1.21"
        assert replacements(mod) == [("a", "./b"), ("c", "../d")]
        assert go_version(SYNTHETIC) == ""

    @given(st.binary(max_size=300))
    def test_any_bytes_give_an_answer(self, text: bytes) -> None:
        for read in (package_name, imports, embeds, go_version, replacements):
            read(text)

    @given(st.lists(st.sampled_from(["package a", "import", "(", ")", '"x"', "`", "/*", "*/", "//", "\n", ";", "_"])))
    def test_any_tokens_give_an_answer(self, tokens: list[str]) -> None:
        assert set(imports(" ".join(tokens).encode())) <= {"x"} or "`" in tokens


MODULE = {
    "go.mod": "module ex.com/m\n\ngo 1.20\n",
    "go.sum": "",
    "cmd/main.go": 'package main\nimport (\n"fmt"\n"ex.com/m/x"\n"ex.com/mother"\n)\nfunc main() {}',
    "x/x.go": 'package x\nimport _ "ex.com/m"\n//go:embed data\nvar s embed.FS',
    "x/x_test.go": "package x",
    "x/data/1.txt": "1",
    "x/data/deep/2.txt": "2",
    "m.go": "package m",
    "unused/u.go": "package unused",
}


class TestGathering:
    def test_a_package_goes_together(self) -> None:
        unit = gathered(
            {
                "main.go": MAIN,
                "b.go": "package main",
                "b_test.go": "package main",
                "other.go": "package other",
                "gen.go": "//go:build ignore\n\npackage main\nfunc main() {}",
                "asm.s": "",
                "notes.txt": "",
            }
        )
        assert set(unit.files) == {"main.go", "b.go", "asm.s", "go.mod"}
        assert unit.main == (".",)
        assert unit.files["go.mod"] == SYNTHETIC

    def test_a_program_among_programs_goes_alone(self) -> None:
        unit = gathered({"a.go": MAIN, "main.go": MAIN})
        assert set(unit.files) == {"main.go", "go.mod"}
        assert unit.main == ("main.go",)

    def test_what_a_constraint_sets_apart_goes_alone(self) -> None:
        unit = gathered({"main.go": "//go:build ignore\n\n" + MAIN, "lib.go": "package main"})
        assert set(unit.files) == {"main.go", "go.mod"}

    def test_a_test_brings_its_package(self) -> None:
        files = {"a.go": "package a", "a_test.go": "package a_test", "b_test.go": "package a"}
        assert set(gathered(files, "a_test.go").files) == {*files, "go.mod"}

    def test_a_package_below_is_named_by_its_directory(self) -> None:
        unit = gathered({"cmd/x/main.go": MAIN, "cmd/x/b.go": "package main"}, "cmd/x/main.go")
        assert (unit.main, unit.workdir, unit.prefix) == (("./cmd/x",), ".", "")

    def test_a_directory_that_no_import_path_can_name_is_compiled_from_within(self) -> None:
        unit = gathered({"my dir/main.go": MAIN, "my dir/b.go": "package main"}, "my dir/main.go")
        assert set(unit.files) == {"main.go", "b.go", "go.mod"}
        assert (unit.main, unit.prefix) == ((".",), "my dir/")

    def test_a_module_brings_what_is_imported_from_it(self) -> None:
        unit = gathered(MODULE, "cmd/main.go")
        assert set(unit.files) == set(MODULE) - {"x/x_test.go", "unused/u.go"}

    def test_a_module_below_the_working_directory_is_compiled_from_within(self) -> None:
        unit = gathered(MODULE, "p/cmd/main.go", cwd="/")
        assert "go.mod" in unit.files
        assert (unit.main, unit.workdir, unit.prefix) == (("cmd/main.go",), ".", "p/")

    def test_a_module_above_the_working_directory_is_compiled_from_there(self) -> None:
        unit = gathered(MODULE, "../cmd/main.go", cwd="/p/x")
        assert (unit.main, unit.workdir, unit.prefix) == (("../cmd/main.go",), "x", "")

    def test_vendored_packages_come_as_far_as_they_are_imported(self) -> None:
        unit = gathered(
            {
                "go.mod": "module m\ngo 1.21\nrequire v.com/v v1.0.0\n",
                "main.go": 'package main\nimport "v.com/v"\nfunc main() {}',
                "vendor/modules.txt": "# v.com/v v1.0.0\n",
                "vendor/v.com/v/v.go": 'package v\nimport "w.com/w"',
                "vendor/w.com/w/w.go": "package w",
                "vendor/u.com/u/u.go": "package u",
            }
        )
        assert "vendor/w.com/w/w.go" in unit.files
        assert "vendor/u.com/u/u.go" not in unit.files
        command = GO.command(unit, NEW, "go1.21", CompileOptions())
        assert command.environment["GOFLAGS"] == "-mod=vendor"

    def test_a_replaced_module_is_followed(self) -> None:
        unit = gathered(
            {
                "go.mod": "module m\ngo 1.21\nreplace v.com/v => ./v\n",
                "main.go": 'package main\nimport "v.com/v/w"\nfunc main() {}',
                "v/go.mod": "module v.com/v\n",
                "v/w/w.go": "package w",
            }
        )
        assert {"v/go.mod", "v/w/w.go"} <= set(unit.files)

    def test_what_is_embedded_comes_along_and_nothing_from_above(self) -> None:
        files = {
            "p/main.go": "package main\n//go:embed a/*.txt ../up.txt [x-z].md\nvar s string\nfunc main() {}",
            "p/a/1.txt": "",
            "p/a/b/2.txt": "",
            "p/a/3.md": "",
            "p/y.md": "",
            "up.txt": "",
        }
        assert set(gathered(files, "p/main.go").files) == {"p/main.go", "p/a/1.txt", "p/y.md", "go.mod"}

    def test_many_patterns_that_mean_the_same_files_send_each_once(self, soon: None) -> None:
        files = {f"f{number}.txt": "" for number in range(400)}
        patterns = "".join(f"//go:embed f*{number}*.txt\n//go:embed f{'*' * number}\n" for number in range(400))
        unit = gathered({"main.go": f"package main\n{patterns}func main() {{}}", **files})
        assert set(unit.files) == {"main.go", "go.mod", *files}

    def test_patterns_that_would_take_minutes_to_match_are_refused(self) -> None:
        files = {f"{number}{'a' * 200}.txt": "" for number in range(200)}
        patterns = "".join(f"//go:embed {number}{'*a' * 100}b\n" for number in range(3000))
        with pytest.raises(SourceError, match="patterns"):
            gathered({"main.go": f"package main\n{patterns}func main() {{}}", **files})

    def test_directories_of_any_depth_are_embedded(self, deep: str, tmp_path: Path) -> None:
        (tmp_path / "main.go").write_text(f"package main\n//go:embed d\n//go:embed {deep}\nfunc main() {{}}")
        assert set(GO.gather(SourceTree("main.go")).files) >= {"main.go", deep}

    def test_no_more_is_read_beside_a_file_than_a_unit_may_have(self) -> None:
        files = {f"{name}.go": b"//go:build ignore\n\npackage main\n" + b" " * 1000 for name in "abc"}
        virtual = {"main.go": MAIN.encode(), **files}
        for size, refused in ((2000, True), (4000, False)):
            tree = SourceTree("main.go", virtual=virtual, disk=False, cwd="/p", limits=SizeLimits(unit_bytes=size))
            with pytest.raises(SourceError, match="beside it") if refused else nullcontext():
                GO.gather(tree)

    def test_links_are_not_embedded(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        (tmp_path / "main.go").write_text("package main\n//go:embed x.txt\nvar s string\nfunc main() {}")
        (tmp_path / "x.txt").symlink_to("main.go")
        unit = GO.gather(SourceTree("main.go"))
        assert set(unit.files) == {"main.go", "go.mod"}
        assert "link" in unit.notes[0]

    def test_a_module_outside_of_the_roots_is_noted(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        (tmp_path / "go.mod").write_text("module m\n")
        (tmp_path / "cmd").mkdir()
        (tmp_path / "cmd/main.go").write_text(MAIN)
        assert "outside" in GO.gather(SourceTree("cmd/main.go")).notes[0]
        assert GO.gather(SourceTree("cmd/main.go", roots=["."])).notes == ()


def test_a_directory_has_a_unit_for_each_package_and_program(tmp_path: Path) -> None:
    def write(name: str, text: str) -> str:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        return str(path)

    files = [
        write("lib/a.go", "package lib"),
        write("lib/a_test.go", "package lib"),
        write("lib/b.go", "package lib"),
        write("lib/gen.go", "//go:build ignore\n\n" + MAIN),
        write("one/b.go", "package main"),
        write("one/main.go", MAIN),
        write("progs/x.go", MAIN),
        write("progs/y.go", MAIN),
        write("tests/t_test.go", "package t"),
        write("tests/readme.md", ""),
    ]
    found = [path.removeprefix(f"{tmp_path}/") for path in GO.sources(files)]
    assert found == ["lib/a.go", "lib/gen.go", "one/b.go", "progs/x.go", "progs/y.go", "tests/t_test.go"]


def test_a_directory_is_looked_through_without_keeping_what_is_in_it(tmp_path: Path) -> None:
    files = [tmp_path / f"{number}.go" for number in range(20)]
    for path in files:
        path.write_text("package a\n" + " " * 1_000_000)
    tracemalloc.start()
    try:
        assert GO.sources(list(map(str, files))) == [str(files[0])]
        assert tracemalloc.get_traced_memory()[1] < 5_000_000
    finally:
        tracemalloc.stop()


class TestTheCommand:
    def test_compiles_without_linking(self) -> None:
        unit = gathered({"main.go": MAIN, "b.go": "package main", "go.mod": "module m\ngo 1.20\n"})
        command = GO.command(unit, NEW, "go1.20", CompileOptions())
        assert command.argv[:4] == ("go", "list", "-export", '-f={{""}}')
        assert len(command.argv) == 5
        assert command.environment["CGO_ENABLED"] == "0"
        assert command.environment["GOPROXY"] == "off"
        assert "GOFLAGS" not in command.environment
        assert command.rejected_exit_codes == {1, 2}

    def test_gives_the_standard_where_go_mod_does_not(self) -> None:
        unit = gathered({"main.go": MAIN, "b.go": "package main", "go.mod": "module m\ngo 1.20\n"})
        assert "-gcflags=-lang=go1.18" in GO.command(unit, NEW, "go1.18", CompileOptions()).argv
        assert "-gcflags=-lang=go1.26" in GO.command(gathered({"main.go": MAIN}), NEW, "go1.26", CompileOptions()).argv

    def test_asks_an_old_go_for_all_errors(self) -> None:
        unit = gathered({"main.go": MAIN})
        assert "-deps" in GO.command(unit, OLD, "go1.19", CompileOptions()).argv

    def test_links_and_tests(self) -> None:
        unit = gathered({"main.go": MAIN})
        argv = GO.command(unit, NEW, "go1.26", CompileOptions(link=True)).argv
        assert argv[:4] == ("go", "build", "-o", "../tmp/out")
        test = gathered({"a_test.go": "package a"}, "a_test.go")
        assert "-test" in GO.command(test, NEW, "go1.26", CompileOptions()).argv
        assert GO.command(test, NEW, "go1.26", CompileOptions(link=True)).argv[:3] == ("go", "test", "-c")

    def test_takes_tags(self) -> None:
        unit = gathered({"main.go": MAIN})
        assert "-tags=a,b.c" in GO.command(unit, NEW, "go1.26", CompileOptions(flags=("-tags=a,b.c",))).argv

    @pytest.mark.parametrize(
        "options",
        [
            CompileOptions(defines=("A",)),
            CompileOptions(warnings=("-Wall",)),
            *(
                CompileOptions(flags=(flag,))
                for flag in (
                    *("-race", "-gcflags=-x", "-ldflags=-x", "-mod=mod", "-modfile=x", "-overlay=x", "-toolexec=sh"),
                    *("-o=x", "-tags=a b", "-tags=", "-x", "-a", "", "x", "-exec=sh", "-C=/", "--tags=-x", "-tags=a\n"),
                )
            ),
        ],
    )
    def test_refuses_what_could_do_more(self, options: CompileOptions) -> None:
        with pytest.raises(FlagRefused) as caught:
            GO.command(gathered({"main.go": MAIN}), NEW, "go1.26", options)
        assert caught.value.remedy


def diagnostics(text: str, prefix: str = "") -> list[tuple[str | None, int | None, int | None, str, str]]:
    found: tuple[Diagnostic, ...] = GO.messages(b"", text.encode(), prefix).diagnostics
    return [(each.path, each.line, each.column, each.severity, each.message) for each in found]


class TestMessages:
    def test_of_the_compiler(self) -> None:
        text = (
            "# check\n./main.go:2:6: f redeclared in this block\n\t./a.go:1:6: other declaration of f\n"
            "sub/x.go:5:16: not enough return values\n\thave ()\n\twant (int)\n./main.go:9:1: too many errors\n"
        )
        assert diagnostics(text) == [
            ("main.go", 2, 6, "error", "f redeclared in this block"),
            ("a.go", 1, 6, "note", "other declaration of f"),
            ("sub/x.go", 5, 16, "error", "not enough return values\n\thave ()\n\twant (int)"),
            ("main.go", 9, 1, "error", "too many errors"),
        ]
        assert GO.messages(b"", text.encode()).stderr == text

    def test_of_the_go_command(self) -> None:
        assert diagnostics("main.go:4:2: package foo is not in std (/usr/lib/go/src/foo)\n") == [
            ("main.go", 4, 2, "error", "package foo is not in std (/usr/lib/go/src/foo)")
        ]
        assert diagnostics("package check\n\tmain.go:2:8: use of internal package x not allowed\n") == [
            ("main.go", 2, 8, "error", "use of internal package x not allowed")
        ]
        assert diagnostics("go: errors parsing go.mod:\ngo.mod:1: unknown directive: modle\n") == [
            ("go.mod", 1, None, "error", "unknown directive: modle")
        ]
        assert diagnostics("go: go.mod requires go >= 1.99 (running go 1.26)\n") == [
            (None, None, None, "error", "go.mod requires go >= 1.99 (running go 1.26)")
        ]
        assert diagnostics("m/nope: two/a.go:3:8: missing go.sum entry\n") == [
            ("two/a.go", 3, 8, "error", "missing go.sum entry")
        ]

    def test_of_the_linker(self) -> None:
        ((path, *_, message),) = diagnostics("# check\nruntime.main_main·f: function main is undeclared\n")
        assert path is None
        assert "undeclared" in message

    def test_paths_are_as_the_user_would_name_them(self) -> None:
        assert diagnostics("./main.go:1:2: x\n", "sub/")[0][0] == "sub/main.go"

    def test_what_old_versions_say_twice_is_said_once(self) -> None:
        said = GO.messages(b"", b"main.go:2:8: no package\ngo build a/b: no Go files in \n")
        assert said.stderr == "main.go:2:8: no package\n"

    @given(st.binary(max_size=300))
    def test_any_bytes_give_an_answer(self, stderr: bytes) -> None:
        GO.messages(stderr, stderr)

    @given(st.lists(st.sampled_from(["a.go", ":", "1", ": ", "\t", "\n", "# ", "package ", "go: ", "note: "])))
    def test_any_tokens_give_an_answer(self, tokens: list[str]) -> None:
        for _, _, _, severity, _ in diagnostics("".join(tokens)):
            assert severity in {"error", "note"}

    @pytest.mark.parametrize("piece", [b"a.go:1:2: x\n", b":1", b"a:", b"\t\n", b"a.b/", b"package a\n", b"go build "])
    def test_no_output_takes_quadratic_time(self, piece: bytes) -> None:
        start = time.perf_counter()
        GO.messages(b"", piece * (500_000 // len(piece)))
        assert time.perf_counter() - start < 5
