"""Whose container a label says it is."""

from __future__ import annotations

import time

import pytest

from willitcompile.backends.docker.container import SESSION
from willitcompile.backends.docker.leftovers import _is_stale


@pytest.mark.parametrize(
    ("state", "age", "stale"),
    [("running", 9999, False), ("created", 9999, True), ("created", 10, False), ("exited", 9999, True)],
)
def test_of_a_strangers_container_age_and_state_tell(state: str, age: float, stale: bool) -> None:
    labels = {SESSION: "elsewhere.1.2.3/abc"}
    assert _is_stale({"Labels": labels, "State": state, "Created": time.time() - age}) is stale
