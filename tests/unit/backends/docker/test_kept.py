"""Which container may do another job, and that none is left when its check is over."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING, cast

from willitcompile.backends import CancelToken
from willitcompile.backends.docker.kept import MOST_IDLE, Kept

if TYPE_CHECKING:
    from willitcompile.backends.docker.channel import Container

FILES = {"a.c": b"int x;\n"}


class Used:
    """A container that has done a job."""

    def __init__(self) -> None:
        self.is_alive = True

    def alive(self) -> bool:
        return self.is_alive

    def hang_up(self) -> None:
        self.is_alive = False


def give(kept: Kept, check: CancelToken | None, files: dict[str, bytes] = FILES) -> Used | None:
    """One that has compiled them; None where it is not kept."""
    container = Used()
    return container if kept.give(check, "gcc", files, cast("Container", container)) else None


def kept_for(check: CancelToken) -> tuple[Kept, Used]:
    kept = Kept()
    kept.expect(check)
    container = give(kept, check)
    assert container
    return kept, container


def test_it_compiles_the_same_files_again_for_the_same_check_and_kind_alone() -> None:
    check, other = CancelToken(), CancelToken()
    kept, container = kept_for(check)
    kept.expect(other)
    assert kept.take(other, "gcc", FILES) is None
    assert kept.take(check, "clang", FILES) is None
    assert kept.take(check, "gcc", {"a.c": b"int y;\n"}) is None
    assert kept.take(check, "gcc", {**FILES, "b.h": b""}) is None
    assert kept.take(None, "gcc", FILES) is None
    assert kept.take(check, "gcc", dict(FILES)) is container
    assert kept.take(check, "gcc", FILES) is None


def test_one_of_a_check_that_was_not_announced_is_not_kept() -> None:
    assert give(Kept(), CancelToken()) is None
    assert give(Kept(), None) is None


def test_one_that_died_meanwhile_does_nothing_more() -> None:
    check = CancelToken()
    kept, container = kept_for(check)
    container.is_alive = False
    assert kept.take(check, "gcc", FILES) is None


def test_the_one_that_has_waited_longest_makes_room() -> None:
    check = CancelToken()
    kept, oldest = kept_for(check)
    later = [give(kept, check, {"a.c": str(number).encode()}) for number in range(MOST_IDLE)]
    assert not oldest.is_alive
    assert all(each and each.is_alive for each in later)
    assert kept.take(check, "gcc", FILES) is None


def test_those_of_a_check_that_is_over_are_ended() -> None:
    check = CancelToken()
    _, container = kept_for(check)
    del check
    gc.collect()
    assert not container.is_alive


def test_all_are_ended_when_it_is_closed_and_none_is_kept_any_more() -> None:
    check = CancelToken()
    kept, container = kept_for(check)
    kept.close()
    assert not container.is_alive
    assert give(kept, check) is None
