"""Each mechanism's own physics: how much it lets through, and what it says of it."""

from __future__ import annotations

import math
from collections import Counter
from random import Random

import pytest

from flowpool.worlds.gates import (
    BY_CHANCE,
    BucketGate,
    Cap,
    Chance,
    ClockWindow,
    Gate,
    LimitReq,
    SlidingWindow,
)
from flowpool.worlds.values import Arrival

CALL = Arrival()


def admitted(gate: Gate, moments: list[float]) -> list[float]:
    """The moments at which the gate lets a call pass."""
    passed = []
    for now in moments:
        if gate.wait(now, CALL) == 0.0:
            gate.take(now, CALL)
            passed.append(now)
        else:
            gate.refused(now, CALL)
    return passed


def hammered(seconds: float, every: float = 0.01) -> list[float]:
    return [n * every for n in range(round(seconds / every))]


def test_a_bucket_admits_what_it_holds_and_then_its_rate() -> None:
    passed = admitted(BucketGate(rate=5.0, capacity=20.0), hammered(10.0))
    assert len([now for now in passed if now < 0.2]) == 20
    assert len(passed) == pytest.approx(20 + 5 * 10, abs=1)


def test_a_bucket_says_when_the_next_call_passes() -> None:
    bucket = BucketGate(rate=5.0, capacity=1.0)
    bucket.take(0.0, CALL)
    wait = bucket.wait(0.05, CALL)
    assert wait == pytest.approx(0.15)
    assert bucket.wait(0.05 + wait, CALL) == 0.0


def test_a_bucket_of_tokens_charges_the_output_on_entry_or_as_it_is_produced() -> None:
    call = Arrival(input=100, output=50, most=200)
    reserved = BucketGate(100.0, 1000.0, "tokens", reserved=True)
    produced = BucketGate(100.0, 1000.0, "tokens", reserved=False)
    for bucket, on_entry, after in ((reserved, 700.0, 700.0), (produced, 900.0, 850.0)):
        bucket.take(0.0, call)
        assert bucket.level == on_entry
        bucket.ended(0.0, call)
        assert bucket.level == after


def test_a_call_larger_than_its_bucket_passes_when_that_is_full() -> None:
    bucket = BucketGate(10.0, 50.0, "tokens")
    call = Arrival(input=100, most=0)
    assert bucket.wait(0.0, call) == 0.0
    bucket.take(0.0, call)
    assert bucket.wait(1.0, call) == pytest.approx(9.0)


def test_a_window_of_the_clock_admits_exactly_its_number_in_each_window() -> None:
    gate = ClockWindow(most=7, seconds=2.0, offset=0.5)
    passed = admitted(gate, hammered(20.0))
    windows = Counter(math.floor((now + 0.5 + 1e-6) / 2.0) for now in passed)
    assert set(windows.values()) == {7}


def test_two_full_windows_of_the_clock_may_meet_at_their_border() -> None:
    gate = ClockWindow(most=10, seconds=10.0, offset=0.0)
    assert len(admitted(gate, [9.0 + n / 10 for n in range(20)])) == 20


def test_a_sliding_window_never_admits_more_than_its_number_in_any_stretch() -> None:
    passed = admitted(SlidingWindow(most=7, seconds=2.0), hammered(20.0))
    assert len(passed) == 70
    for first, eighth in zip(passed, passed[7:], strict=False):
        assert eighth - first >= 2.0 - 1e-6


def test_a_sliding_window_that_counts_refusals_lets_nobody_in_who_hammers() -> None:
    passed = admitted(SlidingWindow(most=7, seconds=2.0, counts_refusals=True), hammered(20.0))
    assert len(passed) == 7


def test_the_wait_that_a_window_tells_is_the_time_until_it_admits_again() -> None:
    for gate in (SlidingWindow(3, 4.0), ClockWindow(3, 4.0, 1.5)):
        admitted(gate, [0.0, 0.1, 0.2])
        wait = gate.wait(1.0, CALL)
        assert gate.wait(1.0 + wait - 0.01, CALL) > 0.0
        assert gate.wait(1.0 + wait + 1e-6, CALL) == 0.0


def test_a_cap_admits_one_more_for_each_that_ends() -> None:
    cap = Cap(3)
    assert len(admitted(cap, [0.0] * 10)) == 3
    assert cap.wait(9.0, CALL) == math.inf
    cap.ended(9.0, CALL)
    assert len(admitted(cap, [9.0] * 10)) == 1


def test_chance_refuses_its_share_at_any_rate() -> None:
    for every in (0.0001, 1.0):
        gate = Chance(0.1, 503, Random(1))
        waits = [gate.wait(n * every, CALL) for n in range(10_000)]
        assert waits.count(BY_CHANCE) / len(waits) == pytest.approx(0.1, abs=0.01)
        assert waits.count(0.0) + waits.count(BY_CHANCE) == len(waits)


def test_limit_req_holds_back_what_is_within_the_burst_and_refuses_the_rest() -> None:
    gate = LimitReq(rate=10.0, burst=4, nodelay=False)
    held = []
    while gate.wait(0.0, CALL) == 0.0:
        held.append(gate.take(0.0, CALL))
    assert held == pytest.approx([0.0, 0.1, 0.2, 0.3, 0.4])
    assert gate.status == 503


def test_limit_req_with_nodelay_lets_the_burst_through_at_once() -> None:
    gate = LimitReq(rate=10.0, burst=4, nodelay=True)
    assert [gate.take(0.0, CALL) for _ in range(5)] == [0.0] * 5
    assert gate.wait(0.0, CALL) == pytest.approx(0.1)


def test_headers_say_what_is_left_and_when_all_is_back() -> None:
    bucket, window, clock = (
        BucketGate(10.0, 50.0),
        SlidingWindow(50, 5.0),
        ClockWindow(50, 5.0, 1.0),
    )
    for gate in (bucket, window, clock):
        assert len(admitted(gate, [0.0] * 20)) == 20
        state = gate.state(1.0)
        assert state is not None
        assert state.limit == 50
        assert state.remaining == (40 if gate is bucket else 30)
    assert bucket.state(1.0).reset == pytest.approx(1.0)
    assert window.state(1.0).reset == pytest.approx(4.0)
    assert clock.state(1.0).reset == pytest.approx(3.0)
