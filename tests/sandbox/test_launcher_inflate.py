"""The launcher's own inflate against zlib's, with the compiler's checks of each access and each number."""

from __future__ import annotations

import random
import shutil
import struct
import subprocess
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from willitcompile.backends import launcher

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.sandbox

HERE = Path(__file__).parent
DAMAGED, END = -1, 0
STRATEGIES = (zlib.Z_DEFAULT_STRATEGY, zlib.Z_FILTERED, zlib.Z_HUFFMAN_ONLY, zlib.Z_RLE, zlib.Z_FIXED)


class Inflate:
    """The program that unpacks one stream after another."""

    def __init__(self, program: Path) -> None:
        self._process = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def __call__(self, packed: bytes) -> tuple[int, bytes]:
        """What came of it: END or DAMAGED, and the bytes until then."""
        self._process.stdin.write(struct.pack("<I", len(packed)) + packed)
        self._process.stdin.flush()
        answer = self._process.stdout.read(8)
        assert len(answer) == 8, "it crashed"
        status, size = struct.unpack("<ii", answer)
        return status, self._process.stdout.read(size)

    def close(self) -> int:
        self._process.stdin.close()
        self._process.stdout.close()
        return self._process.wait()


@pytest.fixture(scope="module")
def inflate(tmp_path_factory: pytest.TempPathFactory, unavailable: Callable[..., None]) -> Iterator[Inflate]:
    if not shutil.which("gcc"):
        unavailable("sandbox", "there is no gcc", "apt-get install g++")
    program = tmp_path_factory.mktemp("inflate") / "inflate"
    checks = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
    include = f"-I{Path(launcher.__file__).parent}"
    # What it does not use of system.h is no concern here.
    subprocess.run(
        ["gcc", "-O1", *checks, "-Wno-unused-function", include, "-o", program, HERE / "inflate.c"], check=True
    )
    made = Inflate(program)
    yield made
    made.close()


def deflate(data: bytes, level: int = 6, strategy: int = zlib.Z_DEFAULT_STRATEGY, memory: int = 8) -> bytes:
    packer = zlib.compressobj(level, zlib.DEFLATED, -15, memory, strategy)
    return packer.compress(data) + packer.flush()


def of_zlib(packed: bytes) -> bytes | None:
    """What zlib makes of it; None where that is damaged, or more than one whole stream."""
    unpacker = zlib.decompressobj(-15)
    try:
        data = unpacker.decompress(packed)
    except zlib.error:
        return None
    return data if unpacker.eof and not unpacker.unused_data else None


def check(inflate: Inflate, packed: bytes) -> None:
    expected = of_zlib(packed)
    status, data = inflate(packed)
    if expected is None:
        assert status == DAMAGED
    else:
        assert (status, data) == (END, expected)


def text(seed: int, size: int) -> bytes:
    """As sources are: few words, again and again, some of them from far back."""
    chance = random.Random(seed)
    words = [chance.randbytes(chance.randrange(1, 12)) for _ in range(chance.randrange(1, 300))]
    made = bytearray()
    while len(made) < size:
        made += chance.choice(words)
        if made and chance.random() < 0.01:
            at = chance.randrange(len(made))
            made += made[at : at + chance.randrange(1, 400)]
    return bytes(made[:size])


DATA = st.one_of(
    st.binary(max_size=300),
    st.builds(text, st.integers(0, 1 << 32), st.integers(0, 300_000)),
    st.builds(lambda byte, times: byte * times, st.binary(min_size=1, max_size=3), st.integers(0, 100_000)),
    st.builds(lambda seed, size: random.Random(seed).randbytes(size), st.integers(0, 999), st.integers(0, 100_000)),
)
PACKED = st.builds(deflate, DATA, st.integers(0, 9), st.sampled_from(STRATEGIES), st.integers(1, 9))
SLOWLY = settings(deadline=None, suppress_health_check=list(HealthCheck), max_examples=200)


@SLOWLY
@given(DATA, st.integers(0, 9), st.sampled_from(STRATEGIES), st.integers(1, 9))
def test_whatever_zlib_packs_is_unpacked(inflate: Inflate, data: bytes, level: int, strategy: int, memory: int) -> None:
    packed = deflate(data, level, strategy, memory)
    assert inflate(packed) == (END, data)


