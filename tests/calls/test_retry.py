"""Whether and when a failed attempt is tried again."""

from __future__ import annotations

import asyncio
from math import inf
from typing import Any

import pytest

from flowpool.calls.decide import Wait
from flowpool.calls.retry import RetryBudget, RetryPolicy, RetryWaiter
from flowpool.errors import BadRequest, RateLimited, ServerError

ILL = ServerError("ill")


def test_the_nth_wait_is_drawn_from_0_to_a_doubling_ceiling() -> None:
    policy = RetryPolicy(retries=20, base=0.5, cap=60.0)
    assert [policy.wait(ILL, n, 0.0, 0.0) for n in (1, 2, 9)] == [0.0] * 3
    assert [policy.wait(ILL, n, 0.0, 1.0) for n in (1, 2, 3, 9, 20)] == [0.5, 1.0, 2.0, 60.0, 60.0]


def test_a_policy_that_nobody_configured_is_the_documented_one() -> None:
    # As docs/concepts.md and docs/rate-control.md promise.
    assert RetryPolicy() == RetryPolicy(retries=5, base=0.5, cap=60.0, patience=900.0)
    assert RetryPolicy().of_exceptions == 0
    assert RetryBudget().left == 100.0


def test_the_doubling_ends_before_its_numbers_do() -> None:
    assert RetryPolicy(cap=inf).backoff(10_000, 1.0) == 0.5 * 2.0**30


def test_a_retry_after_comes_before_the_draw() -> None:
    policy = RetryPolicy()
    slow = RateLimited("slow", retry_after=7.0)
    assert policy.wait(slow, 1, 0.0, 0.0) == 7.0
    assert policy.wait(slow, 1, 0.0, 0.5) == 7.25


def test_it_gives_up_on_what_cannot_be_mended_and_after_its_retries() -> None:
    policy = RetryPolicy(retries=2)
    assert policy.wait(BadRequest("no"), 1, 0.0, 0.5) is None
    assert policy.wait(ILL, 2, 0.0, 0.5) is not None
    assert policy.wait(ILL, 3, 0.0, 0.5) is None
    assert RetryPolicy(retries=0).wait(RateLimited("slow"), 0, 0.0, 0.5) is None


def test_throttling_is_bounded_by_patience_alone() -> None:
    policy = RetryPolicy(retries=1, patience=100.0)
    slow = RateLimited("slow", retry_after=10.0)
    assert policy.wait(slow, 99, 80.0, 0.0) == 10.0
    assert policy.wait(slow, 99, 90.0, 0.0) == 10.0  # the last moment of its patience
    assert policy.wait(slow, 1, 91.0, 0.0) is None


def test_a_budget_pays_one_retry_for_five_answers_beyond_its_reserve() -> None:
    budget = RetryBudget(reserve=3, ratio=0.2)
    assert [budget.take(0.0) for _ in range(4)] == [True, True, True, False]
    for _ in range(5):
        budget.answered()
    assert [budget.take(0.0) for _ in range(2)] == [True, False]
    for _ in range(1000):
        budget.answered()
    assert [budget.take(0.0) for _ in range(4)] == [True, True, True, False]


def test_a_budget_that_nobody_configured_gets_a_fifth_of_a_retry_by_an_answer_and_one_a_second() -> (
    None
):
    budget = RetryBudget()
    assert [budget.take(0.0) for _ in range(101)].count(True) == 100
    for _ in range(9):
        budget.answered()
    assert [budget.take(0.0) for _ in range(2)] == [True, False]  # of 9 answers, 1.8
    assert [budget.take(3.0) for _ in range(4)] == [True, True, True, False]


def test_who_finds_the_budget_empty_asks_again_and_gets_one_a_second() -> None:
    budget = RetryBudget(reserve=2, trickle=1.0)
    taken, now, waiting = [], 0.0, 5
    while waiting:
        paid = [budget.take(now) for _ in range(waiting)].count(True)
        taken += [now] * paid
        waiting -= paid
        now += budget.ASK_AGAIN
    assert taken == [0.0, 0.0, 1.0, 2.0, 3.0]


class Waits:
    """A `RetryWaiter` whose pauses take no time, beside calls of which so many fail that retries are rationed."""

    def __init__(self, *, lane_rations: bool = True) -> None:
        self.now = 0.0
        self.pauses: list[tuple[Any, float]] = []
        self._lane_rations = lane_rations
        self.waiter = RetryWaiter(self._pause, lambda: 0.25, lambda: self.now)

    async def _pause(self, flow: Any, seconds: float) -> None:
        self.pauses.append((flow, seconds))
        self.now += seconds

    def rations_retries(self) -> bool:
        return self._lane_rations

    def wait(
        self, seconds: float = 0.0, until: float = inf, *, rationed: bool = True
    ) -> float | None:
        lane: Any = self
        return asyncio.run(self.waiter.wait("flow", Wait(seconds, until, rationed), lane))

    def spend(self) -> None:
        assert [self.wait() for _ in range(100)] == [0.0] * 100
        assert self.pauses == []


@pytest.mark.parametrize(("seconds", "pauses"), [(0.0, []), (0.5, [("flow", 0.5)])])
def test_a_call_waits_as_long_as_it_is_to_without_its_slot(seconds, pauses) -> None:
    waits = Waits(lane_rations=False)
    assert waits.wait(seconds) == seconds
    assert waits.pauses == pauses


def test_where_retries_are_rationed_a_call_waits_until_the_budget_has_one() -> None:
    waits = Waits()
    waits.spend()
    assert waits.wait(0.25) == 1.25
    assert waits.pauses == [("flow", 0.25), ("flow", 1.0)]


def test_an_answered_call_puts_retries_back() -> None:
    waits = Waits()
    waits.spend()
    for _ in range(5):
        waits.waiter.answered()
    assert waits.wait() == 0.0
    assert waits.pauses == []


def test_the_budget_is_short_from_a_retry_until_the_answers_that_fill_it_up_again() -> None:
    waits = Waits()
    assert waits.waiter.is_short is False
    assert waits.wait() == 0.0
    assert waits.waiter.is_short is True
    short = []
    for _ in range(5):
        waits.waiter.answered()
        short.append(waits.waiter.is_short)
    assert short == [True, True, True, True, False]


def test_a_retry_that_nobody_rations_takes_none_from_the_budget() -> None:
    waits = Waits()
    waits.spend()
    assert waits.wait(rationed=False) == 0.0
    assert waits.pauses == []
    well = Waits(lane_rations=False)
    assert [well.wait() for _ in range(200)] == [0.0] * 200
    assert well.pauses == []


def test_a_call_whose_time_is_over_before_the_budget_has_a_retry_is_not_tried_again() -> None:
    waits = Waits()
    waits.spend()
    assert waits.wait(until=0.9) is None
    assert waits.pauses == []
    assert waits.wait(until=1.0) == 1.0
    assert waits.pauses == [("flow", 1.0)]


def test_chance_is_passed_in() -> None:
    assert Waits().waiter.draw() == 0.25
