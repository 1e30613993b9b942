"""A launcher that takes its records from files, as it does where Kubernetes mounts them."""

from __future__ import annotations

import random
import time
import zlib
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.sandbox.launching import ENVIRONMENT, Container, job, prepared, runs, wait_until
from willitcompile.backends.launcher import hello, next_job, pack, run, write
from willitcompile.backends.sandbox.landlock import abi_version
from willitcompile.model import MIB, Limits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from willitcompile.backends.launcher import Reader

pytestmark = pytest.mark.sandbox

TRUE = run(["true"], ENVIRONMENT, Limits())
DAMAGED = "cannot read the job's files: Damaged (74)"


@pytest.fixture(scope="module")
def directory(unavailable: Callable[..., None]) -> Iterator[Path]:
    with prepared(unavailable, "litter", "stubborn", "signals") as path:
        yield path


def play(directory: Path, parts: Sequence[bytes], output_bytes: int = MIB) -> tuple[list[Reader], int]:
    with Container(directory, parts=parts) as container:
        return container.play(output_bytes)


def cut(data: bytes, *places: int) -> list[bytes]:
    at = [0, *sorted(places), len(data)]
    return [data[a:b] for a, b in pairwise(at)]


# What it says


def test_one_job_after_another(directory: Path) -> None:
    everything = bytes(range(256)) * 40
    jobs = [
        *job({"all": everything, "a/x.c": b""}, "cat all; cat all all >&2"),
        next_job(),
        *job({"b/y.c": b"\0no end of line"}, "find . | sort; cat b/y.c; exit 7", "."),
        next_job(),
        run(["no-such-program"], ENVIRONMENT, Limits()),
        next_job(),
        *job({}, "sleep 60", wall_seconds=0.3),
        next_job(),
        *job({}, "yes", output_bytes=5000),
        run(["sh", "-c", "kill -SEGV $$"], ENVIRONMENT, Limits()),
        TRUE,
    ]
    said, code = play(directory, [pack(jobs)])
    assert code == 0
    assert len(said) == 7
    assert (said[0].stdout, said[0].stderr) == (everything, everything * 2)
    assert said[1].stdout == b".\n./b\n./b/y.c\n\0no end of line"
    assert said[1].ending.exit_code == 7
    assert said[2].failure == "cannot run no-such-program: No such file or directory (2)"
    assert said[3].ending.stopped == "wall"
    assert (said[4].ending.stopped, said[4].stdout) == ("output", b"y\n" * 2500)
    assert said[5].ending[:2] == (None, 11)
    assert said[6].ending[:3] == (0, None, None)


@pytest.mark.parametrize("size", [0, 1, 2, 3, 3057, 3058, 3059, 3060, 6116, 100_000])
def test_output_of_any_length_is_as_it_was(directory: Path, size: int) -> None:
    content = random.Random(size).randbytes(size)
    for stream in ("stdout", "stderr"):
        script = f"cat x >&{1 if stream == 'stdout' else 2}"
        (said,), code = play(directory, [pack(job({"x": content}, script))])
        assert (getattr(said, stream), code) == (content, 0)


def test_nothing_goes_from_one_job_to_the_next(directory: Path) -> None:
    for litter in ("odd", "deep 3000", "bushy 4"):
        records = [
            *write("tmp/x", b""),
            run(["sh", "-c", f"cd ../tmp; exec /opt/litter {litter}"], ENVIRONMENT, Limits()),
            next_job(),
            run(["find", ".."], ENVIRONMENT, Limits()),
        ]
        (first, second), code = play(directory, [pack(records)])
        assert (first.stdout, code) == (b"left\n", 0)
        assert sorted(second.stdout.split()) == [b"..", b"../src", b"../tmp"]


def test_a_failure_is_of_one_job(directory: Path) -> None:
    with Container(directory, parts=[pack([*job({"large": bytes(3 * MIB)}, "true"), next_job(), TRUE])], size=MIB) as c:
        (first, second), code = c.play()
    assert first.failure == "cannot write src/large: No space left (28)"
    assert (second.ending.exit_code, code) == (0, 0)


def test_a_greeting_is_a_line_too(directory: Path) -> None:
    (said,), _ = play(directory, [pack([hello(b"nonce"), TRUE])])
    assert said.greeted == b"nonce"


