"""What goes to a launcher and what comes from it, without one."""

from __future__ import annotations

import struct
import subprocess
import sys
import zlib
from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from willitcompile.backends import launcher
from willitcompile.backends.launcher import (
    BrokenProtocolError,
    Reader,
    Seed,
    encode,
    hello,
    lay_out,
    mkdir,
    next_job,
    pack,
    run,
    unwrap,
    write,
)
from willitcompile.backends.supervision import Ending
from willitcompile.model import CompileJob, Limits

HEADER = struct.Struct("<BI")
ENDING = struct.Struct("<iiIQQQQ")


def records(stream: bytes) -> list[tuple[str, bytes]]:
    """(kind, payload) of each, as the launcher takes them."""
    found = []
    while stream:
        kind, size = HEADER.unpack_from(stream)
        found.append((chr(kind), stream[HEADER.size : HEADER.size + size]))
        assert len(found[-1][1]) == size
        stream = stream[HEADER.size + size :]
    return found


def frame(kind: str, payload: bytes = b"") -> bytes:
    return HEADER.pack(ord(kind), len(payload)) + payload


def ending(*, code: int = 0, by_signal: int = 0, stopped: int = 0) -> bytes:
    return frame("T", ENDING.pack(code, by_signal, stopped, 1, 2, 3, 4_000_000_000))


# The binaries


@pytest.mark.parametrize(("machine", "number"), [("x86_64", 62), ("amd64", 62), ("aarch64", 183), ("arm64", 183)])
def test_there_is_a_small_static_program_for_each_machine(machine: str, number: int) -> None:
    program = launcher.binary(machine)
    assert program[:6] == b"\x7fELF\x02\x01"
    assert int.from_bytes(program[18:20], "little") == number
    assert len(program) < 20480
    start, size, count = (int.from_bytes(program[a:b], "little") for a, b in ((32, 40), (54, 56), (56, 58)))
    headers = [struct.unpack_from("<II", program, start + i * size) for i in range(count)]
    assert not [kind for kind, _ in headers if kind in {2, 3}], "it wants a dynamic linker"
    assert not [flags for _, flags in headers if flags & 3 == 3], "memory both writable and executable"
    in_file = [int.from_bytes(program[start + i * size + 32 : start + i * size + 40], "little") for i in range(count)]
    assert all(bytes_ for (kind, _), bytes_ in zip(headers, in_file, strict=True) if kind == 1), (
        "Linux 6.5 may not load"
    )


@pytest.mark.parametrize("machine", ["", "riscv64", "../x", "ppc64le"])
def test_for_another_machine_there_is_none(machine: str) -> None:
    with pytest.raises(launcher.UnsupportedMachineError, match="only for x86_64 and aarch64"):
        launcher.binary(machine)


# To the launcher


def test_a_job_is_files_then_what_to_run() -> None:
    job = CompileJob(
        "gcc-12", "c", {"a/b.c": b"int x;", "none/": b""}, ("gcc", "-c", "b.c"), workdir="a",
        environment={"B": "2"}, limits=Limits(1.5, 2, None, 3, 4, 5),
    )  # fmt: skip
    sent = encode(
        job, argv=["/usr/bin/gcc", "-c", "b.c"], environment={"A": "1", "B": "1"}, seccomp=b"12345678",
        seeds=[Seed("/list", "/from", "go-build")],
    )  # fmt: skip
    assert records(b"".join(sent)) == [
        ("d", b"src/a"),
        ("f", b"src/a/b.c\0int x;"),
        ("d", b"src/none"),
        ("c", b"src/none"),
        ("c", b"src/a"),
        ("c", b"src"),
        ("s", b"/list\0/from\0tmp/go-build"),
        ("a", b"/usr/bin/gcc"),
        ("a", b"-c"),
        ("a", b"b.c"),
        ("e", b"A=1"),
        ("e", b"B=2"),
        ("p", b"12345678"),
        ("x", struct.pack("<5Q", 1500, 2, 4, 5, 3) + b"src/a"),
    ]


def test_a_job_without_more_runs_as_it_says() -> None:
    job = CompileJob("gcc-12", "c", {}, ("gcc", "caf\udce9.c"))
    kinds = dict(records(b"".join(encode(job))))
    assert kinds["a"] == b"caf\xe9.c"
    assert kinds["x"][40:] == b"src"
    assert set(kinds) == {"c", "a", "x"}


def test_what_is_inherited_comes_after_what_is_given() -> None:
    job = CompileJob("gcc-12", "c", {}, ("gcc",), environment={"A": "1"})
    sent = records(b"".join(encode(job, environment={"B": "2"}, inherited=["PATH", "A"])))
    assert [each for each in sent if each[0] in "ei"] == [("e", b"B=2"), ("e", b"A=1"), ("i", b"PATH"), ("i", b"A")]


