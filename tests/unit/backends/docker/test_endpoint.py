"""Where a daemon is looked for."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from willitcompile.backends.docker.endpoint import endpoints
from willitcompile.errors import BackendUnavailable

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("host", "found"),
    [
        ("unix:///run/docker.sock", ("unix", "/run/docker.sock", "", 0)),
        ("/run/docker.sock", ("unix", "/run/docker.sock", "", 0)),
        ("tcp://10.0.0.1", ("tcp", "", "10.0.0.1", 2375)),
        ("10.0.0.1:1234", ("tcp", "", "10.0.0.1", 1234)),
        ("tcp://[::1]:2375", ("tcp", "", "::1", 2375)),
        ("https://build.example.org", ("tcp", "", "build.example.org", 2376)),
        ("ssh://me@build.example.org", ("ssh", "", "me@build.example.org", 0)),
        ("ssh://me@[::1]:2222/run/d.sock", ("ssh", "/run/d.sock", "me@::1", 2222)),
    ],
)
def test_a_host(host: str, found: tuple[str, str, str, int]) -> None:
    (endpoint,) = endpoints({"DOCKER_HOST": host})
    assert (endpoint.scheme, endpoint.path, endpoint.host, endpoint.port) == found
    assert endpoint.named


@pytest.mark.parametrize("host", ["unix://", "ftp://x", "tcp://a b", "tcp://x:70000", "ssh://", "ssh://:22", "x\0y"])
def test_what_names_no_daemon(host: str) -> None:
    with pytest.raises(BackendUnavailable) as error:
        endpoints({"DOCKER_HOST": host})
    assert "DOCKER_HOST" in error.value.obstacle


@given(st.text(min_size=1))
def test_whatever_is_in_docker_host(host: str) -> None:
    try:
        (endpoint,) = endpoints({"DOCKER_HOST": host})
    except BackendUnavailable:
        return
    assert 0 <= endpoint.port <= 65535
    assert endpoint.url


def test_the_usual_places_without_any_setting(tmp_path: Path) -> None:
    found = endpoints({"HOME": str(tmp_path), "XDG_RUNTIME_DIR": "/run/user/7"})
    assert [each.path for each in found][:2] == ["/var/run/docker.sock", "/run/user/7/docker.sock"]
    assert not any(each.named for each in found)


def test_certificates_are_for_tcp(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").touch()
    settings = {"DOCKER_CERT_PATH": str(tmp_path), "DOCKER_TLS_VERIFY": "1"}
    (far,) = endpoints({**settings, "DOCKER_HOST": "tcp://10.0.0.1"})
    assert far.tls == (str(tmp_path / "ca.pem"), None, None, True)
    assert far.port == 2376
    (near,) = endpoints({**settings, "DOCKER_HOST": "unix:///run/docker.sock"})
    assert near.tls is None


def _write_context(configuration: Path, name: str, document: object) -> None:
    meta = configuration / "contexts" / "meta" / hashlib.sha256(name.encode()).hexdigest()
    meta.mkdir(parents=True)
    (meta / "meta.json").write_text(json.dumps(document))


def test_a_context(tmp_path: Path) -> None:
    _write_context(tmp_path, "far", {"Endpoints": {"docker": {"Host": "ssh://me@far", "SkipTLSVerify": False}}})
    (tmp_path / "config.json").write_text('{"currentContext": "far"}')
    for settings in ({}, {"DOCKER_CONTEXT": "far"}):
        (endpoint,) = endpoints({"DOCKER_CONFIG": str(tmp_path), **settings})
        assert (endpoint.url, endpoint.origin) == ("ssh://me@far", "the context 'far'")
    # As the docker command has it.
    (endpoint,) = endpoints({"DOCKER_CONFIG": str(tmp_path), "DOCKER_HOST": "tcp://here", "DOCKER_CONTEXT": "far"})
    assert endpoint.host == "here"
    (endpoint,) = endpoints({"DOCKER_CONFIG": str(tmp_path), "DOCKER_CONTEXT": "default"})
    assert endpoint.path == "/var/run/docker.sock"


@pytest.mark.parametrize("document", [{}, [], {"Endpoints": []}, {"Endpoints": {"docker": None}}, None])
def test_a_context_that_says_nothing(tmp_path: Path, document: object) -> None:
    _write_context(tmp_path, "far", document)
    with pytest.raises(BackendUnavailable) as error:
        endpoints({"DOCKER_CONFIG": str(tmp_path), "DOCKER_CONTEXT": "far"})
    assert error.value.exit_code == 3


@pytest.mark.parametrize("text", ["", "[]", "{", '{"currentContext": 7}', '{"currentContext": ""}', "[" * 100_000])
def test_a_configuration_that_makes_no_sense_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.json").write_text(text)
    assert not any(each.named for each in endpoints({"DOCKER_CONFIG": str(tmp_path)}))
