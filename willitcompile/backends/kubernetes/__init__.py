"""Compiles in the pods of a cluster. See `backend`."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from willitcompile.backends import Opening
    from willitcompile.backends.kubernetes.backend import KubernetesBackend
    from willitcompile.model import Finding

NAME = "kubernetes"


def open_backend(opening: Opening) -> KubernetesBackend:
    """Raises BackendUnavailable where nothing says where a cluster is, and ConfigError for wrong settings."""
    from willitcompile.backends.kubernetes.api.access import locate
    from willitcompile.backends.kubernetes.settings import parse

    settings = parse(opening.options.get(NAME, {}))
    access = locate(settings.context, settings.namespace)
    # Only what may answer is worth the import of a client.
    from willitcompile.backends.kubernetes.backend import KubernetesBackend

    return KubernetesBackend(access, settings, opening)


def clean(opening: Opening) -> list[str]:
    """Clear away what killed runs left in the namespace. Returns what was cleared."""
    from willitcompile.backends.kubernetes.api.access import locate
    from willitcompile.backends.kubernetes.api.client import Api
    from willitcompile.backends.kubernetes.leftovers import clear_stale
    from willitcompile.backends.kubernetes.settings import parse
    from willitcompile.errors import BackendUnavailable

    settings = parse(opening.options.get(NAME, {}))
    try:
        api = Api(locate(settings.context, settings.namespace))
    except BackendUnavailable:
        return []
    try:
        return clear_stale(api)
    finally:
        api.close()


def doctor(opening: Opening) -> list[Finding]:
    """What the cluster offers."""
    from willitcompile.backends.kubernetes.health import findings

    return findings(opening)
