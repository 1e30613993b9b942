"""What is answered before any handler is asked: by the connection, or by what counts bodies."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import NamedTuple


class Refusal(NamedTuple):
    """An answer, after which the connection is closed."""

    status: int
    message: str
    reason: str
    """What it is counted as: one of `willitcompile.server.metrics.REASONS`."""
    more: tuple[str, ...] = ()
    """Headers."""

    @property
    def headers(self) -> tuple[str, ...]:
        length = f"Content-Length: {len(self.content)}"
        return ("Content-Type: application/json", length, "Connection: close", *self.more)

    @property
    def content(self) -> bytes:
        return json.dumps({"message": self.message}).encode("ascii")

    @property
    def whole(self) -> bytes:
        """As it goes out."""
        lines = (f"HTTP/1.1 {self.status} {HTTPStatus(self.status).phrase}", *self.headers, "", "")
        return "\r\n".join(lines).encode("ascii") + self.content


BAD = Refusal(400, "bad request", "bad_request")
LATE = Refusal(408, "request timeout", "request_timeout")
LARGE_BODY = Refusal(413, "request body too large", "body_too_large")
LARGE_HEAD = Refusal(431, "request headers too large", "headers_too_large")
BUSY = Refusal(503, "too much is being sent at once", "busy", ("Retry-After: 1",))
CROWDED = Refusal(503, "too many connections", "too_many_connections", ("Retry-After: 1",))
