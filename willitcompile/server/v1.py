"""Version 1 of the API, which clients of the earlier will-it-compile speak. Nothing of it changes.

What is wrong with a source is told in its result, where they look for it.
"""

from __future__ import annotations

import binascii
import json
import os
import time
from math import ceil
from typing import TYPE_CHECKING

import msgspec
from starlette.routing import Route

from willitcompile import languages, planning, toolchains
from willitcompile.errors import NoAnswer, RequestError, ToolchainMissing, UnknownStandard
from willitcompile.model import MIB, Verdict
from willitcompile.server.checks import INTERACTIVE, Ask, Cell, Check, cells, no_answer
from willitcompile.server.desk import Json, Refused, body, is_json, new_id, rfc3339, unavailable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.requests import Request
    from starlette.responses import Response

    from willitcompile.languages import Language
    from willitcompile.model import Toolchain
    from willitcompile.server.checks import Answer
    from willitcompile.server.desk import Desk

LANGUAGES = {"c": "c", "cpp": "c++", "c++": "c++", "go": "go", "rust": "rust"}
"""By what a request may say, the language."""
NAMES = {"c": "c", "c++": "cpp", "go": "go", "rust": "rust"}
"""What it is called in an answer."""
EXTENSIONS = {"c": "c", "c++": "cpp", "go": "go", "rust": "rs"}
WITH_STANDARDS = ("c", "c++")
ARCHITECTURES = ("x86_64", "arm64", "arm")
SYSTEMS = ("linux", "windows", "macos")
HERE = {"aarch64": "arm64"}.get(os.uname().machine, os.uname().machine)
MOST_BYTES = MIB
_BREAKS = {ord("\r"): None, ord("\n"): None}
_SHOWN = 100
"""Characters of what was sent that a message repeats."""


class Compile(msgspec.Struct):
    """The body of a request. As the earlier service had it, null is the same as nothing."""

    code: str | None = None
    language: str | None = None
    compiler: str | None = None
    standard: str | None = None
    architecture: str | None = None
    os: str | None = None


class V1:
    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._started = time.time()
        self._decoder = msgspec.json.Decoder(Compile)

    def routes(self) -> list[Route]:
        return [
            Route("/api/v1/environments", self.environments),
            Route("/api/v1/compile", self.compile, methods=["POST"]),
            Route("/api/v1/compile/{job_id}", self.result),
            Route("/api/v1/workers/stats", self.statistics),
        ]

    async def environments(self, _: Request) -> Response:
        return Json(environments(self._desk.offer.available()))

    async def compile(self, request: Request) -> Response:
        client = self._desk.admit(request)
        sent = await body(request)
        try:
            # A list would do for a structure, to msgspec.
            if not is_json(request) or not sent.lstrip().startswith(b"{"):
                raise ValueError
            asked = self._decoder.decode(sent)
        except (ValueError, RecursionError):
            raise Refused(400, "invalid request body") from None
        with self._desk.observer.submission(request.headers.get("traceparent")) as trace:
            check = plan(asked, self._desk.offer.available(), self._desk.backend, client, trace)
            await self._desk.submit(check, "v1")
        return Json({"job_id": check.id, "status": "queued"}, 202)

    async def result(self, request: Request) -> Response:
        job_id = request.path_params["job_id"]
        try:
            standing = await self._desk.service.find(job_id)
        except NoAnswer as error:
            raise unavailable(error, "v1") from error
        if standing is None or len(standing.cells) > 1:
            raise Refused(404, "job not found")
        if standing.answers:
            return Json({"job_id": job_id, **result(json.loads(next(iter(standing.answers.values())).text))})
        if standing.status == "cancelled":
            return Json({"job_id": job_id, **_failed("compilation failed: it was cancelled")})
        return Json({"job_id": job_id, "status": "processing" if standing.status == "running" else "queued"})

    async def statistics(self, _: Request) -> Response:
        now = self._desk.service.statistics()
        uptime = int(time.time() - self._started)
        return Json(
            {
                "max_workers": now.workers,
                "active_workers": now.active,
                "available_slots": max(0, now.workers - now.active),
                "queued_jobs": now.queued,
                "total_processed": now.compiled + now.rejected + now.timeout + now.failed,
                "total_successful": now.compiled,
                "total_failed": now.rejected,
                "total_timeout": now.timeout,
                "total_errors": now.failed,
                "uptime": duration(uptime),
                "uptime_seconds": uptime,
                "start_time": rfc3339(self._started),
            }
        )


def environments(available: Sequence[Toolchain]) -> list[dict[str, object]]:
    """What can be asked for, by language in the order of our table."""
    found: list[dict[str, object]] = []
    for language in languages.languages():
        fit = [each for each in available if language.name in each.languages]
        if not fit:
            continue
        known = {standard for each in fit for standard in each.standards[language.name]}
        standards = {"standards": [each for each in language.standards if each in known]}
        found.append(
            {
                "language": NAMES[language.name],
                "compilers": [each.name for each in fit],
                **(standards if language.name in WITH_STANDARDS else {}),
                "oses": ["linux"],
                "architectures": [HERE],
            }
        )
    return found


def plan(asked: Compile, available: Sequence[Toolchain], backend: str, client: str, trace: str | None = None) -> Check:
    """The check that a request asks for; where it is wrong, one that is answered already."""
    asked = _shortened(asked)
    name = LANGUAGES.get(asked.language or "", "")
    source = f"main.{EXTENSIONS.get(name, 'txt')}"
    cell = Cell(source, name or asked.language or "", asked.compiler or "", asked.standard or None)
    ask = Ask({})
    problem: RequestError | None = None
    try:
        _refuse(asked, available)
        ask = _ask(asked, name, source)
        (cell,) = cells(_planned(asked, ask, available, backend))
    except RequestError as error:
        problem = error
    answers = ((0, no_answer(cell, problem)),) if problem else ()
    return Check(new_id(), client, INTERACTIVE, time.time(), (cell,), ask, answers, trace)


