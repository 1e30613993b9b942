"""The rate limit, by a clock that is set by hand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from willitcompile.server.ratelimit import AtOnce, RateLimit


class Clock:
    """Starts late, as a machine's does that has run for months."""

    def __init__(self) -> None:
        self.now = 5e6

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_as_many_as_the_burst_may_come_at_once_and_then_one_by_one(clock: Clock) -> None:
    limit = RateLimit(10, 10, clock)
    assert [limit.take("a") for _ in range(10)] == [0.0] * 10
    assert limit.take("a") == pytest.approx(6)
    clock.now += 5
    assert limit.take("a") == pytest.approx(1)
    clock.now += 1
    assert limit.take("a") == 0
    assert limit.take("a") == pytest.approx(6)


def test_what_is_refused_costs_nothing(clock: Clock) -> None:
    limit = RateLimit(60, 1, clock)
    limit.take("a")
    for _ in range(1000):
        assert limit.take("a") == pytest.approx(1)
    clock.now += 1
    assert limit.take("a") == 0


def test_one_client_does_not_use_up_what_is_anothers(clock: Clock) -> None:
    limit = RateLimit(10, 1, clock)
    assert limit.take("192.0.2.1") == 0
    assert limit.take("192.0.2.1") > 0
    assert limit.take("192.0.2.2") == 0


def test_all_addresses_of_an_ipv6_network_of_64_bits_are_one_client(clock: Clock) -> None:
    limit = RateLimit(10, 1, clock)
    assert limit.take("2001:db8:1:2::1") == 0
    assert limit.take("2001:db8:1:2:ffff::") > 0
    assert limit.take("2001:db8:1:3::1") == 0


def test_a_rate_of_none_limits_nothing(clock: Clock) -> None:
    limit = RateLimit(0, 1, clock)
    assert not any(limit.take("a") for _ in range(1000))


@pytest.mark.parametrize(("per_minute", "burst"), [(-1, 1), (10, 0)])
def test_what_would_let_nobody_in_is_no_limit(per_minute: float, burst: int) -> None:
    with pytest.raises(ValueError, match="lets nobody in"):
        RateLimit(per_minute, burst)


def test_a_flood_of_clients_is_not_remembered_beyond_the_most(clock: Clock) -> None:
    limit = RateLimit(10, 10, clock, most_clients=100)
    for number in range(10_000):
        assert limit.take(str(number)) == 0
        assert len(limit._full_at) <= 100


def test_a_flood_of_clients_does_not_fill_an_empty_bucket(clock: Clock) -> None:
    limit = RateLimit(10, 10, clock, most_clients=100)
    while limit.take("greedy") == 0:
        pass
    for number in range(10_000):
        limit.take(str(number))
    assert limit.take("greedy") > 0


def test_clients_whose_buckets_are_full_again_are_forgotten_first(clock: Clock) -> None:
    limit = RateLimit(60, 10, clock, most_clients=100)
    for number in range(100):
        limit.take(f"old {number}")
    clock.now += 1
    limit.take("new")
    assert set(limit._full_at) == {"new"}


@given(
    per_minute=st.floats(0.1, 10_000),
    burst=st.integers(1, 50),
    pauses=st.lists(st.floats(0, 60), min_size=1, max_size=100),
)
def test_never_more_than_the_burst_and_what_was_saved_up(per_minute: float, burst: int, pauses: list[float]) -> None:
    clock = Clock()
    limit = RateLimit(per_minute, burst, clock)
    began, taken = clock.now, 0
    for pause in pauses:
        clock.now += pause
        wait = limit.take("a")
        taken += wait == 0
        assert taken <= burst + (clock.now - began) * per_minute / 60 + 1e-3
        if wait:
            clock.now += wait
            assert limit.take("a") == 0
            taken += 1


def test_a_client_has_so_many_requests_at_once_and_no_more() -> None:
    at_once = AtOnce(2)
    with at_once.request("2001:db8::1") as first, at_once.request("2001:db8::2") as second:
        assert first
        assert second
        for _ in range(3):  # what is refused does not count
            with at_once.request("2001:db8::3") as third:
                assert not third
        with at_once.request("192.0.2.1") as other:
            assert other
    with at_once.request("2001:db8::3") as again:
        assert again


def test_a_client_with_nothing_in_progress_is_forgotten_however_it_ended() -> None:
    at_once = AtOnce(1)
    with pytest.raises(KeyError), at_once.request("a"):
        raise KeyError
    for number in range(100):
        with at_once.request(str(number)), at_once.request(str(number)):
            pass
    assert not at_once._requests
