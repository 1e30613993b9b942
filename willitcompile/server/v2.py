"""Version 2 of the API: a check as the command line has it, with several files, a matrix, limits and a priority."""

from __future__ import annotations

import re
import time
from collections import Counter
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec
from msgspec import Meta
from starlette.responses import StreamingResponse
from starlette.routing import Route

from willitcompile import planning
from willitcompile.errors import NoAnswer, RequestError
from willitcompile.model import Verdict
from willitcompile.reports.json import dumps
from willitcompile.sent import decoded, refuse_paths
from willitcompile.server.bodies import BODY
from willitcompile.server.checks import Ask, Check, cells
from willitcompile.server.desk import Json, Refused, Text, body, is_json, new_id, rfc3339, told, unavailable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from starlette.requests import Request
    from starlette.responses import Response

    from willitcompile.model import Limits, Toolchain
    from willitcompile.server.checks import Standing
    from willitcompile.server.desk import Desk

MOST_CELLS = 1000
"""Compiles of one check."""
MOST_FILES = 1000
MOST_WORDS = 100
"""Toolchains, standards, flags, each."""
MOST_WAIT_SECONDS = 60
STREAM_SECONDS = 15.0
"""After which a stream says that it is still there."""

Texts = Annotated[list[Annotated[str, Meta(max_length=1000)]], Meta(max_length=MOST_WORDS)]
Path = Annotated[str, Meta(min_length=1, max_length=500)]


_NUMBER = re.compile(r"[0-9]{1,20}(?:\.[0-9]{1,30})?(?:[eE][+-]?[0-9]{1,3})?")
_COUNT = re.compile(r"[0-9]{1,20}")


class Encoded(msgspec.Struct, forbid_unknown_fields=True):
    """A file that is no UTF-8 text."""

    base64: str


class Limited(msgspec.Struct, forbid_unknown_fields=True):
    """Of each compile; no more than the service allows, which is the default."""

    wall_seconds: Annotated[float, Meta(gt=0)] | None = None
    # Floats, as 1e9 is one: to a JSON schema it is an integer.
    memory_bytes: Annotated[float, Meta(ge=1 << 20, le=1 << 50, multiple_of=1)] | None = None
    output_bytes: Annotated[float, Meta(ge=1, le=1 << 40, multiple_of=1)] | None = None


class CheckBody(msgspec.Struct, forbid_unknown_fields=True):
    """What to check: each source with each toolchain at each standard, as far as they fit each other."""

    files: Annotated[
        dict[Path, str | Encoded],
        Meta(min_length=1, max_length=MOST_FILES, description="By relative path, what each file holds."),
    ]
    sources: Annotated[
        list[Path],
        Meta(max_length=MOST_FILES, description="Those of the files to check; without, each that is a source."),
    ] = []
    language: Annotated[
        Annotated[str, Meta(max_length=100)] | None,
        Meta(description="`c`, `c++`, `go` or `rust`; without, told by extension and content."),
    ] = None
    toolchains: Annotated[
        Texts, Meta(description="`gcc-13`, `gcc` or `all`; without, the default one of each language.")
    ] = []
    standards: Annotated[Texts, Meta(description="`c++20`; without, the default of each toolchain.")] = []
    include_dirs: Annotated[
        list[Path], Meta(max_length=MOST_WORDS, description="Directories of the files, to look for headers in.")
    ] = []
    defines: Annotated[Texts, Meta(description="`NAME` or `NAME=VALUE`.")] = []
    warnings: Annotated[Texts, Meta(description="`-Wall`.")] = []
    flags: Annotated[Texts, Meta(description="`-O2`; only those that can do no harm.")] = []
    link: Annotated[bool, Meta(description="Build a program, not only an object.")] = False
    limits: Limited = msgspec.field(default_factory=Limited)
    priority: Annotated[Literal["interactive", "batch"], Meta(description="Interactive checks go before batches.")] = (
        "interactive"
    )
    wait: Annotated[
        float,
        Meta(ge=0, le=MOST_WAIT_SECONDS, description="Seconds for which the answer may wait until the check is done."),
    ] = 0


