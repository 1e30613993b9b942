"""The API server of a real cluster, as whoever may ask it."""

from __future__ import annotations

import base64
import json
import os
import threading
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from tests.cluster import kubectl
from willitcompile.backends.kubernetes.api import access as access_module
from willitcompile.backends.kubernetes.api.access import Access, locate
from willitcompile.backends.kubernetes.api.client import Api, ApiError, Unreachable
from willitcompile.backends.kubernetes.api.credentials import Credentials, Identity

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.kubernetes

WHO = "/apis/authentication.k8s.io/v1/selfsubjectreviews"


@pytest.fixture
def access(kubeconfig: str, namespace: str) -> Access:
    """As whoever the kubeconfig says: in a cluster of our own a client certificate."""
    return locate(namespace=namespace)


@pytest.fixture
def api(access: Access) -> Iterator[Api]:
    with Api(access) as api:
        yield api


@pytest.fixture
def account(namespace: str) -> Iterator[str]:
    name = "wic-test-somebody"
    kubectl("create", "serviceaccount", name, "--namespace", namespace)
    yield name
    kubectl("delete", "serviceaccount", name, "--namespace", namespace, "--ignore-not-found")


def token(account: str, namespace: str) -> str:
    return kubectl("create", "token", account, "--namespace", namespace).strip()


def with_user(access: Access, path: Path, user: dict[str, Any]) -> dict[str, str]:
    """The environment of a kubeconfig for the same server."""
    authority = base64.b64encode(access.authority or b"").decode()
    cluster = {"server": access.server, "certificate-authority-data": authority}
    document = {
        "current-context": "here",
        "contexts": [{"name": "here", "context": {"cluster": "c", "user": "u", "namespace": access.namespace}}],
        "clusters": [{"name": "c", "cluster": cluster}],
        "users": [{"name": "u", "user": user}],
    }
    (path / "config").write_text(json.dumps(document))
    return {"KUBECONFIG": str(path / "config")}


def whoami(api: Api) -> str:
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
    return str(api.call("POST", WHO, body=body)["status"]["userInfo"]["username"])


def test_objects_come_and_go(api: Api, namespace: str) -> None:
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    body = {"metadata": {"name": "of-a-test"}, "binaryData": {"x": base64.b64encode(bytes(100_000)).decode()}}
    created = api.call("POST", path, body=body)
    try:
        assert created["metadata"]["uid"]
        with pytest.raises(ApiError) as error:
            api.call("POST", path, body=body)
        assert (error.value.status, error.value.reason) == (409, "AlreadyExists")
        assert error.value.details["name"] == "of-a-test"
        patched = api.call("PATCH", f"{path}/of-a-test", body={"metadata": {"labels": {"a": "b"}}})
        assert patched["binaryData"] == body["binaryData"]
        listed = api.call("GET", path, {"labelSelector": "a in (b,c)"})
        assert [each["metadata"]["name"] for each in listed["items"]] == ["of-a-test"]
    finally:
        api.call("DELETE", f"{path}/of-a-test", body={"propagationPolicy": "Background"})
    with pytest.raises(ApiError) as error:
        api.call("GET", f"{path}/of-a-test")
    assert (error.value.status, error.value.reason) == (404, "NotFound")
    with pytest.raises(ApiError) as error:
        api.call("POST", path, body={"metadata": {"name": "Not A Name"}})
    assert (error.value.status, error.value.reason) == (422, "Invalid")
    assert api.requests == 7


def test_an_account_with_a_token(access: Access, account: str, tmp_path: Path) -> None:
    user = {"token": token(account, access.namespace)}
    with Api(locate(environment=with_user(access, tmp_path, user))) as api:
        assert whoami(api) == f"system:serviceaccount:{access.namespace}:{account}"
        with pytest.raises(ApiError) as error:
            api.call("GET", "/api/v1/nodes")
    assert (error.value.status, error.value.reason) == (403, "Forbidden")
    assert account in error.value.message


def test_the_account_of_a_pod(access: Access, account: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "token").write_text(token(account, access.namespace))
    (tmp_path / "namespace").write_text(access.namespace)
    (tmp_path / "ca.crt").write_bytes(access.authority or b"")
    monkeypatch.setattr(access_module, "SERVICE_ACCOUNT", str(tmp_path))
    split = urlsplit(access.server)
    inside = {"KUBERNETES_SERVICE_HOST": split.hostname or "", "KUBERNETES_SERVICE_PORT": str(split.port or 443)}
    with Api(locate(environment=inside)) as api:
        assert api.access.namespace == access.namespace
        assert whoami(api).endswith(f":{account}")


def test_a_token_that_is_no_longer_good_is_read_anew(access: Access, account: str, tmp_path: Path) -> None:
    # One that was never used: the server remembers for some seconds whom it has let in.
    old = token(account, access.namespace)
    kubectl("delete", "serviceaccount", account, "--namespace", access.namespace)
    kubectl("create", "serviceaccount", account, "--namespace", access.namespace)
    (tmp_path / "token").write_text(old)
    with Api(locate(environment=with_user(access, tmp_path, {"tokenFile": "token"}))) as api:
        with pytest.raises(ApiError) as error:
            whoami(api)
        assert (error.value.status, error.value.reason, api.requests) == (401, "Unauthorized", 1)
        with pytest.raises(ApiError) as error:
            api.socket("/api/v1/namespaces/x/pods/x/attach")
        assert error.value.status == 401
        (tmp_path / "token").write_text(token(account, access.namespace))
        before = api.requests
        assert whoami(api).endswith(f":{account}")
        assert api.requests == before + 2


