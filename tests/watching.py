"""A `check --watch` in a process of its own, and what it says."""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from pathlib import Path

PATIENCE_SECONDS = 60.0

ON_FAKE = """
import os, sys
from willitcompile.backends.fake import FakeBackend
from willitcompile.cli import leave, run
from willitcompile.errors import BackendFailed

class Fake(FakeBackend):
    def compile(self, job, cancel=None):
        os.write(2, f"compiling {' '.join(job.files)}\\n".encode())  # whole, from whichever thread
        if os.path.exists("down"):
            raise BackendFailed("compile", "the daemon is gone", "start it")
        return super().compile(job, cancel)

leave(run(sys.argv[1:], lambda name, opening: Fake()))
"""
"""The command line on the fake backend, which says when it begins, and fails as long as there is a file `down`."""

ROUND = r"watching [^\n]*\n"
"""What ends the report of a round."""


class Watch:
    """Ends with the `with` block that it is made for."""

    def __init__(
        self, *argv: str, directory: Path, code: str = ON_FAKE, terminal: bool = False, **environment: str
    ) -> None:
        program = ["-c", code] if code else ["-m", "willitcompile.cli"]
        out, theirs = pty.openpty() if terminal else os.pipe()
        errors, their_errors = os.pipe()
        plain = {name: value for name, value in os.environ.items() if name not in {"NO_COLOR", "FORCE_COLOR"}}
        self.process = subprocess.Popen(
            [sys.executable, *program, "check", "--watch", *argv],
            stdin=subprocess.DEVNULL,
            stdout=theirs,
            stderr=their_errors,
            cwd=directory,
            env={**plain, "TERM": "xterm-256color", "COLUMNS": "80", **environment},
        )
        os.close(theirs)
        os.close(their_errors)
        self.out = Said(out)
        self.err = Said(errors)

    def round(self) -> str:
        """What is reported until all is checked that is to be."""
        return self.out.until(ROUND)

    def end(self, number: int) -> tuple[int, str]:
        """Send a signal; gives the exit code, and what was said on stdout besides."""
        self.process.send_signal(number)
        return self.process.wait(PATIENCE_SECONDS), self.out.rest()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        self.out.close()
        self.err.close()


class Said:
    """What comes through a pipe or a terminal, read as far as a test wants to know of it."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._text = ""
        self._ended = False

    def until(self, pattern: str) -> str:
        """Everything since the last time, up to where this has been said."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not (found := re.search(pattern, self._text)):
            assert not self._ended, f"it ended before it said {pattern!r}: {self._text!r}"
            self._read(deadline - time.monotonic())
        text, self._text = self._text[: found.end()], self._text[found.end() :]
        return text

    def rest(self) -> str:
        """What is left, to its end."""
        while not self._ended:
            self._read(PATIENCE_SECONDS)
        return self._text

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
        self._fd = -1

    def _read(self, seconds: float) -> None:
        ready, _, _ = select.select([self._fd], [], [], max(seconds, 0))
        assert ready, f"nothing more was said than {self._text!r}"
        try:
            data = os.read(self._fd, 65536)
        except OSError:  # how Linux says that nobody has the other end of a terminal any more
            data = b""
        self._ended = not data
        self._text += data.decode(errors="replace").replace("\r\n", "\n")
