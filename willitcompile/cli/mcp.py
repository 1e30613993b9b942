"""`will-it-compile mcp`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from willitcompile.backends import Opening
from willitcompile.cli.check import request
from willitcompile.cli.terminal import say
from willitcompile.config import resolve
from willitcompile.errors import BackendUnavailable, RequestError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from willitcompile.cli import Opener


def mcp(typed: Mapping[str, tuple[str, ...]], config: str | None, open_backend: Opener) -> int:
    """Answer until the agent hangs up. Raises WillItCompileError."""
    try:
        from willitcompile.agents import serve
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("willitcompile"):
            raise
        remedy = "in a checkout of will-it-compile: pip install '.[mcp]'"
        raise BackendUnavailable("mcp", f"the package {error.name} is not installed", remedy) from error
    if sys.stdin is None or sys.stdout is None:
        raise RequestError("mcp", "stdin or stdout is closed", "have the agent start it: see docs/mcp.md")
    settings = resolve(typed, file=config)
    for note in settings.notes:
        say(f"note: {note}")
    opening = Opening(
        lambda text: say(f"note: {text}"),
        images=settings.images,
        long_lived=True,
        may_go_elsewhere=not settings.are_images_found,
        options=settings.options,
    )
    # An agent's sources are strangers', and no files of this machine are for them.
    defaults = request((), settings, None)._replace(expectations=False, include_dirs=())
    with open_backend(settings.backend, opening) as backend:
        serve(backend, defaults)
    return 0
