"""Real sources, fetched once by the package managers' own clients into `.cache/real`, which is not committed.

The versions are pinned. A change of them is another directory, so a cache is never of the wrong ones.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

CACHE = Path(__file__).parents[2] / ".cache" / "real"

CRATES = {
    "fnv": "1.0.7",
    "itoa": "1.0.11",
    "libsqlite3-sys": "0.30.1",
    "libz-sys": "1.1.20",
    "memchr": "2.7.4",
    "smallvec": "1.13.2",
    # What builds some of these wants them too; they are not compiled here.
    "cc": "1.1.30",
    "libc": "0.2.168",
    "pkg-config": "0.3.31",
    "shlex": "1.3.0",
    "vcpkg": "0.2.15",
}

GO_MODULES = {
    "toml": "github.com/BurntSushi/toml@v1.4.0",
    "uuid": "github.com/google/uuid@v1.6.0",
    "xxhash": "github.com/cespare/xxhash/v2@v2.3.0",
}
"""None needs another module. toml has several packages that import each other, xxhash has assembly."""

PATIENCE = 300
"""Seconds for one download."""


class FetchError(Exception):
    """What cannot be had here. `remedy` is what to type."""

    def __init__(self, obstacle: str, remedy: str) -> None:
        super().__init__(obstacle)
        self.obstacle = obstacle
        self.remedy = remedy


def crates() -> Path:
    """A directory with each of `CRATES`, called by its name and version as `itoa-1.0.11`. Raises FetchError."""
    return once("crates", CRATES, _vendor)


def go_modules() -> Path:
    """A directory with each of `GO_MODULES` by its short name. Raises FetchError."""
    return once("go", GO_MODULES, _download_modules)


def once(name: str, what: Mapping[str, str], make: Callable[[Path], None]) -> Path:
    """The directory that `make` fills, made only once. One that is there is whole: it was renamed at the end.

    `what` says of what, so that another version has another directory.
    """
    key = hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()[:12]
    target = CACHE / f"{name}-{key}"
    if not target.is_dir():
        CACHE.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f"{name}-", suffix=".part", dir=CACHE) as part:
            made = Path(part) / "made"
            made.mkdir()
            make(made)
            try:
                made.rename(target)
            except OSError:
                if not target.is_dir():  # another run was faster
                    raise
    return target


def _vendor(made: Path) -> None:
    dependencies = "".join(f'{name} = "={version}"\n' for name, version in CRATES.items())
    project = made.parent
    (project / "Cargo.toml").write_text(
        '[package]\nname = "real-input"\nversion = "0.0.0"\nedition = "2021"\n'
        f'[lib]\npath = "lib.rs"\n[dependencies]\n{dependencies}'
    )
    (project / "lib.rs").touch()
    _run(["cargo", "vendor", "--quiet", "--versioned-dirs", "vendor"], project, {})
    for crate in (project / "vendor").iterdir():
        crate.rename(made / crate.name)


def _download_modules(made: Path) -> None:
    environment = {
        "GOFLAGS": "-mod=mod -modcacherw",
        "GOMODCACHE": str(made.parent / "modules"),
        "GOTOOLCHAIN": "local",
    }
    for name, module in GO_MODULES.items():
        told = _run(["go", "mod", "download", "-json", module], made.parent, environment)
        # xxhash's plugin has no main function, so that nothing but -buildmode=plugin builds it.
        shutil.copytree(json.loads(told)["Dir"], made / name, ignore=shutil.ignore_patterns("dynamic"))


def _run(argv: Sequence[str], directory: Path, environment: Mapping[str, str]) -> str:
    if shutil.which(argv[0]) is None:
        raise FetchError(f"there is no {argv[0]}", f"install {argv[0]}, or put it on PATH")
    try:
        ran = subprocess.run(
            argv,
            cwd=directory,
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
    except subprocess.TimeoutExpired:
        obstacle = f"{argv[0]} fetched nothing in {PATIENCE} seconds"
        raise FetchError(obstacle, "look at the network, and try again") from None
    if ran.returncode != 0:
        said = (ran.stderr or ran.stdout).strip().splitlines()
        raise FetchError(
            f"`{' '.join(argv)}` failed: {said[-1] if said else ran.returncode}",
            "it needs the network once; try again with it",
        )
    return ran.stdout
