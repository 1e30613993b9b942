"""What confines a job: which mechanisms this host has, and the plan of a job under each."""

from __future__ import annotations

import os
from functools import cache
from typing import TYPE_CHECKING

from willitcompile.backends.sandbox.bubblewrap import ARGUMENTS_FD, ROOT, bubblewrap_arguments
from willitcompile.backends.sandbox.plan import Plan
from willitcompile.errors import BackendUnavailable
from willitcompile.model import MIB

if TYPE_CHECKING:
    from willitcompile.backends.sandbox.host import HostToolchain
    from willitcompile.model import CompileJob

MECHANISMS = ("namespaces", "landlock")
_REMEDY = "install bubblewrap (apt-get install bubblewrap, dnf install bubblewrap), then: will-it-compile doctor"


LOCALE = tuple(filter(os.path.isdir, ("/usr/lib/locale/C.utf8",)))
"""Without it compilers quote in ASCII, and say another thing than outside."""


_BEYOND_MEMORY = 256 * MIB
"""The writable tmpfs is larger than the memory limit by this much: what fills it counts as memory, and is to be told as
that rather than as a compiler's complaint that its disk is full."""


def choose_mechanisms(isolation: str, bwrap: str) -> tuple[str, ...]:
    """The mechanisms that may be tried, in this order."""
    if bwrap and isolation == "auto":
        return MECHANISMS
    if bwrap and isolation == "namespaces":
        return ("namespaces",)
    if isolation != "namespaces" and landlock_abi():
        return ("landlock",)
    missing = {"namespaces": "bubblewrap (bwrap) is not on PATH", "landlock": "this kernel offers no Landlock"}
    wanted = MECHANISMS if isolation == "auto" else (isolation,)
    raise BackendUnavailable("compile in the sandbox", " and ".join(missing[name] for name in wanted), _REMEDY)


def find_program(name: str) -> str:
    for directory in os.environ.get("PATH", os.defpath).split(":"):
        path = f"{directory}/{name}"
        if directory.startswith("/") and os.access(path, os.X_OK):
            return path
    return ""


def make_plan(
    job: CompileJob,
    host: HostToolchain,
    mechanism: str,
    *,
    seeds: tuple[tuple[str, str], ...],
    workspace: str,
    cgroup_name: str,
    with_cgroup: bool,
    seccomp: bytes,
    bwrap: str,
) -> Plan:
    """What the supervisor of a job does. `workspace` holds its files, `seeds` are links to be made in its `tmp`."""
    limits = job.limits
    compiler = (host.programs[job.argv[0]], *host.arguments.get(job.argv[0], ()), *job.argv[1:])
    needed = (job.link and host.readable_to_link) or host.readable
    readable = [*needed, *LOCALE, *_seed_roots(seeds)]
    root = ROOT if mechanism == "namespaces" else workspace
    plan = Plan(
        argv=compiler,
        environment={
            "LC_ALL": "C.UTF-8",
            **job.environment,
            **host.environment,
            "HOME": f"{root}/tmp",
            "TMPDIR": f"{root}/tmp",
        },
        workspace=workspace,
        cgroup_name=cgroup_name,
        with_cgroup=with_cgroup,
        limits=tuple(limits),
        seccomp=seccomp,
    )
    is_root = os.geteuid() == 0
    open_to_all = is_root and _world_readable(tuple(readable))
    if mechanism == "namespaces":
        return plan._replace(
            argv=(bwrap, "--args", str(ARGUMENTS_FD), "--", *compiler),
            arguments=bubblewrap_arguments(
                readable=readable,
                links=host.links,
                source=f"{workspace}/src",
                seeds=seeds,
                workdir=job.workdir,
                tmp_bytes=limits.memory_bytes + _BEYOND_MEMORY,
            ),
            uid=_unused_uid() if open_to_all and _strangers_may_make_namespaces() else None,
        )
    return plan._replace(
        landlock_abi=landlock_abi(),
        rules=_landlock_rules(readable, workspace),
        workdir=os.path.normpath(f"{workspace}/src/{job.workdir}"),
        uid=_unused_uid() if is_root else None,
        read_everything=is_root and not open_to_all,
        seeds=seeds,
    )


def _seed_roots(seeds: tuple[tuple[str, str], ...]) -> list[str]:
    """The directory that all seeds point into, if there are any."""
    return [os.path.commonpath([target for _, target in seeds])] if seeds else []


def landlock_abi() -> int:
    """Imported only where it is asked, because ctypes is."""
    from willitcompile.backends.sandbox import landlock

    return landlock.abi_version()


def _landlock_rules(readable: list[str], workspace: str) -> tuple[tuple[str, int], ...]:
    from willitcompile.backends.sandbox import landlock

    # A link needs no rule, what it leads to has its own: one for /lib would open all of /usr/lib.
    rules = [(path, landlock.READ_EXECUTE) for path in readable if not os.path.islink(path)]
    # clang looks for gcc's directories by listing what is above them.
    rules += [(above, landlock.LIST) for path in readable for above in _parents_to_list(path)]
    rules.append((f"{workspace}/src", landlock.READ))
    rules.append((f"{workspace}/tmp", landlock.everything(landlock.abi_version())))
    rules.append(("/dev/null", landlock.DEVICE))
    rules += [(path, landlock.READ) for path in ("/dev/zero", "/dev/urandom")]
    return tuple(rules)


def _parents_to_list(path: str) -> list[str]:
    """The directories above one, but for those that hold more than toolchains: /usr/lib, /home/me."""
    parents = []
    while (path := os.path.dirname(path)).count("/") > 2:
        parents.append(path)
    return parents


def _unused_uid() -> int:
    """A user that owns nothing, another one for each job; `nobody` where this container has no such numbers."""
    uid = 1_900_000_000 + int.from_bytes(os.urandom(3), "big")
    with open("/proc/self/uid_map") as file:
        mapped = any(int(first) <= uid < int(first) + int(count) for first, _, count in map(str.split, file))
    return uid if mapped else 65534


def _strangers_may_make_namespaces() -> bool:
    """Whether bubblewrap can work for a user without privileges, or only as root."""
    closed = {
        "/proc/sys/kernel/unprivileged_userns_clone": "0",
        "/proc/sys/kernel/apparmor_restrict_unprivileged_userns": "1",
    }
    for path, value in closed.items():
        try:
            with open(path) as file:
                if file.read().strip() == value:
                    return False
        except FileNotFoundError:
            continue
    return True


@cache
def _world_readable(paths: tuple[str, ...]) -> bool:
    """Whether a stranger can reach all of these."""
    for path in paths:
        real = os.path.realpath(path)
        wanted = 0o005 if os.path.isdir(real) else 0o004
        if os.stat(real).st_mode & wanted != wanted:
            return False
        while (real := os.path.dirname(real)) != "/":
            if not os.stat(real).st_mode & 0o001:
                return False
    return True
