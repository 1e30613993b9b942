"""What the sandbox finds on this host, each thing tried rather than looked up where that can be."""

from __future__ import annotations

import os
import subprocess
import sys

from willitcompile.backends.sandbox import SandboxBackend, landlock
from willitcompile.backends.sandbox.cgroups import find_cgroups
from willitcompile.backends.sandbox.host import host_toolchains, left_out
from willitcompile.backends.sandbox.mechanisms import MECHANISMS
from willitcompile.backends.sandbox.workspace import workspace_base
from willitcompile.errors import WillItCompileError
from willitcompile.model import MIB, CompileJob, Finding

_SECONDS = 10
_NO_COMPILER = "not tried without a compiler"


def findings() -> list[Finding]:
    """One for each thing that matters, in the order in which a check needs them."""
    return [
        _python(),
        _bubblewrap(),
        _user_namespaces(),
        _landlock(),
        _cgroups(),
        _workspace(),
        *_mechanisms(),
        *_compilers(),
    ]


def _python() -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    return Finding("python", ok=True, detail=f"{version} on {os.uname().machine} Linux {os.uname().release}")


def _bubblewrap() -> Finding:
    try:
        done = subprocess.run(
            ["bwrap", "--version"],  # noqa: S607 - whatever PATH has is what a check would use
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return Finding("bubblewrap", None, "not on PATH", "apt-get install bubblewrap")
    return Finding("bubblewrap", ok=True, detail=done.stdout.strip())


def _user_namespaces() -> Finding:
    """Ubuntu 24.04 and later let only some programs make them, so bubblewrap itself is asked."""
    try:
        done = subprocess.run(
            ["bwrap", "--unshare-user", "--ro-bind", "/", "/", "bwrap", "--version"],  # noqa: S607
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_SECONDS,
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return Finding("user namespaces", None, "not tried without bubblewrap", "apt-get install bubblewrap")
    if done.returncode == 0:
        return Finding("user namespaces", ok=True, detail="bubblewrap can make them")
    return Finding(
        "user namespaces",
        None,
        done.stderr.strip() or "bubblewrap cannot make them",
        f"{_namespace_remedy()} (in a container Landlock does instead)",
    )


def _namespace_remedy() -> str:
    switches = {
        "/proc/sys/kernel/apparmor_restrict_unprivileged_userns": ("1", "0"),
        "/proc/sys/kernel/unprivileged_userns_clone": ("0", "1"),
        "/proc/sys/user/max_user_namespaces": ("0", "10000"),
    }
    for path, (closed, opened) in switches.items():
        try:
            with open(path) as file:
                if file.read().strip() == closed:
                    name = path.removeprefix("/proc/sys/").replace("/", ".")
                    return f"sudo sysctl -w {name}={opened}"
        except OSError:
            continue
    return "ask who runs this machine to allow user namespaces"


def _landlock() -> Finding:
    abi = landlock.abi_version()
    if abi:
        return Finding("landlock", ok=True, detail=f"ABI {abi}")
    return Finding(
        "landlock",
        None,
        "not in this kernel, or not switched on",
        "boot with lsm=landlock,… (Linux 5.13 or later)",
    )


def _cgroups() -> Finding:
    cgroups = find_cgroups()
    if cgroups is None:
        return Finding(
            "cgroups",
            None,
            "none can be made here: memory is watched from outside instead",
            "systemd-run --user --scope -p Delegate=yes will-it-compile …",
        )
    return Finding("cgroups", ok=True, detail=f"version {cgroups.version}: {', '.join(cgroups.directories)}")


def _workspace() -> Finding:
    base = workspace_base()
    try:
        free = os.statvfs(base)
    except OSError as error:
        return Finding(
            "workspace",
            ok=False,
            detail=f"{base}: {error.strerror}",
            remedy="export TMPDIR=/a/writable/directory",
        )
    room = free.f_bavail * free.f_frsize // MIB
    writable = os.access(base, os.W_OK | os.X_OK)
    return Finding(
        "workspace",
        ok=writable and room >= 1,
        detail=f"{base}, {room} MiB free" if writable else f"{base} is not writable",
        remedy=None if writable and room >= 1 else "export TMPDIR=/a/writable/directory",
    )


def _mechanisms() -> list[Finding]:
    """Whether each mechanism really runs a compile; one of them has to."""
    found = {}
    for name in MECHANISMS:
        try:
            found[name] = _try_mechanism(name)
        except WillItCompileError as error:
            found[name] = error.obstacle
    worked = [name for name, problem in found.items() if problem is None]
    return [
        Finding(f"sandbox by {name}", ok=True, detail="a compile ran in it")
        if found[name] is None
        else Finding(
            f"sandbox by {name}",
            ok=None if worked else False,
            detail=found[name] or "",
            remedy="apt-get install g++" if found[name] == _NO_COMPILER else None,
        )
        for name in MECHANISMS
    ]


def _try_mechanism(name: str) -> str | None:
    """None where it works, else what stands in the way."""
    asking = {"gcc": "--version", "clang": "--version", "go": "version", "rustc": "--version"}
    with SandboxBackend(isolation=name) as backend:
        for toolchain in backend.toolchains():
            argument = asking[toolchain.family]
            program = toolchain.family
            language = toolchain.languages[0]
            result = backend.compile(CompileJob(toolchain.name, language, {}, (program, argument)))
            if result.exit_code == 0:
                return None
            return f"{toolchain.name} {argument} ended with {result.exit_code or result.verdict}"
    return _NO_COMPILER


def _compilers() -> list[Finding]:
    hosts = host_toolchains()
    if not hosts:
        return [Finding("compilers", ok=False, detail="none on PATH", remedy="apt-get install g++")]
    found = [Finding(str(host.toolchain), True, next(iter(host.toolchain.compilers.values()))) for host in hosts]
    return found + [Finding(program.program, None, f"left out: {program.reason}") for program in left_out()]
