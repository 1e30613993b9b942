"""Bearer tokens and their file."""

from __future__ import annotations

import hashlib
import hmac
import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from willitcompile.errors import ConfigError
from willitcompile.server import tokens
from willitcompile.server.tokens import Tokens

if TYPE_CHECKING:
    from pathlib import Path


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "tokens"


def write(path: Path, *lines: str, mode: int = 0o600) -> None:
    path.write_text("".join(f"{line}\n" for line in lines))
    path.chmod(mode)


def test_a_token_is_known_by_its_line(path: Path) -> None:
    ci, ci_line = tokens.line("ci")
    bob, bob_line = tokens.line("bob")
    write(path, "# ours", "", f"  {ci_line}  ", bob_line)
    known = Tokens(path)
    assert known.who(f"Bearer {ci}") == "ci"
    assert known.who(f"Bearer {bob}") == "bob"


def test_a_token_is_long_random_and_not_in_its_line() -> None:
    token, line = tokens.line("ci")
    assert token.startswith("wic_")
    assert len(token) == 4 + 43
    assert token not in line
    assert tokens.line("ci")[0] != token


def test_two_tokens_of_one_name_are_both_good_while_they_are_exchanged(path: Path) -> None:
    old, old_line = tokens.line("ci")
    new, new_line = tokens.line("ci")
    write(path, old_line, new_line)
    known = Tokens(path)
    assert known.who(f"Bearer {old}") == known.who(f"Bearer {new}") == "ci"


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER", "bEaReR"])
def test_the_scheme_may_be_written_in_any_case(path: Path, scheme: str) -> None:
    token, line = tokens.line("ci")
    write(path, line)
    assert Tokens(path).who(f"{scheme} {token}") == "ci"
    assert Tokens(path).who(f"{scheme}   {token} ") == "ci"


def test_whoever_has_no_token_is_nobody(path: Path) -> None:
    token, line = tokens.line("ci")
    write(path, line)
    known = Tokens(path)
    digest = hashlib.sha256(token.encode()).hexdigest()
    for header in (None, "", "Bearer", "Bearer ", token, f"Basic {token}", f"Bearer{token}", f"Bearer {token}x",
                   f"Bearer {token[:-1]}", f"Bearer {token} {token}", f"Bearer {digest}", f"Bearer {token}\n",
                   "Bearer é", "Bearer \udcff"):  # fmt: skip
        assert known.who(header) is None, header


@given(header=st.text())
def test_no_header_breaks_it(tmp_path_factory: pytest.TempPathFactory, header: str) -> None:
    path = tmp_path_factory.mktemp("tokens") / "tokens"
    write(path, tokens.line("ci")[1])
    assert Tokens(path).who(header) is None
    assert Tokens(path).who(f"Bearer {header}") is None


