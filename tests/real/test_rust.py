"""Crates without dependencies, each at editions older and newer than its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.real.agreement import Question, agreed
from tests.real.fetch import CRATES
from tests.real.mutations import MUTATIONS, mutate

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from willitcompile.backends.sandbox import SandboxBackend

    Copy = Callable[[str, str], Path]
    Open = Callable[[str, str], SandboxBackend]

pytestmark = pytest.mark.sandbox

MAIN = {"fnv": "lib.rs", "itoa": "src/lib.rs", "memchr": "src/lib.rs", "smallvec": "src/lib.rs"}


@pytest.mark.parametrize("isolation", ["namespaces", "landlock"])
@pytest.mark.parametrize("edition", ["2015", "2021"])
@pytest.mark.parametrize("crate", MAIN)
def test_a_crate_compiles(crate: str, edition: str, isolation: str, sandbox: Open, copied: Copy) -> None:
    """Its modules are files of their own, and nobody names them: memchr has 60."""
    copied("crates", f"{crate}-{CRATES[crate]}")
    verdict = agreed(Question((MAIN[crate],), "rustc", edition), sandbox(isolation, "rustc"))
    # memchr is of 2021, and uses what its prelude has.
    expected = "rejected" if (crate, edition) == ("memchr", "2015") else "compiled"
    assert verdict == {MAIN[crate]: expected}


@pytest.mark.parametrize("mutation", MUTATIONS)
@pytest.mark.parametrize("crate", MAIN)
def test_a_crate_made_wrong_is_rejected_alike(crate: str, mutation: str, sandbox: Open, copied: Copy) -> None:
    directory = copied("crates", f"{crate}-{CRATES[crate]}")
    mutate(directory / MAIN[crate], mutation)
    verdict = agreed(Question((MAIN[crate],), "rustc", "2021"), sandbox("namespaces", "rustc"))
    if mutation != "lost-token":
        assert verdict == {MAIN[crate]: "rejected"}


@pytest.mark.parametrize("mutation", MUTATIONS)
def test_a_module_made_wrong_rejects_its_crate(mutation: str, sandbox: Open, copied: Copy) -> None:
    directory = copied("crates", f"memchr-{CRATES['memchr']}")
    mutate(directory / "src/memmem/searcher.rs", mutation)
    agreed(Question(("src/lib.rs",), "rustc", "2021"), sandbox("namespaces", "rustc"))


def test_a_missing_module_rejects_its_crate(sandbox: Open, copied: Copy) -> None:
    directory = copied("crates", f"itoa-{CRATES['itoa']}")
    (directory / "src/udiv128.rs").unlink()
    verdict = agreed(Question(("src/lib.rs",), "rustc", "2018"), sandbox("namespaces", "rustc"))
    assert verdict == {"src/lib.rs": "rejected"}
