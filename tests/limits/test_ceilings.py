"""Told ceilings, kept by runs together. Runs are played in one state, without a clock."""

from __future__ import annotations

from random import Random

import msgspec
import pytest

from flowpool.limits.ceilings import (
    GRACE,
    POLL,
    Ceilings,
    KeyState,
    MinuteBucket,
    tightest,
)
from flowpool.limits.demand import Demand
from flowpool.values import Limits

CALL = Demand(100.0, 50.0)


def runs_of(*limits: Limits) -> list[Ceilings]:
    """Runs at one key, each with its own ceilings."""
    state = KeyState()
    return [Ceilings(each, state, f"run-{n}") for n, each in enumerate(limits)]


def played(
    runs: list[Ceilings], seconds: float, cost: Demand = CALL, begins: tuple[float, ...] = ()
) -> list[list[float]]:
    """When each run's calls went, all of them asking whenever they were told to."""
    sent: list[list[float]] = [[] for _ in runs]
    asks = [*begins, *[0.0] * (len(runs) - len(begins))]
    while min(asks) < seconds:
        turn = min(range(len(runs)), key=asks.__getitem__)
        now = asks[turn]
        if runs[turn].claim(cost, now):
            sent[turn].append(now)
        else:
            asks[turn] = now + min(1.0, max(1e-3, runs[turn].wait(cost, now)))
    return sent


def most_in_a_minute(times: list[float]) -> int:
    times = sorted(times)
    return max(sum(start <= t < start + 60.0 - 1e-6 for t in times) for start in times)


@pytest.mark.parametrize("rpm", [7, 60, 600, 6000])
def test_a_run_alone_uses_its_rate_and_never_more_in_any_minute(rpm: int) -> None:
    [times] = played(runs_of(Limits(rpm=rpm)), 130.0)
    assert most_in_a_minute(times[:: max(1, rpm // 600)]) <= rpm
    assert len(times) >= 0.98 * rpm * 130 / 60


@pytest.mark.parametrize("count", [2, 5])
def test_runs_at_once_share_one_rate_in_equal_parts(count: int) -> None:
    sent = played(runs_of(*[Limits(rpm=120)] * count), 120.0)
    everything = [t for times in sent for t in times]
    assert most_in_a_minute(everything) <= 120
    assert len(everything) >= 235
    assert all(abs(len(times) - 240 / count) <= 2 for times in sent)


def test_runs_one_after_the_other_find_what_the_one_before_has_left() -> None:
    state, sent, now = KeyState(), [], 0.0
    for n in range(40):
        [times] = played([Ceilings(Limits(rpm=60), state, f"run-{n}")], now + 3.0, begins=(now,))
        sent += times[:3]
        now = sent[-1]
    assert most_in_a_minute(sent) <= 60


def test_a_ceiling_that_is_told_only_now_counts_what_went_in_the_last_minute() -> None:
    state = KeyState()
    [before] = played([Ceilings(Limits(rpm=600), state, "first")], 30.0)
    [after] = played([Ceilings(Limits(rpm=60), state, "second")], 200.0, begins=(30.0,))
    assert after[0] >= before[-1]
    assert all(sum(t - 60.0 < s <= t for s in before + after) <= 60 for t in after)
    assert after[0] <= 30.0 + 61.0


def test_a_run_with_a_lower_rate_goes_on_a_minute_after_the_higher_one_ended() -> None:
    low, high = runs_of(Limits(rpm=60), Limits(rpm=600))
    assert low.claim(CALL, 0.0)
    played([high], 300.0)
    assert 59.0 <= low.wait(CALL, 300.0) <= 62.0


def test_a_large_call_is_not_starved_by_the_small_ones_of_another_run() -> None:
    small, large = runs_of(Limits(tpm=6000), Limits(tpm=6000))
    large_cost, small_cost = Demand(900.0), Demand(20.0)
    went, now = [], 0.0
    while now < 120.0:
        small.claim(small_cost, now)
        if large.claim(large_cost, now):
            went.append(now)
        now += 0.02
    assert len(went) >= 4


def test_no_more_are_in_flight_than_any_run_was_told() -> None:
    random, clock = Random(3), 0.0
    runs = runs_of(Limits(concurrent=5), Limits(concurrent=5), Limits(concurrent=3))
    for _ in range(3000):
        run = random.choice(runs)
        before = run.state.in_flight
        if run.seat.in_flight and random.random() < 0.5:
            run.ended(CALL, CALL)
        elif run.claim(CALL, clock):
            assert before < (3 if run is runs[2] else 5)
        clock += random.random() * 0.02


def test_a_freed_slot_goes_to_the_waiting_run_with_fewest_in_flight() -> None:
    first, second = runs_of(Limits(concurrent=4), Limits(concurrent=4))
    assert all(first.claim(CALL, 0.0) for _ in range(4))
    assert not second.claim(CALL, 0.0)
    assert 0.0 < second.wait(CALL, 0.0) <= POLL
    for _ in range(2):
        first.ended(CALL, CALL)
        assert not first.claim(CALL, 0.01)
        assert second.claim(CALL, 0.02)
        assert not second.claim(CALL, 0.02)
    first.ended(CALL, CALL)
    assert first.claim(CALL, 0.03)  # both have two: whoever asks


def test_a_run_that_asks_no_more_keeps_nobody_waiting() -> None:
    first, second = runs_of(Limits(concurrent=1), Limits(concurrent=1))
    assert first.claim(CALL, 0.0)
    assert not second.claim(CALL, 0.0)
    first.ended(CALL, CALL)
    assert first.claim(CALL, 0.01 + POLL + GRACE)


def test_what_calls_really_used_is_put_right_for_all() -> None:
    first, second = runs_of(Limits(tpm=6000), Limits(tpm=6000))
    assert first.claim(Demand(80.0), 0.0)
    first.ended(Demand(80.0), Demand(280.0))
    assert second.wait(Demand(80.0), 0.0) == pytest.approx(260.0 / 98.3, rel=0.01)
    assert Ceilings(Limits(tpm=6000)).wait(Demand(80.0), 0.0) == 0.0


def test_a_clock_that_began_anew_blocks_nobody() -> None:
    [run] = runs_of(Limits(rpm=60))
    assert run.claim(CALL, 1000.0)
    assert not run.claim(CALL, 5.0)
    assert run.wait(CALL, 5.0) <= 1.0
    assert run.claim(CALL, 6.01)


def test_the_state_is_the_same_after_it_was_written_and_read() -> None:
    runs = runs_of(Limits(rpm=60, tpm=9000, concurrent=2), Limits(rpm=60))
    for run in runs * 2:
        run.claim(CALL, 1.0)
    state = runs[0].state
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(state), type=KeyState) == state


def test_a_call_larger_than_the_bucket_waits_for_a_full_one_and_is_paid_off() -> None:
    bucket = MinuteBucket.full("tpm", 600.0)
    assert bucket.wait(300.0, 0.0) > 0.0
    assert bucket.wait(300.0, 60.0) == 0.0
    bucket.take(300.0)
    assert bucket.wait(300.0, 60.0) == pytest.approx(60.0)


def test_the_tightest_of_two_limits_is_told_for_each() -> None:
    one, other = Limits(rpm=10, concurrent=5), Limits(rpm=20, tpm=7)
    assert tightest(one, other) == Limits(rpm=10, tpm=7, concurrent=5)
