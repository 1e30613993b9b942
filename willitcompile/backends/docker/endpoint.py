"""Where a Docker daemon is to be found, and whether one answers there.

The same places as the docker command's: DOCKER_HOST, the current context, the usual sockets; then Podman's. Nothing
here imports a client library, so that looking costs milliseconds.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, NamedTuple

from willitcompile.errors import BackendUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

REMEDY = "start one (sudo systemctl start docker), or name another: export DOCKER_HOST=unix:///path/docker.sock"
_SCHEMES = ("unix", "tcp", "http", "https", "ssh")
_PORT, _TLS_PORT = 2375, 2376
_MOST_PORT = 65535


class Certificates(NamedTuple):
    """For TLS: files in PEM, None for what is not there."""

    ca: str | None
    cert: str | None
    key: str | None
    verify: bool
    """Whether the daemon has to prove who it is."""


class Endpoint(NamedTuple):
    """An address of a daemon."""

    scheme: str
    """`unix`, `tcp` or `ssh`."""
    path: str
    """Of the socket; on the other machine for `ssh`, where it may be empty for the usual place."""
    host: str
    """Also `user@host` for `ssh`; empty for `unix`."""
    port: int
    """0 for `unix`, and for the usual port of `ssh`."""
    origin: str
    """Who named it: `DOCKER_HOST`, `the context 'build'`, `a usual place`."""
    tls: Certificates | None = None

    @property
    def url(self) -> str:
        if self.scheme == "unix":
            return f"unix://{self.path}"
        port = f":{self.port}" if self.port else ""
        return f"{self.scheme}://{self.host}{port}{self.path}"

    @property
    def named(self) -> bool:
        """Whether somebody chose it, so that none but this will do."""
        return self.origin != _USUAL


_USUAL = "a usual place"


def endpoints(environment: Mapping[str, str] = os.environ) -> list[Endpoint]:
    """Where to look, in this order; one alone where somebody named it. Raises BackendUnavailable for a wrong name."""
    if host := environment.get("DOCKER_HOST"):
        verify = bool(environment.get("DOCKER_TLS_VERIFY"))
        certificates = environment.get("DOCKER_CERT_PATH") or (_configuration(environment) if verify else "")
        tls = _certificates(certificates, verify) if certificates else None
        return [_parse(host, "DOCKER_HOST", tls)]
    if context := environment.get("DOCKER_CONTEXT") or _current_context(environment):
        return [_context(context, environment)]
    return [Endpoint("unix", path, "", 0, _USUAL) for path in dict.fromkeys(_usual_sockets(environment))]


def likely(environment: Mapping[str, str] = os.environ) -> list[Endpoint]:
    """Those where a daemon may answer: without the usual places that have no socket. Raises BackendUnavailable."""
    return [each for each in endpoints(environment) if each.named or each.scheme != "unix" or os.path.exists(each.path)]


def nowhere() -> BackendUnavailable:
    return BackendUnavailable("compile with Docker", "no daemon is here: there is no socket of one", REMEDY)


def _usual_sockets(environment: Mapping[str, str]) -> Iterator[str]:
    yield "/var/run/docker.sock"
    runtime = environment.get("XDG_RUNTIME_DIR") or f"/run/user/{os.getuid()}"
    yield f"{runtime}/docker.sock"
    if home := environment.get("HOME"):
        yield f"{home}/.docker/run/docker.sock"
    yield f"{runtime}/podman/podman.sock"
    if os.getuid() == 0:
        yield "/run/podman/podman.sock"


def _parse(text: str, origin: str, tls: Certificates | None) -> Endpoint:
    """
    >>> _parse("tcp://10.0.0.1", "DOCKER_HOST", None).url
    'tcp://10.0.0.1:2375'
    """
    scheme, separator, rest = text.partition("://")
    if not separator:
        # As the docker command takes it: `host:2375`.
        scheme, rest = ("unix", text) if text.startswith("/") else ("tcp", text)
    if scheme not in _SCHEMES or not rest or any(ord(letter) <= 32 for letter in text):
        raise _unnamed(text, origin)
    if scheme == "unix":
        return Endpoint("unix", rest, "", 0, origin)
    host, slash, path = rest.partition("/")
    name, port = _split_port(host)
    if port > _MOST_PORT or (scheme == "ssh" and not name):
        raise _unnamed(text, origin)
    if scheme == "ssh":
        return Endpoint("ssh", slash + path, name, port, origin)
    if scheme == "https" and tls is None:
        tls = Certificates(None, None, None, verify=True)
    return Endpoint("tcp", "", name, port or (_TLS_PORT if tls else _PORT), origin, tls)


def _unnamed(text: str, origin: str) -> BackendUnavailable:
    return BackendUnavailable(
        f"reach Docker at {text!r}",
        f"{origin} does not name a daemon",
        "write one of: unix:///path/docker.sock, tcp://host:2376, ssh://user@host",
    )


def _split_port(host: str) -> tuple[str, int]:
    """
    >>> _split_port("[::1]:2375"), _split_port("host"), _split_port("me@[::1]:22")
    (('::1', 2375), ('host', 0), ('me@::1', 22))
    """
    name, colon, port = host.rpartition(":")
    if not colon or not port.isdecimal() or (name.count(":") and not name.endswith("]")):
        name, port = host, "0"
    return name.replace("[", "").replace("]", ""), int(port[:6])


def _configuration(environment: Mapping[str, str]) -> str:
    return environment.get("DOCKER_CONFIG") or os.path.join(environment.get("HOME", "/"), ".docker")


def _current_context(environment: Mapping[str, str]) -> str | None:
    document = _json(os.path.join(_configuration(environment), "config.json"))
    name = document.get("currentContext")
    return name if isinstance(name, str) and name not in {"", "default"} else None


def _context(name: str, environment: Mapping[str, str]) -> Endpoint:
    """What `docker context create` wrote. Raises BackendUnavailable."""
    if name == "default":
        return Endpoint("unix", "/var/run/docker.sock", "", 0, "the context 'default'")
    import hashlib

    digest = hashlib.sha256(name.encode(errors="surrogateescape")).hexdigest()
    contexts = os.path.join(_configuration(environment), "contexts")
    try:
        docker = _json(os.path.join(contexts, "meta", digest, "meta.json"))["Endpoints"]["docker"]
        host, verify = str(docker["Host"]), not docker.get("SkipTLSVerify")
    except (KeyError, TypeError):
        raise BackendUnavailable(
            f"reach Docker in the context {name!r}", "there is no context of that name", "docker context ls"
        ) from None
    keys = os.path.join(contexts, "tls", digest, "docker")
    tls = _certificates(keys, verify) if os.path.isdir(keys) else None
    return _parse(host, f"the context {name!r}", tls)


def _certificates(directory: str, verify: bool) -> Certificates:
    ca, cert, key = (
        path if os.path.isfile(path := os.path.join(directory, f"{name}.pem")) else None
        for name in ("ca", "cert", "key")
    )
    return Certificates(ca, cert, key, verify)


def _json(path: str) -> dict[str, Any]:
    """A file's object; an empty one where there is none, as the docker command has it."""
    import json

    try:
        with open(path, encoding="utf-8") as file:
            found = json.loads(file.read(1 << 20))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
