"""Capacity behind which others are, and capacity that changes."""

from __future__ import annotations

from random import Random

import pytest

from flowpool.worlds.gates import Gate
from flowpool.worlds.shared import (
    Gateway,
    Neighbours,
    SharedCapacity,
    SoftCapacity,
    WanderingBucket,
    WanderingCap,
    random_walk,
    step_to,
    wave,
)
from flowpool.worlds.values import Arrival

CALL = Arrival()


def offered(gate: Gate, rate: float, seconds: float = 100.0, start: float = 0.0) -> tuple[int, int]:
    """Calls admitted and refused when so many a second are offered."""
    passed = refused = 0
    for n in range(round(rate * seconds)):
        now = start + n / rate
        if gate.wait(now, CALL) == 0.0:
            gate.take(now, CALL)
            passed += 1
        else:
            refused += 1
    return passed, refused


def share(gate: Gate, rate: float) -> float:
    passed, refused = offered(gate, rate)
    return refused / (passed + refused)


@pytest.mark.parametrize("rate", [60.0, 100.0, 400.0])
def test_shared_capacity_refuses_at_random_what_is_beyond_it(rate: float) -> None:
    gate = SharedCapacity(50.0, 1.0, Random(1))
    assert share(gate, rate) == pytest.approx(1.0 - 50.0 / rate, abs=0.03)


def test_shared_capacity_refuses_nothing_below_it() -> None:
    assert share(SharedCapacity(50.0, 1.0, Random(1)), 45.0) < 0.001


def test_soft_capacity_refuses_a_share_that_grows_smoothly_with_the_rate() -> None:
    shares = [share(SoftCapacity(50.0, 20.0, 1.0, Random(1)), r) for r in (20, 35, 42, 50, 80)]
    assert shares == sorted(shares)
    assert shares[0] == 0.0
    assert 0.0 < shares[1] < shares[2] < 0.1
    assert shares[4] > 0.3


def test_soft_capacity_gives_no_more_than_its_rate_however_hard_it_is_pushed() -> None:
    passed, _ = offered(SoftCapacity(50.0, 20.0, 1.0, Random(1)), 1000.0)
    assert passed / 100.0 < 50.0 * 1.03


def test_the_oracles_pace_at_soft_capacity_is_refused_a_fiftieth() -> None:
    gate = SoftCapacity(50.0, 20.0, 1.0, Random(1))
    assert share(gate, gate.polite_rate) == pytest.approx(0.02, abs=0.01)


@pytest.mark.parametrize("in_turn", [True, False])
def test_a_gateway_gives_the_rate_of_all_its_keys(in_turn: bool) -> None:
    gate = Gateway(4, 50.0, 1.0, Random(1), in_turn=in_turn)
    passed, _ = offered(gate, 500.0)
    assert passed == pytest.approx(50 * 100 + 50, rel=0.01)


def test_a_gateway_that_picks_at_random_refuses_before_all_keys_are_dry() -> None:
    assert share(Gateway(4, 50.0, 1.0, Random(1), in_turn=False), 49.0) > 0.005
    assert share(Gateway(4, 50.0, 1.0, Random(1), in_turn=True), 49.0) == 0.0


def test_a_gateways_headers_are_those_of_the_key_that_was_asked() -> None:
    gate = Gateway(4, 40.0, 10.0, Random(1), in_turn=False)
    left = set()
    for n in range(60):
        gate.wait(n * 0.001, CALL)
        gate.take(n * 0.001, CALL)
        left.add(gate.state(n * 0.001).remaining)
    assert len(left) > 10


def test_neighbours_leave_the_rest_to_who_takes_no_more() -> None:
    assert share(Neighbours(50.0, 1.0, 25.0, Random(1)), 24.0) < 0.005
    assert 0.05 < share(Neighbours(50.0, 1.0, 25.0, Random(1)), 45.0) < 0.4


def test_who_pushes_takes_from_the_neighbours_too() -> None:
    passed, _ = offered(Neighbours(50.0, 1.0, 25.0, Random(1)), 500.0)
    assert passed == pytest.approx(50 * 100 + 50, rel=0.02)


def test_when_neighbours_come_does_not_depend_on_who_asks() -> None:
    one, other = (Neighbours(50.0, 1.0, 25.0, Random(3)) for _ in range(2))
    offered(one, 100.0, 10.0)
    assert one.there.factors == other.there.factors


def test_an_oracle_leaves_the_neighbours_theirs() -> None:
    gate = Neighbours(50.0, 1.0, 25.0, Random(1))
    there = sum(gate.there.factors[:200]) / 200
    passed, _ = offered(gate.twin(), 500.0)
    assert passed == pytest.approx((50.0 - 25.0 * there) * 100 + 50, rel=0.02)


def test_a_wandering_bucket_gives_its_rate_times_the_path() -> None:
    gate = WanderingBucket(50.0, 0.5, step_to(0.4, 50.0))
    before, _ = offered(gate, 500.0, 50.0)
    after, _ = offered(gate, 500.0, 50.0, start=50.0)
    assert before == pytest.approx(50 * 50 + 25, abs=3)
    assert after == pytest.approx(20 * 50, abs=3)


def test_a_wandering_bucket_says_when_the_next_call_passes_across_a_step() -> None:
    gate = WanderingBucket(1.0, 1.0, step_to(0.1, 10.0))
    gate.take(9.5, CALL)
    gate.at = 9.5
    gate.level = 0.0
    assert gate.wait(9.5, CALL) == pytest.approx(0.5 + 5.0)


def test_a_wandering_cap_follows_its_path() -> None:
    gate = WanderingCap(10, step_to(0.5, 5.0))
    assert offered(gate, 100.0, 1.0)[0] == 10
    for _ in range(6):
        gate.ended(6.0, CALL)
    assert offered(gate, 100.0, 1.0, start=6.0)[0] == 1


def test_paths_stay_within_their_bounds() -> None:
    walk, day = random_walk(Random(1), 900), wave(60.0, 0.6, 0.25)
    assert all(1 / 3 <= factor <= 2.0 for factor in walk.factors)
    assert min(day.factors) == pytest.approx(0.4, abs=0.01)
    assert max(day.factors) == pytest.approx(1.0, abs=0.01)
    assert day.at(10.0) == pytest.approx(day.at(70.0))