def test_a_tape_without_a_job_says_that_it_is_ready(directory: Path) -> None:
    (said,), code = play(directory, [pack([])])
    assert (said.ready, said.ending, code) == (True, None, 0)


def test_records_without_a_job_of_theirs_do_not_fail_unseen(directory: Path) -> None:
    (said,), code = play(directory, [pack([*write("src/none/x", b"")])])
    assert (said.failure, code) == ("cannot write src/none/x: No such file or directory (2)", 1)


# What it reads


SLOWLY = settings(deadline=None, suppress_health_check=list(HealthCheck), max_examples=25)
CONTENT = st.builds(
    lambda seed, size, kinds: bytes(random.Random(seed).choices(range(kinds), k=size)),
    st.integers(0, 999),
    st.integers(0, 200_000),
    st.integers(1, 256),
)


@SLOWLY
@given(CONTENT, st.integers(0, 9), st.sampled_from([zlib.Z_DEFAULT_STRATEGY, zlib.Z_FIXED, zlib.Z_RLE]), st.data())
def test_it_does_not_matter_how_the_stream_was_cut(
    directory: Path, content: bytes, level: int, strategy: int, data: st.DataObject
) -> None:
    packer = zlib.compressobj(level, zlib.DEFLATED, -15, 8, strategy)
    packed = packer.compress(b"".join(job({"x": content}, "cat x"))) + packer.flush()
    places = data.draw(st.lists(st.integers(0, len(packed)), max_size=6))
    (said,), code = play(directory, cut(packed, *places))
    assert (said.stdout, code) == (content, 0)


