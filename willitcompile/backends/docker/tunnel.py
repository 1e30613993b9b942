"""A daemon on another machine, by ssh: its socket as one of ours."""

from __future__ import annotations

import ctypes
import os
import select
import shutil
import signal
import subprocess
import tempfile
import time
from typing import TYPE_CHECKING

from willitcompile.backends.docker.engine import Gone

if TYPE_CHECKING:
    from willitcompile.backends.docker.endpoint import Endpoint

_CONNECT_SECONDS = 15
_USUAL_SOCKET = "/var/run/docker.sock"
_SET_PDEATHSIG = 1  # linux/prctl.h


class Tunnel:
    """One ssh process, which forwards every connection of ours. It asks for no password: keys and agents do."""

    def __init__(self, endpoint: Endpoint) -> None:
        """Return when it stands. Raises Gone."""
        self._directory = tempfile.mkdtemp(prefix="will-it-compile-ssh-")
        self.path = os.path.join(self._directory, "docker.sock")
        libc = ctypes.CDLL(None)
        port = ("-p", str(endpoint.port)) if endpoint.port else ()
        options = ("BatchMode=yes", f"ConnectTimeout={_CONNECT_SECONDS}", "ExitOnForwardFailure=yes")
        keep = ("ServerAliveInterval=15", "ServerAliveCountMax=4", "ControlPath=none")
        try:
            self._ssh = subprocess.Popen(
                (  # noqa: S607 - the ssh that the user's own commands run
                    "ssh",
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
                stderr=subprocess.PIPE,
                # It ends with us, also where we are killed; and Ctrl-C is ours to hear.
                preexec_fn=lambda: libc.prctl(_SET_PDEATHSIG, signal.SIGKILL),  # noqa: PLW1509 - one thread so far
                start_new_session=True,
            )
        except OSError as error:
            shutil.rmtree(self._directory, ignore_errors=True)
            raise Gone(f"ssh cannot be started: {error.strerror}") from error
        self._wait()

    def close(self) -> None:
        if self._ssh.poll() is None:
            self._ssh.kill()
        self._ssh.wait()
        if self._ssh.stderr:
            self._ssh.stderr.close()
        shutil.rmtree(self._directory, ignore_errors=True)

    def _wait(self) -> None:
        deadline = time.monotonic() + _CONNECT_SECONDS + 5
        assert self._ssh.stderr is not None  # noqa: S101 - it is a pipe
        while not os.path.exists(self.path):
            ready, _, _ = select.select([self._ssh.stderr], [], [], 0.02)
            if ready or time.monotonic() > deadline:
                self._ssh.kill()
                said = self._ssh.stderr.read(2000).decode(errors="backslashreplace").strip()
                self.close()
                raise Gone(f"ssh says: {said}" if said else "ssh does not connect")
