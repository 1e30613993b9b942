"""What a request's body may cost in memory: one, and all of them together."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from starlette.requests import ClientDisconnect

from willitcompile.server.refusals import BUSY, LARGE_BODY

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from willitcompile.server.refusals import Refusal

BODY = "willitcompile.body"
"""In a request's scope: to be called once its body is needed no longer, by what does not answer soon after."""
_PIECE_BYTES = 64
"""What a piece of a body takes in memory beside its bytes."""


class BodyLimit:
    """ASGI: refuses bodies that are too large, and more of them at once than there is memory for.

    Stands inside of what adds headers to each answer, and outside of all that reads bodies.
    """

    def __init__(self, app: ASGIApp, max_bytes: int, budget_bytes: int, refused: Callable[[str], object] = str) -> None:
        """`max_bytes` of one body; `budget_bytes` of all that are being received or dealt with.

        What is only announced counts for nothing. Where they are more, not the last to come is refused, but whichever
        has held the most for the longest time and is not whole yet: somebody who sends large bodies and never ends them
        shuts out nobody. `refused` is told the reason of each refusal.
        """
        if budget_bytes < max_bytes:
            raise ValueError(f"a body of {max_bytes} bytes does not fit in {budget_bytes}")
        self._app = app
        self._max = max_bytes
        self._budget = budget_bytes
        self._refused = refused
        self._held = 0
        self._coming: set[_Body] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        body = _Body(receive, send, self._release)
        if _announced(scope) > self._max:
            await self._refuse(body, LARGE_BODY)
            return
        scope[BODY] = body.release
        try:
            await self._app(scope, lambda: self._receive(body), body.answer)
        except ClientDisconnect:
            pass  # or was refused: no failure of the application's
        finally:
            body.release()
            if body.refusal:
                await body.refusal

    async def _receive(self, body: _Body) -> Message:
        message = await body.receive()
        if message["type"] != "http.request" or body.is_refused:
            return {"type": "http.disconnect"}
        piece = len(message.get("body", b""))
        body.size += piece
        if body.size > self._max:
            await self._refuse(body, LARGE_BODY)
        elif piece:
            self._hold(body, piece + _PIECE_BYTES)
        if body.is_refused:
            return {"type": "http.disconnect"}
        if not message.get("more_body", False):
            self._coming.discard(body)
        return message

    def _hold(self, body: _Body, size: int) -> None:
        self._coming.add(body)
        self._held += size
        body.held += size
        now = time.monotonic()
        while self._held > self._budget and self._coming:
            largest = max(self._coming, key=lambda each: each.held * (now - each.began))
            largest.is_refused = True
            largest.release()
            # It may wait for its client, and this body must not wait for that.
            largest.refusal = asyncio.create_task(self._refuse(largest, BUSY))

    async def _refuse(self, body: _Body, refusal: Refusal) -> None:
        self._refused(refusal.reason)
        await body.refuse(refusal)

    def _release(self, body: _Body) -> None:
        self._coming.discard(body)
        self._held -= body.held
        body.held = 0


class _Body:
    """That of a request."""

    def __init__(self, receive: Receive, send: Send, release: Callable[[_Body], None]) -> None:
        self.receive = receive
        self._send = send
        self._release = release
        self.began = time.monotonic()
        self.size = 0
        self.held = 0
        """What of it is in memory, with what that costs."""
        self.is_refused = False
        self.refusal: asyncio.Task[None] | None = None
        self._is_answered = False

    def release(self) -> None:
        self._release(self)

    async def answer(self, message: Message) -> None:
        """The application's."""
        if not self.is_refused:
            self._is_answered = True
            self.release()
            await self._send(message)

    async def refuse(self, refusal: Refusal) -> None:
        """After it, a server says that the client is gone to whoever waits for the body."""
        self.is_refused = True
        if self._is_answered:
            return
        lines = (line.split(": ") for line in refusal.headers)
        headers = [(name.lower().encode(), value.encode()) for name, value in lines]
        await self._send({"type": "http.response.start", "status": refusal.status, "headers": headers})
        await self._send({"type": "http.response.body", "body": refusal.content})


def _announced(scope: Scope) -> int:
    """Bytes, 0 where nothing is said. The server has seen to it that it is one number."""
    return next((int(value) for name, value in scope["headers"] if name == b"content-length"), 0)
