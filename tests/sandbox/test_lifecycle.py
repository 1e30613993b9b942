"""Whatever happens to a compile, or to the process that asked for it, nothing runs on and nothing is left."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.contract.leftovers import left_since, leftovers
from tests.users import as_ordinary_user
from willitcompile.backends import Opening
from willitcompile.backends.sandbox import SandboxBackend, clean
from willitcompile.backends.sandbox.workspace import PREFIX, workspace_base
from willitcompile.model import MIB, CompileJob, CompileResult, Limits, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from willitcompile.backends.sandbox.host import HostToolchain

pytestmark = pytest.mark.sandbox

HERE = Path(__file__).parent


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    before = leftovers()
    yield
    assert left_since(before) == frozenset()


@pytest.fixture(scope="module")
def stubborn(impostor: Callable[[Path], HostToolchain]) -> HostToolchain:
    return impostor(HERE / "stubborn.c")


@pytest.fixture(scope="module")
def bomb(impostor: Callable[[Path], HostToolchain]) -> HostToolchain:
    return impostor(HERE / "bomb.c")


def test_the_limits_hold_for_an_ordinary_user_too(mechanism: str, bomb: HostToolchain) -> None:
    def verdict(kind: str) -> str:
        return str(run(mechanism, bomb, kind, wall_seconds=5, memory_bytes=100 * MIB, file_bytes=10 * MIB).verdict)

    found = as_ordinary_user(lambda: ",".join(map(verdict, ("memory", "file", "signal", "none"))))
    assert found == "out-of-memory,output-limit,crashed,compiled"


def run(
    mechanism: str, toolchain: HostToolchain, *arguments: str, cgroups: bool = True, **limits: float
) -> CompileResult:
    with SandboxBackend(isolation=mechanism, toolchains=[toolchain]) as backend:
        if not cgroups:
            backend.forgo_cgroups()
        job = CompileJob("impostor-1", "c", {"main.c": b""}, ("gcc", *arguments), limits=Limits(**limits))
        return backend.compile(job)


def test_a_timeout_ends_what_ignores_signals_and_left_its_session(mechanism: str, stubborn: HostToolchain) -> None:
    result = run(mechanism, stubborn, wall_seconds=0.5)
    assert (result.verdict, result.limit, result.stdout) == (Verdict.TIMEOUT, "wall", b"running\n")


def test_what_a_compile_leaves_running_is_ended_with_it(mechanism: str, stubborn: HostToolchain) -> None:
    assert run(mechanism, stubborn, "leave", wall_seconds=20).verdict is Verdict.COMPILED


@pytest.mark.parametrize("cgroups", [True, False], ids=["cgroup", "no-cgroup"])
@pytest.mark.parametrize(
    ("kind", "verdict", "limit"),
    [
        ("memory", Verdict.OUT_OF_MEMORY, "memory"),
        ("shared-memory-of-many", Verdict.OUT_OF_MEMORY, "memory"),
        ("shared", Verdict.OUT_OF_MEMORY, "memory"),
        ("files", Verdict.OUT_OF_MEMORY, "memory"),
        ("processes", Verdict.TIMEOUT, "wall"),
        ("output", Verdict.OUTPUT_LIMIT, "output"),
        ("file", Verdict.OUTPUT_LIMIT, "file-size"),
        ("signal", Verdict.CRASHED, None),
        ("deep", Verdict.COMPILED, None),
    ],
)
def test_each_limit_has_its_verdict(
    mechanism: str, bomb: HostToolchain, kind: str, verdict: Verdict, limit: str | None, cgroups: bool
) -> None:
    result = run(
        mechanism, bomb, kind, cgroups=cgroups, wall_seconds=5 if kind != "processes" else 2, memory_bytes=200 * MIB,
        processes=50, file_bytes=10 * MIB,
    )  # fmt: skip
    allowed = {(verdict, limit)}
    if kind == "files" and mechanism == "namespaces" and not cgroups:
        allowed = {(Verdict.TIMEOUT, "wall")}  # it tries on, in a tmpfs that is full
    if kind == "processes":
        # Whichever counts first, the kernel or the supervisor.
        allowed.add((Verdict.CRASHED, "processes"))
    assert (result.verdict, result.limit) in allowed


ASK = """
import sys
from tests.sandbox.test_lifecycle import asked
asked(sys.argv[1], sys.argv[2], sys.argv[3])
"""


def asked(mechanism: str, program: str, readable: str) -> None:
    """In a process of its own: wait for a compile that does not end."""
    from willitcompile.backends.sandbox.host import HostToolchain
    from willitcompile.model import Toolchain

    toolchain = HostToolchain(
        Toolchain("impostor", "1", {"c": "impostor"}, {"c": {}}, {}),
        {"gcc": program}, tuple(readable.split(":")), {"PATH": "/usr/bin"}, "",
    )  # fmt: skip
    run(mechanism, toolchain, wall_seconds=60)


@pytest.mark.parametrize("killed_by", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_nothing_outlives_the_process_that_asked(mechanism: str, stubborn: HostToolchain, killed_by: int) -> None:
    arguments = [mechanism, stubborn.programs["gcc"], ":".join(stubborn.readable)]
    asking = subprocess.Popen(
        [sys.executable, "-c", ASK, *arguments], cwd=HERE.parent.parent, stderr=subprocess.DEVNULL
    )
    try:
        wait_for_child_named("gcc", asking.pid)
        family = [os.pidfd_open(pid) for pid in descendants(asking.pid)]
        asking.send_signal(killed_by)
        asking.wait(20)
        for member in family:
            assert select.select([member], [], [], 20)[0], "still running"
            os.close(member)
    finally:
        asking.kill()


def wait_for_child_named(name: str, ancestor: int) -> None:
    """Poll, since the kernel has no event for a grandchild's exec. Raises TimeoutError after 20 seconds."""
    for _ in range(4000):
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                if Path(f"/proc/{pid}/comm").read_text().strip() == name and descends(int(pid), ancestor):
                    return
            except OSError:
                continue
        select.select([], [], [], 0.005)
    raise TimeoutError(name)


def descendants(ancestor: int) -> list[int]:
    return [pid for pid in map(int, filter(str.isdigit, os.listdir("/proc"))) if descends(pid, ancestor)]


def descends(pid: int, ancestor: int) -> bool:
    while pid > 1:
        try:
            pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            return False
        if pid == ancestor:
            return True
    return False


def test_what_a_killed_family_leaves_is_cleared_by_clean(tmp_path: Path) -> None:
    """When the whole process group is killed, the starter too, nobody is left to clear away."""
    left = Path(workspace_base()) / f"{PREFIX}0123456789abcdef"
    (left / "job/src").mkdir(parents=True)
    (left / "job/src/main.c").write_text("int x;")
    outside = tmp_path / "mine"
    outside.write_text("kept")
    (left / "job/link").symlink_to(outside)
    assert str(left) in clean(Opening())
    assert not left.exists()
    assert outside.read_text() == "kept"


def test_a_session_in_use_is_not_cleared(mechanism: str, stubborn: HostToolchain) -> None:
    with SandboxBackend(isolation=mechanism, toolchains=[stubborn]) as backend:
        backend.compile(CompileJob("impostor-1", "c", {}, ("gcc", "leave")))
        assert clean(Opening()) == []
        assert backend.compile(CompileJob("impostor-1", "c", {}, ("gcc", "leave"))).verdict is Verdict.COMPILED
