"""Who we are to a cluster: what is written down, and what a program or a provider has to be asked for.

The last two are what the official package is for, and it is imported for them alone: that takes 0.2 to 0.4 s.
"""

from __future__ import annotations

import math
import os
import time
from _thread import allocate_lock
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple

from willitcompile.backends.kubernetes.api.kubeconfig import ASKED, read_bytes
from willitcompile.errors import BackendUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import ModuleType

    from willitcompile.backends.kubernetes.api.kubeconfig import Entry

REREAD_SECONDS = 60.0
"""A token in a file is changed by others before it expires: the kubelet does it at four fifths of its time."""
_EARLY_SECONDS = 10.0
"""What a program gives is asked for again so long before its end."""
_MOST_SAID = 300


class Identity(NamedTuple):
    """What proves who we are. Its text does not tell."""

    authorization: str | None = None
    """The header's value."""
    certificate: bytes | None = None
    """The client's certificate and its key, in PEM, one after the other."""
    until: float = math.inf
    """When to look again, in time.monotonic's seconds."""

    def __repr__(self) -> str:
        return "Identity(…)"

    def proves_as(self, other: Identity) -> bool:
        return self[:2] == other[:2]


class Credentials:
    """An identity, and where to get the next. Thread-safe."""

    def __init__(self, read: Callable[[], Identity], *, is_slow: bool = False) -> None:
        self._read = read
        self._identity: Identity | None = None
        self._reading = allocate_lock()
        self.is_slow = is_slow
        """Whether a program is asked, which may ask somebody in turn."""

    def current(self) -> Identity:
        """Raises BackendUnavailable."""
        with self._reading:
            if self._identity is None or time.monotonic() >= self._identity.until:
                self._identity = self._read()
            return self._identity

    def at_hand(self) -> Identity | None:
        """The current one, where it need not be asked for."""
        identity = self._identity
        return identity if identity is not None and time.monotonic() < identity.until else None

    def renew(self, refused: Identity) -> Identity:
        """One that was read after this one. Raises BackendUnavailable."""
        with self._reading:
            if self._identity is refused or self._identity is None:
                self._identity = self._read()
            return self._identity


def bearer(token: str, what: str) -> str:
    """The header's value. Raises BackendUnavailable for what no header can hold, which must not be shown either."""
    token = token.strip()
    if not token or not token.isascii() or not token.isprintable():
        raise BackendUnavailable(ASKED, f"{what} is none", "kubectl config view")
    return f"Bearer {token}"


def from_file(path: str, what: str) -> Identity:
    """The token that stands in a file. Raises BackendUnavailable."""
    token = read_bytes(path, what).decode(errors="replace")
    return Identity(bearer(token, f"{what}, {path},"), until=time.monotonic() + REREAD_SECONDS)


def asks_a_program(user: Entry) -> bool:
    return _is_unwritten(user) and bool(user.mapping("exec") or user.mapping("auth-provider"))


def of_user(user: Entry, cluster: Entry, context: str, files: Sequence[str]) -> Identity:
    """What a kubeconfig says, or the program or provider that it names. Raises BackendUnavailable."""
    certificate, key = user.data("client-certificate"), user.data("client-key")
    if (certificate is None) != (key is None):
        raise user.wrong("a client certificate takes both client-certificate and client-key")
    written = certificate + b"\n" + key if certificate and key else None
    whose = f"the token of the user {user.name!r}"
    if path := user.path("tokenFile"):
        return from_file(path, whose)._replace(certificate=written)
    if token := user.text("token"):
        return Identity(bearer(token, whose), written)
    name, password = user.text("username"), user.text("password")
    if name and password:
        return Identity(basic(name, password), written)
    if program := user.mapping("exec"):
        return _from_program(program, user, cluster, context)
    if user.mapping("auth-provider"):
        return _from_provider(user, context, files)
    return Identity(certificate=written)


def basic(name: str, password: str) -> str:
    import base64

    return "Basic " + base64.b64encode(f"{name}:{password}".encode(errors="replace")).decode()


def _is_unwritten(user: Entry) -> bool:
    return not (user.text("tokenFile") or user.text("token") or (user.text("username") and user.text("password")))


