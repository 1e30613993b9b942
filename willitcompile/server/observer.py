"""What happens to checks and requests, told to the metrics, the log and the spans at once."""

from __future__ import annotations

import logging
import time
from functools import wraps
from typing import TYPE_CHECKING, ParamSpec

from willitcompile.server import logs
from willitcompile.server.tracing import Untraced, trace_id

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from willitcompile.server.checks import Answer, Check
    from willitcompile.server.metrics import Metrics
    from willitcompile.server.tracing import Attributes, Tracing

P = ParamSpec("P")


def _harmless(hook: Callable[P, None]) -> Callable[P, None]:
    @wraps(hook)
    def told(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            hook(*args, **kwargs)
        except Exception as error:  # noqa: BLE001 - no check may fail because it could not be counted
            logs.say("could not be observed", logging.WARNING, raised=error, fields={"hook": hook.__name__})

    return told


class Observer:
    """A `willitcompile.server.checks.Watcher`, and more. Called from any thread, and never raises."""

    def __init__(self, metrics: Metrics, tracing: Tracing | None = None) -> None:
        self.metrics = metrics
        self._tracing = tracing or Untraced()

    def submission(self, traceparent: str | None) -> AbstractContextManager[str | None]:
        """Around what accepts a check, by the `traceparent` that came with the request: gives its `Check.trace`.

        with observer.submission(request.headers.get("traceparent")) as trace:
            check = Check(…, trace=trace)
            await service.submit(check)
            observer.submitted(check, "v2")
        """
        return self._tracing.submission(traceparent)

    @_harmless
    def submitted(self, check: Check, api: str) -> None:
        """It is accepted. `api` is `v1` or `v2`."""
        self.metrics.submitted(api, check.priority)
        about: Attributes = {"api": api, "priority": check.priority, "compiles": len(check.cells)}
        self._tracing.submitted({"check.id": check.id, **about})
        fields: dict[str, object] = {"job": check.id, "client": check.client, "trace": trace_id(check.trace), **about}
        logs.say("submitted", fields=fields)

    @_harmless
    def started(self, check: Check, number: int, waited: float) -> None:
        """The compile of a cell begins, `waited` seconds after it was asked for; again where the first was lost."""
        self.metrics.started(check.priority, waited)
        if check.trace is not None:
            self._tracing.started(check.trace, waited, _about(check, number) | {"priority": check.priority})
        logs.say("started", logging.DEBUG, fields=_fields(check, number) | {"waited": waited})

    @_harmless
    def answered(self, check: Check, number: int, answer: Answer, seconds: float) -> None:
        """The compile of a cell has ended, `seconds` after it began: with setting up and clearing away."""
        refused = answer.get("refused", False)
        verdict = str(answer.get("verdict", "refused" if refused else "error"))
        compile_seconds = answer.get("duration_seconds")
        if answer.get("cached"):
            self.metrics.cached()
        else:
            self.metrics.answered(check.cells[number].toolchain, verdict, compile_seconds)
        # What was wrong from the start never came to the backend.
        if check.trace is not None and not refused:
            about = _about(check, number) | {"verdict": verdict, "backend": str(answer.get("backend", ""))}
            self._tracing.answered(check.trace, seconds, compile_seconds, about)
        ended = {
            "verdict": verdict,
            "seconds": seconds,
            "compile_seconds": compile_seconds,
            "cached": answer.get("cached") or None,
            "error": answer["error"]["obstacle"] if "error" in answer else None,
        }
        logs.say("answered", fields=_fields(check, number) | ended)

    @_harmless
    def refused(self, reason: str, client: str | None = None) -> None:
        """A request was refused, for one of `metrics.REASONS`."""
        self.metrics.refused(reason)
        # Whoever sends thousands of them must not fill the operator's disk.
        logs.say("refused", logging.DEBUG, fields={"reason": reason, "client": client})

    @_harmless
    def request(
        self, route: str | None, method: str, path: str, status: int, seconds: float, client: str | None
    ) -> None:
        """A request was answered. `route` is the template of its path, where there is one."""
        self.metrics.request(route, method, status, seconds)
        fields = {"method": method, "path": path, "status": status, "seconds": seconds, "client": client}
        logs.say("request", logging.DEBUG, fields=fields)

    @_harmless
    def close(self) -> None:
        """Send what is not sent yet; takes some seconds where the collector of spans does not answer."""
        self._tracing.close()


class Observed:
    """ASGI: tells the observer of each request. Stands outside of all that answers requests by itself."""

    def __init__(self, app: ASGIApp, observer: Observer, client_of: Callable[[Scope], str]) -> None:
        self._app = app
        self._observer = observer
        self._client_of = client_of

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        status = 500

        async def noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, noting)
        finally:
            seconds = time.perf_counter() - began
            route = getattr(scope.get("route"), "path", None)
            self._observer.request(route, scope["method"], scope["path"], status, seconds, self._client_of(scope))


def _fields(check: Check, number: int) -> dict[str, object]:
    cell = check.cells[number]
    return {
        "job": check.id,
        "number": number,
        "client": check.client,
        "source": cell.source,
        "toolchain": cell.toolchain,
        "standard": cell.standard,
        "trace": trace_id(check.trace),
    }


def _about(check: Check, number: int) -> Attributes:
    cell = check.cells[number]
    about: Attributes = {
        "check.id": check.id,
        "check.number": number,
        "language": cell.language,
        "toolchain": cell.toolchain,
    }
    return about | ({} if cell.standard is None else {"standard": cell.standard})
