"""The check as tools of a coding agent, by the Model Context Protocol.

An agent sends sources; it names no file of this machine, and gets none. Needs the extra `mcp`.
"""

from __future__ import annotations

from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import anyio
from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from pydantic import Field

from willitcompile import checker, planning
from willitcompile.backends import CancelToken
from willitcompile.batch.records import request_of
from willitcompile.errors import RequestError, WillItCompileError
from willitcompile.reports.json import as_dict
from willitcompile.version import __version__

if TYPE_CHECKING:
    from collections.abc import Mapping

    from willitcompile.backends import Backend
    from willitcompile.planning import CheckRequest

MOST_COMPILES = 200
"""Of one question."""
MOST_SAID = 8000
"""Characters of what a compiler said that are passed on: an agent pays for each."""
MOST_MESSAGES = 50

TOLD = ("source", "toolchain", "standard", "verdict", "diagnostics", "stdout", "stderr", "limit", "hint")
"""Of the fields of the json report."""

INSTRUCTIONS = """\
Says whether C, C++, Go and Rust source compiles with given compilers and standards. Each compile runs in a sandbox,
without network; nothing is executed but the compiler. Ask `toolchains` for what is there.
"""


def serve(backend: Backend, defaults: CheckRequest) -> None:
    """Answer on stdin and stdout until the agent hangs up."""
    server = MCPServer("will-it-compile", instructions=INSTRUCTIONS, version=__version__)

    # What an agent reads of a tool are its docstring and these descriptions.
    async def check(
        code: Annotated[str | None, Field(description="The source; or give `files`.")] = None,
        language: Annotated[str | None, Field(description="c, c++, go or rust; needed for `code`.")] = None,
        files: Annotated[dict[str, str] | None, Field(description="Sources and headers, by relative path.")] = None,
        compilers: Annotated[list[str] | None, Field(description="As gcc, gcc-13, gcc>=11 or all.")] = None,
        standards: Annotated[list[str] | None, Field(description="As c++20, c17, go1.21 or 2021.")] = None,
        flags: Annotated[list[str] | None, Field(description="As -O2 or -Wall.")] = None,
        link: Annotated[bool, Field(description="Build a program, not only an object.")] = False,
    ) -> dict[str, Any]:
        """Say whether source code compiles, with each of the compilers at each of the standards."""
        given = {"code": code, "files": files, "compilers": compilers, "standards": standards, "flags": flags}
        record = {name: value for name, value in {**given, "language": language}.items() if value is not None}
        cancel = CancelToken()
        ask = partial(_answer, {**record, "link": link}, defaults, backend, cancel)
        try:
            return await anyio.to_thread.run_sync(ask, abandon_on_cancel=True)
        except WillItCompileError as error:
            raise ToolError(f"{error}; {error.remedy}") from None
        finally:
            cancel.cancel()  # where the agent wants no answer any more

    async def toolchains() -> dict[str, Any]:
        """List the compilers that are there, each with the languages and standards that it knows."""
        try:
            found = await anyio.to_thread.run_sync(backend.toolchains)
        except WillItCompileError as error:
            raise ToolError(f"{error}; {error.remedy}") from None
        described = [
            {"name": each.name, "standards": {name: list(known) for name, known in each.standards.items()}}
            for each in found
        ]
        return {"toolchains": described}

    server.tool()(check)
    server.tool()(toolchains)
    server.run("stdio")


def _answer(record: Mapping[str, Any], defaults: CheckRequest, backend: Backend, cancel: CancelToken) -> dict[str, Any]:
    ask = request_of(record, "check", defaults)
    planned = planning.plan(ask, backend)
    if len(planned) > MOST_COMPILES:
        obstacle = f"it takes {len(planned)} compiles, more than {MOST_COMPILES}"
        raise RequestError("check", obstacle, "name fewer compilers, standards or files")
    with closing(checker.run(ask, backend, cancel=cancel, checks=planned)) as results:
        told = [as_dict(each) for each in results]
    return {
        "compiles": all(each["verdict"] == "compiled" for each in told),
        "results": [{name: _short(each[name]) for name in TOLD} for each in told],
    }


def _short(value: object) -> object:
    if isinstance(value, str) and len(value) > MOST_SAID:
        return f"{value[:MOST_SAID]}… and {len(value) - MOST_SAID} characters more"
    return value[:MOST_MESSAGES] if isinstance(value, list) else value
