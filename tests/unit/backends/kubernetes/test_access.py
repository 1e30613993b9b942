"""Where a cluster is looked for, and who we are to it."""

from __future__ import annotations

import base64
import doctest
import json
import os
import sys
import textwrap
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.unit.backends.kubernetes.server import CA, KEYS, Server, said
from willitcompile.backends.kubernetes.api import access as access_module
from willitcompile.backends.kubernetes.api import credentials as credentials_module
from willitcompile.backends.kubernetes.api.access import Access, Proxy, in_pod, likely, locate
from willitcompile.backends.kubernetes.api.client import Api, Stopped
from willitcompile.backends.kubernetes.api.credentials import Identity
from willitcompile.errors import BackendUnavailable

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

SECRET = "hunter2-very-secret"


def written(path: Path, content: str) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(textwrap.dedent(content), encoding="utf-8")
    return str(path)


def config(path: Path, user: str = "{}", cluster: str = "", context: str = "") -> dict[str, str]:
    """The environment of a kubeconfig with one context, `here`."""
    server = "" if "server:" in cluster else "server: https://10.0.0.1:6443"
    content = f"""
        current-context: here
        contexts: [{{name: here, context: {{cluster: c, user: u, {context}}}}}]
        clusters: [{{name: c, cluster: {{{server}{"," * bool(server and cluster)} {cluster}}}}}]
        users: [{{name: u, user: {user}}}]
    """
    return {"KUBECONFIG": written(path / "config", content), "HOME": "/nonexistent"}


