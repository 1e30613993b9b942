"""Rust, with rustc."""

from __future__ import annotations

import os
from types import MappingProxyType
from typing import TYPE_CHECKING

from willitcompile.errors import UnknownStandard
from willitcompile.languages import Command
from willitcompile.model import output_path

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from willitcompile.languages import CompileOptions, Messages
    from willitcompile.model import CompileJob, SourceUnit, Toolchain
    from willitcompile.sources import SourceTree

_NO_ENVIRONMENT: Mapping[str, str] = MappingProxyType({})


class Rust:
    """See `Language`."""

    name = "rust"
    aliases = ("rs",)
    extensions = frozenset({".rs"})
    headers: frozenset[str] = frozenset()
    project_file = "Cargo.toml"
    families = ("rustc",)
    standards = ("2015", "2018", "2021", "2024")

    @property
    def spellings(self) -> Mapping[str, tuple[str, ...]]:
        return {edition: (edition,) for edition in self.standards}

    def canonical(self, text: str) -> str:
        wanted = text.strip().lower().removeprefix("rust").removeprefix("edition").lstrip("=")
        if wanted in self.standards:
            return wanted
        if len(wanted) == 2 and "20" + wanted in self.standards:
            return "20" + wanted
        raise UnknownStandard(
            f"use the edition {text!r} for Rust",
            "Rust has no edition of that name",
            f"use one of: {', '.join(self.standards)}",
        )

    def default_standard(self, unit: SourceUnit, toolchain: Toolchain) -> str:
        from willitcompile.languages.rust_modules import edition_of

        known = tuple(toolchain.standards[self.name])
        # Cargo would refuse an edition that the toolchain does not know; rustc may still take the code.
        return edition if (edition := edition_of(unit)) in known else known[-1]

    def claims(self, head: bytes) -> bool:  # noqa: ARG002
        return True

    def sources(self, files: Sequence[str]) -> list[str]:
        from willitcompile.languages.rust_modules import crates

        return crates([path for path in files if path.endswith(".rs")])

    def gather(self, tree: SourceTree) -> SourceUnit:
        from willitcompile.languages.rust_modules import gather

        return gather(tree)

    def command(self, unit: SourceUnit, toolchain: Toolchain, standard: str, options: CompileOptions) -> Command:
        from willitcompile.languages.rust_flags import judged_flags
        from willitcompile.languages.rust_sources import outline

        flags = judged_flags(options)
        main = unit.main[0]
        seen = outline(unit.files.get(os.path.normpath(os.path.join(unit.workdir, main)), b""))
        is_library = not (seen.has_main or seen.attributes & {"crate_type", "no_main"} or "--test" in flags)
        argv = (
            "rustc",
            f"--edition={toolchain.standards[self.name][standard]}",
            # A name in the source has to be the same as the one given.
            *(() if "crate_name" in seen.attributes else ("--crate-name", _crate_name(main))),
            *(("--crate-type", "lib") if is_library else ()),
            f"--emit={'link' if options.link else 'obj'}",
            "--error-format=json",
            *flags,
            "-o",
            output_path(unit.workdir),
            main,
        )
        return Command(argv, _NO_ENVIRONMENT, frozenset({1}))

    def messages(self, stdout: bytes, stderr: bytes, prefix: str = "") -> Messages:
        from willitcompile.languages.rust_messages import messages

        return messages(stdout, stderr, prefix)

    def lasts(self, job: CompileJob, *, on_host: bool) -> bool:
        from willitcompile.languages.rust_sources import reads_elsewhere

        if any(word.endswith("native") for word in job.argv):
            return False  # a flag about the processor of whichever machine it is
        # Of the libraries that `cc` links nobody tells.
        return not (on_host and job.link) and not any(map(reads_elsewhere, job.files.values()))


def _crate_name(path: str) -> str:
    """What rustc would call a crate of this file, made a name that it takes.

    >>> _crate_name("src/my-tool.rs"), _crate_name("2.rs")
    ('my_tool', '_2')
    """
    stem = os.path.splitext(os.path.basename(path))[0]
    name = "".join(char if char.isascii() and char.isalnum() else "_" for char in stem)
    return name if name and not name[0].isdigit() else "_" + name


RUST = Rust()
