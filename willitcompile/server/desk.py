"""What both versions of the API have in common: who asks, whether he may, and handing a check to the service."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple
from uuid import uuid4

from starlette.responses import Response

from willitcompile.errors import NoAnswer, WillItCompileError
from willitcompile.reports.json import dumps
from willitcompile.server.checks import Draining, QueueFull

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request

    from willitcompile.model import Limits
    from willitcompile.server.checks import Check, Service
    from willitcompile.server.observer import Observer
    from willitcompile.server.offer import Offer
    from willitcompile.server.ratelimit import RateLimit

CLIENT = "willitcompile.client"
"""In a request's scope: who asks."""

_NOTHING: Mapping[str, str] = {}


class Json(Response):
    """`application/json`, which has no charset."""

    media_type = "application/json"
    charset = ""

    def render(self, content: object) -> bytes:
        return dumps(content).encode()


class Text(Json):
    """What is JSON already."""

    def render(self, content: object) -> bytes:
        return str(content).encode()


class Refused(Exception):
    """A request that gets no other answer than this one."""

    def __init__(
        self, status: int, message: str, headers: Mapping[str, str] = _NOTHING, more: Mapping[str, str] = _NOTHING
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.headers = headers
        self.more = more
        """Beside the message, in the answer."""

    def response(self) -> Response:
        return Json({"message": self.message, **self.more}, self.status, dict(self.headers))


class Desk(NamedTuple):
    """Where requests are taken in."""

    service: Service
    offer: Offer
    rate: RateLimit
    observer: Observer
    limits: Limits
    """Of each compile: the most that a check may ask for, and what it gets where it does not."""
    backend: str
    most_cells: int
    """Of one check: more would never get into the queue, of which one client has half."""

    def admit(self, request: Request) -> str:
        """Who asks, if he may ask now. Raises Refused."""
        client: str = request.scope[CLIENT]
        if seconds := self.rate.take(client):
            self.observer.refused("rate_limited", client)
            raise Refused(429, "Rate limit exceeded", _after(seconds))
        return client

    async def submit(self, check: Check, api: str) -> None:
        """Raises Refused."""
        try:
            await self.service.submit(check)
        except QueueFull as full:
            self.observer.refused("queue_full", check.client)
            raise Refused(429, "job queue is full, please try again later", _after(full.retry_after)) from None
        except Draining:
            self.observer.refused("draining", check.client)
            raise Refused(503, "the service is about to end, please try again", _after(5)) from None
        except NoAnswer as error:
            raise unavailable(error, api) from error
        self.observer.submitted(check, api)


def unavailable(error: WillItCompileError, api: str) -> Refused:
    """There is no answer now."""
    more = {} if api == "v1" else told(error)
    return Refused(503, f"{error.asked}: {error.obstacle}", _after(5), more)


def told(error: WillItCompileError) -> dict[str, str]:
    return {"asked": error.asked, "obstacle": error.obstacle, "remedy": error.remedy}


def new_id() -> str:
    return str(uuid4())


async def body(request: Request) -> bytes:
    """What was sent, which nothing else holds on to."""
    return b"".join([piece async for piece in request.stream()])


def is_json(request: Request) -> bool:
    """Whether the body says that it is JSON."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower() == "application/json"


def rfc3339(seconds: float) -> str:
    """
    >>> rfc3339(0.5)
    '1970-01-01T00:00:00.500Z'
    """
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _after(seconds: float) -> dict[str, str]:
    return {"Retry-After": str(max(1, math.ceil(seconds)))}
