"""What is asked of the daemon for each job, without a daemon."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from willitcompile.backends.docker.container import FILE_CACHE_BYTES, create_body
from willitcompile.backends.seccomp import ALLOWED, container_profile
from willitcompile.model import GIB, MIB, Limits

LABELS = {"will-it-compile.session": "test"}
USUAL = Limits()


def host_config(limits: Limits = USUAL) -> dict[str, Any]:
    found = create_body("sha256:0", limits, LABELS)["HostConfig"]
    assert isinstance(found, dict)
    return found


def test_it_gives_up_everything_that_a_compile_has_no_use_for() -> None:
    body, host = create_body("sha256:0", Limits(), LABELS), host_config()
    assert body["User"] == "1000:1000"
    assert (body["NetworkDisabled"], host["NetworkMode"], host["IpcMode"]) == (True, "none", "none")
    assert host["CapDrop"] == ["ALL"]
    assert host["ReadonlyRootfs"] is True
    assert host["SecurityOpt"][0] == "no-new-privileges:true"
    assert host["LogConfig"] == {"Type": "none"}
    assert host["AutoRemove"] is True
    assert not {"Binds", "Mounts", "Devices", "Privileged", "VolumesFrom", "CapAdd", "PidMode"} & set(host)


def test_it_is_labelled_so_that_it_is_found_again() -> None:
    labels = create_body("sha256:0", Limits(), LABELS)["Labels"]
    assert labels == {"managed-by": "will-it-compile", **LABELS}


@given(
    memory=st.integers(MIB, 64 * GIB),
    processes=st.integers(1, 100_000),
    cpus=st.none() | st.floats(0.01, 1024),
)
def test_every_limit_is_the_containers_too(memory: int, processes: int, cpus: float | None) -> None:
    host = host_config(Limits(memory_bytes=memory, processes=processes, cpus=cpus))
    assert host["Memory"] == host["MemorySwap"] == memory + FILE_CACHE_BYTES
    assert host["PidsLimit"] == processes + 1  # the launcher
    assert host.get("NanoCpus") == (None if cpus is None else int(cpus * 1e9))
    (options,) = host["Tmpfs"].values()
    assert {"noexec", "nosuid", "nodev", "uid=1000", f"size={memory + FILE_CACHE_BYTES}"} <= set(options.split(","))


def test_its_profile_is_the_sandboxs_list() -> None:
    profile = json.loads(host_config()["SecurityOpt"][1].removeprefix("seccomp="))
    assert profile == container_profile()
    allowed = {name for rule in profile["syscalls"] for name in rule["names"] if rule["action"] == "SCMP_ACT_ALLOW"}
    assert set(ALLOWED) <= allowed
    assert profile["defaultAction"] == "SCMP_ACT_ERRNO"


@pytest.mark.parametrize(
    "name",
    ["socket", "connect", "ptrace", "mount", "unshare", "setns", "bpf", "keyctl", "io_uring_setup", "memfd_create"],
)
def test_its_profile_refuses_what_the_sandbox_refuses(name: str) -> None:
    rules: Any = container_profile()["syscalls"]
    assert not any(name in rule["names"] for rule in rules)
