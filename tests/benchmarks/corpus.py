"""200 real C++ files: Abseil, RE2 and LibSass, as two npm packages carry them, kept in `.cache/bench`."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

CACHE = Path(__file__).parents[2] / ".cache" / "bench"

PACKAGES = {"re2": "1.21.4", "node-sass": "9.0.0"}

PARTS = {
    "absl": "re2/vendor/abseil-cpp/absl",
    "re2": "re2/vendor/re2/re2",
    "util": "re2/vendor/re2/util",
    "sass": "node-sass/src/libsass",
}
"""By directory of the corpus, where a package has it."""

# What needs Google Test, Google Benchmark, a fuzzer or another system.
LEFT_OUT = re.compile(r"_test|test_|/test|benchmark|mock|fuzzing|/pcre\.cc|/contrib/|_win")

SOURCES = 200
STANDARD = "c++17"
INCLUDE_DIRS = (".", "sass/include", "sass/src")


class NoCorpusError(Exception):
    """Why there is none."""


def corpus() -> Path:
    """A directory with exactly `SOURCES` C++ sources and the headers that they need. Raises NoCorpusError."""
    target = CACHE / "-".join(["corpus", *(f"{name}-{version}" for name, version in PACKAGES.items())])
    if not target.is_dir():
        CACHE.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(suffix=".part", dir=CACHE) as part:
            made = _make(Path(part))
            try:
                made.rename(target)
            except OSError:
                if not target.is_dir():
                    raise
    return target


def sources(directory: Path) -> list[str]:
    """The sources of a corpus, relative to it, in the order in which `check` finds them."""
    found = [path for path in directory.rglob("*") if path.suffix in {".cc", ".cpp"}]
    return sorted(str(path.relative_to(directory)) for path in found)


def _make(part: Path) -> Path:
    if shutil.which("npm") is None:
        raise NoCorpusError("npm is not here, which fetches the sources: apt-get install npm")
    for name, version in PACKAGES.items():
        _run(["npm", "pack", "--silent", f"{name}@{version}"], part)
        _run(["tar", "-xzf", f"{name}-{version}.tgz"], part)
        (part / "package").rename(part / name)
    made = part / "made"
    for name, where in PARTS.items():
        shutil.copytree(part / where, made / name)
    for left_out in [path for path in sources(made) if LEFT_OUT.search(f"/{path}")]:
        (made / left_out).unlink()
    for too_many in sources(made)[SOURCES:]:
        (made / too_many).unlink()
    if (count := len(sources(made))) != SOURCES:
        raise NoCorpusError(f"these packages have {count} sources, not {SOURCES}")
    return made


def _run(argv: list[str], directory: Path) -> None:
    ran = subprocess.run(
        argv, cwd=directory, capture_output=True, text=True, check=False, env={**os.environ, "CI": "1"}
    )
    if ran.returncode != 0:
        said = (ran.stderr or ran.stdout).strip().splitlines() or [f"exit code {ran.returncode}"]
        raise NoCorpusError(f"`{' '.join(argv)}` failed: {said[-1]}")
