"""The real server in a process of its own, and plain clients for it: nothing of the server is imported here."""

from __future__ import annotations

import base64
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple, Self
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from email.message import Message

ADDRESS = re.compile(r"serving at (http://\S+)")
START_SECONDS = 60.0
STOP_SECONDS = 60.0
ANSWER_SECONDS = 120.0
"""In which any one compile has long ended, also on a busy machine."""

PROGRAM = Path(__file__).with_name("program.py")

SETTINGS = {"rate_limit": 0, "grace": "1s", "log_format": "text"}
"""What tests want unless they say otherwise."""

OURS = re.compile(r"WIC_.*|PORT|MAX_WORKERS|QUEUE_SIZE|NAMESPACE|OTEL_.*")
"""Variables of who runs the tests that would be settings of the server."""


class Reply(NamedTuple):
    """What a server has answered."""

    status: int
    headers: Message
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def message(self) -> object:
        """Of an error, which has nothing else."""
        assert list(self.json) == ["message"], self
        return self.json["message"]


class Event(NamedTuple):
    """One server-sent event."""

    name: str
    id: str | None
    data: Any


class Place(NamedTuple):
    """Where a server finds what runs its compiles."""

    backend: str
    environment: Mapping[str, str] = {}
    config: Path | None = None


class Client:
    """One connection that is kept. Not for two threads at once."""

    def __init__(self, url: str, seconds: float = 60.0, headers: Mapping[str, str] = MappingProxyType({})) -> None:
        """`headers` go with every request."""
        address = urlsplit(url)
        self.url = url
        self._headers = headers
        assert address.hostname
        self._connection = http.client.HTTPConnection(address.hostname, address.port, timeout=seconds)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def call(
        self, method: str, path: str, document: object = None, *, body: bytes | None = None, **headers: str
    ) -> Reply:
        """`headers` are spelled with `_`; a `document` is sent as JSON. Raises OSError and HTTPException."""
        sent = {**self._headers, **{name.replace("_", "-"): value for name, value in headers.items()}}
        if document is not None:
            body = json.dumps(document).encode()
            sent.setdefault("Content-Type", "application/json")
        try:
            self._connection.request(method, path, body, sent)
            response = self._connection.getresponse()
            return Reply(response.status, response.headers, response.read())
        except (OSError, http.client.HTTPException):
            self._connection.close()  # the next call opens another
            raise

    def submit(self, code: str | bytes, language: str = "cpp", **more: object) -> str:
        """The id of a new job of v1."""
        reply = self.call("POST", "/api/v1/compile", {"code": encoded(code), "language": language, **more})
        assert reply.status == 202, reply
        return str(reply.json["job_id"])

    def result(self, job_id: str) -> dict[str, Any]:
        """Of a job of v1, once it is done."""
        return self._once(f"/api/v1/compile/{job_id}", lambda told: "success" in told)

    def check(self, files: Mapping[str, object], **more: object) -> Reply:
        return self.call("POST", "/api/v2/checks", {"files": files, **more})

    def checked(self, files: Mapping[str, object], **more: object) -> dict[str, Any]:
        """The document of a check of v2, once it is done."""
        reply = self.check(files, **more)
        assert reply.status in {200, 202}, reply
        return self.finished(reply.json["id"])

    def finished(self, check_id: str) -> dict[str, Any]:
        return self._once(f"/api/v2/checks/{check_id}?wait=5", lambda told: told["status"] in ENDS)

    def _once(self, path: str, is_ready: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        found: list[dict[str, Any]] = []

        def look() -> bool:
            reply = self.call("GET", path)
            assert reply.status == 200, reply
            found.append(reply.json)
            return is_ready(found[-1])

        until(look)
        return found[-1]


ENDS = {"done", "cancelled"}


class Server:
    """`will-it-compile serve` in a process of its own, on any free port, which may be started again on its state."""

    def __init__(self, place: Place, directory: Path, **settings: object) -> None:
        """`directory` gets its state and its log. `settings` are spelled with `_`; None leaves one to its default."""
        self.place = place
        self.state = directory / "state"
        self.log = directory / "server.log"
        self.url = ""
        self._directory = directory
        self._settings = {**SETTINGS, "state": self.state, **settings}
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, **settings: object) -> Server:
        """Return once it serves. `settings` replace those it had. Raises AssertionError with all that it said."""
        self._settings.update(settings)
        self.launch()
        begin = self._said_before
        found = until(lambda: ADDRESS.search(self.said(begin)) or not self.runs(), START_SECONDS)
        assert not isinstance(found, bool), f"it did not start:\n{self.said(begin)}"
        self.url = found[1]
        return self

    def launch(self) -> None:
        """Start it, and do not wait for it."""
        assert not self.runs()
        variables = {name: value for name, value in os.environ.items() if not OURS.fullmatch(name)}
        self._said_before = self.log.stat().st_size if self.log.exists() else 0
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, str(PROGRAM), "serve", *self._arguments()],
                cwd=self._directory,
                env={**variables, **self.place.environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def _arguments(self) -> list[str]:
        given = {"host": "127.0.0.1", "port": 0, "backend": self.place.backend, **self._settings}
        arguments = ["--config", str(self.place.config)] if self.place.config else []
        for name, value in given.items():
            if value is not None:
                arguments += [f"--{name.replace('_', '-')}", str(value)]
        return arguments

    def said(self, begin: int = 0) -> str:
        """What it wrote to its standard streams, from so many bytes on."""
        with self.log.open("rb") as log:
            log.seek(begin)
            return log.read().decode(errors="replace")

    @property
    def pid(self) -> int:
        assert self._process
        return self._process.pid

    @property
    def address(self) -> tuple[str, int]:
        parts = urlsplit(self.url)
        assert parts.hostname
        assert parts.port
        return parts.hostname, parts.port

    def runs(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def rss(self) -> int:
        """Bytes of memory that it has now."""
        lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))

    def descriptors(self) -> int:
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def kill(self) -> None:
        """At once, as when the power fails."""
        assert self._process
        self._process.kill()
        self._process.wait(STOP_SECONDS)

    def signal(self, number: int = signal.SIGTERM) -> None:
        os.kill(self.pid, number)

    def wait(self, seconds: float = STOP_SECONDS) -> int:
        """Its exit code, once it has ended. Raises TimeoutExpired."""
        assert self._process
        return self._process.wait(seconds)

    def terminate(self) -> int:
        """Ask it to end, and return its exit code."""
        self.signal()
        return self.wait()

    def restart(self, **settings: object) -> Server:
        """Killed if it still runs, and started on the same state."""
        if self.runs():
            self.kill()
        return self.start(**settings)

    def close(self) -> None:
        """End it in order. Raises AssertionError where it does not, or has had an error that it did not expect."""
        if self.runs():
            self.signal()
            try:
                code = self.wait()
            except subprocess.TimeoutExpired:
                self.kill()
                raise AssertionError(f"it does not end:\n{self.said()}") from None
            assert code == 0, self.said()
        if self.log.exists():
            assert "Traceback" not in self.said(), self.said()

    def client(self, seconds: float = 60.0) -> Client:
        return Client(self.url, seconds)

    def call(self, method: str, path: str, document: object = None, **more: Any) -> Reply:
        """By a connection of its own. See `Client.call`."""
        with self.client() as client:
            return client.call(method, path, document, **more)

    def get(self, path: str, **headers: str) -> Reply:
        return self.call("GET", path, **headers)

    def compiled(self, code: str | bytes, language: str = "cpp", **more: object) -> dict[str, Any]:
        """The result of a new job of v1."""
        with self.client() as client:
            return client.result(client.submit(code, language, **more))

    def statistics(self) -> dict[str, Any]:
        return dict(self.get("/api/v1/workers/stats").json)

    def wait_for(self, **numbers: int) -> None:
        """Until its statistics are so: `active_workers=1`."""
        until(lambda: numbers.items() <= self.statistics().items())

    def raw(self, sent: bytes, seconds: float = 20.0) -> bytes:
        """All that comes back on a connection of which our side is closed after these bytes."""
        with socket.create_connection(self.address, seconds) as connection:
            connection.sendall(sent)
            connection.shutdown(socket.SHUT_WR)
            return b"".join(iter(lambda: connection.recv(65536), b""))

    @contextmanager
    def events(self, path: str, seconds: float = 60.0, **headers: str) -> Iterator[Iterator[Event]]:
        """The events of a stream as they come, to its end."""
        host, port = self.address
        connection = http.client.HTTPConnection(host, port, timeout=seconds)
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        try:
            connection.request("GET", path, headers={"Accept": "text/event-stream", **sent})
            response = connection.getresponse()
            assert response.status == 200, (response.status, response.read())
            assert response.headers["Content-Type"].partition(";")[0] == "text/event-stream"
            yield _events(response)
        finally:
            connection.close()


