"""Asking a compiler of the host a question, which a hostile or broken program must not turn into harm."""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import time
from typing import TYPE_CHECKING, TypeVar

from willitcompile.backends.compilers import Answer, Unusable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from concurrent.futures import Executor

TIMEOUT_SECONDS = 10.0
MAX_OUTPUT_BYTES = 1024 * 1024
"""The longest real answer, all predefined macros, has 20 KiB."""


T = TypeVar("T")
R = TypeVar("R")


def ask(argv: Sequence[str], environment: Mapping[str, str]) -> Answer:
    """Run a program to its end in this environment. Raises Unusable: not startable, hanging, babbling."""
    try:
        process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd="/",
            env={"LC_ALL": "C", **environment},
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        raise Unusable(f"cannot be started: {error}") from None
    with process:  # closes the pipes, and waits
        try:
            out, err = _read(process)
        finally:
            # Also what it left running. It was not waited for yet, so that its id is still its own.
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except (ProcessLookupError, PermissionError):
                process.kill()
    return Answer(process.returncode, os.fsdecode(out), os.fsdecode(err))


def _read(process: subprocess.Popen[bytes]) -> tuple[bytes, bytes]:
    assert process.stdout is not None  # noqa: S101 - for mypy: both are pipes
    assert process.stderr is not None  # noqa: S101
    said = {process.stdout: bytearray(), process.stderr: bytearray()}
    deadline = time.monotonic() + TIMEOUT_SECONDS
    with selectors.DefaultSelector() as selector:
        for pipe in said:
            selector.register(pipe, selectors.EVENT_READ)
        while selector.get_map():
            left = deadline - time.monotonic()
            if left <= 0:
                raise Unusable(f"did not answer within {TIMEOUT_SECONDS:.0f} seconds")
            for key, _ in selector.select(left):
                piece = os.read(key.fd, 65536)
                if not piece:
                    selector.unregister(key.fileobj)
                text = said[key.fileobj]  # type: ignore[index]
                text += piece
                if len(text) > MAX_OUTPUT_BYTES:
                    raise Unusable(f"printed more than {MAX_OUTPUT_BYTES} bytes")
        # It closed its outputs: it is about to end, and what hangs now is still a broken program.
        while os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is None:
            if time.monotonic() > deadline:
                raise Unusable(f"did not end within {TIMEOUT_SECONDS:.0f} seconds")
            time.sleep(0.0005)
    return bytes(said[process.stdout]), bytes(said[process.stderr])


class Asker:
    """Asks with one PATH, several questions at a time."""

    def __init__(self, path: str, pool: Executor) -> None:
        self.path = path
        """Only absolute directories that nobody else can write to."""
        self._pool = pool

    def ask(self, *argv: str, **environment: str) -> Answer:
        """See `ask`. Raises Unusable, also where the program says that it failed."""
        answer = ask(argv, {"PATH": self.path, **environment})
        if answer.code != 0:
            raise Unusable(f"{' '.join(argv[1:])} failed: {(answer.err or answer.out)[:200].strip()}")
        return answer

    def tell(self, argv: Sequence[str]) -> str:
        """What a program prints on success, or "" otherwise."""
        try:
            return self.ask(*argv).out
        except Unusable:
            return ""

    def try_each(self, questions: Iterable[Sequence[str]]) -> list[Answer | None]:
        """The answers in order, None where there is none or the program failed."""

        def attempt(argv: Sequence[str]) -> Answer | None:
            try:
                return self.ask(*argv)
            except Unusable:
                return None

        return self.for_each(attempt, questions)

    def for_each(self, function: Callable[[T], R], items: Iterable[T]) -> list[R]:
        """What a function gives for each item, in order. It must not call `for_each` itself."""
        return list(self._pool.map(function, items))

    def find(self, name: str) -> str | None:
        """The first executable file of this name on PATH."""
        for directory in self.path.split(":"):
            program = os.path.join(directory, name)
            if os.path.isfile(program) and os.access(program, os.X_OK):
                return program
        return None
