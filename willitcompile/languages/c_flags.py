"""Which flags of gcc and clang a user may give: those known to read, write and run nothing by name.

An allowlist: compilers grow flags with each version, and a new one is refused until somebody looked at it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from willitcompile.errors import FlagRefused
from willitcompile.languages.flags import PRINTING_VALUES, refusal

if TYPE_CHECKING:
    from willitcompile.languages import CompileOptions


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# As they stand.
EXACT = _words(
    """
    -w -pedantic -pedantic-errors -pthread -nostdinc -nostdinc++ -nostdlibinc -nobuiltininc -nostdlib
    -nostdlib++ -nodefaultlibs -nostartfiles -nolibc -static -static-libgcc -static-libstdc++ -static-pie
    -shared -shared-libgcc -pie -no-pie -rdynamic -s -undef -trigraphs -traditional-cpp -flto=auto
    -flto=thin -flto=full -stdlib=libc++ -stdlib=libstdc++ -rtlib=libgcc -rtlib=compiler-rt
    -unwindlib=libgcc -unwindlib=libunwind -unwindlib=none -fuse-ld=bfd -fuse-ld=gold -fuse-ld=lld
    -fuse-ld=mold
    """
)

# With -f and with -fno-.
TOGGLES = _words(
    """
    PIC PIE access-control aligned-allocation aligned-new allow-store-data-races analyzer associative-math
    assume-sane-operator-new assumptions async-exceptions asynchronous-unwind-tables autolink blocks
    bounds-check branch-count-reg builtin caller-saves caret-diagnostics char8_t check-new checking-new
    code-hoisting color-diagnostics combine-stack-adjustments common concepts concepts-ts
    contract-assumption-mode contracts coroutines coroutines-ts crossjumping cx-limited-range
    cxx-exceptions data-sections dce declone-ctor-dtor delayed-template-parsing delete-dead-exceptions
    delete-null-pointer-checks devirtualize devirtualize-speculatively diagnostics-show-caret
    diagnostics-show-line-numbers diagnostics-show-option diagnostics-show-template-tree
    dollars-in-identifiers dse early-inlining elide-constructors elide-type eliminate-unused-debug-types
    enforce-eh-specs exceptions expensive-optimizations experimental-library ext-numeric-literals
    extended-identifiers fast-math finite-loops finite-math-only fixed-point float-store
    fold-simple-inlines forward-propagate fp-int-builtin-inexact freestanding friend-injection
    func-args-alias function-sections gcse gnu-inline-asm gnu-keywords gnu-unique gnu89-inline
    honor-infinities honor-nans hosted if-conversion if-conversion2 immediate-escalation implement-inlines
    implicit-constexpr implicit-inline-templates implicit-templates inline inline-functions
    inline-functions-called-once inline-small-functions instrument-functions integrated-as ipa-cp ipa-icf
    ipa-pta ipa-ra ipa-sra isolate-erroneous-paths-attribute isolate-erroneous-paths-dereference ivopts
    jump-tables keep-inline-functions keep-static-consts keep-static-functions lax-vector-conversions
    leading-underscore lifetime-dse long-long lto math-errno merge-all-constants merge-constants modules
    modules-ts ms-compatibility ms-extensions named-loops new-inheriting-ctors new-ttp-matching
    non-call-exceptions nonansi-builtins nothrow-opt objc-arc omit-frame-pointer openacc openmp openmp-simd
    operator-names opt-autovec optimize-sibling-calls optional-diags pack-struct partial-inlining
    peel-loops peephole peephole2 permissive pic pie plan9-extensions plt prefetch-loop-arrays preprocessed
    pretty-templates range-for-ext-temps raw-string-literals reciprocal-math reflection reg-struct-return
    register-checking relaxed-template-template-args rename-registers reorder-blocks reorder-functions
    rerun-cse-after-loop ropi rounding-math rtti sched-interblock schedule-insns schedule-insns2
    section-anchors semantic-interposition short-enums short-wchar show-column show-source-location
    signaling-nans signed-bitfields signed-char signed-zeros single-precision-constant sized-deallocation
    spell-checking split-loops split-stack split-wide-types ssa-phiopt stack-check stack-clash-protection
    stack-protector stack-protector-all stack-protector-explicit stack-protector-strong stack-size-section
    stdarg-opt strict-aliasing strict-enums strict-flex-arrays strict-overflow strict-return
    strict-volatile-bitfields strict-vtable-pointers strong-eval-order syntax-only threadsafe-statics
    tls-model toplevel-reorder tracer trampolines trapping-math trapv tree-ccp tree-ch tree-copy-prop
    tree-dce tree-dominator-opts tree-dse tree-fre tree-loop-distribution tree-loop-im tree-loop-optimize
    tree-loop-vectorize tree-pre tree-pta tree-sink tree-slp-vectorize tree-sra tree-ter tree-vectorize
    tree-vrp trigraphs trivial-auto-var-init unique-section-names unit-at-a-time unroll-all-loops
    unroll-loops unsafe-math-optimizations unsigned-bitfields unsigned-char unswitch-loops unwind-tables
    use-cxa-atexit use-cxa-get-exception-ptr use-init-array var-tracking vect-cost-model vectorize
    verbose-asm visibility-inlines-hidden visibility-inlines-hidden-static-local-var visibility-ms-compat
    weak web whole-program wrapv wrapv-pointer zero-initialized-in-bss zvector
    """
)

# With -f, and a number behind a `=`.
NUMBERED = _words(
    """
    abi-compat-version abi-version align-functions align-jumps align-labels align-loops bracket-depth
    caret-diagnostics-max-lines concepts-diagnostics-depth constexpr-backtrace-limit constexpr-cache-depth
    constexpr-depth constexpr-limit constexpr-loop-limit constexpr-ops-limit constexpr-steps
    diagnostics-minimum-margin-width error-limit inline-limit macro-backtrace-limit max-errors
    max-include-depth max-type-align message-length new-ttp-matching openmp-version operator-arrow-depth
    pack-struct sized-deallocation spell-checking-limit strict-flex-arrays tabstop template-backtrace-limit
    template-depth
    """
)

# With -f or -fno-, and words behind a `=`.
WORDED = _words(
    """
    cf-protection clang-abi-compat complex-arithmetic contract-assumption-mode contract-evaluation-semantic
    contract-role default-calling-conv denormal-fp-math diagnostics-show-location excess-precision
    exec-charset fp-contract fp-model input-charset lax-vector-conversions ms-compatibility-version openmp
    permitted-flt-eval-methods reorder-blocks-algorithm sanitize sanitize-recover sanitize-trap
    simd-cost-model stack-reuse strong-eval-order tls-model trivial-auto-var-init vect-cost-model
    visibility wide-exec-charset zero-call-used-regs
    """
)

# With -m, and words behind a `=`.
MACHINE = _words(
    """
    abi arch branch-protection cmodel code-model cpu float-abi fpmath fpu function-return harden-sls
    indirect-branch large-data-threshold memcpy-strategy prefer-vector-width preferred-stack-boundary recip
    regparm stack-alignment tls-dialect tls-size tune veclibabi
    """
)

# With -m and with -mno-, beyond the many that are one plain word.
MACHINE_TOGGLES = _words(
    """
    80387 accumulate-outgoing-args align-double avx256-split-unaligned-load avx256-split-unaligned-store
    direct-extern-access general-regs-only hard-float ieee-fp indirect-branch-register long-double-64
    long-double-80 long-double-128 low-precision-div low-precision-recip-sqrt low-precision-sqrt
    ms-bitfields omit-leaf-frame-pointer outline-atomics prefer-avx128 push-args red-zone save-restore
    soft-float stack-arg-probe strict-align tls-direct-seg-refs unaligned-access amx-tile amx-int8 amx-bf16
    avx-vnni
    """
)

_OPTIMISE_OR_DEBUG = r"-O([0-3sgz]|fast)?|-g([0-3]|gdb[0-3]?|dwarf(-[2-5])?|line-tables-only)?"
_VALUE = r"[A-Za-z0-9][A-Za-z0-9.,:+_-]*"
_MACRO = r"[A-Za-z_$][A-Za-z0-9_$]*"

# These take the next argument, or tell the compiler's inner parts what to do.
_NOT_PLAIN = frozenset({"llvm", "eabi", "thread"}) | MACHINE

_WARNING = r"-W([A-Za-z][A-Za-z0-9+_-]*(=[A-Za-z0-9+.,_-]+)?)?"
_DEFINE = _MACRO + r"(\([A-Za-z0-9_$,. ]*\))?(=[^\x00-\x1f\x7f]*)?"
_LIBRARY = r"-l[A-Za-z0-9_+][A-Za-z0-9_+.-]*"

_WRITES = "it writes files of its own"
_READS = "it reads files that are named by the user, or changes where the compiler looks"
_RUNS = "it makes the compiler run or load something that is named by the user"
_LINKER = "it speaks to the linker, which can read and write any file"
_INNER = "it speaks to an inner part of the compiler, past the list of harmless flags"
_PRINTS = "it prints instead of compiling"
_DECIDED = "will-it-compile decides itself what to produce and where"
_LEAVE = "leave it out"
_INCLUDE = "name the file in an #include, and its directory with -I"
_THROWN = "leave it out: what a compile writes is thrown away"

# What stands in the way, and what to do, for the refused that people do type: by how the flag begins, the
# first that fits.
_REFUSED = (
    ("-std --std -ansi", "will-it-compile chooses the standard itself", "use --std"),
    ("-x --language", "will-it-compile chooses the language itself", "use --language"),
    ("-include --include -imacros --imacros", _READS, _INCLUDE),
    ("-I --include-dir", "a search path in a flag is not checked", "use -I, as in: check -I include"),
    ("-D", "this definition is not NAME or NAME=VALUE", "use -D NAME=VALUE"),
    ("-U", "this is no name of a macro", "use --flag=-UNAME"),
    ("-l", "libraries are for programs, and go by their plain name", "add --link, and use --flag=-lNAME"),
    ("@", "it reads flags from a file", "give the flags themselves"),
    ("-Wl, -Xlinker -T -z", _LINKER, _LEAVE),
    ("-Wa, -Wp, -X -mllvm", _INNER, "give the flag that the compiler itself has for it"),
    ("-fplugin -fpass-plugin -load -specs --specs -wrapper -B -fuse-ld -ld-path --ld-path", _RUNS, _LEAVE),
    ("-fmodule-mapper -ccc --gcc-toolchain --config", _RUNS, _LEAVE),
    (
        "-M -fdump -save-temps --save-temps -ftime-trace -fcrash -dump -aux-info -ftest-coverage",
        _WRITES,
        _THROWN,
    ),
    ("--coverage -coverage -fprofile-gen -fprofile-arcs -fprofile-instr-gen -fcallgraph", _WRITES, _THROWN),
    ("-gsplit -fstack-usage -fopt-info -serialize --serialize -fsave -fmodules-cache", _WRITES, _THROWN),
    ("-i -L --sysroot -F -fprofile -fauto-profile -fsanitize -fmodule-file -fmodule-map", _READS, _INCLUDE),
    ("-fprebuilt -resource-dir --embed-dir -working-directory -fdebug -ffile -fmacro", _READS, _INCLUDE),
    ("-v -print --print --help --version --target-help -###", _PRINTS, _LEAVE),
    ("-c -S -E -o -emit -d", _DECIDED, _LEAVE),
)


def judged_flags(options: CompileOptions) -> tuple[str, ...]:
    """The definitions, warnings and flags as arguments, each known to be harmless. Raises FlagRefused.

    Libraries are judged too but left out: their place is behind the sources.
    """
    defines = [f"-D{_judged_define(define)}" for define in options.defines]
    warnings = [_judged_warning(warning) for warning in options.warnings]
    flags = [_judged_flag(flag, link=options.link) for flag in options.flags]
    return (*defines, *warnings, *(flag for flag in flags if not flag.startswith("-l")))


def _judged_define(define: str) -> str:
    if not re.fullmatch(_DEFINE, define):
        raise FlagRefused(
            f"define {define!r}",
            "this is not NAME or NAME=VALUE",
            "use -D NAME or -D NAME=VALUE, without line breaks",
        )
    return define


def _judged_warning(warning: str) -> str:
    if warning in {"-pedantic", "-pedantic-errors", "-w"} or _is_warning(warning):
        return warning
    if warning.startswith("-W") and "," not in warning:
        raise FlagRefused(
            f"use the flag {warning!r}",
            "this is not the name of a warning",
            "use one flag at a time, as in -Wall -Wextra",
        )
    raise refusal(warning, _REFUSED)


def _is_warning(flag: str) -> bool:
    return re.fullmatch(_WARNING, flag) is not None and not flag.startswith(("-Wl,", "-Wp,", "-Wa,"))


def _judged_flag(flag: str, *, link: bool) -> str:
    harmless = (
        flag in EXACT
        or (flag.startswith("-f") and _is_feature(flag[2:]))
        or (flag.startswith("-m") and _is_machine(flag[2:]))
        or (flag.startswith("-D") and re.fullmatch(_DEFINE, flag[2:]))
        or (flag.startswith("-U") and re.fullmatch(_MACRO, flag[2:]))
        or (link and re.fullmatch(_LIBRARY, flag))
        or re.fullmatch(_OPTIMISE_OR_DEBUG, flag)
        or _is_warning(flag)
    )
    if not harmless:
        raise refusal(flag, _REFUSED)
    return flag


def _is_feature(text: str) -> bool:
    name, equals, value = text.partition("=")
    plain = name.removeprefix("no-")
    if not equals:
        return plain in TOGGLES or re.fullmatch(r"(template-depth|message-length)-[0-9]{1,9}", name) is not None
    if name in NUMBERED and re.fullmatch(r"[0-9]{1,9}", value):
        return True
    return plain in WORDED and re.fullmatch(_VALUE, value) is not None and value not in PRINTING_VALUES


def _is_machine(text: str) -> bool:
    name, equals, value = text.partition("=")
    if equals:
        return name in MACHINE and re.fullmatch(_VALUE, value) is not None and value not in PRINTING_VALUES
    plain = name.removeprefix("no-")
    if plain in MACHINE_TOGGLES:
        return True
    return plain not in _NOT_PLAIN and re.fullmatch(r"[a-z0-9.]+", plain) is not None
