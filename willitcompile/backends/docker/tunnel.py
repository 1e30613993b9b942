"""A daemon on another machine, by ssh: its socket as one of ours."""

from __future__ import annotations

import atexit
import os
import shutil
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

from willitcompile.backends.docker.engine import Gone
from willitcompile.backends.sandbox.workspace import (
    PREFIX,
    clear_stale_sessions,
    make_locked,
    remove_tree,
    workspace_base,
)

if TYPE_CHECKING:
    from willitcompile.backends.docker.endpoint import Endpoint

_CONNECT_SECONDS = 15
_USUAL_SOCKET = "/var/run/docker.sock"
_MOST_SAID = 2000

_LEASHED = """
import ctypes, os, sys
ctypes.CDLL(None).prctl(1, 9)  # PR_SET_PDEATHSIG, SIGKILL
if os.getppid() == int(sys.argv[1]):
    os.execv(sys.argv[2], sys.argv[2:])
"""
"""Runs a program that ends with this one, also where it is killed. A process of its own does it, as one with threads
is better not forked by Python."""


class Tunnel:
    """One ssh process, which forwards every connection of ours. It asks for no password: keys and agents do.

    What the user has set up for ssh holds: the configuration, the known hosts. Its directory is one as the sandbox's
    sessions are, so that what a killed process left is cleared away as theirs is.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        """Return when it stands. Raises Gone."""
        clear_stale_sessions()
        self._directory = os.path.join(workspace_base(), f"{PREFIX}{os.urandom(8).hex()}")
        self._lock = make_locked(self._directory, 0o700)
        self.path = os.path.join(self._directory, "docker.sock")
        self._words = os.path.join(self._directory, "stderr")
        self._closing = threading.Lock()
        self._closed = False
        self._ssh: subprocess.Popen[bytes] | None = None
        self._failed: OSError | None = None
        self._started = threading.Event()
        # The kernel takes the death of the thread that has started a process for the death of its parent.
        self._parent = threading.Thread(target=self._be_parent, args=(endpoint,), name="ssh", daemon=True)
        self._parent.start()
        self._started.wait()
        atexit.register(self.close)
        try:
            self._wait()
        except BaseException:
            self.close()
            raise

    def stands(self) -> bool:
        return self._ssh is not None and self._ssh.poll() is None

    def said(self) -> str:
        """What ssh had to say, in one line."""
        try:
            with open(self._words, "rb") as file:
                text = file.read(_MOST_SAID).decode(errors="backslashreplace")
        except OSError:
            return ""
        return " ".join(line.strip() for line in text.splitlines() if line.strip())

    def close(self) -> None:
        """End it. May be called twice."""
        with self._closing:
            if self._closed:
                return
            self._closed = True
        atexit.unregister(self.close)
        if self._ssh is not None and self._ssh.poll() is None:
            self._ssh.kill()
        self._parent.join()
        remove_tree(self._directory)
        os.close(self._lock)

    def _be_parent(self, endpoint: Endpoint) -> None:
        """Start ssh, and be there for as long as it runs."""
        port = ("-p", str(endpoint.port)) if endpoint.port else ()
        options = ("BatchMode=yes", f"ConnectTimeout={_CONNECT_SECONDS}", "ExitOnForwardFailure=yes")
        keep = ("ServerAliveInterval=15", "ServerAliveCountMax=4", "ControlPath=none")
        try:
            ssh = shutil.which("ssh")
            if ssh is None:
                raise FileNotFoundError(2, "there is no ssh")
            # Not a pipe: nobody reads while it runs, and it goes on when it has warned of something.
            with open(self._words, "wb") as words:
                self._ssh = subprocess.Popen(
                    (
                        *(sys.executable, "-I", "-S", "-c", _LEASHED, str(os.getpid())),
                        ssh,
                        "-N",
                        "-T",
                        *(word for option in (*options, *keep) for word in ("-o", option)),
                        *port,
                        "-L",
                        f"{self.path}:{endpoint.path or _USUAL_SOCKET}",
                        "--",
                        endpoint.host,
                    ),
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=words,
                    start_new_session=True,  # Ctrl-C is ours to hear
                )
        except OSError as error:
            self._failed = error
        finally:
            self._started.set()
        if self._ssh is not None:
            self._ssh.wait()

    def _wait(self) -> None:
        if self._failed is not None:
            raise Gone(f"ssh cannot be started: {self._failed.strerror}") from self._failed
        deadline = time.monotonic() + _CONNECT_SECONDS + 5
        while not os.path.exists(self.path):
            if not self.stands():
                raise Gone(f"ssh says: {self.said() or 'nothing, and ends'}")
            if time.monotonic() > deadline:
                said = self.said()
                raise Gone(f"ssh does not connect in time{': ' * bool(said)}{said}")
            time.sleep(0.02)
