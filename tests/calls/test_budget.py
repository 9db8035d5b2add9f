"""What a run may still spend: reserved at its worst before a call, settled to what it used."""

from __future__ import annotations

from random import Random

import pytest

from flowpool.calls.budget import NOTHING, PER_DOLLAR, Amount, Budget, Reservation, Spend


def dollars(amount: float) -> Amount:
    return Amount(round(amount * PER_DOLLAR), 1)


def reserved(budget: Budget, amount: Amount) -> Reservation:
    reservation = budget.reserve(amount)
    assert reservation is not None
    return reservation


def test_what_is_reserved_leaves_no_room_until_it_is_settled_for_less() -> None:
    budget = Budget(max_cost=1.0)
    first = reserved(budget, dollars(0.7))
    assert budget.reserve(dollars(0.7)) is None
    budget.settle(first, dollars(0.3))
    assert budget.reserve(dollars(0.7)) is not None


def test_a_sum_that_fills_the_ceiling_exactly_fits() -> None:
    budget = Budget(max_cost=0.3)
    for _ in range(3):  # 0.1 + 0.1 + 0.1 is more than 0.3 in floating point
        reserved(budget, dollars(0.1))
    assert budget.reserve(Amount(1, 0)) is None


def test_both_ceilings_are_kept() -> None:
    budget = Budget(max_cost=1.0, max_tokens=10)
    assert budget.reserve(Amount(0, 11)) is None
    assert budget.reserve(Amount(PER_DOLLAR + 1, 1)) is None
    assert budget.reserve(Amount(PER_DOLLAR, 10)) is not None


def test_a_call_whose_billing_is_unknown_counts_as_its_worst_case_and_shows_as_such() -> None:
    budget = Budget(max_cost=1.0)
    budget.keep(reserved(budget, dollars(0.6)))
    assert budget.spent == Spend(0.0, 0, 0.6, 1)
    assert budget.can_never_afford(dollars(0.5))
    assert "another $0.6 and 1 tokens may be" in str(budget.refusal(dollars(0.5)))


def test_a_call_that_waits_for_others_can_still_fit_and_one_larger_than_the_rest_cannot() -> None:
    budget = Budget(max_tokens=100)
    waiting_for = reserved(budget, Amount(0, 90))
    assert budget.reserve(Amount(0, 100)) is None
    assert not budget.can_never_afford(Amount(0, 100))
    budget.settle(waiting_for, Amount(0, 1))
    assert budget.can_never_afford(Amount(0, 100))