@SLOWLY
@given(PACKED, st.data())
def test_a_stream_that_was_cut_is_damaged(inflate: Inflate, packed: bytes, data: st.DataObject) -> None:
    cut = packed[: data.draw(st.integers(1, len(packed)))]
    status, _ = inflate(cut)
    assert status == (END if cut == packed else DAMAGED)
    assert inflate(packed + cut)[0] == DAMAGED


@SLOWLY
@given(PACKED, st.data())
def test_what_was_changed_is_damaged_where_zlib_says_so(inflate: Inflate, packed: bytes, data: st.DataObject) -> None:
    changed = bytearray(packed)
    # Most of it at the start, where the codes are.
    places = st.one_of(st.integers(0, min(len(packed), 100) - 1), st.integers(0, len(packed) - 1))
    for at in data.draw(st.lists(places, min_size=1, max_size=4)):
        changed[at] ^= 1 << data.draw(st.integers(0, 7))
    check(inflate, bytes(changed))


def test_noise_is_damaged_where_zlib_says_so(inflate: Inflate) -> None:
    chance = random.Random(1)
    for _ in range(20_000):
        noise = bytearray(chance.randbytes(chance.randrange(1, 60)))
        noise[0] = noise[0] & ~7 | chance.choice((0, 1, 2, 3, 4, 5, 5, 5, 5, 6))  # dynamic codes are the hard part
        check(inflate, bytes(noise))


class Bits:
    """A stream that is written bit by bit."""

    def __init__(self) -> None:
        self._bits: list[int] = []

    def __len__(self) -> int:
        return len(self._bits)

    def number(self, value: int, count: int) -> Bits:
        self._bits += [value >> i & 1 for i in range(count)]
        return self

    def code(self, value: int, count: int) -> Bits:
        self._bits += [value >> i & 1 for i in reversed(range(count))]
        return self

    def bytes(self) -> bytes:
        padded = self._bits + [0] * (-len(self._bits) % 8)
        return bytes(sum(bit << i for i, bit in enumerate(padded[at : at + 8])) for at in range(0, len(padded), 8))


def fixed() -> Bits:
    """The last block of a stream, with fixed codes."""
    return Bits().number(1, 1).number(1, 2)


def test_a_distance_reaches_a_window_back_and_not_beyond_the_start(inflate: Inflate) -> None:
    letter = (0x30 + ord("a"), 8)
    for distance, status in ((1, END), (2, DAMAGED)):
        stream = fixed().code(*letter).code(1, 7).code(distance - 1, 5).code(0, 7).bytes()
        check(inflate, stream)
        assert inflate(stream)[0] == status
    # The farthest one: 32768 bytes back, over each place in the ring where halves meet.
    data = random.Random(2).randbytes(32768) * 9
    for extra in (0, 1, 2, 257, 32767):
        assert inflate(deflate(data[extra:], 9)) == (END, data[extra:])


@pytest.mark.parametrize("symbol", [286, 287])
def test_a_length_of_no_meaning_is_damaged(inflate: Inflate, symbol: int) -> None:
    # As if it had bits of its own, like those before, and a distance of one behind it.
    stream = fixed().code(0x30 + ord("a"), 8).code(0b11000000 + symbol - 280, 8).number(0, 6).code(0, 5).code(0, 7)
    assert of_zlib(stream.bytes()) is None
    assert inflate(stream.bytes())[0] == DAMAGED


@pytest.mark.parametrize(("literals", "distances"), [(286, 30), (287, 1), (288, 1), (257, 31), (257, 32), (288, 32)])
def test_how_many_symbols_there_may_be(inflate: Inflate, literals: int, distances: int) -> None:
    lengths = [1 if i == 256 else 0 for i in range(literals)] + [1, 1] + [0] * (distances - 2)
    stream = dynamic(lengths[: literals + distances], literals, distances).code(0, 1).bytes()
    check(inflate, stream)
    assert inflate(stream)[0] == (END if (literals, distances) == (286, 30) else DAMAGED)