def result(answer: Answer) -> dict[str, object]:
    """An answer in the words of this version."""
    if "error" in answer:
        obstacle = answer["error"]["obstacle"]
        return _failed(obstacle if answer["refused"] else f"compilation failed: {obstacle}")
    verdict = answer["verdict"]
    told: dict[str, object] = {
        "success": True,
        "compiled": verdict == Verdict.COMPILED,
        "stdout": answer["stdout"],
        "stderr": answer["stderr"],
        # As Go has it for what a signal has ended.
        "exit_code": -1 if answer["exit_code"] is None else answer["exit_code"],
        "duration": round(answer["duration_seconds"] * 1e9),
    }
    error = {
        Verdict.TIMEOUT: "compilation timeout",
        Verdict.OUT_OF_MEMORY: "out of memory: the compiler needed more memory than it may use here,"
        " which says nothing about the source",
        Verdict.OUTPUT_LIMIT: "output limit: the compiler printed or wrote more than it may here",
        Verdict.CRASHED: "compiler crashed: it died before it could tell whether it accepts the source",
    }.get(verdict)
    return {**told, "error": error} if error else told


def duration(seconds: int) -> str:
    """
    >>> duration(33), duration(93), duration(7200)
    ('33s', '1m 33s', '2h 0m 0s')
    """
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}h {minutes}m {seconds}s"
    return f"{minutes}m {seconds}s" if minutes else f"{seconds}s"


def _failed(error: str) -> dict[str, object]:
    nothing = {"stdout": "", "stderr": "", "exit_code": 0, "duration": 0}
    return {"success": False, "compiled": False, **nothing, "error": error}


def _refuse(asked: Compile, available: Sequence[Toolchain]) -> None:
    """Raises RequestError for the first thing that is wrong, in the order of the earlier service."""
    if not asked.code:
        raise _wrong("source code is required")
    if asked.language not in LANGUAGES:
        raise _wrong(f"invalid language: {asked.language}")
    if asked.standard and not any(_knows(language, asked.standard) for language in languages.languages()):
        raise _wrong(f"invalid standard: {asked.standard}")
    if asked.architecture and asked.architecture not in ARCHITECTURES:
        raise _wrong(f"invalid architecture: {asked.architecture}")
    if asked.os and asked.os not in SYSTEMS:
        raise _wrong(f"invalid OS: {asked.os}")
    if asked.compiler and not _is_compiler(asked.compiler, available):
        raise _wrong(f"invalid compiler: {asked.compiler}")
    if _decoded_size(asked.code) > MOST_BYTES:
        raise _wrong("source code too large (max 1MB)")
    if not any(LANGUAGES[asked.language] in each.languages for each in available):
        raise _wrong(f"unsupported language: {asked.language}")


def _ask(asked: Compile, language: str, source: str) -> Ask:
    """Raises RequestError."""
    try:
        text = (asked.code or "").translate(_BREAKS)
        code = binascii.a2b_base64(text, strict_mode=True)
        if len(text) != 4 * ceil(len(code) / 3):  # padding beyond what there is to pad, which Python passes over
            raise ValueError
    except ValueError:
        raise _wrong("invalid base64 encoding") from None
    return Ask(
        {source: code},
        (source,),
        language,
        compilers=(asked.compiler,) if asked.compiler else (),
        standards=(asked.standard,) if asked.standard else (),
    )


def _planned(asked: Compile, ask: Ask, available: Sequence[Toolchain], backend: str) -> list[planning.PlannedCheck]:
    """Raises RequestError."""
    language = NAMES[ask.language or ""]
    if asked.os not in {None, "", "linux"} or asked.architecture not in {None, "", HERE}:
        platform = f"{asked.os or 'linux'}/{asked.architecture or HERE}"
        raise _wrong(f"unsupported environment: {language} on {platform}")
    try:
        request = ask.request()
        return planning.combine(request, planning.find(request), available, backend)
    except (ToolchainMissing, UnknownStandard):
        compiler = asked.compiler or "the default compiler"
        at = f" at {asked.standard}" if asked.standard else ""
        raise _wrong(f"unsupported environment: {language} with {compiler}{at}") from None


def _knows(language: Language, standard: str) -> bool:
    try:
        return bool(language.canonical(standard))
    except UnknownStandard:
        return False


def _is_compiler(name: str, available: Sequence[Toolchain]) -> bool:
    """Whether there is such a compiler anywhere."""
    try:
        toolchains.resolve(name, available, None, "")
    except ToolchainMissing:
        family, version = toolchains.parts(name)
        catalogue = toolchains.load_catalogue()
        return f"{family}-{version}" in catalogue.names or (not version and family in catalogue.families)
    return True


def _decoded_size(code: str) -> int:
    code = code.translate(_BREAKS)
    return len(code) * 3 // 4 - code[-2:].count("=")


def _shortened(asked: Compile) -> Compile:
    """Names without what nobody reads: they are kept, and told again."""
    names = ("language", "compiler", "standard", "architecture", "os")
    return msgspec.structs.replace(asked, **{name: (getattr(asked, name) or "")[:_SHOWN] for name in names})


def _wrong(message: str) -> RequestError:
    return RequestError("compile", message, "see docs/api.md")
