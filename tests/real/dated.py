"""Small programs that each use one feature of a known date, and since when compilers have it by the published tables.

C++: https://en.cppreference.com/w/cpp/compiler_support, which gathers https://gcc.gnu.org/projects/cxx-status.html,
https://clang.llvm.org/cxx_status.html and the "Implementation Status" of the libstdc++ manual. C:
https://en.cppreference.com/w/c/compiler_support, the release notes of gcc 12 to 15, and
https://clang.llvm.org/c_status.html. Go: https://go.dev/doc/devel/release. Rust:
https://doc.rust-lang.org/stable/releases.html.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from willitcompile.ranges import order

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from willitcompile.model import Toolchain


class Dated(NamedTuple):
    """A program."""

    file: str
    text: str
    standard: str
    """The one that brought the feature."""

    since: Mapping[str, str]
    """By family, the first version that has it. Of a library, the compiler that it comes with."""

    seen: Mapping[str, tuple[str, str]] = {}
    """By family, the standard and the version that are found instead, where the tables say otherwise or nothing."""

    why: str = ""
    """The reason."""

    @property
    def path(self) -> str:
        """A directory of its own, as the Go files of one are one package."""
        return f"{self.file.replace('.', '_')}/{self.file}"

    def expected(self, family: str, versions: Sequence[str]) -> tuple[str, str] | None:
        """The standard, and the first of these versions (oldest first) that compiles it; None where none does."""
        standard, since = self.seen[family] if family in self.seen else (self.standard, self.since[family])
        first = next((version for version in versions if order(version) >= order(since)), None)
        return (standard, first) if first else None

    def expected_of(self, toolchains: Iterable[Toolchain]) -> set[tuple[str, str] | None]:
        """What is expected of each family that has it; None for one of which no version does."""
        versions: dict[str, list[str]] = {}
        for each in toolchains:
            if each.family in self.since or each.family in self.seen:
                versions.setdefault(each.family, []).append(each.version)
        return {self.expected(family, sorted(those, key=order)) for family, those in versions.items()}


LIBRARY = "clang compiles with the libstdc++ of its Debian: that of gcc 12 for clang 14 to 16, of gcc 14 from 17 on"

COROUTINES = (
    "gcc 10 wants -fcoroutines besides -std=c++20, and so does its libstdc++ of clang 13 and 11. The tables call clang"
    " partial from 8 on, because of other targets."
)

C_FAMILY = (
    Dated(
        "concepts.cpp",
        "template <typename T> concept Small = sizeof(T) < 8;\ntemplate <Small T> void f(T) {}\nvoid g() { f('a'); }\n",
        "c++20",
        {"gcc": "10", "clang": "10"},
    ),
    Dated(
        "designated.cpp",
        "struct P { int x; int y; };\nP p{.x = 1, .y = 2};\n",
        "c++20",
        {"gcc": "8", "clang": "10"},
    ),
    Dated(
        "spaceship.cpp",
        "#include <compare>\nstruct P { int x; auto operator<=>(const P&) const = default; };\nbool b = P{1} < P{2};\n",
        "c++20",
        {"gcc": "10", "clang": "10"},
    ),
    Dated(
        "consteval.cpp",
        "consteval int f(int i) { return i; }\nint x = f(1);\n",
        "c++20",
        {"gcc": "11", "clang": "17"},
        seen={"gcc": ("c++20", "10"), "clang": ("c++20", "11")},
        why="The tables call gcc 10, and clang from 11 on, partial. This program needs no more than that part.",
    ),
    Dated("constinit.cpp", "constinit int x = 1;\n", "c++20", {"gcc": "10", "clang": "10"}),
    Dated(
        "using_enum.cpp",
        "enum class E { a };\nint f() { using enum E; return a == E::a; }\n",
        "c++20",
        {"gcc": "11", "clang": "13"},
    ),
    Dated("char8.cpp", 'const char8_t* s = u8"a";\n', "c++20", {"gcc": "9", "clang": "7"}),
    Dated(
        "aggregate.cpp",
        "struct P { int x; int y; };\nP p(1, 2);\n",
        "c++20",
        {"gcc": "10", "clang": "16"},
    ),
    Dated(
        "coroutines.cpp",
        "#include <coroutine>\nstruct T {\n  struct promise_type {\n    T get_return_object() { return {}; }\n"
        "    std::suspend_never initial_suspend() { return {}; }\n"
        "    std::suspend_never final_suspend() noexcept { return {}; }\n    void return_void() {}\n"
        "    void unhandled_exception() {}\n  };\n};\nT f() { co_return; }\n",
        "c++20",
        {"gcc": "10", "clang": "17"},
        seen={"gcc": ("c++20", "11"), "clang": ("c++20", "14")},
        why=COROUTINES,
    ),
    Dated(
        "format.cpp",
        '#include <format>\n#include <string>\nstd::string s = std::format("{}", 42);\n',
        "c++20",
        {"gcc": "13"},
        seen={"clang": ("c++20", "17")},
        why=LIBRARY,
    ),
    Dated(
        "span.cpp",
        "#include <span>\nint f(std::span<int> s) { return s[0]; }\n",
        "c++20",
        {"gcc": "10"},
        seen={"clang": ("c++20", "11")},
        why="The libstdc++ of clang 11 is that of gcc 10.",
    ),
    Dated(
        "source_location.cpp",
        "#include <source_location>\nunsigned line = std::source_location::current().line();\n",
        "c++20",
        {"gcc": "11"},
        seen={"clang": ("c++20", "15")},
        why="libstdc++ has it where the compiler has __builtin_source_location, as clang from 15 on.",
    ),
    Dated(
        "if_constexpr.cpp",
        "template <typename T> int f(T t) { if constexpr (sizeof(T) == 1) return t; else return 0; }\n",
        "c++17",
        {"gcc": "7", "clang": "3.9"},
    ),
    Dated(
        "bindings.cpp",
        "struct P { int x; int y; };\nint f(P p) { auto [x, y] = p; return x + y; }\n",
        "c++17",
        {"gcc": "7", "clang": "4"},
    ),
    Dated(
        "optional.cpp",
        "#include <optional>\nstd::optional<int> x = std::nullopt;\n",
        "c++17",
        {"gcc": "7", "clang": "4"},
    ),
    Dated(
        "generic_lambda.cpp", "auto twice = [](auto x) { return x + x; };\n", "c++14", {"gcc": "4.9", "clang": "3.4"}
    ),
    Dated("separators.cpp", "long million = 1'000'000;\n", "c++14", {"gcc": "4.9", "clang": "3.4"}),
    Dated("lambda.cpp", "int f() { return [] { return 1; }(); }\n", "c++11", {"gcc": "4.5", "clang": "3.1"}),
    Dated(
        "deducing_this.cpp",
        "struct S { int x; auto&& get(this auto&& self) { return self.x; } };\nint f(S s) { return s.get(); }\n",
        "c++23",
        {"gcc": "14", "clang": "18"},
    ),
    Dated(
        "if_consteval.cpp",
        "constexpr int f() { if consteval { return 1; } else { return 2; } }\nint x = f();\n",
        "c++23",
        {"gcc": "12", "clang": "14"},
    ),
    Dated(
        "subscript.cpp",
        "struct M { int operator[](int i, int j) const { return i + j; } };\nint x = M{}[1, 2];\n",
        "c++23",
        {"gcc": "12", "clang": "15"},
    ),
    Dated(
        "static_call.cpp",
        "struct F { static int operator()(int i) { return i; } };\nint x = F{}(1);\n",
        "c++23",
        {"gcc": "13", "clang": "16"},
    ),
    Dated("decay_copy.cpp", "int f(int& i) { return auto(i); }\n", "c++23", {"gcc": "12", "clang": "15"}),
    Dated(
        "size_suffix.cpp",
        "auto n = 1uz;\n",
        "c++23",
        {"gcc": "11", "clang": "13"},
        seen={"gcc": ("c++11", "11")},
        why="gcc only warns of it before C++23, also with -pedantic-errors.",
    ),
    Dated(
        "print.cpp",
        '#include <print>\nvoid f() { std::print("{}", 42); }\n',
        "c++23",
        {"gcc": "14"},
        seen={"clang": ("c++23", "17")},
        why=LIBRARY,
    ),
    Dated(
        "expected.cpp",
        "#include <expected>\nstd::expected<int, int> x = std::unexpected(1);\n",
        "c++23",
        {"gcc": "12"},
        seen={"clang": ("c++23", "19")},
        why="libstdc++ has it where __cpp_concepts is 202002 or more, as in clang from 19 on.",
    ),
    Dated(
        "placeholder.cpp",
        "int f();\nint g() { auto _ = f(); auto _ = f(); return 0; }\n",
        "c++26",
        {"gcc": "14", "clang": "18"},
    ),
    Dated(
        "pack_indexing.cpp",
        "template <typename... T> using First = T...[0];\nFirst<int, char> x;\n",
        "c++26",
        {"gcc": "15", "clang": "19"},
    ),
    Dated("bit_int.c", "_BitInt(7) x = 1;\n", "c23", {"gcc": "14", "clang": "14"}),
    Dated("constexpr.c", "constexpr int n = 4;\nint a[n];\n", "c23", {"gcc": "13", "clang": "19"}),
    Dated("nullptr.c", "int *p = nullptr;\n", "c23", {"gcc": "13", "clang": "16"}),
    Dated("typeof_unqual.c", "const int x;\ntypeof_unqual(x) y;\n", "c23", {"gcc": "13", "clang": "16"}),
    Dated("auto.c", 'char f(void) { auto s = "a"; return s[0]; }\n', "c23", {"gcc": "13", "clang": "18"}),
    Dated("separators.c", "long million = 1'000'000;\n", "c23", {"gcc": "12", "clang": "13"}),
    Dated("embed.c", 'char self[] = {\n#embed "embed.c"\n};\n', "c23", {"gcc": "15", "clang": "19"}),
    Dated(
        "generic.c",
        "#define KIND(x) _Generic((x), int: 1, default: 0)\nint k = KIND(1);\n",
        "c11",
        {"gcc": "4.9", "clang": "3.0"},
    ),
    Dated(
        "compound.c",
        "struct P { int x; };\nstruct P *p(void) { static struct P q; q = (struct P){1}; return &q; }\n",
        "c99",
        {"gcc": "3.0", "clang": "2.9"},
    ),
)

GO = (
    Dated("generics.go", "package p\n\nfunc First[T any](s []T) T { return s[0] }\n", "go1.18", {"go": "1.18"}),
    Dated(
        "range_over_func.go",
        "package p\n\nfunc Sum(seq func(func(int) bool)) (n int) {\n"
        "\tfor i := range seq {\n\t\tn += i\n\t}\n\treturn\n}\n",
        "go1.23",
        {"go": "1.23"},
    ),
    Dated("range_over_int.go", "package p\n\nfunc F() {\n\tfor range 3 {\n\t}\n}\n", "go1.22", {"go": "1.22"}),
    Dated("min.go", "package p\n\nfunc F(a, b int) int { return min(a, b) }\n", "go1.21", {"go": "1.21"}),
    Dated("binary.go", "package p\n\nconst Five = 0b101\n", "go1.13", {"go": "1.13"}),
    Dated(
        "alias.go",
        "package p\n\ntype Set[T comparable] = map[T]bool\n",
        "go1.24",
        {"go": "1.24"},
        seen={"go": ("go1.23", "1.24")},
        why="Go 1.23 has it behind GOEXPERIMENT=aliastypeparams; later toolchains give it to code of go1.23.",
    ),
    Dated("new.go", "package p\n\nvar P = new(42)\n", "go1.26", {"go": "1.26"}),
    Dated(
        "lines.go",
        'package p\n\nimport "strings"\n\nvar Seq = strings.Lines("a\\nb")\n',
        "go1.24",
        {"go": "1.24"},
        seen={"go": ("go1.1", "1.24")},
        why="The library is that of the toolchain, at whichever language version.",
    ),
)

RUST = (
    Dated(
        "let_else.rs",
        "pub fn f(x: Option<i32>) -> i32 {\n    let Some(y) = x else { return 0 };\n    y\n}\n",
        "2015",
        {"rustc": "1.65"},
    ),
    Dated("async_fn.rs", "pub async fn f() -> i32 { 1 }\n", "2018", {"rustc": "1.39"}),
    Dated(
        "async_closure.rs",
        "pub fn f() { let _g = async |x: i32| x + 1; }\n",
        "2018",
        {"rustc": "1.85"},
    ),
    Dated("c_literal.rs", 'pub fn f() -> &\'static std::ffi::CStr { c"hello" }\n', "2021", {"rustc": "1.77"}),
    Dated(
        "const_generics.rs", "pub fn f<const N: usize>(a: [u8; N]) -> usize { a.len() }\n", "2015", {"rustc": "1.51"}
    ),
    Dated("format_args.rs", 'pub fn f(x: i32) -> String { format!("{x}") }\n', "2015", {"rustc": "1.58"}),
    Dated(
        "lazy_lock.rs",
        "pub static X: std::sync::LazyLock<i32> = std::sync::LazyLock::new(|| 1);\n",
        "2015",
        {"rustc": "1.80"},
    ),
    Dated(
        "let_chain.rs",
        "pub fn f(x: Option<i32>) -> bool { if let Some(y) = x && y > 1 { true } else { false } }\n",
        "2024",
        {"rustc": "1.88"},
    ),
)

PROGRAMS = (*C_FAMILY, *GO, *RUST)
