"""Containers that a killed process, or a killed daemon, left behind.

A container ends and removes itself when its client does. What can remain was never started, or lost its daemon in the
wrong moment.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

from willitcompile.backends.clients import is_dead
from willitcompile.backends.docker.container import MANAGED, SESSION
from willitcompile.backends.docker.engine import EngineError, Gone

if TYPE_CHECKING:
    from collections.abc import Iterable

    from willitcompile.backends.docker.engine import Engine

_YOUNG_SECONDS = 300.0
"""A client on another machine, of which nothing can be known from here, starts what it has created well before."""
_REMOVAL_SECONDS = 30.0
_AGAIN_SECONDS = 0.02


def remove_session(engine: Engine, session: str) -> None:
    """Remove what is left of a session, and return when it is gone. Never raises."""
    deadline = time.monotonic() + _REMOVAL_SECONDS
    while (seconds := deadline - time.monotonic()) > 0:
        try:
            left = _list(engine, [f"{SESSION}={session}"], seconds)
        except (EngineError, Gone):
            return  # the daemon is gone; `clear_stale` is for what it will find when it is back
        if not left:
            return
        _remove_all(engine, [each["Id"] for each in left])
        time.sleep(_AGAIN_SECONDS)  # what cannot be removed is not asked about without a pause


def clear_stale(engine: Engine) -> list[str]:
    """Remove the containers whose client has ended; their names. Never raises."""
    label = next(f"{name}={value}" for name, value in MANAGED.items())
    try:
        stale = [each for each in _list(engine, [label, SESSION]) if _is_stale(each)]
    except (EngineError, Gone):
        return []
    _remove_all(engine, [each["Id"] for each in stale])
    return [f"container {(each.get('Names') or [each['Id'][:12]])[0].lstrip('/')}" for each in stale]


def _is_stale(container: dict[str, Any]) -> bool:
    session = (container.get("Labels") or {}).get(SESSION)
    if not session:
        return False  # somebody's own, of an image of ours
    dead = is_dead(session.partition("/")[0])
    if dead is not None:
        return dead
    age = time.time() - float(container.get("Created") or 0)
    return container.get("State") != "running" and age > _YOUNG_SECONDS


def _list(engine: Engine, labels: list[str], seconds: float = _REMOVAL_SECONDS) -> list[dict[str, Any]]:
    query = {"all": True, "filters": {"label": labels}}
    found: list[dict[str, Any]] = engine.call("GET", "/containers/json", query, seconds=seconds)
    return found


def _remove_all(engine: Engine, containers: Iterable[str]) -> None:
    threads = [threading.Thread(target=_remove, args=(engine, each), daemon=True) for each in containers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _remove(engine: Engine, container: str) -> None:
    """Return when it is gone, whoever removes it."""
    try:
        engine.call("DELETE", f"/containers/{container}", {"force": True, "v": True}, seconds=_REMOVAL_SECONDS)
    except EngineError as error:
        if error.status != 409:
            return
        wait_for_removal(engine, container, _REMOVAL_SECONDS)  # its own is under way
    except Gone:
        return


def wait_for_removal(engine: Engine, container: str, seconds: float) -> None:
    """Return when somebody else has removed a container. Never raises."""
    try:
        engine.call("POST", f"/containers/{container}/wait", {"condition": "removed"}, seconds=seconds)
    except (EngineError, Gone):
        return  # it is gone already, or the daemon is
