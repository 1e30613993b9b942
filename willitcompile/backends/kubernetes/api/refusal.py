"""What the API server says where it does not do what was asked."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

_LONGEST_WISH = 30.0
"""A server that asks to be left alone is, for so many seconds."""
_PASSING = frozenset({"InternalError", "ServerTimeout", "Timeout"})
_REASONS = {
    400: "BadRequest",
    401: "Unauthorized",
    403: "Forbidden",
    404: "NotFound",
    409: "Conflict",
    410: "Expired",
    422: "Invalid",
    429: "TooManyRequests",
    500: "InternalError",
    503: "ServiceUnavailable",
    504: "Timeout",
}
"""Where what answers says none, as a proxy does in front of it."""


class ApiError(Exception):
    """The server says no."""

    def __init__(self, status: int, reason: str, message: str, details: Mapping[str, Any] | None = None) -> None:
        super().__init__(f"{message} ({status})")
        self.status = status
        self.reason = reason
        """A word of the API's: `AlreadyExists`, `NotFound`, `Expired`, …"""
        self.message = message
        self.details: Mapping[str, Any] = details or {}
        """As the API gives them: `name`, `kind`, `causes`, …"""
        self.wait_seconds = 0.0
        """For how long it asks to be left alone."""

    @property
    def is_lasting(self) -> bool:
        """Whether the same request is refused later, too, as long as nothing else changes."""
        return self.status not in {429, 502, 503, 504} and not (self.status == 500 and self.reason in _PASSING)


def refusal(status: int, content: bytes, wish: str | None) -> ApiError:
    """What a server says that does not do what was asked. `wish` is its Retry-After."""
    try:
        said = json.loads(content)
    except (ValueError, RecursionError):
        said = None
    if not isinstance(said, dict) or said.get("kind") != "Status":
        said = {"message": " ".join(content[:300].decode(errors="backslashreplace").split())}
    if 300 <= status < 400:
        said = {"message": "it redirects, which is not followed"}
    message, reason, details = (said.get(each) for each in ("message", "reason", "details"))
    error = ApiError(
        status,
        reason if isinstance(reason, str) and reason else _REASONS.get(status, "Unknown"),
        str(message or "no reason given")[:1000],
        details if isinstance(details, dict) else None,
    )
    if wish and wish.isdecimal():
        error.wait_seconds = min(float(wish[:6]), _LONGEST_WISH)
    return error
