"""Programs in Go that tests use, built from their source once, as no package has them."""

from __future__ import annotations

import os
import posixpath
import subprocess
import tempfile
from pathlib import Path

BUILD_SECONDS = 1200


def install(package: str, version: str) -> Path:
    """The program of a package, as `helm.sh/helm/v4/cmd/helm` at `4.3.1`. Raises OSError."""
    target = installed(package, version)
    if target.exists():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        done = subprocess.run(
            ["go", "install", f"{package}@v{version}"],
            env={**os.environ, "GOBIN": scratch, "CGO_ENABLED": "0", "GOFLAGS": ""},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=BUILD_SECONDS,
            check=False,
        )
        if done.returncode != 0:
            raise OSError(f"go install failed: {done.stderr.strip()[-500:]}")
        Path(scratch, target.name).rename(target)
    return target


def installed(package: str, version: str) -> Path:
    """Where it is, if it was built."""
    caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    name = posixpath.basename(package)
    return caches / "will-it-compile-tests" / f"{name}-v{version}" / name
