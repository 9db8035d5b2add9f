from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowpool.simulator import Profile
from flowpool.simulator.limits import Bucket, ProviderLimits


def test_a_bucket_refills_at_its_rate_and_no_further_than_full() -> None:
    bucket = Bucket(rate=2.0, capacity=10.0, now=0.0)
    bucket.level = 0.0
    bucket.refill(3.0)
    assert bucket.level == 6.0
    bucket.refill(100.0)
    assert bucket.level == 10.0


def test_a_bucket_says_how_long_until_it_can_pay() -> None:
    bucket = Bucket(rate=2.0, capacity=10.0, now=0.0)
    bucket.level = 4.0
    assert bucket.wait(4.0) == 0.0
    assert bucket.wait(6.0) == 1.0
    assert bucket.wait(11.0) == math.inf


def test_a_refused_request_takes_nothing_from_any_bucket() -> None:
    limiter = ProviderLimits(Profile(rpm=60, input_tpm=600), now=0.0)
    assert limiter.admit(0.0, 500, None) is None
    refusal = limiter.admit(0.0, 200, None)
    assert refusal is not None
    assert refusal.dimension == "input-tokens"
    assert refusal.wait == pytest.approx(10.0)
    assert [state.remaining for state in limiter.states()] == [59, 100]


def test_a_header_that_means_capacity_shows_the_bucket() -> None:
    limiter = ProviderLimits(Profile(rpm=600, depth=10), now=0.0)
    limiter.admit(0.0, 0, None)
    (state,) = limiter.states()
    assert (state.limit, state.remaining) == (100, 99)
    assert state.reset == pytest.approx(0.1)


def test_a_header_that_means_a_rate_shows_a_small_bucket_under_a_large_limit() -> None:
    limiter = ProviderLimits(Profile(rpm=3000, depth=1, meaning="rate"), now=0.0)
    limiter.admit(0.0, 0, None)
    (state,) = limiter.states()
    assert (state.limit, state.remaining) == (3000, 49)


def test_a_hidden_window_refuses_while_thousands_remain() -> None:
    limiter = ProviderLimits(Profile(rpm=6000, meaning="hidden", hidden_window=1), now=0.0)
    admitted = sum(limiter.admit(0.0, 0, None) is None for _ in range(200))
    (state,) = limiter.states()
    assert admitted == 100
    assert state.remaining == 5900
    assert limiter.admit(0.01, 0, None) is None


def test_a_header_of_the_day_hides_the_minutes_bucket() -> None:
    limiter = ProviderLimits(Profile(rpm=60, rpd=8640, depth=10), now=0.0)
    admitted = sum(limiter.admit(0.0, 0, None) is None for _ in range(50))
    (state,) = limiter.states()
    assert admitted == 10
    assert (state.limit, state.remaining) == (8640, 8630)
    assert state.reset == pytest.approx(100.0)


def test_reserved_tokens_are_the_larger_of_max_tokens_and_the_estimate() -> None:
    limiter = ProviderLimits(Profile(tpm=6000, charges="reserved"), now=0.0)
    limiter.admit(0.0, 100, 1000)
    limiter.admit(0.0, 500, 20)
    assert limiter.states()[0].remaining == 6000 - 1000 - 500
    limiter.produced(0.0, 4000)
    assert limiter.states()[0].remaining == 4500


def test_produced_tokens_overdraw_the_output_bucket_and_then_refuse() -> None:
    limiter = ProviderLimits(Profile(output_tpm=600), now=0.0)
    assert limiter.admit(0.0, 10, 50_000) is None
    limiter.produced(0.0, 700)
    refusal = limiter.admit(0.0, 10, None)
    assert refusal is not None
    assert refusal.wait == pytest.approx(10.0, abs=0.01)
    assert limiter.admit(10.1, 10, None) is None


@settings(max_examples=50, deadline=None)
@given(
    rpm=st.integers(1, 6000),
    depth=st.floats(0.5, 60),
    gaps=st.lists(st.floats(0, 5), min_size=1, max_size=200),
)
def test_no_window_admits_more_than_its_bucket_and_refill(rpm, depth, gaps) -> None:
    limiter = ProviderLimits(Profile(rpm=rpm, depth=depth), now=0.0)
    capacity = max(1.0, rpm / 60 * depth)
    now, admitted = 0.0, 0
    for gap in gaps:
        now += gap
        admitted += limiter.admit(now, 0, None) is None
        assert admitted <= capacity + now * rpm / 60 + 1e-3
