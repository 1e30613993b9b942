"""What the docker package is for: images from registries, with the passwords and proxies that the user has set up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from willitcompile.backends.docker.engine import EngineError, Gone, quoted
from willitcompile.backends.references import PINNED, split
from willitcompile.errors import BackendFailed

if TYPE_CHECKING:
    from collections.abc import Callable

    from willitcompile.backends.docker.engine import Engine
    from willitcompile.backends.references import Candidate

SILENT_SECONDS = 120.0
"""A pull that says nothing for so long hangs."""


_REFUSED = ("unauthorized", "no basic auth credentials", "denied", "authentication required", "forbidden")


def fetch(
    engine: Engine,
    asked: str,
    name: str,
    candidate: Candidate,
    notify: Callable[[str], None] = lambda _: None,
    progress: Callable[[str, int, int], None] = lambda *_: None,
) -> None:
    """Pull the image that is to serve as the toolchain `name`. Raises BackendFailed, which says what to do."""
    try:
        pull(engine, candidate.reference, notify, progress)
    except (EngineError, Gone) as error:
        message = error.message if isinstance(error, EngineError) else str(error)
        raise BackendFailed(
            asked,
            f"{candidate.reference} cannot be pulled: {message}",
            _remedy(name, candidate, message),
        ) from error


def _remedy(name: str, candidate: Candidate, message: str) -> str:
    registry = registry_of(candidate.reference)
    login = f"docker login {registry}".strip()
    if any(word in message.lower() for word in _REFUSED):
        return f"correct the name of the image, or log in: {login}" if "denied" in message else login
    if candidate.source == PINNED:
        return f"see what stands in the way: docker pull {candidate.reference}; or correct --images and `images`"
    return f"will-it-compile images build {name}, or name an image of your own: --images {name}=IMAGE"


def registry_of(reference: str) -> str:
    """The host that an image comes from; empty for the usual one, Docker Hub.

    >>> registry_of("localhost:5000/gcc:13"), registry_of("library/gcc:13"), registry_of("gcc:13")
    ('localhost:5000', '', '')
    """
    host, slash, _ = reference.partition("/")
    return host if slash and (host == "localhost" or "." in host or ":" in host) else ""


def pull(
    engine: Engine,
    reference: str,
    notify: Callable[[str], None] = lambda _: None,
    progress: Callable[[str, int, int], None] = lambda *_: None,
) -> None:
    """Pull an image, telling `progress` how many bytes are there of how many known so far.

    Raises EngineError, which says why it cannot be had, and Gone.
    """
    image, tag = split(reference)
    notify(f"pulling {reference}, once")
    layers: dict[str, tuple[int, int]] = {}
    query = {"fromImage": image, "tag": tag}
    for event in engine.events("POST", "/images/create", query, headers=_credentials(image), seconds=SILENT_SECONDS):
        if message := event.get("error"):
            raise EngineError(500, str(message)[:500])
        detail = event.get("progressDetail") or {}
        if event.get("status") == "Downloading" and detail.get("total"):
            layers[str(event.get("id"))] = (int(detail.get("current") or 0), int(detail["total"]))
        elif event.get("status") == "Download complete" and str(event.get("id")) in layers:
            total = layers[str(event["id"])][1]
            layers[str(event["id"])] = (total, total)
        else:
            continue
        progress(
            f"pulling {reference}", sum(done for done, _ in layers.values()), sum(all_ for _, all_ in layers.values())
        )
    try:
        engine.call("GET", f"/images/{quoted(reference)}/json")
    except EngineError as error:
        raise EngineError(error.status, f"it was pulled, and is not there: {error.message}") from error


def _credentials(image: str) -> dict[str, str]:
    """The header by which the daemon may log in, from the user's configuration and credential helpers."""
    from docker import auth

    registry, _ = auth.resolve_repository_name(image)
    config: Any = auth.load_config()
    try:
        found = config.resolve_authconfig(registry)
    except Exception:  # noqa: BLE001 - a helper that is broken is for the pull to tell of: most images need none
        found = None
    return {"X-Registry-Auth": auth.encode_header(found).decode()} if found else {}
