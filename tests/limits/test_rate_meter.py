"""How much goes through lately: looked at now and then, it is as if each call had been counted."""

from __future__ import annotations

from math import exp

import pytest

from flowpool.limits.rate_meter import RateMeter


def metered(meter: RateMeter, begin: float, end: float, rate: float, total: float = 0.0) -> float:
    """Plays `rate` calls a second from `begin` to `end`; gives their total."""
    for n in range(int((end - begin) * rate)):
        now = begin + n / rate
        if now >= meter.due:
            meter.see(now, (total,))
        total += 1.0
    return total


def test_nothing_is_known_before_the_first_call() -> None:
    assert RateMeter(2).rates(5.0, (0.0, 0.0)) == (0.0, 0.0)


@pytest.mark.parametrize("rate", [2.0, 50.0, 1000.0])
def test_a_steady_rate_is_seen_from_its_first_seconds_on(rate: float) -> None:
    for seconds in (2.0, 8.0, 60.0):
        meter = RateMeter(1)
        total = metered(meter, 0.0, seconds, rate)
        [seen] = meter.rates(seconds, (total,))
        assert seen == pytest.approx(rate, rel=0.05)


def test_reading_changes_nothing() -> None:
    meter = RateMeter(1)
    total = metered(meter, 0.0, 3.3, 20.0)
    assert meter.rates(4.0, (total,)) == meter.rates(4.0, (total,))


def test_what_stopped_fades_also_what_came_after_the_last_look() -> None:
    meter = RateMeter(1)
    meter.see(0.0, (0.0,))
    [soon], [late] = meter.rates(1.0, (300.0,)), meter.rates(61.0, (300.0,))
    assert late < 2.0 * exp(-6.0) * soon


def test_a_new_rate_takes_the_place_of_the_old() -> None:
    meter = RateMeter(1)
    total = metered(meter, 0.0, 60.0, 100.0)
    total = metered(meter, 60.0, 100.0, 10.0, total)
    [seen] = meter.rates(100.0, (total,))
    assert seen == pytest.approx(10.0, rel=0.25)


def test_it_is_due_once_a_second_at_most() -> None:
    meter = RateMeter(1)
    looks = 0
    for n in range(1000):
        if 0.01 * n >= meter.due:
            meter.see(0.01 * n, (float(n),))
            looks += 1
    assert looks <= 11
