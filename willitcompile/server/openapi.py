"""The OpenAPI document, made from what the handlers themselves decode."""

from __future__ import annotations

from functools import cache
from typing import Any

import msgspec

import willitcompile
from willitcompile.model import Verdict
from willitcompile.server.v1 import ARCHITECTURES, LANGUAGES, SYSTEMS
from willitcompile.server.v2 import MOST_CELLS, MOST_WAIT_SECONDS, CheckBody

Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
WHOLE: Schema = {"type": "integer", "minimum": 0}
TIME: Schema = {"type": "string", "format": "date-time"}
ID: Schema = {"type": "string", "format": "uuid"}
SWITCH: Schema = {"type": "boolean"}

COMPILE: Schema = {"code": "aW50IG1haW4oKSB7fQo=", "language": "cpp", "standard": "c++20"}
CHECK: Schema = {
    "files": {"main.cpp": '#include "twice.h"\nint main() { return twice(0); }\n', "twice.h": "int twice(int);\n"}
}
MATRIX: Schema = {
    "files": {"main.c": "int main(void) { return 0; }\n"},
    "toolchains": ["all"],
    "standards": ["c11", "c17"],
    "warnings": ["-Wall"],
    "limits": {"wall_seconds": 10},
    "priority": "batch",
    "wait": 20,
}
"""Requests as they may be sent."""


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _maybe(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}


def _object(required: dict[str, Schema], optional: dict[str, Schema] | None = None) -> Schema:
    return {"type": "object", "properties": {**required, **(optional or {})}, "required": list(required)}


