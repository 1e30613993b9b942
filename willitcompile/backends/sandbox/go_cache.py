"""Go's standard library, compiled once for all jobs.

Without it each job would compile the packages that it imports: seconds for `fmt`, half a minute for all. Each
job needs a cache that it can write to, and none may write what another reads. So it gets a directory of its
own, with one symlink for each file of the prepared cache.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from willitcompile.errors import BackendFailed
from willitcompile.files import cache_directory, own_cache_directory

if TYPE_CHECKING:
    from collections.abc import Callable

    from willitcompile.backends.sandbox.host import HostToolchain

_CACHE = "cache"
_LIST = "seeds"
"""In the prepared cache: its files, one a line, so that a job need not list 256 directories."""
_TRIMMED = "trim.txt"
_TRIMMED_SECONDS = 12 * 3600
"""go looks once in 24 hours."""
BUILD_SECONDS = 900
"""A build that takes longer than this hangs; here it takes 26 seconds on two cores."""


def go_seeds(go: HostToolchain, notify: Callable[[str], None]) -> tuple[tuple[str, str], ...]:
    """See `HostToolchain.seeds`. One process prepares, the others wait for it.

    Raises BackendFailed where it cannot be prepared: each job would then build what it imports, and be told to have
    run out of time.
    """
    directory = os.path.join(os.path.realpath(cache_directory()), "go", go.identity)
    cache = os.path.join(directory, _CACHE)
    names = _listed(cache)
    if names is None:
        try:
            own_cache_directory()
            os.makedirs(directory, mode=0o755, exist_ok=True)
            _prepare(go, directory, notify)
        except (OSError, _NotPrepared) as error:
            raise BackendFailed(
                f"prepare the standard library of {go.toolchain}, which takes 170 MB in {directory}",
                str(error),
                "make room there, or name another place: export XDG_CACHE_HOME=/a/writable/directory",
            ) from error
        names = _listed(cache)
    if names:
        _put_off_trimming(os.path.join(cache, _TRIMMED))
    return tuple((f".cache/go-build/{name}", f"{cache}/{name}") for name in names or ())


def _put_off_trimming(path: str) -> None:
    """Tell go that old files were looked for today, or each job would do it: half a second for nothing."""
    try:
        if time.time() - os.stat(path).st_mtime < _TRIMMED_SECONDS:
            return
    except OSError:
        pass  # not there yet
    temporary = f"{path}.{os.urandom(8).hex()}"
    try:
        with open(temporary, "x", encoding="ascii") as file:
            file.write(str(int(time.time())))
        os.replace(temporary, path)
    except OSError:
        return


class _NotPrepared(Exception):
    """go failed; the text says how."""


def _listed(cache: str) -> list[str] | None:
    """The files of a prepared cache, or None where it is not prepared, or by somebody else."""
    try:
        with open(os.path.join(cache, _LIST), encoding="ascii") as file:
            return file.read().split() if os.fstat(file.fileno()).st_uid == os.geteuid() else None
    except (OSError, ValueError):
        return None


def _prepare(go: HostToolchain, directory: str, notify: Callable[[str], None]) -> None:
    """Fill `<directory>/cache`, wholly or not at all. Raises OSError and _NotPrepared."""
    import fcntl
    import shutil

    lock = os.open(os.path.join(directory, "lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            notify(f"waiting for another process that prepares the standard library of {go.toolchain}")
            fcntl.flock(lock, fcntl.LOCK_EX)
        cache = os.path.join(directory, _CACHE)
        if _listed(cache) is not None:
            return
        # What a killed process left, whose go may still run, so that our own directory has another name.
        for rest in os.listdir(directory):
            if rest != "lock":
                shutil.rmtree(os.path.join(directory, rest), ignore_errors=True)
        making = os.path.join(directory, f"making-{os.urandom(8).hex()}")
        notify(f"preparing the standard library of {go.toolchain}, once: about half a minute")
        try:
            os.mkdir(making, 0o755)
            os.mkdir(made := os.path.join(making, _CACHE), 0o755)
            _build(go, made, making)
            names = sorted(
                f"{part}/{name}"
                for part in os.listdir(made)
                if len(part) == 2
                for name in os.listdir(os.path.join(made, part))
            )
            with open(os.path.join(made, _LIST), "w", encoding="ascii") as file:
                file.write("\n".join([*names, _TRIMMED]))
            os.rename(made, cache)
        finally:
            shutil.rmtree(making, ignore_errors=True)
    finally:
        os.close(lock)


def _build(go: HostToolchain, cache: str, scratch: str) -> None:
    """Compile the standard library as the jobs will ask for it: in another environment it is built again."""
    import signal
    import subprocess

    from willitcompile.backends.sandbox.host_go import QUIET

    process = subprocess.Popen(
        [go.programs["go"], "build", "std"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        cwd="/",
        env={**QUIET, **go.environment, "HOME": scratch, "TMPDIR": scratch, "GOCACHE": cache, "LC_ALL": "C"},
        # A group of its own, so that its compilers end with it.
        start_new_session=True,
    )
    with process:
        try:
            _, said = process.communicate(timeout=BUILD_SECONDS)
        except subprocess.TimeoutExpired:
            raise _NotPrepared(f"go build std did not end within {BUILD_SECONDS} seconds") from None
        finally:
            if process.returncode is None:
                os.killpg(process.pid, signal.SIGKILL)
    if process.returncode != 0:
        raise _NotPrepared(f"go build std failed: {said[-300:].decode(errors='backslashreplace').strip()}")
