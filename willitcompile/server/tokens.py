"""Who may ask: bearer tokens, of which a file holds the names and hashes, and nobody the tokens.

    # name:sha256 of the token
    ci:7d793037a0760186574b0282f2f435e7…
    ci:9f86d081884c7d659a2feaa0c55ad015…     (a name twice: the old token and the new one, while they are exchanged)

A token is 32 random bytes, so that a plain hash of it tells nothing.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import os
import re
import secrets
import stat
import time
from typing import TYPE_CHECKING, NamedTuple

from willitcompile.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_log = logging.getLogger(__name__)

_LOOK_SECONDS = 1.0
"""How old the news of a changed file may be."""
_LARGEST = 1 << 20
_NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}"
_LINE = re.compile(rf"({_NAME})\s*:\s*([0-9a-fA-F]{{64}})")
_BEARER = re.compile(r"[Bb][Ee][Aa][Rr][Ee][Rr] +([!-~]+) *")


class _Entry(NamedTuple):
    name: str
    digest: bytes
    """SHA-256 of the token."""


class _Look(NamedTuple):
    """By which a file that was changed, or exchanged for another, is known."""

    changed_ns: int
    inode: int
    size: int


class Tokens:
    """Not thread-safe: it belongs to the event loop's thread."""

    def __init__(
        self,
        path: Path,
        warn: Callable[[str], object] = _log.warning,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`warn` is told, once each, of what is wrong with the file while it is used all the same.

        Raises ConfigError where it cannot be used.
        """
        self._path = path
        self._warn = warn
        self._clock = clock
        self._entries: tuple[_Entry, ...] = ()
        self._look: _Look | None = None
        self._looked = clock()
        self._load()

    def who(self, authorization: str | None) -> str | None:
        """The name of whose token this Authorization header has; None where it is nobody's."""
        self._reload()
        if authorization is None or not (found := _BEARER.fullmatch(authorization)):
            return None
        digest = hashlib.sha256(found[1].encode("ascii")).digest()
        who = None
        for entry in self._entries:  # all of them, whichever it is: the time tells nothing
            if hmac.compare_digest(digest, entry.digest):
                who = entry.name
        return who

    def _reload(self) -> None:
        now = self._clock()
        if now - self._looked < _LOOK_SECONDS:
            return
        self._looked = now
        try:
            look = _look(self._path.stat())
        except OSError:
            look = None
        if look == self._look:
            return
        self._look = look
        try:
            self._load()
        except ConfigError as error:
            self._warn(f"{error}. The tokens it held before stay in use")

    def _load(self) -> None:
        """Raises ConfigError, and leaves what there was."""
        try:
            # A named pipe in its place is not to be waited for.
            with open(self._path, "rb", opener=lambda path, flags: os.open(path, flags | os.O_NONBLOCK)) as file:
                state = os.fstat(file.fileno())
                content = file.read(_LARGEST + 1) or b""
        except OSError as error:
            raise self._error(f"it cannot be read: {error.strerror}", "make one: will-it-compile token NAME") from None
        self._look = _look(state)
        self._entries = self._parse(content)
        if state.st_mode & (stat.S_IROTH | stat.S_IWOTH):
            verb = "written" if state.st_mode & stat.S_IWOTH else "read"
            self._warn(f"{self._path} holds token hashes and can be {verb} by every user here: chmod o= {self._path}")

    def _parse(self, content: bytes) -> tuple[_Entry, ...]:
        if len(content) > _LARGEST:
            raise self._error(f"it is larger than {_LARGEST >> 20} MiB", "leave the tokens in it that are in use")
        entries = []
        for number, line in enumerate(content.decode("utf-8", "replace").splitlines(), 1):
            text = line.strip()
            if not text or text.startswith("#"):
                continue
            if not (found := _LINE.fullmatch(text)):
                # Not what it says: it may be a token.
                raise self._error(f"line {number} is no name:hash", "write the token's SHA-256 in hex after its name")
            entries.append(_Entry(found[1], bytes.fromhex(found[2])))
        if not entries:
            raise self._error("there is no token in it", "put a line name:hash in it for each token")
        return tuple(entries)

    def _error(self, obstacle: str, remedy: str) -> ConfigError:
        return ConfigError(f"tokens file {self._path}", obstacle, remedy)


def line(name: str) -> tuple[str, str]:
    """(a new token, what the file has to say of it, without the line's end). Raises ValueError for a wrong name."""
    if not re.fullmatch(_NAME, name):
        raise ValueError(f"{name!r} is no name of a token: up to 64 letters, digits, dots, dashes and underscores")
    token = "wic_" + secrets.token_urlsafe(32)
    return token, f"{name}:{hashlib.sha256(token.encode('ascii')).hexdigest()}"


def _look(state: os.stat_result) -> _Look:
    return _Look(state.st_mtime_ns, state.st_ino, state.st_size)