def pod(path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    account = path / "account"
    written(account / "token", "first\n")
    written(account / "namespace", "theirs\n")
    (account / "ca.crt").write_bytes(CA)
    monkeypatch.setattr(access_module, "SERVICE_ACCOUNT", str(account))
    return {"KUBERNETES_SERVICE_HOST": "10.96.0.1", "KUBERNETES_SERVICE_PORT": "443", "HOME": "/nonexistent"}


def unavailable(environment: Mapping[str, str], **asked: str) -> BackendUnavailable:
    with pytest.raises(BackendUnavailable) as error:
        locate(environment=environment, **asked).credentials.current()
    assert error.value.asked == "compile on Kubernetes"
    assert error.value.obstacle
    assert error.value.remedy
    return error.value


def test_the_examples_hold() -> None:
    assert doctest.testmod(access_module).failed == 0
    assert doctest.testmod(credentials_module).failed == 0


def test_likely_costs_nothing_and_finds_what_there_is(tmp_path: Path) -> None:
    home = {"HOME": str(tmp_path)}
    assert not likely(home)
    assert not likely({})
    assert likely({"KUBERNETES_SERVICE_HOST": "10.96.0.1"})
    assert in_pod({"KUBERNETES_SERVICE_HOST": "10.96.0.1"})
    assert not in_pod({"KUBERNETES_SERVICE_HOST": ""})
    other = written(tmp_path / "other", "")
    assert likely({**home, "KUBECONFIG": f"/nonexistent:{other}"})
    assert not likely({**home, "KUBECONFIG": "/nonexistent"})
    written(tmp_path / ".kube/config", "")
    assert likely(home)


def test_in_a_pod(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    environment = pod(tmp_path, monkeypatch)
    found = locate(environment=environment)
    assert (found.server, found.namespace, found.context) == ("https://10.96.0.1:443", "theirs", None)
    assert (found.origin, found.authority, found.proxy) == ("in the pod", CA, None)
    assert found.credentials.current().authorization == "Bearer first"
    assert locate(namespace="mine", environment=environment).namespace == "mine"
    six = {**environment, "KUBERNETES_SERVICE_HOST": "fd00::1"}
    assert locate(environment=six).server == "https://[fd00::1]:443"


def test_in_a_pod_the_token_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    environment = pod(tmp_path, monkeypatch)
    credentials = locate(environment=environment).credentials
    first = credentials.current()
    written(tmp_path / "account/token", "second")
    assert credentials.current() is first
    now = credentials_module.time.monotonic()
    monkeypatch.setattr(credentials_module.time, "monotonic", lambda: now + 61)
    assert credentials.current().authorization == "Bearer second"


def test_credentials_are_renewed_once_for_all_who_were_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    credentials = locate(environment=pod(tmp_path, monkeypatch)).credentials
    first = credentials.current()
    written(tmp_path / "account/token", "second")
    second = credentials.renew(first)
    written(tmp_path / "account/token", "third")
    assert credentials.renew(first) is second is credentials.current()
    assert second.authorization == "Bearer second"


def test_a_pod_without_a_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    environment = pod(tmp_path, monkeypatch)
    (tmp_path / "account/token").unlink()
    assert "automountServiceAccountToken" in unavailable(environment).remedy
    # A kubeconfig will do instead.
    assert locate(environment={**environment, **config(tmp_path)}).context == "here"


def test_in_a_pod_a_context_that_is_named_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    environment = {**pod(tmp_path, monkeypatch), **config(tmp_path)}
    assert locate(environment=environment).context is None
    assert locate("here", environment=environment).context == "here"


@pytest.mark.parametrize("host", ["a b", "user:word@host", "[::1", "x/y?z"])
def test_a_pod_whose_server_is_none(host: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    environment = {**pod(tmp_path, monkeypatch), "KUBERNETES_SERVICE_HOST": host}
    assert "do not name a server" in unavailable(environment).obstacle


def test_nothing_names_a_cluster(tmp_path: Path) -> None:
    error = unavailable({"HOME": str(tmp_path)})
    assert error.obstacle == f"no cluster is named: no kubeconfig is in {tmp_path}/.kube/config"
    assert unavailable({}).obstacle.endswith("no place, as HOME is not set")


def test_a_kubeconfig(tmp_path: Path) -> None:
    found = locate(environment=config(tmp_path, "{token: abc}", context="namespace: theirs"))
    assert (found.server, found.namespace, found.context) == ("https://10.0.0.1:6443", "theirs", "here")
    assert found.origin == f"context here of {tmp_path}/config"
    assert (found.authority, found.verify, found.server_name, found.proxy) == (None, True, None, None)
    assert found.credentials.current() == Identity("Bearer abc")
    assert not found.credentials.is_slow
    assert locate(namespace="mine", environment=config(tmp_path, context="namespace: theirs")).namespace == "mine"
    assert locate(environment=config(tmp_path)).namespace == "default"


def test_a_kubeconfig_of_the_home_is_told_shortly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    os.rename(config(tmp_path)["KUBECONFIG"], written(tmp_path / ".kube/config", ""))
    assert locate(environment={"HOME": str(tmp_path)}).origin == "context here of ~/.kube/config"


def test_a_kubeconfig_in_json(tmp_path: Path) -> None:
    document = {
        "current-context": "a",
        "contexts": [{"name": "a", "context": {"cluster": "c"}}],
        "clusters": [{"name": "c", "cluster": {"server": "https://h", "insecure-skip-tls-verify": True}}],
        "users": None,
    }
    found = locate(environment={"KUBECONFIG": written(tmp_path / "c", json.dumps(document))})
    assert found.server == "https://h"
    assert not found.verify
    assert found.credentials.current() == Identity()


def test_of_several_files_the_first_to_name_a_thing_wins(tmp_path: Path) -> None:
    (tmp_path / "b" / "keys").mkdir(parents=True)
    (tmp_path / "b" / "keys" / "ca").write_bytes(CA)
    written(
        tmp_path / "a/config",
        """
        current-context: ""
        contexts:
          - {name: x, context: {cluster: c, user: u, namespace: first}}
        users:
          - {name: u, user: {token: first}}
        """,
    )
    written(
        tmp_path / "b/config",
        """
        current-context: x
        contexts:
          - {name: x, context: {cluster: c, user: u, namespace: second}}
          - {name: y, context: {cluster: c, user: u}}
        clusters:
          - {name: c, cluster: {server: "https://h:1", certificate-authority: keys/ca}}
        users:
          - {name: u, user: {token: second}}
        """,
    )
    written(tmp_path / "c/config", "current-context: y\n")
    names = [str(tmp_path / each / "config") for each in ("nowhere", "a", "b", "c")]
    found = locate(environment={"KUBECONFIG": ":".join(["", *names])})
    assert (found.context, found.namespace) == ("x", "first")
    assert found.credentials.current().authorization == "Bearer first"
    # Where a path begins is the file that names it.
    assert found.authority == CA
    assert found.origin == f"context x of {tmp_path}/a/config"
    assert locate("y", environment={"KUBECONFIG": ":".join(names)}).context == "y"


def test_contexts_that_are_not_there(tmp_path: Path) -> None:
    environment = config(tmp_path)
    error = unavailable(environment, context="there")
    assert error.obstacle == f"there is no context 'there' in {tmp_path}/config (there are: 'here')"
    written(tmp_path / "config", "contexts: [{name: b, context: {}}, {name: a, context: {}}]")
    assert "no context is chosen" in unavailable(environment).obstacle
    assert "(there are: 'b', 'a')" in unavailable(environment).obstacle
    assert "its cluster is not there" in unavailable(environment, context="a").obstacle
    written(tmp_path / "config", "current-context: gone")
    assert "'gone'" in unavailable(environment).obstacle
    assert "which is the current one (there is none)" in unavailable(environment).obstacle
    many = ", ".join(f"{{name: n{number}, context: {{}}}}" for number in range(40))
    written(tmp_path / "config", f"contexts: [{many}]")
    assert "'n11' and 28 more" in unavailable(environment).obstacle


def test_a_user_that_is_not_there(tmp_path: Path) -> None:
    environment = config(tmp_path)
    written(
        tmp_path / "config",
        """
        current-context: a
        contexts: [{name: a, context: {cluster: c, user: gone}}]
        clusters: [{name: c, cluster: {server: "https://h"}}]
        """,
    )
    assert "its user is not there" in unavailable(environment).obstacle


@pytest.mark.parametrize(
    ("user", "authorization"),
    [
        ("{token: abc}", "Bearer abc"),
        ('{token: "abc\\n"}', "Bearer abc"),
        ("{token: 1234}", "Bearer 1234"),
        ("{token: abc, username: n, password: p}", "Bearer abc"),
        ("{username: n, password: 'ö:'}", "Basic " + base64.b64encode("n:ö:".encode()).decode()),
        ("{username: n}", None),
        ("{tokenFile: t/token, token: abc}", "Bearer of-a-file"),
        ("&x {token: &y abc}", "Bearer abc"),
        ("{}", None),
        ("null", None),
    ],
)
def test_who_we_are(tmp_path: Path, user: str, authorization: str | None) -> None:
    written(tmp_path / "t/token", "of-a-file\n")
    assert locate(environment=config(tmp_path, user)).credentials.current().authorization == authorization


def test_who_we_are_is_read_anew(tmp_path: Path) -> None:
    """Whoever logs in again, writes it there."""
    credentials = locate(environment=config(tmp_path, "{token: old}")).credentials
    first = credentials.current()
    config(tmp_path, "{token: new}")
    assert credentials.current() is first
    assert credentials.renew(first).authorization == "Bearer new"


def test_a_certificate_of_ours(tmp_path: Path) -> None:
    content = (KEYS / "client.pem").read_text()
    cut = content.index("-----BEGIN PRIVATE") if "-----BEGIN PRIVATE" in content else content.index("-----BEGIN EC")
    parts = {"certificate": content[:cut], "key": content[cut:]}
    for name, part in parts.items():
        written(tmp_path / name, part)
    encoded = {name: base64.b64encode(part.encode()).decode() for name, part in parts.items()}
    files = "client-certificate: certificate, client-key: key"
    data = f"client-certificate-data: {encoded['certificate']}, client-key-data: {encoded['key']}"
    for user in (f"{{{files}}}", f"{{{data}}}", f"{{{data}, client-key: /nonexistent}}"):
        with Server(said(b"{}"), ca="ca") as server:
            authority = base64.b64encode(CA).decode()
            cluster = f"server: '{server.url}', certificate-authority-data: {authority}"
            with Api(locate(environment=config(tmp_path, user, cluster))) as api:
                assert api.call("GET", "/", patience=0) == {}
    assert "takes both" in unavailable(config(tmp_path, "{client-key: key}")).obstacle


@pytest.mark.parametrize(
    ("user", "cluster", "obstacle"),
    [
        (f"{{token: [{SECRET}]}}", "", "token is not text"),
        (f'{{token: "a\\n{SECRET}"}}', "", "the token of the user 'u' is none"),
        (f"{{token: é{SECRET}}}", "", "the token of the user 'u' is none"),
        ("{tokenFile: nowhere}", "", "cannot be read"),
        (f'{{tokenFile: "\\0{SECRET}"}}', "", "cannot be read"),
        (f"{{client-key-data: '!{SECRET}'}}", "", "client-key-data is not base64"),
        (f"{{exec: {SECRET}}}", "", "exec is not a mapping"),
        (f"{{exec: {{args: [{SECRET}]}}}}", "", "exec has no command"),
        (f'{{as: "a\\n{SECRET}"}}', "", "cannot be sent"),
        ("{as-groups: ['\u00e9']}", "", "cannot be sent"),
        (f'{{client-certificate: "-----BEGIN\\n{SECRET}", client-key: x}}', "", "cannot be read"),
        (f"{{client-certificate: {'A' * 400}{SECRET}, client-key: x}}", "", "cannot be read"),
        (f"{{as-groups: {SECRET}}}", "", "as-groups is not a list"),
        (f"{{as-user-extra: {{a: {SECRET}}}}}", "", "as-user-extra is not"),
        ("{}", f"server: 'https://me:{SECRET}@host'", "server is not an address"),
        ("{}", f"server: 'ftp://{SECRET}'", "server is not an address"),
        ("{}", "server: 'https://h:99999'", "server is not an address"),
        ("{}", "server: ''", "server is not an address"),
        ("{}", "server: {}", "server is not text"),
        ("{}", f"proxy-url: 'https://me:{SECRET}@host'", "proxy-url is neither"),
        ("{}", f"insecure-skip-tls-verify: {SECRET}", "insecure-skip-tls-verify is neither"),
        ("{}", f"certificate-authority-data: '{SECRET}'", "certificate-authority-data is not base64"),
        ("{}", "certificate-authority: /nonexistent/ca", "/nonexistent/ca: No such file"),
        ("{}", "certificate-authority: .", "Is a directory"),
    ],
)
def test_what_is_wrong_is_named_and_not_shown(tmp_path: Path, user: str, cluster: str, obstacle: str) -> None:
    error = unavailable(config(tmp_path, user, cluster))
    assert obstacle in error.obstacle
    assert SECRET not in f"{error}{error.remedy}{error.__cause__}"


@pytest.mark.parametrize(
    "content",
    [
        f"users:\n- {SECRET}: [",
        f"{SECRET}: *nothing",
        SECRET,
        f"[{SECRET}]",
        f"users: {SECRET}",
        f"users: [{SECRET}]",
        f"users: [{{name: {SECRET}, user: [x]}}]",
        f"users: [{{name: [{SECRET}], user: {{}}}}]",
        "[" * 100_000,
        "a: " + "{b: " * 5000,
        "a: &x [*x]",
        f"\0{SECRET}",
        f"&a [*a]: {SECRET}",
        "",
        "---\n...\n",
    ],
)
def test_what_is_no_kubeconfig(tmp_path: Path, content: str) -> None:
    error = unavailable({"KUBECONFIG": written(tmp_path / "config", content)})
    assert str(tmp_path / "config") in error.obstacle
    assert SECRET not in f"{error}{error.remedy}{error.__cause__}"


def test_a_kubeconfig_that_cannot_be_read(tmp_path: Path) -> None:
    assert "Is a directory" in unavailable({"KUBECONFIG": str(tmp_path)}).obstacle
    (tmp_path / "bytes").write_bytes(b"users: \xff\xfe" + SECRET.encode())
    assert SECRET not in str(unavailable({"KUBECONFIG": str(tmp_path / "bytes")}))
    with open(tmp_path / "large", "wb") as file:
        file.truncate(9 << 20)
    assert "is too large" in unavailable({"KUBECONFIG": str(tmp_path / "large")}).obstacle


PLAIN = st.none() | st.booleans() | st.text(max_size=8) | st.integers() | st.floats() | st.sampled_from(["c", "u"])
ANYTHING = st.recursive(
    PLAIN, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
)
USER = [
    "token",
    "username",
    "password",
    "as",
    "as-groups",
    "as-user-extra",
    "client-key-data",
    "client-certificate-data",
]
CLUSTER = ["certificate-authority-data", "proxy-url", "tls-server-name", "insecure-skip-tls-verify", "server"]


@st.composite
def documents(draw: st.DrawFn) -> Any:
    """Almost a kubeconfig: anything may stand where something else should, and secrets where secrets do."""
    values = ANYTHING | st.just(SECRET) | st.text(max_size=5).map(lambda text: f"{text}{SECRET}{text}")
    user = draw(st.dictionaries(st.sampled_from(USER), values))
    cluster: dict[str, Any] = {"server": "https://h", **draw(st.dictionaries(st.sampled_from(CLUSTER), values))}
    found = {
        "current-context": "x",
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": cluster}],
        "users": [{"name": "u", "user": user}],
    }
    if draw(st.booleans()):
        found[draw(st.sampled_from(list(found)))] = draw(ANYTHING)
    return found


@settings(deadline=None)  # it writes files
@given(documents())
def test_whatever_a_kubeconfig_holds_is_told_without_showing_it(
    tmp_path_factory: pytest.TempPathFactory, document: Any
) -> None:
    path = tmp_path_factory.mktemp("k") / "config"
    path.write_text(json.dumps(document))
    try:
        found = locate(environment={"KUBECONFIG": str(path)})
        identity = found.credentials.current()
    except BackendUnavailable as error:
        assert SECRET not in f"{error}{error.remedy}{error.__cause__}"  # noqa: PT017 - it may also be right
    else:
        assert SECRET not in f"{identity}{found.credentials}"
        assert isinstance(found, Access)


@settings(deadline=None)
@given(st.text() | st.text("[]{}:,&*!|>-'\"#%@ \n\tabc"))
@example("? [a]\n: b")
@example("!!python/object:os.system x")
@example("<<: [1]")
@example("2020-99-99")
@example("a: !!binary zz")
def test_whatever_a_kubeconfig_is_is_told(tmp_path_factory: pytest.TempPathFactory, content: str) -> None:
    path = tmp_path_factory.mktemp("k") / "config"
    path.write_bytes(content.encode(errors="surrogatepass"))
    unavailable({"KUBECONFIG": str(path)})


def test_as_whom(tmp_path: Path) -> None:
    user = "{as: someone, as-uid: '7', as-groups: [a, b], as-user-extra: {a/b: [x, y]}}"
    assert locate(environment=config(tmp_path, user)).headers == (
        ("Impersonate-User", "someone"),
        ("Impersonate-Uid", "7"),
        ("Impersonate-Group", "a"),
        ("Impersonate-Group", "b"),
        ("Impersonate-Extra-a%2Fb", "x"),
        ("Impersonate-Extra-a%2Fb", "y"),
    )


@pytest.mark.parametrize(
    ("server", "address"),
    [
        ("https://host", "https://host"),
        ("https://host:8443/k8s/clusters/c-1/", "https://host:8443/k8s/clusters/c-1"),
        ("host:6443", "https://host:6443"),
        ("http://127.0.0.1:8001", "http://127.0.0.1:8001"),
        ("https://[::1]:6443", "https://[::1]:6443"),
    ],
)
def test_addresses_of_servers(tmp_path: Path, server: str, address: str) -> None:
    assert locate(environment=config(tmp_path, cluster=f"server: '{server}'")).server == address


def test_what_else_a_cluster_says(tmp_path: Path) -> None:
    cluster = "tls-server-name: other, insecure-skip-tls-verify: true, certificate-authority: /nonexistent"
    found = locate(environment=config(tmp_path, cluster=cluster))
    assert (found.server_name, found.verify, found.authority) == ("other", False, None)


def test_proxies(tmp_path: Path) -> None:
    own = config(tmp_path, cluster="proxy-url: 'socks5://127.0.0.1'")
    assert locate(environment={**own, "HTTPS_PROXY": "http://no"}).proxy == Proxy("socks5", "127.0.0.1", 1080)
    environment = config(tmp_path)
    proxied = {**environment, "https_proxy": "http://me:w%40rd@proxy:3128"}
    assert locate(environment=proxied).proxy == Proxy("http", "proxy", 3128, "me", "w@rd")
    assert locate(environment={**proxied, "NO_PROXY": "10.0.0.0/8"}).proxy is None
    assert locate(environment={**environment, "HTTP_PROXY": "http://proxy"}).proxy is None
    error = unavailable({**environment, "HTTPS_PROXY": f"https://me:{SECRET}@proxy"})
    assert "HTTPS_PROXY names no proxy" in error.obstacle
    assert SECRET not in str(error)


def program(path: Path, body: str) -> str:
    """A program that logs in; its name."""
    content = f"#!{sys.executable}\nimport json, os, sys\nasked = json.loads(os.environ['KUBERNETES_EXEC_INFO'])\n"
    written(path / "login", content + textwrap.dedent(body)).encode()
    (path / "login").chmod(0o755)
    return "./login"


def answering(status: str) -> str:
    kind = "{'apiVersion': asked['apiVersion'], 'kind': 'ExecCredential', 'status': status}"
    return f"status = {status}\nprint(json.dumps({kind}))\n"


EXEC = "{{exec: {{apiVersion: client.authentication.k8s.io/v1, command: {}, args: [a, 1], {}}}}}"


def test_a_program_logs_in(tmp_path: Path) -> None:
    body = "assert sys.argv[1:] == ['a', '1'] and os.environ['WORD'] == 'x', sys.argv\n"
    name = program(tmp_path, body + answering("{'token': 'of-a-program'}"))
    found = locate(environment=config(tmp_path, EXEC.format(name, "env: [{name: WORD, value: x}]")))
    assert found.credentials.is_slow
    assert found.credentials.at_hand() is None
    assert found.credentials.current() == Identity("Bearer of-a-program") == found.credentials.at_hand()


def test_a_program_is_told_of_the_cluster(tmp_path: Path) -> None:
    body = "cluster = asked['spec']['cluster']\n"
    name = program(tmp_path, body + answering("{'token': cluster['server'] + cluster['certificate-authority-data']}"))
    (tmp_path / "ca").write_bytes(b"abc")
    user = EXEC.format(name, "provideClusterInfo: true")
    found = locate(environment=config(tmp_path, user, "certificate-authority: ca"))
    assert found.credentials.current().authorization == "Bearer https://10.0.0.1:6443YWJj"


def test_a_program_gives_a_certificate_which_is_on_no_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    content = (KEYS / "client.pem").read_text()
    cut = content.rindex("-----BEGIN")
    status = f"{{'clientCertificateData': {content[:cut]!r}, 'clientKeyData': {content[cut:]!r}}}"
    with Server(said(b"{}"), ca="ca") as server:
        cluster = f"server: '{server.url}', certificate-authority-data: {base64.b64encode(CA).decode()}"
        user = EXEC.format(program(tmp_path, answering(status)), "")
        with Api(locate(environment=config(tmp_path, user, cluster))) as api:
            assert api.call("GET", "/", patience=0) == {}
    assert list((tmp_path / "tmp").iterdir()) == []


def test_a_program_is_asked_again_when_its_time_is_over(tmp_path: Path) -> None:
    body = f"open({str(tmp_path / 'count')!r}, 'a').write('x')\nnumber = os.path.getsize({str(tmp_path / 'count')!r})\n"
    for stamp, again in (("2001-01-01T00:00:00Z", 2), ("2101-01-01T00:00:00Z", 3), ("", 4)):
        name = program(tmp_path, body + answering(f"{{'token': f't{{number}}', 'expirationTimestamp': {stamp!r}}}"))
        credentials = locate(environment=config(tmp_path, EXEC.format(name, ""))).credentials
        credentials.current()
        assert credentials.current().authorization == f"Bearer t{again}"


@pytest.mark.parametrize(
    ("body", "obstacle"),
    [
        ("print('please log in: ' + 'x' * 500 + ' run: aws sso login', file=sys.stderr); sys.exit(3)", "aws sso login"),
        ("sys.exit(3)", "login, which the user 'u' logs in with, fails: exec: process returned 3"),
        ("print('no json')", "failed to decode"),
        ("print('{}')", "malformed response"),
        ("print('[]')", "malformed response"),
        (answering("{}"), "gives neither a token nor a certificate"),
        (answering("'x'"), "gives neither a token nor a certificate"),
        (answering("{'clientKeyData': 'x'}"), "gives neither a token nor a certificate"),
        (answering(f"{{'token': '{SECRET}' + chr(10) + 'x'}}"), "the token of a program is none"),
    ],
)
def test_a_program_that_fails(tmp_path: Path, body: str, obstacle: str) -> None:
    error = unavailable(config(tmp_path, EXEC.format(program(tmp_path, body), "")))
    assert obstacle in error.obstacle
    assert len(error.obstacle) < 450
    assert SECRET not in f"{error}{error.__cause__}"
    assert error.remedy in {"kubectl get namespaces --context here", "kubectl config view"}


def test_a_program_that_is_not_there(tmp_path: Path) -> None:
    for name in ("no-such-program", "./no-such-program"):
        error = unavailable(config(tmp_path, EXEC.format(name, "")))
        assert error.obstacle == "there is no program 'no-such-program', which the user 'u' logs in with"
        assert error.remedy == "kubectl get namespaces --context here"


def test_a_program_that_hangs_does_not_keep_us(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "started")
    name = program(
        tmp_path,
        f"import signal\nopen({str(tmp_path / 'started')!r}, 'w').write(str(os.getpid()))\nsignal.pause()\n",
    )
    api = Api(locate(environment=config(tmp_path, EXEC.format(name, ""))))
    pids: list[int] = []
    ended: list[float] = []

    def end() -> None:
        pids.append(int((tmp_path / "started").read_text()))
        ended.append(time.monotonic())
        api.close()

    thread = threading.Thread(target=end)
    thread.start()
    try:
        with pytest.raises(Stopped):
            api.call("GET", "/")
        assert time.monotonic() - ended[0] < 5
    finally:
        thread.join(10)
        for pid in pids:
            os.kill(pid, 9)
        for each in threading.enumerate():
            if each.name == "credentials":
                each.join(10)


def test_a_provider_of_old_gives_its_token(tmp_path: Path) -> None:
    claims = base64.urlsafe_b64encode(b'{"exp": 4102444800}').decode().rstrip("=")
    token = f"e30.{claims}.x"
    user = f"{{auth-provider: {{name: oidc, config: {{id-token: {token}}}}}}}"
    found = locate(environment=config(tmp_path, user))
    assert found.credentials.is_slow
    assert found.credentials.current().authorization == f"Bearer {token}"


def test_a_provider_that_is_no_more(tmp_path: Path) -> None:
    user = "{auth-provider: {name: azure, config: {}}}"
    assert "gives no token" in unavailable(config(tmp_path, user)).obstacle
    user = "{auth-provider: {name: oidc}}"
    error = unavailable(config(tmp_path, user))
    assert error.remedy == "kubectl get namespaces --context here"
