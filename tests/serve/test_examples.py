"""The examples of docs/api.md, as they stand there, against a real server."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.serve.harness import Server

    ServerOn = Callable[..., Server]

ROOT = Path(__file__).parents[2]
EXAMPLES = re.findall(r"```console\n(.*?)```", (ROOT / "docs/api.md").read_text(), re.DOTALL)
EXPECTED = ('"verdict": "rejected"', "event: done\n", '"job_id": "')
"""What each of them shows."""


@pytest.mark.sandbox
def test_each_example_does_what_it_is_for(server_on: ServerOn) -> None:
    server = server_on("sandbox")
    for example, expected in zip(EXAMPLES, EXPECTED, strict=True):
        script = re.sub(r"^\$ ", "", example, flags=re.MULTILINE).replace("http://", "")
        script = script.replace("localhost:8080", server.url)
        ran = subprocess.run(
            ["bash", "-euc", script], capture_output=True, text=True, cwd=ROOT, timeout=120, check=True
        )
        assert expected in ran.stdout
