"""What limit headers say of a provider's bucket, under each of their meanings. Plain calls, no loop."""

from __future__ import annotations

import math
from random import Random

import pytest

from flowpool.limits.header_bucket import HeaderBucket
from flowpool.values import LimitReading


def played(rate: float, capacity: float, limit: float, *, coarse: bool = False) -> HeaderBucket:
    """A gauge that saw a minute of readings of a bucket, sending as it lets."""
    random, gauge = Random(3), HeaderBucket("requests")
    level, at, now, total = capacity, 0.0, 0.37, 0
    gaps = 0.5 / rate
    while now < 60.0:
        wait = gauge.wait(1.0, now)
        now += max(wait, gaps * random.random())
        level = min(capacity, level + rate * (now - at))
        at = now
        assert level >= 1.0, f"overrun at {now:.2f} s"
        level -= 1.0
        gauge.take(1.0, now)
        total += 1
        reset = (capacity - level) / rate
        answered = now + 0.02
        told = math.ceil(now + reset) - math.floor(answered) if coarse else round(reset, 3)
        reading = LimitReading("requests", limit, math.floor(level), max(0.0, told), coarse)
        gauge.read(reading, now, (total, total), total, 1.0, answered)
        now = answered
    return gauge


@pytest.mark.parametrize(("rate", "depth"), [(10.0, 60.0), (10.0, 10.0), (20.0, 1.0)])
def test_a_limit_that_is_the_buckets_size_is_told_from_one_a_minute(
    rate: float, depth: float
) -> None:
    for limit in (rate * depth, rate * 60.0):
        gauge = played(rate, rate * depth, limit)
        assert gauge.rate == pytest.approx(rate, rel=0.03)


def test_whole_second_resets_are_no_more_exact_than_they_are() -> None:
    assert played(20.0, 200.0, 200.0, coarse=True).rate == pytest.approx(20.0, rel=0.05)


def test_a_changed_limit_header_is_learned_anew_at_once() -> None:
    gauge = HeaderBucket("requests")
    for limit, reset in ((600.0, 0.1), (300.0, 0.2)):
        reading = LimitReading("requests", limit, limit - 1, reset)
        gauge.read(reading, 1000.0 - limit, (1, 1), 1, 1.0, 1000.1 - limit)
        assert gauge.rate == pytest.approx(limit / 60.0, rel=0.2)


def test_nothing_is_held_back_before_a_reading() -> None:
    assert HeaderBucket("tokens").wait(1e9, 0.0) == 0.0