class V2:
    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._decoder = msgspec.json.Decoder(CheckBody)

    def routes(self) -> list[Route]:
        check = "/api/v2/checks/{check_id}"
        return [
            Route("/api/v2/toolchains", self.toolchains),
            Route("/api/v2/checks", self.submit, methods=["POST"]),
            Route(check, self.check, methods=["GET", "DELETE"]),
        ]

    async def toolchains(self, _: Request) -> Response:
        desk = self._desk
        limits = {name: getattr(desk.limits, name) for name in Limited.__struct_fields__}
        described = [_toolchain(each) for each in desk.offer.available()]
        return Json({"toolchains": described, "backend": desk.backend, "limits": limits})

    async def submit(self, request: Request) -> Response:
        check_id, total, wait = await self._take(request)
        # What was sent is held by the service alone now, however long this waits.
        request.scope[BODY]()
        standing = await self._found(check_id, total, wait)
        headers = {"Location": f"/api/v2/checks/{check_id}"}
        return Text(document(standing), 200 if standing.is_over else 202, headers)

    async def _take(self, request: Request) -> tuple[str, int, float]:
        """Its id, how many cells it has, and for how long to wait. Raises Refused."""
        desk = self._desk
        client = desk.admit(request)
        sent = await body(request)
        if not is_json(request):
            raise Refused(415, "the body is not application/json")
        try:
            asked = self._decoder.decode(sent)
        except RecursionError:
            raise Refused(400, "the body nests too deep") from None
        except ValueError as error:  # among them what is wrong with its encoding
            raise Refused(400, f"the body is not a check: {error}") from None
        with desk.observer.submission(request.headers.get("traceparent")) as trace:
            try:
                check = plan(asked, desk.offer.available(), desk.backend, desk.limits, client, trace, desk.most_cells)
            except RequestError as error:
                raise Refused(400, f"{error.asked}: {error.obstacle}", more=told(error)) from None
            await desk.submit(check, "v2")
        return check.id, len(check.cells), asked.wait

    async def check(self, request: Request) -> Response:
        check_id = request.path_params["check_id"]
        if request.method == "DELETE":
            return await self._cancel(check_id)
        if "text/event-stream" in request.headers.get("accept", ""):
            seen = _number(request.query_params.get("seen"), "seen", MOST_CELLS, 0, _COUNT)
            seen = _number(request.headers.get("last-event-id") or None, "Last-Event-ID", MOST_CELLS, seen, _COUNT)
            standing = await self._found(check_id, skip=int(seen))
            headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
            return StreamingResponse(self._events(standing, int(seen)), headers=headers, media_type="text/event-stream")
        seconds = _number(request.query_params.get("wait"), "wait", MOST_WAIT_SECONDS, 0.0, _NUMBER)
        seen = _number(request.query_params.get("seen"), "seen", MOST_CELLS, MOST_CELLS, _COUNT)
        return Text(document(await self._found(check_id, int(seen), seconds)))

    async def _cancel(self, check_id: str) -> Response:
        try:
            standing = await self._desk.service.cancel(check_id)
        except NoAnswer as error:
            raise unavailable(error, "v2") from error
        if standing is None:
            raise Refused(404, "check not found")
        return Text(document(standing))

    async def _found(self, check_id: str, seen: int = 0, seconds: float = 0.0, skip: int = 0) -> Standing:
        service = self._desk.service
        try:
            standing = await (service.wait(check_id, seen, seconds) if seconds else service.find(check_id, skip))
        except NoAnswer as error:
            raise unavailable(error, "v2") from error
        if standing is None:
            raise Refused(404, "check not found")
        return standing

    async def _events(self, standing: Standing, seen: int) -> AsyncIterator[str]:
        """Each result as it comes, numbered from 1, and at last the check without them."""
        while True:
            for place, each in enumerate(standing.answers.values(), seen + 1):
                yield f"event: result\nid: {place}\ndata: {each.text}\n\n"
            seen = standing.done
            try:
                if standing.is_over:
                    whole = await self._desk.service.find(standing.id) or standing
                    yield f"event: done\ndata: {document(whole, with_results=False)}\n\n"
                    return
                now = await self._desk.service.wait(standing.id, seen, STREAM_SECONDS, seen)
            except NoAnswer:
                return  # whoever listens comes again, and goes on where this ended
            if now is None:
                return
            if now.done == seen and not now.is_over:
                if self._desk.service.is_draining:
                    return
                yield ": still here\n\n"
            standing = now


