"""The cache in front of Docker: an answer belongs to the image that gave it."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from willitcompile.backends import Opening, Wanted, open_backend
from willitcompile.cache import Cache
from willitcompile.checker import run
from willitcompile.model import Verdict
from willitcompile.planning import CheckRequest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from willitcompile.model import CheckResult

pytestmark = [pytest.mark.docker, pytest.mark.usefixtures("docker_host")]


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cache]:
    monkeypatch.chdir(tmp_path)
    with closing(Cache(str(tmp_path))) as opened:
        yield opened


def check(cache: Cache, text: str, *images: str) -> CheckResult:
    request = CheckRequest(("-",), ("gcc-13",), language="c", stdin=text.encode())
    opening = Opening(wanted=Wanted(("gcc-13",), ("c",)), images=images)
    with open_backend("docker", opening) as backend, closing(run(request, backend, cache=cache)) as results:
        (result,) = results
    return result


@pytest.mark.parametrize(("text", "verdict"), [("int x;\n", Verdict.COMPILED), ("int 1;\n", Verdict.REJECTED)])
def test_an_answer_of_an_image_is_found_again(cache: Cache, text: str, verdict: Verdict) -> None:
    first, second = check(cache, text), check(cache, text)
    assert (first.cached, second.cached) == (False, True)
    assert second._replace(cached=False) == first
    assert second.verdict is verdict
    assert second.result.image


def test_another_image_is_another_compiler() -> None:
    with open_backend("docker", Opening(wanted=Wanted(("gcc-13",), ("c",)))) as backend:
        backend.toolchains(Wanted(("gcc-13",), ("c",)))
        mine = backend.identity("gcc-13")
    with open_backend("docker", Opening(wanted=Wanted(("gcc-12",), ("c",)))) as backend:
        backend.toolchains(Wanted(("gcc-12",), ("c",)))
        other = backend.identity("gcc-12")
    assert mine is not None
    assert other is not None
    assert mine != other
    assert mine.headers is None
