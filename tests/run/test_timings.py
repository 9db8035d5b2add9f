"""Where the time of calls went, in sum: what is kept of it, and how exact that is."""

from __future__ import annotations

import threading
from math import ceil
from random import Random

import pytest
from msgspec.structs import astuple

from flowpool.calls.flow import MOST_PENDING
from flowpool.run.sample import TimeSpread
from flowpool.run.timings import Histogram, Timings
from flowpool.values import Timing

STEP = 2 ** (1 / Histogram.STEPS)


def exactly(values: list[float], share: float) -> float:
    """The percentile of these values, by the nearest rank."""
    return sorted(values)[ceil(share * len(values)) - 1]


def spread_of(values: list[float]) -> TimeSpread:
    histogram = Histogram()
    histogram.add(values)
    return histogram.spread(len(values))


def attempt(seconds: float, **timing: float) -> tuple[float, ...]:
    """An attempt as whoever made it adds it."""
    return (seconds, *astuple(Timing(**timing)))


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


@pytest.mark.parametrize("seconds", [5e-324, 1e-9, 0.9999, 1.0, 1.0001, 1e7, 1.7e308])
def test_it_is_as_exact_for_the_shortest_and_the_longest(seconds) -> None:
    spread = spread_of([seconds])
    assert (spread.count, spread.total) == (1, seconds)
    assert spread.p50 == pytest.approx(seconds, rel=0.05) or seconds < 1e-300


def test_it_takes_no_more_memory_however_much_is_added() -> None:
    histogram = Histogram()
    random = Random(1)
    for _ in range(100):
        histogram.add([10.0 ** random.uniform(-6, 6) for _ in range(1000)])
    assert len(histogram._counts) < 330


def test_each_attempt_of_a_lane_counts_for_each_of_its_kinds() -> None:
    timings = Timings()
    calls, functions = timings.open("a", "reading"), timings.open("b", "own_code")
    calls += attempt(3.0, limit_wait=5.0, connect=0.5, first_byte=1.5)
    calls += attempt(1.0)
    functions += attempt(2.0, backoff=4.0)
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
    timings.open("a", "reading").extend(attempt(1.0, first_byte=1.0))
    timings.open("b", "reading")  # nobody used it
    assert list(timings.spreads()) == ["a"]
    assert list(timings.spreads()["a"]) == ["first_byte"]


def test_looks_from_other_threads_lose_no_attempt() -> None:
    timings = Timings()
    pending = timings.open("a", "reading")
    rounds = 20_000

    def look() -> None:
        while not is_over:
            timings.spreads()

    is_over = False
    looking = [threading.Thread(target=look) for _ in range(3)]
    for thread in looking:
        thread.start()
    for _ in range(rounds):
        pending += attempt(1.0)
        if len(pending) >= MOST_PENDING:
            timings.sum_up()
    is_over = True
    for thread in looking:
        thread.join()
    assert astuple(timings.spreads()["a"]["reading"])[:2] == (rounds, float(rounds))


def test_no_percentile_is_longer_than_the_longest() -> None:
    histogram = Histogram()
    histogram.add([1.0, 0.001])
    spread = histogram.spread(2)
    assert spread.p99 == 1.0 < spread.total