def _events(response: http.client.HTTPResponse) -> Iterator[Event]:
    fields: dict[str, str] = {}
    for raw in iter(response.readline, b""):
        line = raw.decode().rstrip("\n")
        if not line:
            if "data" in fields:
                yield Event(fields.get("event", "message"), fields.get("id"), json.loads(fields["data"]))
            fields = {}
        elif not line.startswith(":"):
            name, _, value = line.partition(":")
            fields[name] = value.removeprefix(" ")


def encoded(code: str | bytes) -> str:
    return base64.b64encode(code.encode() if isinstance(code, str) else code).decode()


def until(condition: Callable[[], Any], seconds: float = ANSWER_SECONDS, pause: float = 0.01) -> Any:
    """What a condition gives as soon as that is true. Raises AssertionError."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(pause)
    return value


def processes_below(pid: int, name: str | None = None) -> frozenset[int]:
    """The processes that it has started, and those that they have; of this name, or all."""
    parents, names = {}, {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                stat = (entry / "stat").read_text(errors="replace")
            except OSError:  # it has just ended
                continue
            child = int(entry.name)
            names[child] = stat.partition("(")[2].rpartition(")")[0]
            parents[child] = int(stat.rpartition(")")[2].split()[1])
    found = {pid}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return frozenset(child for child in found - {pid} if name in {None, names.get(child)})


def is_alive(pid: int) -> bool:
    """Whether it runs, and is not only a name that nobody has asked about yet."""
    return os.path.exists(f"/proc/{pid}/exe")
