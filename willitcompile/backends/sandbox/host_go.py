"""What a go of this host is, and the files that it needs."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from willitcompile.backends.sandbox.host_c import Found, first_line, loader_environment, shared_libraries
from willitcompile.backends.sandbox.host_files import is_elf, links_in
from willitcompile.backends.sandbox.host_run import Unusable

if TYPE_CHECKING:
    from willitcompile.backends.sandbox.host_run import Asker

QUIET = {
    "CGO_ENABLED": "0",
    "GO111MODULE": "on",
    "GOENV": "off",
    "GOFLAGS": "",
    "GOPROXY": "off",
    "GOSUMDB": "off",
    "GOTOOLCHAIN": "local",
    "GOWORK": "off",
    # No configuration directory: no telemetry.
    "XDG_CONFIG_HOME": "off",
}
"""A go that does what it is told, whatever the user configured: no network, no other toolchain, no cgo."""

OLDEST_LANGUAGE = 1
"""go1.1: the compiler takes any since then."""


def investigate_go(program: str, asker: Asker) -> Found:
    """Ask the `go` at this path what it is. Raises Unusable and OSError."""
    if not is_elf(os.path.realpath(program)):
        raise Unusable("is a script, which would need a shell in the sandbox")
    # It wants a cache directory also for a question that needs none.
    quiet = {**QUIET, "HOME": "/nonexistent", "GOCACHE": "/nonexistent", "GOPATH": "/nonexistent"}
    first = first_line(asker.ask(program, "version", **quiet).out)
    # "go version go1.26.8 linux/amd64", "go version devel go1.27-0a1b2c linux/amd64"
    match = re.match(r"go version (?:devel )?go1\.(\d+)([.\w]*)", first)
    if match is None:
        raise Unusable("does not answer like a go")
    minor = int(match[1])
    root = asker.ask(program, "env", "GOROOT", **quiet).out.strip()
    if not os.path.isabs(root) or not os.path.isdir(root):
        raise Unusable("does not say where its GOROOT is")
    tools = asker.ask(program, "env", "GOTOOLDIR", **quiet).out.strip()
    parts = [program, *(os.path.join(tools, tool) for tool in ("asm", "compile", "link"))]
    loaded = shared_libraries(parts, asker)
    # "…/usr/lib/go-1.19/src -> ../../share/go-1.19/src", as Debian does it
    links = [link for below in ("", "pkg", "lib", "pkg/tool") for link in links_in(os.path.join(root, below))]
    languages = {f"go1.{number}": f"go1.{number}" for number in range(OLDEST_LANGUAGE, minor + 1)}
    return Found(
        family="go",
        version=f"1.{minor}",
        full_version=f"1.{minor}{match[2]}",
        compilers={"go": first},
        standards={"go": languages},
        defaults={"go": f"go1.{minor}"},
        programs={"go": program},
        needs=(program, *loaded, root, *links),
        link_needs=(),
        environment={"PATH": os.path.dirname(program), "GOROOT": root, **loader_environment(loaded)},
        parts=(*parts, *loaded, os.path.join(root, "VERSION")),
    )
