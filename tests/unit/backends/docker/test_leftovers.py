"""Whose container a label says it is, and whether that one still lives."""

from __future__ import annotations

import os
import subprocess
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from willitcompile.backends.docker.container import SESSION
from willitcompile.backends.docker.leftovers import _is_dead, _is_stale, client_name


def test_this_process_lives() -> None:
    assert _is_dead(f"{client_name()}/abc") is False


def test_an_ended_process_is_dead() -> None:
    boot, namespace, _, start = client_name().split(".")
    ended = subprocess.Popen(["true"])
    ended.wait()
    assert _is_dead(f"{boot}.{namespace}.{ended.pid}.{start}/abc") is True


def test_a_process_that_has_got_the_number_of_another_is_not_it() -> None:
    boot, namespace, pid, start = client_name().split(".")
    assert pid == str(os.getpid())
    assert _is_dead(f"{boot}.{namespace}.{pid}.{int(start) + 1}/abc") is True


@pytest.mark.parametrize("place", [0, 1])
def test_of_another_machine_or_pid_namespace_nothing_is_known(place: int) -> None:
    parts = client_name().split(".")
    parts[place] = "another"
    assert _is_dead(".".join(parts)) is None


@given(st.text())
def test_whatever_a_label_says(label: str) -> None:
    assert _is_dead(label) in {None, True}


@given(st.text(alphabet="0123456789", min_size=1, max_size=6000))
def test_whatever_a_number_of_a_process_says(pid: str) -> None:
    boot, namespace, _, _ = client_name().split(".")
    assert _is_dead(f"{boot}.{namespace}.{pid}.0/abc") is True


@pytest.mark.parametrize(
    ("state", "age", "stale"),
    [("running", 9999, False), ("created", 9999, True), ("created", 10, False), ("exited", 9999, True)],
)
def test_of_a_strangers_container_age_and_state_tell(state: str, age: float, stale: bool) -> None:
    labels = {SESSION: "elsewhere.1.2.3/abc"}
    assert _is_stale({"Labels": labels, "State": state, "Created": time.time() - age}) is stale
