"""Max-min fairness, as arithmetic."""

from __future__ import annotations

from math import inf, isclose

from hypothesis import given
from hypothesis import strategies as st

from flowpool.sharing.fairness import AT_ONCE, divide, fair_shares, grant

DEMANDS = st.lists(st.floats(0, 1e6) | st.just(inf), min_size=1, max_size=40)
FRACTIONS = st.lists(st.floats(0, 3) | st.just(inf), min_size=1, max_size=40)


@given(DEMANDS, st.floats(1e-3, 1e6))
def test_nobody_gets_more_than_it_wants_and_nothing_wanted_is_left(
    demands: list[float], limit: float
) -> None:
    shares = fair_shares(demands, limit)
    assert all(0 <= share <= want for share, want in zip(shares, demands, strict=True))
    assert isclose(sum(shares), min(limit, sum(demands)), rel_tol=1e-9, abs_tol=1e-9)


@given(DEMANDS, st.floats(1e-3, 1e6))
def test_whoever_wants_more_has_as_much_as_anyone(demands: list[float], limit: float) -> None:
    shares = fair_shares(demands, limit)
    most = max(shares)
    for share, want in zip(shares, demands, strict=True):
        assert share >= want or share >= most * (1 - 1e-9)


@given(DEMANDS, st.floats(1e-3, 1e6), st.randoms(use_true_random=False))
def test_the_order_of_the_runs_does_not_matter(demands: list[float], limit: float, random) -> None:
    order = list(range(len(demands)))
    random.shuffle(order)
    shares = fair_shares(demands, limit)
    shuffled = fair_shares([demands[index] for index in order], limit)
    for index, share in zip(order, shuffled, strict=True):
        assert isclose(shares[index], share, rel_tol=1e-9, abs_tol=1e-9)


def test_what_some_leave_goes_to_those_that_want_more() -> None:
    assert fair_shares([10, 100, 100], 90) == [10, 40, 40]
    assert fair_shares([5, 5], 90) == [5, 5]
    assert fair_shares([inf, 0], 90) == [90, 0]
    assert fair_shares([], 90) == []


@given(FRACTIONS)
def test_the_whole_limit_is_divided_and_each_run_has_a_part(wanted: list[float]) -> None:
    parts = divide(wanted)
    assert isclose(sum(parts), 1.0)
    assert all(0 < part <= 1 + 1e-9 for part in parts)


def test_idle_runs_cost_a_busy_one_no_more_than_a_hundredth() -> None:
    assert divide([inf, *[0.0] * 50])[0] >= 0.99


@given(FRACTIONS, st.data())
def test_a_grant_is_above_0_and_at_most_1(others: list[float], data: st.DataObject) -> None:
    used = [data.draw(st.floats(0, 1)) for _ in others]
    wanted = data.draw(st.floats(0, 3) | st.just(inf))
    assert 0 < grant(wanted, zip(others, used, strict=True)) <= 1


@given(FRACTIONS)
def test_runs_in_turn_never_use_the_same_part_once_all_have_spoken(wanted: list[float]) -> None:
    """Whatever they held before: after a turn of each the sum is within the limit, after two it is all used."""
    used = [1.0] * len(wanted)
    for _ in range(2):
        for index, want in enumerate(wanted):
            others = [pair for at, pair in enumerate(zip(wanted, used, strict=True)) if at != index]
            used[index] = grant(want, others)
        assert sum(used) <= 1 + 1e-9
    assert isclose(sum(used), 1.0)


def test_a_newcomer_waits_for_room_but_starts_at_once() -> None:
    assert grant(inf, [(inf, 1.0)]) == AT_ONCE * 0.5
    assert grant(inf, [(inf, 0.5)]) == 0.5
    assert grant(inf, []) == 1.0
