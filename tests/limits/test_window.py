"""How many calls may be in flight: found from latency, on servers that never say how many."""

from __future__ import annotations

import math
from collections.abc import Iterator
from statistics import mean, median

import pytest
from tests.limits.window_lab import (
    Draw,
    Outcome,
    Server,
    by_token,
    fixed,
    lognormal,
    run,
)

from flowpool.limits.window import AdaptiveWindow, FixedWindow
from flowpool.simulator import Fixed

DRAWS = {
    "fixed": fixed(),
    "a little spread": lognormal(0.3),
    "widely spread": lognormal(0.6),
    "by length": by_token(),
}


def adapt(server: Server, draw: Draw, seconds: float, seed: int = 0, **environment) -> Outcome:
    return run(AdaptiveWindow(16, 1000), server, draw, seconds, seed, **environment)


# Servers with slots and an endless queue.


@pytest.mark.parametrize("draw", list(DRAWS))
@pytest.mark.parametrize(("slots", "seeds"), [(4, 8), (16, 4), (64, 2), (256, 1)])
def test_slots_are_kept_busy_and_the_queue_short(slots: int, seeds: int, draw: str) -> None:
    shares, ratios = [], []
    for seed in range(seeds):
        found = adapt(Server(slots), DRAWS[draw], 90, seed)
        best = run(FixedWindow(2 * slots), Server(slots), DRAWS[draw], 90, seed)
        knee = run(FixedWindow(slots), Server(slots), DRAWS[draw], 90, seed)
        shares.append(found.throughput(0, 90) / best.throughput(0, 90))
        ratios.append(found.latency(0, 90) / knee.latency(0, 90))
    assert mean(shares) >= 0.95
    assert mean(ratios) <= 1.5


def test_the_slots_of_a_small_server_are_found_within_seconds() -> None:
    found = adapt(Server(4), fixed(), 60)
    assert set(found.sizes_between(15, 60)) <= {4, 5}


@pytest.mark.parametrize(("before", "after"), [(16, 8), (64, 32), (256, 128)])
def test_when_slots_are_halved_throughput_stays_and_the_queue_shortens(
    before: int, after: int
) -> None:
    found = adapt(Server(before), lognormal(0.3), 160, changes=((60, after),))
    assert found.throughput(80, 160) >= 0.95 * after
    assert found.latency(120, 160) <= 1.5


@pytest.mark.parametrize("sigma", [0.3, 0.6])
def test_a_few_slots_that_are_halved_are_found_as_soon(sigma: float) -> None:
    runs = [adapt(Server(8), lognormal(sigma), 160, seed, changes=((60, 4),)) for seed in range(16)]
    assert mean(found.throughput(80, 160) for found in runs) >= (0.95 if sigma < 0.5 else 0.92) * 4
    assert mean(found.latency(80, 160) for found in runs) <= 1.5


@pytest.mark.parametrize(("before", "after"), [(4, 8), (16, 32), (64, 128), (256, 512)])
def test_when_slots_are_doubled_they_are_used_within_a_minute(before: int, after: int) -> None:
    found = adapt(Server(before), lognormal(0.3), 160, changes=((60, after),))
    assert found.throughput(120, 160) >= 0.95 * after
    assert found.latency(120, 160) <= 1.5


def test_beside_a_noisy_neighbour_it_takes_its_share_and_later_the_rest() -> None:
    found = adapt(Server(16), lognormal(0.3), 260, neighbour=(60, 120, 16))
    assert found.throughput(70, 120) >= 0.4 * 16
    assert found.throughput(140, 260) >= 0.95 * 16
    assert found.latency(200, 260) <= 1.6


def test_an_outage_does_not_cut_it() -> None:
    for seed in range(3):
        found = adapt(Server(64), lognormal(0.6), 120, seed, dead=(40, 70))
        assert found.throughput(72, 120) >= 0.95 * 64


# Servers that slow with every call.


@pytest.mark.parametrize("draw", ["fixed", "a little spread"])
@pytest.mark.parametrize("soft", [8, 32, 100])
def test_where_latency_rises_with_every_call_it_ends_where_more_bring_little(
    soft: int, draw: str
) -> None:
    # Of an endless number of calls in flight, 11.5 * soft bring 92 % of the throughput.
    found = adapt(Server(soft=soft), DRAWS[draw], 200)
    assert 0.8 * soft <= found.throughput(80, 200) <= 0.98 * soft
    assert median(found.sizes_between(120, 200)) < 20 * soft


def test_a_batching_server_is_filled_up_to_its_slots() -> None:
    found = adapt(Server(64, soft=100), lognormal(0.3), 120)
    assert found.throughput(30, 120) >= 0.95 * 64 / 1.64
    assert found.latency(30, 120) <= 1.5 * 1.64


# Providers without slots: it must not be in the limiter's way.


@pytest.mark.parametrize(("rate", "seconds"), [(10, 1.0), (50, 0.3), (100, 1.0), (500, 0.3)])
@pytest.mark.parametrize("sigma", [0.0, 0.6])
def test_it_holds_up_no_limiter(rate: float, seconds: float, sigma: float) -> None:
    draw = lognormal(sigma, seconds) if sigma else fixed(seconds)
    found = adapt(Server(), draw, 60, rate=rate)
    free = run(FixedWindow(1000), Server(), draw, 60, rate=rate)
    # It grows once nearly all answers of a width have come: some round trips later than without a limiter.
    assert found.throughput(0, 60) >= 0.965 * free.throughput(0, 60)


def test_it_opens_up_to_its_ceiling_while_answers_take_no_longer() -> None:
    window = AdaptiveWindow(16, 300)
    found = run(window, Server(), fixed(), 12, ramp=False)
    assert max(found.sizes) == window.size == 300


def test_it_does_not_grow_while_half_of_it_is_idle() -> None:
    found = adapt(Server(), lognormal(0.6), 60, rate=3)
    assert set(found.sizes) == {16}


def test_it_keeps_between_one_and_its_ceiling() -> None:
    assert AdaptiveWindow(64, 50).size == 50
    window = AdaptiveWindow(16, 50)
    assert max(run(window, Server(1), lognormal(0.6), 300).sizes) <= 50
    assert 1 <= window.size <= 3


def test_answers_that_take_no_time_or_come_in_one_moment_are_borne() -> None:
    window = AdaptiveWindow(16, 1000)
    for _ in range(200):
        window.answered(5.0, 5.0, 16, 16, 0)
    assert window.size >= 16
    for n in range(200):
        window.answered(6.0 + n, 5.0 + n, 1 + n % 3, 1, 10**6 * (n % 2))
    assert math.isfinite(window.size)


def test_a_fixed_window_stays() -> None:
    window = FixedWindow(7)
    window.answered(1.0, 0.0, 7, 7, 10)
    assert window.size == 7


# In a pool.


def test_a_pool_without_settings_widens_while_answers_take_no_longer(simulate) -> None:
    sim = simulate(latency=Fixed(1.0))
    sim.run(sim.pool(items=3000))
    assert sim.ledger.peak_in_flight > 500
    assert sim.seconds < 15


def test_places_come_just_above_what_fills_the_lanes(simulate) -> None:
    sim = simulate()
    read: list[int] = []

    def rows() -> Iterator[dict[str, str]]:
        for n in range(5000):
            read.append(n)
            yield {"text": str(n)}

    async def main() -> tuple[int, int]:
        pool = sim.pool(items=rows())
        stream = pool.astream()
        await anext(stream)
        seen, [lane] = len(read), pool.lanes
        await stream.aclose()
        return seen, lane.window

    seen, size = sim.run(main())
    assert seen <= 2 * size
