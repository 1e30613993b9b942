"""Who made something, and whether that process still lives."""

from __future__ import annotations

import os
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from willitcompile.backends.clients import client_name, is_dead


def test_this_process_lives() -> None:
    assert is_dead(client_name()) is False


def test_an_ended_processis_dead() -> None:
    boot, namespace, _, start = client_name().split(".")
    ended = subprocess.Popen(["true"])
    ended.wait()
    assert is_dead(f"{boot}.{namespace}.{ended.pid}.{start}") is True


def test_a_process_that_has_got_the_number_of_another_is_not_it() -> None:
    boot, namespace, pid, start = client_name().split(".")
    assert pid == str(os.getpid())
    assert is_dead(f"{boot}.{namespace}.{pid}.{int(start) + 1}") is True


@pytest.mark.parametrize("place", [0, 1])
def test_of_another_machine_or_pid_namespace_nothing_is_known(place: int) -> None:
    parts = client_name().split(".")
    parts[place] = "another"
    assert is_dead(".".join(parts)) is None


@given(st.text())
def test_whatever_a_label_says(label: str) -> None:
    assert is_dead(label) in {None, True}


@given(st.text(alphabet="0123456789", min_size=1, max_size=6000))
def test_whatever_a_number_of_a_process_says(pid: str) -> None:
    boot, namespace, _, _ = client_name().split(".")
    assert is_dead(f"{boot}.{namespace}.{pid}.0") is True
