"""What a go of this host is, and the files that it needs."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from willitcompile.backends.compilers import Unusable, first_line, go_standards, go_version
from willitcompile.backends.sandbox.host_c import Found, loader_environment, shared_libraries
from willitcompile.backends.sandbox.host_files import is_elf, links_in

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


def investigate_go(program: str, asker: Asker) -> Found:
    """Ask the `go` at this path what it is. Raises Unusable and OSError."""
    if not is_elf(os.path.realpath(program)):
        raise Unusable("is a script, which would need a shell in the sandbox")
    # It wants a cache directory also for a question that needs none.
    quiet = {**QUIET, "HOME": "/nonexistent", "GOCACHE": "/nonexistent", "GOPATH": "/nonexistent"}
    first = first_line(asker.ask(program, "version", **quiet).out)
    version = go_version(first)
    root = asker.ask(program, "env", "GOROOT", **quiet).out.strip()
    if not os.path.isabs(root) or not os.path.isdir(root):
        raise Unusable("does not say where its GOROOT is")
    tools = asker.ask(program, "env", "GOTOOLDIR", **quiet).out.strip()
    parts = [program, *(os.path.join(tools, tool) for tool in ("asm", "compile", "link"))]
    loaded = shared_libraries(parts, asker)
    # "…/usr/lib/go-1.19/src -> ../../share/go-1.19/src", as Debian does it
    links = [link for below in ("", "pkg", "lib", "pkg/tool") for link in links_in(os.path.join(root, below))]
    return Found(
        family="go",
        version=version.version,
        full_version=version.full,
        compilers={"go": first},
        standards={"go": go_standards(version)},
        defaults={"go": f"go{version.version}"},
        programs={"go": program},
        needs=(program, *loaded, root, *links),
        link_needs=(),
        environment={"PATH": os.path.dirname(program), "GOROOT": root, **loader_environment(loaded)},
        parts=(*parts, *loaded, os.path.join(root, "VERSION")),
    )
