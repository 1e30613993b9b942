"""`minimum` of small programs agrees with the published tables, on each backend, for the versions that are there."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

from tests.backends import cluster_backend
from tests.real.dated import PROGRAMS, Dated
from willitcompile import minimum, planning
from willitcompile.backends import open_backend
from willitcompile.planning import CheckRequest
from willitcompile.ranges import order

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from willitcompile.backends import Backend
    from willitcompile.backends.sandbox import SandboxBackend
    from willitcompile.minimum.family import FamilyMinimum
    from willitcompile.model import Toolchain

IN_CLUSTER = ("gcc-12", "gcc-13", "gcc-14", "clang-19", "go-1.26", "rustc-1.85")
"""Some of the toolchains that are in the cluster of the tests."""
FOR_CLUSTER = (
    "concepts.cpp",
    "deducing_this.cpp",
    "format.cpp",
    "bit_int.c",
    "range_over_func.go",
    "async_closure.rs",
)


class Found(NamedTuple):
    """What `minimum` says of one compiler, in short."""

    standard: str | None
    version: str | None
    is_monotonic: bool


def minimum_of(
    programs: Sequence[Dated], backend: Backend, directory: Path, compilers: tuple[str, ...] = ()
) -> dict[tuple[str, str], tuple[FamilyMinimum, Dated]]:
    """By program and family."""
    paths = {str(directory / each.path): each for each in programs}
    for path, each in paths.items():
        Path(path).parent.mkdir()
        Path(path).write_text(each.text)
    request = CheckRequest(tuple(paths), compilers)
    sources = planning.find(request)
    planned = minimum.plan(request, sources, backend.toolchains(minimum.wanted(request, sources)), backend.name)
    said = minimum.run(request, backend, planned)
    return {
        (paths[each.source].file, family.family): (family, paths[each.source])
        for each in said
        for family in each.families
    }


def assert_as_published(found: dict[tuple[str, str], tuple[FamilyMinimum, Dated]]) -> None:
    expected, said = {}, {}
    for key, (family, program) in found.items():
        versions = [name.partition("-")[2] for name in family.toolchains]
        since = program.expected(family.family, versions)
        expected[key] = Found(*since, is_monotonic=True) if since else Found(None, None, is_monotonic=True)
        said[key] = Found(
            family.standard.first if family.standard else None,
            family.toolchain.first.partition("-")[2] if family.toolchain else None,
            family.is_monotonic,
        )
    assert said == expected


@pytest.mark.sandbox
def test_with_the_compilers_of_this_host(sandbox: Callable[[str, str], SandboxBackend], tmp_path: Path) -> None:
    """Those programs that one of them compiles."""
    backend = sandbox("namespaces", "gcc")
    here = backend.toolchains()
    found = minimum_of([each for each in PROGRAMS if each.expected_of(here) != {None}], backend, tmp_path)
    assert found
    assert_as_published(found)


@pytest.fixture(scope="module")
def docker(docker_host: str) -> Iterator[Backend]:
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("DOCKER_HOST", docker_host)
        backend = open_backend("docker")
    with backend:
        yield backend


@pytest.mark.docker
def test_with_every_image(docker: Backend, tmp_path: Path) -> None:
    """Those programs that tell these versions from each other: some compile them, and others do not."""
    here = docker.toolchains()
    oldest = [
        min((each for each in here if each.family == family), key=_age) for family in {each.family for each in here}
    ]
    programs = [each for each in PROGRAMS if each.expected_of(here) != each.expected_of(oldest)]
    assert len(programs) >= 30
    assert_as_published(minimum_of(programs, docker, tmp_path))


def _age(toolchain: Toolchain) -> tuple[int, ...]:
    return order(toolchain.version)


@pytest.mark.kubernetes
def test_in_a_cluster(kubeconfig: str, namespace: str, tmp_path: Path) -> None:
    programs = [each for each in PROGRAMS if each.file in FOR_CLUSTER]
    with cluster_backend(kubeconfig, namespace, cpu=2) as backend:
        found = minimum_of(programs, backend, tmp_path, IN_CLUSTER)
    assert {program for program, _ in found} == set(FOR_CLUSTER)
    assert_as_published(found)