def test_the_next_job_and_a_greeting_are_records() -> None:
    assert records(next_job()) == [("n", b"")]
    assert records(hello(b"\0nonce")) == [("h", b"\0nonce")]
    assert records(hello(bytes(64))) == [("h", bytes(64))]
    for size in (0, 65):
        with pytest.raises(ValueError, match=f"a nonce of {size} bytes"):
            hello(bytes(size))


@given(st.lists(st.binary(max_size=200)))
def test_a_tape_is_one_stream_of_raw_deflate(pieces: list[bytes]) -> None:
    unpacker = zlib.decompressobj(-15)
    assert unpacker.decompress(pack(iter(pieces))) == b"".join(pieces)
    assert unpacker.eof
    assert not unpacker.unused_data


def test_a_tape_is_smaller_than_its_records() -> None:
    assert len(pack(lay_out({"a.c": b"int x;\n" * 100_000}))) < 2000


def test_content_is_not_copied() -> None:
    content = bytes(1000)
    assert any(piece is content for piece in lay_out({"a": content}))
    assert any(piece is content for piece in write("tmp/a", content))


PATHS = st.lists(st.text(st.sampled_from("ab./\0-\n\u00e9"), max_size=12), max_size=4)


@given(PATHS, st.binary(max_size=20))
def test_no_path_leads_outside(paths: list[str], content: bytes) -> None:
    try:
        sent = b"".join(lay_out(dict.fromkeys(paths, content)))
    except ValueError:
        return
    made = {"src"}
    for kind, payload in records(sent):
        path, _, found = payload.partition(b"\0")
        parts = path.decode().split("/")
        assert parts[0] == "src"
        assert not {"", ".", ".."} & set(parts)
        if kind == "c":
            made.remove("/".join(parts))
            continue
        assert "/".join(parts[:-1]) in made, "in a directory that is not there, or closed"
        if kind == "d":
            made.add("/".join(parts))
        else:
            assert (kind, found) == ("f", content)
    assert not made, "left open"


@pytest.mark.parametrize("path", ["../x", "/x", "a/../../x", "a//b", "./x", "..", "x\0y"])
def test_a_path_that_leads_out_is_refused(path: str) -> None:
    job = CompileJob("gcc-12", "c", {}, ("gcc",))
    with pytest.raises(ValueError, match="not a path inside"):
        list(lay_out({path: b""}))
    with pytest.raises(ValueError, match="not a path inside"):
        list(write(path, b""))
    with pytest.raises(ValueError, match="not a path inside"):
        mkdir(path)
    with pytest.raises(ValueError, match="not a path inside"):
        list(encode(job, seeds=[Seed("/list", "/from", path)]))
    with pytest.raises(ValueError, match="not a path inside"):
        run(["gcc"], {}, Limits(), workdir=path)
    with pytest.raises(ValueError, match="not a path inside"):
        list(encode(job._replace(workdir=path)))


# From the launcher


def test_an_ending_is_read() -> None:
    reader = Reader(10)
    reader.feed(frame("R", b"1"))
    assert (reader.ready, reader.ending, reader.failure) == (True, None, None)
    reader.feed(frame("O", b"out") + frame("E", b"err") + frame("O", b"put") + ending(code=3))
    assert (reader.stdout, reader.stderr) == (b"output", b"err")
    assert reader.ending == Ending(3, None, None, 1, 2, 3, 4.0, None)
    assert not reader.truncated


@pytest.mark.parametrize(("number", "word"), [(0, None), (1, "wall"), (2, "memory"), (3, "processes"), (4, "output")])
def test_why_it_was_stopped_is_a_word(number: int, word: str | None) -> None:
    reader = Reader(10, ready=True)
    reader.feed(ending(code=-1, by_signal=9, stopped=number))
    assert reader.ending is not None
    assert reader.ending[:3] == (None, 9, word)
    assert reader.truncated == (word == "output")


def test_a_failure_is_read() -> None:
    reader = Reader(10, ready=True)
    reader.feed(frame("F", b"cannot run gcc\xff: error (99)"))
    assert reader.failure == "cannot run gcc\\xff: error (99)"
    assert reader.ending is not None
    assert reader.ending.exit_code is None


def test_a_greeting_is_read_with_and_without_what_came_before() -> None:
    reader = Reader(10)
    reader.feed(frame("H", b"nonce") + frame("O", b"out") + ending())
    assert (reader.greeted, reader.stdout, reader.ready) == (b"nonce", b"out", True)
    reader = Reader(10)
    reader.feed(frame("R", b"1"))
    assert reader.greeted is None
    reader.feed(frame("H", b"nonce"))
    assert (reader.greeted, reader.ending) == (b"nonce", None)
    reader = Reader(10, ready=True)
    reader.feed(frame("H", bytes(64)) + ending())
    assert reader.greeted == bytes(64)


