"""`will-it-compile mcp`, asked by the official client as an agent would."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from mcp import Client, StdioServerParameters

from tests.contract.leftovers import leftovers

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

pytestmark = [pytest.mark.sandbox]

ARGUMENTS = ["-m", "willitcompile.cli", "mcp", "--backend", "sandbox"]


def asking(ask: Callable[[Client], Awaitable[Any]], *more: str) -> Any:
    async def run() -> Any:
        server = StdioServerParameters(command=sys.executable, args=[*ARGUMENTS, *more])
        with anyio.fail_after(60):
            async with Client(server) as client:
                return await ask(client)

    return anyio.run(run)


def call(name: str, **arguments: object) -> Any:
    return asking(lambda client: client.call_tool(name, arguments))


def test_its_tools_say_what_they_take() -> None:
    tools = {tool.name: tool for tool in asking(lambda client: client.list_tools()).tools}
    assert set(tools) == {"check", "toolchains"}
    assert set(tools["check"].input_schema["properties"]) == {
        "code",
        "language",
        "files",
        "compilers",
        "standards",
        "flags",
        "link",
    }
    assert tools["check"].description


def test_a_source_compiles_or_not() -> None:
    async def ask(client: Client) -> Any:
        good = await client.call_tool("check", {"code": "int x;", "language": "c++", "standards": ["c++17", "c++20"]})
        bad = await client.call_tool(
            "check", {"files": {"a.c": '#include "a.h"\n', "a.h": "int x = y;\n"}, "compilers": ["gcc"]}
        )
        return good, bad, await client.call_tool("toolchains", {})

    good, bad, toolchains = asking(ask)
    assert good.structured_content["compiles"] is True
    assert [each["standard"] for each in good.structured_content["results"]] == ["c++17", "c++20"]
    assert bad.structured_content["compiles"] is False
    [told] = bad.structured_content["results"][0]["diagnostics"]
    assert (told["path"], told["line"], told["column"]) == ("a.h", 1, 9)
    # For clients that know no structured answers the text says the same.
    assert json.loads(bad.content[0].text) == bad.structured_content
    assert any(each["name"].startswith("gcc-") for each in toolchains.structured_content["toolchains"])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({}, "it has neither code nor files"),
        ({"code": "int x;"}, "nothing tells which language it is"),
        ({"code": "int x;", "language": "c", "compilers": ["gcc-99"]}, "gcc-99"),
        ({"code": "int x;", "language": "c", "flags": ["-fplugin=/tmp/x.so"]}, "-fplugin"),
        ({"files": {"../../etc/passwd": ""}}, "no path of a file that was sent"),
        ({"files": {"a.c": '#include "/etc/passwd"\n'}, "compilers": 7}, "compilers"),
    ],
)
def test_what_is_wrong_is_told_with_what_to_do(arguments: dict[str, object], said: str) -> None:
    answer = call("check", **arguments)
    assert answer.is_error
    assert said in answer.content[0].text


def test_no_file_of_this_machine_is_given_away(tmp_path: Any) -> None:
    secret = tmp_path / "secret.h"
    secret.write_text("int secret_word\n")
    answer = call("check", files={"a.c": f'#include "{secret}"\n'})
    assert answer.structured_content["compiles"] is False
    assert "secret_word" not in json.dumps(answer.structured_content["results"][0]["diagnostics"])


def test_one_that_takes_long_is_told_as_such_and_holds_up_no_other() -> None:
    endless = "#if __INCLUDE_LEVEL__ < 150\n#include __FILE__\n#include __FILE__\n#endif\n"
    order: list[str] = []

    async def ask(client: Client) -> Any:
        async def one(name: str, code: str) -> None:
            answer = await client.call_tool("check", {"code": code, "language": "c"})
            order.append(f"{name} {answer.structured_content['results'][0]['verdict']}")

        async with anyio.create_task_group() as group:
            group.start_soon(one, "slow", endless)
            group.start_soon(one, "fast", "int x;")

    asking(ask, "--timeout", "3")
    assert order == ["fast compiled", "slow timeout"]


def test_when_the_agent_hangs_up_nothing_runs_any_more() -> None:
    endless = "#if __INCLUDE_LEVEL__ < 150\n#include __FILE__\n#include __FILE__\n#endif\n"
    process = subprocess.Popen(
        [sys.executable, *ARGUMENTS], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert process.stdin
    assert process.stdout
    start = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "initialize",
        "params": {
            "protocolVersion": "2025-06-18",
            "capabilities": {},
            "clientInfo": {"name": "a test", "version": "1"},
        },
    }
    check = {"name": "check", "arguments": {"code": endless, "language": "c"}}
    for message in (
        start,
        {"jsonrpc": "2.0", "method": "notifications/initialized"},
        {"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": check},
    ):
        process.stdin.write(json.dumps(message).encode() + b"\n")
        process.stdin.flush()
        if "id" in message and message["id"] == 1:
            assert json.loads(process.stdout.readline())["id"] == 1, "stdout has the protocol alone"
    process.stdin.close()
    with process.stdout:
        process.stdout.read()
    assert process.wait(60) in {0, 130}
    assert not [each for each in leftovers() if "cc1" in each]


def test_without_the_package_it_says_what_to_install() -> None:
    hidden = "import sys; sys.modules['mcp'] = None; sys.argv[1:] = ['mcp']; from willitcompile.cli import main; main()"
    done = subprocess.run([sys.executable, "-c", hidden], capture_output=True, text=True, check=False)
    assert done.returncode == 3
    assert "pip install '.[mcp]'" in done.stderr
    assert "Traceback" not in done.stderr
