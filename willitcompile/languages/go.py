"""Go, with the go command."""

from __future__ import annotations

import os
from types import MappingProxyType
from typing import TYPE_CHECKING

from willitcompile.errors import FlagRefused, UnknownStandard
from willitcompile.languages import Command
from willitcompile.model import output_path

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from willitcompile.languages import CompileOptions, Messages
    from willitcompile.model import CompileJob, SourceUnit, Toolchain
    from willitcompile.sources import SourceTree

NEWEST = 40
"""The last minor version that is taken for one. There are two a year; 1.26 is of 2026."""

ENVIRONMENT = MappingProxyType(
    {
        "CGO_ENABLED": "0",
        "GO111MODULE": "on",
        "GOENV": "off",
        "GOPROXY": "off",
        "GOSUMDB": "off",
        "GOTOOLCHAIN": "local",
        "GOWORK": "off",
        # A relative path turns telemetry off. Its side process complains where there is no /proc.
        "XDG_CONFIG_HOME": "off",
    }
)


class Go:
    """See `Language`."""

    name = "go"
    aliases = ("golang",)
    extensions = frozenset({".go"})
    headers: frozenset[str] = frozenset()
    project_file = "go.mod"
    families = ("go",)

    @property
    def standards(self) -> tuple[str, ...]:
        return tuple(f"go1.{minor}" for minor in range(1, NEWEST + 1))

    @property
    def spellings(self) -> Mapping[str, tuple[str, ...]]:
        return {standard: (standard,) for standard in self.standards}

    def canonical(self, text: str) -> str:
        wanted = text.strip().lower().removeprefix("-lang=").removeprefix("go")
        major, _, rest = wanted.partition(".")
        minor, dot, patch = rest.partition(".")
        number = int(minor) if minor.isascii() and minor.isdecimal() and len(minor) <= 3 else 0
        if major == "1" and 1 <= number <= NEWEST and (patch.isalnum() if dot else True):
            return f"go1.{number}"
        raise UnknownStandard(
            f"use the standard {text!r} for Go",
            "Go has no version of that name",
            "use one as go1.21, or 1.21",
        )

    def default_standard(self, unit: SourceUnit, toolchain: Toolchain) -> str:
        standard = "go" + asked if (asked := _asked_version(unit)) else ""
        # One that the toolchain is too old for: the go command says so itself, and better.
        return standard if standard in toolchain.standards[self.name] else toolchain.defaults[self.name]

    def claims(self, head: bytes) -> bool:  # noqa: ARG002
        return True

    def sources(self, files: Sequence[str]) -> list[str]:
        from willitcompile.languages.go_packages import representatives

        return representatives([path for path in files if path.endswith(".go")])

    def gather(self, tree: SourceTree) -> SourceUnit:
        from willitcompile.languages.go_packages import gather

        return gather(tree)

    def command(self, unit: SourceUnit, toolchain: Toolchain, standard: str, options: CompileOptions) -> Command:
        spelled = toolchain.standards[self.name][standard]
        flags = [_judged_flag(flag) for flag in (*_judged(options), *options.flags)]
        if unit.main[0].endswith(".go") or "go" + _asked_version(unit) != spelled:
            # For a file that is named the go command forgets the version of the go.mod. The flag holds for
            # the named package alone; what that imports keeps the version of its own go.mod.
            flags.append(f"-gcflags=-lang={spelled}")
        is_test = unit.source.endswith("_test.go")
        argv: tuple[str, ...]
        if options.link and is_test:
            argv = ("go", "test", "-c", "-o", output_path(unit.workdir), *flags, *unit.main)
        elif options.link:
            argv = ("go", "build", "-o", output_path(unit.workdir), *flags, *unit.main)
        else:
            # As `go build`, but without its link, which takes three times as long as all the rest.
            argv = (
                "go",
                "list",
                "-export",
                *(("-test",) if is_test else ()),
                # Before Go 1.21 it overlooks what is wrong with imports, unless they are listed as well.
                *(("-deps",) if _minor(toolchain.version) < 21 else ()),
                '-f={{""}}',
                *flags,
                *unit.main,
            )
        vendored = any(path.endswith("vendor/modules.txt") for path in unit.files)
        environment = {**ENVIRONMENT, "GOFLAGS": "-mod=vendor"} if vendored else ENVIRONMENT
        # 2 is what it gave before Go 1.20 where a package did not compile.
        return Command(argv, environment, frozenset({1, 2}))

    def messages(self, stdout: bytes, stderr: bytes, prefix: str = "") -> Messages:
        from willitcompile.languages.go_messages import messages

        return messages(stdout, stderr, prefix)

    def lasts(self, job: CompileJob, *, on_host: bool) -> bool:  # noqa: ARG002
        """It reads its own files and those of Go, knows no time, and links by itself."""
        return True


GO = Go()


def _asked_version(unit: SourceUnit) -> str:
    """The version in the go.mod that governs the unit; empty where there is none."""
    from willitcompile.languages.go_sources import go_version

    directory = os.path.normpath(os.path.join(unit.workdir, unit.main[0]))
    while True:
        mod = unit.files.get(os.path.normpath(os.path.join(directory, "go.mod")))
        if mod is not None:
            return go_version(mod)
        if directory in {"", "."}:
            return ""
        directory = os.path.dirname(directory)


def _minor(version: str) -> int:
    minor = version.split(".")[1] if "." in version else ""
    return int(minor) if minor.isdecimal() else NEWEST


def _judged(options: CompileOptions) -> tuple[str, ...]:
    if options.defines:
        raise FlagRefused(
            f"define {options.defines[0]!r}", "Go has no definitions", "use a build tag: --flag=-tags=NAME"
        )
    if options.warnings:
        raise FlagRefused(f"use the flag {options.warnings[0]!r}", "the Go compiler has no warnings", "leave it out")
    return ()


def _judged_flag(flag: str) -> str:
    import re

    if re.fullmatch(r"--?tags=[\w.]+(,[\w.]+)*", flag):
        return flag
    name = flag.lstrip("-").partition("=")[0]
    if name in {"race", "msan", "asan"}:
        obstacle, remedy = "it needs cgo, which is off", "leave it out"
    elif name in {"gcflags", "ldflags", "asmflags", "gccgoflags", "toolexec", "exec", "compiler"}:
        obstacle, remedy = (
            "it speaks to an inner part, or runs a program",
            "leave it out; for -lang use --std",
        )
    elif name in {"mod", "modfile", "overlay", "pkgdir", "C", "o", "work"}:
        obstacle, remedy = "it reads or writes files that are named by the user", "leave it out"
    elif name == "tags":
        obstacle, remedy = "its tags are not names, separated by commas", "use --flag=-tags=one,two"
    else:
        obstacle, remedy = "it is not on the list of flags that are known to be harmless", "leave it out"
    raise FlagRefused(f"use the flag {flag!r}", obstacle, remedy)
