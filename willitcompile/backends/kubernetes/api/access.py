"""Where a cluster is, and who we are to it: in a pod its ServiceAccount, else what kubectl is configured with.

The official package would do the same, and take 0.2 to 0.4 s to import.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from willitcompile.backends.kubernetes.api import credentials, kubeconfig
from willitcompile.backends.kubernetes.api.credentials import Credentials, Identity
from willitcompile.backends.kubernetes.api.kubeconfig import ASKED, shown
from willitcompile.errors import BackendUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from urllib.parse import SplitResult

    from willitcompile.backends.kubernetes.api.kubeconfig import Entry

SERVICE_ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"
_PROXIES = {"http": 80, "socks5": 1080, "socks5h": 1080}
"""By scheme, the usual port. A proxy that itself speaks TLS is not known here."""


class Proxy(NamedTuple):
    """Through which a server is reached. Its text does not tell the password."""

    scheme: str
    """`http` or `socks5`."""
    host: str
    port: int
    username: str | None = None
    password: str | None = None

    def __repr__(self) -> str:
        return f"Proxy({self.scheme}://{self.host}:{self.port})"


class Access(NamedTuple):
    """How to reach the API server of a cluster."""

    server: str
    """`https://host:port/prefix`, without a slash at its end."""
    namespace: str
    origin: str
    """Who says so: `in the pod`, `context kind-kind of ~/.kube/config`."""
    context: str | None
    """None in a pod."""
    credentials: Credentials
    authority: bytes | None = None
    """Whose certificates the server may show, in PEM; None for those that this machine trusts."""
    verify: bool = True
    server_name: str | None = None
    """What the server's certificate has to be made out to, where that is not its host."""
    proxy: Proxy | None = None
    headers: tuple[tuple[str, str], ...] = ()
    """For each request: as whom to do it."""


def in_pod(environment: Mapping[str, str] = os.environ) -> bool:
    return bool(environment.get("KUBERNETES_SERVICE_HOST"))


