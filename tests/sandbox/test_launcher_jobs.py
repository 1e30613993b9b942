"""One job after another in the same container: nothing goes from one to the next. Without a filter and without
Landlock, so that a job may do whatever its user may."""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.sandbox.launching import ENVIRONMENT, USER, Container, job, prepared, runs
from willitcompile.backends.launcher import lay_out, next_job, run
from willitcompile.model import MIB, Limits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.sandbox

EMPTY = b"..\n../src\n../tmp\n"
LOOK = "find .. | LC_ALL=C sort; find /dev/shm/ -mindepth 1"


@pytest.fixture(scope="module")
def directory(unavailable: Callable[..., None]) -> Iterator[Path]:
    with prepared(unavailable, "litter", "stubborn") as path:
        yield path


@pytest.fixture
def container(directory: Path) -> Iterator[Container]:
    with Container(directory, size=400 * MIB) as made:
        yield made


def after(container: Container, script: str) -> bytes:
    """What a job sees of the one before, whose script that is."""
    said = container.shell(script)
    assert (said.failure, said.ending.exit_code) == (None, 0), said.stderr
    container.send([next_job()])
    looking = container.shell(LOOK)
    assert looking.failure is None
    return bytes(looking.stdout)


@pytest.mark.parametrize(
    "litter",
    ["deep 1", "deep 3000", "deep 20000", "many 20000", "bushy 5", "odd"],
)
@pytest.mark.parametrize("place", ["/work/tmp", "/work", "/dev/shm"])
def test_whatever_was_left_is_gone(container: Container, place: str, litter: str) -> None:
    assert after(container, f"chmod 700 /work; cd {place} && exec /opt/litter {litter}") == EMPTY


def test_sources_are_gone(container: Container) -> None:
    container.send(lay_out({"a/b/c.h": b"secret", "x.c": b"", "none/": b""}))
    assert after(container, "test -e a/b/c.h") == EMPTY
    container.send(lay_out({"x.c": b"mine"}))
    container.send([run(["sh", "-c", "cat x.c; ls; ls -ld .. . | cut -c-10"], ENVIRONMENT, Limits())])
    assert container.receive().stdout == b"minex.c\ndr-xr-xr-x\ndr-xr-xr-x\n"


def test_no_link_is_followed(directory: Path) -> None:
    outside = Path(tempfile.mkdtemp(prefix="launcher-outside-"))
    try:
        (outside / "kept").mkdir()
        (outside / "kept/file").touch()
        if os.geteuid() == 0:
            for path in (outside, outside / "kept", outside / "kept/file"):
                os.chown(path, USER, USER)
        with Container(directory, more=["--bind", str(outside), "/outside"]) as container:
            script = "chmod 700 ..; cd ../tmp; ln -s /outside /outside/kept /outside/kept/file .; ln -s /outside ../x"
            # In the place of src itself, too.
            assert after(container, f"{script}; rmdir ../src; ln -s /outside ../src") == EMPTY
        assert (outside / "kept/file").exists()
        assert (outside / "kept").stat().st_mode & 0o777 == 0o755
    finally:
        (outside / "kept/file").unlink()
        (outside / "kept").rmdir()
        outside.rmdir()


def test_there_is_no_need_of_room(directory: Path) -> None:
    with Container(directory, size=4 * MIB) as container:
        script = (
            "chmod 700 ..; mkdir -p ../tmp/a/b/c; head -c 9m /dev/zero >../tmp/a/b/c/full; test -s ../tmp/a/b/c/full"
        )
        assert after(container, script) == EMPTY
        container.send([next_job(), *job({"x": bytes(3 * MIB)}, "wc -c <x")])
        assert container.receive().stdout == b"%d\n" % (3 * MIB)


def test_what_still_ran_is_gone(container: Container) -> None:
    assert after(container, "/opt/stubborn leave >/dev/null") == EMPTY
    assert not runs("/opt/stubborn\0leave")


def test_beside_a_root_that_it_made_nothing_stays(directory: Path) -> None:
    with Container(directory, root="/work/root") as container:
        script = "chmod 700 ..; mkdir -p /work/beside/a ../../0; echo >/work/file; echo >../file; ln -s root /work/link"
        assert after(container, script) == EMPTY
        assert container.shell("ls -a /work").stdout == b".\n..\nroot\n"


def test_a_root_that_was_moved_away_is_a_failure(directory: Path) -> None:
    with Container(directory, root="/work/root") as container:
        assert container.shell("mv /work/root /work/moved && mkdir -p /work/root/src").ending.exit_code == 0
        container.send([next_job()])
        assert container.run("true").failure == "cannot find /work/root: No such file or directory (2)"


def test_what_cannot_be_removed_is_a_failure(directory: Path) -> None:
    with Container(directory, more=["--tmpfs", "/work/busy"]) as container:
        container.send([*lay_out({"a": b""}), next_job(), *lay_out({"b": b""})])
        assert container.run("true").failure == "cannot clear .: Device or resource busy (16)"
        container.send([next_job()])
        assert container.run("true").failure is not None


def test_why_it_ended_is_not_told_on(directory: Path) -> None:
    """Kubernetes mounts a file for that."""
    with tempfile.NamedTemporaryFile() as log:
        os.chmod(log.name, 0o666)
        with Container(directory, more=["--bind", log.name, "/dev/termination-log"]) as container:
            assert after(container, "echo secret >/dev/termination-log") == EMPTY
            assert container.run("cat", "/dev/termination-log").stdout == b""


def test_words_and_variables_are_forgotten(container: Container) -> None:
    sent = run(["echo", "never"], {"A": "1"}, Limits(), seccomp=b"\x06\0\0\0\0\0\0\0")
    container.send([sent[: sent.rindex(b"x" + bytes([43]))]])  # all but what runs it
    container.send([next_job()])
    assert container.run("env").stdout == b"PATH=/usr/bin:/bin\n"


def test_the_first_job_may_begin_anew(container: Container) -> None:
    container.send([next_job(), next_job(), *job({"x.c": b"mine"}, "cat x.c")])
    assert container.receive().stdout == b"mine"


def test_a_sigterm_is_heeded_while_much_is_removed(container: Container, directory: Path) -> None:
    container.shell("cd ../tmp && exec /opt/litter many 100000")
    began = time.monotonic()
    container.send([next_job()])
    container.terminate()
    assert container.wait() == 143
    assert time.monotonic() - began < 5
