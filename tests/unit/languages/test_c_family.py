"""C and C++: which files go along, how the compiler is asked, and what is made of its answer."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from willitcompile.errors import FlagRefused, UnknownStandard
from willitcompile.languages import CompileOptions, detect
from willitcompile.languages.c_family import CPP, C
from willitcompile.languages.c_flags import judged_flags
from willitcompile.languages.c_includes import joined, lines_of, mentions
from willitcompile.model import Diagnostic, FixIt, SourceUnit, Toolchain
from willitcompile.sources import SizeLimits, SourceTree

if TYPE_CHECKING:
    from pathlib import Path

GCC = Toolchain("gcc", "12", {}, {"c": {"c17": "c17"}, "c++": {"c++23": "c++2b"}}, {"c": "c17", "c++": "c++23"})
CLANG = Toolchain("clang", "14", {}, GCC.standards, GCC.defaults)


def gathered(files: dict[str, str], main: str = "main.cpp", **more: object) -> SourceUnit:
    virtual = {name: text.encode() for name, text in files.items()}
    tree = SourceTree(main, virtual=virtual, cwd="/p", disk=False, **more)  # type: ignore[arg-type]
    return CPP.gather(tree)


class TestStandards:
    @pytest.mark.parametrize(
        ("text", "name"),
        [
            ("c++20", "c++20"),
            ("C++2a", "c++20"),
            ("c++2b", "c++23"),
            ("20", "c++20"),
            ("gnu++1z", "gnu++17"),
            ("c++03", "c++98"),
            ("cpp17", "c++17"),
            ("-std=gnu++26", "gnu++26"),
        ],
    )
    def test_cpp_has_one_name_each(self, text: str, name: str) -> None:
        assert CPP.canonical(text) == name

    @pytest.mark.parametrize(
        ("text", "name"),
        [("c18", "c17"), ("c2x", "c23"), ("ansi", "c89"), ("c90", "c89"), ("gnu11", "gnu11"), ("99", "c99")],
    )
    def test_c_has_one_name_each(self, text: str, name: str) -> None:
        assert C.canonical(text) == name

    @pytest.mark.parametrize("text", ["c++21", "c17", "", "c++", "go1.21", "2021"])
    def test_others_are_unknown_to_cpp(self, text: str) -> None:
        with pytest.raises(UnknownStandard, match=r"C\+\+"):
            CPP.canonical(text)

    def test_are_oldest_first(self) -> None:
        assert C.standards[:3] == ("c89", "gnu89", "c99")
        assert CPP.standards[-2:] == ("c++26", "gnu++26")
        assert CPP.spellings["c++23"] == ("c++23", "c++2b")
        assert C.spellings["gnu23"] == ("gnu23", "gnu2x")


def names(text: str) -> set[tuple[str, str]]:
    return {(mention.kind, mention.name) for mention in mentions(text.encode())}


class TestMentions:
    @pytest.mark.parametrize(
        "text",
        [
            '#include "x.h"',
            '  #  include  "x.h"',
            '#include"x.h"',
            '%:include "x.h"',
            '??=include "x.h"',
            '#inc\\\nlude "x.h"',
            '#inc\\ \t\r\nlude "x.h"',
            '#inc??/\nlude "x.h"',
            '# /* a */ include /* b */ "x.h"',
            '/* a */ #include "x.h"',
            '#import "x.h"',
            '#embed "x.h" limit(3)',
            '#if __has_include("x.h")',
            '#if defined(a) && __has_include ( "x.h" )',
            '#if __has_embed("x.h" limit(1))',
        ],
    )
    def test_all_spellings_of_a_quoted_include_are_seen(self, text: str) -> None:
        assert names(text) == {("quoted", "x.h")}

    @pytest.mark.parametrize("text", ["#include <x.h>", "#include_next <x.h>", '#include_next "x.h"'])
    def test_only_include_directories_have_an_angled_one(self, text: str) -> None:
        assert names(text) == {("angled", "x.h")}

    @pytest.mark.parametrize("text", [r'asm(".incbin \"x\"");', r'asm(".include \"x\"\n");', '.incbin "x"'])
    def test_assembly_is_seen(self, text: str) -> None:
        assert names(text) == {("assembly", "x")}

    @pytest.mark.parametrize("text", ["#include HEADER", "# include STR(x)", "#if __has_include(X)"])
    def test_what_a_macro_computes_is_seen(self, text: str) -> None:
        assert names(text) == {("computed", "")}

    @pytest.mark.parametrize(
        "text",
        ["include this", "#included X", "#define x", "int include = 1;", "#include", '#include "x\n"', "import std;"],
    )
    def test_nothing_else_is(self, text: str) -> None:
        assert names(text) == set()

    def test_a_few_comments_may_stand_before_the_word(self) -> None:
        assert names("#" + "/**/" * 8 + 'include "x.h"') == {("quoted", "x.h")}
        assert names("#" + "/**/" * 9 + 'include "x.h"') == set()

    @given(st.binary(max_size=200))
    def test_any_bytes_give_an_answer(self, text: bytes) -> None:
        mentions(text)

    @given(st.lists(st.sampled_from(["#include", "%:", "??=", "\\\n", "/*", "*/", '"', "<", ">", "x", " ", "\n", "("])))
    def test_any_tokens_give_an_answer_with_a_line(self, tokens: list[str]) -> None:
        text = "".join(tokens).encode()
        for mention in mentions(text):
            assert 1 <= lines_of(text, [mention.offset])[mention.offset] <= text.count(b"\n") + 1

    @given(st.lists(st.sampled_from(["int x;\n", "a \\\n b\n", "\n", "x\\  \n"])))
    def test_the_line_is_that_of_the_text_as_it_was(self, before: list[str]) -> None:
        text = "".join(before).encode()
        source = text + b'#include "x.h"\n'
        (mention,) = mentions(source)
        if not text.endswith(b"\\  \n"):
            assert lines_of(source, [mention.offset])[mention.offset] == text.count(b"\n") + 1
        assert joined(source)[mention.offset :].startswith(b"include")

    def test_a_large_amalgamation_takes_no_time(self) -> None:
        line = b"  sqlite3VdbeAddOp3(v, OP_Column, iTab, iCol, regOut); /* included by import */ \\\n"
        text = b'#include "x.h"\n' + line * (9_000_000 // len(line))
        start = time.perf_counter()
        assert len(mentions(text)) == 1
        # 60 ms for text with two false words and a splice on every line; the bound is for busy machines.
        assert time.perf_counter() - start < 2

    @pytest.mark.parametrize(
        "piece", [b"#include ", b"# include/*", b'#include "', b"#include <", b"#/**/", b"\\ ", b"#include <a>\n"]
    )
    def test_no_text_takes_quadratic_time(self, piece: bytes) -> None:
        start = time.perf_counter()
        mentions(piece * (1_000_000 // len(piece)))
        assert time.perf_counter() - start < 5


@pytest.mark.usefixtures("soon")
@pytest.mark.parametrize("start", [b"namespace", b"int f(a&b)", b"__cplusplus\n#if defined", b"class a", b"a::"])
def test_a_header_with_a_long_run_of_blanks_is_told_all_the_same(start: bytes) -> None:
    assert detect("a.h", start + b" " * 250_000 + b"!").name == "c"


class TestGathering:
    def test_more_files_outside_than_anybody_reads_of_are_noted_up_to_a_bound(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, soon: None
    ) -> None:
        (tmp_path / "src").mkdir()
        for number in range(2000):
            (tmp_path / f"{number}.h").touch()
        includes = "".join(f'#include "../{number}.h"\n' for number in range(2000))
        (tmp_path / "src/main.cpp").write_text("a\\\n" * 500_000 + includes)
        monkeypatch.chdir(tmp_path / "src")
        notes = CPP.gather(SourceTree("main.cpp")).notes
        assert notes[0].startswith("main.cpp:500001 includes ../0.h")
        assert notes[99].startswith("main.cpp:500100 includes ../99.h")
        assert len(notes) == 100

    def test_directories_of_any_depth_are_looked_into(self, deep: str, tmp_path: Path) -> None:
        (tmp_path / "main.cpp").write_text("#include HEADER")
        assert set(CPP.gather(SourceTree("main.cpp", include_dirs=["d"])).files) >= {"main.cpp", deep}

    def test_headers_are_followed_once_each(self) -> None:
        unit = gathered(
            {
                "main.cpp": '#include "a.h"\n#include "b.h"\n',
                "a.h": '#include "a.h"\n#include "b.h"\n#include "sub/c.h"',
                "b.h": '#include "a.h"',
                "sub/c.h": '#include "d.h"\n#include "../e.h"',
                "sub/d.h": "",
                "e.h": "",
                "d.h": "not this",
                "unused.h": "",
            }
        )
        assert set(unit.files) == {"main.cpp", "a.h", "b.h", "sub/c.h", "sub/d.h", "e.h"}
        assert unit.notes == ()

    def test_the_directory_of_the_includer_comes_first_then_each_include_directory(self) -> None:
        files = {"main.cpp": '#include "x.h"\n#include <y.h>\n', "i/x.h": "", "j/x.h": "", "y.h": "", "j/y.h": ""}
        unit = gathered(files, include_dirs=["i", "j"])
        assert set(unit.files) == {"main.cpp", "i/x.h", "j/y.h"}
        assert unit.include_dirs == ("i", "j")
        assert set(gathered({**files, "x.h": ""}, include_dirs=["i", "j"]).files) == {
            "main.cpp",
            "x.h",
            "j/y.h",
            "i/",
        }

    def test_include_next_is_served_from_every_include_directory(self) -> None:
        files = {"main.cpp": "#include <x.h>", "i/x.h": "#include_next <x.h>", "j/x.h": ""}
        assert set(gathered(files, include_dirs=["i", "j"]).files) == {"main.cpp", "i/x.h", "j/x.h"}

    def test_embedded_files_may_be_binary(self) -> None:
        unit = gathered({"main.cpp": '#embed "d.bin"\nasm(".incbin \\"e.bin\\"");', "d.bin": "\0", "e.bin": "\0"})
        assert unit.files["d.bin"] == b"\0"
        assert unit.files["e.bin"] == b"\0"

    def test_a_computed_include_has_all_that_it_may_mean(self) -> None:
        unit = gathered(
            {
                "src/main.cpp": "#include HEADER",
                "src/a.h": "",
                "src/b.def": '#include "deep/d.h"',
                "src/readme": "",
                "src/deep/d.h": "",
                "src/deep/e.h": "",
                "inc/x/y.hpp": "",
            },
            main="src/main.cpp",
            include_dirs=["inc"],
        )
        assert set(unit.files) == {"src/main.cpp", "src/a.h", "src/b.def", "src/deep/d.h", "inc/x/y.hpp"}

    def test_a_computed_include_takes_no_more_than_there_is_room(self) -> None:
        files = {"main.cpp": "#include HEADER", **{f"{n}.h": "x" * 1000 for n in range(10)}}
        unit = gathered(files, limits=SizeLimits(unit_bytes=5000))
        assert len(unit.files) == 5
        assert "not all" in unit.notes[0]

    def test_a_missing_header_is_left_to_the_compiler(self) -> None:
        unit = gathered({"main.cpp": '#include "missing.h"\n#include <vector>\n'})
        assert set(unit.files) == {"main.cpp"}
        assert unit.notes == ()

    def test_a_header_outside_is_noted_and_an_absolute_one_too(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "src/sub").mkdir(parents=True)
        (tmp_path / "x.h").write_text("secret")
        (tmp_path / "src/y.h").write_text("")
        (tmp_path / "src/main.cpp").write_text(
            f'#include "sub/../y.h"\n\\\n#include "../x.h"\n#include "{tmp_path}/x.h"\n#include "/nowhere/x.h"\n'
        )
        monkeypatch.chdir(tmp_path / "src")
        unit = CPP.gather(SourceTree("main.cpp"))
        assert set(unit.files) == {"main.cpp", "y.h", "sub/"}
        assert unit.notes[0] == ("main.cpp:3 includes ../x.h, which lies outside of the directories given: add -I ..")
        assert "absolute" in unit.notes[1]
        assert len(unit.notes) == 2

    def test_a_directory_or_pipe_that_is_included_is_not_read(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        (tmp_path / "d").mkdir()
        os.mkfifo("p")
        (tmp_path / "main.cpp").write_text('#include "d"\n#include "p"\n#include "."\n#include ""\n')
        assert set(CPP.gather(SourceTree("main.cpp")).files) == {"main.cpp"}

    @given(st.binary(max_size=100).filter(lambda text: b"\0" not in text))
    def test_any_source_is_gathered(self, text: bytes) -> None:
        tree = SourceTree("m.c", virtual={"m.c": text, "x.h": text}, disk=False)
        assert C.gather(tree).files["m.c"] == text


UNIT = SourceUnit("src/a.cpp", "c++", {}, ("a.cpp",), workdir="src", include_dirs=("../i", "."))


class TestTheCommand:
    def test_asks_gcc(self) -> None:
        options = CompileOptions(defines=("A=1",), warnings=("-Wall",), flags=("-O2",))
        command = CPP.command(UNIT, GCC, "c++23", options)
        assert command.argv == (
            *("g++", "-std=c++2b", "-pipe", "-fdiagnostics-color=never", "-fdiagnostics-parseable-fixits"),
            "-fdiagnostics-column-unit=byte",
            *("-DA=1", "-Wall", "-O2", "-I../i", "-I."),
            *("-o", "../../tmp/out", "-c", "-x", "c++", "a.cpp"),
        )
        assert command.rejected_exit_codes == {1}

    def test_asks_an_old_gcc_for_nothing_that_it_does_not_know(self) -> None:
        argv = CPP.command(UNIT, GCC._replace(version="10"), "c++23", CompileOptions()).argv
        assert "-fdiagnostics-column-unit=byte" not in argv

    def test_asks_clang_and_for_c(self) -> None:
        assert CPP.command(UNIT, CLANG, "c++23", CompileOptions()).argv[0] == "clang++"
        assert C.command(UNIT, CLANG, "c17", CompileOptions()).argv[0] == "clang"
        assert C.command(UNIT, GCC, "c17", CompileOptions()).argv[-3:] == ("-x", "c", "a.cpp")

    def test_links_with_libraries_behind_the_source(self) -> None:
        argv = CPP.command(UNIT, GCC, "c++23", CompileOptions(link=True, flags=("-lm", "-O1"))).argv
        assert "-c" not in argv
        assert argv[-4:] == ("a.cpp", "-x", "none", "-lm")

    def test_a_header_is_compiled_as_one_that_is_included(self) -> None:
        unit = UNIT._replace(main=("a.hpp",))
        argv = CPP.command(unit, CLANG, "c++23", CompileOptions()).argv
        assert argv[-5:] == ("-include", "a.hpp", "-x", "c++", "/dev/null")

    @given(st.lists(st.text(max_size=12)), st.lists(st.text(max_size=12)), st.lists(st.text(max_size=12)))
    def test_whatever_is_asked_the_frame_stays(self, defines: list[str], warnings: list[str], flags: list[str]) -> None:
        options = CompileOptions(tuple(defines), tuple(warnings), tuple(flags))
        try:
            argv = CPP.command(UNIT, GCC, "c++23", options).argv
        except FlagRefused:
            return
        assert argv[-5:] == ("../../tmp/out", "-c", "-x", "c++", "a.cpp")
        assert not any(argument.startswith("@") or "\n" in argument for argument in argv)


def words(text: str) -> list[str]:
    return text.split()


ALLOWED = words("""
-O -O0 -O2 -Os -Ofast -g -g3 -ggdb -gdwarf-4 -w -pedantic -pedantic-errors -pthread -fno-exceptions -fno-rtti
-fexceptions -fPIC -fno-pic -fopenmp -fcoroutines -fconcepts -fmodules-ts -fmodules -fpermissive -fsyntax-only
-ftemplate-depth=2000 -ftemplate-depth-100 -fconstexpr-depth=10 -fconstexpr-steps=1000000 -fconstexpr-ops-limit=9
-fconstexpr-loop-limit=9 -fmax-errors=1 -ferror-limit=0 -fsanitize=address,undefined -fno-sanitize=all
-fsanitize-recover=undefined -fvisibility=hidden -fstack-protector-strong -fno-stack-protector -fwrapv -fchar8_t
-fno-strict-aliasing -ffast-math -fms-extensions -fno-builtin -ffreestanding -fcf-protection=full
-fexcess-precision=standard -m32 -m64 -march=native -march=armv8-a+crc -mtune=generic -mcpu=cortex-a53 -mabi=lp64d
-mavx2 -mno-sse -msse4.2 -mfpmath=sse -mno-red-zone -mcmodel=large -nostdinc -nostdinc++ -nostdlib -static -shared
-stdlib=libc++ -stdlib=libstdc++ -undef -DNAME -DNAME=1 -UNAME -Wall -Wno-unused -Werror -Werror=format -W
-Wframe-larger-than=100 -flto -fanalyzer -fuse-ld=lld -fno-common -funsigned-char -ftrapv
""")

REFUSED = words("""
-std=c++20 -ansi -xc -x -include -imacros -Ifoo -I -isystem -isystem/x -iquote -idirafter -iprefix --sysroot=/ -isysroot
-L/ -B/ -B -fplugin=x.so -fplugin-arg-x-y -fpass-plugin=x -load -specs=x --specs=x -wrapper @file -o -ofoo -c -S -E -M
-MD -MF -MMD -fdump-tree-all -fdump-tree-all=/x -save-temps -save-temps=obj -dumpbase -dM -dD -fprofile-use=x
-fprofile-generate -fprofile-use --coverage -ftest-coverage -fauto-profile=x -Xclang -Xlinker -Xassembler
-Xpreprocessor -Wl,-x -Wa,-x -Wp,-x -mllvm -fsanitize-ignorelist=x -fsanitize-blacklist=x -ftime-trace=x -ftime-trace
-fmodules-cache-path=x -fcrash-diagnostics-dir=x -T -Tx -z -print-file-name=x -print-search-dirs -v -### --help
--version -fuse-ld=/bin/sh -fmodule-mapper=x -fmodule-file=x -fdebug-prefix-map=a=b -ffile-prefix-map=a=b
-fmacro-prefix-map=a=b -lm -l:x -gsplit-dwarf -resource-dir=x -fembed-dir=x --embed-dir=x --config=x --gcc-toolchain=x
-fopt-info=x -fsave-optimization-record -aux-info -working-directory=x -march -mtune -meabi -mthread-model - -- a.cpp
-fbogus -fno-bogus -mfoo=bar -O4 -gfoo -foffload=x -fdiagnostics-add-output=sarif:file=x -fdiagnostics-format=sarif-file
-D -D1 -U -U- -fsanitize=a;b -fvisibility=/x -march=/x -fworking-directory --param=x=1 -fcallgraph-info=su
-fprebuilt-module-path=x -serialize-diagnostics -fstack-usage -ivfsoverlay -F/x -nostdinc=x
""")


class TestFlags:
    @pytest.mark.parametrize("flag", ALLOWED)
    def test_harmless_ones_are_taken(self, flag: str) -> None:
        assert judged_flags(CompileOptions(flags=(flag,))) == (flag,)

    @pytest.mark.parametrize("flag", [*REFUSED, "", "-O2\n", "-O2 -g", "-DA\nB"])
    def test_others_are_refused_and_told_why(self, flag: str) -> None:
        with pytest.raises(FlagRefused) as caught:
            judged_flags(CompileOptions(flags=(flag,)))
        assert repr(flag) in caught.value.asked
        assert caught.value.obstacle
        assert caught.value.remedy

    def test_the_standard_has_its_own_option(self) -> None:
        with pytest.raises(FlagRefused) as caught:
            judged_flags(CompileOptions(flags=("-std=c++20",)))
        assert caught.value.remedy == "use --std"

    def test_a_library_needs_a_link(self) -> None:
        assert judged_flags(CompileOptions(flags=("-lstdc++fs",), link=True)) == ()
        for flag in ("-l:libx.a", "-l/x", "-l-x", "-l"):
            with pytest.raises(FlagRefused):
                judged_flags(CompileOptions(flags=(flag,), link=True))

    @pytest.mark.parametrize(
        "warning", ["Wall", "-O2", "-Wl,-x", "-Wp,-x", "-Wa,x", "-Wall -Wextra", "-Wx\n", "-W=", ""]
    )
    def test_only_warnings_are_warnings(self, warning: str) -> None:
        with pytest.raises(FlagRefused):
            judged_flags(CompileOptions(warnings=(warning,)))

    @pytest.mark.parametrize("define", ["NAME", "_N1=", "N=a b", "F(x,y)=x", 'N="é"', "V(...)=1"])
    def test_definitions_are_taken(self, define: str) -> None:
        assert judged_flags(CompileOptions(defines=(define,))) == ("-D" + define,)

    @pytest.mark.parametrize("define", ["", "1A", "A B", "-A", "A\n", "A=1\n2", "=1", "A=\0"])
    def test_other_definitions_are_refused(self, define: str) -> None:
        with pytest.raises(FlagRefused):
            judged_flags(CompileOptions(defines=(define,)))


def diagnostics(text: str, prefix: str = "") -> tuple[Diagnostic, ...]:
    return CPP.messages(b"", text.encode(), prefix).diagnostics


class TestMessages:
    def test_gcc(self) -> None:
        said = CPP.messages(
            b"",
            b"main.cpp: In function 'int main()':\n"
            b"main.cpp:1:20: error: 'struct S' has no member named 'sise'; did you mean 'size'?\n"
            b"    1 | int main() { S s; s.sise; } // a.c:1:2: error: no\n"
            b"      |                     ^~~~\n"
            b'fix-it:"main.cpp":{1:21-1:25}:"size"\n'
            b"main.cpp:2:7: warning: unused variable 'x' [-Wunused-variable]\n"
            b"main.cpp:3: note: somewhere\n",
        )
        assert "fix-it" not in said.stderr
        assert said.stderr.count("\n") == 6
        assert said.diagnostics == (
            Diagnostic(
                "main.cpp",
                1,
                20,
                "error",
                None,
                "'struct S' has no member named 'sise'; did you mean 'size'?",
                (FixIt("main.cpp", 1, 21, 1, 25, "size"),),
            ),
            Diagnostic("main.cpp", 2, 7, "warning", "-Wunused-variable", "unused variable 'x'"),
            Diagnostic("main.cpp", 3, None, "note", None, "somewhere"),
        )

    @pytest.mark.parametrize(
        ("line", "found"),
        [
            ("a.c:1:2: fatal error: x.h: No such file", Diagnostic("a.c", 1, 2, "error", None, "x.h: No such file")),
            ("g++: error: no", Diagnostic(None, None, None, "error", None, "no")),
            ("error: no", Diagnostic(None, None, None, "error", None, "no")),
            ("cc1plus: fatal error: x", Diagnostic(None, None, None, "error", None, "x")),
            ("a:b.c:3:4: error: x", Diagnostic("a:b.c", 3, 4, "error", None, "x")),
            ("C:/a b/c.c:3:4: error: x: error: y", Diagnostic("C:/a b/c.c", 3, 4, "error", None, "x: error: y")),
            ("a.c:1:2: error: x [-Werror=format=]", Diagnostic("a.c", 1, 2, "error", "-Wformat=", "x")),
            ("a.c:1:2: error: x [-Werror,-Wformat]", Diagnostic("a.c", 1, 2, "error", "-Wformat", "x")),
            ("a.c:1:2: warning: x [-pedantic]", Diagnostic("a.c", 1, 2, "warning", "-pedantic", "x")),
            ("a.c:1:2: warning: x a[-1]", Diagnostic("a.c", 1, 2, "warning", None, "x a[-1]")),
            ("a.c:1:2: internal compiler error: x", Diagnostic("a.c", 1, 2, "error", None, "x")),
            ("a.c:99999999999: error: x", Diagnostic(None, None, None, "error", None, "x")),
            (
                "l.c:(.text+0x5): undefined reference to `f'",
                Diagnostic("l.c", None, None, "error", None, "undefined reference to `f'"),
            ),
            (
                "/usr/bin/ld: /tmp/x.o: in function `m': l.c:(.text+0x5): undefined reference to `f'",
                Diagnostic("l.c", None, None, "error", None, "undefined reference to `f'"),
            ),
        ],
    )
    def test_single_lines(self, line: str, found: Diagnostic) -> None:
        assert diagnostics(line + "\n") == (found,)

    def test_a_path_is_as_the_user_would_name_it(self) -> None:
        assert [each.path for each in diagnostics("../x.h:1:2: error: a\n/usr/x.h:1: note: b\n", "src/lib/")] == [
            "src/x.h",
            "/usr/x.h",
        ]

    def test_fixits_are_unescaped(self) -> None:
        (found,) = diagnostics('a.c:1:2: error: x\nfix-it:"\\303\\251\\".c":{1:2-1:2}:"\\n\\t\\\\\\"\\303\\251"\n')
        assert found.fixits == (FixIt('é".c', 1, 2, 1, 2, '\n\t\\"é'),)

    def test_undecodable_bytes_stand_as_escapes(self) -> None:
        said = CPP.messages(b"\xff", b"a.c:1:2: error: \xff\n")
        assert said.stdout == "\\xff"
        assert said.diagnostics[0].message == "\\xff"

    @given(st.binary(max_size=300), st.binary(max_size=300))
    def test_any_bytes_give_an_answer(self, stdout: bytes, stderr: bytes) -> None:
        assert "fix-it" not in CPP.messages(stdout, stderr).stderr or b"fix-it" in stderr

    @given(
        st.lists(
            st.sampled_from(
                [":", "1", "a.c", " error: ", "note: ", 'fix-it:"', '":{', "}", "-", "[-W", "]", "\n", "\\"]
            )
        )
    )
    def test_any_tokens_give_an_answer(self, tokens: list[str]) -> None:
        for found in diagnostics("".join(tokens)):
            assert found.severity in {"error", "warning", "note"}

    @pytest.mark.parametrize("piece", [b": error", b"a:1:2: error: ", b":1", b'fix-it:"', b"\\", b"[-W", b"\n", b" "])
    def test_no_output_takes_quadratic_time(self, piece: bytes) -> None:
        start = time.perf_counter()
        CPP.messages(b"", b'fix-it:"' + piece * (500_000 // len(piece)))
        CPP.messages(b"", b"a:1:1: error: x\n" + b'fix-it:"a":{1:1-1:1}:""\n' * 10_000)
        assert time.perf_counter() - start < 5


@pytest.mark.parametrize("flag", ["-mcpu=help", "-march=help", "-mtune=list", "-fvisibility=help"])
def test_a_flag_that_prints_instead_of_compiling_is_refused(flag: str) -> None:
    with pytest.raises(FlagRefused):
        CPP.command(UNIT, GCC, "c++17", CompileOptions(flags=(flag,)))


@pytest.mark.parametrize(
    "text", [b"/*#include/**/" * 20_000, b'"' + b'\\"' * 60_000, b"\\\n" * 50_000 + b'#include "/etc/x"\n' * 300]
)
def test_a_text_made_to_be_slow_is_scanned_all_the_same(text: bytes, tmp_path: Path) -> None:
    """Each of these took minutes once. What is asserted is that it ends: a test that hangs is stopped by CI."""
    (tmp_path / "slow.h").write_bytes(text)
    (tmp_path / "slow.c").write_bytes(text)
    assert detect("slow.h", text, None)
    C.gather(SourceTree(str(tmp_path / "slow.c")))
