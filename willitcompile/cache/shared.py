"""Answers that several machines share, in a directory or in Redis: who may write there decides what others are told."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Protocol

from willitcompile.cache.key import MOST_BYTES
from willitcompile.errors import ConfigError
from willitcompile.files import read_regular

if TYPE_CHECKING:
    from collections.abc import Iterable

SECONDS = 1.0
"""How long Redis is waited for: a compile takes less than many such waits."""

DAYS = 30
"""After which Redis may forget what nobody has written again."""

_SCHEMES = ("redis://", "rediss://", "unix://")


class Unreachable(Exception):
    """It does not answer. `args[0]` says why."""


class Shared(Protocol):
    """Raises Unreachable. What it gives is judged by whoever asked."""

    def find(self, key: bytes) -> bytes | None: ...

    def write(self, entries: Iterable[tuple[bytes, bytes]]) -> None: ...

    def close(self) -> None: ...


def open_shared(place: str) -> Shared:
    """What the setting `shared-cache` names: an absolute path, or a URL. Raises ConfigError; asks nobody yet."""
    if os.path.isabs(place):
        return Directory(place)
    if place.startswith(_SCHEMES):
        return Redis(place)
    raise ConfigError(
        "use a shared cache",
        "it is neither the absolute path of a directory nor the URL of a Redis",
        "write shared-cache: /srv/will-it-compile, or redis://redis.example.org/0",
    )


class Directory:
    """A file for each answer, as `ab/cdef…`: there whole or not at all."""

    def __init__(self, path: str) -> None:
        self._path = path

    def find(self, key: bytes) -> bytes | None:
        try:
            return read_regular(self._file(key), MOST_BYTES)
        except FileNotFoundError:
            if not os.path.isdir(self._path):  # as where a file system is not mounted
                raise Unreachable(f"it is no directory: {self._path}") from None
            return None
        except OSError as error:
            raise Unreachable(f"{error.strerror or error}: {self._path}") from error

    def write(self, entries: Iterable[tuple[bytes, bytes]]) -> None:
        for key, answer in entries:
            file = self._file(key)
            temporary = f"{file}.{os.urandom(8).hex()}"
            try:
                if not os.path.isdir(os.path.dirname(file)):
                    _make(os.path.dirname(file))
                with open(temporary, "xb") as opened:
                    opened.write(answer)
                os.replace(temporary, file)
            except OSError as error:
                _remove(temporary)
                raise Unreachable(f"{error.strerror or error}: {self._path}") from error

    def close(self) -> None:
        """Nothing is open."""

    def _file(self, key: bytes) -> str:
        name = key.hex()
        return os.path.join(self._path, name[:2], name[2:])


class Redis:
    """Needs the package redis, whose import takes longer than some compiles: only for who asks for it."""

    def __init__(self, url: str) -> None:
        try:
            import redis
        except ImportError:
            raise ConfigError(
                "use a Redis as the shared cache",
                "the package redis is missing",
                "pip install 'will-it-compile[redis]'",
            ) from None
        self._error = redis.RedisError
        try:
            self._redis = redis.Redis.from_url(url, socket_timeout=SECONDS, socket_connect_timeout=SECONDS)
        except ValueError as error:
            raise ConfigError("use a Redis as the shared cache", str(error), "redis://redis.example.org/0") from None

    def find(self, key: bytes) -> bytes | None:
        try:
            found = self._redis.getrange(_name(key), 0, MOST_BYTES)
        except self._error as error:
            raise Unreachable(str(error)) from error
        return found if isinstance(found, bytes) and found else None

    def write(self, entries: Iterable[tuple[bytes, bytes]]) -> None:
        try:
            with self._redis.pipeline(transaction=False) as pipeline:
                for key, answer in entries:
                    pipeline.set(_name(key), answer, ex=DAYS * 24 * 3600)
                pipeline.execute()
        except self._error as error:
            raise Unreachable(str(error)) from error

    def close(self) -> None:
        self._redis.close()


def _name(key: bytes) -> str:
    return f"will-it-compile:{key.hex()}"


def _make(directory: str) -> None:
    """This one alone: where all of them are made, one that is not mounted becomes a directory of this machine."""
    try:
        os.mkdir(directory)
    except FileExistsError:
        return


def _remove(path: str) -> None:
    try:
        os.unlink(path)
    except OSError:
        return
