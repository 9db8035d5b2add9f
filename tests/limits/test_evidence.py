"""How probable refusals are by chance."""

from __future__ import annotations

import pytest

from flowpool.limits.evidence import chance_of


def test_a_few_refused_calls_are_summed_exactly() -> None:
    assert chance_of(3, 3, 0.1) == pytest.approx(0.001)
    assert chance_of(1, 2, 0.5) == pytest.approx(0.75)
    assert chance_of(0, 10, 0.1) == 1.0


def test_many_are_as_near_as_the_normal_curve() -> None:
    assert chance_of(15, 200, 0.05) == pytest.approx(chance_of(15, 201, 0.05), abs=0.02)
    assert chance_of(60, 400, 0.1) < 0.003


def test_shares_of_nothing_and_of_all_are_borne() -> None:
    assert chance_of(1, 10, 0.0) == 0.0
    assert chance_of(10, 10, 1.0) == 1.0