def _list(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def _answer(
    description: str, schema: Schema, headers: dict[str, str] | None = None, kind: str = "application/json"
) -> Schema:
    told: Schema = {"description": description, "content": {kind: {"schema": schema}}}
    if headers:
        told["headers"] = {
            name: {"description": text, "required": True, "schema": TEXT} for name, text in headers.items()
        }
    return told


WHERE = {"Location": "Where the check is."}
AFTER = {"Retry-After": "Seconds after which to try again."}


def _errors(*statuses: int) -> Schema:
    texts = {
        400: "The request is wrong.",
        401: "No token, or nobody's.",
        404: "There is no such thing, or it is kept no longer.",
        408: "The request was sent too slowly.",
        413: "The body is too large.",
        415: "The body is not JSON.",
        429: "Too many requests of this client, or too much in the queue.",
        503: "No answer can be had now.",
    }
    return {
        str(status): _answer(texts[status], _ref("Error"), AFTER if status in {429, 503} else None)
        for status in statuses
    }


def _body(name: str, **examples: Schema) -> Schema:
    shown = {each: {"value": value} for each, value in examples.items()}
    return {"required": True, "content": {"application/json": {"schema": _ref(name), "examples": shown}}}


def _links(name: str, field: str, *operations: str) -> Schema:
    """From an answer that has the id in this field to the operations with this parameter."""
    return {each: {"operationId": each, "parameters": {name: f"$response.body#/{field}"}} for each in operations}


def _parameter(name: str, where: str, description: str, schema: Schema) -> Schema:
    return {
        "name": name,
        "in": where,
        "required": where == "path",
        "description": description,
        "schema": schema,
    }


@cache
def document() -> Schema:
    """Version 3.1."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "will-it-compile",
            "version": willitcompile.__version__,
            "description": "Does this source compile, with this compiler, at this standard?",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "security": [{}, {"token": []}],
        "paths": {**_service(), **_version_1(), **_version_2()},
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "schemas": {**_sent(), **_told()},
        },
    }


def _service() -> Schema:
    status = _object({"status": TEXT})
    return {
        "/health": {
            "get": {
                "operationId": "health",
                "summary": "Whether the service runs.",
                "responses": {"200": _answer("It does.", _object({"status": {"const": "healthy"}, "time": TIME}))},
            }
        },
        "/ready": {
            "get": {
                "operationId": "ready",
                "summary": "Whether it can take a check now.",
                "responses": {
                    "200": _answer("It can.", status),
                    "503": _answer("It cannot, and says why.", _object({"status": TEXT, "message": TEXT})),
                },
            }
        },
    }


def _version_1() -> Schema:
    return {
        "/api/v1/environments": {
            "get": {
                "operationId": "v1Environments",
                "summary": "What can be asked for, by language.",
                "responses": {"200": _answer("Each language.", _list(_ref("Environment"))), **_errors(401)},
            }
        },
        "/api/v1/compile": {
            "post": {
                "operationId": "v1Compile",
                "summary": "Send one source. What is wrong with it is told in its result.",
                "requestBody": _body("Compile", program=COMPILE),
                "responses": {
                    "202": {
                        **_answer("It is taken.", _object({"job_id": ID, "status": {"const": "queued"}})),
                        "links": _links("job_id", "job_id", "v1Result"),
                    },
                    **_errors(400, 401, 408, 413, 429, 503),
                },
            }
        },
        "/api/v1/compile/{job_id}": {
            "get": {
                "operationId": "v1Result",
                "summary": "What came of it.",
                "parameters": [_parameter("job_id", "path", "As `compile` gave it.", TEXT)],
                "responses": {
                    "200": _answer("How far it is, or its result.", {"anyOf": [_ref("Pending"), _ref("Result")]}),
                    **_errors(401, 404, 503),
                },
            }
        },
        "/api/v1/workers/stats": {
            "get": {
                "operationId": "v1Statistics",
                "summary": "What the service does, and has done since it was started.",
                "responses": {"200": _answer("Numbers.", _ref("Statistics")), **_errors(401)},
            }
        },
    }


def _version_2() -> Schema:
    check_id = _parameter("check_id", "path", "As `POST /api/v2/checks` gave it.", TEXT)
    follow = _links("check_id", "id", "check", "cancel")
    return {
        "/api/v2/toolchains": {
            "get": {
                "operationId": "toolchains",
                "summary": "The compilers that are there, with the standards of each.",
                "responses": {"200": _answer("The first of a language is its default.", _ref("Offer")), **_errors(401)},
            }
        },
        "/api/v2/checks": {
            "post": {
                "operationId": "submit",
                "summary": "Check sources: each with each toolchain at each standard, as far as they fit each other.",
                "requestBody": _body("CheckBody", program=CHECK, matrix=MATRIX),
                "responses": {
                    "200": {**_answer("It is done already.", _ref("Check"), WHERE), "links": follow},
                    "202": {**_answer("It is taken.", _ref("Check"), WHERE), "links": follow},
                    **_errors(400, 401, 408, 413, 415, 429, 503),
                },
            }
        },
        "/api/v2/checks/{check_id}": {
            "get": {
                "operationId": "check",
                "summary": "How far a check is.",
                "description": "With `Accept: text/event-stream` each result as an event `result` as soon as it is"
                " there, and at last an event `done` with the check. `Last-Event-ID` goes on after that result.",
                "parameters": [
                    check_id,
                    _parameter(
                        "wait",
                        "query",
                        "Seconds to wait until the check is done, or more is answered than was seen.",
                        {"type": "number", "minimum": 0, "maximum": MOST_WAIT_SECONDS},
                    ),
                    _parameter(
                        "seen",
                        "query",
                        "How many results are known already.",
                        {"type": "integer", "minimum": 0, "maximum": MOST_CELLS},
                    ),
                ],
                "responses": {
                    "200": {
                        "description": "The check, with the results that are there.",
                        "content": {
                            "application/json": {"schema": _ref("Check")},
                            "text/event-stream": {"schema": TEXT},
                        },
                    },
                    **_errors(400, 401, 404, 503),
                },
            },
            "delete": {
                "operationId": "cancel",
                "summary": "Stop what is not done yet.",
                "parameters": [check_id],
                "responses": {"200": _answer("The check as it is now.", _ref("Check")), **_errors(401, 404, 503)},
            },
        },
    }


def _sent() -> Schema:
    """What is decoded by these very types, and the body of version 1, for which null is the same as nothing."""
    _, components = msgspec.json.schema_components([CheckBody], ref_template="#/components/schemas/{name}")
    texts = {
        "code": "The source, as base64.",
        "language": f"One of {', '.join(LANGUAGES)}.",
        "compiler": "`gcc-13`; without, the default one.",
        "standard": "`c++20`; without, the compiler's default.",
        "architecture": f"One of {', '.join(ARCHITECTURES)}.",
        "os": f"One of {', '.join(SYSTEMS)}.",
    }
    compile_ = _object({}, {name: {"type": ["string", "null"], "description": text} for name, text in texts.items()})
    return {**components, "Compile": compile_}


def _told() -> Schema:
    where = {"source": TEXT, "language": TEXT, "toolchain": TEXT}
    said = {"asked": TEXT, "obstacle": TEXT, "remedy": TEXT}
    place = {"line": _maybe(WHOLE), "column": _maybe(WHOLE)}
    edit = dict.fromkeys(("start_line", "start_column", "end_line", "end_column"), WHOLE)
    diagnostic = {
        "path": _maybe(TEXT),
        **place,
        "severity": TEXT,
        "code": _maybe(TEXT),
        "message": TEXT,
        "fixits": _list(_object({"path": TEXT, **edit, "text": TEXT})),
    }
    numbers = (
        *("max_workers", "active_workers", "available_slots", "queued_jobs", "uptime_seconds"),
        *("total_processed", "total_successful", "total_failed", "total_timeout", "total_errors"),
    )
    verdict = {"type": "string", "enum": list(map(str, Verdict))}
    return {
        "Error": _object({"message": TEXT}, said),
        "Environment": _object(
            {"language": TEXT, "compilers": _list(TEXT), "oses": _list(TEXT), "architectures": _list(TEXT)},
            {"standards": _list(TEXT)},
        ),
        "Pending": _object({"job_id": ID, "status": {"type": "string", "enum": ["queued", "processing"]}}),
        "Result": _object(
            {
                "job_id": ID,
                "success": SWITCH,
                "compiled": SWITCH,
                "stdout": TEXT,
                "stderr": TEXT,
                "exit_code": {"type": "integer"},
                "duration": {**WHOLE, "description": "Nanoseconds."},
            },
            {"error": TEXT},
        ),
        "Statistics": _object({**dict.fromkeys(numbers, WHOLE), "uptime": TEXT, "start_time": TIME}),
        "Offer": _object(
            {
                "toolchains": _list(_ref("Toolchain")),
                "backend": TEXT,
                "limits": _object(
                    {"wall_seconds": {"type": "number"}, "memory_bytes": WHOLE, "output_bytes": WHOLE},
                ),
            }
        ),
        "Toolchain": _object(
            {
                "name": TEXT,
                "family": TEXT,
                "version": TEXT,
                "languages": {
                    "type": "object",
                    "additionalProperties": _object({"standards": _list(TEXT), "default": TEXT, "compiler": TEXT}),
                },
            }
        ),
        "Check": _object(
            {
                "id": ID,
                "status": {"type": "string", "enum": ["queued", "running", "done", "cancelled"]},
                "submitted": TIME,
                "finished": _maybe(TIME),
                "total": WHOLE,
                "done": WHOLE,
                "results": _list({"anyOf": [_ref("Verdict"), _ref("NoAnswer")]}),
                "summary": _object(dict.fromkeys((*map(str, Verdict), "error"), WHOLE)),
            }
        ),
        "Verdict": {
            **_object(
                {
                    "index": WHOLE,
                    **where,
                    "standard": TEXT,
                    "verdict": verdict,
                    "exit_code": _maybe({"type": "integer"}),
                    "duration_seconds": {"type": "number"},
                    "cached": SWITCH,
                    "backend": TEXT,
                    "isolation": TEXT,
                    "compiler": TEXT,
                    "image": _maybe(TEXT),
                    "stdout": TEXT,
                    "stderr": TEXT,
                    "truncated": SWITCH,
                    "diagnostics": _list(_object(diagnostic)),
                    "limit": _maybe(TEXT),
                    "signal": _maybe(WHOLE),
                    "peak_memory_bytes": _maybe(WHOLE),
                    "notes": _list(TEXT),
                    "expected": _maybe(_object({"verdict": verdict, "text": TEXT, "met": SWITCH})),
                    "hint": _maybe(TEXT),
                }
            ),
            "description": "As in the json report.",
        },
        "NoAnswer": {
            **_object({"index": WHOLE, **where, "standard": _maybe(TEXT), "error": _object(said), "refused": SWITCH}),
            "description": "No answer could be had. `refused` where it will be the same the next time.",
        },
    }
