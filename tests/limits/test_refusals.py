"""Refused calls are chance, a cap or a rate: what becomes of them tells. Plain calls, in time that is told."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from random import Random

import pytest

from flowpool.limits.refusals import Refusals, Trace

Refuses = Callable[[float, int], bool]  # at a moment, with so many others in flight


class Run:
    """Sends whatever may go to a provider that answers in 0.2 s and refuses in 0.01 s."""

    def __init__(self, refuses: Refuses, calls: int, refusals: Refusals | None = None) -> None:
        self.policy = refusals or Refusals()
        self.refused = self.done = 0
        self.peak = 0
        self.is_rate = False
        self.seconds = self.play(refuses, calls)

    def play(self, refuses: Refuses, calls: int) -> float:
        now, in_flight, running = 0.0, 0, 0
        ends: list[tuple[float, int, bool, Trace]] = []
        number = 0
        while self.done < calls and not self.is_rate and now < 120.0:
            wait = self.policy.wait(now, in_flight)
            if wait == 0.0:
                is_refused = refuses(now, running)
                trace = self.policy.sent(now, in_flight)
                number += 1
                in_flight += 1
                running += not is_refused
                self.peak = max(self.peak, running)
                heapq.heappush(
                    ends, (now + (0.01 if is_refused else 0.2), number, is_refused, trace)
                )
                continue
            if ends and ends[0][0] <= now + wait:
                now, _, is_refused, trace = heapq.heappop(ends)
                in_flight -= 1
                if is_refused:
                    self.refused += 1
                    self.is_rate = self.policy.throttled(trace, now)
                else:
                    running -= 1
                    self.done += 1
                    self.policy.answered(trace, now)
            else:
                now += max(wait, 1e-4)
        return now


def test_while_nothing_is_refused_the_calls_in_flight_double_with_each_round_trip() -> None:
    run = Run(lambda now, running: False, 600)
    assert run.seconds <= 2.0
    assert run.peak > 100


@pytest.mark.parametrize("share", [0.01, 0.03, 0.1])
def test_a_share_that_is_refused_by_chance_slows_nobody(share: float) -> None:
    for seed in range(5):
        random = Random(seed)
        run = Run(lambda now, running: random.random() < share, 600)  # noqa: B023
        assert not run.is_rate
        assert run.seconds <= 2.6


@pytest.mark.parametrize("most", [1, 4, 20, 100])
def test_a_cap_in_flight_is_found_kept_to_and_costs_few_refusals(most: int) -> None:
    run = Run(lambda now, running: running >= most, 20 * most + 200)
    assert run.policy.cap == pytest.approx(most, abs=1 + most // 10)
    assert run.refused <= 30 + 0.02 * run.done
    assert run.seconds <= 1.25 * run.done * 0.2 / most + 1.0


def test_a_cap_that_falls_is_followed_or_left_to_a_pacer_before_much_is_refused() -> None:
    run = Run(lambda now, running: running >= (32 if now < 5.0 else 14), 1500)
    assert run.is_rate or 7 <= run.policy.cap <= 16
    assert run.refused <= 200
    assert run.seconds <= 1.5 * (5.0 + (1500 - 5.0 * 160) * 0.2 / 14)


def test_a_cap_that_rises_holds_nobody_back() -> None:
    run = Run(lambda now, running: running >= (10 if now < 5.0 else 40), 3000)
    assert run.is_rate or run.policy.cap >= 20
    assert run.refused <= 300


def test_a_shallow_bucket_is_not_taken_for_a_cap_for_long() -> None:
    level = [50.0, 0.0]

    def bucket(now: float, running: int) -> bool:
        level[0] = min(50.0, level[0] + 50.0 * (now - level[1])) - 1.0
        level[1] = now
        if level[0] < 0.0:
            level[0] += 1.0
            return True
        return False

    run = Run(bucket, 5000)
    assert run.is_rate
    assert run.refused <= 200


def test_calls_refused_however_few_are_in_flight_are_a_rate() -> None:
    level = [50.0, 0.0]

    def bucket(now: float, running: int) -> bool:
        level[0] = min(50.0, level[0] + 20.0 * (now - level[1]))
        level[1] = now
        if level[0] < 1.0:
            return True
        level[0] -= 1.0
        return False

    run = Run(bucket, 1000)
    assert run.is_rate
    assert run.refused <= 20
    assert run.seconds < 3.0


def test_after_a_rate_that_was_none_it_opens_again_and_lets_more_refusals_pass() -> None:
    random = Random(1)
    policy = Refusals()
    policy.mode = "rate"
    policy.reopen(0.0, 0.2, 40.0)
    run = Run(lambda now, running: random.random() < 0.2, 600, policy)
    assert not run.is_rate
    assert run.seconds < 4.0


def test_beside_other_runs_ours_in_flight_tell_no_cap() -> None:
    policy = Refusals()
    policy.is_alone = False
    assert Run(lambda now, running: running >= 8, 300, policy).is_rate


def test_fifty_go_at_once_where_somebody_says_how_many() -> None:
    policy = Refusals(eager=True)
    assert all(policy.wait(0.0, n) == 0.0 and policy.sent(0.0, n) for n in range(50))
    policy.sent(0.0, 50)
    assert 0.0 < policy.wait(0.0, 51) <= 0.03