@SLOWLY
@given(st.data())
def test_a_stream_that_was_cut_off_is_damaged(directory: Path, data: st.DataObject) -> None:
    packed = pack([*job({"x": b"1" * 1000}, "cat x"), next_job(), *job({"y": b"2" * 1000}, "cat y")])
    kept = data.draw(st.integers(0, len(packed) - 1))
    said, code = play(directory, cut(packed[:kept], kept // 2))
    assert code == 1
    assert said[-1].failure == DAMAGED
    assert all(each.ending.exit_code == 0 for each in said[:-1])


@SLOWLY
@given(st.data())
def test_whatever_is_in_its_files_it_ends(directory: Path, data: st.DataObject) -> None:
    packed = bytearray(pack([*job({"x": bytes(range(256))}, "cat x"), next_job(), *job({}, "exit 3")]))
    for _ in range(data.draw(st.integers(1, 3))):
        packed[data.draw(st.integers(0, len(packed) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    said, code = play(directory, [bytes(packed)])
    unpacker = zlib.decompressobj(-15)
    try:
        unpacker.decompress(packed)
        is_whole = unpacker.eof and not unpacker.unused_data
    except zlib.error:
        is_whole = False
    assert code in {0, 1}
    if not is_whole:
        assert code == 1
    if code == 1:
        assert said[-1].failure is not None


@pytest.mark.parametrize("more", [b"\0", b"\x03\0", pack([TRUE])])
def test_more_than_one_stream_is_damaged(directory: Path, more: bytes) -> None:
    said, code = play(directory, [pack([]), more])
    assert (said[-1].failure, code) == (DAMAGED, 1)


def test_a_tape_that_ends_within_a_record_is_damaged(directory: Path) -> None:
    for kept in (1, 4, 5, len(TRUE) - 1):
        said, code = play(directory, [pack([TRUE[:kept]])])
        assert (said[-1].failure, code) == (DAMAGED, 1)


def test_what_is_sent_before_the_damage_still_runs(directory: Path) -> None:
    noise = random.Random(1).randbytes(MIB)
    packed = pack([*job({}, "echo first"), next_job(), *job({"noise": noise}, "echo second")])
    said, code = play(directory, cut(packed[:-1000], 300_000, 600_000))
    assert said[0].stdout == b"first\n"
    assert (said[1].failure, code) == (DAMAGED, 1)


def test_a_part_that_is_not_there_is_named(directory: Path) -> None:
    with Container(directory, parts=[b""], more=["--tmpfs", "/will-it-compile/job"]) as container:
        (said,), code = container.play()
    assert said.failure == "cannot read /will-it-compile/job/part-0: No such file or directory (2)"
    assert code == 1


def test_a_large_tape_takes_no_more_memory(directory: Path) -> None:
    """The kernel is asked how much the launcher had at most: of a tape that unpacks to 40 MB."""
    content = bytes(10 * MIB)
    records = [part for _ in range(4) for part in (*job({"x": content}, "true"), next_job())]
    last = run(["grep", "VmHWM", "/proc/1/status"], ENVIRONMENT, Limits())
    said, code = play(directory, [pack([*records, last])])
    assert (len(said), code) == (5, 0)
    assert int(said[-1].stdout.split()[1]) < 2000


def test_sources_come_through_quickly(directory: Path) -> None:
    chance = random.Random(1)
    words = [b"%x" % chance.randrange(1 << 32) for _ in range(2000)]
    content = b" ".join(chance.choice(words) for _ in range(200_000))
    packed = pack(job({"x": content}, "true"))
    began = time.monotonic()
    play(directory, [packed])
    assert time.monotonic() - began < 2


# What else goes on


def test_stdin_is_no_leash(directory: Path) -> None:
    """It is at its end from the start."""
    (said,), code = play(directory, [pack(job({}, "sleep 0.3; cat; echo done"))])
    assert (said.stdout, code) == (b"done\n", 0)


def test_a_sigterm_from_outside_ends_it(directory: Path) -> None:
    records = [run(["/opt/stubborn", "tape"], ENVIRONMENT, Limits(wall_seconds=50)), TRUE]
    with Container(directory, parts=[pack(records)]) as container:
        wait_until(lambda: runs("/opt/stubborn\0tape"))
        container.terminate()
        said, code = container.play()
    assert (code, [each.ending for each in said]) == (143, [None])
    assert not runs("/opt/stubborn\0tape")


def test_a_sigterm_from_inside_is_nothing(directory: Path) -> None:
    records = [run(["/opt/signals"], ENVIRONMENT, Limits()), run(["true"], ENVIRONMENT, Limits())]
    said, code = play(directory, [pack(records)])
    assert ([each.ending.exit_code for each in said], code) == ([0, 0], 0)


def test_nobody_to_read_ends_it(directory: Path) -> None:
    records = job({}, "yes", output_bytes=9 * MIB, wall_seconds=50.0)
    with Container(directory, parts=[pack(records)]) as container:
        container.read()
        container.close_stdout()
        assert container.wait() == 1


def test_a_reader_who_is_slow_gets_everything(directory: Path) -> None:
    content = random.Random(3).randbytes(MIB)
    records = [part for _ in range(3) for part in (*job({"x": content}, "cat x"), next_job())]
    with Container(directory, parts=[pack(records)]) as container:
        wait_until(lambda: container.unread() > 60_000)  # there is room for no more
        said, code = container.play()
    assert (code, [bytes(each.stdout) == content for each in said]) == (0, [True] * 3)


def test_the_compile_has_nothing_of_the_tape_open(directory: Path) -> None:
    (said,), _ = play(directory, cut(pack([run(["ls", "-l", "/proc/self/fd"], ENVIRONMENT, Limits())]), 5, 10))
    assert b"part" not in said.stdout


@pytest.mark.parametrize("place", ["/job", "/will-it-compile/job", "/var/lib/job"])
def test_the_compile_does_not_see_the_parts(directory: Path, place: str, unavailable: Callable[..., None]) -> None:
    """But what is beside them."""
    if not abi_version():
        unavailable("sandbox", "this kernel has no Landlock", "boot with lsm=landlock,…")
    script = f"""
        for path in part-0 ..data/part-1 ..2026/part-0; do cat {place}/$path && echo $path can be read; done
        ls {place} && echo can be listed
        cat {place}/../beside >/dev/null && cat /usr/include/stdio.h >/dev/null && echo fine
    """
    parts = cut(pack(job({}, script)), 10)
    beside = ["--ro-bind", "/etc/passwd", f"{place}/../beside"]
    with Container(directory, parts=parts, parts_at=place, more=beside) as container:
        (said,), _ = container.play()
    assert said.stdout.endswith(b"fine\n")
    assert b"can be" not in said.stdout
    assert said.stderr.count(b"Permission denied") == 4
