"""Compiles in containers of a Docker daemon, or of what speaks its API. See `backend`."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from willitcompile.backends.docker.endpoint import REMEDY, endpoints
from willitcompile.errors import BackendUnavailable

if TYPE_CHECKING:
    from willitcompile.backends import Opening
    from willitcompile.backends.docker.backend import DockerBackend
    from willitcompile.model import Finding


def open_backend(opening: Opening) -> DockerBackend:
    """Raises BackendUnavailable where no daemon answers."""
    failed = None
    for endpoint in endpoints():
        # Only what is there costs the import of a client.
        if endpoint.scheme == "unix" and not endpoint.named and not os.path.exists(endpoint.path):
            continue
        from willitcompile.backends.docker.backend import DockerBackend

        try:
            return DockerBackend(endpoint, opening)
        except BackendUnavailable as error:
            failed = failed or error
    raise failed or BackendUnavailable("compile with Docker", "no daemon is here: there is no socket of one", REMEDY)


def clean() -> list[str]:
    """Clear away what killed runs left in the daemon. Returns what was cleared."""
    from willitcompile.backends.docker.engine import Engine
    from willitcompile.backends.docker.leftovers import clear_stale

    for endpoint in endpoints():
        if endpoint.scheme != "unix" or os.path.exists(endpoint.path):
            engine = Engine(endpoint)
            try:
                engine.greet()
            except BackendUnavailable:
                continue
            return clear_stale(engine)
    return []


def doctor() -> list[Finding]:
    """What Docker offers here."""
    from willitcompile.backends.docker.health import findings

    return findings()
