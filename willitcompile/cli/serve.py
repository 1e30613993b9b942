"""`will-it-compile serve`."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from willitcompile.backends import Opening
from willitcompile.cli.check import named_limits
from willitcompile.cli.output import write_stdout
from willitcompile.cli.terminal import say
from willitcompile.config import SERVICE_SECTION, resolve
from willitcompile.errors import BackendUnavailable, RequestError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from willitcompile.cli import Opener


def serve(
    of_check: Mapping[str, Sequence[str]], own: Mapping[str, Sequence[str]], config: str | None, open_backend: Opener
) -> int:
    """Serve until told to end. `of_check` and `own` have what was typed, by the settings' names.

    Raises WillItCompileError where that cannot begin.
    """
    try:
        from willitcompile.server import logs
        from willitcompile.server.run import Serving, run
        from willitcompile.server.settings import EARLIER_OF_CHECK, unknown_variables
        from willitcompile.server.settings import resolve as resolve_own
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("willitcompile"):
            raise
        raise BackendUnavailable(
            "serve",
            f"the package {error.name} is not installed",
            "in a checkout of will-it-compile: pip install '.[serve]'",
        ) from error
    settings = resolve(of_check, file=config, also=EARLIER_OF_CHECK)
    options = dict(settings.options)
    serving = resolve_own(own, options.pop(SERVICE_SECTION, {}), config)
    logs.setup(serving.log_format, serving.log_level)
    for note in settings.notes:
        logs.say(note)
    for variable in unknown_variables():
        logs.say(f"{variable} is no setting of ours: see will-it-compile serve --help", logging.WARNING)
    opening = Opening(
        logs.say,
        images=settings.images,
        options=options,
        long_lived=True,
        may_go_elsewhere=not settings.are_images_found,
    )
    with open_backend(settings.backend, opening) as backend:
        run(Serving(backend, serving, backend.limits._replace(**named_limits(settings)), settings.jobs or 0))
    return 0


def token(name: str) -> int:
    """Print what a file of tokens has to say of a new one, and itself to stderr. Raises RequestError."""
    from willitcompile.server.tokens import line

    try:
        made, entry = line(name)
    except ValueError as error:
        raise RequestError(f"make a token for {name!r}", str(error), "will-it-compile token ci") from None
    say(f"the token, for {name} alone, and shown only now: {made}")
    write_stdout(f"{entry}\n")
    return 0