def likely(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether anything names a cluster. Costs nothing, and says nothing of whether it answers."""
    return in_pod(environment) or any(map(os.path.exists, kubeconfig.places(environment)))


def locate(
    context: str | None = None, namespace: str | None = None, environment: Mapping[str, str] = os.environ
) -> Access:
    """The cluster to use. Asks no program yet: the first request does. Raises BackendUnavailable."""
    if in_pod(environment) and not context and _has_account():
        return _in_pod(namespace, environment)
    paths = kubeconfig.places(environment)
    found = kubeconfig.read(paths)
    if found.files:
        return _of_kubeconfig(found, context, namespace, environment)
    if in_pod(environment) and not context:
        raise BackendUnavailable(
            ASKED,
            f"this pod has no ServiceAccount's token in {SERVICE_ACCOUNT}",
            "write automountServiceAccountToken: true into the pod's spec, or name a kubeconfig: "
            "export KUBECONFIG=/path/config",
        )
    where = ", ".join(map(shown, paths)) or "no place, as HOME is not set"
    raise BackendUnavailable(
        ASKED,
        f"no cluster is named: no kubeconfig is in {where}",
        "name one: export KUBECONFIG=/path/config; or start one: kind create cluster",
    )


def _has_account() -> bool:
    return os.path.exists(os.path.join(SERVICE_ACCOUNT, "token"))


def _in_pod(namespace: str | None, environment: Mapping[str, str]) -> Access:
    host, port = environment["KUBERNETES_SERVICE_HOST"], environment.get("KUBERNETES_SERVICE_PORT") or "443"
    address = f"[{host}]" if ":" in host and not host.startswith("[") else host
    server = _server(f"https://{address}:{port}")
    if server is None:
        raise BackendUnavailable(
            ASKED,
            "KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT do not name a server",
            "unset KUBERNETES_SERVICE_HOST, or correct it",
        )
    token = os.path.join(SERVICE_ACCOUNT, "token")
    own = os.path.join(SERVICE_ACCOUNT, "namespace")
    if not namespace and os.path.exists(own):
        namespace = kubeconfig.read_bytes(own, "the pod's namespace").decode(errors="replace").strip()
    return Access(
        server.geturl(),
        namespace or "default",
        "in the pod",
        None,
        Credentials(lambda: credentials.from_file(token, "the ServiceAccount's token")),
        kubeconfig.read_bytes(os.path.join(SERVICE_ACCOUNT, "ca.crt"), "the ServiceAccount's ca.crt"),
        proxy=_proxy_of_environment(server, environment),
    )


def _of_kubeconfig(
    found: kubeconfig.Kubeconfig, context: str | None, namespace: str | None, environment: Mapping[str, str]
) -> Access:
    chosen = found.context(context)
    cluster, user = _parts(found, chosen)
    server = _server(cluster.text("server") or "")
    if server is None:
        raise cluster.wrong("server is not an address as https://host:port")
    is_verified = not cluster.flag("insecure-skip-tls-verify")
    authority = cluster.data("certificate-authority") if is_verified else None
    own = cluster.text("proxy-url")
    proxy = _proxy(own) if own else _proxy_of_environment(server, environment)
    if own and proxy is None:
        raise cluster.wrong("proxy-url is neither http://host:port nor socks5://host:port")

    first: list[tuple[Entry, Entry]] = [(cluster, user)]

    def read() -> Identity:
        # Anew each time but the first: whoever logs in again writes it there.
        cluster, user = first.pop() if first else _parts(again := kubeconfig.read(found.files), again.context(name))
        return credentials.of_user(user, cluster, name, found.files)

    name = chosen.name
    return Access(
        server.geturl(),
        namespace or chosen.text("namespace") or "default",
        f"context {name} of {shown(chosen.file)}",
        name,
        Credentials(read, is_slow=credentials.asks_a_program(user)),
        authority,
        is_verified,
        cluster.text("tls-server-name"),
        proxy,
        tuple(_impersonation(user)),
    )


def _parts(found: kubeconfig.Kubeconfig, context: Entry) -> tuple[Entry, Entry]:
    """A context's cluster and user. Raises BackendUnavailable."""
    cluster = found.clusters.get(context.text("cluster") or "")
    if cluster is None:
        raise context.wrong("its cluster is not there")
    name = context.text("user")
    if not name:
        return cluster, kubeconfig.Entry("user", "", {}, context.file)  # anonymous
    if name not in found.users:
        raise context.wrong("its user is not there")
    return cluster, found.users[name]


def _server(text: str) -> SplitResult | None:
    """
    >>> _server("https://[::1]:6443/k8s/clusters/c-1/").geturl(), _server("10.0.0.1:6443").geturl(), _server("ftp://x")
    ('https://[::1]:6443/k8s/clusters/c-1', 'https://10.0.0.1:6443', None)
    """
    from urllib.parse import urlsplit

    if not text.isascii() or not text.isprintable() or " " in text:
        return None
    try:
        split = urlsplit(text if "://" in text else f"https://{text}")
        is_one = bool(split.hostname) and split.port != 0
    except ValueError:
        return None
    # A password in it would be shown wherever the server is named.
    if not is_one or split.scheme not in {"http", "https"} or "@" in split.netloc or split.query or split.fragment:
        return None
    return split._replace(path=split.path.rstrip("/"))


def _impersonation(user: Entry) -> Iterator[tuple[str, str]]:
    """As `kubectl --as` has it. Raises BackendUnavailable."""
    from urllib.parse import quote

    headers = [("Impersonate-User", each) for each in filter(None, (user.text("as"),))]
    headers += [("Impersonate-Uid", each) for each in filter(None, (user.text("as-uid"),))]
    headers += [("Impersonate-Group", each) for each in user.texts("as-groups")]
    for key, values in user.mapping("as-user-extra").items():
        if not isinstance(values, list) or not all(isinstance(each, str) for each in values):
            raise user.wrong("as-user-extra is not a mapping of lists of texts")
        headers += [(f"Impersonate-Extra-{quote(key, safe='')}", each) for each in values]
    for name, value in headers:
        # Of a header's value http.client makes Latin-1, and a server reads UTF-8.
        if not value.isascii() or not value.isprintable():
            raise user.wrong(f"what it says for {name.partition('-Extra-')[0]} cannot be sent")
        yield name, value


def _proxy(text: str) -> Proxy | None:
    """
    >>> _proxy("http://me:word@proxy:3128"), _proxy("https://proxy"), _proxy("proxy:8080")
    (Proxy(http://proxy:3128), None, Proxy(http://proxy:8080))
    """
    from urllib.parse import unquote, urlsplit

    try:
        split = urlsplit(text if "://" in text else f"http://{text}")
        host, port = split.hostname, split.port
    except ValueError:
        return None
    if split.scheme not in _PROXIES or not host or not host.isascii() or not host.isprintable():
        return None
    username = unquote(split.username) if split.username is not None else None
    password = unquote(split.password) if split.password is not None else None
    return Proxy(split.scheme.removesuffix("h"), host, port or _PROXIES[split.scheme], username, password)


def _proxy_of_environment(server: SplitResult, environment: Mapping[str, str]) -> Proxy | None:
    """Raises BackendUnavailable."""
    host, name = server.hostname or "", f"{server.scheme}_proxy"
    variable = next((each for each in (name.upper(), name) if environment.get(each)), None)
    if variable is None or _is_near(host, environment.get("NO_PROXY") or environment.get("no_proxy") or ""):
        return None
    proxy = _proxy(environment[variable])
    if proxy is None:
        raise BackendUnavailable(
            ASKED,
            f"{variable} names no proxy that can be used: neither http://host:port nor socks5://host:port",
            f"correct it, or do without: export NO_PROXY={host}",
        )
    return proxy


def _is_near(host: str, excepted: str) -> bool:
    """Whether a host is reached without the proxy of the environment, as kubectl has it.

    >>> [_is_near("api.example.org", each) for each in ("example.org", ".example.org", "*", "le.org", "10.0.0.0/8")]
    [True, True, True, False, False]
    >>> _is_near("10.1.2.3", "a, 10.0.0.0/8"), _is_near("127.0.0.1", ""), _is_near("::1", ""), _is_near("x", "")
    (True, True, True, False)
    """
    import ipaddress

    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        address = None
    if host == "localhost" or (address is not None and address.is_loopback):
        return True
    for each in filter(None, (word.strip().lower() for word in excepted.split(","))):
        if each in {"*", host}:
            return True
        if address is None:
            if host.endswith("." + each.removeprefix("*").removeprefix(".")):
                return True
            continue
        try:
            if address in ipaddress.ip_network(each, strict=False):
                return True
        except ValueError:
            continue
    return False
