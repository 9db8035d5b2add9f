"""Whether and when a failed attempt is tried again."""

from __future__ import annotations

from math import inf

from flowpool.calls.retry import RetryBudget, RetryPolicy
from flowpool.errors import BadRequest, RateLimited, ServerError

ILL = ServerError("ill")


def test_the_nth_wait_is_drawn_from_0_to_a_doubling_ceiling() -> None:
    policy = RetryPolicy(retries=20, base=0.5, cap=60.0)
    assert [policy.wait(ILL, n, 0.0, 0.0) for n in (1, 2, 9)] == [0.0] * 3
    assert [policy.wait(ILL, n, 0.0, 1.0) for n in (1, 2, 3, 9, 20)] == [0.5, 1.0, 2.0, 60.0, 60.0]


def test_a_policy_that_nobody_configured_is_the_documented_one() -> None:
    # As docs/concepts.md and docs/rate-control.md promise.
    assert RetryPolicy() == RetryPolicy(retries=5, base=0.5, cap=60.0, patience=900.0)
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