def test_as_somebody_else(access: Access) -> None:
    with Api(access._replace(headers=(("Impersonate-User", "jane"), ("Impersonate-Group", "a")))) as api:
        assert whoami(api) == "jane"


def test_nobody(access: Access) -> None:
    with Api(access._replace(credentials=Credentials(Identity))) as api, pytest.raises(ApiError) as error:
        whoami(api)
    assert error.value.status in {401, 403}


def test_an_authority_that_is_not_the_clusters(access: Access) -> None:
    with Api(access._replace(authority=None)) as api, pytest.raises(Unreachable, match="certificate is not trusted"):
        api.call("GET", "/version")


def test_a_watch_tells_of_what_happens_and_is_ended_by_another_thread(api: Api, namespace: str) -> None:
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    version = api.call("GET", path)["metadata"]["resourceVersion"]
    query = {"watch": True, "resourceVersion": version, "fieldSelector": "metadata.name=watched"}
    stream = api.stream(path, query, seconds=30)
    told: list[dict[str, Any]] = []
    seen = threading.Event()

    def read() -> None:
        rest = b""
        for piece in stream:
            *lines, rest = (rest + piece).split(b"\n")
            told.extend(map(json.loads, lines))
            if told and told[-1]["type"] == "DELETED":
                seen.set()

    thread = threading.Thread(target=read)
    thread.start()
    try:
        api.call("POST", path, body={"metadata": {"name": "watched"}})
        api.call("DELETE", f"{path}/watched")
        assert seen.wait(20)
    finally:
        stream.close()
        thread.join(10)
    assert not thread.is_alive()
    assert [each["type"] for each in told] == ["ADDED", "DELETED"]


def test_a_watch_comes_to_its_end(api: Api, namespace: str) -> None:
    with api.stream(f"/api/v1/namespaces/{namespace}/pods", {"watch": True, "timeoutSeconds": 1}) as stream:
        list(stream)


@pytest.fixture
def pod(api: Api, namespace: str) -> Iterator[str]:
    """The path of a pod that runs, and waits for a source on its stdin."""
    security = {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "runAsNonRoot": True,
        "runAsUser": 1000,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    container = {
        "name": "only",
        "image": "will-it-compile/gcc:13",
        "imagePullPolicy": "IfNotPresent",
        "command": ["gcc", "-E", "-P", "-xc", "-"],
        "stdin": True,
        "stdinOnce": True,
        "securityContext": security,
    }
    spec = {"restartPolicy": "Never", "terminationGracePeriodSeconds": 0, "containers": [container]}
    pods = f"/api/v1/namespaces/{namespace}/pods"
    name = f"reads-{os.urandom(4).hex()}"
    api.call("POST", pods, body={"metadata": {"name": name}, "spec": spec})
    try:
        kubectl("wait", "--namespace", namespace, "--for=jsonpath={.status.phase}=Running", f"pod/{name}")
        yield f"{pods}/{name}"
    finally:
        api.call("DELETE", f"{pods}/{name}", {"gracePeriodSeconds": 0})


def test_a_pod_is_attached_to_and_its_log_followed(api: Api, pod: str) -> None:
    attached = api.socket(f"{pod}/attach", {"stdin": True, "stdout": True}, "v5.channel.k8s.io", seconds=30)
    logged: list[bytes] = []

    def follow() -> None:
        with api.stream(f"{pod}/log", {"follow": True}, seconds=60) as stream:
            logged.extend(stream)

    thread = threading.Thread(target=follow)
    thread.start()
    try:
        attached.send_binary(b"\0#define A(x) x x\nA(int)\n")
        attached.send_binary(b"\xff\0")
        answer = b""
        while piece := attached.recv():
            assert isinstance(piece, bytes)
            if piece[:1] == b"\1":
                answer += piece[1:]
            elif piece[:1] == b"\3":
                assert json.loads(piece[1:])["status"] == "Success"
                break
    finally:
        attached.shutdown()
        thread.join(30)
    assert not thread.is_alive()
    assert answer == b"int int\n"
    assert b"".join(logged) == answer


def test_a_log_that_says_nothing_is_given_up(api: Api, pod: str) -> None:
    from willitcompile.backends import CancelToken
    from willitcompile.backends.kubernetes.api.client import Stopped

    cancel = CancelToken()
    timer = threading.Timer(0.5, cancel.cancel)
    timer.start()
    with pytest.raises(Stopped), api.stream(f"{pod}/log", {"follow": True}, cancel=cancel, seconds=60) as stream:
        next(stream)
    timer.join()


def test_a_pod_that_is_not_there_is_not_attached_to(api: Api, namespace: str) -> None:
    with pytest.raises(ApiError) as error:
        api.socket(f"/api/v1/namespaces/{namespace}/pods/none/attach", {"stdin": True}, "v5.channel.k8s.io")
    assert (error.value.status, error.value.reason) == (404, "NotFound")
