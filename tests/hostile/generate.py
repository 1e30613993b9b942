"""The hostile sources that are too large, or hold bytes too odd, to keep as files: a recipe for each.

A recipe is named as its source is, `.` becoming `__`. What is expected of it stands in `sources/`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

MILLION = 1_000_000
RECIPES: dict[str, Callable[[], bytes]] = {}

# Escape sequences of a terminal: clear, title, clipboard, link; with ESC, and with the one byte C1 controls.
ESCAPES = (
    b"\x1b[2J\x1b]0;title\x07\x1b]52;c;cHduZWQ=\x07\x1b]8;;http://example.com\x1b\\link\x1b]8;;\x1b\\"
    b"\x9b31m\x9d0;title\x9c\xc2\x9b31m\xc2\x9d0;title\xc2\x9c\x08\x08\x08\r\x7f\x0e\x05"
)
# Overrides, embeddings and isolates, marks and what has no width.
BIDI = "\u202e\u202d\u202a\u202b\u2066\u2067\u2068\u200e\u200f\u061c\u200b\u200d\ufeff\u2028\u2029".encode()
NOT_UTF8 = b"\xff\xfe\xc0\xaf\xed\xa0\x80\xf4\x90\x80\x80\xe2\x82"


def source(recipe: Callable[[], bytes]) -> Callable[[], bytes]:
    RECIPES[recipe.__name__.replace("__", ".")] = recipe
    return recipe


@source
def errors_10000__c() -> bytes:
    """With lines so long that compilers which show every one of them say about 4 MB."""
    return b"".join(b"int variable_%d = undeclared_%d_%s;\n" % (n, n, b"x" * 50) for n in range(10_000))


@source
def errors_1000__c() -> bytes:
    return b"".join(b"int v%d = u%d;\n" % (n, n) for n in range(1000))


@source
def warnings_10000__c() -> bytes:
    return (b"#warning " + b"the quick brown fox jumps over the lazy dog " * 10 + b"\n") * 10_000


@source
def parentheses__c() -> bytes:
    return b"int x = " + b"(" * MILLION + b"1" + b")" * MILLION + b";\n"


@source
def braces__c() -> bytes:
    return b"int main(void) " + b"{" * MILLION + b"}" * MILLION + b"\n"


@source
def initialisers__cpp() -> bytes:
    return b"int x[] = " + b"{" * MILLION + b"1" + b"}" * MILLION + b";\n"


@source
def negations__c() -> bytes:
    return b"int x = " + b"!" * MILLION + b"1;\n"


@source
def forged_file_size__c() -> bytes:
    """A stack overflow behind the words of another end."""
    words = b"File size limit exceeded signal terminated program as"
    return b'#pragma message("' + words + b'")\nint x = ' + b"!" * MILLION + b"1;\n"


@source
def nul__c() -> bytes:
    return b"int main(void) { return 0; }\0\n"


@source
def pointers__c() -> bytes:
    return b"int " + b"*" * 100_000 + b"x;\n"


@source
def sum_chain__c() -> bytes:
    return b"int sum(int x) { return x" + b"+x" * 200_000 + b"; }\n"


@source
def template_brackets__cpp() -> bytes:
    return b"template <class T> struct S {};\n" + b"S<" * 200_000 + b"int" + b">" * 200_000 + b" s;\n"


@source
def condition__c() -> bytes:
    """In the preprocessor."""
    return b"#if " + b"(" * MILLION + b"1" + b")" * MILLION + b"\nint main(void) { return 0; }\n#endif\n"


@source
def conditions__c() -> bytes:
    return b"#if 1\n" * 200_000 + b"int main(void) { return 0; }\n" + b"#endif\n" * 200_000


@source
def long_line__c() -> bytes:
    """Its error stands after ten million characters, and is shown with its line."""
    return b"int a" + b" " * (10 * MILLION) + b" = undeclared;\n"


@source
def long_name__c() -> bytes:
    return b"int " + b"x" * (10 * MILLION) + b";\nint main(void) { return 0; }\n"


@source
def long_name_error__cpp() -> bytes:
    """It is said in the message, too."""
    return b"int a = " + b"x" * (10 * MILLION) + b";\n"


@source
def long_string__c() -> bytes:
    return b'const char text[] = "' + b"x" * (10 * MILLION) + b'";\nint main(void) { return 0; }\n'


@source
def escape_bytes__c() -> bytes:
    """In a name, a comment, a string, a directive and the lines that the compiler shows."""
    return (
        b"/* " + ESCAPES + b" */\n"
        b'const char *text = "' + ESCAPES + b'" undeclared;\n'
        b"int a = " + ESCAPES.replace(b"\r", b"") + b";\n"
        b"#error " + ESCAPES.replace(b"\r", b"") + b"\n"
    )


@source
def escape_include__cpp() -> bytes:
    """In the name of a header that is not there."""
    return b'#include "' + ESCAPES.replace(b"\r", b"") + b'.h"\n'


@source
def bidirectional__cpp() -> bytes:
    """In lines and messages that the compiler shows."""
    return (
        b"/* " + BIDI + b" */ int a = undeclared; // " + BIDI + b'\nstatic_assert(sizeof(int) == 1, "' + BIDI + b'");\n'
    )


@source
def trojan__c() -> bytes:
    """CVE-2021-42574: what looks like code is a comment. Compilers may warn."""
    return (
        "int main(void) {\n"
        "    int admin = 0;\n"
        "    /*\u202e } \u2066if (admin)\u2069 \u2066 begin admins only */\n"
        "    return 1;\n"
        "    /* end admins only \u202e { \u2066*/\n"
        "    return admin;\n"
        "}\n"
    ).encode()


@source
def not_utf8__c() -> bytes:
    """In a comment and a string, which compile, and in a line with an error."""
    return b"// " + NOT_UTF8 + b'\nconst char *text = "' + NOT_UTF8 + b'";\nint a = undeclared; // ' + NOT_UTF8 + b"\n"


@source
def link_undefined_5000__c() -> bytes:
    """With long names, so that the linker has about 3 MB to say."""
    names = [b"nowhere_%d_%s" % (n, b"x" * 300) for n in range(5000)]
    return (
        b"".join(b"extern int %s(void);\n" % name for name in names)
        + b"int (*functions[])(void) = {"
        + b",\n".join(names)
        + b"};\nint main(void) { return 0; }\n"
    )


@source
def go_errors_10000__go() -> bytes:
    return b"package main\n\nfunc main() {}\n\n" + b"".join(b"var v%d = undeclared%d\n" % (n, n) for n in range(10_000))


@source
def go_parentheses__go() -> bytes:
    return b"package main\n\nfunc main() {}\n\nvar x = " + b"(" * MILLION + b"1" + b")" * MILLION + b"\n"


@source
def go_negations__go() -> bytes:
    """Fewer than go/parser minds, more than is sensible."""
    return b"package main\n\nfunc main() {}\n\nvar x = " + b"!" * 50_000 + b"true\n"


@source
def go_escape_bytes__go() -> bytes:
    escapes = ESCAPES.replace(b"\r", b"")
    return (
        b"package main\n\nfunc main() {}\n\n//line \x1b[2J\x1b]0;title\x07.go:1\nvar a = "
        + escapes
        + b"\n// "
        + escapes
        + b"\n"
    )


@source
def rust_errors_10000__rs() -> bytes:
    return b"fn main() {}\n" + b"".join(b"const C%d: u8 = false;\n" % n for n in range(10_000))


@source
def rust_parentheses__rs() -> bytes:
    return b"fn main() {}\nconst X: u8 = " + b"(" * MILLION + b"1" + b")" * MILLION + b";\n"


@source
def rust_negations__rs() -> bytes:
    return b"fn main() {}\nconst X: bool = " + b"!" * MILLION + b"true;\n"


@source
def rust_bidirectional__rs() -> bytes:
    """rustc has a lint against these, and shows the line."""
    return b"fn main() {\n    // " + BIDI + b'\n    let _ = "' + BIDI + b'";\n}\n'


@source
def rust_escape_bytes__rs() -> bytes:
    escapes = ESCAPES.decode("utf-8", "ignore").replace("\r", "").encode()
    return (
        b"fn main() {}\n/* "
        + escapes
        + b" */ const A: u8 = undeclared; // "
        + escapes
        + b"\nconst B: u8 = "
        + escapes
        + b";\n"
    )
