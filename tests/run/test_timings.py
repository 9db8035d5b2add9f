"""Where the time of calls went, in sum: what is kept of it, and how exact that is."""

from __future__ import annotations

import threading
from math import ceil
from random import Random

import pytest
from msgspec.structs import astuple

from flowpool.run.sample import TimeSpread
from flowpool.run.timings import Histogram, Timings
from flowpool.values import NO_TIMING, Timing

STEP = 2 ** (1 / Histogram.STEPS)


def exactly(values: list[float], share: float) -> float:
    """The percentile of these values, by the nearest rank."""
    return sorted(values)[ceil(share * len(values)) - 1]


def spread_of(values: list[float]) -> TimeSpread:
    histogram = Histogram()
    for value in values:
        if value:
            histogram.add(value)
    return histogram.spread(len(values))


@pytest.mark.parametrize("seed", range(20))
def test_a_percentile_is_within_half_a_step_of_what_it_was(seed) -> None:
    random = Random(seed)
    scale = 10.0 ** random.uniform(-4, 3)
    values = [random.lognormvariate(0.0, 1.5) * scale for _ in range(random.randint(1, 3000))]
    spread = spread_of(values)
    assert spread.count == len(values)
    assert spread.total == pytest.approx(sum(values))
    for share, seconds in ((0.5, spread.p50), (0.95, spread.p95), (0.99, spread.p99)):
        assert seconds == pytest.approx(exactly(values, share), rel=STEP**0.5 - 1 + 1e-9)


def test_a_step_is_less_than_a_tenth() -> None:
    assert STEP < 1.1


@pytest.mark.parametrize("zeros", [0, 49, 50, 94, 95, 98, 99])
def test_those_that_took_no_time_count_in_the_percentiles(zeros) -> None:
    values = [0.0] * zeros + [2.0] * (100 - zeros)
    spread = spread_of(values)
    for share, seconds in ((0.5, spread.p50), (0.95, spread.p95), (0.99, spread.p99)):
        assert seconds == pytest.approx(exactly(values, share), rel=0.05)


@pytest.mark.parametrize("seconds", [1e-12, 1e-6, 1e7, 1e300])
def test_what_is_beyond_the_scale_counts_at_its_end(seconds) -> None:
    spread = spread_of([seconds])
    assert (spread.count, spread.total) == (1, seconds)
    assert spread.p50 == pytest.approx(min(max(seconds, 1e-6), 1e-6 * 2**40), rel=0.1)


def test_it_takes_no_more_memory_however_much_is_added() -> None:
    few, many = Histogram(), Histogram()
    few.add(1.0)
    for number in range(10_000):
        many.add(1e-6 * 1.01**number)
    assert len(few._counts) == len(many._counts) == 320


def test_each_attempt_of_a_lane_counts_for_each_of_its_kinds() -> None:
    timings = Timings()
    timings.pending.append(
        ("a", "reading", 3.0, Timing(limit_wait=5.0, connect=0.5, first_byte=1.5))
    )
    timings.pending.append(("a", "reading", 1.0, NO_TIMING))
    timings.pending.append(("b", "own_code", 2.0, Timing(backoff=4.0)))
    spreads = timings.spreads()
    assert {name: list(kinds) for name, kinds in spreads.items()} == {
        "a": ["limit_wait", "connect", "first_byte", "reading"],
        "b": ["backoff", "own_code"],
    }
    assert {kind: (one.count, one.total) for kind, one in spreads["a"].items()} == {
        "limit_wait": (2, 5.0),
        "connect": (2, 0.5),
        "first_byte": (2, 1.5),
        "reading": (2, 2.0),  # 1.0 of the first one's seconds, and all of the second's
    }
    assert spreads["a"]["limit_wait"].p50 == 0.0


def test_what_took_no_time_in_any_attempt_is_left_out() -> None:
    timings = Timings()
    timings.pending.append(("a", "reading", 1.0, Timing(first_byte=1.0)))
    assert list(timings.spreads()["a"]) == ["first_byte"]


def test_attempts_and_looks_from_several_threads_lose_none() -> None:
    timings = Timings()
    rounds, threads = 3000, 3

    def attempt() -> None:
        for _ in range(rounds):
            timings.pending.append(("a", "reading", 1.0, NO_TIMING))
            if len(timings.pending) >= timings.MOST:
                timings.sum_up()

    def look() -> None:
        for _ in range(200):
            timings.spreads()

    working = [threading.Thread(target=attempt) for _ in range(threads)]
    working += [threading.Thread(target=look) for _ in range(threads)]
    for thread in working:
        thread.start()
    for thread in working:
        thread.join()
    reading = timings.spreads()["a"]["reading"]
    assert astuple(reading)[:2] == (rounds * threads, float(rounds * threads))