@given(st.sampled_from("ROETF"), st.binary(max_size=4091))
def test_a_line_is_a_frame(kind: str, payload: bytes) -> None:
    line = b"17 " + b64encode(frame(kind, payload))
    assert unwrap(line, 17) == unwrap(line + b"\n", 17) == frame(kind, payload)
    for number in (0, 16, 18):
        with pytest.raises(BrokenProtocolError):
            unwrap(line, number)


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"\n",
        b"UgEAAAAx\n\n",
        b"UgEAAAAx\r\n",
        b" UgEAAAAx",
        b"UgEA AAAx",
        b"UgEAAAAx=",
        b"UgEAAAA",
        b"UgEAAAA=",  # a payload that is not there
        b"UgAAAAAx",  # one that is too long
        b"UgEAAA==",
        b"TwIAAABhYh==",  # bits that are lost
        b"TwEAAABh\0",
        b"-_EAAAAx",
        "UgEAAAA\u00e9".encode(),
        b"panic: no launcher",
        b64encode(frame("O", bytes(4092))),
    ],
)
def test_a_line_that_is_no_frame_is_refused(line: bytes) -> None:
    with pytest.raises(BrokenProtocolError):
        unwrap(b"0 " + line, 0)


@pytest.mark.parametrize("line", [b"UgEAAAAx", b" UgEAAAAx", b"00 UgEAAAAx", b"0  UgEAAAAx", b"+0 UgEAAAAx", b"0"])
def test_a_line_has_a_number_in_one_way(line: bytes) -> None:
    assert unwrap(b"0 UgEAAAAx", 0) == frame("R", b"1")
    with pytest.raises(BrokenProtocolError):
        unwrap(line, 0)


@given(st.binary(max_size=100))
def test_no_line_is_read_in_two_ways(line: bytes) -> None:
    try:
        found = unwrap(b"0 " + line, 0)
    except BrokenProtocolError:
        return
    assert b64encode(found) == line.removesuffix(b"\n")


@given(st.lists(st.tuples(st.sampled_from("OE"), st.binary(max_size=40)), max_size=10), st.data())
def test_it_does_not_matter_how_the_bytes_were_cut(frames: list[tuple[str, bytes]], data: st.DataObject) -> None:
    stream = frame("R", b"1") + b"".join(frame(*each) for each in frames) + ending()
    reader = Reader(1000)
    while stream:
        cut = data.draw(st.integers(1, len(stream)))
        assert reader.ending is None
        reader.feed(stream[:cut])
        stream = stream[cut:]
    assert reader.stdout == b"".join(payload for kind, payload in frames if kind == "O")
    assert reader.stderr == b"".join(payload for kind, payload in frames if kind == "E")
    assert reader.ending is not None


@pytest.mark.parametrize(
    "stream",
    [
        frame("O", b"before it was ready"),
        frame("R", b"2"),
        frame("R", b"1") * 2,
        frame("R", b"1") + frame("?"),
        frame("H", b"nonce") + frame("R", b"1"),
        frame("H", b"nonce") * 2,
        frame("H", bytes(65)),
        frame("H", b"nonce") + frame("O", b"x") + frame("H", b"nonce"),
        frame("R", b"1") + frame("O", b"x") + frame("H", b"nonce"),
        frame("R", b"1") + ending() + frame("H", b"nonce"),
        frame("R", b"1") + frame("\xff"),
        frame("R", b"1") + frame("T", b"short"),
        frame("R", b"1") + ending(stopped=5),
        frame("R", b"1") + ending() + frame("O", b"after the end"),
        frame("R", b"1") + ending() * 2,
        frame("R", b"1") + frame("O", bytes(11)),
        frame("R", b"1") + frame("E", bytes(6)) * 2,
        HEADER.pack(ord("O"), 1 << 31),
        b"exec /launcher: exec format error\n",
    ],
)
def test_what_no_launcher_says_is_refused(stream: bytes) -> None:
    with pytest.raises(BrokenProtocolError):
        Reader(10).feed(stream)


@given(st.lists(st.binary(max_size=60), max_size=20))
def test_whatever_comes_it_keeps_little(pieces: list[bytes]) -> None:
    reader = Reader(10)
    try:
        for piece in pieces:
            reader.feed(piece)
    except BrokenProtocolError:
        pass
    assert len(reader.stdout) <= 10 + 4096
    assert len(reader._buffer) <= 4096 + 60


def test_it_imports_little() -> None:
    script = "import sys; import willitcompile.backends.launcher; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()
    assert not {"dataclasses", "typing", "re", "subprocess", "inspect"} & (set(loaded) - baseline())


def baseline() -> set[str]:
    """What importing its package takes."""
    script = "import sys; import willitcompile.backends; print(*sys.modules)"
    return set(
        subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()
    )