def test_every_hash_is_compared_whichever_is_the_right_one(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pairs = [tokens.line(name) for name in ("a", "b", "c")]
    write(path, *(line for _, line in pairs))
    known = Tokens(path)
    compared: list[bytes] = []
    compare = hmac.compare_digest

    def counting(ours: bytes, theirs: bytes) -> bool:
        compared.append(theirs)
        return compare(ours, theirs)

    monkeypatch.setattr("hmac.compare_digest", counting)
    for token, _ in [*pairs, ("wrong", "")]:
        compared.clear()
        known.who(f"Bearer {token}")
        assert len(compared) == 3


def test_a_changed_file_is_read_again_within_a_second(path: Path, clock: Clock, said: list[str]) -> None:
    old, old_line = tokens.line("ci")
    new, new_line = tokens.line("ci")
    write(path, old_line)
    known = Tokens(path, said.append, clock)
    write(path, new_line)
    os.utime(path, ns=(1, 1))
    assert known.who(f"Bearer {old}") == "ci"  # nobody looks more than once a second
    clock.now += 1
    assert known.who(f"Bearer {old}") is None
    assert known.who(f"Bearer {new}") == "ci"
    assert said == []


def test_a_file_that_another_was_renamed_to_is_read_again(path: Path, clock: Clock) -> None:
    """As editors do, and Kubernetes with a link."""
    _, old_line = tokens.line("ci")
    new, new_line = tokens.line("ci")
    (path.parent / "new").write_text(new_line)
    write(path, old_line)
    state = path.stat()
    os.utime(path.parent / "new", ns=(state.st_atime_ns, state.st_mtime_ns))
    known = Tokens(path, clock=clock)
    (path.parent / "new").rename(path)
    clock.now += 1
    assert known.who(f"Bearer {new}") == "ci"


@pytest.mark.parametrize("broken", ["", "# nobody\n", "ci\n", "ci:abc\n", None])
def test_a_file_that_breaks_is_told_of_once_and_what_was_in_it_stays(
    path: Path, clock: Clock, said: list[str], broken: str | None
) -> None:
    token, line = tokens.line("ci")
    write(path, line)
    known = Tokens(path, said.append, clock)
    path.unlink()
    if broken is not None:
        write(path, broken.rstrip("\n"))
    for _ in range(3):
        clock.now += 1
        assert known.who(f"Bearer {token}") == "ci"
    assert len(said) == 1
    assert str(path) in said[0]
    other, other_line = tokens.line("other")
    write(path, other_line)
    clock.now += 1
    assert known.who(f"Bearer {token}") is None
    assert known.who(f"Bearer {other}") == "other"


@pytest.mark.parametrize(
    ("content", "obstacle"),
    [
        (b"", "there is no token in it"),
        (b"\n# nobody yet\n\n", "there is no token in it"),
        (b"ci:123\n", "line 1 is no name:hash"),
        (b"# who\nci:" + b"0" * 63 + b"g\n", "line 2 is no name:hash"),
        (b":" + b"0" * 64, "line 1 is no name:hash"),
        (b"two words:" + b"0" * 64, "line 1 is no name:hash"),
        (b"\xff\xfe\x00", "line 1 is no name:hash"),
        (b"#" * (1 << 20) + b"\n", "larger than 1 MiB"),
        (None, "it cannot be read: No such file"),
    ],
)
def test_a_file_that_cannot_be_used_is_no_start(path: Path, content: bytes | None, obstacle: str) -> None:
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError) as raised:
        Tokens(path)
    assert obstacle in raised.value.obstacle
    assert str(path) in raised.value.asked


def test_a_directory_and_a_pipe_are_no_files_of_tokens(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for name in ("", "pipe"):
        with pytest.raises(ConfigError):
            Tokens(tmp_path / name)


def test_what_may_be_a_token_is_not_told(path: Path) -> None:
    token, _ = tokens.line("ci")
    write(path, f"ci:{token}")
    with pytest.raises(ConfigError) as raised:
        Tokens(path)
    assert token not in f"{raised.value} {raised.value.remedy}"


@pytest.mark.parametrize(
    ("mode", "words"), [(0o600, None), (0o640, None), (0o604, "read by every user"), (0o666, "written by every user")]
)
def test_a_file_that_is_open_to_all_is_used_and_told_of(
    path: Path, said: list[str], mode: int, words: str | None
) -> None:
    token, line = tokens.line("ci")
    write(path, line, mode=mode)
    assert Tokens(path, said.append).who(f"Bearer {token}") == "ci"
    assert len(said) == (words is not None)
    assert words is None or words in said[0]


@pytest.mark.parametrize("name", ["", "-", "two words", "a:b", "a\n", "é", "a" * 65])
def test_a_token_s_name_is_a_word(name: str) -> None:
    with pytest.raises(ValueError, match="is no name of a token"):
        tokens.line(name)


@given(st.text())
def test_what_is_no_token_s_line_is_refused_whatever_it_is(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = tmp_path_factory.mktemp("tokens") / "tokens"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    with pytest.raises(ConfigError):
        Tokens(path)
