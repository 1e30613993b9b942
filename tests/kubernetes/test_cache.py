"""The cache in front of a cluster: only an image that is named by its digest is known for sure."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from tests.cluster import RUN
from tests.cluster.images import by_digest
from willitcompile.cache import Cache
from willitcompile.checker import run
from willitcompile.model import Verdict
from willitcompile.planning import CheckRequest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from willitcompile.backends import Backend

pytestmark = pytest.mark.kubernetes


def test_what_a_tag_means_is_compiled_each_time(opened: Callable[..., Backend], namespace: str, tmp_path: Path) -> None:
    request = CheckRequest(("-",), ("gcc-13",), language="c", stdin=b"int x;\n")
    with closing(Cache(str(tmp_path))) as cache:
        for _ in range(2):
            with closing(run(request, opened(namespace), cache=cache)) as results:
                assert [each.cached for each in results] == [False]


def test_what_a_digest_means_is_compiled_once(opened: Callable[..., Backend], namespace: str, tmp_path: Path) -> None:
    image = by_digest(RUN, "will-it-compile/gcc:13")
    request = CheckRequest(("-",), ("gcc-13",), language="c", stdin=b"int x = y;\n")
    seen = []
    for _ in range(2):
        with closing(Cache(str(tmp_path))) as cache:
            backend = opened(namespace, images=[f"gcc-13={image}"])
            with closing(run(request, backend, cache=cache)) as results:
                seen += results
    assert [each.cached for each in seen] == [False, True]
    assert seen[0].result == seen[1].result
    assert seen[0].verdict is Verdict.REJECTED


def test_a_digest_says_all_of_an_image(opened: Callable[..., Backend], namespace: str) -> None:
    digests = [f"registry.example.org/gcc@sha256:{digit * 64}" for digit in "12"]
    backends = [opened(namespace, images=[f"gcc-13={each}"]) for each in digests]
    one, two = (each.identity("gcc-13") for each in backends)
    assert one is not None
    assert one != two
    assert one.headers is None
    assert opened(namespace).identity("gcc-13") is None
