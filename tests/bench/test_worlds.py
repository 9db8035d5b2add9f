"""The bench's own worlds: each refuses as it says, and its bound is what one who knows it takes."""

import heapq
from itertools import count

import pytest
from bench.servers.worlds import World, make_world

LATENCY = 0.2


def offer(world: World, rate: float, seconds: float) -> float:
    """The share that is refused of calls that come evenly, each answered before the next comes."""
    calls = int(rate * seconds)
    taken = 0
    for number in range(calls):
        if world.admits(number / rate):
            world.ended()
            taken += 1
    return 1 - taken / calls


def play(world: World, calls: int, pace: float, burst: int, most: int = 100) -> float:
    """Seconds that `calls` calls take: `burst` at once, then `pace` a second, at most so many in flight; refused
    ones go again in their turn."""
    ends: list[float] = []
    left, now = calls, 0.0
    for sent in count():
        now = max(now, (sent + 1 - burst) / pace)
        while ends and (ends[0] <= now or len(ends) >= most):
            now = max(now, heapq.heappop(ends))
            world.ended()
        if world.admits(now):
            heapq.heappush(ends, now + LATENCY)
            left -= 1
        if left == 0:
            return max(ends)
    raise AssertionError


@pytest.mark.parametrize("rate", [5.0, 500.0])
def test_chance_refuses_its_share_however_fast_the_calls_come(rate):
    assert offer(make_world("chance-10", 1), rate, 5000 / rate) == pytest.approx(0.1, abs=0.02)


def test_a_cap_refuses_what_is_over_it_in_flight_and_nothing_else():
    world = make_world("cap-20", 0)
    assert [world.admits(0.0) for _ in range(25)] == [True] * 20 + [False] * 5
    world.ended()
    assert world.admits(0.1)
    assert not world.admits(0.1)


def test_a_window_of_the_clock_is_full_until_the_next_begins():
    world = make_world("window-100-2", seed=1)  # the first call comes a third into a window
    assert sum(world.admits(0.0) for _ in range(150)) == 100
    assert not world.admits(1.3)
    assert world.admits(1.4)


def test_a_gateway_lets_through_what_its_keys_give_together():
    world = make_world("gateway-4-750", 0)
    assert offer(world, 500, 10) == pytest.approx(1 - 55 / 500, abs=0.02)


def test_shared_capacity_refuses_more_the_more_is_asked_for():
    shares = [offer(make_world("shared-50", 0), rate, 60) for rate in (25, 45, 75, 100, 200)]
    assert shares[:2] == [0, 0]
    assert shares[2:] == pytest.approx([1 / 3, 1 / 2, 3 / 4], abs=0.04)


@pytest.mark.parametrize(
    ("name", "calls", "pace", "burst", "most"),
    [
        ("calm", 600, 1e6, 1, 100),
        ("cap-20", 600, 1e6, 1, 20),
        ("window-100-2", 1200, 50, 100, 100),
        ("gateway-4-750", 1200, 52, 30, 100),
        ("shared-50", 1200, 51, 50, 100),
    ],
)
def test_one_who_knows_the_world_takes_its_bound(name, calls, pace, burst, most):
    world = make_world(name, 0)
    bound = world.bound(calls, LATENCY)
    assert bound * 0.99 <= play(world, calls, pace, burst, most) <= bound * 1.1
