"""Which backend `auto` is, by what each of them says."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import TYPE_CHECKING

import pytest

from willitcompile import backends
from willitcompile.backends import Opening, Wanted, open_backend
from willitcompile.backends.fake import FakeBackend
from willitcompile.errors import BackendUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

ORDER = ("kubernetes", "docker", "sandbox")
"""In a pod."""
GCC = Opening(wanted=Wanted(("gcc",), ("c++",)))


class Stand(FakeBackend):
    """A backend with or without what is wanted."""

    def __init__(self, name: str, *, has: bool) -> None:
        super().__init__()
        self.name = name
        self.fetches = name != "sandbox"
        self._has = has

    def has(self, wanted: Wanted) -> bool:
        return self._has


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[Stand]]:
    """`machine(docker=True, sandbox=None)`: each has what is wanted, or not, or (None) is not there at all."""

    def set_up(**there: bool | None) -> list[Stand]:
        opened: list[Stand] = []
        table = {}
        for name, has in there.items():
            module = ModuleType(f"stands.{name}")

            def opener(opening: Opening, name: str = name, has: bool | None = has) -> Stand:
                assert opening.wanted == GCC.wanted
                if has is None:
                    raise BackendUnavailable(f"use {name}", f"there is no {name}", f"install {name}")
                opened.append(Stand(name, has=has))
                return opened[-1]

            module.open_backend = opener  # type: ignore[attr-defined]
            monkeypatch.setitem(sys.modules, module.__name__, module)
            table[name] = module.__name__
        monkeypatch.setattr(backends, "BACKENDS", table)
        return opened

    return set_up


@pytest.mark.parametrize(
    ("there", "chosen"),
    [
        ({"docker": True, "sandbox": True}, "docker"),
        ({"docker": False, "sandbox": True}, "sandbox"),
        ({"docker": True, "sandbox": False}, "docker"),
        # Neither has it: the first may fetch it.
        ({"docker": False, "sandbox": False}, "docker"),
        ({"docker": None, "sandbox": True}, "sandbox"),
        ({"docker": None, "sandbox": False}, "sandbox"),
        ({"docker": True, "sandbox": None}, "docker"),
        ({"docker": False, "sandbox": None}, "docker"),
    ],
)
def test_the_first_that_has_what_is_wanted(
    machine: Callable[..., list[Stand]], there: dict[str, bool | None], chosen: str
) -> None:
    opened = machine(**there)
    with open_backend("auto", GCC) as backend:
        assert backend.name == chosen
        assert [each.name for each in opened if not each.closed] == [chosen]


def test_what_is_not_there_is_told_of_each_with_what_mends_it(machine: Callable[..., list[Stand]]) -> None:
    machine(docker=None, sandbox=None)
    with pytest.raises(BackendUnavailable) as caught:
        open_backend("auto", GCC)
    assert caught.value.obstacle == "docker: there is no docker; sandbox: there is no sandbox"
    assert caught.value.remedy == "install docker or install sandbox"


def test_an_error_of_one_that_is_asked_closes_all(
    machine: Callable[..., list[Stand]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: Stand, wanted: Wanted) -> bool:
        raise RuntimeError

    opened = machine(docker=True, sandbox=True)
    monkeypatch.setattr(Stand, "has", broken)
    with pytest.raises(RuntimeError):
        open_backend("auto", GCC)
    assert all(each.closed for each in opened)


class TestKubernetes:
    """May be far away, or cost somebody money; but a pod is at home there."""

    @pytest.fixture
    def in_a_pod(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.96.0.1")
        (tmp_path / "token").touch()
        monkeypatch.setitem(backends.AT_HOME, "kubernetes", ("KUBERNETES_SERVICE_HOST", str(tmp_path / "token")))

    @pytest.mark.usefixtures("in_a_pod")
    @pytest.mark.parametrize(
        ("there", "chosen"),
        [
            ({"docker": True, "sandbox": True, "kubernetes": True}, "kubernetes"),
            ({"docker": True, "sandbox": True, "kubernetes": False}, "docker"),
            ({"docker": True, "sandbox": True, "kubernetes": None}, "docker"),
            ({"docker": False, "sandbox": False, "kubernetes": False}, "kubernetes"),
            ({"docker": None, "sandbox": None, "kubernetes": False}, "kubernetes"),
            ({"docker": None, "sandbox": True, "kubernetes": None}, "sandbox"),
        ],
    )
    def test_in_a_pod_it_is_the_first(
        self, machine: Callable[..., list[Stand]], there: dict[str, bool | None], chosen: str
    ) -> None:
        opened = machine(**there)
        with open_backend("auto", GCC) as backend:
            assert backend.name == chosen
            assert [each.name for each in opened][:1] == [next(name for name in ORDER if there[name] is not None)]
            assert [each.name for each in opened if not each.closed] == [chosen]

    @pytest.mark.parametrize(
        ("there", "chosen"),
        [
            ({"docker": None, "sandbox": None, "kubernetes": True}, "kubernetes"),
            ({"docker": None, "sandbox": None, "kubernetes": False}, "kubernetes"),
            ({"docker": None, "sandbox": False, "kubernetes": True}, "kubernetes"),
            ({"docker": None, "sandbox": False, "kubernetes": False}, "sandbox"),
            ({"docker": None, "sandbox": True, "kubernetes": True}, "sandbox"),
            ({"docker": True, "sandbox": True, "kubernetes": True}, "docker"),
        ],
    )
    def test_by_a_kubeconfig_it_is_the_last(
        self, machine: Callable[..., list[Stand]], there: dict[str, bool | None], chosen: str
    ) -> None:
        opened = machine(**there)
        with open_backend("auto", GCC) as backend:
            assert backend.name == chosen
            assert [each.name for each in opened if not each.closed] == [chosen]

    @pytest.mark.parametrize("docker", [True, False])
    @pytest.mark.parametrize("sandbox", [True, False, None])
    def test_a_kubeconfig_is_not_looked_at_while_docker_answers(
        self, machine: Callable[..., list[Stand]], docker: bool, sandbox: bool | None
    ) -> None:
        """Which can fetch what it has not."""
        opened = machine(docker=docker, sandbox=sandbox, kubernetes=True)
        with open_backend("auto", GCC) as backend:
            assert backend.name in {"docker", "sandbox"}
        assert "kubernetes" not in [each.name for each in opened]

    def test_images_that_came_with_the_sources_do_not_lead_to_a_cluster(
        self, machine: Callable[..., list[Stand]]
    ) -> None:
        opened = machine(docker=None, sandbox=False, kubernetes=True)
        with open_backend("auto", GCC._replace(may_go_elsewhere=False)) as backend:
            assert backend.name == "sandbox"
        assert "kubernetes" not in [each.name for each in opened]
        machine(docker=None, sandbox=None, kubernetes=True)
        with pytest.raises(BackendUnavailable):
            open_backend("auto", GCC._replace(may_go_elsewhere=False))

    def test_a_variable_alone_is_no_pod(
        self, machine: Callable[..., list[Stand]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.96.0.1")
        monkeypatch.setitem(backends.AT_HOME, "kubernetes", ("KUBERNETES_SERVICE_HOST", str(tmp_path / "token")))
        machine(docker=True, sandbox=True, kubernetes=True)
        with open_backend("auto", GCC) as backend:
            assert backend.name == "docker"

    def test_an_empty_variable_is_no_pod(
        self, machine: Callable[..., list[Stand]], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "")
        machine(docker=True, sandbox=True, kubernetes=True)
        with open_backend("auto", GCC) as backend:
            assert backend.name == "docker"

    def test_nothing_at_all_is_told_of_it_too(self, machine: Callable[..., list[Stand]]) -> None:
        machine(docker=None, sandbox=None, kubernetes=None)
        with pytest.raises(BackendUnavailable) as caught:
            open_backend("auto", GCC)
        assert caught.value.obstacle.endswith("kubernetes: there is no kubernetes")

    @pytest.mark.usefixtures("in_a_pod")
    def test_named_it_is_what_is_named(self, machine: Callable[..., list[Stand]]) -> None:
        machine(docker=True, sandbox=True, kubernetes=True)
        with open_backend("docker", GCC) as backend:
            assert backend.name == "docker"
