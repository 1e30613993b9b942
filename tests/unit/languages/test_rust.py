"""Rust: which files go along, how rustc is asked, and what is made of its answer."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from willitcompile.errors import FlagRefused, UnknownStandard
from willitcompile.languages import CompileOptions
from willitcompile.languages.rust import RUST
from willitcompile.languages.rust_sources import outline
from willitcompile.model import FixIt, SourceUnit, Toolchain
from willitcompile.sources import SourceTree

if TYPE_CHECKING:
    from pathlib import Path

EDITIONS = {"2015": "2015", "2018": "2018", "2021": "2021"}
RUSTC = Toolchain("rustc", "1.63", {}, {"rust": EDITIONS}, {"rust": "2015"})


def gathered(files: dict[str, str], main: str = "main.rs") -> SourceUnit:
    virtual = {name: text.encode() for name, text in files.items()}
    return RUST.gather(SourceTree(main, virtual=virtual, cwd="/p", disk=False))


class TestEditions:
    @pytest.mark.parametrize(
        ("text", "name"), [("2021", "2021"), ("21", "2021"), ("Rust2018", "2018"), (" 2024", "2024")]
    )
    def test_have_names(self, text: str, name: str) -> None:
        assert RUST.canonical(text) == name

    @pytest.mark.parametrize("text", ["", "2020", "c++20", "1.63", "20"])
    def test_others_are_unknown(self, text: str) -> None:
        with pytest.raises(UnknownStandard) as caught:
            RUST.canonical(text)
        assert "2021" in caught.value.remedy

    def default(self, **manifests: str) -> str:
        files = {path.replace("__", "/") + "/Cargo.toml": text for path, text in manifests.items()}
        return RUST.default_standard(gathered({"a/b/src/main.rs": "", **files}, "a/b/src/main.rs"), RUSTC)

    def test_the_default_is_the_newest_of_the_toolchain(self) -> None:
        assert RUST.default_standard(gathered({"main.rs": ""}), RUSTC) == "2021"

    def test_the_default_is_what_the_nearest_manifest_says(self) -> None:
        outer = '[package]\nedition = "2015"\n'
        inner = "[lib]\nedition = '2021'\n[package]\nname = 'x'\n  edition = '2018' # why\n"
        assert self.default(a=outer, a__b=inner) == "2018"
        assert self.default(a__b="[package]\nname = 'x'\n") == "2015"
        assert self.default(a__b="[package]\nedition = '2024'\n") == "2021"

    def test_the_default_may_come_from_the_workspace(self) -> None:
        workspace = "[workspace]\n[workspace.package]\nedition = '2018'\n"
        assert self.default(a=workspace, a__b="[package]\nedition.workspace = true\n") == "2018"
        assert self.default(a=workspace, a__b="[package]\nedition = { workspace = true }\n") == "2018"


def modules(text: str) -> list[tuple[str, tuple[str, ...], tuple[str, ...]]]:
    return [(each.name, each.inside, each.paths) for each in outline(text.encode()).modules]


class TestOutline:
    @pytest.mark.parametrize("text", ["mod a;", "pub mod a ;", "pub(crate) mod r#a;", "#[cfg(x)] mod a;", "mod\na\n;"])
    def test_modules_are_seen(self, text: str) -> None:
        assert modules(text) == [("a", (), ())]

    @pytest.mark.parametrize(
        "text",
        [
            "// mod a;",
            "/* /* */ mod a; */",
            '"mod a;"',
            '"\\" mod a;"',
            'r"\\" ; const X: &str = "mod a;"',
            'r#"" mod a; "#',
            'br##"mod a; "# "##',
            "amod a;",
            "mod a {}",
            "'\\'' ; \"mod a;\"",
            "let c = '\"'; \"mod a;\"; let d = '\"';",
            "fn f<'a>(x: &'a str) { /* mod a; */ }",
            '"unclosed mod a;',
            "/* unclosed mod a;",
        ],
    )
    def test_what_only_looks_like_one_is_not(self, text: str) -> None:
        assert modules(text) == []

    def test_inline_modules_and_paths_are_known(self) -> None:
        text = (
            'mod a { fn f() { if x { } } mod b; #[path = "q"] mod c { mod d; } } mod e;'
            '#[path = "f.rs"] mod f; #[cfg_attr(unix, path = "u.rs")] mod g; #[path = "no"] struct S; mod h;'
        )
        assert modules(text) == [
            ("b", ("a",), ()),
            ("d", ("a", "q"), ()),
            ("e", (), ()),
            ("f", (), ("f.rs",)),
            ("g", (), ("u.rs",)),
            ("h", (), ()),
        ]

    def test_includes_are_known(self) -> None:
        text = (
            'include!("a.rs"); include_str! [ "b" ]; include_bytes!{r#"c"#}; include!(concat!("d")); // include!("e")'
        )
        assert outline(text.encode()).includes == ("a.rs", "b", "c")

    @pytest.mark.parametrize(
        "text", ["fn main() {}", "pub async fn main()", "use app::main;", "mod x { } fn\nmain<T>()"]
    )
    def test_a_program_has_a_main(self, text: str) -> None:
        assert outline(text.encode()).has_main

    @pytest.mark.parametrize(
        "text", ["fn f() {}", "mod x { fn main() {} }", "// fn main", "fn main2()", '"fn main()"', "x.main()"]
    )
    def test_a_library_has_none(self, text: str) -> None:
        assert not outline(text.encode()).has_main

    def test_attributes_of_the_crate(self) -> None:
        assert outline(b'#![crate_type = "lib"]\n#![ no_main ]').attributes == {"crate_type", "no_main"}

    @given(st.binary(max_size=300))
    def test_any_bytes_give_an_answer(self, text: bytes) -> None:
        outline(text)

    @given(
        st.lists(
            st.sampled_from(["mod a;", "mod b{", "{", "}", '"', "'", "/*", "*/", "//", "r#", "#[", "]", "\\", "\n"])
        )
    )
    def test_any_tokens_give_an_answer(self, tokens: list[str]) -> None:
        assert {name for name, _, _ in modules("".join(tokens))} <= {"a"}

    @pytest.mark.parametrize(
        "piece",
        ['\\"', '"', "'", "/*", "#[", "r#", 'r"', "mod ", "mod a{", "mod a;", "{", "include!( ", '#[path="', "'\\u{"],
    )
    def test_no_text_takes_quadratic_time(self, piece: str) -> None:
        start = time.perf_counter()
        outline(piece.encode() * (500_000 // len(piece)))
        assert time.perf_counter() - start < 5


class TestGathering:
    def test_modules_are_followed_as_rustc_does(self) -> None:
        files = {
            "src/main.rs": 'mod a; mod b; mod inl { mod c; #[path = "p.rs"] mod d; }'
            '#[path = "o/x.rs"] mod o; mod gone;',
            "src/a.rs": "mod aa;",
            "src/a/aa.rs": 'mod i { #[path = "z.rs"] mod z; }',
            "src/a/aa/i/z.rs": "",
            "src/b/mod.rs": "mod bb;",
            "src/b/bb.rs": "mod bbb;",
            "src/b/bb/bbb/mod.rs": "mod main;",
            "src/inl/c.rs": "",
            "src/inl/p.rs": "",
            "src/o/x.rs": "mod y;",
            "src/o/y.rs": "",
        }
        unused = {"src/aa.rs": "", "src/x/y.rs": "", "src/c.rs": "", "lib.rs": ""}
        unit = gathered({**files, **unused}, "src/main.rs")
        assert set(unit.files) == set(files)

    def test_includes_are_followed(self) -> None:
        files = {
            "main.rs": 'include!("gen/g.rs"); const D: &[u8] = include_bytes!("d.bin");'
            'const S: &str = include_str!("gen/../s.txt");',
            "gen/g.rs": "mod m;",
            "gen/m.rs": "",
            "d.bin": "\0",
            "s.txt": "mod no;",
            "no.rs": "",
        }
        assert set(gathered(files).files) == set(files) - {"no.rs"}

    def test_cycles_end(self) -> None:
        files = {"main.rs": '#[path = "a.rs"] mod a;', "a.rs": '#[path = "main.rs"] mod m; #[path = "a.rs"] mod a;'}
        assert set(gathered(files).files) == set(files)

    def test_a_module_outside_of_the_roots_is_noted(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "src").mkdir()
        (tmp_path / "x.rs").touch()
        (tmp_path / "src/main.rs").write_text(f'#[path = "../x.rs"] mod x; include!("{tmp_path}/x.rs");')
        monkeypatch.chdir(tmp_path)
        unit = RUST.gather(SourceTree("src/main.rs"))
        assert set(unit.files) == {"src/main.rs"}
        assert "outside" in unit.notes[0]
        assert "absolute" in unit.notes[1]

    def test_dependencies_are_noted(self) -> None:
        manifest = "[package]\nname = 'x'\n\n[dependencies]\nserde = '1'\n"
        assert "dependencies" in gathered({"main.rs": "", "Cargo.toml": manifest}).notes[0]
        assert gathered({"main.rs": "", "Cargo.toml": "[dependencies]\n[lib]\nx = 1\n"}).notes == ()


def test_a_directory_has_a_unit_for_each_crate(tmp_path: Path) -> None:
    files = {
        "src/main.rs": "mod a;",
        "src/a.rs": "mod b;",
        "src/a/b.rs": "",
        "src/bin/tool.rs": "mod helper;",
        "src/bin/helper.rs": "",
        "build.rs": 'include!("gen.rs");',
        "gen.rs": "",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    found = RUST.sources([str(tmp_path / name) for name in [*files, "readme.md"]])
    assert [path.removeprefix(f"{tmp_path}/") for path in found] == ["src/main.rs", "src/bin/tool.rs", "build.rs"]


def command(text: str, main: str = "main.rs", **options: Any) -> tuple[str, ...]:
    return RUST.command(gathered({main: text}, main), RUSTC, "2021", CompileOptions(**options)).argv


class TestTheCommand:
    def test_for_a_program(self) -> None:
        assert command("fn main() {}") == (
            *("rustc", "--edition=2021", "--crate-name", "main", "--emit=obj", "--error-format=json"),
            *("-o", "../tmp/out", "main.rs"),
        )

    def test_for_a_library(self) -> None:
        assert command("pub fn f() {}")[4:6] == ("--crate-type", "lib")

    def test_leaves_what_the_source_says(self) -> None:
        assert "--crate-type" not in command('#![crate_type = "lib"]')
        assert "--crate-name" not in command('#![crate_name = "x"]')
        assert "--crate-type" not in command("#[test] fn t() {}", flags=("--test",))

    @pytest.mark.parametrize(("name", "crate"), [("my-tool.rs", "my_tool"), ("2.rs", "_2"), ("é x.rs", "__x")])
    def test_any_file_makes_a_crate_name(self, name: str, crate: str) -> None:
        assert command("", name)[3] == crate

    def test_links(self) -> None:
        assert "--emit=link" in command("fn main() {}", link=True)

    @pytest.mark.parametrize(
        ("flag", "arguments"),
        [
            ("-C opt-level=2", ("-C", "opt-level=2")),
            ("-Copt-level=s", ("-C", "opt-level=s")),
            ("--codegen=panic=abort", ("-C", "panic=abort")),
            ("-C overflow-checks", ("-C", "overflow-checks")),
            ("-Cdebug-assertions=off", ("-C", "debug-assertions=off")),
            ("-C target-cpu=native", ("-C", "target-cpu=native")),
            ("-O", ("-O",)),
            ("-g", ("-g",)),
            ("--test", ("--test",)),
            ("--cfg x", ("--cfg", "x")),
            ('--cfg=feature="y"', ("--cfg", 'feature="y"')),
            ("-Aunused", ("-A", "unused")),
            ("-D warnings", ("-D", "warnings")),
            ("-Fclippy::all", ("-F", "clippy::all")),
            ("--deny=unsafe-code", ("--deny", "unsafe-code")),
            ("--cap-lints warn", ("--cap-lints", "warn")),
        ],
    )
    def test_takes_harmless_flags(self, flag: str, arguments: tuple[str, ...]) -> None:
        argv = command("fn main() {}", flags=(flag,))
        assert argv[6:-3] == arguments

    @pytest.mark.parametrize(
        "flag",
        [
            *(
                "-o",
                "-ox",
                "--out-dir=x",
                "--extern=x",
                "--extern x=y",
                "-L",
                "-Lx",
                "-lx",
                "-C linker=sh",
                "-W help",
                "-Whelp",
                "-Ctarget-cpu=help",
                "-C target-feature=help",
                "-C link-arg=x",
            ),
            *("-Clink-args=x", "-C link-self-contained=y", "-Z", "-Zx", "--sysroot=/", "@x", "--emit=asm", "--print=x"),
            *(
                "--remap-path-prefix=a=b",
                "-C incremental=x",
                "-C profile-use=x",
                "-C profile-generate=x",
                "-C save-temps",
            ),
            *(
                "--edition=2018",
                "--crate-name=x",
                "--crate-type=bin",
                "-C llvm-args=x",
                "-C",
                "-C ",
                "--cfg",
                "-v",
                "-V",
            ),
            *(
                "--explain=E1",
                "--error-format=human",
                "--json=x",
                "--target=x",
                "-A",
                "-A x y",
                "x.rs",
                "",
                "-C passes=x",
            ),
            *(
                '--cfg x="a\nb"',
                "-C opt-level=2 -C x",
                "-O ",
                "-C metadata=/x",
                "-C extra-filename=x",
                "-C ar=x",
                "-Cremark=x",
            ),
        ],
    )
    def test_refuses_others(self, flag: str) -> None:
        with pytest.raises(FlagRefused) as caught:
            command("fn main() {}", flags=(flag,))
        assert caught.value.remedy

    def test_takes_definitions_and_warnings(self) -> None:
        argv = command("fn main() {}", defines=("a", "b=c"), warnings=("-Wunused", "-Werror", "-Wno-dead_code"))
        assert argv[6:-3] == ("--cfg", "a", "--cfg", 'b="c"', "-W", "unused", "-D", "warnings", "-A", "dead_code")
        for wrong in (
            {"defines": ("a b",)},
            {"defines": ('a="',)},
            {"warnings": ("-Wa,b",)},
            {"warnings": ("unused",)},
        ):
            with pytest.raises(FlagRefused):
                command("fn main() {}", **wrong)


def span(**more: object) -> dict[str, object]:
    return {
        "file_name": "main.rs",
        "line_start": 1,
        "line_end": 1,
        "column_start": 4,
        "column_end": 5,
        "is_primary": True,
        "text": [{"text": "é = x"}],
        **more,
    }


def said(*messages: object) -> bytes:
    return "".join(json.dumps(message, separators=(",", ":")) + "\n" for message in messages).encode()


class TestMessages:
    def test_become_text_and_diagnostics(self) -> None:
        help_ = {
            "level": "help",
            "message": "try",
            "spans": [span(suggested_replacement="y", suggestion_applicability="MaybeIncorrect")],
        }
        error = {
            "level": "error",
            "message": "no x",
            "code": {"code": "E0425"},
            "spans": [span(is_primary=False), span()],
            "children": [help_, {"level": "note", "message": "so", "spans": [], "children": []}],
            "rendered": "error[E0425]: no x\n",
        }
        done = {"level": "error", "message": "aborting due to 1 previous error", "spans": [], "rendered": "aborting\n"}
        more = {"level": "failure-note", "message": "For more", "spans": [], "rendered": "For more\n"}
        read = RUST.messages(b"", b"plain\n" + said(error, done, more))
        assert read.stderr == "plain\nerror[E0425]: no x\naborting\nFor more\n"
        assert [(each.severity, each.code, each.line, each.column, each.message) for each in read.diagnostics] == [
            ("error", "E0425", 1, 5, "no x"),  # the fourth character is the fifth byte
            ("help", None, 1, 5, "try"),
            ("note", None, None, None, "so"),
        ]
        assert read.diagnostics[1].fixits == (FixIt("main.rs", 1, 5, 1, 6, "y"),)

    def test_a_macro_of_the_library_is_told_where_it_is_used(self) -> None:
        inner = span(file_name="/rustc/abc/library/macros.rs", line_start=99, expansion={"span": span(line_start=3)})
        (found,) = RUST.messages(b"", said({"level": "error", "message": "x", "spans": [inner]}), "sub/").diagnostics
        assert (found.path, found.line) == ("sub/main.rs", 3)

    def test_a_cut_last_line_keeps_its_message(self) -> None:
        whole = said({"message": 'no "x"', "level": "error", "rendered": "error\n", "spans": []})
        read = RUST.messages(b"", whole + whole[:-20])
        assert read.stderr == 'error\nerror: no "x"\n'

    def test_an_uncertain_suggestion_is_no_fixit(self) -> None:
        unsure = span(suggested_replacement="y", suggestion_applicability="HasPlaceholders")
        (found,) = RUST.messages(b"", said({"level": "error", "message": "x", "spans": [unsure]})).diagnostics
        assert found.fixits == ()

    @given(st.binary(max_size=300))
    def test_any_bytes_give_an_answer(self, stderr: bytes) -> None:
        RUST.messages(stderr, stderr)

    json_values = st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    [
                        *("message", "level", "spans", "children", "rendered", "code", "file_name", "line_start"),
                        *("column_start", "is_primary", "text", "expansion", "span", "suggested_replacement"),
                    ]
                ),
                inner,
                max_size=5,
            )
        ),
    )

    @given(st.dictionaries(st.sampled_from(["level", "spans", "children", "rendered", "code"]), json_values))
    def test_any_json_gives_an_answer(self, message: dict[str, object]) -> None:
        RUST.messages(b"", said({"message": "x", "level": "error", **message}))

    @pytest.mark.parametrize("piece", [b"[", b'{"message":', b'{"message":"a","children":[', b"\n", b'{"a":1}\n', b"1"])
    def test_no_output_is_too_deep_or_too_long(self, piece: bytes) -> None:
        start = time.perf_counter()
        RUST.messages(b"", b'{"message":"' + piece * (300_000 // len(piece)))
        RUST.messages(b"", b'{"message":' + piece * (300_000 // len(piece)))
        assert time.perf_counter() - start < 5
