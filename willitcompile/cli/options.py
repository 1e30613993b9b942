"""The options that several commands have, each with its help."""

from __future__ import annotations

from typing import Annotated

import typer

from willitcompile.backends import BACKENDS
from willitcompile.cli import completion
from willitcompile.config import Settings
from willitcompile.model import Limits
from willitcompile.reports import units

DEFAULT = Settings()

Many = list[str] | None
Language = Annotated[
    str | None,
    typer.Option(
        "--language",
        "-l",
        metavar="NAME",
        help="c, c++, go or rust; else told by extension and content.",
        autocompletion=completion.language,
    ),
]
Backend = Annotated[
    str | None,
    typer.Option(
        "--backend",
        "-b",
        metavar="NAME",
        help=f"Where to compile: auto (the default), {', '.join(BACKENDS)}.",
        autocompletion=completion.backends,
    ),
]
Include = Annotated[Many, typer.Option("--include", "-I", metavar="DIR", help="Look for headers in this directory.")]
Define = Annotated[Many, typer.Option("--define", "-D", metavar="NAME[=VALUE]", help="Define a macro.")]
Warn = Annotated[
    Many, typer.Option("--warning", "-W", metavar="NAME", help="A warning flag, as compilers have it: -Wall, -Werror.")
]
Flag = Annotated[Many, typer.Option("--flag", metavar="FLAG", help="Another flag of the compiler: --flag=-O2.")]
Images = Annotated[
    Many,
    typer.Option(
        "--images", metavar="NAME=IMAGE", help="The image for a toolchain: gcc-13=registry.example.org/gcc:13."
    ),
]
Link = Annotated[bool, typer.Option("--link", help="Build a program, not only an object.")]
Jobs = Annotated[
    str | None, typer.Option("--jobs", "-j", metavar="N", help="Compiles at one time; else one on each core.")
]
Timeout = Annotated[
    str | None,
    typer.Option("--timeout", metavar="TIME", help=f"For one compile: 30, 500ms, 2m (default {DEFAULT.timeout:g} s)."),
]
Memory = Annotated[
    str | None,
    typer.Option(
        "--memory",
        metavar="SIZE",
        help=f"For one compile: 512MiB, 2G (default {units.size(Limits().memory_bytes)}; in a cluster its own).",
    ),
]
Output = Annotated[str | None, typer.Option("--output", "-o", metavar="FILE", help="Write the report to this file.")]
NoCache = Annotated[bool, typer.Option("--no-cache", help="Compile anew, and keep nothing of it.")]
Context = Annotated[
    str | None, typer.Option("--context", metavar="NAME", help="Of the kubeconfig; default: its current one.")
]
Namespace = Annotated[
    str | None,
    typer.Option(
        "--namespace",
        metavar="NAME",
        help="Where compiles run in a cluster; default: the context's, or the pod's own.",
    ),
]
Config = Annotated[
    str | None, typer.Option("--config", metavar="FILE", help="Settings from here, not from the nearest file above.")
]
