"""Compiles in containers of a Docker daemon, or of what speaks its API. See `backend`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from willitcompile.backends.docker.endpoint import likely, nowhere
from willitcompile.errors import BackendUnavailable

if TYPE_CHECKING:
    from willitcompile.backends import Opening
    from willitcompile.backends.docker.backend import DockerBackend
    from willitcompile.model import Finding


def open_backend(opening: Opening) -> DockerBackend:
    """Raises BackendUnavailable where no daemon answers."""
    if not likely():
        raise nowhere()  # at no cost: only what may answer is worth the import of a client
    from willitcompile.backends.docker.backend import DockerBackend
    from willitcompile.backends.docker.engine import connect

    engine = connect()
    try:
        return DockerBackend(engine, opening)
    except BaseException:
        engine.close()
        raise


def clean(opening: Opening) -> list[str]:  # noqa: ARG001 - it needs no settings
    """Clear away what killed runs left in the daemon. Returns what was cleared."""
    from willitcompile.backends.docker.engine import connect
    from willitcompile.backends.docker.leftovers import clear_stale

    try:
        engine = connect()
    except BackendUnavailable:
        return []
    try:
        return clear_stale(engine)
    finally:
        engine.close()


def doctor(opening: Opening) -> list[Finding]:  # noqa: ARG001
    """What Docker offers here."""
    from willitcompile.backends.docker.health import findings

    return findings()
