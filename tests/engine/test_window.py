"""How many calls may be in flight: grown by answers, cut by throttles."""

from __future__ import annotations

from typing import Any

from flowpool.engine.window import AdaptiveWindow, FixedWindow
from flowpool.simulator import Fixed


def answered(window: AdaptiveWindow, count: int) -> None:
    for _ in range(count):
        window.answered(window.size)


def test_it_grows_by_one_an_answer_until_the_first_throttle() -> None:
    window = AdaptiveWindow(10, 1000)
    answered(window, 10)
    assert window.size == 20
    window.throttled(0.0, 1.0)
    assert window.size == 14
    answered(window, 14)
    assert window.size in (14, 15)


def test_a_throttle_cuts_once_an_episode() -> None:
    window = AdaptiveWindow(100, 1000)
    for sent in (0.0, 0.5, 0.9, 1.0):
        window.throttled(sent, 1.0)
    assert window.size == 70
    window.throttled(1.1, 2.0)
    assert window.size == 49


def test_it_keeps_between_one_and_its_ceiling() -> None:
    window = AdaptiveWindow(64, 50)
    answered(window, 100)
    assert window.size == 50
    for now in range(100):
        window.throttled(now + 0.5, now + 1.0)
    assert window.size == 1
    answered(window, 1)
    assert window.size == 2


def test_it_does_not_grow_while_half_of_it_is_idle() -> None:
    window = AdaptiveWindow(100, 1000)
    for _ in range(500):
        window.answered(49)
    assert window.size == 100


def test_a_fixed_window_stays() -> None:
    window = FixedWindow(7)
    window.answered(7)
    window.throttled(0.0, 1.0)
    assert window.size == 7


def test_a_pool_without_settings_widens_until_it_is_throttled(simulate) -> None:
    sim = simulate(latency=Fixed(1.0))
    sim.run(sim.pool(items=3000))
    assert sim.ledger.peak_in_flight > 500
    assert sim.seconds < 12


def test_places_come_just_above_what_fills_the_lanes(simulate) -> None:
    sim = simulate()
    read = []

    def rows() -> Any:
        for n in range(5000):
            read.append(n)
            yield {"text": str(n)}

    async def main() -> Any:
        pool = sim.pool(items=rows())
        stream = pool.astream()
        await anext(stream)
        seen, [lane] = len(read), pool.lanes
        await stream.aclose()
        return seen, lane.window.size

    seen, size = sim.run(main())
    assert seen <= 2 * size
