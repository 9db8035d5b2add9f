"""Tokens that calls used."""

from __future__ import annotations

import pytest

from flowpool.usage import Usage


@pytest.mark.parametrize(
    ("said", "counted"),
    [((-5, 3), (0, 3)), ((5, -(2**70)), (5, 0)), ((2**70, 3), (2**53, 3)), ((5, 3), (5, 3))],
)
def test_a_count_below_none_lowers_nothing_and_one_beyond_all_is_the_largest(
    said: tuple[int, int], counted: tuple[int, int]
) -> None:
    assert Usage(*said) == Usage(*counted)
    assert Usage(10, 10) + Usage(*said) == Usage(10, 10) + Usage(*counted)


def test_a_call_s_share_is_the_difference() -> None:
    assert Usage(10, 5) - Usage(4, 5) == Usage(6, 0)