def plan(
    asked: CheckBody,
    available: Sequence[Toolchain],
    backend: str,
    limits: Limits,
    client: str,
    trace: str | None = None,
    most: int = MOST_CELLS,
) -> Check:
    """The check that a request asks for, of at most so many compiles. Raises RequestError."""
    ask = Ask(
        {path: _content(path, file) for path, file in asked.files.items()},
        tuple(asked.sources),
        asked.language,
        tuple(asked.toolchains),
        tuple(asked.standards),
        tuple(asked.include_dirs),
        tuple(asked.defines),
        tuple(asked.warnings),
        tuple(asked.flags),
        asked.link,
        _limits(asked.limits, limits),
    )
    refuse_paths(ask.files, (*ask.sources, *ask.include_dirs))
    request = ask.request()
    planned = planning.combine(request, planning.find(request), available, backend)
    if len(planned) > most:
        raise RequestError(
            "check all of this", f"it takes {len(planned)} compiles, more than {most}", "send it in parts"
        )
    return Check(new_id(), client, asked.priority, time.time(), cells(planned), ask, trace=trace)


def document(standing: Standing, *, with_results: bool = True) -> str:
    """A check as it goes out, as JSON: `Check` of the OpenAPI document."""
    answers = standing.answers
    counts = Counter(each.verdict for each in answers.values())
    head = {
        "id": standing.id,
        "status": standing.status,
        "submitted": rfc3339(standing.submitted),
        "finished": None if standing.finished is None else rfc3339(standing.finished),
        "total": len(standing.cells),
        "done": standing.done,
    }
    summary = {name: counts[name] for name in (*map(str, Verdict), "error")}
    # What is there as JSON already, which may be much, stays so.
    results = ", ".join(answers[number].text for number in sorted(answers)) if with_results else ""
    return f'{dumps(head)[:-1]}, "results": [{results}], "summary": {dumps(summary)}}}'


def _toolchain(toolchain: Toolchain) -> dict[str, object]:
    return {
        "name": toolchain.name,
        "family": toolchain.family,
        "version": toolchain.version,
        "languages": {
            language: {
                "standards": list(standards),
                "default": toolchain.defaults[language],
                "compiler": toolchain.compilers[language],
            }
            for language, standards in toolchain.standards.items()
        },
    }


def _content(path: str, file: str | Encoded) -> bytes:
    return file.encode() if isinstance(file, str) else decoded(path, file.base64)


def _limits(asked: Limited, allowed: Limits) -> dict[str, float]:
    """Those that are named. Raises RequestError for one beyond what is allowed."""
    named = {name: value for name in asked.__struct_fields__ if (value := getattr(asked, name)) is not None}
    for name, value in named.items():
        if value > (most := getattr(allowed, name)):
            shown = f"{value:.15g}", f"{most:.15g}"
            raise RequestError(f"check with {name} {shown[0]}", f"this service allows {shown[1]}", "ask for less")
    return {name: value if name == "wall_seconds" else int(value) for name, value in named.items()}


def _number(text: str | None, name: str, most: int, default: float, pattern: re.Pattern[str]) -> float:
    """Raises Refused."""
    if text is None:
        return default
    if pattern.fullmatch(text) and float(text) <= most:
        return float(text)
    raise Refused(400, f"{name} is not a {'whole ' if pattern is _COUNT else ''}number from 0 to {most}")
