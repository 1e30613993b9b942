"""What the tests of the chart share: helm, and the image of the service in the cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

import pytest

from tests import cluster, daemon
from tests.chart import helm as helm_program
from tests.chart.helm import Helm
from tests.conftest import required

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture(scope="session")
def helm(tmp_path_factory: pytest.TempPathFactory, unavailable: Callable[[str, str, str], NoReturn]) -> Helm:
    """The helm that is there, else, where the tier is required, one that is built."""
    program = helm_program.found()
    if program is None and required() & {"all", "chart"}:
        try:
            program = helm_program.build()
        except OSError as error:
            unavailable("chart", "helm is neither on the PATH nor can it be built", f"install Go, or helm; {error}")
    if program is None:
        unavailable("chart", "there is no helm 3.18 or later", "install it; or with Go: WIC_REQUIRE=chart make test")
    return Helm(program, tmp_path_factory.mktemp("helm"))


@pytest.fixture(scope="session")
def loaded_image(
    request: pytest.FixtureRequest,
    _cluster: cluster.Cluster | None,
    unavailable: Callable[[str, str, str], NoReturn],
) -> str:
    """The image of the service, in the cluster: in somebody else's it has to be there."""
    if _cluster is None:
        return daemon.SERVICE
    image: str = request.getfixturevalue("service_image")
    try:
        _cluster.load(request.getfixturevalue("docker_host"), [image])
    except cluster.Unavailable as error:
        unavailable("kubernetes", error.why, error.remedy)
    return image