def test_a_call_that_fills_the_rest_exactly_can_be_afforded() -> None:
    budget = Budget(1.0, 100, Spend(0.75, 60))
    assert not budget.can_never_afford(Amount(PER_DOLLAR // 4, 40))
    assert budget.can_never_afford(Amount(PER_DOLLAR // 4 + 1, 40))
    assert budget.can_never_afford(Amount(PER_DOLLAR // 4, 41))
    assert not budget.can_never_afford(NOTHING)


def test_nothing_takes_no_room() -> None:
    budget = Budget(max_cost=0.0, max_tokens=0)
    budget.settle(reserved(budget, NOTHING), NOTHING)
    assert budget.spent == Spend()


def test_a_budget_counts_money_where_dollars_have_a_ceiling() -> None:
    assert Budget(max_cost=0.0).counts_money is True
    assert Budget(max_tokens=5).counts_money is False


def test_what_earlier_runs_spent_counts() -> None:
    spent = Spend(0.4, 50, 0.3, 20)
    budget = Budget(1.0, 100, spent)
    assert budget.spent == spent
    assert budget.can_never_afford(dollars(0.31))
    assert budget.can_never_afford(Amount(0, 31))
    assert budget.reserve(Amount(round(0.3 * PER_DOLLAR), 30)) is not None


def test_the_refusal_says_what_is_spent_the_ceiling_what_the_call_might_cost_and_the_fix() -> None:
    budget = Budget(max_cost=1.0)
    budget.settle(reserved(budget, dollars(0.9)), dollars(0.75))
    assert str(budget.refusal(dollars(0.5))) == (
        "the run's ceiling of $1 leaves no room for a call of up to $0.5: $0.75 and 1 tokens are spent "
        "(raise max_cost and run it again)"
    )
    assert "raise max_tokens_total" in str(Budget(max_tokens=5).refusal(Amount(0, 6)))


def test_the_refusal_names_the_ceiling_that_is_in_the_way() -> None:
    budget = Budget(1.0, 10)
    budget.keep(reserved(budget, dollars(0.6)))
    assert "raise max_cost" in str(budget.refusal(dollars(0.5)))  # what nobody knows counts too
    assert "ceiling of 10 tokens" in str(
        budget.refusal(Amount(round(0.4 * PER_DOLLAR), 10))
    )  # money fits


def test_a_reservation_ends_once() -> None:
    budget = Budget(max_tokens=5)
    reservation = reserved(budget, Amount(0, 5))
    budget.release(reservation)
    with pytest.raises(AssertionError, match="ends once"):
        budget.keep(reservation)


@pytest.mark.parametrize("seed", range(200))
def test_whatever_happens_the_sum_stays_under_the_ceiling_and_nothing_leaks(seed: int) -> None:
    random = Random(seed)
    budget = Budget(random.uniform(0.5, 5.0), random.randint(100, 3000))
    cost = tokens = 0  # the truth, kept apart
    flying: list[Reservation] = []
    for _ in range(300):
        if flying and random.random() < 0.5:
            ended = flying.pop(random.randrange(len(flying)))
            used = Amount(
                random.randint(0, ended.worst.cost), random.randint(0, ended.worst.tokens)
            )
            how = random.choice(("settle", "release", "keep"))
            if how == "settle":
                budget.settle(ended, used)
            elif how == "release":
                budget.release(ended)
                used = Amount(0, 0)
            else:
                budget.keep(ended)
            cost, tokens = cost + used.cost, tokens + used.tokens
        else:
            worst = Amount(random.randint(0, PER_DOLLAR // 2), random.randint(1, 200))
            reservation = budget.reserve(worst)
            if reservation is not None:
                flying.append(reservation)
            else:
                assert flying or budget.can_never_afford(worst)
        assert cost + sum(one.worst.cost for one in flying) <= budget.max_cost
        assert tokens + sum(one.worst.tokens for one in flying) <= budget.max_tokens
        assert budget.in_flight == len(flying)
    for left in flying:
        budget.release(left)
    assert (budget.in_flight, budget.reserved_cost, budget.reserved_tokens) == (0, 0, 0)


def test_another_ceiling_holds_from_here_on_and_what_is_spent_and_reserved_stays() -> None:
    budget = Budget(max_cost=1.0, max_tokens=100)
    budget.settle(reserved(budget, Amount(PER_DOLLAR // 2, 50)), Amount(PER_DOLLAR // 2, 50))
    open_one = reserved(budget, Amount(PER_DOLLAR // 2, 50))
    assert budget.reserve(dollars(0.1)) is None
    budget.limit(2.0, 200)
    assert budget.reserve(dollars(0.1)) is not None
    budget.limit(0.1, 200)
    assert budget.reserve(Amount(1, 0)) is None
    assert budget.can_never_afford(Amount(1, 0))
    budget.settle(open_one, Amount(PER_DOLLAR // 4, 20))
    assert (budget.spent.cost, budget.spent.tokens) == (0.75, 70)
    budget.limit(None, None)
    assert not budget.can_never_afford(Amount(10**18, 10**9))


def test_it_knows_prices_where_it_began_with_a_ceiling_in_dollars() -> None:
    money, tokens = Budget(max_cost=1.0), Budget(max_tokens=10)
    money.limit(None, 5)
    tokens.limit(1.0, 5)
    assert (money.knows_prices, tokens.knows_prices) == (True, False)
