"""What a Docker daemon offers here."""

from __future__ import annotations

from typing import Any

from willitcompile.backends import Opening
from willitcompile.backends.docker.engine import Engine, EngineError, Gone, connect
from willitcompile.backends.docker.images import Images
from willitcompile.errors import WillItCompileError
from willitcompile.model import Finding

_SHOWN = 6
_LIMITS = {"MemoryLimit": "memory", "PidsLimit": "processes", "CpuCfsQuota": "cores"}


def findings() -> list[Finding]:
    """One for each thing that matters. A machine without Docker is none the worse for it."""
    try:
        engine = connect()
    except WillItCompileError as error:
        return [
            Finding("docker", False, f"{error.asked.removeprefix('compile with ')}: {error.obstacle}", error.remedy)
        ]
    try:
        return _findings(engine)
    except (EngineError, Gone) as error:
        return [Finding("docker", False, f"{engine.endpoint.url}: {error}", "docker info")]
    finally:
        engine.close()


def _findings(engine: Engine) -> list[Finding]:
    about = engine.call("GET", "/info")
    options = " ".join(map(str, about.get("SecurityOptions") or ()))
    rootless = "rootless" in options
    kind = "rootless" if rootless else "as root"
    where = f"{engine.endpoint.url} ({engine.endpoint.origin})"
    found = [
        Finding("docker", ok=True, detail=f"{about.get('ServerVersion')}, {kind}, at {where}"),
        Finding("docker cgroups", True, f"{about.get('CgroupDriver')}, version {about.get('CgroupVersion', '1')}"),
        _limits(about, rootless=rootless),
        Finding(
            "docker seccomp",
            ok="seccomp" in options or None,
            detail="on" if "seccomp" in options else "off in the daemon; the launcher's filter holds all the same",
        ),
    ]
    return [*found, *_images(engine)]


def _limits(about: dict[str, Any], *, rootless: bool) -> Finding:
    missing = [name for field, name in _LIMITS.items() if about.get(field) is False]
    if not missing:
        return Finding("docker limits", ok=True, detail=", ".join(_LIMITS.values()))
    remedy = "delegate cgroups to your user: see docs/backends.md" if rootless else "boot with cgroups for them"
    watched = "the launcher counts memory and processes as far as it can see them"
    return Finding("docker limits", None, f"the kernel limits no {', no '.join(missing)}: {watched}", remedy)


def _images(engine: Engine) -> list[Finding]:
    images = Images(engine, "", Opening())
    present = images.present()
    absent = [name for name in images.catalogue.names if name not in present]
    found = [
        Finding("docker images", ok=True, detail=", ".join(present))
        if present
        else Finding("docker images", None, "none of a toolchain yet", "will-it-compile images build gcc")
    ]
    if absent and present:
        shown = ", ".join(absent[:_SHOWN]) + (", …" if len(absent) > _SHOWN else "")
        found.append(Finding("not there", None, f"{len(absent)}: {shown}", "will-it-compile images list"))
    return found
