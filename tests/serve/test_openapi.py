"""The API does as its document says, for whatever schemathesis makes up from it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from willitcompile.server.tokens import line

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.serve.harness import Server

EXAMPLES = 60
"""Of each operation, and chains of operations."""

# A check that is cancelled can still be read: DELETE stops it, and forgets nothing that it has found.
# What fits the document may still ask for what is not there: the hooks have a check of their own for that.
EXCLUDED = "use_after_free,positive_data_acceptance"

CONFIG = f"""
hooks = "{Path(__file__).with_name("openapi_hooks.py").as_posix()}"

[cache]
enabled = false
"""


def run(server: Server, directory: Path, *arguments: str) -> str:
    """What schemathesis prints. Raises AssertionError with that where it finds a fault."""
    config = directory / "schemathesis.toml"
    config.write_text(CONFIG)
    command = [
        *(sys.executable, "-m", "schemathesis.cli", "--config-file", str(config), "run"),
        *(f"{server.url}/openapi.json", "--checks=all", f"--exclude-checks={EXCLUDED}", f"--max-examples={EXAMPLES}"),
        *("--generation-deterministic", "--continue-on-failure", "--request-timeout=20", "--no-color", *arguments),
    ]
    environment = {**os.environ, "COLUMNS": "120"}
    done = subprocess.run(
        command, cwd=directory, capture_output=True, text=True, timeout=300, env=environment, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_no_fault_is_found_in_any_operation(server_on: Callable[..., Server], tmp_path: Path) -> None:
    server = server_on("fake", jobs=2, queue_size=100_000)
    told = run(server, tmp_path)
    operations = sum(map(len, server.get("/openapi.json").json["paths"].values()))
    assert re.search(rf"Tested: +{operations}\n", told), told
    # It came to all that it is to try, and was not refused all the time.
    answered = server.statistics()
    assert min(answered[f"total_{name}"] for name in ("successful", "failed", "timeout", "errors")) > 0, answered


def test_nothing_is_taken_without_a_token_and_no_fault_is_found_in_saying_so(
    server_on: Callable[..., Server], tmp_path: Path
) -> None:
    token, entry = line("ci")
    tokens = tmp_path / "tokens"
    tokens.write_text(f"{entry}\n")
    server = server_on("fake", tokens=tokens)
    run(server, tmp_path, "--phases=examples,coverage")
    told = server.get("/metrics", Authorization=f"Bearer {token}").body.decode()
    assert re.search(r'refused_total\{reason="unauthorized"\} [1-9]', told)
    assert not re.search(r"willitcompile_checks_total\{.*\} [1-9]", told)
