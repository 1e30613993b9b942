"""Finding where a cgroup can be made, on layouts as they are found."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from willitcompile.backends.sandbox.cgroups import Cgroups, find_cgroups


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


class Host:
    """A made-up /proc/self and cgroup file system."""

    def __init__(self, directory: Path) -> None:
        self.root = directory / "cgroup"
        self.proc = directory / "proc"
        self.proc.mkdir()
        self.mounts = ""
        self.own = ""

    def mount(self, kind: str, name: str, options: str, root: str = "/") -> None:
        (self.root / name).mkdir(parents=True, exist_ok=True)
        self.mounts += f"30 24 0:26 {root} {self.root / name} rw,nosuid - {kind} {kind} rw,{options}\n"

    def directory(self, path: str, **files: str) -> str:
        made = self.root / path
        made.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            (made / f"cgroup.{name}").write_text(text)
        return str(made)

    def find(self) -> Cgroups | None:
        (self.proc / "mountinfo").write_text(f"22 1 8:1 / / rw - ext4 /dev/sda rw\n{self.mounts}")
        (self.proc / "cgroup").write_text(self.own)
        return find_cgroups(str(self.proc))


def test_version_1(host: Host) -> None:
    for controller in ("memory", "pids", "cpu,cpuacct"):
        host.mount("cgroup", controller, controller)
    host.own = "3:memory:/mine\n2:pids:/\n1:cpu,cpuacct:/\n"
    mine = host.directory("memory/mine")
    assert host.find() == Cgroups(
        1, {"memory": mine, "pids": str(host.root / "pids"), "cpu": str(host.root / "cpu,cpuacct")}
    )


def test_version_1_in_a_container_that_sees_its_own_part_only(host: Host) -> None:
    host.mount("cgroup", "memory", "memory", root="/docker/abc")
    host.own = "3:memory:/docker/abc/inner\n"
    inner = host.directory("memory/inner")
    assert host.find() == Cgroups(1, {"memory": inner})


def test_version_2_takes_the_nearest_that_limits_its_children(host: Host) -> None:
    host.mount("cgroup2", "", "nsdelegate")
    host.own = "0::/user.slice/user@1000.service/app.slice/shell.scope\n"
    limiting = host.directory("user.slice/user@1000.service/app.slice", subtree_control="cpu memory pids\n", procs="")
    host.directory("user.slice/user@1000.service/app.slice/shell.scope", subtree_control="", procs="1\n")
    assert host.find() == Cgroups(2, dict.fromkeys(("memory", "pids", "cpu"), limiting))


@pytest.fixture
def delegated(host: Host) -> Path:
    """A cgroup that is this user's, below one that is not."""
    host.mount("cgroup2", "", "nsdelegate")
    host.own = "0::/system.slice/mine.service\n"
    host.directory("system.slice/mine.service/supervisor", procs="")
    return Path(host.directory("system.slice/mine.service", controllers="cpu memory pids\n", subtree_control=""))


def test_version_2_steps_aside_in_a_cgroup_that_was_delegated(host: Host, delegated: Path) -> None:
    (delegated / "cgroup.procs").write_text(f"{os.getpid()}\n")
    assert host.find() == Cgroups(2, dict.fromkeys(("memory", "pids", "cpu"), str(delegated)))
    assert (delegated / "supervisor/cgroup.procs").read_text() == str(os.getpid())
    assert (delegated / "cgroup.subtree_control").read_text() == "+memory +pids +cpu"


def test_version_2_moves_no_one_else_aside(host: Host, delegated: Path) -> None:
    """Whoever typed the command is in the same session."""
    same_session = os.fork()
    if same_session == 0:
        (delegated / "cgroup.procs").write_text(f"{os.getpid()}\n{os.getppid()}\n")
        os._exit(host.find() is not None)
    assert os.waitpid(same_session, 0)[1] == 0
    assert (delegated / "supervisor/cgroup.procs").read_text() == ""


def test_version_2_moves_who_asked_aside_with_the_starter(host: Host, delegated: Path) -> None:
    starter = os.fork()
    if starter == 0:
        os.setsid()
        (delegated / "cgroup.procs").write_text(f"{os.getpid()}\n{os.getppid()}\n")
        os._exit(host.find() != Cgroups(2, dict.fromkeys(("memory", "pids", "cpu"), str(delegated))))
    assert os.waitpid(starter, 0)[1] == 0


def test_version_2_without_the_memory_controller_is_no_use(host: Host) -> None:
    host.mount("cgroup2", "", "nsdelegate")
    host.own = "0::/x\n"
    host.directory("x", subtree_control="pids\n", procs="", controllers="pids\n")
    assert host.find() is None


def test_no_cgroups_at_all(host: Host) -> None:
    assert host.find() is None
    assert find_cgroups(str(host.proc / "missing")) is None