def _from_program(program: Mapping[str, object], user: Entry, cluster: Entry, context: str) -> Identity:
    """As `aws eks get-token`. By the class that runs it alone: the loader around it only logs why one failed, and
    writes the keys that it gives to files. Raises BackendUnavailable."""
    command = program.get("command")
    if not isinstance(command, str) or not command:
        raise user.wrong("exec has no command")
    node = _official("config.kube_config").ConfigNode
    provider = _official("config.exec_provider").ExecProvider

    # As kubectl has it: where its name is a path, that is relative to the file; it runs where we do.
    asked = {**program, "command": os.path.join(os.path.dirname(user.file), command) if "/" in command else command}
    more: tuple[Any, ...] = ()
    if asked.get("provideClusterInfo"):
        told = dict(cluster.fields)
        if authority := cluster.data("certificate-authority"):
            import base64

            told.pop("certificate-authority", None)
            told["certificate-authority-data"] = base64.b64encode(authority).decode()
        more = (node("cluster", told),)
    remedy = _try_it(context)
    name = os.path.basename(command)
    try:
        status = provider(node("exec", asked), None, *more).run()
    except FileNotFoundError as error:
        raise BackendUnavailable(
            ASKED, f"there is no program {name!r}, which the user {user.name!r} logs in with", remedy
        ) from error
    except Exception as error:  # noqa: BLE001 - the package's own, and whatever a wrong entry makes it raise
        raise BackendUnavailable(
            ASKED, f"{name}, which the user {user.name!r} logs in with, fails: {_last_words(error)}", remedy
        ) from None  # its cause may hold what the program printed
    identity = _given(status)
    if identity is None:
        raise BackendUnavailable(
            ASKED, f"{name}, which the user {user.name!r} logs in with, gives neither a token nor a certificate", remedy
        )
    return identity


def _given(status: object) -> Identity | None:
    """What a program answers: see client.authentication.k8s.io/v1, ExecCredentialStatus."""
    if not isinstance(status, dict):
        return None
    token, certificate, key = (status.get(each) for each in ("token", "clientCertificateData", "clientKeyData"))
    authorization = bearer(token, "the token of a program") if isinstance(token, str) and token else None
    both = None
    if isinstance(certificate, str) and isinstance(key, str) and certificate and key:
        both = f"{certificate}\n{key}".encode(errors="replace")
    if authorization is None and both is None:
        return None
    return Identity(authorization, both, _until(status.get("expirationTimestamp")))


def _until(stamp: object) -> float:
    """
    >>> _until("no date"), _until(None)
    (inf, inf)
    """
    from datetime import UTC, datetime

    try:
        end = datetime.fromisoformat(str(stamp))
        left = (end if end.tzinfo else end.replace(tzinfo=UTC)).timestamp() - time.time()
    except (ValueError, OverflowError):
        return math.inf
    return time.monotonic() + left - _EARLY_SECONDS


def _from_provider(user: Entry, context: str, files: Sequence[str]) -> Identity:
    """`auth-provider`, before there were programs for it: its tokens are renewed, and written back, by the official
    package. Raises BackendUnavailable."""
    provider = user.mapping("auth-provider").get("name")
    remedy = _try_it(context)
    client, config = _official("client"), _official("config")
    try:
        configuration = client.Configuration()
        config.load_kube_config(os.pathsep.join(files), context or None, configuration)
        # The second was its name before version 36.
        found = configuration.get_api_key_with_prefix("BearerToken") or configuration.get_api_key_with_prefix(
            "authorization"
        )
    except Exception as error:  # noqa: BLE001 - of the package, and of the three that it uses
        raise BackendUnavailable(
            ASKED, f"the auth-provider of the user {user.name!r} fails: {_last_words(error)}", remedy
        ) from None
    if not found:
        raise BackendUnavailable(
            ASKED,
            f"the auth-provider {provider!r} of the user {user.name!r} gives no token: Kubernetes has replaced it by "
            "programs (exec)",
            remedy,
        )
    return Identity(bearer(str(found).removeprefix("Bearer "), "its token"), until=time.monotonic() + REREAD_SECONDS)


def _official(module: str) -> ModuleType:
    """Of the official package, which the image of the service does without. Raises BackendUnavailable."""
    try:
        return import_module(f"kubernetes.{module}")
    except ModuleNotFoundError as error:
        raise BackendUnavailable(
            ASKED,
            f"the package {error.name} is not installed, without which no program is asked for credentials",
            "pip install kubernetes; in the service's image name a kubeconfig with a token, or run it in the cluster",
        ) from error


def _last_words(error: Exception) -> str:
    said = " ".join(str(error).split()) or type(error).__name__
    return said if len(said) <= _MOST_SAID else f"…{said[-_MOST_SAID:]}"


def _try_it(context: str) -> str:
    import shlex

    return f"kubectl get namespaces --context {shlex.quote(context)}"
