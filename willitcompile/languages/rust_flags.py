"""Which flags of rustc a user may give: those that read, write and run nothing by name."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from willitcompile.errors import FlagRefused
from willitcompile.languages.flags import PRINTING_VALUES, refusal

if TYPE_CHECKING:
    from willitcompile.languages import CompileOptions

_BOOLEAN = "(=(y|n|yes|no|on|off|true|false))?"

CODEGEN = (
    "opt-level=[0-3sz]",
    f"debug-assertions{_BOOLEAN}",
    f"overflow-checks{_BOOLEAN}",
    f"force-frame-pointers{_BOOLEAN}",
    f"force-unwind-tables{_BOOLEAN}",
    f"no-redzone{_BOOLEAN}",
    f"prefer-dynamic{_BOOLEAN}",
    f"soft-float{_BOOLEAN}",
    "no-prepopulate-passes",
    "no-vectorize-loops",
    "no-vectorize-slp",
    "codegen-units=[0-9]{1,4}",
    "code-model=[a-z]+",
    "control-flow-guard(=[a-z]+)?",
    "debuginfo=([0-2]|none|limited|full|line-tables-only|line-directives-only)",
    "inline-threshold=[0-9]{1,6}",
    "instrument-coverage(=[a-z-]+)?",
    "lto(=[a-z]+)?",
    "metadata=[A-Za-z0-9_-]+",
    "panic=[a-z-]+",
    "relocation-model=[a-z-]+",
    "strip=[a-z]+",
    "symbol-mangling-version=[a-z0-9]+",
    "target-cpu=[A-Za-z0-9._-]+",
    "target-feature=[A-Za-z0-9.,+_-]+",
)
_LINT = r"[A-Za-z][A-Za-z0-9_-]*(::[A-Za-z0-9_-]+)*"
_CFG = r"[A-Za-z_][A-Za-z0-9_]*(=\"[^\"\\\x00-\x1f\x7f]*\")?"
_CAP = "(allow|warn|deny|forbid)"

_REFUSED = (
    (
        "-o --out-dir --emit --crate --print",
        "will-it-compile decides itself what to produce and where",
        "leave it out",
    ),
    ("--edition --std -std", "will-it-compile chooses the edition itself", "use --std"),
    (
        "--extern -L -l",
        "it reads files that are named by the user",
        "leave it out: a crate is compiled alone",
    ),
    ("-Z", "unstable flags can do anything", "leave it out"),
    ("--sysroot --target --remap", "it changes where the compiler looks, or what it prints", "leave it out"),
    ("@", "it reads flags from a file", "give the flags themselves"),
    (
        "--error-format --json --color --diagnostic",
        "will-it-compile reads the messages itself",
        "use --format",
    ),
    ("--explain --help --version -V -h -v", "it prints instead of compiling", "leave it out"),
)
_CODEGEN_REFUSED = (
    ("linker link-arg link-self link-dead ar= default-linker", "it speaks to the linker, which is a program"),
    ("incremental profile save-temps remark dwo split extra-filename", "it reads or writes files of its own"),
    ("llvm-args passes", "it speaks to an inner part of the compiler, past the list of harmless flags"),
)


def judged_flags(options: CompileOptions) -> tuple[str, ...]:
    """The definitions, warnings and flags as arguments, each known to be harmless. Raises FlagRefused."""
    arguments: list[str] = []
    for define in options.defines:
        arguments += "--cfg", _judged_define(define)
    for warning in options.warnings:
        arguments += _judged_warning(warning)
    for flag in options.flags:
        arguments += _judged_flag(flag)
    return tuple(arguments)


def _judged_define(define: str) -> str:
    name, equals, value = define.partition("=")
    # A shell eats the quotes that rustc wants.
    cfg = f'{name}="{value}"' if equals and not value.startswith('"') else define
    if not re.fullmatch(_CFG, cfg):
        raise FlagRefused(
            f"define {define!r}", 'this is not NAME or NAME="VALUE"', "use -D NAME, or -D 'NAME=\"VALUE\"'"
        )
    return cfg


def _judged_warning(warning: str) -> tuple[str, ...]:
    if warning == "-Werror":
        return ("-D", "warnings")
    if warning == "-Wall":
        return ("-W", "warnings")
    lint = warning.removeprefix("-W").lstrip()
    if warning.startswith("-Wno-"):
        lint = lint.removeprefix("no-")
    if not warning.startswith("-W") or not re.fullmatch(_LINT, lint) or lint in PRINTING_VALUES:
        raise FlagRefused(f"use the flag {warning!r}", "this is not the name of a lint", "use -Wunused, or -Werror")
    return ("-A" if warning.startswith("-Wno-") else "-W", lint)


def _judged_flag(flag: str) -> tuple[str, ...]:
    name, blank, value = flag.partition(" ")
    if name in {"-O", "-g", "--test"} and not blank:
        return (flag,)
    if not blank:
        short = re.match(r"-[CAWDF](?=.)", flag)
        long = re.match(r"--(?:cfg|check-cfg|codegen|cap-lints|allow|warn|deny|forbid)(?==)", flag)
        if short or long:
            name = short[0] if short else long[0] if long else ""
            value = flag[len(name) :].removeprefix("=") if long else flag[len(name) :]
    value = value.strip()
    if value.rpartition("=")[2] in PRINTING_VALUES:
        raise FlagRefused(f"use the flag {flag!r}", "it prints instead of compiling", "leave it out")
    if name in {"-C", "--codegen"}:
        return ("-C", _judged_codegen(flag, value))
    if name in {"-A", "-W", "-D", "-F", "--allow", "--warn", "--deny", "--forbid"} and re.fullmatch(_LINT, value):
        return (name, value)
    if name == "--cfg" and re.fullmatch(_CFG, value):
        return (name, value)
    if name == "--check-cfg" and re.fullmatch(r"cfg\([A-Za-z0-9_\", ()]*\)", value):
        return (name, value)
    if name == "--cap-lints" and re.fullmatch(_CAP, value):
        return (name, value)
    raise refusal(flag, _REFUSED)


def _judged_codegen(flag: str, value: str) -> str:
    if any(re.fullmatch(pattern, value) for pattern in CODEGEN):
        return value
    for beginnings, obstacle in _CODEGEN_REFUSED:
        if value.startswith(tuple(beginnings.split())):
            raise FlagRefused(f"use the flag {flag!r}", obstacle, "leave it out")
    raise refusal(flag, _REFUSED)
