"""The application: what answers which path, and what every request goes through."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, cast

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Route

from willitcompile.server import openapi, page
from willitcompile.server.bodies import BodyLimit
from willitcompile.server.clients import group
from willitcompile.server.desk import CLIENT, Json, Refused, rfc3339
from willitcompile.server.observer import Observed
from willitcompile.server.ratelimit import AtOnce
from willitcompile.server.v1 import V1
from willitcompile.server.v2 import V2

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from willitcompile.server.clients import Clients
    from willitcompile.server.desk import Desk
    from willitcompile.server.observer import Observer
    from willitcompile.server.settings import ServeSettings
    from willitcompile.server.tokens import Tokens

BODIES = 8
"""Of the largest size, that may be received at the same time."""

OPEN = frozenset({"/health", "/ready", "/openapi.json"}) | frozenset(page.FILES)
"""What needs no token."""

ALWAYS = frozenset({"/health", "/ready", "/metrics"})
AT_ONCE = 100
"""Requests of one client. Whoever waits for more results than that listens to them, or asks in turn."""

METHODS = "GET, HEAD, POST, DELETE, OPTIONS"
HEADERS = "Authorization, Content-Type, Last-Event-ID, traceparent"


def application(desk: Desk, settings: ServeSettings, clients: Clients, tokens: Tokens | None) -> ASGIApp:
    """The whole of it."""

    async def health(_: Request) -> Response:
        return Json({"status": "healthy", "time": rfc3339(time.time())})

    async def ready(_: Request) -> Response:
        obstacle = await desk.service.trouble() or desk.offer.trouble()
        if obstacle:
            return Json({"status": "not ready", "message": obstacle}, 503)
        return Json({"status": "ready"})

    async def metrics(request: Request) -> Response:
        body, content_type = desk.observer.metrics.render(request.headers.get("accept", ""))
        return Response(body, headers={"Content-Type": content_type})

    async def document(_: Request) -> Response:
        return Json(openapi.document())

    routes = [
        Route("/health", health),
        Route("/ready", ready),
        Route("/metrics", metrics),
        Route("/openapi.json", document),
        *V1(desk).routes(),
        *V2(desk).routes(),
        *page.routes(),
    ]
    inner = Starlette(routes=routes, exception_handlers={Refused: _refused, HTTPException: _http, Exception: _broken})
    inner.router.redirect_slashes = False
    limited = BodyLimit(inner, settings.max_body, BODIES * settings.max_body, desk.observer.refused)
    app = CrossOrigin(Admission(limited, clients, tokens, AtOnce(AT_ONCE), desk.observer), settings.cors_origin)
    return Observed(app, desk.observer, clients.of)


class Admission:
    """ASGI: says who asks, and lets nobody in without a token where there are some."""

    def __init__(
        self, app: ASGIApp, clients: Clients, tokens: Tokens | None, at_once: AtOnce, observer: Observer
    ) -> None:
        self._app = app
        self._at_once = at_once
        self._clients = clients
        self._tokens = tokens
        self._observer = observer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        address = self._clients.of(scope)
        scope[CLIENT] = group(address)
        if self._tokens and scope["path"] not in OPEN:
            given = [value for name, value in scope["headers"] if name == b"authorization"]
            name = self._tokens.who(given[0].decode("latin-1") if len(given) == 1 else None)
            if name is None:
                self._observer.refused("unauthorized", address)
                refusal = Refused(401, "unauthorized", {"WWW-Authenticate": "Bearer"})
                await refusal.response()(scope, receive, send)
                return
            scope[CLIENT] = f"token {name}"
        # How the service is has to be told also while somebody asks too much.
        if scope["path"] in ALWAYS:
            await self._app(scope, receive, send)
            return
        with self._at_once.request(scope[CLIENT]) as may_be:
            if may_be:
                await self._app(scope, receive, send)
                return
        self._observer.refused("busy", address)
        await Refused(429, "too many requests at once", {"Retry-After": "1"}).response()(scope, receive, send)


class CrossOrigin:
    """ASGI: tells browsers which other sites may ask."""

    def __init__(self, app: ASGIApp, origin: str) -> None:
        self._app = app
        self._allowed = [(b"vary", b"Origin"), (b"access-control-allow-origin", origin.encode())]
        self._preflight = [
            *self._allowed,
            (b"access-control-allow-methods", METHODS.encode()),
            (b"access-control-allow-headers", HEADERS.encode()),
            (b"access-control-max-age", b"600"),
        ]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def allowing(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message.get("headers", ()), *self._allowed]}
            await send(message)

        if scope["type"] == "http" and scope["method"] == "OPTIONS":
            await send({"type": "http.response.start", "status": 204, "headers": self._preflight})
            await send({"type": "http.response.body", "body": b""})
            return
        await self._app(scope, receive, allowing)


async def _refused(_: Request, error: Exception) -> Response:
    return cast("Refused", error).response()


async def _http(_: Request, error: Exception) -> Response:
    said = cast("HTTPException", error)
    return Refused(said.status_code, said.detail, said.headers or {}).response()


async def _broken(_: Request, __: Exception) -> Response:
    return Refused(500, "internal error: the service's log tells more").response()