@pytest.mark.parametrize(
    ("symbols", "status"),
    [
        ([(18, 127, 7), (18, 107, 7), (1, 0, 0), (1, 0, 0)], END),  # 138 + 118 zeros, one length of 1 each
        ([(18, 127, 7), (18, 107, 7), (1, 0, 0), (16, 0, 2)], DAMAGED),  # three more than there are
        ([(18, 127, 7), (18, 106, 7), (16, 0, 2), (1, 0, 0)], DAMAGED),
        ([(16, 0, 2), (18, 127, 7), (18, 104, 7), (1, 0, 0), (1, 0, 0)], DAMAGED),  # nothing that it repeats
        ([(18, 127, 7), (18, 127, 7)], DAMAGED),
    ],
)
def test_how_lengths_may_be_told(inflate: Inflate, symbols: list[tuple[int, int, int]], status: int) -> None:
    stream = Bits().number(1, 1).number(2, 2).number(0, 5).number(0, 5).number(18 - 4, 4)
    for symbol in (16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1):
        stream.number(2 if symbol in {0, 1, 16, 18} else 0, 3)
    for symbol, more, bits in symbols:
        stream.code((0, 1, 16, 18).index(symbol), 2).number(more, bits)
    packed = stream.code(0, 1).number(0, 64).bytes()
    whole = packed[: -(64 // 8)]
    check(inflate, whole)
    check(inflate, packed)
    assert inflate(whole)[0] == status


@pytest.mark.parametrize("symbol", [30, 31])
def test_a_distance_of_no_meaning_is_damaged(inflate: Inflate, symbol: int) -> None:
    data = random.Random(3).randbytes(70_000)
    stream = Bits()
    for at in (0, 35_000):
        stream.number(0, 1).number(0, 2).number(0, -len(stream) % 8).number(35_000, 16).number(35_000 ^ 0xFFFF, 16)
        for byte in data[at : at + 35_000]:
            stream.number(byte, 8)
    stream.number(1, 1).number(1, 2).code(1, 7).code(symbol, 5).number(0, 14).code(0, 7)
    assert of_zlib(stream.bytes()) is None
    assert inflate(stream.bytes())[0] == DAMAGED


def dynamic(lengths: list[int], literals: int, distances: int) -> Bits:
    """The last block, whose codes have these lengths, each told by a code of four bits."""
    stream = Bits().number(1, 1).number(2, 2)
    stream.number(literals - 257, 5).number(distances - 1, 5).number(19 - 4, 4)
    for symbol in (16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15):
        stream.number(4 if symbol < 16 else 0, 3)
    for length in lengths:
        stream.code(length, 4)
    return stream


@pytest.mark.parametrize(
    ("literal_lengths", "distance_lengths", "codes", "status"),
    [
        ({256: 1}, [0], "0", END),  # a single symbol of one bit may stand alone
        ({256: 1}, [1], "0", END),
        ({256: 1}, [0, 1], "0", END),
        ({97: 2, 98: 2, 256: 1}, [0], "10110", END),
        ({256: 1}, [0], "1", DAMAGED),
        ({256: 2}, [0], "00", DAMAGED),
        ({256: 1}, [2], "0", DAMAGED),
        ({97: 1, 256: 2}, [0], "010", DAMAGED),  # incomplete
        ({97: 1, 98: 1, 256: 1}, [0], "00", DAMAGED),  # too many
        ({97: 1}, [0], "0", DAMAGED),  # no end
        ({256: 1}, [1, 1, 1], "0", DAMAGED),
        ({256: 1}, [1] * 30, "0", DAMAGED),
        ({256: 1}, [5] * 30, "0", DAMAGED),
    ],
)
def test_what_codes_there_may_be(
    inflate: Inflate, literal_lengths: dict[int, int], distance_lengths: list[int], codes: str, status: int
) -> None:
    lengths = [literal_lengths.get(i, 0) for i in range(257)] + distance_lengths
    stream = dynamic(lengths, 257, len(distance_lengths)).code(int(codes, 2), len(codes)).bytes()
    check(inflate, stream)
    assert inflate(stream)[0] == status


def test_nothing_of_it_is_damaged(inflate: Inflate) -> None:
    assert inflate(b"\x00")[0] == DAMAGED
    assert inflate(deflate(b"")) == (END, b"")
    assert inflate(b"\x07")[0] == DAMAGED
    assert inflate(b"\x07\x00\x00\xff\xff")[0] == DAMAGED  # a block of no kind
    assert inflate(b"\x01\x01\x00\xfe\xffx") == (END, b"x")
    assert inflate(b"\x01\x01\x00\xfe\xfex")[0] == DAMAGED
    assert inflate(b"\x00\x00\x00\xff\xff" * 1000 + b"\x01\x00\x00\xff\xff") == (END, b"")
