"""Serving: what there is put together, a socket to listen at, and ending in order."""

from __future__ import annotations

import asyncio
import logging
import os
import resource
import signal
import socket
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import uvicorn

import willitcompile
from willitcompile.backends.queued import QueueKeeper
from willitcompile.errors import BackendUnavailable
from willitcompile.server import logs, tracing
from willitcompile.server.app import application
from willitcompile.server.checks import Kept
from willitcompile.server.clients import Clients
from willitcompile.server.cluster import ClusterService
from willitcompile.server.desk import Desk
from willitcompile.server.local import LocalService
from willitcompile.server.metrics import Metrics
from willitcompile.server.observer import Observer
from willitcompile.server.offer import Offer
from willitcompile.server.protocol import ConnectionLimits, protocol
from willitcompile.server.ratelimit import RateLimit
from willitcompile.server.store import Store
from willitcompile.server.tokens import Tokens
from willitcompile.server.v2 import MOST_CELLS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from starlette.types import ASGIApp

    from willitcompile.backends import Backend
    from willitcompile.model import Limits
    from willitcompile.server.checks import Service, Statistics
    from willitcompile.server.settings import ServeSettings

SIGNALS = (signal.SIGINT, signal.SIGTERM)
IDLE_SECONDS = 15
"""For which a connection may wait for its next request."""
LAST_SECONDS = 5
"""For which answers that are being sent may take, once all else has ended."""
FAREWELL_SECONDS = 1.0
"""For which a connection that is kept may have one more request, and be told with its answer that it ends. To close it
at once could meet a request that is on its way."""
BACKLOG = 256
"""Connections that are taken in at one time."""
_LEAST_FILES, _FILES = 256, 1024
"""Descriptors for all but connections."""


class Serving(NamedTuple):
    """What `run` serves."""

    backend: Backend
    """Which is closed by whoever opened it."""
    settings: ServeSettings
    limits: Limits
    """Of each compile."""
    jobs: int = 0
    """Compiles at one time; 0 for what suits the backend."""


def run(serving: Serving) -> None:
    """Serve until told to end. Raises WillItCompileError where that cannot begin."""
    settings = serving.settings
    connections = _connections(settings.max_connections)
    offer = Offer(serving.backend)
    clients = Clients(settings.trusted_proxies)
    tokens = Tokens(Path(settings.tokens), _warn) if settings.tokens else None
    spans = tracing.tracer(os.environ, willitcompile.__version__)
    late = _Late()
    metrics = Metrics(serving.backend.name, late.statistics, willitcompile.__version__, offer.available)
    observer = Observer(metrics, spans)
    with _listening(settings) as listener:
        try:
            service = late.service = _service(serving, offer, observer)
            rate = RateLimit(settings.rate_limit, max(1, round(settings.rate_limit)))
            most_cells = max(1, min(MOST_CELLS, settings.queue_size // 2))
            desk = Desk(service, offer, rate, observer, serving.limits, serving.backend.name, most_cells)
            app = application(desk, settings, clients, tokens)
            asyncio.run(_serve(desk, app, settings, connections, listener))
        finally:
            observer.close()


def _service(serving: Serving, offer: Offer, observer: Observer) -> Service:
    settings, backend, limits = serving.settings, serving.backend, serving.limits
    size = settings.queue_size
    keep = Kept(settings.keep, settings.keep_results, settings.keep_bytes)
    if isinstance(backend, QueueKeeper):
        return ClusterService(
            backend, offer.available, limits=limits, jobs=serving.jobs, queue_size=size, keep=keep, watcher=observer
        )
    store, workers = Store(settings.state), backend.at_once(serving.jobs)
    return LocalService(
        backend, store, offer.available, limits=limits, workers=workers, queue_size=size, keep=keep, watcher=observer
    )


class _Server(uvicorn.Server):
    """Leaves signals to us: on the first one, polls are answered until what runs has ended."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def _serve(desk: Desk, app: ASGIApp, settings: ServeSettings, connections: int, listener: socket.socket) -> None:
    limits = ConnectionLimits(
        headers_seconds=settings.header_timeout,
        body_seconds=settings.body_timeout,
        connections=connections,
    )
    told = asyncio.Event()
    hurry = asyncio.Event()
    config = uvicorn.Config(
        app,
        http=protocol(limits, desk.observer.refused, told.is_set),
        ws="none",
        loop="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        backlog=BACKLOG,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=IDLE_SECONDS,
        timeout_graceful_shutdown=LAST_SECONDS,
    )
    server = _Server(config)

    def stop() -> None:
        (hurry if told.is_set() else told).set()

    loop = asyncio.get_running_loop()
    for number in SIGNALS:
        loop.add_signal_handler(number, stop)
    await desk.service.start()
    watching = asyncio.create_task(desk.offer.watch())
    serving = asyncio.create_task(server.serve([listener]))
    logs.say(f"serving at {_address(listener)}", fields={"backend": desk.backend})
    ending = asyncio.create_task(told.wait())
    await asyncio.wait([serving, ending], return_when=asyncio.FIRST_COMPLETED)
    logs.say("ending: what runs may end, nothing more is begun")
    closing = asyncio.create_task(desk.service.close(settings.grace))
    hurrying = asyncio.create_task(hurry.wait())
    farewell = loop.time() + FAREWELL_SECONDS
    await asyncio.wait([closing, hurrying], return_when=asyncio.FIRST_COMPLETED)
    while server.server_state.connections and loop.time() < farewell and not hurry.is_set():
        await asyncio.sleep(0.02)
    server.should_exit = True
    if closing.done():
        closing.result()
    else:
        closing.cancel()
        await desk.service.close(0)
    await serving
    for task in (watching, ending, hurrying):
        task.cancel()
    logs.say("ended")


@contextmanager
def _listening(settings: ServeSettings) -> Iterator[socket.socket]:
    """Raises BackendUnavailable."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        listener = socket.create_server(
            (settings.host, settings.port), family=family, backlog=BACKLOG, dualstack_ipv6=settings.host == "::"
        )
    except OSError as error:
        raise BackendUnavailable(
            f"serve at {settings.host}:{settings.port}",
            (os.strerror(error.errno) if error.errno else str(error)).lower(),
            "choose another one: --port 8081, --host 0.0.0.0",
        ) from None
    with listener:
        # Connections have it from here: asyncio sets it only where the protocol is named, which create_server does not.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        yield listener


def _connections(wanted: int) -> int:
    """So many, or as many as there may be descriptors for. Raises BackendUnavailable."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < wanted + _FILES:
        soft = min(wanted + _FILES, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if soft < _LEAST_FILES:
        raise BackendUnavailable(
            "serve", f"this process may have {soft} descriptors open", f"allow more: ulimit -n {_FILES + wanted}"
        )
    if (most := soft - min(_FILES, soft // 2)) < wanted:
        _warn(f"at most {most} connections: this process may have {soft} descriptors open (ulimit -n)")
    return min(wanted, most)


def _address(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _warn(text: str) -> None:
    logs.say(text, logging.WARNING)


class _Late:
    """Tells what the service does, which is made after what looks at it."""

    service: Service

    def statistics(self) -> Statistics:
        return self.service.statistics()
